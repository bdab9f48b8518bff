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
}

// entry is the patterns with one literal beginning.
type entry struct {
	prefix string
	above  int // the entry of the longest other prefix that this one has, or -1
	items  []item
}

type item struct {
	*pattern
	id int // what the pattern belongs to
}

func newIndex(items []item) index {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.prefix, b.prefix) })
	var x index
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].prefix == items[0].prefix {
			n++
		}
		e := entry{items[0].prefix, len(x.entries) - 1, items[:n:n]}
		for e.above >= 0 && !strings.HasPrefix(e.prefix, x.entries[e.above].prefix) {
			e.above = x.entries[e.above].above
		}
		x.entries = append(x.entries, e)
		items = items[n:]
	}
	return x
}

// find calls each with what the patterns that match s, or may match it, belong to,
// until it returns false.
func (x *index) find(s string, r *Request, each func(id int, t truth) bool) {
	// All prefixes of s are above the last entry that is not greater.
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].prefix > s }) - 1
	for ; i >= 0; i = x.entries[i].above {
		if !strings.HasPrefix(s, x.entries[i].prefix) {
			continue
		}
		for _, it := range x.entries[i].items {
			if t := it.match(s, r); t != no && !each(it.id, t) {
				return
			}
		}
	}
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
