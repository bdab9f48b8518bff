package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

func TestTokensAreBoundToTheirKey(t *testing.T) {
	h := newHome(t)
	ann := h.credentials(h.id(h.login("ann")), h.login("ann"))
	bob := h.credentials(h.id(h.login("bob")), h.login("bob"))
	if ann.SecretKey.Reveal() == bob.SecretKey.Reveal() || len(ann.AccessKeyID) != 20 {
		t.Errorf("keys are %s and %s", ann.AccessKeyID, bob.AccessKeyID)
	}
	for range 2 { // before and after the good pairs are in the cache
		h.openRefused("bob's token with ann's key", ann.AccessKeyID, bob.SessionToken.Reveal(), CodeInvalidToken)
		h.openRefused("ann's token with bob's key", bob.AccessKeyID, ann.SessionToken.Reveal(), CodeInvalidToken)
		h.openRefused("a key without its token", ann.AccessKeyID, "", CodeInvalidAccessKeyID)
		h.openRefused("a token without its key", "", ann.SessionToken.Reveal(), CodeInvalidToken)
		h.openRefused("a token and more", ann.AccessKeyID, ann.SessionToken.Reveal()+"A", CodeInvalidToken)
		h.openRefused("a token with a line end", ann.AccessKeyID, ann.SessionToken.Reveal()+"\n", CodeInvalidToken)
		h.openRefused("no token", ann.AccessKeyID, "x", CodeInvalidToken)
		h.openRefused("a long token", ann.AccessKeyID, strings.Repeat("A", 2049), CodeInvalidToken)
		if who := h.open(ann); who.Subject.Sub != "ann" || who.AccessKeyID != ann.AccessKeyID {
			t.Errorf("ann is %+v", who)
		}
		h.open(bob)
	}
}

func TestTokensOfAnotherServer(t *testing.T) {
	h, other := newHome(t), newHome(t)
	c := h.credentials(h.id(nil), nil)
	other.openRefused("token of another server", c.AccessKeyID, c.SessionToken.Reveal(), CodeInvalidToken)

	h.cfg.PoolID = NewID("eu-1")
	h.restart()
	h.openRefused("token of another pool", c.AccessKeyID, c.SessionToken.Reveal(), CodeInvalidToken)
}

