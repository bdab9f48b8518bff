package s3api

import "net/http"

func abortMultipartUpload(c *call) error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	if err := b.AbortUpload(c.ctx, c.target.key, id, nil); err != nil {
		return err
	}
	c.header(http.StatusNoContent)
	return nil
}
