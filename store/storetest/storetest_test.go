package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
	"github.com/cubby-storage/cubby/store/storetest"
)

// TestLimited runs the suite on a driver that lacks all that one may lack.
func TestLimited(t *testing.T) {
	opts := &storetest.Options{
		Slow: true, NoTags: true, NoIfMatch: true, NoIfNoneMatch: true, NoDeleteIfMatch: true, NoOwners: true, NoVersions: true, Versions: true, NoDotKeys: true, NoSSE: true,
		Algorithms: []store.Algorithm{store.CRC32},
	}
	t.Run("Uploads", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Bucket { return limited{new(memstore.Bucket), true} }, opts)
	})
	opts.NoMultipart = true
	t.Run("NoUploads", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Bucket { return limited{new(memstore.Bucket), false} }, opts)
	})
}

// limited is a bucket without tags, conditions of writes, owners and versions, with CRC32
// alone, and with or without uploads.
type limited struct {
	store.Bucket
	uploads bool
}

func unless(ok bool, cause error) error {
	if ok {
		return nil
	}
	return &store.Error{Op: "limited", Err: fmt.Errorf("beyond its limits: %w", cause)}
}

func (l limited) plain(key string, o *store.PutOptions) error {
	if o == nil {
		o = new(store.PutOptions)
	}
	for s := range strings.SplitSeq(key, "/") {
		if s == "." || s == ".." {
			return unless(false, fs.ErrInvalid)
		}
	}
	known := slices.Contains([]store.Algorithm{"", store.CRC32, "ROT13"}, o.Algorithm)
	return unless(known && o.SSE.IsZero() && len(o.Tags)+len(o.IfMatch)+len(o.IfNoneMatch) == 0 && o.Owner == "", errors.ErrUnsupported)
}

func read(opts *store.GetOptions) error {
	return unless(opts == nil || opts.SSE.IsZero(), errors.ErrUnsupported)
}

func (l limited) Stat(ctx context.Context, key string, opts *store.GetOptions) (*store.Info, error) {
	if err := read(opts); err != nil {
		return nil, err
	}
	return l.Bucket.Stat(ctx, key, opts)
}

func (l limited) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	if err := errors.Join(l.plain(key, nil), read(opts)); err != nil {
		return nil, err
	}
	return l.Bucket.Get(ctx, key, opts)
}

func (l limited) Put(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	if err := l.plain(key, opts); err != nil {
		return nil, err
	}
	return l.Bucket.Put(ctx, key, r, opts)
}

func (l limited) Copy(ctx context.Context, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	if opts != nil {
		if err := l.plain(dst, &opts.Put); err != nil {
			return nil, err
		}
	}
	return l.Bucket.Copy(ctx, dst, src, opts)
}

func (l limited) Delete(ctx context.Context, key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	if opts != nil && len(opts.IfMatch) > 0 {
		return nil, unless(false, errors.ErrUnsupported)
	}
	return l.Bucket.Delete(ctx, key, opts)
}

func (l limited) Tags(context.Context, string, *store.GetOptions) (map[string]string, error) {
	return nil, unless(false, errors.ErrUnsupported)
}

func (l limited) SetTags(context.Context, string, map[string]string, *store.GetOptions) error {
	return unless(false, errors.ErrUnsupported)
}

func (l limited) CreateUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	if err := unless(l.uploads, errors.ErrUnsupported); err != nil {
		return nil, err
	}
	if err := l.plain(key, opts); err != nil {
		return nil, err
	}
	return l.Bucket.CreateUpload(ctx, key, opts)
}

func (l limited) PutPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	if err := unless(l.uploads, errors.ErrUnsupported); err != nil {
		return nil, err
	}
	return l.Bucket.PutPart(ctx, key, uploadID, n, r, opts)
}

func (l limited) ListUploads(ctx context.Context, opts *store.ListUploadsOptions) (*store.UploadsPage, error) {
	if err := unless(l.uploads, errors.ErrUnsupported); err != nil {
		return nil, err
	}
	return l.Bucket.ListUploads(ctx, opts)
}

func (l limited) CompleteUpload(ctx context.Context, key, uploadID string, parts []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.CompleteOptions)
	}
	if err := unless(l.uploads && len(opts.IfMatch)+len(opts.IfNoneMatch) == 0, errors.ErrUnsupported); err != nil {
		return nil, err
	}
	return l.Bucket.CompleteUpload(ctx, key, uploadID, parts, opts)
}

func (l limited) AbortUpload(ctx context.Context, key, uploadID string, opts *store.UploadOptions) error {
	if err := unless(l.uploads, errors.ErrUnsupported); err != nil {
		return err
	}
	return l.Bucket.AbortUpload(ctx, key, uploadID, opts)
}

func (l limited) SetVersioning(context.Context, store.Versioning) error {
	return unless(false, errors.ErrUnsupported)
}

func (l limited) ListVersions(context.Context, *store.ListVersionsOptions) (*store.VersionsPage, error) {
	return nil, unless(false, errors.ErrUnsupported)
}
