package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// pair returns both ends of a connection over TCP.
func pair(t *testing.T) (*corkedConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, err := corkedListener{l}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	for _, c := range []net.Conn{here, there} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return here.(*corkedConn), there.(*net.TCPConn)
}

// figures returns n bytes that differ from place to place.
func figures(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	return b.String()[:n]
}

// TestCork holds back what is small until it ends, or until something large comes.
func TestCork(t *testing.T) {
	here, there := pair(t)
	var sent strings.Builder
	write := func(size, held int) {
		t.Helper()
		p := figures(size)
		if n, err := io.WriteString(here, p); n != size || err != nil {
			t.Fatalf("a write of %d bytes gave %d, %v", size, n, err)
		}
		sent.WriteString(p)
		if len(here.held) != held {
			t.Fatalf("%d bytes are held after a write of %d, want %d", len(here.held), size, held)
		}
	}
	uncork := func() {
		t.Helper()
		if err := here.uncork(); err != nil || here.held != nil {
			t.Fatalf("uncork: %v, %d bytes are held", err, len(here.held))
		}
		got := make([]byte, sent.Len())
		if _, err := io.ReadFull(there, got); err != nil || string(got) != sent.String() {
			t.Fatalf("got other bytes than were sent, %v", err)
		}
		sent.Reset()
	}
	write(10, 0) // there is no cork yet
	uncork()
	for range 3 {
		here.cork()
		uncork() // with nothing
		here.cork()
		write(700, 700)
		write(10<<10, 0)
		write(5, 5)
		uncork()
		here.cork()
		write(corkSize-1, corkSize-1)
		write(1, corkSize)
		write(1, 0)
		write(0, 0)
		write(1, 1)
		uncork()
		write(1, 0)
		uncork()
	}

	name := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, corkSize, smallFile, smallFile + 1, 1 << 20} {
		if err := os.WriteFile(name, []byte(figures(size)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, announced := range []int{size, size + 3} {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			here.cork()
			write(700, 700)
			done := make(chan error, 1)
			go func() {
				n, err := here.ReadFrom(&io.LimitedReader{R: f, N: int64(announced)})
				if n != int64(size) {
					err = fmt.Errorf("%d bytes were sent, want %d: %w", n, size, err)
				}
				done <- errors.Join(err, here.uncork(), f.Close())
			}()
			sent.WriteString(figures(size))
			got := make([]byte, sent.Len())
			if _, err := io.ReadFull(there, got); err != nil || string(got) != sent.String() {
				t.Fatalf("a file of %d bytes arrived as another, %v", size, err)
			}
			if err := <-done; err != nil {
				t.Errorf("a file of %d bytes: %v", size, err)
			}
			sent.Reset()
		}
	}
	here.cork()
	broken := errors.New("broken")
	if _, err := here.ReadFrom(&io.LimitedReader{R: iotest.ErrReader(broken), N: 9}); err != broken {
		t.Errorf("got %v", err)
	}
}

// TestCorkFails at once when the other end takes nothing or is gone, and forgets what
// it held.
func TestCorkFails(t *testing.T) {
	for name, fail := range map[string]func(here *corkedConn, there *net.TCPConn){
		"late":   func(here *corkedConn, _ *net.TCPConn) { here.SetWriteDeadline(time.Unix(1, 0)) },
		"closed": func(here *corkedConn, _ *net.TCPConn) { here.Close() },
		"slow": func(here *corkedConn, _ *net.TCPConn) {
			here.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := io.Copy(here, zeros{}); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the other end took everything: %v", err)
			}
		},
		"gone": func(here *corkedConn, there *net.TCPConn) {
			there.SetLinger(0)
			there.Close()
			here.Read(make([]byte, 1)) // so that it is known
		},
	} {
		for _, size := range []int{0, 10 << 10} {
			here, there := pair(t)
			fail(here, there)
			here.cork()
			if n, err := here.Write(make([]byte, 100)); n != 100 || err != nil {
				t.Fatalf("%s: got %d, %v", name, n, err)
			}
			var err error
			if size > 0 {
				var n int
				if n, err = here.Write(make([]byte, size)); n != 0 || err == nil {
					t.Errorf("%s: a write gave %d, %v", name, n, err)
				}
			} else {
				err = here.uncork()
			}
			if _, ok := errors.AsType[*net.OpError](err); !ok || here.held != nil {
				t.Errorf("%s: got %v, and %d bytes are held", name, err, len(here.held))
			}
		}
	}
}

func TestCorkAllocates(t *testing.T) {
	here, there := pair(t)
	go io.Copy(io.Discard, there)
	small, large := make([]byte, 700), make([]byte, 10<<10)
	if n := testing.AllocsPerRun(100, func() {
		here.cork()
		here.Write(small)
		here.Write(large)
		here.uncork()
	}); n >= 1 {
		t.Errorf("an answer takes %v pieces of memory", n)
	}
}

