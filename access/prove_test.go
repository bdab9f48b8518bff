package access_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// claim is a statement as the naive prover reads it: words and strings.
type claim struct {
	verb    string // never, always, only
	parties []string
	actions access.Action
	pattern string
}

func (c claim) String() string {
	words := "only " + strings.Join(c.parties, ", ") + " can "
	switch {
	case c.verb == "only" && c.parties == nil:
		words = "nobody can "
	case c.verb != "only":
		words = c.parties[0] + " can " + c.verb + " "
	}
	return words + c.actions.String() + " " + c.pattern
}

func (w world) claim(rules []access.Rule) claim {
	c := claim{verb: pick(w, []string{"never", "always", "only"}), actions: access.Action(1 + w.IntN(31))}
	switch w.IntN(6) {
	case 0:
	case 1:
		c.pattern = w.rule(0).Path
	case 2:
		c.pattern = strings.Trim(w.key(rules), "/") + "/*"
	case 3:
		c.pattern = strings.Trim(w.key(rules), "/")
	default:
		if len(rules) > 0 {
			c.pattern = pick(w, rules).Path
		}
	}
	if strings.Contains(c.pattern, "..") || strings.Contains(c.pattern, "*/") || strings.HasPrefix(c.pattern, "/") {
		c.pattern = ""
	}
	parties := []string{"guest", "authenticated", "group:v", "group:w", "function:f"}
	if strings.Contains(c.pattern, "{") {
		parties = append(parties, "owner", "others", "owner", "others")
	}
	if c.verb != "only" {
		c.parties = []string{pick(w, append(parties, "anybody"))}
		return c
	}
	for range w.IntN(3) {
		if p := pick(w, parties); !slices.Contains(c.parties, p) {
			c.parties = append(c.parties, p)
		}
	}
	return c
}

// covers reports whether a key is in the pattern, and the segment that stands for the token.
func (c claim) covers(n naive, key string) (value string, ok bool) {
	prefix, all := strings.CutSuffix(c.pattern, "*")
	if c.pattern == "" {
		return "", true
	}
	if strings.Contains(prefix, "{") {
		before, _, _ := tokenOf(prefix)
		rest, ok := strings.CutPrefix(key, before)
		if !ok {
			return "", false
		}
		value, _, ok = strings.Cut(rest, "/")
		if !ok || !slices.Contains(n.values(before+"{sub}/", access.Subject{Authenticated: true, Sub: value}), value) {
			return "", false
		}
		prefix = replaceToken(prefix, value)
	}
	if all {
		return value, strings.HasPrefix(key, prefix)
	}
	return value, key == prefix
}

// about reports whether the claim says something about a subject.
func (c claim) about(s access.Subject, value string) bool {
	is := func(p string) bool {
		user := s.Authenticated && s.Function == ""
		own := func() bool {
			_, token, _ := tokenOf(c.pattern)
			return slices.Contains(naive{}.values(token+"/", s), value)
		}
		switch p {
		case "anybody":
			return s.Function == "" || c.verb == "never"
		case "guest":
			return !s.Authenticated && s.Function == ""
		case "authenticated":
			return user
		case "owner":
			return user && own()
		case "others":
			return user && !own()
		}
		if name, ok := strings.CutPrefix(p, "function:"); ok {
			return s.Function == name
		}
		name := strings.TrimPrefix(p, "group:")
		return user && slices.Contains(s.Groups, name) &&
			(c.verb == "only" || !slices.ContainsFunc(s.Groups, func(g string) bool { return g != name }))
	}
	if c.verb != "only" {
		return is(c.parties[0])
	}
	return !slices.ContainsFunc(c.parties, is)
}

