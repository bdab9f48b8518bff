package diskstore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// openLog reads what was written to the log after the last checkpoint, and makes
// it ready to be written.
func (s *Store) openLog() error {
	j := s.journal
	var at position
	var counts []segmentCount
	err := s.view(logKey, func(row []byte) (err error) {
		at, counts, err = decodeCheckpoint(row)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	ids, err := j.list()
	if err != nil {
		return err
	}
	end, closed, err := s.readEnd()
	if err != nil {
		return err
	}
	r := &replay{s: s, at: at, ids: ids, known: make(map[uint32]bool)}
	for _, c := range counts {
		j.segments[c.id] = &segment{id: c.id, used: c.used, live: c.live}
	}
	for _, id := range ids {
		if j.segments[id] == nil {
			j.segments[id] = &segment{id: id}
		}
		r.known[id] = true
	}
	if err := r.run(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return s.resume(r, closed && end == r.at)
}

// list returns the numbers of the segments that have a file, in order.
func (j *journal) list() ([]uint32, error) {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, name := range names {
		if id, ok := parseSegmentName(name); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// resume has the log go on where the replay ended, if it was closed there. Otherwise
// there may be parts of records behind, so it goes on in another segment.
func (s *Store) resume(r *replay, closed bool) error {
	j := s.journal
	j.run.Lock() // the index may be making tables already
	defer j.run.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq, j.last, j.synced = r.at.seq, r.at.seq, r.at.seq
	last := r.at.segment
	for id, seg := range maps.All(j.segments) {
		last = max(last, id)
		switch {
		case r.known[id] && id > r.at.segment, r.known[id] && id < r.at.segment && seg.used == 0:
			// What is in it was not answered, or is dead.
			delete(j.segments, id)
			if err := j.fs.Remove(j.path(id)); err != nil {
				return err
			}
		case !r.known[id] && seg.live <= 0:
			delete(j.segments, id)
		}
	}
	j.active, j.sealed = j.segments[r.at.segment], !closed
	if j.active == nil || last > r.at.segment {
		j.active, j.sealed = &segment{id: last}, true
	}
	if !j.sealed {
		f, err := j.fs.Open(j.path(j.active.id))
		if err != nil {
			return err
		}
		w, err := newWindow(f)
		if err == nil {
			j.active.alloc = w.size
			var b []byte
			b, err = w.at(0, headerSize)
			var ok bool
			if j.active.salt, ok = parseSegmentHeader(b, j.active.id); !ok {
				j.sealed = true
			}
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	j.written.Store(pack(j.active.id, j.active.used))
	s.keeper.last = r.from
	return nil
}

// replay applies the rows of the records after a checkpoint.
type replay struct {
	s     *Store
	ids   []uint32 // of the segments
	known map[uint32]bool
	from  position
	at    position // after the last record

	synced uint32 // segment that is on the disk
}

func (r *replay) run() error {
	r.from = r.at
	if r.at.segment != 0 && !r.known[r.at.segment] && r.at.offset > 0 {
		return fmt.Errorf("segment %d is missing: %w", r.at.segment, errCorrupt)
	}
	more := true
	for more {
		var err error
		if r.known[r.at.segment] {
			if err = r.segment(); err != nil {
				return err
			}
		}
		if more, err = r.forward(); err != nil {
			return err
		}
	}
	return r.lookBehind()
}

// open calls f with a segment, unless it has no proper start.
func (r *replay) open(id uint32, f func(w *window, salt uint64) error) (err error) {
	file, err := r.s.opts.fs.Open(r.s.journal.path(id))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w, err := newWindow(file)
	if err != nil {
		return err
	}
	salt, ok, err := w.start(id)
	if err != nil || !ok {
		return err
	}
	return f(w, salt)
}

// segment applies the records of the segment, from where the replay is.
func (r *replay) segment() error {
	j := r.s.journal
	seg := j.segments[r.at.segment]
	opened, was := false, r.at.offset
	err := r.open(seg.id, func(w *window, salt uint64) error {
		opened = true
		r.at.offset = max(r.at.offset, headerSize)
		seg.used = r.at.offset
		for {
			h, record, ok, err := w.record(r.at.offset, salt)
			if err != nil || !ok || h.seq != r.at.seq+1 {
				return err
			}
			if r.synced != r.at.segment {
				if err := r.sync(); err != nil {
					return err
				}
			}
			if err := r.apply(h, record); err != nil {
				return err
			}
			r.at.offset += h.size()
			r.at.seq++
			seg.used = r.at.offset
			j.size64.Add(h.size())
			j.rows64.Add(int64(h.rows))
		}
	})
	if err == nil && !opened && was > 0 {
		err = fmt.Errorf("the start of segment %d cannot be read: %w", seg.id, errCorrupt)
	}
	return err
}

func (r *replay) apply(h header, record []byte) error {
	j := r.s.journal
	_, rows, list, _ := h.parts(record)
	dead, ok := parseFreed(list)
	if !ok {
		return fmt.Errorf("record %d: %w", h.seq, errCorrupt)
	}
	if h.content > 0 {
		j.segments[r.at.segment].live += footprint(h.content)
	}
	j.free(dead)
	b := r.s.db.NewBatch()
	defer b.Close()
	if err := b.SetRepr(append([]byte(nil), rows...)); err != nil {
		return fmt.Errorf("record %d: %w", h.seq, errors.Join(errCorrupt, err))
	}
	return r.s.guard(func() error { return r.s.db.Apply(b, pebble.NoSync) })
}

// forward goes to the segment that goes on with the next record, if there is one.
func (r *replay) forward() (more bool, err error) {
	for _, id := range r.ids {
		if id <= r.at.segment {
			continue
		}
		err := r.open(id, func(w *window, salt uint64) error {
			h, _, ok, err := w.record(headerSize, salt)
			more = ok && h.seq == r.at.seq+1
			return err
		})
		if err != nil {
			return false, err
		}
		if more {
			r.at.segment, r.at.offset = id, headerSize
			return true, nil
		}
	}
	return false, nil
}

// lookBehind looks for records after the end. Parts of what was being written when
// there was a crash may be there; a record that was written when the next one was
// on the disk already says that this one was, and is damaged.
func (r *replay) lookBehind() error {
	for _, id := range r.ids {
		if id < r.at.segment {
			continue
		}
		off := int64(headerSize)
		if id == r.at.segment {
			off = max(r.at.offset, headerSize)
		}
		err := r.open(id, func(w *window, salt uint64) error {
			for ; off+headerSize <= w.size; off += 8 {
				b, err := w.at(off, headerSize)
				if err != nil {
					return err
				}
				if isHeader(b, salt) && parseHeader(b).synced > r.at.seq {
					return fmt.Errorf("record %d in segment %d at %d, or after it, is damaged: %w", r.at.seq+1, r.at.segment, r.at.offset, errCorrupt)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sync makes sure that what is replayed of a segment is on the disk before the index
// has any of it there: it may have been written only, and the crash one of the process.
func (r *replay) sync() error {
	j := r.s.journal
	f, err := j.fs.OpenReadWrite(j.path(r.at.segment), "cubby-log")
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	r.synced = r.at.segment
	return j.syncDir()
}
