package access

import (
	"strconv"
	"strings"
)

// Rule gives somebody actions on a path.
//
// A rule with neither Who nor Actions gives nothing to anybody: its path takes
// back what the path above it gave.
type Rule struct {
	Path    string // as in "public/*"
	Who     string // guest, authenticated, owner, entityidentity, group:NAME, groupsNAME or function:NAME
	Actions Action
	Limits  *Limits // of what may be written; nil is none
	Pos     string  // where the rule stands, for messages: "cubby.yaml:12"
}

// String returns the rule as Parse reads it.
func (r Rule) String() string {
	s := quote(r.Path)
	if r.Who == "" && r.Actions == 0 {
		return s
	}
	s += "  " + quote(r.Who) + " " + r.Actions.String()
	if l := r.Limits.String(); l != "" {
		s += " " + l
	}
	return s
}

// quote returns a field of the text form, in quotes if it needs them.
func quote(s string) string {
	if s == "" || s[0] == '#' || strings.ContainsAny(s, " \t\r\n\"\ufeff") {
		return strconv.Quote(s)
	}
	return s
}

// role is whom a rule is for.
type role struct {
	kind roleKind
	name string // of the group or function
}

type roleKind uint8

const (
	nobody roleKind = iota
	guest
	authenticated
	owner
	member
	function
)

func (r role) String() string {
	switch r.kind {
	case guest:
		return "guest"
	case authenticated:
		return "authenticated"
	case owner:
		return "owner"
	case member:
		return "group:" + r.name
	case function:
		return "function:" + r.name
	}
	return ""
}

// parseRole returns the role that who names, or what is wrong with it.
func parseRole(who string) (r role, wrong string) {
	switch who {
	case "guest":
		return role{kind: guest}, ""
	case "authenticated":
		return role{kind: authenticated}, ""
	case "owner", "entityidentity":
		return role{kind: owner}, ""
	}
	r.kind = member
	name, ok := strings.CutPrefix(who, "group:")
	if !ok {
		name, ok = strings.CutPrefix(who, "groups")
	}
	if !ok {
		name, ok = strings.CutPrefix(who, "function:")
		r.kind = function
	}
	switch {
	case !ok:
		return role{}, "nobody is called that, want guest, authenticated, owner, group:NAME or function:NAME"
	case strings.HasPrefix(name, ":"):
		return role{}, "write group:NAME or groupsNAME"
	case !validValue(name):
		return role{}, "this can be no name: it must be in normal form C, at most 128 bytes, without any of /*?${} and control characters"
	}
	r.name = name
	return r, ""
}
