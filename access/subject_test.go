package access_test

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

func TestParseSubject(t *testing.T) {
	user := func(name string) access.Subject {
		return access.Subject{Authenticated: true, Identity: name, Sub: name, Username: name}
	}
	full := access.Subject{
		Authenticated: true, Identity: "i", Sub: "s", Username: "u", Groups: []string{"staff", "big team"},
		Claims: map[string]string{"team": "red", "custom:x": ""},
	}
	shouting, quotedGuest := user("a,b"), user("guest")
	shouting.Groups = []string{"a+b"}
	for _, c := range []struct {
		text, again string // as it is printed, "" if the same
		want        access.Subject
	}{
		{"guest", "", access.Subject{}},
		{"guest(identity=x)", "", access.Subject{Identity: "x"}},
		{"guest( identity=\"x y\" )", `guest(identity="x y")`, access.Subject{Identity: "x y"}},
		{"alice", "", user("alice")},
		{"  us-east-1:1-2\t", "us-east-1:1-2", user("us-east-1:1-2")},
		{`u(identity=i, sub=s, groups=staff+"big team", claim:custom:x="", claim:team=red)`, "", full},
		{`alice(username=u,identity=i,claim:"custom:x"="",sub="s",claim:team=red,groups=staff+"big team")`, `u(identity=i, sub=s, groups=staff+"big team", claim:custom:x="", claim:team=red)`, full},
		{`"a,b"(groups="a+b")`, "", shouting},
		{`"guest"`, "", quotedGuest},
		{`""`, "", user("")},
		{"function:resize", "", access.Subject{Function: "resize"}},
		{`function:"a b"`, "", access.Subject{Function: "a b"}},
		{`"function:resize"`, "", user("function:resize")},
		{`"guests"`, "", user("guests")},
		{`"group:admin"`, "", user("group:admin")},
		{`"Owner"`, "", user("Owner")},
		{"groups", "", user("groups")},
		{"anyone", "", user("anyone")},
		{"GROUPIE", "", user("GROUPIE")},
	} {
		s, err := access.ParseSubject(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if !reflect.DeepEqual(s, c.want) {
			t.Errorf("%s is %#v, want %#v", c.text, s, c.want)
		}
		if c.again == "" {
			c.again = c.text
		}
		if s.String() != c.again {
			t.Errorf("%s prints as %s, want %s", c.text, s, c.again)
		}
	}
	for text, want := range map[string]string{
		"":                       "want guest, the name of a user or function:NAME",
		"alice bob":              "something stands behind it",
		"alice(groups=a":         `there is no ")" at the end`,
		"alice()":                "nothing is in the brackets",
		"alice(":                 `there is no ")" at the end`,
		"alice(groups=a, ":       `there is no ")" at the end`,
		"alice(groups=a,admin)":  `groups are joined by "+"`,
		"alice(sub=a,admin)":     `there is no "=" behind "admin"`,
		"group:admin":            "group:admin is a role, not somebody: write anyone(groups=admin); in quotes it is",
		`group:"a b"`:            "write anyone(groups=NAME)",
		"Group:a":                "write anyone(groups=a)",
		"authenticated":          "authenticated is a role, not somebody",
		"owner":                  "owner is a role, not somebody: write the name of the user who",
		"entityidentity":         "a role, not somebody",
		"anybody":                "write guest, or the name of a user",
		"everybody(groups=a)":    "write guest, or the name of a user",
		"others":                 "write guest, or the name of a user",
		"nobody":                 "write guest, or the name of a user",
		"users":                  "users are many: write the name of one",
		"guests":                 "guests are many: write guest; in quotes",
		"Guest":                  "guest is written small",
		"alice(groups)":          `there is no "=" behind "groups"`,
		"alice(groups=)":         "no value for \"groups\"",
		"alice(team=red)":        "unknown field \"team\"",
		"alice(claim:=red)":      "unknown field \"claim:\"",
		"alice(sub=a+b)":         `"sub" has one value`,
		"alice(sub=a, sub=b)":    `"sub" is there twice`,
		"guest(groups=a)":        "a guest has an identity and nothing else",
		"function:":              `"" can be no name of a function`,
		"function:a/b":           `"a/b" can be no name of a function`,
		"function:f(identity=x)": "a function has nothing but its name",
		`"alice`:                 "a quoted name has no end",
		"alice(groups=a) x":      "something stands behind it",
		"alice (groups=a)":       "something stands behind it",
	} {
		_, err := access.ParseSubject(text)
		if !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzParseSubject reads any text. What is a subject prints, and what it prints is
// the same subject.
func FuzzParseSubject(f *testing.F) {
	for _, text := range []string{
		"guest", "guest(identity=x)", "alice(groups=a+b, claim:team=red)", `"a b"(sub="", identity=é)`,
		"function:f", `function:"f g"`, `u(groups="\xff"+"+")`, "Owner", `"group:İ"`, "group:İ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := access.ParseSubject(text)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) || !reflect.DeepEqual(s, access.Subject{}) {
				t.Fatalf("%q: %v, %v", text, s, err)
			}
			return
		}
		again, err := access.ParseSubject(s.String())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%q prints as %s and is then %#v, want %#v (%v)", text, s, again, s, err)
		}
	})
}
