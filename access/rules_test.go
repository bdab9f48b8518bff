package access_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestRules runs the cases in testdata/*.rules. Each file has rules as Parse reads
// them, a line of "----", and then questions with the expected answers:
//
//	allow SUBJECT ACTIONS KEY [as ROLE]
//	deny  SUBJECT ACTIONS KEY [near PATH WHO]
//	list  SUBJECT PREFIX -> [START END]...     the visible ranges
//
// A subject is a name, and what it has besides in brackets. The name is its
// identity id:
//
//	ann                                   signed in
//	bob(groups=admin,staff)               and in two groups
//	eve(sub=s1,username=eve,claim:team=red)
//	guest:dev1                            a guest
//	guest                                 a guest without an identity
//
// Any field may be in quotes, as a Go string. A first line of "#!" names options:
// replace, prefix, strict, ownerless.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.rules")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".rules"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rules, cases, ok := strings.Cut(string(text), "----\n")
			if !ok {
				t.Fatal("no ---- line")
			}
			p, err := access.Parse(filepath.Base(file), []byte(rules), options(rules))
			if err != nil {
				t.Fatal(err)
			}
			n := strings.Count(rules, "\n") + 1
			for line := range strings.SplitSeq(cases, "\n") {
				n++
				if f := fields(t, line); len(f) > 0 && f[0][0] != '#' {
					if wrong := check(p, f); wrong != "" {
						t.Errorf("%s:%d: %s: %s", file, n, line, wrong)
					}
				}
			}
		})
	}
}

func options(text string) *access.Options {
	o := new(access.Options)
	first, _, _ := strings.Cut(text, "\n")
	if words, ok := strings.CutPrefix(first, "#!"); ok {
		for w := range strings.FieldsSeq(words) {
			switch w {
			case "replace":
				o.Groups = access.Replace
			case "prefix":
				o.Lists = access.Prefix
			case "strict":
				o.Strict = true
			case "ownerless":
				o.AcceptOwnerWithoutToken = true
			default:
				panic("unknown option " + w)
			}
		}
	}
	return o
}

func check(p *access.Policy, f []string) (wrong string) {
	if len(f) < 4 {
		return "too few fields"
	}
	s := subject(f[1])
	if f[0] == "list" {
		want := f[4:]
		var got []string
		for _, r := range p.Visible(&s, f[2]) {
			got = append(got, r.Start, r.End)
		}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("visible %q", got)
		}
		return ""
	}
	a, err := access.ParseAction(f[2])
	if err != nil {
		return err.Error()
	}
	d := p.Decide(&s, a, f[3])
	why := p.Explain(&s, a, f[3])
	switch {
	case f[0] != "allow" && f[0] != "deny":
		return "unknown word"
	case d.Allowed != (f[0] == "allow"):
		return why
	case len(f) == 6 && f[4] == "as" && d.Role != f[5]:
		return "as " + d.Role
	case len(f) == 7 && f[4] == "near" && (d.Nearest == nil || d.Nearest.Path != f[5] || d.Nearest.Who != f[6]):
		return fmt.Sprintf("near %v", d.Nearest)
	case len(f) == 5 && f[4] == "near" && d.Nearest != nil:
		return fmt.Sprintf("near %v", d.Nearest)
	}
	return ""
}

func fields(t *testing.T, line string) (out []string) {
	t.Helper()
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			f, rest, _ := strings.Cut(line, " ")
			out, line = append(out, f), rest
			continue
		}
		q, err := strconv.QuotedPrefix(line)
		if err != nil {
			t.Fatal(line, err)
		}
		f, _ := strconv.Unquote(q)
		out, line = append(out, f), line[len(q):]
	}
	return out
}

func subject(text string) access.Subject {
	name, args, _ := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	s := access.Subject{Identity: name, Authenticated: true}
	if id, ok := strings.CutPrefix(name, "guest"); ok {
		s.Authenticated, s.Identity = false, strings.TrimPrefix(id, ":")
	}
	field := ""
	for arg := range strings.SplitSeq(args, ",") {
		value := arg
		if k, v, ok := strings.Cut(arg, "="); ok {
			field, value = k, v
		}
		switch field {
		case "groups":
			s.Groups = append(s.Groups, value)
		case "sub":
			s.Sub = value
		case "username":
			s.Username = value
		default:
			if name, ok := strings.CutPrefix(field, "claim:"); ok {
				if s.Claims == nil {
					s.Claims = make(map[string]string)
				}
				s.Claims[name] = value
			}
		}
	}
	return s
}
