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
	"github.com/cubby-storage/cubby/store/crypt"
)

// Bucket is a store.Bucket in memory. The zero value is empty and ready for use.
type Bucket struct {
	Options Options // not to be changed once the bucket is used

	name string

	mu      sync.RWMutex
	objects map[string]*object
	keys    []string             // of objects, ascending
	older   map[string][]*object // other versions and delete markers, the latest first
	uploads map[string]*upload
	removed bool // by Store.DeleteBucket

	versioning store.Versioning
}

var _ store.Bucket = (*Bucket)(nil)

// object is what is kept under a key, or a delete marker. It never changes: a
// write puts another one in its place, so that what was read goes on to be what it
// was. The Version of its Info is not set, since it depends on the bucket.
type object struct {
	store.Info
	tags    map[string]string
	content content         // sealed if there is an envelope
	sealed  *crypt.Envelope // nil if the content is plain
	id      store.VersionID
	null    bool // it is the null version
	marker  bool
}

// info returns a description that the caller may change. The caller holds the lock.
func (b *Bucket) info(o *object) *store.Info {
	info := o.Info
	info.Version = b.versionOf(o)
	info.User = maps.Clone(info.User)
	info.TagCount = len(o.tags)
	return &info
}

// fail makes the error of a method, or nil if err is nil.
func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	whole := &store.Error{Op: op, Bucket: b.name, Key: key, Err: err}
	if e, ok := errors.AsType[*store.Error](err); ok {
		whole.Marker = e.Marker
		if e.Op == "" {
			whole.Err = e.Err
		}
	}
	return whole
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

// unset removes the current object of key, if there is one. The caller holds the lock.
func (b *Bucket) unset(key string) {
	if i, ok := slices.BinarySearch(b.keys, key); ok {
		b.keys = slices.Delete(b.keys, i, i+1)
		delete(b.objects, key)
	}
}

// find returns the object that opts ask for if it meets their conditions, and a
// description of it that the caller may change. Its customer's key is asked for only
// if keyed is set.
func (b *Bucket) find(ctx context.Context, key string, opts *store.GetOptions, keyed bool) (*object, *store.Info, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, nil, err
	}
	if err := b.rlock(ctx); err != nil {
		return nil, nil, err
	}
	defer b.mu.RUnlock()
	o, err := b.readable(key, opts.Version)
	if err != nil {
		return nil, nil, err
	}
	if keyed || !opts.SSE.IsZero() {
		if err := o.sealed.Admits(&opts.SSE); err != nil {
			return nil, nil, err
		}
	}
	if err := opts.Check(&o.Info); err != nil {
		return nil, nil, err
	}
	return o, b.info(o), nil
}

// Stat implements store.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string, opts *store.GetOptions) (*store.Info, error) {
	_, info, _, length, err := b.locate(ctx, key, opts)
	if err != nil {
		return nil, b.fail("stat", key, err)
	}
	if opts != nil && opts.Part != 0 {
		info.Size = length
	}
	return info, nil
}

// locate returns an object, a description of it, and which bytes of it opts ask for.
func (b *Bucket) locate(ctx context.Context, key string, opts *store.GetOptions) (o *object, info *store.Info, offset, length int64, err error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	if o, info, err = b.find(ctx, key, opts, true); err != nil {
		return nil, nil, 0, 0, err
	}
	var sizes []int64
	if o.Parts > 0 {
		sizes = o.sizes()
	}
	offset, length, err = opts.Resolve(o.Size, sizes)
	return o, info, offset, length, err
}

// Get implements store.Bucket. Its body fails when ctx ends.
func (b *Bucket) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := b.get(ctx, key, opts)
	return o, b.fail("get", key, err)
}

func (b *Bucket) get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, info, offset, length, err := b.locate(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	var customer []byte
	if opts != nil {
		customer = opts.SSE.CustomerKey
	}
	rest, err := b.open(ctx, o, customer, offset, length)
	if err != nil {
		return nil, err
	}
	return &store.Object{Info: *info, Offset: offset, Length: length, Body: &body{ctx: ctx, rest: rest}}, nil
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
	if err := crypt.CheckSSE(&opts.SSE); err != nil {
		return nil, err
	}
	// What can't be written is not read. That is asked again below.
	if err := b.checkWrite(ctx, key, opts); err != nil {
		return nil, err
	}
	sealed, dataKey, err := b.envelope(ctx, &opts.SSE)
	if err != nil {
		return nil, err
	}
	data, part, err := read(ctx, r, opts.Content(), dataKey)
	if err != nil {
		return nil, err
	}
	o := &object{
		Info:    store.Info{Key: key, Size: part.Size, ETag: part.ETag, Checksums: part.Checksums, Attributes: opts.Attributes},
		tags:    maps.Clone(opts.Tags),
		content: content{data},
		sealed:  sealed,
	}
	o.SSE = sealed.Info()
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
	return b.add(o), nil
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
	d, err := b.delete(ctx, key, opts)
	return d, b.fail("delete", key, err)
}

func (b *Bucket) delete(ctx context.Context, key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	if opts == nil {
		opts = new(store.DeleteOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	return b.remove(key, opts)
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
		d, err := b.Delete(ctx, t.Key, &store.DeleteOptions{Version: t.Version})
		if err != nil {
			d = &store.Deleted{Err: err}
		}
		done[i] = *d
	}
	return done, nil
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
	o := c.b.objects[c.Key()]
	info := o.Info
	info.Version = c.b.versionOf(o)
	info.Attributes, info.Parts, info.SSE = store.Attributes{}, 0, store.Encryption{}
	return info, nil
}

func (c *cursor) Err() error { return nil }

// Tags implements store.Bucket.
func (b *Bucket) Tags(ctx context.Context, key string, opts *store.GetOptions) (map[string]string, error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	o, _, err := b.find(ctx, key, opts, false)
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
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	old, err := b.readable(key, opts.Version)
	if err == nil && !opts.SSE.IsZero() {
		err = old.sealed.Admits(&opts.SSE)
	}
	if err != nil {
		return err
	}
	if err := opts.Check(&old.Info); err != nil {
		return err
	}
	o := *old
	o.tags = maps.Clone(tags)
	b.exchange(old, &o)
	return nil
}
