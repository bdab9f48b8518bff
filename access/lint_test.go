package access_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/access"
)

// TestLintRedundant takes each rule out of random policies: Lint warns of it if
// and only if Diff then finds nothing.
func TestLintRedundant(t *testing.T) {
	w := world{rand.New(rand.NewPCG(13, 14))}
	redundant, needed := 0, 0
	for i := range 1500 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(8, opts)
		warned := make(map[string]bool)
		for _, l := range p.Lint() {
			switch l.Reason {
			case access.WarnRedundant, access.WarnNothingTaken, access.WarnGroupNothing:
				warned[l.Pos] = true
			}
		}
		for j, r := range rules {
			q, _, err := access.Compile(slices.Delete(slices.Clone(rules), j, j+1), opts)
			if err != nil {
				if warned[r.Pos] {
					t.Fatalf("rules\n%sLint warns of %v, without which the rest is refused: %v", p, r, err)
				}
				continue
			}
			changes := access.Diff(p, q)
			if warned[r.Pos] != (changes == nil) {
				t.Fatalf("rules\n%s(groups %v) Lint warns of %v: %v, but without it: %v", p, opts.Groups, r, warned[r.Pos], changes)
			}
			if changes == nil {
				redundant++
			} else {
				needed++
			}
		}
	}
	if redundant < 200 || needed < 300 {
		t.Errorf("%d rules are redundant and %d are not: too one-sided", redundant, needed)
	}
}

func TestLint(t *testing.T) {
	for _, c := range []struct {
		rules string
		mode  access.GroupMode
		want  []string // line and reason
	}{
		{"# nothing yet", access.Union, []string{" no rules"}},
		{"a/* guest read authenticated read,write", access.Union, nil},
		{"a/* guest get authenticated list", access.Union, []string{"1 guests only"}},
		{"a/* guest read\nb/* authenticated read", access.Union, []string{"1 guests only"}},
		{"a/* guest get owner get", access.Union, nil},
		{"a/" + raw + "/* guest read,write", access.Union, []string{"1 guests only"}},
		{"a/" + raw + "/* guest read,write owner read,write", access.Union, nil},
		{"a/* authenticated get\na/" + raw + "/* guest get", access.Union, nil},
		{"a/* guest write authenticated write", access.Union, []string{"1 public write"}},
		{"a/{entity_id}/* guest delete authenticated delete", access.Union, []string{"1 public write"}},
		{"a/* guest read authenticated read\na/b/* guest read authenticated read", access.Union, nil},
		{"a/* authenticated read\na/b/* authenticated get,list", access.Union, []string{"2 redundant"}},
		{"a/* authenticated read\na/b/*\na/b/c/*", access.Union, []string{"3 takes nothing back"}},
		{"a/*", access.Union, []string{"1 takes nothing back"}},
		{"a/*\na/* authenticated get", access.Union, []string{"1 takes nothing back"}},
		{"a/* authenticated read group:x get", access.Union, []string{"1 nothing for group"}},
		{"a/* authenticated read group:x get", access.Replace, nil},
		{"a/* authenticated read group:x get,write", access.Union, nil},
		{"a/* authenticated write maxSize=1MB group:x write", access.Union, nil},
		{"a/* authenticated write group:x write maxSize=1MB", access.Union, []string{"1 nothing for group"}},
		{"a/{sub}/* owner read\na/{sub}/b/* owner read", access.Union, []string{"2 redundant"}},
		{"a/{sub}/* owner read\na/shared/*", access.Union, nil}, // nobody's sub is "shared"
		{"a/* authenticated get\na/b/* authenticated get\na/b/{sub}/* owner write", access.Union, []string{"2 redundant"}},
		{"a/* authenticated get\na/b/* authenticated get\na/b/c/* authenticated get", access.Union, []string{"2 redundant", "3 redundant"}},
	} {
		p, err := access.Parse("", []byte(c.rules), &access.Options{Groups: c.mode, AcceptOwnerWithoutToken: true})
		if err != nil {
			t.Fatal(c.rules, err)
		}
		var got []string
		for _, l := range p.Lint() {
			got = append(got, strings.TrimPrefix(l.Pos, ":")+" "+string(l.Reason))
			if l.Path == "" && l.Reason != access.WarnNoRules || l.Text == "" {
				t.Errorf("%q: warning %+v", c.rules, l)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.rules, got, c.want)
		}
	}
	for _, p := range []*access.Policy{nil, new(access.Policy)} {
		if l := p.Lint(); len(l) != 1 || l[0].Reason != access.WarnNoRules || !strings.Contains(l[0].String(), "nobody but operators") {
			t.Errorf("a policy without rules is warned of with %v", l)
		}
	}
}

