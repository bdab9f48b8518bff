package s3api

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store/memstore"
)

// TestRequestIDIsEverywhere: in the header of each response, in the XML of each
// error, and with whoever observes the gate.
func TestRequestIDIsEverywhere(t *testing.T) {
	svc := memstore.New()
	if err := svc.CreateBucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	var observed []string
	w := &world{t: t, service: svc}
	p, err := access.Parse("rules", []byte(rules), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.gate = gate.New(svc, map[string]*access.Policy{"media": p}, &gate.Options{Observe: func(ctx context.Context, _ gate.Check) {
		observed = append(observed, RequestID(ctx))
	}})
	w.h = New(w.gate, &Options{Authenticate: w.authenticate})
	w.put("media", "public/x", "content")
	seen := map[string]bool{}
	for _, c := range []struct {
		user, method, uri string
		status            int
		asks              bool // the gate
	}{
		{"guest", "GET", "/media/public/x", 200, true},
		{"guest", "HEAD", "/media/public/x", 200, true},
		{"guest", "HEAD", "/media/public/none", 404, true},
		{"guest", "HEAD", "/media/secret/x", 403, true},
		{"guest", "HEAD", "/nowhere", 403, true},
		{"guest", "GET", "/media/secret/x", 403, true},
		{"guest", "GET", "/media/public/none", 404, true},
		{"guest", "GET", "/media/public/x?partNumber=9", 416, true},
		{"alice", "DELETE", "/media/public/x", 204, true},
		{"alice", "PUT", "/media/public/x", 200, true},
		{"", "HEAD", "/media/public/x", 403, false},
		{"", "GET", "/media/public/x", 403, false},
		{"", "OPTIONS", "/media/public/x", 400, false},
		{"guest", "GET", "/media/%ff", 400, false},
		{"guest", "GET", "/media/public/x?prefix=%zz", 400, false},
		{"guest", "PUT", "/media?analytics", 501, false},
	} {
		observed = nil
		r := w.do(c.user, c.method, c.uri, "").is(c.status)
		id := r.header.Get("X-Amz-Request-Id")
		if len(id) != 16 || seen[id] || r.header.Get("X-Amz-Id-2") == "" {
			t.Errorf("%s: the ids are %q and %q", r.what, id, r.header.Get("X-Amz-Id-2"))
		}
		seen[id] = true
		if c.status >= 400 && c.method != "HEAD" && r.element("RequestId") != id {
			t.Errorf("%s: the XML names %q, the header %s", r.what, r.element("RequestId"), id)
		}
		if slices.ContainsFunc(observed, func(o string) bool { return o != id }) || c.asks != (len(observed) > 0) {
			t.Errorf("%s: the gate was asked for %q, want %s", r.what, observed, id)
		}
	}
	tag := w.do("alice", "HEAD", "/media/public/x", "").header.Get("ETag")
	if r := w.do("alice", "GET", "/media/public/x", "", "If-None-Match: "+tag).is(304); r.body != "" || len(r.header.Get("X-Amz-Request-Id")) != 16 {
		t.Errorf("%s: header %v", r.what, r.header)
	}
	if id := RequestID(t.Context()); id != "" {
		t.Errorf("there is an id outside a request: %s", id)
	}
}

// TestDenialsAreAlike: from a refusal nobody learns what there is or why it is
// refused. All of these look the same but for what the caller sent and the ids.
func TestDenialsAreAlike(t *testing.T) {
	w := newWorld(t)
	w.rules("public/*  guest read  authenticated read,write\nprivate/{entity_id}/*  owner read,write\nblind/*  authenticated get\nadmin/*  group:admin read,write\nshort/*  group:admin write maxSize=1 contentTypes=image/png")
	for _, key := range []string{"private/id:bob/there", "admin/there", "blind/there", "nobody/there", "there", "short/there"} {
		w.put("media", key, "secret")
		w.put("other", key, "secret")
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST"} {
		var first *response
		for _, path := range []string{
			"/media/admin/there", "/media/admin/none", // by a rule for others
			"/media/private/id:bob/there", "/media/private/id:bob/none", // in the folder of another
			"/media/nobody/there", "/media/nobody/none", "/media/there", "/media/none", // by no rule
			"/other/admin/there", "/other/none", // in a bucket without rules
			"/nowhere/admin/there", "/nowhere/none", // in no bucket
			"/media/short/there", "/media/short/none", // where others have limits
			"/media/blind/none", // may read, but not know what there is
		} {
			if strings.HasPrefix(path, "/media/blind") && method != "GET" && method != "HEAD" {
				continue
			}
			uri := path
			if method == "POST" {
				uri += "?uploads"
			}
			r := w.do("alice", method, uri, "").is(403)
			r.body = strings.NewReplacer(
				"<Resource>"+path+"</Resource>", "<Resource/>",
				r.header.Get("X-Amz-Request-Id"), "ID", r.header.Get("X-Amz-Id-2"), "HOST",
			).Replace(r.body)
			for _, name := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "Content-Length"} {
				r.header.Del(name)
			}
			if first == nil {
				first = r
				if method != "HEAD" && r.element("RequestId") != "ID" {
					t.Errorf("%s: %s", r.what, r.body)
				}
			}
			if r.body != first.body || !maps.EqualFunc(r.header, first.header, slices.Equal) {
				t.Errorf("%s: %v %s\nunlike %s: %v %s", r.what, r.header, r.body, first.what, first.header, first.body)
			}
		}
	}
}

