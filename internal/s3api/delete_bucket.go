package s3api

import (
	"context"
	"errors"
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func deleteBucket(c *call) error {
	err := c.view.DeleteBucket(c.ctx, c.target.bucket)
	if errors.Is(err, store.ErrNotEmpty) {
		// To S3 a bucket in which there are uploads alone is empty.
		if err = c.abortUploads(err); err == nil {
			err = c.view.DeleteBucket(c.ctx, c.target.bucket)
		}
	}
	if err != nil {
		return err
	}
	if err := c.forget(); err != nil {
		return err
	}
	c.header(http.StatusNoContent)
	return nil
}

// abortUploads aborts all uploads of the bucket if there is nothing else in it, also no
// version that is not current. Otherwise it returns notEmpty, or that there are versions.
func (c *call) abortUploads(notEmpty error) error {
	b, err := c.bucket()
	if err != nil {
		return err
	}
	v, err := b.Versioning(c.ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if empty, err := holdsNothing(c.ctx, b, v != store.Unversioned); err != nil {
		return err
	} else if !empty && v != store.Unversioned {
		return newError("BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
	} else if !empty {
		return notEmpty
	}
	for aborted := false; ; aborted = true {
		page, err := b.ListUploads(c.ctx, new(store.ListUploadsOptions))
		if err != nil {
			return err
		}
		if len(page.Uploads) == 0 {
			if !aborted {
				return notEmpty
			}
			return nil
		}
		for _, u := range page.Uploads {
			if err := b.AbortUpload(c.ctx, u.Key, u.ID, nil); err != nil && !errors.Is(err, store.ErrNoUpload) {
				return err
			}
		}
	}
}

// holdsNothing reports whether the bucket has no object, and if it keeps versions, none
// of these and no delete marker either.
func holdsNothing(ctx context.Context, b store.Bucket, versioned bool) (bool, error) {
	if versioned {
		opts := &store.ListVersionsOptions{Limit: 1}
		for {
			page, err := b.ListVersions(ctx, opts)
			if err != nil || len(page.Versions) > 0 || !page.More {
				return err == nil && len(page.Versions) == 0, err
			}
			opts.AfterKey, opts.AfterVersion = page.NextKey, page.NextVersion
		}
	}
	opts := &store.ListOptions{Limit: 1}
	for {
		page, err := b.List(ctx, opts)
		if err != nil || len(page.Objects) > 0 || !page.More {
			return err == nil && len(page.Objects) == 0, err
		}
		opts.After = page.Next
	}
}