// TestProveRandom compares Prove with random questions: none of them may be a
// counterexample to what holds, and a counterexample must be one by the naive
// evaluator.
func TestProveRandom(t *testing.T) {
	w := world{rand.New(rand.NewPCG(11, 12))}
	holds, fails, found := 0, 0, 0
	for i := range 3000 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(8, opts)
		n := naive{rules, opts.Groups}
		c := w.claim(rules)
		st, err := access.ParseStatement(c.String())
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		proof := p.Prove(st)
		wrong := func(s access.Subject, key string) access.Action {
			value, ok := c.covers(n, key)
			if !ok || !c.about(s, value) {
				return 0
			}
			for _, a := range singles {
				if c.actions&a != 0 && p.Decide(&s, a, key).Allowed != (c.verb == "always") {
					return a
				}
			}
			return 0
		}
		if x := proof.Counterexample; proof.Holds != (x == nil) {
			t.Fatalf("proof %+v", proof)
		} else if x != nil {
			fails++
			value, ok := c.covers(n, x.Key)
			if !ok || !c.about(x.Subject, value) || c.actions&x.Action == 0 || x.Action&(x.Action-1) != 0 ||
				n.allowed(x.Subject, x.Action, x.Key) != (c.verb != "always") || x.Decision.Allowed != (c.verb != "always") {
				t.Fatalf("rules\n%s%s: %v is no counterexample: %v", p, c, x, x.Subject)
			}
			if access.CheckKey(x.Key) != nil || x.Who == "" || x.String() == "" {
				t.Fatalf("counterexample %+v", x)
			}
			continue
		}
		holds++
		for range 200 {
			s, key := w.subject(), w.key(rules)
			if c.pattern != "" && w.IntN(2) == 0 {
				key = strings.TrimSuffix(c.pattern, "*")
				if strings.Contains(key, "{") {
					key = replaceToken(key, pick(w, []string{"v", "w", "x", "a"}))
				}
				if strings.HasSuffix(c.pattern, "*") {
					key += w.key(nil)
				}
			}
			if value, ok := c.covers(n, key); ok && c.about(s, value) {
				found++
			}
			if a := wrong(s, key); a != 0 {
				t.Fatalf("rules\n%s%s is said to hold, but not for %v %s %q", p, c, s, a, key)
			}
		}
	}
	if holds < 300 || fails < 300 || found < 3000 {
		t.Errorf("%d hold, %d do not, %d questions were about them: too one-sided", holds, fails, found)
	}
}

// TestProve has statements about rules that are easy to read.
func TestProve(t *testing.T) {
	const rules = `
public/*                 guest read   authenticated read,write,delete
protected/{entity_id}/*  guest get    authenticated read   owner read,write,delete
private/{entity_id}/*    owner read,write,delete
docs/*                   authenticated read   group:staff write   function:index read
docs/legal/*             group:legal read,write
teams/{group}/*          authenticated read
`
	p, err := access.Parse("p", []byte(rules), nil)
	if err != nil {
		t.Fatal(err)
	}
	const other = "us-east-1:2f90c6ab-e814-47d3-8b5a-61f3d09e0001"
	for _, c := range []struct{ statement, counterexample string }{
		{"guest can never write", ""},
		{"guest can never delete,versions", ""},
		{"guest can never get private/*", ""},
		{"guest can never get", "guest(identity=us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab60001) get protected/file"},
		{"guest can never get protected/{entity_id}/*", "guest(identity=us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab60001) get protected/" + other + "/file"},
		{"nobody can versions", ""},
		{"nobody can delete docs/*", ""},
		{"nobody can write elsewhere/*", ""},
		{"anybody can always read public/*", ""},
		{"authenticated can always get public/*", ""},
		{"authenticated can always get docs/*", "alice(identity=us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab60001, sub=e1b7a540-93c8-4d2e-b6f5-08c2741d0001) get docs/legal/file"},
		{"group:staff can write docs/*", "alice(identity=us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab60001, sub=e1b7a540-93c8-4d2e-b6f5-08c2741d0001, groups=staff) write docs/legal/file"},
		{"group:staff can always read,write docs/index.html", ""},
		{"group:staff can always read teams/staff/*", ""},
		{"group:staff can always read teams/{group}/*", "alice(identity=us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab60001, sub=e1b7a540-93c8-4d2e-b6f5-08c2741d0001, groups=staff) get teams/team2/file"},
		{"only owner can read private/{entity_id}/*", ""},
		{"only owner can read,write,delete,versions private/{entity_id}/*", ""},
		{"owner can always read,write,delete private/{entity_id}/*", ""},
		{"only group:admin, owner can write protected/{entity_id}/*", ""},
		{"others can never get private/{entity_id}/*", ""},
		{"others can never get protected/{entity_id}/*", "alice(identity=us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab60001, sub=e1b7a540-93c8-4d2e-b6f5-08c2741d0001) get protected/" + other + "/file"},
		{"authenticated can never get private/bob/x", "alice(identity=bob, sub=e1b7a540-93c8-4d2e-b6f5-08c2741d0001) get private/bob/x"},
		{"only group:legal can read docs/legal/*", ""},
		{"only group:legal, group:staff can write docs/*", ""},
		{"only group:legal can write docs/*", "alice(identity=us-east-1:7c4e19d2-5b3f-4a68-9e01-d27f8ab60001, sub=e1b7a540-93c8-4d2e-b6f5-08c2741d0001, groups=staff) write docs/file"},
		{"only authenticated can read docs/*", "function:index get docs/file"},
		{"function:index can never write", ""},
		{"function:other can never get", ""},
	} {
		st, err := access.ParseStatement(c.statement)
		if err != nil {
			t.Errorf("%s: %v", c.statement, err)
			continue
		}
		proof := p.Prove(st)
		got := ""
		if x := proof.Counterexample; x != nil {
			got = x.Subject.String() + " " + x.Action.String() + " " + x.Key
		}
		if got != c.counterexample || proof.Holds != (got == "") || proof.Cases == 0 {
			t.Errorf("%s: holds %v in %d cases, counterexample %q, want %q", c.statement, proof.Holds, proof.Cases, got, c.counterexample)
		}
	}
	if proof := new(access.Policy).Prove(access.Statement{}); !proof.Holds {
		t.Error("to claim nothing does not hold")
	}
}

