package access_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestAsk asks for lists as people do, and for what they are not.
func TestAsk(t *testing.T) {
	const rules = `
m/*                   authenticated get,list
m/x/*                 group:admin list
m/x/y/*               authenticated list

private/{entity_id}/* guest get  owner read,write
g/{group}/*           authenticated list
p/*                   authenticated list
p/q/*
`
	for _, c := range []struct {
		subject string
		actions access.Action
		key     string
		prefix  bool
		want    string // of Explain
	}{
		{subject: "alice", actions: access.List, key: "private/", want: "list on \"private/\" is allowed to owner by `private/{entity_id}/*  owner get,list,write` (r:6)\nit shows only what is below private/alice/"},
		{subject: "alice", actions: access.List, key: "private/alice/", want: "list on \"private/alice/\" is allowed to owner by `private/{entity_id}/*  owner get,list,write` (r:6)\nit shows all of it"},
		{subject: "alice", actions: access.List, key: "private/alice", want: `list on "private/alice" is denied
` + "no single rule gives what is missing to anybody here"},
		{subject: "guest", actions: access.List, key: "private/", want: `list on "private/" is denied
` + "no single rule gives what is missing to anybody here"},
		{subject: "alice", actions: access.List, key: "private/bob/", want: `list on "private/bob/" is denied
` + "the nearest rule that gives what is missing is `private/{entity_id}/*  owner get,list,write` (r:6)" + `
it is for the owner with {entity_id} "bob", and the {entity_id} of user "alice" is another`},
		{subject: "alice", actions: access.Read, key: "private/", want: `get,list on "private/" is denied
what is missing is get
` + "the nearest rule that gives what is missing is `private/{entity_id}/*  guest get` (r:6)\nit is for guests, and this is user \"alice\""},
		{subject: "alice", actions: access.Read, key: "m/", want: "get,list on \"m/\" is allowed to authenticated by `m/*  authenticated get,list` (r:2)\n" +
			`it shows only the keys from "m/" to before "m/x/", from "m/x/y/" to before "m/x/y0", from "m/x0" to before "m0"`},
		{subject: "alice", actions: access.List, key: "m/x/", want: "list on \"m/x/\" is allowed to authenticated by `m/x/y/*  authenticated list` (r:4)\nit shows only what is below m/x/y/"},
		{subject: "alice", actions: access.List, key: "p/", want: "list on \"p/\" is allowed to authenticated by `p/*  authenticated list` (r:8)\nit shows all of it but what is below p/q/"},
		{subject: "alice(groups=a+b+c+d+e+f)", actions: access.List, key: "g/", want: "list on \"g/\" is allowed to authenticated by `g/{group}/*  authenticated list` (r:7)\nit shows only what is below g/a/, g/b/, g/c/, g/d/ and 2 more"},
		{subject: "alice(groups=a)", actions: access.List, key: "", want: "list on \"\" is allowed to authenticated by `g/{group}/*  authenticated list` (r:7)\n" +
			`it shows only the keys from "g/a/" to before "g/a0", from "m/" to before "m/x/", from "m/x/y/" to before "m/x/y0", from "m/x0" to before "m0" and 3 more`},
		{subject: "alice", actions: access.List, key: "private/", prefix: true, want: `list on "private/" is denied
` + "no single rule gives what is missing to anybody here"},
		{subject: "alice", actions: access.List, key: "m/", prefix: true, want: "list on \"m/\" is allowed to authenticated by `m/*  authenticated get,list` (r:2)\nit shows all of it"},
	} {
		opts := new(access.Options)
		if c.prefix {
			opts.Lists = access.Prefix
		}
		p, err := access.Parse("r", []byte(rules), opts)
		if err != nil {
			t.Fatal(err)
		}
		s, err := access.ParseSubject(c.subject)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Explain(&s, c.actions, c.key); got != c.want {
			t.Errorf("%s %s %s:\n%s\nwant\n%s", c.subject, c.actions, c.key, got, c.want)
		}
	}
	if d := new(access.Policy).Ask(&access.Subject{}, access.List, ""); d.Allowed {
		t.Error("an empty policy allows a list")
	}
}

// TestAskOfSeveral gives a list by one rule, and the rest by another.
func TestAskOfSeveral(t *testing.T) {
	p, err := access.Parse("r", []byte("private/{entity_id}/* authenticated get owner read"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := access.ParseSubject("alice")
	if err != nil {
		t.Fatal(err)
	}
	d := p.Ask(&s, access.Read, "private/")
	if !d.Allowed || d.Role != "owner" || d.Rule == nil || d.Rule.Who != "owner" {
		t.Errorf("decision %+v", d)
	}
	const want = `get,list on "private/" is allowed
get is allowed to authenticated by ` + "`private/{entity_id}/*  authenticated get` (r:1)" + `
list is allowed to owner by ` + "`private/{entity_id}/*  owner get,list` (r:1)" + `
it shows only what is below private/alice/`
	if got := p.Explain(&s, access.Read, "private/"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	d = p.Ask(&s, access.List|access.Write, "private/")
	if d.Allowed || d.Rule != nil || d.Nearest != nil {
		t.Errorf("decision %+v", d)
	}
	if d := p.Ask(&s, access.Get, "private/bob/x"); d != p.Decide(&s, access.Get, "private/bob/x") {
		t.Errorf("decision %+v on a key", d)
	}
}

// TestAskRandom compares Ask with what a server does, and with Explain.
func TestAskRandom(t *testing.T) {
	w := world{rand.New(rand.NewPCG(21, 22))}
	lists := 0
	for i := range 1000 {
		p, rules := w.policy(8, &access.Options{Groups: access.GroupMode(i % 2), Lists: access.ListMode(i / 2 % 2), AcceptOwnerWithoutToken: true})
		for range 20 {
			s, a, key := w.subject(), access.Action(1+w.IntN(31)), w.key(rules)
			if w.IntN(2) == 0 {
				key = key[:strings.LastIndex(key, "/")+1]
			}
			want := true
			for _, one := range singles {
				switch {
				case a&one == 0:
				case one == access.List && (key == "" || strings.HasSuffix(key, "/")):
					visible := p.Visible(&s, key) != nil
					want = want && visible
					if visible && !p.Decide(&s, one, key).Allowed {
						lists++
					}
				default:
					want = want && p.Decide(&s, one, key).Allowed
				}
			}
			d := p.Ask(&s, a, key)
			if d.Allowed != want || d.Allowed != (d.Rule != nil) || d.Allowed != (d.Role != "") || d.Allowed && d.Nearest != nil {
				t.Fatalf("rules\n%s%v %s %q: %+v, want %v", p, s, a, key, d, want)
			}
			first, _, _ := strings.Cut(p.Explain(&s, a, key), "\n")
			if strings.Contains(first, " is allowed") != want || strings.HasSuffix(first, " is denied") == want {
				t.Fatalf("rules\n%s%v %s %q: %s", p, s, a, key, first)
			}
		}
	}
	if lists < 50 {
		t.Errorf("only %d lists show less than all", lists)
	}
}
