package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store/memstore"
)

// TestSlow checks that who announces content and does not send it is answered, and
// then let go, and that neither holds up the end of the server.
func TestSlow(t *testing.T) {
	srv, err := Open(t.Context(), &Config{Data: newData(t), Buckets: []Bucket{{Name: "media"}}},
		&Options{Store: memstore.New(), patience: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()

	for _, tt := range []struct{ name, head, want string }{
		{"unsigned upload", "PUT /media/public/x HTTP/1.1\r\nContent-Length: 100\r\n", "HTTP/1.1 403"},
		{"call of the identity pool", "POST / HTTP/1.1\r\nX-Amz-Target: AWSCognitoIdentityService.GetId\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 100\r\n", "HTTP/1.1 400"},
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "%sHost: %s\r\n\r\nabc", tt.head, l.Addr())
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, tt.want) {
			t.Errorf("%s: answer %q, %v, want %s", tt.name, line, err, tt.want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

// TestSteadyContentHasTime checks that content which keeps coming may take longer
// than a pause in it.
func TestSteadyContentHasTime(t *testing.T) {
	var s Server
	s.patience = time.Minute
	b := &deadlines{ResponseWriter: nil}
	r, err := http.NewRequest("PUT", "http://x/", io.LimitReader(zeros{}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	s.pace(b, r)
	start := b.read
	if _, err := io.CopyN(io.Discard, r.Body, 512<<10); err != nil {
		t.Fatal(err)
	}
	if got := b.read.Sub(start); got < (512<<10-paceStep)/slowest*time.Second {
		t.Errorf("after half a MiB the deadline had moved by %v", got)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Fatal(err)
	}
	if !b.read.IsZero() {
		t.Error("there is a deadline after the end")
	}
	if left := time.Until(b.write); left <= 0 || left > answerTime {
		t.Errorf("%v are left to answer", left)
	}
}

// deadlines is a ResponseWriter that keeps the deadlines it is given.
type deadlines struct {
	http.ResponseWriter
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
