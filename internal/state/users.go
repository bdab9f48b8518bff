package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// User is a user of the built-in pool.
type User struct {
	Sub        string // made once, never changes, never reused
	Name       string // never reused
	Status     string
	Enabled    bool
	Dev        bool // made by dev mode
	Attributes map[string]string
	Salt       []byte // of SRP; nil for a user without a password
	Verifier   []byte // of SRP, sealed by the caller; nil for a user without a password
	Epoch      int64  // sessions with another number are over
	Created    time.Time
	Modified   time.Time
}

// UserFilter says which users [Tx.Users] returns. The zero value is all.
type UserFilter struct {
	After  string // only names greater than this one
	Prefix string // only names that begin with this
	Dev    bool   // only users made by dev mode
	Limit  int    // at most so many; 0 means no limit
}

// UserGroup is a group of users.
type UserGroup struct {
	Name        string
	Description string
	Precedence  *int // lower comes first, nil last
	Created     time.Time
	Modified    time.Time
}

const userColumns = `sub, name, status, enabled, dev, attributes, salt, verifier, epoch, created, modified`

// AddUser adds a user with a new sub and a name that nobody ever had. Epoch
// and the times of u are not looked at.
func (t *Tx) AddUser(ctx context.Context, u *User) error {
	attributes, err := json.Marshal(u.Attributes)
	if err != nil {
		return wrap("add user", u.Name, err)
	}
	if u.Attributes == nil {
		attributes = []byte("{}")
	}
	now := t.now.Unix()
	_, err = t.tx.ExecContext(ctx, `INSERT INTO user_names (name, sub, created) VALUES (?, ?, ?)`, u.Name, u.Sub, now)
	if err != nil {
		return wrap("add user", u.Name, err)
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO users (sub, name, status, enabled, dev, attributes, salt, verifier, created, modified)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		u.Sub, u.Name, u.Status, u.Enabled, u.Dev, string(attributes), u.Salt, u.Verifier, now, now)
	return wrap("add user", u.Name, err)
}

// User returns the user with that sub.
func (t *Tx) User(ctx context.Context, sub string) (*User, error) {
	u, err := scanUser(t.tx.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE sub = ?`, sub))
	return u, wrap("read user", sub, err)
}

// UserByName returns the user who has that name now.
func (t *Tx) UserByName(ctx context.Context, name string) (*User, error) {
	u, err := scanUser(t.tx.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE name = ?`, name))
	return u, wrap("read user", name, err)
}

// Users returns the users that the filter describes, ordered by name.
func (t *Tx) Users(ctx context.Context, f UserFilter) ([]*User, error) {
	limit := f.Limit
	if limit == 0 {
		limit = -1
	}
	rows, err := t.tx.QueryContext(ctx, `SELECT `+userColumns+` FROM users
		WHERE name > ? AND name >= ? AND substr(name, 1, length(?)) = ? AND dev >= ? ORDER BY name LIMIT ?`,
		f.After, f.Prefix, f.Prefix, f.Prefix, f.Dev, limit)
	users, err := collect(rows, err, scanUser)
	return users, wrap("list users", "", err)
}

// SetPassword gives a user another salt and verifier and the status that goes
// with them, and ends all their sessions.
func (t *Tx) SetPassword(ctx context.Context, sub, status string, salt, verifier []byte) error {
	return t.exec(ctx, "set password", sub,
		`UPDATE users SET status = ?, salt = ?, verifier = ?, epoch = epoch + 1, modified = ? WHERE sub = ?`,
		status, salt, verifier, t.now.Unix(), sub)
}

// SetUserEnabled allows a user to sign in, or forbids it and ends all their
// sessions.
func (t *Tx) SetUserEnabled(ctx context.Context, sub string, enabled bool) error {
	return t.exec(ctx, "enable user", sub,
		`UPDATE users SET enabled = ?, epoch = epoch + ?, modified = ? WHERE sub = ?`,
		enabled, !enabled, t.now.Unix(), sub)
}

// SetUserAttributes replaces all attributes of a user.
func (t *Tx) SetUserAttributes(ctx context.Context, sub string, attributes map[string]string) error {
	if attributes == nil {
		attributes = map[string]string{}
	}
	text, err := json.Marshal(attributes)
	if err != nil {
		return wrap("set attributes", sub, err)
	}
	return t.exec(ctx, "set attributes", sub, `UPDATE users SET attributes = ?, modified = ? WHERE sub = ?`,
		string(text), t.now.Unix(), sub)
}

