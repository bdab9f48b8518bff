package identity

import (
	"testing"
	"time"
)

func TestGuestSessionsEndWithTheGuest(t *testing.T) {
	h := newHome(t)
	p2, db2, err := h.another()
	if err != nil {
		t.Fatal(err)
	}
	defer db2.Close()
	defer p2.Close()

	linked, retired, stays := h.id(nil), h.id(nil), h.id(nil)
	ended := map[string]*Credentials{"linked": h.credentials(linked, nil), "retired": h.credentials(retired, nil)}
	guest := h.credentials(stays, nil)
	for _, c := range ended {
		h.open(c)
		if _, _, err := p2.Open(t.Context(), c.AccessKeyID, c.SessionToken.Reveal()); err != nil {
			t.Fatal(err)
		}
	}
	user := h.credentials(linked, h.login("ann"))
	other := h.credentials(retired, h.login("ann"))
	if user.IdentityID != linked || other.IdentityID != linked {
		t.Fatalf("ann is %s and %s, want %s", user.IdentityID, other.IdentityID, linked)
	}
	check := func(when string, p *Pool) {
		t.Helper()
		for what, c := range ended {
			_, _, err := p.Open(t.Context(), c.AccessKeyID, c.SessionToken.Reveal())
			refuses(t, what+" guest "+when, err, CodeExpiredToken)
		}
		for what, c := range map[string]*Credentials{"a user": user, "a merged user": other, "another guest": guest} {
			if _, _, err := p.Open(t.Context(), c.AccessKeyID, c.SessionToken.Reveal()); err != nil {
				t.Errorf("%s %s: %v", what, when, err)
			}
		}
	}
	check("at once", h.Pool)
	h.clock.add(refreshEvery)
	check("on another server", p2)
	h.restart()
	check("after a restart", h.Pool)
}

func TestEndedGuestsAreForgotten(t *testing.T) {
	h := newHome(t)
	h.cfg.Lifetime = lifetimeMax
	h.restart()
	guest := h.id(nil)
	c := h.credentials(guest, nil)
	h.credentials(guest, h.login("ann"))
	h.clock.add(lifetimeMax - time.Second)
	h.restart()
	h.openRefused("guest while its session would last", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
	if n := len(h.epochs); n != 1 {
		t.Errorf("%d guests are remembered, want one", n)
	}
	h.clock.add(2 * time.Hour)
	h.restart()
	if n := len(h.epochs); n != 0 {
		t.Errorf("%d guests are remembered, want none", n)
	}
	h.openRefused("guest whose session is over", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
}

func TestNoProviderIsThatOfGuests(t *testing.T) {
	c := Config{PoolID: testPool, Region: "eu-1", Providers: []ProviderConfig{{ID: guestProvider, Provider: new(users)}}}
	if err := c.check(); err == nil {
		t.Error("a provider may be that of guests")
	}
}
