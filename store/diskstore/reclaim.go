package diskstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"
)

const (
	reclaimRate = 16 << 20 // bytes of content that are moved in a second
	moveBatch   = 1 << 20  // bytes that are moved between two waits
)

// reclaim gives back the space of the segments before the last checkpoint that hold
// mostly what nothing refers to: what is alive in them moves to the end of the log.
func (s *Store) reclaim() error {
	s.keeper.reclaiming.Lock()
	defer s.keeper.reclaiming.Unlock()
	s.keeper.mu.Lock()
	before := s.keeper.last.segment
	s.keeper.mu.Unlock()
	for _, id := range s.journal.wasteful(before) {
		select {
		case <-s.stop:
			return fs.ErrClosed
		default:
		}
		if s.failed.Load() != nil || !s.roomToMove(id) {
			return nil
		}
		if err := s.reclaimSegment(id); err != nil {
			return fmt.Errorf("segment %d: %w", id, err)
		}
	}
	return nil
}

// wasteful returns the segments before a number that are to be reclaimed, first
// those that have the least to move.
func (j *journal) wasteful(before uint32) []uint32 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var ids []uint32
	for id, seg := range j.segments {
		if id < before && seg != j.active && !seg.stuck && j.holds == 0 && seg.live < seg.used/2 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return int(j.segments[a].live - j.segments[b].live) })
	return ids
}

// roomToMove reports whether the disk has room for what is alive in a segment. Half
// of what is reserved is for that, since it gives back more than it takes.
func (s *Store) roomToMove(id uint32) bool {
	s.journal.mu.Lock()
	live := max(s.journal.segments[id].live, 0)
	s.journal.mu.Unlock()
	if live == 0 || s.opts.Reserve < 0 {
		return true
	}
	free, err := s.disk.free(s.dir)
	return err != nil || free >= uint64(s.opts.Reserve/2+live)
}

// reclaimSegment moves what is alive in a segment, and removes the segment. It does
// not rely on the count of what is alive.
func (s *Store) reclaimSegment(id uint32) error {
	j := s.journal
	seg, err := j.acquire(id)
	if err != nil {
		j.setStuck(id)
		return err
	}
	defer j.release(seg)
	m := &mover{s: s, seg: seg, began: time.Now()}
	defer m.close()
	if err := m.run(); err != nil {
		j.setStuck(id)
		return err
	}
	if err := m.settle(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.holds == 0 {
		delete(j.segments, id)
		j.remove(seg)
		s.log.Debug("segment of the log reclaimed", slog.Int("segment", int(id)), slog.Int64("moved", m.moved))
	}
	return nil
}

func (j *journal) setStuck(id uint32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seg := j.segments[id]; seg != nil {
		seg.stuck = true
	}
}

// mover moves the contents of a segment.
type mover struct {
	s       *Store
	seg     *segment
	began   time.Time
	moved   int64
	pending int64
	changes []*change
}

func (m *mover) run() error {
	j := m.s.journal
	j.mu.Lock()
	used := m.seg.used
	j.mu.Unlock()
	w, err := newWindow(m.seg.r)
	if err != nil {
		return err
	}
	salt, ok, err := w.start(m.seg.id)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("its start cannot be read: %w", errCorrupt)
	}
	for off := int64(headerSize); off < used; {
		b, err := w.at(off, headerSize)
		if err != nil {
			return err
		}
		if !isHeader(b, salt) {
			return fmt.Errorf("the record at %d cannot be read: %w", off, errCorrupt)
		}
		h := parseHeader(b)
		if h.content > 0 {
			if err := m.move(h.id, location{m.seg.id, uint32(off), h.content}); err != nil {
				return err
			}
		}
		if m.pending >= moveBatch {
			if err := m.settle(); err != nil {
				return err
			}
			if err := m.pace(); err != nil {
				return err
			}
		}
		off += h.size()
	}
	return nil
}

// move moves a content, if it is still there. It holds the lock that those hold who
// count the references to it.
func (m *mover) move(id blobID, from location) error {
	s := m.s
	defer s.refs.lock(s.refs.blob(id))()
	at, err := s.location(id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && at != from {
		return nil
	}
	if err != nil {
		return err
	}
	buf := s.space.buffers.get(headerSize + int(from.length))
	defer s.space.buffers.put(buf)
	ok, err := s.journal.read(from, id, *buf)
	if err == nil && !ok {
		err = errCorrupt
	}
	if err != nil {
		return fmt.Errorf("content %s: %w", id, err)
	}
	c := s.begin()
	c.append(id, (*buf)[headerSize:])
	c.freed = append(c.freed, freed{from.segment, footprint(from.length)})
	if err := c.write(); err != nil {
		c.close()
		return err
	}
	m.changes = append(m.changes, c)
	m.pending += int64(from.length)
	return nil
}

// settle waits until what was moved is on the disk.
func (m *mover) settle() error {
	m.moved += m.pending
	m.pending = 0
	for _, c := range m.changes {
		if err := c.settle(); err != nil {
			return err
		}
		c.close()
	}
	m.changes = m.changes[:0]
	if m.s.opts.NoSync {
		return m.s.flush()
	}
	return nil
}

func (m *mover) close() {
	for _, c := range m.changes {
		c.close()
	}
}

// pace waits until as much may have been moved as was.
func (m *mover) pace() error {
	if m.s.journal.much(m.s.opts.checkpointSize) {
		if err := m.s.checkpoint(); err != nil {
			return err
		}
	}
	due := time.Duration(float64(m.moved) / reclaimRate * float64(time.Second))
	t := time.NewTimer(due - time.Since(m.began))
	defer t.Stop()
	select {
	case <-m.s.stop:
		return fs.ErrClosed
	case <-t.C:
		return nil
	}
}
