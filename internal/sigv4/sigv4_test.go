package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	testID     = "AKIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var (
	docTime         = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	testCredentials = aws.Credentials{AccessKeyID: testID, SecretAccessKey: testSecret}

	testTime = time.Date(2026, 11, 21, 20, 30, 40, 0, time.UTC)
)

// verifier knows one key, and the time.
func verifier(now time.Time) *Verifier {
	return &Verifier{
		Now: func() time.Time { return now },
		Secret: func(_ context.Context, id, token string) (string, error) {
			if id != testID {
				return "", fs.ErrNotExist
			}
			return testSecret, nil
		},
	}
}

// wire returns r as a server receives it.
func wire(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return receive(t, b.String())
}

// receive parses the text of a request. Lines may end in LF alone.
func receive(t testing.TB, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// signed returns a request as the SDK signs it in the header.
func signed(t testing.TB, method, target, body, payload, region string, header http.Header) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	r.Header.Set("X-Amz-Content-Sha256", payload)
	if err := v4.NewSigner(asS3).SignHTTP(t.Context(), testCredentials, r, payload, "s3", region, testTime); err != nil {
		t.Fatal(err)
	}
	return r
}

// presigned returns a request as the SDK signs it in the query.
func presigned(t testing.TB, method, target, body, payload, token string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	creds := testCredentials
	creds.SessionToken = token
	r.ContentLength = 0 // so that it is not signed
	u, header, err := v4.NewSigner(asS3).PresignHTTP(t.Context(), creds, r, payload, "s3", "eu-north-1", testTime)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = http.NewRequest(method, u, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	header.Del("Host")
	r.Header = header
	return r
}

func asS3(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }

// refused fails the test unless err is an *Error with the code.
func refused(t testing.TB, err error, code string) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return e
}

const docAuth = "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="

// The requests in the documentation of S3, with the signatures that it gives.
func TestPublished(t *testing.T) {
	const base = "Host: examplebucket.s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + emptyHash + "\n"
	for _, test := range []struct{ name, request, body string }{
		{"get object", "GET /test.txt HTTP/1.1\n" + base + "Range: bytes=0-9\n" + docAuth +
			"host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n\n", ""},
		{"put object", "PUT /test$file.text HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nDate: Fri, 24 May 2013 00:00:00 GMT\n" +
			"x-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\nContent-Length: 21\n" +
			"x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n" + docAuth +
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd\n\n" +
			"Welcome to Amazon S3.", "Welcome to Amazon S3."},
		{"get bucket lifecycle", "GET /?lifecycle HTTP/1.1\n" + base + docAuth +
			"host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\n\n", ""},
		{"list objects", "GET /?max-keys=2&prefix=J HTTP/1.1\n" + base + docAuth +
			"host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\n\n", ""},
		{"presigned", "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\n" +
			"Host: examplebucket.s3.amazonaws.com\n\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := verifier(docTime).Verify(receive(t, test.request))
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(req.Body); string(body) != test.body || err != nil {
				t.Errorf("body %q, %v", body, err)
			}
			if req.AccessKeyID != testID || req.Region != "us-east-1" || !req.Time.Equal(docTime) {
				t.Errorf("got %+v", req)
			}
			// The last digit of a signature counts.
			i := strings.Index(test.request, "Signature=") + len("Signature=") + 63
			wrong := test.request[:i] + "f" + test.request[i+1:]
			if wrong == test.request {
				wrong = test.request[:i] + "0" + test.request[i+1:]
			}
			_, err = verifier(docTime).Verify(receive(t, wrong))
			refused(t, err, SignatureDoesNotMatch)
		})
	}
}

