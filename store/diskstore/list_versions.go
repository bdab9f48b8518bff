package diskstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// ListVersions implements [store.Bucket].
func (b *bucket) ListVersions(ctx context.Context, opts *store.ListVersionsOptions) (*store.VersionsPage, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("list versions", "", err)
	}
	defer b.s.running.Done()
	page, err := b.s.listVersions(ctx, st, opts)
	return page, b.fail("list versions", "", err)
}

func (s *Store) listVersions(ctx context.Context, st *state, opts *store.ListVersionsOptions) (*store.VersionsPage, error) {
	prefix := ""
	if opts != nil {
		prefix = opts.Prefix
	}
	c, err := s.versions(ctx, st, prefix)
	if err != nil {
		return nil, err
	}
	page, err := store.ListVersionsCursor(c, opts)
	if err := errors.Join(err, c.close()); err != nil {
		return nil, err
	}
	return page, nil
}

// versionCursor walks over the rows of the current objects of a bucket and those
// of older versions, at one moment.
type versionCursor struct {
	snapshot *pebble.Snapshot
	current  cursor
	older    olderCursor
	st       *state
	// Which of the two stand somewhere, and whether it is the current object that
	// the whole stands on.
	hasCurrent, hasOlder, onCurrent bool
	latest                          bool // the whole stands on the latest version of a key
	err                             error
}

// versions returns a cursor over the versions of keys with the prefix. The caller
// closes it.
func (s *Store) versions(ctx context.Context, st *state, prefix string) (*versionCursor, error) {
	c := &versionCursor{snapshot: s.db.NewSnapshot(), st: st}
	current, err := c.snapshot.NewIter(within(objectKey(st.id, prefix)))
	if err != nil {
		return nil, errors.Join(err, c.snapshot.Close())
	}
	at := versionsPrefix(st.id)
	head := len(at)
	at = appendEscaped(at, prefix)
	older, err := c.snapshot.NewIter(within(slices.Clone(at)))
	if err != nil {
		return nil, errors.Join(err, current.Close(), c.snapshot.Close())
	}
	c.current = cursor{walk: walk{ctx: ctx, it: current}, st: st, at: objectKey(st.id, "")}
	c.older = olderCursor{walk: walk{ctx: ctx, it: older}, at: at, head: head}
	return c, nil
}

func (c *versionCursor) close() error {
	return errors.Join(c.current.it.Close(), c.older.it.Close(), c.snapshot.Close())
}

// stand finds out where the whole stands. Before that it stood on a version of the
// key before.
func (c *versionCursor) stand(before string) bool {
	switch {
	case c.Err() != nil || !c.hasCurrent && !c.hasOlder:
		return false
	case !c.hasOlder:
		c.onCurrent = true
	default:
		c.onCurrent = c.hasCurrent && c.current.key <= c.older.key
	}
	c.latest = c.onCurrent || c.older.key != before
	return true
}

// Seek implements [store.VersionCursor].
func (c *versionCursor) Seek(key string) bool {
	c.hasCurrent, c.hasOlder = c.current.Seek(key), c.older.seek(key)
	return c.stand("")
}

// SeekAfter implements [store.VersionCursor].
func (c *versionCursor) SeekAfter(key, place string) bool {
	id, ok := c.place(key, place)
	if !ok {
		return c.Err() == nil && c.Seek(key)
	}
	if !c.Seek(key) {
		return false
	}
	// What was the latest may be gone, so that an older one is the latest now.
	before := ""
	if c.hasCurrent && c.current.key == key {
		e, err := c.current.edition()
		if err != nil {
			c.err = err
			return false
		}
		if slices.Compare(e.id[:], id[:]) >= 0 {
			before = key
			c.hasCurrent = c.current.Next()
		}
	}
	if c.hasOlder && c.older.key == key && slices.Compare(c.older.id[:], id[:]) >= 0 {
		before = key
		c.hasOlder = c.older.seekAfter(key, id)
	}
	return c.stand(before)
}

// place reads a place among the versions of a key. It is false if there is none,
// or on an error.
func (c *versionCursor) place(key, place string) (id store.VersionID, ok bool) {
	if place != store.NullVersion {
		id, c.err = store.ParseVersionID(place)
		if errors.Is(c.err, store.ErrNoVersion) {
			c.err = nil
			return id, false
		}
		return id, c.err == nil
	}
	o, err := versionAt(c.snapshot, c.st, key, place, id)
	if err != nil || o == nil {
		c.err = err
		return id, false
	}
	return o.id, true
}

// Next implements [store.VersionCursor].
func (c *versionCursor) Next() bool {
	before := c.Key()
	if c.onCurrent {
		c.hasCurrent = c.current.Next()
	} else {
		c.hasOlder = c.older.next()
	}
	return c.stand(before)
}

// Key implements [store.VersionCursor].
func (c *versionCursor) Key() string {
	if c.onCurrent {
		return c.current.key
	}
	return c.older.key
}

// Place implements [store.VersionCursor].
func (c *versionCursor) Place() string {
	id := c.older.id
	if c.onCurrent {
		e, err := c.current.edition()
		if err != nil {
			c.err = err
		}
		id = e.id
	}
	return id.String()
}

// Version implements [store.VersionCursor].
func (c *versionCursor) Version() (store.Version, error) {
	it := c.older.it
	if c.onCurrent {
		it = c.current.it
	}
	row, err := it.ValueAndErr()
	if err != nil {
		return store.Version{}, err
	}
	v := store.Version{Latest: c.latest}
	v.Key = c.Key()
	e, err := readHead(row, &v.Info)
	v.IsMarker = e.marker
	if v.Info.Version = c.st.versionOf(&e); v.Info.Version == "" {
		v.Info.Version = store.NullVersion
	}
	return v, err
}

// Err implements [store.VersionCursor].
func (c *versionCursor) Err() error {
	return errors.Join(c.err, c.current.Err(), c.older.Err())
}

// edition returns that of the object that c stands on.
func (c *cursor) edition() (edition, error) {
	row, err := c.it.ValueAndErr()
	if err != nil {
		return edition{}, err
	}
	d, e := readObject(row[:min(len(row), headSize)])
	if d.bad {
		return e, fmt.Errorf("row of an object: %w", errCorrupt)
	}
	return e, nil
}

// olderCursor walks over the rows of the older versions of a bucket.
type olderCursor struct {
	walk
	at   []byte // as in cursor
	head int    // how much of it all keys of the rows start with
	key  string // that the cursor stands on
	id   store.VersionID
}

func (c *olderCursor) seek(key string) bool {
	c.at = appendEscaped(c.at[:c.head], key)
	return c.alive() && c.stand(c.it.SeekGE(c.at))
}

// seekAfter moves to the first version after the one of key with this id.
func (c *olderCursor) seekAfter(key string, id store.VersionID) bool {
	c.at = append(appendInverted(appendVersions(c.at[:c.head], key), id), 0)
	return c.alive() && c.stand(c.it.SeekGE(c.at))
}

func (c *olderCursor) next() bool { return c.alive() && c.stand(c.it.Next()) }

func (c *olderCursor) stand(ok bool) bool {
	if !ok {
		return false
	}
	if c.key, c.id, ok = splitVersion(c.it.Key()[c.head:]); !ok {
		c.err = fmt.Errorf("key of a version: %w", errCorrupt)
	}
	return ok
}
