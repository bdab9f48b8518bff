package s3api

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

func TestTarget(t *testing.T) {
	hosts := []string{"files.example.org", "eu.files.example.org:8443"}
	for _, c := range []struct{ host, path, bucket, key string }{
		{"127.0.0.1:20005", "/media/a/b", "media", "a/b"},
		{"[::1]:20005", "/media/a/b", "media", "a/b"},
		{"[::1]", "/media/a", "media", "a"},
		{"localhost:20005", "/media/a", "media", "a"},
		{"localhost", "/", "", ""},
		{"localhost", "/media", "media", ""},
		{"localhost", "/media/", "media", ""},
		{"s3.localhost:20005", "/my.bucket/a", "my.bucket", "a"},
		{"media.s3.localhost:20005", "/a/b", "media", "a/b"},
		{"my.bucket.s3.localhost", "/a", "my.bucket", "a"},
		{"MEDIA.S3.Localhost", "/A", "media", "A"},
		{"media.localhost", "/a", "media", "a"},
		{"media.s3.eu-west-1.example.org", "/", "media", ""},
		{"s3.eu-west-1.example.org", "/", "", ""},
		{"files.example.org", "/media/a", "media", "a"},
		{"files.example.org.", "/media/a", "media", "a"},
		{"media.files.example.org:443", "/a", "media", "a"},
		{"media.s3.files.example.org", "/a", "media", "a"},
		{"s3.files.example.org", "/media/a", "media", "a"},
		{"eu.files.example.org", "/media/a", "media", "a"},
		{"media.eu.files.example.org", "/a", "media", "a"},
		{"cdn.example.org", "/media/a", "media", "a"},
		{"localhost", "/media/a%2Fb", "media", "a/b"},
		{"localhost", "/media/a%252Fb", "media", "a%2Fb"},
		{"localhost", "/media//a", "media", "/a"},
		{"localhost", "/media/a//b/", "media", "a//b/"},
		{"media.s3.localhost", "//a", "media", "/a"},
		{"localhost", `/media/a\b`, "media", `a\b`},
		{"localhost", "/media/a%5Cb", "media", `a\b`},
		{"localhost", "/media/a;b=c", "media", "a;b=c"},
		{"localhost", "/media/a+b%20c", "media", "a+b c"},
		{"localhost", "/media/%C3%A9%3F%23", "media", "é?#"},
		{"localhost", "/media/é", "media", "é"},
		{"localhost", "/media/a/../b", "media", "a/../b"},
		{"localhost", "/media/%2e%2e/b", "media", "../b"},
		{"localhost", "/media/a%00b", "media", "a\x00b"},
		{"localhost", "/%6Dedia/a", "media", "a"},
	} {
		got, err := newTestServer(hosts).target(request(t, "GET", c.path, c.host))
		if want := (target{c.bucket, c.key}); err != nil || got != want {
			t.Errorf("%s %s: got %q %v, want %q", c.host, c.path, got, err, want)
		}
	}
}

func TestTargetRefuses(t *testing.T) {
	for _, c := range []struct{ host, path, code string }{
		{"localhost", "/media%2Fa/b", "InvalidBucketName"},
		{"localhost", "//media/a", "InvalidBucketName"},
		{"localhost", "/%2Fmedia/a", "InvalidBucketName"},
		{"localhost", "/Media/a", "InvalidBucketName"},
		{"localhost", "/../a", "InvalidBucketName"},
		{"localhost", "/127.0.0.1/a", "InvalidBucketName"},
		{"localhost", "/media/a%FF", "InvalidURI"},
		{"localhost", "/media/" + strings.Repeat("a", store.MaxKey+1), "KeyTooLongError"},
		{"a_b.s3.localhost", "/a", "InvalidBucketName"},
	} {
		_, err := newTestServer(nil).target(request(t, "GET", c.path, c.host))
		e, ok := err.(*Error)
		if !ok || e.Code != c.code {
			t.Errorf("%s %s: got %v, want %s", c.host, c.path, err, c.code)
		}
	}
}

func newTestServer(hosts []string) *server { return New(nil, &Options{Hosts: hosts}).(*server) }

// request returns what net/http makes of the line of a request.
func request(t *testing.T, method, uri, host string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + uri + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHostileKeysNeverReachABucket(t *testing.T) {
	w := newWorld(t)
	w.put("media", "private/id:bob/secret", "bob's")
	for _, key := range []string{
		"public/../private/id:bob/secret", "public/%2e%2e/private/id:bob/secret", "public/..%2fprivate/id:bob/secret",
		"public/%2E%2E%2Fprivate%2Fid:bob%2Fsecret", "public/./x", "public/%2e/x", "..", "%2e%2e", "public/..", "public/x%00", "%00",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
			w.do("alice", method, "/media/"+key, "x").is(400)
			w.do("operator", method, "/media/"+key, "x").is(400)
		}
		w.do("alice", "POST", "/media/"+key+"?uploads", "").is(400, "InvalidArgument")
		w.do("alice", "PUT", "/media/public/copy", "", "X-Amz-Copy-Source: media/"+key).is(400, "InvalidArgument")
	}
	for _, key := range []string{
		"public//private/id:bob/secret", "private//id:bob/secret", "/private/id:bob/secret", "private/id:bob%252fsecret", "private%252fid:bob/secret",
		`private\id:bob\secret`, "private/id:bob;/secret", "private/id:alice/%5C..%5Cid:bob", "private/id:bob/secret/", "PRIVATE/id:bob/secret",
	} {
		if r := w.do("alice", "GET", "/media/"+key, ""); r.status < 400 || strings.Contains(r.body, "bob's") {
			t.Errorf("%s gave %d %q", key, r.status, r.body)
		}
	}
	b, err := w.service.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.List(t.Context(), nil)
	if err != nil || len(page.Objects) != 1 {
		t.Errorf("the bucket holds %v (%v)", page.Objects, err)
	}
}

func FuzzTarget(f *testing.F) {
	for _, path := range []string{
		"media/a/b", "media/%2e%2e/b", "media/a%2Fb", "media//a", "media/a%00", "%2Fmedia/x", "media/a%252e", "media/a;b+c", `media/\..\x`, "media/é", "media/%FF", "media/a%",
	} {
		f.Add(path, "localhost")
		f.Add(path, "media.s3.localhost:20005")
	}
	f.Add("", "localhost")
	w := newFuzzWorld(f)
	f.Fuzz(func(t *testing.T, path, host string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /" + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser: operator\r\n\r\n")))
		if err != nil || strings.ContainsAny(path, " \r\n?#") {
			return
		}
		s := w.h.(*server)
		got, err := s.target(r)
		if err != nil {
			return
		}
		// Written out again, the target is found again.
		again := "/" + got.bucket
		if got.key != "" {
			again += "/" + url.PathEscape(got.key)
		}
		r2, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + again + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
		if err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if same, err := s.target(r2); err != nil || same != got {
			t.Errorf("%q is %q, but %q is %q (%v)", path, got, again, same, err)
		}
		// The gate is asked about that key, or the request fails.
		w.asked()
		w.serve(r)
		for _, c := range w.asked() {
			// Without a bucket it is asked about each of them.
			if got.bucket != "" && (c.Bucket != got.bucket || c.Key != got.key && got.key != "") {
				t.Errorf("%q: the gate was asked about %q %q", path, c.Bucket, c.Key)
			}
			for seg := range strings.SplitSeq(c.Key, "/") {
				if seg == "." || seg == ".." || strings.Contains(seg, "\x00") {
					t.Errorf("%q: the gate was asked about %q", path, c.Key)
				}
			}
		}
	})
}
