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
	opts.IfMatch, opts.IfNoneMatch = etags(c.value("if-match")), etags(c.value("if-none-match"))
	b, err := c.bucket()
	if err != nil {
		return err
	}
	info, err := b.Put(c.ctx, c.target.key, t.r, opts)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("ETag", quote(info.ETag))
	set(h, "X-Amz-Version-Id", info.Version)
	setChecksums(h, &info.Checksums)
	c.header(http.StatusOK)
	return nil
}

// putOptions reads what PutObject, CreateMultipartUpload and a copy that replaces
// its source's attributes have in common.
func (c *call) putOptions() (*store.PutOptions, error) {
	a, err := c.attributes()
	if err != nil {
		return nil, err
	}
	tags, err := parseTags(c.value("x-amz-tagging"))
	if err != nil {
		return nil, err
	}
	return &store.PutOptions{Attributes: a, Tags: tags}, nil
}
