package diskstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// # Records
//
// A segment of the log begins with 64 bytes: the word that says what it is, its
// version and number, its salt, and a checksum. The salt is a random number that all
// its records repeat, so that neither what a file had before nor what somebody puts
// as content is ever taken for a record.
//
// A record begins with 64 bytes, too, little endian:
//
//	 0  checksum of the rest of these
//	 4  length of the content
//	 8  length of the rows
//	12  length of the list of what is dead
//	16  checksum of the content
//	20  checksum of the rows and the list
//	24  salt of the segment
//	32  number of the record
//	40  number of the last record that was on the disk when this one was written
//	48  id of the content
//
// Then come the content, the rows as a batch of the index, and the list: numbers of
// segments, and how many bytes in them nothing refers to any more. It ends at a
// multiple of 8. Checksums are CRC32C.
const (
	headerSize    = 64
	segmentWord   = "cubbylog"
	recordVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// header is the start of a record.
type header struct {
	content, rows, dead uint32 // lengths
	contentSum, restSum uint32
	salt, seq, synced   uint64
	id                  blobID
}

// put writes the header to b, but for its checksum.
func (h *header) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[4:], h.content)
	le.PutUint32(b[8:], h.rows)
	le.PutUint32(b[12:], h.dead)
	le.PutUint32(b[16:], h.contentSum)
	le.PutUint32(b[20:], h.restSum)
	le.PutUint64(b[24:], h.salt)
	le.PutUint64(b[32:], h.seq)
	copy(b[48:], h.id[:])
}

// stamp ends a header that put wrote.
func stamp(b []byte, synced uint64) {
	binary.LittleEndian.PutUint64(b[40:], synced)
	binary.LittleEndian.PutUint32(b, checksum(b[4:headerSize]))
}

// parseHeader reads a header, which has at least headerSize bytes. It does not look
// at the checksum.
func parseHeader(b []byte) (h header) {
	le := binary.LittleEndian
	h.content, h.rows, h.dead = le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	h.contentSum, h.restSum = le.Uint32(b[16:]), le.Uint32(b[20:])
	h.salt, h.seq, h.synced = le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])
	copy(h.id[:], b[48:])
	return h
}

// isHeader reports whether b begins with a header of a record of this salt.
func isHeader(b []byte, salt uint64) bool {
	return len(b) >= headerSize && binary.LittleEndian.Uint64(b[24:]) == salt &&
		binary.LittleEndian.Uint32(b) == checksum(b[4:headerSize])
}

// size is that of the whole record.
func (h *header) size() int64 {
	n := headerSize + int64(h.content) + int64(h.rows) + int64(h.dead)
	return (n + 7) &^ 7
}

// parts splits a record, and checks it.
func (h *header) parts(record []byte) (content, rows, dead []byte, ok bool) {
	content, rest := record[headerSize:headerSize+h.content], record[headerSize+h.content:]
	rest = rest[:h.rows+h.dead]
	return content, rest[:h.rows], rest[h.rows:], checksum(content) == h.contentSum && checksum(rest) == h.restSum
}

// segmentHeader is the start of a segment.
func segmentHeader(id uint32, salt uint64) []byte {
	b := make([]byte, headerSize)
	copy(b, segmentWord)
	binary.LittleEndian.PutUint32(b[8:], recordVersion)
	binary.LittleEndian.PutUint32(b[12:], id)
	binary.LittleEndian.PutUint64(b[16:], salt)
	binary.LittleEndian.PutUint32(b[24:], checksum(b[:24]))
	return b
}

func parseSegmentHeader(b []byte, id uint32) (salt uint64, ok bool) {
	if len(b) < headerSize || string(b[:8]) != segmentWord || binary.LittleEndian.Uint32(b[24:]) != checksum(b[:24]) {
		return 0, false
	}
	ok = binary.LittleEndian.Uint32(b[8:]) == recordVersion && binary.LittleEndian.Uint32(b[12:]) == id
	return binary.LittleEndian.Uint64(b[16:]), ok
}

// location is where the record of a content is. The zero value is nowhere.
type location struct{ segment, offset, length uint32 }

