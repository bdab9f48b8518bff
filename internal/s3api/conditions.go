package s3api

// noTimes refuses what S3 does not have either: a write that depends on when the
// object was changed. To pass over the condition would be to write all the same.
func (c *call) noTimes() error {
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if _, ok := c.r.Header[name]; ok {
			return newError("NotImplemented", "A header is not implemented for writes: "+name)
		}
	}
	return nil
}
