package s3api

import "net/http"

func headBucket(c *call) error {
	if _, err := c.view.StatBucket(c.ctx, c.target.bucket); err != nil {
		return err
	}
	c.w.Header().Set("X-Amz-Bucket-Region", c.s.opts.Region)
	c.header(http.StatusOK)
	return nil
}
