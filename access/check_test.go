package access_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

func TestParseTests(t *testing.T) {
	tests, err := access.ParseTests("rules.test", []byte("\ufeff# levels\r\n"+
		"as guest get public/logo.png -> allow\r\n"+
		"\n"+
		"  as\talice( groups=staff+admin, sub=s )\tread,write  \"docs/to do.txt\" -> deny # why\n"+
		"bucket media # the other one\n"+
		"as \"big bob\" list covers/x -> allow\n"+
		"bucket \"\"\n"+
		"as function:resize delete x -> deny\n"))
	if err != nil {
		t.Fatal(err)
	}
	alice := access.Subject{Authenticated: true, Identity: "alice", Sub: "s", Username: "alice", Groups: []string{"staff", "admin"}}
	bob := access.Subject{Authenticated: true, Identity: "big bob", Sub: "big bob", Username: "big bob"}
	want := []access.Test{
		{"", access.Subject{}, "guest", access.Get, "public/logo.png", true, "rules.test:2"},
		{"", alice, "alice( groups=staff+admin, sub=s )", access.Read | access.Write, "docs/to do.txt", false, "rules.test:4"},
		{"media", bob, `"big bob"`, access.List, "covers/x", true, "rules.test:6"},
		{"", access.Subject{Function: "resize"}, "function:resize", access.Delete, "x", false, "rules.test:8"},
	}
	if !reflect.DeepEqual(tests, want) {
		t.Errorf("got  %+v\nwant %+v", tests, want)
	}
	if s := tests[1].String(); s != `as alice(sub=s, groups=staff+admin) get,list,write "docs/to do.txt" -> deny` {
		t.Errorf("the test prints as %s", s)
	}
	if tests, err := access.ParseTests("", nil); tests != nil || err != nil {
		t.Errorf("no text: %v, %v", tests, err)
	}
}

// TestParseTestsRefuses has all that is wrong in one file.
func TestParseTestsRefuses(t *testing.T) {
	lines := []struct{ line, want string }{
		{"is guest get x -> allow", "want a line such as"},
		{"as guest get x", "want \"as WHO ACTIONS KEY -> allow\""},
		{"as guest get x -> maybe", "want \"as WHO ACTIONS KEY -> allow\""},
		{"as guest get x => allow", "want \"as WHO"},
		{"as guest get my file -> allow", "a key with spaces is written in quotes"},
		{"as guest put x -> allow", "unknown action \"put\""},
		{"as guest(groups=x) get x -> allow", "who: a guest has an identity and nothing else"},
		{"as guest\"x\" get x -> allow", "who: something stands right behind"},
		{"as alice get a/../x -> allow", "has a \"..\" segment"},
		{`as alice get "x -> allow`, "a quoted field has no end"},
		{"as", "who: want guest"},
		{"bucket", "want the name of one bucket"},
		{"bucket a b", "want the name of one bucket"},
		{"as guest get,users x -> allow", "unknown action \"users\""},
		{"as users get x -> allow", "who: users are many"},
		{"as alice " + strings.Repeat("g", 5000) + " x -> deny", "unknown action \"" + strings.Repeat("g", 77) + "...\""},
	}
	var text []string
	for _, l := range lines {
		text = append(text, l.line)
	}
	_, err := access.ParseTests("t", []byte(strings.Join(text, "\n")))
	e, ok := errors.AsType[*access.Error](err)
	if !ok || len(e.Problems) != len(lines) {
		t.Fatalf("error %v", err)
	}
	for i, l := range lines {
		if p := e.Problems[i]; !strings.Contains(p.Text, l.want) || p.Reason != access.BadSyntax {
			t.Errorf("%s: %v, want %q", l.line, p, l.want)
		}
	}
	if p := e.Problems[3].Pos; p != "t:4" {
		t.Errorf("the position is %q", p)
	}
}

func TestCheck(t *testing.T) {
	p, err := access.Parse("c", []byte("docs/* authenticated read group:staff write\ndocs/legal/* group:legal read\nprivate/{entity_id}/* owner read"), nil)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := access.ParseTests("rules.test", []byte(`
as alice read docs/x -> allow
as alice(groups=staff) read,write docs/x -> allow
as alice write,delete docs/x -> deny
as guest read docs/x -> deny
as alice write docs/x -> allow
as alice read,write docs/x -> deny
as alice read docs/legal/x -> allow
as alice list private/ -> allow
as alice list private -> allow
as guest list private/ -> deny
as alice read private/ -> allow
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, test := range tests {
		if f := test.Check(p); f != nil {
			first, _, _ := strings.Cut(f.String(), "\n")
			got = append(got, f.Action.String()+" "+first)
			if f.Why != p.Explain(&test.Subject, f.Action, test.Key) || !strings.Contains(f.String(), "\n    "+f.Action.String()+" on ") {
				t.Errorf("failure %s", f)
			}
		}
	}
	want := []string{
		"write rules.test:6: as alice write docs/x -> allow",
		"get rules.test:7: as alice get,list,write docs/x -> deny", // reading is allowed
		"get rules.test:8: as alice get,list docs/legal/x -> allow",
		"list rules.test:10: as alice list private -> allow",     // a key, and not below the path
		"get rules.test:12: as alice get,list private/ -> allow", // the list alone would be
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// FuzzParseTests reads any text. What are tests print, and what they print are the
// same tests.
func FuzzParseTests(f *testing.F) {
	f.Add("as guest get x -> allow\nbucket b\nas alice(groups=a+b) read,write \"x y\" -> deny # c")
	f.Add("bucket \"\"\r\nas \"guest\"(sub=\"\") list \"\" -> deny")
	f.Add("as function:\"f\tg\" versions #x -> allow")
	f.Fuzz(func(t *testing.T, text string) {
		tests, err := access.ParseTests("fuzz", []byte(text))
		if err != nil {
			if e, ok := errors.AsType[*access.Error](err); !ok || len(e.Problems) == 0 || tests != nil {
				t.Fatalf("%q: %v, %v", text, tests, err)
			}
			return
		}
		for _, test := range tests {
			again, err := access.ParseTests("again", []byte(test.String()))
			if err != nil || len(again) != 1 {
				t.Fatalf("%q prints as %s: %v", text, test, err)
			}
			a := again[0]
			a.Bucket, a.Pos, a.Who = test.Bucket, test.Pos, test.Who
			if !reflect.DeepEqual(a, test) {
				t.Fatalf("%q prints as %s and is then %+v, want %+v", text, test, a, test)
			}
		}
	})
}
