package sigv4

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The names that x-amz-content-sha256 may have in place of a hash.
const (
	unsignedPayload        = "UNSIGNED-PAYLOAD"
	streamingPayload       = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingTrailer       = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// badPayload names all that S3 takes; those with ECDSA are not implemented here.
const badPayload = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, " +
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value."

const (
	maxTrailers = 8
	// maxContent is the largest decoded length that is believed.
	maxContent = 1 << 50
)

// mode is how a content is sent and proven.
type mode struct {
	hashed  bool // by a hash in the signed header
	chunked bool // aws-chunked
	signed  bool // each chunk, and the trailer, has a signature
	trailer bool
}

// payloadOf returns the signed statement of a request about its content and
// the mode that it stands for. What is not known here is refused.
func payloadOf(r *http.Request, c *claim, q *queryAuth) (string, mode, error) {
	var m mode
	// If it is there, it is signed: collect saw to that.
	value, ok, err := single(r.Header, "X-Amz-Content-Sha256")
	switch {
	case err != nil:
		return "", m, err
	case c.presigned && q.seen[paramPayload]:
		if ok && value != q.values[paramPayload] {
			return "", m, errorf(InvalidArgument, "x-amz-content-sha256 differs between header and query")
		}
		value = q.values[paramPayload]
	case c.presigned && !ok:
		value = unsignedPayload
	case !ok:
		return "", m, errorf(InvalidRequest, "the request needs the header x-amz-content-sha256")
	}

	switch {
	case value == unsignedPayload:
	case isHash(value):
		m.hashed = true
	case value == streamingPayload:
		m.chunked, m.signed = true, true
	case value == streamingSignedTrailer:
		m.chunked, m.signed, m.trailer = true, true, true
	case value == streamingTrailer:
		m.chunked, m.trailer = true, true
	case strings.HasPrefix(value, "STREAMING-"):
		return "", m, errorf(NotImplemented, "this value of x-amz-content-sha256 is not supported")
	default:
		return "", m, errorf(InvalidArgument, badPayload).with("ArgumentName", "x-amz-content-sha256").with("ArgumentValue", value)
	}
	if m.chunked && c.presigned {
		return "", m, errorf(InvalidRequest, "a presigned request cannot be sent as aws-chunked")
	}
	return value, m, nil
}

// isHash reports whether s is a SHA-256 in lower-case hexadecimal.
func isHash(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 2*sha256.Size
}

// ContentEncoding returns the value of a Content-Encoding header as it is to be
// stored: without aws-chunked, which [Request.Body] has taken off.
func ContentEncoding(values []string) string {
	var kept []string
	for _, value := range values {
		for coding := range strings.SplitSeq(value, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "aws-chunked") {
				kept = append(kept, coding)
			}
		}
	}
	return strings.Join(kept, ",")
}

// open sets Body and what belongs to it for the content of r.
func (req *Request) open(r *http.Request, m mode, c *claim, key *signingKey) error {
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	if !m.trailer && len(r.Header["X-Amz-Trailer"]) > 0 {
		return errorf(InvalidRequest, "x-amz-trailer needs a payload mode with trailers")
	}
	if m.chunked {
		return req.openChunked(r, body, m, c, key)
	}
	req.Size = r.ContentLength
	if body == http.NoBody {
		req.Size = 0
	}
	switch {
	case m.hashed && req.Size == 0:
		if req.PayloadHash != emptyHash {
			return hashMismatch(req.PayloadHash, emptyHash)
		}
		req.Body = body
	case m.hashed:
		h := &hashedBody{plainBody: plainBody{body: body, size: req.Size}, sum: sha256.New(), want: req.PayloadHash}
		req.Body = h
	case req.Size == 0:
		req.Body = body
	default:
		req.Body = &plainBody{body: body, size: req.Size}
	}
	return nil
}

func (req *Request) openChunked(r *http.Request, body io.ReadCloser, m mode, c *claim, key *signingKey) error {
	text, ok, err := single(r.Header, "X-Amz-Decoded-Content-Length")
	switch {
	case err != nil:
		return err
	case !ok:
		return errorf(MissingContentLength, "You must provide the Content-Length HTTP header.")
	}
	size, err := strconv.ParseUint(text, 10, 63)
	if err != nil || size > maxContent {
		return errorf(MissingContentLength, "You must provide the Content-Length HTTP header.")
	}
	req.Size = int64(size)
	if r.ContentLength >= 0 && r.ContentLength < req.Size {
		return incomplete(nil)
	}
	if req.TrailerNames, err = trailerNames(r.Header["X-Amz-Trailer"]); err != nil {
		return err
	}
	if m.signed && m.trailer && len(req.TrailerNames) == 0 {
		return badTrailer("a payload mode with a signed trailer needs the header x-amz-trailer")
	}

	b := &chunkedBody{
		body:  body,
		buf:   bufio.NewReaderSize(body, chunkBuffer),
		left:  req.Size,
		names: req.TrailerNames,
	}
	if m.signed {
		b.signer = newChunkSigner(c, key, m.trailer)
	}
	req.Body = b
	if len(req.TrailerNames) > 0 {
		req.Trailer = b.trailers
	}
	return nil
}

// trailerNames parses the announcement of trailers. Only checksums may follow a
// content: a trailer can be unsigned, and nothing else may come to mean
// something in this way.
func trailerNames(values []string) ([]string, error) {
	var names []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if !strings.HasPrefix(name, "x-amz-checksum-") || !isHeaderName(name) {
				return nil, errorf(InvalidRequest, "x-amz-trailer names a trailer that is not a checksum")
			}
			if indexFold(names, name) >= 0 || len(names) == maxTrailers {
				return nil, errorf(InvalidRequest, "x-amz-trailer names a trailer twice, or too many of them")
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func hashMismatch(want, got string) *Error {
	return errorf(XAmzContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.").
		with("ClientComputedContentSHA256", want).with("S3ComputedContentSHA256", got)
}

// incomplete is the error for a body that ends too early, for the cause err.
func incomplete(err error) *Error {
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Code: IncompleteBody, Message: "You did not provide the number of bytes specified by the Content-Length HTTP header", Err: err}
}

// plainBody passes a body through. Its only work is to give the error for a
// body that is too short.
type plainBody struct {
	body io.ReadCloser
	size int64 // -1 if unknown
	n    int64 // what was read
}

func (b *plainBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.n += int64(n)
	switch {
	case err == io.EOF && b.size > b.n, errors.Is(err, io.ErrUnexpectedEOF):
		err = incomplete(err)
	}
	return n, err
}

// Close closes the body of the request.
func (b *plainBody) Close() error { return b.body.Close() }

// hashedBody compares a body with a hash before it gives away its last bytes.
type hashedBody struct {
	plainBody
	sum  hash.Hash
	want string
	err  error // sticky
	done bool  // the hash was compared
}

func (b *hashedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.plainBody.Read(p)
	b.sum.Write(p[:n])
	if b.done && n > 0 {
		err = hashMismatch(b.want, "") // there is more than was announced
	} else if !b.done && (err == io.EOF || err == nil && b.n == b.size) {
		b.done = true
		if got := hex.EncodeToString(b.sum.Sum(nil)); got != b.want {
			err = hashMismatch(b.want, got)
		}
	}
	b.err = err
	if err != nil && err != io.EOF {
		n = 0
	}
	return n, err
}
