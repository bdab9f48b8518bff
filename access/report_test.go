package access_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// granted reads grants as their comments say, and reports whether one of them
// gives a with key to s.
func granted(n naive, grants []access.Grant, s access.Subject, a access.Action, key string) bool {
	in := func(path string) bool {
		prefix, all := strings.CutSuffix(path, "*")
		if !all {
			return key == path
		}
		if !strings.Contains(prefix, "{") {
			return strings.HasPrefix(key, prefix)
		}
		return slices.ContainsFunc(n.values(prefix, s), func(v string) bool { return strings.HasPrefix(key, replaceToken(prefix, v)) })
	}
	return slices.ContainsFunc(grants, func(g access.Grant) bool {
		return g.Actions&a != 0 && slices.Contains(n.roles(s), g.Who) && in(g.Path) && !slices.ContainsFunc(g.Except, in)
	})
}

// TestWhoCanRandom holds the lists of grants to Decide.
func TestWhoCanRandom(t *testing.T) {
	w := world{rand.New(rand.NewPCG(15, 16))}
	allowed, denied := 0, 0
	for i := range 2000 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(10, opts)
		n := naive{rules, opts.Groups}
		if strings.Count(p.String(), "{sub}")+strings.Count(p.String(), "{username}")+strings.Count(p.String(), "{group}")+strings.Count(p.String(), "{claim") > 0 &&
			len(p.Warnings()) > 0 {
			continue // two tokens in one place: the longer path of the one hides the other's
		}
		pattern := ""
		if len(rules) > 0 && w.IntN(2) == 0 {
			pattern = pick(w, rules).Path
			if strings.Contains(pattern, "{") {
				pattern = ""
			}
		}
		for _, a := range singles {
			grants, err := p.WhoCan(a, pattern)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				s, key := w.subject(), w.key(rules)
				if !strings.HasPrefix(key, strings.TrimSuffix(pattern, "*")) {
					continue
				}
				want := p.Decide(&s, a, key).Allowed
				if got := granted(n, grants, s, a, key); got != want {
					t.Fatalf("rules\n%swho can %s %q: %v\n%v and %q: %v, want %v", p, a, pattern, grants, s, key, got, want)
				}
				if want {
					allowed++
				} else {
					denied++
				}
			}
		}
	}
	if allowed < 1000 || denied < 1000 {
		t.Errorf("%d allowed, %d denied: too one-sided", allowed, denied)
	}
}

const office = `
public/*                 guest read   authenticated read,write
protected/{entity_id}/*  guest get    authenticated read   owner read,write,delete
docs/*                   authenticated read   group:staff read,write   function:index read
docs/legal/*             group:legal read,write
docs/legal/open/*        group:legal read,write   authenticated read
teams/{group}/*          authenticated read
teams/{group}/board/*    authenticated get
`

