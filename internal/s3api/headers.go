package s3api

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// common are the x-amz- headers that every operation knows: those of the
// signature, and those that ask for nothing.
var common = map[string]bool{
	"x-amz-algorithm": true, "x-amz-content-sha256": true, "x-amz-credential": true, "x-amz-date": true, "x-amz-decoded-content-length": true,
	"x-amz-expected-bucket-owner": true, "x-amz-expires": true, "x-amz-request-payer": true, "x-amz-sdk-checksum-algorithm": true,
	"x-amz-security-token": true, "x-amz-signature": true, "x-amz-signedheaders": true, "x-amz-trailer": true, "x-amz-user-agent": true,
}

// checkHeaders refuses what would otherwise be passed over in silence: x-amz-
// headers that the operation does not know. That they are signed was verified.
func (c *call) checkHeaders() error {
	for name := range c.r.Header {
		if !isAmz(name) {
			continue
		}
		lower := strings.ToLower(name)
		if err := c.checkHeader(lower); err != nil {
			return err
		}
		if v, ok := c.amz[lower]; ok && v != c.value(lower) {
			return newError("InvalidArgument", "A header has another value in the query.")
		}
	}
	for lower := range c.amz {
		if err := c.checkHeader(lower); err != nil {
			return err
		}
	}
	return c.checkOwners()
}

// checkHeader reports whether the operation can do what one header asks for.
func (c *call) checkHeader(lower string) error {
	switch {
	case common[lower], strings.HasPrefix(lower, metaPrefix):
		return nil
	case !slices.Contains(c.op.heeds, lower):
		return newError("NotImplemented", "A header is not implemented: "+lower)
	}
	v := c.value(lower)
	if only, ok := onlyValue[lower]; ok && !strings.EqualFold(v, only) {
		return newError("NotImplemented", "This value of a header is not implemented: "+lower)
	}
	return nil
}

// onlyValue are headers of which one value is what happens anyway.
var onlyValue = map[string]string{
	"x-amz-acl":                        "private",
	"x-amz-storage-class":              "STANDARD",
	"x-amz-object-ownership":           "BucketOwnerEnforced",
	"x-amz-bucket-object-lock-enabled": "false",
}

// checkOwners compares the owner that the caller expects with the one there is.
func (c *call) checkOwners() error {
	for _, name := range []string{"x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"} {
		if c.has(name) && c.value(name) != c.s.opts.OwnerID {
			return newError("AccessDenied", "The bucket belongs to another account.")
		}
	}
	return nil
}

// value returns the header called name, in lower case. One that starts with
// x-amz- may stand in the query instead, where SDKs put it when they presign.
func (c *call) value(name string) string {
	if v := c.r.Header[http.CanonicalHeaderKey(name)]; len(v) > 0 {
		return strings.TrimSpace(strings.Join(v, ","))
	}
	return c.amz[name]
}

// has reports whether value finds something, be it empty.
func (c *call) has(name string) bool {
	_, ok := c.r.Header[http.CanonicalHeaderKey(name)]
	if !ok {
		_, ok = c.amz[name]
	}
	return ok
}

// time returns a header that is a date, or a zero time if there is none that
// makes sense: by RFC 9110 a condition of that kind asks for nothing.
func (c *call) time(name string) time.Time {
	t, err := http.ParseTime(c.value(name))
	if err != nil {
		return time.Time{}
	}
	return t
}
