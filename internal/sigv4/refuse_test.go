package sigv4

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Requests that are wrong in their form, each one a small change to a good one.
func TestMalformed(t *testing.T) {
	header := func(edit func(h http.Header)) func(*http.Request) { return func(r *http.Request) { edit(r.Header) } }
	auth := func(old, text string) func(*http.Request) {
		return header(func(h http.Header) { h.Set("Authorization", strings.Replace(h.Get("Authorization"), old, text, 1)) })
	}
	for _, test := range []struct {
		name string
		edit func(r *http.Request)
		code string
	}{
		{"two Authorization headers", header(func(h http.Header) { h.Add("Authorization", h.Get("Authorization")) }), InvalidArgument},
		{"both forms", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=00" }, InvalidArgument},
		{"both forms in lower case", func(r *http.Request) { r.URL.RawQuery = "x-amz-credential=" }, InvalidArgument},
		{"both forms escaped", func(r *http.Request) { r.URL.RawQuery = "X%2DAmz-Algorithm" }, InvalidArgument},
		{"token in the query", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Security-Token=t" }, InvalidArgument},
		{"version 2 in the query too", func(r *http.Request) { r.URL.RawQuery = "AWSAccessKeyId=t" }, InvalidArgument},
		{"version 2", header(func(h http.Header) { h.Set("Authorization", "AWS AKIA:sig") }), InvalidRequest},
		{"empty", header(func(h http.Header) { h.Set("Authorization", "") }), InvalidArgument},
		{"bearer", header(func(h http.Header) { h.Set("Authorization", "Bearer x") }), InvalidArgument},
		{"asymmetric", auth("HMAC", "ECDSA-P256"), NotImplemented},
		{"no signature", auth("Signature=", "Sig="), AuthorizationHeaderMalformed},
		{"empty signature", auth("Signature=", "Signature=,"), AuthorizationHeaderMalformed},
		{"field twice", auth("Signature=", "Signature=0,Signature="), AuthorizationHeaderMalformed},
		{"no host", auth("host;", ""), AuthorizationHeaderMalformed},
		{"header twice", auth("host;", "host;host;"), AuthorizationHeaderMalformed},
		{"upper case", auth("host;", "Host;"), AuthorizationHeaderMalformed},
		{"empty name", auth("host;", "host;;"), AuthorizationHeaderMalformed},
		{"too many headers", auth("host;", "host;"+strings.Repeat("a;", 200)), AuthorizationHeaderMalformed},
		{"signed header that is not there", auth("host;", "a;host;"), SignatureDoesNotMatch},
		{"no terminator", auth("aws4_request", "aws4"), AuthorizationHeaderMalformed},
		{"other service", auth("/s3/", "/sts/"), AuthorizationHeaderMalformed},
		{"other date", auth("20261121", "20261120"), AuthorizationHeaderMalformed},
		{"no date in scope", auth("20261121/", ""), AuthorizationHeaderMalformed},
		{"no id", auth(testID, ""), AuthorizationHeaderMalformed},
		{"unknown id", auth(testID, "AKIAOTHER"), InvalidAccessKeyID},
		{"short signature", header(func(h http.Header) {
			auth := h.Get("Authorization")
			h.Set("Authorization", auth[:len(auth)-1])
		}), SignatureDoesNotMatch},
		{"long signature", auth("Signature=", "Signature=00"), SignatureDoesNotMatch},
		{"no date", header(func(h http.Header) { h.Del("X-Amz-Date") }), AccessDenied},
		{"fraction in date", header(func(h http.Header) { h.Set("X-Amz-Date", "20261121T203040.5Z") }), AccessDenied},
		{"date twice", header(func(h http.Header) { h.Add("X-Amz-Date", "20261121T203040Z") }), InvalidArgument},
		{"token twice", header(func(h http.Header) { h["X-Amz-Security-Token"] = []string{"a", "b"} }), InvalidArgument},
		{"no hash", header(func(h http.Header) { h.Del("X-Amz-Content-Sha256") }), SignatureDoesNotMatch},
		{"hash twice", header(func(h http.Header) { h.Add("X-Amz-Content-Sha256", emptyHash) }), InvalidArgument},
		{"header under two spellings", header(func(h http.Header) { h["x-amz-date"] = []string{"20261121T203040Z"} }), InvalidArgument},
		{"unsigned header", header(func(h http.Header) { h.Set("X-Amz-Copy-Source", "b/secret") }), AccessDenied},
		{"unsigned header in another spelling", header(func(h http.Header) { h["x-AMZ-tagging"] = []string{"a=b"} }), AccessDenied},
		{"unsigned token", header(func(h http.Header) { h.Set("X-Amz-Security-Token", "t") }), AccessDenied},
		{"escape in the query", func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, InvalidArgument},
		{"escape at the end", func(r *http.Request) { r.URL.RawQuery = "a=%2" }, InvalidArgument},
		{"no path", func(r *http.Request) { r.URL.Opaque = "x" }, InvalidRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := wire(t, signed(t, "GET", "https://b.s3.example.com/a", "", emptyHash, "x", nil))
			test.edit(r)
			req, err := verifier(testTime).Verify(r)
			refused(t, err, test.code)
			if req != nil {
				t.Error("a refused request was returned")
			}
		})
	}
}

// Presigned URLs that are wrong in their form.
func TestMalformedQuery(t *testing.T) {
	good := wire(t, presigned(t, "GET", "https://b.s3.example.com/a?X-Amz-Expires=60", "", unsignedPayload, "tok"))
	set := func(name, value string) func(*http.Request, url.Values) {
		return func(_ *http.Request, q url.Values) { q.Set(name, value) }
	}
	for _, test := range []struct {
		name string
		edit func(r *http.Request, q url.Values)
		code string
	}{
		{"no change", func(*http.Request, url.Values) {}, ""},
		{"parameter twice", func(_ *http.Request, q url.Values) { q.Add("X-Amz-Date", q.Get("X-Amz-Date")) }, AuthorizationQueryParametersError},
		{"parameter twice in other case", func(_ *http.Request, q url.Values) { q.Set("x-amz-signature", q.Get("X-Amz-Signature")) }, AuthorizationQueryParametersError},
		{"hash twice", func(_ *http.Request, q url.Values) {
			q.Set("x-amz-content-sha256", emptyHash)
			q.Set("X-Amz-Content-Sha256", emptyHash)
		}, AuthorizationQueryParametersError},
		{"no signature", func(_ *http.Request, q url.Values) { q.Del("X-Amz-Signature") }, AuthorizationQueryParametersError},
		{"only a token", func(_ *http.Request, q url.Values) {
			for name := range q {
				if name != "X-Amz-Security-Token" {
					q.Del(name)
				}
			}
		}, AuthorizationQueryParametersError},
		{"version 2", func(_ *http.Request, q url.Values) {
			clear(q)
			q.Set("AWSAccessKeyId", testID)
			q.Set("Signature", "x")
			q.Set("Expires", "1")
		}, InvalidRequest},
		{"other algorithm", set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), AuthorizationQueryParametersError},
		{"other date", set("X-Amz-Date", "20261122T000000Z"), AuthorizationQueryParametersError},
		{"bad date", set("X-Amz-Date", "now"), AuthorizationQueryParametersError},
		{"bad credential", set("X-Amz-Credential", testID), AuthorizationQueryParametersError},
		{"line feed in the region", set("X-Amz-Credential", testID+"/20261121/a\nb/s3/aws4_request"), AuthorizationQueryParametersError},
		{"other service", set("X-Amz-Credential", testID+"/20261121/x/ec2/aws4_request"), AuthorizationQueryParametersError},
		{"host not signed", set("X-Amz-SignedHeaders", "range"), AuthorizationQueryParametersError},
		{"other token", set("X-Amz-Security-Token", "other"), SignatureDoesNotMatch},
		{"longer life", set("X-Amz-Expires", "61"), SignatureDoesNotMatch},
		{"other hash", set("X-Amz-Content-Sha256", emptyHash), SignatureDoesNotMatch},
		{"another parameter", set("versionId", "1"), SignatureDoesNotMatch},
		{"unsigned header", func(r *http.Request, _ url.Values) { r.Header.Set("X-Amz-Tagging", "a=b") }, AccessDenied},
		{"unsigned hash", func(r *http.Request, _ url.Values) { r.Header.Set("X-Amz-Content-Sha256", unsignedPayload) }, AccessDenied},
		{"token in a header too", func(r *http.Request, _ url.Values) { r.Header.Set("X-Amz-Security-Token", "tok") }, InvalidArgument},
		{"Authorization too", func(r *http.Request, _ url.Values) { r.Header.Set("Authorization", "Bearer x") }, InvalidArgument},
		{"other method", func(r *http.Request, _ url.Values) { r.Method = "DELETE" }, SignatureDoesNotMatch},
		{"other host", func(r *http.Request, _ url.Values) { r.Host = "c.s3.example.com" }, SignatureDoesNotMatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := good.Clone(t.Context())
			q := r.URL.Query()
			test.edit(r, q)
			r.URL.RawQuery = q.Encode()
			_, err := verifier(testTime).Verify(r)
			if test.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refused(t, err, test.code)
		})
	}
}

// No error may help to sign: neither the secret nor the right signature is in it.
func TestErrorsKeepSecrets(t *testing.T) {
	r := wire(t, signed(t, "GET", "https://b.s3.example.com/a", "", emptyHash, "x", nil))
	auth := r.Header.Get("Authorization")
	i := strings.LastIndex(auth, "=") + 1
	r.Header.Set("Authorization", auth[:i]+strings.Repeat("0", 64))
	_, err := verifier(testTime).Verify(r)
	e := refused(t, err, SignatureDoesNotMatch)
	for _, text := range []string{err.Error(), fmt.Sprintf("%#v", *e)} {
		if strings.Contains(text, testSecret) || strings.Contains(text, auth[i:]) {
			t.Errorf("the error tells too much: %s", text)
		}
	}
	if !strings.HasPrefix(e.CanonicalRequest, "GET\n/a\n\nhost:b.s3.example.com\n") || !strings.HasSuffix(e.StringToSign, hashOf(e.CanonicalRequest)) {
		t.Errorf("canonical request %q, string to sign %q", e.CanonicalRequest, e.StringToSign)
	}
}
