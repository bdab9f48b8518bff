package server

import (
	"bytes"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const postConfig = `
buckets:
  - name: media
    default: true
    rules:
      inbox/*:
        guest: {actions: [write], maxSize: 10, contentTypes: [image/*]}
      public/*:
        authenticated: [read, write, delete]
      private/{entity_id}/*:
        owner: [read, write, delete]
  - name: other
    rules:
      public/*:
        authenticated: [read, write, delete]
`

// policy has the AWS SDK sign a form by which the holder of p may put an object
// under key, or under keys that start so if it ends in ${filename}. More
// conditions may follow.
func (w *world) policy(p *person, key string, conditions ...any) map[string]string {
	w.Helper()
	c := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(w.url), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(p.keys.AccessKeyID, p.keys.SecretAccessKey, p.keys.SessionToken),
	})
	if prefix, ok := strings.CutSuffix(key, "${filename}"); ok {
		conditions = append(conditions, []any{"starts-with", "$key", prefix})
	}
	req, err := s3.NewPresignClient(c).PresignPostObject(w.Context(), &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String(key)}, func(o *s3.PresignPostOptions) {
		o.Expires, o.Conditions = time.Hour, conditions
	})
	if err != nil {
		w.Fatal(err)
	}
	return req.Values
}

// form writes the fields and the head of the file, and returns its content type
// and what ends it.
func form(t *testing.T, fields map[string]string, filename string) (head, contentType, tail string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := m.WriteField(name, fields[name]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.CreateFormFile("file", filename); err != nil {
		t.Fatal(err)
	}
	head = b.String()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return head, m.FormDataContentType(), b.String()[len(head):]
}

// post sends a form to a bucket.
func (w *world) post(bucket string, fields map[string]string, filename, content string) *response {
	w.Helper()
	head, contentType, tail := form(w.T, fields, filename)
	return w.do(w.request("POST", "/"+bucket, head+content+tail, "Content-Type: "+contentType, "Origin: https://app.example.org"))
}

// plus returns fields with one more, or another value of one.
func plus(fields map[string]string, name, value string) map[string]string {
	more := maps.Clone(fields)
	more[name] = value
	return more
}

// TestPostForms sends forms that the server gave out, as browsers do.
func TestPostForms(t *testing.T) {
	w := newWorld(t, &setup{config: postConfig})
	alice, guest := w.user("alice"), w.guest()

	own := w.policy(alice, "private/"+alice.id+"/${filename}")
	w.post("media", own, "a.txt", "one").is(204)
	w.post("media", own, "b.txt", "two").is(204) // it may be sent again
	if w.content("media", "private/"+alice.id+"/a.txt") != "one" || w.content("media", "private/"+alice.id+"/b.txt") != "two" {
		t.Errorf("the bucket holds %q", w.keys("media"))
	}
	w.asked()
	image := []any{"starts-with", "$Content-Type", "image/"}
	sent := plus(w.policy(guest, "inbox/${filename}", image), "Content-Type", "image/png")
	r := w.post("media", sent, "cat.png", "0123456789").is(204)
	if r.header.Get("Access-Control-Allow-Origin") == "" || r.header.Get("Location") != w.url+"/media/inbox/cat.png" {
		t.Errorf("the answer has %v", r.header)
	}
	if d := w.asked(); len(d) != 1 || d[0].Identity != guest.id || d[0].Key != "inbox/cat.png" || !d[0].Allowed {
		t.Errorf("the rules were asked %+v", d)
	}
	w.post("media", plus(w.policy(w.operator, "anywhere/x"), "x-ignore-submit", "Send"), "x", "x").is(204)

	// The limits beside the rules hold whatever the policy says.
	w.post("media", sent, "dog.png", "0123456789x").is(400, "EntityTooLarge")
	w.post("media", w.policy(guest, "inbox/${filename}"), "dog.png", "x").is(403, "AccessDenied")
	// A policy gives nothing that who signed it may not do.
	w.post("media", w.policy(guest, "private/"+alice.id+"/x"), "x", "x").is(403, "AccessDenied")
	w.post("media", w.policy(guest, "inbox/../public/x"), "x", "x").is(400)
	w.post("media", w.policy(guest, "public/x"), "x", "x").is(403, "AccessDenied")
	if got := w.keys("media"); len(got) != 4 {
		t.Errorf("the bucket holds %q", got)
	}
}

// TestPostFormsOfOthers are changed, or used for something else.
func TestPostFormsOfOthers(t *testing.T) {
	w := newWorld(t, &setup{config: postConfig})
	alice, bob, guest := w.user("alice"), w.user("bob"), w.guest()
	good, bobs := w.policy(alice, "public/x"), w.policy(bob, "public/x")
	token := "X-Amz-Security-Token"
	if good[token] == "" || good["X-Amz-Signature"] == "" {
		t.Fatalf("the SDK signs other fields: %v", slices.Sorted(maps.Keys(good)))
	}
	forged := *alice
	forged.keys.SecretAccessKey = guest.keys.SecretAccessKey
	wide := w.policy(alice, "public/x", []any{"starts-with", "$x-amz-security-token", ""}, []any{"starts-with", "$x-amz-credential", ""})
	noToken := maps.Clone(good)
	delete(noToken, token)
	unsigned := map[string]string{"key": "public/x"}
	for name, fields := range map[string]map[string]string{
		"another key":                plus(good, "key", "public/y"),
		"a token of another":         plus(good, token, bob.keys.SessionToken),
		"a policy of another":        plus(good, "policy", bobs["policy"]),
		"a signature of another":     plus(good, "X-Amz-Signature", bobs["X-Amz-Signature"]),
		"a credential of another":    plus(wide, "X-Amz-Credential", bobs["X-Amz-Credential"]),
		"all but the policy":         plus(plus(wide, "X-Amz-Credential", bobs["X-Amz-Credential"]), token, bob.keys.SessionToken),
		"no token":                   noToken,
		"a token that is not one":    plus(good, token, good[token]+"x"),
		"another date":               plus(good, "X-Amz-Date", "20200101T000000Z"),
		"a field more":               plus(good, "x-amz-meta-a", "b"),
		"an acl":                     plus(w.policy(alice, "public/x", []any{"eq", "$acl", "public-read"}), "acl", "public-read"),
		"another secret":             w.policy(&forged, "public/x"),
		"no signature":               unsigned,
		"a policy without signature": plus(unsigned, "policy", good["policy"]),
		"too small for its range":    w.policy(alice, "public/x", []any{"content-length-range", 2, 9}),
		"too large for its range":    w.policy(alice, "public/x", []any{"content-length-range", 0, 0}),
	} {
		if r := w.post("media", fields, "f", "x"); r.status != 403 && r.status != 400 && r.status != 501 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		} else if strings.Contains(r.body, alice.keys.SecretAccessKey) {
			t.Errorf("%s: the answer has a secret", name)
		}
	}
	w.post("other", good, "f", "x").is(403, "AccessDenied")
	w.post("nowhere", good, "f", "x").is(403, "AccessDenied")
	// A form is a signature for nothing but a form.
	head, contentType, tail := form(t, good, "f")
	for _, c := range [][2]string{{"POST", "/media?delete"}, {"POST", "/media/public/x?uploads"}, {"POST", "/media/public/x"}, {"PUT", "/media/public/x"}, {"POST", "/"}} {
		if r := w.do(w.request(c[0], c[1], head+"x"+tail, "Content-Type: "+contentType)); r.status != 403 && r.status != 501 && r.status != 400 {
			t.Errorf("%s %s: %d %s", c[0], c[1], r.status, r.body)
		}
	}
	if d := w.keys("media"); len(d)+len(w.keys("other")) != 0 {
		t.Errorf("the bucket holds %q", d)
	}
	w.post("media", good, "f", "x").is(204)
}

