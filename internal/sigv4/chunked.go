package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
)

const (
	// chunkBuffer bounds what is read ahead, and with it a line.
	chunkBuffer = 1024
	// maxChunkLine is the longest header of a chunk.
	maxChunkLine = 512
	// maxTrailer is the most that may follow the last chunk.
	maxTrailer = 4096

	trailerSignature = "x-amz-trailer-signature"
)

// chunkedBody decodes aws-chunked. A chunk may be as long as the content, since
// some clients send it in a single one, so it is passed on before its signature
// is known to be right; only the bytes read together with its end are not. The
// end of the content waits for the trailer too.
type chunkedBody struct {
	body   io.ReadCloser
	buf    *bufio.Reader
	left   int64        // of the content, after this chunk
	chunk  int64        // of this chunk
	signer *chunkSigner // nil if chunks are not signed
	names  []string     // announced trailers
	header http.Header  // trailers
	err    error        // sticky
}

func (b *chunkedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
		if err != io.EOF {
			n = 0
		}
	}
	return n, err
}

func (b *chunkedBody) read(p []byte) (int, error) {
	if b.chunk == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
		if b.chunk == 0 {
			return 0, b.finish()
		}
	}
	n, err := b.buf.Read(p[:min(int64(len(p)), b.chunk)])
	b.chunk -= int64(n)
	if b.signer != nil {
		b.signer.sum.Write(p[:n])
	}
	if err != nil && (err != io.EOF || b.chunk > 0) {
		return 0, bodyError(err)
	}
	if b.chunk > 0 {
		return n, nil
	}

	if line, err := b.line(); err != nil {
		return 0, err
	} else if len(line) > 0 {
		return 0, malformed("a chunk is longer than its header says")
	}
	if b.signer != nil && !b.signer.chunk() {
		return 0, wrongSignature("a chunk")
	}
	if b.left > 0 {
		return n, nil
	}
	if err := b.next(); err != nil {
		return 0, err
	}
	return n, b.finish() // next has refused any other than an empty chunk
}

// next reads the header of a chunk.
func (b *chunkedBody) next() error {
	line, err := b.line()
	if err != nil {
		return err
	}
	size := line
	if b.signer != nil {
		var signature []byte
		var ok bool
		if size, signature, ok = bytes.Cut(line, []byte(";chunk-signature=")); !ok || len(signature) != len(b.signer.want) {
			return malformed("a chunk has no signature")
		}
		copy(b.signer.want[:], signature)
	}
	if len(size) == 0 || len(size) > 16 {
		return malformed("a chunk has no size")
	}
	var n uint64
	for _, c := range size {
		d := unhex(c)
		if d > 15 {
			return malformed("the size of a chunk is not a hexadecimal number")
		}
		n = n<<4 | uint64(d)
	}
	switch {
	case n > uint64(b.left):
		return incomplete(errMore)
	case n == 0 && b.left > 0:
		return incomplete(nil)
	}
	b.chunk = int64(n)
	b.left -= b.chunk
	return nil
}

// line reads a line that ends in CR LF, and returns it without them. It is
// valid until the next read.
func (b *chunkedBody) line() ([]byte, error) {
	line, err := b.buf.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(line) > maxChunkLine:
		return nil, malformed("a line is too long")
	case err != nil:
		return nil, bodyError(err)
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, malformed("a line does not end in CR LF")
	}
	return line, nil
}

// finish reads and checks what follows the header of the last chunk. It
// returns io.EOF if all is well.
func (b *chunkedBody) finish() error {
	if b.signer != nil && !b.signer.chunk() {
		return wrongSignature("the last chunk")
	}
	rest, err := io.ReadAll(io.LimitReader(b.buf, maxTrailer+1))
	switch {
	case err != nil:
		return bodyError(err)
	case len(rest) > maxTrailer:
		return badTrailer("it is too long, or something follows it")
	case len(rest) == 0:
		return malformed("it ends before its trailer")
	}
	// The trailer ends with an empty line; if there is none, that is all. Some clients
	// end its other lines with LF alone, or put empty lines between them.
	text, ok := bytes.CutSuffix(rest, []byte("\r\n"))
	if !ok || len(text) > 0 && (text[len(text)-1] != '\n' || len(b.names) == 0 && len(bytes.TrimSpace(text)) == 0) {
		return malformed("the trailer does not end with an empty line")
	}

	header := make(http.Header, len(b.names))
	var signed []byte
	signature := ""
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		switch {
		case !ok || len(line) > maxChunkLine || !isHeaderValue(value):
			return badTrailer("a line is not a header")
		case signature != "":
			return badTrailer("something follows its signature")
		case name == trailerSignature && b.signer != nil && b.signer.trailer:
			signature = value
			continue
		}
		key := http.CanonicalHeaderKey(name)
		if !slices.Contains(b.names, name) || header[key] != nil {
			return badTrailer("a header was not announced, or occurs twice")
		}
		header[key] = []string{value}
		signed = append(signed, name+":"+value+"\n"...)
	}
	if len(header) != len(b.names) {
		return badTrailer("a header that was announced is not there")
	}
	if b.signer != nil && b.signer.trailer && !b.signer.trailers(signed, signature) {
		return wrongSignature("the trailer")
	}
	b.header = header
	return io.EOF
}

