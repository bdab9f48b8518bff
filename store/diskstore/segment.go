package diskstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	firstStep = 256 << 10 // of the room that is made for a segment
	largeStep = 8 << 20
	maxOpen   = 128 // segments that are open to be read
	suffix    = ".log"
)

// segment is a file of the log.
type segment struct {
	id    uint32
	salt  uint64
	used  int64 // bytes, guarded by mu of the journal
	live  int64 // bytes of contents that are referred to, guarded by mu of the journal
	stuck bool  // it cannot be reclaimed, guarded by mu of the journal
	fresh bool  // there is no file yet, guarded by run of the journal

	w     vfs.File // to write, guarded by run of the journal
	alloc int64    // bytes there is room for, guarded by run of the journal

	r       vfs.File // to read, guarded by files.mu of the journal
	readers int
	gone    bool // remove it after the last reader
}

// segments has the files that are open to be read.
type segments struct {
	mu   sync.Mutex
	open map[*segment]bool
}

func segmentName(id uint32) string { return fmt.Sprintf("%08x%s", id, suffix) }

// parseSegmentName is the reverse of segmentName.
func parseSegmentName(name string) (id uint32, ok bool) {
	hex, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(hex, 16, 32)
	return uint32(n), ok && err == nil && n > 0 && segmentName(uint32(n)) == name
}

func (j *journal) path(id uint32) string { return j.fs.PathJoin(j.dir, segmentName(id)) }

