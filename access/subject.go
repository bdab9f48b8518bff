package access

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// SubjectHelp is how subjects are written, for people. See ParseSubject.
const SubjectHelp = `  guest                       a visitor who is not signed in
  guest(identity=x)           and has an identity id
  alice                       a user: identity id, sub and user name are all alice
  alice(groups=staff+admin)   in two groups, the one of highest precedence first
  alice(identity=x, sub=y, username=z, claim:team=red)
  function:resize             a program
`

// ParseSubject reads who a question is asked for:
//
//	guest
//	guest(identity=x)
//	alice
//	alice(groups=staff+admin)
//	alice(identity=x, sub=y, username=z, claim:team=red)
//	function:resize
//
// What they mean is in SubjectHelp. Names and values with any of ( ) , = + " or a
// space in them are written in double quotes, as Go strings. A name in quotes is a
// user, even if it is "guest". The error is fs.ErrInvalid.
func ParseSubject(text string) (Subject, error) {
	s, rest, err := scanSubject(strings.Trim(text, " \t"))
	if err == nil && rest != "" {
		err = fmt.Errorf("something stands behind it: %q", rest)
	}
	if err != nil {
		return Subject{}, fmt.Errorf("subject %q: %w: %w", text, err, fs.ErrInvalid)
	}
	return s, nil
}

// scanSubject reads a subject at the beginning of text, and returns what follows.
func scanSubject(text string) (s Subject, rest string, err error) {
	fail := func(err error) (Subject, string, error) { return Subject{}, "", err }
	quoted := strings.HasPrefix(text, `"`)
	name, rest, err := scanName(text)
	if err != nil {
		return fail(err)
	}
	if program, ok := strings.CutPrefix(name, "function:"); ok && !quoted {
		if program == "" {
			if program, rest, err = scanName(rest); err != nil {
				return fail(err)
			}
		}
		if !validValue(program) {
			return fail(fmt.Errorf("%q can be no name of a function", program))
		}
		if strings.HasPrefix(rest, "(") {
			return fail(errors.New("a function has nothing but its name"))
		}
		return Subject{Function: program}, rest, nil
	}
	if name == "" && !quoted {
		return fail(errors.New("want guest, the name of a user or function:NAME"))
	}
	s = Subject{Identity: name, Authenticated: true, Sub: name, Username: name}
	if name == "guest" && !quoted {
		s = Subject{}
	}
	rest, ok := strings.CutPrefix(rest, "(")
	if !ok {
		return s, rest, nil
	}
	seen := make(map[string]bool)
	for {
		var field string
		rest = strings.TrimLeft(rest, " \t")
		if field, rest, err = scanName(rest); err != nil {
			return fail(err)
		}
		if field == "claim:" {
			if field, rest, err = scanName(rest); err != nil {
				return fail(err)
			}
			field = "claim:" + field
		}
		if rest, ok = strings.CutPrefix(rest, "="); !ok {
			return fail(fmt.Errorf(`there is no "=" behind %q`, field))
		}
		var values []string
		for more := true; more; rest, more = strings.CutPrefix(rest, "+") {
			var v string
			open := strings.HasPrefix(rest, `"`)
			if v, rest, err = scanName(rest); err != nil {
				return fail(err)
			}
			if v == "" && !open {
				return fail(fmt.Errorf(`there is no value for %q; write "" for an empty one`, field))
			}
			values = append(values, v)
		}
		if seen[field] {
			return fail(fmt.Errorf("%q is there twice", field))
		}
		seen[field] = true
		if err := s.set(field, values); err != nil {
			return fail(err)
		}
		rest = strings.TrimLeft(rest, " \t")
		switch {
		case strings.HasPrefix(rest, ","):
			rest = rest[1:]
		case strings.HasPrefix(rest, ")"):
			return s, rest[1:], nil
		default:
			return fail(errors.New(`there is no ")" at the end`))
		}
	}
}

// set gives a field its value, or values.
func (s *Subject) set(field string, values []string) error {
	switch {
	case len(values) > 1 && field != "groups":
		return fmt.Errorf("%q has one value", field)
	case field == "identity":
		s.Identity = values[0]
	case !s.Authenticated:
		return fmt.Errorf("a guest has an identity and nothing else, not %q", field)
	case field == "groups":
		s.Groups = values
	case field == "sub":
		s.Sub = values[0]
	case field == "username":
		s.Username = values[0]
	case strings.HasPrefix(field, "claim:") && field != "claim:":
		if s.Claims == nil {
			s.Claims = make(map[string]string)
		}
		s.Claims[strings.TrimPrefix(field, "claim:")] = values[0]
	default:
		return fmt.Errorf("unknown field %q, want identity, sub, username, groups or claim:NAME", field)
	}
	return nil
}

// special are the characters that end a name.
const special = " \t(),=+\""

// scanName reads a name at the beginning of text, in quotes if there are any.
func scanName(text string) (name, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		q, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", errors.New("a quoted name has no end")
		}
		name, err = strconv.Unquote(q)
		return name, text[len(q):], err
	}
	i := strings.IndexAny(text, special)
	if i < 0 {
		i = len(text)
	}
	return text[:i], text[i:], nil
}

// quoteName returns a name as scanName reads it.
func quoteName(s string) string {
	if s == "" || s[0] == '#' || strings.ContainsAny(s, special) || strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || r == unicode.ReplacementChar || r == '\ufeff'
	}) {
		return strconv.Quote(s)
	}
	return s
}

// String returns the subject as ParseSubject reads it, without what does not
// count for it.
func (s Subject) String() string {
	if s.Function != "" {
		return "function:" + quoteName(s.Function)
	}
	if !s.Authenticated {
		if s.Identity == "" {
			return "guest"
		}
		return "guest(identity=" + quoteName(s.Identity) + ")"
	}
	name := s.Username
	if name == "" {
		name = s.Sub
	}
	text := quoteName(name)
	if name == "guest" || strings.HasPrefix(name, "function:") {
		text = strconv.Quote(name)
	}
	var fields []string
	add := func(field, value string) { fields = append(fields, field+"="+value) }
	if s.Identity != name {
		add("identity", quoteName(s.Identity))
	}
	if s.Sub != name {
		add("sub", quoteName(s.Sub))
	}
	if s.Username != name {
		add("username", quoteName(s.Username))
	}
	if len(s.Groups) > 0 {
		var groups []string
		for _, g := range s.Groups {
			groups = append(groups, quoteName(g))
		}
		add("groups", strings.Join(groups, "+"))
	}
	for _, c := range slices.Sorted(maps.Keys(s.Claims)) {
		add("claim:"+quoteName(c), quoteName(s.Claims[c]))
	}
	if fields == nil {
		return text
	}
	return text + "(" + strings.Join(fields, ", ") + ")"
}
