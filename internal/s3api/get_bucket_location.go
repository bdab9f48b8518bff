package s3api

import "net/http"

func getBucketLocation(c *call) error {
	if _, err := c.view.StatBucket(c.ctx, c.target.bucket); err != nil {
		return err
	}
	region := c.s.opts.Region
	if region == "us-east-1" {
		region = "" // as S3 has it
	}
	x := newXML()
	x.root("LocationConstraint")
	x.text(region)
	x.close("LocationConstraint")
	return c.xml(http.StatusOK, x)
}
