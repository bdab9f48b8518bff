package cubby

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTwoProgramsShareTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, saved := newPools(), new(kept)
		share := func(cfg *Config) { cfg.Sessions = saved }
		a, b := p.client(t, share), p.client(t, share)
		signIn(t, a)
		describe(t, b)
		time.Sleep(2 * time.Hour)
		p.took()
		describe(t, a)
		describe(t, b)
		if got, want := p.took(), "GetTokensFromRefreshToken GetCredentialsForIdentity:id1 GetCredentialsForIdentity:id1"; got != want {
			t.Errorf("calls are %q, want %q", got, want)
		}
	})
}

// hooked is a store in which something happens once right after Load has looked.
type hooked struct {
	*kept
	then func()
}

// Load implements SessionStore.
func (h *hooked) Load(ctx context.Context) (*SavedSession, error) {
	s, err := h.kept.Load(ctx)
	if then := h.then; then != nil {
		h.then = nil
		then()
	}
	return s, err
}

// TestTwoProgramsRefreshAtOnce has one program use up the refresh token that the
// other is about to show.
func TestTwoProgramsRefreshAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, saved := newPools(), new(kept)
		slow := &hooked{kept: saved}
		a := p.client(t, func(cfg *Config) { cfg.Sessions = slow })
		b := p.client(t, func(cfg *Config) { cfg.Sessions = saved })
		signIn(t, a)
		describe(t, b)
		time.Sleep(2 * time.Hour)
		slow.then = func() { describe(t, b) }
		if s := describe(t, a); s.Username != "alice" {
			t.Errorf("session is %+v", s)
		}
		time.Sleep(2 * time.Hour)
		describe(t, a)
		describe(t, b)
	})
}

func (k *kept) last() SavedSession { return k.saved[len(k.saved)-1] }

// TestOtherSessionIsLeftAlone has somebody else sign in, or the user sign out, in
// the store of a program that runs on.
func TestOtherSessionIsLeftAlone(t *testing.T) {
	for name, other := range map[string]SavedSession{
		"other user": {IdentityID: "x", Username: "bob", IDToken: "b", RefreshToken: "b1"},
		"signed out": {},
		"guest":      {IdentityID: "y"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, saved := newPools(), new(kept)
				c := p.client(t, func(cfg *Config) { cfg.Sessions = saved })
				signIn(t, c)
				saved.saved = []SavedSession{other}
				// It stays alice, by tokens that nobody else knows.
				for range 3 {
					time.Sleep(2 * time.Hour)
					if s := describe(t, c); s.Username != "alice" || s.IdentityID != "id1" {
						t.Errorf("session is %+v", s)
					}
				}
				p.refresh = map[string]bool{}
				time.Sleep(2 * time.Hour)
				if _, err := c.Session(t.Context()); !errors.Is(err, ErrSessionEnded) {
					t.Errorf("error is %v, want ErrSessionEnded", err)
				}
				if len(saved.saved) != 1 || saved.last() != other {
					t.Errorf("in the store is %+v, want %+v", saved.last(), other)
				}
				// Who signs in is asked for, and so is saved.
				signIn(t, c)
				if got := saved.last(); got.Username != "alice" {
					t.Errorf("after signing in, in the store is %+v", got)
				}
				time.Sleep(2 * time.Hour)
				before := saved.last()
				describe(t, c)
				if got := saved.last(); got == before {
					t.Error("tokens of the session that is ours again were not saved")
				}
				saved.saved = append(saved.saved, other)
				if err := c.SignOut(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := saved.last(); got != (SavedSession{}) {
					t.Errorf("after signing out, in the store is %+v", got)
				}
			})
		})
	}
}

func TestGuestLeavesUserAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, saved := newPools(), new(kept)
		share := func(cfg *Config) { cfg.Sessions = saved }
		guest, user := p.client(t, share), p.client(t, share)
		describe(t, guest)
		signIn(t, user)
		time.Sleep(2 * time.Hour)
		// What was the guest's is alice's by now.
		if s := describe(t, guest); s.SignedIn || s.IdentityID != "id2" {
			t.Errorf("session of the guest is %+v", s)
		}
		if got := saved.last(); got.Username != "alice" {
			t.Errorf("in the store is %+v", got)
		}
	})
}

// TestSignedInAgainElsewhere goes on with the new session of the same user.
func TestSignedInAgainElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, saved := newPools(), new(kept)
		share := func(cfg *Config) { cfg.Sessions = saved }
		a, b := p.client(t, share), p.client(t, share)
		signIn(t, a)
		p.refresh = map[string]bool{}
		time.Sleep(2 * time.Hour)
		if _, err := a.Session(t.Context()); !errors.Is(err, ErrSessionEnded) {
			t.Errorf("error is %v, want ErrSessionEnded", err)
		}
		signIn(t, b)
		if s := describe(t, a); s.Username != "alice" {
			t.Errorf("session is %+v", s)
		}
		time.Sleep(2 * time.Hour)
		describe(t, a)
		describe(t, b)
	})
}
