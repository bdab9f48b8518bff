package access_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestProveNotesOfRules has what only the rules can tell of a statement.
func TestProveNotesOfRules(t *testing.T) {
	const rules = `
public/*             guest read  authenticated read,write
public/drafts/*      group:staff read,write
teams/{group}/*      authenticated read
private/{entity_id}/* owner read,write
inbox/*              authenticated write maxSize=1MB  group:staff write
inbox/big/*          authenticated write
`
	p := mustParse(t, rules, nil)
	for _, c := range []struct{ statement, want string }{
		// A group's members may be in another group, too.
		{"group:legal can never write public/drafts/*", "no rule names group:legal\nthis is not about members of group:legal who are in another group too, of whom some may, by `public/drafts/*  group:staff get,list,write` (rules:3)"},
		{"group:staff can never delete public/drafts/*", ""},
		{"group:staff can never get teams/red/*", "this is not about members of group:staff who are in another group too, of whom some may, by `teams/{group}/*  authenticated get,list` (rules:4)"},
		{"group:staff can always get public/*", ""},

		// Nobody wrote a rule for the path.
		{"guest can never get Public/*", "no rule is about this path; did you mean public/*?"},
		{"guest can never get PUBLIC/logo.png", "no rule is about this path; did you mean public/logo.png?"},
		{"guest can never get pubilc/images/*", "no rule is about this path; did you mean public/images/*?"},
		{"guest can never get privat/{entity_id}/*", "no rule is about this path; did you mean private/{entity_id}/*?"},
		{"guest can never get privates/alice/x", "no rule is about this path; did you mean private/alice/x?"},
		{"guest can never get elsewhere/*", "no rule is about this path"},
		{"guest can never get public/images/*", ""},
		{"guest can never get private/*", ""},
		{"guest can never get private/alice/x", ""},

		// What may be written may have limits.
		{"authenticated can always write inbox/*", "not everything may be written: there are the limits of `inbox/*  authenticated write maxSize=1MB` (rules:6)"},
		{"group:staff can always write inbox/*", ""},
		{"authenticated can always write inbox/big/*", ""},
		{"guest can never write inbox/*", ""},
		{"guest can always write inbox/*", ""},
	} {
		st, err := access.ParseStatement(c.statement)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Prove(st).Note; got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.statement, got, c.want)
		}
	}
	replace := mustParse(t, "a/* group:x get group:y get,write", &access.Options{Groups: access.Replace})
	st, err := access.ParseStatement("group:x can never write a/*")
	if err != nil {
		t.Fatal(err)
	}
	if got := replace.Prove(st); !got.Holds || !strings.Contains(got.Note, "whose first group is another") {
		t.Errorf("with groups that replace: %v %q", got.Holds, got.Note)
	}
}

// TestQuestionMark has somebody try another wildcard.
func TestQuestionMark(t *testing.T) {
	for _, pattern := range []string{"docs/?/*", "docs/a?.txt", "do?s/*"} {
		_, err := access.ParseStatement("guest can never get " + pattern)
		if !errors.Is(err, fs.ErrInvalid) || !strings.Contains(fmt.Sprint(err), `"?" is no wildcard`) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

// TestListedOnce has many who list a path above many others: one warning for each of those.
func TestListedOnce(t *testing.T) {
	const n = 2000
	var rules []access.Rule
	for i := range n {
		rules = append(rules,
			access.Rule{Path: "u/*", Who: fmt.Sprintf("group:g%04d", i), Actions: access.Read},
			access.Rule{Path: fmt.Sprintf("u/p%04d/*", i), Who: fmt.Sprintf("group:g%04d", i), Actions: access.Read})
	}
	_, warnings, err := access.Compile(rules, &access.Options{Lists: access.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != n {
		t.Fatalf("%d warnings, want %d", len(warnings), n)
	}
	want := access.Problem{
		Path: "u/*", Who: "group:g0000", Reason: access.WarnListed,
		Text: `with lists: prefix, a list of "u/" shows the names below "u/p0001/" too, to this role and 1998 more`,
	}
	if warnings[0] != want {
		t.Errorf("got  %+v\nwant %+v", warnings[0], want)
	}
	if last := warnings[n-1]; last.Who != "group:g0001" || !strings.Contains(last.Text, `"u/p0000/"`) {
		t.Errorf("the path of the first group: %+v", last)
	}
}
