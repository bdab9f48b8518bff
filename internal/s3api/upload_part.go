package s3api

import (
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
	b, err := c.bucket()
	if err != nil {
		return err
	}
	part, err := b.PutPart(c.ctx, c.target.key, id, n, t.r, &store.PartOptions{Size: t.size, MD5: t.md5, Checksums: t.sums, Algorithm: t.algorithm, Trailer: t.trailer})
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("ETag", quote(part.ETag))
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
