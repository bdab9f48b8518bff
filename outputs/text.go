package outputs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits on a text.
const (
	maxSize  = 4 << 20
	maxDepth = 100
	maxNodes = 1 << 18
)

// value is a value of a JSON text, or of an object literal of JavaScript.
type value struct {
	kind   kind
	at     int     // its offset in the text
	read   state   // whether somebody wanted to know it
	weak   bool    // in a text to write: what the source said comes first
	text   string  // of a text what it says, of a number its digits
	fields []field // of an object
	index  map[string]*value
	items  []*value
}

type field struct {
	name  string
	at    int
	value *value
}

type kind uint8

const (
	null kind = iota
	flag
	number
	text
	list
	object
)

type state uint8

const (
	untouched state = iota
	opened          // look inside
	framed          // as well, and keep it even if it is empty
	done
)

// find returns the value of a field, nil if there is none.
func (v *value) find(name string) *value {
	if len(v.fields) > 16 && v.index == nil {
		v.index = make(map[string]*value, len(v.fields))
		for _, f := range v.fields {
			v.index[f.name] = f.value
		}
	}
	if v.index != nil {
		return v.index[name]
	}
	for i := range v.fields {
		if v.fields[i].name == name {
			return v.fields[i].value
		}
	}
	return nil
}

// parser reads values: those of JSON, and from JavaScript comments, single
// quotes, names as keys and a comma behind the last element besides. It never
// evaluates anything.
type parser struct {
	text  string
	pos   int
	depth int
	nodes int
	lax   []flaw // the first thing that is no JSON, but for
	loose []flaw // the first comment, and the first comma too many
	dups  []flaw // keys that are there twice
}

// bad returns the error that the text cannot be read from here on.
func (p *parser) bad(at int, format string, args ...any) error {
	return &syntaxError{flaw{at: at, text: short(fmt.Sprintf(format, args...))}}
}

// syntaxError is what stops a parser.
type syntaxError struct{ flaw flaw }

func (e *syntaxError) Error() string { return e.flaw.text }

// relax notes that what stands at is no JSON.
func (p *parser) relax(at int, what string) {
	if p.lax == nil {
		p.lax = []flaw{{at: at, text: what + " is not JSON"}}
	}
}

const (
	noComments = "JSON has no comments: Amplify's own tools refuse the file"
	noComma    = "JSON has no comma behind the last element: Amplify's own tools refuse the file"
)

// loosen notes what people have in files of JSON all the same.
func (p *parser) loosen(at int, says string) {
	if !slices.ContainsFunc(p.loose, func(f flaw) bool { return f.text == says }) {
		p.loose = append(p.loose, flaw{at: at, text: says, lint: true})
	}
}

// space skips white space and comments.
func (p *parser) space() error {
	for p.pos < len(p.text) {
		rest := p.text[p.pos:]
		switch {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r':
			p.pos++
		case strings.HasPrefix(rest, "//"):
			p.loosen(p.pos, noComments)
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			p.pos += n
		case strings.HasPrefix(rest, "/*"):
			p.loosen(p.pos, noComments)
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return p.bad(p.pos, "the comment has no end")
			}
			p.pos += n + 4
		default:
			return nil
		}
	}
	return nil
}

// peek returns the next byte that is no space, 0 at the end.
func (p *parser) peek() (byte, error) {
	if err := p.space(); err != nil || p.pos == len(p.text) {
		return 0, err
	}
	return p.text[p.pos], nil
}

// next skips c, and reports whether it was there.
func (p *parser) next(c byte) (bool, error) {
	b, err := p.peek()
	if err != nil || b != c {
		return false, err
	}
	p.pos++
	return true, nil
}

// found describes the next byte for messages.
func (p *parser) found() string {
	if p.pos == len(p.text) {
		return "the end of the text"
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return strconv.QuoteRune(r)
}

// isWord reports whether c is part of a name.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$'
}

// word skips a name, and returns it.
func (p *parser) word() string {
	from := p.pos
	for p.pos < len(p.text) && isWord(p.text[p.pos]) {
		p.pos++
	}
	return p.text[from:p.pos]
}

func (p *parser) value() (*value, error) {
	c, err := p.peek()
	if err != nil {
		return nil, err
	}
	v := &value{at: p.pos}
	if p.nodes++; p.nodes > maxNodes {
		return nil, p.bad(p.pos, "there are over %d values", maxNodes)
	}
	switch {
	case c == '{' || c == '[':
		if p.depth++; p.depth > maxDepth {
			return nil, p.bad(p.pos, "there are over %d levels", maxDepth)
		}
		p.pos++
		if c == '{' {
			v.kind = object
			err = p.object(v)
		} else {
			v.kind = list
			err = p.list(v)
		}
		p.depth--
		return v, err
	case c == '"' || c == '\'' || c == '`':
		v.kind = text
		v.text, err = p.quoted()
		return v, err
	case c == '-' || c >= '0' && c <= '9':
		v.kind = number
		v.text, err = p.number()
		return v, err
	}
	switch w := p.word(); w {
	case "true", "false":
		v.kind, v.text = flag, w
	case "null":
	case "undefined":
		p.relax(v.at, w)
	case "":
		return nil, p.bad(p.pos, "want a value, found %s", p.found())
	default:
		return nil, p.bad(v.at, "%q is code, and only plain values are read", w)
	}
	return v, nil
}

