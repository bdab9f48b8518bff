package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

var singles = []access.Action{access.Get, access.List, access.Write, access.Delete, access.Versions}

// mutate returns rules with one thing changed.
func (w world) mutate(rules []access.Rule) []access.Rule {
	rules = slices.Clone(rules)
	if len(rules) == 0 || w.IntN(6) == 0 {
		return append(rules, w.rule(len(rules)))
	}
	i := w.IntN(len(rules))
	r := &rules[i]
	switch w.IntN(6) {
	case 0:
		return slices.Delete(rules, i, i+1)
	case 1:
		r.Path = w.rule(0).Path
	case 2:
		if r.Who != "" {
			r.Who = pick(w, whos)
		}
	case 3:
		if r.Limits != nil {
			l := *r.Limits
			l.MaxSize += 100
			r.Limits = &l
			break
		}
		fallthrough
	default:
		if r.Who != "" {
			if a := r.Actions ^ 1<<w.IntN(5); a&access.Write != 0 || r.Limits == nil {
				r.Actions = max(a, access.Get)
			}
		}
	}
	return rules
}

// TestDiffRandom compares random policies with changed ones. Each change must be
// real by the naive evaluator, and each difference that random questions find must
// be among the changes.
func TestDiffRandom(t *testing.T) {
	w := world{rand.New(rand.NewPCG(7, 8))}
	differ, equal, asked := 0, 0, 0
	for i := range 3000 {
		x := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		y := &access.Options{Groups: x.Groups, AcceptOwnerWithoutToken: true}
		if i%5 == 0 {
			y.Groups = 1 - y.Groups
		}
		before, rules := w.policy(8, x)
		after, _, err := access.Compile(w.mutate(rules), y)
		if err != nil {
			continue
		}
		changes := access.Diff(before, after)
		for _, c := range changes {
			checkChange(t, before, after, c)
		}
		if len(changes) > 0 {
			differ++
		} else {
			equal++
		}
		all := slices.Concat(rules, after.Rules())
		for range 60 {
			s, key := w.subject(), w.key(all)
			for _, a := range singles {
				b, c := before.Decide(&s, a, key).Allowed, after.Decide(&s, a, key).Allowed
				if b == c {
					continue
				}
				asked++
				want := access.Gained
				if b {
					want = access.Lost
				}
				if !slices.ContainsFunc(changes, func(c access.Change) bool { return c.Kind == want && c.Actions&a != 0 }) {
					t.Fatalf("old\n%snew\n%s%v %s %q is %s, but the changes are %v", before, after, s, a, key, want, changes)
				}
			}
			if !sameLimits(before, after, s, key) && len(changes) == 0 {
				t.Fatalf("old\n%snew\n%s%v may write %q under other limits, but there is no change", before, after, s, key)
			}
		}
	}
	if differ < 1000 || equal < 200 || asked < 1000 {
		t.Errorf("%d policies differ, %d are equal, %d questions found a difference: too one-sided", differ, equal, asked)
	}
}

// checkChange asks the naive evaluator whether the example of a change is one.
func checkChange(t *testing.T, before, after *access.Policy, c access.Change) {
	t.Helper()
	x, y := naive{before.Rules(), before.Groups()}, naive{after.Rules(), after.Groups()}
	for _, a := range singles {
		if c.Actions&a == 0 || c.Kind == access.Setting {
			continue
		}
		b, n := x.allowed(c.Subject, a, c.Key), y.allowed(c.Subject, a, c.Key)
		if b != (c.Kind != access.Gained) || n != (c.Kind != access.Lost) {
			t.Fatalf("old\n%snew\n%sthe change %q is not true of %v and %q: %v, %v", before, after, c, c.Subject, c.Key, b, n)
		}
	}
	if c.Kind == access.Limited && sameLimits(before, after, c.Subject, c.Key) {
		t.Fatalf("old\n%snew\n%sthe limits in %q are the same", before, after, c)
	}
	if c.String() == "" || c.Kind != access.Setting && (c.Who == "" || c.Path == "" || c.Before.Allowed == (c.Kind == access.Gained) || c.After.Allowed == (c.Kind == access.Lost)) {
		t.Fatalf("change %+v", c)
	}
}

// sameLimits tries objects of all sizes and types that occur in random rules.
func sameLimits(before, after *access.Policy, s access.Subject, key string) bool {
	if !before.Decide(&s, access.Write, key).Allowed || !after.Decide(&s, access.Write, key).Allowed {
		return true
	}
	admits := func(p *access.Policy, size, quota int64, kind string) bool {
		list := p.Bounds(&s, key)
		return list == nil || slices.ContainsFunc(list, func(l *access.Limits) bool {
			return (l.MaxSize == 0 || size <= l.MaxSize) && (l.Quota == 0 || quota <= l.Quota) && l.Admits(kind)
		})
	}
	for _, size := range []int64{1, 100, 400, 500, 600, 1000, 1100, 5000} {
		for _, quota := range []int64{1, 1 << 40} {
			for _, kind := range []string{"image/png", "image/gif", "text/plain", "audio/mpeg"} {
				if admits(before, size, quota, kind) != admits(after, size, quota, kind) {
					return false
				}
			}
		}
	}
	return true
}

