package s3api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/sigv4"
)

// postForm is a form that a test sends.
type postForm struct {
	user, bucket string
	expires      time.Time
	conditions   []any
	policy       string // instead of expires and conditions
	fields       [][2]string
	filename     string
	content      string
	after        [][2]string // fields behind the file
	noFile       bool
	headers      []string
	query        string
}

// newPost returns a form by which user puts "content" under key, in media.
func newPost(user, key string) *postForm {
	f := &postForm{user: user, bucket: "media", expires: time.Now().Add(time.Hour), filename: "cat.png", content: "content"}
	return f.with("key", key)
}

// with adds a field and the condition that it is this.
func (f *postForm) with(name, value string) *postForm {
	return f.field(name, value).condition("eq", "$"+name, value)
}

func (f *postForm) field(name, value string) *postForm {
	f.fields = append(f.fields, [2]string{name, value})
	return f
}

func (f *postForm) condition(c ...any) *postForm {
	f.conditions = append(f.conditions, c)
	return f
}

func (f *postForm) named(filename, content string) *postForm {
	f.filename, f.content = filename, content
	return f
}

// signed returns all fields, in order, with those that sign the others.
func (f *postForm) signed() [][2]string {
	at := time.Now().UTC()
	date := at.Format("20060102")
	signs := [][2]string{
		{"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},
		{"X-Amz-Credential", f.user + "/" + date + "/us-east-1/s3/aws4_request"},
		{"X-Amz-Date", at.Format("20060102T150405Z")},
	}
	policy := f.policy
	if policy == "" {
		conditions := append([]any{map[string]string{"bucket": "media"}}, f.conditions...)
		for _, s := range signs {
			conditions = append(conditions, map[string]string{strings.ToLower(s[0]): s[1]})
		}
		text, _ := json.Marshal(map[string]any{"expiration": f.expires.UTC().Format("2006-01-02T15:04:05.000Z"), "conditions": conditions})
		policy = string(text)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(policy))
	key := []byte("AWS4" + f.user + "-secret")
	for _, s := range []string{date, "us-east-1", "s3", "aws4_request", encoded} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		key = h.Sum(nil)
	}
	return append(append(f.fields[:len(f.fields):len(f.fields)], signs...), [2]string{"Policy", encoded}, [2]string{"X-Amz-Signature", hex.EncodeToString(key)})
}

// body returns the form as a browser sends it.
func (f *postForm) body(fields [][2]string) (text, contentType string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, v := range fields {
		_ = m.WriteField(v[0], v[1]) // into memory
	}
	if !f.noFile {
		p, _ := m.CreateFormFile("file", f.filename)
		_, _ = p.Write([]byte(f.content))
	}
	for _, v := range f.after {
		_ = m.WriteField(v[0], v[1])
	}
	_ = m.Close()
	return b.String(), m.FormDataContentType()
}

// post sends f.
func (w *world) post(f *postForm) *response {
	w.t.Helper()
	text, contentType := f.body(f.signed())
	return w.do("", "POST", "/"+f.bucket+f.query, text, append([]string{"Content-Type: " + contentType}, f.headers...)...)
}

func TestPost(t *testing.T) {
	w := newWorld(t, signed)
	f := newPost("alice", "public/${filename}").named(`C:\pictures\a cat.png`, "content")
	f.conditions[0] = []any{"starts-with", "$KEY", "public/"}
	f.field("Content-Type", "image/png").condition("starts-with", "$content-type", "image/").with("Cache-Control", "max-age=3").with("x-amz-meta-a", "b: ${filename}").
		with("Tagging", "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>").with("acl", "private").with("success_action_status", "201").
		with("x-amz-checksum-crc32", "/sUwqQ==").field("x-ignore-me", "x").condition("content-length-range", 7, "7")
	f.conditions[3] = []any{"eq", "$x-amz-meta-a", "b: a cat.png"}
	f.headers = []string{"Origin: https://app.example.org"}
	r := w.post(f).is(201).has("Access-Control-Allow-Origin", "*").has("Location", "http://127.0.0.1:20005/media/public/a%20cat.png").has("ETag", `"9a0364b9e99bb480dd25e1f0284c8555"`)
	if r.element("Bucket") != "media" || r.element("Key") != "public/a cat.png" || r.element("Location") != r.header.Get("Location") || !strings.Contains(r.body, "<PostResponse xmlns=") {
		t.Errorf("got %s", r.body)
	}
	if got := w.content("media", "public/a cat.png"); got != "content" {
		t.Errorf("the object is %q", got)
	}
	b, err := w.service.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	info, err := b.Stat(t.Context(), "public/a cat.png", nil)
	if err != nil || info.ContentType != "image/png" || info.CacheControl != "max-age=3" || info.User["a"] != "b: a cat.png" || info.TagCount != 1 || info.Checksums.CRC32 != "/sUwqQ==" {
		t.Errorf("stored %+v, %v", info, err)
	}

	// The same form may be sent again until it expires.
	w.post(f).is(201)
	w.post(newPost("alice", "public/x")).is(204)
	w.post(newPost("alice", "public/x").with("success_action_status", "200")).is(200)
	r = w.post(newPost("alice", "public/a&b").with("success_action_redirect", "https://app.example.org/done?a=b")).is(303)
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil || u.Host != "app.example.org" || u.Query().Get("a") != "b" || u.Query().Get("key") != "public/a&b" || u.Query().Get("bucket") != "media" || u.Query().Get("etag") != r.header.Get("ETag") {
		t.Errorf("sent to %s", u)
	}
	f = newPost("alice", "public/x")
	f.headers = []string{"Host: media.s3.localhost:20005"}
	text, contentType := f.body(f.signed())
	w.do("", "POST", "/", text, "Host: media.s3.localhost:20005", "Content-Type: "+contentType).is(204).has("Location", "http://media.s3.localhost:20005/public/x")
}

