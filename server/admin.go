package server

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/identity"
	"github.com/cubby-storage/cubby/internal/state"
	"github.com/cubby-storage/cubby/internal/userpool"
)

// StateFile is the name of the database of users, identities and keys in the data
// directory.
const StateFile = "state.db"

// Admin manages the users and keys of a server. It works beside a running
// server on the same data directory, which sees the changes within a second.
type Admin struct {
	db           *state.DB
	ids          *identity.Pool
	users        *userpool.Pool
	identityPool string // its id
	region       string // of both pools
}

// User is a user of the built-in pool.
type User struct {
	Name     string    `json:"username"`
	Sub      string    `json:"sub"`
	Groups   []string  `json:"groups"`
	Disabled bool      `json:"disabled,omitempty"`
	Dev      bool      `json:"dev,omitempty"` // made by dev mode
	Created  time.Time `json:"created"`
}

// Key is the key of an operator, or of a function: a program with rules of its own.
type Key struct {
	ID       string    `json:"access_key_id"`
	Secret   string    `json:"secret_access_key,omitempty"` // only when it is made
	Name     string    `json:"name"`
	Function string    `json:"function,omitempty"` // "" for an operator's
	Created  time.Time `json:"created"`
	Revoked  bool      `json:"revoked,omitempty"`
}

// OpenAdmin opens the state of the server that cfg describes, and makes it if
// there is none. The caller closes it.
func OpenAdmin(ctx context.Context, cfg *Config) (_ *Admin, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.makeData(); err != nil {
		return nil, err
	}
	path, err := cfg.keysPath()
	if err != nil {
		return nil, err
	}
	keys, err := identity.OpenKeys(path)
	if err != nil {
		return nil, err
	}
	a := new(Admin)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.db, err = state.Open(filepath.Join(cfg.Data, StateFile), nil); err != nil {
		return nil, err
	}
	// The names of the pools are made once. Clients and paths hold them, and the
	// region with which they begin: another one in the settings does not count here.
	pool, err := a.db.Keep(ctx, "identity pool", []byte(identity.NewID(cfg.region())))
	if err != nil {
		return nil, err
	}
	a.identityPool = string(pool)
	a.region, _, _ = strings.Cut(a.identityPool, ":")
	userPool, err := a.db.Keep(ctx, "user pool", []byte(userpool.NewPoolID(a.region)))
	if err != nil {
		return nil, err
	}
	client, err := a.db.Keep(ctx, "user pool client", []byte(userpool.NewClientID()))
	if err != nil {
		return nil, err
	}
	a.users, err = userpool.New(userpool.Config{
		PoolID: string(userPool), ClientID: string(client), Sealer: keys.Sealer("user pool"),
		OnRevoke: func(string) {
			// Without it the change holds a second later, so an error loses nothing.
			_ = a.ids.Refresh(context.Background())
		},
	}, a.db)
	if err != nil {
		return nil, err
	}
	providers := []identity.ProviderConfig{{
		ID:         string(userPool),
		Match:      identity.MatchPool(string(userPool)),
		Provider:   builtIn{a.users},
		Groups:     a.users.GroupsOf,
		LiveGroups: true,
	}}
	for _, i := range cfg.Issuers {
		p, err := i.provider()
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
	}
	primary := cfg.Primary
	if primary == "" {
		primary = string(userPool)
	}
	a.ids, err = identity.New(identity.Config{
		PoolID: a.identityPool, Region: a.region, AllowGuests: !cfg.NoGuests, Providers: providers, Primary: primary,
	}, a.db, keys)
	return a, err
}

