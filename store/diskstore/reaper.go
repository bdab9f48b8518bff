package diskstore

import "sync"

// reaper removes files for writes that did not wait for the disk: not before
// the rows that do without them are there, or a crash would lose both.
type reaper struct {
	mu   sync.Mutex
	dead []blobID
	busy bool
}

func (r *reaper) add(s *Store, dead []blobID) {
	if len(dead) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = append(r.dead, dead...)
	if !r.busy {
		r.busy = true
		s.running.Go(func() { r.run(s) })
	}
}

// take returns what is to be removed next. Without that it ends the run.
func (r *reaper) take() []blobID {
	r.mu.Lock()
	defer r.mu.Unlock()
	dead := r.dead
	r.dead = nil
	r.busy = len(dead) > 0
	return dead
}

func (r *reaper) run(s *Store) {
	for dead := r.take(); len(dead) > 0; dead = r.take() {
		if err := s.flush(); err != nil {
			// The next sweep finds them.
			s.swept.Store(false)
			s.pins.drop(s, dead...)
			return
		}
		s.pins.remove(s, dead...)
	}
}

// flush waits until all that was written is on the disk.
func (s *Store) flush() error {
	if err := s.journal.flush(); err != nil {
		return s.fail(err)
	}
	return nil
}
