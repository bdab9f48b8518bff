package s3api

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// oneChecksum is what S3 says of a request with several.
const oneChecksum = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."

// content is what a write stores, and how it can be checked.
type content struct {
	r         io.Reader
	size      int64
	md5       []byte
	sums      store.Checksums
	algorithm store.Algorithm
	trailer   func() (store.Checksums, error)
}

// content reads the headers that say what the content is.
func (c *call) content() (*content, error) {
	t := &content{r: c.body(), size: c.size()}
	switch {
	case c.caller.Request == nil && c.encoded():
		return nil, newError("NotImplemented", "Content that is encoded or hashed for a signature needs one.")
	case t.size < 0:
		return nil, newError("MissingContentLength", "")
	case t.size > c.s.opts.MaxBody:
		return nil, newError("EntityTooLarge", "")
	}
	return t, c.digests(t)
}

// digests reads the headers that the content is checked against.
func (c *call) digests(t *content) error {
	if v := c.value("content-md5"); c.has("content-md5") {
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil || len(b) != md5.Size {
			return newError("InvalidDigest", "").with("Content-MD5", v)
		}
		t.md5 = b
	}
	return c.checksum(t)
}

// encoded reports whether only the check of a signature could read the content.
func (c *call) encoded() bool {
	hash := c.value("x-amz-content-sha256")
	return hash != "" && hash != "UNSIGNED-PAYLOAD" || c.has("x-amz-decoded-content-length") || c.has("x-amz-trailer")
}

// checksum reads the headers of the checksum, of which there may be one.
func (c *call) checksum(t *content) error {
	sums, err := c.checksumValue()
	if err != nil {
		return err
	}
	t.sums, t.algorithm = sums, sums.Any()
	if req := c.caller.Request; req != nil {
		for _, name := range req.TrailerNames {
			a := checksumOf(strings.ToLower(name))
			if a == "" {
				return newError("NotImplemented", "A trailer is not implemented.")
			}
			if t.algorithm != "" {
				return newError("InvalidRequest", oneChecksum)
			}
			t.algorithm = a
			t.trailer = func() (store.Checksums, error) { return trailing(req.Trailer, a) }
		}
	}
	given := t.algorithm
	for _, name := range []string{"x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"} {
		a, err := c.algorithm(name)
		switch {
		case err != nil:
			return err
		case a == "":
			continue
		case given == "" && name == "x-amz-sdk-checksum-algorithm":
			return newError("InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
		case given != "" && given != a:
			return newError("InvalidRequest", "Value for "+name+" header is invalid.")
		}
		t.algorithm = a
	}
	return nil
}

// checksumValue returns the checksum that a header holds, if one does.
func (c *call) checksumValue() (store.Checksums, error) {
	var sums store.Checksums
	given := slices.DeleteFunc(slices.Clone(checksumValues), func(name string) bool { return !c.has(name) })
	if len(given) > 1 {
		return sums, newError("InvalidRequest", oneChecksum)
	}
	for _, name := range given {
		a, v := checksumOf(name), c.value(name)
		// A checksum of type COMPOSITE ends with the number of parts.
		plain, _, _ := strings.Cut(v, "-")
		if b, err := base64.StdEncoding.DecodeString(plain); err != nil || len(b) != a.New().Size() {
			return sums, newError("InvalidRequest", "Value for "+name+" header is invalid.")
		}
		sums.Set(a, v)
	}
	return sums, nil
}

// algorithm returns the algorithm that the header called name names, if any.
func (c *call) algorithm(name string) (store.Algorithm, error) {
	if !c.has(name) {
		return "", nil
	}
	a := store.Algorithm(strings.ToUpper(c.value(name)))
	switch {
	case a.New() != nil:
		return a, nil
	case slices.Contains(missingAlgorithms, strings.ToLower(string(a))):
		return "", newError("NotImplemented", "A checksum is not implemented: "+string(a))
	case name != "x-amz-checksum-algorithm":
		return "", newError("InvalidRequest", "Value for "+name+" header is invalid.")
	}
	var known []string
	for _, a := range store.Algorithms() {
		known = append(known, string(a))
	}
	return "", newError("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: ["+strings.Join(known, ", ")+"]")
}

// checksumType returns the value of x-amz-checksum-type.
func (c *call) checksumType() (store.ChecksumType, error) {
	t := store.ChecksumType(strings.ToUpper(c.value("x-amz-checksum-type")))
	if t != "" && t != store.FullObject && t != store.Composite {
		return "", newError("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
	}
	return t, nil
}

// checksumOf returns the algorithm of a header that holds a checksum, or "".
func checksumOf(name string) store.Algorithm {
	v, ok := strings.CutPrefix(name, "x-amz-checksum-")
	if a := store.Algorithm(strings.ToUpper(v)); ok && a.New() != nil {
		return a
	}
	return ""
}

// headerOf returns the header that holds a checksum by a.
func headerOf(a store.Algorithm) string { return "x-amz-checksum-" + strings.ToLower(string(a)) }

// trailing returns the checksum by a that came behind the content.
func trailing(trailer func() (http.Header, error), a store.Algorithm) (store.Checksums, error) {
	var sums store.Checksums
	h, err := trailer()
	if err != nil {
		return sums, &bodyError{err}
	}
	v := h.Get(headerOf(a))
	if v == "" {
		return sums, newError("MalformedTrailerError", "The trailer lacks the checksum that was announced.")
	}
	if b, err := base64.StdEncoding.DecodeString(v); err != nil || len(b) != a.New().Size() {
		return sums, newError("InvalidRequest", "Value for "+headerOf(a)+" trailing header is invalid.")
	}
	sums.Set(a, v)
	return sums, nil
}

// setChecksums writes the checksums of an object as headers.
func setChecksums(h http.Header, sums *store.Checksums) {
	if sums.Any() == "" {
		return
	}
	for _, a := range store.Algorithms() {
		set(h, headerOf(a), sums.Get(a))
	}
	h.Set("x-amz-checksum-type", string(or(sums.Type, store.FullObject)))
}

// document returns the whole content, after checking it as a write would. secure
// says that it must have come with something to check it against.
func (c *call) document(limit int64, secure bool) ([]byte, error) {
	t, err := c.content()
	if err != nil {
		return nil, err
	}
	signed := false
	if req := c.caller.Request; req != nil {
		signed = req.PayloadHash != "" && !strings.Contains(req.PayloadHash, "UNSIGNED-PAYLOAD")
	}
	if secure && !signed && t.md5 == nil && t.algorithm == "" {
		return nil, newError("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	text, err := c.readBody(limit)
	if err != nil {
		return nil, err
	}
	d, err := store.NewDigester(bytes.NewReader(text), &store.PartOptions{MD5: t.md5, Checksums: t.sums, Algorithm: t.algorithm, Trailer: t.trailer})
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, d); err != nil {
		return nil, err
	}
	if _, _, _, err := d.Sum(); errors.Is(err, store.ErrDigest) {
		return nil, newError("BadDigest", "")
	} else if err != nil {
		return nil, err
	}
	return text, nil
}