const locationSize = 12

func (l location) put(b []byte) {
	binary.LittleEndian.PutUint32(b, l.segment)
	binary.LittleEndian.PutUint32(b[4:], l.offset)
	binary.LittleEndian.PutUint32(b[8:], l.length)
}

func readLocation(b []byte) location {
	le := binary.LittleEndian
	return location{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])}
}

func encodeLocation(l location) []byte {
	b := make([]byte, 1+locationSize)
	b[0] = rowVersion
	l.put(b[1:])
	return b
}

func decodeLocation(row []byte) (location, error) {
	if len(row) != 1+locationSize || row[0] != rowVersion {
		return location{}, errCorrupt
	}
	return readLocation(row[1:]), nil
}

// footprint is how many bytes a content takes in a segment at least: what its record
// has when it was moved there.
func footprint(length uint32) int64 {
	const rows = 12 + 1 + 1 + 1 + len(blobID{}) + 1 + 1 + locationSize // those of a batch with a location
	const dead = 6
	return (headerSize + int64(length) + int64(rows) + dead + 7) &^ 7
}

// freed is how many bytes of a segment are no longer referred to.
type freed struct {
	segment uint32
	bytes   int64
}

func appendFreed(b []byte, dead []freed) []byte {
	for _, d := range dead {
		b = binary.AppendUvarint(b, uint64(d.segment))
		b = binary.AppendUvarint(b, uint64(d.bytes))
	}
	return b
}

// parseFreed is the reverse of appendFreed.
func parseFreed(b []byte) (dead []freed, ok bool) {
	for len(b) > 0 {
		id, n := binary.Uvarint(b)
		if n <= 0 || id > 1<<32-1 {
			return nil, false
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || size > 1<<32 {
			return nil, false
		}
		dead = append(dead, freed{uint32(id), int64(size)})
		b = b[n+m:]
	}
	return dead, true
}

// window reads a file piece by piece.
type window struct {
	f    io.ReaderAt
	size int64
	off  int64 // of buf in the file
	buf  []byte
	mem  []byte
}

const windowSize = 1 << 20

func newWindow(f vfs.File) (*window, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &window{f: f, size: info.Size()}, nil
}

// at returns n bytes of the file from off on, until it is called again. There are
// fewer at the end of the file.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(max(min(int64(n), w.size-off), 0))
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		want := int(min(max(int64(n), windowSize), w.size-off))
		if cap(w.mem) < want {
			w.mem = make([]byte, want)
		}
		w.off, w.buf = off, w.mem[:want]
		if m, err := w.f.ReadAt(w.buf, off); err != nil && (!errors.Is(err, io.EOF) || m < want) {
			w.buf = nil
			return nil, err
		}
	}
	return w.buf[off-w.off:][:n], nil
}

// start returns the salt of a segment, or ok false if nothing was written to it. Where
// its start is damaged the first record has the salt, too.
func (w *window) start(id uint32) (salt uint64, ok bool, err error) {
	b, err := w.at(0, 2*headerSize)
	if err != nil || len(b) < headerSize {
		return 0, false, err
	}
	if salt, ok = parseSegmentHeader(b, id); ok {
		return salt, true, nil
	}
	first := b[headerSize:]
	if len(first) < headerSize {
		return 0, false, nil
	}
	salt = parseHeader(first).salt
	return salt, isHeader(first, salt), nil
}

// record returns the record at off, or ok false if there is none that is whole.
func (w *window) record(off int64, salt uint64) (h header, record []byte, ok bool, err error) {
	b, err := w.at(off, headerSize)
	if err != nil || !isHeader(b, salt) {
		return h, nil, false, err
	}
	h = parseHeader(b)
	if h.size() > w.size-off+7 {
		return h, nil, false, nil
	}
	n := headerSize + int64(h.content) + int64(h.rows) + int64(h.dead)
	record, err = w.at(off, int(n))
	if err != nil || int64(len(record)) < n {
		return h, nil, false, err
	}
	_, _, _, ok = h.parts(record)
	return h, record, ok, nil
}
