package s3api

import "net/http"

// getBucketVersioning says that versions were never switched on.
func getBucketVersioning(c *call) error {
	if _, err := c.view.StatBucket(c.ctx, c.target.bucket); err != nil {
		return err
	}
	x := newXML()
	x.root("VersioningConfiguration")
	x.close("VersioningConfiguration")
	return c.xml(http.StatusOK, x)
}
