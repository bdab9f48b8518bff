// Package identity is the identity pool. It gives every visitor a stable
// identity id, binds the logins of users to it, issues temporary credentials,
// and tells who holds a credential that a request was signed with.
//
//	keys, err := identity.OpenKeys("/etc/cubby/keys.json")
//	pool, err := identity.New(identity.Config{Region: "eu-1", PoolID: id, ...}, db, keys)
//	id, err := pool.GetID(ctx, poolID, logins, remoteAddr)
//	cred, err := pool.Credentials(ctx, id, logins)
//	secret, who, err := pool.Open(ctx, cred.AccessKeyID, cred.SessionToken.Reveal())
//
// # Identities
//
// A guest has a random id that is stored nowhere: whoever knows it is that
// guest. The first login that a guest signs in with is linked: it is bound to
// the guest's id, which is then the user's, and whoever knows only the id
// gets nothing by it any more: what was issued to the guest ends as well. If the login is bound already, the guest yields
// to that identity: its id is retired, for ever. An identity that has a login
// is joined only with a valid token of one of its logins in the same call.
//
// # Credentials
//
// A session token holds, sealed, all that is to be known about a request: no
// table of sessions is kept. It opens only together with the access key id it
// was issued with. The keys of operators, and of functions, which are programs
// with rules of their own, are long-lived and kept in the state.
//
// # Errors
//
// Every method of [Pool] returns an [Error] with the code of the protocol.
package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/cubby-storage/cubby/internal/state"
)

const (
	defaultLifetime = time.Hour
	// lifetimeMax bounds how long a revocation must be remembered.
	lifetimeMax = 24 * time.Hour
)

// Config says what a [Pool] is. PoolID and Region are required.
type Config struct {
	PoolID      string
	Region      string // begins every identity id; at most 18 letters, digits and hyphens
	AllowGuests bool
	Providers   []ProviderConfig
	Primary     string        // the ID of the provider whose sub, user name and claims a subject has; "" for none
	Issuer      string        // the issuer of OpenID tokens; "" means the one that AWS has
	Lifetime    time.Duration // of credentials, at most 24 h; 0 means 1 h
	GuestRate   rate.Limit    // new guests per second and address; 0 means 10
	GuestBurst  int           // new guests that an address may have at once; 0 means 50
	Now         func() time.Time
}

// ProviderConfig is a provider whose logins a pool accepts.
type ProviderConfig struct {
	// ID names the provider in the state. It must never change, whatever
	// address the provider moves to, for logins are bound under it.
	ID string

	// Match reports whether a key of a Logins map means this provider.
	// If nil, only ID does. See [MatchNames] and [MatchPool].
	Match func(loginKey string) bool

	Provider Provider

	// Groups returns the groups that a subject is in now; if there is no
	// such subject any more the error wraps fs.ErrNotExist. If nil, groups
	// live as long as the credential, and must fit into it.
	Groups func(ctx context.Context, subject string) ([]string, error)

	// LiveGroups asks Groups when a credential is opened, so that a change of
	// groups that is kept in the state holds for credentials that are out. Otherwise
	// it is asked only for those whose groups did not fit into the credential.
	// In either case it is not asked again until the state has changed.
	LiveGroups bool
}

// Provider verifies the tokens of one login provider.
type Provider interface {
	// Verify returns who a token was issued to. A token that must not be
	// accepted is an error, which wraps [ErrExpired] or [ErrUnavailable]
	// where that is why. It is safe for concurrent use.
	Verify(ctx context.Context, token string) (*Login, error)
}

// Login is what a provider says about the holder of a token.
type Login struct {
	Provider string // set by the pool to the provider's ID
	Subject  string // what the provider knows the user by, for ever
	Username string
	Groups   []string
	Claims   map[string]string // those that rules may use
	IssuedAt time.Time         // of the token; one from before the user's last sign-out is refused
	Expires  time.Time         // of the token; may be zero if Verify has checked it
}

func (l *Login) key() state.Login { return state.Login{Provider: l.Provider, Subject: l.Subject} }

// MatchNames matches the given names alone.
func MatchNames(names ...string) func(string) bool {
	return func(loginKey string) bool { return slices.Contains(names, loginKey) }
}

// MatchPool matches the names that clients have for a user pool: its id, and
// the id behind any address (HOST/ID, cognito-idp.REGION.amazonaws.com/ID).
func MatchPool(userPoolID string) func(string) bool {
	return func(loginKey string) bool {
		return loginKey == userPoolID || strings.HasSuffix(loginKey, "/"+userPoolID)
	}
}

