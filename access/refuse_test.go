package access_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

const raw = "${cognito-identity.amazonaws.com:sub}"

// TestRefused has rules that are refused, and why. The reason is that of the first
// problem; "ok" is no problem.
func TestRefused(t *testing.T) {
	strictly := &access.Options{Strict: true}
	replace := &access.Options{Groups: access.Replace}
	prefix := &access.Options{Lists: access.Prefix}
	for _, c := range []struct {
		name  string
		rules string
		opts  *access.Options
		want  access.Reason
	}{
		{"leading slash", "/a/* guest get", nil, access.BadLeadingSlash},
		{"whole bucket", "/* guest get", nil, access.BadLeadingSlash},
		{"star alone", "* guest get", nil, access.BadEnding},
		{"no star", "a/ guest get", nil, access.BadEnding},
		{"no slash", "a* guest get", nil, access.BadEnding},
		{"empty", `"" guest get`, nil, access.BadEnding},
		{"double slash", "a//b/* guest get", nil, access.BadDoubleSlash},
		{"double slash at the end", "a//* guest get", nil, access.BadDoubleSlash},
		{"star inside", "a/*/b/* guest get", nil, access.BadWildcard},
		{"star in a segment", "a*/* guest get", nil, access.BadWildcard},
		{"two stars", "a/** guest get", nil, access.BadEnding},
		{"question mark", "a/?/* guest get", nil, access.BadCharacter},
		{"control character", `"a\x07/*" guest get`, nil, access.BadCharacter},
		{"NUL", `"a\x00/*" guest get`, nil, access.BadCharacter},
		{"C1 control", `"a\u0085/*" guest get`, nil, access.BadCharacter},
		{"not NFC", `"e\u0301/*" guest get`, nil, access.BadEncoding},
		{"not UTF-8", `"\xff/*" guest get`, nil, access.BadEncoding},
		{"dot", "a/./* guest get", nil, access.BadDots},
		{"dot dot", "../a/* guest get", nil, access.BadDots},
		{"too long", strings.Repeat("a/", 512) + "* guest get", nil, access.BadLength},
		{"long", strings.Repeat("a/", 511) + "* guest get", nil, "ok"},
		{"three dots", ".../a/* guest get", nil, "ok"},
		{"dollar", "a$/* guest get", nil, "ok"},

		{"unknown token", "a/{user}/* owner get", nil, access.BadToken},
		{"unknown variable", "a/${aws:username}/* owner get", nil, access.BadToken},
		{"empty token", "a/{}/* owner get", nil, access.BadToken},
		{"claim without a name", "a/{claim:}/* owner get", nil, access.BadToken},
		{"open brace", "a/{sub/* owner get", nil, access.BadToken},
		{"two tokens", "a/{sub}/{username}/* owner get", nil, access.BadTokenTwice},
		{"the same token twice", "a/{entity_id}/{entity_id}/* owner get", nil, access.BadTokenTwice},
		{"both grammars", "a/{entity_id}/" + raw + "/* owner get", nil, access.BadTokenTwice},
		{"two tokens in a segment", "a/{sub}{sub}/* owner get", nil, access.BadTokenTwice},
		{"token not alone", "a/x{entity_id}/* owner get", nil, access.BadTokenNotAlone},
		{"claim not alone", "a/{claim:t}-x/* owner get", nil, access.BadTokenNotAlone},
		{"variable not alone", "a/x" + raw + "/* owner get", nil, access.BadTokenNotAlone},
		{"token for others not last", "a/{entity_id}/b/* authenticated get", nil, access.BadTokenNotLast},
		{"token for the owner not last", "a/{entity_id}/b/* owner get", nil, "ok"},
		{"variable for others not last", "a/" + raw + "/b/* authenticated get guest get group:x get", nil, "ok"},
		{"token for others first", "{entity_id}/* guest get", nil, access.BadTokenFirst},
		{"token for the owner first", "{entity_id}/* owner get", nil, "ok"},
		{"many tokens side by side", manyTokens(8), nil, "ok"},
		{"too many tokens side by side", manyTokens(9), nil, access.BadTokenBeside},

		{"above a token", "a/* guest get\na/{entity_id}/* owner get", nil, access.BadAboveToken},
		{"far above a token", "a/b/{entity_id}/x/* owner get\na/* guest get", nil, access.BadAboveToken},
		{"token above a token", "a/{entity_id}/* owner get\na/{entity_id}/x/* owner get", nil, access.BadAboveToken},
		{"token for others above a token", "a/{entity_id}/* guest get\na/b/{entity_id}/* owner get", nil, access.BadAboveToken},
		{"token for owners above a token", "a/{entity_id}/* owner get\na/b/{entity_id}/* owner get", nil, "ok"},
		{"beside a token", "a/b/* guest get\na/{entity_id}/* owner get", nil, "ok"},
		{"above without a slash", "a/* guest get\nab/{entity_id}/* owner get", nil, "ok"},
		{"above a variable", "a/* guest get\na/" + raw + "/* owner get", nil, "ok"},
		{"nothing above a token", "a/*\na/{entity_id}/* owner get", nil, access.BadAboveToken},

		{"unknown who", "a/* everybody get", nil, access.BadWho},
		{"no group name", "a/* group: get", nil, access.BadWho},
		{"groups colon", "a/* groups:admin get", nil, access.BadWho},
		{"group with a slash", "a/* group:a/b get", nil, access.BadWho},
		{"group with a star", "a/* groups* get", nil, access.BadWho},
		{"unknown action", "a/* guest put", nil, access.BadAction},
		{"empty action", `a/* guest ""`, nil, access.BadAction},
		{"no action", "a/* guest", nil, access.BadNoAction},
		{"open quotes", `"a/* guest get`, nil, access.BadSyntax},
		{"text behind quotes", `"a/*"b guest get`, nil, access.BadSyntax},
		{"empty who", `a/* "" get`, nil, access.BadWho},
		{"token without a rule", "a/{sub}/*", nil, access.BadNoAction},

		{"twice", "a/* guest get guest list", nil, access.BadDuplicate},
		{"twice by lines", "a/* guest get\nb/* guest get\na/* guest list", nil, access.BadDuplicate},
		{"group twice", "a/* group:x get\na/* groupsx list", nil, access.BadDuplicate},
		{"owner twice", "a/{sub}/* owner get\na/{sub}/* entityidentity list", nil, access.BadDuplicate},
		{"owner by two names", "a/{entity_id}/* owner get\na/" + raw + "/* owner list", nil, access.BadDuplicate},
		{"nobody twice", "a/*\na/*", nil, access.BadDuplicate},

		{"owner without token", "a/* owner get", nil, access.BadOwnerNoToken},
		{"owner without token, strict", "a/* owner get", strictly, "ok"},
		{"owner without token, replace", "a/* owner get", replace, "ok"},
		{"guest with a user name", "a/{username}/* guest get", nil, access.BadGuestToken},
		{"guest id listed", "a/* authenticated list\na/" + raw + "/* guest get", nil, access.BadGuestSecret},
		{"guest id listed by one group", "a/* group:x read\na/" + raw + "/in/* guest write", nil, access.BadGuestSecret},
		{"guest id in versions", "a/* group:x versions\na/" + raw + "/* guest get", nil, access.BadGuestSecret},
		{"guest id listed from above", "a/* authenticated list\na/b/" + raw + "/* guest get", nil, access.BadGuestSecret},
		{"guest id not listed", "a/* authenticated list\na/b/*\na/b/" + raw + "/* guest read", nil, "ok"},
		{"guest id listed by prefix", "a/* authenticated list\na/b/*\na/b/" + raw + "/* guest read", prefix, access.BadGuestSecret},
		{"guest id only got", "a/* authenticated get,write\na/" + raw + "/* guest read", nil, "ok"},
		{"group token in replace", "a/{group}/* authenticated get", replace, access.BadGroupToken},

		{"strict nesting", "a/* guest get\na/b/* guest get\na/b/c/* guest get", strictly, access.BadNesting},
		{"nesting", "a/* guest get\na/b/* guest get\na/b/c/* guest get", nil, "ok"},
		{"strict nesting under a token", "a/{entity_id}/* guest get\na/b/* guest get\na/b/c/* guest get", strictly, access.BadNesting},
		{"strict one level", "a/* guest get\na/b/* guest get\na/c/d/* guest get", strictly, "ok"},
		{"strict variable", "a/* authenticated get\na/" + raw + "/* owner write", strictly, "ok"},
		{"strict variable lower", "a/* authenticated get\na/b/" + raw + "/* owner write", strictly, access.BadNesting},
		{"strict token not last", "a/{entity_id}/b/* owner get", strictly, access.BadTokenNotLast},
		{"strict token first", "{entity_id}/* owner get", strictly, access.BadTokenFirst},
		{"strict token", "a/{sub}/* owner get", strictly, access.BadToken},
		{"strict action", "a/* guest versions", strictly, access.BadAction},
		{"unknown mode", "a/* guest get", &access.Options{Groups: 7}, access.BadOption},
	} {
		_, err := access.Parse("test", []byte(c.rules), c.opts)
		got := access.Reason("ok")
		if e, ok := errors.AsType[*access.Error](err); ok {
			got = e.Problems[0].Reason
		}
		if got != c.want {
			t.Errorf("%s: %q is refused for %q, want %q (%v)", c.name, c.rules, got, c.want, err)
		}
	}
}