func TestSDKSigner(t *testing.T) {
	for _, test := range []struct {
		method, target, body, payload, region string
		header                                http.Header
	}{
		{"GET", "https://b.s3.example.com/a%20b/%C3%A9%2B%2Fc//d..e/~", "", emptyHash, "eu-north-1", nil},
		{"GET", "https://b.s3.example.com:20443/?list-type=2&prefix=a%20b%2Fc&delimiter=%2F", "", emptyHash, "localhost:20443?", nil},
		{"GET", "https://b.s3.example.com/?k=b&k=a&k=%2A", "", emptyHash, "a/b,c d", nil},
		{"PUT", "https://s3.example.com/b/key?.amazonaws.com", "content", hashOf("content"), "", http.Header{
			"Content-Type": {"text/plain;  charset=utf-8 "}, "X-Amz-Meta-A": {" x  y ", "z"}, "Cache-Control": {"no-store"},
		}},
		{"PUT", "http://localhost:20005/b/key", "content", unsignedPayload, "us-east-1", http.Header{"X-Amz-Security-Token": {"token"}}},
		{"DELETE", "https://b.s3.example.com/" + strings.Repeat("a/", 400), "", emptyHash, "x", nil},
		{"HEAD", "https://b.s3.example.com", "", emptyHash, "x", nil},
	} {
		r := signed(t, test.method, test.target, test.body, test.payload, test.region, test.header)
		req, err := verifier(testTime.Add(14 * time.Minute)).Verify(wire(t, r))
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.target, err)
			continue
		}
		if body, err := io.ReadAll(req.Body); string(body) != test.body || err != nil || req.Size != int64(len(test.body)) {
			t.Errorf("%s %s: body %q, size %d, %v", test.method, test.target, body, req.Size, err)
		}
		if req.Region != test.region || req.SessionToken != test.header.Get("X-Amz-Security-Token") || req.Presigned {
			t.Errorf("%s %s: got %+v", test.method, test.target, req)
		}
		for name := range test.header {
			if !req.Signed(name) {
				t.Errorf("%s is not among the signed headers %q", name, req.SignedHeaders)
			}
		}
	}
}

func TestSDKPresigner(t *testing.T) {
	const target = "https://b.s3.example.com/a%20b.txt?X-Amz-Expires=60&response-content-type=a%2Fb"
	for _, test := range []struct{ method, extra, body, payload, token string }{
		{"GET", "&x-id=GetObject", "", unsignedPayload, ""},
		{"GET", "", "", unsignedPayload, "session+token/=="},
		{"GET", "&x-amz-content-sha256=" + emptyHash, "", emptyHash, "t"},
		{"PUT", "&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", "hello", unsignedPayload, "t"},
		{"PUT", "&X-Amz-Content-Sha256=" + hashOf("hello"), "hello", hashOf("hello"), "t"},
		{"HEAD", "", "", unsignedPayload, ""},
		{"DELETE", "", "", unsignedPayload, ""},
	} {
		r := presigned(t, test.method, target+test.extra, test.body, test.payload, test.token)
		req, err := verifier(testTime.Add(time.Minute)).Verify(wire(t, r))
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		if body, err := io.ReadAll(req.Body); string(body) != test.body || err != nil {
			t.Errorf("%+v: body %q, %v", test, body, err)
		}
		if !req.Presigned || req.SessionToken != test.token || !req.Expires.Equal(testTime.Add(time.Minute)) || req.PayloadHash != test.payload {
			t.Errorf("%+v: got %+v", test, req)
		}
	}
}

