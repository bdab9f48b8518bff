package s3api

import (
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "x")
	for _, uri := range []string{"/media/public/x", "/nowhere/x", "/", "*"} {
		w.do("", "OPTIONS", uri, "", "Origin: https://app.example.org", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization,x-amz-date").is(200).
			has("Access-Control-Allow-Origin", "*").has("Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, DELETE").
			has("Access-Control-Allow-Headers", "authorization, x-amz-date").has("Access-Control-Max-Age", "3000").has("Access-Control-Allow-Credentials", "")
	}
	if checks := w.asked(); len(checks) > 0 {
		t.Errorf("a preflight asked %v", checks)
	}
	w.do("", "OPTIONS", "/media/public/x", "").is(400, "BadRequest")
	w.do("", "OPTIONS", "/media/public/x", "", "Origin: https://x", "Access-Control-Request-Method: PATCH").is(400, "BadRequest")
	w.do("", "OPTIONS", "/media/public/x", "", "Origin: https://x", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: <x>").is(400, "BadRequest").has("Access-Control-Allow-Headers", "")
	for _, user := range []string{"guest", ""} {
		r := w.do(user, "GET", "/media/public/x", "", "Origin: https://app.example.org").has("Access-Control-Allow-Origin", "*").has("Access-Control-Allow-Credentials", "")
		for _, name := range []string{"ETag", "Date", "x-amz-version-id", "x-amz-request-id", "x-amz-id-2", "x-amz-server-side-encryption"} {
			if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s is not exposed: %v", name, r.header)
			}
		}
	}
}

func TestCORSWithOrigins(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.CORS = &CORS{Origins: []string{"https://app.example.org", "https://*.dev.example.org"}, Expose: []string{"x-mine"}}
	})
	w.put("media", "public/x", "x")
	for origin, ok := range map[string]bool{
		"https://app.example.org": true, "https://a.dev.example.org": true, "https://app.example.org.evil.org": false, "http://app.example.org": false,
		"https://.dev.example.org": true, "https://dev.example.org": false, "null": false, "": false,
	} {
		want := ""
		if ok {
			want = origin
		}
		r := w.do("guest", "GET", "/media/public/x", "", "Origin: "+origin).is(200).has("Access-Control-Allow-Origin", want).has("Vary", "Origin")
		if got := strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "x-mine"); got != ok {
			t.Errorf("%q: exposed %v", origin, r.header)
		}
		if origin != "" {
			w.do("", "OPTIONS", "/media/public/x", "", "Origin: "+origin, "Access-Control-Request-Method: GET").is(map[bool]int{true: 200, false: 403}[ok])
		}
	}
	none := newWorld(t, func(o *Options) { o.CORS = new(CORS) })
	none.do("", "OPTIONS", "/", "", "Origin: https://x", "Access-Control-Request-Method: GET").is(403).has("Access-Control-Allow-Origin", "")
}
