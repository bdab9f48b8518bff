package server

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestBucketWithoutRules is open to operators alone, and looks like none.
func TestBucketWithoutRules(t *testing.T) {
	w := newWorld(t, nil)
	w.put("bare", "public/x", "secret")
	delete := "<Delete><Object><Key>public/x</Key></Object></Delete>"
	for _, p := range []*person{w.user("alice"), w.user("bob"), w.guest(), nil} {
		for _, c := range []struct{ method, uri, body string }{
			{"GET", "", ""},
			{"GET", "?list-type=2", ""},
			{"HEAD", "", ""},
			{"GET", "?location", ""},
			{"GET", "?versioning", ""},
			{"GET", "?uploads", ""},
			{"PUT", "", ""},
			{"DELETE", "", ""},
			{"POST", "?delete", delete},
			{"GET", "/public/x", ""},
			{"HEAD", "/public/x", ""},
			{"PUT", "/public/x", "hostile"},
			{"DELETE", "/public/x", ""},
			{"GET", "/public/x?tagging", ""},
			{"POST", "/public/x?uploads", ""},
			{"GET", "/public/x?uploadId=x", ""},
			{"GET", "/public/../x", ""},
			{"DELETE", "/public/x?uploadId=x", ""},
		} {
			var headers []string
			if c.body == delete {
				headers = []string{"X-Amz-Content-Sha256: " + hashOf(delete)}
			}
			there := w.as(p, c.method, "/bare"+c.uri, c.body, headers...)
			not := w.as(p, c.method, "/nowhere"+c.uri, c.body, headers...)
			if there.status != not.status || there.element("Code") != not.element("Code") || there.element("Message") != not.element("Message") {
				t.Errorf("%s: %d %s, for a bucket that is missing %d %s", there.what, there.status, there.body, not.status, not.body)
			}
			if there.status < 400 && there.element("Code") != "AccessDenied" {
				t.Errorf("%s: %d %s", there.what, there.status, there.body)
			}
		}
	}
	if got := w.content("bare", "public/x"); got != "secret" {
		t.Errorf("the object is %q", got)
	}
	if r := w.as(w.operator, "GET", "/bare/public/x", "").is(200); r.body != "secret" {
		t.Errorf("the operator got %q", r.body)
	}
	w.as(w.operator, "GET", "/nowhere/x", "").is(404, "NoSuchBucket")
}

// TestNoRulesAtAll is a server whose settings forgot them.
func TestNoRulesAtAll(t *testing.T) {
	w := newWorld(t, &setup{config: "buckets: [{name: media}]"})
	w.put("media", "public/x", "secret")
	for _, p := range []*person{w.user("bob"), w.guest()} {
		w.as(p, "GET", "/media/public/x", "").is(403, "AccessDenied")
		w.as(p, "GET", "/media", "").is(403, "AccessDenied")
		if r := w.as(p, "GET", "/", "").is(200); len(r.elements("Name")) > 0 {
			t.Errorf("%s sees %s", p.name, r.body)
		}
	}
}

