package s3api

import (
	"net/http"
	"strings"
)

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
	if t := opts.Checksums.Type; t != "" {
		if opts.Algorithm == "" {
			return newError("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		if opts.Algorithm.CheckType(t) != nil {
			return newError("InvalidRequest", "The "+string(t)+" checksum type cannot be used with the "+strings.ToLower(string(opts.Algorithm))+" checksum algorithm.")
		}
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
	setSSE(h, &u.SSE)
	x := newXML()
	x.root("InitiateMultipartUploadResult")
	x.elem("Bucket", c.target.bucket)
	x.elem("Key", c.target.key)
	x.elem("UploadId", u.ID)
	x.close("InitiateMultipartUploadResult")
	return c.xml(http.StatusOK, x)
}
