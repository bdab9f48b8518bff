package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxText  = 4 << 20 // bytes of a document
	maxDepth = 8       // of its lists and objects
)

// Parse reads a policy strictly. An element that it does not know is an error, as
// are one that is there twice and one that is missing, a resource that is neither
// "*" nor an ARN, and a Sid that AWS would not accept. A condition value may be a
// number or a boolean, which is taken as its text.
func Parse(text []byte) (*Document, error) {
	root, err := readJSON(text)
	if err != nil {
		return nil, fmt.Errorf("policy: %w: %w", err, fs.ErrInvalid)
	}
	d := new(Document)
	if err := d.read(root); err != nil {
		return nil, fmt.Errorf("policy: %w: %w", err, fs.ErrInvalid)
	}
	return d, nil
}

// UnmarshalJSON implements json.Unmarshaler. It is as strict as Parse.
func (d *Document) UnmarshalJSON(text []byte) error {
	e, err := Parse(text)
	if err != nil {
		return err
	}
	*d = *e
	return nil
}

var errNoStatement = errors.New("the element Statement is missing")

// value is a JSON value.
type value struct {
	kind    valueKind
	text    string // of a string, number or boolean
	list    []value
	members []member // of an object, in their order
}

type member struct {
	name string
	value
}

type valueKind string

const (
	aString  valueKind = "a string"
	aNumber  valueKind = "a number"
	aBoolean valueKind = "a boolean"
	aNull    valueKind = "null"
	aList    valueKind = "a list"
	anObject valueKind = "an object"
)

// readJSON reads one JSON value.
func readJSON(text []byte) (value, error) {
	if len(text) > maxText {
		return value{}, fmt.Errorf("longer than %d bytes", maxText)
	}
	if !utf8.Valid(text) {
		return value{}, errors.New("not UTF-8")
	}
	if hasLoneSurrogate(text) {
		return value{}, errors.New(`a \u escape that is half a character`)
	}
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return value{}, fmt.Errorf("not JSON: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return readValue(d, "", 0)
}

// hasLoneSurrogate reports whether an escape in the text stands for no character,
// which the decoder would replace silently.
func hasLoneSurrogate(text []byte) bool {
	unit := func(i int) uint64 {
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		return n
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case u >= 0xdc00 && u < 0xe000:
			return true
		case u >= 0xd800 && u < 0xdc00:
			if low := unit(i + 6); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		default:
			i++ // what is escaped
		}
	}
	return false
}

// readValue reads the value at a place.
func readValue(d *json.Decoder, place string, depth int) (value, error) {
	t, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch t := t.(type) {
	case string:
		return value{kind: aString, text: t}, nil
	case json.Number:
		return value{kind: aNumber, text: t.String()}, nil
	case bool:
		return value{kind: aBoolean, text: strconv.FormatBool(t)}, nil
	case nil:
		return value{kind: aNull}, nil
	}
	if depth == maxDepth {
		return value{}, fmt.Errorf("%s: nested too deep", place)
	}
	v := value{kind: aList}
	if t == json.Delim('{') {
		v.kind = anObject
	}
	seen := make(map[string]bool)
	for d.More() {
		if v.kind == aList {
			e, err := readValue(d, fmt.Sprintf("%s[%d]", place, len(v.list)), depth+1)
			if err != nil {
				return value{}, err
			}
			v.list = append(v.list, e)
			continue
		}
		t, err := d.Token()
		if err != nil {
			return value{}, err
		}
		name, _ := t.(string)
		in := join(place, name)
		if seen[name] {
			return value{}, fmt.Errorf("%s: there twice", in)
		}
		seen[name] = true
		m := member{name: name}
		if m.value, err = readValue(d, in, depth+1); err != nil {
			return value{}, err
		}
		v.members = append(v.members, m)
	}
	_, err = d.Token()
	return v, err
}

// join returns the place of an element in an object.
func join(place, name string) string {
	if place == "" {
		return name
	}
	return place + "." + name
}

func (v *value) want(kind valueKind, place string) error {
	if v.kind != kind {
		if place == "" {
			return fmt.Errorf("want %s, not %s", kind, v.kind)
		}
		return fmt.Errorf("%s: want %s, not %s", place, kind, v.kind)
	}
	return nil
}

