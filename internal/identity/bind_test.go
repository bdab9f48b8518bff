package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

func both(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func TestGuestKeepsItsIDWhenItSignsIn(t *testing.T) {
	h := newHome(t)
	guest := h.id(nil)
	if h.id(nil) == guest {
		t.Error("two guests have one id")
	}
	c := h.credentials(guest, nil)
	who := h.open(c)
	if who.Subject.Identity != guest || who.Subject.Authenticated || who.Operator || c.IdentityID != guest {
		t.Errorf("guest is %+v", who)
	}
	err := h.db.View(t.Context(), func(tx *state.Tx) error {
		_, err := tx.Identity(t.Context(), guest)
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a guest is stored: %v", err)
	}

	c = h.credentials(guest, h.login("ann", "admin", "staff"))
	who = h.open(c)
	s := who.Subject
	if c.IdentityID != guest || s.Identity != guest || !s.Authenticated || s.Sub != "ann" || s.Username != "ann-name" || s.Claims["team"] != "t-ann" {
		t.Errorf("signed in: %+v as %+v", c, s)
	}
	equal(t, "groups", s.Groups, []string{"admin", "staff"})
	if got := h.id(h.login("ann")); got != guest {
		t.Errorf("GetID of ann is %s, want %s", got, guest)
	}

	_, err = h.Credentials(t.Context(), guest, nil)
	refuses(t, "guest credentials for a user's id", err, CodeNotAuthorized)
	if want := "Access to identity '" + guest + "' is forbidden."; err.(*Error).Message != want {
		t.Errorf("message is %q, want %q", err.(*Error).Message, want)
	}
}

func TestSecondDeviceMerges(t *testing.T) {
	h := newHome(t)
	phone, desk := h.id(nil), h.id(nil)
	h.credentials(phone, h.login("ann"))
	for range 2 { // a device may repeat itself
		if c := h.credentials(desk, h.login("ann")); c.IdentityID != phone {
			t.Errorf("second device is %s, want %s", c.IdentityID, phone)
		}
	}
	h.credentialsRefused("retired guest", desk, nil, CodeNotAuthorized)
	h.credentialsRefused("new user on a retired guest", desk, h.login("eve"), CodeNotAuthorized)
	h.restart()
	h.credentialsRefused("retired guest after a restart", desk, nil, CodeNotAuthorized)
	h.credentialsRefused("user's id after a restart", phone, nil, CodeNotAuthorized)

	// Somebody else who has an identity signs in on the same device.
	bob := h.id(h.login("bob"))
	if c := h.credentials(desk, h.login("bob")); c.IdentityID != bob {
		t.Errorf("bob is %s, want %s", c.IdentityID, bob)
	}
}

func TestTakeOver(t *testing.T) {
	h := newHome(t)
	ann, bob := h.id(h.login("ann")), h.id(h.login("bob"))
	h.credentialsRefused("a new user with ann's id", ann, h.login("eve"), CodeNotAuthorized)
	h.credentialsRefused("a known user with ann's id", ann, h.login("bob"), CodeNotAuthorized)
	h.credentialsRefused("a login of another provider with ann's id", ann, h.other("eve"), CodeNotAuthorized)
	h.credentialsRefused("a guest with ann's id", ann, nil, CodeNotAuthorized)
	if _, _, err := h.OpenIDToken(t.Context(), ann, h.login("eve")); err == nil {
		t.Error("eve got an OpenID token of ann")
	}
	equal(t, "logins of ann", h.loginsOf(ann), []string{usersPool + " ann"})
	equal(t, "logins of bob", h.loginsOf(bob), []string{usersPool + " bob"})

	// A good login does not make up for a bad one.
	bad := both(h.login("bob"), map[string]string{otherName: "made up"})
	h.credentialsRefused("one bad token of two", bob, bad, CodeNotAuthorized)
	bad = both(h.login("bob"), map[string]string{"unknown.example": h.token("bob")})
	h.credentialsRefused("one unknown provider of two", bob, bad, CodeNotAuthorized)
	equal(t, "logins of bob", h.loginsOf(bob), []string{usersPool + " bob"})

	// The subject of another provider is another user.
	if id := h.id(h.other("ann")); id == ann {
		t.Error("ann of the other provider is ann of the pool")
	}
}

func TestLinkSecondLogin(t *testing.T) {
	h := newHome(t)
	ann := h.id(h.login("ann"))
	two := both(h.login("ann"), h.other("a1"))
	if id := h.id(two); id != ann {
		t.Errorf("identity is %s, want %s", id, ann)
	}
	equal(t, "logins", h.loginsOf(ann), []string{usersPool + " ann", "other a1"})
	if c := h.credentials(ann, h.other("a1")); c.IdentityID != ann {
		t.Errorf("second login leads to %s, want %s", c.IdentityID, ann)
	}
	// sub and user name are those of the primary provider alone.
	if s := h.open(h.credentials(ann, h.other("a1"))).Subject; s.Sub != "" || s.Username != "" || s.Claims != nil {
		t.Errorf("values of an outside issuer: %+v", s)
	}
	_, err := h.GetID(t.Context(), testPool, both(h.login("ann"), h.other("a2")), "")
	refuses(t, "second login of one provider", err, CodeConflict)
	_, err = h.GetID(t.Context(), testPool, map[string]string{usersName: h.token("ann"), usersPool: h.token("bob")}, "")
	refuses(t, "two users of one provider", err, CodeConflict)
	if id := h.id(map[string]string{usersName: h.token("ann"), "127.0.0.1:20005/" + usersPool: h.token("ann")}); id != ann {
		t.Errorf("one user under two names of the provider is %s, want %s", id, ann)
	}
}

func TestMergeOfTwoUsers(t *testing.T) {
	h := newHome(t)
	ann := h.id(h.login("ann"))
	h.clock.add(time.Minute)
	a1 := h.id(h.other("a1"))
	if id := h.id(both(h.login("ann"), h.other("a1"))); id != ann {
		t.Errorf("merged into %s, want the older one, %s", id, ann)
	}
	equal(t, "logins", h.loginsOf(ann), []string{usersPool + " ann", "other a1"})
	if c := h.credentials(a1, h.other("a1")); c.IdentityID != ann {
		t.Errorf("the retired id leads to %s, want %s", c.IdentityID, ann)
	}
	h.credentialsRefused("retired user as a guest", a1, nil, CodeNotAuthorized)

	// The one that the call names stays.
	bob := h.id(h.login("bob"))
	h.clock.add(time.Minute)
	b1 := h.id(h.other("b1"))
	if c := h.credentials(b1, both(h.login("bob"), h.other("b1"))); c.IdentityID != b1 {
		t.Errorf("merged into %s, want the one named, %s", c.IdentityID, b1)
	}
	if id := h.id(h.login("bob")); id != b1 || id == bob {
		t.Errorf("bob is %s, want %s", id, b1)
	}

	// Both have a user of one provider: nothing changes.
	_, err := h.GetID(t.Context(), testPool, both(h.login("ann"), h.other("b1")), "")
	refuses(t, "merge of two users of one provider", err, CodeConflict)
	equal(t, "logins", h.loginsOf(ann), []string{usersPool + " ann", "other a1"})
	equal(t, "logins", h.loginsOf(b1), []string{usersPool + " bob", "other b1"})
}

func TestSignInsAtTheSameTimeMeet(t *testing.T) {
	h := newHome(t)
	p2, db2, err := h.another()
	if err != nil {
		t.Fatal(err)
	}
	defer db2.Close()
	defer p2.Close()
	for round := range 5 {
		var wg sync.WaitGroup
		var got [8]string
		logins := h.login(fmt.Sprintf("u%d", round))
		for i := range got {
			p := []*Pool{h.Pool, p2}[i%2]
			guest := NewID("eu-1")
			wg.Go(func() {
				c, err := p.Credentials(t.Context(), guest, logins)
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = c.IdentityID
			})
		}
		wg.Wait()
		for _, id := range got {
			if id != got[0] {
				t.Fatalf("one user has the identities %s and %s", got[0], id)
			}
		}
	}
	// Two users who sign in from one guest do not share it.
	guest := h.id(nil)
	var wg sync.WaitGroup
	won := make(chan string, 8)
	for i := range 8 {
		logins := h.login(fmt.Sprintf("v%d", i))
		wg.Go(func() {
			if c, err := h.Credentials(t.Context(), guest, logins); err == nil {
				won <- c.IdentityID
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || len(h.loginsOf(guest)) != 1 {
		t.Errorf("%d users got one guest's id", len(won))
	}
}

func TestGuestsMayBeOff(t *testing.T) {
	h := newHome(t)
	c := h.credentials(h.id(nil), nil)
	user := h.credentials(h.id(h.login("ann")), h.login("ann"))
	h.cfg.AllowGuests = false
	h.restart()
	_, err := h.GetID(t.Context(), testPool, nil, "")
	refuses(t, "GetID", err, CodeNotAuthorized)
	h.credentialsRefused("credentials", NewID("eu-1"), nil, CodeNotAuthorized)
	_, _, err = h.OpenIDToken(t.Context(), NewID("eu-1"), nil)
	refuses(t, "OpenIDToken", err, CodeNotAuthorized)
	h.openRefused("a guest of before", c.AccessKeyID, c.SessionToken.Reveal(), CodeInvalidToken)
	h.open(user)
}

func TestDisable(t *testing.T) {
	h := newHome(t)
	ann := h.id(h.login("ann"))
	c := h.credentials(ann, h.login("ann"))
	if err := h.Disable(t.Context(), ann, true); err != nil {
		t.Fatal(err)
	}
	h.openRefused("session of a disabled identity", c.AccessKeyID, c.SessionToken.Reveal(), CodeExpiredToken)
	h.credentialsRefused("a disabled identity", ann, h.login("ann"), CodeNotAuthorized)
	h.credentialsRefused("a disabled identity as a guest", ann, nil, CodeNotAuthorized)
	_, err := h.GetID(t.Context(), testPool, h.login("ann"), "")
	refuses(t, "GetID", err, CodeNotAuthorized)
	if err := h.Disable(t.Context(), ann, false); err != nil {
		t.Fatal(err)
	}
	h.open(h.credentials(ann, h.login("ann")))
	refuses(t, "disabling nobody", h.Disable(t.Context(), NewID("eu-1"), true), CodeNotFound)
}

func TestLimitsOfTheProtocol(t *testing.T) {
	h := newHome(t)
	many := make(map[string]string)
	for i := range 11 {
		many[fmt.Sprintf("p%d/%s", i, usersPool)] = h.token("ann")
	}
	guest := h.id(nil)
	for _, c := range []struct {
		what, id string
		logins   map[string]string
		code     string
	}{
		{"eleven logins", guest, many, CodeInvalidParameter},
		{"long key", guest, map[string]string{strings.Repeat("k", 129): "x"}, CodeInvalidParameter},
		{"empty key", guest, map[string]string{"": "x"}, CodeInvalidParameter},
		{"long token", guest, map[string]string{usersName: strings.Repeat("x", 50001)}, CodeInvalidParameter},
		{"empty token", guest, map[string]string{usersName: ""}, CodeInvalidParameter},
		{"no id", "", nil, CodeInvalidParameter},
		{"long id", "eu-1:" + strings.Repeat("0", 51), nil, CodeInvalidParameter},
		{"id in upper case", strings.ToUpper(guest), nil, CodeInvalidParameter},
		{"id with a slash", "eu-1/x:" + guest[5:], nil, CodeInvalidParameter},
		{"id with a line after it", guest + "\n", nil, CodeInvalidParameter},
		{"id of another region", "us-1:" + guest[5:], nil, CodeNotFound},
		{"id of two regions", "eu-1:" + guest, nil, CodeInvalidParameter},
		{"id that is no UUID", "eu-1:0-0", nil, CodeNotFound},
		{"id that is no random UUID", "eu-1:00000000-0000-1000-8000-000000000000", nil, CodeNotFound},
		{"id without hyphens", strings.ReplaceAll(guest, "-", ""), nil, CodeNotFound},
	} {
		h.credentialsRefused(c.what, c.id, c.logins, c.code)
	}
	_, err := h.Credentials(t.Context(), "us-1:"+guest[5:], nil)
	if want := "Identity 'us-1:" + guest[5:] + "' not found."; err.(*Error).Message != want {
		t.Errorf("message is %q, want %q", err.(*Error).Message, want)
	}
	_, err = h.GetID(t.Context(), NewID("eu-1"), nil, "")
	refuses(t, "another pool", err, CodeNotFound)
	_, err = h.GetID(t.Context(), "pool", nil, "")
	refuses(t, "no pool id", err, CodeInvalidParameter)

	for _, sub := range []string{"", strings.Repeat("s", 256), "a\x00b", "a\nb"} {
		h.credentialsRefused(fmt.Sprintf("subject %q", sub), guest, h.login(sub), CodeNotAuthorized)
	}
	h.clock.add(time.Minute)
	late := h.login("ann")
	h.clock.add(2 * time.Hour)
	h.credentialsRefused("token that has expired", guest, late, CodeNotAuthorized)
}

func TestProviderDown(t *testing.T) {
	h := newHome(t)
	h.cfg.Providers[0].Provider = &users{down: fmt.Errorf("no answer: %w", ErrUnavailable)}
	h.cfg.Providers[1].Provider = &users{down: fmt.Errorf("too old: %w", ErrExpired)}
	h.restart()
	h.credentialsRefused("provider that is down", h.id(nil), h.login("ann"), CodeExternalService)
	_, err := h.Credentials(t.Context(), h.id(nil), h.other("ann"))
	refuses(t, "late token", err, CodeNotAuthorized)
	if msg := err.(*Error).Message; !strings.Contains(msg, "Token expired") {
		t.Errorf("message is %q", msg)
	}
}

func TestTwentyLogins(t *testing.T) {
	h := newHome(t)
	for i := range 21 {
		name := fmt.Sprintf("p%02d", i)
		h.cfg.Providers = append(h.cfg.Providers, ProviderConfig{ID: name, Provider: new(users)})
	}
	h.restart()
	ann := h.id(h.login("ann"))
	for i := range 20 {
		_, err := h.GetID(t.Context(), testPool, both(h.login("ann"), map[string]string{fmt.Sprintf("p%02d", i): h.token("x")}), "")
		if i < 19 && err != nil {
			t.Fatal(err)
		} else if i == 19 {
			refuses(t, "login 21", err, CodeLimitExceeded)
		}
	}
	if n := len(h.loginsOf(ann)); n != 20 {
		t.Errorf("%d logins, want 20", n)
	}
}

func TestGuestsAreLimitedByAddress(t *testing.T) {
	h := newHome(t)
	ask := func(from string) error {
		_, err := h.GetID(t.Context(), testPool, nil, from)
		return err
	}
	for range 50 {
		if err := ask("[2001:db8::1]:1"); err != nil {
			t.Fatal(err)
		}
	}
	refuses(t, "guest 51 of a network", ask("[2001:db8::2]:2"), CodeTooManyRequests)
	if err := ask("[2001:db8:0:1::1]:1"); err != nil {
		t.Errorf("another network: %v", err)
	}
	h.clock.add(100 * time.Millisecond)
	if err := ask("2001:db8::3"); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

func TestRetiringGuestsIsLimited(t *testing.T) {
	h := newHome(t)
	ann := h.id(h.login("ann"))
	for i := range bindBurst + 1 {
		_, err := h.Credentials(t.Context(), NewID("eu-1"), h.login("ann"))
		if i < bindBurst && err != nil {
			t.Fatal(err)
		} else if i == bindBurst {
			refuses(t, "one guest too many", err, CodeTooManyRequests)
		}
	}
	h.credentials(ann, h.login("ann"))
}

func TestErrorsTellTheCause(t *testing.T) {
	err := internal(&state.Error{Op: "find", Thing: "x", Err: fs.ErrNotExist})
	refuses(t, "state error", err, CodeInternal)
	if !errors.Is(err, fs.ErrNotExist) || internal(nil) != nil {
		t.Errorf("%v does not wrap its cause", err)
	}
	if _, err := json.Marshal(err); err != nil {
		t.Error(err)
	}
}