// TestOwnerTokenInjection has users whose names would reach into the folders of
// others if they were put into a path.
func TestOwnerTokenInjection(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"../alice", "alice/x", "/", "..", ".", "*", "al*", "?lice", "${sub}", "{username}", "alice\x00", "a\nb", " alice", "ali ce", "", "\xff", strings.Repeat("x", 129)} {
		if _, err := w.srv.AddUser(t.Context(), NewUser{Name: name, Password: password}); err == nil {
			t.Errorf("a user may be called %q", name)
		}
	}
	// Names that are the same to people are the same user.
	for _, name := range []string{"ALICE", "Alice", "alice"} {
		if _, err := w.srv.AddUser(t.Context(), NewUser{Name: name, Password: password}); err == nil {
			t.Errorf("there is a second %q", name)
		}
	}
	composed, decomposed := "zo\u00eb", "zoe\u0308"
	if _, err := w.srv.AddUser(t.Context(), NewUser{Name: decomposed, Password: password}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.srv.AddUser(t.Context(), NewUser{Name: composed, Password: password}); err == nil {
		t.Error("there are two users of one name")
	}
	for _, name := range []string{decomposed, "a-b.c", "..x", "me@example.com", "a%2fb", `a\b`} {
		if name != decomposed {
			if _, err := w.srv.AddUser(t.Context(), NewUser{Name: name, Password: password}); err != nil {
				t.Fatal(err)
			}
		}
		p := w.user(name)
		kept := strings.ReplaceAll(name, decomposed, composed)
		w.as(p, "PUT", "/media/users/"+escape(kept)+"/x", name).is(200)
		w.as(p, "PUT", "/media/users/alice/x", "hostile").is(403, "AccessDenied")
		w.as(p, "PUT", "/media/users/"+escape(kept)+"x/x", "hostile").is(403, "AccessDenied")
		if got := w.content("media", "users/"+kept+"/x"); got != name {
			t.Errorf("%q wrote %q", name, w.keys("media"))
		}
		if got := w.listed(p, "users/"); len(got) != 1 {
			t.Errorf("%q lists %q", name, got)
		}
	}
	// An identity id is ours to make, not the caller's.
	for _, id := range []string{"us-east-1:*", "us-east-1:../x", "*", "us-east-1:00000000-0000-4000-8000-00000000000/", "us-east-1:00000000-0000-1000-8000-000000000000", "eu-west-1:00000000-0000-4000-8000-000000000000", "US-EAST-1:00000000-0000-4000-8000-000000000000"} {
		if a := w.credentials(id, nil); a.status == 200 {
			t.Errorf("there are credentials for %q", id)
		}
		if a := w.credentials(id, w.logins(w.signIn("alice"))); a.status == 200 {
			t.Errorf("there are credentials for %q", id)
		}
	}
}

