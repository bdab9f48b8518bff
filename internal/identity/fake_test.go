package identity

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

const (
	testPool  = "eu-1:00000000-0000-4000-8000-000000000001"
	usersPool = "eu-1_Users"
	usersName = "cognito-idp.eu-1.amazonaws.com/" + usersPool
	otherName = "login.example"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// users is a provider whose tokens are logins as JSON.
type users struct{ down error }

func (u *users) Verify(_ context.Context, token string) (*Login, error) {
	if u.down != nil {
		return nil, u.down
	}
	l := new(Login)
	if err := json.Unmarshal([]byte(token), l); err != nil {
		return nil, errors.New("token is no login")
	}
	return l, nil
}

// home is a place where a pool runs: its clock, files, and two providers.
type home struct {
	*Pool
	t     testing.TB
	clock *clock
	dir   string
	db    *state.DB
	cfg   Config
	down  func()
}

func newHome(t testing.TB) *home {
	t.Helper()
	c := newClock()
	h := &home{t: t, clock: c, dir: t.TempDir(), cfg: Config{
		PoolID: testPool, Region: "eu-1", AllowGuests: true, Primary: usersPool, Now: c.Now,
		Providers: []ProviderConfig{
			{ID: usersPool, Match: MatchPool(usersPool), Provider: new(users)},
			{ID: "other", Match: MatchNames(otherName), Provider: new(users)},
		},
	}}
	h.up()
	t.Cleanup(func() { h.down() })
	return h
}

func (h *home) keysPath() string { return filepath.Join(h.dir, "keys", "keys.json") }

// up starts the pool.
func (h *home) up() {
	h.t.Helper()
	p, db, err := h.another()
	if err != nil {
		h.t.Fatal(err)
	}
	h.Pool, h.db = p, db
	h.down = sync.OnceFunc(func() {
		if err := errors.Join(p.Close(), db.Close()); err != nil {
			h.t.Error(err)
		}
	})
}

// another opens the same files as another process would.
func (h *home) another() (*Pool, *state.DB, error) {
	keys, err := OpenKeys(h.keysPath())
	if err != nil {
		return nil, nil, err
	}
	db, err := state.Open(filepath.Join(h.dir, "state.db"), &state.Options{Now: h.clock.Now})
	if err != nil {
		return nil, nil, err
	}
	p, err := New(h.cfg, db, keys)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return p, db, nil
}

func (h *home) restart() {
	h.t.Helper()
	h.down()
	h.up()
}

// token is a token that a user gets now, good for an hour.
func (h *home) token(user string, groups ...string) string {
	h.t.Helper()
	b, err := json.Marshal(Login{
		Subject: user, Username: user + "-name", Groups: groups, Claims: map[string]string{"team": "t-" + user},
		IssuedAt: h.clock.Now().Truncate(time.Second), Expires: h.clock.Now().Add(time.Hour),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// login is the Logins map of a user of the user pool.
func (h *home) login(user string, groups ...string) map[string]string {
	return map[string]string{usersName: h.token(user, groups...)}
}

// other is the Logins map of a user of the other provider.
func (h *home) other(user string) map[string]string {
	return map[string]string{otherName: h.token(user)}
}

func (h *home) id(logins map[string]string) string {
	h.t.Helper()
	id, err := h.GetID(h.t.Context(), testPool, logins, "192.0.2.1:1000")
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *home) credentials(id string, logins map[string]string) *Credentials {
	h.t.Helper()
	c, err := h.Credentials(h.t.Context(), id, logins)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *home) open(c *Credentials) *Principal {
	h.t.Helper()
	secret, who, err := h.Open(h.t.Context(), c.AccessKeyID, c.SessionToken.Reveal())
	if err != nil {
		h.t.Fatal(err)
	}
	if secret.Reveal() != c.SecretKey.Reveal() {
		h.t.Fatal("secret is another one than was issued")
	}
	return who
}

// refuses checks that an error has the code.
func refuses(t testing.TB, what string, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func (h *home) credentialsRefused(what, id string, logins map[string]string, code string) {
	h.t.Helper()
	_, err := h.Credentials(h.t.Context(), id, logins)
	refuses(h.t, what, err, code)
}

func (h *home) openRefused(what, accessKeyID, token, code string) {
	h.t.Helper()
	_, who, err := h.Open(h.t.Context(), accessKeyID, token)
	refuses(h.t, what, err, code)
	if who != nil {
		h.t.Errorf("%s: got %+v with the error", what, who)
	}
}

// logins returns what is bound to an identity.
func (h *home) loginsOf(id string) (all []string) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(t *state.Tx) error {
		found, err := t.Logins(h.t.Context(), id)
		for _, l := range found {
			all = append(all, l.String())
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
