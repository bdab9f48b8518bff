package s3api

import (
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func uploadPartCopy(c *call) error {
	n, id, err := c.part()
	if err != nil {
		return err
	}
	src, err := c.source()
	if err != nil {
		return err
	}
	opts := new(store.CopyPartOptions)
	if opts.Source, err = c.sourceConditions(); err != nil {
		return err
	}
	if v := c.value("x-amz-copy-source-range"); v != "" {
		opts.Range = parseRange(v)
		if opts.Range == nil || opts.Range.Offset < 0 || opts.Range.Length <= 0 {
			return newError("InvalidArgument", "x-amz-copy-source-range must be bytes=first-last.")
		}
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	if src.bucket != c.target.bucket {
		if opts.From, err = c.view.Bucket(c.ctx, src.bucket); err != nil {
			return err
		}
	}
	part, err := b.CopyPart(c.ctx, c.target.key, id, n, src.key, opts)
	if err != nil {
		return err
	}
	x := newXML()
	x.root("CopyPartResult")
	x.time("LastModified", part.ModTime)
	x.etag(part.ETag)
	x.checksums(&part.Checksums)
	x.close("CopyPartResult")
	return c.xml(http.StatusOK, x)
}
