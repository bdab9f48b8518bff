package state

import (
	"context"
	"database/sql"
	"io/fs"
	"time"
)

// Login is how a provider knows somebody: the provider's id and the subject.
type Login struct {
	Provider string
	Subject  string
}

// String returns the provider and the subject with a space between.
func (l Login) String() string { return l.Provider + " " + l.Subject }

// Identity is an identity that has, or had, a login. Guests are not stored.
type Identity struct {
	ID         string
	Created    time.Time
	Disabled   bool   // an operator has shut it out
	MergedInto string // the identity that took its place; "" if it lives
}

// Identity returns the stored identity with that id.
// If there is none, which is so for every guest, the error wraps fs.ErrNotExist.
func (t *Tx) Identity(ctx context.Context, id string) (*Identity, error) {
	v := &Identity{ID: id}
	var created int64
	var into sql.NullString
	err := t.tx.QueryRowContext(ctx, `SELECT created, disabled, merged_into FROM identities WHERE id = ?`, id).
		Scan(&created, &v.Disabled, &into)
	if err != nil {
		return nil, wrap("find identity", id, err)
	}
	v.Created, v.MergedInto = time.Unix(created, 0), into.String
	return v, nil
}

// AddIdentity stores a new identity.
// If the id is known, living or retired, the error wraps fs.ErrExist.
func (t *Tx) AddIdentity(ctx context.Context, id string) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO identities (id, created) VALUES (?, ?)`, id, t.now.Unix())
	return wrap("add identity", id, err)
}

// DisableIdentity shuts an identity out, or lets it in again.
func (t *Tx) DisableIdentity(ctx context.Context, id string, disabled bool) error {
	r, err := t.tx.ExecContext(ctx, `UPDATE identities SET disabled = ? WHERE id = ?`, disabled, id)
	return wrap("disable identity", id, one(r, err))
}

// Retire marks id as merged into another stored identity, for ever. The id
// itself need not have been stored. Its logins, if any, must be moved apart.
func (t *Tx) Retire(ctx context.Context, id, into string) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO identities (id, created, merged_into) VALUES (?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET merged_into = excluded.merged_into`, id, t.now.Unix(), into)
	return wrap("retire identity", id, err)
}

// IdentityOf returns the id of the identity that a login is bound to.
// If it is bound to none the error wraps fs.ErrNotExist.
func (t *Tx) IdentityOf(ctx context.Context, l Login) (string, error) {
	var id string
	err := t.tx.QueryRowContext(ctx, `SELECT identity FROM logins WHERE provider = ? AND subject = ?`,
		l.Provider, l.Subject).Scan(&id)
	return id, wrap("find login", l.String(), err)
}

// Logins returns the logins bound to an identity, ordered by provider.
func (t *Tx) Logins(ctx context.Context, identity string) ([]Login, error) {
	rows, err := t.tx.QueryContext(ctx,
		`SELECT provider, subject FROM logins WHERE identity = ? ORDER BY provider`, identity)
	if err != nil {
		return nil, wrap("list logins", identity, err)
	}
	defer rows.Close()
	var all []Login
	for rows.Next() {
		var l Login
		if err := rows.Scan(&l.Provider, &l.Subject); err != nil {
			return nil, wrap("list logins", identity, err)
		}
		all = append(all, l)
	}
	return all, wrap("list logins", identity, rows.Err())
}

// AddLogin binds a login to a stored identity. The error wraps fs.ErrExist if
// the login is bound already, or if the identity has a login of that provider.
func (t *Tx) AddLogin(ctx context.Context, identity string, l Login) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO logins (provider, subject, identity, created) VALUES (?, ?, ?, ?)`,
		l.Provider, l.Subject, identity, t.now.Unix())
	return wrap("add login", l.String(), err)
}

// MoveLogins binds all logins of one identity to another. The error wraps
// fs.ErrExist if both have a login of the same provider.
func (t *Tx) MoveLogins(ctx context.Context, from, to string) error {
	_, err := t.tx.ExecContext(ctx, `UPDATE logins SET identity = ? WHERE identity = ?`, to, from)
	return wrap("move logins of", from, err)
}

// one returns fs.ErrNotExist if a statement that had no error changed nothing.
func one(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return fs.ErrNotExist
}
