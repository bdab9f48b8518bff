package s3api

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func uploadPart(c *call) error {
	n, id, err := c.part()
	if err != nil {
		return err
	}
	t, err := c.content()
	if err != nil {
		return err
	}
	key, err := c.customerKey(ownKey)
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	part, err := b.PutPart(c.ctx, c.target.key, id, n, t.r, &store.PartOptions{
		Size: t.size, MD5: t.md5, Checksums: t.sums, Algorithm: t.algorithm, Trailer: t.trailer, SSE: store.SSE{CustomerKey: key},
	})
	if errors.Is(err, fs.ErrInvalid) && t.algorithm != "" {
		page, _ := b.ListParts(c.ctx, c.target.key, id, &store.ListPartsOptions{Limit: 1})
		if page != nil && page.Upload.Algorithm != "" && page.Upload.Algorithm != t.algorithm {
			return newError("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: "+string(page.Upload.Algorithm)+", actual checksum Type: "+string(t.algorithm))
		}
	}
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("ETag", quote(part.ETag))
	echoKey(h, key)
	for _, a := range store.Algorithms() {
		set(h, headerOf(a), part.Checksums.Get(a))
	}
	c.header(http.StatusOK)
	return nil
}

// part returns the number of the part and the upload that the query names.
func (c *call) part() (n int, uploadID string, err error) {
	if n, err = c.partNumber(); err != nil {
		return 0, "", err
	}
	uploadID, err = c.uploadID()
	return n, uploadID, err
}