// Pool is an identity pool. It is safe for concurrent use.
type Pool struct {
	cfg      Config
	db       *state.DB
	sessions *Sealer
	secrets  [][32]byte // from which the secrets of sessions are derived, one for each server key
	opened   *recent[openedKey, *opened]
	guests   *Limiter // by address
	binds    *Limiter // by identity
	openID   openIDKey
	keySeals *Sealer // of the keys of operators and functions

	refreshing sync.Mutex // guards what follows
	watch      *state.Watch
	version    int64
	changes    state.Changes
	reloaded   time.Time    // when memory was last loaded from nothing
	tried      atomic.Int64 // when memory was last compared, in Unix nanoseconds
	refreshed  atomic.Int64 // when it was last known to be right

	mem     sync.RWMutex // guards what follows
	epochs  map[state.Login]uint64
	keys    map[string]longLived     // by access key id
	groups  map[state.Login][]string // that were asked for since the state last changed
	changed uint64                   // how often it has
}

// New returns the pool that cfg describes, with everything in memory that
// [Pool.Open] needs. What was sealed by an old server key is sealed anew by
// the first one. The caller closes the pool, and db after it.
func New(cfg Config, db *state.DB, keys *Keys) (*Pool, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("identity pool: %w", err)
	}
	p := &Pool{
		cfg:      cfg,
		db:       db,
		sessions: keys.Sealer("session"),
		keySeals: keys.Sealer("operator key"),
		opened:   newRecent[openedKey, *opened](openedMax),
		guests:   NewLimiter(cfg.GuestRate, cfg.GuestBurst),
		binds:    NewLimiter(bindRate, bindBurst),
		openID:   openIDKey{sealer: keys.Sealer("openid key")},
	}
	for _, sub := range keys.All("session secret") {
		p.secrets = append(p.secrets, sub)
	}
	if err := p.start(context.Background(), keys); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pool) start(ctx context.Context, keys *Keys) (err error) {
	if err := fits(ctx, p.db, keys); err != nil {
		return err
	}
	if err := p.reseal(ctx); err != nil {
		return err
	}
	if p.watch, err = p.db.Watch(ctx); err != nil {
		return err
	}
	return p.refresh(ctx)
}

// Close releases what the pool holds of the state.
func (p *Pool) Close() error {
	if p.watch == nil {
		return nil
	}
	return p.watch.Close()
}

var providerForm = regexp.MustCompile(`^[\w.;/:-]{1,128}$`)

// check fills in the defaults as well.
func (c *Config) check() error {
	c.Providers = slices.Clone(c.Providers)
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.Issuer == "" {
		c.Issuer = "https://cognito-identity.amazonaws.com"
	}
	if c.GuestRate == 0 {
		c.GuestRate = 10
	}
	if c.GuestBurst == 0 {
		c.GuestBurst = 50
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case !regionForm.MatchString(c.Region):
		return fmt.Errorf("region %q is not 1 to 18 lower-case letters, digits and hyphens", c.Region)
	case !wellFormed(c.PoolID):
		return fmt.Errorf("pool id %q is not REGION:UUID in lower case", c.PoolID)
	case c.Lifetime < time.Minute || c.Lifetime > lifetimeMax:
		return fmt.Errorf("lifetime %v is not between 1m and 24h", c.Lifetime)
	}
	primary := c.Primary == ""
	for i := range c.Providers {
		pc := &c.Providers[i]
		switch {
		case !providerForm.MatchString(pc.ID):
			return fmt.Errorf("provider id %q is not 1 to 128 letters, digits or any of _.;/:-", pc.ID)
		case pc.Provider == nil:
			return fmt.Errorf("provider %s does nothing", pc.ID)
		case pc.LiveGroups && pc.Groups == nil:
			return fmt.Errorf("provider %s cannot look up groups", pc.ID)
		case slices.ContainsFunc(c.Providers[:i], func(o ProviderConfig) bool { return o.ID == pc.ID }):
			return fmt.Errorf("provider %s is there twice", pc.ID)
		}
		if pc.Match == nil {
			pc.Match = MatchNames(pc.ID)
		}
		primary = primary || pc.ID == c.Primary
	}
	if !primary {
		return fmt.Errorf("primary provider %q is not among the providers", c.Primary)
	}
	return nil
}

// provider returns the configuration of the provider with that id, or nil.
func (c *Config) provider(id string) *ProviderConfig {
	i := slices.IndexFunc(c.Providers, func(pc ProviderConfig) bool { return pc.ID == id })
	if i < 0 {
		return nil
	}
	return &c.Providers[i]
}

// fits refuses keys that are not those of the state: with them nobody's
// operator key would work, and nothing would say why.
func fits(ctx context.Context, db *state.DB, keys *Keys) error {
	const name = "identity: keys fit"
	s := keys.Sealer(name)
	mark := s.Seal([]byte(name), nil)
	kept, err := db.Setting(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		kept, err = db.Keep(ctx, name, mark)
	}
	if err != nil {
		return err
	}
	if _, err := s.Open(kept, nil); err != nil {
		return fmt.Errorf("the keys file does not belong to this state: %w", err)
	}
	if s.Current(kept) {
		return nil
	}
	return db.Update(ctx, func(t *state.Tx) error { return t.SetSetting(ctx, name, mark) })
}
