package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/diskstore"
	"github.com/cubby-storage/cubby/store/memstore"
)

// TestServeFinishesWhatIsUnderWay when it is told to end.
func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	content := strings.Repeat("0123456789abcdef", 2<<20)
	w.put("media", "public/large", content)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.srv.Serve(ctx, l) }()
	w.url = "http://" + l.Addr().String()

	down := w.request("GET", "/media/public/large", "")
	w.sign(alice, down, time.Now())
	res, err := client.Do(down)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	from, to := io.Pipe()
	up := w.request("PUT", "/media/public/up", "")
	w.sign(alice, up, time.Now())
	up.Body, up.ContentLength = from, 6
	uploaded := make(chan *http.Response, 1)
	go func() {
		res, err := client.Do(up)
		if err != nil {
			t.Error(err)
		}
		uploaded <- res
	}()
	if _, err := to.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	for !slices.ContainsFunc(w.asked(), func(d Decision) bool { return d.Key == "public/up" }) {
		runtime.Gosched() // until the server has the request
	}

	stop()
	for { // until new requests are refused
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case err := <-done:
		t.Fatalf("the server ended before its requests: %v", err)
	default:
	}
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != int64(len(content)) {
		t.Errorf("the download ended after %d of %d bytes: %v", n, len(content), err)
	}
	if _, err := to.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	to.Close()
	if res := <-uploaded; res == nil || res.StatusCode != 200 {
		t.Errorf("the upload ended with %v", res)
	} else {
		res.Body.Close()
	}
	client.CloseIdleConnections()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := w.content("media", "public/up"); got != "onetwo" {
		t.Errorf("the object is %q", got)
	}
}

// TestNothingIsLeftOfRequests of any kind, while the server runs and when it has ended.
func TestNothingIsLeftOfRequests(t *testing.T) {
	disk, err := diskstore.Open(t.TempDir(), &diskstore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, &setup{opts: Options{Store: disk, patience: 100 * time.Millisecond}})
	alice := w.user("alice")
	w.put("media", "public/large", strings.Repeat("0123456789abcdef", 1<<20))
	client.CloseIdleConnections()
	quiet := func(what string, most int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			n := runtime.NumGoroutine()
			if n <= most {
				return
			}
			if time.Now().After(end) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%s: %d goroutines, want at most %d\n%s", what, n, most, stacks[:runtime.Stack(stacks, true)])
			}
		}
	}
	before := runtime.NumGoroutine()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.srv.Serve(ctx, l) }()
	w.url = "http://" + l.Addr().String()
	s := &serving{t: t, srv: w.srv, addr: l.Addr().String()}
	const serve = 2 // Serve, and the listener

	signed := func(method, uri, body string, headers ...string) *http.Request {
		r := w.request(method, uri, body, headers...)
		w.sign(alice, r, time.Now())
		return r
	}
	send := func(r *http.Request, length int64, content string) *dialed { // and not all of the content
		t.Helper()
		d := s.dial()
		var head strings.Builder
		fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method, r.URL.RequestURI(), r.URL.Host, length)
		if err := r.Header.Write(&head); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(d, head.String()+"\r\n"+content); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for range 2 {
		w.as(alice, "GET", "/media?list-type=2&prefix=public/", "").is(200)
		w.as(nil, "GET", "/media/public/large", "").is(403)
		w.as(alice, "GET", "/media/public/missing", "").is(404)
		upload := w.as(alice, "POST", "/media/public/up?uploads", "").is(200).element("UploadId")
		part := "/media/public/up?partNumber=1&uploadId=" + upload

		// Clients that go away in the middle, or take nothing for a while.
		down := send(signed("GET", "/media/public/large", ""), 0, "")
		if _, err := down.r.ReadString('\n'); err != nil {
			t.Error(err)
		}
		down.Close()
		for _, uri := range []string{"/media/public/aborted", part} {
			send(signed("PUT", uri, ""), 1<<20, "some").Close()
		}
		for _, uri := range []string{"/media/public/slow", part} {
			d := send(signed("PUT", uri, ""), 1<<20, "some")
			if line, err := d.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 400") {
				t.Errorf("content that does not come: %q, %v", line, err)
			}
		}
		w.as(alice, "DELETE", "/media/public/up?uploadId="+upload, "").is(204)
		w.as(alice, "PUT", part, "late").is(404)
		canceled, cancel := context.WithCancel(t.Context())
		res, err := client.Do(signed("GET", "/media/public/large", "").WithContext(canceled))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		res.Body.Close()
	}
	client.CloseIdleConnections()
	s.until(0)
	quiet("while the server runs", before+serve)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	quiet("at the end", before)
	for _, key := range w.keys("media") {
		if key != "public/large" {
			t.Errorf("%s was stored", key)
		}
	}
}

