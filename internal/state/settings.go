package state

import "context"

// Setting returns the value kept under a name.
// If there is none the error wraps fs.ErrNotExist.
func (t *Tx) Setting(ctx context.Context, name string) (value []byte, err error) {
	err = t.tx.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = ?`, name).Scan(&value)
	return value, wrap("read setting", name, err)
}

// SetSetting keeps a value under a name, in place of any that was there.
func (t *Tx) SetSetting(ctx context.Context, name string, value []byte) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return wrap("keep setting", name, err)
}

// Setting returns the value kept under a name, as [Tx.Setting] does.
func (db *DB) Setting(ctx context.Context, name string) (value []byte, err error) {
	err = db.View(ctx, func(t *Tx) error {
		value, err = t.Setting(ctx, name)
		return err
	})
	return value, err
}

// Keep keeps a value under a name if nothing is kept there yet, and returns
// what is kept: the value itself, or what somebody kept before.
func (db *DB) Keep(ctx context.Context, name string, value []byte) (kept []byte, err error) {
	err = db.Update(ctx, func(t *Tx) error {
		_, err := t.tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?, ?)
			ON CONFLICT (name) DO NOTHING`, name, value)
		if err != nil {
			return wrap("keep setting", name, err)
		}
		kept, err = t.Setting(ctx, name)
		return err
	})
	return kept, err
}
