package s3store

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/cubby-storage/cubby/store"
)

// Versioning says whether the bucket keeps versions. That of a service which has
// none keeps none.
func (b *Bucket) Versioning(ctx context.Context) (store.Versioning, error) {
	out, err := b.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.name})
	if err = mapError(err, kindBucket); errors.Is(err, errors.ErrUnsupported) {
		return store.Unversioned, nil
	}
	if err != nil {
		return "", b.fail("versioning", "", err)
	}
	return store.Versioning(out.Status), nil
}

// SetVersioning makes the bucket keep versions from now on, or no more of them.
func (b *Bucket) SetVersioning(ctx context.Context, v store.Versioning) error {
	const op = "set versioning"
	if v != store.Enabled && v != store.Suspended {
		return b.fail(op, "", fmt.Errorf("versioning %q: %w", v, fs.ErrInvalid))
	}
	_, err := b.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &b.name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatus(v)},
	})
	return b.fail(op, "", mapError(err, kindBucket))
}

// ListVersions returns a page of all versions and delete markers. Of a list with
// ranges the service is asked as List asks it.
func (b *Bucket) ListVersions(ctx context.Context, opts *store.ListVersionsOptions) (*store.VersionsPage, error) {
	page, err := b.listVersions(ctx, opts)
	return page, b.fail("list versions", "", err)
}

func (b *Bucket) listVersions(ctx context.Context, opts *store.ListVersionsOptions) (*store.VersionsPage, error) {
	if opts == nil {
		opts = new(store.ListVersionsOptions)
	}
	limit, err := store.PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	l := &versionLister{b: b, opts: opts, limit: limit, ranges: opts.Ranges, page: new(store.VersionsPage)}
	if l.ranges == nil {
		l.ranges = []store.KeyRange{{}}
	}
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	return l.page, nil
}

// versionLister makes a page of a list of versions.
type versionLister struct {
	b      *Bucket
	opts   *store.ListVersionsOptions
	limit  int
	ranges []store.KeyRange // those that may hold keys still to come
	page   *store.VersionsPage
}

func (l *versionLister) run(ctx context.Context) error {
	key, version := l.opts.AfterKey, l.opts.AfterVersion // all up to it is dealt with
	if p := rolled(key, l.opts.Prefix, l.opts.Delimiter); p != "" {
		if p != key {
			if err := l.takeRest(ctx, p); err != nil {
				return err
			}
		}
		key, version = beyond(p), ""
	}
	for l.advance(key) {
		if s := before(l.ranges[0].Start); s > key {
			key, version = s, ""
		}
		answer, err := l.request(ctx, key, version)
		if err != nil {
			return err
		}
		for _, e := range answer.entries {
			if full, err := l.take(ctx, e); full || err != nil {
				return err
			}
		}
		if !answer.truncated {
			return nil
		}
		if l.opts.Ranges == nil && l.size() == l.limit {
			l.page.More = true
			return nil
		}
		next, nextVersion := answer.key, answer.version
		if p := rolled(next, l.opts.Prefix, l.opts.Delimiter); p != "" {
			next, nextVersion = beyond(p), ""
		}
		if next < key || next == key && nextVersion == version {
			return errors.New("service cuts the list off without a marker")
		}
		key, version = next, nextVersion
	}
	return nil
}

func (l *versionLister) size() int { return len(l.page.Versions) + len(l.page.Prefixes) }

// advance drops the ranges that end before key. It is false if no key of the
// list can come then.
func (l *versionLister) advance(key string) bool {
	for len(l.ranges) > 0 {
		r := l.ranges[0]
		if r.End != "" && (r.End <= key || r.End <= l.opts.Prefix) {
			l.ranges = l.ranges[1:]
			continue
		}
		return r.Start <= l.opts.Prefix || strings.HasPrefix(r.Start, l.opts.Prefix)
	}
	return false
}

// takeRest adds the prefix p to the page if there are versions with it after
// those that the list starts after.
func (l *versionLister) takeRest(ctx context.Context, p string) error {
	page, err := l.b.listVersions(ctx, &store.ListVersionsOptions{
		Prefix: p, AfterKey: l.opts.AfterKey, AfterVersion: l.opts.AfterVersion, Ranges: l.opts.Ranges, Limit: 1,
	})
	if err != nil || len(page.Versions) == 0 {
		return err
	}
	l.page.Prefixes, l.page.NextKey = []string{p}, p
	return nil
}