// TestNotUTF8 gives text of other encodings to what reads files: it is one problem.
func TestNotUTF8(t *testing.T) {
	junk := strings.Repeat("\xfe\x00\n", 5000)
	for _, c := range []struct{ text, want string }{
		{"# caf\u00e9\na/* guest get\n# caf\xe9\n" + junk, "f:3: this is not UTF-8 text"},
		{"\xff\xfea\x00\n\x00", "f:1: this is UTF-16; save it as UTF-8"},
		{"\xfe\xff\x00a\x00\n", "f:1: this is UTF-16; save it as UTF-8"},
		{"# \ufffd is a character\n\xff", "f:2: this is not UTF-8 text"},
	} {
		p, err := access.Parse("f", []byte(c.text), nil)
		tests, err2 := access.ParseTests("f", []byte(c.text))
		for _, err := range []error{err, err2} {
			e, ok := errors.AsType[*access.Error](err)
			if !ok || e.Error() != c.want || len(e.Problems) != 1 || e.Problems[0].Reason != access.BadEncoding {
				t.Errorf("%.20q: %v, want %s", c.text, err, c.want)
			}
		}
		if p != nil || tests != nil {
			t.Errorf("%.20q: %v, %v", c.text, p, tests)
		}
	}
}

// TestLongFields checks that a message repeats no more than the beginning of a field.
func TestLongFields(t *testing.T) {
	long := strings.Repeat("\u00e9", 2000)
	for _, line := range []string{
		long + " guest get", long + "/* guest get", "a/* " + long + " get", "a/* guest " + long, `a/* "` + long + `"x`, `a/* "` + long + `\z" get`,
		"a/* guest write maxSize=" + long, "a/* guest write contentTypes=" + long, "a/{" + strings.Repeat("x", 1000) + "}/* guest get",
	} {
		_, err := access.Parse("f", []byte(line), nil)
		if err == nil || len(err.Error()) > 600 || !utf8.ValidString(err.Error()) {
			t.Errorf("%.40s: %v", line, err)
		}
		_, err = access.ParseTests("f", []byte("as "+line+"\nas guest get a/../"+long+" -> deny\nas "+long+"(x=1) get x -> deny\nas a("+long+") get x -> deny"))
		if err == nil || len(err.Error()) > 1200 || !utf8.ValidString(err.Error()) {
			t.Errorf("test %.40s: %v", line, err)
		}
	}
}

// TestMessages has the words for what is often got wrong.
func TestMessages(t *testing.T) {
	for rules, want := range map[string]string{
		"a/?/* guest get": `cubby.rules:1: path "a/?/*": a path has no "?", which is a wildcard in IAM`,
		`"" guest get`:    `cubby.rules:1: the path is empty; a path ends with "/*", as in public/*`,
		"a/* owner get":   `cubby.rules:1: path "a/*": "owner": without a token in the path everybody who is signed in is its owner; write authenticated, or add {entity_id}`,
	} {
		if _, err := access.Parse("cubby.rules", []byte(rules), nil); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", rules, err, want)
		}
	}
}
