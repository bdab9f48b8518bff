package access

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Grant is what one rule gives to one role: everything below Path but for what
// is in Except. What a longer path leaves of it is a grant of its own.
type Grant struct {
	Who     string // the role: guest, authenticated, owner, group:NAME or function:NAME
	Path    string // as in a rule, or a single key
	Actions Action // of those that were asked about
	// Own says that a key is covered only where the subject's own value stands in
	// the place of the token. If Path has a name there, it is that value.
	Own bool
	// Except has longer paths that do not give the same, at most maxExcept of them,
	// and Excepted how many there are.
	Except   []string
	Excepted int
	Rule     Rule // that decides
	// Alike is how many more grants there are that differ only in one segment of the
	// path or the name of the group. See Summary.
	Alike int
}

// maxExcept is how many exceptions of a grant are named.
const maxExcept = 8

// String returns the grant as one line.
func (g Grant) String() string {
	s := fmt.Sprintf("%s may %s %s", g.Who, g.Actions, quote(g.Path))
	if g.Own {
		s += " where it is their own"
	}
	if g.Excepted > 0 {
		s += " except " + strings.Join(g.Except, ", ")
		if more := g.Excepted - len(g.Except); more > 0 {
			s += fmt.Sprintf(" and %d more", more)
		}
	}
	s += ", by " + g.Rule.at()
	if g.Alike > 0 {
		s += fmt.Sprintf(", and %d more alike", g.Alike)
	}
	return s
}

// WhoCan returns who may do any of a with keys in a pattern, role by role: guest,
// authenticated, owner, groups and functions. The pattern is as in a statement;
// "" is all keys. What a role has in this way its members have, besides what
// their other roles give; if Groups is Replace, a member of groups has no other.
// The error is fs.ErrInvalid.
func (p *Policy) WhoCan(a Action, pattern string) ([]Grant, error) {
	if a == 0 || a&^allActions != 0 {
		return nil, fmt.Errorf("unknown action %s: %w", a, fs.ErrInvalid)
	}
	s, err := parseScope(pattern)
	if err != nil {
		return nil, err
	}
	list := p.grants(a, &s, func(role) bool { return true })
	slices.SortStableFunc(list, func(x, y Grant) int {
		return cmp.Or(compareWho(x.Who, y.Who), strings.Compare(x.Path, y.Path))
	})
	return list, nil
}

// WhatCan returns what somebody may do, path by path. Who is a role as in a rule.
// For a group it has what members have as users, too, unless Groups is Replace;
// for authenticated, what users have as owners. The error is fs.ErrInvalid.
func (p *Policy) WhatCan(who string) ([]Grant, error) {
	r, wrong := parseRole(who)
	if wrong != "" {
		return nil, fmt.Errorf("%q: %s: %w", who, wrong, fs.ErrInvalid)
	}
	s, _ := parseScope("")
	list := p.grants(allActions, &s, func(q role) bool {
		switch {
		case q == r:
			return true
		case r.kind == member && p.Groups() == Replace:
			return false
		case r.kind == member || r.kind == authenticated:
			return q.kind == authenticated || q.kind == owner
		}
		return false
	})
	slices.SortStableFunc(list, func(x, y Grant) int {
		return cmp.Or(strings.Compare(x.Path, y.Path), compareWho(x.Who, y.Who))
	})
	return list, nil
}

