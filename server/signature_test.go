package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// payloads are the ways in which content can be sent, each with a body that says
// "content". %s in a body is the signature of a chunk.
var payloads = []struct {
	name, hash, body string
	headers          []string
}{
	{"hash", hashOf("content"), "content", nil},
	{"unsigned", "UNSIGNED-PAYLOAD", "content", nil},
	{"signed chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "7;chunk-signature=%s\r\ncontent\r\n0;chunk-signature=%s\r\n\r\n", []string{"X-Amz-Decoded-Content-Length: 7", "Content-Encoding: aws-chunked"}},
	{
		"signed trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
		"7;chunk-signature=%s\r\ncontent\r\n0;chunk-signature=%s\r\nx-amz-checksum-crc32:4uVeWA==\r\nx-amz-trailer-signature:%s\r\n\r\n",
		[]string{"X-Amz-Decoded-Content-Length: 7", "X-Amz-Trailer: x-amz-checksum-crc32"},
	},
	{
		"unsigned trailer", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:4uVeWA==\r\n\r\n",
		[]string{"X-Amz-Decoded-Content-Length: 7", "X-Amz-Trailer: x-amz-checksum-crc32"},
	},
	{"elliptic", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "content", nil},
	{"unknown", "STREAMING-NEW-PAYLOAD", "content", nil},
	{"nonsense", "nonsense", "content", nil},
	{"upper case", strings.ToUpper(hashOf("content")), "content", nil},
}

// TestWrongSecretInEachPayloadMode writes nothing, in the header and in a link.
func TestWrongSecretInEachPayloadMode(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	for _, p := range []*person{alice, w.operator} {
		for _, secret := range []string{"", "wrong", p.keys.SecretAccessKey + " ", p.keys.SecretAccessKey[1:]} {
			forger := *p
			forger.keys.SecretAccessKey = secret
			for _, m := range payloads {
				body := strings.ReplaceAll(m.body, "%s", strings.Repeat("0", 64))
				for _, link := range []bool{false, true} {
					r := w.request("PUT", "/media/public/x", body, append([]string{"X-Amz-Content-Sha256: " + m.hash}, m.headers...)...)
					if secret == "" {
						r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
						w.unsignable(&forger, r, link)
					} else if link {
						r.Header.Del("X-Amz-Content-Sha256")
						r.URL.RawQuery = "X-Amz-Content-Sha256=" + m.hash
						w.presign(&forger, r, time.Now())
					} else {
						w.sign(&forger, r, time.Now())
					}
					res := w.do(r)
					if res.status != 403 && res.status != 400 && res.status != 501 {
						t.Errorf("%s, link %v, secret %q: %d %s", m.name, link, secret, res.status, res.body)
					}
					if (m.name == "hash" || m.name == "unsigned" || !link && strings.HasSuffix(m.name, "trailer")) && res.status != 403 {
						t.Errorf("%s, link %v, secret %q: %d %s, want 403", m.name, link, secret, res.status, res.body)
					}
				}
			}
		}
	}
	if got := w.keys("media"); len(got) != 0 {
		t.Errorf("the bucket holds %q", got)
	}
	if d := w.asked(); len(d) != 0 {
		t.Errorf("the rules were asked: %v", d)
	}
}

// unsignable signs r with an empty secret, which the signer refuses to do.
func (w *world) unsignable(p *person, r *http.Request, link bool) {
	w.Helper()
	q := *p
	q.keys.SecretAccessKey = "x"
	if link {
		w.presign(&q, r, time.Now())
	} else {
		w.sign(&q, r, time.Now())
	}
}

// TestContentIsWhatWasSigned sends something else than the signature is about.
func TestContentIsWhatWasSigned(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	for _, m := range payloads {
		body := strings.ReplaceAll(m.body, "%s", strings.Repeat("0", 64))
		switch m.name {
		case "unsigned":
			continue // whose point it is
		case "unsigned trailer":
			body = strings.ReplaceAll(body, "content", "hostile")
		case "hash":
			body = "hostile"
		}
		r := w.request("PUT", "/media/public/x", body, append([]string{"X-Amz-Content-Sha256: " + m.hash}, m.headers...)...)
		w.sign(alice, r, time.Now())
		if res := w.do(r); res.status < 400 || res.status > 501 || res.status == 500 {
			t.Errorf("%s: %d %s", m.name, res.status, res.body)
		}
	}
	if got := w.keys("media"); len(got) != 0 {
		t.Errorf("the bucket holds %q", got)
	}
	w.as(alice, "PUT", "/media/public/x", "content", "X-Amz-Content-Sha256: "+hashOf("content")).is(200)
	w.as(alice, "PUT", "/media/public/x", "hostile", "X-Amz-Content-Sha256: "+hashOf("content")).is(400, "XAmzContentSHA256Mismatch")
	w.as(alice, "PUT", "/media/public/x", "hostile", "X-Amz-Checksum-Crc32: 4uVeWA==").is(400)
	w.as(alice, "PUT", "/media/public/x", "hostile", "Content-Md5: CY9rzUYh03PK3k6DJie09g==").is(400)
	if got := w.content("media", "public/x"); got != "content" {
		t.Errorf("the object is %q", got)
	}
}

// TestUnsignedHeader adds headers after the signature was made.
func TestUnsignedHeader(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.user("alice"), w.user("bob")
	w.put("media", "private/"+alice.id+"/x", "secret")
	for _, h := range [][2]string{
		{"X-Amz-Copy-Source", "media/private/" + alice.id + "/x"},
		{"X-Amz-Tagging", "a=b"},
		{"X-Amz-Meta-Owner", "mallory"},
		{"X-Amz-Acl", "private"},
		{"X-Amz-Metadata-Directive", "REPLACE"},
		{"X-Amz-Storage-Class", "STANDARD"},
		{"X-Amz-Decoded-Content-Length", "3"},
		{"X-Amz-Expected-Bucket-Owner", "000000000000"},
		{"X-Amz-Security-Token", bob.keys.SessionToken},
		{"X-Amz-Date", time.Now().UTC().Format("20060102T150405Z")},
		{"X-Amz-Sdk-Checksum-Algorithm", "CRC32"},
		{"X-Amz-Checksum-Crc32", "4uVeWA=="},
		{"x-AMZ-meta-a", "b"},
		{"X-Amz-New", "1"},
		{"X-Amz-User-Agent", "browser"},
	} {
		for _, link := range []bool{false, true} {
			r := w.request("PUT", "/media/public/x", "content")
			if link {
				w.presign(alice, r, time.Now())
			} else {
				w.sign(alice, r, time.Now())
			}
			r.Header.Add(h[0], h[1])
			if res := w.do(r); res.status != 403 && res.status != 400 {
				t.Errorf("%s, link %v: %d %s", h[0], link, res.status, res.body)
			}
		}
	}
	if got := w.content("media", "public/x"); got != "" {
		t.Errorf("an object was written: %q", got)
	}
	// What a browser adds by itself does no harm.
	r := w.request("PUT", "/media/public/x", "content")
	w.sign(alice, r, time.Now())
	r.Header.Set("Origin", "https://app.example")
	r.Header.Set("Referer", "https://app.example/")
	w.do(r).is(200)
}

// TestSignatureOfAnotherShape is refused, and never a fault.
func TestSignatureOfAnotherShape(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	for _, sig := range []string{"", "0", "00", strings.Repeat("0", 63), strings.Repeat("0", 64), strings.Repeat("0", 65), strings.Repeat("0", 128), strings.Repeat("g", 64), strings.Repeat("%00", 64), "é"} {
		r := w.request("GET", "/media/public/x", "")
		w.sign(alice, r, time.Now())
		auth := r.Header.Get("Authorization")
		i := strings.Index(auth, "Signature=")
		r.Header.Set("Authorization", auth[:i]+"Signature="+sig)
		if res := w.do(r); res.status != 403 && res.status != 400 {
			t.Errorf("header, signature %q: %d %s", sig, res.status, res.body)
		}
		r = w.request("GET", "/media/public/x", "")
		w.presign(alice, r, time.Now())
		i = strings.Index(r.URL.RawQuery, "X-Amz-Signature=")
		r.URL.RawQuery = r.URL.RawQuery[:i] + "X-Amz-Signature=" + escape(sig)
		if res := w.do(r); res.status != 403 && res.status != 400 {
			t.Errorf("link, signature %q: %d %s", sig, res.status, res.body)
		}
	}
	for _, auth := range []string{
		"", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS " + alice.keys.AccessKeyID + ":x", "Bearer " + alice.tokens["IdToken"], "Basic YTpi",
		"AWS4-HMAC-SHA256 Credential=" + alice.keys.AccessKeyID + "/20260101/us-east-1/s3/aws4_request, SignedHeaders=, Signature=" + strings.Repeat("0", 64),
		"AWS4-ECDSA-P256-SHA256 Credential=x/20260101/s3/aws4_request, SignedHeaders=host, Signature=00",
	} {
		if res := w.as(nil, "GET", "/media/public/x", "", "Authorization: "+auth); res.status != 403 && res.status != 400 && res.status != 501 {
			t.Errorf("%q: %d %s", auth, res.status, res.body)
		}
	}
	if d := w.asked(); len(d) != 0 {
		t.Errorf("the rules were asked: %v", d)
	}
}

// TestBothFormsOfSignature in one request are refused, even if both are right.
func TestBothFormsOfSignature(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	w.put("media", "public/x", "content")
	link := func() *http.Request {
		r := w.request("GET", "/media/public/x", "")
		w.presign(alice, r, time.Now())
		return r
	}
	w.do(link()).is(200)
	r := link()
	w.sign(alice, r, time.Now())
	w.do(r).is(400, "InvalidArgument")
	for _, auth := range []string{"Bearer x", "Basic YTpi", "", "AWS4-HMAC-SHA256 Credential=x"} {
		r := link()
		r.Header["Authorization"] = []string{auth}
		w.do(r).is(400, "InvalidArgument")
	}
	// A link that lost a part of its signature is not a request without one.
	for _, name := range []string{"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Algorithm", "X-Amz-Security-Token"} {
		r := link()
		q := r.URL.Query()
		q.Del(name)
		r.URL.RawQuery = q.Encode()
		if res := w.do(r); res.status != 400 && res.status != 403 {
			t.Errorf("without %s: %d %s", name, res.status, res.body)
		}
		r = link()
		r.URL.RawQuery += "&" + name + "=" + escape(r.URL.Query().Get(name))
		w.do(r).is(400)
		r = link()
		r.URL.RawQuery += "&" + strings.ToLower(name) + "=x"
		w.do(r).is(400)
	}
	for _, uri := range []string{"/media?prefix=public/&prefix=private/", "/media?list-type=2&list-type=1", "/media/public/x?partNumber=1&partNumber=2"} {
		w.as(alice, "GET", uri, "").is(400, "InvalidArgument")
	}
}

// TestKeysThatNobodyHas are refused before the rules are asked.
func TestKeysThatNobodyHas(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	for _, c := range []struct {
		keys aws.Credentials
		code string
	}{
		{aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "x"}, "InvalidAccessKeyId"},
		{aws.Credentials{AccessKeyID: "CUBBYAAAAAAAAAAAAAAA", SecretAccessKey: "x"}, "InvalidAccessKeyId"},
		{aws.Credentials{AccessKeyID: alice.keys.AccessKeyID, SecretAccessKey: alice.keys.SecretAccessKey}, "InvalidAccessKeyId"},
		{aws.Credentials{AccessKeyID: w.operator.keys.AccessKeyID, SecretAccessKey: w.operator.keys.SecretAccessKey, SessionToken: alice.keys.SessionToken}, "InvalidToken"},
		{aws.Credentials{AccessKeyID: alice.keys.AccessKeyID, SecretAccessKey: alice.keys.SecretAccessKey, SessionToken: alice.keys.SessionToken + "A"}, "InvalidToken"},
		{aws.Credentials{AccessKeyID: alice.keys.AccessKeyID, SecretAccessKey: alice.keys.SecretAccessKey, SessionToken: "x"}, "InvalidToken"},
		{aws.Credentials{AccessKeyID: "minioadmin", SecretAccessKey: "minioadmin"}, "InvalidAccessKeyId"},
	} {
		p := &person{name: "forger", keys: c.keys}
		r := w.request("GET", "/media/public/x", "")
		w.sign(p, r, time.Now())
		if res := w.do(r); res.element("Code") != c.code {
			t.Errorf("%s: %d %s, want %s", c.keys.AccessKeyID, res.status, res.body, c.code)
		}
		r = w.request("GET", "/media/public/x", "")
		w.presign(p, r, time.Now())
		if res := w.do(r); res.element("Code") != c.code {
			t.Errorf("link of %s: %d %s, want %s", c.keys.AccessKeyID, res.status, res.body, c.code)
		}
	}
	if err := w.srv.RevokeKey(t.Context(), w.operator.keys.AccessKeyID); err != nil {
		t.Fatal(err)
	}
	w.asked()
	w.as(w.operator, "GET", "/", "").is(403, "InvalidAccessKeyId")
	if d := w.asked(); len(d) != 0 {
		t.Errorf("the rules were asked: %v", d)
	}
}

