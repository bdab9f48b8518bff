package s3api

import (
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func deleteObject(c *call) error {
	b, err := c.bucket()
	if err != nil {
		return err
	}
	opts := &store.DeleteOptions{IfMatch: etags(c.value("if-match"))}
	if _, err := b.Delete(c.ctx, c.target.key, opts); err != nil {
		return err
	}
	c.header(http.StatusNoContent)
	return nil
}
