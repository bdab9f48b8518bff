package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
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
	x, _ := xmlWriters.Get().(*xmlWriter)
	if x == nil {
		x = &xmlWriter{b: make([]byte, 0, 1024)}
	}
	x.b = append(x.b[:0], xml.Header...)
	x.url = false
	return x
}

// xmlWriters are those that are free. Lists are large, and asked for often.
var xmlWriters sync.Pool

// maxKeptXML is the most memory that a free writer keeps.
const maxKeptXML = 512 << 10

// free ends the use of x, whose document was sent.
func (x *xmlWriter) free() {
	if cap(x.b) <= maxKeptXML {
		xmlWriters.Put(x)
	}
}

// grow makes room for n more bytes, which saves copying a long document as it grows.
func (x *xmlWriter) grow(n int) { x.b = slices.Grow(x.b, n) }

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
	x.keyText(text)
	x.close(name)
}

// keyText writes a key or a part of one.
func (x *xmlWriter) keyText(text string) {
	if x.url {
		x.b = appendURL(x.b, text)
	} else {
		x.text(text)
	}
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
	x.b = appendTime(x.b, t)
	x.close(name)
}

// appendTime is AppendFormat with timeFormat, in a quarter of the time.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, timeFormat)
	}
	hour, minute, second := t.Clock()
	ms := t.Nanosecond() / 1e6
	b = append(appendTwo(appendTwo(b, year/100), year%100), '-')
	b = append(appendTwo(b, int(month)), '-')
	b = append(appendTwo(b, day), 'T')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	b = append(appendTwo(b, second), '.')
	return append(appendTwo(append(b, byte('0'+ms/100)), ms%100), 'Z')
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
	start := 0 // of what is not written yet, all of which can stay as it is
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && escapes[c] == "" {
			i++
			continue
		}
		with, n := "", 1
		if c < utf8.RuneSelf {
			with = escapes[c]
		} else {
			var r rune
			if r, n = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 || r == 0xfffe || r == 0xffff {
				with = "\uFFFD"
			}
		}
		if with != "" {
			x.b = append(append(x.b, s[start:i]...), with...)
			start = i + n
		}
		i += n
	}
	x.b = append(x.b, s[start:]...)
}

// escapes are what takes the place of an ASCII character; "" where it can stay.
var escapes = func() (list [utf8.RuneSelf]string) {
	for c := range ' ' {
		list[c] = "\uFFFD"
	}
	list['&'], list['<'], list['>'], list['"'], list['\''] = "&amp;", "&lt;", "&gt;", "&quot;", "&#39;"
	list['\t'], list['\n'], list['\r'] = "&#x9;", "&#xA;", "&#xD;"
	return list
}()

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
