package sigv4

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// escapeS3 escapes as the clients of S3 do.
func escapeS3(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// FuzzCanonical signs requests with the SDK. All of them must be accepted, and
// none after a change of something that is signed.
func FuzzCanonical(f *testing.F) {
	f.Add("GET", "a b/é//+.txt", "prefix", "a*b c", "k", "v  w ", "us-east-1", uint8(0))
	f.Add("PUT", "%2F..%00", "uploads", "", "", "", "localhost:20443?", uint8(3))
	f.Add("DELETE", "", "", "x", "x-y", "é", "a/b,c", uint8(6))
	f.Fuzz(func(t *testing.T, method, key, name, value, meta, text, region string, change uint8) {
		if !isHeaderName(strings.ToLower(method)) || !isHeaderName(strings.ToLower(meta)) || !isFuzzHeader(text) ||
			!isFuzzHeader(region) || strings.TrimSpace(region) != region || len(region) > 200 {
			return
		}
		// The SDK sorts the names before it escapes them; S3 asks for after.
		if slices.ContainsFunc([]byte(name), func(c byte) bool { return !isUnreserved(c) }) || hasAmzPrefix(name) || name == "AWSAccessKeyId" || name == "Signature" {
			return
		}
		target := "http://s3.example.com:8080/b/" + strings.ReplaceAll(escapeS3(key), "%2F", "/") + "?x-id=Op"
		if name != "" {
			target += "&" + name + "=" + escapeS3(value)
		}
		header := http.Header{"X-Amz-Security-Token": {"token"}, "Content-Type": {"text/plain"}}
		header.Set("X-Amz-Meta-"+meta, text)
		client, err := http.NewRequest(method, target, nil)
		if err != nil {
			return
		}
		r := wire(t, signed(t, client.Method, target, "", unsignedPayload, region, header))
		v := verifier(testTime)
		req, err := v.Verify(r)
		if err != nil {
			t.Fatalf("%s %s: %v", r.Method, r.RequestURI, err)
		}
		if req.Region != region || !req.Signed("content-type") {
			t.Fatalf("got %+v", req)
		}

		auth := r.Header.Get("Authorization")
		switch change % 12 {
		case 0:
			r.Method += "X"
		case 1:
			r.Host = "t" + r.Host
		case 2:
			r.URL.Path, r.URL.RawPath = r.URL.Path+"x", ""
		case 3:
			r.URL.Path, r.URL.RawPath = strings.Replace(r.URL.Path, "/b/", "/c/", 1), ""
		case 4:
			r.URL.RawQuery += "x"
		case 5:
			r.URL.RawQuery += "&x"
		case 6:
			r.Header.Set("X-Amz-Meta-"+meta, text+" x")
		case 7:
			r.Header.Set("Content-Type", "text/html")
		case 8:
			r.Header.Set("X-Amz-Security-Token", "token2")
		case 9:
			r.Header.Set("X-Amz-Content-Sha256", emptyHash)
		case 10:
			r.Header.Set("Authorization", strings.Replace(auth, "20261121/", "20261121/x", 1))
		case 11: // a digit of the signature
			i := len(auth) - 1 - int(change)/12%64
			digit := byte('0')
			if auth[i] == digit {
				digit = '1'
			}
			r.Header.Set("Authorization", auth[:i]+string(digit)+auth[i+1:])
		}
		_, err = v.Verify(r)
		refused(t, err, SignatureDoesNotMatch)
	})
}

// isFuzzHeader reports whether net/http sends s as it is.
func isFuzzHeader(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// FuzzChunked feeds anything to the reader. What it accepts must be the content
// that was signed, or, for the unsigned mode, of the announced size.
func FuzzChunked(f *testing.F) {
	const content = "01234567890123456789"
	for mode, payload := range streamingModes {
		_, body := encode(f, payload, content, 8)
		f.Add(uint8(mode), []byte(body), uint16(7))
		f.Add(uint8(mode), []byte(strings.ToUpper(body)), uint16(1))
		_, body = encode(f, payload, content, 20)
		f.Add(uint8(mode), []byte(body), uint16(4096))
	}
	f.Add(uint8(2), []byte("ffffffffffffffff\r\n"), uint16(1))
	f.Fuzz(func(t *testing.T, mode uint8, body []byte, step uint16) {
		payload := streamingModes[int(mode)%len(streamingModes)]
		r, _ := encode(t, payload, content, 8)
		req, err := verifier(testTime).Verify(with(r, strings.NewReader(string(body))))
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		p := make([]byte, cmp.Or(int(step), 1))
		for reads := 0; err == nil; reads++ {
			if reads > len(body)+1 {
				t.Fatal("the reader does not end")
			}
			var n int
			n, err = req.Body.Read(p)
			got = append(got, p[:n]...)
		}
		switch {
		case len(got) > len(content):
			t.Fatalf("%d bytes for %d", len(got), len(content))
		case err != io.EOF:
			if len(got) == len(content) {
				t.Fatalf("all of the content was given away before %v", err)
			}
		case len(got) != len(content), payload != streamingTrailer && string(got) != content:
			t.Fatalf("accepted %q", got)
		case req.Trailer != nil:
			h, err := req.Trailer()
			if err != nil || len(h) != 1 || payload == streamingSignedTrailer && h.Get("X-Amz-Checksum-Crc32") != "AAAAAA==" {
				t.Fatalf("accepted the trailer %v, %v", h, err)
			}
		}
	})
}

// FuzzAuthorization parses anything. What is accepted must say the same when it
// is written in the usual form.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AK/20261121/a/b?:,c/s3/aws4_request, SignedHeaders=host;range, Signature=ab")
	f.Add("AWS4-HMAC-SHA256 Signature=ab,SignedHeaders=host,Credential=AK/20261121//s3/aws4_request")
	f.Add("AWS4-HMAC-SHA256 Credential=,Credential=")
	f.Add("AWS AK:sig")
	f.Add("Bearer Credential=x")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := new(Verifier).parseAuthorization(s)
		if err != nil {
			if c != nil {
				t.Fatal("both a result and an error")
			}
			return
		}
		if c.id == "" || strings.Contains(c.id, "/") || c.id+"/"+c.scope != c.id+"/"+c.date+"/"+c.region+"/"+c.service+"/aws4_request" {
			t.Fatalf("got %+v", c)
		}
		if !slices.Contains(c.signed, "host") || strings.Join(c.signed, ";") != c.list || strings.Contains(c.signature, ",") {
			t.Fatalf("got %+v", c)
		}
		again, err := new(Verifier).parseAuthorization(algorithm + " Credential=" + c.id + "/" + c.scope + ", SignedHeaders=" + c.list + ", Signature=" + c.signature)
		if err != nil || again.credential != c.credential || again.signature != c.signature || again.list != c.list {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
	})
}