func (d *Document) read(v value) error {
	if err := v.want(anObject, ""); err != nil {
		return err
	}
	found := false
	for _, m := range v.members {
		var err error
		switch m.name {
		case "Version":
			if err = m.want(aString, m.name); err == nil && m.text != Version && m.text != "2008-10-17" {
				err = fmt.Errorf("%s: unknown version %q", m.name, m.text)
			}
			d.Version = m.text
		case "Id":
			err = m.want(aString, m.name)
			d.ID = m.text
		case "Statement":
			found = true
		default:
			err = fmt.Errorf("%s: unknown element", m.name)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return errNoStatement
	}
	for _, m := range v.members {
		if m.name == "Statement" {
			return d.readStatements(m.value)
		}
	}
	return nil
}

// readStatements reads one statement or a list of them.
func (d *Document) readStatements(v value) error {
	if v.kind == anObject {
		d.Statement = make([]Statement, 1)
		return d.Statement[0].read(v, "Statement", d.Version == Version)
	}
	if err := v.want(aList, "Statement"); err != nil {
		return err
	}
	d.Statement = make([]Statement, len(v.list))
	at := make(map[string]int) // the statements with a Sid
	for i, s := range v.list {
		place := fmt.Sprintf("Statement[%d]", i)
		if err := d.Statement[i].read(s, place, d.Version == Version); err != nil {
			return err
		}
		sid := d.Statement[i].Sid
		if other, ok := at[sid]; ok && sid != "" {
			return fmt.Errorf("%s.Sid: Statement[%d] has %q already", place, other, sid)
		}
		at[sid] = i
	}
	return nil
}

func (s *Statement) read(v value, place string, variables bool) error {
	if err := v.want(anObject, place); err != nil {
		return err
	}
	for _, m := range v.members {
		in := join(place, m.name)
		var err error
		switch m.name {
		case "Sid":
			err = m.want(aString, in)
			s.Sid = m.text
		case "Effect":
			err = m.want(aString, in)
			s.Effect = m.text
		case "Principal":
			s.Principal, err = m.readPrincipal(in)
		case "Action":
			s.Action, err = m.readStrings(in, false)
		case "NotAction":
			s.NotAction, err = m.readStrings(in, false)
		case "Resource":
			s.Resource, err = m.readStrings(in, false)
		case "NotResource":
			s.NotResource, err = m.readStrings(in, false)
		case "Condition":
			s.Condition, err = m.readCondition(in)
		default:
			err = fmt.Errorf("%s: unknown element", in)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case s.Effect != Allow && s.Effect != Deny:
		return fmt.Errorf("%s.Effect: want Allow or Deny, not %q", place, s.Effect)
	case (s.Action == nil) == (s.NotAction == nil):
		return fmt.Errorf("%s: want either Action or NotAction", place)
	case (s.Resource == nil) == (s.NotResource == nil):
		return fmt.Errorf("%s: want either Resource or NotResource", place)
	case s.Principal == nil && strings.Trim(s.Sid, sidLetters) != "":
		return fmt.Errorf("%s.Sid: want letters and digits, not %q", place, s.Sid)
	}
	name, list := "Resource", s.Resource
	if list == nil {
		name, list = "NotResource", s.NotResource
	}
	for i, r := range list {
		if err := checkResource(r, variables); err != nil {
			return fmt.Errorf("%s.%s[%d]: %w", place, name, i, err)
		}
	}
	return nil
}

// sidLetters are the characters of a Sid. In the policy of a resource, which names
// principals, some services accept others.
const sidLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// checkResource makes sure that a resource is "*" or an ARN. AWS fills up one that
// has too few fields with wildcards, which can hardly be what was meant.
func checkResource(r string, variables bool) error {
	if r == "*" {
		return nil
	}
	if variables && !variablesAllowed(r) {
		return errors.New("a variable may stand only behind the fifth colon")
	}
	fields, ok := splitARN(r)
	if !ok || fields[0] != "arn" || fields[1] == "" || fields[2] == "" || fields[5] == "" {
		return fmt.Errorf(`want "*" or an ARN, as in arn:aws:s3:::bucket, not %q`, r)
	}
	return nil
}

// readStrings reads one text or a list of some.
func (v *value) readStrings(place string, anyScalar bool) (Strings, error) {
	list := v.list
	if v.kind != aList {
		list = []value{*v}
	} else if len(list) == 0 {
		return nil, fmt.Errorf("%s: the list is empty", place)
	}
	out := make(Strings, len(list))
	for i, e := range list {
		if !anyScalar || e.kind != aNumber && e.kind != aBoolean {
			if err := e.want(aString, place); err != nil {
				return nil, err
			}
		}
		out[i] = e.text
	}
	return out, nil
}

func (v *value) readPrincipal(place string) (Principal, error) {
	if v.kind == aString && v.text == everybody {
		return Principal{everybody: {everybody}}, nil
	}
	if v.kind != anObject || len(v.members) == 0 {
		return nil, fmt.Errorf(`%s: want "*" or an object with AWS, Federated, Service or CanonicalUser`, place)
	}
	p := make(Principal)
	for _, m := range v.members {
		in := join(place, m.name)
		switch m.name {
		case "AWS", "Federated", "Service", "CanonicalUser":
		default:
			return nil, fmt.Errorf("%s: unknown kind of principal", in)
		}
		var err error
		if p[m.name], err = m.readStrings(in, false); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (v *value) readCondition(place string) (Condition, error) {
	if err := v.want(anObject, place); err != nil {
		return nil, err
	}
	if len(v.members) == 0 {
		return nil, nil
	}
	c := make(Condition)
	for _, op := range v.members {
		in := join(place, op.name)
		if err := op.want(anObject, in); err != nil {
			return nil, err
		}
		c[op.name] = make(map[string]Strings)
		for _, key := range op.members {
			values, err := key.readStrings(join(in, key.name), true)
			if err != nil {
				return nil, err
			}
			c[op.name][key.name] = values
		}
	}
	return c, nil
}
