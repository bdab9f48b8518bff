package access

import (
	"slices"
	"strings"
)

// Policy is a set of rules, ready to be asked. It does not change, and may be
// used by several goroutines at once. Nil and the zero value deny everything.
type Policy struct {
	rules    []Rule
	warnings []Warning
	groups   GroupMode
	lists    ListMode
	limited  bool // some rule has limits
	root     *node
}

// Decision is the answer to a question. The zero value is a refusal. The rules
// are the policy's own and must not be changed.
type Decision struct {
	Allowed bool
	// Rule is the rule that decided, nil for a refusal. If several actions were
	// asked for and no rule gave them all, it is the one that gave the last of them.
	Rule *Rule
	// Role is the role of the subject that Rule is for: "guest", "authenticated",
	// "owner" or "group:NAME". It is "" for a refusal.
	Role string
	// Nearest is, for a refusal, the rule with the longest path that covers the
	// key and would by itself have given all that was missing, to another subject.
	// It is nil if there is none.
	Nearest *Rule
}

// Rules returns the rules, in their order.
func (p *Policy) Rules() []Rule {
	if p == nil {
		return nil
	}
	return slices.Clone(p.rules)
}

// Warnings returns what may not mean what the author of the rules thinks.
func (p *Policy) Warnings() []Warning {
	if p == nil {
		return nil
	}
	return slices.Clone(p.warnings)
}

// Lists returns how lists are to be answered.
func (p *Policy) Lists() ListMode {
	if p == nil {
		return Filtered
	}
	return p.lists
}

// Groups returns what groups do to the other rights of a subject.
func (p *Policy) Groups() GroupMode {
	if p == nil {
		return Union
	}
	return p.groups
}

// Decide reports whether s may do all of a with key. To ask for no action, or for
// nobody, is denied. The key is compared as it is: see CheckKey.
func (p *Policy) Decide(s *Subject, a Action, key string) Decision {
	if p == nil || p.root == nil || s == nil || a == 0 {
		return Decision{}
	}
	var f finding
	f.find(p.root, s, key)
	d, missing := f.decide(s, a, p.groups)
	if missing == 0 {
		return d
	}
	return Decision{Nearest: p.nearest(missing, key)}
}

// MayList decides on a list of all keys with a prefix, as IAM does: the prefix is
// judged as if it were a key. It is the question to ask if Lists is Prefix; if it
// is Filtered, Visible is.
func (p *Policy) MayList(s *Subject, prefix string) Decision {
	return p.Decide(s, List, prefix)
}

// finding is the rights on the paths that cover one key.
type finding struct {
	shared *rights            // of the longest shared path
	own    [maxTokens]*rights // of the longest own path through each token
	n      int                // how many of own are set
}

// find fills in f for a key.
func (f *finding) find(n *node, s *Subject, key string) {
	for {
		if n.rights != nil {
			f.shared = n.rights
		}
		seg, rest, ok := strings.Cut(key, "/")
		if !ok {
			return
		}
		key = rest
		if next := n.child(seg); next != nil {
			n = next
			continue
		}
		for i := range n.tokens {
			if e := &n.tokens[i]; s.has(e.token, seg) && validValue(seg) {
				if r := e.to.deepest(key); r != nil {
					f.own[f.n] = r
					f.n++
				}
			}
		}
		return
	}
}

// deepest returns the rights on the longest path below n, without tokens, that
// covers the key. It is nil if there is none.
func (n *node) deepest(key string) *rights {
	var r *rights
	for n != nil {
		if n.rights != nil {
			r = n.rights
		}
		seg, rest, ok := strings.Cut(key, "/")
		if !ok {
			break
		}
		n, key = n.child(seg), rest
	}
	return r
}

// has reports whether value is one that the token stands for. The value may be
// one that nothing may match; see validValue.
func (s *Subject) has(t token, value string) bool {
	if t.kind == identityID {
		return s.Identity == value
	}
	if !s.Authenticated {
		return false
	}
	switch t.kind {
	case sub:
		return s.Sub == value
	case username:
		return s.Username == value
	case group:
		return slices.Contains(s.Groups, value)
	case claim:
		return s.Claims[t.claim] == value
	}
	return false
}