// TestTimeOfTheSignature bounds when a request and a link are good.
func TestTimeOfTheSignature(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	w.put("media", "public/x", "content")
	now := time.Now()
	for _, c := range []struct {
		shift  time.Duration
		status int
		code   string
	}{
		{0, 200, ""},
		{-14 * time.Minute, 200, ""},
		{14 * time.Minute, 200, ""},
		{-16 * time.Minute, 403, "RequestTimeTooSkewed"},
		{16 * time.Minute, 403, "RequestTimeTooSkewed"},
		{-365 * 24 * time.Hour, 403, "RequestTimeTooSkewed"},
	} {
		r := w.request("GET", "/media/public/x", "")
		w.sign(alice, r, now.Add(c.shift))
		w.do(r).is(c.status, c.code)
	}
	for _, c := range []struct {
		shift   time.Duration
		expires string
		status  int
	}{
		{0, "1000", 200},
		{-time.Hour, "7200", 200},
		{-time.Hour, "60", 403},
		{-8 * 24 * time.Hour, "604800", 403},
		{16 * time.Minute, "60", 403},
		{0, "604801", 400},
		{0, "0", 400},
		{0, "-1", 400},
		{0, "1e9", 400},
		{0, "99999999999999999999", 400},
		{0, "", 400},
	} {
		r := w.request("GET", "/media/public/x?X-Amz-Expires="+c.expires, "")
		w.presign(alice, r, now.Add(c.shift))
		if res := w.do(r); res.status != c.status {
			t.Errorf("%v, expires %q: %d %s, want %d", c.shift, c.expires, res.status, res.body, c.status)
		}
	}
}

