package s3api

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// The headers that ask for encryption at rest, and those that bring the key of a
// customer for the object or for the source of a copy.
const (
	sseHeader       = "x-amz-server-side-encryption"
	ownKeyPrefix    = sseHeader + "-customer-"
	customerKeySize = 32
	maxKMSContext   = 8 << 10
	maxKMSKeyID     = 2 << 10
)

var (
	sseHeaders       = append([]string{sseHeader, sseHeader + "-aws-kms-key-id", sseHeader + "-context", sseHeader + "-bucket-key-enabled"}, keyHeaders...)
	keyHeaders       = customerHeaders(ownKeyPrefix)
	sourceKeyHeaders = customerHeaders("x-amz-copy-source-server-side-encryption-customer-")

	anySSE    = newSSENames(sseHeaders)
	ownKey    = newSSENames(keyHeaders)
	sourceKey = newSSENames(sourceKeyHeaders)
)

// customerHeaders are the headers that bring a customer's key.
func customerHeaders(prefix string) []string {
	return []string{prefix + "algorithm", prefix + "key", prefix + "key-md5"}
}

// sseNames are names of headers in both forms, as they are looked for on every read.
type sseNames struct{ lower, canonical []string }

func newSSENames(lower []string) *sseNames {
	n := &sseNames{lower: lower}
	for _, name := range lower {
		n.canonical = append(n.canonical, http.CanonicalHeaderKey(name))
	}
	return n
}

// sse reads how a write asks for encryption at rest.
func (c *call) sse() (store.SSE, error) {
	if !c.asksFor(anySSE) {
		return store.SSE{}, nil
	}
	key, err := c.customerKey(ownKey)
	if err != nil {
		return store.SSE{}, err
	}
	s := store.SSE{Algorithm: c.value(sseHeader), CustomerKey: key}
	kms := false
	switch {
	case s.Algorithm == "aws:kms:dsse":
		return s, newError("NotImplemented", "aws:kms:dsse is not implemented.")
	case s.Algorithm == "aws:kms":
		kms = true
	case s.Algorithm != "AES256" && c.has(sseHeader):
		return s, newError("InvalidArgument", sseHeader+" must be AES256 or aws:kms.")
	}
	if key != nil && s.Algorithm != "" {
		return s, newError("InvalidArgument", "A customer's key and "+sseHeader+" exclude each other.")
	}
	for _, name := range sseHeaders[1:3] {
		if c.has(name) && !kms {
			return s, newError("InvalidArgument", name+" needs "+sseHeader+": aws:kms.")
		}
	}
	switch strings.ToLower(c.value(sseHeaders[3])) {
	case "", "false":
	case "true":
		return s, newError("NotImplemented", "Bucket keys are not implemented.")
	default:
		return s, newError("InvalidArgument", sseHeaders[3]+" must be true or false.")
	}
	s.KMSKeyID, s.KMSContext = c.value(sseHeaders[1]), c.value(sseHeaders[2])
	if len(s.KMSKeyID) > maxKMSKeyID || !printable(s.KMSKeyID) {
		return s, newError("InvalidArgument", sseHeaders[1]+" is not the name of a key.")
	}
	return s, checkKMSContext(s.KMSContext)
}

// sameSSE reports whether the upload is encrypted as the request says, if it does:
// minio-go and mc, which uses it, say so again where the upload is completed.
func (c *call) sameSSE(u *store.Upload) error {
	if !c.has(sseHeader) {
		return nil
	}
	s, err := c.sse()
	if err == nil && (s.Algorithm != u.SSE.Algorithm || s.KMSKeyID != "" && s.KMSKeyID != u.SSE.KMSKeyID) {
		err = badArgument(sseHeader, s.Algorithm, "The upload was not started with this encryption.")
	}
	return err
}

// checkKMSContext reports whether text is base64 of a JSON object of strings, or "".
func checkKMSContext(text string) error {
	if text == "" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	var context map[string]string
	if err != nil || len(b) > maxKMSContext || json.Unmarshal(b, &context) != nil || context == nil {
		return newError("InvalidArgument", sseHeader+"-context must be base64 of a JSON object of strings.")
	}
	return nil
}

// asksFor reports whether the request has one of these headers, or parameters.
func (c *call) asksFor(names *sseNames) bool {
	for i, name := range names.canonical {
		if _, ok := c.r.Header[name]; ok {
			return true
		}
		if _, ok := c.amz[names.lower[i]]; ok {
			return true
		}
	}
	return false
}

// customerKey returns the key that the headers called names bring, or nil if there
// are none. It shows nowhere else, least of all in an error.
func (c *call) customerKey(names *sseNames) ([]byte, error) {
	if !c.asksFor(names) {
		return nil, nil
	}
	for _, name := range names.lower {
		if _, ok := c.amz[name]; ok {
			return nil, newError("InvalidArgument", "A customer's key must be in headers, not in the URL.")
		}
	}
	if !c.private() {
		return nil, newError("InvalidRequest", "A customer's key needs a connection over HTTPS.")
	}
	return parseCustomerKey(c.value(names.lower[0]), c.value(names.lower[1]), c.value(names.lower[2]))
}

// parseCustomerKey returns the key that three headers bring.
func parseCustomerKey(algorithm, key, sum string) ([]byte, error) {
	if algorithm != "AES256" {
		return nil, newError("InvalidArgument", "The algorithm of a customer's key must be AES256.")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || len(b) != customerKeySize {
		return nil, newError("InvalidArgument", "A customer's key must be base64 of "+itoa(customerKeySize)+" bytes.")
	}
	if sum == "" {
		return nil, newError("InvalidArgument", "A customer's key needs its MD5.")
	}
	if sum != keyMD5(b) {
		return nil, newError("InvalidArgument", "The MD5 of the customer's key is not the one that was given.")
	}
	return b, nil
}

// keyMD5 names a customer's key as S3 does.
func keyMD5(key []byte) string {
	sum := md5.Sum(key)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// private reports whether nobody between the caller and the server can read what the
// request holds.
func (c *call) private() bool {
	if c.r.TLS != nil || c.s.opts.PlainKeys {
		return true
	}
	addr, err := netip.ParseAddrPort(c.r.RemoteAddr)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// setSSE writes how the object is encrypted at rest.
func setSSE(h http.Header, e *store.Encryption) {
	switch {
	case e.CustomerKeyMD5 != "":
		h.Set("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")
		h.Set("X-Amz-Server-Side-Encryption-Customer-Key-Md5", e.CustomerKeyMD5)
	case e.Algorithm != "":
		h.Set("X-Amz-Server-Side-Encryption", e.Algorithm)
		set(h, "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", e.KMSKeyID)
	}
}

// echoKey writes that a customer's key was used, if one was.
func echoKey(h http.Header, key []byte) {
	if key != nil {
		setSSE(h, &store.Encryption{CustomerKeyMD5: keyMD5(key)})
	}
}