func manyTokens(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("a/{claim:" + string(rune('a'+i)) + "}/* owner get\n")
	}
	return b.String()
}

// TestAllProblems checks that one reading reports all that is wrong, in the order
// of the rules and with their lines.
func TestAllProblems(t *testing.T) {
	_, err := access.Parse("my.rules", []byte(`# three good lines
public/*   guest read
  private/{entity_id}/*	owner read   # with a tab

/a/*       guest get  nobody get
b/*        guest put  authenticated get guest get  owner
c/*        guest get
"d
c/*        guest list
private/*  guest get
`), nil)
	if !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("error %v is not fs.ErrInvalid", err)
	}
	e, ok := errors.AsType[*access.Error](err)
	if !ok {
		t.Fatalf("error is a %T", err)
	}
	type problem struct {
		pos, who string
		reason   access.Reason
	}
	var got []problem
	for _, p := range e.Problems {
		got = append(got, problem{p.Pos, p.Who, p.Reason})
	}
	want := []problem{
		{"my.rules:3", "", access.BadAboveToken},
		{"my.rules:5", "", access.BadLeadingSlash},
		{"my.rules:5", "nobody", access.BadWho},
		{"my.rules:6", "guest", access.BadAction},
		{"my.rules:6", "owner", access.BadNoAction},
		{"my.rules:8", "", access.BadSyntax},
		{"my.rules:9", "guest", access.BadDuplicate},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, want[i].pos+": ") {
			t.Errorf("line %d of the error is %q", i, line)
		}
	}
	if !strings.Contains(err.Error(), "already a rule for the same on this path, at my.rules:7") {
		t.Errorf("the duplicate does not name the first: %v", err)
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct {
		rule access.Rule
		want access.Reason
	}{
		{access.Rule{Path: "a/*", Who: "guest"}, access.BadNoAction},
		{access.Rule{Path: "a/*", Actions: access.Get}, access.BadWho},
		{access.Rule{Path: "a/*", Who: "guest", Actions: 1 << 6}, access.BadAction},
		{access.Rule{}, access.BadEnding},
	} {
		p, _, err := access.Compile([]access.Rule{c.rule}, nil)
		e, ok := errors.AsType[*access.Error](err)
		if !ok || e.Problems[0].Reason != c.want || p != nil {
			t.Errorf("%v: %v, want %q", c.rule, err, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		rules string
		opts  access.Options
		want  []string // position and reason
	}{
		{"a/* guest read", access.Options{}, nil},
		{"b/* guest get\na/* owner get", access.Options{AcceptOwnerWithoutToken: true}, []string{"w:2 " + string(access.BadOwnerNoToken)}},
		{"a/{sub}/* owner get\na/{username}/* owner get", access.Options{}, []string{"w:2 " + string(access.WarnTokens)}},
		{"a/* guest read\na/b/* guest get", access.Options{Lists: access.Prefix}, []string{"w:1 " + string(access.WarnListed)}},
		{"a/* guest read\na/b/* guest list", access.Options{Lists: access.Prefix}, nil},
		{"a/* guest read\na/b/* guest get", access.Options{}, nil},
	} {
		p, err := access.Parse("w", []byte(c.rules), &c.opts)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range p.Warnings() {
			got = append(got, w.Pos+" "+string(w.Reason))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: warnings %q, want %q", c.rules, got, c.want)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"", "a", "a/b", "a//b", "/", "...", "a/.b/c", "a/b./c", "..a", "%2e%2e/a", `..\a`, "a/..%2f"} {
		if err := access.CheckKey(key); err != nil {
			t.Errorf("key %q is refused: %v", key, err)
		}
	}
	for _, key := range []string{".", "..", "a/..", "../a", "a/../b", "a/./b", "./a", "a/.", "a\x00", "\x00"} {
		if err := access.CheckKey(key); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("key %q: error %v, want fs.ErrInvalid", key, err)
		}
	}
}

func TestActions(t *testing.T) {
	for text, want := range map[string]access.Action{
		"get": access.Get, "read": access.Get | access.List, "list,get": access.Read, "read,get,get": access.Read,
		"write,delete,versions": access.Write | access.Delete | access.Versions,
	} {
		if a, err := access.ParseAction(text); err != nil || a != want {
			t.Errorf("ParseAction(%q) = %v, %v, want %v", text, a, err, want)
		}
	}
	for _, text := range []string{"", "put", "get,", ",get", "get list", "Get", "all", "none"} {
		if a, err := access.ParseAction(text); !errors.Is(err, fs.ErrInvalid) || a != 0 {
			t.Errorf("ParseAction(%q) = %v, %v, want an error", text, a, err)
		}
	}
	for a := access.Action(1); a < 32; a++ {
		if b, err := access.ParseAction(a.String()); err != nil || b != a {
			t.Errorf("%d prints as %q and reads as %d, %v", a, a, b, err)
		}
	}
	if s := access.Action(0).String(); s != "none" {
		t.Errorf("no action is %q", s)
	}
}

// TestNothing asks policies that hold nothing, and about nobody.
func TestNothing(t *testing.T) {
	full, err := access.Parse("full", []byte("a/* guest read,write,delete,versions authenticated read,write,delete,versions"), nil)
	if err != nil {
		t.Fatal(err)
	}
	everything := access.Read | access.Write | access.Delete | access.Versions
	s := access.Subject{Identity: "ann", Authenticated: true}
	for _, p := range []*access.Policy{nil, new(access.Policy)} {
		if d := p.Decide(&s, access.Get, "a/b"); d != (access.Decision{}) {
			t.Errorf("an empty policy decides %+v", d)
		}
		if p.Visible(&s, "") != nil || p.MayList(&s, "a/").Allowed || p.Lists() != access.Filtered || p.Groups() != access.Union ||
			p.String() != "" || p.Rules() != nil || p.Warnings() != nil {
			t.Error("an empty policy is not empty")
		}
		if text := p.Explain(&s, access.Get, "a/b"); !strings.Contains(text, "denied") {
			t.Errorf("an empty policy explains %q", text)
		}
	}
	if !full.Decide(&s, everything, "a/b").Allowed || !full.Decide(new(access.Subject), everything, "a/b").Allowed {
		t.Error("a full policy denies")
	}
	if full.Decide(nil, access.Get, "a/b").Allowed || full.Visible(nil, "a/") != nil {
		t.Error("nobody has rights")
	}
	if full.Decide(&s, 0, "a/b").Allowed || full.Decide(&s, 1<<5|access.Get, "a/b").Allowed {
		t.Error("no action, or an unknown one, is allowed")
	}
}

// TestRulesAreCopied changes what went in and came out.
func TestRulesAreCopied(t *testing.T) {
	rules := []access.Rule{{Path: "a/*", Who: "guest", Actions: access.Get}}
	p, _, err := access.Compile(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules[0].Actions = 0
	p.Rules()[0].Actions = access.Delete
	if !p.Decide(new(access.Subject), access.Get, "a/b").Allowed || p.Decide(new(access.Subject), access.Delete, "a/b").Allowed {
		t.Error("the policy changed")
	}
}