// TestLinkIsForOneThing alone: its method, key, bucket, host and query.
func TestLinkIsForOneThing(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	for _, key := range []string{"public/x", "public/y", "private/" + alice.id + "/x"} {
		w.put("media", key, "content")
	}
	link := w.request("GET", "/media/public/x", "")
	w.presign(alice, link, time.Now())
	w.do(link).is(200)
	for what, change := range map[string]func(r *http.Request){
		"PUT":             func(r *http.Request) { r.Method = "PUT" },
		"DELETE":          func(r *http.Request) { r.Method = "DELETE" },
		"POST":            func(r *http.Request) { r.Method = "POST" },
		"HEAD":            func(r *http.Request) { r.Method = "HEAD" },
		"another key":     func(r *http.Request) { r.URL.Path = "/media/public/y" },
		"own folder":      func(r *http.Request) { r.URL.Path = "/media/private/" + alice.id + "/x" },
		"encoded":         func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/media/public/x", "/media/public%2Fx" },
		"the bucket":      func(r *http.Request) { r.URL.Path = "/media" },
		"another bucket":  func(r *http.Request) { r.URL.Path = "/other/public/x" },
		"another host":    func(r *http.Request) { r.Host = "media.s3.localhost" },
		"tagging":         func(r *http.Request) { r.URL.RawQuery += "&tagging" },
		"a type":          func(r *http.Request) { r.URL.RawQuery += "&response-content-type=text%2Fhtml" },
		"a list":          func(r *http.Request) { r.URL.Path = "/media"; r.URL.RawQuery += "&list-type=2" },
		"a longer life":   func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "=300", "=3000", 1) },
		"fewer headers":   func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "=host", "=", 1) },
		"another region":  func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "us-east-1", "us-east-2", 1) },
		"another service": func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "%2Fs3%2F", "%2Fsts%2F", 1) },
		"a copy":          func(r *http.Request) { r.Method = "PUT"; r.URL.RawQuery += "&x-amz-copy-source=media%2Fpublic%2Fy" },
	} {
		r := link.Clone(t.Context())
		change(r)
		if res := w.do(r); res.status != 403 && res.status != 400 {
			t.Errorf("%s: %d %s", what, res.status, res.body)
		}
	}
	if got := w.content("media", "public/x"); got != "content" || len(w.keys("media")) != 3 {
		t.Errorf("the object is %q, the bucket holds %q", got, w.keys("media"))
	}
	// A range is not part of what is signed, and gives no more than the object.
	r := link.Clone(t.Context())
	r.Header.Set("Range", "bytes=1-2")
	if res := w.do(r).is(206); res.body != "on" {
		t.Errorf("the range is %q", res.body)
	}
}
