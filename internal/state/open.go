// Package state is the SQL behind the identity pool and the user pool: which
// login is bound to which identity, the operator keys, the users, and the few
// settings that are made once and kept.
//
// [Open] opens the one file that holds it all and brings it up to date. Every
// question is a typed method: of [DB] where it stands alone, of [Tx] where
// several of them must be true together, inside [DB.View] or [DB.Update].
// No SQL and no row leaves the package.
//
// What Update has returned nil for is on the disk. Several processes may have
// the same file open: the server, and a command that adds a key.
//
// # Errors
//
// Every error is an [Error]. A thing that is not there wraps fs.ErrNotExist,
// a thing that is there already wraps fs.ErrExist.
package state

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer is the cause when a file was written by a later version of the
// program, whose meaning this one cannot know.
var ErrNewer = errors.New("made by a newer version of this program")

// Error tells which operation failed on which thing. Err is the cause.
type Error struct {
	Op    string // what was being done: "open", "add login"
	Thing string // what it was done to: a path, an id; may be empty
	Err   error
}

// Error returns the operation, the thing and the cause on one line.
func (e *Error) Error() string {
	if e.Thing == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Thing + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Options are the choices of [Open]. The zero value is the default.
type Options struct {
	Now func() time.Time // the clock that stamps new rows; nil means time.Now
}

// DB is an open state file. It is safe for concurrent use.
type DB struct {
	w   *sql.DB // the one connection that writes
	r   *sql.DB // connections that only read
	now func() time.Time
}

// Open opens the state file at path, makes it if it does not exist (readable
// by its owner alone), and applies the migrations that it lacks. A file that
// knows more migrations than this program is refused with [ErrNewer].
func Open(path string, opts *Options) (*DB, error) {
	if opts == nil {
		opts = new(Options)
	}
	db := &DB{now: opts.Now}
	if db.now == nil {
		db.now = time.Now
	}
	if err := db.open(path); err != nil {
		db.Close()
		return nil, &Error{Op: "open", Thing: path, Err: err}
	}
	return db, nil
}

func (db *DB) open(path string) error {
	// SQLite gives its side files the mode of the main file, so the mode of
	// all of them is set here, before SQLite sees the path.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	if db.w, err = sql.Open("sqlite", dsn(path, "_txlock=immediate")); err != nil {
		return err
	}
	db.w.SetMaxOpenConns(1)
	err = db.migrate(context.Background())
	// Who changes a file to WAL, or closes it as the last one, keeps others out
	// for a moment, and SQLite does not wait for that by itself.
	for late := time.Now().Add(busyMax); busy(err) && time.Now().Before(late); err = db.migrate(context.Background()) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	if db.r, err = sql.Open("sqlite", dsn(path, "_pragma=query_only(1)")); err != nil {
		return err
	}
	db.r.SetMaxOpenConns(5) // one of them a watch
	db.r.SetMaxIdleConns(2)
	db.r.SetConnMaxIdleTime(time.Minute)
	return nil
}

// busyMax is how long anything waits for others who have the file open.
const busyMax = 10 * time.Second

// busy reports whether others kept an operation out.
func busy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_BUSY // the rest says why
}

// dsn names the file at path with the settings that every connection has.
func dsn(path, more string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/x is /C:/x in a URL
	}
	u := url.URL{Scheme: "file", Path: path}
	// The timeout comes first, for it covers the change to WAL too.
	return u.String() + "?_pragma=busy_timeout(" + strconv.FormatInt(busyMax.Milliseconds(), 10) + ")&_pragma=journal_mode(WAL)" +
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=cache_size(-512)" +
		"&_pragma=journal_size_limit(4194304)&_pragma=trusted_schema(0)&" + more
}

// Close closes the file. Transactions must have ended.
func (db *DB) Close() error {
	var errs []error
	for _, c := range []*sql.DB{db.r, db.w} { // the writer last: it checkpoints
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Tx is a transaction: a view of the state in which nothing else happens.
// It may be used only inside the function it was given to, by one goroutine.
type Tx struct {
	tx  *sql.Tx
	now time.Time
}

// View calls fn with a transaction that only reads, and returns its error.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return db.run(ctx, db.r, fn)
}

// Update calls fn with a transaction that reads and writes; there is one at a
// time. If fn returns nil what it did is made durable, otherwise undone.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	return db.run(ctx, db.w, fn)
}

func (db *DB) run(ctx context.Context, c *sql.DB, fn func(*Tx) error) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return &Error{Op: "begin", Err: err}
	}
	defer tx.Rollback() // does nothing after a commit
	if err := fn(&Tx{tx: tx, now: db.now()}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &Error{Op: "commit", Err: err}
	}
	return nil
}

// migrate applies the migrations that the file lacks, each in a transaction.
func (db *DB) migrate(ctx context.Context) error {
	todo, err := steps(migrations)
	if err != nil {
		return err
	}
	have, err := db.version(ctx)
	if err != nil {
		return err
	}
	if have > len(todo) {
		return fmt.Errorf("migration %d: %w", have, ErrNewer)
	}
	for i := have; i < len(todo); i++ {
		if err := db.apply(ctx, i+1, todo[i]); err != nil {
			return fmt.Errorf("%s: %w", todo[i], err)
		}
	}
	return nil
}

// version returns the number of the last migration applied, 0 for a new file.
func (db *DB) version(ctx context.Context) (n int, err error) {
	err = db.w.QueryRowContext(ctx,
		`SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'`).Scan(&n)
	if err != nil || n == 0 {
		return 0, err
	}
	err = db.w.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) FROM migrations`).Scan(&n)
	return n, err
}

func (db *DB) apply(ctx context.Context, number int, name string) error {
	text, err := migrations.ReadFile("migrations/" + name)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *Tx) error {
		_, err := tx.tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (
			number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied INTEGER NOT NULL) STRICT`)
		if err != nil {
			return err
		}
		var n int // another process may have come first
		err = tx.tx.QueryRowContext(ctx, `SELECT count(*) FROM migrations WHERE number = ?`, number).Scan(&n)
		if err != nil || n > 0 {
			return err
		}
		if _, err := tx.tx.ExecContext(ctx, string(text)); err != nil {
			return err
		}
		_, err = tx.tx.ExecContext(ctx, `INSERT INTO migrations (number, name, applied) VALUES (?, ?, ?)`,
			number, name, tx.now.Unix())
		return err
	})
}

// steps returns the names of the migrations in order. They must be numbered
// 0001, 0002 and so on without a gap.
func steps(fsys fs.FS) ([]string, error) {
	names, err := fs.Glob(fsys, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, "migrations/")
		number, _, _ := strings.Cut(names[i], "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 || len(number) != 4 {
			return nil, fmt.Errorf("migration %s is out of order: want number %04d", names[i], i+1)
		}
	}
	return names, nil
}

// cause turns what the SQL layer says into the sentinels of io/fs.
func cause(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fs.ErrNotExist
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return fs.ErrExist
		}
	}
	return err
}

// wrap returns nil for nil, and otherwise an Error with the cause of err.
func wrap(op, thing string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Thing: thing, Err: cause(err)}
}
