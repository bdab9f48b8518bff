package s3api

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
)

func crc(s string) string {
	h := crc32.NewIEEE()
	h.Write([]byte(s))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func md5sum(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestPutAndGet(t *testing.T) {
	w := newWorld(t)
	put := w.do("alice", "PUT", "/media/private/id:alice/photo.png", "pixels",
		"Content-Type: image/png", "Cache-Control: max-age=60", "Content-Disposition: inline", "Content-Encoding: aws-chunked, gzip", "Content-Language: de",
		"Expires: Thu, 01 Dec 2094 16:00:00 GMT", "X-Amz-Meta-Camera: K-1", "X-Amz-Meta-Empty: ", "X-Amz-Tagging: a=b&c=d%20e", "X-Amz-Checksum-Crc32: "+crc("pixels"),
		"Content-MD5: "+md5sum("pixels")).is(200)
	put.has("ETag", `"`+hexMD5("pixels")+`"`).has("X-Amz-Checksum-Crc32", crc("pixels")).has("X-Amz-Checksum-Type", "FULL_OBJECT")
	if len(put.header.Get("X-Amz-Request-Id")) != 16 || put.header.Get("X-Amz-Id-2") == "" || put.header.Get("Server") != "Cubby" {
		t.Errorf("headers %v", put.header)
	}
	for _, method := range []string{"GET", "HEAD"} {
		r := w.do("alice", method, "/media/private/id:alice/photo.png", "", "X-Amz-Checksum-Mode: ENABLED").is(200)
		r.has("Content-Type", "image/png").has("Cache-Control", "max-age=60").has("Content-Disposition", "inline").has("Content-Encoding", "gzip").
			has("Content-Language", "de").has("Expires", "Thu, 01 Dec 2094 16:00:00 GMT").has("x-amz-meta-camera", "K-1").has("X-Amz-Tagging-Count", "2").
			has("Content-Length", "6").has("Accept-Ranges", "bytes").has("ETag", put.header.Get("ETag")).has("X-Amz-Checksum-Crc32", crc("pixels")).
			has("Referrer-Policy", "no-referrer").has("X-Content-Type-Options", "nosniff")
		if _, err := http.ParseTime(r.header.Get("Last-Modified")); err != nil {
			t.Error(err)
		}
		if !slices.Contains(slices.Collect(maps.Keys(r.header)), "x-amz-meta-empty") {
			t.Error("the empty metadata is lost")
		}
		if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "x-amz-meta-camera, x-amz-meta-empty") {
			t.Errorf("exposed are %q", r.header.Get("Access-Control-Expose-Headers"))
		}
		if want := map[string]string{"GET": "pixels"}[method]; r.body != want {
			t.Errorf("%s: content %q", method, r.body)
		}
	}
	w.do("bob", "GET", "/media/private/id:alice/photo.png", "").is(403, "AccessDenied")
	w.do("guest", "GET", "/media/private/id:alice/photo.png", "").is(403, "AccessDenied")
	w.do("bob", "PUT", "/media/private/id:alice/photo.png", "bad").is(403, "AccessDenied")
	w.do("alice", "DELETE", "/media/private/id:alice/photo.png", "").is(204)
	w.do("alice", "DELETE", "/media/private/id:alice/photo.png", "").is(204)
	w.do("alice", "GET", "/media/private/id:alice/photo.png", "").is(404, "NoSuchKey")
	w.do("alice", "HEAD", "/media/private/id:alice/photo.png", "").is(404)
	w.do("guest", "GET", "/media/private/id:alice/photo.png", "").is(403, "AccessDenied")
	w.do("alice", "GET", "/nowhere/x", "").is(403, "AccessDenied")
}

func TestRanges(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "0123456789")
	w.put("media", "public/empty", "")
	for _, c := range []struct {
		rang          string
		status        int
		body, content string
	}{
		{"bytes=2-4", 206, "234", "bytes 2-4/10"},
		{"bytes=2-", 206, "23456789", "bytes 2-9/10"},
		{"bytes=-3", 206, "789", "bytes 7-9/10"},
		{"bytes=-99", 206, "0123456789", "bytes 0-9/10"},
		{"Bytes=8-99", 206, "89", "bytes 8-9/10"},
		{"bytes=0-9223372036854775807", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=0-1,4-5", 200, "0123456789", ""},
		{"bytes=5-2", 200, "0123456789", ""},
		{"items=1-2", 200, "0123456789", ""},
		{"bytes=a-b", 200, "0123456789", ""},
		{"bytes=+1-2", 200, "0123456789", ""},
	} {
		r := w.do("guest", "GET", "/media/public/x", "", "Range: "+c.rang, "X-Amz-Checksum-Mode: ENABLED").is(c.status).has("Content-Range", c.content)
		if r.body != c.body {
			t.Errorf("%s: got %q", c.rang, r.body)
		}
		w.do("guest", "HEAD", "/media/public/x", "", "Range: "+c.rang).is(c.status).has("Content-Length", itoa(len(c.body))).has("Content-Range", c.content)
	}
	for _, rang := range []string{"bytes=10-", "bytes=99-100", "bytes=-0", "bytes=99999999999999999999-"} {
		w.do("guest", "GET", "/media/public/x", "", "Range: "+rang).is(416, "InvalidRange").has("Content-Range", "bytes */10")
		w.do("guest", "HEAD", "/media/public/x", "", "Range: "+rang).is(416).has("Content-Range", "bytes */10")
	}
	w.do("guest", "GET", "/media/public/empty", "", "Range: bytes=0-0").is(416, "InvalidRange").has("Content-Range", "bytes */0")
	w.do("guest", "GET", "/media/public/empty", "").is(200).has("Content-Length", "0")

	tag := w.do("guest", "HEAD", "/media/public/x", "").header.Get("ETag")
	w.do("guest", "GET", "/media/public/x", "", "Range: bytes=0-1", "If-Range: "+tag).is(206)
	w.do("guest", "GET", "/media/public/x", "", "Range: bytes=0-1", `If-Range: "other"`).is(200)
	w.do("guest", "GET", "/media/public/x", "", "Range: bytes=0-1", "If-Range: Sat, 01 Jan 2000 00:00:00 GMT").is(200)
	w.do("guest", "GET", "/media/public/x", "", "Range: bytes=0-1", "If-Match: "+tag, "If-Range: "+tag).is(200)
	w.do("guest", "GET", "/media/public/x?partNumber=1", "", "Range: bytes=0-1").is(400, "InvalidRequest")
	w.do("guest", "GET", "/media/public/x?partNumber=0", "").is(400, "InvalidArgument")
	w.do("guest", "GET", "/media/public/x?partNumber=2", "").is(416, "InvalidPartNumber").has("Content-Range", "bytes */10")
	w.do("guest", "GET", "/media/public/x?partNumber=1", "").is(206).has("Content-Range", "bytes 0-9/10")
	w.do("guest", "GET", "/media/public/empty?partNumber=1", "").is(200)
}

func TestConditions(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "0123456789")
	tag := w.do("guest", "HEAD", "/media/public/x", "").header.Get("ETag")
	past, future := "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
	for _, c := range []struct {
		status int
		header string
	}{
		{200, "If-Match: " + tag},
		{200, `If-Match: "a", ` + tag},
		{200, "If-Match: " + strings.Trim(tag, `"`)},
		{200, "If-Match: *"},
		{412, `If-Match: "a"`},
		{412, "If-Match: W/" + tag},
		{412, "If-Match: ,"},
		{304, "If-None-Match: " + tag},
		{304, "If-None-Match: W/" + tag},
		{304, "If-None-Match: *"},
		{200, `If-None-Match: "a"`},
		{304, "If-Modified-Since: " + future},
		{200, "If-Modified-Since: " + past},
		{200, "If-Modified-Since: yesterday"},
		{412, "If-Unmodified-Since: " + past},
		{200, "If-Unmodified-Since: " + future},
	} {
		r := w.do("guest", "GET", "/media/public/x", "", c.header).is(c.status)
		w.do("guest", "HEAD", "/media/public/x", "", c.header).is(c.status)
		if c.status == 304 && (r.body != "" || r.header.Get("ETag") != tag || r.header.Get("Content-Length") != "") {
			t.Errorf("%s: %q %v", c.header, r.body, r.header)
		}
		if c.status == 412 {
			r.is(412, "PreconditionFailed")
		}
	}
	w.do("alice", "PUT", "/media/public/x", "new", "If-None-Match: *").is(412, "PreconditionFailed")
	w.do("alice", "PUT", "/media/public/x", "new", `If-Match: "a"`).is(412, "PreconditionFailed")
	w.do("alice", "PUT", "/media/public/nothing", "new", `If-Match: "a"`).is(404, "NoSuchKey")
	w.do("alice", "PUT", "/media/public/y", "new", "If-None-Match: *").is(200)
	w.do("alice", "DELETE", "/media/public/x", "", `If-Match: "a"`).is(412, "PreconditionFailed")
	w.do("alice", "PUT", "/media/public/x", "new", "If-Match: "+tag).is(200)
}

