package access

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// StatementHelp is the grammar of statements, for people. See ParseStatement.
const StatementHelp = `  WHO can never ACTIONS [PATTERN]         none of them may, nowhere there
  WHO can always ACTIONS [PATTERN]        all of them may, everywhere there
  WHO can ACTIONS [PATTERN]               the same
  nobody can ACTIONS [PATTERN]            the same as: anybody can never
  only WHO, WHO can ACTIONS [PATTERN]     nobody else may, nowhere there

WHO is one of
  guest            visitors who are not signed in
  authenticated    everybody who is, whatever the groups
  group:NAME       members of that group and of no other; behind "only", all members
  owner            the signed-in user whose value stands in the key for the token
  others           everybody else who is signed in
  function:NAME    that program
  anybody          guests and everybody who is signed in; with "never", programs too

ACTIONS are get, list, read, write, delete and versions, separated by commas; list is
about seeing a key in lists.

PATTERN is a path such as docs/*, or one key such as docs/index.html; without
one it is all keys. One segment of it may be a token, as in a rule: it stands for
any segment that could be somebody's value, which is any that no rule lists in
that place. A pattern with spaces is written in quotes.
`

// Statement is a claim about what rules allow, which is true of a policy or not.
// It comes from ParseStatement. The zero value claims nothing, and holds.
type Statement struct {
	verb    verb
	parties []party
	actions Action
	pattern scope
}

type verb uint8

const (
	never verb = iota
	always
	only
)

// party is whom a statement is about.
type party struct {
	kind partyKind
	name string // of the group or function
}

type partyKind uint8

const (
	anybody partyKind = iota
	partyGuest
	partyAuthenticated
	partyGroup
	partyOwner
	partyOthers
	partyFunction
)

var partyNames = [...]string{"anybody", "guest", "authenticated", "group:", "owner", "others", "function:"}

func (p party) String() string { return partyNames[p.kind] + p.name }

// scope is the keys that a statement or a question is about.
type scope struct {
	text string // "" for all keys
	pattern
	last string // if it is one key, what stands behind the segments
}

// one reports whether the scope is a single key, but for the token.
func (s *scope) one() bool { return s.last != "" }

// parseScope reads a pattern, "" or "*" for all keys.
func parseScope(text string) (s scope, err error) {
	refuse := func(format string, args ...any) (scope, error) {
		return scope{}, fmt.Errorf("pattern %s: %s: %w", quote(clip(text)), fmt.Sprintf(format, args...), fs.ErrInvalid)
	}
	s.at = -1
	if text == "" || text == "*" {
		return s, nil
	}
	s.text = text
	switch body, ok := strings.CutSuffix(text, "/*"); {
	case len(text) > maxPath:
		return refuse("a key has at most %d bytes", maxPath)
	case strings.HasPrefix(text, "/"):
		return refuse(`leave the "/" at the beginning out`)
	case strings.Contains(body, "?"):
		return refuse(`"?" is no wildcard, and no path has it; the only wildcard is "*" at the end, as in docs/*`)
	case strings.Contains(body, "*"):
		return refuse(`"*" stands at the end only, behind a "/", as in docs/*`)
	case ok:
		s.segs = strings.Split(body, "/")
	case strings.HasSuffix(text, "/"):
		return refuse("write %s for all keys below it", quote(text+"*"))
	default:
		s.segs = strings.Split(text, "/")
		s.last = s.segs[len(s.segs)-1]
		s.segs = s.segs[:len(s.segs)-1]
	}
	for i, seg := range s.segs {
		n, t, entity := findToken(seg)
		switch {
		case n == 0 && strings.ContainsAny(seg, "{}"):
			return refuse("%q is no token, want {entity_id}, %s, {sub}, {username}, {group} or {claim:NAME}", clip(seg), identityToken)
		case n > 0 && t.kind == noToken:
			return refuse("a token is a whole segment, with nothing beside it")
		case n > 0 && s.at >= 0:
			return refuse("at most one segment is a token")
		case n > 0:
			s.at, s.token, s.entity = i, t, entity
		}
	}
	if n, _, _ := findToken(s.last); n > 0 {
		return refuse("a token stands for a folder; write %s", quote(text+"/*"))
	}
	for i, seg := range append(slices.Clip(s.segs), s.last) {
		if i != s.at && (seg == "." || seg == ".." || strings.Contains(seg, "\x00")) {
			return refuse("there are no keys with %q in them", seg)
		}
	}
	return s, nil
}

