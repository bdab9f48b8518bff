package userpool

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

func TestSignIn(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	for _, name := range []string{"ann", "Ann", "ANN"} {
		tokens, err := f.SignIn(t.Context(), here, name, password)
		if err != nil {
			t.Fatal(err)
		}
		if tokens.Access == "" || tokens.ID == "" || tokens.Refresh == "" || tokens.Expires != time.Hour {
			t.Errorf("%s gets %#v", name, *tokens)
		}
		if s := fmt.Sprintf("%v %+v %#v %s", tokens, tokens, tokens, tokens); strings.Contains(s, tokens.Refresh) {
			t.Error("tokens print themselves")
		}
	}
}

func TestSignInNeedsARightRequest(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	for _, tt := range []struct {
		name, client, user, password, want string
	}{
		{"other client", "other", "ann", password, ResourceNotFound},
		{"no client", "", "ann", password, ResourceNotFound},
		{"no name", testClient, "", password, InvalidParameter},
		{"no password", testClient, "ann", "", InvalidParameter},
		{"long password", testClient, "ann", strings.Repeat("x", 257), InvalidParameter},
		{"long name", testClient, strings.Repeat("x", 1000), password, InvalidParameter},
		{"wrong password", testClient, "ann", "wrong password", NotAuthorized},
		{"no such name", testClient, "bob", password, NotAuthorized},
		{"no name at all", testClient, "a/../b", password, NotAuthorized},
		{"not UTF-8", testClient, "\xff", password, NotAuthorized},
	} {
		_, err := f.SignIn(t.Context(), Caller{tt.client, here.BaseURL}, tt.user, tt.password)
		if code(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	for _, base := range []string{"", "ftp://x", "http://", "/x", "http://h?x", "http://u@h", "http://h#f", "http://\x00"} {
		if _, err := f.SignIn(t.Context(), Caller{testClient, base}, "ann", password); code(err) != InvalidParameter {
			t.Errorf("base URL %q: %v", base, err)
		}
	}
}

// An unknown name must look like a known one with another password: the same
// answer, the same work, and the same made-up values every time.
func TestUnknownNameCostsTheSame(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	f.mustSecret(t)
	cost := func(name string) (int64, string) {
		before := f.sealer.opened.Load()
		_, err := f.SignIn(t.Context(), here, name, "wrong password")
		return f.sealer.opened.Load() - before, fmt.Sprintf("%T %v", err, err)
	}
	opens, answer := cost("ann")
	for _, name := range []string{"bob", "a/b", strings.Repeat("x", 200)} {
		if o, a := cost(name); o != opens || a != answer {
			t.Errorf("%.10s opens %d seals and gets %s; ann %d and %s", name, o, a, opens, answer)
		}
	}
	if opens != 1 {
		t.Errorf("a sign-in opens %d seals", opens)
	}
	again, err := f.open(t, func(*Config) {}).loadSecret(t.Context()) // after a restart
	if err != nil {
		t.Fatal(err)
	}
	bob, eve := f.mustSecret(t).mac("salt", "bob"), f.mustSecret(t).mac("salt", "eve")
	if string(again.mac("salt", "bob")) != string(bob) || string(bob) == string(eve) {
		t.Error("the false salt is not one for each name")
	}
}

func BenchmarkWrongPassword(b *testing.B) {
	for _, name := range []string{"ann", "nobody"} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			f.user(b, "ann")
			for b.Loop() {
				f.SignIn(b.Context(), here, name, "wrong password")
				f.add(2 * time.Hour)
			}
		})
	}
}