// breaking is a store some objects of which break off.
type breaking struct{ store.Service }

type breakingBucket struct{ store.Bucket }

func (s breaking) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	b, err := s.Service.Bucket(ctx, name)
	return breakingBucket{b}, err
}

func (b breakingBucket) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := b.Bucket.Get(ctx, key, opts)
	switch {
	case err != nil:
	case strings.Contains(key, "breaks"):
		o.Body = io.NopCloser(io.MultiReader(io.LimitReader(o.Body, 5), iotest.ErrReader(errors.New("a bad disk"))))
	case strings.Contains(key, "ends"):
		o.Body = io.NopCloser(io.LimitReader(o.Body, 5))
	case strings.Contains(key, "panics"):
		o.Body = nil
	}
	return o, err
}

// TestAnswersInOnePiece are what they were in several, also when many requests are
// sent before the first answer is read, and when an object breaks off.
func TestAnswersInOnePiece(t *testing.T) {
	ts := httptest.NewTLSServer(nil)
	ts.Close()
	for _, secure := range []bool{false, true} {
		w := newWorld(t, &setup{opts: Options{Store: breaking{memstore.New()}}})
		alice := w.user("alice")
		sizes := []int{0, 1, 511, 2048, corkSize - 700, corkSize, 10 << 10, 64 << 10, 64<<10 + 1, 1 << 20}
		for _, size := range sizes {
			w.put("media", fmt.Sprint("public/", size), figures(size))
		}
		for _, key := range []string{"breaks", "ends", "panics"} {
			w.put("media", "public/"+key, figures(10<<10))
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		if secure {
			l = tls.NewListener(corkedListener{l}, &tls.Config{Certificates: ts.TLS.Certificates})
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.srv.Serve(ctx, l) }()
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		dial := func() net.Conn {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if secure {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			return c
		}
		w.url = "http://" + addr
		raw := func(method, uri, body string, headers ...string) string {
			r := w.request(method, uri, body, headers...)
			w.sign(alice, r, time.Now())
			var b bytes.Buffer
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}

		// All requests at once, then all answers.
		type want struct {
			method, uri, body string
			status            int
		}
		var all []want
		for _, size := range sizes {
			uri := fmt.Sprint("/media/public/", size)
			all = append(all, want{"GET", uri, figures(size), 200}, want{"HEAD", uri, "", 200})
		}
		all = append(all, want{"PUT", "/media/public/new", "", 200}, want{"GET", "/media/public/nothing", "NoSuchKey", 404},
			want{"GET", "/media/public/new", "hello", 200}, want{"DELETE", "/media/public/new", "", 204},
			want{"GET", "/media?list-type=2&prefix=public%2F", "<Key>public/1</Key>", 200})
		conn := dial()
		go func() {
			for _, q := range all {
				body := ""
				if q.method == "PUT" {
					body = "hello"
				}
				if _, err := io.WriteString(conn, raw(q.method, q.uri, body)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		in := bufio.NewReader(conn)
		for _, q := range all {
			res, err := http.ReadResponse(in, &http.Request{Method: q.method})
			if err != nil {
				t.Fatalf("%s %s: %v", q.method, q.uri, err)
			}
			got, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != q.status || string(got) != q.body && !(strings.HasPrefix(q.uri, "/media?") || q.status == 404) || !strings.Contains(string(got), q.body) {
				t.Fatalf("TLS %v, %s %s: %d, %d bytes, %v", secure, q.method, q.uri, res.StatusCode, len(got), err)
			}
		}
		if in.Buffered() > 0 {
			t.Errorf("%d bytes follow the last answer", in.Buffered())
		}

		// A content that is not asked for does not come before the answer.
		conn = dial()
		io.WriteString(conn, raw("GET", "/media/public/10240", "", "Expect: 100-continue", "Connection: close"))
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(string(got), "\r\n\r\n"+figures(10<<10)) {
			t.Errorf("TLS %v: got %d bytes, %v", secure, len(got), err)
		}

		// What breaks off does so for the client, too, and the connection ends.
		for _, key := range []string{"breaks", "ends", "panics"} {
			conn := dial()
			io.WriteString(conn, raw("GET", "/media/public/"+key, "")+raw("GET", "/media/public/1", ""))
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if key == "panics" {
				if err == nil {
					t.Errorf("TLS %v, %s: got %d", secure, key, res.StatusCode)
				}
				continue
			}
			if err != nil {
				t.Fatalf("TLS %v, %s: %v", secure, key, err)
			}
			got, err := io.ReadAll(res.Body)
			if string(got) != figures(5) || err != io.ErrUnexpectedEOF {
				t.Errorf("TLS %v, %s: got %q, %v", secure, key, got, err)
			}
		}

		// A client that takes nothing does not keep the server from ending.
		conn = dial()
		for range 40 {
			io.WriteString(conn, raw("GET", "/media/public/65536", ""))
		}
		conn.Close()
	}
}
