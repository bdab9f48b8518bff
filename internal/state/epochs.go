package state

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Epoch tells what was revoked for one login.
type Epoch struct {
	Login     Login
	Count     uint64    // sessions sealed at a lower count have ended
	SignedOut time.Time // tokens issued before it are refused; zero if none are
	Seq       int64     // rises with every change of any epoch
}

// Epoch returns the epoch of a login. A login that was never revoked has the
// epoch with count 0.
func (t *Tx) Epoch(ctx context.Context, l Login) (Epoch, error) {
	e := Epoch{Login: l}
	var out int64
	err := t.tx.QueryRowContext(ctx, `SELECT epoch, signed_out, seq FROM epochs WHERE provider = ? AND subject = ?`,
		l.Provider, l.Subject).Scan(&e.Count, &out, &e.Seq)
	if errors.Is(err, sql.ErrNoRows) {
		return e, nil
	}
	e.SignedOut = unix(out)
	return e, wrap("find epoch", l.String(), err)
}

// Revoke ends the sessions of a login by raising its count. With signOut the
// tokens that were issued to it until now are refused as well.
func (t *Tx) Revoke(ctx context.Context, l Login, signOut bool) (Epoch, error) {
	seq, err := t.change(ctx, "epochs")
	if err != nil {
		return Epoch{}, wrap("revoke", l.String(), err)
	}
	var out int64
	if signOut {
		out = t.now.Unix()
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO epochs (provider, subject, epoch, changed, signed_out, seq)
		VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT (provider, subject) DO UPDATE SET epoch = epoch + 1,
		changed = excluded.changed, signed_out = max(signed_out, excluded.signed_out), seq = excluded.seq`,
		l.Provider, l.Subject, t.now.Unix(), out, seq)
	if err != nil {
		return Epoch{}, wrap("revoke", l.String(), err)
	}
	return t.Epoch(ctx, l)
}

// Epochs returns the epochs that were changed by a change after seq and not
// before the time since, in the order of their changes.
func (t *Tx) Epochs(ctx context.Context, seq int64, since time.Time) ([]Epoch, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT provider, subject, epoch, signed_out, seq FROM epochs
		WHERE seq > ? AND changed >= ? ORDER BY seq`, seq, since.Unix())
	if err != nil {
		return nil, wrap("list epochs", "", err)
	}
	defer rows.Close()
	var all []Epoch
	for rows.Next() {
		var e Epoch
		var out int64
		if err := rows.Scan(&e.Login.Provider, &e.Login.Subject, &e.Count, &out, &e.Seq); err != nil {
			return nil, wrap("list epochs", "", err)
		}
		e.SignedOut = unix(out)
		all = append(all, e)
	}
	return all, wrap("list epochs", "", rows.Err())
}

// unix returns the time of a column in which 0 stands for none.
func unix(sec int64) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return time.Unix(sec, 0)
}
