package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// copyTries is how often a copy starts again because its source was replaced.
// After that the bytes are copied.
const copyTries = 3

// Copy implements [store.Bucket]. From a bucket of the same Store it shares the
// content, and keeps the entity tag and, without an Algorithm, the checksums.
func (b *bucket) Copy(ctx context.Context, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("copy", dst, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.CopyOptions)
	}
	info, err := b.copy(ctx, st, dst, src, opts)
	return info, b.fail("copy", dst, err)
}

func (b *bucket) copy(ctx context.Context, st *state, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	for _, key := range []string{dst, src} {
		if err := store.CheckKey(key); err != nil {
			return nil, err
		}
	}
	if err := opts.Put.Check(); err != nil {
		return nil, err
	}
	if err := crypt.CheckSSE(&opts.Put.SSE); err != nil {
		return nil, err
	}
	from, own, err := b.source(opts.From, st)
	if err != nil {
		return nil, err
	}
	if !own {
		return store.CopyThrough(ctx, b, dst, src, opts)
	}
	if err := b.s.space.check(b.s, 0); err != nil {
		return nil, err
	}
	for range copyTries {
		info, err := b.s.share(ctx, st, dst, from, src, opts)
		if errors.Is(err, errOtherKey) {
			break
		}
		if !errors.Is(err, errChanged) {
			return info, err
		}
	}
	through := *opts
	if through.From == nil {
		through.From = b
	}
	return store.CopyThrough(ctx, b, dst, src, &through)
}

// source returns the bucket of a copy's source, if it is one of this Store.
func (b *bucket) source(from store.Bucket, st *state) (source *state, own bool, err error) {
	if from == nil {
		return st, true, nil
	}
	f, ok := from.(*bucket)
	if !ok || f.s != b.s {
		return nil, false, nil
	}
	source, err = f.s.find(f.name)
	return source, true, err
}

// errOtherKey: the content of a copy cannot be shared, since it is to be encrypted by
// another key than its source, or by one where that is by none.
var errOtherKey = errors.New("encrypted by another key")

// findSource returns the source of a copy if it meets the conditions.
func (s *Store) findSource(from *state, src, version string, customer []byte, cond *store.Conditions) (*object, error) {
	o, err := s.version(from, src, version)
	if err != nil {
		return nil, err
	}
	if err := o.sealed.Admits(&store.SSE{CustomerKey: customer}); err != nil {
		return nil, err
	}
	return o, cond.CheckSource(&o.Info)
}

