package access_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestRandomDecisions compares Decide with the naive evaluator, and asks of each
// refusal whether the nearest rule is real.
func TestRandomDecisions(t *testing.T) {
	w := world{rand.New(rand.NewPCG(1, 2))}
	allowed, denied := 0, 0
	for i := range 4000 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(10, opts)
		n := naive{rules, opts.Groups}
		for range 20 {
			s, key, a := w.subject(), w.key(rules), access.Action(w.IntN(32))
			if w.IntN(2) == 0 {
				a = 1 << w.IntN(5)
			}
			d := p.Decide(&s, a, key)
			if want := n.allowed(s, a, key); d.Allowed != want {
				t.Fatalf("rules\n%s\n%+v %s %q: %v, want %v", p, s, a, key, d.Allowed, want)
			}
			if d.Allowed {
				allowed++
				if d.Rule == nil || d.Nearest != nil || roleOf(d.Rule.Who) != d.Role || d.Rule.Actions&a == 0 || !slices.Contains(n.roles(s), d.Role) {
					t.Fatalf("rules\n%s\n%+v %s %q: decision %+v", p, s, a, key, d)
				}
				continue
			}
			denied++
			if d.Rule != nil || d.Role != "" {
				t.Fatalf("rules\n%s\n%+v %s %q: decision %+v", p, s, a, key, d)
			}
			if a&(a-1) == 0 && a != 0 {
				checkNearest(t, p, n, d, a, key)
			}
		}
	}
	if allowed < 3000 || denied < 3000 {
		t.Errorf("%d allowed and %d denied: the random world is too one-sided", allowed, denied)
	}
}

// checkNearest asks in the name of somebody for whom each rule was made. The
// nearest rule allows it to its own, and if there is none, no rule does.
func checkNearest(t *testing.T, p *access.Policy, n naive, d access.Decision, a access.Action, key string) {
	t.Helper()
	for _, r := range n.rules {
		prefix, own := n.split(r)
		s := access.Subject{Authenticated: r.Who != "guest"}
		if name, ok := strings.CutPrefix(roleOf(r.Who), "group:"); ok {
			s.Groups = []string{name}
		}
		if name, ok := strings.CutPrefix(r.Who, "function:"); ok {
			s.Function = name
		}
		if own {
			before, token, _ := tokenOf(prefix)
			i := strings.Count(before, "/")
			segs := strings.Split(key, "/")
			if len(segs) <= i+1 {
				continue
			}
			switch v := segs[i]; token {
			case "{sub}":
				s.Sub = v
			case "{username}":
				s.Username = v
			case "{group}":
				s.Groups = append(s.Groups, v)
			case "{claim:t}":
				s.Claims = map[string]string{"t": v}
			default:
				s.Identity = v
			}
		}
		got := p.Decide(&s, a, key)
		if d.Nearest == nil && got.Allowed {
			t.Fatalf("rules\n%s\n%s %q: no nearest rule, but %+v is allowed by %v", p, a, key, s, got.Rule)
		}
		// The name of a group may be what {group} stands for in the key, so that a
		// longer path decides for the very members that r is for.
		both := s.Groups != nil && strings.Contains(p.String(), "{group}")
		if d.Nearest != nil && d.Nearest.Pos == r.Pos && !got.Allowed && !both {
			t.Fatalf("rules\n%s\n%s %q: nearest is %v, but %+v is denied", p, a, key, d.Nearest, s)
		}
	}
}

// TestRandomLists holds Visible to Decide: a key is in the ranges if and only if
// it may be listed.
func TestRandomLists(t *testing.T) {
	w := world{rand.New(rand.NewPCG(3, 4))}
	for i := range 4000 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(10, opts)
		for range 4 {
			s, prefix := w.subject(), w.key(rules)
			if len(prefix) > 0 {
				prefix = prefix[:w.IntN(len(prefix)+1)]
			}
			keys := make([]string, 0, 40)
			for range 10 {
				keys = append(keys, w.key(rules), prefix+w.key(nil))
			}
			checkVisible(t, p, s, prefix, keys)
		}
	}
}

// checkVisible checks the ranges of a prefix on some keys and all borders.
func checkVisible(t *testing.T, p *access.Policy, s access.Subject, prefix string, keys []string) {
	t.Helper()
	checkRanges(t, p, s, access.List, p.Visible, prefix, keys)
	checkRanges(t, p, s, access.List|access.Versions, p.VisibleVersions, prefix, keys)
}

// checkRanges checks the ranges of keys for which all of the actions are given.
func checkRanges(t *testing.T, p *access.Policy, s access.Subject, a access.Action, visible func(*access.Subject, string) []access.KeyRange, prefix string, keys []string) {
	t.Helper()
	all, part := visible(&s, ""), visible(&s, prefix)
	for _, ranges := range [][]access.KeyRange{all, part} {
		for i, r := range ranges {
			if r.End != "" && r.Start >= r.End || i > 0 && (ranges[i-1].End == "" || ranges[i-1].End >= r.Start) {
				t.Fatalf("rules\n%s\n%+v %s %q: ranges %q", p, s, a, prefix, ranges)
			}
			keys = append(keys, r.Start, r.Start+"\x00", r.End, r.End+"\x00", before(r.Start), before(r.End))
		}
	}
	for _, key := range keys {
		want := p.Decide(&s, a, key).Allowed
		if got := within(all, key); got != want {
			t.Fatalf("rules\n%s\n%+v %s \"\": %q visible: %v, but it is given: %v\n%q", p, s, a, key, got, want, all)
		}
		if got := within(part, key); got != (want && strings.HasPrefix(key, prefix)) {
			t.Fatalf("rules\n%s\n%+v %s %q: %q visible: %v, but it is given: %v\n%q", p, s, a, prefix, key, got, want, part)
		}
	}
}

func within(ranges []access.KeyRange, key string) bool {
	return slices.ContainsFunc(ranges, func(r access.KeyRange) bool {
		return r.Start <= key && (r.End == "" || key < r.End)
	})
}

// before returns a string shortly before s.
func before(s string) string {
	if s == "" || s[len(s)-1] == 0 {
		return s
	}
	return s[:len(s)-1] + string([]byte{s[len(s)-1] - 1}) + "\xff\xff"
}

// TestRandomText prints policies and reads them back.
func TestRandomText(t *testing.T) {
	w := world{rand.New(rand.NewPCG(5, 6))}
	opts := &access.Options{AcceptOwnerWithoutToken: true}
	for range 1000 {
		p, _ := w.policy(10, opts)
		q, err := access.Parse("again", []byte(p.String()), opts)
		if err != nil {
			t.Fatalf("rules\n%s\n%v", p, err)
		}
		if p.String() != q.String() || !slices.EqualFunc(p.Rules(), q.Rules(), sameRule) {
			t.Fatalf("rules\n%s\ncame back as\n%s", p, q)
		}
	}
}

func sameRule(a, b access.Rule) bool {
	a.Pos, b.Pos = "", ""
	limits := a.Limits.String() == b.Limits.String()
	a.Limits, b.Limits = nil, nil
	return a == b && limits
}
