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
// space in them are written in double quotes, as Go strings. Words that are roles in
// rules, such as owner and group:NAME, are nobody, and neither are users, guests and
// the like; but a name in quotes is a user, even if it is "guest". The error is
// fs.ErrInvalid.
func ParseSubject(text string) (Subject, error) {
	s, rest, err := scanSubject(strings.Trim(text, " \t"))
	if err == nil && rest != "" {
		err = fmt.Errorf("something stands behind it: %q", clip(rest))
	}
	if err != nil {
		return Subject{}, fmt.Errorf("subject %q: %w: %w", clip(text), err, fs.ErrInvalid)
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
			return fail(fmt.Errorf("%q can be no name of a function", clip(program)))
		}
		if strings.HasPrefix(rest, "(") {
			return fail(errors.New("a function has nothing but its name"))
		}
		return Subject{Function: program}, rest, nil
	}
	if name == "" && !quoted {
		return fail(errors.New("want guest, the name of a user or function:NAME"))
	}
	if hint := noUser(name); hint != "" && !quoted {
		return fail(errors.New(hint + "; in quotes it is the name of a user"))
	}
	s = Subject{Identity: name, Authenticated: true, Sub: name, Username: name}
	if name == "guest" && !quoted {
		s = Subject{}
	}
	rest, ok := strings.CutPrefix(rest, "(")
	if !ok {
		return s, rest, nil
	}
	if strings.HasPrefix(strings.TrimLeft(rest, " \t"), ")") {
		return fail(errors.New("nothing is in the brackets; leave them out"))
	}
	seen := make(map[string]bool)
	last := ""
	for {
		var field string
		if rest = strings.TrimLeft(rest, " \t"); rest == "" {
			return fail(errNoBracket)
		}
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
			if last == "groups" && field != "" {
				return fail(fmt.Errorf(`there is no "=" behind %q; groups are joined by "+", as in groups=staff+admin`, clip(field)))
			}
			return fail(fmt.Errorf(`there is no "=" behind %q`, clip(field)))
		}
		last = field
		var values []string
		for more := true; more; rest, more = strings.CutPrefix(rest, "+") {
			var v string
			open := strings.HasPrefix(rest, `"`)
			if v, rest, err = scanName(rest); err != nil {
				return fail(err)
			}
			if v == "" && !open {
				return fail(fmt.Errorf(`there is no value for %q; write "" for an empty one`, clip(field)))
			}
			values = append(values, v)
		}
		if seen[field] {
			return fail(fmt.Errorf("%q is there twice", clip(field)))
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
			return fail(errNoBracket)
		}
	}
}

var errNoBracket = errors.New(`there is no ")" at the end`)

// noUser returns why a name without quotes is nobody's, and what to write instead.
// It is "" for a name that is a user's, and for guest.
func noUser(name string) string {
	if n := len("group:"); len(name) >= n && strings.EqualFold(name[:n], "group:") {
		group := "NAME"
		if name[n:] != "" {
			group = quoteName(clip(name[n:]))
		}
		return fmt.Sprintf("%s is a role, not somebody: write anyone(groups=%s)", clip(name), group)
	}
	switch strings.ToLower(name) {
	case "guest":
		if name != "guest" {
			return "guest is written small"
		}
	case "guests":
		return name + " are many: write guest"
	case "authenticated":
		return name + " is a role, not somebody: write the name of a user, which may be any"
	case "owner", "entityidentity":
		return name + " is a role, not somebody: write the name of the user who is the owner"
	case "users":
		return name + " are many: write the name of one, which may be any"
	case "anybody", "everybody", "everyone", "others", "nobody":
		return name + " is not one subject: write guest, or the name of a user"
	}
	return ""
}

// set gives a field its value, or values.
func (s *Subject) set(field string, values []string) error {
	switch {
	case len(values) > 1 && field != "groups":
		return fmt.Errorf("%q has one value", clip(field))
	case field == "identity":
		s.Identity = values[0]
	case !s.Authenticated:
		return fmt.Errorf("a guest has an identity and nothing else, not %q", clip(field))
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
		return fmt.Errorf("unknown field %q, want identity, sub, username, groups or claim:NAME", clip(field))
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
	if name == "guest" || noUser(name) != "" || strings.HasPrefix(name, "function:") {
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
