package state

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// UserSession is one sign-in of a user of the built-in pool.
type UserSession struct {
	ID       string // the origin_jti of all its tokens
	Sub      string
	Client   string
	Epoch    int64 // the user's when the session began
	AuthTime time.Time
	Expires  time.Time
	Revoked  bool
}

// RefreshToken is what is kept of a refresh token.
type RefreshToken struct {
	ID       string
	Session  string
	Hash     []byte
	Expires  time.Time
	Replaced bool // a newer one of the session took its place
}

// UserKey is a key of the user directory, sealed by the caller.
type UserKey struct {
	ID      string
	Purpose string
	Sealed  []byte
	Created time.Time
	Retired bool // makes nothing new
}

// Failures counts the failed sign-ins under one name.
type Failures struct {
	Count int
	Last  time.Time
	Until time.Time // no attempt is looked at before this
}

// AddUserSession adds a session with its first refresh token. It forgets the
// sessions of the user that have expired for more than a day, and a few of
// others. Of the rest it keeps so many that the user has at most limit: first
// those that have not ended, of these the newest.
func (t *Tx) AddUserSession(ctx context.Context, s *UserSession, r *RefreshToken, limit int) error {
	old := t.now.Add(-24 * time.Hour).Unix()
	_, err := t.tx.ExecContext(ctx, `DELETE FROM user_sessions WHERE sub = ? AND expires < ? OR id IN
		(SELECT id FROM user_sessions WHERE expires < ? ORDER BY expires LIMIT 16)`, s.Sub, old, old)
	if err != nil {
		return wrap("forget sessions", "", err)
	}
	_, err = t.tx.ExecContext(ctx, `DELETE FROM user_sessions WHERE id IN
		(SELECT id FROM user_sessions WHERE sub = ?
		ORDER BY revoked IS NULL AND epoch = ? AND expires > ? DESC, auth_time DESC, id LIMIT -1 OFFSET ?)`,
		s.Sub, s.Epoch, t.now.Unix(), limit-1)
	if err != nil {
		return wrap("forget sessions of", s.Sub, err)
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO user_sessions (id, sub, client, epoch, auth_time, expires)
		VALUES (?, ?, ?, ?, ?, ?)`, s.ID, s.Sub, s.Client, s.Epoch, s.AuthTime.Unix(), s.Expires.Unix())
	if err != nil {
		return wrap("add session", s.ID, err)
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO user_refresh_tokens (id, session, hash, created, expires)
		VALUES (?, ?, ?, ?, ?)`, r.ID, s.ID, r.Hash, t.now.Unix(), r.Expires.Unix())
	return wrap("add refresh token", r.ID, err)
}

// UserSession returns the session with that id, whether it is good or not.
func (t *Tx) UserSession(ctx context.Context, id string) (*UserSession, error) {
	s := new(UserSession)
	var authTime, expires int64
	err := t.tx.QueryRowContext(ctx, `SELECT id, sub, client, epoch, auth_time, expires, revoked IS NOT NULL
		FROM user_sessions WHERE id = ?`, id).Scan(&s.ID, &s.Sub, &s.Client, &s.Epoch, &authTime, &expires, &s.Revoked)
	if err != nil {
		return nil, wrap("read session", id, err)
	}
	s.AuthTime, s.Expires = time.Unix(authTime, 0), time.Unix(expires, 0)
	return s, nil
}

// RevokeUserSession ends a session. To end one that is over is no error.
func (t *Tx) RevokeUserSession(ctx context.Context, id string) error {
	_, err := t.tx.ExecContext(ctx, `UPDATE user_sessions SET revoked = ? WHERE id = ? AND revoked IS NULL`,
		t.now.Unix(), id)
	return wrap("revoke session", id, err)
}

