package iam

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestIndex compares what an index finds with what each of its patterns matches,
// for variables that have a value, have none, have two, and are unknown.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(40, 41))
	pieces := []string{"a", "b", "/", "*", "?", "${me}", "${me}", "${you}", "${me,'a'}", "${"}
	contexts := []map[string][]string{
		{"me": {"a"}, "you": {"b"}},
		{"me": {"a/"}, "you": nil},
		{"me": {""}},
		{"me": {"a", "b"}, "you": {"a"}},
		{"me": nil, "you": {"*"}},
		{},
	}
	text := func(n int, pieces []string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = pieces[r.IntN(len(pieces))]
		}
		return strings.Join(list, "")
	}
	for range 300 {
		var items []item
		for id := range 12 {
			p := parsePattern(text(1+r.IntN(5), pieces), true, true)
			items = append(items, item{&p, id})
		}
		x := newIndex(items)
		for range 20 {
			s := text(r.IntN(6), pieces[:3])
			req := &Request{Context: contexts[r.IntN(len(contexts))]}
			want, got := make(map[int]truth), make(map[int]truth)
			for _, it := range items {
				if m := it.match(s, req); m != no {
					want[it.id] = m
				}
			}
			x.find(s, req, func(id int, m truth) bool {
				got[id] = m
				return true
			})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%q of %v in %v: found %v, want %v", s, items, req.Context, got, want)
			}
		}
	}
}
