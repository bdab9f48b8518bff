package s3api

import (
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func deleteObject(c *call) error {
	if err := c.noTimes(); err != nil {
		return err
	}
	version, err := c.version()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	gone, err := b.Delete(c.ctx, c.target.key, &store.DeleteOptions{Version: version, IfMatch: etags(c.value("if-match"))})
	if err != nil {
		return err
	}
	h := c.w.Header()
	set(h, "X-Amz-Version-Id", gone.Version)
	if gone.Marker {
		h.Set("X-Amz-Delete-Marker", "true")
	}
	c.header(http.StatusNoContent)
	return nil
}
