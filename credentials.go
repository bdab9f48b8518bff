package cubby

import (
	"context"
	"errors"

	"github.com/cubby-storage/cubby/store/s3store"
)

// Credentials are the access keys that the visitor's requests are signed with,
// for other S3 clients. Those of the identity pool are good for as long as they
// can be. Of a Client without either the error is errors.ErrUnsupported.
func (c *Client) Credentials(ctx context.Context) (creds s3store.Credentials, err error) {
	switch {
	case c.session != nil:
		creds, err = c.session.credentials(ctx, MaxExpires)
	case c.cfg.Credentials != nil:
		creds, err = c.cfg.Credentials.Retrieve(ctx)
	default:
		err = errors.ErrUnsupported
	}
	return creds, c.fail("get credentials", "", err)
}
