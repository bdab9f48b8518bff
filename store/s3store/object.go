package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
)

// checksumMode asks for the checksums of the object. The option of the SDK of
// that name would also compare them, which is left to who reads all of it.
func checksumMode(o *s3.Options) { header("X-Amz-Checksum-Mode", "ENABLED")(o) }

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func partOrNil(n int) *int32 {
	if n == 0 {
		return nil
	}
	return aws.Int32(int32(n))
}

// checkPart refuses parts that S3 has no number for.
func checkPart(n int) error {
	if n < 1 || n > store.MaxParts {
		return fmt.Errorf("part %d is not in 1 to %d: %w", n, store.MaxParts, fs.ErrInvalid)
	}
	return nil
}

// Stat describes the object without its content.
func (b *Bucket) Stat(ctx context.Context, key string, opts *store.GetOptions) (*store.Info, error) {
	info, err := b.stat(ctx, key, opts)
	return info, b.fail("stat", key, err)
}

func (b *Bucket) stat(ctx context.Context, key string, opts *store.GetOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if opts.Part != 0 {
		if err := checkPart(opts.Part); err != nil {
			return nil, err
		}
	}
	in := &s3.HeadObjectInput{
		Bucket: &b.name, Key: &key, VersionId: optional(opts.Version), PartNumber: partOrNil(opts.Part),
		IfMatch: entityTags(opts.IfMatch), IfNoneMatch: entityTags(opts.IfNoneMatch),
		IfModifiedSince: timeOrNil(opts.IfModifiedSince), IfUnmodifiedSince: timeOrNil(opts.IfUnmodifiedSince),
	}
	var err error
	if in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, err = readKey(opts.SSE); err != nil {
		return nil, err
	}
	out, err := b.client.HeadObject(ctx, in, checksumMode)
	if err != nil {
		return nil, b.statError(ctx, key, opts, mapError(err, kindRead))
	}
	info := &store.Info{
		Key:       key,
		Size:      aws.ToInt64(out.ContentLength),
		ETag:      unquote(out.ETag),
		ModTime:   aws.ToTime(out.LastModified),
		Version:   aws.ToString(out.VersionId),
		Checksums: checksums(out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, string(out.ChecksumType)),
		TagCount:  int(aws.ToInt32(out.TagCount)),
		SSE:       encryption(out.ServerSideEncryption, out.SSEKMSKeyId, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5),
		Attributes: store.Attributes{
			ContentType:        aws.ToString(out.ContentType),
			CacheControl:       aws.ToString(out.CacheControl),
			ContentDisposition: aws.ToString(out.ContentDisposition),
			ContentEncoding:    aws.ToString(out.ContentEncoding),
			ContentLanguage:    aws.ToString(out.ContentLanguage),
			Expires:            aws.ToString(out.ExpiresString),
			User:               userMetadata(out.Metadata),
		},
	}
	info.Parts = partsOf(info.ETag)
	return info, nil
}

// statError says more of a refusal to describe an object: an answer to HEAD has
// no code. What is not found has no such version if one was asked for, and why a
// request was bad shows in the answer to a GET.
func (b *Bucket) statError(ctx context.Context, key string, opts *store.GetOptions, err error) error {
	e, ok := errors.AsType[*ServiceError](err)
	switch {
	case !ok:
	case e.Status == http.StatusNotFound && opts.Version != "" && e.marker == "":
		e.cause = store.ErrNoVersion
	case e.Status == http.StatusBadRequest:
		again := *opts
		if again.Part == 0 {
			again.Range = &store.Range{Length: 1}
		}
		o, why := b.get(ctx, key, &again)
		if why == nil {
			o.Body.Close()
		} else if g, ok := errors.AsType[*ServiceError](why); ok && g.Status == e.Status {
			return why
		}
	}
	return keyError(err, opts.SSE.CustomerKey)
}

// Get opens the object. Nothing is read ahead.
func (b *Bucket) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := b.get(ctx, key, opts)
	return o, b.fail("get", key, err)
}