// TestServeEndsWithItsListener tells why.
func TestServeEndsWithItsListener(t *testing.T) {
	w := newWorld(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.srv.Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the error is %v", err)
	}
}

// TestRestartKeepsEverything that clients hold: ids, credentials, objects.
func TestRestartKeepsEverything(t *testing.T) {
	cfg, err := ParseConfig([]byte(testConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = newData(t)
	open := func() (*world, func()) {
		t.Helper()
		srv, err := Open(t.Context(), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		ts := httptest.NewServer(srv)
		return &world{T: t, srv: srv, url: ts.URL}, func() {
			ts.Close()
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	w, closeAll := open()
	alice := w.user("alice")
	key, err := w.srv.AddKey(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 200<<10)
	w.as(alice, "PUT", "/media/private/"+alice.id+"/small", "small").is(200)
	w.as(alice, "PUT", "/media/private/"+alice.id+"/large", large).is(200)
	upload := w.as(alice, "POST", "/media/public/up?uploads", "").is(200).element("UploadId")
	before, err := w.srv.outputsText(t.Context(), "http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	closeAll()

	w, closeAll = open()
	defer closeAll()
	after, err := w.srv.outputsText(t.Context(), "http://localhost")
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("outputs were %s\nand are %s, %v", before, after, err)
	}
	for name, want := range map[string]string{"small": "small", "large": large} {
		if r := w.as(alice, "GET", "/media/private/"+alice.id+"/"+name, "").is(200); r.body != want {
			t.Errorf("%s has %d bytes, want %d", name, len(r.body), len(want))
		}
	}
	w.as(alice, "PUT", "/media/public/up?partNumber=1&uploadId="+upload, "part").is(200)
	if again := w.user("alice"); again.id != alice.id {
		t.Errorf("alice is %s, was %s", again.id, alice.id)
	}
	if a := w.call("U.GetUser", map[string]any{"AccessToken": alice.tokens["AccessToken"]}); a.status != 200 {
		t.Errorf("her token: %v", a.fields)
	}
	operator := &person{name: "operator"}
	operator.keys.AccessKeyID, operator.keys.SecretAccessKey = key.ID, key.Secret
	w.as(operator, "GET", "/", "").is(200)
}

// refusing is a service that makes no bucket.
type refusing struct{ store.Service }

func (refusing) CreateBucket(context.Context, string) error { return fs.ErrPermission }

// TestOpenThatFailsLeavesNothingOpen opens the same directory again.
func TestOpenThatFailsLeavesNothingOpen(t *testing.T) {
	data := newData(t)
	config := func(change func(*Config)) *Config {
		c := &Config{Data: data, Buckets: []Bucket{{Name: "media"}}}
		if change != nil {
			change(c)
		}
		return c
	}
	objects := filepath.Join(data, "objects")
	otherKeys := filepath.Join(t.TempDir(), "keys")
	for _, c := range []struct {
		what string
		cfg  *Config
		opts *Options
		prep func() error
		undo func() error
	}{
		{what: "the store makes no bucket", cfg: config(nil), opts: &Options{Store: refusing{memstore.New()}}},
		{what: "a bucket has no name", cfg: config(func(c *Config) { c.Buckets = append(c.Buckets, Bucket{}) })},
		{what: "the rules are bad", cfg: config(func(c *Config) { c.Buckets[0].Rules = Rules{{Path: "x"}} })},
		{what: "an issuer is bad", cfg: config(func(c *Config) { c.Issuers = []Issuer{{Name: "x"}} })},
		{what: "the keys are others", cfg: config(func(c *Config) { c.Keys = otherKeys })},
		{what: "the keys are in the data", cfg: config(func(c *Config) { c.Keys = "keys" })},
		{
			what: "the store is a file", cfg: config(nil),
			prep: func() error { return os.WriteFile(objects, nil, 0o600) }, undo: func() error { return os.Remove(objects) },
		},
		{
			what: "the state is a directory", cfg: config(nil),
			prep: func() error {
				return errors.Join(os.Rename(filepath.Join(data, "state.db"), filepath.Join(data, "kept")), os.Mkdir(filepath.Join(data, "state.db"), 0o700))
			},
			undo: func() error {
				return errors.Join(os.Remove(filepath.Join(data, "state.db")), os.Rename(filepath.Join(data, "kept"), filepath.Join(data, "state.db")))
			},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.prep != nil {
				if err := c.prep(); err != nil {
					t.Fatal(err)
				}
			}
			srv, err := Open(t.Context(), c.cfg, c.opts)
			if err == nil {
				srv.Close()
				t.Error("it was opened")
			}
			if c.undo != nil {
				if err := c.undo(); err != nil {
					t.Fatal(err)
				}
			}
			srv, err = Open(t.Context(), config(nil), nil)
			if err != nil {
				t.Fatalf("after %v: %v", c.what, err)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
			if err := os.RemoveAll(objects); err != nil {
				t.Fatal(err)
			}
		})
	}
	// Two servers on one directory would ruin the store; the second is refused.
	first, err := Open(t.Context(), config(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Open(t.Context(), config(nil), nil); err == nil {
		second.Close()
		t.Error("a second server was opened on one directory")
	}
	if _, err := first.Users(t.Context()); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// fromFiles is a ResponseWriter that counts what comes to it from files, which
// net/http sends without copying, and what comes otherwise.
type fromFiles struct {
	http.ResponseWriter
	files, copied *atomic.Int64
}

// ReadFrom implements io.ReaderFrom, as net/http's own ResponseWriter does.
func (f *fromFiles) ReadFrom(r io.Reader) (int64, error) {
	src := r
	if l, ok := r.(*io.LimitedReader); ok {
		src = l.R
	}
	n, err := io.Copy(f.ResponseWriter, r)
	if _, ok := src.(*os.File); ok {
		f.files.Add(n)
	} else {
		f.copied.Add(n)
	}
	return n, err
}

func (f *fromFiles) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	f.copied.Add(int64(n))
	return n, err
}

// TestLargeObjectsAreSentFromFiles through the protocol, the gate and the store,
// whole, in parts and in ranges.
func TestLargeObjectsAreSentFromFiles(t *testing.T) {
	disk, err := diskstore.Open(filepath.Join(t.TempDir(), "objects"), &diskstore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, &setup{opts: Options{Store: disk}})
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	alice := w.user("alice")
	part := strings.Repeat("0123456789abcdef", store.MinPartSize/16)
	w.as(alice, "PUT", "/media/public/one", part).is(200)
	id := w.as(alice, "POST", "/media/public/parts?uploads", "").is(200).element("UploadId")
	var list strings.Builder
	list.WriteString("<CompleteMultipartUpload>")
	for n := 1; n <= 3; n++ {
		w.as(alice, "PUT", fmt.Sprintf("/media/public/parts?partNumber=%d&uploadId=%s", n, id), part[:len(part)-(n/3)*100]).is(200)
		list.WriteString(fmt.Sprintf("<Part><PartNumber>%d</PartNumber></Part>", n))
	}
	w.as(alice, "POST", "/media/public/parts?uploadId="+id, list.String()+"</CompleteMultipartUpload>").is(200)
	whole := part + part + part[:len(part)-100]

	var files, copied atomic.Int64
	answered := make(chan bool, 1)
	ts := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.srv.ServeHTTP(&fromFiles{rw, &files, &copied}, r)
		answered <- true
	}))
	defer ts.Close()
	w.url = ts.URL
	for _, c := range []struct {
		key, byteRange, want string
	}{
		{"one", "", part},
		{"one", "bytes=1000-300000", part[1000:300001]},
		{"parts", "", whole},
		{"parts", "bytes=5-", whole[5:]},
		{"parts", fmt.Sprintf("bytes=%d-%d", len(part)-70000, len(part)+70000), whole[len(part)-70000 : len(part)+70001]},
		{"parts", "bytes=-200000", whole[len(whole)-200000:]},
	} {
		files.Store(0)
		copied.Store(0)
		var headers []string
		if c.byteRange != "" {
			headers = []string{"Range: " + c.byteRange}
		}
		r := w.as(alice, "GET", "/media/public/"+c.key, "", headers...)
		<-answered
		if r.body != c.want {
			t.Errorf("%s %s: %d bytes, want %d", c.key, c.byteRange, len(r.body), len(c.want))
		}
		if files.Load() != int64(len(c.want)) || copied.Load() != 0 {
			t.Errorf("%s %s: %d bytes came from files and %d did not, want %d", c.key, c.byteRange, files.Load(), copied.Load(), len(c.want))
		}
	}
}
