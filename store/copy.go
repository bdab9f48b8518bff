package store

import (
	"context"
	"fmt"
	"maps"
)

// CopyThrough is Copy for a bucket that cannot reach the source by itself: it
// gets src from opts.From, which must not be nil, and puts it into b under dst.
// It does this by streaming, and checks what it reads against the checksum of
// the source, if that has one.
func CopyThrough(ctx context.Context, b Bucket, dst, src string, opts *CopyOptions) (*Info, error) {
	o, err := opts.From.Get(ctx, src, &GetOptions{Version: opts.Version, Conditions: opts.Source, SSE: SSE{CustomerKey: opts.SourceKey}})
	if err != nil {
		return nil, sourceError(err)
	}
	defer o.Body.Close()
	if o.Size > MaxPartSize {
		return nil, fmt.Errorf("source of %d bytes, at most %d are allowed: %w", o.Size, int64(MaxPartSize), ErrTooLarge)
	}
	put := PutOptions{
		Attributes:  o.Attributes,
		IfMatch:     opts.Put.IfMatch,
		IfNoneMatch: opts.Put.IfNoneMatch,
		Size:        o.Size,
		Algorithm:   opts.Put.Algorithm,
		SSE:         opts.Put.SSE,
	}
	if opts.Replace {
		put.Attributes = opts.Put.Attributes
	}
	if put.Algorithm == "" {
		put.Algorithm = o.Checksums.Any()
		if o.Checksums.Type != Composite {
			put.Checksums = o.Checksums
		}
	}
	switch {
	case opts.ReplaceTags:
		put.Tags = opts.Put.Tags
	case o.TagCount > 0:
		// The tags of this very object, not of one that took its place meanwhile.
		same := &GetOptions{Version: opts.Version, Conditions: Conditions{IfMatch: []string{o.ETag}}}
		if put.Tags, err = opts.From.Tags(ctx, src, same); err != nil {
			return nil, err
		}
		put.Tags = maps.Clone(put.Tags)
	}
	return b.Put(ctx, dst, o.Body, &put)
}

// CopyPartThrough is CopyPart for a bucket that cannot reach the source by
// itself, as CopyThrough is Copy.
func CopyPartThrough(ctx context.Context, b Bucket, key, uploadID string, n int, src string, opts *CopyPartOptions) (*Part, error) {
	o, err := opts.From.Get(ctx, src, &GetOptions{Version: opts.Version, Range: opts.Range, Conditions: opts.Source, SSE: SSE{CustomerKey: opts.SourceKey}})
	if err != nil {
		return nil, sourceError(err)
	}
	defer o.Body.Close()
	if opts.Range != nil {
		if err := opts.Range.within(o.Size); err != nil {
			return nil, err
		}
	}
	put := &PartOptions{UploadOptions: opts.UploadOptions, Size: o.Length, SSE: opts.SSE}
	return b.PutPart(ctx, key, uploadID, n, o.Body, put)
}

// ResolveWhole is Resolve for a range that must lie within the object, as that
// of CopyPart must. Else the error is ErrRange.
func (r *Range) ResolveWhole(size int64) (offset, length int64, err error) {
	if r != nil {
		if err := r.within(size); err != nil {
			return 0, 0, err
		}
	}
	return r.Resolve(size)
}

func (r *Range) within(size int64) error {
	if r.Offset < -size || r.Offset >= 0 && r.Length > size-r.Offset || r.Offset < 0 && r.Length > -r.Offset {
		return fmt.Errorf("range %d+%d in %d bytes: %w", r.Offset, r.Length, size, ErrRange)
	}
	return nil
}
