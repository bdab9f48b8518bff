package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/store"
)

// namespace is that of every document but errors.
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// timeFormat is that of every time in a document.
const timeFormat = "2006-01-02T15:04:05.000Z"

// xmlWriter makes a document. Names of elements are written as they are, text is
// escaped.
type xmlWriter struct {
	b   []byte
	url bool // encode keys, prefixes and delimiters as in a URL
}

func newXML() *xmlWriter {
	x := &xmlWriter{b: make([]byte, 0, 1024)}
	x.b = append(x.b, xml.Header...)
	return x
}

// root opens the first element of a document that has a namespace.
func (x *xmlWriter) root(name string) {
	x.b = append(x.b, '<')
	x.b = append(x.b, name...)
	x.b = append(x.b, ` xmlns="`+namespace+`">`...)
}

func (x *xmlWriter) open(name string) {
	x.b = append(x.b, '<')
	x.b = append(x.b, name...)
	x.b = append(x.b, '>')
}

func (x *xmlWriter) close(name string) {
	x.b = append(x.b, '<', '/')
	x.b = append(x.b, name...)
	x.b = append(x.b, '>')
}

// elem writes an element that holds text.
func (x *xmlWriter) elem(name, text string) {
	x.open(name)
	x.text(text)
	x.close(name)
}

// some writes an element unless its text is empty.
func (x *xmlWriter) some(name, text string) {
	if text != "" {
		x.elem(name, text)
	}
}

// key writes an element that holds a key or a part of one.
func (x *xmlWriter) key(name, text string) {
	x.open(name)
	if x.url {
		x.b = appendURL(x.b, text)
	} else {
		x.text(text)
	}
	x.close(name)
}

func (x *xmlWriter) int(name string, n int64) {
	x.open(name)
	x.b = strconv.AppendInt(x.b, n, 10)
	x.close(name)
}

func (x *xmlWriter) bool(name string, v bool) {
	x.open(name)
	x.b = strconv.AppendBool(x.b, v)
	x.close(name)
}

func (x *xmlWriter) time(name string, t time.Time) {
	x.open(name)
	x.b = t.UTC().AppendFormat(x.b, timeFormat)
	x.close(name)
}

// etag writes an entity tag with its quotation marks.
func (x *xmlWriter) etag(tag string) {
	x.b = append(x.b, "<ETag>&quot;"...)
	x.text(tag)
	x.b = append(x.b, "&quot;</ETag>"...)
}

// checksums writes those that are known.
func (x *xmlWriter) checksums(c *store.Checksums) {
	for _, a := range store.Algorithms() {
		x.some("Checksum"+string(a), c.Get(a))
	}
}

// owner writes the one account that everything belongs to.
func (x *xmlWriter) owner(name, id string) {
	x.open(name)
	x.elem("ID", id)
	x.elem("DisplayName", id)
	x.close(name)
}

// text writes s escaped. What XML 1.0 cannot hold becomes U+FFFD.
func (x *xmlWriter) text(s string) {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 || r == 0xfffe || r == 0xffff {
				x.b = append(x.b, "\uFFFD"...)
			} else {
				x.b = append(x.b, s[i:i+n]...)
			}
			i += n
			continue
		}
		switch {
		case c == '&':
			x.b = append(x.b, "&amp;"...)
		case c == '<':
			x.b = append(x.b, "&lt;"...)
		case c == '>':
			x.b = append(x.b, "&gt;"...)
		case c == '"':
			x.b = append(x.b, "&quot;"...)
		case c == '\'':
			x.b = append(x.b, "&#39;"...)
		case c == '\t':
			x.b = append(x.b, "&#x9;"...)
		case c == '\n':
			x.b = append(x.b, "&#xA;"...)
		case c == '\r':
			x.b = append(x.b, "&#xD;"...)
		case c < ' ':
			x.b = append(x.b, "\uFFFD"...)
		default:
			x.b = append(x.b, c)
		}
		i++
	}
}

// appendURL appends s percent-encoded, but for slashes. A space is %20, which is
// read alike by those who take a plus for a space and those who do not.
func appendURL(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~', c == '/':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// Limits of a document that a caller sends. No operation needs more than four levels.
const (
	maxDepth    = 8
	maxElements = 100_000
)

// readXML reads the whole of text into v, a pointer to a struct that names the
// root. It takes one document without a DTD, not deep, and nothing after it.
func readXML(text []byte, v any) error {
	dec := xml.NewTokenDecoder(&plainTokens{d: xml.NewDecoder(bytes.NewReader(text))})
	if err := dec.Decode(v); err != nil {
		return &Error{Code: "MalformedXML", Err: err}
	}
	for {
		switch _, err := dec.Token(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return &Error{Code: "MalformedXML", Err: err}
		}
	}
}

// plainTokens passes on the tokens of a document as long as they are harmless.
type plainTokens struct {
	d               *xml.Decoder
	depth, elements int
}

var errDocument = errors.New("not a plain document of limited size")

func (p *plainTokens) Token() (xml.Token, error) {
	token, err := p.d.Token()
	switch t := token.(type) {
	case xml.StartElement:
		p.depth++
		p.elements++
		if p.depth == 1 && p.elements > 1 {
			return nil, errDocument // a second root
		}
	case xml.EndElement:
		p.depth--
	case xml.CharData:
		if p.depth == 0 && len(bytes.TrimSpace(t)) > 0 {
			return nil, errDocument
		}
	case xml.Directive:
		return nil, errDocument
	}
	if p.depth > maxDepth || p.elements > maxElements {
		return nil, errDocument
	}
	return token, err
}
