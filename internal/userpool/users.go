package userpool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

// The states of a user. Only who is confirmed can sign in.
const (
	StatusConfirmed           = "CONFIRMED"
	StatusUnconfirmed         = "UNCONFIRMED"
	StatusResetRequired       = "RESET_REQUIRED"
	StatusForceChangePassword = "FORCE_CHANGE_PASSWORD"
)

// User is a user as others may know them.
type User struct {
	Sub        string // never changes, never reused
	Name       string // NFC, lower case, never reused
	Status     string
	Enabled    bool
	Dev        bool // made by dev mode, with a password that was printed
	Attributes map[string]string
	Groups     []string // in the order of their precedence
	Created    time.Time
	Modified   time.Time
}

// UserOptions are the choices of [Pool.CreateUser]. Nil is the zero value.
type UserOptions struct {
	Attributes map[string]string // standard ones, and custom:NAME
	Groups     []string          // must be there
	Dev        bool
}

// ListOptions say which users [Pool.ListUsers] returns. Nil is the zero value,
// all of them.
type ListOptions struct {
	After  string // only names greater than this one
	Prefix string // only names that begin with this
	Dev    bool   // only users made by dev mode
	Limit  int    // at most so many; 0 means no limit
}

// CreateUser adds a confirmed user. The error wraps fs.ErrExist if the name is
// taken, or was ever taken, and fs.ErrNotExist if a group is not there.
func (p *Pool) CreateUser(ctx context.Context, name, password string, opts *UserOptions) (*User, error) {
	if opts == nil {
		opts = new(UserOptions)
	}
	name, err := NormalizeName(name)
	if err != nil {
		return nil, err
	}
	if err := p.checkPassword(password); err != nil {
		return nil, err
	}
	if err := checkAttributes(opts.Attributes); err != nil {
		return nil, err
	}
	row := &state.User{
		Sub: state.NewUUID(), Name: name, Status: StatusConfirmed, Enabled: true, Dev: opts.Dev,
		Attributes: maps.Clone(opts.Attributes),
	}
	row.Salt, row.Verifier = p.seal(row.Sub, password)
	var user *User
	err = p.db.Update(ctx, func(t *state.Tx) error {
		if err := t.AddUser(ctx, row); errors.Is(err, fs.ErrExist) {
			return fail(UsernameExists, fmt.Sprintf("The user name %q is taken or was taken.", name), fs.ErrExist)
		} else if err != nil {
			return err
		}
		for _, group := range opts.Groups {
			if _, err := p.join(ctx, t, row.Sub, group); err != nil {
				return err
			}
		}
		user, err = p.find(ctx, t, name)
		return err
	})
	return user, err
}

// User returns the user who has that name.
// If there is none the error wraps fs.ErrNotExist.
func (p *Pool) User(ctx context.Context, name string) (u *User, err error) {
	err = p.db.View(ctx, func(t *state.Tx) error {
		u, err = p.find(ctx, t, name)
		return err
	})
	return u, err
}

// UserBySub returns the user who has that sub.
// If there is none the error wraps fs.ErrNotExist.
func (p *Pool) UserBySub(ctx context.Context, sub string) (u *User, err error) {
	err = p.db.View(ctx, func(t *state.Tx) error {
		row, err := t.User(ctx, sub)
		if errors.Is(err, fs.ErrNotExist) {
			return errNoUser()
		}
		if err != nil {
			return err
		}
		u, err = p.user(ctx, t, row)
		return err
	})
	return u, err
}

// ListUsers returns users ordered by name.
func (p *Pool) ListUsers(ctx context.Context, opts *ListOptions) (users []*User, err error) {
	if opts == nil {
		opts = new(ListOptions)
	}
	err = p.db.View(ctx, func(t *state.Tx) error {
		rows, err := t.Users(ctx, state.UserFilter(*opts))
		if err != nil {
			return err
		}
		for _, row := range rows {
			u, err := p.user(ctx, t, row)
			if err != nil {
				return err
			}
			users = append(users, u)
		}
		return nil
	})
	return users, err
}

// SetPassword gives a user another password, confirms them, and ends all their
// sessions and credentials.
func (p *Pool) SetPassword(ctx context.Context, name, password string) error {
	if err := p.checkPassword(password); err != nil {
		return err
	}
	secret, err := p.loadSecret(ctx)
	if err != nil {
		return err
	}
	return p.change(ctx, name, func(t *state.Tx, u *User) (bool, error) {
		salt, sealed := p.seal(u.Sub, password)
		if err := t.SetPassword(ctx, u.Sub, StatusConfirmed, salt, sealed); err != nil {
			return false, err
		}
		if err := t.ForgetFailures(ctx, secret.mac("attempts", u.Name)[:16]); err != nil {
			return false, err
		}
		return true, p.revoke(ctx, t, u.Sub, true)
	})
}

