package access

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// Proof is whether a statement holds.
type Proof struct {
	Statement Statement
	Holds     bool
	// Cases is how many classes of requests were looked at. They are all there
	// are if the statement holds; else the last of them is the counterexample.
	Cases          int
	Counterexample *Case
	// Note is for people: why the statement may not say what its author thinks, on
	// one or a few lines, or "".
	Note string
}

// Case is a request, and the answer to it.
type Case struct {
	Subject  Subject
	Who      string // the subject, for people
	Action   Action
	Key      string
	Decision Decision
}

// String returns the case as a sentence.
func (c *Case) String() string {
	if c.Decision.Allowed {
		return fmt.Sprintf("%s may %s %s, by %s", c.Who, c.Action, quote(c.Key), c.Decision.Rule.at())
	}
	s := fmt.Sprintf("%s may not %s %s", c.Who, c.Action, quote(c.Key))
	if c.Decision.Nearest != nil {
		s += fmt.Sprintf("; the nearest rule that gives it is %s", c.Decision.Nearest.at())
	}
	return s
}

// Prove decides whether a statement is true of the policy, by going through all
// classes of requests that it is about. What it says of a list is about seeing
// the key, as in Decide; with Lists set to Prefix, about listing with the key as prefix.
func (p *Policy) Prove(st Statement) Proof {
	proof := Proof{Statement: st, Holds: true}
	if st.actions == 0 {
		return proof
	}
	notes := p.notes(&st)
	claim, end := st.pattern.tree()
	texts := slices.Concat(st.pattern.segs, []string{st.pattern.last})
	var extra []string
	for _, w := range st.parties {
		if w.kind == partyGroup {
			extra = append(extra, w.name)
		}
		texts = append(texts, w.name)
	}
	v := prover{st: st, end: end, names: newFresh(texts, p), mode: p.Groups(), proof: &proof, shared: make(map[*rights][]string)}
	v.found = func(at *position, c class, a Action) {
		key := at.key(v.last())
		s := at.subject(c, v.names)
		proof.Holds = false
		proof.Counterexample = &Case{s, s.text(), a, key, p.Decide(&s, a, key)}
	}
	v.e = explorer{visit: v.visit, names: v.names, shy: 1, extra: extra}
	v.e.explore(startOf(p.rootOf(), claim))
	if proof.Holds && v.limits != nil {
		notes = append(notes, fmt.Sprintf("not everything may be written: there are the limits of %s", p.limitedBy(v.limits)))
	}
	proof.Note = strings.Join(notes, "\n")
	return proof
}

// tree returns a tree with the pattern as its only path, and the node at its end.
func (s *scope) tree() (root, end *node) {
	root = new(node)
	end = root
	if s.at >= 0 {
		end = root.walk(s.segs[:s.at]).token(s.token).walk(s.segs[s.at+1:])
	} else {
		end = root.walk(s.segs)
	}
	end.rights = new(rights)
	root.finish(0, nil, false)
	return root, end
}

// prover goes through the classes that a statement is about. The first track of a
// position is in the policy, the second in the pattern.
type prover struct {
	st     Statement
	end    *node // of the pattern
	names  *fresh
	mode   GroupMode
	proof  *Proof
	shared map[*rights][]string // groups of shared paths that are worth a try
	found  func(*position, class, Action)
	limits *Limits // of a write that the statement claims, nil if there were none
	e      explorer
}

// last returns what stands behind the segments of keys.
func (v *prover) last() string {
	if v.st.pattern.one() {
		return v.st.pattern.last
	}
	return "file"
}

// covers reports whether the keys of p are in the pattern, and alive whether those
// below may be.
func (v *prover) covers(p *position) (covered, alive bool) {
	s := &p.tracks[1]
	if v.st.pattern.one() {
		at := s.n == v.end || len(s.own) > 0 && s.own[0].n == v.end
		return at, !at && (s.n != nil || len(s.own) > 0 && s.own[0].n != nil)
	}
	covered = s.shared != nil || len(s.own) > 0 && s.own[0].r != nil
	return covered, covered || s.n != nil || len(s.own) > 0 && s.own[0].n != nil
}

func (v *prover) visit(p *position) bool {
	covered, alive := v.covers(p)
	if !covered {
		return alive
	}
	if shared, own := p.same(); shared && own {
		return alive // and so it was covered above
	}
	for _, name := range v.functions(p) {
		v.try(p, class{kind: function, name: name})
	}
	for set := range p.factSets(guest) {
		v.try(p, class{kind: guest, own: set})
	}
	for set := range p.factSets(authenticated) {
		v.users(p, set)
	}
	return alive && !v.e.done
}

