package cubby

import (
	"context"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// CopyOptions are the options of Copy.
type CopyOptions struct {
	IfMatch          string    // copy only if the source has this entity tag
	NotModifiedSince time.Time // copy only if the source has not changed since
	PreventOverwrite bool      // fail with fs.ErrExist if there is an object already

	// Attributes, if not nil, take the place of those of the source.
	Attributes *Attributes
	// Tags, if not nil, take the place of those of the source; empty ones remove them.
	Tags map[string]string
	SSE  store.SSE
}

// Copy copies the object at src to dst, which may be in another bucket. If both
// are in the same service, the content does not pass through this program. Size
// and Attributes of the result need not be set.
func (c *Client) Copy(ctx context.Context, dst, src Location, opts *CopyOptions) (*Info, error) {
	const op = "copy"
	if opts == nil {
		opts = new(CopyOptions)
	}
	from, err := c.object(ctx, src)
	if err != nil {
		return nil, c.fail(op, src.String(), err)
	}
	to, err := c.object(ctx, dst)
	if err != nil {
		return nil, c.fail(op, dst.String(), err)
	}
	o := &store.CopyOptions{
		Source:      store.Conditions{IfUnmodifiedSince: opts.NotModifiedSince},
		Replace:     opts.Attributes != nil,
		ReplaceTags: opts.Tags != nil,
		Put:         store.PutOptions{Tags: opts.Tags, SSE: opts.SSE},
	}
	if from.bucket != to.bucket {
		o.From = from.Bucket
	}
	if opts.IfMatch != "" {
		o.Source.IfMatch = []string{opts.IfMatch}
	}
	if opts.Attributes != nil {
		o.Put.Attributes = *opts.Attributes
	}
	if opts.PreventOverwrite {
		o.Put.IfNoneMatch = []string{"*"}
	}
	info, err := to.Copy(ctx, to.path, from.path, o)
	if err != nil {
		return nil, c.fail(op, from.path+" to "+to.path, err)
	}
	return to.info(info), nil
}