// SetAttributes sets attributes of a user; those with an empty value are
// removed, those not named stay. Credentials end, for they may carry them.
func (p *Pool) SetAttributes(ctx context.Context, name string, attributes map[string]string) error {
	return p.change(ctx, name, func(t *state.Tx, u *User) (bool, error) {
		merged := maps.Clone(u.Attributes)
		if merged == nil {
			merged = make(map[string]string)
		}
		maps.Copy(merged, attributes)
		maps.DeleteFunc(merged, func(_, value string) bool { return value == "" })
		if err := checkAttributes(merged); err != nil {
			return false, err
		}
		if maps.Equal(merged, u.Attributes) {
			return false, nil
		}
		if err := t.SetUserAttributes(ctx, u.Sub, merged); err != nil {
			return false, err
		}
		return true, p.revoke(ctx, t, u.Sub, false)
	})
}

// DisableUser forbids a user to sign in and ends their sessions and
// credentials.
func (p *Pool) DisableUser(ctx context.Context, name string) error {
	return p.change(ctx, name, func(t *state.Tx, u *User) (bool, error) {
		if err := t.SetUserEnabled(ctx, u.Sub, false); err != nil {
			return false, err
		}
		return true, p.revoke(ctx, t, u.Sub, true)
	})
}

// EnableUser allows a disabled user to sign in again.
func (p *Pool) EnableUser(ctx context.Context, name string) error {
	return p.change(ctx, name, func(t *state.Tx, u *User) (bool, error) {
		return false, t.SetUserEnabled(ctx, u.Sub, true)
	})
}

// SignOut ends all sessions and credentials of a user.
func (p *Pool) SignOut(ctx context.Context, name string) error {
	return p.change(ctx, name, func(t *state.Tx, u *User) (bool, error) {
		if err := t.EndUserSessions(ctx, u.Sub); err != nil {
			return false, err
		}
		return true, p.revoke(ctx, t, u.Sub, true)
	})
}

// DeleteUser removes a user and ends their sessions and credentials. Nobody
// else ever gets the name or the sub.
func (p *Pool) DeleteUser(ctx context.Context, name string) error {
	return p.change(ctx, name, func(t *state.Tx, u *User) (bool, error) {
		if err := t.DeleteUser(ctx, u.Sub); err != nil {
			return false, err
		}
		return true, p.revoke(ctx, t, u.Sub, true)
	})
}

// change calls fn with the user of that name inside an update, and afterwards
// tells who listens if fn has revoked something.
func (p *Pool) change(ctx context.Context, name string, fn func(*state.Tx, *User) (revoked bool, err error)) error {
	var user *User
	var revoked bool
	err := p.db.Update(ctx, func(t *state.Tx) (err error) {
		if user, err = p.find(ctx, t, name); err != nil {
			return err
		}
		revoked, err = fn(t, user)
		return err
	})
	if err == nil && revoked {
		p.revoked(user.Sub)
	}
	return err
}

// find returns the user of that name.
func (p *Pool) find(ctx context.Context, t *state.Tx, name string) (*User, error) {
	normal, err := NormalizeName(name)
	if err != nil {
		return nil, errNoUser()
	}
	row, err := t.UserByName(ctx, normal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoUser()
	}
	if err != nil {
		return nil, err
	}
	return p.user(ctx, t, row)
}

func (p *Pool) user(ctx context.Context, t *state.Tx, row *state.User) (*User, error) {
	groups, err := t.GroupsOfUser(ctx, row.Sub)
	return &User{
		Sub: row.Sub, Name: row.Name, Status: row.Status, Enabled: row.Enabled, Dev: row.Dev,
		Attributes: row.Attributes, Groups: groups, Created: row.Created, Modified: row.Modified,
	}, err
}

// seal returns a new salt and the sealed verifier of a password.
func (p *Pool) seal(sub, password string) (salt, sealed []byte) {
	salt = make([]byte, saltSize)
	rand.Read(salt)
	return salt, p.cfg.Sealer.Seal(verifier(p.name, sub, password, salt), p.verifierAD(sub, salt))
}

func errNoUser() error { return fail(UserNotFound, "User does not exist.", fs.ErrNotExist) }
