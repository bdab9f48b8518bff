package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/vbauerster/mpb/v8"

	"github.com/cubby-storage/cubby/cubbytest"
	"github.com/cubby-storage/cubby/store"
)

// shell runs commands in this process as one user types them.
type shell struct {
	t      *testing.T
	vars   map[string]string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newShell(t *testing.T, endpoint string) *shell {
	return &shell{t: t, vars: map[string]string{"CUBBY_ENDPOINT": endpoint, "CUBBY_CONFIG": t.TempDir()}}
}

func (s *shell) run(ctx context.Context, stdin io.Reader, args ...string) int {
	s.stdout.Reset()
	s.stderr.Reset()
	return run(ctx, &env{args, stdin, &s.stdout, &s.stderr, func(name string) string { return s.vars[name] }})
}

func (s *shell) login(srv *cubbytest.Server, name string) {
	s.t.Helper()
	s.vars["CUBBY_PASSWORD"] = srv.AddUser(name)
	if exit := s.run(s.t.Context(), nil, "login", name); exit != 0 {
		s.t.Fatalf("login: %d, %s", exit, s.stderr.String())
	}
}

// stalling is a reader of n bytes that then calls stalled and waits for ever.
type stalling struct {
	n       int
	stalled func()
	ever    chan struct{}
}

func (r *stalling) Read(p []byte) (int, error) {
	if r.n == 0 {
		r.stalled()
		<-r.ever
		return 0, io.EOF
	}
	n := min(r.n, len(p))
	r.n -= n
	return n, nil
}

func TestInterruptedUpload(t *testing.T) {
	srv := cubbytest.NewServer(t, nil)
	sh := newShell(t, srv.URL)
	sh.login(srv, "alice")
	for _, size := range []int{10, 12 << 20} { // less than a part, and some parts
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			stdin := &stalling{n: size, stalled: interrupt, ever: make(chan struct{})}
			defer close(stdin.ever)
			if exit := sh.run(ctx, stdin, "put", "-", "public:half"); exit != 130 {
				t.Errorf("exit code %d, want 130", exit)
			}
			if got, want := sh.stderr.String(), "cubby: interrupted\n"; got != want {
				t.Errorf("it says %q, want %q", got, want)
			}
			b := srv.Bucket("media")
			objects, err := b.List(t.Context(), &store.ListOptions{})
			if err != nil || len(objects.Objects) != 0 {
				t.Errorf("objects are there: %v, %v", objects, err)
			}
			uploads, err := b.ListUploads(t.Context(), &store.ListUploadsOptions{})
			if err != nil || len(uploads.Uploads) != 0 {
				t.Errorf("uploads are there: %v, %v", uploads, err)
			}
		})
	}
}

func TestInterruptedPassword(t *testing.T) {
	srv := cubbytest.NewServer(t, nil)
	ctx, interrupt := context.WithCancel(t.Context())
	stdin := &stalling{stalled: interrupt, ever: make(chan struct{})}
	defer close(stdin.ever)
	if exit := newShell(t, srv.URL).run(ctx, stdin, "login", "alice"); exit != 130 {
		t.Errorf("exit code %d, want 130", exit)
	}
}

// TestBrokenDownload gets a file over a connection that breaks half way, and that
// is gone when the client comes back for the rest.
func TestBrokenDownload(t *testing.T) {
	srv := cubbytest.NewServer(t, nil)
	content := strings.Repeat("x", 1<<20)
	bucket := srv.Bucket("media")
	if _, err := bucket.Put(t.Context(), "public/big", strings.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	breaking := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			if strings.HasSuffix(r.Request.URL.Path, "/big") {
				r.Body = io.NopCloser(io.LimitReader(r.Body, 1000))
				_, err := bucket.Delete(context.Background(), "public/big", nil)
				return err
			}
			return nil
		},
	})
	defer breaking.Close()

	dir := t.TempDir()
	old := filepath.Join(dir, "big")
	if err := os.WriteFile(old, []byte("as it was"), 0o600); err != nil {
		t.Fatal(err)
	}
	sh := newShell(t, breaking.URL)
	if exit := sh.run(t.Context(), nil, "get", "public:big", old); exit != 3 && exit != 5 {
		t.Errorf("exit code %d, %s", exit, sh.stderr.String())
	}
	if got, err := os.ReadFile(old); string(got) != "as it was" {
		t.Errorf("the file is %.20q, %v", got, err)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestBar checks that a bar ends with all that it started, whenever it is ended.
func TestBar(t *testing.T) {
	for name, use := range map[string]func(*bar){
		"unused":  func(*bar) {},
		"half":    func(b *bar) { b.set(50, 100) },
		"whole":   func(b *bar) { b.set(100, 100) },
		"more":    func(b *bar) { b.set(100, 100); b.set(120, 100) },
		"empty":   func(b *bar) { b.set(0, 0) },
		"unknown": func(b *bar) { b.set(7, -1); b.set(9, -1) },
		"nothing": func(*bar) { (*bar)(nil).set(1, 2); (*bar)(nil).end() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				b := newBar(&out, "a name that is\nmuch too long for a line", 100, mpb.WithAutoRefresh())
				use(b)
				b.end()
				if text := out.String(); !strings.Contains(text, "a name that is?much too…  ") {
					t.Errorf("it shows %q", text)
				}
			})
		})
	}
}
