package s3store

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/cubby-storage/cubby/store"
)

// attempts watches how a write is sent, and sent again. The service may have done
// what it was asked for although its answer was lost; the next attempt then fails
// on the condition, or the upload, that the first has used up.
type attempts struct {
	began time.Time // by our clock
	since time.Time // the same by that of the service, at the earliest; zero if it told no time
	lost  bool      // an attempt may have been done, for all that was heard of it
}

func newAttempts() *attempts { return &attempts{began: time.Now()} }

// watch is the option of the request that is to be watched.
func (a *attempts) watch(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("CubbyAttempts", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleDeserialize(ctx, in)
			status := 0
			if r, ok := out.RawResponse.(*smithyhttp.Response); ok {
				status = r.StatusCode
				if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
					// Dates have whole seconds, and a service has many clocks.
					a.since = date.Add(-time.Since(a.began) - 2*time.Second)
				}
			}
			if err != nil && (status < 400 || status >= 500) {
				a.lost = true
			}
			return out, meta, err
		}), middleware.Before)
	})
}

// inVain reports whether err, of the last attempt, may be due to an earlier one.
func (a *attempts) inVain(err error) bool {
	return a.lost && (errors.Is(err, fs.ErrExist) || errors.Is(err, store.ErrPrecondition) || errors.Is(err, store.ErrNoUpload))
}

// wrote reports whether info may be of an object that one of the attempts wrote.
func (a *attempts) wrote(info *store.Info) bool {
	return !a.since.IsZero() && !info.ModTime.Before(a.since)
}

// alreadyPut returns the object if it is what one of the attempts has put.
func (b *Bucket) alreadyPut(ctx context.Context, a *attempts, key string, c *content, sse store.SSE) (*store.Info, bool) {
	info, err := b.stat(ctx, key, &store.GetOptions{SSE: sse})
	if err != nil || info.Size != c.size || !a.wrote(info) {
		return nil, false
	}
	if same, known := sameChecksum(c.checksums(), info.Checksums); known {
		return info, same
	}
	sum, err := c.sumMD5()
	return info, err == nil && info.ETag == hex.EncodeToString(sum)
}

// alreadyCopied returns the object dst if it is the copy of src that one of the
// attempts has made.
func (b *Bucket) alreadyCopied(ctx context.Context, a *attempts, dst string, from *Bucket, src string, opts *store.CopyOptions) (*store.Info, bool) {
	info, err := b.stat(ctx, dst, &store.GetOptions{SSE: opts.Put.SSE})
	if err != nil || !a.wrote(info) {
		return nil, false
	}
	source, err := from.stat(ctx, src, &store.GetOptions{
		Version: opts.Version, Conditions: opts.Source, SSE: store.SSE{CustomerKey: opts.SourceKey},
	})
	if err != nil || source.Size != info.Size {
		return nil, false
	}
	same, known := sameChecksum(source.Checksums, info.Checksums)
	return info, known && same || !known && source.ETag == info.ETag
}

// alreadyComplete returns the object if one of the attempts has made it of the
// parts: the upload is gone then. That tells more than the time of the object,
// which may be that of the start of the upload. Cause is why the last one failed.
func (b *Bucket) alreadyComplete(ctx context.Context, key, uploadID string, parts []store.Part, opts *store.CompleteOptions, cause error) (*store.Info, bool) {
	if !errors.Is(cause, store.ErrNoUpload) {
		_, cause = b.listParts(ctx, key, uploadID, &store.ListPartsOptions{Limit: 1})
	}
	if !errors.Is(cause, store.ErrNoUpload) {
		return nil, false
	}
	info, err := b.stat(ctx, key, nil)
	if err != nil || opts.Size > 0 && info.Size != opts.Size {
		return nil, false
	}
	if same, known := sameChecksum(opts.Checksums, info.Checksums); known {
		return info, same
	}
	etag, err := store.MultipartETag(parts)
	return info, err == nil && info.ETag == etag
}

// sameChecksum compares checksums of whole objects. It is not known whether they
// are the same if they are by different algorithms.
func sameChecksum(a, b store.Checksums) (same, known bool) {
	if a.Type != store.FullObject || b.Type != store.FullObject {
		return false, false
	}
	for _, alg := range store.Algorithms() {
		if v, w := a.Get(alg), b.Get(alg); v != "" && w != "" {
			return v == w, true
		}
	}
	return false, false
}
