package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/cubby-storage/cubby/store/memstore"
)

// shop is a server in memory whose handler is called without a connection, with
// the session of a user: what a request costs beside net/http and a disk.
type shop struct {
	srv  *Server
	keys aws.Credentials
}

// shopObjects is the number of keys below list/, and shopSize the size of an object.
const (
	shopObjects = 1000
	shopSize    = 10 << 10
)

const shopConfig = `
buckets:
  - name: media
    rules:
      public/*:
        guest: [read, write]
        authenticated: [read, write, delete]
      protected/{entity_id}/*:
        authenticated: [read]
        owner: [read, write, delete]
      private/{entity_id}/*:
        owner: [read, write, delete]
      list/*:
        authenticated: [read]
`

func newShop(t testing.TB) *shop {
	t.Helper()
	cfg, err := ParseConfig([]byte(shopConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = newData(t)
	cfg.Limits.Requests = NoLimit
	svc := memstore.New()
	srv, err := Open(t.Context(), cfg, &Options{Store: svc})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	bucket, err := svc.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"public/photo.jpg"}
	for i := range shopObjects {
		keys = append(keys, fmt.Sprintf("list/%02x/%06d.jpg", i&63, i))
	}
	for _, key := range keys {
		if _, err := bucket.Put(t.Context(), key, bytes.NewReader(make([]byte, shopSize)), nil); err != nil {
			t.Fatal(err)
		}
	}
	s := &shop{srv: srv}
	in := s.cognito(t, "AWSCognitoIdentityProviderService.InitiateAuth", map[string]any{
		"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": srv.users.ClientID(),
		"AuthParameters": map[string]string{"USERNAME": "alice", "PASSWORD": password},
	})
	logins := map[string]any{"cognito-idp.us-east-1.amazonaws.com/" + srv.users.ID(): in["AuthenticationResult"]["IdToken"]}
	id := s.cognito(t, "AWSCognitoIdentityService.GetId", map[string]any{"IdentityPoolId": srv.identityPool, "Logins": logins})[""]["IdentityId"]
	c := s.cognito(t, "AWSCognitoIdentityService.GetCredentialsForIdentity", map[string]any{"IdentityId": id, "Logins": logins})["Credentials"]
	s.keys = aws.Credentials{AccessKeyID: c["AccessKeyId"], SecretAccessKey: c["SecretKey"], SessionToken: c["SessionToken"]}
	return s
}

// cognito calls an operation and returns the texts in its answer, by the name of the
// object that they are in, which is "" for those in none.
func (s *shop) cognito(t testing.TB, operation string, body map[string]any) map[string]map[string]string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", operation)
	w := httptest.NewRecorder()
	s.srv.ServeHTTP(w, r)
	var fields map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", operation, w.Code, w.Body)
	}
	texts := map[string]map[string]string{"": {}}
	for name, v := range fields {
		switch v := v.(type) {
		case string:
			texts[""][name] = v
		case map[string]any:
			texts[name] = map[string]string{}
			for n, v := range v {
				texts[name][n], _ = v.(string)
			}
		}
	}
	return texts
}

// request returns a signed request as a server has it.
func (s *shop) request(t testing.TB, method, uri string, size int) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:20005"+uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	const payload = "UNSIGNED-PAYLOAD"
	r.Header.Set("X-Amz-Content-Sha256", payload)
	r.Header.Set("User-Agent", "bench")
	r.Header.Set("Accept-Encoding", "gzip")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(t.Context(), s.keys, r, payload, "s3", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(size)
	r.Body = http.NoBody
	r.RequestURI, r.RemoteAddr, r.Host = uri, "127.0.0.1:4711", "127.0.0.1:20005"
	return r
}

// sink is a response that nobody reads.
type sink struct {
	header http.Header
	status int
	n      int64
}

func (w *sink) Header() http.Header         { return w.header }
func (w *sink) WriteHeader(status int)      { w.status = status }
func (w *sink) Write(p []byte) (int, error) { w.n += int64(len(p)); return len(p), nil }

// content is the content of a request, which can be sent again.
type content struct{ bytes.Reader }

func (*content) Close() error { return nil }

// serve has the handler answer a request again and again.
func (s *shop) serve(b *testing.B, method, uri string, size, status int) {
	r := s.request(b, method, uri, size)
	text := make([]byte, size)
	w := &sink{header: http.Header{}}
	var body content
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		*w = sink{header: w.header}
		again := *r
		if size > 0 {
			body.Reset(text)
			again.Body = &body
		}
		s.srv.ServeHTTP(w, &again)
		if w.status != status {
			b.Fatalf("%s %s: %d", method, uri, w.status)
		}
	}
}

// TestRequestsTakeLittleMemory checks that a request takes few pieces of memory, of
// which the store in memory has its part.
func TestRequestsTakeLittleMemory(t *testing.T) {
	s := newShop(t)
	for _, q := range []struct {
		method, uri string
		size, most  int
	}{
		{"GET", "/media/public/photo.jpg", 0, 20},
		{"HEAD", "/media/public/photo.jpg", 0, 20},
		{"DELETE", "/media/public/gone.jpg", 0, 14},
		{"PUT", "/media/public/upload.jpg", shopSize, 50},
		{"GET", "/media?list-type=2&max-keys=1000&prefix=list%2F", 0, 40},
	} {
		r := s.request(t, q.method, q.uri, q.size)
		text := make([]byte, q.size)
		w := &sink{header: http.Header{}}
		n := testing.AllocsPerRun(50, func() {
			clear(w.header)
			again := *r
			if q.size > 0 {
				again.Body = io.NopCloser(bytes.NewReader(text))
			}
			s.srv.ServeHTTP(w, &again)
		})
		const slack = 30 // where the race detector empties pools, and for what goes on besides
		if w.status/100 != 2 || n > float64(q.most+slack) {
			t.Errorf("%s %s: %d, and %v pieces of memory, want %d", q.method, q.uri, w.status, n, q.most)
		}
	}
}

func BenchmarkGet(b *testing.B)  { newShop(b).serve(b, "GET", "/media/public/photo.jpg", 0, 200) }
func BenchmarkHead(b *testing.B) { newShop(b).serve(b, "HEAD", "/media/public/photo.jpg", 0, 200) }
func BenchmarkPut(b *testing.B) {
	newShop(b).serve(b, "PUT", "/media/public/upload.jpg", shopSize, 200)
}

func BenchmarkDelete(b *testing.B) { newShop(b).serve(b, "DELETE", "/media/public/gone.jpg", 0, 204) }

func BenchmarkList(b *testing.B) {
	newShop(b).serve(b, "GET", "/media?list-type=2&max-keys=1000&prefix=list%2F", 0, 200)
}
