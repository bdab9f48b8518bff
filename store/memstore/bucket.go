package memstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// Bucket is a store.Bucket in memory. The zero value is empty and ready for use.
type Bucket struct {
	name string

	mu      sync.RWMutex
	objects map[string]*object
	keys    []string // of objects, ascending
	uploads map[string]*upload
	removed bool // by Store.DeleteBucket
}

var _ store.Bucket = (*Bucket)(nil)

// object is what is kept under a key. It never changes: a write puts another
// one in its place, so that what was read goes on to be what it was.
type object struct {
	store.Info
	tags    map[string]string
	content content
}

// info returns a description that the caller may change.
func (o *object) info() *store.Info {
	info := o.Info
	info.User = maps.Clone(info.User)
	info.TagCount = len(o.tags)
	return &info
}

// fail makes the error of a method, or nil if err is nil.
func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return &store.Error{Op: op, Bucket: b.name, Key: key, Err: err}
}

// lock locks b for a write, unless ctx has ended or b was removed.
func (b *Bucket) lock(ctx context.Context) error {
	b.mu.Lock()
	if err := b.usable(ctx); err != nil {
		b.mu.Unlock()
		return err
	}
	return nil
}

// rlock is lock for reading.
func (b *Bucket) rlock(ctx context.Context) error {
	b.mu.RLock()
	if err := b.usable(ctx); err != nil {
		b.mu.RUnlock()
		return err
	}
	return nil
}

func (b *Bucket) usable(ctx context.Context) error {
	if b.removed {
		return store.ErrNoBucket
	}
	return ctx.Err()
}

// current returns the description of the object under key, or nil. The caller
// holds the lock.
func (b *Bucket) current(key string) *store.Info {
	if o := b.objects[key]; o != nil {
		return &o.Info
	}
	return nil
}

// set puts o in place of what is under its key. The caller holds the lock.
func (b *Bucket) set(o *object) {
	if b.objects == nil {
		b.objects = make(map[string]*object)
	}
	if b.objects[o.Key] == nil {
		i, _ := slices.BinarySearch(b.keys, o.Key)
		b.keys = slices.Insert(b.keys, i, o.Key)
	}
	b.objects[o.Key] = o
}

// find returns the object under key if it meets the conditions of opts.
func (b *Bucket) find(ctx context.Context, key string, opts *store.GetOptions) (*object, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := store.CheckPlain(opts.Version, opts.SSE); err != nil {
		return nil, err
	}
	if err := b.rlock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.RUnlock()
	if err := opts.Check(b.current(key)); err != nil {
		return nil, err
	}
	return b.objects[key], nil
}

// Stat implements store.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string, opts *store.GetOptions) (*store.Info, error) {
	o, err := b.get(ctx, key, opts)
	if err != nil {
		return nil, b.fail("stat", key, err)
	}
	if opts != nil && opts.Part != 0 {
		o.Size = o.Length
	}
	return &o.Info, nil
}

// Get implements store.Bucket. Its body fails when ctx ends.
func (b *Bucket) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := b.get(ctx, key, opts)
	return o, b.fail("get", key, err)
}

func (b *Bucket) get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	o, err := b.find(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	var sizes []int64
	if o.Parts > 0 {
		sizes = o.content.sizes()
	}
	offset, length, err := opts.Resolve(o.Size, sizes)
	if err != nil {
		return nil, err
	}
	body := &body{ctx: ctx, rest: o.content.slice(offset, length)}
	return &store.Object{Info: *o.info(), Offset: offset, Length: length, Body: body}, nil
}

// Put implements store.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	info, err := b.put(ctx, key, r, opts)
	return info, b.fail("put", key, err)
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.PutOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	if err := store.CheckPlain("", opts.SSE); err != nil {
		return nil, err
	}
	// What can't be written is not read. That is asked again below.
	if err := b.checkWrite(ctx, key, opts); err != nil {
		return nil, err
	}
	data, part, err := read(ctx, r, opts.Content())
	if err != nil {
		return nil, err
	}
	o := &object{
		Info:    store.Info{Key: key, Size: part.Size, ETag: part.ETag, Checksums: part.Checksums, Attributes: opts.Attributes},
		tags:    maps.Clone(opts.Tags),
		content: content{data},
	}
	o.User = maps.Clone(opts.User)
	return b.write(ctx, o, opts)
}

// write stores o if the object under its key meets the conditions of opts.
func (b *Bucket) write(ctx context.Context, o *object, opts *store.PutOptions) (*store.Info, error) {
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if err := store.CheckWrite(opts.IfMatch, opts.IfNoneMatch, b.current(o.Key)); err != nil {
		return nil, err
	}
	o.ModTime = time.Now()
	b.set(o)
	return o.info(), nil
}

