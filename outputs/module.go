package outputs

import (
	"strings"
	"unicode/utf8"
)

// parseText reads a text that is JSON, or a module of JavaScript or TypeScript
// around one object, such as aws-exports.js. Names that a module gives to plain
// values are all that it understands.
func parseText(s string) (p *parser, root *value, err error) {
	p = &parser{text: s}
	if i := invalid(s); i >= 0 {
		return p, nil, p.bad(i, "this is not UTF-8")
	}
	p.pos = len(s) - len(strings.TrimPrefix(s, "\ufeff"))
	c, err := p.peek()
	switch {
	case err != nil:
		return p, nil, err
	case isWord(c) || c == ';' || c == '"' || c == '\'':
		if root, err = p.module(); err != nil {
			return p, nil, err
		}
	case c == '{' || c == '[':
		if root, err = p.value(); err != nil {
			return p, nil, err
		}
		if c, err = p.peek(); err != nil {
			return p, nil, err
		}
		if c != 0 {
			return p, nil, p.bad(p.pos, "there is more text after the JSON object")
		}
	default:
		return p, nil, p.bad(p.pos, "not JSON: it begins with %s", p.found())
	}
	if root.kind != object {
		return p, nil, p.bad(root.at, "must be an object")
	}
	return p, root, nil
}

// invalid returns the offset of the first byte that is not UTF-8, -1 if there is none.
func invalid(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i, r := range s {
		if r != utf8.RuneError {
			continue
		}
		if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
			return i
		}
	}
	return -1
}

// module reads statements, and returns the value that they export, or else the only one.
func (p *parser) module() (*value, error) {
	p.relax(p.pos, "a module")
	names := map[string]*value{}
	var result *value
	var name string // of the result
	var at int
	for {
		c, err := p.peek()
		if err != nil {
			return nil, err
		}
		if c == 0 {
			break
		}
		from := p.pos
		var v *value
		n, exports := "", false
		switch {
		case c == ';':
			p.pos++
			continue
		case c == '"' || c == '\'': // "use strict"
			if _, err := p.quoted(); err != nil {
				return nil, err
			}
			continue
		default:
			n, v, exports, err = p.statement()
		}
		if err != nil {
			return nil, err
		}
		if v != nil && n != "" {
			names[n] = v
		}
		if exports {
			if result != nil && name == "" || name != "" && name != n {
				return nil, p.bad(from, "there is a second configuration, want one")
			}
			result, name, at = v, n, from
		}
	}
	switch {
	case result == nil && name != "":
		if result = names[name]; result == nil {
			return nil, p.bad(at, "nothing here is called %s", name)
		}
	case result == nil && len(names) == 1:
		for _, v := range names {
			result = v
		}
	case result == nil:
		return nil, p.bad(0, "not JSON, and no module that exports one object")
	}
	return result, nil
}

// statement reads one: of a declaration its name and value, of an export its name
// or value.
func (p *parser) statement() (name string, v *value, exports bool, err error) {
	from := p.pos
	word := p.word()
	if word == "export" {
		exports = true
		if _, err = p.peek(); err != nil {
			return "", nil, false, err
		}
		word = p.word()
	}
	switch word {
	case "const", "let", "var":
		if _, err = p.peek(); err != nil {
			return "", nil, false, err
		}
		if name = p.word(); name == "" {
			return "", nil, false, p.bad(p.pos, "want a name, found %s", p.found())
		}
		// What stands between is a type of TypeScript.
		n := strings.IndexByte(p.text[p.pos:], '=')
		if n < 0 || strings.ContainsAny(p.text[p.pos:p.pos+n], "{}'\"`;\n") {
			return "", nil, false, p.bad(p.pos, "want = behind %s", name)
		}
		p.pos += n + 1
		if v, err = p.value(); err == nil {
			err = p.cast()
		}
		return name, v, exports, err
	case "default":
		if exports {
			name, v, err = p.operand()
			return name, v, true, err
		}
	case "import":
		n := strings.IndexAny(p.text[p.pos:], "'\";")
		if n >= 0 && !exports && p.text[p.pos+n] != ';' {
			p.pos += n
			_, err = p.quoted()
			return "", nil, false, err
		}
	case "module", "exports":
		for _, s := range []string{".exports", ".default"} {
			if ok := strings.HasPrefix(p.text[p.pos:], s); ok && !exports {
				p.pos += len(s)
			}
		}
		if ok, err := p.next('='); err != nil || !ok {
			return "", nil, false, orElse(err, p.bad(from, "want module.exports = a value"))
		}
		name, v, err = p.operand()
		return name, v, true, err
	case "Amplify":
		if ok := strings.HasPrefix(p.text[p.pos:], ".configure("); ok && !exports {
			p.pos += len(".configure(")
			if name, v, err = p.operand(); err != nil {
				return "", nil, false, err
			}
			if ok, err := p.next(')'); err != nil || !ok {
				return "", nil, false, orElse(err, p.bad(p.pos, "want ), found %s", p.found()))
			}
			return name, v, true, nil
		}
	}
	return "", nil, false, p.bad(from, "not JSON, and no module that only exports an object")
}

// operand reads a value, or the name of one.
func (p *parser) operand() (name string, v *value, err error) {
	c, err := p.peek()
	if err != nil {
		return "", nil, err
	}
	if c != '{' {
		if name = p.word(); name == "" {
			return "", nil, p.bad(p.pos, "want an object, found %s", p.found())
		}
		return name, nil, p.cast()
	}
	if v, err = p.value(); err != nil {
		return "", nil, err
	}
	return "", v, p.cast()
}

// cast skips the types that TypeScript has behind a value: as const, satisfies T.
func (p *parser) cast() error {
	for {
		c, err := p.peek()
		if err != nil {
			return err
		}
		if c != 'a' && c != 's' {
			return nil
		}
		from := p.pos
		if w := p.word(); w != "as" && w != "satisfies" {
			p.pos = from
			return nil
		}
		if _, err := p.peek(); err != nil {
			return err
		}
		for p.word() != "" && p.pos < len(p.text) && p.text[p.pos] == '.' {
			p.pos++
		}
	}
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
