package userpool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

const (
	testPool   = "eu-1_Test12345"
	testClient = "testclient"
	password   = "correct horse"
)

var here = Caller{ClientID: testClient, BaseURL: "http://127.0.0.1:20005"}

// sharedKey is made once, for it takes long.
var sharedKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// clock is a time that only tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.add(1_800_000_000 * time.Second)
	return c
}

func (c *clock) Now() time.Time      { return time.Unix(0, c.ns.Load()) }
func (c *clock) add(d time.Duration) { c.ns.Add(int64(d)) }

// code returns the code of an Error, "" for anything else.
func code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// sealer seals with a key of the test and counts what it opens.
type sealer struct {
	gcm    cipher.AEAD
	opened atomic.Int64
}

func newSealer(t testing.TB, key byte) *sealer {
	t.Helper()
	block, err := aes.NewCipher([]byte(strings.Repeat(string(rune(key)), 32)))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{gcm: gcm}
}

func (s *sealer) Seal(plain, ad []byte) []byte { return s.gcm.Seal(nil, nil, plain, ad) }

func (s *sealer) Open(sealed, ad []byte) ([]byte, error) {
	s.opened.Add(1)
	return s.gcm.Open(nil, nil, sealed, ad)
}

type fixture struct {
	*Pool
	*clock
	db     *state.DB
	sealer *sealer
	ended  *[]string // subs that OnRevoke was called with
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	c := newClock()
	db, err := state.Open(filepath.Join(t.TempDir(), "state.db"), &state.Options{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f := &fixture{clock: c, db: db, sealer: newSealer(t, 'k'), ended: new([]string)}
	f.Pool = f.open(t, func(*Config) {})
	return f
}

// open opens another pool over the same state, as another process would.
func (f *fixture) open(t testing.TB, edit func(*Config)) *Pool {
	t.Helper()
	cfg := Config{
		PoolID: testPool, ClientID: testClient, Sealer: f.sealer, Now: f.Now, NewKey: sharedKey,
		OnRevoke: func(sub string) { *f.ended = append(*f.ended, sub) },
	}
	edit(&cfg)
	p, err := New(cfg, f.db)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) user(t testing.TB, name string, groups ...string) *User {
	t.Helper()
	u, err := f.CreateUser(t.Context(), name, password, &UserOptions{Groups: groups})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (f *fixture) group(t testing.TB, name string, precedence *int) {
	t.Helper()
	if _, err := f.CreateGroup(t.Context(), name, &GroupOptions{Precedence: precedence}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) signIn(t testing.TB, name string) *Tokens {
	t.Helper()
	tokens, err := f.SignIn(t.Context(), here, name, password)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// epoch returns how often credentials of a user were ended.
func (f *fixture) epoch(t testing.TB, sub string) (e state.Epoch) {
	t.Helper()
	err := f.db.View(t.Context(), func(tx *state.Tx) (err error) {
		e, err = tx.Epoch(t.Context(), state.Login{Provider: testPool, Subject: sub})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	f := newFixture(t)
	for name, edit := range map[string]func(*Config){
		"no region":       func(c *Config) { c.PoolID = "nounderscore" },
		"slash":           func(c *Config) { c.PoolID = "eu-1_a/b" },
		"two names":       func(c *Config) { c.PoolID = "eu-1_a_b" },
		"no client":       func(c *Config) { c.ClientID = "" },
		"no sealer":       func(c *Config) { c.Sealer = nil },
		"long tokens":     func(c *Config) { c.AccessLifetime = 25 * time.Hour },
		"short sessions":  func(c *Config) { c.RefreshLifetime = time.Minute },
		"negative tokens": func(c *Config) { c.AccessLifetime = -time.Hour },
	} {
		cfg := Config{PoolID: testPool, ClientID: testClient, Sealer: f.sealer}
		edit(&cfg)
		if _, err := New(cfg, f.db); err == nil {
			t.Errorf("%s: New accepts it", name)
		}
	}
}

func TestNewIDsAreAccepted(t *testing.T) {
	f := newFixture(t)
	f.open(t, func(c *Config) { c.PoolID, c.ClientID = NewPoolID("eu-1"), NewClientID() })
	if id := NewClientID(); len(id) != 26 || id != strings.ToLower(id) {
		t.Errorf("client id %q is not 26 characters in lower case", id)
	}
	if id := NewPoolID("eu-1"); len(id) != len("eu-1_")+9 {
		t.Errorf("pool id %q has no name of 9 characters", id)
	}
}

// Two processes that start at the same time on a new state must end up with
// one key, or tokens of the one are worth nothing at the other.
func TestTwoStartsMakeOneKey(t *testing.T) {
	f := newFixture(t)
	other := f.open(t, func(c *Config) {
		c.NewKey = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) }
	})
	var wg sync.WaitGroup
	for _, p := range []*Pool{f.Pool, f.Pool, other, other} {
		wg.Go(func() {
			if err := p.Prepare(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	a, err := f.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := other.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Keys) != 1 || len(b.Keys) != 1 || a.Keys[0].KeyID != b.Keys[0].KeyID {
		t.Errorf("the two have the keys %v and %v, want one and the same", a.Keys, b.Keys)
	}
	if !a.Keys[0].IsPublic() || !a.Keys[0].Valid() {
		t.Error("the set holds something else than a public key")
	}
	if string(f.secret.key) != string(other.secret.key) {
		t.Error("the two have different secrets")
	}
}

func TestStateWithoutItsKeyOpensNothing(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	f.signIn(t, "ann")
	thief := f.open(t, func(c *Config) { c.Sealer = newSealer(t, 'x') })
	if err := thief.Prepare(t.Context()); err == nil {
		t.Error("Prepare succeeds with another key")
	}
	_, err := thief.SignIn(t.Context(), here, "ann", password)
	if err == nil || code(err) != "" {
		t.Errorf("SignIn with another key: %v, want a fault of ours", err)
	}
}

func TestSealedVerifierIsBoundToItsUser(t *testing.T) {
	f := newFixture(t)
	ann, bob := f.user(t, "ann"), f.user(t, "bob")
	// Somebody who can write the file gives bob the password of ann.
	err := f.db.Update(t.Context(), func(tx *state.Tx) error {
		row, err := tx.User(t.Context(), ann.Sub)
		if err != nil {
			return err
		}
		return tx.SetPassword(t.Context(), bob.Sub, StatusConfirmed, row.Salt, row.Verifier)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.SignIn(t.Context(), here, "bob", password); err == nil || code(err) != "" {
		t.Errorf("sign-in with a verifier of somebody else: %v, want a fault of ours", err)
	}
}

func TestErrorsMatchSentinels(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	_, err := f.CreateUser(t.Context(), "Ann", password, nil)
	if !errors.Is(err, fs.ErrExist) || code(err) != UsernameExists {
		t.Errorf("second ann: %v", err)
	}
	if _, err := f.User(t.Context(), "bob"); !errors.Is(err, fs.ErrNotExist) || code(err) != UserNotFound {
		t.Errorf("no bob: %v", err)
	}
	if _, err := f.UserBySub(t.Context(), "bob"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no sub: %v", err)
	}
	if err := f.AddToGroup(t.Context(), "ann", "none"); !errors.Is(err, fs.ErrNotExist) || code(err) != ResourceNotFound {
		t.Errorf("no group: %v", err)
	}
}
