package access

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strings"
)

// All requests to one or two policies fall into finitely many classes, and the
// answer is the same for all of one class. This file goes through them; Prove,
// Diff and Lint ask their questions of each.
//
// A class of keys is a position: a place in the trees of all policies at once.
// What decides is only how far a key follows the paths, so it is enough to have,
// for each place, one key that ends there, and below each place that has tokens
// one segment that no path lists there. Such a segment is fresh: it is in no rule.
// When two policies have tokens in different segments of the same key, the second
// segment may also equal the first, which one value of a subject then matches twice.
//
// A class of subjects at a position is given by which tokens have the segment as
// the subject's own value, the facts, and by the groups. Not all sets are needed:
//
//   - Groups. With Union an action is allowed if one role gives it, so what one
//     policy allows and the other denies, for a subject with any groups, they also
//     allow and deny for the one with that one group, or with none, and the
//     facts the same. A value of {group} is a group too, so two may come together.
//     With Replace it is the first group that counts, so if one policy has Replace
//     and the other has not, there is a first group and one more.
//   - Facts. An action is allowed by one token, and another role denies it because of
//     at most one longer path for each role of the subject: authenticated, owner, one
//     group, and a group for each of at most two values. So maxFacts together suffice.
//   - With facts, only groups with rules on own paths are of interest: what a
//     group has by the shared path is seen without any facts.

// maxFacts is how many tokens are matched at once.
const maxFacts = 6

// fact is that a value of the subject's own stands in the key.
type fact struct {
	value string
	token token
}

// track is where the keys of a position stand in the tree of one policy.
type track struct {
	n      *node   // among the shared paths; nil if the key has left them
	shared *rights // of the longest shared path
	at     int     // which segment is in the place of tokens, -1 if none is
	tokens []edge  // of that place
	own    []branch
}

// position is a class of keys: those with these segments and something behind.
type position struct {
	up     *position
	segs   []string
	tracks []track
	facts  []fact
	delta  *delta // for Diff
}

// startOf returns the position of keys with no segment before the last.
func startOf(roots ...*node) *position {
	p := new(position)
	for _, n := range roots {
		p.tracks = append(p.tracks, track{n: n, shared: n.rights, at: -1})
	}
	return p
}

// rootOf returns the tree of p.
func (p *Policy) rootOf() *node {
	if p == nil || p.root == nil {
		return new(node)
	}
	return p.root
}

// key returns a key of the class.
func (p *position) key(last string) string { return join(p.segs) + last }

// explorer goes through positions.
type explorer struct {
	// visit is called for each position, and reports whether to go on below it.
	visit func(*position) bool
	names *fresh
	extra []string // further segments to try in the place of tokens
	// shy is a tree whose tokens stand for nothing that another tree lists in the
	// same place, -1 if there is none.
	shy  int
	done bool // nothing else is to be visited
}

// explore visits p and the positions below it.
func (e *explorer) explore(p *position) {
	if !e.visit(p) {
		return
	}
	for _, name := range e.below(p) {
		if e.done {
			return
		}
		e.explore(e.step(p, name))
	}
}

// below returns the segments that can make a difference below p.
func (e *explorer) below(p *position) []string {
	var lists [][]string
	var tokens []edge
	for i := range p.tracks {
		s := &p.tracks[i]
		if s.n != nil {
			lists = append(lists, s.n.names)
			tokens = append(tokens, s.n.tokens...)
		}
		for _, b := range s.own {
			if b.n != nil {
				lists = append(lists, b.n.names)
			}
		}
	}
	if len(tokens) > 0 {
		lists = append(lists, []string{e.names.segment(tokens)}, e.extra)
		for i := range p.tracks {
			if at := p.tracks[i].at; at >= 0 {
				lists = append(lists, []string{p.segs[at]})
			}
		}
	}
	lists = slices.DeleteFunc(lists, func(l []string) bool { return len(l) == 0 })
	if len(lists) == 1 {
		return lists[0]
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, compareSegments)
	return slices.Compact(all)
}