func (j *journal) syncDir() error {
	d, err := j.fs.OpenDir(j.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeChunk writes a chunk. The caller holds run.
func (j *journal) writeChunk(c *chunk) error {
	seg := c.seg
	if seg.w == nil {
		var err error
		if seg.w, err = j.fs.OpenReadWrite(j.path(seg.id), "cubby-log"); err != nil {
			return err
		}
		if seg.fresh {
			seg.fresh = false
			if err := j.syncDir(); err != nil {
				return err
			}
		}
	}
	j.makeRoom(seg, c.off+int64(len(c.data)))
	n, err := seg.w.WriteAt(c.data, c.off)
	if err == nil && n < len(c.data) {
		err = io.ErrShortWrite
	}
	return err
}

// makeRoom makes the file longer than it has to be, since to sync one whose length
// changed is much slower. It need not succeed: the write does not depend on it.
func (j *journal) makeRoom(seg *segment, end int64) {
	if end <= seg.alloc {
		return
	}
	to := max(end, min(seg.alloc+min(max(seg.alloc, firstStep), largeStep), j.size))
	if seg.w.Preallocate(seg.alloc, to-seg.alloc) != nil {
		return
	}
	if to > end {
		if _, err := seg.w.WriteAt([]byte{0}, to-1); err != nil {
			return
		}
	}
	seg.alloc = to
}

// sizes returns how long the segments are, with what is not written yet, for those
// that have a file.
func (j *journal) sizes() (map[uint32]int64, error) {
	if err := j.flush(); err != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.err == nil {
			return nil, err
		}
	} else {
		j.mu.Lock()
		defer j.mu.Unlock()
	}
	sizes := make(map[uint32]int64, len(j.segments))
	for id := range j.segments {
		info, err := j.fs.Stat(j.path(id))
		if err == nil {
			sizes[id] = info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return sizes, nil
}

// acquire returns a segment that is open to be read, and stays so until it is
// released, or fs.ErrNotExist.
func (j *journal) acquire(id uint32) (*segment, error) {
	j.mu.Lock()
	seg := j.segments[id]
	j.mu.Unlock()
	if seg == nil {
		return nil, fmt.Errorf("segment %d of the log: %w", id, fs.ErrNotExist)
	}
	j.files.mu.Lock()
	defer j.files.mu.Unlock()
	if seg.gone {
		return nil, fmt.Errorf("segment %d of the log: %w", id, fs.ErrNotExist)
	}
	if seg.r == nil {
		f, err := j.fs.Open(j.path(id))
		if err != nil {
			return nil, err
		}
		seg.r = f
		j.files.opened(seg)
	}
	seg.readers++
	return seg, nil
}

// opened makes room for a segment that was opened. The caller holds mu.
func (s *segments) opened(seg *segment) {
	if s.open == nil {
		s.open = make(map[*segment]bool)
	}
	if len(s.open) >= maxOpen {
		for old := range s.open {
			if old.readers == 0 {
				s.close(old)
				break
			}
		}
	}
	s.open[seg] = true
}

// close closes the file of a segment. The caller holds mu.
func (s *segments) close(seg *segment) {
	if seg.r != nil {
		seg.r.Close()
		seg.r = nil
	}
	delete(s.open, seg)
}

func (j *journal) release(seg *segment) {
	j.files.mu.Lock()
	defer j.files.mu.Unlock()
	if seg.readers--; seg.readers == 0 && seg.gone {
		j.erase(seg)
	}
}

// remove has the file of a segment removed, after those who read it. The journal
// does not know the segment any more.
func (j *journal) remove(seg *segment) {
	j.files.mu.Lock()
	defer j.files.mu.Unlock()
	if seg.gone = true; seg.readers == 0 {
		j.erase(seg)
	}
}

// erase removes the file. If that is not possible, it is done at the next start.
func (j *journal) erase(seg *segment) {
	j.files.close(seg)
	_ = j.fs.Remove(j.path(seg.id))
}

// close closes all files. Nothing is written or read any more.
func (j *journal) close() {
	j.run.Lock()
	defer j.run.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.files.mu.Lock()
	defer j.files.mu.Unlock()
	for _, seg := range j.segments {
		if seg.w != nil {
			seg.w.Close()
			seg.w = nil
		}
		j.files.close(seg)
	}
}

// read reads the header and the content of a record to p, and reports whether that
// is the content of id as it was put.
func (j *journal) read(at location, id blobID, p []byte) (ok bool, err error) {
	if pack(at.segment, int64(at.offset)) >= j.written.Load() && j.pending(at.segment, int64(at.offset), p) {
		return intact(p, at, id), nil
	}
	seg, err := j.acquire(at.segment)
	if err != nil {
		return false, err
	}
	defer j.release(seg)
	n, err := seg.r.ReadAt(p, int64(at.offset))
	if n < len(p) {
		if err == io.EOF {
			err = nil
		}
		return false, err
	}
	return intact(p, at, id), nil
}

// intact reports whether p is the start of the record of a content, as it was put.
func intact(p []byte, at location, id blobID) bool {
	h := parseHeader(p)
	return h.id == id && h.content == at.length && checksum(p[headerSize:]) == h.contentSum
}

// logged reads a content of the log into a buffer, and returns both. The hint is
// where it may be. If there is no such content the error is fs.ErrNotExist.
func (s *Store) logged(id blobID, hint location) (content []byte, buf *[]byte, err error) {
	at, fresh := hint, false
	for try := 0; ; try++ {
		if at.segment == 0 {
			if at, err = s.location(id); err != nil {
				return nil, nil, err
			}
			fresh = true
		}
		buf = s.space.buffers.get(headerSize + int(at.length))
		ok, err := s.journal.read(at, id, *buf)
		if ok {
			return (*buf)[headerSize:], buf, nil
		}
		s.space.buffers.put(buf)
		if fresh {
			// It may have been moved meanwhile.
			now, nerr := s.location(id)
			if nerr != nil {
				return nil, nil, nerr
			}
			if now == at || try > 10 {
				if err == nil {
					err = errCorrupt
				}
				return nil, nil, fmt.Errorf("content %s: %w", id, errors.Join(errCorrupt, hide(err)))
			}
			at = now
			continue
		}
		at = location{}
	}
}

// hide makes an error that does not say that there is no object.
func hide(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New(err.Error())
	}
	return err
}

// location returns where a content is, or fs.ErrNotExist.
func (s *Store) location(id blobID) (at location, err error) {
	err = s.view(blobKey(spaceLocation, id), func(row []byte) (err error) {
		at, err = decodeLocation(row)
		return err
	})
	if err == nil && at.segment == 0 {
		err = errCorrupt
	}
	if err != nil {
		err = fmt.Errorf("content %s: %w", id, err)
	}
	return at, err
}
