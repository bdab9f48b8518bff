package diskstore

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	segmentSize = 64 << 20
	maxPending  = 1 << 20 // bytes of records that wait to be written, above which writers wait, too
	maxRows     = 1 << 30 // bytes of rows of a record
	spareSize   = 2 << 20 // of a buffer that is kept
	spares      = 2       // one that is filled while the other is written
)

// journal is the log: all changes of the index, with the content that belongs to
// them. It is the log of the index, which has none of its own, and the place where
// small contents stay.
//
// A record has its place from when it is appended. It is written and synced by the
// first who waits for it, together with all that were appended meanwhile.
type journal struct {
	fs     vfs.FS
	dir    string
	size   int64 // of segments
	noSync bool

	// gate is held for reading while a record is appended and its rows are applied,
	// and for writing to know that what was appended was applied, too.
	gate sync.RWMutex

	mu       sync.Mutex // guards what follows
	segments map[uint32]*segment
	active   *segment // with the last record; what is appended next goes there, unless it is sealed
	sealed   bool
	seq      uint64   // of the last record
	next     *batch   // that records are appended to, if there is one
	writing  *batch   // being written
	lost     []*batch // that could not be written, for readers
	err      error    // why nothing is written any more
	spare    [][]byte
	holds    int // while it is above 0 no segment goes

	written atomic.Uint64 // where it is written up to: segment and offset
	size64  atomic.Int64  // bytes appended since the last checkpoint
	rows64  atomic.Int64  // bytes of rows among them

	run    sync.Mutex // held to write
	synced uint64     // number of the last record that is on the disk; guarded by run
	last   uint64     // that is written; guarded by run
	dirty  []*segment // written and not synced; guarded by run

	files segments
}

// batch are records that are written together.
type batch struct {
	chunks  []chunk
	size    int
	last    uint64 // number of the last record
	claimed bool   // somebody writes it
	done    chan struct{}
	err     error
}

// chunk is a piece of a segment that is not written yet.
type chunk struct {
	seg     *segment
	off     int64
	records []int // where they start in data
	data    []byte
}

// record is what is appended.
type record struct {
	id      blobID
	content []byte
	sum     uint32 // of the content
	rows    []byte
	marks   []int // where in rows the location of the content is to be
	dead    []freed
}

// position is a place between two records.
type position struct {
	segment uint32
	offset  int64
	seq     uint64 // of the record before
}

func pack(segment uint32, offset int64) uint64 { return uint64(segment)<<32 | uint64(offset) }

// append gives a record its place, and writes that into its rows. The caller waits
// for the batch.
func (j *journal) append(r *record) (*batch, error) {
	dead := appendFreed(nil, r.dead)
	h := header{content: uint32(len(r.content)), rows: uint32(len(r.rows)), dead: uint32(len(dead)), contentSum: r.sum, id: r.id}
	n := h.size()
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.next != nil && j.next.size > maxPending && j.err == nil {
		full := j.next
		j.mu.Unlock()
		_ = j.commit(full) // j.err tells
		j.mu.Lock()
	}
	if j.err != nil {
		return nil, j.err
	}
	if j.next == nil {
		j.next = &batch{done: make(chan struct{})}
	}
	b := j.next
	if j.sealed || j.active.used+n > max(j.size, headerSize+n) {
		j.rotate()
	}
	seg := j.active
	if len(b.chunks) == 0 || b.chunks[len(b.chunks)-1].seg != seg {
		c := chunk{seg: seg, off: seg.used}
		if n := len(j.spare) - 1; n >= 0 {
			c.data, j.spare = j.spare[n][:0], j.spare[:n]
		}
		if seg.used == 0 {
			c.data = append(c.data, segmentHeader(seg.id, seg.salt)...)
			seg.used = headerSize
		}
		b.chunks = append(b.chunks, c)
	}
	c := &b.chunks[len(b.chunks)-1]
	at := location{seg.id, uint32(seg.used), h.content}
	for _, m := range r.marks {
		at.put(r.rows[m:])
	}
	j.seq++
	h.salt, h.seq = seg.salt, j.seq
	start := len(c.data)
	c.records = append(c.records, start)
	var head [headerSize]byte
	c.data = append(c.data, head[:]...)
	c.data = append(c.data, r.content...)
	rest := len(c.data)
	c.data = append(c.data, r.rows...)
	c.data = append(c.data, dead...)
	h.restSum = checksum(c.data[rest:])
	h.put(c.data[start:])
	for int64(len(c.data)-start) < n {
		c.data = append(c.data, 0)
	}
	seg.used += n
	b.size += int(n)
	b.last = j.seq
	if h.content > 0 {
		seg.live += footprint(h.content)
	}
	j.free(r.dead)
	j.size64.Add(n)
	j.rows64.Add(int64(h.rows))
	return b, nil
}

