package memstore

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// Versioning implements store.Bucket.
func (b *Bucket) Versioning(ctx context.Context) (store.Versioning, error) {
	if err := b.rlock(ctx); err != nil {
		return "", b.fail("versioning", "", err)
	}
	defer b.mu.RUnlock()
	return b.versioning, nil
}

// SetVersioning implements store.Bucket.
func (b *Bucket) SetVersioning(ctx context.Context, v store.Versioning) error {
	if v != store.Enabled && v != store.Suspended {
		return b.fail("set versioning", "", fmt.Errorf("versioning %q: %w", string(v), fs.ErrInvalid))
	}
	if err := b.lock(ctx); err != nil {
		return b.fail("set versioning", "", err)
	}
	defer b.mu.Unlock()
	b.versioning = v
	return nil
}

// What follows is called with the lock held.

// versionOf returns the id of the version that o is.
func (b *Bucket) versionOf(o *object) string {
	switch {
	case b.versioning == store.Unversioned:
		return ""
	case o.null:
		return store.NullVersion
	}
	return o.id.String()
}

// add makes o the current object of its key.
func (b *Bucket) add(o *object) *store.Info {
	o.id, o.null, o.marker = store.VersionID{}, true, false
	if b.versioning != store.Unversioned {
		b.succeed(o)
	}
	b.set(o)
	return b.info(o)
}

// succeed gives o its place as the latest version of its key, and moves that which
// was the current one among the older.
func (b *Bucket) succeed(o *object) {
	var after store.VersionID
	old := b.objects[o.Key]
	switch older := b.older[o.Key]; {
	case old != nil:
		after = old.id
	case len(older) > 0:
		after = older[0].id
	}
	o.id, o.null = store.NewVersionID(o.ModTime, after), b.versioning == store.Suspended
	if o.null {
		b.dropOlder(o.Key, func(v *object) bool { return v.null })
	}
	if old != nil {
		b.unset(o.Key)
		if !o.null || !old.null {
			b.push(old)
		}
	}
}

// push makes o the latest of the older versions of its key.
func (b *Bucket) push(o *object) {
	if b.older == nil {
		b.older = make(map[string][]*object)
	}
	b.older[o.Key] = slices.Insert(b.older[o.Key], 0, o)
}

// dropOlder removes the older versions of key that are so.
func (b *Bucket) dropOlder(key string, so func(*object) bool) {
	if older := slices.DeleteFunc(b.older[key], so); len(older) > 0 {
		b.older[key] = older
	} else {
		delete(b.older, key)
	}
}

// version returns the current object of key, or the version or delete marker that
// is named. The error is fs.ErrInvalid for what cannot be an id, ErrNoVersion, or
// fs.ErrNotExist where none is named.
func (b *Bucket) version(key, version string) (*object, error) {
	o := b.objects[key]
	var is func(*object) bool
	switch version {
	case "":
		if o == nil {
			return nil, fs.ErrNotExist
		}
		return o, nil
	case store.NullVersion:
		is = func(v *object) bool { return v.null }
	default:
		id, err := store.ParseVersionID(version)
		if err != nil {
			return nil, err
		}
		is = func(v *object) bool { return !v.null && v.id == id }
	}
	if o != nil && is(o) {
		return o, nil
	}
	if i := slices.IndexFunc(b.older[key], is); i >= 0 {
		return b.older[key][i], nil
	}
	return nil, store.ErrNoVersion
}

// readable is version for who wants an object, which a delete marker is not.
func (b *Bucket) readable(key, version string) (*object, error) {
	o, err := b.version(key, version)
	older := b.older[key]
	switch {
	case version == "" && o == nil && len(older) > 0:
		return nil, &store.Error{Marker: b.versionOf(older[0]), Err: err}
	case err == nil && o.marker:
		return nil, &store.Error{Marker: b.versionOf(o), Err: store.ErrMarker}
	}
	return o, err
}

