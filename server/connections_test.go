package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store/memstore"
)

// serving is a server that runs by itself.
type serving struct {
	t    testing.TB
	srv  *Server
	addr string
	tls  *tls.Config // nil for HTTP
}

// run serves with limits, over TLS if there is a certificate.
func run(t testing.TB, limits Limits, cert *tls.Certificate) *serving {
	t.Helper()
	srv, err := Open(t.Context(), &Config{Data: filepath.Join(t.TempDir(), "data"), Buckets: []Bucket{{Name: "media"}}, Limits: limits}, &Options{Store: memstore.New()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{t: t, srv: srv, addr: l.Addr().String()}
	if cert != nil {
		s.tls = &tls.Config{InsecureSkipVerify: true}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}})
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, srv.Close()); err != nil {
			t.Error(err)
		}
		s.until(0)
		if _, n := s.count(); n > 0 {
			t.Errorf("%d addresses are counted after the end", n)
		}
	})
	return s
}

// count returns how many connections are open, and of how many addresses.
func (s *serving) count() (conns, addresses int) {
	l := &s.srv.limits.conns
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, a := range l.each {
		n += a.n
	}
	if n != len(l.open) {
		s.t.Errorf("the addresses have %d connections, there are %d", n, len(l.open))
	}
	return len(l.open), len(l.each)
}

// until waits for a number of connections.
func (s *serving) until(want int) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		n, _ := s.count()
		if n == want {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d connections are open, want %d", n, want)
		}
	}
}

// dialed is the client's end of a connection.
type dialed struct {
	net.Conn
	r *bufio.Reader
}

func (s *serving) dial() *dialed {
	s.t.Helper()
	d, err := s.connect()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { d.Close() })
	return d
}

// connect is dial for other goroutines. The caller closes the connection.
func (s *serving) connect() (*dialed, error) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if s.tls != nil {
		c = tls.Client(c, s.tls)
	}
	return &dialed{c, bufio.NewReader(c)}, nil
}

// ask sends a request, and returns the status, or 0 if the connection is closed.
func (d *dialed) ask() int {
	if _, err := io.WriteString(d, "GET /.well-known/cubby/nothing HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return 0
	}
	res, err := http.ReadResponse(d.r, nil)
	if err != nil {
		return 0
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0
	}
	return res.StatusCode
}

// begin sends a part of a request.
func (d *dialed) begin() {
	io.WriteString(d, "PUT /media/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n") // if the connection is closed, that is fine
}

// TestConnectionsAreLimited in all, and those from one address. One that is too many
// is closed if all others are busy; else it takes the place of an idle one.
func TestConnectionsAreLimited(t *testing.T) {
	ts := httptest.NewTLSServer(nil)
	ts.Close()
	for _, tt := range []struct {
		name   string
		limits Limits
		cert   *tls.Certificate
	}{
		{"all", Limits{Connections: 3}, nil},
		{"address", Limits{Connections: 100, ConnectionsPerAddress: 3}, nil},
		{"TLS", Limits{Connections: 3}, &ts.TLS.Certificates[0]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := run(t, tt.limits, tt.cert)
			var list []*dialed
			for range 3 {
				d := s.dial()
				list = append(list, d)
				if got := d.ask(); got != 404 {
					t.Fatalf("the status is %d", got)
				}
			}
			if got := list[0].ask(); got != 404 { // so the second is idle for longest
				t.Fatalf("the status is %d", got)
			}
			fresh := s.dial()
			if got := fresh.ask(); got != 404 {
				t.Errorf("a new connection: the status is %d", got)
			}
			if got := list[1].ask(); got != 0 {
				t.Errorf("the one that was idle for longest: the status is %d", got)
			}
			for _, d := range []*dialed{list[0], list[2], fresh} {
				if got := d.ask(); got != 404 {
					t.Errorf("the others: the status is %d", got)
				}
			}
			s.until(3)
			for _, d := range []*dialed{list[0], list[2], fresh} {
				d.Close()
			}
			s.until(0)

			// Those that have sent nothing yet are not idle.
			for range 3 {
				if c := s.dial(); s.tls != nil {
					if err := c.Conn.(*tls.Conn).Handshake(); err != nil {
						t.Fatal(err)
					}
				}
			}
			s.until(3)
			if got := s.dial().ask(); got != 0 {
				t.Errorf("one too many: the status is %d", got)
			}
			s.until(3)
		})
	}
}

// TestManyConnections come and go at once, and are counted exactly.
func TestManyConnections(t *testing.T) {
	const most, all = 200, 1200
	s := run(t, Limits{Connections: most}, nil)
	var answered, closed atomic.Int32
	var wg sync.WaitGroup
	work := make(chan int)
	for range 300 { // files that may be open are few on some machines
		wg.Go(func() {
			for i := range work {
				d, err := s.connect()
				if err != nil {
					t.Error(err)
					continue
				}
				if i%3 == 0 {
					d.begin()
				}
				if i%5 == 0 {
					d.Close()
					continue
				}
				switch d.ask() {
				case 0:
					closed.Add(1)
				default:
					answered.Add(1)
				}
				if n, _ := s.count(); n > most {
					t.Errorf("%d connections are open", n)
				}
				d.Close()
			}
		})
	}
	for i := range all {
		work <- i
	}
	close(work)
	wg.Wait()
	if answered.Load() == 0 {
		t.Error("nobody was answered")
	}
	s.until(0)
	if got := s.dial().ask(); got != 404 {
		t.Errorf("afterwards the status is %d", got)
	}
	t.Logf("%d answered, %d closed", answered.Load(), closed.Load())
}

// TestIdleConnections measures what a thousand take, if CUBBY_LONG is set; otherwise it
// is content with a few.
func TestIdleConnections(t *testing.T) {
	n := 50
	if os.Getenv("CUBBY_LONG") != "" {
		n = 1000
	}
	s := run(t, Limits{}, nil)
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	s.dial().ask()
	before := memory()
	list := make([]*dialed, n-1)
	for i := range list {
		list[i] = s.dial()
		if got := list[i].ask(); got != 404 {
			t.Fatalf("the status is %d", got)
		}
	}
	s.until(n)
	after := memory()
	t.Logf("%d idle connections: %d KiB each, with the client's end", n, (after-before)/uint64(n-1)>>10)
	runtime.KeepAlive(list)
}
