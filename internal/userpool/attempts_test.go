package userpool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

func TestWaitGrowsAndEnds(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 0, 4: 0, 5: time.Second, 6: 2 * time.Second, 10: 32 * time.Second, 14: 512 * time.Second,
		15: longestWait, 100: longestWait, 1 << 30: longestWait,
	} {
		if got := wait(n); got != want {
			t.Errorf("after %d failures the wait is %v, want %v", n, got, want)
		}
	}
}

func TestGuessingIsLockedOut(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	// Nobody is told which of the two exists.
	for _, name := range []string{"ann", "nobody", "no/name", "ANN"} {
		f.add(2 * time.Hour)
		for i := range freeAttempts {
			_, err := f.SignIn(t.Context(), here, name, "wrong password")
			if code(err) != NotAuthorized || err.Error() != "Incorrect username or password." {
				t.Fatalf("%s, guess %d: %v", name, i+1, err)
			}
		}
		for wait := time.Second; wait <= 4*time.Second; wait *= 2 {
			_, err := f.SignIn(t.Context(), here, name, password)
			if code(err) != NotAuthorized || err.Error() != "Password attempts exceeded" {
				t.Fatalf("%s, while locked: %v", name, err)
			}
			f.add(wait)
			if _, err := f.SignIn(t.Context(), here, name, "wrong password"); err.Error() != "Incorrect username or password." {
				t.Fatalf("%s, after %v: %v", name, wait, err)
			}
		}
	}
	f.add(8 * time.Second)
	f.signIn(t, "ann")
	for range freeAttempts - 1 { // the count began anew
		if _, err := f.SignIn(t.Context(), here, "ann", "wrong password"); err.Error() != "Incorrect username or password." {
			t.Fatal(err)
		}
	}
	f.signIn(t, "ann")
}

func TestLockOutlivesTheProcess(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	for range freeAttempts {
		f.SignIn(t.Context(), here, "ann", "wrong password")
	}
	again := f.open(t, func(*Config) {})
	if _, err := again.SignIn(t.Context(), here, "ann", password); err == nil || err.Error() != "Password attempts exceeded" {
		t.Errorf("after a restart: %v", err)
	}
	if err := again.SetPassword(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	f.signIn(t, "ann") // a new password ends the lock
}

func TestGuessesAtTheSameTimeAreCounted(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	const guesses = 20
	answers := make(chan error, guesses)
	for range guesses {
		go func() {
			_, err := f.SignIn(t.Context(), here, "ann", "wrong password")
			answers <- err
		}()
	}
	looked := 0
	for range guesses {
		if err := <-answers; err.Error() == "Incorrect username or password." {
			looked++
		}
	}
	if looked != freeAttempts {
		t.Errorf("%d guesses were looked at, want %d", looked, freeAttempts)
	}
	if len(f.attempts.names) != 0 {
		t.Errorf("%d names are left in memory", len(f.attempts.names))
	}
}

// Who hangs up before the answer has guessed all the same.
func TestHangingUpIsNoFreeGuess(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	for range freeAttempts {
		ctx, cancel := context.WithCancel(t.Context())
		hang := f.open(t, func(c *Config) { c.Sealer = hangUp{f.sealer, cancel} })
		hang.secret = f.mustSecret(t)
		hang.SignIn(ctx, here, "ann", "wrong password")
	}
	if _, err := f.SignIn(t.Context(), here, "ann", password); err == nil || err.Error() != "Password attempts exceeded" {
		t.Errorf("after guesses that hung up: %v", err)
	}
}

type hangUp struct {
	Sealer
	cancel context.CancelFunc
}

func (h hangUp) Open(sealed, ad []byte) ([]byte, error) {
	h.cancel()
	return h.Sealer.Open(sealed, ad)
}

func (f *fixture) mustSecret(t *testing.T) *secret {
	t.Helper()
	s, err := f.loadSecret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAttemptsWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		leave, err := a.enter(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		if other, err := a.enter(t.Context(), "bob"); err != nil {
			t.Error(err)
		} else {
			other()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := a.enter(ctx, "ann"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second attempt of ann: %v, want it to wait", err)
		}
		for range maxWaiting - 1 {
			go func() {
				if leave, err := a.enter(t.Context(), "ann"); err == nil {
					leave()
				}
			}()
		}
		synctest.Wait()
		if _, err := a.enter(t.Context(), "ann"); code(err) != NotAuthorized {
			t.Errorf("one attempt too many: %v", err)
		}
		leave()
		synctest.Wait()
		if len(a.names) != 0 {
			t.Errorf("%d names are left", len(a.names))
		}
	})
}

func TestFailuresAreBounded(t *testing.T) {
	f := newFixture(t)
	const limit = 32
	err := f.db.Update(t.Context(), func(tx *state.Tx) error {
		locked := state.Failures{Count: 9, Last: f.Now(), Until: f.Now().Add(time.Minute)}
		if err := tx.SetFailures(t.Context(), []byte("ann"), locked, time.Time{}, limit); err != nil {
			return err
		}
		for i := range 10 * limit {
			who := fmt.Appendf(nil, "name %d", i)
			if err := tx.SetFailures(t.Context(), who, state.Failures{Count: 1, Last: f.Now(), Until: f.Now()}, time.Time{}, limit); err != nil {
				return err
			}
		}
		// A flood of names does not unlock the one that is being guessed at.
		if got, err := tx.Failures(t.Context(), []byte("ann")); err != nil || got.Count != 9 {
			t.Errorf("ann has %+v, %v, want 9 failures", got, err)
		}
		kept := 0
		for i := range 10 * limit {
			got, err := tx.Failures(t.Context(), fmt.Appendf(nil, "name %d", i))
			if err != nil {
				return err
			}
			kept += got.Count
		}
		if kept >= limit || kept == 0 {
			t.Errorf("%d other names are kept, want some below %d", kept, limit)
		}
		// What is long past makes room of itself.
		later := f.Now().Add(2 * forgetAfter)
		if err := tx.SetFailures(t.Context(), []byte("bob"), state.Failures{Count: 1, Last: later}, later.Add(-forgetAfter), limit); err != nil {
			return err
		}
		if got, err := tx.Failures(t.Context(), []byte("ann")); err != nil || got.Count != 0 {
			t.Errorf("ann still has %+v, %v", got, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
