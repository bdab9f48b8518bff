package s3api

import (
	"encoding/xml"
	"net/http"
)

// maxBucketBody is the most bytes in the settings of CreateBucket.
const maxBucketBody = 64 << 10

// createBucketRequest is the settings of CreateBucket.
type createBucketRequest struct {
	XMLName            xml.Name  `xml:"CreateBucketConfiguration"`
	LocationConstraint string    `xml:"LocationConstraint"`
	Location           *struct{} `xml:"Location"`
	Bucket             *struct{} `xml:"Bucket"`
	Tags               *struct{} `xml:"Tags"`
}

func createBucket(c *call) error {
	text, err := c.readBody(maxBucketBody)
	if err != nil {
		return err
	}
	if len(text) > 0 {
		var req createBucketRequest
		if err := readXML(text, &req); err != nil {
			return err
		}
		if req.Location != nil || req.Bucket != nil || req.Tags != nil {
			return newError("NotImplemented", "A setting of the bucket is not implemented.")
		}
		if l := req.LocationConstraint; l != "" && l != c.s.opts.Region && (c.caller.Request == nil || l != c.caller.Request.Region) {
			return newError("InvalidLocationConstraint", "")
		}
	}
	if err := c.view.CreateBucket(c.ctx, c.target.bucket); err != nil {
		return err
	}
	if err := c.forget(); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Location", "/"+c.target.bucket)
	h.Set("X-Amz-Bucket-Arn", "arn:aws:s3:::"+c.target.bucket)
	c.header(http.StatusOK)
	return nil
}
