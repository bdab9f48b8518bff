package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// Stat implements [store.Bucket].
func (b *bucket) Stat(ctx context.Context, key string, opts *store.GetOptions) (*store.Info, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("stat", key, err)
	}
	defer b.s.running.Done()
	o, err := b.s.lookup(st, key, opts, true)
	if err == nil && opts != nil && opts.Part != 0 {
		o.Size, err = b.s.partSize(st, o, opts)
	}
	if err != nil {
		return nil, b.fail("stat", key, err)
	}
	return &o.Info, nil
}

// partSize returns the size of a part of an object.
func (s *Store) partSize(st *state, o *object, opts *store.GetOptions) (int64, error) {
	for {
		parts, err := s.parts(o)
		if err == nil {
			_, length, err := opts.Resolve(o.Size, sizes(parts))
			return length, err
		}
		if err := s.changed(st, o, err); !errors.Is(err, errChanged) {
			return 0, err
		}
		now, err := s.lookup(st, o.Key, opts, true)
		if err != nil {
			return 0, err
		}
		*o = *now
	}
}

// lookup returns the object that opts ask for. Its customer's key is asked for only
// if keyed is set.
func (s *Store) lookup(st *state, key string, opts *store.GetOptions, keyed bool) (*object, error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	o, err := s.version(st, key, opts.Version)
	if err != nil {
		return nil, err
	}
	if keyed || !opts.SSE.IsZero() {
		if err := o.sealed.Admits(&opts.SSE); err != nil {
			return nil, err
		}
	}
	return o, opts.Conditions.Check(&o.Info)
}

// Get implements [store.Bucket].
func (b *bucket) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("get", key, err)
	}
	defer b.s.running.Done()
	o, r, err := b.s.open(ctx, st, key, opts)
	if err != nil {
		return nil, b.fail("get", key, err)
	}
	return &store.Object{Info: o.Info, Offset: r.offset, Length: r.length, Body: r}, nil
}

// open returns an object and a reader of its content, which stays the same
// whatever happens to the object.
func (s *Store) open(ctx context.Context, st *state, key string, opts *store.GetOptions) (*object, *body, error) {
	for try := 0; ; try++ {
		o, err := s.lookup(st, key, opts, true)
		if err != nil {
			return nil, nil, err
		}
		r, err := s.openContent(ctx, st, o, opts)
		if err == nil || !errors.Is(err, errChanged) {
			return o, r, err
		}
		if try == 10 {
			// Whoever writes the object that often waits for once.
			defer s.keys.lock(s.keys.object(st, key))()
		}
	}
}

// errChanged: the object was replaced while it was being opened.
var errChanged = errors.New("object has changed")

func (s *Store) openContent(ctx context.Context, st *state, o *object, opts *store.GetOptions) (*body, error) {
	var customer []byte
	if opts != nil {
		customer = opts.SSE.CustomerKey
	}
	key, err := s.opts.Keys.Open(ctx, o.sealed, customer)
	if err != nil {
		return nil, err
	}
	return s.openBy(ctx, st, o, opts, key)
}

// openBy is openContent with the data key. Without that of a sealed content the body
// yields that as it is.
func (s *Store) openBy(ctx context.Context, st *state, o *object, opts *store.GetOptions, key *crypt.DataKey) (*body, error) {
	parts, err := s.parts(o)
	if err != nil {
		return nil, s.changed(st, o, err)
	}
	r := &body{ctx: ctx, s: s, at: o.at}
	if r.offset, r.length, err = opts.Resolve(o.Size, sizes(parts)); err != nil {
		return nil, err
	}
	if o.sealed == nil {
		r.extents = cut(parts, r.offset, r.length)
	} else if err := r.seal(key, parts); err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		r.Close()
		return nil, s.changed(st, o, err)
	}
	// If the row is still the same now that they are pinned, the files stay.
	if len(r.pinned) > 0 {
		if err := s.changed(st, o, nil); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// changed returns errChanged if the object has other content now, else err.
func (s *Store) changed(st *state, o *object, err error) error {
	now, nerr := s.again(st, o)
	switch {
	case nerr != nil:
		return nerr
	case now == nil || now.content != o.content:
		return errChanged
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("content is missing: %w", errCorrupt)
	}
	return err
}

// parts returns the extents of the parts of an object. One that was put whole
// has one part, an empty one none.
func (s *Store) parts(o *object) ([][]extent, error) {
	switch o.content.kind {
	case none:
		return nil, nil
	case manifest:
		return s.manifest(o.content.id)
	}
	return [][]extent{{{o.content, 0, o.Size}}}, nil
}

func sizes(parts [][]extent) []int64 {
	sizes := make([]int64, len(parts))
	for i, p := range parts {
		for _, x := range p {
			sizes[i] += x.length
		}
	}
	return sizes
}

// cut returns the extents that hold length bytes from offset on.
func cut(parts [][]extent, offset, length int64) []extent {
	var cut []extent
	for _, p := range parts {
		for _, x := range p {
			if offset >= x.length {
				offset -= x.length
				continue
			}
			if length == 0 {
				return cut
			}
			x.offset += offset
			x.length = min(x.length-offset, length)
			offset = 0
			length -= x.length
			cut = append(cut, x)
		}
	}
	return cut
}

// Tags implements [store.Bucket].
func (b *bucket) Tags(ctx context.Context, key string, opts *store.GetOptions) (map[string]string, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("tags", key, err)
	}
	defer b.s.running.Done()
	o, err := b.s.lookup(st, key, opts, false)
	if err != nil {
		return nil, b.fail("tags", key, err)
	}
	return o.tags, nil
}

// SetTags implements [store.Bucket].
func (b *bucket) SetTags(ctx context.Context, key string, tags map[string]string, opts *store.GetOptions) error {
	st, err := b.enter(ctx)
	if err != nil {
		return b.fail("set tags", key, err)
	}
	defer b.s.running.Done()
	return b.fail("set tags", key, b.s.setTags(st, key, tags, opts))
}

func (s *Store) setTags(st *state, key string, tags map[string]string, opts *store.GetOptions) error {
	if err := store.CheckTags(tags); err != nil {
		return err
	}
	if err := s.space.check(s, 0); err != nil {
		return err
	}
	c := s.begin()
	defer c.close()
	err := func() error {
		release, err := hold(st)
		if err != nil {
			return err
		}
		defer release()
		defer s.keys.lock(s.keys.object(st, key))()
		o, err := s.lookup(st, key, opts, false)
		if err != nil {
			return err
		}
		o.tags = maps.Clone(tags)
		c.set(st.row(o), o.encode())
		return c.apply()
	}()
	if err != nil {
		return err
	}
	return c.settle()
}
