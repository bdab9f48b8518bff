package s3api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
)

func TestPutRefuses(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxBody = 100 })
	for _, c := range []struct {
		status  int
		code    string
		headers []string
	}{
		{400, "BadDigest", []string{"Content-MD5: " + md5sum("other")}},
		{400, "InvalidDigest", []string{"Content-MD5: abc"}},
		{400, "BadDigest", []string{"X-Amz-Checksum-Crc32: " + crc("other")}},
		{400, "InvalidRequest", []string{"X-Amz-Checksum-Crc32: abc"}},
		{400, "InvalidRequest", []string{"X-Amz-Checksum-Sha1: " + crc("text")}},
		{400, "InvalidRequest", []string{"X-Amz-Checksum-Crc32: " + crc("text"), "X-Amz-Checksum-Crc32c: " + crc("text")}},
		{400, "InvalidRequest", []string{"X-Amz-Sdk-Checksum-Algorithm: CRC32"}},
		{400, "InvalidRequest", []string{"X-Amz-Sdk-Checksum-Algorithm: SHA1", "X-Amz-Checksum-Crc32: " + crc("text")}},
		{400, "InvalidRequest", []string{"X-Amz-Checksum-Algorithm: MD4"}},
		{400, "MetadataTooLarge", []string{"X-Amz-Meta-A: " + strings.Repeat("x", store.MaxUserMeta)}},
		{400, "InvalidArgument", []string{"X-Amz-Tagging: a=b&a=c"}},
		{400, "InvalidArgument", []string{"X-Amz-Tagging: =b"}},
		{400, "InvalidTag", []string{"X-Amz-Tagging: a=b%26c"}},
		{400, "InvalidDigest", []string{"Content-MD5: "}},
		{400, "InvalidRequest", []string{"X-Amz-Checksum-Rot13: x"}},
		{501, "NotImplemented", []string{"X-Amz-Checksum-Sha512: x"}},
		{501, "NotImplemented", []string{"If-Match: x", "If-None-Match: *"}},
		{400, "InvalidTag", []string{"X-Amz-Tagging: a=b%0a"}},
		{400, "BadRequest", []string{"X-Amz-Tagging: a&b&c&d&e&f&g&h&i&j&k"}},
	} {
		w.do("alice", "PUT", "/media/public/x", "text", c.headers...).is(c.status, c.code)
	}
	w.do("alice", "PUT", "/media/public/x", strings.Repeat("x", 101)).is(400, "EntityTooLarge")
	w.do("alice", "PUT", "/media/public/"+strings.Repeat("x", store.MaxKey), "text").is(400, "KeyTooLongError")
	w.do("alice", "PUT", "/media/public/x?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", "text").is(400, "BadDigest")
	if got := w.content("media", "public/x"); got != "" {
		t.Errorf("an object was left: %q", got)
	}
	w.do("alice", "PUT", "/media/public/x", "text", "X-Amz-Checksum-Algorithm: SHA256").is(200).has("X-Amz-Checksum-Type", "FULL_OBJECT")
}

func TestBrokenContentLeavesNothing(t *testing.T) {
	mismatch := &sigv4.Error{Code: sigv4.XAmzContentSHA256Mismatch, Message: "no"}
	for _, c := range []struct {
		err  error
		code string
	}{
		{mismatch, "XAmzContentSHA256Mismatch"},
		{&sigv4.Error{Code: sigv4.SignatureDoesNotMatch, Message: "chunk"}, "SignatureDoesNotMatch"},
		{io.ErrUnexpectedEOF, "IncompleteBody"},
		{&http.MaxBytesError{Limit: 1}, "EntityTooLarge"},
		{nil, "IncompleteBody"},
	} {
		w := newWorld(t)
		w.put("media", "public/x", "old")
		inner := w.h.(*server).opts.Authenticate
		w.h.(*server).opts.Authenticate = func(r *http.Request) (*Caller, error) {
			caller, err := inner(r)
			if caller != nil && r.Method == "PUT" {
				var body io.Reader = strings.NewReader("half")
				if c.err != nil {
					body = io.MultiReader(body, iotest.ErrReader(c.err))
				}
				caller.Request.Body, caller.Request.Size = io.NopCloser(body), 10
			}
			return caller, err
		}
		w.do("alice", "PUT", "/media/public/x", "").is(codes[c.code].status, c.code)
		if got := w.content("media", "public/x"); got != "old" {
			t.Errorf("%v: the object is %q", c.err, got)
		}
	}
}

