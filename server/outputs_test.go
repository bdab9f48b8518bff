package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/outputs"
)

// TestOutputsPaths writes the rules in the words that Amplify's clients know.
func TestOutputsPaths(t *testing.T) {
	all := access.Read | access.Write | access.Delete
	got, warnings := outputs.Paths(Rules{
		{Path: "public/*", Who: "guest", Actions: access.Read},
		{Path: "public/*", Who: "authenticated", Actions: all},
		{Path: "protected/{entity_id}/*", Who: "guest", Actions: access.Get},
		{Path: "protected/{entity_id}/*", Who: "owner", Actions: all},
		{Path: "private/{entity_id}/*", Who: "entityidentity", Actions: all | access.Versions},
		{Path: "raw/${cognito-identity.amazonaws.com:sub}/*", Who: "authenticated", Actions: access.List},
		{Path: "admin/*", Who: "group:admin", Actions: access.Write},
		{Path: "staff/*", Who: "groupsstaff", Actions: access.Delete},
		{Path: "home/{username}/*", Who: "owner", Actions: all},
		{Path: "versions/*", Who: "group:admin", Actions: access.Versions},
		{Path: "public/closed/*"},
	}.words())
	want := map[string]map[string][]string{
		"public/*":    {"guest": {"get", "list"}, "authenticated": {"get", "list", "write", "delete"}},
		"protected/*": {"guest": {"get"}},
		"protected/${cognito-identity.amazonaws.com:sub}/*": {"entityidentity": {"get", "list", "write", "delete"}},
		"private/${cognito-identity.amazonaws.com:sub}/*":   {"entityidentity": {"get", "list", "write", "delete"}},
		"raw/${cognito-identity.amazonaws.com:sub}/*":       {"authenticated": {"list"}},
		"admin/*":         {"groupsadmin": {"write"}},
		"staff/*":         {"groupsstaff": {"delete"}},
		"versions/*":      {},
		"public/closed/*": {},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if len(warnings) != 3 { // of versions, twice, and of {username}
		t.Errorf("warnings %v", warnings)
	}
}

func TestOutputsDocument(t *testing.T) {
	w := newWorld(t, nil)
	const path = "/.well-known/cubby/amplify_outputs.json"
	r := w.as(nil, "GET", path, "").is(200)
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	o, err := outputs.Read(strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if o.Auth.UserPoolID != w.srv.users.ID() || o.Auth.IdentityPoolID != w.srv.identityPool || o.Auth.UserPoolClientID != w.srv.users.ClientID() || !o.Auth.Guests {
		t.Errorf("auth is %+v", o.Auth)
	}
	if o.Storage.Bucket != "media" || len(o.Storage.Buckets) != 3 || o.Storage.Region != DefaultRegion {
		t.Errorf("storage is %+v", o.Storage)
	}
	if c := o.Custom.Cubby; c.S3Endpoint != w.url || c.IdentityPoolEndpoint != w.url || c.UserPoolEndpoint != w.url || !c.PathStyle {
		t.Errorf("custom is %+v", c)
	}
	if len(o.Auth.Groups) != 1 || o.Auth.Groups[0].Name != "admin" {
		t.Errorf("groups are %v", o.Auth.Groups)
	}
	if o.Storage.Buckets[0].Paths["admin/*"]["groupsadmin"] == nil {
		t.Errorf("paths are %v", o.Storage.Buckets[0].Paths)
	}
	for _, secret := range []string{"alice", "bob", w.operator.keys.AccessKeyID} {
		if strings.Contains(r.body, secret) {
			t.Errorf("the document names %s", secret)
		}
	}
	if head := w.as(nil, "HEAD", path, "").is(200); head.body != "" {
		t.Errorf("HEAD has content: %q", head.body)
	}
	for _, method := range []string{"PUT", "POST", "DELETE", "PATCH"} {
		w.as(w.operator, method, path, "x").is(http.StatusMethodNotAllowed)
	}
	w.as(nil, "GET", "/.well-known/cubby/other", "").is(404)
	w.as(nil, "GET", "/.well-known/cubby/", "").is(404)

	// The file says the same.
	if err := w.srv.WriteOutputs(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(w.srv.cfg.Data, outputsFile))
	if err != nil || !bytes.Equal(file, []byte(r.body)) || !json.Valid(file) {
		t.Errorf("the file is %s, %v", file, err)
	}
}

// TestOutputsDocumentIsMadeOnce for all who ask, until it has something else to tell.
func TestOutputsDocumentIsMadeOnce(t *testing.T) {
	w := newWorld(t, &setup{file: true, opts: Options{Poll: -1}})
	get := func(host string) string {
		t.Helper()
		r := w.request("GET", wellKnown+outputsFile, "")
		r.Host = host
		return w.do(r).is(200).body
	}
	for _, host := range []string{"a.example", "b.example:80", "'&x=<y>"} {
		u := url.URL{Scheme: "http", Host: host}
		want, err := w.srv.outputsText(t.Context(), u.String())
		if err != nil {
			t.Fatal(err)
		}
		text, err := w.srv.document.text(t.Context(), w.srv, u.String())
		if err != nil || !bytes.Equal(text, want) {
			t.Errorf("%s: got %s, %v", host, text, err)
		}
	}
	made := &w.srv.document.made[0]
	for i := range 20 {
		if host := fmt.Sprint("h", i, ".example"); !strings.Contains(get(host), `"http://`+host+`"`) {
			t.Errorf("the document is not that of %s", host)
		}
	}
	if &w.srv.document.made[0] != made {
		t.Error("it was made again")
	}
	if _, err := w.srv.AddUser(t.Context(), NewUser{Name: "dora", Password: password, Groups: []string{"divers"}}); err != nil {
		t.Fatal(err)
	}
	if text := get("a.example"); !strings.Contains(text, `"divers"`) {
		t.Errorf("a new group is missing: %s", text)
	}
	w.edit(ConfigFile, shelf("get"))
	if err := w.srv.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := get("a.example"); !strings.Contains(text, `"shelf/*"`) {
		t.Errorf("the new rules are missing: %s", text)
	}
}

// TestRegionInTheSettingsMovesNobody keeps the ids of identities, and so the
// folders of users, when the region in the settings is another one.
func TestRegionInTheSettingsMovesNobody(t *testing.T) {
	w := newWorld(t, &setup{change: func(c *Config) { c.Region = "eu-test-1" }})
	alice := w.user("alice")
	if !strings.HasPrefix(alice.id, "us-east-1:") {
		t.Errorf("the identity is %s", alice.id)
	}
	w.as(alice, "PUT", "/media/private/"+alice.id+"/x", "x").is(200)
	o, err := w.srv.Outputs(t.Context(), w.url)
	if err != nil || o.Auth.Region != "us-east-1" || o.Storage.Region != "eu-test-1" {
		t.Errorf("outputs are %+v, %+v, %v", o.Auth, o.Storage, err)
	}
}
