package access_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

const (
	identityVar = "${cognito-identity.amazonaws.com:sub}"
	bucketARN   = "arn:aws:s3:::BUCKET"
)

// document is an IAM policy.
type document struct {
	Statement []statement
}

type statement struct {
	Effect    string
	Action    string
	Resource  any // a string, or several
	Condition struct {
		StringLike map[string]any
	}
}

// allows evaluates an IAM policy for a key, or for the prefix of a list.
func (d document) allows(identity string, a access.Action, key string) bool {
	allowed := false
	for _, s := range d.Statement {
		var hit bool
		switch a {
		case access.List:
			hit = s.Action == "s3:ListBucket" && slices.ContainsFunc(list(s.Condition.StringLike["s3:prefix"]), func(p string) bool {
				return like(p, identity, key)
			})
		default:
			action := map[access.Action]string{access.Get: "s3:GetObject", access.Write: "s3:PutObject", access.Delete: "s3:DeleteObject"}[a]
			hit = s.Action == action && slices.ContainsFunc(list(s.Resource), func(r string) bool {
				return like(strings.TrimPrefix(r, bucketARN+"/"), identity, key)
			})
		}
		if hit && s.Effect == "Deny" {
			return false
		}
		allowed = allowed || hit
	}
	return allowed
}

func list(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case []any:
		for _, s := range v {
			out = append(out, s.(string))
		}
	}
	return out
}

