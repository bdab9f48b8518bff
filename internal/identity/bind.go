package identity

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

// How often an identity may take up guests, for each is stored for ever.
const (
	bindRate  = 1.0 / 10
	bindBurst = 50
)

// errChange is returned by a bind that may only read and has to write.
var errChange = errors.New("state must be changed")

// guestProvider stands in the state for a provider of guests, with their ids as
// subjects: the epoch of a guest is raised when it becomes a user's or retires,
// and its sessions are over for ever. No provider can have that id.
const guestProvider = "(guest)"

func guestLogin(id string) state.Login { return state.Login{Provider: guestProvider, Subject: id} }

// bound is an identity and the logins it was proven by.
type bound struct {
	identity string
	logins   []*Login
	epochs   []uint64 // of each of the logins
}

// guest checks that id, which is well formed, may be used by a guest.
func (p *Pool) guest(ctx context.Context, id string) error {
	if !p.cfg.AllowGuests {
		return noGuests()
	}
	return p.db.View(ctx, func(t *state.Tx) error {
		_, err := t.Identity(ctx, id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		}
		return forbidden(id) // it has a login, or is retired
	})
}

// IdentityOf returns the identity id of a login. If it has none yet, because it
// never signed in, the error is fs.ErrNotExist.
func (p *Pool) IdentityOf(ctx context.Context, provider, subject string) (id string, err error) {
	err = p.db.View(ctx, func(t *state.Tx) error {
		id, err = t.IdentityOf(ctx, state.Login{Provider: provider, Subject: subject})
		return err
	})
	return id, err
}

func noGuests() error {
	return unauthorized("Unauthenticated access is not supported for this identity pool.", nil)
}

// bind returns the identity of logins that were verified. id, if any, is the
// identity that the caller says to have: the logins are linked to it if they
// are new and it is a guest's.
//
// All that is read and written is one transaction, so that two devices that
// sign in at the same time meet in one identity.
func (p *Pool) bind(ctx context.Context, id string, logins []*Login) (*bound, error) {
	b := &bound{logins: logins}
	err := p.db.View(ctx, func(t *state.Tx) error { return p.bindIn(ctx, t, id, b, false) })
	if err == errChange {
		err = p.db.Update(ctx, func(t *state.Tx) error { return p.bindIn(ctx, t, id, b, true) })
		if err == nil && id != "" {
			// Without it a guest's sessions end a second later, so an error
			// loses nothing.
			_ = p.reload(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (p *Pool) bindIn(ctx context.Context, t *state.Tx, id string, b *bound, write bool) error {
	if err := checkEpochs(ctx, t, b); err != nil {
		return err
	}
	owners, fresh, err := ownersOf(ctx, t, b.logins)
	if err != nil {
		return err
	}
	target, retire, err := choose(ctx, t, id, owners)
	if err != nil {
		return err
	}
	b.identity = target
	others := slices.DeleteFunc(owners, func(o string) bool { return o == target })
	known := len(owners) > len(others)
	if !known && target == "" {
		b.identity = NewID(p.cfg.Region)
	}
	if len(others) == 0 && len(fresh) == 0 && retire == "" {
		return nil
	}
	if !write {
		return errChange
	}
	if !known {
		if err := t.AddIdentity(ctx, b.identity); err != nil {
			return err
		}
		if target != "" { // it was a guest's
			if _, err := t.Revoke(ctx, guestLogin(target), false); err != nil {
				return err
			}
		}
	}
	if retire != "" {
		if !p.binds.allow(b.identity, p.cfg.Now()) {
			return &Error{Code: CodeTooManyRequests, Message: "This user signs in as too many guests."}
		}
		if err := t.Retire(ctx, retire, b.identity); err != nil {
			return err
		}
		if _, err := t.Revoke(ctx, guestLogin(retire), false); err != nil {
			return err
		}
	}
	return join(ctx, t, b.identity, others, fresh)
}

// checkEpochs notes the epochs of the logins, and refuses tokens that were
// issued before their user signed out everywhere.
func checkEpochs(ctx context.Context, t *state.Tx, b *bound) error {
	b.epochs = b.epochs[:0]
	for _, l := range b.logins {
		e, err := t.Epoch(ctx, l.key())
		if err != nil {
			return err
		}
		// A token has its time in whole seconds.
		if l.IssuedAt.Before(e.SignedOut.Truncate(time.Second)) {
			return unauthorized("Invalid login token. The user has signed out.", nil)
		}
		b.epochs = append(b.epochs, e.Count)
	}
	return nil
}

// ownersOf returns the identities that the logins are bound to, each once, and
// the logins that are bound to none.
func ownersOf(ctx context.Context, t *state.Tx, logins []*Login) (owners []string, fresh []*Login, err error) {
	for _, l := range logins {
		o, err := t.IdentityOf(ctx, l.key())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fresh = append(fresh, l)
		case err != nil:
			return nil, nil, err
		case !slices.Contains(owners, o):
			owners = append(owners, o)
		}
	}
	return owners, fresh, nil
}

// choose returns the identity that a call is for, "" for a new one, and the
// guest that is to be retired into it, if any.
func choose(ctx context.Context, t *state.Tx, id string, owners []string) (target, retire string, err error) {
	var oldest *state.Identity
	for _, o := range owners {
		v, err := t.Identity(ctx, o)
		switch {
		case err != nil:
			return "", "", err
		case v.Disabled:
			return "", "", forbidden(o)
		case oldest == nil || v.Created.Before(oldest.Created) || v.Created.Equal(oldest.Created) && v.ID < oldest.ID:
			oldest = v
		}
	}
	if oldest != nil {
		target = oldest.ID
	}
	if id == "" {
		return target, "", nil
	}
	v, err := t.Identity(ctx, id)
	switch {
	case errors.Is(err, fs.ErrNotExist): // a guest: it is linked, or yields
		if target == "" {
			return id, "", nil
		}
		return target, id, nil
	case err != nil:
		return "", "", err
	case v.Disabled, v.MergedInto != "" && target == "":
		return "", "", forbidden(id)
	case v.MergedInto != "":
		return target, "", nil
	case !slices.Contains(owners, id):
		// Who knows an id of a user and is somebody else must not get in.
		return "", "", unauthorized("Logins don't match. Please include at least one valid login for this identity.", nil)
	}
	return id, "", nil
}

// join binds the new logins to the target, and merges the others into it.
func join(ctx context.Context, t *state.Tx, target string, others []string, fresh []*Login) error {
	conflict := &Error{Code: CodeConflict, Message: "The identity has another login of that provider."}
	for _, o := range others {
		if err := t.MoveLogins(ctx, o, target); errors.Is(err, fs.ErrExist) {
			return conflict
		} else if err != nil {
			return err
		}
		if err := t.Retire(ctx, o, target); err != nil {
			return err
		}
	}
	for _, l := range fresh {
		if err := t.AddLogin(ctx, target, l.key()); errors.Is(err, fs.ErrExist) {
			return conflict
		} else if err != nil {
			return err
		}
	}
	all, err := t.Logins(ctx, target)
	if err != nil {
		return err
	}
	if len(all) > linkedMax {
		return &Error{Code: CodeLimitExceeded, Message: "The identity has too many logins."}
	}
	return nil
}
