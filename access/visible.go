package access

import (
	"slices"
	"strings"
)

// KeyRange is the keys k with Start <= k and k < End, compared byte by byte. An
// End of "" is no bound.
type KeyRange struct {
	Start, End string
}

// Visible returns the keys with a prefix that s may list, as ranges in ascending
// order that neither overlap nor touch. Nil means that there are none. If Lists
// is Prefix, they are all keys with the prefix, or none.
func (p *Policy) Visible(s *Subject, prefix string) []KeyRange {
	if p == nil || p.root == nil || s == nil {
		return nil
	}
	if p.lists == Prefix {
		if !p.MayList(s, prefix).Allowed {
			return nil
		}
		return []KeyRange{{prefix, after(prefix)}}
	}
	return p.ranges(s, List, prefix)
}

// VisibleVersions returns the keys with a prefix whose versions s may list, as Visible
// does: those for which Decide gives List and Versions, whatever Lists is.
func (p *Policy) VisibleVersions(s *Subject, prefix string) []KeyRange {
	if p == nil || p.root == nil || s == nil {
		return nil
	}
	return p.ranges(s, List|Versions, prefix)
}

// ranges returns the keys with a prefix for which s has all of the actions, among
// them List.
func (p *Policy) ranges(s *Subject, actions Action, prefix string) []KeyRange {
	v := viewer{s: s, mode: p.groups, actions: actions, prefix: prefix, end: after(prefix)}
	v.shared(p.root, "", nil)
	return v.ranges
}

// after returns the first string behind all that begin with prefix, "" if there
// is none.
func after(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if c := prefix[i]; c < 0xff {
			return prefix[:i] + string([]byte{c + 1})
		}
	}
	return ""
}

// viewer collects what is visible below a prefix.
type viewer struct {
	s       *Subject
	mode    GroupMode
	actions Action // that make a key visible
	prefix  string
	end     string // of the keys with the prefix
	ranges  []KeyRange
}

// branch is one way that the keys below some path are covered by own paths.
type branch struct {
	n *node // may be nil
	r *rights
}

// may reports whether the keys to which these rights apply are visible.
func (v *viewer) may(shared *rights, own []branch) bool {
	f := finding{shared: shared}
	for _, b := range own {
		if b.r != nil {
			f.own[f.n] = b.r
			f.n++
		}
	}
	_, missing := f.decide(v.s, v.actions, v.mode)
	return missing == 0
}

// shared adds the keys below path, which is where n stands.
func (v *viewer) shared(n *node, path string, above *rights) {
	if n.rights != nil {
		above = n.rights
	}
	may := v.may(above, nil)
	if !may && !n.lists {
		return
	}
	names := n.names
	if values := v.values(n); values != nil {
		names = slices.Concat(values, names)
		slices.SortFunc(names, compareSegments)
	}
	v.split(path, may, names, func(name, below string) {
		if next := n.child(name); next != nil {
			v.shared(next, below, above)
			return
		}
		var own []branch
		for _, e := range n.tokens {
			if v.s.has(e.token, name) {
				own = append(own, branch{n: e.to})
			}
		}
		v.own(own, below, above)
	})
}

// values returns what the tokens of n stand for: all segments below n, but those
// that are its children, that make a difference to the subject.
func (v *viewer) values(n *node) []string {
	var values []string
	add := func(s string) {
		if validValue(s) && n.child(s) == nil && !slices.Contains(values, s) {
			values = append(values, s)
		}
	}
	for _, e := range n.tokens {
		switch {
		case e.token.kind == identityID:
			add(v.s.Identity)
		case !v.s.Authenticated:
		case e.token.kind == sub:
			add(v.s.Sub)
		case e.token.kind == username:
			add(v.s.Username)
		case e.token.kind == claim:
			add(v.s.Claims[e.token.claim])
		case e.token.kind == group:
			for _, g := range v.s.Groups {
				add(g)
			}
		}
	}
	return values
}

// own adds the keys below path, which is where the nodes of all branches stand.
func (v *viewer) own(branches []branch, path string, shared *rights) {
	var names []string
	for i := range branches {
		b := &branches[i]
		if b.n == nil {
			continue
		}
		if b.n.rights != nil {
			b.r = b.n.rights
		}
		names = append(names, b.n.names...)
	}
	slices.SortFunc(names, compareSegments)
	v.split(path, v.may(shared, branches), slices.Compact(names), func(name, below string) {
		next := slices.Clone(branches)
		for i := range next {
			if n := next[i].n; n != nil {
				next[i].n = n.child(name)
			}
		}
		v.own(next, below, shared)
	})
}

// split adds the keys below path, if they are visible, but for those below one
// of the names, which it leaves to each. The names are in the order of their keys.
func (v *viewer) split(path string, may bool, names []string, each func(name, below string)) {
	from := path
	for _, name := range v.within(path, names) {
		below := path + name + "/"
		if may {
			v.add(from, below)
		}
		each(name, below)
		from = after(below)
	}
	if may {
		v.add(from, after(path))
	}
}

// within returns those of the names below path that have keys with the prefix.
func (v *viewer) within(path string, names []string) []string {
	if len(path) >= len(v.prefix) {
		return names
	}
	rest := v.prefix[len(path):]
	from, _ := slices.BinarySearchFunc(names, rest, func(name, rest string) int {
		if seg, _, ok := strings.Cut(rest, "/"); ok {
			return compareSegments(name, seg)
		}
		return strings.Compare(name+"/", rest)
	})
	to := from
	for to < len(names) && (strings.HasPrefix(names[to]+"/", rest) || strings.HasPrefix(rest, names[to]+"/")) {
		to++
	}
	return names[from:to]
}

// add adds the keys from start to end, as far as they have the prefix.
func (v *viewer) add(start, end string) {
	start = max(start, v.prefix)
	if v.end != "" && (end == "" || end > v.end) {
		end = v.end
	}
	if end != "" && start >= end {
		return
	}
	if n := len(v.ranges); n > 0 && v.ranges[n-1].End == start {
		v.ranges[n-1].End = end
		return
	}
	v.ranges = append(v.ranges, KeyRange{start, end})
}