// TestReasonIsForThoseWhoMayKnow, in the XML of a refusal alone.
func TestReasonIsForThoseWhoMayKnow(t *testing.T) {
	var denied []*gate.Denied
	text := "no rule gives <write> & \"co\" to\x00 \nalice\x1b[31m\u0085"
	w := newWorld(t, func(o *Options) {
		o.Explain = func(c *Caller, d *gate.Denied) string {
			denied = append(denied, d)
			if c.Subject.Identity != "id:alice" {
				return ""
			}
			return text
		}
	})
	w.put("media", "secret/x", "x")
	r := w.do("alice", "GET", "/media/secret/x", "").is(403, "AccessDenied")
	if got := r.element("CubbyReason"); got != "no rule gives &lt;write&gt; &amp; &quot;co&quot; to alice[31m" {
		t.Errorf("the reason is %q", got)
	}
	if len(denied) != 1 || denied[0].Check.Key != "secret/x" || denied[0].Check.Action != access.Get || denied[0].Check.Policy != w.gate.Policy("media") {
		t.Errorf("asked to explain %+v", denied)
	}
	for name, values := range r.header {
		if strings.Contains(strings.Join(values, ""), "no rule") {
			t.Errorf("the header %s has the reason", name)
		}
	}
	for _, user := range []string{"bob", "guest", "anonymous"} {
		if r := w.do(user, "GET", "/media/secret/x", "").is(403); strings.Contains(r.body, "Reason") {
			t.Errorf("%s is told %s", user, r.body)
		}
	}

	// Nothing else is explained.
	denied = nil
	deletion := "<Delete><Object><Key>secret/x</Key></Object></Delete>"
	for _, r := range []*response{
		w.do("alice", "HEAD", "/media/secret/x", ""),
		w.do("alice", "GET", "/media/public/none", ""),
		w.do("alice", "GET", "/media?analytics", ""),
		w.do("", "GET", "/media/secret/x", ""),
		w.do("alice", "GET", "/media/public/x", "", "X-Amz-Expected-Bucket-Owner: 210987654321"),
		w.do("alice", "POST", "/media?delete", deletion, "X-Amz-Content-Sha256: 00"),
	} {
		if strings.Contains(r.body, "Reason") || strings.Contains(r.body, "no rule") {
			t.Errorf("%s: %s", r.what, r.body)
		}
	}
	w.rules("public/*  authenticated write contentTypes=image/png")
	if r := w.do("alice", "PUT", "/media/public/x", "x").is(403); strings.Contains(r.body, "Reason") {
		t.Errorf("%s: %s", r.what, r.body)
	}
	if len(denied) > 0 {
		t.Errorf("asked to explain %+v", denied)
	}

	// A text without end, or of broken characters, does not break the XML.
	text = "x" + strings.Repeat("\u00e9", maxReason)
	got := w.do("alice", "GET", "/media/secret/x", "").is(403).element("CubbyReason")
	if len(got) != maxReason-1 && len(got) != maxReason || !utf8.ValidString(got) || !strings.HasPrefix(text, got) {
		t.Errorf("%d bytes of %q", len(got), got[len(got)-5:])
	}
	text = "\xff\xfe\x00"
	if got := w.do("alice", "GET", "/media/secret/x", "").is(403).element("CubbyReason"); got != "\ufffd\ufffd" {
		t.Errorf("the reason is %q", got)
	}
	text = "\x00\x01"
	if r := w.do("alice", "GET", "/media/secret/x", "").is(403); strings.Contains(r.body, "Reason") {
		t.Errorf("%s: %s", r.what, r.body)
	}
}
