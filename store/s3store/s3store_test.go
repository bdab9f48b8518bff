package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// recorded is a request that a service got.
type recorded struct {
	*http.Request
	body []byte
	err  error // of reading the body
}

// service is an S3 service that answers as it is told.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []recorded
}

// serve starts a service. The answer is for the request and its body.
func serve(t *testing.T, answer func(w http.ResponseWriter, r *recorded)) (*service, *Bucket) {
	t.Helper()
	s := new(service)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		rec := recorded{r, body, err}
		s.mu.Lock()
		s.requests = append(s.requests, rec)
		s.mu.Unlock()
		answer(w, &rec)
	}))
	t.Cleanup(s.Close)
	b, err := New(Config{
		Endpoint: s.URL, Bucket: "media", PathStyle: true, Credentials: Static("AKID", "secret", "token"),
		Backoff: func(int) time.Duration { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

func (s *service) all() []recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func ok(w http.ResponseWriter, _ *recorded) { w.Header().Set("ETag", `"abc"`) }

// refuse answers with an error of S3.
func refuse(status int, code string) func(http.ResponseWriter, *recorded) {
	return func(w http.ResponseWriter, r *recorded) {
		w.Header().Set("X-Amz-Request-Id", "R1")
		w.WriteHeader(status)
		if r.Method != http.MethodHead && status != http.StatusNotModified {
			fmt.Fprintf(w, `<Error><Code>%s</Code><Message>it was %s</Message></Error>`, code, code)
		}
	}
}

// stream hides all but Read.
func stream(s string) io.Reader { return struct{ io.Reader }{strings.NewReader(s)} }

func TestPutOfSeekableContent(t *testing.T) {
	s, b := serve(t, ok)
	info, err := b.Put(t.Context(), "a b/ü+c.txt", strings.NewReader("hello"), &store.PutOptions{
		Attributes: store.Attributes{ContentType: "text/plain", Expires: "0", User: map[string]string{"k": "v", "empty": ""}},
		Tags:       map[string]string{"a": "b c"}, IfNoneMatch: []string{"*"},
		SSE: store.SSE{CustomerKey: bytes.Repeat([]byte{1}, 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if info.ETag != "abc" || info.Size != 5 || info.Checksums.CRC32 != "NhCmhg==" || info.ModTime.IsZero() {
		t.Errorf("info is %+v", info)
	}
	r := s.all()[0]
	if got, want := r.URL.EscapedPath(), "/media/a%20b/%C3%BC%2Bc.txt"; got != want {
		t.Errorf("path is %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/plain", "Expires": "0", "X-Amz-Meta-K": "v", "X-Amz-Tagging": "a=b+c", "If-None-Match": "*",
		"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Amz-Checksum-Crc32": "NhCmhg==", "X-Amz-Security-Token": "token",
		"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256",
		"X-Amz-Server-Side-Encryption-Customer-Key":       "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if _, there := r.Header["X-Amz-Meta-Empty"]; !there {
		t.Error("metadata with an empty value was not sent")
	}
	if string(r.body) != "hello" || r.ContentLength != 5 {
		t.Errorf("sent %q with length %d", r.body, r.ContentLength)
	}
}

func TestPutSendsNoTypeOfItsOwn(t *testing.T) {
	s, b := serve(t, ok)
	if _, err := b.Put(t.Context(), "k", strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	if ct := s.all()[0].Header.Values("Content-Type"); len(ct) > 0 {
		t.Errorf("Content-Type %q was sent", ct)
	}
}

func TestPutOfStreamWithSize(t *testing.T) {
	s, b := serve(t, ok)
	if _, err := b.Put(t.Context(), "k", stream("hello"), &store.PutOptions{Size: 5}); err != nil {
		t.Fatal(err)
	}
	r := s.all()[0]
	if string(r.body) != "hello" || r.ContentLength != 5 || r.Header.Get("X-Amz-Content-Sha256") != "UNSIGNED-PAYLOAD" {
		t.Errorf("sent %q with length %d and headers %v", r.body, r.ContentLength, r.Header)
	}
}

func TestPutOfStreamWithTrailer(t *testing.T) {
	for _, size := range []int{1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 5} {
		s, b := serve(t, ok)
		content := strings.Repeat("x", size)
		called := false
		info, err := b.Put(t.Context(), "k", stream(content), &store.PutOptions{
			Attributes: store.Attributes{ContentEncoding: "gzip"}, Size: int64(size), Algorithm: store.CRC32C,
			Trailer: func() (store.Checksums, error) { called = true; return store.Checksums{}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		r := s.all()[0]
		got, trailer := dechunk(t, r.body)
		h := store.CRC32C.New()
		h.Write([]byte(content))
		want := "x-amz-checksum-crc32c:" + *base64OrNil(h.Sum(nil))
		if got != content || trailer != want || !called {
			t.Errorf("size %d: got %d bytes and trailer %q, want %q; asked for the trailer: %v", size, len(got), trailer, want, called)
		}
		if int64(len(r.body)) != r.ContentLength || r.Header.Get("Content-Encoding") != "gzip,aws-chunked" ||
			r.Header.Get("X-Amz-Content-Sha256") != "STREAMING-UNSIGNED-PAYLOAD-TRAILER" ||
			r.Header.Get("X-Amz-Decoded-Content-Length") != fmt.Sprint(size) || r.Header.Get("X-Amz-Trailer") != "x-amz-checksum-crc32c" {
			t.Errorf("size %d: length %d of %d, headers %v", size, r.ContentLength, len(r.body), r.Header)
		}
		if info.Size != int64(size) || info.Checksums.CRC32C == "" {
			t.Errorf("info is %+v", info)
		}
	}
}

// dechunk decodes aws-chunked content.
func dechunk(t *testing.T, b []byte) (content, trailer string) {
	t.Helper()
	s := string(b)
	for {
		var n int
		line, rest, _ := strings.Cut(s, "\r\n")
		if _, err := fmt.Sscanf(line, "%x", &n); err != nil {
			t.Fatalf("chunk %q: %v", line, err)
		}
		if n == 0 {
			return content, strings.TrimSuffix(rest, "\r\n\r\n")
		}
		content += rest[:n]
		s = strings.TrimPrefix(rest[n:], "\r\n")
	}
}

// TestPutOfWrongContent puts streams that are not what was announced. The
// service must never get a request that is whole.
func TestPutOfWrongContent(t *testing.T) {
	late := errors.New("late")
	for name, test := range map[string]struct {
		r    io.Reader
		opts store.PutOptions
		want error
	}{
		"short":      {stream("hello"), store.PutOptions{Size: 6}, store.ErrIncomplete},
		"long":       {stream("hello"), store.PutOptions{Size: 4}, store.ErrIncomplete},
		"longer":     {stream(strings.Repeat("x", 300<<10)), store.PutOptions{Size: 200 << 10}, store.ErrIncomplete},
		"fails":      {io.MultiReader(strings.NewReader("he"), iotest.ErrReader(late)), store.PutOptions{Size: 5}, late},
		"seekable":   {strings.NewReader("hello"), store.PutOptions{Size: 4}, store.ErrIncomplete},
		"trailer":    {stream("hello"), store.PutOptions{Size: 5, Algorithm: store.CRC32, Trailer: sums(store.Checksums{CRC32: "AAAAAA=="})}, store.ErrDigest},
		"unexpected": {stream("hello"), store.PutOptions{Size: 5, Trailer: sums(store.Checksums{CRC32: "NhCmhg=="})}, store.ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := serve(t, ok)
			_, err := b.Put(t.Context(), "k", test.r, &test.opts)
			if !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			s.Close() // waits for what it is still reading
			if slices.ContainsFunc(s.all(), func(r recorded) bool { return r.err == nil }) {
				t.Error("the service got a whole request")
			}
		})
	}
}

func sums(c store.Checksums) func() (store.Checksums, error) {
	return func() (store.Checksums, error) { return c, nil }
}

func TestPutOfUnknownSize(t *testing.T) {
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		switch {
		case r.URL.Query().Has("uploads"):
			fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>U1</UploadId></InitiateMultipartUploadResult>`)
		case r.Method == http.MethodPost:
			fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"abc-2"</ETag></CompleteMultipartUploadResult>`)
		default:
			ok(w, r)
		}
	})
	if _, err := b.Put(t.Context(), "small", stream("hello"), nil); err != nil {
		t.Fatal(err)
	}
	if r := s.all(); len(r) != 1 || r[0].ContentLength != 5 {
		t.Errorf("a small stream took %d requests", len(r))
	}
	info, err := b.Put(t.Context(), "large", stream(strings.Repeat("x", bufferSize+1)), &store.PutOptions{IfNoneMatch: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	if info.ETag != "abc-2" || info.Parts != 2 || info.Size != bufferSize+1 {
		t.Errorf("info is %+v", info)
	}
	var got []string
	for _, r := range s.all()[1:] {
		got = append(got, fmt.Sprint(r.Method, " ", len(r.body) >= bufferSize, " ", r.Header.Get("If-None-Match")))
	}
	if want := []string{"POST false ", "PUT true ", "PUT false ", "POST false *"}; !slices.Equal(got, want) {
		t.Errorf("requests are %q, want %q", got, want)
	}
	_, err = b.Put(t.Context(), "bad", stream(strings.Repeat("x", bufferSize+1)), &store.PutOptions{Checksums: store.Checksums{CRC32: "AAAAAA=="}})
	if !errors.Is(err, store.ErrDigest) {
		t.Errorf("error is %v, want that of the checksum", err)
	}
	if all := s.all(); all[len(all)-1].Method != http.MethodDelete {
		t.Error("the upload was not aborted")
	}
}

func TestRetry(t *testing.T) {
	n := 0
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		if n++; n < Attempts {
			refuse(http.StatusServiceUnavailable, "SlowDown")(w, r)
		} else {
			ok(w, r)
		}
	})
	if _, err := b.Put(t.Context(), "k", strings.NewReader("hello"), nil); err != nil {
		t.Fatal(err)
	}
	if got := len(s.all()); got != Attempts {
		t.Errorf("sent %d times, want %d", got, Attempts)
	}
	n = 0
	_, err := b.Put(t.Context(), "k", stream("hello"), &store.PutOptions{Size: 5})
	if e, ok := errors.AsType[*ServiceError](err); !ok || e.Code != "SlowDown" {
		t.Errorf("a stream cannot be sent again: error is %v, want SlowDown", err)
	}
	if n != 1 {
		t.Errorf("a stream was sent %d times", n)
	}
}

// renewed counts how often its credentials were found to be bad.
type renewed struct{ n int }

func (r *renewed) Invalidate() { r.n++ }

// Retrieve implements CredentialsProvider.
func (r *renewed) Retrieve(context.Context) (Credentials, error) {
	return Credentials{AccessKeyID: fmt.Sprint("AKID", r.n), SecretAccessKey: "secret"}, nil
}

func TestCredentialsOfEndedSession(t *testing.T) {
	s, _ := serve(t, func(w http.ResponseWriter, r *recorded) {
		if strings.Contains(r.Header.Get("Authorization"), "AKID0/") {
			refuse(http.StatusBadRequest, "ExpiredToken")(w, r)
		} else {
			ok(w, r)
		}
	})
	creds := new(renewed)
	b, err := New(Config{
		Endpoint: s.URL, Bucket: "media", PathStyle: true, Credentials: creds,
		Backoff: func(int) time.Duration { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "k", strings.NewReader("hello"), nil); err != nil || creds.n != 1 || len(s.all()) != 2 {
		t.Errorf("sent %d times, credentials renewed %d times, error is %v", len(s.all()), creds.n, err)
	}
	// The answer to HEAD has no code, so it is the next request that succeeds.
	creds.n = 0
	if _, err := b.Stat(t.Context(), "k", nil); err == nil || creds.n != 1 {
		t.Errorf("credentials renewed %d times, error is %v", creds.n, err)
	}
}

func TestErrors(t *testing.T) {
	ctx := t.Context()
	stat := func(b *Bucket) error { _, err := b.Stat(ctx, "k", nil); return err }
	get := func(b *Bucket) error { _, err := b.Get(ctx, "k", nil); return err }
	put := func(b *Bucket) error { _, err := b.Put(ctx, "k", strings.NewReader("x"), nil); return err }
	create := func(b *Bucket) error {
		_, err := b.Put(ctx, "k", strings.NewReader("x"), &store.PutOptions{IfNoneMatch: []string{"*"}})
		return err
	}
	complete := func(b *Bucket) error {
		_, err := b.CompleteUpload(ctx, "k", "u", []store.Part{{Number: 1, ETag: "e"}}, nil)
		return err
	}
	abort := func(b *Bucket) error { return b.AbortUpload(ctx, "k", "u", nil) }
	for _, test := range []struct {
		status int
		code   string
		do     func(*Bucket) error
		want   error
	}{
		{404, "NoSuchKey", get, fs.ErrNotExist},
		{404, "NotFound", stat, fs.ErrNotExist},
		{404, "NoSuchBucket", get, store.ErrNoBucket},
		{404, "NoSuchUpload", complete, store.ErrNoUpload},
		{404, "NoSuchUpload", abort, store.ErrNoUpload},
		{403, "AccessDenied", get, fs.ErrPermission},
		{403, "Forbidden", stat, fs.ErrPermission},
		{403, "SignatureDoesNotMatch", put, fs.ErrPermission},
		{412, "PreconditionFailed", put, store.ErrPrecondition},
		{412, "PreconditionFailed", create, fs.ErrExist},
		{409, "ConditionalRequestConflict", create, fs.ErrExist},
		{412, "PreconditionFailed", stat, store.ErrPrecondition},
		{304, "NotModified", get, store.ErrNotModified},
		{304, "NotModified", stat, store.ErrNotModified},
		{416, "InvalidRange", get, store.ErrRange},
		{416, "RequestedRangeNotSatisfiable", stat, store.ErrRange},
		{400, "BadDigest", put, store.ErrDigest},
		{400, "XAmzContentSHA256Mismatch", put, store.ErrDigest},
		{400, "IncompleteBody", put, store.ErrIncomplete},
		{400, "InvalidPart", complete, store.ErrInvalidPart},
		{400, "InvalidPartOrder", complete, store.ErrPartOrder},
		{400, "EntityTooSmall", complete, store.ErrPartTooSmall},
		{400, "EntityTooLarge", put, store.ErrTooLarge},
		{400, "InvalidArgument", put, fs.ErrInvalid},
		{501, "NotImplemented", put, errors.ErrUnsupported},
		{507, "InsufficientStorage", put, store.ErrNoSpace},
	} {
		_, b := serve(t, refuse(test.status, test.code))
		err := test.do(b)
		if !errors.Is(err, test.want) {
			t.Errorf("%d %s: error is %v, want %v", test.status, test.code, err, test.want)
		}
		if _, ok := errors.AsType[*store.Error](err); !ok {
			t.Errorf("%d %s: error is a %T, not a *store.Error", test.status, test.code, err)
		}
		e, ok := errors.AsType[*ServiceError](err)
		if !ok || e.Code != test.code || e.Status != test.status || e.RequestID != "R1" {
			t.Errorf("%d %s: service error is %+v", test.status, test.code, e)
		}
	}
}

func TestCanceled(t *testing.T) {
	_, b := serve(t, ok)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Stat(ctx, "k", nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}

func TestGetRange(t *testing.T) {
	const content = "0123456789"
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		w.Header().Set("ETag", `"abc-3"`)
		w.Header().Set("X-Amz-Checksum-Crc32", "AAAAAA==-3")
		w.Header().Set("X-Amz-Meta-City", "=?UTF-8?Q?K=C3=B6ln?=")
		w.Header().Set("Expires", "never")
		http.ServeContent(w, r.Request, "", time.Unix(1e9, 0), strings.NewReader(content))
	})
	for _, test := range []struct {
		r      store.Range
		header string
		want   string
		offset int64
	}{
		{store.Range{Offset: 2, Length: 3}, "bytes=2-4", "234", 2},
		{store.Range{Offset: 2, Length: -1}, "bytes=2-", "23456789", 2},
		{store.Range{Offset: -3, Length: -1}, "bytes=-3", "789", 7},
		{store.Range{Offset: -3, Length: 2}, "bytes=7-8", "78", 7},
		{store.Range{Offset: 1, Length: 1 << 62}, "bytes=1-4611686018427387904", "123456789", 1},
		{store.Range{Offset: 1 << 62, Length: 1 << 62}, "bytes=4611686018427387904-", "", 0},
	} {
		o, err := b.Get(t.Context(), "k", &store.GetOptions{Range: &test.r})
		all := s.all()
		if got := all[len(all)-1].Header.Get("Range"); got != test.header {
			t.Errorf("%+v asks for %q, want %q", test.r, got, test.header)
		}
		if test.want == "" {
			if !errors.Is(err, store.ErrRange) {
				t.Errorf("%+v: error is %v, want that of the range", test.r, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o.Body)
		if string(got) != test.want || err != nil || o.Offset != test.offset || o.Length != int64(len(test.want)) || o.Size != 10 {
			t.Errorf("%+v: got %q, %v, bytes %d+%d of %d", test.r, got, err, o.Offset, o.Length, o.Size)
		}
		if o.ETag != "abc-3" || o.Parts != 3 || o.Checksums.Type != store.Composite || o.User["city"] != "Köln" || o.Expires != "never" {
			t.Errorf("%+v: info is %+v", test.r, o.Info)
		}
		o.Body.Close()
	}
	if _, err := b.Get(t.Context(), "k", &store.GetOptions{Range: &store.Range{}}); !errors.Is(err, store.ErrRange) {
		t.Errorf("range of no bytes: error is %v", err)
	}
}

func TestCopyNamesItsSource(t *testing.T) {
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		fmt.Fprint(w, `<CopyObjectResult><ETag>"abc"</ETag><LastModified>2026-01-02T03:04:05Z</LastModified></CopyObjectResult>`)
	})
	other := &Bucket{b.client, b.endpoint, "other"}
	info, err := b.Copy(t.Context(), "dst", "a b/ü+%c?", &store.CopyOptions{From: other, Version: "v/1", Source: store.Conditions{IfMatch: []string{"x"}}})
	if err != nil {
		t.Fatal(err)
	}
	if info.ETag != "abc" || info.ModTime.Year() != 2026 {
		t.Errorf("info is %+v", info)
	}
	r := s.all()[0]
	if got, want := r.Header.Get("X-Amz-Copy-Source"), "other/a%20b/%C3%BC%2B%25c%3F?versionId=v%2F1"; got != want {
		t.Errorf("source is %s, want %s", got, want)
	}
	if r.Header.Get("X-Amz-Copy-Source-If-Match") != `"x"` || r.Header.Get("X-Amz-Metadata-Directive") != "COPY" {
		t.Errorf("headers are %v", r.Header)
	}
}

func TestDeleteMany(t *testing.T) {
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		if r.Method == http.MethodPost {
			fmt.Fprint(w, `<DeleteResult><Error><Key>b&amp;c</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	done, err := b.DeleteMany(t.Context(), []store.Target{{Key: "a"}, {Key: "b&c"}, {Key: "bell\a"}, {}, {Key: "b&c"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, fs.ErrPermission, nil, fs.ErrInvalid, fs.ErrPermission} {
		if !errors.Is(done[i].Err, want) {
			t.Errorf("key %d: error is %v, want %v", i, done[i].Err, want)
		}
	}
	var paths []string
	for _, r := range s.all() {
		paths = append(paths, r.Method+" "+r.URL.EscapedPath())
	}
	if want := []string{"DELETE /media/bell%07", "POST /media"}; !slices.Equal(paths, want) {
		t.Errorf("requests are %q, want %q", paths, want)
	}
}

func TestCompleteLooksUpTags(t *testing.T) {
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>"p1"</ETag><Size>7</Size></Part></ListPartsResult>`)
			return
		}
		fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"abc-1"</ETag></CompleteMultipartUploadResult>`)
	})
	info, err := b.CompleteUpload(t.Context(), "k", "u", []store.Part{{Number: 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info.ETag != "abc-1" || info.Size != 7 {
		t.Errorf("info is %+v", info)
	}
	if all := s.all(); !strings.Contains(string(all[len(all)-1].body), "<ETag>&#34;p1&#34;</ETag>") {
		t.Errorf("body is %s", all[len(all)-1].body)
	}
	if _, err := b.CompleteUpload(t.Context(), "k", "u", []store.Part{{Number: 2}}, nil); !errors.Is(err, store.ErrInvalidPart) {
		t.Errorf("error is %v, want that of the part", err)
	}
}

func TestPresign(t *testing.T) {
	_, b := serve(t, ok)
	u, err := b.PresignGet(t.Context(), "a b.txt", time.Hour, &store.Attributes{ContentDisposition: `attachment; filename="x"`})
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.EscapedPath() != "/media/a%20b.txt" || q.Get("X-Amz-Expires") != "3600" || q.Get("response-content-disposition") != `attachment; filename="x"` ||
		q.Get("X-Amz-SignedHeaders") != "host" || q.Get("X-Amz-Security-Token") != "token" {
		t.Errorf("URL is %s", u)
	}
	if u, err = b.PresignPut(t.Context(), "k", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	if got := u.Query().Get("X-Amz-SignedHeaders"); got != "host" {
		t.Errorf("a URL to put anything asks for the headers %q", got)
	}
	for _, d := range []time.Duration{0, 8 * 24 * time.Hour} {
		if _, err := b.PresignGet(t.Context(), "k", d, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("URL that is good for %v: error is %v", d, err)
		}
	}
}

func TestNew(t *testing.T) {
	for _, cfg := range []Config{{}, {Bucket: "b", Endpoint: "localhost:1"}, {Bucket: "b", Endpoint: "ftp://x"}} {
		if _, err := New(cfg); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: error is %v, want fs.ErrInvalid", cfg, err)
		}
	}
}

// TestPaths checks that no key is cleaned on its way.
func TestPaths(t *testing.T) {
	s, b := serve(t, ok)
	keys := []string{"a//b", "a/./b", "a/../b", "..", "/", "/a", "a/", "%2F", "a?b#c", "*", "a:b@c", "\u2028"}
	for _, key := range keys {
		if _, err := b.Stat(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range s.all() {
		if got := strings.TrimPrefix(r.URL.Path, "/media/"); got != keys[i] {
			t.Errorf("key %q arrived as %q", keys[i], got)
		}
	}
}

// TestPartOfUploadWithChecksum puts a part without one. The service refuses it
// once, as some do, and gets it with what the upload asks for.
func TestPartOfUploadWithChecksum(t *testing.T) {
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		switch {
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `<ListPartsResult><ChecksumAlgorithm>SHA1</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType></ListPartsResult>`)
		case r.Header.Get("X-Amz-Checksum-Sha1") == "":
			refuse(http.StatusBadRequest, "InvalidRequest")(w, r)
		default:
			ok(w, r)
		}
	})
	content := strings.NewReader("skip hello")
	_, _ = content.Seek(5, io.SeekStart)
	p, err := b.PutPart(t.Context(), "k", "u", 1, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := s.all()
	if last := all[len(all)-1]; string(last.body) != "hello" || all[0].Header.Get("Content-Md5") == "" || p.Checksums.SHA1 == "" {
		t.Errorf("sent %q at last, part is %+v", last.body, p)
	}
}

func TestOwnersAreRefused(t *testing.T) {
	s, b := serve(t, ok)
	ann := store.UploadOptions{Owner: "ann"}
	ctx := t.Context()
	_, create := b.CreateUpload(ctx, "k", &store.PutOptions{Owner: "ann"})
	_, put := b.PutPart(ctx, "k", "u", 1, strings.NewReader("x"), &store.PartOptions{UploadOptions: ann})
	_, copied := b.CopyPart(ctx, "k", "u", 1, "s", &store.CopyPartOptions{UploadOptions: ann})
	_, parts := b.ListParts(ctx, "k", "u", &store.ListPartsOptions{UploadOptions: ann})
	_, list := b.ListUploads(ctx, &store.ListUploadsOptions{UploadOptions: ann})
	_, complete := b.CompleteUpload(ctx, "k", "u", []store.Part{{Number: 1, ETag: "e"}}, &store.CompleteOptions{UploadOptions: ann})
	abort := b.AbortUpload(ctx, "k", "u", &ann)
	for i, err := range []error{create, put, copied, parts, list, complete, abort} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("call %d: error is %v, want errors.ErrUnsupported", i, err)
		}
	}
	if n := len(s.all()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}
