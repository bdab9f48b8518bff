package memstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// Copy implements store.Bucket. From a Bucket of this package it shares the
// content, and keeps the entity tag and, without an Algorithm, the checksums.
func (b *Bucket) Copy(ctx context.Context, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	info, err := b.copy(ctx, dst, src, opts)
	return info, b.fail("copy", dst, err)
}

func (b *Bucket) copy(ctx context.Context, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.CopyOptions)
	}
	if err := store.CheckKey(dst); err != nil {
		return nil, err
	}
	if err := opts.Put.Check(); err != nil {
		return nil, err
	}
	if err := crypt.CheckSSE(&opts.Put.SSE); err != nil {
		return nil, err
	}
	from, own := b.source(opts.From)
	if !own {
		return store.CopyThrough(ctx, b, dst, src, opts)
	}
	source, err := from.findSource(ctx, src, opts.Version, opts.SourceKey, &opts.Source)
	if err != nil {
		return nil, err
	}
	if source.Size > store.MaxPartSize {
		return nil, fmt.Errorf("source of %d bytes, at most %d are allowed: %w", source.Size, int64(store.MaxPartSize), store.ErrTooLarge)
	}
	if !source.sealed.Fits(b.want(&opts.Put.SSE)) {
		through := *opts
		through.From = from
		return store.CopyThrough(ctx, b, dst, src, &through)
	}
	o := *source
	o.Key = dst
	if opts.Replace {
		o.Attributes = opts.Put.Attributes
		o.User = maps.Clone(opts.Put.User)
	}
	if opts.ReplaceTags {
		o.tags = maps.Clone(opts.Put.Tags)
	}
	if opts.Put.Algorithm != "" {
		plain, err := from.open(ctx, source, nil, 0, source.Size)
		if err != nil {
			return nil, err
		}
		_, part, err := read(ctx, bytes.NewReader(plain.join()), &store.PartOptions{Algorithm: opts.Put.Algorithm}, nil)
		if err != nil {
			return nil, err
		}
		o.Checksums = part.Checksums
	}
	return b.write(ctx, &o, &opts.Put)
}

// source returns the bucket of a copy's source, and whether it is of this package.
func (b *Bucket) source(from store.Bucket) (*Bucket, bool) {
	if from == nil {
		return b, true
	}
	own, ok := from.(*Bucket)
	return own, ok
}

// findSource returns the source of a copy if it meets the conditions.
func (b *Bucket) findSource(ctx context.Context, src, version string, customer []byte, cond *store.Conditions) (*object, error) {
	if err := store.CheckKey(src); err != nil {
		return nil, err
	}
	if err := b.rlock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.RUnlock()
	o, err := b.readable(src, version)
	if err != nil {
		return nil, err
	}
	if err := o.sealed.Admits(&store.SSE{CustomerKey: customer}); err != nil {
		return nil, err
	}
	return o, cond.CheckSource(&o.Info)
}

// CopyPart implements store.Bucket.
func (b *Bucket) CopyPart(ctx context.Context, key, uploadID string, n int, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	part, err := b.copyPart(ctx, key, uploadID, n, src, opts)
	return part, b.fail("copy part", key, err)
}

func (b *Bucket) copyPart(ctx context.Context, key, uploadID string, n int, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	if opts == nil {
		opts = new(store.CopyPartOptions)
	}
	from, own := b.source(opts.From)
	if !own {
		return store.CopyPartThrough(ctx, b, key, uploadID, n, src, opts)
	}
	source, err := from.findSource(ctx, src, opts.Version, opts.SourceKey, &opts.Source)
	if err != nil {
		return nil, err
	}
	offset, length, err := opts.Range.ResolveWhole(source.Size)
	if err != nil {
		return nil, err
	}
	plain, err := from.open(ctx, source, opts.SourceKey, offset, length)
	if err != nil {
		return nil, err
	}
	return b.putPart(ctx, key, uploadID, n, bytes.NewReader(plain.join()), &store.PartOptions{UploadOptions: opts.UploadOptions, SSE: opts.SSE})
}
