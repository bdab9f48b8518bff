// Package userpool is the built-in user directory: users and groups, sign-in
// with a password, and the tokens that a sign-in yields, in the shapes of a
// Cognito user pool.
//
// [New] makes a [Pool] over a state file. Who runs the server adds users with
// [Pool.CreateUser]; a user signs in with [Pool.SignIn] and gets [Tokens]; the
// identity pool asks [Pool.Verify] whom an ID token stands for. Everything is
// read from the state when it is asked for, so that what another process
// changes there counts from the next call on.
//
// # Passwords
//
// A password is never stored, only the verifier of SRP made from it (see
// [Sealer] for what protects that). An unknown name costs the same work, gives
// the same answer and is locked after the same number of attempts as a known
// one.
//
// # Sessions
//
// A sign-in is a session, named by the origin_jti claim. Its tokens are good
// while it is: it ends when it is revoked, when it expires, and with all
// others of the user when the user is disabled or deleted, gets another
// password or signs out everywhere. That also raises the epoch of their
// login in the state, so that credentials which are out already end too. A change
// of groups ends nothing: the identity pool asks for a user's groups. A user
// has at most 200 sessions: the next sign-in ends the oldest one.
//
// # Errors
//
// What the caller got wrong is an [Error]. Anything else is a fault of ours.
package userpool

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

// Sealer seals what must not be readable in the state: the verifiers, the
// signing keys. It is made from a key that lies elsewhere. Open returns what
// was sealed if the seal is intact and ad is the same. Both are safe for
// concurrent use.
type Sealer interface {
	Seal(plain, ad []byte) []byte
	Open(sealed, ad []byte) ([]byte, error)
}

// Config says what a pool is.
type Config struct {
	PoolID   string // REGION_NAME, as [NewPoolID] makes it; never changes
	ClientID string // the one app client, as [NewClientID] makes it
	Sealer   Sealer

	AccessLifetime  time.Duration // of access and ID tokens; 0 means 1 hour, at most 1 day
	RefreshLifetime time.Duration // of a session; 0 means 30 days
	MinPassword     int           // fewest characters of a password; 0 means 8

	// OnRevoke, if set, is called after a change in this process that ends
	// credentials of the user with that sub, or that is of their groups. The
	// change is in the state by then; the call only saves waiting.
	OnRevoke func(sub string)

	Now    func() time.Time                // nil means time.Now
	NewKey func() (*rsa.PrivateKey, error) // makes a signing key; nil means RSA with 2048 bits
}

// Pool is a user directory. It is safe for concurrent use.
type Pool struct {
	cfg      Config
	db       *state.DB
	name     string // the part of the pool id that SRP uses
	making   chan struct{}
	attempts attempts

	mu     sync.Mutex
	keys   map[string]*signingKey // parsed keys of the state, by id
	secret *secret
}

var (
	poolID   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}_[A-Za-z0-9]{1,55}$`)
	clientID = regexp.MustCompile(`^[A-Za-z0-9_+]{1,128}$`)
)

// New returns the pool that cfg describes over db. It makes nothing yet: see
// [Pool.Prepare].
func New(cfg Config, db *state.DB) (*Pool, error) {
	switch {
	case !poolID.MatchString(cfg.PoolID):
		return nil, fmt.Errorf("user pool id %q is not REGION_NAME", cfg.PoolID)
	case !clientID.MatchString(cfg.ClientID):
		return nil, fmt.Errorf("user pool client id %q is not letters and digits", cfg.ClientID)
	case cfg.Sealer == nil:
		return nil, errors.New("a user pool needs a sealer")
	}
	if cfg.AccessLifetime == 0 {
		cfg.AccessLifetime = time.Hour
	}
	if cfg.RefreshLifetime == 0 {
		cfg.RefreshLifetime = 30 * 24 * time.Hour
	}
	// A session is forgotten a day after its end, so no token may live longer.
	if cfg.AccessLifetime < time.Minute || cfg.AccessLifetime > 24*time.Hour {
		return nil, fmt.Errorf("lifetime of tokens %v is not between a minute and a day", cfg.AccessLifetime)
	}
	if cfg.RefreshLifetime < cfg.AccessLifetime {
		return nil, fmt.Errorf("lifetime of sessions %v is shorter than that of tokens", cfg.RefreshLifetime)
	}
	if cfg.MinPassword == 0 {
		cfg.MinPassword = 8
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewKey == nil {
		cfg.NewKey = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }
	}
	_, name, _ := strings.Cut(cfg.PoolID, "_")
	return &Pool{
		cfg:    cfg,
		db:     db,
		name:   name,
		making: make(chan struct{}, 1),
		keys:   make(map[string]*signingKey),
	}, nil
}

// ID returns the pool id.
func (p *Pool) ID() string { return p.cfg.PoolID }

// ClientID returns the id of the app client.
func (p *Pool) ClientID() string { return p.cfg.ClientID }

// NewPoolID returns a random id for a pool in a region.
func NewPoolID(region string) string { return region + "_" + rand.Text()[:9] }

// NewClientID returns a random id for an app client.
func NewClientID() string { return strings.ToLower(rand.Text()) }

// Caller is where a request for tokens comes from: the app client that it
// names and the URL by which it reached the server.
type Caller struct {
	ClientID string
	BaseURL  string // the issuer of the tokens without the pool id
}

// check returns the issuer for a caller.
func (p *Pool) check(c Caller) (issuer string, err error) {
	if c.ClientID != p.cfg.ClientID {
		return "", fail(ResourceNotFound, "User pool client does not exist.", nil)
	}
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		// The URL is mostly made from a Host header, which callers choose.
		return "", fail(InvalidParameter, "The server was called by a name that cannot be an issuer.", fs.ErrInvalid)
	}
	return strings.TrimRight(c.BaseURL, "/") + "/" + p.cfg.PoolID, nil
}

// revoke ends what was issued outside the pool to the user with that sub.
// With signOut it also outlaws the tokens that they hold.
func (p *Pool) revoke(ctx context.Context, t *state.Tx, sub string, signOut bool) error {
	_, err := t.Revoke(ctx, state.Login{Provider: p.cfg.PoolID, Subject: sub}, signOut)
	return err
}

// revoked tells who listens that credentials of these users ended.
func (p *Pool) revoked(subs ...string) {
	if p.cfg.OnRevoke == nil {
		return
	}
	for _, sub := range subs {
		p.cfg.OnRevoke(sub)
	}
}
