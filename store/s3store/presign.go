package s3store

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cubby-storage/cubby/store"
)

// MaxPresign is the longest time that a presigned URL can be good for.
const MaxPresign = 7 * 24 * time.Hour

// PresignGet returns a URL that anybody can GET the object with until it
// expires, or the credentials do. It asks the service nothing. Attributes that
// are not "" take the place of those of the object in the answer; User and
// Expires are not looked at. A nil a replaces nothing.
func (b *Bucket) PresignGet(ctx context.Context, key string, expires time.Duration, a *store.Attributes) (*url.URL, error) {
	if a == nil {
		a = new(store.Attributes)
	}
	err := checkPresign(key, expires)
	if err != nil {
		return nil, b.fail("presign", key, err)
	}
	r, err := s3.NewPresignClient(b.client).PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: &key,
		ResponseContentType: optional(a.ContentType), ResponseCacheControl: optional(a.CacheControl),
		ResponseContentDisposition: optional(a.ContentDisposition), ResponseContentEncoding: optional(a.ContentEncoding),
		ResponseContentLanguage: optional(a.ContentLanguage),
	}, s3.WithPresignExpires(expires))
	if err != nil {
		return nil, b.fail("presign", key, mapError(err, kindRead))
	}
	u, err := url.Parse(r.URL)
	return u, b.fail("presign", key, err)
}

// PresignPut returns a URL that anybody can PUT the object with until it
// expires, or the credentials do. It asks the service nothing. The request must
// carry the headers of the attributes that are not "", as they are here; Expires
// is not looked at. A nil a asks for none.
func (b *Bucket) PresignPut(ctx context.Context, key string, expires time.Duration, a *store.Attributes) (*url.URL, error) {
	if a == nil {
		a = new(store.Attributes)
	}
	err := checkPresign(key, expires)
	if err != nil {
		return nil, b.fail("presign", key, err)
	}
	r, err := s3.NewPresignClient(b.client).PresignPutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key,
		ContentType: optional(a.ContentType), CacheControl: optional(a.CacheControl), ContentDisposition: optional(a.ContentDisposition),
		ContentEncoding: optional(a.ContentEncoding), ContentLanguage: optional(a.ContentLanguage), Metadata: a.User,
	}, s3.WithPresignExpires(expires))
	if err != nil {
		return nil, b.fail("presign", key, mapError(err, kindWrite))
	}
	u, err := url.Parse(r.URL)
	return u, b.fail("presign", key, err)
}

func checkPresign(key string, expires time.Duration) error {
	if expires < time.Second || expires > MaxPresign {
		return fmt.Errorf("URL that is good for %v, not 1 second to 7 days: %w", expires, fs.ErrInvalid)
	}
	return store.CheckKey(key)
}