func TestWhoCan(t *testing.T) {
	p, err := access.Parse("o", []byte(office), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		actions access.Action
		pattern string
		want    []string
	}{
		{access.Write, "", []string{
			"authenticated may write public/*, by `public/*  authenticated get,list,write` (o:2)",
			"owner may write protected/{entity_id}/* where it is their own, by `protected/{entity_id}/*  owner get,list,write,delete` (o:3)",
			"group:legal may write docs/legal/*, by `docs/legal/*  group:legal get,list,write` (o:5)",
			"group:staff may write docs/* except docs/legal/*, by `docs/*  group:staff get,list,write` (o:4)",
		}},
		{access.List, "docs/*", []string{
			"authenticated may list docs/* except docs/legal/*, by `docs/*  authenticated get,list` (o:4)",
			"authenticated may list docs/legal/open/*, by `docs/legal/open/*  authenticated get,list` (o:6)",
			"group:legal may list docs/legal/*, by `docs/legal/*  group:legal get,list,write` (o:5)",
			"group:staff may list docs/* except docs/legal/*, by `docs/*  group:staff get,list,write` (o:4)",
			"function:index may list docs/* except docs/legal/*, by `docs/*  function:index get,list` (o:4)",
		}},
		{access.Read, "docs/legal/1.pdf", []string{"group:legal may get,list docs/legal/1.pdf, by `docs/legal/*  group:legal get,list,write` (o:5)"}},
		{access.Read, "teams/*", []string{
			"authenticated may get,list teams/{group}/* where it is their own except teams/{group}/board/*, by `teams/{group}/*  authenticated get,list` (o:7)",
			"authenticated may get teams/{group}/board/* where it is their own, by `teams/{group}/board/*  authenticated get` (o:8)",
		}},
		{access.Read, "teams/red/board/*", []string{"authenticated may get teams/red/board/* where it is their own, by `teams/{group}/board/*  authenticated get` (o:8)"}},
		{access.Delete, "protected/{entity_id}/a", []string{"owner may delete protected/{entity_id}/a where it is their own, by `protected/{entity_id}/*  owner get,list,write,delete` (o:3)"}},
		{access.Get, "elsewhere/*", nil},
	} {
		grants, err := p.WhoCan(c.actions, c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range grants {
			got = append(got, g.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("who can %s %q:\n%s\nwant\n%s", c.actions, c.pattern, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	for _, pattern := range []string{"/a/*", "a*", "a/{x}/*"} {
		if _, err := p.WhoCan(access.Get, pattern); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("pattern %q: %v", pattern, err)
		}
	}
	if _, err := p.WhoCan(0, ""); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("no action: %v", err)
	}
}

func TestWhatCan(t *testing.T) {
	p, err := access.Parse("o", []byte(office), nil)
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string][]string{
		"guest":          {"guest get protected/*", "guest get,list public/*"},
		"owner":          {"owner get,list,write,delete protected/{entity_id}/*"},
		"function:index": {"function:index get,list docs/*"},
		"group:legal": {
			"authenticated get,list docs/*", "group:legal get,list,write docs/legal/*", "authenticated get,list docs/legal/open/*",
			"authenticated get,list protected/*", "owner get,list,write,delete protected/{entity_id}/*",
			"authenticated get,list,write public/*", "authenticated get,list teams/{group}/*", "authenticated get teams/{group}/board/*",
		},
	} {
		grants, err := p.WhatCan(who)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range grants {
			got = append(got, g.Who+" "+g.Actions.String()+" "+g.Path)
		}
		if !slices.Equal(got, want) {
			t.Errorf("what can %s: %q\nwant %q", who, got, want)
		}
	}
	// With groups: replace, a member of a group is nothing else.
	p, err = access.Parse("r", []byte("a/* authenticated get group:x list"), &access.Options{Groups: access.Replace})
	if err != nil {
		t.Fatal(err)
	}
	if grants, err := p.WhatCan("group:x"); err != nil || len(grants) != 1 || grants[0].Actions != access.List {
		t.Errorf("what can group:x: %v, %v", grants, err)
	}
	if _, err := p.WhatCan("everybody"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("everybody: %v", err)
	}
}

// TestSummary folds what thousands of tenants have in common.
func TestSummary(t *testing.T) {
	p := tenants(t, 10000)
	grants, err := p.WhoCan(access.Write, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range access.Summary(grants, 4) {
		got = append(got, g.String())
	}
	want := []string{
		"owner may write tenants/t00000/files/private/{entity_id}/* where it is their own, by `tenants/t00000/files/private/{entity_id}/*  owner get,list,write,delete`, and 2499 more alike",
		"group:admins00000 may write tenants/t00000/files/shared/* except tenants/t00000/files/shared/hidden/*, by `tenants/t00000/files/shared/*  group:admins00000 get,list,write,delete`, and 2499 more alike",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestWhoCanDeep has paths below each other as deep as keys go, by the same role.
func TestWhoCanDeep(t *testing.T) {
	const depth = 300
	for top, role := range map[string]string{"a/": "guest", "own/{sub}/": "owner"} {
		path := func(n int) string { return top + strings.Repeat("a/", n) }
		var rules []access.Rule
		for n := range depth {
			rules = append(rules, access.Rule{Path: path(n) + "*", Who: role, Actions: access.Get})
		}
		rules = append(rules,
			access.Rule{Path: path(depth) + "x/*", Who: role, Actions: access.List},
			access.Rule{Path: path(depth) + "y/*", Who: role, Actions: access.Write})
		p, _, err := access.Compile(rules, nil)
		if err != nil {
			t.Fatal(err)
		}
		grants, err := p.WhoCan(access.Get, "")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{path(depth) + "x/*", path(depth) + "y/*"}
		if len(grants) != 1 || grants[0].Path != top+"*" || grants[0].Excepted != 2 || !slices.Equal(grants[0].Except, want) {
			t.Errorf("%d grants, %v", len(grants), grants)
		}
		if grants, err = p.WhatCan(role); err != nil || len(grants) != 3 {
			t.Errorf("%d grants, %v", len(grants), err)
		}
	}
}