// functions returns the names of functions to try.
func (v *prover) functions(p *position) []string {
	names := slices.Collect(p.names(function, false))
	for _, w := range v.st.parties {
		if w.kind == partyFunction && !slices.Contains(names, w.name) {
			names = append(names, w.name)
		}
	}
	return names
}

// users tries the users to whom a set of facts applies.
func (v *prover) users(p *position, set uint32) {
	c := class{kind: authenticated, own: set}
	if v.st.verb != only && v.st.parties[0].kind == partyGroup {
		c.first = v.st.parties[0].name
		v.try(p, c)
		return
	}
	v.try(p, c)
	groups := append(slices.Collect(p.names(member, true)), v.worth(p.tracks[0].shared)...)
	if v.mode == Union {
		for _, g := range groups {
			c.group = g
			v.try(p, c)
		}
		return
	}
	for i, f := range p.facts {
		if f.token.kind == group && set&(1<<i) != 0 {
			groups = append(groups, f.value)
		}
	}
	for _, g := range append(groups, v.names.group) {
		c.first = g
		v.try(p, c)
	}
}

// worth returns groups with rules on a shared path that could be a
// counterexample: for each action one that gives it and is not excepted.
func (v *prover) worth(rs *rights) []string {
	if rs == nil || v.st.verb == always {
		return nil
	}
	list, ok := v.shared[rs]
	if ok {
		return list
	}
	left := v.st.actions
	for _, r := range rs.all {
		if r.role.kind == member && r.actions&left != 0 && !slices.Contains(v.st.parties, party{partyGroup, r.role.name}) {
			list = append(list, r.role.name)
			left &^= r.actions
		}
	}
	v.shared[rs] = list
	return list
}

// try looks whether the statement is true of one class.
func (v *prover) try(p *position, c class) {
	if v.e.done {
		return
	}
	groups := p.groups(c)
	if !p.consistent(c, groups) || !v.concerns(p, c, groups) {
		return
	}
	s := c.bare(groups)
	f := p.finding(0, c.own)
	wrong := v.st.actions & f.gives(&s, v.mode)
	if v.st.verb == always {
		wrong ^= v.st.actions
	}
	if wrong == 0 {
		if v.st.verb == always && v.st.actions&Write != 0 && v.limits == nil {
			b := new(bounds)
			f.giveAll(&tally{missing: Write, bounds: b}, &s, v.mode)
			if !b.free && len(b.list) > 0 {
				v.limits = b.list[0]
			}
		}
		v.proof.Cases += bits.OnesCount8(uint8(v.st.actions))
		return
	}
	v.proof.Cases++
	v.e.done = true
	v.found(p, c, wrong&-wrong)
}

// concerns reports whether the statement says something about a class.
func (v *prover) concerns(p *position, c class, groups []string) bool {
	if v.st.verb != only {
		return v.is(p, c, groups, v.st.parties[0])
	}
	return !slices.ContainsFunc(v.st.parties, func(w party) bool { return v.is(p, c, groups, w) })
}

// is reports whether the subjects of a class are who.
func (v *prover) is(p *position, c class, groups []string, who party) bool {
	switch who.kind {
	case anybody:
		return c.kind != function || v.st.verb == never
	case partyGuest:
		return c.kind == guest
	case partyAuthenticated:
		return c.kind == authenticated
	case partyGroup:
		return slices.Contains(groups, who.name) && (len(groups) == 1 || v.st.verb == only)
	case partyFunction:
		return c.kind == function && c.name == who.name
	}
	// The fact that the pattern is about is known where it covers keys.
	s := &p.tracks[1]
	i := slices.Index(p.facts, fact{p.segs[s.at], v.st.pattern.token})
	mine := c.own&(1<<i) != 0
	return c.kind == authenticated && mine == (who.kind == partyOwner)
}

// text returns who s is, for people.
func (s *Subject) text() string {
	switch {
	case s.Function != "":
		return fmt.Sprintf("the function %q", s.Function)
	case !s.Authenticated && s.Identity == "":
		return "a guest"
	case !s.Authenticated:
		return fmt.Sprintf("the guest with identity id %q", s.Identity)
	}
	var with []string
	add := func(what, value string) {
		if value != "" {
			with = append(with, fmt.Sprintf("%s %q", what, value))
		}
	}
	add("identity id", s.Identity)
	add("sub", s.Sub)
	for _, name := range slices.Sorted(maps.Keys(s.Claims)) {
		add(name, s.Claims[name])
	}
	text := "a signed-in user"
	if s.Username != "" {
		text = fmt.Sprintf("the user %q", s.Username)
	}
	if len(with) > 0 {
		text += " with " + strings.Join(with, ", ")
	}
	switch len(s.Groups) {
	case 0:
		return text
	case 1:
		return text + fmt.Sprintf(" in group %q", s.Groups[0])
	}
	return text + fmt.Sprintf(" in groups %q", s.Groups)
}
