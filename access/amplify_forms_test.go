package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

// TestAmplifyForms reads rules in forms that JavaScript or Amplify treat in a way
// of their own.
func TestAmplifyForms(t *testing.T) {
	a, err := access.ParseAmplify([]byte(`{
		"z/*": [{"guest": ["read"]}], "7": [], "a/*": [], "10": [], "07": [],
		"z/*": [{"guest": ["get"]}, {"groups": [], "to": ["list"]}, {"groups": ["b", "a"], "to": ["write", "get", "write"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range a.Paths {
		paths = append(paths, p.Path)
	}
	if got := strings.Join(paths, " "); got != "7 10 z/* a/* 07" {
		t.Errorf("the order of the paths is %s", got)
	}
	a.Paths = slices.DeleteFunc(a.Paths, func(p access.AmplifyPath) bool { return !strings.HasSuffix(p.Path, "*") })
	out, err := a.Generate(bucketARN)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(out.Paths)
	if want := `{"z/*":{"guest":["get"],"groupsb":["write","get"],"groupsa":["write","get"]}}`; err != nil || string(text) != want {
		t.Errorf("paths %s, %v, want %s", text, err, want)
	}
	for _, text := range []string{
		``, `null`, `[]`, `{`, `{} {}`, `{"a/*": null}`, `{"a/*": {}}`, `{"a/*": [[]]}`, `{"a/*": [{}]}`,
		`{"a/*": [{"guest": "read"}]}`, `{"a/*": [{"guest": null}]}`, `{"a/*": [{"guest": ["all"]}]}`,
		`{"a/*": [{"guest": ["read"], "authenticated": ["read"]}]}`, `{"a/*": [{"groups": ["a"]}]}`,
		`{"a/*": [{"groups": "a", "to": ["read"]}]}`, `{"a/*": [{"resource": "", "to": ["read"]}]}`,
		`{"a/*": [{"resource": "f", "to": ["read"], "x": 1}]}`, `{"a/*": [{"entity:sub": ["read"]}]}`,
		`{"` + strings.Repeat("a", 2000) + `/*": []}`, strings.Repeat(" ", 5<<20),
	} {
		if a, err := access.ParseAmplify([]byte(text)); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%.60s is read as %+v, %v", text, a, err)
		}
	}
}

// TestAmplifyPathErrors has the paths that break two of Amplify's rules: the one
// that Amplify checks first is named, for the first such path.
func TestAmplifyPathErrors(t *testing.T) {
	for _, c := range []struct{ access, message, details string }{
		{`{"/foo": []}`, `start with "/"`, ""},
		{`{"foo//x": []}`, `ends with "/*"`, ""},
		{`{"a*//b/*": []}`, `no "//"`, ""},
		{`{"ok/*": [], "a*/b/*": []}`, "wildcard", ""},
		{`{"a/*": [], "a/b/c/*": [], "a/b/*": []}`, "at most. Found [a/b/c/*]", "[a/*, a/b/*]"},
		{`{"a/*": [], "a/{entity_id}/b/*": []}`, "No other path", "[a/*]"},
		{`{"{entity_id}/{entity_id}/*": []}`, "once", ""},
		{`{"{entity_id}/b/*": []}`, "right before", ""},
		{`{"{entity_id}/*": []}`, "first part", ""},
		{`{"a/x{entity_id}/*": []}`, "whole part", ""},
	} {
		a, err := access.ParseAmplify([]byte(c.access))
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Generate(bucketARN)
		e, ok := errors.AsType[*access.AmplifyError](err)
		if !ok || e.Name != "InvalidStorageAccessPathError" || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Details, c.details) || e.Resolution == "" {
			t.Errorf("%s: %v", c.access, err)
		}
		if _, err := a.Rules(); err == nil {
			t.Errorf("%s has rules", c.access)
		}
	}
}

// TestPolicyAmplify has rules that Amplify could not hold.
func TestPolicyAmplify(t *testing.T) {
	for rules, reason := range map[string]access.Reason{
		"a/* authenticated get\na/b/* # nobody":                     access.BadNoAction,
		"a/* authenticated get\na/b/* guest get\na/b/c/* guest get": access.BadNesting,
		"a/{sub}/* owner get":                                       access.BadToken,
		"a/* guest versions":                                        access.BadAction,
		"a/* guest write maxSize=1MB":                               access.BadLimits,
		"a/* group:authenticatedUserIamRole get":                    access.BadWho,
	} {
		_, err := mustParse(t, rules, nil).Amplify()
		if e, ok := errors.AsType[*access.Error](err); !ok || e.Problems[0].Reason != reason {
			t.Errorf("%s: %v, want %s", rules, err, reason)
		}
	}
	p := mustParse(t, "b/* # nobody\nb/c/* function:f get group:v write,get\na/{entity_id}/* owner read guest list", nil)
	a, err := p.Amplify()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a)
	want := `{"b/c/*":[{"resource":"f","to":["get"]},{"groups":["v"],"to":["get","write"]}],` +
		`"a/{entity_id}/*":[{"entity:identity":["get","list"]},{"guest":["list"]}]}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
}

// TestAmplifyIsFast generates the documents of many rules.
func TestAmplifyIsFast(t *testing.T) {
	var a access.Amplify
	for i := range 2500 {
		for _, path := range []string{"t%d/*", "t%d/x/*", "u%d/{entity_id}/*", "v/%d/*"} {
			a.Paths = append(a.Paths, access.AmplifyPath{Path: fmt.Sprintf(path, i), Rules: []access.AmplifyRule{{Allow: "authenticated", To: []string{"read"}}}})
		}
	}
	start := time.Now()
	out, err := a.Generate(bucketARN)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second || len(out.Paths) != 10000 {
		t.Errorf("%d paths took %v", len(out.Paths), took)
	}
	t.Log(time.Since(start))
}

// FuzzParseAmplify reads any text. What is read prints and is read back the same,
// and what Amplify accepts and we accept is decided as its documents say.
func FuzzParseAmplify(f *testing.F) {
	text, err := os.ReadFile("testdata/access-rules.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Cases []golden }
	if err := json.Unmarshal(text, &file); err != nil {
		f.Fatal(err)
	}
	for _, c := range file.Cases {
		f.Add([]byte(c.Access))
	}
	f.Add([]byte(`{"a/{entity_id}/*":[{"resource":"f","to":["get"]},{"resource":"f","to":["list"]}],"7":[],"a/b/*":[{"groups":["v"],"to":[]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := access.ParseAmplify(text)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		printed, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		again, err := access.ParseAmplify(printed)
		if err != nil || !reflect.DeepEqual(plain(t, again), plain(t, a)) {
			t.Fatalf("%s is printed as %s, %v", text, printed, err)
		}
		out, err := a.Generate(bucketARN)
		rules, otherErr := a.Rules()
		if (err == nil) != (otherErr == nil) {
			t.Fatalf("%s generates %v, and its rules %v", text, err, otherErr)
		}
		if err != nil {
			if e, ok := errors.AsType[*access.AmplifyError](err); !ok || e.Name == "" {
				t.Fatal(err)
			}
			return
		}
		p, _, err := access.Compile(rules, strict)
		if err != nil || len(rules) > 20 {
			return
		}
		docs := make(map[string]*iam.Document)
		for _, policy := range out.Policies {
			if docs[policy.Role] != nil {
				return // a function and a group have the same name
			}
			docs[policy.Role] = policy.Document
		}
		compare(t, p, rules, docs)
	})
}

// TestAmplifySameName has a group and a resource of one name, which are two roles.
func TestAmplifySameName(t *testing.T) {
	a, err := access.ParseAmplify([]byte(`{"a/*": [{"groups": ["resize"], "to": ["get"]}, {"resource": "resize", "to": ["write"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Generate(bucketARN)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range out.Policies {
		got = append(got, fmt.Sprintln(p.Role, p.Resource, p.Document.Statement[0].Action))
	}
	if want := []string{"resize false [s3:GetObject]\n", "resize true [s3:PutObject]\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
