// Package sigv4 verifies AWS Signature Version 4 on the server, in the dialect
// of S3.
//
// [Verifier.Verify] takes a request that is signed in its Authorization header
// or in its query (a presigned URL) and returns a [Request]: who signed it,
// which headers the signature covers, and the body to read in place of that of
// the http.Request. [WithForm] has it take one whose body is a browser form.
//
// # Content
//
// The signature is checked before Verify returns, whatever the payload mode;
// the content is checked while it is read. [Request.Body] takes off the
// aws-chunked encoding and withholds the last bytes of the content until
// everything that is announced about it (hash, chunk signatures, trailer) has
// been proven. Earlier bytes are passed on unproven, so whoever stores them
// must commit only after io.EOF, or after Size bytes if that is known, and must
// discard them on any error.
//
// # Errors
//
// What is refused gives an [*Error] with the code that S3 has for it. An error
// of the lookup of the secret that is an *Error, or that matches
// fs.ErrNotExist (InvalidAccessKeyId), counts as a refusal too; any other one
// is a fault of the server and is returned wrapped, as are errors of the
// underlying body.
package sigv4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"

	mismatch       = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	otherMechanism = "The authorization mechanism you have provided is not supported. Please use " + algorithm + "."
	needsDate      = "AWS authentication requires a valid Date or x-amz-date header."

	defaultSkew = 15 * time.Minute
	// maxExpires is the longest life of a presigned URL or of a form.
	maxExpires = 7 * 24 * time.Hour
)

// SecretFunc returns the secret that belongs to an access key id and, for
// temporary credentials, to the session token ("" if the request has none).
// It proves that the token is genuine and valid. An empty secret without an
// error means that the key does not exist.
type SecretFunc func(ctx context.Context, accessKeyID, sessionToken string) (secret string, err error)

// Verifier verifies requests. Its zero value knows no key and refuses all of
// them. It is safe for concurrent use once its fields are set, and must not be
// copied.
type Verifier struct {
	// Secret looks up secrets. It runs before the signature is known to be
	// right.
	Secret SecretFunc

	// Now is the clock; nil is time.Now.
	Now func() time.Time

	// Skew is how far the clock of a client may be off; 0 is 15 minutes.
	Skew time.Duration

	// Services are the accepted services of the credential scope; none is
	// "s3". The canonical form is always that of S3.
	Services []string

	keys    keyCache
	scratch sync.Pool
}

// Request is what a valid signature says about a request.
type Request struct {
	AccessKeyID  string
	Region       string // any text: whatever the client had configured
	Service      string
	SessionToken string
	Presigned    bool      // signed in the query
	Form         bool      // signed by the policy of a form
	Time         time.Time // when it was signed, by the client's clock
	Expires      time.Time // when a presigned request or a form ends; zero otherwise

	// SignedHeaders are the lower-case names of the headers that the signature
	// covers, in the order of the client.
	SignedHeaders []string

	// PayloadHash is the signed statement about the content: the hex SHA-256,
	// or one of the names of S3 such as UNSIGNED-PAYLOAD.
	PayloadHash string

	// Body is the content, decoded and checked as the package comment says. It
	// is never nil, and closing it closes the body of the http.Request.
	Body io.ReadCloser

	// Size is the number of bytes that Body will give, or -1 if unknown.
	Size int64

	// TrailerNames are the lower-case names of the announced trailers.
	TrailerNames []string

	// Trailer returns the trailers once Body has been read to its end, and an
	// error before. It is nil if none were announced.
	Trailer func() (http.Header, error)
}

// Signed reports whether the signature covers the header of that name. A
// header for which it is false may come from anybody between client and
// server, or have been added by a browser on its own.
func (req *Request) Signed(header string) bool {
	return slices.ContainsFunc(req.SignedHeaders, func(h string) bool { return strings.EqualFold(h, header) })
}

// claim is what a request says about its own authentication.
type claim struct {
	credential
	signature string
	signed    []string // names of signed headers
	list      string   // the same as one string
	time      time.Time
	iso       string // time in the form that is signed
	token     string
	presigned bool
	expires   time.Time
}

// Verify verifies r, looking up the secret with v.Secret. It does not read the
// body of r; on success the body is to be read through the result.
func (v *Verifier) Verify(r *http.Request) (*Request, error) {
	return v.VerifyWith(r, v.Secret)
}

