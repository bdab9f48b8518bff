package access

import (
	"cmp"
	"slices"
	"strings"
)

// node is a place in the tree of all paths. A node above which no token stands
// holds rights of a shared path; the others hold rights of own paths.
type node struct {
	// What a decision reads comes first, in one line of the processor's cache.
	rights   *rights          // nil if no path ends here
	few      []child          // the children, if they are few
	children map[string]*node // the children, if not, and while the tree is made
	tokens   []edge           // never below another token

	names []string // of the children, ordered as their keys are: with "/" behind them
	lists bool     // some rule here or below gives List
}

// maxFew is how many children are faster to go through than to look up.
const maxFew = 4

type child struct {
	name string
	to   *node
}

type edge struct {
	token token
	to    *node
}

// child returns the child of that name, or nil.
func (n *node) child(name string) *node {
	for i := range n.few {
		if n.few[i].name == name {
			return n.few[i].to
		}
	}
	if n.children == nil {
		return nil
	}
	return n.children[name]
}

// walk returns the node below n, which it makes if need be.
func (n *node) walk(segs []string) *node {
	for _, s := range segs {
		next := n.children[s]
		if next == nil {
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			next = new(node)
			n.children[s] = next
		}
		n = next
	}
	return n
}

// token returns the node of a token below n, which it makes if need be.
func (n *node) token(t token) *node {
	for _, e := range n.tokens {
		if e.token == t {
			return e.to
		}
	}
	n.tokens = append(n.tokens, edge{t, new(node)})
	return n.tokens[len(n.tokens)-1].to
}

// finish completes the tree once all rights are in it. The nearest rights above
// n are given if they are own ones.
func (n *node) finish(depth int, above *rights, own bool) {
	if n.rights != nil {
		n.rights.depth = depth
		if own {
			n.rights.above = above
			above = n.rights
		}
		n.rights.finish()
		n.lists = n.rights.actions&List != 0
	}
	for name, c := range n.children {
		c.finish(depth+1, above, own)
		n.names = append(n.names, name)
		n.lists = n.lists || c.lists
	}
	slices.SortFunc(n.names, compareSegments)
	if len(n.names) <= maxFew {
		for _, name := range n.names {
			n.few = append(n.few, child{name, n.children[name]})
		}
		n.children = nil
	}
	for _, e := range n.tokens {
		e.to.finish(depth+1, nil, true)
		n.lists = n.lists || e.to.lists
	}
}

// compareSegments orders segments as the keys below them are ordered.
func compareSegments(a, b string) int {
	n := min(len(a), len(b))
	if c := strings.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	at := func(s string) byte {
		if len(s) > n {
			return s[n]
		}
		return '/'
	}
	if len(a) == len(b) {
		return 0
	}
	return cmp.Compare(at(a), at(b))
}

// rights are what the rules on one path give.
type rights struct {
	guest, authenticated, owner *right
	groups, functions           map[string]*right

	above   *rights // own paths: the nearest one above
	depth   int     // segments of the path
	actions Action  // of all rules together

	all   []*right // in the order of the rules
	first []*right // the first for each set of actions
}

// right is what a rule gives.
type right struct {
	actions Action
	rule    *Rule
	name    string // of the role
	role    role
	order   int // of the rule
}

func (rs *rights) add(r *right) {
	switch r.role.kind {
	case nobody:
		return
	case guest:
		rs.guest = r
	case authenticated:
		rs.authenticated = r
	case owner:
		rs.owner = r
	case member:
		if rs.groups == nil {
			rs.groups = make(map[string]*right)
		}
		rs.groups[r.role.name] = r
	case function:
		if rs.functions == nil {
			rs.functions = make(map[string]*right)
		}
		rs.functions[r.role.name] = r
	}
	rs.all = append(rs.all, r)
}

func (rs *rights) finish() {
	for _, r := range rs.all {
		rs.actions |= r.actions
		if !slices.ContainsFunc(rs.first, func(f *right) bool { return f.actions == r.actions }) {
			rs.first = append(rs.first, r)
		}
	}
}
