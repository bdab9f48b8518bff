package access_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// seeds calls add with the rules of all testdata/*.rules and the first key asked about.
func seeds(f *testing.F, add func(rules, key string)) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.rules")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		rules, cases, _ := strings.Cut(string(text), "----\n")
		add(rules, strings.Fields(cases)[3])
	}
}

// FuzzDecide compares Decide with the naive evaluator, and Visible with Decide.
func FuzzDecide(f *testing.F) {
	seeds(f, func(rules, key string) {
		f.Add(rules, "ann", "admin,red", "s1", "ann", "red", byte(1), byte(1), key, 3)
	})
	f.Add("a/{group}/* owner read\na/* guest list", "i", "x,y", "", "", "", byte(1), byte(2), "a/x/k", 2)
	f.Fuzz(func(t *testing.T, text, identity, groups, sub, username, claim string, flags, action byte, key string, cut int) {
		if len(text) > 2000 {
			return
		}
		opts := &access.Options{AcceptOwnerWithoutToken: flags&4 != 0, Strict: flags&8 != 0}
		if flags&2 != 0 {
			opts.Groups = access.Replace
		}
		p, err := access.Parse("fuzz", []byte(text), opts)
		if err != nil {
			return
		}
		s := access.Subject{
			Identity: identity, Authenticated: flags&1 != 0, Sub: sub, Username: username,
			Claims: map[string]string{"team": claim, "t": claim},
		}
		if groups != "" {
			s.Groups = strings.Split(groups, ",")
		}
		a := access.Action(action)
		n := naive{p.Rules(), opts.Groups}
		if got, want := p.Decide(&s, a, key).Allowed, n.allowed(s, a, key); got != want {
			t.Errorf("rules\n%s\n%+v %s %q: %v, want %v", p, s, a, key, got, want)
		}
		checkVisible(t, p, s, key[:min(max(cut, 0), len(key))], []string{key, key + "/", key + "x"})
	})
}

// FuzzParse reads any text. What is a policy prints, and what it prints is the
// same policy.
func FuzzParse(f *testing.F) {
	seeds(f, func(rules, key string) { f.Add([]byte(rules), key) })
	f.Add([]byte("\ufeffa/* guest get\r\n\"b \\u00e9/*\"\tgroup:x read # c\r\n"), "a/b")
	f.Fuzz(func(t *testing.T, text []byte, key string) {
		opts := &access.Options{AcceptOwnerWithoutToken: true}
		p, err := access.Parse("fuzz", text, opts)
		if err != nil {
			if e, ok := err.(*access.Error); !ok || len(e.Problems) == 0 || err.Error() == "" {
				t.Fatalf("error %T %v", err, err)
			}
			return
		}
		q, err := access.Parse("again", []byte(p.String()), opts)
		if err != nil {
			t.Fatalf("%q prints as\n%s\n%v", text, p, err)
		}
		if p.String() != q.String() || len(p.Rules()) != len(q.Rules()) {
			t.Fatalf("%q prints as\n%s\nand then as\n%s", text, p, q)
		}
		for _, s := range []access.Subject{{}, {Identity: "ann"}, {Identity: "ann", Authenticated: true, Sub: "s", Username: "ann", Groups: []string{"admin"}}} {
			for a := access.Get; a <= access.Versions; a <<= 1 {
				x, y := p.Decide(&s, a, key), q.Decide(&s, a, key)
				if x.Allowed != y.Allowed || x.Role != y.Role {
					t.Errorf("%q: %+v %s %q: %+v, and printed %+v", text, s, a, key, x, y)
				}
			}
		}
	})
}
