package state

import (
	"context"
	"database/sql"
	"os"
)

// Integrity returns what SQLite finds wrong with the file, a line for each.
func (db *DB) Integrity(ctx context.Context) (found []string, err error) {
	defer func() { err = wrap("check", "", err) }()
	for _, pragma := range []string{"PRAGMA integrity_check(100)", "PRAGMA foreign_key_check"} {
		rows, err := db.r.QueryContext(ctx, pragma)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			line := "a row refers to one that is not there"
			if pragma == "PRAGMA integrity_check(100)" {
				err = rows.Scan(&line)
			} else {
				var table, parent string
				var row, key sql.NullInt64
				err = rows.Scan(&table, &row, &parent, &key)
				line = table + ": " + line + " in " + parent
			}
			if err != nil {
				rows.Close()
				return nil, err
			}
			if line != "ok" {
				found = append(found, line)
			}
		}
		if err := rows.Close(); err != nil {
			return nil, err
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Backup writes the state of one moment into a new file, which has it on the disk and
// is readable by its owner alone when Backup returns.
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	defer func() { err = wrap("back up", path, err) }()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	// SQLite fills an empty file that is there, and leaves its mode alone.
	if _, err := db.w.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return err
	}
	return f.Sync()
}
