package diskstore

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	checkpointSize = 64 << 20 // bytes of the log after which there is a checkpoint
	checkpointRows = 3 << 20  // bytes of rows after which there is one
	keepEvery      = time.Minute
	endName        = "end"
)

// keeper makes checkpoints, and reclaims the space of what is dead.
type keeper struct {
	kick chan struct{} // asks for a checkpoint now
	mu   sync.Mutex    // held to make one
	last position      // of the last one that is on the disk; guarded by mu

	reclaiming sync.Mutex // held to reclaim

	trouble chan error // is told what the index will try again
}

// due asks for a checkpoint if it is time for one.
func (s *Store) due() {
	if s.journal.much(s.opts.checkpointSize) {
		s.keeper.wake()
	}
}

// much reports whether much was appended since the last checkpoint.
func (j *journal) much(size int64) bool {
	return j.size64.Load() >= size || j.rows64.Load() >= checkpointRows
}

// wake asks for a checkpoint, and for what is dead to be reclaimed.
func (k *keeper) wake() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// keep makes checkpoints until the store is closed.
func (s *Store) keep() {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.keeper.kick:
		case <-tick.C:
		}
		if s.failed.Load() != nil {
			continue
		}
		err := s.checkpoint()
		if err == nil {
			err = s.reclaim()
		}
		if err != nil && !errors.Is(err, fs.ErrClosed) {
			s.log.Warn("log of the store", slog.String("err", err.Error()))
		}
	}
}

// checkpoint puts all rows on the disk, so that the log need not be read up to here.
func (s *Store) checkpoint() error {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	j := s.journal
	if j.size64.Load() == 0 {
		return nil
	}
	var at position
	err := s.guard(func() error {
		j.gate.Lock()
		defer j.gate.Unlock()
		at = j.end()
		j.size64.Store(0)
		j.rows64.Store(0)
		return s.db.Set(logKey, encodeCheckpoint(at, j.counts()), pebble.NoSync)
	})
	if err == nil {
		err = s.guard(s.flushIndex)
	}
	if err != nil {
		return s.fail(err)
	}
	s.keeper.last = at
	return nil
}

// flushIndex waits until all rows are in tables. The index tries again for as long as
// these cannot be written, but when the store is closed that is an error: the log has
// the rows.
func (s *Store) flushIndex() error {
	select {
	case <-s.keeper.trouble: // of before
	default:
	}
	done, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	for {
		select {
		case <-done:
			return nil
		case err := <-s.keeper.trouble:
			select {
			case <-s.stop:
				return err
			default:
			}
		}
	}
}

// counts returns what is known of the segments.
func (j *journal) counts() []segmentCount {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := make([]segmentCount, 0, len(j.segments))
	for _, id := range slices.Sorted(maps.Keys(j.segments)) {
		seg := j.segments[id]
		counts = append(counts, segmentCount{id, seg.used, seg.live})
	}
	return counts
}

// segmentCount is what a checkpoint says of a segment.
type segmentCount struct {
	id         uint32
	used, live int64
}

func encodeCheckpoint(at position, counts []segmentCount) []byte {
	e := newRow(64 + 16*len(counts))
	e.uint(uint64(at.segment))
	e.uint(uint64(at.offset))
	e.uint(at.seq)
	e.uint(uint64(len(counts)))
	for _, c := range counts {
		e.uint(uint64(c.id))
		e.uint(uint64(c.used))
		e.b = binary.AppendVarint(e.b, c.live)
	}
	return e.b
}

func decodeCheckpoint(row []byte) (at position, counts []segmentCount, err error) {
	d := readRow(row)
	at = position{uint32(d.size()), d.size(), d.uint()}
	counts = make([]segmentCount, d.count())
	for i := range counts {
		c := segmentCount{uint32(d.size()), d.size(), 0}
		n := d.uint()
		c.live = int64(n>>1) ^ -int64(n&1)
		counts[i] = c
	}
	return at, counts, d.done()
}

// writeEnd says where the log ends that is closed now.
func (s *Store) writeEnd() error {
	j := s.journal
	f, err := s.opts.fs.Create(s.opts.fs.PathJoin(j.dir, endName), "cubby-log")
	if err != nil {
		return err
	}
	row := encodeCheckpoint(j.end(), nil)
	_, err = f.Write(binary.LittleEndian.AppendUint32(row, checksum(row)))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return j.syncDir()
}

// readEnd returns where the log ended when it was closed, if it was, and removes
// what says so.
func (s *Store) readEnd() (at position, ok bool, err error) {
	j := s.journal
	name := s.opts.fs.PathJoin(j.dir, endName)
	f, err := s.opts.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return at, false, nil
	}
	if err != nil {
		return at, false, err
	}
	w, err := newWindow(f)
	var b []byte
	if err == nil {
		b, err = w.at(0, 64)
	}
	if n := len(b) - 4; err == nil && n > 0 && binary.LittleEndian.Uint32(b[n:]) == checksum(b[:n]) {
		at, _, err = decodeCheckpoint(b[:n])
		ok = err == nil
	}
	// Before anything is written to the log again.
	err = errors.Join(err, f.Close(), s.opts.fs.Remove(name), j.syncDir())
	return at, ok && err == nil, err
}