// FuzzQuery parses any query. The canonical form must be that of itself, and
// say the same as net/url.
func FuzzQuery(f *testing.F) {
	f.Add("b=2&a=1&a=0&?.amazonaws.com")
	f.Add("X-Amz-Date=1&x%2damz-date=2")
	f.Add("a=%2b+*;&=&&%zz")
	f.Fuzz(func(t *testing.T, raw string) {
		s := new(scratch)
		if err := s.parseQuery(raw); err != nil {
			return
		}
		var text strings.Builder
		for _, p := range s.pairs {
			text.WriteString("&" + p.name + "=" + p.value)
		}
		again := new(scratch)
		if err := again.parseQuery(text.String()); err != nil || !slices.Equal(again.pairs, s.pairs) {
			t.Fatalf("%q became %q, %v", s.pairs, again.pairs, err)
		}
		want, err := url.ParseQuery(raw)
		if err != nil {
			return // a semicolon, which net/url drops
		}
		got, err := url.ParseQuery(text.String())
		if err != nil {
			t.Fatal(err)
		}
		for name := range want {
			if strings.EqualFold(name, "x-amz-signature") {
				delete(want, name)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		for name, values := range want {
			slices.Sort(values)
			slices.Sort(got[name])
			if !slices.Equal(values, got[name]) {
				t.Fatalf("%q: got %q, want %q", name, got[name], values)
			}
		}
	})
}
