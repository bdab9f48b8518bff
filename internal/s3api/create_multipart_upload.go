package s3api

import "net/http"

func createMultipartUpload(c *call) error {
	opts, err := c.putOptions()
	if err != nil {
		return err
	}
	if opts.Algorithm, err = c.algorithm("x-amz-checksum-algorithm"); err != nil {
		return err
	}
	if opts.Checksums.Type, err = c.checksumType(); err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	u, err := b.CreateUpload(c.ctx, c.target.key, opts)
	if err != nil {
		return err
	}
	h := c.w.Header()
	set(h, "X-Amz-Checksum-Algorithm", string(u.Algorithm))
	set(h, "X-Amz-Checksum-Type", string(u.Type))
	x := newXML()
	x.root("InitiateMultipartUploadResult")
	x.elem("Bucket", c.target.bucket)
	x.elem("Key", c.target.key)
	x.elem("UploadId", u.ID)
	x.close("InitiateMultipartUploadResult")
	return c.xml(http.StatusOK, x)
}