// TestProveNotes has what people are told of statements that are likely others.
func TestProveNotes(t *testing.T) {
	const rules = `
admin/*             guest write
docs/legal/x/*      group:legal read   function:index get
private/{entity_id}/* owner read
teams/{sub}/in/*    owner read
`
	const shorter = "with lists: prefix, a list of a shorter prefix may show these names, too"
	for _, c := range []struct {
		statement string
		lists     access.ListMode
		want      string
	}{
		{"guest can never write admin", access.Filtered, "admin is one key; admin/* is all below it"},
		{"guest can never write admin/*", access.Filtered, ""},
		{"guest can never write admi", access.Filtered, "no rule is about this path; did you mean admin/*?"},
		{"guest can never get docs/legal", access.Filtered, "docs/legal is one key; docs/legal/* is all below it"},
		{"guest can never get docs/legal/x/y", access.Filtered, ""},
		{"guest can never get private/alice", access.Filtered, "private/alice is one key; private/alice/* is all below it"},
		{"guest can never get teams/{sub}/in", access.Filtered, "teams/{sub}/in is one key; teams/{sub}/in/* is all below it"},
		{"guest can never get docs/{sub}/x", access.Filtered, "no rule is about this path"},
		{"group:legal can never write", access.Filtered, ""},
		{"groupslegal can never write", access.Filtered, ""},
		{"group:leagl can never write", access.Filtered, "no rule names group:leagl"},
		{"function:index can never write", access.Filtered, ""},
		{"only group:a, function:f can write docs", access.Filtered, "docs is one key; docs/* is all below it\nno rule names group:a\nno rule names function:f"},
		{"guest can never list private/*", access.Filtered, ""},
		{"guest can never list private/*", access.Prefix, shorter},
		{"guest can never read private/*", access.Prefix, shorter},
		{"guest can never get private/*", access.Prefix, ""},
		{"guest can always list private/*", access.Prefix, ""},
		{"guest can never list", access.Prefix, ""},
	} {
		p, err := access.Parse("p", []byte(rules), &access.Options{Lists: c.lists})
		if err != nil {
			t.Fatal(err)
		}
		st, err := access.ParseStatement(c.statement)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Prove(st).Note; got != c.want {
			t.Errorf("%s: %q, want %q", c.statement, got, c.want)
		}
	}
	st, err := access.ParseStatement("group:x can never get a")
	if err != nil {
		t.Fatal(err)
	}
	if got := (*access.Policy)(nil).Prove(st).Note; got != "no rule names group:x" {
		t.Errorf("of no policy: %q", got)
	}
}