// take adds e to the page if it belongs there. It is true if the page was full:
// there is more then.
func (l *versionLister) take(ctx context.Context, e versionEntry) (full bool, err error) {
	in := false
	if e.rolled {
		if e.Key <= l.opts.AfterKey || e.Key <= l.page.NextKey {
			return false, nil
		}
		in, err = visible(e.Key, l.ranges, func(some []store.KeyRange) (bool, error) {
			page, err := l.b.listVersions(ctx, &store.ListVersionsOptions{Prefix: e.Key, Ranges: some, Limit: 1})
			return err == nil && len(page.Versions) > 0, err
		})
	} else {
		in = slices.ContainsFunc(l.ranges, func(r store.KeyRange) bool { return r.Contains(e.Key) })
	}
	if err != nil || !in {
		return false, err
	}
	if l.size() == l.limit {
		l.page.More = true
		return true, nil
	}
	l.page.NextKey, l.page.NextVersion = e.Key, e.Version.Version
	if e.rolled {
		l.page.Prefixes = append(l.page.Prefixes, e.Key)
	} else {
		l.page.Versions = append(l.page.Versions, e.Version)
	}
	return false, nil
}

// versionEntry is a version or a delete marker or, if rolled, a prefix.
type versionEntry struct {
	store.Version
	rolled bool
}

// versionsAnswer is what a service answers to a list of versions.
type versionsAnswer struct {
	entries      []versionEntry
	truncated    bool
	key, version string // the next markers, if truncated
}

// request asks for the versions after key and version.
func (l *versionLister) request(ctx context.Context, key, version string) (*versionsAnswer, error) {
	want := l.limit
	if l.opts.Ranges != nil {
		want = min(want+1, store.MaxPage)
	}
	var order versionOrder
	out, err := l.b.client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{
		Bucket: &l.b.name, Prefix: optional(l.opts.Prefix), Delimiter: optional(l.opts.Delimiter), EncodingType: types.EncodingTypeUrl,
		MaxKeys: aws.Int32(int32(want)), KeyMarker: optional(key), VersionIdMarker: optional(version),
	}, order.watch)
	if err != nil {
		return nil, mapError(err, kindBucket)
	}
	markers, err := order.markers()
	if err != nil {
		return nil, err
	}
	if len(markers) != len(out.Versions)+len(out.DeleteMarkers) {
		return nil, errors.New("service answered with a list that cannot be read")
	}
	d := decoder{encoded: out.EncodingType == types.EncodingTypeUrl}
	a := &versionsAnswer{truncated: aws.ToBool(out.IsTruncated), version: aws.ToString(out.NextVersionIdMarker)}
	versions, deleted := out.Versions, out.DeleteMarkers
	for _, marker := range markers {
		var v store.Version
		if marker {
			m := deleted[0]
			deleted = deleted[1:]
			v = store.Version{Latest: aws.ToBool(m.IsLatest), IsMarker: true}
			v.Key, v.Version, v.ModTime = d.decode(m.Key), aws.ToString(m.VersionId), aws.ToTime(m.LastModified)
		} else {
			o := versions[0]
			versions = versions[1:]
			v = store.Version{Latest: aws.ToBool(o.IsLatest)}
			v.Key, v.Version, v.ModTime = d.decode(o.Key), aws.ToString(o.VersionId), aws.ToTime(o.LastModified)
			v.Size, v.ETag = aws.ToInt64(o.Size), unquote(o.ETag)
		}
		a.entries = append(a.entries, versionEntry{v, false})
	}
	for _, p := range out.CommonPrefixes {
		e := versionEntry{rolled: true}
		e.Key = d.decode(p.Prefix)
		a.entries = append(a.entries, e)
	}
	// The sort is stable: the versions of a key stay in the order of the service.
	slices.SortStableFunc(a.entries, func(x, y versionEntry) int { return strings.Compare(x.Key, y.Key) })
	if a.truncated {
		a.key = d.decode(out.NextKeyMarker)
	}
	return a, d.err
}

// versionOrder finds out how versions and delete markers follow each other in a
// list: the SDK gives two lists, and times are too coarse to merge them by.
type versionOrder struct {
	body []byte
}

// maxVersions is the most of an answer that is read: 1,000 keys of 1,024 bytes,
// each encoded, have less.
const maxVersions = 16 << 20

// watch is the option of the request.
func (v *versionOrder) watch(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("CubbyVersionOrder", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleDeserialize(ctx, in)
			if r, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil && r.StatusCode/100 == 2 {
				body := r.Body
				v.body, err = io.ReadAll(io.LimitReader(body, maxVersions))
				r.Body = struct {
					io.Reader
					io.Closer
				}{bytes.NewReader(v.body), body}
			}
			return out, meta, err
		}), middleware.After)
	})
}

// markers tells for each version of the list whether it is a delete marker.
func (v *versionOrder) markers() ([]bool, error) {
	var list []bool
	d := xml.NewDecoder(bytes.NewReader(v.body))
	for depth := 0; ; {
		t, err := d.Token()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list of versions: %w", err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth == 0 {
				depth++
				continue
			}
			if t.Name.Local == "Version" || t.Name.Local == "DeleteMarker" {
				list = append(list, t.Name.Local == "DeleteMarker")
			}
			if err := d.Skip(); err != nil {
				return nil, fmt.Errorf("list of versions: %w", err)
			}
		}
	}
}
