package outputs

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestPaths writes rules in the words that Amplify's clients know.
func TestPaths(t *testing.T) {
	all := []string{"get", "list", "write", "delete"}
	got, warnings := Paths([]Rule{
		{Path: "public/*", Who: "guest", Actions: []string{"read"}},
		{Path: "public/*", Who: "authenticated", Actions: all},
		{Path: "protected/{entity_id}/*", Who: "guest", Actions: []string{"get"}},
		{Path: "protected/*", Who: "guest", Actions: []string{"delete"}},
		{Path: "protected/{entity_id}/*", Who: "owner", Actions: all, Limits: "maxSize=2MB"},
		{Path: "private/{entity_id}/*", Who: "entityidentity", Actions: append([]string{"versions"}, all...)},
		{Path: "raw/${cognito-identity.amazonaws.com:sub}/*", Who: "authenticated", Actions: []string{"list"}},
		{Path: "admin/*", Who: "group:admin", Actions: []string{"write"}},
		{Path: "staff/*", Who: "groupsstaff", Actions: []string{"delete"}},
		{Path: "home/{username}/*", Who: "owner", Actions: all},
		{Path: "jobs/*", Who: "function:resize", Actions: all},
		{Path: "versions/*", Who: "group:admin", Actions: []string{"versions"}},
		{Path: "public/closed/*"},
	})
	want := map[string]map[string][]string{
		"public/*":    {"guest": {"get", "list"}, "authenticated": {"get", "list", "write", "delete"}},
		"protected/*": {"guest": {"get", "delete"}},
		"protected/${cognito-identity.amazonaws.com:sub}/*": {"entityidentity": {"get", "list", "write", "delete"}},
		"private/${cognito-identity.amazonaws.com:sub}/*":   {"entityidentity": {"get", "list", "write", "delete"}},
		"raw/${cognito-identity.amazonaws.com:sub}/*":       {"authenticated": {"list"}},
		"admin/*":         {"groupsadmin": {"write"}},
		"staff/*":         {"groupsstaff": {"delete"}},
		"jobs/*":          {},
		"versions/*":      {},
		"public/closed/*": {},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	var lines []string
	for _, w := range warnings {
		lines = append(lines, w.String())
	}
	if want := []string{
		`rules["protected/{entity_id}/*"].owner: an outputs file has no limits (maxSize=2MB)`,
		`rules["private/{entity_id}/*"].entityidentity: an outputs file has no action versions`,
		`rules["home/{username}/*"].owner: an outputs file has no token but {entity_id}`,
		`rules["jobs/*"].function:resize: an outputs file has no rules for function:resize`,
		`rules["versions/*"].group:admin: an outputs file has no action versions`,
	}; !slices.Equal(lines, want) {
		t.Errorf("warnings are\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// TestRules reads the rules of an outputs file back.
func TestRules(t *testing.T) {
	b := &Bucket{Paths: map[string]map[string][]string{
		"public/*": {"guest": {"read"}, "groupsadmin": {"delete", "get", "get"}, "authenticated": {}},
		"none/*":   {},
		"job/*":    {"resource": {"get"}},
		"protected/${cognito-identity.amazonaws.com:sub}/*": {"entityidentity": {"write"}},
	}}
	rules, warnings := b.Rules()
	want := []Rule{
		{Path: "job/*"},
		{Path: "none/*"},
		{Path: "protected/${cognito-identity.amazonaws.com:sub}/*", Who: "owner", Actions: []string{"write"}},
		{Path: "public/*", Who: "guest", Actions: []string{"get", "list"}},
		{Path: "public/*", Who: "group:admin", Actions: []string{"get", "delete"}},
	}
	if !reflect.DeepEqual(rules, want) {
		t.Errorf("rules are %v, want %v", rules, want)
	}
	if len(warnings) != 1 || warnings[0].Path != `paths["job/*"].resource` {
		t.Errorf("warnings are %v", warnings)
	}
	again, warnings := Paths(rules)
	if again["public/*"]["groupsadmin"] == nil || len(again) != 4 || warnings != nil {
		t.Errorf("written again they are %v, %v", again, warnings)
	}
}

// golden are rules and what Amplify's own generator made of them.
type golden struct {
	Name   string
	Access map[string][]map[string]json.RawMessage
	Paths  map[string]map[string][]string
	Error  any
}

// TestPathsOfAmplify compares with what Amplify's own generator writes.
func TestPathsOfAmplify(t *testing.T) {
	text, err := os.ReadFile("../access/testdata/access-rules.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []golden }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range all.Cases {
		if g.Error != nil {
			continue
		}
		n++
		got, warnings := Paths(g.rules(t))
		want := map[string]map[string][]string{}
		for path, whos := range g.Paths {
			want[path] = map[string][]string{}
			for who, actions := range whos {
				want[path][who] = expand(actions) // the order means nothing
			}
		}
		if !reflect.DeepEqual(got, want) || warnings != nil {
			t.Errorf("%s: got\n%v, %v, want\n%v", g.Name, got, warnings, want)
		}
	}
	if n == 0 {
		t.Error("there are no cases")
	}
}

func (g golden) rules(t *testing.T) []Rule {
	t.Helper()
	var rules []Rule
	for path, list := range g.Access {
		for _, r := range list {
			names := func(key string) (names []string) {
				if err := json.Unmarshal(r[key], &names); err != nil {
					t.Fatal(err)
				}
				return names
			}
			for who := range r {
				switch who {
				case "guest", "authenticated":
					rules = append(rules, Rule{Path: path, Who: who, Actions: names(who)})
				case "entity:identity":
					rules = append(rules, Rule{Path: path, Who: "owner", Actions: names(who)})
				case "groups":
					for _, group := range names("groups") {
						rules = append(rules, Rule{Path: path, Who: "group:" + group, Actions: names("to")})
					}
				case "resource":
					rules = append(rules, Rule{Path: path})
				}
			}
		}
	}
	return rules
}

// TestRulesDecideTheSame writes rules into an outputs file, reads them back, and asks
// both for decisions.
func TestRulesDecideTheSame(t *testing.T) {
	rules := []Rule{
		{Path: "public/*", Who: "guest", Actions: []string{"get"}},
		{Path: "public/*", Who: "authenticated", Actions: []string{"get", "list", "write"}},
		{Path: "public/closed/*"},
		{Path: "protected/{entity_id}/*", Who: "guest", Actions: []string{"get"}},
		{Path: "protected/{entity_id}/*", Who: "group:staff", Actions: []string{"delete"}},
		{Path: "protected/{entity_id}/*", Who: "owner", Actions: []string{"get", "write"}},
		{Path: "private/{entity_id}/ro/*", Who: "owner", Actions: []string{"get"}},
		{Path: "box/${cognito-identity.amazonaws.com:sub}/*", Who: "authenticated", Actions: []string{"write"}},
	}
	paths, warnings := Paths(rules)
	if warnings != nil {
		t.Fatal(warnings)
	}
	back, warnings := (&Bucket{Paths: paths}).Rules()
	if warnings != nil {
		t.Fatal(warnings)
	}
	before, after := policy(t, rules), policy(t, back)
	for _, s := range []access.Subject{
		{},
		{Identity: "r:1"},
		{Identity: "r:1", Authenticated: true},
		{Identity: "r:1", Authenticated: true, Groups: []string{"staff"}},
	} {
		for _, key := range []string{
			"public/x", "public/closed/x", "protected/x", "protected/r:1/x", "protected/r:2/x", "private/r:1/x", "private/r:1/ro/x", "box/r:1/x", "box/r:2/x",
		} {
			for _, a := range []access.Action{access.Get, access.List, access.Write, access.Delete} {
				b, c := before.Decide(&s, a, key), after.Decide(&s, a, key)
				if b.Allowed != c.Allowed {
					t.Errorf("%v %v %s: %v, and by the outputs file %v", s, a, key, b.Allowed, c.Allowed)
				}
			}
		}
	}
}

// policy compiles rules.
func policy(t *testing.T, rules []Rule) *access.Policy {
	t.Helper()
	var list []access.Rule
	for _, r := range rules {
		x := access.Rule{Path: r.Path, Who: r.Who}
		if len(r.Actions) > 0 {
			var err error
			if x.Actions, err = access.ParseAction(strings.Join(r.Actions, ",")); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, x)
	}
	p, _, err := access.Compile(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPatterns compares what is said of paths with what package access takes.
func TestPatterns(t *testing.T) {
	for _, path := range []string{
		"a/*", "a/b/c/*", "a b/é/*", "*", "/*", "a", "a/", "a*", "/a/*", "a//*", "a//b/*", "a/*/b/*", "a/**", "?/*", "a/b?/*", "./*", "a/../*",
		"{entity_id}/*", "a/{entity_id}/*", "a/{entity_id}/b/*", "a/x{entity_id}/*", "a/{entity_id}/{entity_id}/*", "a/{x}/*", "a/}/*", "a\x01/*",
		"${cognito-identity.amazonaws.com:sub}/*", "a/${cognito-identity.amazonaws.com:sub}/b/*", "a/${cognito-identity.amazonaws.com:sub}x/*",
		"a/${cognito-identity.amazonaws.com:sub}/{entity_id}/*", "${x}/*", strings.Repeat("a", 1022) + "/*", strings.Repeat("a", 1023) + "/*",
	} {
		_, _, err := access.Compile([]access.Rule{{Path: path, Who: "owner", Actions: access.Get}}, &access.Options{AcceptOwnerWithoutToken: true})
		if wrong := patternFlaw(path); (wrong != "") != (err != nil) {
			t.Errorf("%s: %q, but access says %v", path, wrong, err)
		}
	}
	for _, path := range []string{"a/{sub}/*", "a/{username}/*", "a/{claim:tenant}/*", "a/{group}/*"} {
		if patternFlaw(path) == "" {
			t.Errorf("%s: clients of Amplify know no such token", path)
		}
	}
}

func ExampleOutputs_WriteAs() {
	o, err := Read(strings.NewReader(`
		const awsmobile = {
			aws_project_region: 'eu-west-1',
			aws_user_files_s3_bucket: 'media',
			aws_user_files_s3_bucket_region: 'eu-west-1',
			federationTarget: 'COGNITO_USER_POOLS', // of no interest here
		};
		export default awsmobile;`))
	if err != nil {
		fmt.Println(err)
		return
	}
	warnings, err := o.WriteAs(os.Stdout, &WriteOptions{Format: AmplifyOutputs, Version: "1.1"})
	fmt.Println(warnings, err)
	// Output:
	// {
	//   "version": "1.1",
	//   "storage": {
	//     "aws_region": "eu-west-1",
	//     "bucket_name": "media"
	//   }
	// }
	// [federationTarget: amplify_outputs has no place for it] <nil>
}
