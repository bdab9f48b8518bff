package access_test

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

func TestParseStatement(t *testing.T) {
	for text, want := range map[string]string{
		"guest can never write":                                     "",
		"guest can never read,write private/*":                      "guest can never get,list,write private/*",
		"  nobody can  delete audit/*  # ever":                      "nobody can delete audit/*",
		"authenticated can always get public/*":                     "",
		"group:staff can write docs/*":                              "group:staff can always write docs/*",
		"groupsstaff can never get":                                 "group:staff can never get",
		"only owner can get private/{entity_id}/*":                  "",
		"only group:admin, owner can write protected/{entity_id}/*": "",
		"only group:admin,owner,group:admin can write a/{sub}/*":    "only group:admin, owner can write a/{sub}/*",
		"only entityidentity can get a/" + raw + "/*":               "only owner can get a/" + raw + "/*",
		"others can never get private/{entity_id}/*":                "",
		"anybody can always get docs/index.html":                    "",
		"function:f can never read, write x":                        "function:f can never get,list,write x",
		`"group:big team" can never get "my files/*"`:               "",
		"guest can never write *":                                   "guest can never write",
		"only \"group:big team\", guest can get \"a b\"":            "",
	} {
		st, err := access.ParseStatement(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want == "" {
			want = text
		}
		if st.String() != want {
			t.Errorf("%s prints as %s, want %s", text, st, want)
		}
	}
	for text, want := range map[string]string{
		"":                                    `there is no "can"`,
		"guests may write":                    `there is no "can" in it; write "can" for "may", want something like`,
		"guest cannot write":                  `write "can never" for "cannot"`,
		"guest can not write":                 `write "can never" for "can not"`,
		"guest can't write":                   `write "can never" for "can't"`,
		"guest may never write":               `write "can never" for "may never"`,
		"guest must not write":                `write "can never" for "must not"`,
		"guest never writes":                  `there is no "can" in it, want`,
		"users can write":                     `nobody is called "users"; write authenticated`,
		"everyone can get":                    `nobody is called "everyone"; write anybody`,
		"everybody can get":                   `nobody is called "everybody"; write anybody`,
		"no one can get":                      `nobody is called "no one"; write nobody`,
		"Guest can get":                       `nobody is called "Guest"; write guest`,
		"admins can get":                      `nobody is called "admins", want guest,`,
		"can never write":                     "who? Want guest",
		"guests can never write":              `nobody is called "guests"; write guest`,
		"group: can never write":              "no name",
		"group:a/b can never write":           "this can be no name",
		"guest can":                           "which actions? Want get",
		"guest can never":                     "which actions? Want get",
		"guest can never upload":              `unknown action "upload"`,
		"guest can never write a b":           "a pattern with spaces is written in quotes",
		"guest can never write /a/*":          `leave the "/" at the beginning out`,
		"guest can never write a*":            `"*" stands at the end only`,
		"guest can never write a/":            "write a/* for all keys below it",
		"guest can never write a/../b":        `no keys with ".."`,
		"guest can never write a/{id}/*":      `"{id}" is no token`,
		"guest can never write a/{sub}":       "write a/{sub}/*",
		"guest can never write a/x{sub}/*":    "a token is a whole segment",
		"guest can never write {sub}/{sub}/*": "at most one",
		`guest can never write ""`:            "the pattern is empty",
		"owner can read private/*":            "owner of what?",
		"others can never read":               "others of what?",
		"only anybody can read":               "no restriction",
		"only can read":                       "a name missing",
		"guest, authenticated can read":       `several stand behind "only" alone`,
		"nobody can never read":               `without "never"`,
		"only guest can always read":          `without "always"`,
		"guest can never\nwrite":              "one line",
		`guest can never write "a`:            "no end",
	} {
		st, err := access.ParseStatement(text)
		if !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), want) || !reflect.DeepEqual(st, access.Statement{}) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestStatementHelp checks that each word of the grammar is in the help.
func TestStatementHelp(t *testing.T) {
	for _, word := range []string{"never", "always", "only", "nobody", "guest", "authenticated", "group:", "owner", "others", "function:", "anybody", "PATTERN", "ACTIONS"} {
		if !strings.Contains(access.StatementHelp, word) {
			t.Errorf("the help has no %q", word)
		}
	}
}

// FuzzParseStatement reads any text. What is a statement prints, and what it prints
// is the same statement, which can be proven or not.
func FuzzParseStatement(f *testing.F) {
	for _, text := range []string{
		"guest can never write", "only group:admin, owner can write protected/{entity_id}/*", "nobody can delete audit/*",
		`"group:big team" can always read "my files/*"`, "others can never get private/{claim:team}/x", "anybody can get * # all",
	} {
		f.Add(text)
	}
	p, err := access.Parse("o", []byte(office), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		st, err := access.ParseStatement(text)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := access.ParseStatement(st.String())
		if err != nil || !reflect.DeepEqual(st, again) {
			t.Fatalf("%q prints as %s and is then %s (%v)", text, st, again, err)
		}
		proof := p.Prove(st)
		if x := proof.Counterexample; proof.Holds != (x == nil) || x != nil && p.Decide(&x.Subject, x.Action, x.Key).Allowed != x.Decision.Allowed {
			t.Fatalf("%s: %+v", st, proof)
		}
	})
}
