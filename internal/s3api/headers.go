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
		switch name {
		case "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token":
			if len(c.amz) == 0 { // every signed request has these
				continue
			}
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
	case isChecksumValue(lower) && !slices.Contains(checksumValues, lower) && slices.Contains(c.op.heeds, checksumValues[0]):
		return unknownChecksum(lower)
	case strings.HasPrefix(lower, "x-amz-grant-") && slices.Contains(c.op.heeds, "x-amz-acl"):
		return newError("AccessControlListNotSupported", "")
	case strings.HasPrefix(lower, sseHeader) && !strings.HasPrefix(lower, ownKeyPrefix) && !slices.Contains(c.op.heeds, lower):
		return badArgument(lower, c.value(lower), lower+" header is not supported for this operation.")
	case !slices.Contains(c.op.heeds, lower):
		return newError("NotImplemented", "A header is not implemented: "+lower)
	}
	v := c.value(lower)
	if lower == "x-amz-acl" {
		return c.checkACL(v)
	}
	if only, ok := onlyValue[lower]; ok && !strings.EqualFold(v, only) {
		return newError("NotImplemented", "This value of a header is not implemented: "+lower)
	}
	return nil
}

// isChecksumValue reports whether the header called lower is to hold a checksum.
func isChecksumValue(lower string) bool {
	switch kind, ok := strings.CutPrefix(lower, "x-amz-checksum-"); kind {
	case "algorithm", "mode", "type":
		return false
	default:
		return ok
	}
}

// missingAlgorithms are the checksums that there are in S3 and not here.
var missingAlgorithms = []string{"md5", "sha512", "xxhash64", "xxhash3", "xxhash128"}

// unknownChecksum is the error for a checksum, of which the header called lower
// is to hold the value, that there is in S3 and not here, or nowhere.
func unknownChecksum(lower string) error {
	if slices.Contains(missingAlgorithms, strings.TrimPrefix(lower, "x-amz-checksum-")) {
		return newError("NotImplemented", "A header is not implemented: "+lower)
	}
	return newError("InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
}

// onlyValue are headers of which one value is what happens anyway.
var onlyValue = map[string]string{
	"x-amz-storage-class":              "STANDARD",
	"x-amz-object-ownership":           "BucketOwnerEnforced",
	"x-amz-bucket-object-lock-enabled": "false",
}

// checkOwners compares the owner that the caller expects with the one there is.
func (c *call) checkOwners() error {
	for _, name := range [...]string{"x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"} {
		if c.has(name) && c.value(name) != c.s.opts.OwnerID {
			return newError("AccessDenied", "")
		}
	}
	return nil
}

// value returns the header called name, in lower case. One that starts with
// x-amz- may stand in the query instead, where SDKs put it when they presign.
func (c *call) value(name string) string {
	switch v := c.r.Header[canonical(name)]; len(v) {
	case 0:
		return c.amz[name]
	case 1:
		return strings.TrimSpace(v[0])
	default:
		return strings.TrimSpace(strings.Join(v, ","))
	}
}

// canonical returns the name of a header in the form that [http.Header] has it in.
func canonical(lower string) string {
	if name, ok := canonicalNames[lower]; ok {
		return name
	}
	return http.CanonicalHeaderKey(lower)
}

// canonicalNames are those of headers that are asked for in every request, or every
// one of a kind: to make such a name takes longer than to find it.
var canonicalNames = func() map[string]string {
	names := map[string]string{}
	for _, list := range [][]string{checksumValues, {
		"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
		"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range",
		"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-copy-source", "x-amz-decoded-content-length", "x-amz-expected-bucket-owner",
		"x-amz-sdk-checksum-algorithm", "x-amz-source-expected-bucket-owner", "x-amz-tagging", "x-amz-trailer",
	}} {
		for _, lower := range list {
			names[lower] = http.CanonicalHeaderKey(lower)
		}
	}
	return names
}()

// has reports whether value finds something, be it empty.
func (c *call) has(name string) bool {
	_, ok := c.r.Header[canonical(name)]
	if !ok {
		_, ok = c.amz[name]
	}
	return ok
}

// time returns a header that is a date, or a zero time if there is none that
// makes sense: by RFC 9110 a condition of that kind asks for nothing.
func (c *call) time(name string) time.Time {
	v := c.value(name)
	if v == "" {
		return time.Time{}
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return time.Time{}
	}
	return t
}
