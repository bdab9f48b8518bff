package access

import (
	"fmt"
	"slices"
	"strings"
)

// Explain returns the answer of Ask in words, on one or a few lines. Of what is
// allowed it tells the rule, its position and the role that it is for, the limits on
// what may be written, and what a list of a prefix shows. Of what is denied it tells
// the path that took back what a path above it gave, the nearest rule that would have
// allowed it and for whom, and which value of the subject is missing, matches nothing
// or is another. It names rules and their positions, and so is for those who may see
// the rules. No identity id is in it that is not in the key, but for the folders
// that an allowed list shows.
func (p *Policy) Explain(s *Subject, a Action, key string) string {
	what := fmt.Sprintf("%s on %q", a, key)
	if p == nil || p.root == nil || s == nil || a == 0 {
		return what + " is denied"
	}
	d, shown := p.ask(s, a, key)
	if d.Allowed {
		return p.explainAllowed(s, a, key, what, d, shown)
	}
	var f finding
	f.find(p.root, s, key)
	_, missing := f.decide(s, a, p.groups)
	if shown != nil {
		missing &^= List
	}
	lines := []string{what + " is denied"}
	if missing != a {
		lines = append(lines, fmt.Sprintf("what is missing is %s", missing))
	}
	if above, path := p.takenBack(s, missing, key); above != nil {
		lines = append(lines, fmt.Sprintf("%s would give it, but %q is nearer and does not", above.at(), path))
	}
	nearest := p.nearest(missing, key)
	if nearest != nil {
		lines = append(lines, "the nearest rule that gives what is missing is "+nearest.at(), p.notFor(s, nearest, key))
	} else {
		lines = append(lines, "no single rule gives what is missing to anybody here")
	}
	lines = append(lines, p.values(s, missing, key, nearest)...)
	return strings.Join(lines, "\n")
}

// explainAllowed explains what is allowed. If it has a list of a prefix, that shows
// the ranges.
func (p *Policy) explainAllowed(s *Subject, a Action, key, what string, d Decision, shown []KeyRange) string {
	var lines []string
	if a&^d.Rule.Actions == 0 && (a == List || p.Decide(s, a, key).Allowed) {
		lines = append(lines, fmt.Sprintf("%s is allowed to %s by %s", what, d.Role, d.Rule.at()))
	} else {
		lines = append(lines, what+" is allowed")
		for bit := Get; bit <= Versions; bit <<= 1 {
			if a&bit != 0 {
				d := p.Ask(s, bit, key)
				lines = append(lines, fmt.Sprintf("%s is allowed to %s by %s", bit, d.Role, d.Rule.at()))
			}
		}
	}
	if shown != nil {
		lines = append(lines, shows(key, shown))
	}
	if list := p.Bounds(s, key); a&Write != 0 && list != nil {
		lines = append(lines, "what is written is limited: "+limitsText(list))
	}
	return strings.Join(lines, "\n")
}

// at returns the rule with its position.
func (r *Rule) at() string {
	s := r.String()
	if r.Pos == "" {
		return "`" + s + "`"
	}
	return "`" + s + "` (" + r.Pos + ")"
}

// short returns who s is, in a few words and without an identity id.
func (s *Subject) short() string {
	switch {
	case s.Function != "":
		return fmt.Sprintf("function %q", s.Function)
	case !s.Authenticated:
		return "a guest"
	case s.Username != "":
		return fmt.Sprintf("user %q", s.Username)
	case s.Sub != "":
		return fmt.Sprintf("user %q", s.Sub)
	}
	return "a user"
}

// takenBack returns the rule on a shared path that would allow a if there were no
// longer path, and that longer path.
func (p *Policy) takenBack(s *Subject, a Action, key string) (*Rule, string) {
	var rule *Rule
	var path string
	n := p.root
	for depth := 0; n != nil; {
		if n.rights != nil {
			f := finding{shared: n.rights}
			if d, _ := f.decide(s, a, p.groups); d.Allowed {
				rule = d.Rule
			}
			path = key[:depth] + "*"
		}
		i := strings.IndexByte(key[depth:], '/')
		if i < 0 {
			break
		}
		n = n.child(key[depth : depth+i])
		depth += i + 1
	}
	return rule, path
}