func TestPostIsRefused(t *testing.T) {
	w := newWorld(t, signed)
	x := func() *postForm { return newPost("alice", "public/x") }
	for name, c := range map[string]struct {
		f      *postForm
		status int
		code   string
	}{
		"not by the rules":        {newPost("alice", "private/id:bob/x"), 403, "AccessDenied"},
		"out of a folder":         {newPost("alice", "public/../private/id:bob/x"), 400, "InvalidArgument"},
		"out by the file name":    {newPost("alice", "public/${filename}").named("..", "x").condition("starts-with", "$key", "public/"), 403, "AccessDenied"},
		"another key":             {newPost("alice", "public/x").field("x-ignore-x", "").condition("eq", "$key", "public/y"), 403, "AccessDenied"},
		"a field without":         {x().field("x-amz-meta-a", "b"), 403, "AccessDenied"},
		"a condition without":     {x().condition("starts-with", "$content-type", ""), 403, "AccessDenied"},
		"a condition on the file": {x().condition("starts-with", "$file", ""), 403, "AccessDenied"},
		"types in a list":         {x().field("content-type", "image/png,text/html").condition("starts-with", "$content-type", "image/"), 403, "AccessDenied"},
		"twice":                   {x().field("Key", "public/y"), 400, "MalformedPOSTRequest"},
		"twice, in another case":  {x().field("KEY", "public/x"), 400, "MalformedPOSTRequest"},
		"the bucket":              {x().field("bucket", "other"), 400, "InvalidArgument"},
		"expired":                 {&postForm{user: "alice", bucket: "media", expires: time.Now().Add(-time.Second), content: "x"}, 403, "AccessDenied"},
		"a public one":            {x().with("acl", "public-read"), 400, "AccessControlListNotSupported"},
		"a class":                 {x().with("x-amz-storage-class", "GLACIER"), 501, "NotImplemented"},
		"encryption":              {x().with("x-amz-server-side-encryption", "aws:kms:dsse"), 501, "NotImplemented"},
		"tags of a header":        {x().with("x-amz-tagging", "a=b"), 501, "NotImplemented"},
		"a condition of HTTP":     {x().with("If-None-Match", "*"), 501, "NotImplemented"},
		"bad tags":                {x().with("tagging", "<Tagging>"), 400, "MalformedXML"},
		"bad meta":                {x().with("x-amz-meta-a:b", "c"), 400, "InvalidArgument"},
		"a status":                {x().with("success_action_status", "302"), 400, "InvalidArgument"},
		"a script":                {x().with("success_action_redirect", "javascript:alert(1)"), 400, "InvalidArgument"},
		"too large":               {x().condition("content-length-range", 0, 6), 400, "EntityTooLarge"},
		"too small":               {x().condition("content-length-range", 8, 100), 400, "EntityTooSmall"},
		"both":                    {x().condition("content-length-range", 0, 9).condition("content-length-range", 8, 9), 400, "EntityTooSmall"},
		"a checksum":              {x().with("x-amz-checksum-crc32", "AAAAAA=="), 400, "BadDigest"},
		"an MD5":                  {x().with("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="), 400, "BadDigest"},
		"no conditions":           {&postForm{user: "alice", bucket: "media", policy: `{"expiration":"2999-01-01T00:00:00Z"}`}, 400, "InvalidPolicyDocument"},
		"no key":                  {&postForm{user: "alice", bucket: "media", expires: time.Now().Add(time.Hour)}, 400, "InvalidArgument"},
		"after the file":          {func() *postForm { f := x(); f.after = [][2]string{{"x-ignore-a", "b"}}; return f }(), 400, "MalformedPOSTRequest"},
		"two files":               {func() *postForm { f := x(); f.after = [][2]string{{"file", "b"}}; return f }(), 400, "MalformedPOSTRequest"},
		"no file":                 {func() *postForm { f := x(); f.noFile = true; return f }(), 400, "IncorrectNumberOfFilesInPostRequest"},
		"a header":                {func() *postForm { f := x(); f.headers = []string{"X-Amz-Meta-A: b"}; return f }(), 400, "InvalidArgument"},
		"a token in a header":     {func() *postForm { f := x(); f.headers = []string{"X-Amz-Security-Token: b"}; return f }(), 400, "InvalidArgument"},
		"the query":               {func() *postForm { f := x(); f.query = "?x-amz-date=b"; return f }(), 400, "InvalidArgument"},
		"another operation":       {func() *postForm { f := x(); f.query = "?delete"; return f }(), 501, "NotImplemented"},
		"another bucket":          {func() *postForm { f := x(); f.bucket = "other"; return f }(), 403, "AccessDenied"},
		"too many fields": {func() *postForm {
			f := x()
			for i := range maxFields {
				f.field("x-ignore-"+itoa(i), "")
			}
			return f
		}(), 400, "MaxPostPreDataLengthExceededError"},
		"too much":           {x().field("x-ignore-x", strings.Repeat("x", maxForm)), 400, "MaxPostPreDataLengthExceededError"},
		"too much in header": {x().field("x-ignore-"+strings.Repeat("x", maxForm), ""), 400, "MaxPostPreDataLengthExceededError"},
		"too much of a name": {x().field("x-ignore-x", strings.Repeat("${filename}", 1000)).named(strings.Repeat("x", 1000), ""), 400, "MaxPostPreDataLengthExceededError"},
	} {
		if r := w.post(c.f); r.status != c.status || r.element("Code") != c.code {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	for _, bucket := range []string{"media", "other"} {
		b, err := w.service.Bucket(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		if page, err := b.List(t.Context(), nil); err != nil || len(page.Objects) > 0 {
			t.Errorf("%s holds %v %v", bucket, page, err)
		}
	}
	if len(w.failed) > 0 {
		t.Errorf("the server is at fault: %v", w.failed)
	}
}

// TestPostIsSigned by who may, and for nothing else.
func TestPostIsSigned(t *testing.T) {
	w := newWorld(t, signed)
	f := newPost("alice", "public/x")
	good := f.signed()
	for i, v := range good {
		for _, value := range []string{"", v[1] + "A", "A" + v[1]} {
			fields := append([][2]string{}, good...)
			fields[i][1] = value
			text, contentType := f.body(fields)
			if r := w.do("", "POST", "/media", text, "Content-Type: "+contentType); r.status != 403 && r.status != 400 {
				t.Errorf("%s = %q: %d %s", v[0], value, r.status, r.body)
			}
		}
	}
	text, contentType := f.body(f.fields)
	w.do("", "POST", "/media", text, "Content-Type: "+contentType).is(403, "AccessDenied")
	w.do("", "POST", "/nowhere", text, "Content-Type: "+contentType).is(403, "AccessDenied")
	if checks := w.asked(); len(checks) > 0 {
		t.Errorf("the gate was asked: %v", checks)
	}
	text, contentType = f.body(good)
	w.do("", "POST", "/media/public/x", text, "Content-Type: "+contentType).is(403, "AccessDenied")
	w.do("", "PUT", "/media/public/x", text, "Content-Type: "+contentType).is(403, "AccessDenied")
	w.do("", "POST", "/media", text[:len(text)-9], "Content-Type: "+contentType).is(400, "MalformedPOSTRequest")
	w.do("", "POST", "/media", text+strings.Repeat("x", 2*maxForm), "Content-Type: "+contentType).is(400, "MalformedPOSTRequest")
	if got := w.content("media", "public/x"); got != "" {
		t.Errorf("the object is %q", got)
	}
	// What is wrong with a session is told as elsewhere.
	w = newWorld(t, func(o *Options) {
		v := &sigv4.Verifier{Secret: func(context.Context, string, string) (string, error) {
			return "", &sigv4.Error{Code: sigv4.ExpiredToken, Message: "the session is over"}
		}}
		o.Authenticate = func(r *http.Request) (*Caller, error) {
			_, err := v.Verify(r)
			return nil, err
		}
	})
	w.post(f).is(400, "ExpiredToken")
	// Where somebody is let in without a signature, no form is.
	w = newWorld(t)
	w.do("operator", "POST", "/media", text, "Content-Type: "+contentType).is(403, "AccessDenied")
	w.do("anonymous", "POST", "/media", text, "Content-Type: "+contentType).is(403, "AccessDenied")
}

func TestPostKeepsLimits(t *testing.T) {
	w := newWorld(t, signed)
	w.rules(limitedRules)
	png := func(content string) *postForm {
		return newPost("alice", "public/x").with("content-type", "image/png").named("x", content)
	}
	w.post(png("0123456789x")).is(400, "EntityTooLarge")
	w.post(newPost("alice", "public/x").with("content-type", "image/gif")).is(403, "AccessDenied")
	w.post(png("0123456789")).is(204)
	if got := w.content("media", "public/x"); got != "0123456789" {
		t.Errorf("the object is %q", got)
	}
}