func TestWhoMayNotSignIn(t *testing.T) {
	f := newFixture(t)
	u := f.user(t, "ann")
	for status, want := range map[string]string{
		StatusUnconfirmed: UserNotConfirmed, StatusResetRequired: PasswordResetRequired,
		StatusForceChangePassword: NotAuthorized, "": NotAuthorized,
	} {
		salt, sealed := f.seal(u.Sub, password)
		err := f.db.Update(t.Context(), func(tx *state.Tx) error {
			return tx.SetPassword(t.Context(), u.Sub, status, salt, sealed)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.SignIn(t.Context(), here, "ann", password); code(err) != want {
			t.Errorf("%s: %v, want %s", status, err, want)
		}
		// Only who knows the password learns it.
		if _, err := f.SignIn(t.Context(), here, "ann", "wrong password"); code(err) != NotAuthorized {
			t.Errorf("%s, wrong password: %v", status, err)
		}
	}
	if err := f.SetPassword(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	if err := f.DisableUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.SignIn(t.Context(), here, "ann", password); code(err) != NotAuthorized || err.Error() != "User is disabled." {
		t.Errorf("disabled: %v", err)
	}
	if _, err := f.SignIn(t.Context(), here, "ann", "wrong password"); err.Error() != "Incorrect username or password." {
		t.Errorf("disabled, wrong password: %v", err)
	}
}

func TestUserWithoutPasswordCannotSignIn(t *testing.T) {
	f := newFixture(t)
	err := f.db.Update(t.Context(), func(tx *state.Tx) error {
		return tx.AddUser(t.Context(), &state.User{Sub: state.NewUUID(), Name: "ann", Status: StatusConfirmed, Enabled: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.SignIn(t.Context(), here, "ann", password); err == nil || err.Error() != "Incorrect username or password." {
		t.Errorf("SignIn: %v", err)
	}
}

func TestRefresh(t *testing.T) {
	f := newFixture(t)
	f.group(t, "staff", nil)
	f.user(t, "ann")
	first := f.signIn(t, "ann")
	start := f.Now()
	f.add(29 * 24 * time.Hour)
	if err := f.AddToGroup(t.Context(), "ann", "staff"); err != nil {
		t.Fatal(err)
	}
	next, err := f.Refresh(t.Context(), here, first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if next.Refresh != "" || next.Access == first.Access || next.ID == first.ID {
		t.Error("refreshing gives the old tokens, or a new refresh token")
	}
	was, now := decode(t, first.ID), decode(t, next.ID)
	if was["origin_jti"] != now["origin_jti"] || was["jti"] == now["jti"] {
		t.Error("the tokens are not new ones of the same session")
	}
	if now["auth_time"] != float64(start.Unix()) || now["iat"] != float64(f.Now().Unix()) {
		t.Errorf("auth_time %v and iat %v are not those of the sign-in and of now", now["auth_time"], now["iat"])
	}
	if fmt.Sprint(now["cognito:groups"]) != "[staff]" {
		t.Errorf("groups %v, want those of now", now["cognito:groups"])
	}
	f.add(24 * time.Hour)
	if _, err := f.Refresh(t.Context(), here, first.Refresh); code(err) != NotAuthorized || err.Error() != "Refresh Token has expired" {
		t.Errorf("after 30 days: %v", err)
	}
	// What is long over is forgotten.
	f.add(48 * time.Hour)
	f.signIn(t, "ann")
	if _, err := f.Refresh(t.Context(), here, first.Refresh); code(err) != NotAuthorized || err.Error() != "Invalid Refresh Token" {
		t.Errorf("after 32 days: %v", err)
	}
}

func TestRefreshRefusesWhatIsNoRefreshToken(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	tokens := f.signIn(t, "ann")
	raw, err := base64.RawURLEncoding.DecodeString(tokens.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	for name, token := range map[string]string{
		"nothing":         "",
		"an access token": tokens.Access,
		"an ID token":     tokens.ID,
		"another secret":  base64.RawURLEncoding.EncodeToString(raw),
		"other alphabet":  strings.Repeat("+", len(tokens.Refresh)),
		"more":            tokens.Refresh + "A",
		"less":            tokens.Refresh[1:],
		"nobody's":        strings.Repeat("A", len(tokens.Refresh)),
		"lines":           tokens.Refresh[:8] + "\n" + tokens.Refresh[9:],
	} {
		if _, err := f.Refresh(t.Context(), here, token); code(err) != NotAuthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Refresh(t.Context(), Caller{"other", here.BaseURL}, tokens.Refresh); code(err) != ResourceNotFound {
		t.Errorf("other client: %v", err)
	}
}

func TestRefreshTokenBelongsToItsClient(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	tokens := f.signIn(t, "ann")
	other := f.open(t, func(c *Config) { c.ClientID = "second" })
	if _, err := other.Refresh(t.Context(), Caller{"second", here.BaseURL}, tokens.Refresh); code(err) != NotAuthorized {
		t.Errorf("by way of another client: %v", err)
	}
}

func TestRevokeEndsOneSession(t *testing.T) {
	f := newFixture(t)
	u := f.user(t, "ann")
	one, two := f.signIn(t, "ann"), f.signIn(t, "ann")
	for _, token := range []string{one.Refresh, one.Refresh, "", "no token", strings.Repeat("A", len(one.Refresh))} {
		if err := f.Revoke(t.Context(), here, token); err != nil {
			t.Errorf("Revoke of %.8q: %v", token, err)
		}
	}
	if err := f.Revoke(t.Context(), here, two.Access); code(err) != UnsupportedTokenType {
		t.Errorf("Revoke of an access token: %v", err)
	}
	if err := f.Revoke(t.Context(), Caller{"other", here.BaseURL}, two.Refresh); code(err) != ResourceNotFound {
		t.Errorf("Revoke for another client: %v", err)
	}
	f.wantDead(t, "revoked", one, "has been revoked")
	f.wantAlive(t, two)
	if len(*f.ended) != 0 || f.epoch(t, u.Sub).Count != 0 {
		t.Error("credentials of other sessions were ended too")
	}
}

// wantDead checks that no token of t does anything, and that the message says
// why.
func (f *fixture) wantDead(t *testing.T, story string, tokens *Tokens, why string) {
	t.Helper()
	_, err := f.Verify(t.Context(), tokens.ID)
	_, err2 := f.UserInfo(t.Context(), tokens.Access)
	_, err3 := f.Refresh(t.Context(), here, tokens.Refresh)
	err4 := f.SignOutEverywhere(t.Context(), tokens.Access)
	for i, err := range []error{err, err2, err3, err4} {
		if code(err) == "" || !strings.Contains(err.Error(), why) {
			t.Errorf("%s, call %d: %v, want %q", story, i+1, err, why)
		}
	}
}

func (f *fixture) wantAlive(t *testing.T, tokens *Tokens) {
	t.Helper()
	if _, err := f.Verify(t.Context(), tokens.ID); err != nil {
		t.Error(err)
	}
	if _, err := f.UserInfo(t.Context(), tokens.Access); err != nil {
		t.Error(err)
	}
	if _, err := f.Refresh(t.Context(), here, tokens.Refresh); err != nil {
		t.Error(err)
	}
}

func TestWhatEndsAllSessions(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*fixture, context.Context, *Tokens) error
		why  string
	}{
		{"signed out", func(f *fixture, ctx context.Context, tk *Tokens) error { return f.SignOutEverywhere(ctx, tk.Access) }, "has been revoked"},
		{"signed out by the operator", func(f *fixture, ctx context.Context, _ *Tokens) error { return f.SignOut(ctx, "ann") }, "has been revoked"},
		{"new password", func(f *fixture, ctx context.Context, _ *Tokens) error {
			return f.SetPassword(ctx, "ann", "another password")
		}, "has been revoked"},
		{"disabled", func(f *fixture, ctx context.Context, _ *Tokens) error { return f.DisableUser(ctx, "ann") }, "User is disabled."},
		{"enabled again", func(f *fixture, ctx context.Context, _ *Tokens) error {
			if err := f.DisableUser(ctx, "ann"); err != nil {
				return err
			}
			return f.EnableUser(ctx, "Ann")
		}, "has been revoked"},
	} {
		f := newFixture(t)
		ann := f.user(t, "ann")
		f.user(t, "bob")
		one, two, bob := f.signIn(t, "ann"), f.signIn(t, "ann"), f.signIn(t, "bob")
		if err := tt.do(f, t.Context(), one); err != nil {
			t.Fatal(err)
		}
		f.wantDead(t, tt.name, one, tt.why)
		f.wantDead(t, tt.name, two, tt.why)
		f.wantAlive(t, bob)
		if e := f.epoch(t, ann.Sub); e.Count != 1 || e.SignedOut.IsZero() {
			t.Errorf("%s: epoch %+v, want credentials ended and tokens outlawed", tt.name, e)
		}
		if len(*f.ended) != 1 || (*f.ended)[0] != ann.Sub {
			t.Errorf("%s: OnRevoke was called for %v", tt.name, *f.ended)
		}
	}
}

func TestDeletedUserIsGone(t *testing.T) {
	f := newFixture(t)
	ann := f.user(t, "ann")
	tokens := f.signIn(t, "ann")
	if err := f.DeleteUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Verify(t.Context(), tokens.ID); code(err) != UserNotFound {
		t.Errorf("Verify: %v", err)
	}
	if _, err := f.UserInfo(t.Context(), tokens.Access); code(err) != UserNotFound {
		t.Errorf("UserInfo: %v", err)
	}
	if _, err := f.Refresh(t.Context(), here, tokens.Refresh); code(err) != NotAuthorized {
		t.Errorf("Refresh: %v", err)
	}
	if e := f.epoch(t, ann.Sub); e.Count != 1 || len(*f.ended) != 1 {
		t.Errorf("epoch %+v, OnRevoke %v", e, *f.ended)
	}
	if _, err := f.CreateUser(t.Context(), "ANN", password, nil); code(err) != UsernameExists {
		t.Errorf("the name was given again: %v", err)
	}
}

// What an operator's command does in its own process counts in the server.
func TestChangesOfAnotherProcessAreSeen(t *testing.T) {
	f := newFixture(t)
	command := f.open(t, func(c *Config) { c.OnRevoke = nil })
	if _, err := command.CreateUser(t.Context(), "ann", password, nil); err != nil {
		t.Fatal(err)
	}
	tokens := f.signIn(t, "ann")
	if err := command.DisableUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	f.wantDead(t, "disabled elsewhere", tokens, "User is disabled.")
}

// A password that changes while a sign-in with the old one is under way must
// not leave it a session.
func TestSignInRacesWithNewPassword(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	old, err := f.passes(t.Context(), "ann", password)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SetPassword(t.Context(), "ann", "another password"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.begin(t.Context(), "http://h/"+testPool, old); code(err) != NotAuthorized {
		t.Errorf("after a change of password: %v", err)
	}
	if err := f.DeleteUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.begin(t.Context(), "http://h/"+testPool, old); code(err) != NotAuthorized {
		t.Errorf("after deletion: %v", err)
	}
}

func TestOldestSessionEndsWhenThereAreTooMany(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	f.user(t, "bob")
	bob, first := f.signIn(t, "bob"), f.signIn(t, "ann")
	f.add(time.Second)
	second := f.signIn(t, "ann")
	ann, err := f.passes(t.Context(), "ann", password)
	if err != nil {
		t.Fatal(err)
	}
	for range sessionsMax - 2 {
		f.add(time.Second)
		if _, err := f.begin(t.Context(), here.BaseURL+"/"+testPool, ann); err != nil {
			t.Fatal(err)
		}
	}
	f.wantAlive(t, first)
	last := f.signIn(t, "ann")
	if _, err := f.UserInfo(t.Context(), first.Access); code(err) != NotAuthorized {
		t.Errorf("access token of the oldest session: %v", err)
	}
	if _, err := f.Refresh(t.Context(), here, first.Refresh); code(err) != NotAuthorized {
		t.Errorf("refresh token of the oldest session: %v", err)
	}
	for _, tokens := range []*Tokens{second, last, bob} {
		f.wantAlive(t, tokens)
	}
}

func BenchmarkSignIn(b *testing.B) {
	f := newFixture(b)
	f.user(b, "ann")
	for b.Loop() {
		f.signIn(b, "ann")
	}
}
