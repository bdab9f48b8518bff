package access_test

import (
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestExplain has explanations as an operator reads them.
func TestExplain(t *testing.T) {
	const rules = `
m/*               authenticated get
m/x/*             group:admin get
u/{entity_id}/*   owner read,write maxSize=1MB   group:help list
t/{claim:team}/*  authenticated get
t/shared/*
v/{sub}/*         owner get
v/{username}/*    owner get
g/{group}/*       authenticated get
d/` + raw + `/*   guest read,write  owner get
f/*               function:resize get
b/*               authenticated get   group:admin write   guest list
`
	for _, c := range []struct {
		subject string
		actions access.Action
		key     string
		replace bool
		want    string
	}{
		{subject: "alice", actions: access.Get, key: "m/k", want: "get on \"m/k\" is allowed to authenticated by `m/*  authenticated get` (r:2)"},
		{subject: "alice(groups=admin)", actions: access.Get | access.Write, key: "b/k", want: `get,write on "b/k" is allowed
get is allowed to authenticated by ` + "`b/*  authenticated get` (r:12)" + `
write is allowed to group:admin by ` + "`b/*  group:admin write` (r:12)"},
		{subject: "alice", actions: access.Write, key: "u/alice/k", want: "write on \"u/alice/k\" is allowed to owner by `u/{entity_id}/*  owner get,list,write maxSize=1MB` (r:4)\nwhat is written is limited: maxSize=1MB"},
		{subject: "alice", actions: access.Get, key: "m/x/k", want: `get on "m/x/k" is denied
` + "`m/*  authenticated get` (r:2) would give it, but \"m/x/*\" is nearer and does not\nthe nearest rule that gives what is missing is `m/x/*  group:admin get` (r:3)" + `
it is for members of group "admin", and user "alice" is in no group`},
		{subject: "alice(groups=staff+x)", actions: access.Get, key: "m/x/k", want: `get on "m/x/k" is denied
` + "`m/*  authenticated get` (r:2) would give it, but \"m/x/*\" is nearer and does not\nthe nearest rule that gives what is missing is `m/x/*  group:admin get` (r:3)" + `
it is for members of group "admin", and the groups of user "alice" are ["staff" "x"]`},
		{subject: "guest(identity=secret)", actions: access.Get, key: "m/k", want: `get on "m/k" is denied
` + "the nearest rule that gives what is missing is `m/*  authenticated get` (r:2)\nit is for users who are signed in, and this is a guest"},
		{subject: "alice", actions: access.Get, key: "u/bob/k", want: `get on "u/bob/k" is denied
` + "the nearest rule that gives what is missing is `u/{entity_id}/*  owner get,list,write maxSize=1MB` (r:4)" + `
it is for the owner with {entity_id} "bob", and the {entity_id} of user "alice" is another`},
		{subject: `alice(identity="")`, actions: access.Get, key: "u/bob/k", want: `get on "u/bob/k" is denied
` + "the nearest rule that gives what is missing is `u/{entity_id}/*  owner get,list,write maxSize=1MB` (r:4)" + `
it is for the owner with {entity_id} "bob", and user "alice" has no {entity_id}`},
		{subject: "alice(identity=a/b)", actions: access.Get, key: "u/a/b/k", want: `get on "u/a/b/k" is denied
` + "the nearest rule that gives what is missing is `u/{entity_id}/*  owner get,list,write maxSize=1MB` (r:4)" + `
it is for the owner with {entity_id} "a", and the {entity_id} of user "alice" cannot stand in a key`},
		{subject: "alice", actions: access.Get | access.Delete, key: "u/alice/k", want: `get,delete on "u/alice/k" is denied
what is missing is delete
no single rule gives what is missing to anybody here`},
		{subject: "alice", actions: access.Get, key: "t/red/k", want: `get on "t/red/k" is denied
` + "the nearest rule that gives what is missing is `t/{claim:team}/*  authenticated get` (r:5)" + `
it is for users who are signed in with {claim:team} "red", and user "alice" has no {claim:team}`},
		{subject: "alice(claim:team=shared)", actions: access.Get, key: "t/shared/k", want: `get on "t/shared/k" is denied
no single rule gives what is missing to anybody here
"shared" is a path of its own there, and so is nobody's {claim:team}`},
		{subject: "alice(sub=s)", actions: access.Get, key: "v/bob/k", want: `get on "v/bob/k" is denied
` + "the nearest rule that gives what is missing is `v/{sub}/*  owner get` (r:7)" + `
it is for the owner with {sub} "bob", and the {sub} of user "alice" is another
` + "`v/{username}/*  owner get` (r:8)" + ` would give it, but the {username} of user "alice" is another`},
		{subject: "alice", actions: access.Get, key: "g/red/k", want: `get on "g/red/k" is denied
` + "the nearest rule that gives what is missing is `g/{group}/*  authenticated get` (r:9)" + `
it is for users who are signed in with {group} "red", and user "alice" is not a member of group "red"`},
		{subject: "guest(identity=secret)", actions: access.Write, key: "d/dev1/k", want: `write on "d/dev1/k" is denied
` + "the nearest rule that gives what is missing is `d/" + raw + "/*  guest get,list,write` (r:10)" + `
it is for guests with {entity_id} "dev1", and the {entity_id} of a guest is another`},
		{subject: "alice", actions: access.Get, key: "f/k", want: `get on "f/k" is denied
` + "the nearest rule that gives what is missing is `f/*  function:resize get` (r:11)" + `
it is for function "resize", and this is user "alice"`},
		{subject: "function:other", actions: access.Get, key: "u/other/k", want: `get on "u/other/k" is denied
` + "the nearest rule that gives what is missing is `u/{entity_id}/*  owner get,list,write maxSize=1MB` (r:4)" + `
it is for the owner with {entity_id} "other", and this is function "other"`},
		{subject: "alice", actions: access.Get, key: "u//k", want: `get on "u//k" is denied
no single rule gives what is missing to anybody here`},
		{subject: "alice", actions: access.Get, key: "n/k", want: `get on "n/k" is denied
no single rule gives what is missing to anybody here`},
		{subject: "alice(groups=admin)", actions: access.Get, key: "b/k", replace: true, want: `get on "b/k" is denied
` + "the nearest rule that gives what is missing is `b/*  authenticated get` (r:12)" + `
it is for users who are signed in, and with groups: replace only the first group counts, which is "admin"`},
	} {
		text, opts := rules, new(access.Options)
		if c.replace {
			text, opts.Groups = strings.ReplaceAll(rules, "g/{group}/*  ", "g/* "), access.Replace
		}
		p, err := access.Parse("r", []byte(text), opts)
		if err != nil {
			t.Fatal(err)
		}
		s, err := access.ParseSubject(c.subject)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Explain(&s, c.actions, c.key)
		if got != c.want {
			t.Errorf("%s %s %s:\n%s\nwant\n%s", c.subject, c.actions, c.key, got, c.want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%s: the explanation has an identity id", got)
		}
	}
}
