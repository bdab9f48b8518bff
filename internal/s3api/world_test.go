package s3api

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/memstore"
)

const rules = `
public/*                 guest read   authenticated read,write,delete
protected/{entity_id}/*  authenticated read   owner read,write,delete
private/{entity_id}/*    owner read,write,delete
drop/*                   authenticated write
kept/*                   authenticated read,write,delete,versions
blind/*                  authenticated get,write,delete
`

// world is a server in memory, and what its gate was asked.
type world struct {
	t       *testing.T
	h       http.Handler
	gate    *gate.Gate
	service *memstore.Store
	docs    documents
	failed  []error

	mu     sync.Mutex
	checks []gate.Check
}

// newWorld returns a world with the buckets "media" and "other", under the same rules,
// and with keys to encrypt by: for aws:kms one called "default".
func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	return newWorldOver(t, func(s *memstore.Store) store.Service { return s }, change...)
}

// newWorldOver is newWorld with what wrap makes of the store.
func newWorldOver(t *testing.T, wrap func(*memstore.Store) store.Service, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, service: &memstore.Store{Options: memstore.Options{Keys: &crypt.Keys{
		Server: crypt.NewLocal(slices.Values([][32]byte{{1}})), Named: crypt.NewLocal(slices.Values([][32]byte{{2}})),
	}}}, docs: documents{}}
	policies := make(map[string]*access.Policy)
	for _, name := range []string{"media", "other"} {
		if err := w.service.CreateBucket(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		p, err := access.Parse("rules", []byte(rules), nil)
		if err != nil {
			t.Fatal(err)
		}
		policies[name] = p
	}
	w.gate = gate.New(wrap(w.service), policies, &gate.Options{Observe: func(_ context.Context, c gate.Check) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.checks = append(w.checks, c)
	}})
	opts := &Options{
		Authenticate: w.authenticate,
		OwnerID:      "123456789012",
		Documents:    w.docs,
		OnError:      func(_ context.Context, _ string, err error) { w.failed = append(w.failed, err) },
	}
	for _, f := range change {
		f(opts)
	}
	w.h = New(w.gate, opts)
	return w
}

// documents keeps the settings of buckets, by bucket and name.
type documents map[[2]string]string

func (d documents) Document(bucket, name string) string { return d[[2]string{bucket, name}] }

func (d documents) SetDocument(_ context.Context, bucket, name, text string) error {
	d[[2]string{bucket, name}] = text
	return nil
}

func (d documents) Forget(_ context.Context, bucket string) error {
	maps.DeleteFunc(d, func(k [2]string, _ string) bool { return k[0] == bucket })
	return nil
}

// authenticate believes the header User: a name, "guest" or "operator". The
// header Unsigned lists headers that the signature does not cover.
func (w *world) authenticate(r *http.Request) (*Caller, error) {
	req := &sigv4.Request{
		Body: r.Body, Size: r.ContentLength, Region: "eu-test-1",
		Presigned: r.URL.Query().Has("X-Amz-Signature"), PayloadHash: r.Header.Get("X-Amz-Content-Sha256"),
	}
	for name := range r.Header {
		if !strings.Contains(r.Header.Get("Unsigned"), name) {
			req.SignedHeaders = append(req.SignedHeaders, strings.ToLower(name))
		}
	}
	switch user := r.Header.Get("User"); user {
	case "":
		return nil, &sigv4.Error{Code: sigv4.AccessDenied, Message: "no signature", Err: sigv4.ErrAnonymous}
	case "operator":
		return &Caller{Operator: true, Request: req}, nil
	case "guest":
		return &Caller{Subject: access.Subject{Identity: "id:guest"}, Request: req}, nil
	case "anonymous":
		return &Caller{}, nil
	default:
		return &Caller{Subject: access.Subject{Identity: "id:" + user, Authenticated: true}, Request: req}, nil
	}
}

// response is what came back.
type response struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   string
}

// do sends a request as user. Headers are "Name: value"; uri goes out as it is.
func (w *world) do(user, method, uri, body string, headers ...string) *response {
	w.t.Helper()
	host := "127.0.0.1:20005"
	var text strings.Builder
	for _, h := range headers {
		if v, ok := strings.CutPrefix(h, "Host: "); ok {
			host = v
			continue
		}
		text.WriteString(h + "\r\n")
	}
	if user != "" {
		text.WriteString("User: " + user + "\r\n")
	}
	if method == http.MethodPut || method == http.MethodPost {
		text.WriteString("Content-Length: " + itoa(len(body)) + "\r\n")
	}
	raw := method + " " + uri + " HTTP/1.1\r\nHost: " + host + "\r\n" + text.String() + "\r\n" + body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, uri, err)
	}
	r.RemoteAddr = "127.0.0.1:40000"
	for _, h := range headers {
		if addr, ok := strings.CutPrefix(h, "Remote: "); ok {
			r.RemoteAddr = addr
			r.Header.Del("Remote")
		}
	}
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r.WithContext(w.t.Context()))
	return &response{w.t, cmp.Or(user, "unsigned") + " " + method + " " + uri, rec.Code, rec.Result().Header, rec.Body.String()}
}

// is reports an error unless the status is this one, and the code if there is one.
func (r *response) is(status int, code ...string) *response {
	r.t.Helper()
	got := r.element("Code")
	if r.status != status || len(code) > 0 && got != code[0] {
		r.t.Errorf("%s: got %d %s, want %d %v\n%s", r.what, r.status, got, status, code, r.body)
	}
	return r
}

// says checks that text is in the body of the response.
func (r *response) says(text string) *response {
	r.t.Helper()
	if !strings.Contains(r.body, text) {
		r.t.Errorf("%s: got %s, want %s", r.what, r.body, text)
	}
	return r
}

// element returns the text of the first element of that name.
func (r *response) element(name string) string {
	if all := r.elements(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// elements returns the text of all elements of that name.
func (r *response) elements(name string) []string {
	var all []string
	for _, m := range regexp.MustCompile("<"+name+">([^<]*)</"+name+">").FindAllStringSubmatch(r.body, -1) {
		all = append(all, m[1])
	}
	return all
}

// has reports an error unless the header has this value.
func (r *response) has(name, value string) *response {
	r.t.Helper()
	got := r.header.Get(name)
	if v, ok := r.header[name]; ok {
		got = v[0] // a name that is sent as it is
	}
	if got != value {
		r.t.Errorf("%s: %s is %q, want %q", r.what, name, got, value)
	}
	return r
}

// put stores an object as an operator, without the protocol.
func (w *world) put(bucket, key, content string) {
	w.t.Helper()
	b, err := w.service.Bucket(w.t.Context(), bucket)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := b.Put(w.t.Context(), key, strings.NewReader(content), nil); err != nil {
		w.t.Fatal(err)
	}
}

// content returns an object without the protocol, or "" if there is none.
func (w *world) content(bucket, key string) string {
	w.t.Helper()
	b, err := w.service.Bucket(w.t.Context(), bucket)
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := b.Get(w.t.Context(), key, nil)
	if err != nil {
		return ""
	}
	defer o.Body.Close()
	text, err := io.ReadAll(o.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// asked returns what the gate was asked since the last call.
func (w *world) asked() []gate.Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.checks
	w.checks = nil
	return c
}