func (b *Bucket) checkWrite(ctx context.Context, key string, opts *store.PutOptions) error {
	if err := b.rlock(ctx); err != nil {
		return err
	}
	defer b.mu.RUnlock()
	return store.CheckWrite(opts.IfMatch, opts.IfNoneMatch, b.current(key))
}

// Delete implements store.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	if err := b.delete(ctx, key, opts); err != nil {
		return nil, b.fail("delete", key, err)
	}
	return new(store.Deleted), nil
}

func (b *Bucket) delete(ctx context.Context, key string, opts *store.DeleteOptions) error {
	if opts == nil {
		opts = new(store.DeleteOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if err := store.CheckPlain(opts.Version, store.SSE{}); err != nil {
		return err
	}
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	if err := store.CheckWrite(opts.IfMatch, nil, b.current(key)); err != nil {
		return err
	}
	if i, ok := slices.BinarySearch(b.keys, key); ok {
		b.keys = slices.Delete(b.keys, i, i+1)
		delete(b.objects, key)
	}
	return nil
}

// DeleteMany implements store.Bucket.
func (b *Bucket) DeleteMany(ctx context.Context, targets []store.Target) ([]store.Deleted, error) {
	if len(targets) > store.MaxPage {
		err := fmt.Errorf("%d keys, at most %d are allowed: %w", len(targets), store.MaxPage, fs.ErrInvalid)
		return nil, b.fail("delete many", "", err)
	}
	if err := b.rlock(ctx); err != nil {
		return nil, b.fail("delete many", "", err)
	}
	b.mu.RUnlock()
	done := make([]store.Deleted, len(targets))
	for i, t := range targets {
		_, done[i].Err = b.Delete(ctx, t.Key, &store.DeleteOptions{Version: t.Version})
	}
	return done, nil
}

// Versioning implements store.Bucket.
func (b *Bucket) Versioning(ctx context.Context) (store.Versioning, error) {
	return store.Unversioned, nil
}

// SetVersioning implements store.Bucket. The bucket keeps no versions.
func (b *Bucket) SetVersioning(context.Context, store.Versioning) error {
	return b.fail("set versioning", "", fmt.Errorf("versions: %w", errors.ErrUnsupported))
}

// ListVersions implements store.Bucket. The bucket keeps no versions.
func (b *Bucket) ListVersions(context.Context, *store.ListVersionsOptions) (*store.VersionsPage, error) {
	return nil, b.fail("list versions", "", fmt.Errorf("versions: %w", errors.ErrUnsupported))
}

// List implements store.Bucket.
func (b *Bucket) List(ctx context.Context, opts *store.ListOptions) (*store.Page, error) {
	if err := b.rlock(ctx); err != nil {
		return nil, b.fail("list", "", err)
	}
	defer b.mu.RUnlock()
	page, err := store.ListCursor(&cursor{b: b}, opts)
	return page, b.fail("list", "", err)
}

// cursor walks over the keys of a bucket that is locked.
type cursor struct {
	b *Bucket
	i int
}

func (c *cursor) Seek(key string) bool {
	c.i, _ = slices.BinarySearch(c.b.keys, key)
	return c.i < len(c.b.keys)
}

func (c *cursor) Next() bool {
	c.i++
	return c.i < len(c.b.keys)
}

func (c *cursor) Key() string { return c.b.keys[c.i] }

// Info leaves out what a list need not have, so that no test comes to rely on it.
func (c *cursor) Info() (store.Info, error) {
	info := c.b.objects[c.Key()].Info
	info.Attributes, info.Parts = store.Attributes{}, 0
	return info, nil
}

func (c *cursor) Err() error { return nil }

// Tags implements store.Bucket.
func (b *Bucket) Tags(ctx context.Context, key string, opts *store.GetOptions) (map[string]string, error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	o, err := b.find(ctx, key, opts)
	if err != nil {
		return nil, b.fail("tags", key, err)
	}
	return maps.Clone(o.tags), nil
}

// SetTags implements store.Bucket.
func (b *Bucket) SetTags(ctx context.Context, key string, tags map[string]string, opts *store.GetOptions) error {
	return b.fail("set tags", key, b.setTags(ctx, key, tags, opts))
}

func (b *Bucket) setTags(ctx context.Context, key string, tags map[string]string, opts *store.GetOptions) error {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if err := store.CheckTags(tags); err != nil {
		return err
	}
	if err := store.CheckPlain(opts.Version, opts.SSE); err != nil {
		return err
	}
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	if err := opts.Check(b.current(key)); err != nil {
		return err
	}
	o := *b.objects[key]
	o.tags = maps.Clone(tags)
	b.set(&o)
	return nil
}