func TestOverrides(t *testing.T) {
	w := newWorld(t)
	w.do("alice", "PUT", "/media/public/x", "text", "Content-Type: text/plain", "Cache-Control: max-age=1").is(200)
	q := "?response-content-type=image/png&response-content-disposition=attachment%3B%20filename%3Dx&response-cache-control=no-store&response-expires=0&response-content-language=fr&response-content-encoding=br"
	for _, method := range []string{"GET", "HEAD"} {
		w.do("guest", method, "/media/public/x"+q, "").is(200).has("Content-Type", "image/png").has("Content-Disposition", "attachment; filename=x").
			has("Cache-Control", "no-store").has("Expires", "0").has("Content-Language", "fr").has("Content-Encoding", "br")
	}
	w.do("guest", "GET", "/media/public/x?response-content-type=a%0d%0aX-Evil:1", "").is(400, "InvalidArgument")
	w.do("anonymous", "GET", "/media/public/x", "").is(200).has("Cache-Control", "max-age=1")
	w.do("anonymous", "GET", "/media/public/x?response-content-type=text/html", "").is(400, "InvalidRequest")
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "x")
	w.do("alice", "PUT", "/media/public/x?tagging", `<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>b</Key><Value>2 + 3</Value></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>`).is(200)
	r := w.do("guest", "GET", "/media/public/x?tagging", "").is(200)
	if got := strings.Join(r.elements("Key"), " ") + " " + strings.Join(r.elements("Value"), " "); got != "a b  2 + 3" {
		t.Errorf("got %q", got)
	}
	w.do("guest", "PUT", "/media/public/x?tagging", "<Tagging><TagSet/></Tagging>").is(403, "AccessDenied")
	w.do("guest", "DELETE", "/media/public/x?tagging", "").is(403, "AccessDenied")
	w.do("alice", "PUT", "/media/public/x?tagging", "<Tagging/>").is(400, "MalformedXML")
	w.do("alice", "PUT", "/media/public/x?tagging", "<Tagging><TagSet><Tag><Key>a</Key></Tag><Tag><Key>a</Key></Tag></TagSet></Tagging>").is(400, "InvalidTag")
	w.do("alice", "PUT", "/media/public/x?tagging", "<Tagging><TagSet/></Tagging>", "Content-MD5: "+md5sum("x")).is(400, "BadDigest")
	w.do("alice", "PUT", "/media/public/x?tagging", strings.Repeat(" ", maxTagBody+1)).is(400, "MaxMessageLengthExceeded")
	w.do("alice", "DELETE", "/media/public/x?tagging", "").is(204)
	if r := w.do("guest", "GET", "/media/public/x?tagging", "").is(200); len(r.elements("Key")) > 0 {
		t.Errorf("tags are left: %s", r.body)
	}
	w.do("alice", "GET", "/media/public/none?tagging", "").is(404, "NoSuchKey")
}