// decide returns the decision on a, and what of a nothing gave.
func (f *finding) decide(s *Subject, a Action, mode GroupMode) (d Decision, missing Action) {
	t := tally{missing: a}
	f.giveAll(&t, s, mode)
	if t.missing != 0 {
		return Decision{}, t.missing
	}
	return Decision{Allowed: true, Rule: t.last.rule, Role: t.last.name}, 0
}

// giveAll adds the rights of the roles of s, until nothing is missing.
func (f *finding) giveAll(t *tally, s *Subject, mode GroupMode) {
	switch {
	case s.Function != "":
		f.give(t, function, s.Function)
	case !s.Authenticated:
		f.give(t, guest, "")
	case mode == Replace && len(s.Groups) > 0:
		f.give(t, member, s.Groups[0])
	default:
		f.give(t, authenticated, "")
		for _, g := range s.Groups {
			if t.missing == 0 {
				break
			}
			f.give(t, member, g)
		}
		f.give(t, owner, "")
	}
}

// tally counts down the actions that are still missing.
type tally struct {
	missing Action
	last    *right // what gave the last one

	bounds *bounds // not nil: all rules that give something missing are noted, and it stays missing
}

func (t *tally) take(r *right) {
	switch {
	case r == nil || r.actions&t.missing == 0:
	case t.bounds != nil:
		t.bounds.add(r.rule.Limits)
	default:
		t.missing &^= r.actions
		t.last = r
	}
}

// give adds the rights of one role.
func (f *finding) give(t *tally, kind roleKind, name string) {
	if t.missing == 0 {
		return
	}
	if f.shared != nil {
		t.take(f.shared.right(kind, name))
	}
	switch f.n {
	case 0:
	case 1:
		_, r := f.own[0].nearest(kind, name)
		t.take(r)
	default:
		longest := 0
		for _, o := range f.own[:f.n] {
			depth, _ := o.nearest(kind, name)
			longest = max(longest, depth)
		}
		for _, o := range f.own[:f.n] {
			if depth, r := o.nearest(kind, name); depth == longest {
				t.take(r)
			}
		}
	}
}

// right returns what the rules on the path give to a role, which is a group's if
// the kind is member. It is nil for nothing.
func (rs *rights) right(kind roleKind, name string) *right {
	switch kind {
	case guest:
		return rs.guest
	case authenticated:
		return rs.authenticated
	case owner:
		return rs.owner
	case member:
		return rs.groups[name]
	case function:
		return rs.functions[name]
	}
	return nil
}

// nearest returns what the longest own path that names the role gives to it, and
// the length of the path in segments.
func (rs *rights) nearest(kind roleKind, name string) (depth int, r *right) {
	for ; rs != nil; rs = rs.above {
		if r := rs.right(kind, name); r != nil {
			return rs.depth, r
		}
	}
	return 0, nil
}

// nearest returns the rule with the longest path that would give all of a on the
// key to somebody, or nil.
func (p *Policy) nearest(a Action, key string) *Rule {
	n, depth := p.root, -1
	var best *right
	offer := func(r *right, d int) {
		if d > depth || d == depth && r.order < best.order {
			best, depth = r, d
		}
	}
	var shared *rights
	for {
		if n.rights != nil {
			shared = n.rights
		}
		seg, rest, ok := strings.Cut(key, "/")
		if !ok {
			break
		}
		key = rest
		if next := n.child(seg); next != nil {
			n = next
			continue
		}
		if !validValue(seg) {
			break
		}
		for i := range n.tokens {
			own := n.tokens[i].to.deepest(key)
			for rs := own; rs != nil; rs = rs.above {
				list := rs.all
				if rs == own {
					list = rs.first // nothing is nearer, so one of each kind will do
				}
				for _, r := range list {
					if r.actions&a == a && !own.hides(rs, r) {
						offer(r, rs.depth)
						break
					}
				}
			}
		}
		break
	}
	if shared != nil {
		for _, r := range shared.first {
			if r.actions&a == a {
				offer(r, shared.depth)
				break
			}
		}
	}
	if best == nil {
		return nil
	}
	return best.rule
}

// hides reports whether a path from rs up to, but not including, above names the
// role of r, which stands on above.
func (rs *rights) hides(above *rights, r *right) bool {
	for ; rs != above; rs = rs.above {
		if rs.right(r.role.kind, r.role.name) != nil {
			return true
		}
	}
	return false
}