// like matches with the wildcards of a pattern, but not with those that came in
// by a variable.
func like(pattern, identity, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case strings.HasPrefix(pattern, identityVar):
		rest, ok := strings.CutPrefix(s, identity)
		return ok && identity != "" && like(pattern[len(identityVar):], identity, rest)
	case pattern[0] == '*':
		for i := range len(s) + 1 {
			if like(pattern[1:], identity, s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && (pattern[0] == s[0] || pattern[0] == '?') && like(pattern[1:], identity, s[1:])
}

// generate writes the documents as Amplify's generator does: by role, for rules
// that stand in the order of their paths.
func generate(rules []access.Rule) map[string]document {
	type grant struct {
		role   string
		action access.Action
	}
	allow, deny := make(map[grant][]string), make(map[grant][]string)
	hooks := make(map[string][]grant)
	var all []string
	for _, r := range rules {
		who, value := roleOf(r.Who), "*"
		role := map[string]string{"guest": "unauthenticatedUserIamRole", "authenticated": "authenticatedUserIamRole", "owner": "authenticatedUserIamRole"}[who]
		if name, ok := strings.CutPrefix(who, "group:"); ok {
			role = name
		}
		if who == "owner" {
			value = identityVar
		}
		p := strings.ReplaceAll(r.Path, "{entity_id}", value)
		if strings.HasSuffix(p, "/*/*") {
			p = strings.TrimSuffix(p, "/*")
		}
		if hooks[p] == nil {
			all = append(all, p)
		}
		for a := access.Get; a <= access.Delete; a <<= 1 {
			if r.Actions&a != 0 {
				g := grant{role, a}
				allow[g] = append(allow[g], p)
				hooks[p] = append(hooks[p], g)
			}
		}
	}
	for _, p := range all {
		i := slices.IndexFunc(all, func(q string) bool { return p != q && strings.HasPrefix(p, strings.TrimSuffix(q, "*")) })
		if i < 0 || all[i] == strings.ReplaceAll(p, identityVar+"/", "") {
			continue
		}
		for _, g := range hooks[all[i]] {
			if !slices.Contains(allow[g], p) {
				deny[g] = append(deny[g], p)
			}
		}
	}
	docs := make(map[string]document)
	write := func(effect string, m map[grant][]string) {
		for g, paths := range m {
			s := statement{Effect: effect}
			if g.action == access.List {
				s.Action = "s3:ListBucket"
				for _, p := range slices.Clone(paths) {
					paths = append(paths, strings.TrimSuffix(p, "*"))
				}
				s.Condition.StringLike = map[string]any{"s3:prefix": paths}
			} else {
				s.Action = map[access.Action]string{access.Get: "s3:GetObject", access.Write: "s3:PutObject", access.Delete: "s3:DeleteObject"}[g.action]
				arns := make([]string, len(paths))
				for i, p := range paths {
					arns[i] = bucketARN + "/" + p
				}
				s.Resource = arns
			}
			d := docs[g.role]
			d.Statement = append(d.Statement, s)
			docs[g.role] = d
		}
	}
	write("Allow", allow)
	write("Deny", deny)
	return docs
}

// golden is one set of rules with what Amplify made of it.
type golden struct {
	Name     string
	Access   map[string][]map[string][]string
	Policies map[string]document
	Error    *struct{ Name string }
}

func (g golden) rules(t *testing.T) []access.Rule {
	t.Helper()
	var rules []access.Rule
	for _, path := range slices.Sorted(maps.Keys(g.Access)) {
		for _, def := range g.Access[path] {
			add := func(who string, names []string) {
				r := access.Rule{Path: path, Who: who}
				if len(names) > 0 {
					var err error
					if r.Actions, err = access.ParseAction(strings.Join(names, ",")); err != nil {
						t.Fatal(err)
					}
				}
				rules = append(rules, r)
			}
			if groups := def["groups"]; groups != nil {
				for _, name := range groups {
					add("groups"+name, def["to"])
				}
				continue
			}
			for who, names := range def {
				add(strings.ReplaceAll(who, ":", ""), names)
			}
		}
	}
	return rules
}

func readGolden(t *testing.T) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/access-rules.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []golden }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

// refused says which rules of Amplify's inputs we refuse, and why. Amplify
// accepts the question mark, which then means any character.
var refused = map[string]access.Reason{
	"question_mark_and_unicode": access.BadCharacter,
	"err_empty_actions":         access.BadNoAction,
	"err_leading_slash":         access.BadLeadingSlash,
	"err_no_suffix":             access.BadEnding,
	"err_star_only":             access.BadEnding,
	"err_double_slash":          access.BadDoubleSlash,
	"err_token_twice":           access.BadTokenTwice,
	"err_token_not_last":        access.BadTokenNotLast,
	"err_token_first":           access.BadTokenFirst,
	"err_dup_auth":              access.BadDuplicate,
	"err_dup_guest":             access.BadDuplicate,
}

// strict are the options under which the rules mean what they mean to Amplify.
var strict = &access.Options{Strict: true, Groups: access.Replace, Lists: access.Prefix}

// TestAmplify compares decisions with the documents that Amplify wrote for the
// same rules.
func TestAmplify(t *testing.T) {
	requests := 0
	for _, g := range readGolden(t) {
		t.Run(g.Name, func(t *testing.T) {
			rules := g.rules(t)
			p, _, err := access.Compile(rules, strict)
			if reason, ok := refused[g.Name]; ok {
				problems := err.(*access.Error).Problems
				if len(problems) != 1 || problems[0].Reason != reason {
					t.Fatalf("refused for %+v, want %q", problems, reason)
				}
				if g.Error != nil {
					return
				}
				rules = slices.DeleteFunc(rules, func(r access.Rule) bool { return strings.Contains(r.Path, "?") })
				p, _, err = access.Compile(rules, strict)
			}
			if g.Error != nil || err != nil {
				t.Fatalf("error %v, Amplify has %v", err, g.Error)
			}
			requests += compare(t, p, rules, g.Policies)
			compare(t, p, rules, generate(rules))
		})
	}
	if requests < 5000 {
		t.Errorf("only %d requests were compared", requests)
	}
}

// compare asks a policy and documents about keys at, below and beside all paths,
// and returns how often it asked.
func compare(t *testing.T, p *access.Policy, rules []access.Rule, docs map[string]document) int {
	t.Helper()
	const me, you = "eu-central-1:11111111-1111", "eu-central-1:22222222-2222"
	keys := []string{"", "/", "x", "x/y"}
	subjects := []access.Subject{{Identity: me}, {Identity: me, Authenticated: true}, {Identity: me, Authenticated: true, Groups: []string{"other", "v"}}}
	for _, r := range rules {
		if name, ok := strings.CutPrefix(r.Who, "groups"); ok {
			subjects = append(subjects, access.Subject{Identity: me, Authenticated: true, Groups: []string{name, "other"}})
		}
		for _, id := range []string{me, you, "shared"} {
			prefix := strings.TrimSuffix(strings.ReplaceAll(r.Path, "{entity_id}", id), "*")
			base := strings.TrimSuffix(prefix, "/")
			parent := base[:strings.LastIndex(base, "/")+1]
			keys = append(keys,
				base, prefix, prefix+"k", prefix+"x/y", prefix+"/", prefix+me+"/k", prefix+"../k", "/"+prefix+"k",
				base+"2/k", base+base+"/k", base+"%2fk", strings.ToUpper(prefix)+"k", base[:1],
				parent, parent+"beside/k", parent+"beside", parent+"*", parent+"*/k")
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	asked := 0
	for _, s := range subjects {
		role := "unauthenticatedUserIamRole"
		switch {
		case len(s.Groups) > 0:
			role = s.Groups[0]
		case s.Authenticated:
			role = "authenticatedUserIamRole"
		}
		for _, key := range keys {
			for a := access.Get; a <= access.Delete; a <<= 1 {
				asked++
				got, want := p.Decide(&s, a, key).Allowed, docs[role].allows(s.Identity, a, key)
				if got != want {
					t.Fatalf("rules\n%s\n%s %s %q: %v, Amplify says %v\n%+v", p, role, a, key, got, want, docs[role])
				}
				if a == access.List {
					if visible := p.Visible(&s, key); (visible != nil) != want {
						t.Fatalf("rules\n%s\n%s lists %q: visible %q, Amplify says %v", p, role, key, visible, want)
					}
				}
			}
		}
	}
	return asked
}

// TestAmplifyRandom compares random rules that Strict accepts with what Amplify's
// generator makes of them.
func TestAmplifyRandom(t *testing.T) {
	w := world{rand.New(rand.NewPCG(7, 8))}
	nested := 0
	for range 250 {
		var paths []string
		for range 1 + w.IntN(6) {
			segs := make([]string, 1+w.IntN(3))
			for i := range segs {
				segs[i] = pick(w, []string{"a", "b", "shared"})
			}
			if w.IntN(3) == 0 {
				segs = append(segs, "{entity_id}")
			}
			paths = append(paths, strings.Join(segs, "/")+"/*")
		}
		w.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		var rules []access.Rule
		for _, path := range paths {
			for _, who := range []string{"guest", "authenticated", "owner", "groupsv", "groupsw"} {
				if w.IntN(3) == 0 {
					rules = append(rules, access.Rule{Path: path, Who: who, Actions: access.Action(1 + w.IntN(15)), Pos: fmt.Sprint(len(rules))})
				}
			}
		}
		for {
			p, _, err := access.Compile(rules, strict)
			if err == nil {
				compare(t, p, rules, generate(rules))
				break
			}
			bad := make(map[string]bool)
			for _, problem := range err.(*access.Error).Problems {
				bad[problem.Path] = true
			}
			rules = slices.DeleteFunc(rules, func(r access.Rule) bool { return bad[r.Path] })
		}
		for _, r := range rules {
			if slices.ContainsFunc(rules, func(q access.Rule) bool {
				return q.Path != r.Path && strings.HasPrefix(r.Path, strings.TrimSuffix(q.Path, "*"))
			}) {
				nested++
			}
		}
	}
	if nested < 50 {
		t.Errorf("only %d rules stood below others", nested)
	}
}
