package s3api

import "github.com/cubby-storage/cubby/store"

func headObject(c *call) error {
	opts, err := c.getOptions()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	obj, err := c.stat(b, opts)
	if err != nil {
		return c.notRead(b, opts, err)
	}
	c.header(c.describeRange(obj, opts))
	return nil
}

// stat is get without the content.
func (c *call) stat(b store.Bucket, opts *store.GetOptions) (*store.Object, error) {
	if opts.Part != 0 {
		// Only opening the object says where the part is.
		obj, err := b.Get(c.ctx, c.target.key, opts)
		if err == nil {
			obj.Body.Close()
		}
		return obj, err
	}
	info, err := b.Stat(c.ctx, c.target.key, &store.GetOptions{Version: opts.Version, SSE: opts.SSE, Conditions: opts.Conditions})
	if err != nil {
		return nil, err
	}
	obj := &store.Object{Info: *info}
	obj.Offset, obj.Length, err = opts.Range.Resolve(info.Size)
	return obj, err
}
