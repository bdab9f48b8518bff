package sigv4

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Headers that do not fit the payload mode.
func TestPayloadHeaders(t *testing.T) {
	for _, test := range []struct {
		payload string
		header  http.Header
		code    string
	}{
		{streamingPayload, nil, MissingContentLength},
		{streamingTrailer, nil, MissingContentLength},
		{streamingPayload, http.Header{"X-Amz-Decoded-Content-Length": {"1", "2"}}, InvalidArgument},
		{streamingPayload, http.Header{"X-Amz-Decoded-Content-Length": {"-1"}}, MissingContentLength},
		{streamingPayload, http.Header{"X-Amz-Decoded-Content-Length": {"+1"}}, MissingContentLength},
		{streamingPayload, http.Header{"X-Amz-Decoded-Content-Length": {""}}, MissingContentLength},
		{streamingPayload, http.Header{"X-Amz-Decoded-Content-Length": {"9223372036854775807"}}, MissingContentLength},
		{streamingPayload, http.Header{"X-Amz-Decoded-Content-Length": {"1000"}}, IncompleteBody},
		{streamingPayload, http.Header{"X-Amz-Decoded-Content-Length": {"1"}, "X-Amz-Trailer": {"x-amz-checksum-crc32"}}, InvalidRequest},
		{unsignedPayload, http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32"}}, InvalidRequest},
		{streamingSignedTrailer, http.Header{"X-Amz-Decoded-Content-Length": {"1"}}, MalformedTrailerError},
		{streamingTrailer, http.Header{"X-Amz-Decoded-Content-Length": {"1"}, "X-Amz-Trailer": {"x-amz-tagging"}}, InvalidRequest},
		{streamingTrailer, http.Header{"X-Amz-Decoded-Content-Length": {"1"}, "X-Amz-Trailer": {"x-amz-checksum-a\tb"}}, InvalidRequest},
		{streamingTrailer, http.Header{"X-Amz-Decoded-Content-Length": {"1"}, "X-Amz-Trailer": {"x-amz-checksum-a,X-Amz-Checksum-A"}}, InvalidRequest},
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", nil, NotImplemented},
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", nil, NotImplemented},
		{"STREAMING-UNSIGNED-PAYLOAD", nil, NotImplemented},
		{"streaming-unsigned-payload-trailer", nil, InvalidArgument},
		{"unsigned-payload", nil, InvalidArgument},
		{"", nil, InvalidArgument},
		{strings.ToUpper(emptyHash), nil, InvalidArgument},
		{emptyHash[1:], nil, InvalidArgument},
		{emptyHash + "0", nil, InvalidArgument},
	} {
		r := signed(t, "PUT", "http://localhost:20005/b/key", strings.Repeat("x", 999), test.payload, "x", test.header)
		_, err := verifier(testTime).Verify(wire(t, r))
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != test.code {
			t.Errorf("%s %v: got %v, want %s", test.payload, test.header, err, test.code)
		}
	}
	// The header may not be left out.
	r := signed(t, "PUT", "http://localhost:20005/b/key", "", unsignedPayload, "x", nil)
	r.Header.Del("X-Amz-Content-Sha256")
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "x-amz-content-sha256;", "", 1))
	_, err := verifier(testTime).Verify(wire(t, r))
	refused(t, err, InvalidRequest)
}