// TestListsShowWhatMayBeListed in every form that a list has.
func TestListsShowWhatMayBeListed(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob, guest := w.user("alice"), w.user("bob"), w.guest()
	mine := []string{"private/" + alice.id + "/1", "private/" + alice.id + "/d/2", "public/1", "public/d/2", "protected/" + bob.id + "/1"}
	theirs := []string{"private/" + bob.id + "/1", "admin/1", "blind/1", "drop/1", "users/bob/1", "zzz", "private/1"}
	for _, key := range slices.Concat(mine, theirs) {
		w.put("media", key, "content")
	}
	slices.Sort(mine)
	if got := w.listed(alice, ""); !slices.Equal(got, mine) {
		t.Errorf("alice lists %q, want %q", got, mine)
	}
	if got := w.listed(guest, ""); !slices.Equal(got, []string{"public/1", "public/d/2"}) {
		t.Errorf("a guest lists %q", got)
	}
	if got := w.listed(w.operator, ""); len(got) != len(mine)+len(theirs) {
		t.Errorf("the operator lists %q", got)
	}

	// Rolled up, a prefix shows only if something visible is below it.
	for _, uri := range []string{"/media?list-type=2&delimiter=%2F", "/media?delimiter=%2F"} {
		r := w.as(alice, "GET", uri, "").is(200)
		if got := r.elements("Prefix"); !slices.Equal(dropEmpty(got), []string{"private/", "protected/", "public/"}) {
			t.Errorf("%s shows %q", uri, got)
		}
		if n := r.element("KeyCount"); strings.Contains(uri, "list-type") && n != "3" {
			t.Errorf("%s counts %s", uri, n)
		}
	}
	r := w.as(alice, "GET", "/media?list-type=2&delimiter=%2F&prefix=private%2F", "").is(200)
	if got := dropEmpty(r.elements("Prefix")); !slices.Equal(got, []string{"private/", "private/" + alice.id + "/"}) {
		t.Errorf("private/ shows %q", got)
	}

	// Page by page, nothing of the others shows: no key, no count, no token.
	var got []string
	after := ""
	for range 20 {
		r := w.as(alice, "GET", "/media?list-type=2&max-keys=1&continuation-token="+escape(after), "")
		if after == "" {
			r = w.as(alice, "GET", "/media?list-type=2&max-keys=1", "")
		}
		r.is(200)
		got = append(got, r.elements("Key")...)
		next := r.element("NextContinuationToken")
		text, err := base64.RawURLEncoding.DecodeString(next)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range theirs {
			if strings.Contains(string(text), key) || strings.Contains(r.body, key) {
				t.Errorf("a page shows %s: %s, token %q", key, r.body, text)
			}
		}
		if after = next; after == "" {
			break
		}
	}
	if !slices.Equal(got, mine) {
		t.Errorf("page by page alice lists %q, want %q", got, mine)
	}

	// A token of another's list, and one that was made up, open nothing.
	token := w.as(w.operator, "GET", "/media?list-type=2&max-keys=2&prefix=", "").is(200).element("NextContinuationToken")
	for _, forged := range []string{token, base64.RawURLEncoding.EncodeToString([]byte("\x01admin/")), base64.RawURLEncoding.EncodeToString([]byte("\x01private/" + bob.id + "/"))} {
		r := w.as(alice, "GET", "/media?list-type=2&continuation-token="+escape(forged), "").is(200)
		for _, key := range r.elements("Key") {
			if !slices.Contains(mine, key) {
				t.Errorf("token %q shows %s", forged, key)
			}
		}
		w.as(guest, "GET", "/media?list-type=2&prefix=private%2F&continuation-token="+escape(forged), "").is(403, "AccessDenied")
	}
	for _, bad := range []string{"x", "!!!", token + "=", base64.RawURLEncoding.EncodeToString([]byte("\x02a"))} {
		w.as(alice, "GET", "/media?list-type=2&continuation-token="+escape(bad), "").is(400, "InvalidArgument")
	}

	// Other places to start from.
	for _, uri := range []string{"/media?list-type=2&start-after=private%2F", "/media?marker=private%2F", "/media?list-type=2&start-after=admin", "/media?list-type=2&max-keys=0", "/media?list-type=2&fetch-owner=true"} {
		r := w.as(alice, "GET", uri, "").is(200)
		for _, key := range r.elements("Key") {
			if !slices.Contains(mine, key) {
				t.Errorf("%s shows %s", uri, key)
			}
		}
	}
	for _, prefix := range []string{"private/" + bob.id, "private/" + bob.id + "/", "admin/", "admin", "blind/", "drop/", "users/bob/", "zzz", "private/1"} {
		for _, uri := range []string{"/media?list-type=2&prefix=", "/media?list-type=2&delimiter=%2F&prefix=", "/media?prefix=", "/media?versions&prefix="} {
			w.as(alice, "GET", uri+escape(prefix), "").is(403, "AccessDenied")
		}
	}
	w.as(alice, "GET", "/media?versions", "").is(403, "AccessDenied")
}