// step returns the position below p with one more segment.
func (e *explorer) step(p *position, name string) *position {
	q := &position{up: p, segs: append(slices.Clip(p.segs), name), tracks: make([]track, len(p.tracks))}
	for i := range p.tracks {
		s := &p.tracks[i]
		switch {
		case s.n == nil:
			q.tracks[i] = s.follow(name)
		case s.n.child(name) != nil:
			n := s.n.child(name)
			q.tracks[i] = track{n: n, shared: s.shared, at: -1}
			if n.rights != nil {
				q.tracks[i].shared = n.rights
			}
		case i == e.shy && p.lists(name, i):
			q.tracks[i] = track{shared: s.shared, at: -1}
		default:
			q.tracks[i] = s.leave(name, len(p.segs))
		}
	}
	q.findFacts()
	return q
}

// lists reports whether a tree other than that of track i lists name below p.
func (p *position) lists(name string, i int) bool {
	for j := range p.tracks {
		if n := p.tracks[j].n; j != i && n != nil && n.child(name) != nil {
			return true
		}
	}
	return false
}

// leave returns where keys stand that go on with a segment that is no child.
func (s *track) leave(name string, at int) track {
	next := track{shared: s.shared, at: -1}
	if len(s.n.tokens) > 0 && validValue(name) {
		next.at, next.tokens = at, s.n.tokens
		for _, e := range s.n.tokens {
			next.own = append(next.own, branch{e.to, e.to.rights})
		}
	}
	return next
}

// follow returns where keys stand that go on below a token.
func (s *track) follow(name string) track {
	next := *s
	next.own = slices.Clone(s.own)
	for i := range next.own {
		b := &next.own[i]
		if b.n == nil {
			continue
		}
		if b.n = b.n.child(name); b.n != nil && b.n.rights != nil {
			b.r = b.n.rights
		}
	}
	return next
}

// findFacts notes the facts that make a difference at p.
func (p *position) findFacts() {
	for i := range p.tracks {
		s := &p.tracks[i]
		for j, b := range s.own {
			if f := (fact{p.segs[s.at], s.tokens[j].token}); b.r != nil && !slices.Contains(p.facts, f) {
				p.facts = append(p.facts, f)
			}
		}
	}
}

// same reports whether the same rights decide at p and at the position above it.
func (p *position) same() (shared, own bool) {
	if p.up == nil {
		return false, false
	}
	shared, own = true, len(p.facts) == len(p.up.facts)
	for i := range p.tracks {
		s, t := &p.tracks[i], &p.up.tracks[i]
		shared = shared && s.shared == t.shared
		for j := range s.own {
			own = own && (s.own[j].r == nil || j < len(t.own) && s.own[j].r == t.own[j].r)
		}
	}
	return shared, own
}

// class is a class of subjects at a position.
type class struct {
	kind  roleKind // guest, function, or authenticated for everybody else
	name  string   // of the function
	own   uint32   // the facts that hold, as bits
	first string   // the first group, if it matters which one is
	group string   // another group
}

// groups returns the groups of a subject of the class.
func (p *position) groups(c class) []string {
	var list []string
	if c.first != "" {
		list = append(list, c.first)
	}
	for i, f := range p.facts {
		if f.token.kind == group && c.own&(1<<i) != 0 && !slices.Contains(list, f.value) {
			list = append(list, f.value)
		}
	}
	if c.group != "" && !slices.Contains(list, c.group) {
		list = append(list, c.group)
	}
	return list
}

// consistent reports whether there are such subjects: a member of a group has
// its name as a value of {group}.
func (p *position) consistent(c class, groups []string) bool {
	for i, f := range p.facts {
		if f.token.kind == group && c.own&(1<<i) == 0 && slices.Contains(groups, f.value) {
			return false
		}
	}
	return true
}

// factSets yields the sets of facts that a subject can have, the smallest first.
func (p *position) factSets(kind roleKind) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if kind == function || len(p.facts) == 0 {
			yield(0)
			return
		}
		for n := range min(len(p.facts), maxFacts) + 1 {
			for set := range uint32(1) << len(p.facts) {
				if bits.OnesCount32(set) == n && p.possible(set, kind) && !yield(set) {
					return
				}
			}
		}
	}
}

// possible reports whether a subject can have these values: a guest has no other
// than an identity id, and nobody has two values of anything but groups.
func (p *position) possible(set uint32, kind roleKind) bool {
	for i, f := range p.facts {
		if set&(1<<i) == 0 {
			continue
		}
		if kind == guest && f.token.kind != identityID {
			return false
		}
		for j, g := range p.facts[:i] {
			if set&(1<<j) != 0 && f.token == g.token && f.token.kind != group {
				return false
			}
		}
	}
	return true
}

