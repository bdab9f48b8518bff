package userpool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/internal/state"
)

// Group is a group of users.
type Group struct {
	Name        string
	Description string
	Precedence  *int // the lower one comes first, nil last
	Created     time.Time
	Modified    time.Time
}

// GroupOptions are the choices of [Pool.CreateGroup]. Nil is the zero value.
type GroupOptions struct {
	Description string // at most 2048 bytes
	Precedence  *int   // 0 or more; nil for none
}

// CreateGroup adds a group. The error wraps fs.ErrExist if there is one of
// that name.
func (p *Pool) CreateGroup(ctx context.Context, name string, opts *GroupOptions) (*Group, error) {
	if opts == nil {
		opts = new(GroupOptions)
	}
	name, err := normalizeGroup(name)
	switch {
	case err != nil:
		return nil, err
	case len(opts.Description) > maxValue || !utf8.ValidString(opts.Description):
		return nil, fail(InvalidParameter, "The description is too long or not UTF-8.", fs.ErrInvalid)
	case opts.Precedence != nil && *opts.Precedence < 0:
		return nil, fail(InvalidParameter, "The precedence is below zero.", fs.ErrInvalid)
	}
	var row *state.UserGroup
	err = p.db.Update(ctx, func(t *state.Tx) (err error) {
		err = t.AddUserGroup(ctx, &state.UserGroup{
			Name: name, Description: opts.Description, Precedence: opts.Precedence,
		})
		if errors.Is(err, fs.ErrExist) {
			return fail(GroupExists, fmt.Sprintf("There is a group %q already.", name), fs.ErrExist)
		}
		if err == nil {
			row, err = t.UserGroup(ctx, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return (*Group)(row), nil
}

// Groups returns all groups in the order of their precedence.
func (p *Pool) Groups(ctx context.Context) (groups []*Group, err error) {
	err = p.db.View(ctx, func(t *state.Tx) error {
		rows, err := t.UserGroups(ctx)
		for _, row := range rows {
			groups = append(groups, (*Group)(row))
		}
		return err
	})
	return groups, err
}

// GroupsOf returns the names of the groups of the user with that sub in the
// order of their precedence. If there is no such user the error wraps
// fs.ErrNotExist.
func (p *Pool) GroupsOf(ctx context.Context, sub string) (names []string, err error) {
	err = p.db.View(ctx, func(t *state.Tx) error {
		if _, err := t.User(ctx, sub); errors.Is(err, fs.ErrNotExist) {
			return errNoUser()
		} else if err != nil {
			return err
		}
		names, err = t.GroupsOfUser(ctx, sub)
		return err
	})
	return names, err
}

// DeleteGroup removes a group. If there is none of that name the error wraps
// fs.ErrNotExist.
func (p *Pool) DeleteGroup(ctx context.Context, name string) error {
	name, err := normalizeGroup(name)
	if err != nil {
		return errNoGroup(name)
	}
	var subs []string
	err = p.db.Update(ctx, func(t *state.Tx) (err error) {
		if subs, err = t.GroupMembers(ctx, name); err != nil {
			return err
		}
		if err := t.DeleteUserGroup(ctx, name); errors.Is(err, fs.ErrNotExist) {
			return errNoGroup(name)
		} else if err != nil {
			return err
		}
		return nil
	})
	if err == nil {
		p.revoked(subs...)
	}
	return err
}

// AddToGroup makes a user a member of a group; to be one already is no error.
// Sessions go on: who opens a credential asks [Pool.GroupsOf] for its groups. The
// error wraps fs.ErrNotExist if there is no such user or group.
func (p *Pool) AddToGroup(ctx context.Context, user, group string) error {
	return p.change(ctx, user, func(t *state.Tx, u *User) (bool, error) {
		return p.join(ctx, t, u.Sub, group)
	})
}

// RemoveFromGroup ends a user's membership of a group. Not to be a member is no
// error. Sessions go on, as with [Pool.AddToGroup].
func (p *Pool) RemoveFromGroup(ctx context.Context, user, group string) error {
	return p.change(ctx, user, func(t *state.Tx, u *User) (bool, error) {
		group, err := normalizeGroup(group)
		if err != nil {
			return false, errNoGroup(group)
		}
		if _, err := t.UserGroup(ctx, group); errors.Is(err, fs.ErrNotExist) {
			return false, errNoGroup(group)
		} else if err != nil {
			return false, err
		}
		if err := t.RemoveGroupMember(ctx, u.Sub, group); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		return true, nil
	})
}

// join makes a user a member of a group and reports whether they were not.
func (p *Pool) join(ctx context.Context, t *state.Tx, sub, group string) (bool, error) {
	group, err := normalizeGroup(group)
	if err != nil {
		return false, errNoGroup(group)
	}
	if _, err := t.UserGroup(ctx, group); errors.Is(err, fs.ErrNotExist) {
		return false, errNoGroup(group)
	} else if err != nil {
		return false, err
	}
	if err := t.AddGroupMember(ctx, sub, group); errors.Is(err, fs.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	groups, err := t.GroupsOfUser(ctx, sub)
	if err == nil && len(groups) > maxGroups {
		err = fail(LimitExceeded, fmt.Sprintf("A user is a member of at most %d groups.", maxGroups), nil)
	}
	return err == nil, err
}

func errNoGroup(name string) error {
	return fail(ResourceNotFound, fmt.Sprintf("There is no group %q.", name), fs.ErrNotExist)
}
