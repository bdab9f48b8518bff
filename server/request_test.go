package server

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// response is what came back.
type response struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   string
}

// is reports an error unless the status is this one, and the code of S3 if there is one.
func (r *response) is(status int, code ...string) *response {
	r.t.Helper()
	got := r.element("Code")
	if r.status != status || len(code) > 0 && got != code[0] {
		r.t.Errorf("%s: got %d %s, want %d %v\n%s", r.what, r.status, got, status, code, r.body)
	}
	return r
}

// elements returns the text of all XML elements of that name.
func (r *response) elements(name string) []string {
	var all []string
	for _, m := range regexp.MustCompile("<"+name+">([^<]*)</"+name+">").FindAllStringSubmatch(r.body, -1) {
		all = append(all, m[1])
	}
	return all
}

func (r *response) element(name string) string {
	if all := r.elements(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// client does not follow redirects and adds no header of its own but User-Agent.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request as it is.
func (w *world) do(r *http.Request) *response {
	w.Helper()
	res, err := client.Do(r)
	if err != nil {
		w.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return &response{w.T, r.Method + " " + r.URL.RequestURI(), res.StatusCode, res.Header, string(body)}
}

// request returns a request that is not signed. uri goes out as it is; headers
// are "Name: value".
func (w *world) request(method, uri, body string, headers ...string) *http.Request {
	w.Helper()
	path, query, _ := strings.Cut(uri, "?")
	plain, err := url.PathUnescape(path)
	if err != nil {
		w.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.Context(), method, w.url, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if body == "" {
		r.Body = http.NoBody
	}
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = plain, path, query
	if r.URL.EscapedPath() != path {
		w.Fatalf("path %s would go out as %s", path, r.URL.EscapedPath())
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r
}

// sign signs r as p in its header, as of at. The hash is that of the header
// X-Amz-Content-Sha256, which says UNSIGNED-PAYLOAD if it is not set.
func (w *world) sign(p *person, r *http.Request, at time.Time) {
	w.Helper()
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = "UNSIGNED-PAYLOAD"
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	signed := canonical(r)
	err := v4.NewSigner().SignHTTP(w.Context(), p.keys, signed, hash, "s3", "us-east-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		w.Fatal(err)
	}
	r.Header = signed.Header
}

// canonical returns r with its path in the encoding that is signed.
func canonical(r *http.Request) *http.Request {
	c := r.Clone(r.Context())
	segs := strings.Split(r.URL.EscapedPath(), "/")
	for i, s := range segs {
		plain, _ := url.PathUnescape(s)
		segs[i] = strings.ReplaceAll(url.QueryEscape(plain), "+", "%20")
	}
	c.URL.RawPath = strings.Join(segs, "/")
	return c
}

// presign signs r as p in its query.
func (w *world) presign(p *person, r *http.Request, at time.Time) {
	w.Helper()
	q := r.URL.Query()
	if !q.Has("X-Amz-Expires") {
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&X-Amz-Expires=300", "&")
	}
	signed, _, err := v4.NewSigner().PresignHTTP(w.Context(), p.keys, canonical(r), "UNSIGNED-PAYLOAD", "s3", "us-east-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		w.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		w.Fatal(err)
	}
	r.URL = u
}

// as sends a request that p signed. If p is nil it is not signed.
func (w *world) as(p *person, method, uri, body string, headers ...string) *response {
	w.Helper()
	r := w.request(method, uri, body, headers...)
	name := "unsigned"
	if p != nil {
		w.sign(p, r, time.Now())
		name = p.name
	}
	res := w.do(r)
	res.what = name + " " + res.what
	return res
}

// hashOf is the value of X-Amz-Content-Sha256 for content.
func hashOf(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}