// VerifyWith is Verify with a lookup for this request alone, so that it can
// keep what it learns about the signer.
func (v *Verifier) VerifyWith(r *http.Request, secret SecretFunc) (*Request, error) {
	s, _ := v.scratch.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer func() {
		s.reset()
		v.scratch.Put(s)
	}()

	if err := s.parseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	if f, ok := r.Context().Value(formKey{}).(*PolicyForm); ok {
		return v.verifyForm(r, f, &s.auth, secret)
	}
	c, err := v.claim(r, &s.auth)
	if err != nil {
		return nil, err
	}
	if err := s.collect(r, c.signed); err != nil {
		return nil, err
	}
	payload, mode, err := payloadOf(r, c, &s.auth)
	if err != nil {
		return nil, err
	}
	if err := s.canonical(r, c, payload); err != nil {
		return nil, err
	}

	key, err := v.key(r.Context(), c, secret)
	if err != nil {
		return nil, err
	}
	stringToSign := s.stringToSign(c)
	if !key.matches(stringToSign, c.signature) {
		if err := s.redact(r, c, payload); err != nil {
			return nil, err
		}
		return nil, &Error{
			Code:             SignatureDoesNotMatch,
			Message:          mismatch,
			AccessKeyID:      c.id,
			CanonicalRequest: string(s.request),
			StringToSign:     string(stringToSign),
			Details: []Detail{
				{"SignatureProvided", c.signature},
				{"StringToSignBytes", spacedHex(stringToSign)},
				{"CanonicalRequestBytes", spacedHex(s.request)},
			},
		}
	}
	v.keys.put(key)

	req := &Request{
		AccessKeyID:   c.id,
		Region:        c.region,
		Service:       c.service,
		SessionToken:  c.token,
		Presigned:     c.presigned,
		Time:          c.time,
		Expires:       c.expires,
		SignedHeaders: c.signed,
		PayloadHash:   payload,
	}
	if err := req.open(r, mode, c, key); err != nil {
		return nil, err
	}
	return req, nil
}

// claim finds and checks everything about the authentication of r that needs
// no secret.
func (v *Verifier) claim(r *http.Request, q *queryAuth) (*claim, error) {
	header := r.Header["Authorization"]
	switch {
	case len(header) > 0 && (q.any() || q.v2):
		return nil, errorf(InvalidArgument, "the request is signed both in the Authorization header and in the query; use one of them")
	case len(header) > 1:
		return nil, errorf(InvalidArgument, "there is more than one Authorization header")
	case len(header) == 1:
		return v.headerClaim(r, header[0])
	case q.any():
		return v.queryClaim(r, q)
	case q.v2:
		return nil, errorf(InvalidRequest, otherMechanism)
	}
	return nil, &Error{Code: AccessDenied, Message: "the request needs authentication", Err: ErrAnonymous}
}

func (v *Verifier) headerClaim(r *http.Request, authorization string) (*claim, error) {
	c, err := v.parseAuthorization(authorization)
	if err != nil {
		return nil, err
	}

	date, ok, err := single(r.Header, "X-Amz-Date")
	if err == nil && !ok {
		date, ok, err = single(r.Header, "Date")
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errorf(AccessDenied, needsDate)
	}
	if c.time, err = parseTime(date); err != nil {
		if c.time, err = http.ParseTime(date); err != nil {
			return nil, errorf(AccessDenied, needsDate)
		}
		date = c.time.UTC().Format(timeFormat)
	}
	if c.setTime(date); !c.sameDay() {
		return nil, malformedHeader("Invalid credential date. Date is not the same as X-Amz-Date.")
	}
	now, skew := v.now(), v.skew()
	if d := now.Sub(c.time); d > skew || d < -skew {
		return nil, &Error{
			Code:        RequestTimeTooSkewed,
			Message:     "The difference between the request time and the current time is too large.",
			RequestTime: c.time,
			ServerTime:  now,
			MaxSkew:     skew,
		}
	}
	c.token, _, err = single(r.Header, "X-Amz-Security-Token")
	return c, err
}

// accepts reports whether a credential may be for this service.
func (v *Verifier) accepts(service string) bool {
	return len(v.Services) == 0 && service == "s3" || slices.Contains(v.Services, service)
}

// setTime completes c, whose time is known; iso is its text.
func (c *claim) setTime(iso string) {
	c.time, c.iso = c.time.UTC(), iso
}

// sameDay reports whether the date of the scope is that of the request, as it must be.
func (c *claim) sameDay() bool { return c.iso[:len(dateFormat)] == c.date }

// key returns the signing key for c.
func (v *Verifier) key(ctx context.Context, c *claim, secret SecretFunc) (*signingKey, error) {
	if secret == nil {
		return nil, unknownKey(c.id, nil)
	}
	text, err := secret(ctx, c.id, c.token)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			if e.Code == InvalidAccessKeyID && e.AccessKeyID == "" {
				e.AccessKeyID = c.id
			}
			return nil, err
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, unknownKey(c.id, err)
		}
		return nil, fmt.Errorf("look up the secret of an access key: %w", err)
	}
	// A key that is stored without a secret would let everybody sign.
	if text == "" {
		return nil, unknownKey(c.id, nil)
	}
	return v.keys.get(&c.credential, text), nil
}

func unknownKey(id string, cause error) error {
	return &Error{Code: InvalidAccessKeyID, Message: "The AWS Access Key Id you provided does not exist in our records.", AccessKeyID: id, Err: cause}
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

func (v *Verifier) skew() time.Duration {
	if v.Skew > 0 {
		return v.Skew
	}
	return defaultSkew
}

// parseTime parses the basic form of ISO 8601 and nothing else.
func parseTime(s string) (time.Time, error) {
	// The length rules out the fractions of seconds that Parse would accept.
	if len(s) != len(timeFormat) {
		return time.Time{}, fs.ErrInvalid
	}
	return time.Parse(timeFormat, s)
}

// spacedHex returns the bytes of b in hexadecimal, for who must find what differs.
func spacedHex(b []byte) string { return fmt.Sprintf("% x", b) }

// single returns the value of a header that must not be repeated.
func single(h http.Header, key string) (value string, ok bool, err error) {
	switch values := h[key]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	}
	return "", false, errorf(InvalidArgument, "the header %s is repeated", strings.ToLower(key))
}