// Every payload mode, signed in the header and in the query, with a right and a
// wrong signature. A mode that is new, or is not known, gives way to nobody.
func TestModeMatrix(t *testing.T) {
	const content = "01234567890123456789"
	for _, test := range []struct {
		payload       string
		header, query string // the code with a right signature
	}{
		{hashOf(content), "", ""},
		{unsignedPayload, "", ""},
		{streamingPayload, "", InvalidRequest},
		{streamingSignedTrailer, "", InvalidRequest},
		{streamingTrailer, "", InvalidRequest},
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", NotImplemented, NotImplemented},
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", NotImplemented, NotImplemented},
		{"STREAMING-NEW", NotImplemented, NotImplemented},
		{"NEW", InvalidArgument, InvalidArgument},
	} {
		body, trailer := content, ""
		header := http.Header{"X-Amz-Decoded-Content-Length": {"20"}}
		if strings.HasPrefix(test.payload, "STREAMING-") {
			_, body = encode(t, test.payload, content, 8)
		}
		if strings.HasSuffix(test.payload, "-TRAILER") {
			trailer = "x-amz-checksum-crc32"
			header.Set("X-Amz-Trailer", trailer)
		}
		forms := map[string]struct {
			r    *http.Request
			code string
		}{
			"header": {signed(t, "PUT", "http://localhost:20005/b/key", "", test.payload, "eu-north-1", header), test.header},
			"query":  {presigned(t, "PUT", "http://localhost:20005/b/key?X-Amz-Expires=60&X-Amz-Content-Sha256="+test.payload, "", test.payload, ""), test.query},
		}
		// The streaming modes of a presigned request can stand in a header too.
		h := signed(t, "PUT", "http://localhost:20005/b/key?X-Amz-Expires=60", "", test.payload, "eu-north-1", header)
		h.Header.Del("Authorization")
		h.Header.Del("X-Amz-Date")
		u, _, err := v4.NewSigner().PresignHTTP(t.Context(), testCredentials, h, test.payload, "s3", "eu-north-1", testTime, func(o *v4.SignerOptions) {
			asS3(o)
			o.DisableHeaderHoisting = true
		})
		if err != nil {
			t.Fatal(err)
		}
		if h.URL, err = h.URL.Parse(u); err != nil {
			t.Fatal(err)
		}
		forms["query and header"] = struct {
			r    *http.Request
			code string
		}{h, test.query}

		for form, f := range forms {
			f.r.ContentLength = -1
			if form == "header" && strings.HasPrefix(test.payload, "STREAMING-") {
				c := newChunker(f.r)
				c.chunk(content)
				c.chunk("")
				if trailer != "" {
					c.trailer(crcLine)
				} else {
					c.b.WriteString("\r\n")
				}
				body = c.b.String()
			}
			req, err := verifier(testTime).Verify(with(f.r, strings.NewReader(body)))
			if f.code != "" {
				if e, ok := errors.AsType[*Error](err); !ok || e.Code != f.code {
					t.Errorf("%s in %s: got %v, want %s", test.payload, form, err, f.code)
				}
			} else if err != nil {
				t.Errorf("%s in %s: %v", test.payload, form, err)
			} else if got, err := io.ReadAll(req.Body); string(got) != content || err != nil {
				t.Errorf("%s in %s: %q, %v", test.payload, form, got, err)
			}

			wrong := f.r.Clone(t.Context())
			zeros := strings.Repeat("0", 64)
			if auth := wrong.Header.Get("Authorization"); auth != "" {
				wrong.Header.Set("Authorization", auth[:len(auth)-64]+zeros)
			} else {
				q := wrong.URL.Query()
				q.Set("X-Amz-Signature", zeros)
				wrong.URL.RawQuery = q.Encode()
			}
			req, err = verifier(testTime).Verify(with(wrong, strings.NewReader(body)))
			if req != nil || err == nil || f.code == "" && !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s in %s with a wrong signature: %v", test.payload, form, err)
			}
		}
	}
}

func TestHashedBody(t *testing.T) {
	const content = "some content"
	for _, test := range []struct {
		body   string
		length int64
		code   string
	}{
		{content, int64(len(content)), ""},
		{content, -1, ""},
		{"some kontent", int64(len(content)), XAmzContentSHA256Mismatch},
		{"some kontent", -1, XAmzContentSHA256Mismatch},
		{content[:5], int64(len(content)), IncompleteBody},
		{content[:5], -1, XAmzContentSHA256Mismatch},
		{content + "x", int64(len(content)), XAmzContentSHA256Mismatch},
		{content + "x", -1, XAmzContentSHA256Mismatch},
		{"", -1, XAmzContentSHA256Mismatch},
	} {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "data and error": iotest.DataErrReader,
		} {
			r := signed(t, "PUT", "http://localhost:20005/b/key", "", hashOf(content), "x", nil)
			r.ContentLength = test.length
			req, err := verifier(testTime).Verify(with(r, reader(strings.NewReader(test.body))))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(req.Body)
			if test.code == "" {
				if string(got) != content || err != nil {
					t.Errorf("%s: %q, %v", name, got, err)
				}
				continue
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Code != test.code {
				t.Errorf("%q of %d, %s: got %v, want %s", test.body, test.length, name, err, test.code)
			}
			if _, again := req.Body.Read(make([]byte, 9)); again != err {
				t.Errorf("the error became %v", again)
			}
			// Who reads just the announced size gets the error too.
			if test.length == int64(len(test.body)) {
				r := signed(t, "PUT", "http://localhost:20005/b/key", "", hashOf(content), "x", nil)
				r.ContentLength = test.length
				req, _ := verifier(testTime).Verify(with(r, reader(strings.NewReader(test.body))))
				if _, err := io.ReadFull(req.Body, make([]byte, test.length)); err == nil {
					t.Error("a wrong content was read in full")
				}
			}
		}
	}
	// Without a body there is nothing to wait for.
	_, err := verifier(testTime).Verify(wire(t, signed(t, "PUT", "http://localhost:20005/b/key", "", hashOf("x"), "x", nil)))
	refused(t, err, XAmzContentSHA256Mismatch)
}

// The errors of a body are passed on as they are, but for a body cut short.
func TestBodyErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, payload := range []string{unsignedPayload, hashOf("hello"), streamingPayload, streamingTrailer} {
		header := http.Header{}
		if strings.HasPrefix(payload, "S") {
			header.Set("X-Amz-Decoded-Content-Length", "5")
		}
		for cause, want := range map[error]string{broken: "", io.ErrUnexpectedEOF: IncompleteBody} {
			r := signed(t, "PUT", "http://localhost:20005/b/key", "", payload, "x", header)
			r.ContentLength = -1
			req, err := verifier(testTime).Verify(with(r, io.MultiReader(bytes.NewReader([]byte("5")), iotest.ErrReader(cause))))
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(req.Body)
			if !errors.Is(err, cause) {
				t.Errorf("%s: got %v, want %v", payload, err, cause)
			}
			if want != "" {
				refused(t, err, want)
			}
			if err := req.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
