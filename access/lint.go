package access

import (
	"fmt"
	"slices"
)

// The reasons for a warning of Lint.
const (
	WarnGuestsOnly   Reason = "guests only"        // guests may, but signed-in users may not
	WarnPublicWrite  Reason = "public write"       // guests may change what others see
	WarnRedundant    Reason = "redundant"          // no answer depends on the rule
	WarnNothingTaken Reason = "takes nothing back" // the same, of a path without rules
	WarnGroupNothing Reason = "nothing for group"  // the same, of a rule for a group whose members have it as users
	WarnNoRules      Reason = "no rules"           // nobody but operators may do anything
)

// Lint returns what may not mean what the author of the rules thinks, beyond what
// Warnings has, in the order of the rules. A rule is redundant if and only if Diff
// finds nothing when it is taken out. That there are no rules is a warning, too.
func (p *Policy) Lint() []Warning {
	if p == nil || len(p.rules) == 0 {
		return []Warning{{Reason: WarnNoRules, Text: "there are no rules, so nobody but operators may do anything"}}
	}
	l := newLinter(p)
	var warnings []Warning
	for i := range p.rules {
		r, s := &p.rules[i], &l.seats[i]
		warn := func(reason Reason, format string, args ...any) {
			warnings = append(warnings, Problem{r.Pos, r.Path, r.Who, reason, fmt.Sprintf(format, args...)})
		}
		if s.role.kind == guest {
			if a := r.Actions & (Write | Delete | Versions); a != 0 && s.edge < 0 {
				warn(WarnPublicWrite, "everybody on the internet may %s here, without signing in", a)
			}
			if a := s.guestsOnly(); a != 0 {
				warn(WarnGuestsOnly, "guests may %s here, but users who sign in may not; add a rule for authenticated", a)
			}
		}
		if !l.redundant(i) {
			continue
		}
		switch {
		case s.role.kind == nobody:
			warn(WarnNothingTaken, "a path without a rule takes back what the path above it gave, and here that is nothing")
		case s.role.kind == member && l.has(s, r):
			warn(WarnGroupNothing, "members of the group have this already, as everybody who is signed in")
		default:
			warn(WarnRedundant, "without this rule every answer would be the same")
		}
	}
	return warnings
}

// seat is where a rule is in the tree.
type seat struct {
	role   role
	segs   []string // of the path up to the token
	shared []*node  // from the root on, one more than segs
	edge   int      // index of the token in the last of shared, -1 if there is none
	token  token
	behind []string // the segments behind the token
	own    []*node  // from that of the token on, one more than behind
	rights *rights
}

// linter knows where the rules of a policy are.
type linter struct {
	p     *Policy
	seats []seat
	rules map[*rights]int // how many there are on each path
	d     *differ
}

func newLinter(p *Policy) *linter {
	l := &linter{p: p, seats: make([]seat, len(p.rules)), rules: make(map[*rights]int), d: newDiffer(p, p)}
	for i := range p.rules {
		s := &l.seats[i]
		s.find(p.root, &p.rules[i])
		l.rules[s.rights]++
	}
	return l
}

// find fills in s for a rule of the policy whose tree is given.
func (s *seat) find(n *node, r *Rule) {
	pat, _ := parsePattern(r.Path, false)
	if r.Who != "" {
		s.role, _ = parseRole(r.Who)
	}
	s.segs, s.edge = pat.segs, -1
	if pat.at >= 0 {
		s.segs = pat.segs[:pat.at]
	}
	s.shared = append(s.shared, n)
	for _, name := range s.segs {
		n = n.child(name)
		s.shared = append(s.shared, n)
	}
	if pat.own(s.role) {
		s.token, s.behind = pat.token, pat.segs[pat.at+1:]
		s.edge = slices.IndexFunc(n.tokens, func(e edge) bool { return e.token == pat.token })
		n = n.tokens[s.edge].to
		s.own = append(s.own, n)
		for _, name := range s.behind {
			n = n.child(name)
			s.own = append(s.own, n)
		}
	}
	s.rights = n.rights
}

// nearest returns the rights of the longest shared path among the first n nodes.
func (s *seat) nearest(n int) *rights {
	for n--; n >= 0; n-- {
		if rs := s.shared[n].rights; rs != nil {
			return rs
		}
	}
	return nil
}

// guestsOnly returns what a rule for guests gives that users do not have there.
func (s *seat) guestsOnly() Action {
	f := finding{shared: s.nearest(len(s.shared))}
	if s.edge >= 0 {
		f.own[0], f.n = s.rights, 1
	}
	return s.rights.guest.actions &^ f.gives(&Subject{Authenticated: true}, Union)
}