// ParseStatement reads a statement:
//
//	guest can never write
//	guest can never write private/*
//	nobody can delete audit/*
//	authenticated can always get public/*
//	group:staff can write docs/*
//	only owner can read private/{entity_id}/*
//	only group:admin, owner can write protected/{entity_id}/*
//	others can never get private/{entity_id}/*
//
// The whole grammar is in StatementHelp. Fields may be in quotes, as in Parse. The
// error says what was expected, and is fs.ErrInvalid.
func ParseStatement(text string) (st Statement, err error) {
	defer func() {
		if err != nil {
			st, err = Statement{}, fmt.Errorf("statement %q: %w", clip(text), err)
		}
	}()
	if strings.ContainsAny(text, "\r\n") {
		return st, fmt.Errorf("a statement is one line: %w", fs.ErrInvalid)
	}
	f, err := split(spaceCommas(text))
	if err != nil {
		return st, fmt.Errorf("%w: %w", err, fs.ErrInvalid)
	}
	can := slices.Index(f, "can")
	if can < 0 {
		return st, fmt.Errorf(`there is no "can" in it%s, want something like "guest can never write private/*": %w`, instead(f), fs.ErrInvalid)
	}
	if err := st.parseWho(f[:can]); err != nil {
		return st, err
	}
	f = f[can+1:]
	if len(f) > 0 && f[0] == "not" {
		return st, fmt.Errorf(`write "can never" for "can not": %w`, fs.ErrInvalid)
	}
	if len(f) > 0 && (f[0] == "never" || f[0] == "always") {
		switch {
		case st.verb != always:
			return st, fmt.Errorf(`behind "only" and "nobody" stands "can" alone, without %q: %w`, f[0], fs.ErrInvalid)
		case f[0] == "never":
			st.verb = never
		}
		f = f[1:]
	}
	if len(f) == 0 {
		return st, fmt.Errorf("which actions? Want get, list, read, write, delete or versions, separated by commas: %w", fs.ErrInvalid)
	}
	// A space behind a comma is what one writes.
	for len(f) > 1 && strings.HasSuffix(f[0], ",") {
		f = append([]string{f[0] + f[1]}, f[2:]...)
	}
	if st.actions, err = ParseAction(f[0]); err != nil {
		return st, err
	}
	switch f = f[1:]; {
	case len(f) > 1:
		return st, fmt.Errorf("something stands behind the pattern %s; a pattern with spaces is written in quotes: %w", quote(f[0]), fs.ErrInvalid)
	case len(f) == 1 && f[0] == "":
		return st, fmt.Errorf("the pattern is empty; leave it out for all keys: %w", fs.ErrInvalid)
	case len(f) == 1:
		if st.pattern, err = parseScope(f[0]); err != nil {
			return st, err
		}
	default:
		st.pattern.at = -1
	}
	return st, st.check()
}

// instead returns the word to write for one that people use for "can".
func instead(f []string) string {
	for i, word := range f {
		can := "can"
		switch strings.ToLower(word) {
		case "cannot", "can't":
			can = "can never"
		case "may", "must", "might", "could", "should":
			if i+1 < len(f) && (f[i+1] == "never" || f[i+1] == "not") {
				word, can = word+" "+f[i+1], "can never"
			}
		case "can":
		default:
			continue
		}
		return fmt.Sprintf("; write %q for %q", can, word)
	}
	return ""
}

// spaceCommas puts a space between a quoted field and a comma behind it.
func spaceCommas(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		if text[i] == '"' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			if q, err := strconv.QuotedPrefix(text[i:]); err == nil {
				b.WriteString(q)
				if i += len(q); i < len(text) && text[i] == ',' {
					b.WriteByte(' ')
				}
				continue
			}
		}
		b.WriteByte(text[i])
		i++
	}
	return b.String()
}

