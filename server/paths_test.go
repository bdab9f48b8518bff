package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestPrefixWithoutSeparator asks for keys that begin like a path of the rules but
// are not below it.
func TestPrefixWithoutSeparator(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	for _, key := range []string{
		"public", "public2/x", "publi", "publicx", "Public/x", "PUBLIC/x", "public\u200b/x", "drop", "dropx",
		"private/" + alice.id, "private/" + alice.id + "x/y", "private/" + alice.id[:len(alice.id)-1] + "/y", "private/" + strings.ToUpper(alice.id) + "/y",
		"users/alice", "users/alice2/x", "users/alic/x", "users/Alice/x",
	} {
		w.put("media", key, "secret")
		w.as(alice, "GET", "/media/"+escape(key), "").is(403, "AccessDenied")
		w.as(alice, "PUT", "/media/"+escape(key), "hostile").is(403, "AccessDenied")
		w.as(alice, "DELETE", "/media/"+escape(key), "").is(403, "AccessDenied")
		w.as(alice, "HEAD", "/media/"+escape(key), "").is(403)
		if got := w.content("media", key); got != "secret" {
			t.Errorf("%s is %q now", key, got)
		}
	}
	for _, prefix := range []string{"public2", "publicx", "private/" + alice.id + "x", "Public", "drop"} {
		w.as(alice, "GET", "/media?list-type=2&prefix="+escape(prefix), "").is(403, "AccessDenied")
	}
	for _, key := range w.listed(alice, "") {
		if key != "public/" {
			t.Errorf("the list shows %q", key)
		}
	}
}