// TestPostIsNotHeld breaks a form off as soon as its file is too large, and keeps
// nothing of one that breaks off by itself.
func TestPostIsNotHeld(t *testing.T) {
	w := newWorld(t, &setup{config: postConfig})
	alice := w.user("alice")
	head, contentType, tail := form(t, w.policy(alice, "public/x", []any{"content-length-range", 0, 1 << 20}), "f")

	const size = 1 << 30
	var sent atomic.Int64
	body := io.MultiReader(strings.NewReader(head), io.LimitReader(&counted{&sent}, size), strings.NewReader(tail))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/media", body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len(head)) + size + int64(len(tail))
	r.Header.Set("Content-Type", contentType)
	if res, err := client.Do(r); err == nil { // the connection may be gone before the answer is read
		res.Body.Close()
		if res.StatusCode != 400 {
			t.Errorf("got %s", res.Status)
		}
	}
	if n := sent.Load(); n > size/4 {
		t.Errorf("%d bytes were taken", n)
	}

	c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /media HTTP/1.1\r\nHost: localhost\r\nContent-Type: "+contentType+"\r\nContent-Length: 99999\r\n\r\n"+head+"content"+tail); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || !strings.Contains(string(answer), "IncompleteBody") {
		t.Errorf("got %s, %v", answer, err)
	}
	if got := w.keys("media"); len(got) != 0 {
		t.Errorf("the bucket holds %q", got)
	}
}

// counted gives bytes without end, and counts them.
type counted struct{ n *atomic.Int64 }

func (z *counted) Read(p []byte) (int, error) {
	clear(p)
	z.n.Add(int64(len(p)))
	return len(p), nil
}