func TestBuckets(t *testing.T) {
	w := newWorld(t)
	r := w.do("operator", "GET", "/", "").is(200)
	if got := strings.Join(r.elements("Name"), " "); got != "media other" {
		t.Errorf("buckets %q", got)
	}
	r = w.do("operator", "GET", "/?max-buckets=1", "").is(200)
	if got := strings.Join(r.elements("Name"), " "); got != "media" {
		t.Errorf("buckets %q", got)
	}
	r = w.do("operator", "GET", "/?max-buckets=1&continuation-token="+r.element("ContinuationToken"), "").is(200)
	if got := strings.Join(r.elements("Name"), " "); got != "other" || r.element("ContinuationToken") != "" {
		t.Errorf("buckets %q", got)
	}
	w.do("operator", "PUT", "/new-one", "").is(200).has("Location", "/new-one")
	w.do("operator", "PUT", "/new-one", "").is(409, "BucketAlreadyOwnedByYou")
	w.do("operator", "PUT", "/New", "").is(400, "InvalidBucketName")
	w.do("alice", "PUT", "/new-two", "").is(403, "AccessDenied")
	w.do("alice", "DELETE", "/new-one", "").is(403, "AccessDenied")
	w.do("operator", "PUT", "/new-two", "<CreateBucketConfiguration><LocationConstraint>eu-test-1</LocationConstraint></CreateBucketConfiguration>").is(200)
	w.do("operator", "PUT", "/new-three", "<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint></CreateBucketConfiguration>").is(400, "InvalidLocationConstraint")
	w.do("operator", "PUT", "/new-three", "<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>").is(501, "NotImplemented")
	w.do("operator", "PUT", "/new-three", "<nonsense>").is(400, "MalformedXML")
	w.put("new-one", "x", "x")
	w.do("operator", "DELETE", "/new-one", "").is(409, "BucketNotEmpty")
	w.do("operator", "DELETE", "/new-two", "").is(204)
	w.do("operator", "DELETE", "/new-two", "").is(404, "NoSuchBucket")
	w.do("operator", "HEAD", "/media", "").is(200).has("X-Amz-Bucket-Region", "us-east-1")
	w.do("operator", "HEAD", "/nowhere", "").is(404)
	if r := w.do("operator", "GET", "/media?location", "").is(200); !strings.HasSuffix(r.body, "/\"></LocationConstraint>") {
		t.Errorf("location %s", r.body)
	}
	if r := w.do("operator", "GET", "/media?versioning", "").is(200); strings.Contains(r.body, "Status") {
		t.Errorf("versioning %s", r.body)
	}
	eu := newWorld(t, func(o *Options) { o.Region = "eu-1" })
	if r := eu.do("operator", "GET", "/media?location", "").is(200); r.element("LocationConstraint") == "eu-1" || !strings.Contains(r.body, ">eu-1<") {
		t.Errorf("location %s", r.body)
	}
}