// free counts what is dead. The caller holds mu.
func (j *journal) free(dead []freed) {
	for _, d := range dead {
		if seg := j.segments[d.segment]; seg != nil {
			seg.live -= d.bytes
		}
	}
}

// rotate begins another segment. The caller holds mu.
func (j *journal) rotate() {
	j.active = &segment{id: j.active.id + 1, salt: rand.Uint64(), fresh: true}
	j.segments[j.active.id] = j.active
	j.sealed = false
}

// commit returns when a batch is on the disk, or without syncs when it is written.
func (j *journal) commit(b *batch) error {
	j.mu.Lock()
	if b.claimed {
		j.mu.Unlock()
		<-b.done
		return b.err
	}
	b.claimed = true
	j.mu.Unlock()
	j.run.Lock()
	defer j.run.Unlock()
	j.mu.Lock()
	if j.next == b {
		j.next = nil
	}
	j.writing = b
	for _, c := range b.chunks {
		for _, r := range c.records {
			stamp(c.data[r:], j.synced)
		}
	}
	b.err = j.err
	j.mu.Unlock()
	if b.err == nil {
		b.err = j.write(b)
	}
	j.mu.Lock()
	j.writing = nil
	if b.err != nil {
		if j.err == nil {
			j.err = b.err
		}
		j.lost = append(j.lost, b)
	} else {
		end := &b.chunks[len(b.chunks)-1]
		j.written.Store(pack(end.seg.id, end.off+int64(len(end.data))))
		if len(j.spare) < spares && cap(end.data) <= spareSize {
			j.spare = append(j.spare, end.data)
		}
		b.chunks = nil
	}
	j.mu.Unlock()
	close(b.done)
	return b.err
}

// write writes a batch to its segments. The caller holds run.
func (j *journal) write(b *batch) error {
	for i := range b.chunks {
		c := &b.chunks[i]
		if err := j.writeChunk(c); err != nil {
			return err
		}
		if len(j.dirty) == 0 || j.dirty[len(j.dirty)-1] != c.seg {
			j.dirty = append(j.dirty, c.seg)
		}
	}
	j.last = b.last
	if j.noSync {
		return nil
	}
	return j.sync()
}

// sync waits until what was written is on the disk. The caller holds run.
func (j *journal) sync() error {
	for i, seg := range j.dirty {
		if err := seg.w.SyncData(); err != nil {
			return err
		}
		if i < len(j.dirty)-1 {
			seg.w.Close()
			seg.w = nil
		}
	}
	if n := len(j.dirty); n > 1 || n == 1 && !j.noSync {
		j.dirty = append(j.dirty[:0], j.dirty[n-1])
	}
	j.synced = j.last
	return nil
}

// flush waits until all that was appended is on the disk.
func (j *journal) flush() error {
	j.mu.Lock()
	b := j.next
	j.mu.Unlock()
	if b != nil {
		if err := j.commit(b); err != nil {
			return err
		}
	}
	j.run.Lock()
	defer j.run.Unlock()
	j.mu.Lock()
	err := j.err
	j.mu.Unlock()
	if err == nil && j.synced < j.last {
		err = j.sync()
		j.fail(err)
	}
	return err
}

// fail ends all writing if err is not nil.
func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

// pending copies what is at off in a segment to p, if that is not written yet.
func (j *journal) pending(segment uint32, off int64, p []byte) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range append([]*batch{j.next, j.writing}, j.lost...) {
		if b == nil {
			continue
		}
		for _, c := range b.chunks {
			if c.seg.id == segment && off >= c.off && off+int64(len(p)) <= c.off+int64(len(c.data)) {
				copy(p, c.data[off-c.off:])
				return true
			}
		}
	}
	return false
}

// end is where the next record goes. The caller holds gate for writing.
func (j *journal) end() position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return position{j.active.id, j.active.used, j.seq}
}

// hold keeps all segments that are there now until end is called.
func (j *journal) hold() (end func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.holds++
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.holds--
	}
}