// remove deletes what Delete is to delete.
func (b *Bucket) remove(key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	if opts.Version != "" {
		return b.removeVersion(key, opts)
	}
	if err := store.CheckWrite(opts.IfMatch, nil, b.current(key)); err != nil {
		return nil, err
	}
	if b.versioning == store.Unversioned {
		b.unset(key)
		return new(store.Deleted), nil
	}
	m := &object{Info: store.Info{Key: key, ModTime: time.Now()}, marker: true}
	b.succeed(m)
	b.push(m)
	return &store.Deleted{Version: b.versionOf(m), Marker: true}, nil
}

// removeVersion deletes one version for good. The next older one becomes the
// current one, if it was that.
func (b *Bucket) removeVersion(key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	o, err := b.version(key, opts.Version)
	if o == nil && err != store.ErrNoVersion {
		return nil, err
	}
	var info *store.Info
	if o != nil && !o.marker {
		info = &o.Info
	}
	if err := store.CheckWrite(opts.IfMatch, nil, info); err != nil {
		return nil, err
	}
	d := &store.Deleted{Version: opts.Version}
	if b.versioning == store.Unversioned {
		d.Version = ""
	}
	if o == nil {
		return d, nil
	}
	d.Marker = o.marker
	if b.objects[key] == o {
		b.unset(key)
	} else {
		b.dropOlder(key, func(v *object) bool { return v == o })
	}
	if older := b.older[key]; b.objects[key] == nil && len(older) > 0 && !older[0].marker {
		next := older[0]
		b.set(next)
		b.dropOlder(key, func(v *object) bool { return v == next })
	}
	return d, nil
}

// exchange puts o, which is old with other tags, in its place.
func (b *Bucket) exchange(old, o *object) {
	if b.objects[o.Key] == old {
		b.objects[o.Key] = o
		return
	}
	b.older[o.Key][slices.Index(b.older[o.Key], old)] = o
}

// ListVersions implements store.Bucket.
func (b *Bucket) ListVersions(ctx context.Context, opts *store.ListVersionsOptions) (*store.VersionsPage, error) {
	if err := b.rlock(ctx); err != nil {
		return nil, b.fail("list versions", "", err)
	}
	defer b.mu.RUnlock()
	all := maps.Clone(b.older)
	if all == nil {
		all = make(map[string][]*object)
	}
	for key, o := range b.objects {
		all[key] = append([]*object{o}, all[key]...)
	}
	c := &versionCursor{b: b}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		c.versions = append(c.versions, all[key]...)
	}
	page, err := store.ListVersionsCursor(c, opts)
	return page, b.fail("list versions", "", err)
}

// versionCursor walks over versions, which are in order.
type versionCursor struct {
	b        *Bucket
	versions []*object
	i        int
	err      error
}

func (c *versionCursor) Seek(key string) bool {
	c.i = sort.Search(len(c.versions), func(i int) bool { return c.versions[i].Key >= key })
	return c.i < len(c.versions)
}

func (c *versionCursor) SeekAfter(key, place string) bool {
	if !c.Seek(key) || c.Key() != key {
		return c.i < len(c.versions)
	}
	var id store.VersionID
	if place == store.NullVersion {
		o, err := c.b.version(key, place)
		if err != nil {
			return true
		}
		id = o.id
	} else if id, c.err = store.ParseVersionID(place); c.err != nil {
		return false
	}
	for c.i < len(c.versions) && c.Key() == key && strings.Compare(c.Place(), id.String()) >= 0 {
		c.i++
	}
	return c.i < len(c.versions)
}

func (c *versionCursor) Next() bool {
	c.i++
	return c.i < len(c.versions)
}

func (c *versionCursor) Key() string { return c.versions[c.i].Key }

func (c *versionCursor) Place() string { return c.versions[c.i].id.String() }

// Version leaves out what a list need not have, so that no test comes to rely on it.
func (c *versionCursor) Version() (store.Version, error) {
	o := c.versions[c.i]
	v := store.Version{Info: o.Info, IsMarker: o.marker, Latest: c.i == 0 || c.versions[c.i-1].Key != o.Key}
	v.Attributes, v.Parts = store.Attributes{}, 0
	if v.Info.Version = c.b.versionOf(o); v.Info.Version == "" {
		v.Info.Version = store.NullVersion
	}
	return v, nil
}

func (c *versionCursor) Err() error { return c.err }
