package access

import (
	"fmt"
	"slices"
	"strings"
)

// notes returns why a statement may not say what its author thinks.
func (p *Policy) notes(st *Statement) []string {
	var notes []string
	roles := make(map[string]bool)
	below, about := false, st.pattern.text == "" || len(p.Rules()) == 0
	var more *Rule // gives a folder of a group to others than group:NAME
	for i := range p.Rules() {
		r := &p.rules[i]
		pat, _ := parsePattern(r.Path, false)
		below = below || st.pattern.one() && st.pattern.above(&pat)
		ro, wrong := parseRole(r.Who)
		if wrong == "" {
			roles[ro.String()] = true
		}
		if !st.pattern.meets(&pat, ro) {
			continue
		}
		about = true
		if more == nil && pat.own(ro) && pat.token.kind == group && r.Actions&st.actions != 0 {
			more = r
		}
	}
	if key := st.pattern.text; below {
		notes = append(notes, fmt.Sprintf("%s is one key; %s is all below it", quote(key), quote(key+"/*")))
	} else if !about {
		note := "no rule is about this path"
		if meant := p.resembling(&st.pattern); meant != "" {
			note += fmt.Sprintf("; did you mean %s?", quote(meant))
		}
		notes = append(notes, note)
	}
	for _, w := range st.parties {
		if (w.kind == partyGroup || w.kind == partyFunction) && !roles[w.String()] {
			notes = append(notes, fmt.Sprintf("no rule names %s", w))
		}
	}
	if st.verb == never && st.parties[0].kind == partyGroup {
		if r := p.givenToOthers(st); r != nil {
			more = r
		}
		if more != nil {
			who := "who are in another group too"
			if p.Groups() == Replace {
				who = "whose first group is another"
			}
			notes = append(notes, fmt.Sprintf("this is not about members of %s %s, of whom some may, by %s", st.parties[0], who, more.at()))
		}
	}
	if p.Lists() == Prefix && st.actions&List != 0 && st.verb != always && st.pattern.text != "" {
		notes = append(notes, "with lists: prefix, a list of a shorter prefix may show these names, too")
	}
	return notes
}

// givenToOthers returns a rule by which members of another group than that of the
// statement may do what it is about, or nil.
func (p *Policy) givenToOthers(st *Statement) *Rule {
	found := false
	grants := p.grants(st.actions, &st.pattern, func(r role) bool {
		if found || r.kind != member || r.name == st.parties[0].name {
			return false
		}
		found = true // one is enough
		return true
	})
	if len(grants) == 0 {
		return nil
	}
	return &grants[0].Rule
}

// limitedBy returns the rule that has the limits, for people.
func (p *Policy) limitedBy(l *Limits) string {
	i := slices.IndexFunc(p.rules, func(r Rule) bool { return r.Limits == l })
	return p.rules[i].at()
}

// meets reports whether a rule for r on the path is about some key of the scope, or
// would be if no longer path were there.
func (s *scope) meets(pat *pattern, r role) bool {
	segs := pat.segs
	if pat.at >= 0 && !pat.own(r) {
		segs = segs[:pat.at]
	}
	if s.one() && len(segs) > len(s.segs) {
		return false
	}
	for i := range min(len(segs), len(s.segs)) {
		switch {
		case i == pat.at && (i == s.at || validValue(s.segs[i])):
		case i == s.at || segs[i] != s.segs[i]:
			return false
		}
	}
	return true
}

// resembling returns the pattern that somebody may have meant who wrote one that no
// rule is about, or "".
func (p *Policy) resembling(s *scope) string {
	best, likeness := "", different
	for i := range p.rules {
		pat, _ := parsePattern(p.rules[i].Path, false)
		mine, end := s.segs, s.last
		if s.one() && len(pat.segs) > len(s.segs) {
			mine, end = append(slices.Clip(s.segs), s.last), ""
		}
		n := min(len(mine), len(pat.segs))
		segs := slices.Clone(pat.segs[:n])
		if pat.at >= 0 && pat.at < n {
			segs[pat.at] = mine[pat.at]
		}
		if s.at >= 0 && s.at < n && s.at != pat.at {
			continue
		}
		if l := likenessOf(join(segs), join(mine[:n])); l > likeness {
			if end == "" {
				end = "*"
			}
			best, likeness = join(append(segs, mine[n:]...))+end, l
		}
	}
	return best
}

// likeness is how much two texts are like each other.
type likeness int

const (
	different likeness = iota
	oneEdit
	onlyCase
)

// likenessOf compares two texts: whether they differ by case only, or by one
// character that is other, missing, in excess, or swapped with the next.
func likenessOf(a, b string) likeness {
	if a == b {
		return different // there is nothing to mend
	}
	if strings.EqualFold(a, b) {
		return onlyCase
	}
	x, y := []rune(a), []rune(b)
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	if len(x) <= 1 && len(y) <= 1 || len(x) == 2 && len(y) == 2 && x[0] == y[1] && x[1] == y[0] {
		return oneEdit
	}
	return different
}

// above reports whether the path of a rule is below the one key that the scope is.
func (s *scope) above(pat *pattern) bool {
	if len(pat.segs) <= len(s.segs) {
		return false
	}
	for i, seg := range append(slices.Clip(s.segs), s.last) {
		switch {
		case i == pat.at && (i == s.at || validValue(seg)):
		case seg != pat.segs[i] || i == s.at:
			return false
		}
	}
	return true
}
