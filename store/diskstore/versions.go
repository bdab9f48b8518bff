package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// versionRow is the first byte of the rows of objects that have a place among
// versions, and of those of buckets that keep versions.
const versionRow = 2

// edition says which of the versions of its key an object is. The zero value is
// that of what was put before the bucket kept versions: the null version, which is
// older than all others.
type edition struct {
	id     store.VersionID
	null   bool // it is the null version
	marker bool // it is a delete marker
	older  bool // its row is in the space of older versions; this is not part of it
	trash  bool // its row is in the trash, and so with this
}

const (
	editionNull   = 1 << 0
	editionMarker = 1 << 1
)

func (e *edition) isNull() bool { return e.null || e.id.IsZero() }

func (e *encoder) edition(of *edition) {
	flags := byte(0)
	if of.isNull() {
		flags |= editionNull
	}
	if of.marker {
		flags |= editionMarker
	}
	e.b = append(append(e.b, flags), of.id[:]...)
}

func (d *decoder) edition() (e edition) {
	flags := d.byte()
	if flags&^(editionNull|editionMarker) != 0 || len(d.s) < len(e.id) {
		d.fail()
		return edition{}
	}
	d.s = d.s[copy(e.id[:], d.s):]
	e.null, e.marker = flags&editionNull != 0 || e.id.IsZero(), flags&editionMarker != 0
	return e
}

func (st *state) versioning() store.Versioning {
	if v := st.keeps.Load(); v != nil {
		return *v
	}
	return store.Unversioned
}

func (st *state) setVersioning(v store.Versioning) { st.keeps.Store(&v) }

// versionOf returns the id of a version of the bucket.
func (st *state) versionOf(e *edition) string {
	switch {
	case st.versioning() == store.Unversioned:
		return ""
	case e.isNull():
		return store.NullVersion
	}
	return e.id.String()
}

// row returns the key of the row that o is in.
func (st *state) row(o *object) []byte {
	if o.older {
		return versionKey(st.id, o.Key, o.id)
	}
	return objectKey(st.id, o.Key)
}

// versionsPrefix returns the start of the keys of the rows of older versions.
func versionsPrefix(b bucketID) []byte {
	row := uploadPrefix(b)
	row[0] = spaceVersion
	return row
}

// appendVersions goes on to the start of those of a key.
func appendVersions(prefix []byte, key string) []byte {
	return append(appendEscaped(prefix, key), 0, 1)
}

// appendInverted writes an id so that greater ones come first.
func appendInverted(row []byte, id store.VersionID) []byte {
	for _, b := range id {
		row = append(row, ^b)
	}
	return row
}

func versionKey(b bucketID, key string, id store.VersionID) []byte {
	return appendInverted(appendVersions(versionsPrefix(b), key), id)
}

// splitVersion is the reverse of versionKey, without the prefix.
func splitVersion(row []byte) (key string, id store.VersionID, ok bool) {
	n := len(row) - len(id) - 2
	if n < 0 || row[n] != 0 || row[n+1] != 1 {
		return "", id, false
	}
	for i, b := range row[n+2:] {
		id[i] = ^b
	}
	key, ok = unescape(row[:n])
	return key, id, ok
}

// nullKey returns the key of the row that says where the null version of a key is,
// if it is among the older ones.
func nullKey(b bucketID, key string) []byte {
	row := objectKey(b, key)
	row[0] = spaceNull
	return row
}

// viewAt is view of rows of one moment.
func viewAt(r pebble.Reader, key []byte, f func(row []byte) error) error {
	row, c, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return f(row)
}