func TestErrors(t *testing.T) {
	w := newWorld(t)
	r := w.do("alice", "GET", "/media/public/%3Cb%3E&x", "").is(404, "NoSuchKey").has("Content-Type", "application/xml")
	if r.element("Key") != "public/&lt;b&gt;&amp;x" || r.element("Resource") != "/media/public/&lt;b&gt;&amp;x" || r.element("RequestId") != r.header.Get("X-Amz-Request-Id") || r.element("HostId") != r.header.Get("X-Amz-Id-2") {
		t.Errorf("got %s", r.body)
	}
	if r := w.do("alice", "HEAD", "/media/public/x", "").is(404); r.body != "" {
		t.Errorf("an error of HEAD has content: %s", r.body)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		err    error
		op     string
		status int
		code   string
	}{
		{&sigv4.Error{Code: sigv4.RequestTimeTooSkewed, ServerTime: now}, "", 403, "RequestTimeTooSkewed"},
		{&sigv4.Error{Code: sigv4.ExpiredToken}, "", 400, "ExpiredToken"},
		{&sigv4.Error{Code: "NewCode"}, "", 403, "NewCode"},
		{&Error{Code: "SlowDown"}, "", 503, "SlowDown"},
		{&Error{Code: "Other", Status: 418, Message: "m"}, "", 418, "Other"},
		{errors.New("disk on fire"), "GetObject", 500, "InternalError"},
		{store.ErrNoSpace, "PutObject", 507, "InsufficientStorage"},
		{store.ErrDigest, "GetObject", 500, "InternalError"},
		{io.ErrUnexpectedEOF, "PutObject", 500, "InternalError"},
		{&bodyError{io.ErrUnexpectedEOF}, "PutObject", 400, "IncompleteBody"},
		{store.ErrNoUpload, "UploadPart", 404, "NoSuchUpload"},
		{store.ErrNotModified, "CopyObject", 412, "PreconditionFailed"},
		{store.ErrRange, "UploadPartCopy", 400, "InvalidArgument"},
		{store.ErrTooLarge, "CopyObject", 400, "InvalidRequest"},
		{store.ErrTooLarge, "PutObject", 400, "EntityTooLarge"},
		{store.ErrIncomplete, "CompleteMultipartUpload", 400, "InvalidRequest"},
		{store.ErrPartOrder, "CompleteMultipartUpload", 400, "InvalidPartOrder"},
		{store.ErrInvalidPart, "CompleteMultipartUpload", 400, "InvalidPart"},
		{store.ErrPartTooSmall, "CompleteMultipartUpload", 400, "EntityTooSmall"},
		{fs.ErrPermission, "", 403, "AccessDenied"},
		{fs.ErrInvalid, "", 400, "InvalidArgument"},
		{errors.ErrUnsupported, "", 501, "NotImplemented"},
		{context.Canceled, "GetObject", 400, "RequestTimeout"},
	} {
		if e := asError(&store.Error{Op: "x", Err: c.err}, c.op); e.Status != c.status || e.Code != c.code || e.Message == "" && c.code != "NewCode" {
			t.Errorf("%v in %s: got %+v", c.err, c.op, e)
		}
	}
	broken := newWorld(t, func(o *Options) {
		o.Authenticate = func(*http.Request) (*Caller, error) { return nil, errors.New("secret detail") }
	})
	if r := broken.do("x", "GET", "/", "").is(500, "InternalError"); strings.Contains(r.body, "secret") || len(broken.failed) != 1 {
		t.Errorf("got %s, told %v", r.body, broken.failed)
	}
	skewed := newWorld(t, func(o *Options) {
		o.Authenticate = func(*http.Request) (*Caller, error) {
			return nil, &sigv4.Error{Code: sigv4.RequestTimeTooSkewed, ServerTime: now, RequestTime: now.Add(time.Hour), MaxSkew: 15 * time.Minute}
		}
	})
	if r := skewed.do("x", "GET", "/", "").is(403, "RequestTimeTooSkewed"); r.element("ServerTime") != "2026-01-02T03:04:05Z" || r.element("MaxAllowedSkewMilliseconds") != "900000" {
		t.Errorf("got %s", r.body)
	}
}

