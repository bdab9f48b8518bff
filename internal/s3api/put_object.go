package s3api

import (
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func putObject(c *call) error {
	opts, err := c.putOptions()
	if err != nil {
		return err
	}
	t, err := c.content()
	if err != nil {
		return err
	}
	opts.Size, opts.MD5, opts.Checksums, opts.Algorithm, opts.Trailer = t.size, t.md5, t.sums, t.algorithm, t.trailer
	if opts.IfMatch, opts.IfNoneMatch, err = c.writeConditions(); err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	info, err := b.Put(c.ctx, c.target.key, t.r, opts)
	if err != nil {
		return err
	}
	c.put("Etag", quote(info.ETag))
	c.tellVersion(info)
	setSSE(c.h, &info.SSE)
	setChecksums(c.h, &info.Checksums)
	c.header(http.StatusOK)
	return nil
}

// writeConditions reads the conditions of a write, of which S3 takes one.
func (c *call) writeConditions() (match, noneMatch []string, err error) {
	match, noneMatch = etags(c.value("if-match")), etags(c.value("if-none-match"))
	if match != nil && noneMatch != nil {
		err = newError("NotImplemented", "").with("Header", "If-Match,If-None-Match").
			with("additionalMessage", "Multiple conditional request headers present in the request")
	}
	return match, noneMatch, err
}

// putOptions reads what PutObject, CreateMultipartUpload and a copy that replaces
// its source's attributes have in common.
func (c *call) putOptions() (*store.PutOptions, error) {
	if err := c.noTimes(); err != nil {
		return nil, err
	}
	a, err := c.attributes()
	if err != nil {
		return nil, err
	}
	tags, err := parseTags(c.value("x-amz-tagging"))
	if err != nil {
		return nil, err
	}
	sse, err := c.sse()
	if err != nil {
		return nil, err
	}
	return &store.PutOptions{Attributes: a, Tags: tags, SSE: sse}, nil
}