// EndUserSessions ends all sessions of a user.
func (t *Tx) EndUserSessions(ctx context.Context, sub string) error {
	return t.exec(ctx, "end sessions", sub, `UPDATE users SET epoch = epoch + 1 WHERE sub = ?`, sub)
}

// DeleteUser removes a user with their sessions and memberships. The name
// stays taken.
func (t *Tx) DeleteUser(ctx context.Context, sub string) error {
	return t.exec(ctx, "delete user", sub, `DELETE FROM users WHERE sub = ?`, sub)
}

// AddUserGroup adds a group. The times of g are not looked at.
func (t *Tx) AddUserGroup(ctx context.Context, g *UserGroup) error {
	now := t.now.Unix()
	_, err := t.tx.ExecContext(ctx, `INSERT INTO user_groups (name, description, precedence, created, modified)
		VALUES (?, ?, ?, ?, ?)`, g.Name, g.Description, g.Precedence, now, now)
	return wrap("add group", g.Name, err)
}

// UserGroup returns the group of that name.
func (t *Tx) UserGroup(ctx context.Context, name string) (*UserGroup, error) {
	g, err := scanGroup(t.tx.QueryRowContext(ctx,
		`SELECT name, description, precedence, created, modified FROM user_groups WHERE name = ?`, name))
	return g, wrap("read group", name, err)
}

// UserGroups returns all groups, ordered by precedence and name.
func (t *Tx) UserGroups(ctx context.Context) ([]*UserGroup, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT name, description, precedence, created, modified
		FROM user_groups ORDER BY precedence IS NULL, precedence, name`)
	groups, err := collect(rows, err, scanGroup)
	return groups, wrap("list groups", "", err)
}

// GroupsOfUser returns the names of the groups that a user is a member of,
// ordered by precedence and name.
func (t *Tx) GroupsOfUser(ctx context.Context, sub string) ([]string, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT g.name FROM user_group_members m
		JOIN user_groups g ON g.name = m.group_name
		WHERE m.sub = ? ORDER BY g.precedence IS NULL, g.precedence, g.name`, sub)
	names, err := collect(rows, err, scanText)
	return names, wrap("list groups of user", sub, err)
}

// GroupMembers returns the subs of the members of a group, in order.
func (t *Tx) GroupMembers(ctx context.Context, group string) ([]string, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT sub FROM user_group_members WHERE group_name = ? ORDER BY sub`, group)
	subs, err := collect(rows, err, scanText)
	return subs, wrap("list members", group, err)
}

// DeleteUserGroup removes a group and all memberships of it.
func (t *Tx) DeleteUserGroup(ctx context.Context, name string) error {
	return t.exec(ctx, "delete group", name, `DELETE FROM user_groups WHERE name = ?`, name)
}

// AddGroupMember makes a user a member of a group. Both must be there. It wraps
// fs.ErrExist if the user is a member already.
func (t *Tx) AddGroupMember(ctx context.Context, sub, group string) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO user_group_members (sub, group_name, created) VALUES (?, ?, ?)`,
		sub, group, t.now.Unix())
	return wrap("add member", group, err)
}

// RemoveGroupMember ends a user's membership of a group. It wraps
// fs.ErrNotExist if there was none.
func (t *Tx) RemoveGroupMember(ctx context.Context, sub, group string) error {
	return t.exec(ctx, "remove member", group,
		`DELETE FROM user_group_members WHERE sub = ? AND group_name = ?`, sub, group)
}

// exec executes a statement that must change something.
func (t *Tx) exec(ctx context.Context, op, thing, statement string, args ...any) error {
	r, err := t.tx.ExecContext(ctx, statement, args...)
	return wrap(op, thing, one(r, err))
}

// scanner is a row, or rows at one of them.
type scanner interface{ Scan(dest ...any) error }

func scanUser(row scanner) (*User, error) {
	u := new(User)
	var attributes string
	var created, modified int64
	err := row.Scan(&u.Sub, &u.Name, &u.Status, &u.Enabled, &u.Dev, &attributes,
		&u.Salt, &u.Verifier, &u.Epoch, &created, &modified)
	if err != nil {
		return nil, err
	}
	u.Created, u.Modified = time.Unix(created, 0), time.Unix(modified, 0)
	return u, json.Unmarshal([]byte(attributes), &u.Attributes)
}

func scanGroup(row scanner) (*UserGroup, error) {
	g := new(UserGroup)
	var created, modified int64
	if err := row.Scan(&g.Name, &g.Description, &g.Precedence, &created, &modified); err != nil {
		return nil, err
	}
	g.Created, g.Modified = time.Unix(created, 0), time.Unix(modified, 0)
	return g, nil
}

func scanText(row scanner) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

// collect scans all rows and closes them.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