// direct notes what a body is written to.
type direct struct {
	*httptest.ResponseRecorder
	n int64
}

func (d *direct) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(struct{ io.Writer }{d.ResponseRecorder}, r)
	d.n += n
	return n, err
}

// plain is a bucket whose bodies do not write themselves.
type plain struct{ store.Bucket }

func (p plain) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := p.Bucket.Get(ctx, key, opts)
	if err == nil {
		o.Body = struct{ io.ReadCloser }{o.Body}
	}
	return o, err
}

// service is a service of one plain bucket.
type service struct{ store.Service }

func (s service) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	b, err := s.Service.Bucket(ctx, name)
	return plain{b}, err
}

// torn is a service whose objects cannot be read to their end.
type torn struct{ store.Service }

func (s torn) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	b, err := s.Service.Bucket(ctx, name)
	return tornBucket{b}, err
}

type tornBucket struct{ store.Bucket }

func (b tornBucket) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := b.Bucket.Get(ctx, key, opts)
	if err == nil {
		o.Body = io.NopCloser(io.MultiReader(io.LimitReader(o.Body, 10), iotest.ErrReader(errors.New("disk on fire"))))
	}
	return o, err
}

func TestContentThatEndsEarlyIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "a text of more than ten bytes")
	var told []error
	srv := httptest.NewServer(New(gate.New(torn{w.service}, nil, nil), &Options{
		Authenticate: func(*http.Request) (*Caller, error) { return &Caller{Operator: true}, nil },
		OnError:      func(_ context.Context, _ string, err error) { told = append(told, err) },
	}))
	res, err := srv.Client().Get(srv.URL + "/media/public/x")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	srv.Close()
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(text) != 10 || len(told) != 1 {
		t.Errorf("got %q and %v, told %v", text, err, told)
	}
}

func TestBodyReachesTheWriterUnwrapped(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", strings.Repeat("x", 1<<20))
	h := New(gate.New(service{w.service}, nil, nil), &Options{Authenticate: w.authenticate})
	r := httptest.NewRequest("GET", "/media/public/x", nil)
	r.Header.Set("User", "operator")
	got := &direct{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(got, r)
	if got.n != 1<<20 {
		t.Errorf("%d bytes went through ReadFrom of net/http's writer", got.n)
	}
}

// TestNamesOfUserMetadata are those of headers, also where a query brings them: they
// are sent as headers, and listed in one.
func TestNamesOfUserMetadata(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a%2C*", "a%20b", "a%3A", "%C3%A9", "a(b)"} {
		w.do("alice", "PUT", "/media/public/x?x-amz-meta-"+name+"=v", "hostile").is(400, "InvalidArgument")
	}
	w.do("alice", "PUT", "/media/public/x?x-amz-meta-a_b.c=v", "content").is(200)
	w.do("alice", "GET", "/media/public/x", "").is(200).has("x-amz-meta-a_b.c", "v")
}