// notFor returns for whom a rule is that covers the key, and why that is not s.
func (p *Policy) notFor(s *Subject, rule *Rule, key string) string {
	pat, _ := parsePattern(rule.Path, false)
	r, _ := parseRole(rule.Who)
	var whom string
	switch r.kind {
	case guest:
		whom = "it is for guests"
	case authenticated, owner:
		if whom = "it is for users who are signed in"; r.kind == owner && pat.own(r) {
			whom = "it is for the owner"
		}
	case member:
		whom = fmt.Sprintf("it is for members of group %q", r.name)
	case function:
		whom = fmt.Sprintf("it is for function %q", r.name)
	}
	var why string
	if pat.own(r) {
		seg := strings.Split(key, "/")[pat.at]
		whom += fmt.Sprintf(" with %s %q", pat.token.short(), seg)
		why = s.lacks(pat.token, seg)
	}
	user := s.Function == "" && s.Authenticated
	switch {
	case s.Function != "" || r.kind == function || user == (r.kind == guest):
		why = "this is " + s.short()
	case user && p.groups == Replace && len(s.Groups) > 0 && (r.kind != member || slices.Contains(s.Groups[1:], r.name)):
		why = fmt.Sprintf("with groups: replace only the first group counts, which is %q", s.Groups[0])
	case r.kind == member && len(s.Groups) == 0:
		why = s.short() + " is in no group"
	case r.kind == member && !slices.Contains(s.Groups, r.name):
		why = fmt.Sprintf("the groups of %s are %q", s.short(), s.Groups)
	}
	if why == "" {
		return whom
	}
	return whom + ", and " + why
}

// values returns what there is to say of the values of s: that the one in the key is
// not among them, for each own path that would give all of a to a role of s but for
// that, and that one is a path of its own. The rule given was explained already.
func (p *Policy) values(s *Subject, a Action, key string, known *Rule) []string {
	var lines []string
	n, rest := p.root, key
	for {
		seg, after, ok := strings.Cut(rest, "/")
		if !ok {
			return lines
		}
		next := n.child(seg)
		for i := range n.tokens {
			e := &n.tokens[i]
			own := e.to.deepest(after)
			if next != nil {
				if own != nil && s.Function == "" && s.has(e.token, seg) && validValue(seg) && s.would(own, a, p.groups) != nil {
					lines = append(lines, fmt.Sprintf("%q is a path of its own there, and so is nobody's %s", seg, e.token.short()))
				}
				continue
			}
			why := s.lacks(e.token, seg)
			if own == nil || why == "" || !validValue(seg) {
				continue
			}
			if r := s.would(own, a, p.groups); r != nil && r != known {
				lines = append(lines, fmt.Sprintf("%s would give it, but %s", r.at(), why))
			}
		}
		if next == nil {
			return lines
		}
		n, rest = next, after
	}
}

// would returns the rule that would allow a to s if the rights on an own path
// counted, or nil.
func (s *Subject) would(rs *rights, a Action, mode GroupMode) *Rule {
	f := finding{n: 1}
	f.own[0] = rs
	d, _ := f.decide(s, a, mode)
	return d.Rule
}

// lacks returns why the value is not what the token stands for, "" if it is.
func (s *Subject) lacks(t token, value string) string {
	if !validValue(value) {
		return fmt.Sprintf("%q can be nobody's %s", value, t.short())
	}
	if s.Function == "" && s.has(t, value) {
		return ""
	}
	who := s.short()
	if s.Function != "" || !s.Authenticated && t.kind != identityID {
		return fmt.Sprintf("%s has no %s", who, t.short())
	}
	var have string
	switch t.kind {
	case identityID:
		have = s.Identity
	case sub:
		have = s.Sub
	case username:
		have = s.Username
	case claim:
		have = s.Claims[t.claim]
	case group:
		return fmt.Sprintf("%s is not a member of group %q", who, value)
	}
	switch {
	case have == "":
		return fmt.Sprintf("%s has no %s", who, t.short())
	case !validValue(have):
		return fmt.Sprintf("the %s of %s cannot stand in a key", t.short(), who)
	}
	return fmt.Sprintf("the %s of %s is another", t.short(), who)
}