// compareWho puts roles in the order in which they are explained.
func compareWho(a, b string) int {
	rank := func(who string) int {
		r, _ := parseRole(who)
		return slices.Index([]roleKind{guest, authenticated, owner, member, function}, r.kind)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

// grants returns all grants of some actions to some roles in a scope.
func (p *Policy) grants(a Action, s *scope, roles func(role) bool) []Grant {
	g := &gatherer{actions: a, scope: s, roles: roles, holes: make(map[*node]*holes)}
	g.shared(p.rootOf(), nil, 0)
	return g.list
}

// gatherer collects grants.
type gatherer struct {
	actions Action
	scope   *scope
	roles   func(role) bool
	holes   map[*node]*holes
	list    []Grant
}

// shared follows the scope to its end, and gathers there.
func (g *gatherer) shared(n *node, above *rights, depth int) {
	if n.rights != nil {
		above = n.rights
	}
	if depth == len(g.scope.segs) {
		g.inherit(n, above)
		if !g.scope.one() {
			g.spread(n, g.scope.segs, above)
		}
		return
	}
	name := g.scope.segs[depth]
	isToken := depth == g.scope.at
	if next := n.child(name); next != nil && !isToken {
		g.shared(next, above, depth+1)
		return
	}
	g.inherit(nil, above)
	if !isToken && !validValue(name) {
		return
	}
	for _, e := range n.tokens {
		to, rs := e.to, e.to.rights
		for _, seg := range g.scope.segs[depth+1:] {
			if to = to.child(seg); to == nil {
				break
			}
			if to.rights != nil {
				rs = to.rights
			}
		}
		g.inheritOwn(to, rs, e.token, depth)
		if to != nil && !g.scope.one() {
			segs := slices.Clone(g.scope.segs)
			if isToken {
				segs[depth] = e.token.text()
			}
			g.spreadOwn(to, segs)
		}
	}
}

// inherit gathers what the rights give in the whole scope, at whose end n is if
// there is a node.
func (g *gatherer) inherit(n *node, rs *rights) {
	if rs == nil {
		return
	}
	for _, r := range rs.all {
		g.add(r, g.scope.segs, g.scope.last, n, false)
	}
}

// spread gathers what is given by the paths below n, which is at segs, but not at n.
func (g *gatherer) spread(n *node, segs []string, above *rights) {
	for _, name := range n.names {
		c, below := n.child(name), append(slices.Clip(segs), name)
		next := above
		if c.rights != nil {
			next = c.rights
			for _, r := range c.rights.all {
				if above.gives(r.role)&g.actions == r.actions&g.actions {
					continue // it goes on from above
				}
				g.add(r, below, "", c, false)
			}
		}
		g.spread(c, below, next)
	}
	for _, e := range n.tokens {
		below := append(slices.Clip(segs), e.token.text())
		g.inheritOwnAt(e.to, below)
		g.spreadOwn(e.to, below)
	}
}

// inheritOwn gathers what own paths give in the whole scope.
func (g *gatherer) inheritOwn(n *node, rs *rights, t token, depth int) {
	segs := g.scope.segs
	if depth == g.scope.at {
		segs = slices.Clone(segs)
		segs[depth] = t.text()
	}
	for below := rs; rs != nil; rs = rs.above {
		for _, r := range rs.all {
			if below.hides(rs, r) {
				continue
			}
			g.add(r, segs, g.scope.last, n, true)
		}
	}
}

// inheritOwnAt gathers what is given at n, which is at segs, and goes on below.
func (g *gatherer) inheritOwnAt(n *node, segs []string) {
	if n.rights == nil {
		return
	}
	for _, r := range n.rights.all {
		if _, above := n.rights.above.nearest(r.role.kind, r.role.name); above != nil && above.actions&g.actions == r.actions&g.actions {
			continue
		}
		g.add(r, segs, "", n, true)
	}
}

// spreadOwn gathers what is given below n.
func (g *gatherer) spreadOwn(n *node, segs []string) {
	for _, name := range n.names {
		c, below := n.child(name), append(slices.Clip(segs), name)
		g.inheritOwnAt(c, below)
		g.spreadOwn(c, below)
	}
}

// gives returns the actions that the rights give to a role by themselves.
func (rs *rights) gives(r role) Action {
	if rs == nil {
		return 0
	}
	if right := rs.right(r.kind, r.name); right != nil {
		return right.actions
	}
	return 0
}

// hole is a path with rights below another.
type hole struct {
	n    *node
	segs []string
	end  int // index of the first hole that is not below this one
}

// holes are paths below a node, in their order.
type holes struct {
	list []hole
	by   map[role][]int // those that name a role
}

func (h *holes) add(n *node, segs []string) {
	for _, r := range n.rights.all {
		h.by[r.role] = append(h.by[r.role], len(h.list))
	}
	h.list = append(h.list, hole{n: n, segs: segs})
}

// holesOf returns the paths below n, which is at segs. Of shared paths, they are
// the nearest ones; of own paths, all.
func (g *gatherer) holesOf(n *node, segs []string, own bool) *holes {
	h := g.holes[n]
	if h != nil {
		return h
	}
	h = &holes{by: make(map[role][]int)}
	var walk func(n *node, segs []string)
	walk = func(n *node, segs []string) {
		for _, name := range n.names {
			c, below := n.child(name), append(slices.Clip(segs), name)
			i := len(h.list)
			if c.rights != nil {
				h.add(c, below)
			}
			if c.rights == nil || own {
				walk(c, below)
			}
			if c.rights != nil {
				h.list[i].end = len(h.list)
			}
		}
	}
	walk(n, segs)
	g.holes[n] = h
	return h
}

// except returns the first of the nearest paths below n that do not give exactly a
// to a role, and how many there are.
func (g *gatherer) except(r role, a Action, n *node, segs []string) (first []string, count int) {
	h := g.holesOf(n, segs, false)
	count = len(h.list)
	type below struct {
		first []string
		count int
	}
	same := make(map[int]below) // what there is below those that give the same
	for _, i := range h.by[r] {
		if c := h.list[i]; c.n.rights.gives(r)&g.actions == a {
			var b below
			b.first, b.count = g.except(r, a, c.n, c.segs)
			same[i] = b
			count += b.count - 1
		}
	}
	for i := 0; i < len(h.list) && len(first) < maxExcept; i++ {
		if b, ok := same[i]; ok {
			first = append(first, b.first...)
		} else {
			first = append(first, join(h.list[i].segs)+"*")
		}
	}
	return first[:min(len(first), maxExcept)], count
}

// exceptOwn does the same among own paths, of which only those count that name the role.
func (g *gatherer) exceptOwn(r role, a Action, n *node, segs []string) (first []string, count int) {
	h := g.holesOf(n, segs, true)
	next := 0
	for _, i := range h.by[r] {
		c := h.list[i]
		if i < next || c.n.rights.gives(r)&g.actions == a {
			continue
		}
		next = c.end
		if count++; len(first) < maxExcept {
			first = append(first, showPath(c.segs, r)+"*")
		}
	}
	return first, count
}

// showPath returns segments as they are written for a role.
func showPath(segs []string, r role) string {
	s := join(segs)
	if r.kind == owner {
		s = strings.Replace(s, identityToken, entityToken, 1)
	}
	return s
}

// add adds the grant of a rule, if it gives any of the actions to one of the roles.
// Below n, which may be nil, there may be exceptions.
func (g *gatherer) add(r *right, segs []string, last string, n *node, own bool) {
	a := r.actions & g.actions
	if a == 0 || !g.roles(r.role) {
		return
	}
	grant := Grant{Who: r.name, Path: showPath(segs, r.role) + "*", Actions: a, Own: own, Rule: *r.rule}
	switch {
	case last != "":
		grant.Path = showPath(segs, r.role) + last
	case n == nil:
	case own:
		grant.Except, grant.Excepted = g.exceptOwn(r.role, a, n, segs)
	default:
		grant.Except, grant.Excepted = g.except(r.role, a, n, segs)
	}
	g.list = append(g.list, grant)
}

// Summary returns the grants without those that differ from another only in one
// segment of the path, or in it and in the name of the group, if there are at
// least as many as given. The first of them stays, and its Alike counts the others.
func Summary(grants []Grant, atLeast int) []Grant {
	// A family is all grants that are equal but for the segment at an index.
	type family struct {
		kind     string
		actions  Action
		own      bool
		excepted bool
		rest     string
		at       int
	}
	familyOf := func(g *Grant, segs []string, at int) family {
		kind, _, _ := strings.Cut(g.Who, ":")
		rest := strings.Join(segs[:at], "/") + "//" + strings.Join(segs[at+1:], "/")
		return family{kind, g.Actions, g.Own, g.Excepted > 0, rest, at}
	}
	size := make(map[family]int)
	for i := range grants {
		segs := strings.Split(grants[i].Path, "/")
		for at := range segs {
			size[familyOf(&grants[i], segs, at)]++
		}
	}
	var list []Grant
	first := make(map[family]int)
	for i := range grants {
		g := grants[i]
		segs := strings.Split(g.Path, "/")
		best := familyOf(&g, segs, 0)
		for at := range segs {
			if f := familyOf(&g, segs, at); size[f] > size[best] {
				best = f
			}
		}
		j, ok := first[best]
		switch {
		case size[best] < max(atLeast, 2):
			list = append(list, g)
		case ok:
			list[j].Alike += g.Alike + 1
		default:
			first[best] = len(list)
			list = append(list, g)
		}
	}
	return list
}
