package server

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

func TestTheMainJob(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.user("alice"), w.user("bob")
	path := fmt.Sprintf("/media/private/%s/note.txt", alice.id)
	w.as(alice, "PUT", path, "hello").is(200)
	if r := w.as(alice, "GET", path, "").is(200); r.body != "hello" {
		t.Errorf("got %q", r.body)
	}
	if got := w.as(alice, "GET", "/media?list-type=2&prefix=private%2F", "").is(200).elements("Key"); len(got) != 1 {
		t.Errorf("alice lists %q", got)
	}
	link := w.request("GET", path, "")
	w.presign(alice, link, time.Now())
	if r := w.do(link).is(200); r.body != "hello" {
		t.Errorf("the link gave %q", r.body)
	}
	for _, p := range []*person{bob, w.guest(), nil} {
		w.as(p, "GET", path, "").is(403, "AccessDenied")
		w.as(p, "PUT", path, "hostile").is(403, "AccessDenied")
		w.as(p, "DELETE", path, "").is(403, "AccessDenied")
		w.as(p, "GET", "/media?list-type=2&prefix=private%2F"+url.QueryEscape(alice.id), "").is(403, "AccessDenied")
	}
	if got := w.content("media", "private/"+alice.id+"/note.txt"); got != "hello" {
		t.Errorf("the object is %q now", got)
	}
}
