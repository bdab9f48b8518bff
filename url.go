package cubby

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/s3store"
)

// How long a URL is good for.
const (
	DefaultExpires = 15 * time.Minute
	MaxExpires     = 7 * 24 * time.Hour
)

// Presigner is a store.Bucket that can make URLs which need no credentials. A
// bucket without these methods works, but for URL.
type Presigner interface {
	// PresignGet returns a URL to GET the object with. Attributes that are not ""
	// take the place of those of the object in the answer.
	PresignGet(ctx context.Context, key string, expires time.Duration, a *store.Attributes) (*url.URL, error)
	// PresignPut returns a URL to PUT the object with. The request must carry the
	// headers of the attributes that are not "".
	PresignPut(ctx context.Context, key string, expires time.Duration, a *store.Attributes) (*url.URL, error)
}

var _ Presigner = (*s3store.Bucket)(nil)

// URLOptions are the options of URL.
type URLOptions struct {
	Method  string        // "GET" or "PUT"; "" is GET
	Expires time.Duration // 0 stands for DefaultExpires; at most MaxExpires

	// Validate fails with fs.ErrNotExist if there is no object. It is for GET.
	Validate bool

	// Of GET, what is not "" takes the place of what the object has. Of PUT, the
	// request must carry the same as its headers.
	ContentType, ContentDisposition, CacheControl string
}

// URL returns a URL that anybody can read the object at l with, or write it, and
// when it ends: when it was asked for, or with the credentials if that is sooner.
// It is secret as long.
func (c *Client) URL(ctx context.Context, l Location, opts *URLOptions) (u *url.URL, expires time.Time, err error) {
	const op = "url"
	if opts == nil {
		opts = new(URLOptions)
	}
	t, err := c.object(ctx, l)
	if err != nil {
		return nil, time.Time{}, c.fail(op, l.String(), err)
	}
	u, expires, err = c.presign(ctx, t, opts)
	return u, expires, c.fail(op, t.path, err)
}

func (c *Client) presign(ctx context.Context, t *target, opts *URLOptions) (*url.URL, time.Time, error) {
	p, ok := t.Bucket.(Presigner)
	if !ok {
		return nil, time.Time{}, fmt.Errorf("bucket %q cannot make URLs: %w", t.name, errors.ErrUnsupported)
	}
	d := opts.Expires
	switch {
	case d == 0:
		d = DefaultExpires
	case d < time.Second || d > MaxExpires:
		return nil, time.Time{}, fmt.Errorf("a URL can be good for 1 second to 7 days, not for %v: %w", d, fs.ErrInvalid)
	}
	if t.physical != "" {
		left, ok, err := c.credentialsLeft(ctx, d)
		if err != nil {
			return nil, time.Time{}, err
		}
		if ok {
			d = max(min(d, left), time.Second)
		}
	}
	d = d.Truncate(time.Second)
	a := &store.Attributes{ContentType: opts.ContentType, ContentDisposition: opts.ContentDisposition, CacheControl: opts.CacheControl}
	sign := p.PresignGet
	switch opts.Method {
	case "", http.MethodGet:
		if opts.Validate {
			if _, err := t.Stat(ctx, t.path, nil); err != nil {
				return nil, time.Time{}, err
			}
		}
	case http.MethodPut:
		sign = p.PresignPut
	default:
		return nil, time.Time{}, fmt.Errorf("method %q of a URL is neither GET nor PUT: %w", opts.Method, fs.ErrInvalid)
	}
	expires := time.Now().Add(d)
	u, err := sign(ctx, t.path, d, a)
	return u, expires, err
}

// credentialsLeft returns how long the credentials are good for, if they end.
// Those of the identity pool are renewed if that makes it longer.
func (c *Client) credentialsLeft(ctx context.Context, want time.Duration) (time.Duration, bool, error) {
	var creds s3store.Credentials
	var err error
	if c.session != nil {
		creds, err = c.session.credentials(ctx, max(want, refreshBefore))
	} else {
		creds, err = c.cfg.Credentials.Retrieve(ctx)
	}
	return time.Until(creds.Expires), creds.CanExpire, err
}