func TestTrailer(t *testing.T) {
	for _, c := range []struct {
		sum    string
		err    error
		status int
		code   string
	}{
		{crc("text"), nil, 200, ""},
		{crc("else"), nil, 400, "BadDigest"},
		{"", nil, 400, "MalformedTrailerError"},
		{"", &sigv4.Error{Code: sigv4.SignatureDoesNotMatch}, 403, "SignatureDoesNotMatch"},
	} {
		w := newWorld(t)
		inner := w.h.(*server).opts.Authenticate
		w.h.(*server).opts.Authenticate = func(r *http.Request) (*Caller, error) {
			caller, err := inner(r)
			if err == nil {
				caller.Request.TrailerNames = []string{"x-amz-checksum-crc32"}
				caller.Request.Trailer = func() (http.Header, error) {
					return http.Header{"X-Amz-Checksum-Crc32": {c.sum}}, c.err
				}
			}
			return caller, err
		}
		w.do("alice", "PUT", "/media/public/x", "text", "X-Amz-Sdk-Checksum-Algorithm: CRC32").is(c.status, c.code).
			has("X-Amz-Checksum-Crc32", map[bool]string{true: c.sum}[c.status == 200])
		if got := w.content("media", "public/x"); (got == "text") != (c.status == 200) {
			t.Errorf("the object is %q", got)
		}
	}
}

func TestContentWithoutSignature(t *testing.T) {
	w := newWorld(t)
	for _, h := range []string{"X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length: 4", "X-Amz-Trailer: x-amz-checksum-crc32"} {
		w.do("anonymous", "PUT", "/media/public/x", "4;\r\ntext", h).is(501, "NotImplemented")
	}
	w.do("anonymous", "PUT", "/media/public/x", "text").is(403, "AccessDenied")
}

func TestLengthIsNeeded(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("PUT", "/media/public/x", io.MultiReader(strings.NewReader("text")))
	r.Header.Set("User", "alice")
	r.ContentLength = -1
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	if rec.Code != 411 || !strings.Contains(rec.Body.String(), "<Code>MissingContentLength</Code>") {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

func TestDescriptionOfUploads(t *testing.T) {
	w := newWorld(t)
	cacheControl := func() string { return w.do("alice", "HEAD", "/media/public/x", "").header.Get("Cache-Control") }
	w.do("alice", "PUT", "/media/public/x", "text", "Cache-Control: no-cache", "Pragma: no-cache", "Unsigned: Cache-Control").is(200)
	if got := cacheControl(); got != "" {
		t.Errorf("a Cache-Control that nobody signed was kept: %q", got)
	}
	w.do("alice", "PUT", "/media/public/x", "text", "Cache-Control: max-age=5").is(200)
	if got := cacheControl(); got != "max-age=5" {
		t.Errorf("got %q", got)
	}
	presigned := "/media/public/x?X-Amz-Signature=x&content-type=image/gif&cache-control=max-age%3D7&content-disposition=attachment"
	w.do("alice", "PUT", presigned, "text", "Cache-Control: no-cache", "Unsigned: Cache-Control").is(200)
	w.do("alice", "HEAD", "/media/public/x", "").has("Content-Type", "image/gif").has("Cache-Control", "max-age=7").has("Content-Disposition", "attachment")
	w.do("alice", "PUT", presigned, "text", "Content-Type: image/png").is(200)
	w.do("alice", "HEAD", "/media/public/x", "").has("Content-Type", "image/png")
	w.do("alice", "PUT", "/media/public/x?content-type=text/html", "text").is(200)
	w.do("alice", "HEAD", "/media/public/x", "").has("Content-Type", "binary/octet-stream")
	w.do("alice", "PUT", "/media/public/x?X-Amz-Signature=x&content-type=a%0ab", "text").is(400, "InvalidArgument")
	w.do("alice", "PUT", "/media/public/x?X-Amz-Meta-Who=me&x-amz-tagging=k%3Dv", "text").is(200)
	w.do("alice", "HEAD", "/media/public/x", "").has("x-amz-meta-who", "me").has("X-Amz-Tagging-Count", "1")
}