// has reports whether users have what the rule gives to a group, by the same path.
func (l *linter) has(s *seat, r *Rule) bool {
	var f finding
	if s.edge >= 0 {
		f.own[0], f.n = s.rights, 1
	} else {
		f.shared = s.rights
	}
	return r.Actions&^f.gives(&Subject{Authenticated: true}, Union) == 0
}

// redundant reports whether every answer would be the same without rule i. It
// compares the policy with one that lacks the rule, where the two differ.
func (l *linter) redundant(i int) bool {
	s := &l.seats[i]
	alone := l.rules[s.rights] == 1
	top := l.top(s, alone)
	l.d.only = s.role
	if alone && s.edge < 0 || top > 0 {
		l.d.only = role{} // what the path took from others counts too
	}
	same := true
	l.d.found = func(*position, class, masks) bool {
		same = false
		return false
	}
	start := l.without(i, top, alone)
	if !alone && s.edge < 0 {
		// Other rights on the path are added to these everywhere below, so what is
		// the same here is the same there.
		l.d.look(start)
		return same
	}
	l.d.run(start)
	return same
}

// without returns the highest position at which the policy differs from the one
// without rule i. The second track is that of the other policy.
func (l *linter) without(i, top int, alone bool) *position {
	s := &l.seats[i]
	if top > 0 {
		// The segments from top on are in no other rule. Without this one the last
		// of them may stand for a token.
		above := track{n: s.shared[top-1], shared: s.nearest(top), at: -1}
		with := track{n: s.shared[top], shared: s.nearest(top + 1), at: -1}
		p := &position{segs: s.segs[:top], tracks: []track{with, above.leave(s.segs[top-1], top-1)}}
		p.findFacts()
		return p
	}
	n := s.shared[len(s.shared)-1]
	if s.edge < 0 {
		rest := s.nearest(len(s.shared) - 1)
		if !alone {
			rest = s.rights.without(s.role)
		}
		return &position{segs: s.segs, tracks: []track{{n: n, shared: s.rights, at: -1}, {n: n, shared: rest, at: -1}}}
	}
	value := l.d.names.segment(n.tokens)
	above := track{n: n, shared: s.nearest(len(s.shared)), at: -1}
	with := above.leave(value, len(s.segs))
	p := &position{segs: append(slices.Clip(s.segs), value)}
	for _, name := range s.behind {
		with = with.follow(name)
		p.segs = append(p.segs, name)
	}
	rest := with
	rest.own = slices.Clone(with.own)
	b := &rest.own[s.edge]
	b.n = s.own[len(s.own)-1].without(s.role, alone, s.rights.above)
	if b.r = b.n.rights; b.r == nil {
		b.r = s.rights.above
	}
	p.tracks = []track{with, rest}
	p.findFacts()
	return p
}

// top returns how many segments of the path are left in the tree without the
// rule, plus one, or 0 if all are.
func (l *linter) top(s *seat, alone bool) int {
	if !alone {
		return 0
	}
	last := len(s.shared) - 1
	if s.edge >= 0 {
		for i, n := range s.own {
			if len(n.names) > min(len(s.own)-1-i, 1) || n.rights != nil && n.rights != s.rights {
				return 0
			}
		}
		if len(s.shared[last].tokens) > 1 || s.shared[last].rights != nil || len(s.shared[last].names) > 0 {
			return 0
		}
	} else if len(s.shared[last].tokens) > 0 || len(s.shared[last].names) > 0 {
		return 0
	}
	for last > 1 {
		n := s.shared[last-1]
		if len(n.names) > 1 || len(n.tokens) > 0 || n.rights != nil {
			break
		}
		last--
	}
	return last
}

// without returns the rights without those of a role; of a group or a function, it
// is for no other group or function then.
func (rs *rights) without(r role) *rights {
	rest := *rs
	switch r.kind {
	case guest:
		rest.guest = nil
	case authenticated:
		rest.authenticated = nil
	case owner:
		rest.owner = nil
	case member:
		rest.groups = nil
	case function:
		rest.functions = nil
	}
	return &rest
}

// without returns a tree of own paths without the rights of a role at n, or
// without any there if they are alone.
func (n *node) without(r role, alone bool, above *rights) *node {
	if alone {
		return n.copy(nil, above)
	}
	return n.copy(n.rights.without(r), above)
}

// copy returns a tree of own paths with other rights at n.
func (n *node) copy(rs, above *rights) *node {
	c := &node{names: n.names, rights: rs}
	if rs != nil {
		rs.above = above
		above = rs
	}
	next := func(to *node) *node {
		if to.rights == nil {
			return to.copy(nil, above)
		}
		rs := *to.rights
		return to.copy(&rs, above)
	}
	for _, ch := range n.few {
		c.few = append(c.few, child{ch.name, next(ch.to)})
	}
	if n.children != nil {
		c.children = make(map[string]*node, len(n.children))
		for name, to := range n.children {
			c.children[name] = next(to)
		}
	}
	return c
}