func (b *Bucket) get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if opts.Part != 0 {
		if err := checkPart(opts.Part); err != nil {
			return nil, err
		}
		if opts.Range != nil {
			return nil, fmt.Errorf("both a part and a range: %w", fs.ErrInvalid)
		}
	}
	in := &s3.GetObjectInput{
		Bucket: &b.name, Key: &key, VersionId: optional(opts.Version), PartNumber: partOrNil(opts.Part),
		IfMatch: entityTags(opts.IfMatch), IfNoneMatch: entityTags(opts.IfNoneMatch),
		IfModifiedSince: timeOrNil(opts.IfModifiedSince), IfUnmodifiedSince: timeOrNil(opts.IfUnmodifiedSince),
	}
	if r := opts.Range; r != nil {
		if r.Length == 0 || r.Offset < 0 && r.Length > 0 && r.Length < -r.Offset {
			// HTTP has no words for either.
			info, err := b.stat(ctx, key, opts)
			if err != nil {
				return nil, err
			}
			offset, length, err := r.Resolve(info.Size)
			if err != nil {
				return nil, err
			}
			r = &store.Range{Offset: offset, Length: length}
			in.IfMatch = entityTags([]string{info.ETag})
		}
		in.Range = aws.String(rangeHeader(r))
	}
	var err error
	if in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, err = readKey(opts.SSE); err != nil {
		return nil, err
	}
	out, err := b.client.GetObject(ctx, in, checksumMode)
	if err != nil {
		return nil, keyError(mapError(err, kindRead), opts.SSE.CustomerKey)
	}
	o := &store.Object{
		Info: store.Info{
			Key:       key,
			Size:      aws.ToInt64(out.ContentLength),
			ETag:      unquote(out.ETag),
			ModTime:   aws.ToTime(out.LastModified),
			Version:   aws.ToString(out.VersionId),
			Checksums: checksums(out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, string(out.ChecksumType)),
			TagCount:  int(aws.ToInt32(out.TagCount)),
			SSE:       encryption(out.ServerSideEncryption, out.SSEKMSKeyId, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5),
			Attributes: store.Attributes{
				ContentType:        aws.ToString(out.ContentType),
				CacheControl:       aws.ToString(out.CacheControl),
				ContentDisposition: aws.ToString(out.ContentDisposition),
				ContentEncoding:    aws.ToString(out.ContentEncoding),
				ContentLanguage:    aws.ToString(out.ContentLanguage),
				Expires:            aws.ToString(out.ExpiresString),
				User:               userMetadata(out.Metadata),
			},
		},
		Length: aws.ToInt64(out.ContentLength),
		Body:   &body{ctx, out.Body},
	}
	o.Parts = partsOf(o.ETag)
	if offset, total, ok := contentRange(aws.ToString(out.ContentRange)); ok {
		o.Offset, o.Size = offset, total
	} else if opts.Range != nil {
		out.Body.Close()
		if o.Size == 0 {
			return nil, store.ErrRange
		}
		return nil, fmt.Errorf("service does not heed ranges: %w", errors.ErrUnsupported)
	}
	return o, nil
}

// body makes the error of a request that was ended by its context that of the context.
type body struct {
	ctx context.Context
	io.ReadCloser
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = b.ctx.Err()
	}
	return n, err
}

func rangeHeader(r *store.Range) string {
	switch {
	case r.Offset < 0:
		return "bytes=" + strconv.FormatInt(r.Offset, 10)
	case r.Length < 0 || r.Length > math.MaxInt64-r.Offset:
		return fmt.Sprintf("bytes=%d-", r.Offset)
	}
	return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1)
}

// contentRange reads "bytes 5-9/20": the offset and the size of the whole.
func contentRange(s string) (offset, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, size, ok2 := strings.Cut(s, "/")
	first, _, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, false
	}
	offset, err := strconv.ParseInt(first, 10, 64)
	total, err2 := strconv.ParseInt(size, 10, 64)
	return offset, total, err == nil && err2 == nil && offset >= 0 && offset < total
}

// Delete removes the object.
func (b *Bucket) Delete(ctx context.Context, key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	if opts == nil {
		opts = new(store.DeleteOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, b.fail("delete", key, err)
	}
	out, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{
		Bucket: &b.name, Key: &key, VersionId: optional(opts.Version), IfMatch: entityTags(opts.IfMatch),
	})
	err = mapError(err, kindWrite)
	if len(opts.IfMatch) == 0 && errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrNoBucket) {
		// Some services say so although the object is as wished.
		return &store.Deleted{Version: opts.Version}, nil
	}
	if err != nil {
		return nil, b.fail("delete", key, err)
	}
	return &store.Deleted{Version: aws.ToString(out.VersionId), Marker: aws.ToBool(out.DeleteMarker)}, nil
}

