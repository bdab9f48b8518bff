package access

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse makes a policy of text. Each line has a path and, behind it, who and
// actions, once or several times:
//
//	photos/*           authenticated read   group:editors write,delete
//	photos/drafts/*    # a path alone takes back what the path above it gave
//	"my photos/*"      guest get
//	avatars/{sub}/*    owner read,write maxSize=2MB contentTypes=image/png,image/jpeg
//
// Behind the actions may stand limits on what is written; see [Limits].
//
// Fields are separated by spaces and tabs. A field with one of these in it is
// written in double quotes, as a Go string. What follows a "#" at the beginning
// of a field is a comment. Several lines may be about the same path.
//
// The name stands in front of the line number in messages. Options may be nil.
// The error is an *Error with all that is wrong.
func Parse(name string, text []byte, opts *Options) (*Policy, error) {
	if err := checkText(name, text); err != nil {
		return nil, err
	}
	var rules []Rule
	var bad []numbered
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		pos := fmt.Sprintf("%s:%d", name, i+1)
		refuse := func(path, who string, r Reason, err error) {
			bad = append(bad, numbered{len(rules), Problem{pos, path, who, r, err.Error()}})
		}
		fields, err := split(strings.TrimSuffix(line, "\r"))
		if err != nil {
			refuse("", "", BadSyntax, err)
			continue
		}
		if len(fields) == 0 {
			continue
		}
		path, fields := fields[0], fields[1:]
		if len(fields) == 0 {
			rules = append(rules, Rule{Path: path, Pos: pos})
		}
		for len(fields) > 1 {
			r := Rule{Path: path, Who: fields[0], Pos: pos}
			actions := fields[1]
			fields = fields[2:]
			var limits []string
			for len(fields) > 0 && isLimit(fields[0]) {
				limits, fields = append(limits, fields[0]), fields[1:]
			}
			if r.Actions, err = ParseAction(actions); err != nil {
				refuse(path, r.Who, BadAction, err)
				continue
			}
			if r.Limits, err = ParseLimits(limits); err != nil {
				refuse(path, r.Who, BadLimits, err)
				continue
			}
			if r.Who == "" {
				refuse(path, r.Who, BadWho, errNobody)
				continue
			}
			rules = append(rules, r)
		}
		if len(fields) == 1 {
			refuse(path, fields[0], BadNoAction, errNoActions)
		}
	}
	c := newCompiler(rules, opts)
	p, _, err := c.compile(bad)
	return p, err
}

var (
	errNobody    = errors.New("nobody is called that")
	errNoActions = errors.New("a rule gives at least one action")
)

// checkText refuses text that is not UTF-8, as one problem.
func checkText(name string, text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	line := 1
	what := "this is not UTF-8 text"
	for rest := text; ; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		rest = rest[size:]
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		what = "this is UTF-16; save it as UTF-8"
	}
	return &Error{[]Problem{{Pos: fmt.Sprintf("%s:%d", name, line), Reason: BadEncoding, Text: what}}}
}

// split returns the fields of a line.
func split(line string) ([]string, error) {
	var fields []string
	for {
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "", line[0] == '#':
			return fields, nil
		case line[0] == '"':
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, errors.New("a quoted field has no end")
			}
			f, err := strconv.Unquote(q)
			if err != nil {
				return nil, fmt.Errorf("quoted field %s: %w", clip(q), err)
			}
			if line = line[len(q):]; line != "" && line[0] != ' ' && line[0] != '\t' {
				return nil, fmt.Errorf("something stands right behind %s", clip(q))
			}
			fields = append(fields, f)
		default:
			i := strings.IndexAny(line, " \t")
			if i < 0 {
				i = len(line)
			}
			fields = append(fields, line[:i])
			line = line[i:]
		}
	}
}

// String returns the rules as Parse reads them, with rules on the same path that
// follow each other on one line. The options are not part of it.
func (p *Policy) String() string {
	if p == nil {
		return ""
	}
	var b strings.Builder
	for i, r := range p.rules {
		s := r.String()
		if i > 0 && r.Who != "" && p.rules[i-1].Who != "" && p.rules[i-1].Path == r.Path {
			b.WriteString(strings.TrimPrefix(s, quote(r.Path)))
			continue
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}