// A presigned request may have signed headers, that of the session token among
// them.
func TestPresignedHeaders(t *testing.T) {
	for _, test := range []struct{ query, hash, code string }{
		{"", unsignedPayload, ""},
		{"", emptyHash, ""},
		{"&X-Amz-Content-Sha256=" + emptyHash, emptyHash, ""},
		{"&X-Amz-Content-Sha256=" + unsignedPayload, emptyHash, InvalidArgument},
	} {
		r, err := http.NewRequest("GET", "https://b.s3.example.com/a?X-Amz-Expires=60"+test.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", test.hash)
		r.Header.Set("X-Amz-Security-Token", "tok")
		u, header, err := v4.NewSigner().PresignHTTP(t.Context(), testCredentials, r, test.hash, "s3", "x", testTime, asS3, func(o *v4.SignerOptions) {
			o.DisableHeaderHoisting = true
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err = http.NewRequest("GET", u, nil); err != nil {
			t.Fatal(err)
		}
		r.Header = header
		req, err := verifier(testTime).Verify(wire(t, r))
		if test.code != "" {
			refused(t, err, test.code)
			continue
		}
		if err != nil || req.SessionToken != "tok" || req.PayloadHash != test.hash || !req.Signed("X-Amz-Security-Token") || req.Signed("range") {
			t.Errorf("%+v: got %+v, %v", test, req, err)
		}
		r.Header["X-Amz-Security-Token"] = []string{"tok", "tok"}
		_, err = verifier(testTime).Verify(r)
		refused(t, err, InvalidArgument)
	}
}

func TestPresignedTimes(t *testing.T) {
	const target = "https://b.s3.example.com/a?X-Amz-Expires="
	for _, test := range []struct {
		expires string
		now     time.Duration
		code    string
	}{
		{"60", 60 * time.Second, ""},
		{"60", 61 * time.Second, AccessDenied},
		{"60", -15 * time.Minute, ""},
		{"60", -15*time.Minute - time.Second, AccessDenied},
		{"604800", 7 * 24 * time.Hour, ""},
		{"604801", 0, AuthorizationQueryParametersError},
		{"0", 0, AuthorizationQueryParametersError},
		{"-1", 0, AuthorizationQueryParametersError},
		{"1e3", 0, AuthorizationQueryParametersError},
		{"", 0, AuthorizationQueryParametersError},
		{"99999999999999999999", 0, AuthorizationQueryParametersError},
	} {
		r := wire(t, presigned(t, "GET", target+test.expires, "", unsignedPayload, ""))
		_, err := verifier(testTime.Add(test.now)).Verify(r)
		if test.code == "" {
			if err != nil {
				t.Errorf("expires %s after %v: %v", test.expires, test.now, err)
			}
			continue
		}
		refused(t, err, test.code)
	}
	// Some clients leave the parameter out in place of sending a zero.
	_, err := verifier(testTime).Verify(wire(t, presigned(t, "GET", "https://b.s3.example.com/a", "", unsignedPayload, "")))
	refused(t, err, AuthorizationQueryParametersError)
}

func TestSkew(t *testing.T) {
	r := signed(t, "GET", "https://b.s3.example.com/a", "", emptyHash, "x", nil)
	for _, d := range []time.Duration{-16 * time.Minute, 16 * time.Minute, 365 * 24 * time.Hour} {
		_, err := verifier(testTime.Add(d)).Verify(wire(t, r))
		e := refused(t, err, RequestTimeTooSkewed)
		if !e.RequestTime.Equal(testTime) || !e.ServerTime.Equal(testTime.Add(d)) || e.MaxSkew != 15*time.Minute {
			t.Errorf("got %+v", e)
		}
	}
	v := verifier(testTime.Add(16 * time.Minute))
	v.Skew = time.Hour
	if _, err := v.Verify(wire(t, r)); err != nil {
		t.Error(err)
	}
}

func TestAnonymous(t *testing.T) {
	_, err := verifier(testTime).Verify(receive(t, "GET /b/k?x-id=GetObject HTTP/1.1\nHost: h\n\n"))
	refused(t, err, AccessDenied)
	if !errors.Is(err, ErrAnonymous) || !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) || !strings.HasSuffix(err.Error(), ErrAnonymous.Error()) {
		t.Errorf("got %v", err)
	}
}

func TestLookup(t *testing.T) {
	r := signed(t, "GET", "https://b.s3.example.com/a", "", emptyHash, "x", http.Header{"X-Amz-Security-Token": {"tok"}})
	expired := &Error{Code: ExpiredToken, Message: "over"}
	broken := errors.New("disk on fire")
	for _, test := range []struct {
		secret string
		err    error
		check  func(error) bool
	}{
		{testSecret, nil, func(err error) bool { return err == nil }},
		{testSecret + "x", nil, func(err error) bool { return refused(t, err, SignatureDoesNotMatch).AccessKeyID == testID }},
		{"", nil, func(err error) bool { return refused(t, err, InvalidAccessKeyID).AccessKeyID == testID }},
		{"", fs.ErrNotExist, func(err error) bool { return refused(t, err, InvalidAccessKeyID) != nil }},
		{testSecret, expired, func(err error) bool { return err == error(expired) }},
		{"", broken, func(err error) bool { return errors.Is(err, broken) && !errors.Is(err, fs.ErrPermission) }},
	} {
		v := verifier(testTime)
		_, err := v.VerifyWith(wire(t, r), func(_ context.Context, id, token string) (string, error) {
			if id != testID || token != "tok" {
				t.Errorf("asked for %q, %q", id, token)
			}
			return test.secret, test.err
		})
		if !test.check(err) {
			t.Errorf("%q, %v: got %v", test.secret, test.err, err)
		}
	}
	_, err := new(Verifier).VerifyWith(wire(t, r), nil)
	refused(t, err, RequestTimeTooSkewed)
	_, err = (&Verifier{Now: func() time.Time { return testTime }}).Verify(wire(t, r))
	refused(t, err, InvalidAccessKeyID)
}

// A secret that changes takes effect at once, though keys are kept.
func TestKeyCache(t *testing.T) {
	v := verifier(testTime)
	r := signed(t, "GET", "https://b.s3.example.com/a", "", emptyHash, "x", nil)
	for range 2 {
		if _, err := v.Verify(wire(t, r)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := v.VerifyWith(wire(t, r), func(context.Context, string, string) (string, error) { return "other", nil })
	refused(t, err, SignatureDoesNotMatch)
	if _, err := v.Verify(wire(t, r)); err != nil {
		t.Fatal(err)
	}
	c := credential{id: testID, date: "20261121", region: "x", service: "s3"}
	if k := v.keys.get(&c, testSecret); v.keys.slots[k.slot].Load() != k {
		t.Error("the key was not kept")
	}
	if k := v.keys.get(&c, "other"); v.keys.slots[k.slot].Load() == k {
		t.Error("the key of a wrong signature was kept")
	}
}

// One verifier serves all requests at once.
func TestConcurrent(t *testing.T) {
	v := verifier(testTime)
	var wg sync.WaitGroup
	for i := range 4 {
		region := strconv.Itoa(i % 2)
		r := wire(t, signed(t, "GET", "https://b.s3.example.com/"+region+"?a=b", "", emptyHash, region, nil))
		q := wire(t, presigned(t, "GET", "https://b.s3.example.com/"+region+"?X-Amz-Expires=60", "", unsignedPayload, "tok"))
		wg.Go(func() {
			for range 50 {
				if req, err := v.Verify(r); err != nil || req.Region != region {
					t.Errorf("got %+v, %v", req, err)
				}
				if req, err := v.Verify(q); err != nil || req.SessionToken != "tok" {
					t.Errorf("got %+v, %v", req, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestServices(t *testing.T) {
	v := verifier(testTime)
	v.Services = []string{"sts"}
	_, err := v.Verify(wire(t, signed(t, "GET", "https://b.s3.example.com/a", "", emptyHash, "x", nil)))
	refused(t, err, AuthorizationHeaderMalformed)
	v.Services = []string{"sts", "s3"}
	if _, err := v.Verify(wire(t, signed(t, "GET", "https://b.s3.example.com/a", "", emptyHash, "x", nil))); err != nil {
		t.Error(err)
	}
}

func TestContentEncoding(t *testing.T) {
	for _, test := range []struct {
		in   []string
		want string
	}{
		{nil, ""},
		{[]string{"aws-chunked"}, ""},
		{[]string{"gzip"}, "gzip"},
		{[]string{"AWS-Chunked, gzip"}, "gzip"},
		{[]string{"gzip,aws-chunked"}, "gzip"},
		{[]string{"br , gzip", "aws-chunked"}, "br,gzip"},
	} {
		if got := ContentEncoding(test.in); got != test.want {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
}

// A browser signs é as UTF-8 and sends it as ISO 8859-1.
func TestLatin1Header(t *testing.T) {
	r := wire(t, signed(t, "PUT", "https://b.s3.example.com/a", "", emptyHash, "x", http.Header{"X-Amz-Copy-Source": {"b/caf\u00e9"}}))
	if _, err := verifier(testTime).Verify(r); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Copy-Source", "b/caf\xe9")
	if _, err := verifier(testTime).Verify(r); err != nil {
		t.Fatal(err)
	}
	if got := HeaderText("b/caf\xe9"); got != "b/caf\u00e9" {
		t.Errorf("got %q", got)
	}
}

// TestVerifyTakesLittleMemory with a key that is known: one piece for the result, and
// what it is made of.
func TestVerifyTakesLittleMemory(t *testing.T) {
	v := verifier(testTime)
	r := wire(t, signed(t, "PUT", "https://b.s3.example.com/public/photos/one.jpg?x-id=PutObject", "content", unsignedPayload, "eu-north-1", http.Header{
		"X-Amz-Security-Token": {strings.Repeat("t", 600)}, "X-Amz-User-Agent": {"aws-amplify/6.22.1 storage/2"},
	}))
	if n := testing.AllocsPerRun(200, func() {
		if _, err := v.Verify(r); err != nil {
			t.Fatal(err)
		}
	}); n > 12 { // 5, and more where the race detector empties pools
		t.Errorf("a request takes %v pieces of memory", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	v := verifier(testTime)
	r := wire(b, signed(b, "GET", "https://b.s3.example.com/public/photos/one.jpg?x-id=GetObject", "", unsignedPayload, "eu-north-1", http.Header{
		"X-Amz-Security-Token": {strings.Repeat("t", 600)}, "X-Amz-User-Agent": {"aws-amplify/6.22.1 storage/2"},
		"Amz-Sdk-Request": {"attempt=1; max=3"}, "Amz-Sdk-Invocation-Id": {"5c3f2a0e-2b0d-4f9e-9a3b-0c2d5b1a7e11"}, "Range": {"bytes=0-9"},
	}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPresigned(b *testing.B) {
	v := verifier(testTime)
	r := wire(b, presigned(b, "GET", "https://b.s3.example.com/public/photos/one.jpg?x-id=GetObject&X-Amz-Expires=900", "", unsignedPayload, strings.Repeat("0123456789abcdefghijklmnopqrstu/", 19)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}