// finding returns the rights of the class on the keys in one of the policies.
func (p *position) finding(i int, own uint32) finding {
	s := &p.tracks[i]
	f := finding{shared: s.shared}
	for j, b := range s.own {
		if b.r == nil {
			continue
		}
		k := slices.Index(p.facts, fact{p.segs[s.at], s.tokens[j].token})
		if own&(1<<k) != 0 {
			f.own[f.n] = b.r
			f.n++
		}
	}
	return f
}

// gives returns all actions that s is given.
func (f *finding) gives(s *Subject, mode GroupMode) Action {
	t := tally{missing: allActions}
	f.giveAll(&t, s, mode)
	return allActions &^ t.missing
}

// bare returns a subject of the class with nothing but what finding.gives asks for.
func (c class) bare(groups []string) Subject {
	return Subject{Authenticated: c.kind == authenticated, Function: c.name, Groups: groups}
}

// subject returns somebody of the class. All values that are in no fact are
// other than any segment of the key.
func (p *position) subject(c class, names *fresh) Subject {
	s := c.bare(p.groups(c))
	if c.kind == function {
		return s
	}
	s.Identity = names.identity
	if c.kind == authenticated {
		s.Sub, s.Username = names.sub, names.username
	}
	for i, f := range p.facts {
		if c.own&(1<<i) == 0 {
			continue
		}
		switch f.token.kind {
		case identityID:
			s.Identity = f.value
		case sub:
			s.Sub = f.value
		case username:
			s.Username = f.value
		case claim:
			if s.Claims == nil {
				s.Claims = make(map[string]string)
			}
			s.Claims[f.token.claim] = f.value
		}
	}
	return s
}

// names yields the names that rules of a kind have here, those of shared paths or
// those of own paths, each once.
func (p *position) names(kind roleKind, own bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		var before []*rights
		add := func(rs *rights) bool {
			if kind == member && rs.groups == nil || kind == function && rs.functions == nil || slices.Contains(before, rs) {
				return true
			}
			for _, r := range rs.all {
				known := func(b *rights) bool { return b.right(kind, r.role.name) != nil }
				if r.role.kind == kind && !slices.ContainsFunc(before, known) && !yield(r.role.name) {
					return false
				}
			}
			before = append(before, rs)
			return true
		}
		for i := range p.tracks {
			s := &p.tracks[i]
			if !own && s.shared != nil && !add(s.shared) {
				return
			}
			for _, b := range s.own {
				for rs := b.r; own && rs != nil; rs = rs.above {
					if !add(rs) {
						return
					}
				}
			}
		}
	}
}

// fresh has values that are in no rule: those of a subject, and those that stand
// in keys for another's, or for the subject's own where facts say so.
type fresh struct {
	identity, sub, username, group string
	inKey                          map[tokenKind]string
}

// newFresh returns values that are no part of the texts, nor of the rules.
func newFresh(texts []string, policies ...*Policy) *fresh {
	for _, p := range policies {
		if p == nil {
			continue
		}
		for i := range p.rules {
			texts = append(texts, p.rules[i].Path, p.rules[i].Who)
		}
	}
	pick := func(v, format string) string {
		for i := 2; slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, v) }); i++ {
			v = fmt.Sprintf(format, i)
		}
		texts = append(texts, v)
		return v
	}
	id := func(format string) string { return pick(fmt.Sprintf(format, 1), format) }
	return &fresh{
		identity: id("us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab6%04d"),
		sub:      id("e1b7a540-93c8-4d2e-b6f5-08c2741d%04d"),
		username: pick("alice", "alice%d"),
		group:    pick("others", "others%d"),
		inKey: map[tokenKind]string{
			identityID: id("us-east-1:2f90c6ab-e814-47d3-8b5a-61f3d09e%04d"),
			sub:        id("4d08f2c1-6ea7-49b5-a3d0-c95e7b1f%04d"),
			username:   pick("bob", "bob%d"),
			group:      pick("team", "team%d"),
			claim:      pick("value", "value%d"),
		},
	}
}

// segment returns a value for the place of these tokens.
func (f *fresh) segment(tokens []edge) string {
	first := slices.MinFunc(tokens, func(a, b edge) int { return int(a.token.kind) - int(b.token.kind) })
	return f.inKey[first.token.kind]
}
