package outputs

import (
	"encoding/json"
	"io/fs"
	"strconv"
	"strings"
)

// set adds a field to an object that is to be written; nil adds nothing.
func (v *value) set(name string, x *value) {
	if x != nil {
		v.fields = append(v.fields, field{name: name, value: x})
		if v.index != nil {
			v.index[name] = x
		}
	}
}

// setText adds a text, unless it is empty.
func (v *value) setText(name, s string) {
	if s != "" {
		v.set(name, newText(s))
	}
}

// setList adds a list of texts, unless it is nil.
func (v *value) setList(name string, list []string) {
	if list != nil {
		v.set(name, newList(list))
	}
}

// setTrue adds a flag, unless it is false.
func (v *value) setTrue(name string, b bool) {
	if b {
		v.set(name, newFlag(true))
	}
}

// setObject adds an object, unless it is empty.
func (v *value) setObject(name string, x *value) {
	if len(x.fields) > 0 {
		v.set(name, x)
	}
}

func newObject() *value { return &value{kind: object} }

func newText(s string) *value { return &value{kind: text, text: s} }

func newFlag(b bool) *value { return &value{kind: flag, text: strconv.FormatBool(b)} }

func newNumber(n int) *value { return &value{kind: number, text: strconv.Itoa(n)} }

func newList(texts []string) *value {
	v := &value{kind: list}
	for _, s := range texts {
		v.items = append(v.items, newText(s))
	}
	return v
}

// put sets what is at the end of the way, unless v says something else there. It
// reports false if there is no such way.
func (v *value) put(keys []string, x *value) bool {
	for len(keys) > 1 {
		key := keys[0]
		keys = keys[1:]
		var next *value
		switch v.kind {
		case object:
			if next = v.find(key); next == nil {
				next = newObject()
				v.set(key, next)
			}
		case list:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v.items) {
				return false
			}
			next = v.items[i]
		default:
			return false
		}
		v = next
	}
	if len(keys) == 0 || v.kind != object {
		return false
	}
	switch old := v.find(keys[0]); {
	case old == nil:
		v.set(keys[0], x)
	case old.weak:
		*old = *x
	}
	return true
}

// encode writes v as JSON, with this much for each level; "" writes one line.
func (v *value) encode(b *strings.Builder, indent string) {
	v.write(b, indent, "\n")
}

func (v *value) write(b *strings.Builder, indent, line string) {
	in := line + indent
	if indent == "" {
		in, line = "", ""
	}
	switch v.kind {
	case null:
		b.WriteString("null")
	case flag, number:
		b.WriteString(v.text)
	case text:
		writeText(b, v.text)
	case list:
		b.WriteByte('[')
		for i, e := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(in)
			e.write(b, indent, in)
		}
		if len(v.items) > 0 {
			b.WriteString(line)
		}
		b.WriteByte(']')
	case object:
		b.WriteByte('{')
		for i, f := range v.fields {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(in)
			writeText(b, f.name)
			b.WriteByte(':')
			if indent != "" {
				b.WriteByte(' ')
			}
			f.value.write(b, indent, in)
		}
		if len(v.fields) > 0 {
			b.WriteString(line)
		}
		b.WriteByte('}')
	}
}

// writeText writes a text of JSON, which is one of JavaScript, too.
func writeText(b *strings.Builder, s string) {
	var line strings.Builder
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text can always be encoded
	b.WriteString(strings.TrimSuffix(line.String(), "\n"))
}

// raw returns v as JSON.
func (v *value) raw() json.RawMessage {
	var b strings.Builder
	v.encode(&b, "")
	return json.RawMessage(b.String())
}

// parseRaw reads what raw returned.
func parseRaw(m json.RawMessage) (*value, error) {
	p := &parser{text: string(m)}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if c, err := p.peek(); err != nil || c != 0 || p.lax != nil || p.loose != nil || p.dups != nil || invalid(p.text) >= 0 {
		return nil, fs.ErrInvalid
	}
	return v, nil
}
