package diskstore

import (
	"context"
	"io"
	"maps"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// Put implements [store.Bucket].
func (b *bucket) Put(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("put", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.PutOptions)
	}
	info, err := b.s.put(ctx, st, key, r, opts)
	return info, b.fail("put", key, err)
}

func (s *Store) put(ctx context.Context, st *state, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	if err := crypt.CheckSSE(&opts.SSE); err != nil {
		return nil, err
	}
	// What must fail does so before the content is read, too.
	if len(opts.IfMatch) > 0 || len(opts.IfNoneMatch) > 0 {
		old, err := s.object(st, key)
		if err == nil {
			err = checkWrite(opts.IfMatch, opts.IfNoneMatch, old)
		}
		if err != nil {
			return nil, err
		}
	}
	sealed, dataKey, err := s.envelope(ctx, &opts.SSE)
	if err != nil {
		return nil, err
	}
	content, err := s.stage(ctx, r, opts.Content(), dataKey)
	if err != nil {
		return nil, err
	}
	o := &object{content: content.ref, tags: opts.Tags, sealed: sealed}
	o.SSE = sealed.Info()
	o.Key, o.Size, o.ETag, o.Checksums = key, content.size, content.etag, content.sums
	o.setAttributes(&opts.Attributes)
	o.TagCount = len(o.tags)
	c := s.begin()
	defer c.close()
	c.add(content)
	if err := s.putObject(c, st, o, opts.IfMatch, opts.IfNoneMatch); err != nil {
		content.release(false)
		return nil, err
	}
	err = c.settle()
	// After an error of settle it is not known whether there is a row.
	content.release(true)
	if err != nil {
		return nil, err
	}
	return &o.Info, nil
}

// putObject applies c, with the row of o in place of that of the object there.
func (s *Store) putObject(c *change, st *state, o *object, ifMatch, ifNoneMatch []string) error {
	release, err := hold(st)
	if err != nil {
		return err
	}
	defer release()
	defer s.keys.lock(s.keys.object(st, o.Key))()
	return s.replace(c, st, o, ifMatch, ifNoneMatch)
}

// replace is putObject for who holds the locks.
func (s *Store) replace(c *change, st *state, o *object, ifMatch, ifNoneMatch []string) error {
	old, err := s.object(st, o.Key)
	if err != nil {
		return err
	}
	if err := checkWrite(ifMatch, ifNoneMatch, old); err != nil {
		return err
	}
	o.ModTime = s.now()
	o.edition = edition{}
	if st.versioning() == store.Unversioned {
		if err := s.discard(c, st, old); err != nil {
			return err
		}
	} else if err := s.succeed(c, st, o, old); err != nil {
		return err
	}
	o.Version = st.versionOf(&o.edition)
	c.setObject(objectKey(st.id, o.Key), o)
	return c.apply()
}

func checkWrite(ifMatch, ifNoneMatch []string, old *object) error {
	var info *store.Info
	if old != nil {
		info = &old.Info
	}
	return store.CheckWrite(ifMatch, ifNoneMatch, info)
}

// setAttributes gives o attributes that the caller may change afterwards.
func (o *object) setAttributes(a *store.Attributes) {
	o.Attributes = *a
	o.User = maps.Clone(a.User)
}