// rowAt returns the object of a row, or nil if there is none.
func rowAt(r pebble.Reader, key string, row []byte, older bool) (o *object, err error) {
	err = viewAt(r, row, func(row []byte) (err error) {
		o, err = decodeObject(key, row)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		o.older = older
	}
	return o, err
}

// nullAt returns the null version of a key if it is among the older ones, or nil.
func nullAt(r pebble.Reader, st *state, key string) (*object, error) {
	var id store.VersionID
	err := viewAt(r, nullKey(st.id, key), func(row []byte) error {
		if copy(id[:], row) != len(row) || len(row) != len(id) {
			return fmt.Errorf("row of a null version: %w", errCorrupt)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := rowAt(r, key, versionKey(st.id, key, id), true)
	if err == nil && o == nil {
		err = fmt.Errorf("null version is missing: %w", errCorrupt)
	}
	return o, err
}

// olderAt returns the latest of the older versions of a key, but for the one with
// the id without, or nil if there is none.
func olderAt(r pebble.Reader, st *state, key string, without store.VersionID) (o *object, err error) {
	it, err := r.NewIter(within(appendVersions(versionsPrefix(st.id), key)))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.First(); ok && o == nil; ok = it.Next() {
		row, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		if o, err = decodeObject(key, row); err != nil {
			return nil, err
		}
		if o.older = true; o.id == without && !without.IsZero() {
			o = nil
		}
	}
	return o, it.Error()
}

// parseVersion reads the id of a version that is asked for. The error is
// fs.ErrInvalid for what cannot be one.
func parseVersion(version string) (id store.VersionID, err error) {
	if version == "" || version == store.NullVersion {
		return id, nil
	}
	if id, err = store.ParseVersionID(version); err == nil && id.IsZero() {
		err = store.ErrNoVersion
	}
	return id, err
}

// versionAt returns a version of a key, which may be a delete marker, or nil if
// there is none. Without a version that is the latest one.
func versionAt(r pebble.Reader, st *state, key, version string, id store.VersionID) (*object, error) {
	o, err := rowAt(r, key, objectKey(st.id, key), false)
	if err != nil {
		return nil, err
	}
	switch version {
	case "":
		if o == nil {
			return olderAt(r, st, key, store.VersionID{})
		}
		return o, nil
	case store.NullVersion:
		if o == nil || !o.isNull() {
			return nullAt(r, st, key)
		}
		return o, nil
	}
	if o == nil || o.id != id {
		o, err = rowAt(r, key, versionKey(st.id, key, id), true)
	}
	if o != nil && o.isNull() {
		o = nil
	}
	return o, err
}

// version returns the current object of a key, or the version that is named. The
// error is fs.ErrNotExist, ErrNoVersion, ErrMarker, or fs.ErrInvalid for what cannot
// be an id.
func (s *Store) version(st *state, key, version string) (*object, error) {
	id, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	versioning := st.versioning()
	if version == "" || versioning == store.Unversioned {
		o, err := s.object(st, key)
		switch {
		case err != nil:
			return nil, err
		case o != nil && (version == "" || version == store.NullVersion):
			o.Version = st.versionOf(&o.edition)
			return o, nil
		case version != "":
			return nil, store.ErrNoVersion
		case versioning == store.Unversioned:
			return nil, fs.ErrNotExist
		}
	}
	// A version moves from one row to another when it is overwritten or uncovered.
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	o, err := versionAt(snapshot, st, key, version, id)
	switch {
	case err != nil:
		return nil, err
	case o == nil && version == "":
		return nil, fs.ErrNotExist
	case o == nil:
		return nil, store.ErrNoVersion
	}
	o.Version = st.versionOf(&o.edition)
	if !o.marker {
		return o, nil
	}
	err = store.ErrMarker
	if version == "" {
		err = fs.ErrNotExist
	}
	return nil, &store.Error{Marker: o.Version, Err: err}
}

// again returns the version that o is as it is now, or nil if it is gone.
func (s *Store) again(st *state, o *object) (*object, error) {
	if o.trash {
		return s.trashed(st, o.Key, o.id)
	}
	now, err := s.object(st, o.Key)
	if err != nil || st.versioning() == store.Unversioned || now != nil && now.content == o.content {
		return now, err
	}
	version := store.NullVersion
	if !o.isNull() {
		version = o.id.String()
	}
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	return versionAt(snapshot, st, o.Key, version, o.id)
}

// What follows is called with the locks held, in a bucket that keeps versions.

// succeed gives o its place as the latest version of its key, and moves old, which
// is the current object or nil, among the older ones. The caller writes or deletes
// the row of the current object.
func (s *Store) succeed(c *change, st *state, o, old *object) error {
	latest := old
	if latest == nil {
		var err error
		if latest, err = olderAt(s.db, st, o.Key, store.VersionID{}); err != nil {
			return err
		}
	}
	var after store.VersionID
	if latest != nil {
		after = latest.id
	}
	o.id, o.null = store.NewVersionID(o.ModTime, after), st.versioning() == store.Suspended
	if o.null && (old == nil || !old.isNull()) {
		null, err := nullAt(s.db, st, o.Key)
		if err != nil {
			return err
		}
		if null != nil {
			c.replace(null)
			c.forget(st, null)
		}
	}
	switch {
	case old == nil:
	case o.null && old.isNull():
		c.replace(old)
	default:
		c.keep(st, old)
	}
	return nil
}

// keep writes the row of o as that of an older version or a delete marker.
func (c *change) keep(st *state, o *object) {
	if o.isNull() {
		c.set(nullKey(st.id, o.Key), o.id[:])
		o.null = true
	}
	c.set(versionKey(st.id, o.Key, o.id), o.encode())
}

// forget deletes the row of o, wherever it is.
func (c *change) forget(st *state, o *object) {
	c.delete(st.row(o))
	if o.older && o.isNull() {
		c.delete(nullKey(st.id, o.Key))
	}
}

// uncover makes the latest of the older versions the current object, but for the
// one with the id without, unless it is a delete marker. There is no current one.
func (s *Store) uncover(c *change, st *state, key string, without store.VersionID) error {
	o, err := olderAt(s.db, st, key, without)
	if err != nil || o == nil || o.marker {
		return err
	}
	c.forget(st, o)
	c.set(objectKey(st.id, key), o.encode())
	return nil
}

// cover hides the current object, which may be nil, behind a delete marker.
func (s *Store) cover(c *change, st *state, key string, old *object) (store.Deleted, error) {
	m := &object{Info: store.Info{Key: key, ModTime: s.now()}, edition: edition{marker: true}}
	if err := s.succeed(c, st, m, old); err != nil {
		return store.Deleted{}, err
	}
	if old != nil {
		c.delete(objectKey(st.id, key))
	}
	c.keep(st, m)
	return store.Deleted{Version: st.versionOf(&m.edition), Marker: true}, nil
}

// deleteVersion deletes a version for good, if it is there.
func (s *Store) deleteVersion(c *change, st *state, t store.Target, ifMatch []string) (store.Deleted, error) {
	d := store.Deleted{Version: t.Version}
	if st.versioning() == store.Unversioned {
		d.Version = ""
	}
	id, err := parseVersion(t.Version)
	var o *object
	if err == nil {
		o, err = versionAt(s.db, st, t.Key, t.Version, id)
	}
	if err != nil && !errors.Is(err, store.ErrNoVersion) {
		return d, err
	}
	there := o
	if o != nil && o.marker {
		there = nil
	}
	if err := checkWrite(ifMatch, nil, there); err != nil || o == nil {
		return d, err
	}
	d.Marker = o.marker
	var current *object
	if o.older {
		if current, err = s.object(st, t.Key); err != nil {
			return d, err
		}
	}
	c.replace(o)
	c.forget(st, o)
	if current == nil {
		without := o.id
		if !o.older {
			without = store.VersionID{}
		}
		err = s.uncover(c, st, t.Key, without)
	}
	return d, err
}

// Versioning implements [store.Bucket].
func (b *bucket) Versioning(ctx context.Context) (store.Versioning, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return "", b.fail("versioning", "", err)
	}
	defer b.s.running.Done()
	return st.versioning(), nil
}

// SetVersioning implements [store.Bucket].
func (b *bucket) SetVersioning(ctx context.Context, v store.Versioning) error {
	st, err := b.enter(ctx)
	if err != nil {
		return b.fail("set versioning", "", err)
	}
	defer b.s.running.Done()
	return b.fail("set versioning", "", b.s.setVersioning(st, v))
}

func (s *Store) setVersioning(st *state, v store.Versioning) error {
	if v != store.Enabled && v != store.Suspended {
		return fmt.Errorf("versioning %q: %w", string(v), fs.ErrInvalid)
	}
	if err := s.space.check(s, 0); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone {
		return store.ErrNoBucket
	}
	if st.versioning() == v {
		return nil
	}
	c := s.begin()
	defer c.close()
	c.set(bucketKey(st.name), encodeBucket(st, v))
	if err := c.commit(); err != nil {
		return err
	}
	st.setVersioning(v)
	return nil
}