// share makes dst of the content of src, or returns errChanged or errOtherKey.
func (s *Store) share(ctx context.Context, st *state, dst string, from *state, src string, opts *store.CopyOptions) (*store.Info, error) {
	source, err := s.findSource(from, src, opts.Version, opts.SourceKey, &opts.Source)
	if err != nil {
		return nil, err
	}
	if source.Size > store.MaxPartSize {
		return nil, fmt.Errorf("source of %d bytes, at most %d are allowed: %w", source.Size, int64(store.MaxPartSize), store.ErrTooLarge)
	}
	if !source.sealed.Fits(s.want(&opts.Put.SSE)) {
		return nil, errOtherKey
	}
	o := *source
	o.Key = dst
	if opts.Replace {
		o.setAttributes(&opts.Put.Attributes)
	}
	if opts.ReplaceTags {
		o.tags = maps.Clone(opts.Put.Tags)
		o.TagCount = len(o.tags)
	}
	if a := opts.Put.Algorithm; a != "" && !o.hasSum(a) {
		p, _, err := s.digest(ctx, from, source, nil, &store.PartOptions{Algorithm: a})
		if err != nil {
			return nil, err
		}
		o.Checksums = p.Checksums
	}
	c := s.begin()
	defer c.close()
	err = func() error {
		release, err := hold(st, from)
		if err != nil {
			return err
		}
		defer release()
		defer s.keys.lock(s.keys.object(st, dst), s.keys.object(from, src))()
		if err := s.changed(from, source, nil); err != nil {
			return err
		}
		c.share(o.content, 1)
		return s.replace(c, st, &o, opts.Put.IfMatch, opts.Put.IfNoneMatch)
	}()
	if err != nil {
		return nil, err
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	return &o.Info, nil
}

// hasSum reports whether the checksum of the whole content by a is known.
func (o *object) hasSum(a store.Algorithm) bool {
	return o.Checksums.Get(a) != "" && o.Checksums.Type != store.Composite
}

// digest reads bytes of an object to describe them as a part, and returns what
// holds them. The error is errChanged if the object has other content now.
func (s *Store) digest(ctx context.Context, from *state, o *object, r *store.Range, content *store.PartOptions) (*part, []extent, error) {
	body, err := s.openContent(ctx, from, o, &store.GetOptions{Range: r})
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	extents := append([]extent(nil), body.extents...)
	p := &part{Part: store.Part{Size: body.length}, extents: extents}
	if body.length > store.MaxPartSize {
		return nil, nil, store.ErrTooLarge
	}
	if a := content.Algorithm; body.length == o.Size && o.Parts == 0 && (a == "" || o.hasSum(a)) {
		p.ETag = o.ETag
		if a != "" {
			p.Checksums.Set(a, o.Checksums.Get(a))
			p.Checksums.Type = store.FullObject
		}
		return p, extents, nil
	}
	d, err := store.NewDigester(store.ContextReader(ctx, body), content)
	if err != nil {
		return nil, nil, err
	}
	buf := s.space.buffers.get(bufferSize)
	defer s.space.buffers.put(buf)
	for err == nil {
		_, err = d.Read(*buf)
	}
	if err != io.EOF {
		return nil, nil, err
	}
	_, p.ETag, p.Checksums, err = d.Sum()
	return p, extents, err
}

// CopyPart implements [store.Bucket]. From a bucket of the same Store it shares
// the content.
func (b *bucket) CopyPart(ctx context.Context, key, uploadID string, n int, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("copy part", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.CopyPartOptions)
	}
	p, err := b.copyPart(ctx, st, key, uploadID, n, src, opts)
	return p, b.fail("copy part", key, err)
}

func (b *bucket) copyPart(ctx context.Context, st *state, key, uploadID string, n int, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	if err := store.CheckKey(src); err != nil {
		return nil, err
	}
	from, own, err := b.source(opts.From, st)
	if err != nil {
		return nil, err
	}
	if !own {
		return store.CopyPartThrough(ctx, b, key, uploadID, n, src, opts)
	}
	if err := b.s.space.check(b.s, 0); err != nil {
		return nil, err
	}
	for range copyTries {
		p, err := b.s.sharePart(ctx, st, key, uploadID, n, from, src, opts)
		if errors.Is(err, errOtherKey) {
			break
		}
		if !errors.Is(err, errChanged) {
			return p, err
		}
	}
	through := *opts
	if through.From == nil {
		through.From = b
	}
	return store.CopyPartThrough(ctx, b, key, uploadID, n, src, &through)
}

// sharePart makes a part of the content of src, or returns errChanged or errOtherKey.
func (s *Store) sharePart(ctx context.Context, st *state, key, uploadID string, n int, from *state, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	u, err := s.upload(st, key, uploadID, opts.UploadOptions)
	if err != nil {
		return nil, err
	}
	content, err := u.Content(n, nil)
	if err != nil {
		return nil, err
	}
	source, err := s.findSource(from, src, opts.Version, opts.SourceKey, &opts.Source)
	if err != nil {
		return nil, err
	}
	if err := u.sealed.Admits(&opts.SSE); err != nil {
		return nil, err
	}
	if source.sealed != nil || u.sealed != nil {
		return nil, errOtherKey
	}
	if _, _, err := opts.Range.ResolveWhole(source.Size); err != nil {
		return nil, err
	}
	p, extents, err := s.digest(ctx, from, source, opts.Range, content)
	if err != nil {
		return nil, err
	}
	p.Number = n
	c := s.begin()
	defer c.close()
	err = func() error {
		release, err := hold(st, from)
		if err != nil {
			return err
		}
		defer release()
		defer s.keys.lock(s.keys.upload(u.id), s.keys.object(from, src))()
		if err := s.changed(from, source, nil); err != nil {
			return err
		}
		c.shareAll(extents, 1)
		return s.setPart(c, st, u, p)
	}()
	if err != nil {
		return nil, err
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	return &p.Part, nil
}
