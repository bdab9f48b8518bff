package iam

import (
	"strings"
	"unicode/utf8"
)

// pattern is a text with wildcards and variables, taken apart.
type pattern struct {
	prefix    string // literal text, up to the first part that is none
	rest      []part // what follows it
	variables bool   // some part of rest is a variable, or broken
}

type part struct {
	kind     partKind
	text     string // of a literal; the name of a variable, in lower case
	value    string // what stands for a variable that is absent
	hasValue bool
}

type partKind uint8

const (
	literal  partKind = iota
	anyOne            // "?"
	anyText           // "*"
	variable          // "${key}"
	broken            // a "${" that nobody knows the meaning of, and all behind it
)

// parsePattern takes a text apart. Wildcards are wildcards, and "${" is the
// beginning of a variable or an escape, only where they are said to be.
func parsePattern(text string, wildcards, variables bool) pattern {
	var parts []part
	from := 0 // of the literal text that ends here
	i := 0
	add := func(p part, n int) {
		if from < i {
			parts = append(parts, part{kind: literal, text: text[from:i]})
		}
		if n := len(parts); p.kind != anyText || n == 0 || parts[n-1].kind != anyText {
			parts = append(parts, p)
		}
		i += n
		from = i
	}
	for i < len(text) {
		switch {
		case wildcards && text[i] == '*':
			add(part{kind: anyText}, 1)
		case wildcards && text[i] == '?':
			add(part{kind: anyOne}, 1)
		case variables && strings.HasPrefix(text[i:], "${"):
			add(parseVariable(text[i:]))
		default:
			i++
		}
	}
	if from < i {
		parts = append(parts, part{kind: literal, text: text[from:]})
	}
	return newPattern(parts)
}

// newPattern returns the pattern of the parts.
func newPattern(parts []part) pattern {
	n := 0
	var prefix strings.Builder
	for n < len(parts) && parts[n].kind == literal {
		prefix.WriteString(parts[n].text)
		n++
	}
	p := pattern{prefix: prefix.String(), rest: parts[n:]}
	for _, q := range p.rest {
		p.variables = p.variables || q.kind >= variable
	}
	return p
}

// parseVariable reads what text, which starts with "${", starts with. It returns
// the length of it.
func parseVariable(text string) (part, int) {
	if len(text) > 3 && text[3] == '}' && strings.IndexByte("*?$", text[2]) >= 0 {
		return part{kind: literal, text: text[2:3]}, 4
	}
	wrong := part{kind: broken, text: text}
	end := strings.IndexAny(text, ",}")
	if end < 0 {
		return wrong, len(text)
	}
	name := text[2:end]
	if name == "" || strings.ContainsAny(name, " \t\r\n${*?'\"") {
		return wrong, len(text)
	}
	v := part{kind: variable, text: strings.ToLower(name)}
	if text[end] == '}' {
		return v, end + 1
	}
	quoted := strings.TrimLeft(text[end+1:], " ")
	if !strings.HasPrefix(quoted, "'") {
		return wrong, len(text)
	}
	value, after, ok := strings.Cut(quoted[1:], "'")
	after = strings.TrimLeft(after, " ")
	if !ok || !strings.HasPrefix(after, "}") {
		return wrong, len(text)
	}
	v.value, v.hasValue = value, true
	return v, len(text) - len(after) + 1
}

// String returns the pattern as parsePattern reads it, with wildcards and
// variables.
func (p *pattern) String() string {
	var b strings.Builder
	escape := func(s string) {
		for i := range len(s) {
			switch {
			case s[i] == '*', s[i] == '?', s[i] == '$' && strings.HasPrefix(s[i+1:], "{"):
				b.WriteString("${" + s[i:i+1] + "}")
			default:
				b.WriteByte(s[i])
			}
		}
	}
	escape(p.prefix)
	for _, q := range p.rest {
		switch q.kind {
		case literal:
			escape(q.text)
		case anyOne:
			b.WriteByte('?')
		case anyText:
			b.WriteByte('*')
		case variable:
			b.WriteString("${" + q.text)
			if q.hasValue {
				b.WriteString(", '" + q.value + "'")
			}
			b.WriteByte('}')
		case broken:
			b.WriteString(q.text)
		}
	}
	return b.String()
}

// match reports whether the pattern, with the values that r has for its
// variables, matches all of s.
func (p *pattern) match(s string, r *Request) truth {
	s, ok := strings.CutPrefix(s, p.prefix)
	switch {
	case !ok:
		return no
	case len(p.rest) == 0:
		return is(s == "")
	case p.variables:
		parts, answer := p.resolve(r)
		if answer == no || !glob(parts, s) {
			return no
		}
		return answer
	}
	return is(glob(p.rest, s))
}

// resolve returns the parts with the values of variables in their places. The
// answer is no if one has no value, and maybe if the value of one is unknown: then
// any text stands in its place.
func (p *pattern) resolve(r *Request) (parts []part, answer truth) {
	parts = make([]part, len(p.rest))
	answer = yes
	for i, q := range p.rest {
		parts[i] = q
		switch q.kind {
		case broken:
			parts[i], answer = part{kind: anyText}, maybe
		case variable:
			values, known := r.values(q.text)
			switch {
			case known && len(values) == 1:
				parts[i] = part{kind: literal, text: values[0]}
			case known && len(values) == 0 && !q.hasValue:
				return nil, no
			case known && len(values) == 0 && !strings.ContainsAny(q.value, "*?$"):
				parts[i] = part{kind: literal, text: q.value}
			default:
				parts[i], answer = part{kind: anyText}, maybe
			}
		}
	}
	return parts, answer
}

// glob reports whether the parts, none of which is a variable, match all of s. If
// something does not fit, only the last "*" needs to take more: those before it
// have taken the least they could.
func glob(parts []part, s string) bool {
	star, mark := -1, "" // the last "*", and what is left where it ends
	for i := 0; ; {
		if i == len(parts) {
			if s == "" {
				return true
			}
		} else {
			switch p := parts[i]; p.kind {
			case anyText:
				star, mark = i, s
				i++
				continue
			case anyOne:
				if s != "" {
					s = s[firstLen(s):]
					i++
					continue
				}
			default:
				if after, ok := strings.CutPrefix(s, p.text); ok {
					s = after
					i++
					continue
				}
			}
		}
		if star < 0 || mark == "" {
			return false
		}
		mark = mark[firstLen(mark):]
		if next := star + 1; next == len(parts) {
			return true
		} else if p := parts[next]; p.kind == literal {
			j := strings.Index(mark, p.text)
			if j < 0 {
				return false
			}
			mark = mark[j:]
		}
		i, s = star+1, mark
	}
}

// firstLen returns the length of the first character. A byte that is no part of
// one counts as one.
func firstLen(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// truth is the answer to a question about a request that is not known completely.
type truth int8

const (
	no truth = iota
	maybe
	yes
)

func is(b bool) truth {
	if b {
		return yes
	}
	return no
}

// not returns the opposite.
func (t truth) not() truth { return yes - t }