// Close closes the state.
func (a *Admin) Close() error {
	var errs []error
	if a.ids != nil {
		errs = append(errs, a.ids.Close())
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	return errors.Join(errs...)
}

// builtIn is the user pool as a login provider.
type builtIn struct{ users *userpool.Pool }

// Verify implements identity.Provider.
func (b builtIn) Verify(ctx context.Context, token string) (*identity.Login, error) {
	l, err := b.users.Verify(ctx, token)
	if err != nil {
		if errors.Is(err, userpool.ErrExpired) {
			err = errors.Join(identity.ErrExpired, err)
		}
		return nil, err
	}
	maps.DeleteFunc(l.Claims, func(name, _ string) bool { return !strings.HasPrefix(name, customAttribute) })
	return &identity.Login{
		Subject: l.Subject, Username: l.Username, Groups: l.Groups, Claims: l.Claims, IssuedAt: l.IssuedAt, Expires: l.Expires,
	}, nil
}

// Users returns the users of the built-in pool, by name.
func (a *Admin) Users(ctx context.Context) ([]User, error) {
	all, err := a.users.ListUsers(ctx, nil)
	if err != nil {
		return nil, err
	}
	list := make([]User, len(all))
	for i, u := range all {
		list[i] = fromPool(u)
	}
	return list, nil
}

// Subject returns the user as rules see them. Who has never signed in has no identity
// id yet. If there is no such user the error is fs.ErrNotExist.
func (a *Admin) Subject(ctx context.Context, username string) (*access.Subject, error) {
	u, err := a.users.User(ctx, username)
	if err != nil {
		return nil, err
	}
	s := &access.Subject{Authenticated: true, Groups: u.Groups, Sub: u.Sub, Username: u.Name, Claims: map[string]string{}}
	for name, value := range u.Attributes {
		if strings.HasPrefix(name, customAttribute) {
			s.Claims[name] = value
		}
	}
	s.Identity, err = a.ids.IdentityOf(ctx, a.users.ID(), u.Sub)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s, nil
}

// NewUser is a user to be made.
type NewUser struct {
	Name, Password string
	Groups         []string // made where they do not exist
	Email          string
	Dev            bool
}

// AddUser makes a user. If the name is or was in use the error is fs.ErrExist.
func (a *Admin) AddUser(ctx context.Context, n NewUser) (*User, error) {
	for _, g := range n.Groups {
		if _, err := a.users.CreateGroup(ctx, g, nil); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	opts := &userpool.UserOptions{Groups: n.Groups, Dev: n.Dev}
	if n.Email != "" {
		opts.Attributes = map[string]string{"email": n.Email}
	}
	u, err := a.users.CreateUser(ctx, n.Name, n.Password, opts)
	if err != nil {
		return nil, err
	}
	made := fromPool(u)
	return &made, nil
}

// SetPassword gives a user another password, and ends their sessions. If there
// is no such user the error is fs.ErrNotExist.
func (a *Admin) SetPassword(ctx context.Context, name, password string) error {
	return a.users.SetPassword(ctx, name, password)
}

// DisableUser ends a user's sessions and forbids new ones.
func (a *Admin) DisableUser(ctx context.Context, name string) error {
	return a.users.DisableUser(ctx, name)
}

// EnableUser lets a user who was disabled sign in again.
func (a *Admin) EnableUser(ctx context.Context, name string) error {
	return a.users.EnableUser(ctx, name)
}

// DeleteUser removes a user. Nobody else can ever have the name.
func (a *Admin) DeleteUser(ctx context.Context, name string) error {
	return a.users.DeleteUser(ctx, name)
}

func fromPool(u *userpool.User) User {
	groups := append([]string{}, u.Groups...) // never nil, which JSON has another word for
	return User{Name: u.Name, Sub: u.Sub, Groups: groups, Disabled: !u.Enabled, Dev: u.Dev, Created: u.Created}
}

// AddKey makes an operator key. Its secret is told only now.
func (a *Admin) AddKey(ctx context.Context, name string) (*Key, error) {
	id, secret, err := a.ids.AddOperatorKey(ctx, name)
	if err != nil {
		return nil, err
	}
	return &Key{ID: id, Secret: secret.Reveal(), Name: name, Created: time.Now().UTC()}, nil
}

// AddFunctionKey makes a key with which a program may do what the rules for
// function:FUNCTION say, and nothing else. Its secret is told only now.
func (a *Admin) AddFunctionKey(ctx context.Context, name, function string) (*Key, error) {
	id, secret, err := a.ids.AddFunctionKey(ctx, name, function)
	if err != nil {
		return nil, err
	}
	return &Key{ID: id, Secret: secret.Reveal(), Name: name, Function: function, Created: time.Now().UTC()}, nil
}

// Keys returns all keys of operators and functions without their secrets, the oldest first.
func (a *Admin) Keys(ctx context.Context) ([]Key, error) {
	all, err := a.ids.AccessKeys(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Key, len(all))
	for i, k := range all {
		list[i] = Key{ID: k.AccessKeyID, Name: k.Name, Function: k.Function, Created: k.Created, Revoked: !k.Revoked.IsZero()}
	}
	return list, nil
}

// RevokeKey makes a key worthless, for ever.
func (a *Admin) RevokeKey(ctx context.Context, id string) error {
	return a.ids.RevokeAccessKey(ctx, id)
}
