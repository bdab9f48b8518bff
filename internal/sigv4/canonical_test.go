package sigv4

import (
	"net/http"
	"strings"
	"testing"
)

func TestCanonicalPath(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"/", "/"},
		{"", "/"},
		{"/a/b.c-d_e~f", "/a/b.c-d_e~f"},
		{"/a+b$c@d:e", "/a%2Bb%24c%40d%3Ae"},
		{"/a%20b", "/a%20b"},
		{"/%7e%41", "/~A"},
		{"/a%2fb", "/a%2Fb"},
		{"/a//b/", "/a//b/"},
		{"/a/./../b", "/a/./../b"},
		{"/%2e%2E", "/.."},
		{"/%252F", "/%252F"},
		{"/é", "/%C3%A9"},
		{"/!'()*", "/%21%27%28%29%2A"},
	} {
		r, err := http.NewRequest("GET", "http://h"+test.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := new(scratch)
		if err := s.canonical(r, &claim{}, ""); err != nil {
			t.Fatal(err)
		}
		if got, want := string(s.request), "GET\n"+test.want+"\n\n\n\n"; got != want {
			t.Errorf("%s: got %q, want %q", test.in, got, want)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"lifecycle", "lifecycle="},
		{".amazonaws.com", ".amazonaws.com="},
		{"b=2&a=1", "a=1&b=2"},
		{"a=2&a=1&a=10", "a=1&a=10&a=2"},
		{"a-=1&a=2", "a=2&a-=1"},
		{"&&a=1&", "a=1"},
		{"=x", "=x"},
		{"a=b=c", "a=b%3Dc"},
		{"prefix=*/+", "prefix=%2A%2F%20"},
		{"a=%2a%2F%7e", "a=%2A%2F~"},
		{"a;b=1;2", "a%3Bb=1%3B2"},
		{"B=1&a=1&A=1", "A=1&B=1&a=1"},
		{"a=1&x-amz-signature=00&b=1", "a=1&b=1"},
	} {
		s := new(scratch)
		if err := s.parseQuery(test.in); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for i, p := range s.pairs {
			if i > 0 {
				got.WriteString("&")
			}
			got.WriteString(p.name + "=" + p.value)
		}
		if got.String() != test.want {
			t.Errorf("%s: got %s, want %s", test.in, got.String(), test.want)
		}
	}
}

func TestCanonicalHeader(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"  ", ""},
		{" a ", "a"},
		{"a  b   c d", "a b c d"},
		{"a\tb", "a\tb"},
		{`"a  b"`, `"a b"`},
	} {
		if got := string(appendHeader(nil, test.in)); got != test.want {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
}

// Headers that net/http keeps outside of the header map.
func TestCollect(t *testing.T) {
	for _, test := range []struct {
		name string
		r    http.Request
		want string // or "" for an error
	}{
		{"host", http.Request{Host: "h:443"}, "h:443"},
		{"content-length", http.Request{ContentLength: 7}, "7"},
		{"content-length", http.Request{ContentLength: -1}, ""},
		{"transfer-encoding", http.Request{TransferEncoding: []string{"chunked"}}, "chunked"},
		{"transfer-encoding", http.Request{}, ""},
		{"expect", http.Request{ProtoMajor: 2}, "100-continue"},
		{"expect", http.Request{ProtoMajor: 1, Header: http.Header{"Expect": {"x"}}}, "x"},
		{"expect", http.Request{ProtoMajor: 1}, ""},
		{"x-amz-date", http.Request{Header: http.Header{"X-Amz-Date": {"now"}}}, "now"},
	} {
		s := new(scratch)
		err := s.collect(&test.r, []string{test.name})
		if test.want == "" {
			refused(t, err, SignatureDoesNotMatch)
		} else if err != nil || len(s.headers[0]) != 1 || s.headers[0][0] != test.want {
			t.Errorf("%s: got %q, %v", test.name, s.headers, err)
		}
	}
}

func TestParseCredential(t *testing.T) {
	for _, test := range []struct{ in, id, region, service string }{
		{"AK/20261121/us-east-1/s3/aws4_request", "AK", "us-east-1", "s3"},
		{"AK/20261121/localhost:20443?/s3/aws4_request", "AK", "localhost:20443?", "s3"},
		{"AK/20261121//s3/aws4_request", "AK", "", "s3"},
		{"AK/20261121/a/b/s3/aws4_request/s3/aws4_request", "AK", "a/b/s3/aws4_request", "s3"},
		{"AK/20261121/é,=;#/s3/aws4_request", "AK", "é,=;#", "s3"},
	} {
		c, wrong := new(Verifier).parseCredential(test.in)
		if wrong != "" || c.id != test.id || c.region != test.region || c.service != test.service || c.date != "20261121" || c.id+"/"+c.scope != test.in {
			t.Errorf("%s: got %+v, %s", test.in, c, wrong)
		}
	}
	for _, in := range []string{
		"", "/", "AK", "AK/20261121", "AK/20261121/s3/aws4_request", "/20261121/r/s3/aws4_request", "AK/2026112/r/s3/aws4_request",
		"AK/2026112x/r/s3/aws4_request", "AK/20261121/r//aws4_request", "AK/20261121/r/s3/aws4_request/", "AK/20261121/r\n/s3/aws4_request",
	} {
		if c, wrong := new(Verifier).parseCredential(in); wrong == "" {
			t.Errorf("%q: got %+v", in, c)
		}
	}
}

func TestParseAuthorization(t *testing.T) {
	const scope = "AK/20261121/r/s3/aws4_request"
	for _, in := range []string{
		"AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host;range, Signature=ab",
		"AWS4-HMAC-SHA256 Credential=" + scope + ",SignedHeaders=host;range,Signature=ab",
		"AWS4-HMAC-SHA256  Signature=ab , SignedHeaders=host;range,\tCredential=" + scope,
	} {
		c, err := new(Verifier).parseAuthorization(in)
		if err != nil || c.id != "AK" || c.region != "r" || c.list != "host;range" || c.signature != "ab" {
			t.Errorf("%s: got %+v, %v", in, c, err)
		}
	}
	c, err := new(Verifier).parseAuthorization("AWS4-HMAC-SHA256 Credential=AK/20261121/a, b,c/s3/aws4_request, SignedHeaders=host, Signature=ab")
	if err != nil || c.region != "a, b,c" {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, in := range []string{
		"AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 ,,,",
		"AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host;b;a;b, Signature=ab",
		"AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, x, Signature=ab",
		"AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=ab,",
		"AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=ab, Other=1",
	} {
		_, err := new(Verifier).parseAuthorization(in)
		refused(t, err, AuthorizationHeaderMalformed)
	}
}