// trailers is Request.Trailer.
func (b *chunkedBody) trailers() (http.Header, error) {
	if b.err == nil {
		return nil, errorf(InvalidRequest, "the trailer comes after the content, which has not been read to its end")
	}
	if b.err != io.EOF {
		return nil, b.err
	}
	return b.header, nil
}

// Close closes the body of the request.
func (b *chunkedBody) Close() error { return b.body.Close() }

// isHeaderValue reports whether s is printable ASCII, as all checksums are.
func isHeaderValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// errMore says that there is more content than x-amz-decoded-content-length says.
var errMore = errors.New("there is more content than announced")

// malformed is the error for a body that is not aws-chunked. To S3 it ends where
// it stops being that.
func malformed(why string) *Error {
	return &Error{Code: IncompleteBody, Message: "The request body terminated unexpectedly", Err: errors.New("aws-chunked: " + why)}
}

// badTrailer is the error for a trailer that is not as it was announced.
func badTrailer(why string) *Error {
	return &Error{
		Code:    MalformedTrailerError,
		Message: "The request contained trailing data that was not well-formed or did not conform to our published schema.",
		Err:     errors.New("trailer: " + why),
	}
}

func wrongSignature(what string) *Error {
	return errorf(SignatureDoesNotMatch, "the signature of %s is not the one that the server computes", what)
}

// bodyError says that a body ended early, or returns the error of the body.
func bodyError(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		e := malformed("")
		e.Err = io.ErrUnexpectedEOF
		return e
	}
	return err
}

// chunkSigner follows the chain of signatures through a body. Each one covers
// the one before it; the first is that of the request.
type chunkSigner struct {
	mac      hash.Hash
	sum      hash.Hash // over this chunk
	scope    string    // time and scope, as they stand in strings to sign
	previous [2 * sha256.Size]byte
	want     [2 * sha256.Size]byte // as the header of this chunk says
	trailer  bool
	text     []byte
	digest   [sha256.Size]byte
}

func newChunkSigner(c *claim, key *signingKey, trailer bool) *chunkSigner {
	s := &chunkSigner{
		mac:     hmac.New(sha256.New, key.key[:]),
		sum:     sha256.New(),
		scope:   "\n" + c.iso + "\n" + c.scope + "\n",
		trailer: trailer,
	}
	copy(s.previous[:], c.signature)
	return s
}

// chunk reports whether the chunk that was written to sum has the signature
// want, and begins the next one.
func (s *chunkSigner) chunk() bool {
	b := append(s.text[:0], algorithm+"-PAYLOAD"...)
	b = append(b, s.scope...)
	b = append(b, s.previous[:]...)
	b = append(b, "\n"+emptyHash+"\n"...)
	s.text = hex.AppendEncode(b, s.sum.Sum(s.digest[:0]))
	s.sum.Reset()
	s.previous = s.want
	return s.matches(string(s.want[:]))
}

// trailers reports whether the trailer has the given signature.
func (s *chunkSigner) trailers(text []byte, signature string) bool {
	sum := sha256.Sum256(text)
	b := append(s.text[:0], algorithm+"-TRAILER"...)
	b = append(b, s.scope...)
	b = append(b, s.previous[:]...)
	b = append(b, '\n')
	s.text = hex.AppendEncode(b, sum[:])
	return s.matches(signature)
}

func (s *chunkSigner) matches(signature string) bool {
	s.mac.Reset()
	s.mac.Write(s.text)
	return equalHex(s.mac.Sum(s.digest[:0]), signature)
}