func TestSessionsExpire(t *testing.T) {
	h := newHome(t)
	c := h.credentials(h.id(nil), nil)
	if want := h.clock.Now().Add(time.Hour); !c.Expires.Equal(want) {
		t.Errorf("expires at %v, want %v", c.Expires, want)
	}
	h.clock.add(time.Hour - time.Second)
	if who := h.open(c); !who.Expires.Equal(c.Expires) {
		t.Errorf("principal expires at %v, want %v", who.Expires, c.Expires)
	}
	h.clock.add(time.Second)
	h.openRefused("after an hour", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
	h.restart()
	h.openRefused("after an hour and a restart", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
}

func TestSessionsOutliveARestart(t *testing.T) {
	h := newHome(t)
	c := h.credentials(h.id(h.login("ann")), h.login("ann", "staff"))
	h.restart()
	equal(t, "groups", h.open(c).Subject.Groups, []string{"staff"})

	h.cfg.Providers = h.cfg.Providers[1:]
	h.cfg.Primary = ""
	h.restart()
	h.openRefused("session of a provider that is gone", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
}

func TestRevoke(t *testing.T) {
	h := newHome(t)
	ctx := t.Context()
	token := h.login("ann")
	ann := h.id(token)
	c, bob := h.credentials(ann, token), h.credentials(h.id(h.login("bob")), h.login("bob"))
	h.open(c)
	h.clock.add(time.Minute)
	if err := h.Revoke(ctx, usersPool, "ann"); err != nil {
		t.Fatal(err)
	}
	h.openRefused("revoked session", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
	h.credentialsRefused("token of before", ann, token, CodeNotAuthorized)
	_, err := h.GetID(ctx, testPool, token, "")
	refuses(t, "GetID with a token of before", err, CodeNotAuthorized)
	h.open(bob)
	h.restart()
	h.openRefused("revoked session after a restart", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
	h.credentialsRefused("token of before, after a restart", ann, token, CodeNotAuthorized)

	later := h.login("ann") // she signs in again, in the same second
	c = h.credentials(ann, later)
	h.open(c)
	if err := h.EndSessions(ctx, usersPool, "ann"); err != nil {
		t.Fatal(err)
	}
	h.openRefused("ended session", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
	h.open(h.credentials(ann, later))
}

func TestRevokeInAnotherProcess(t *testing.T) {
	h := newHome(t)
	p2, db2, err := h.another()
	if err != nil {
		t.Fatal(err)
	}
	defer db2.Close()
	defer p2.Close()
	c := h.credentials(h.id(h.login("ann")), h.login("ann"))
	h.open(c)
	if err := p2.Revoke(t.Context(), usersPool, "ann"); err != nil {
		t.Fatal(err)
	}
	h.clock.add(refreshEvery)
	h.openRefused("session that another process revoked", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
}

func TestRevocationsAreForgottenWhenTheyMeanNothing(t *testing.T) {
	h := newHome(t)
	if err := h.Revoke(t.Context(), usersPool, "ann"); err != nil {
		t.Fatal(err)
	}
	h.clock.add(lifetimeMax + 2*time.Hour)
	c := h.credentials(h.id(h.login("ann")), h.login("ann"))
	h.open(c)
	if n := len(h.epochs); n != 0 {
		t.Errorf("%d revocations are remembered, want none", n)
	}
	if err := h.Revoke(t.Context(), usersPool, "ann"); err != nil {
		t.Fatal(err)
	}
	h.openRefused("revoked for the second time", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
}

func TestStateThatFailsIsTrustedForAWhile(t *testing.T) {
	h := newHome(t)
	c := h.credentials(h.id(nil), nil)
	if err := h.watch.Close(); err != nil {
		t.Fatal(err)
	}
	h.clock.add(refreshMax - time.Second)
	h.open(c)
	h.clock.add(time.Second)
	h.openRefused("when revocations are not known", c.AccessKeyID, c.SessionToken.Reveal(), CodeUnavailable)
	h.watch = nil // it is closed
}

func TestGroupsThatDoNotFitAreLookedUp(t *testing.T) {
	h := newHome(t)
	now := []string{"one", "two"}
	var fault error
	lookups := 0
	h.cfg.Providers[0].Groups = func(_ context.Context, subject string) ([]string, error) {
		lookups++
		if subject != "ann" {
			t.Errorf("groups of %q were asked for", subject)
		}
		return now, fault
	}
	h.restart()
	ann := h.id(h.login("ann"))
	few := h.credentials(ann, h.login("ann", "a", "b"))
	equal(t, "few groups", h.open(few).Subject.Groups, []string{"a", "b"})
	if lookups != 0 {
		t.Errorf("%d look-ups of groups that fit", lookups)
	}

	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("a-group-with-a-long-name-%d", i))
	}
	many := h.credentials(ann, h.login("ann", names...))
	if n := len(many.SessionToken.Reveal()); n > tokenSizeMax {
		t.Errorf("token of %d bytes", n)
	}
	equal(t, "many groups", h.open(many).Subject.Groups, now)
	asked := lookups
	equal(t, "many groups again", h.open(many).Subject.Groups, now)
	if lookups != asked {
		t.Error("groups were looked up again, though nothing has changed")
	}
	now = []string{"two"}
	h.change()
	equal(t, "after a change", h.open(many).Subject.Groups, now)
	fault = errors.New("disk on fire")
	h.change()
	h.openRefused("look-up that fails", many.AccessKeyID, many.SessionToken.Reveal(), CodeUnavailable)
	fault = fs.ErrNotExist
	h.change()
	h.openRefused("user that is gone", many.AccessKeyID, many.SessionToken.Reveal(), CodeExpiredToken)

	fault = nil
	h.cfg.Providers[0].LiveGroups = true
	h.restart()
	live := h.credentials(ann, h.login("ann", "a", "b"))
	equal(t, "live groups", h.open(live).Subject.Groups, now)
	now = nil
	h.change()
	equal(t, "live groups after a change", h.open(live).Subject.Groups, nil)

	// Who cannot be asked has to fit.
	guest := NewID("eu-1")
	_, err := h.Credentials(t.Context(), guest, map[string]string{otherName: h.token("x", names...)})
	refuses(t, "many groups of an outside issuer", err, CodeNotAuthorized)

	equal(t, "groups of two logins", h.open(h.credentials(ann, both(h.login("ann"), map[string]string{
		otherName: h.token("a1", "o1"),
	}))).Subject.Groups, []string{"o1"})
}

// change tells the pool that the state is not the one it knows.
func (h *home) change() {
	h.t.Helper()
	err := h.db.Update(h.t.Context(), func(tx *state.Tx) error {
		return tx.SetSetting(h.t.Context(), "change", []byte(NewID("x")))
	})
	if err == nil {
		err = h.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// Groups that were read before a change and arrive after it are not kept.
func TestGroupsThatArriveLateAreNotKept(t *testing.T) {
	h := newHome(t)
	now := []string{"before"}
	late := true
	h.cfg.Providers[0].LiveGroups = true
	h.cfg.Providers[0].Groups = func(context.Context, string) ([]string, error) {
		read := now
		if late {
			late, now = false, []string{"after"}
			h.change()
		}
		return read, nil
	}
	h.restart()
	c := h.credentials(h.id(h.login("ann")), h.login("ann"))
	equal(t, "groups while they change", h.open(c).Subject.Groups, []string{"before"})
	for range 2 {
		equal(t, "groups after they changed", h.open(c).Subject.Groups, []string{"after"})
	}

	// The settings change, and nobody can be asked any more.
	h.cfg.Providers[0].LiveGroups, h.cfg.Providers[0].Groups = false, nil
	h.restart()
	h.openRefused("session whose groups cannot be asked for", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
}

func TestTokenSize(t *testing.T) {
	h := newHome(t)
	c := h.credentials(h.id(nil), nil)
	t.Logf("token of a guest: %d bytes", len(c.SessionToken.Reveal()))
	c = h.credentials(h.id(h.login("ann")), h.login("ann", "admin", "staff"))
	t.Logf("token of a user: %d bytes", len(c.SessionToken.Reveal()))
	if len(c.SessionToken.Reveal()) > 512 {
		t.Errorf("a plain token has %d bytes", len(c.SessionToken.Reveal()))
	}
}

// sample is a session with something in every field.
func sample() *session {
	return &session{
		identity: "eu-1:x", authenticated: true, issued: 1, expires: 1 << 40, sub: "s", username: "ü",
		claims: map[string]string{"a": "1", "b": ""},
		logins: []sessionLogin{{provider: "p", subject: "s", epoch: 300, lookup: true}, {groups: []string{"g", ""}}},
	}
}

func TestSessionEncoding(t *testing.T) {
	for _, want := range []*session{new(session), sample()} {
		b := want.encode()
		got, err := decodeSession(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		for i := range b {
			if _, err := decodeSession(b[:i]); err == nil {
				t.Errorf("%d of %d bytes were taken for a session", i, len(b))
			}
		}
		if _, err := decodeSession(append(b, 0)); err == nil {
			t.Error("a session and a byte were taken for a session")
		}
	}
}

func FuzzDecodeSession(f *testing.F) {
	f.Add(new(session).encode())
	f.Add(sample().encode())
	f.Add([]byte{1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSession(b)
		if err != nil {
			return
		}
		again, err := decodeSession(s.encode())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%q is %+v, and then %+v, %v", b, s, again, err)
		}
	})
}

// FuzzOpen changes a good pair of access key id and token in any way: nothing
// opens but the pair itself.
func FuzzOpen(f *testing.F) {
	h := newHome(f)
	one := h.credentials(NewID("eu-1"), nil)
	two := h.credentials(h.id(h.login("ann")), h.login("ann", "staff"))
	key, _, err := h.AddOperatorKey(f.Context(), "")
	if err != nil {
		f.Fatal(err)
	}
	good := map[[2]string]string{
		{one.AccessKeyID, one.SessionToken.Reveal()}: one.SecretKey.Reveal(),
		{two.AccessKeyID, two.SessionToken.Reveal()}: two.SecretKey.Reveal(),
	}
	for i, c := range []*Credentials{one, two} {
		other := []*Credentials{two, one}[i]
		f.Add(c.AccessKeyID, c.SessionToken.Reveal(), 0, byte(0))
		f.Add(c.AccessKeyID, other.SessionToken.Reveal(), 0, byte(0))
		f.Add(key, c.SessionToken.Reveal(), 0, byte(0))
		f.Add(c.AccessKeyID, "", 0, byte(0))
		for i := range 40 {
			f.Add(c.AccessKeyID, c.SessionToken.Reveal(), i*7, byte(1)<<(i%8))
		}
	}
	f.Fuzz(func(t *testing.T, accessKeyID, token string, at int, flip byte) {
		if accessKeyID == key && token == "" {
			return
		}
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil && len(b) > 0 && flip != 0 {
			b = slices.Clone(b)
			b[(at%len(b)+len(b))%len(b)] ^= flip
			token = base64.RawURLEncoding.EncodeToString(b)
		}
		want, ok := good[[2]string{accessKeyID, token}]
		secret, who, err := h.Open(t.Context(), accessKeyID, token)
		if ok != (err == nil) || ok != (who != nil) || ok && secret.Reveal() != want || !ok && secret.Reveal() != "" {
			t.Errorf("key %q, token %q: %+v, %v; want opened: %t", accessKeyID, token, who, err, ok)
		}
	})
}

// TestOpenTakesLittleMemory for a session that was opened before.
func TestOpenTakesLittleMemory(t *testing.T) {
	h := newHome(t)
	c := h.credentials(h.id(h.login("ann")), h.login("ann", "admin", "staff"))
	token := c.SessionToken.Reveal()
	if n := testing.AllocsPerRun(200, func() {
		if _, _, err := h.Open(t.Context(), c.AccessKeyID, token); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("a session takes %v pieces of memory", n)
	}
}

func BenchmarkOpen(b *testing.B) {
	h := newHome(b)
	h.cfg.Now = time.Now
	h.clock.now = time.Now()
	h.restart()
	c := h.credentials(h.id(h.login("ann")), h.login("ann", "admin", "staff"))
	token := c.SessionToken.Reveal()
	run := func(name string, before func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				before()
				if _, _, err := h.Open(b.Context(), c.AccessKeyID, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("again", func() {})
	run("first", func() { clear(h.opened.young); clear(h.opened.old) })
}

func BenchmarkCredentials(b *testing.B) {
	h := newHome(b)
	logins := h.login("ann", "admin")
	id := h.id(logins)
	for b.Loop() {
		if _, err := h.Credentials(b.Context(), id, logins); err != nil {
			b.Fatal(err)
		}
	}
}
