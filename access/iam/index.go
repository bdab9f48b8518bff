package iam

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// index finds, of many patterns, those that match a text. It looks only at those
// whose literal beginning the text has.
type index struct {
	entries []entry // in the order of their prefixes
	items   []item  // of all entries
}

// entry is the patterns with one literal beginning.
type entry struct {
	prefix string
	above  int // the entry of the longest other prefix that this one has, or -1
	items  []item
	tails  []tails
}

// tails are patterns that have the same variable behind the same literal
// beginning. Once it has a value, what follows it can be looked up as well.
type tails struct {
	key   string
	index index  // of what follows the variable
	items []item // the whole patterns
}

type item struct {
	*pattern
	id int // what the pattern belongs to
}

// variable returns the variable that the pattern goes on with behind its literal
// beginning, if nothing stands for that when it is absent, or "".
func (p *pattern) variable() string {
	if len(p.rest) > 0 && p.rest[0].kind == variable && !p.rest[0].hasValue {
		return p.rest[0].text
	}
	return ""
}

// newIndex returns the index of the patterns. Those that differ only behind their
// first variable are told apart too.
func newIndex(items []item) index { return buildIndex(items, true) }

func buildIndex(items []item, withTails bool) index {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.variable(), b.variable()))
	})
	x := index{items: items}
	for len(items) > 0 {
		e := entry{prefix: items[0].prefix, above: len(x.entries) - 1}
		for e.above >= 0 && !strings.HasPrefix(e.prefix, x.entries[e.above].prefix) {
			e.above = x.entries[e.above].above
		}
		for len(items) > 0 && items[0].prefix == e.prefix {
			key, n := items[0].variable(), 1
			for n < len(items) && items[n].prefix == e.prefix && items[n].variable() == key {
				n++
			}
			if key == "" || n == 1 || !withTails {
				e.items = append(e.items, items[:n]...)
			} else {
				rest := make([]item, n)
				for i, it := range items[:n] {
					rest[i] = item{new(newPattern(it.rest[1:])), it.id}
				}
				e.tails = append(e.tails, tails{key, buildIndex(rest, false), items[:n:n]})
			}
			items = items[n:]
		}
		x.entries = append(x.entries, e)
	}
	return x
}

// find calls each with what the patterns that match s, or may match it, belong to,
// until it returns false. It reports whether it never did.
func (x *index) find(s string, r *Request, each func(id int, t truth) bool) bool {
	// All prefixes of s are above the last entry that is not greater.
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].prefix > s }) - 1
	for ; i >= 0; i = x.entries[i].above {
		e := &x.entries[i]
		after, ok := strings.CutPrefix(s, e.prefix)
		if !ok {
			continue
		}
		if !findIn(e.items, s, r, each) {
			return false
		}
		for j := range e.tails {
			if !e.tails[j].find(s, after, r, each) {
				return false
			}
		}
	}
	return true
}

// find does so for the patterns of t, of which after is what the variable and all
// behind it must match.
func (t *tails) find(s, after string, r *Request, each func(id int, t truth) bool) bool {
	values, known := r.values(t.key)
	switch {
	case known && len(values) == 0:
		return true
	case known && len(values) == 1:
		after, ok := strings.CutPrefix(after, values[0])
		return !ok || t.index.find(after, r, each)
	}
	return findIn(t.items, s, r, each)
}

func findIn(items []item, s string, r *Request, each func(id int, t truth) bool) bool {
	for _, it := range items {
		if t := it.match(s, r); t != no && !each(it.id, t) {
			return false
		}
	}
	return true
}

// match reports whether any of the patterns matches s.
func (x *index) match(s string, r *Request) truth {
	best := no
	x.find(s, r, func(_ int, t truth) bool {
		best = max(best, t)
		return best != yes
	})
	return best
}