// escape encodes a key for a path or a query.
func escape(key string) string {
	var b strings.Builder
	for i := range len(key) {
		if c := key[i]; c == '/' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// listed returns all keys that p lists below a prefix.
func (w *world) listed(p *person, prefix string) []string {
	w.Helper()
	return w.as(p, "GET", "/media?list-type=2&prefix="+escape(prefix), "").is(200).elements("Key")
}

// TestTwoViewsOfOnePath holds that rules and store see the same key, whatever
// form the path has.
func TestTwoViewsOfOnePath(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	for _, c := range []struct {
		path   string
		status int
		key    string // that is written, or that was asked for and denied
	}{
		{"/media/public/x", 200, "public/x"},
		{"/media/public%2Fx", 200, "public/x"},
		{"/media/public%2fx", 200, "public/x"},
		{"/media/%70ublic/x", 200, "public/x"},
		{"/%6Dedia/public/x", 200, "public/x"},
		{"/media/public//x", 200, "public//x"},
		{"/media/public/%2Fx", 200, "public//x"},
		{"/media/public/x/", 200, "public/x/"},
		{"/media/public/a+b", 200, "public/a+b"},
		{"/media/public/a%2Bb", 200, "public/a+b"},
		{"/media/public/a%20b", 200, "public/a b"},
		{"/media/public/a;b=c", 200, "public/a;b=c"},
		{"/media/public/a%3Fb", 200, "public/a?b"},
		{"/media/public/%2520", 200, "public/%20"},
		{"/media/public/%252e%252e/private/bob/x", 200, "public/%2e%2e/private/bob/x"},
		{"/media/public/..%5Cprivate", 200, `public/..\private`},
		{"/media/public/...", 200, "public/..."},
		{"/media//public/x", 403, "/public/x"},
		{"/media/%2Fpublic/x", 403, "/public/x"},
		{"/media/public%252Fx", 403, "public%2Fx"},
		{"/media/public;x/y", 403, "public;x/y"},
		{"/media/public+/x", 403, "public+/x"},
		{"/media/%20public/x", 403, " public/x"},
		{"/media/public%5Cx", 403, `public\x`},
		{"/media/private/bob//public/x", 403, "private/bob//public/x"},
		{"/media/public/../private/bob/x", 400, ""},
		{"/media/public/%2e%2e/private/bob/x", 400, ""},
		{"/media/public/.%2e/x", 400, ""},
		{"/media/public%2F..%2Fprivate%2Fbob%2Fx", 400, ""},
		{"/media/public%2f%2e%2e%2fprivate", 400, ""},
		{"/media/public/./x", 400, ""},
		{"/media/./public/x", 400, ""},
		{"/media/../other/private/x", 400, ""},
		{"/media/public/x/..", 400, ""},
		{"/media/public/x%00", 400, ""},
		{"/media/public/%FFx", 400, ""},
		{"/media/public/%C0%AE%C0%AE/x", 400, ""},
		{"//media/public/x", 400, ""},
		{"/media%2Fpublic/x", 400, ""},
		{"/media%2F..%2Fother/x", 400, ""},
		{"/./media/public/x", 400, ""},
		{"/../media/public/x", 400, ""},
		{"/Media/public/x", 400, ""},
		{"/media%00/public/x", 400, ""},
		{"/media./public/x", 400, ""},
		{"/.well-known/x", 400, ""},
	} {
		before := w.keys("media")
		w.asked()
		r := w.as(alice, "PUT", c.path, "content").is(c.status)
		var asked []string
		for _, d := range w.asked() {
			asked = append(asked, d.Key)
		}
		switch {
		case c.status == 200:
			if got := w.content("media", c.key); got != "content" || len(asked) != 1 || asked[0] != c.key {
				t.Errorf("%s wrote %q and asked for %q, want %q", c.path, got, asked, c.key)
			}
			if r := w.as(alice, "GET", c.path, "").is(200); r.body != "content" {
				t.Errorf("%s gave %q", c.path, r.body)
			}
			w.as(alice, "DELETE", c.path, "").is(204)
			fallthrough
		default:
			if after := w.keys("media"); len(after) != len(before) {
				t.Errorf("%s: the bucket holds %q", c.path, after)
			}
		}
		if c.status == 403 && (len(asked) != 1 || asked[0] != c.key) {
			t.Errorf("%s asked for %q, want %q\n%s", c.path, asked, c.key, r.body)
		}
		if c.status == 400 && len(asked) != 0 {
			t.Errorf("%s asked for %q", c.path, asked)
		}
	}
}

// TestHostNamesTheBucket holds for virtual hosts what holds for paths.
func TestHostNamesTheBucket(t *testing.T) {
	w := newWorld(t, &setup{change: func(c *Config) { c.Hosts = []string{"files.example.com"} }})
	alice := w.user("alice")
	for _, host := range []string{"media.s3.localhost", "media.localhost:20005", "media.s3.eu-1.example.com", "media.files.example.com", "MEDIA.files.example.com."} {
		w.as(alice, "PUT", "/public/x", host, "Host: "+host).is(200)
		if got := w.content("media", "public/x"); got != host {
			t.Errorf("%s: the object is %q", host, got)
		}
		w.as(alice, "GET", "/private/bob/x", "", "Host: "+host).is(403)
		w.as(alice, "GET", "/../other/x", "", "Host: "+host).is(400)
		w.as(alice, "GET", "//x", "", "Host: "+host).is(403)
	}
	w.as(alice, "GET", "/public/x", "", "Host: other.s3.localhost").is(403)
	w.as(alice, "GET", "/public/x", "", "Host: a..b.s3.localhost").is(400)
	w.as(alice, "GET", "/media/public/x", "", "Host: files.example.com").is(200)
	w.as(alice, "GET", "/media/public/x", "", "Host: s3.localhost").is(200)
}

// TestDotsInEveryInput tries ".." wherever a request can name a key.
func TestDotsInEveryInput(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	w.put("media", "public/x", "content")
	w.put("media", "private/bob/x", "secret")
	for _, p := range []*person{alice, w.operator} {
		for _, key := range []string{"public/../private/bob/x", "public/..", "../media/private/bob/x", "public/./x", "..", "public/%2e%2e/private/bob/x"} {
			encoded := strings.Contains(key, "%")
			src := "X-Amz-Copy-Source: /media/" + key
			w.as(p, "PUT", "/media/public/copy", "", src).is(400)
			w.as(p, "PUT", "/media/public/copy", "", src+"?versionId=null").is(400)
			w.as(p, "PUT", "/media/public/copy?partNumber=1&uploadId=x", "", src).is(400)
			if !encoded {
				w.as(p, "PUT", "/media/public/copy", "", "X-Amz-Copy-Source: "+escape("media/"+key)).is(400)
				body := "<Delete><Object><Key>" + key + "</Key></Object><Object><Key>public/gone</Key></Object></Delete>"
				r := w.as(p, "POST", "/media?delete", body, "X-Amz-Content-Sha256: "+hashOf(body)).is(200)
				if got := r.elements("Code"); len(got) != 1 || got[0] != "InvalidArgument" {
					t.Errorf("delete of %s: %s", key, r.body)
				}
			}
			for _, uri := range []string{"?uploads", "?uploadId=x", "?tagging"} {
				for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
					r := w.as(p, method, "/media/"+key+uri, "<Tagging><TagSet/></Tagging>")
					if r.status < 400 {
						t.Errorf("%s: %d %s", r.what, r.status, r.body)
					}
				}
			}
		}
		for _, id := range []string{"../../x", "..%2F..%2Fstate.db", "%00", "a%0Ab", strings.Repeat("x", 5000), "public/x"} {
			for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut} {
				w.as(p, method, "/media/public/x?partNumber=1&uploadId="+id, "").is(map[string]int{"PUT": 404, "GET": 501, "DELETE": 501}[method])
			}
			w.as(p, "GET", "/media/public/x?uploadId="+id, "").is(404, "NoSuchUpload")
			w.as(p, "DELETE", "/media/public/x?uploadId="+id, "").is(404, "NoSuchUpload")
		}
	}
	if got := w.keys("media"); len(got) != 2 || w.content("media", "private/bob/x") != "secret" {
		t.Errorf("the bucket holds %q", got)
	}
}