func dropEmpty(list []string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// TestHeadTellsNothing of whether there is an object that may not be listed.
func TestHeadTellsNothing(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.user("alice"), w.user("bob")
	for _, key := range []string{"private/" + bob.id + "/there", "drop/there", "blind/there", "public/there"} {
		w.put("media", key, "content")
	}
	for _, c := range []struct {
		folder string
		there  int
		none   int
	}{
		{"private/" + bob.id, 403, 403},
		{"drop", 403, 403},
		{"blind", 200, 403}, // may be read by who knows the key, not be searched
		{"public", 200, 404},
	} {
		for _, method := range []string{"HEAD", "GET"} {
			w.as(alice, method, "/media/"+escape(c.folder)+"/there", "").is(c.there)
			w.as(alice, method, "/media/"+escape(c.folder)+"/none", "").is(c.none)
			for _, h := range []string{"If-Match: \"x\"", "If-None-Match: *", "Range: bytes=100-200", "If-Modified-Since: Wed, 21 Oct 2015 07:28:00 GMT"} {
				if c.there == 403 {
					w.as(alice, method, "/media/"+escape(c.folder)+"/there", "", h).is(403)
				}
				if c.none == 403 {
					w.as(alice, method, "/media/"+escape(c.folder)+"/none", "", h).is(403)
				}
			}
		}
		if c.there == 403 {
			for _, key := range []string{"there", "none"} {
				r := w.as(alice, "GET", "/media/"+escape(c.folder)+"/"+key, "")
				if r.header.Get("ETag") != "" || r.header.Get("Last-Modified") != "" {
					t.Errorf("%s has %v", r.what, r.header)
				}
			}
		}
	}
	// Nor do the conditions of a write.
	for _, key := range []string{"there", "none"} {
		w.as(alice, "PUT", "/media/drop/"+key, "x", "If-Match: *").is(403, "AccessDenied")
		w.as(alice, "DELETE", "/media/drop/"+key, "").is(403, "AccessDenied")
		w.as(alice, "GET", "/media/drop/"+key+"?tagging", "").is(403, "AccessDenied")
	}
}

// TestDeletesOfAnother in one list with one's own.
func TestDeletesOfAnother(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.user("alice"), w.user("bob")
	keys := []string{"public/1", "private/" + bob.id + "/1", "admin/1", "private/" + alice.id + "/1", "drop/1"}
	var body strings.Builder
	body.WriteString("<Delete>")
	for _, key := range keys {
		w.put("media", key, "content")
		body.WriteString("<Object><Key>" + key + "</Key></Object>")
	}
	body.WriteString("</Delete>")
	w.as(nil, "POST", "/media?delete", body.String()).is(403, "AccessDenied")
	r := w.as(w.guest(), "POST", "/media?delete", body.String(), "X-Amz-Content-Sha256: "+hashOf(body.String())).is(200)
	if n := len(r.elements("Code")); n != len(keys) {
		t.Errorf("a guest: %s", r.body)
	}
	r = w.as(alice, "POST", "/media?delete", body.String(), "X-Amz-Content-Sha256: "+hashOf(body.String())).is(200)
	if got := r.elements("Code"); len(got) != 3 || got[0] != "AccessDenied" {
		t.Errorf("alice: %s", r.body)
	}
	want := []string{"admin/1", "drop/1", "private/" + bob.id + "/1"}
	slices.Sort(want)
	if got := w.keys("media"); !slices.Equal(got, want) {
		t.Errorf("the bucket holds %q, want %q", got, want)
	}
}

// TestWarnings names rules that may not mean what their author thinks.
func TestWarnings(t *testing.T) {
	w := newWorld(t, nil)
	if got := w.srv.Warnings(); len(got) != 0 {
		t.Errorf("warnings are %q", got)
	}
	odd := newWorld(t, &setup{config: "groups: replace\nbuckets:\n  - name: media\n    rules:\n      public/*:\n        owner: [read]\n"})
	if got := odd.srv.Warnings(); len(got) != 1 || !strings.Contains(got[0], "cubby.yaml:6") {
		t.Errorf("warnings are %q", got)
	}
}

// TestDecisionsAreTold in words, with the place of the rule.
func TestDecisionsAreTold(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	w.asked()
	w.as(alice, "GET", fmt.Sprintf("/media/private/%s/x", alice.id), "").is(404)
	d := w.asked()
	if len(d) == 0 || !d[0].Allowed || d[0].Identity != alice.id || d[0].Role != "owner" || d[0].Rule.Pos == "" || !strings.Contains(d[0].Reason, d[0].Rule.Pos) {
		t.Errorf("decisions are %+v", d)
	}
	w.as(alice, "GET", "/media/admin/x", "").is(403)
	if d = w.asked(); len(d) != 1 || d[0].Allowed || !strings.Contains(d[0].Reason, "group:admin") {
		t.Errorf("decisions are %+v", d)
	}
	w.as(alice, "GET", "/media", "").is(200)
	if d = w.asked(); len(d) != 1 || !d[0].Allowed || strings.Contains(d[0].Reason, "denied") {
		t.Errorf("decisions are %+v", d)
	}
	w.as(w.operator, "GET", "/media/admin/x", "").is(404)
	if d = w.asked(); len(d) != 1 || !d[0].Operator || d[0].Identity != "" {
		t.Errorf("decisions are %+v", d)
	}
}