// DeleteMany deletes up to [store.MaxPage] objects.
func (b *Bucket) DeleteMany(ctx context.Context, targets []store.Target) ([]store.Deleted, error) {
	const op = "delete many"
	if len(targets) > store.MaxPage {
		return nil, b.fail(op, "", fmt.Errorf("%d keys, at most %d are allowed: %w", len(targets), store.MaxPage, fs.ErrInvalid))
	}
	results := make([]store.Deleted, len(targets))
	var del types.Delete
	at := map[store.Target][]int{}
	for i, t := range targets {
		switch err := store.CheckKey(t.Key); {
		case err != nil:
			results[i].Err = b.fail(op, t.Key, err)
		case !inXML(t.Key):
			d, err := b.Delete(ctx, t.Key, &store.DeleteOptions{Version: t.Version})
			if err != nil {
				d = &store.Deleted{Err: err}
			}
			results[i] = *d
		default:
			if at[t] == nil {
				del.Objects = append(del.Objects, types.ObjectIdentifier{Key: &t.Key, VersionId: optional(t.Version)})
			}
			at[t] = append(at[t], i)
		}
	}
	if len(del.Objects) == 0 {
		return results, nil
	}
	out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &del})
	if err != nil {
		return nil, b.fail(op, "", mapError(err, kindWrite))
	}
	for _, d := range out.Deleted {
		r := store.Deleted{Version: aws.ToString(d.VersionId), Marker: aws.ToBool(d.DeleteMarker)}
		if r.Marker && r.Version == "" {
			r.Version = aws.ToString(d.DeleteMarkerVersionId)
		}
		t := store.Target{Key: aws.ToString(d.Key), Version: aws.ToString(d.VersionId)}
		if at[t] == nil {
			t.Version = ""
		}
		for n, i := range at[t] {
			// Each request to hide an object makes a marker, though a list names it once.
			if n > 0 && t.Version == "" && r.Marker && r.Version != store.NullVersion {
				again, err := b.Delete(ctx, t.Key, nil)
				if err != nil {
					again = &store.Deleted{Err: err}
				}
				r = *again
			}
			results[i] = r
		}
	}
	for _, e := range out.Errors {
		key, code := aws.ToString(e.Key), aws.ToString(e.Code)
		cause := causeOf(code, 0, kindWrite)
		for _, i := range at[store.Target{Key: key, Version: aws.ToString(e.VersionId)}] {
			if errors.Is(cause, fs.ErrNotExist) {
				results[i].Version = targets[i].Version
				continue
			}
			results[i].Err = b.fail(op, key, &ServiceError{Code: code, Message: aws.ToString(e.Message), cause: cause})
		}
	}
	return results, nil
}

// inXML reports whether XML can hold the text.
func inXML(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' || r == 0xfffe || r == 0xffff
	})
}

// Tags returns the tags of an object.
func (b *Bucket) Tags(ctx context.Context, key string, opts *store.GetOptions) (map[string]string, error) {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	err := store.CheckKey(key)
	if err == nil {
		err = b.tagConditions(ctx, key, opts)
	}
	if err != nil {
		return nil, b.fail("tags", key, err)
	}
	out, err := b.client.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &b.name, Key: &key, VersionId: optional(opts.Version)})
	if err != nil {
		return nil, b.fail("tags", key, mapError(err, kindRead))
	}
	tags := make(map[string]string, len(out.TagSet))
	for _, t := range out.TagSet {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

// SetTags replaces the tags of an object.
func (b *Bucket) SetTags(ctx context.Context, key string, tags map[string]string, opts *store.GetOptions) error {
	if opts == nil {
		opts = new(store.GetOptions)
	}
	err := store.CheckKey(key)
	if err == nil {
		err = store.CheckTags(tags)
	}
	if err == nil {
		err = b.tagConditions(ctx, key, opts)
	}
	if err != nil {
		return b.fail("set tags", key, err)
	}
	set := make([]types.Tag, 0, len(tags))
	for k, v := range tags {
		set = append(set, types.Tag{Key: &k, Value: &v})
	}
	_, err = b.client.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{
		Bucket: &b.name, Key: &key, VersionId: optional(opts.Version), Tagging: &types.Tagging{TagSet: set},
	})
	return b.fail("set tags", key, mapError(err, kindWrite))
}

// tagConditions tests the conditions and the key of a request about tags, which S3
// has none for.
func (b *Bucket) tagConditions(ctx context.Context, key string, opts *store.GetOptions) error {
	c := opts.Conditions
	if len(c.IfMatch) == 0 && len(c.IfNoneMatch) == 0 && c.IfModifiedSince.IsZero() && c.IfUnmodifiedSince.IsZero() && opts.SSE.IsZero() {
		return nil
	}
	_, err := b.stat(ctx, key, &store.GetOptions{Version: opts.Version, SSE: opts.SSE, Conditions: c})
	return err
}