// parseWho reads what stands before "can".
func (st *Statement) parseWho(f []string) error {
	st.verb = always
	if len(f) == 0 {
		return fmt.Errorf(`who? Want guest, authenticated, owner, others, group:NAME, function:NAME, anybody or nobody before "can": %w`, fs.ErrInvalid)
	}
	if f[0] == "nobody" && len(f) == 1 {
		*st = Statement{verb: only}
		return nil
	}
	text := strings.Join(f, " ")
	if f[0] == "only" {
		st.verb = only
		text = strings.Join(f[1:], " ")
	}
	for name := range strings.SplitSeq(text, ",") {
		p, err := parseParty(strings.Trim(name, " "))
		if err != nil {
			return err
		}
		if p.kind == anybody && st.verb == only {
			return fmt.Errorf(`"only anybody" is no restriction: %w`, fs.ErrInvalid)
		}
		if !slices.Contains(st.parties, p) {
			st.parties = append(st.parties, p)
		}
	}
	if len(st.parties) > 1 && st.verb != only {
		return fmt.Errorf(`several stand behind "only" alone; write one statement for each of them: %w`, fs.ErrInvalid)
	}
	return nil
}

func parseParty(name string) (party, error) {
	for kind, n := range partyNames {
		if name == n && !strings.HasSuffix(n, ":") {
			return party{kind: partyKind(kind)}, nil
		}
	}
	switch r, wrong := parseRole(name); {
	case wrong == "" && r.kind == member:
		return party{partyGroup, r.name}, nil
	case wrong == "" && r.kind == function:
		return party{partyFunction, r.name}, nil
	case wrong == "" && r.kind == owner:
		return party{kind: partyOwner}, nil
	case meant[strings.ToLower(name)] != "":
		return party{}, fmt.Errorf("nobody is called %q; write %s: %w", name, meant[strings.ToLower(name)], fs.ErrInvalid)
	case name == "":
		return party{}, fmt.Errorf("there is a name missing before %q: %w", "can", fs.ErrInvalid)
	case strings.HasPrefix(name, "group") || strings.HasPrefix(name, "function:"):
		return party{}, fmt.Errorf("%q: %s: %w", clip(name), wrong, fs.ErrInvalid)
	}
	return party{}, fmt.Errorf("nobody is called %q, want guest, authenticated, owner, others, group:NAME, function:NAME or anybody: %w", clip(name), fs.ErrInvalid)
}

// meant has the words of the grammar for what people write.
var meant = map[string]string{
	"guest": "guest", "guests": "guest", "visitors": "guest", "anonymous": "guest",
	"authenticated": "authenticated", "user": "authenticated", "users": "authenticated",
	"owner": "owner", "owners": "owner", "other": "others", "others": "others",
	"anybody": "anybody", "anyone": "anybody", "everybody": "anybody", "everyone": "anybody",
	"nobody": "nobody, with nothing beside it", "noone": "nobody", "no one": "nobody",
}

// check reports what does not go together.
func (st *Statement) check() error {
	for _, p := range st.parties {
		if (p.kind == partyOwner || p.kind == partyOthers) && st.pattern.at < 0 {
			return fmt.Errorf("%s of what? The pattern needs a token, as in private/{entity_id}/*: %w", p, fs.ErrInvalid)
		}
	}
	return nil
}

// String returns the statement as ParseStatement reads it.
func (st Statement) String() string {
	var names []string
	for _, p := range st.parties {
		names = append(names, p.String())
	}
	var words string
	switch {
	case st.actions == 0:
		return ""
	case st.verb == only && names == nil:
		words = "nobody can "
	case st.verb == only:
		for i, n := range names {
			if names[i] = quote(n); i < len(names)-1 {
				names[i] += ","
			}
		}
		words = "only " + strings.Join(names, " ") + " can "
	case st.verb == never:
		words = quote(names[0]) + " can never "
	default:
		words = quote(names[0]) + " can always "
	}
	words += st.actions.String()
	if st.pattern.text != "" {
		words += " " + quote(st.pattern.text)
	}
	return words
}
