package userpool

import (
	"context"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

const (
	freeAttempts = 5 // failures before the first wait
	longestWait  = 15 * time.Minute
	forgetAfter  = time.Hour // since the last failure
	maxFailures  = 20_000    // names of which failures are kept
	maxWaiting   = 50        // attempts under one name at a time
)

// attempts lets attempts under one name go one by one, so that a hundred
// guesses at the same time do not all pass before the first one has failed.
// The zero value is ready.
type attempts struct {
	mu    sync.Mutex
	names map[string]*attempt
}

type attempt struct {
	turn  chan struct{}
	users int
}

// enter waits for the turn of an attempt under a name. The caller calls leave
// when the attempt is over.
func (a *attempts) enter(ctx context.Context, who string) (leave func(), err error) {
	a.mu.Lock()
	if a.names == nil {
		a.names = make(map[string]*attempt)
	}
	n := a.names[who]
	if n == nil {
		n = &attempt{turn: make(chan struct{}, 1)}
		a.names[who] = n
	}
	if n.users >= maxWaiting {
		a.mu.Unlock()
		return nil, errAttempts()
	}
	n.users++
	a.mu.Unlock()

	out := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if n.users--; n.users == 0 {
			delete(a.names, who)
		}
	}
	select {
	case n.turn <- struct{}{}:
		return func() { <-n.turn; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}

// failed returns f with one more failure.
func failed(f state.Failures, now time.Time) state.Failures {
	if now.Sub(f.Last) > forgetAfter {
		f = state.Failures{}
	}
	f.Count++
	f.Last = now
	f.Until = now.Add(wait(f.Count))
	return f
}

// wait returns how long no attempt is looked at after so many failures.
func wait(failures int) time.Duration {
	if failures < freeAttempts {
		return 0
	}
	// Beyond ten doublings the longest wait is reached; a shift by more could
	// overflow.
	return min(time.Second<<min(failures-freeAttempts, 10), longestWait)
}

func errAttempts() error {
	return fail(NotAuthorized, "Password attempts exceeded", nil)
}
