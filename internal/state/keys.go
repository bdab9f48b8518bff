package state

import (
	"context"
	"database/sql"
	"time"
)

// AccessKey is a long-lived access key. Its secret is sealed by the caller.
type AccessKey struct {
	ID       string
	Name     string
	Function string // whose key it is; "" for an operator's
	Sealed   []byte
	Created  time.Time
	Revoked  time.Time // zero if it was not revoked
}

// AddAccessKey stores a new key; its times are set here.
// If the id is taken the error wraps fs.ErrExist.
func (t *Tx) AddAccessKey(ctx context.Context, k *AccessKey) error {
	if _, err := t.change(ctx, "operator_keys"); err != nil {
		return wrap("add access key", k.ID, err)
	}
	_, err := t.tx.ExecContext(ctx, `INSERT INTO operator_keys (id, name, function, sealed, created) VALUES (?, ?, ?, ?, ?)`,
		k.ID, k.Name, k.Function, k.Sealed, t.now.Unix())
	return wrap("add access key", k.ID, err)
}

// AccessKeys returns all keys, revoked ones too, the oldest first.
func (t *Tx) AccessKeys(ctx context.Context) ([]AccessKey, error) {
	rows, err := t.tx.QueryContext(ctx,
		`SELECT id, name, function, sealed, created, coalesce(revoked, 0) FROM operator_keys ORDER BY created, id`)
	if err != nil {
		return nil, wrap("list access keys", "", err)
	}
	defer rows.Close()
	var all []AccessKey
	for rows.Next() {
		var k AccessKey
		var created, revoked int64
		if err := rows.Scan(&k.ID, &k.Name, &k.Function, &k.Sealed, &created, &revoked); err != nil {
			return nil, wrap("list access keys", "", err)
		}
		k.Created, k.Revoked = time.Unix(created, 0), unix(revoked)
		all = append(all, k)
	}
	return all, wrap("list access keys", "", rows.Err())
}

// RevokeAccessKey revokes a key for ever. Revoking it again changes nothing.
// If there is no such key the error wraps fs.ErrNotExist.
func (t *Tx) RevokeAccessKey(ctx context.Context, id string) error {
	if _, err := t.change(ctx, "operator_keys"); err != nil {
		return wrap("revoke access key", id, err)
	}
	r, err := t.tx.ExecContext(ctx, `UPDATE operator_keys SET revoked = coalesce(revoked, ?) WHERE id = ?`,
		t.now.Unix(), id)
	return wrap("revoke access key", id, one(r, err))
}

// ResealAccessKey replaces the sealed secret of a key by another seal of it.
func (t *Tx) ResealAccessKey(ctx context.Context, id string, sealed []byte) error {
	r, err := t.tx.ExecContext(ctx, `UPDATE operator_keys SET sealed = ? WHERE id = ?`, sealed, id)
	return wrap("reseal access key", id, one(r, err))
}

// Changes holds the number of the last change of each thing that a program
// may hold in memory.
type Changes struct {
	Epochs     int64
	AccessKeys int64
}

// Changes returns the numbers of the last changes.
func (t *Tx) Changes(ctx context.Context) (Changes, error) {
	var c Changes
	err := t.tx.QueryRowContext(ctx, `SELECT
		(SELECT seq FROM changes WHERE topic = 'epochs'),
		(SELECT seq FROM changes WHERE topic = 'operator_keys')`).Scan(&c.Epochs, &c.AccessKeys)
	return c, wrap("read changes", "", err)
}

func (t *Tx) change(ctx context.Context, topic string) (seq int64, err error) {
	err = t.tx.QueryRowContext(ctx, `UPDATE changes SET seq = seq + 1 WHERE topic = ? RETURNING seq`, topic).Scan(&seq)
	return seq, err
}

// A Watch tells whether anybody has changed the file. It is for one goroutine
// at a time.
type Watch struct {
	c *sql.Conn
}

// Watch returns a new watch on the file, which the caller closes before db.
func (db *DB) Watch(ctx context.Context) (*Watch, error) {
	c, err := db.r.Conn(ctx)
	if err != nil {
		return nil, wrap("watch", "", err)
	}
	return &Watch{c}, nil
}

// Version returns a number that differs from the last one that this watch
// returned if the file was changed since, by this process or another one. It
// is cheap. Numbers of different watches mean nothing to each other.
func (w *Watch) Version(ctx context.Context) (n int64, err error) {
	err = w.c.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&n)
	return n, wrap("read version", "", err)
}

// Close ends the watch.
func (w *Watch) Close() error { return w.c.Close() }
