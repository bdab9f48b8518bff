package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const functionConfig = `
buckets:
  - name: media
    rules:
      uploads/{entity_id}/*:
        owner: [read, write, delete]
        function:resize: [read]
      thumbs/*:
        guest: [read]
        authenticated: [read]
        function:resize: [write]
      index/*:
        function:index: [read, write, delete]
      public/*:
        guest: [read]
        authenticated: [read, write]
  - name: other
    rules:
      uploads/*:
        authenticated: [read]
  - name: bare
`

// function returns a program with a key of its own.
func (w *world) function(name string) *person {
	w.Helper()
	k, err := w.srv.AddFunctionKey(w.Context(), "", name)
	if err != nil {
		w.Fatal(err)
	}
	return &person{name: "function:" + name, id: k.ID, keys: aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}}
}

// TestFunctionDoesWhatItsRulesSay and nothing else, whatever guests, users and
// other functions may do.
func TestFunctionDoesWhatItsRulesSay(t *testing.T) {
	w := newWorld(t, &setup{config: functionConfig})
	resize, index := w.function("resize"), w.function("index")
	alice := w.user("alice")
	mine := "/media/uploads/" + alice.id + "/x"
	w.as(alice, "PUT", mine, "pixels").is(200)
	for _, key := range []string{"index/x", "public/x", "uploads/x", "x"} {
		w.put("media", key, "secret")
	}
	w.put("other", "uploads/x", "secret")
	w.put("bare", "uploads/x", "secret")

	w.as(resize, "HEAD", mine, "").is(200)
	if r := w.as(resize, "GET", mine, "").is(200); r.body != "pixels" {
		t.Errorf("the function read %q", r.body)
	}
	w.as(resize, "PUT", "/media/thumbs/x", "small").is(200)
	w.as(resize, "PUT", "/media/thumbs/y", "", "X-Amz-Copy-Source: media/uploads/"+alice.id+"/x").is(200)
	if r := w.as(alice, "GET", "/media/thumbs/x", "").is(200); r.body != "small" {
		t.Errorf("alice read %q", r.body)
	}
	if got := w.listed(resize, ""); !slices.Equal(got, []string{"uploads/" + alice.id + "/x", "uploads/x"}) {
		t.Errorf("the function lists %q", got)
	}
	w.as(index, "GET", "/media/index/x", "").is(200)

	for _, uri := range []string{"/media/index/x", "/media/public/x", "/media/thumbs/x", "/media/x", "/media/none", "/other/uploads/x", "/bare/uploads/x", "/nowhere/uploads/x"} {
		w.as(resize, "GET", uri, "").is(403, "AccessDenied")
		w.as(resize, "DELETE", uri, "").is(403, "AccessDenied")
		if !strings.HasPrefix(uri, "/media/thumbs/") {
			w.as(resize, "PUT", uri, "hostile").is(403, "AccessDenied")
		}
	}
	w.as(resize, "PUT", mine, "hostile").is(403, "AccessDenied")
	w.as(resize, "DELETE", mine, "").is(403, "AccessDenied")
	w.as(index, "GET", mine, "").is(403, "AccessDenied")
	w.as(index, "PUT", "/media/thumbs/x", "hostile").is(403, "AccessDenied")
	// The name of a function is no right of somebody who is called so.
	if _, err := w.srv.AddUser(t.Context(), NewUser{Name: "resize", Password: password, Groups: []string{"resize"}}); err != nil {
		t.Fatal(err)
	}
	w.as(w.user("resize"), "GET", mine, "").is(403, "AccessDenied")

	// Its uploads in parts are its own.
	id := w.as(index, "POST", "/media/index/y?uploads", "").is(200).element("UploadId")
	w.as(resize, "GET", "/media/index/y?uploadId="+id, "").is(403, "AccessDenied")
	w.as(index, "GET", "/media/index/y?uploadId="+id, "").is(200)
}

// TestFunctionIsNoOperator, and its key ends when it is revoked.
func TestFunctionIsNoOperator(t *testing.T) {
	w := newWorld(t, &setup{config: functionConfig})
	f := w.function("resize")
	for _, c := range []struct{ method, uri string }{
		{"PUT", "/fresh"},
		{"DELETE", "/bare"},
		{"PUT", "/media"},
		{"DELETE", "/media"},
		{"GET", "/bare"},
		{"HEAD", "/bare"},
		{"GET", "/bare?location"},
		{"GET", "/bare?versioning"},
	} {
		w.as(f, c.method, c.uri, "").is(403)
	}
	if got := w.as(f, "GET", "/", "").is(200).elements("Name"); !slices.Equal(got, []string{"media"}) {
		t.Errorf("the function sees the buckets %q", got)
	}
	for _, d := range w.asked() {
		if d.Operator {
			t.Errorf("an operator asked for %+v", d)
		}
	}
	keys, err := w.srv.Keys(t.Context())
	if err != nil || len(keys) != 2 || !slices.ContainsFunc(keys, func(k Key) bool { return k.Function == "resize" && k.ID == f.id && k.Secret == "" }) {
		t.Errorf("keys are %+v, %v", keys, err)
	}
	if err := w.srv.RevokeKey(t.Context(), f.id); err != nil {
		t.Fatal(err)
	}
	w.as(f, "GET", "/", "").is(403, "InvalidAccessKeyId")
	for _, name := range []string{"", "a/b", "*", "e\u0301"} {
		if k, err := w.srv.AddFunctionKey(t.Context(), "", name); err == nil {
			t.Errorf("there is a key %+v of the function %q", k, name)
		}
	}
}