// RefreshToken returns what is kept of the refresh token with that id.
func (t *Tx) RefreshToken(ctx context.Context, id string) (*RefreshToken, error) {
	r := new(RefreshToken)
	var expires int64
	err := t.tx.QueryRowContext(ctx, `SELECT id, session, hash, expires, replaced IS NOT NULL
		FROM user_refresh_tokens WHERE id = ?`, id).Scan(&r.ID, &r.Session, &r.Hash, &expires, &r.Replaced)
	if err != nil {
		return nil, wrap("read refresh token", id, err)
	}
	r.Expires = time.Unix(expires, 0)
	return r, nil
}

// UserKeys returns the keys for a purpose, the newest first.
func (t *Tx) UserKeys(ctx context.Context, purpose string) ([]*UserKey, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT id, purpose, sealed, created, retired IS NOT NULL
		FROM user_keys WHERE purpose = ? ORDER BY created DESC, id`, purpose)
	keys, err := collect(rows, err, func(row scanner) (*UserKey, error) {
		k := new(UserKey)
		var created int64
		err := row.Scan(&k.ID, &k.Purpose, &k.Sealed, &created, &k.Retired)
		k.Created = time.Unix(created, 0)
		return k, err
	})
	return keys, wrap("list keys", purpose, err)
}

// AddUserKey adds a key. The times of k are not looked at.
func (t *Tx) AddUserKey(ctx context.Context, k *UserKey) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO user_keys (id, purpose, sealed, created) VALUES (?, ?, ?, ?)`,
		k.ID, k.Purpose, k.Sealed, t.now.Unix())
	return wrap("add key", k.ID, err)
}

// RetireUserKey marks a key as one that makes nothing new.
func (t *Tx) RetireUserKey(ctx context.Context, id string) error {
	return t.exec(ctx, "retire key", id, `UPDATE user_keys SET retired = coalesce(retired, ?) WHERE id = ?`, t.now.Unix(), id)
}

// Failures returns how often sign-in failed under a name, zero if it did not.
func (t *Tx) Failures(ctx context.Context, who []byte) (Failures, error) {
	var f Failures
	var last, until int64
	err := t.tx.QueryRowContext(ctx, `SELECT count, last, until FROM user_failures WHERE who = ?`, who).
		Scan(&f.Count, &last, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return Failures{}, nil
	}
	f.Last, f.Until = time.Unix(last, 0), time.Unix(until, 0)
	return f, wrap("read failures", "", err)
}

// SetFailures keeps f for a name, and forgets names whose last failure was
// before old. Of all names it keeps at most limit, those with the most
// failures.
func (t *Tx) SetFailures(ctx context.Context, who []byte, f Failures, old time.Time, limit int) error {
	_, err := t.tx.ExecContext(ctx, `DELETE FROM user_failures WHERE who IN
		(SELECT who FROM user_failures WHERE last < ? ORDER BY last LIMIT 64)`, old.Unix())
	if err != nil {
		return wrap("forget failures", "", err)
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO user_failures (who, count, last, until) VALUES (?, ?, ?, ?)
		ON CONFLICT (who) DO UPDATE SET count = excluded.count, last = excluded.last, until = excluded.until`,
		who, f.Count, f.Last.Unix(), f.Until.Unix())
	if err != nil {
		return wrap("keep failures", "", err)
	}
	var n int
	if err := t.tx.QueryRowContext(ctx, `SELECT count(*) FROM user_failures`).Scan(&n); err != nil {
		return wrap("count failures", "", err)
	}
	if n <= limit {
		return nil
	}
	// Some more than must be, so that a flood of names pays for many guesses
	// at one before that one is forgotten.
	_, err = t.tx.ExecContext(ctx, `DELETE FROM user_failures WHERE who IN
		(SELECT who FROM user_failures WHERE who <> ? ORDER BY count, last LIMIT ?)`, who, n-limit+limit/16)
	return wrap("forget failures", "", err)
}

// ForgetFailures forgets the failures under a name.
func (t *Tx) ForgetFailures(ctx context.Context, who []byte) error {
	_, err := t.tx.ExecContext(ctx, `DELETE FROM user_failures WHERE who = ?`, who)
	return wrap("forget failures", "", err)
}
