package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

const (
	identityVar = "${cognito-identity.amazonaws.com:sub}"
	bucketARN   = "arn:aws:s3:::BUCKET"
)

// allows evaluates documents, which hold together, for a key, or for the prefix of
// a list.
func allows(docs []*iam.Document, identity string, a access.Action, key string) bool {
	return allowsIAM(docs, identity, iamActions[a][0], key)
}

// iamActions are what the actions are in IAM.
var iamActions = map[access.Action][]string{
	access.Get:      {"s3:GetObject"},
	access.List:     {"s3:ListBucket"},
	access.Write:    {"s3:PutObject"},
	access.Delete:   {"s3:DeleteObject"},
	access.Versions: {"s3:ListBucketVersions"},

	access.Delete | access.Versions: {"s3:DeleteObjectVersion"},
}

// allowsIAM knows no more of IAM than our documents need.
func allowsIAM(docs []*iam.Document, identity, action, key string) bool {
	allowed := false
	for _, d := range docs {
		for _, s := range d.Statement {
			if !hits(s, identity, action, key) {
				continue
			}
			if s.Effect == iam.Deny {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

func hits(s iam.Statement, identity, action, key string) bool {
	resource := bucketARN + "/" + key
	if strings.HasPrefix(action, "s3:List") {
		resource = bucketARN
	}
	some := func(patterns []string, text string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return like(p, identity, text) })
	}
	return some(s.Action, action) && some(s.Resource, resource) &&
		(s.Condition == nil || some(s.Condition["StringLike"]["s3:prefix"], key))
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

// golden is one set of rules with what Amplify made of it.
type golden struct {
	Name     string
	Access   json.RawMessage
	Paths    any
	Policies map[string]any
	Error    *struct{ Name string }
}

// read returns the rules as Amplify has them, and in words of ours, whether or not
// they are right.
func (g golden) read(t *testing.T) (*access.Amplify, []access.Rule) {
	t.Helper()
	a, err := access.ParseAmplify(g.Access)
	if err != nil {
		t.Fatal(err)
	}
	var rules []access.Rule
	for _, p := range a.Paths {
		for _, r := range p.Rules {
			var actions access.Action
			if len(r.To) > 0 {
				if actions, err = access.ParseAction(strings.Join(r.To, ",")); err != nil {
					t.Fatal(err)
				}
			}
			whos := map[string][]string{"guest": {"guest"}, "authenticated": {"authenticated"}, "entity:identity": {"entityidentity"}}[r.Allow]
			for _, name := range r.Names {
				whos = append(whos, map[string]string{"groups": "groups", "resource": "function:"}[r.Allow]+name)
			}
			for _, who := range whos {
				rules = append(rules, access.Rule{Path: p.Path, Who: who, Actions: actions})
			}
		}
	}
	return a, rules
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

// TestAmplifyDocuments compares what Generate writes with what Amplify wrote for
// the same rules.
func TestAmplifyDocuments(t *testing.T) {
	for _, g := range readGolden(t) {
		a, _ := g.read(t)
		out, err := a.Generate(bucketARN)
		if g.Error != nil {
			if e, ok := errors.AsType[*access.AmplifyError](err); !ok || e.Name != g.Error.Name || !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s: error %v, Amplify has %s", g.Name, err, g.Error.Name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		policies := make(map[string]*iam.Document)
		for _, p := range out.Policies {
			policies[p.Role] = p.Document
		}
		if got := plain(t, out.Paths); !reflect.DeepEqual(got, g.Paths) {
			t.Errorf("%s: paths %v, Amplify has %v", g.Name, got, g.Paths)
		}
		if got := plain(t, policies); !reflect.DeepEqual(got, any(g.Policies)) {
			t.Errorf("%s: policies %v, Amplify has %v", g.Name, got, g.Policies)
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := access.ParseAmplify(text); err != nil || !reflect.DeepEqual(again, a) {
			t.Errorf("%s: printed and read again it is %+v, %v", g.Name, again, err)
		}
	}
}

// TestAmplify compares decisions with the documents that Amplify wrote for the
// same rules.
func TestAmplify(t *testing.T) {
	requests := 0
	for _, g := range readGolden(t) {
		t.Run(g.Name, func(t *testing.T) {
			a, rules := g.read(t)
			if reason, ok := refused[g.Name]; ok {
				_, _, err := access.Compile(rules, strict)
				problems := err.(*access.Error).Problems
				if len(problems) != 1 || problems[0].Reason != reason {
					t.Fatalf("refused for %+v, want %q", problems, reason)
				}
				if g.Error != nil {
					return
				}
				a.Paths = slices.DeleteFunc(a.Paths, func(p access.AmplifyPath) bool { return strings.Contains(p.Path, "?") })
			}
			if g.Error != nil {
				t.Fatalf("Amplify refuses it for %s", g.Error.Name)
			}
			rules, err := a.Rules()
			if err != nil {
				t.Fatal(err)
			}
			p, _, err := access.Compile(rules, strict)
			if err != nil {
				t.Fatal(err)
			}
			docs := make(map[string]*iam.Document)
			for role, d := range g.Policies {
				docs[role] = readDocument(t, d)
			}
			requests += compare(t, p, rules, docs)
			compare(t, p, rules, generate(t, p))
		})
	}
	if requests < 5000 {
		t.Errorf("only %d requests were compared", requests)
	}
}

// readDocument returns a document of ours from JSON.
func readDocument(t *testing.T, v any) *iam.Document {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d, err := iam.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// generate returns the documents that Amplify would write for the rules of a
// policy, by role.
func generate(t *testing.T, p *access.Policy) map[string]*iam.Document {
	t.Helper()
	a, err := p.Amplify()
	if err != nil {
		t.Fatalf("rules\n%s\n%v", p, err)
	}
	out, err := a.Generate(bucketARN)
	if err != nil {
		t.Fatalf("rules\n%s\n%v", p, err)
	}
	docs := make(map[string]*iam.Document)
	for _, policy := range out.Policies {
		docs[policy.Role] = policy.Document
	}
	return docs
}

// compare asks a policy and documents about keys at, below and beside all paths,
// and returns how often it asked.
func compare(t *testing.T, p *access.Policy, rules []access.Rule, docs map[string]*iam.Document) int {
	t.Helper()
	const me, you = "eu-central-1:11111111-1111", "eu-central-1:22222222-2222"
	keys := []string{"", "/", "x", "x/y"}
	subjects := []access.Subject{
		{Identity: me},
		{Identity: me, Authenticated: true},
		{Identity: me, Authenticated: true, Groups: []string{"other", "v"}},
	}
	for _, r := range rules {
		if name, ok := strings.CutPrefix(r.Who, "function:"); ok {
			subjects = append(subjects, access.Subject{Function: name})
		}
		if name, ok := strings.CutPrefix(roleOf(r.Who), "group:"); ok {
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
		case s.Function != "":
			role = s.Function
		case len(s.Groups) > 0:
			role = s.Groups[0]
		case s.Authenticated:
			role = "authenticatedUserIamRole"
		}
		for _, key := range keys {
			for a := access.Get; a <= access.Delete; a <<= 1 {
				asked++
				want := docs[role] != nil && allows([]*iam.Document{docs[role]}, s.Identity, a, key)
				got := p.Decide(&s, a, key).Allowed
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
			for _, who := range []string{"guest", "authenticated", "owner", "groupsv", "groupsw", "function:f"} {
				if w.IntN(3) == 0 {
					rules = append(rules, access.Rule{Path: path, Who: who, Actions: access.Action(1 + w.IntN(15)), Pos: fmt.Sprint(len(rules))})
				}
			}
		}
		for {
			p, _, err := access.Compile(rules, strict)
			if err == nil {
				compare(t, p, rules, generate(t, p))
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
