package s3api

import "net/http"

func deleteBucket(c *call) error {
	if err := c.view.DeleteBucket(c.ctx, c.target.bucket); err != nil {
		return err
	}
	c.header(http.StatusNoContent)
	return nil
}
