package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// scratch is the memory that one verification needs, kept for the next.
type scratch struct {
	auth    queryAuth
	pairs   []pair
	headers [][]string // the values of the signed headers
	request []byte     // the canonical request
	text    []byte     // the string to sign
	host    [1]string  // the values of headers that are not among those of the request
	length  [1]string
}

func (s *scratch) reset() {
	s.auth = queryAuth{}
	s.host, s.length = [1]string{}, [1]string{}
	clear(s.pairs)
	clear(s.headers)
	s.pairs, s.headers, s.request, s.text = s.pairs[:0], s.headers[:0], s.request[:0], s.text[:0]
	// A single huge request must not keep its memory for ever.
	if cap(s.request) > 64<<10 || cap(s.pairs) > 256 {
		s.request, s.pairs = nil, nil
	}
}

// collect finds the values of the signed headers, and refuses a request with
// an x-amz- header that is not signed: it could have been added on the way,
// and change what the request does.
func (s *scratch) collect(r *http.Request, signed []string) error {
	s.headers = slices.Grow(s.headers, len(signed))[:len(signed)] // all nil, see reset
	var unsigned []string
	for name, values := range r.Header {
		i := indexFold(signed, name)
		switch {
		case i >= 0 && s.headers[i] != nil:
			return errorf(InvalidArgument, "the header %s is repeated", signed[i])
		case i >= 0:
			s.headers[i] = values
		case hasAmzPrefix(name):
			unsigned = append(unsigned, strings.ToLower(name))
		}
	}
	if unsigned != nil {
		slices.Sort(unsigned)
		return errorf(AccessDenied, "There were headers present in the request which were not signed").with("HeadersNotSigned", strings.Join(unsigned, ", "))
	}
	// What net/http takes out of the header.
	for i, name := range signed {
		switch name {
		case "host":
			s.host[0] = r.Host
			s.headers[i] = s.host[:]
		case "content-length":
			if r.ContentLength >= 0 {
				s.length[0] = strconv.FormatInt(r.ContentLength, 10)
				s.headers[i] = s.length[:]
			}
		case "transfer-encoding":
			if s.headers[i] == nil {
				s.headers[i] = r.TransferEncoding
			}
		case "expect":
			if s.headers[i] == nil && r.ProtoMajor > 1 {
				s.headers[i] = []string{"100-continue"}
			}
		}
		if len(s.headers[i]) == 0 {
			return errorf(SignatureDoesNotMatch, "the signed header %s is not in the request", name)
		}
	}
	return nil
}

// indexFold finds a header name in a list of lower-case ones.
func indexFold(names []string, name string) int {
	for i, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return i
		}
	}
	return -1
}

func hasAmzPrefix(s string) bool {
	return len(s) > len("x-amz-") && strings.EqualFold(s[:len("x-amz-")], "x-amz-")
}

// canonical builds the canonical request of r in s.request.
func (s *scratch) canonical(r *http.Request, c *claim, payload string) error {
	if r.URL.Opaque != "" {
		return errorf(InvalidRequest, "the target of the request is not a path")
	}
	b := s.request
	if r.Method == "" {
		b = append(b, http.MethodGet...)
	}
	b = append(b, r.Method...)
	b = append(b, '\n')

	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	b, ok := appendEncoded(b, path, '/')
	if !ok {
		return errorf(InvalidArgument, "the path has a malformed escape sequence")
	}
	b = append(b, '\n')

	for i, p := range s.pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	b = append(b, '\n')

	for i, name := range c.signed {
		b = append(b, name...)
		b = append(b, ':')
		for j, value := range s.headers[i] {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendHeader(b, HeaderText(value))
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, c.list...)
	b = append(b, '\n')
	s.request = append(b, payload...)
	return nil
}

// redact builds the canonical request anew, without the keys of customers.
func (s *scratch) redact(r *http.Request, c *claim, payload string) error {
	const redacted = "REDACTED"
	for i, name := range c.signed {
		if isCustomerKey(name) {
			s.headers[i] = []string{redacted}
		}
	}
	for i := range s.pairs {
		if isCustomerKey(s.pairs[i].name) {
			s.pairs[i].value = redacted
		}
	}
	s.request = s.request[:0]
	return s.canonical(r, c, payload)
}

// isCustomerKey reports whether the header or parameter of that name brings the key of
// a customer, for an object or for the source of a copy.
func isCustomerKey(name string) bool {
	return strings.HasSuffix(strings.ToLower(name), "server-side-encryption-customer-key")
}

// stringToSign builds the string that the signature of the canonical request
// in s is over.
func (s *scratch) stringToSign(c *claim) []byte {
	sum := sha256.Sum256(s.request)
	b := append(s.text, algorithm+"\n"...)
	b = append(b, c.iso...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	s.text = hex.AppendEncode(b, sum[:])
	return s.text
}

// HeaderText returns the value of a header as the text that its sender signed.
// Browsers send what fits in ISO 8859-1 in that encoding, though they sign it
// as UTF-8; other clients send UTF-8. So a value that is not UTF-8 is taken as
// ISO 8859-1. Who gives meaning to such a header must read it the same way.
func HeaderText(value string) string {
	if utf8.ValidString(value) {
		return value
	}
	runes := make([]rune, len(value))
	for i, c := range []byte(value) {
		runes[i] = rune(c)
	}
	return string(runes)
}

// appendHeader appends a header value without the spaces at its ends, and with
// one space for each run of them.
func appendHeader(b []byte, value string) []byte {
	value = strings.TrimSpace(value)
	for {
		i := strings.Index(value, "  ")
		if i < 0 {
			return append(b, value...)
		}
		b = append(b, value[:i+1]...)
		value = strings.TrimLeft(value[i:], " ")
	}
}

// encodeQuery returns a name or value of a raw query in canonical encoding.
// As in net/url, '+' is a space.
func encodeQuery(s string) (string, bool) {
	if isEncoded(s) {
		return s, true
	}
	if strings.Contains(s, "+") {
		s = strings.ReplaceAll(s, "+", "%20")
	}
	b, ok := appendEncoded(make([]byte, 0, len(s)+16), s, 0)
	return string(b), ok
}

// isEncoded reports whether s is in canonical encoding already, as most
// clients send it.
func isEncoded(s string) bool {
	for i := 0; i < len(s); i++ {
		if isUnreserved(s[i]) {
			continue
		}
		if s[i] != '%' || i+2 >= len(s) || s[i+1] >= 'a' || s[i+2] >= 'a' {
			return false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi > 15 || lo > 15 || isUnreserved(hi<<4|lo) {
			return false
		}
		i += 2
	}
	return true
}

// appendEncoded appends s, which may hold escape sequences, with exactly those
// bytes escaped that are neither unreserved in RFC 3986 nor keep. Sequences in
// s are decoded once and encoded again, so that an escaped keep stays escaped.
// It reports false for a malformed sequence.
func appendEncoded(b []byte, s string, keep byte) ([]byte, bool) {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isUnreserved(c), c == keep && c != 0:
			b = append(b, c)
			continue
		case c == '%':
			if i+2 >= len(s) {
				return b, false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi > 15 || lo > 15 {
				return b, false
			}
			i += 2
			if c = hi<<4 | lo; isUnreserved(c) {
				b = append(b, c)
				continue
			}
		}
		b = append(b, '%', digits[c>>4], digits[c&15])
	}
	return b, true
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// unhex returns the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
