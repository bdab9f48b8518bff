package s3api

import (
	"errors"
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func uploadPartCopy(c *call) error {
	n, id, err := c.part()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	src, err := c.source()
	if err != nil {
		return err
	}
	opts := &store.CopyPartOptions{Version: src.version}
	if opts.SourceKey, err = c.customerKey(sourceKey); err != nil {
		return err
	}
	if opts.SSE.CustomerKey, err = c.customerKey(ownKey); err != nil {
		return err
	}
	if opts.Source, err = c.sourceConditions(); err != nil {
		return err
	}
	if v := c.value("x-amz-copy-source-range"); v != "" {
		opts.Range = parseRange(v)
		if opts.Range == nil || opts.Range.Offset < 0 || opts.Range.Length <= 0 {
			return badArgument("x-amz-copy-source-range", v, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		}
	}
	if src.bucket != c.target.bucket {
		if opts.From, err = c.view.Bucket(c.ctx, src.bucket); err != nil {
			return err
		}
	}
	if c.has(sseHeader) {
		page, err := b.ListParts(c.ctx, c.target.key, id, &store.ListPartsOptions{Limit: 1})
		if err != nil {
			return err
		}
		if err := c.sameSSE(&page.Upload); err != nil {
			return err
		}
	}
	part, err := b.CopyPart(c.ctx, c.target.key, id, n, src.key, opts)
	if errors.Is(err, store.ErrRange) {
		if opts.From == nil {
			opts.From = b
		}
		if info, err := opts.From.Stat(c.ctx, src.key, &store.GetOptions{Version: src.version, SSE: store.SSE{CustomerKey: opts.SourceKey}}); err == nil {
			return badArgument("x-amz-copy-source-range", itoa(info.Size), "Range specified is not valid for source object of size: "+itoa(info.Size))
		}
	}
	if err != nil {
		return err
	}
	set(c.w.Header(), "X-Amz-Copy-Source-Version-Id", src.version)
	echoKey(c.w.Header(), opts.SSE.CustomerKey)
	x := newXML()
	x.root("CopyPartResult")
	x.time("LastModified", part.ModTime)
	x.etag(part.ETag)
	x.checksums(&part.Checksums)
	x.close("CopyPartResult")
	return c.xml(http.StatusOK, x)
}
