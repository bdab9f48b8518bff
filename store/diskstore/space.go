package diskstore

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// spaceAge is how long a look at the free space of the disk is good for.
const spaceAge = 50 * time.Millisecond

// space watches the free space of the disk, and has the buffers.
type space struct {
	buffers buffers

	mu   sync.Mutex
	seen time.Time
	free uint64
	err  error
}

// check fails with ErrNoSpace if n more bytes would take what is reserved. It
// keeps the index from meeting a full disk, after which it could only be opened
// again. What frees space does not ask.
func (p *space) check(s *Store, n int64) error {
	if s.opts.Reserve < 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.seen.IsZero() || now.Sub(p.seen) > spaceAge {
		p.free, p.err = s.disk.free(s.dir)
		p.seen = now
	}
	// Not every file system can tell; those that cannot say so when they are full.
	if p.err == nil && p.free < uint64(s.opts.Reserve+max(n, 0)) {
		s.keeper.wake()
		return fmt.Errorf("%d bytes are free, %d are reserved: %w", p.free, s.opts.Reserve, store.ErrNoSpace)
	}
	return nil
}

// diskError makes ErrNoSpace of what the system says for a full disk.
func diskError(err error) error {
	if err != nil && isFull(err) && !errors.Is(err, store.ErrNoSpace) {
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	}
	return err
}