// TestDiffOfEqual rewrites rules so that they mean the same.
func TestDiffOfEqual(t *testing.T) {
	opts := &access.Options{AcceptOwnerWithoutToken: true}
	parse := func(text string) *access.Policy {
		p, err := access.Parse("test", []byte(text), opts)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range [][2]string{
		{"", ""},
		{"", "a/*\nb/c/*"},
		{"a/* guest read group:x write", "a/* groupsx write\na/* guest list,get"},
		{"a/* guest read", "a/* guest read\na/b/* guest get,list\na/b/c/*  guest read"},
		{"a/{entity_id}/* owner read", "a/" + raw + "/* entityidentity read"},
		{"a/{entity_id}/* guest get owner read", "a/* guest get\na/" + raw + "/* owner read"},
		{"a/{sub}/* owner read", "a/{sub}/* owner read\na/{sub}/b/* owner read"},
		{"a/* authenticated read", "a/* authenticated read group:x get owner list"},
		{"a/* authenticated write maxSize=5MB", "a/* authenticated write maxSize=5MB group:x write maxSize=5000kB contentTypes=image/png"},
		{"a/* authenticated write contentTypes=image/png,text/*", "a/* authenticated write contentTypes=text/*,text/plain group:x write contentTypes=image/png owner write contentTypes=image/png"},
	} {
		if changes := access.Diff(parse(c[0]), parse(c[1])); changes != nil {
			t.Errorf("%q and %q: %v", c[0], c[1], changes)
		}
	}
	if changes := access.Diff(nil, parse("a/*")); changes != nil {
		t.Errorf("nil and an empty policy: %v", changes)
	}
	w := world{rand.New(rand.NewPCG(9, 10))}
	for range 300 {
		p, rules := w.policy(10, opts)
		w.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		q, _, err := access.Compile(rules, opts)
		if err != nil {
			t.Fatal(err)
		}
		if changes := access.Diff(p, q); changes != nil {
			t.Fatalf("rules\n%sin another order\n%s: %v", p, q, changes)
		}
	}
}

// TestDiffSays has changes as people see them.
func TestDiffSays(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after string
		want          []string
	}{
		{
			"an action", "a/* guest get authenticated get", "a/* guest get authenticated get,write",
			[]string{"+ authenticated may now write a/*, by `a/*  authenticated get,write` (test:1); such as a/file"},
		},
		{
			"a folder of one's own", "a/{entity_id}/* owner read", "a/{entity_id}/* owner get",
			[]string{"- owner may no longer list a/{entity_id}/*, which was by `a/{entity_id}/*  owner get,list` (test:1); such as a/us-east-1:2f90c6ab-e814-47d3-8b5a-61f3d09e0001/file"},
		},
		{
			"below", "a/* guest read\na/b/* guest get\na/b/c/* guest read", "a/* guest read\na/b/c/* guest read",
			[]string{"+ guest may now list a/b/*, by `a/*  guest get,list` (test:1); such as a/b/file"},
		},
		{
			"a whole path", "a/x/y/* guest get", "a/* guest get\na/x/y/* guest get",
			[]string{"+ guest may now get a/*, by `a/*  guest get` (test:1); such as a/file"},
		},
		{
			"groups", "a/* group:x get,write group:y get", "a/* group:x write authenticated get",
			[]string{
				"+ authenticated may now get a/*, by `a/*  authenticated get` (test:1); such as a/file",
			},
		},
		{
			"a token against a path", "a/{sub}/* owner get", "a/{sub}/* owner get\na/b/* guest get",
			[]string{
				"+ guest may now get a/b/*, by `a/b/*  guest get` (test:2); such as a/b/file",
				"- authenticated with {sub} \"b\" may no longer get a/b/*, which was by `a/{sub}/*  owner get` (test:1); such as a/b/file",
			},
		},
		{
			"limits", "a/* guest write", "a/* guest write maxSize=1MB",
			[]string{"~ what guest may write to a/*: maxSize=1MB, was no limits; such as a/file"},
		},
		{
			"a function", "a/* guest get", "a/* guest get function:f get",
			[]string{"+ function:f may now get a/*, by `a/*  function:f get` (test:1); such as a/file"},
		},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			var policies [2]*access.Policy
			for i, text := range []string{c.before, c.after} {
				p, err := access.Parse("test", []byte(text), nil)
				if err != nil {
					t.Fatal(err)
				}
				policies[i] = p
			}
			var got []string
			for _, c := range access.Diff(policies[0], policies[1]) {
				got = append(got, c.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestDiffOfSettings compares the same rules, read in other ways.
func TestDiffOfSettings(t *testing.T) {
	rules := []access.Rule{{Path: "a/*", Who: "authenticated", Actions: access.Get}, {Path: "a/*", Who: "group:x", Actions: access.Write}}
	compile := func(opts *access.Options) *access.Policy {
		p, _, err := access.Compile(rules, opts)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	union, replace := compile(nil), compile(&access.Options{Groups: access.Replace, Lists: access.Prefix})
	var got []string
	for _, c := range access.Diff(union, replace) {
		got = append(got, fmt.Sprint(c.Kind, " ", c.Who, " ", c.Actions, " ", c.To))
	}
	want := []string{
		"setting  none groups: replace", "setting  none lists: prefix",
		"lost a group without rules get ", "lost a group without rules and group:x write ", "lost group:x get ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestDiffOfMany gives up where nobody would read on, and says so.
func TestDiffOfMany(t *testing.T) {
	policy := func(n int) *access.Policy {
		var rules []access.Rule
		for i := range n {
			rules = append(rules, access.Rule{Path: fmt.Sprintf("p%d/*", i/100), Who: fmt.Sprintf("group:g%d", i), Actions: access.Get})
		}
		p, _, err := access.Compile(rules, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	changes := access.Diff(nil, policy(10_000))
	if n := len(changes); n != 10_000 || changes[n-1].Kind != access.Gained {
		t.Errorf("%d changes, the last is %s", n, changes[n-1])
	}
	changes = access.Diff(nil, policy(10_001))
	if n := len(changes); n != 10_001 || changes[n-1].Kind != access.More || changes[n-1].String() != "~ and more, which are left out" {
		t.Errorf("%d changes, the last is %s", n, changes[n-1])
	}
}