func (p *parser) object(v *value) error {
	seen := map[string]bool{}
	for {
		c, err := p.peek()
		if err != nil {
			return err
		}
		if c == '}' {
			p.pos++
			return nil
		}
		f := field{at: p.pos}
		switch {
		case c == '"' || c == '\'':
			f.name, err = p.quoted()
		case isWord(c):
			p.relax(p.pos, "a key without quotes")
			f.name = p.word()
		default:
			err = p.bad(p.pos, "want a key, found %s", p.found())
		}
		if err != nil {
			return err
		}
		if ok, err := p.next(':'); err != nil {
			return err
		} else if !ok {
			return p.bad(p.pos, "want a colon behind the key %q, found %s", f.name, p.found())
		}
		if f.value, err = p.value(); err != nil {
			return err
		}
		if seen[f.name] && len(p.dups) < maxErrors {
			p.dups = append(p.dups, flaw{at: f.at, text: fmt.Sprintf("the key %q is there twice", short(f.name))})
		}
		if !seen[f.name] {
			v.fields = append(v.fields, f)
		}
		seen[f.name] = true
		if more, err := p.comma('}'); err != nil || !more {
			return err
		}
	}
}

func (p *parser) list(v *value) error {
	for {
		if end, err := p.next(']'); err != nil || end {
			return err
		}
		e, err := p.value()
		if err != nil {
			return err
		}
		v.items = append(v.items, e)
		if more, err := p.comma(']'); err != nil || !more {
			return err
		}
	}
}

// comma skips what stands behind an element, and reports whether more may follow.
func (p *parser) comma(end byte) (more bool, err error) {
	c, err := p.peek()
	if err != nil {
		return false, err
	}
	at := p.pos
	switch c {
	case end:
		p.pos++
		return false, nil
	case ',':
		p.pos++
		c, err = p.peek()
		if c == end {
			p.loosen(at, noComma)
		}
		return true, err
	}
	return false, p.bad(p.pos, "want a comma or %q, found %s", end, p.found())
}

// number reads a number of JSON, and returns it as it stands there.
func (p *parser) number() (string, error) {
	from := p.pos
	digits := func() int {
		n := 0
		for p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9' {
			p.pos++
			n++
		}
		return n
	}
	skip := func(set string) bool {
		ok := p.pos < len(p.text) && strings.IndexByte(set, p.text[p.pos]) >= 0
		if ok {
			p.pos++
		}
		return ok
	}
	skip("-")
	zero := p.pos < len(p.text) && p.text[p.pos] == '0'
	n := digits()
	ok := n == 1 || n > 1 && !zero
	if skip(".") {
		ok = digits() > 0 && ok
	}
	if skip("eE") {
		skip("+-")
		ok = digits() > 0 && ok
	}
	if !ok || p.pos < len(p.text) && isWord(p.text[p.pos]) {
		return "", p.bad(from, "this is no number")
	}
	return p.text[from:p.pos], nil
}

// quoted reads a text in quotes.
func (p *parser) quoted() (string, error) {
	start, quote := p.pos, p.text[p.pos]
	if quote != '"' {
		p.relax(start, "a text in other quotes")
	}
	p.pos++
	if n := strings.IndexAny(p.text[p.pos:], "\"'`\\\n\r$"); n >= 0 && p.text[p.pos+n] == quote && !hasControl(p.text[p.pos:p.pos+n]) {
		s := p.text[p.pos : p.pos+n]
		p.pos += n + 1
		return s, nil
	}
	var b strings.Builder
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case c == quote:
			p.pos++
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
			continue
		case c == '\n' || c == '\r':
			if quote != '`' {
				return "", p.bad(start, "the text has no end in its line")
			}
		case c < 0x20:
			p.relax(p.pos, "a control character in a text")
		case c == '$' && quote == '`' && strings.HasPrefix(p.text[p.pos:], "${"):
			return "", p.bad(p.pos, "%q is code, and only plain values are read", "${")
		}
		b.WriteByte(c)
		p.pos++
	}
	return "", p.bad(start, "the text has no end")
}

// hasControl reports whether s has one of the characters that JSON wants escaped.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 {
			return true
		}
	}
	return false
}

// escape reads what begins with a backslash.
func (p *parser) escape(b *strings.Builder) error {
	at := p.pos
	if p.pos += 2; p.pos > len(p.text) {
		return p.bad(at, "the text has no end")
	}
	const short, long = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.text[at+1]
	if i := strings.IndexByte(short, c); i >= 0 {
		b.WriteByte(long[i])
		return nil
	}
	switch c {
	case '\'', '`', '$':
		p.relax(at, "this escape")
		b.WriteByte(c)
		return nil
	case 'u':
		r, err := p.hex(at)
		if err != nil {
			return err
		}
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if strings.HasPrefix(p.text[p.pos:], `\u`) {
				p.pos += 2
				if low, err = p.hex(at); err != nil {
					return err
				}
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return p.bad(at, "this is half a character")
			}
		}
		b.WriteRune(r)
		return nil
	}
	return p.bad(at, "this escape is not known")
}

// hex reads the four digits of the escape at.
func (p *parser) hex(at int) (rune, error) {
	if p.pos+4 > len(p.text) {
		return 0, p.bad(at, "the text has no end")
	}
	n, err := strconv.ParseUint(p.text[p.pos:p.pos+4], 16, 16)
	if err != nil {
		return 0, p.bad(at, "want four hexadecimal digits")
	}
	p.pos += 4
	return rune(n), nil
}
