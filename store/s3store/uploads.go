package s3store

import (
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
)

// ListUploads returns a page of the uploads that are neither complete nor aborted.
func (b *Bucket) ListUploads(ctx context.Context, opts *store.ListUploadsOptions) (*store.UploadsPage, error) {
	page, err := b.listUploads(ctx, opts)
	return page, b.fail("list uploads", "", err)
}

func (b *Bucket) listUploads(ctx context.Context, opts *store.ListUploadsOptions) (*store.UploadsPage, error) {
	if opts == nil {
		opts = new(store.ListUploadsOptions)
	}
	if err := checkOwner(opts.UploadOptions); err != nil {
		return nil, err
	}
	limit, err := store.PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	ranges := opts.Ranges
	if ranges == nil {
		ranges = []store.KeyRange{{}}
	}
	key, id := opts.AfterKey, opts.AfterID
	if p := rolled(key, opts.Prefix, opts.Delimiter); p != "" && p == key {
		key = beyond(key)
	}
	page := new(store.UploadsPage)
	for len(ranges) > 0 {
		if end := ranges[0].End; end != "" && (end <= key || end <= opts.Prefix) {
			ranges = ranges[1:]
			continue
		}
		if s := before(ranges[0].Start); s > key {
			key, id = s, ""
		}
		in := &s3.ListMultipartUploadsInput{
			Bucket: &b.name, Prefix: optional(opts.Prefix), Delimiter: optional(opts.Delimiter), EncodingType: types.EncodingTypeUrl,
			MaxUploads: aws.Int32(int32(limit)), KeyMarker: optional(key), UploadIdMarker: optional(id),
		}
		out, err := b.client.ListMultipartUploads(ctx, in)
		if err != nil {
			return nil, mapError(err, kindBucket)
		}
		d := decoder{encoded: out.EncodingType == types.EncodingTypeUrl}
		list := uploadEntries(out, &d)
		if d.err != nil {
			return nil, d.err
		}
		for _, u := range list {
			if u.rolled && u.Key <= opts.AfterKey {
				continue
			}
			in, err := b.uploadVisible(ctx, &u, ranges)
			if err != nil {
				return nil, err
			}
			if !in {
				continue
			}
			if len(page.Uploads)+len(page.Prefixes) == limit {
				page.More = true
				return page, nil
			}
			page.NextKey, page.NextID = u.Key, u.ID
			if u.rolled {
				page.Prefixes = append(page.Prefixes, u.Key)
			} else {
				page.Uploads = append(page.Uploads, u.Upload)
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return page, nil
		}
		if opts.Ranges == nil && len(page.Uploads)+len(page.Prefixes) == limit {
			page.More = true
			return page, nil
		}
		k, i := d.decode(out.NextKeyMarker), aws.ToString(out.NextUploadIdMarker)
		if k == key && i == id || d.err != nil {
			return nil, errors.Join(errors.New("service cuts the list off without a marker"), d.err)
		}
		key, id = k, i
	}
	return page, nil
}

type uploadEntry struct {
	store.Upload
	rolled bool // Key is a rolled-up prefix
}

func uploadEntries(out *s3.ListMultipartUploadsOutput, d *decoder) []uploadEntry {
	var list []uploadEntry
	for _, u := range out.Uploads {
		list = append(list, uploadEntry{store.Upload{
			Key: d.decode(u.Key), ID: aws.ToString(u.UploadId), Owner: initiator(u.Initiator), Started: aws.ToTime(u.Initiated),
			Algorithm: store.Algorithm(u.ChecksumAlgorithm), Type: store.ChecksumType(u.ChecksumType),
		}, false})
	}
	for _, p := range out.CommonPrefixes {
		list = append(list, uploadEntry{store.Upload{Key: d.decode(p.Prefix)}, true})
	}
	// The sort is stable: the service gives the uploads of a key by their time.
	sort.SliceStable(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return list
}

// uploadVisible reports whether an entry of a list of uploads lies in a range.
func (b *Bucket) uploadVisible(ctx context.Context, u *uploadEntry, ranges []store.KeyRange) (bool, error) {
	if u.rolled {
		return visible(u.Key, ranges, func(some []store.KeyRange) (bool, error) {
			page, err := b.listUploads(ctx, &store.ListUploadsOptions{Prefix: u.Key, Ranges: some, Limit: 1})
			return err == nil && len(page.Uploads) > 0, err
		})
	}
	return slices.ContainsFunc(ranges, func(r store.KeyRange) bool { return r.Contains(u.Key) }), nil
}
