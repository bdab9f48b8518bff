package server

import (
	"io"
	"net/http"
	"time"
)

// A stranger who sends or takes a little and then waits must not hold memory,
// files and connections for ever. So content has a deadline that moves on as it
// arrives: patience, and as long as it takes over a line of slowest bytes a second.
const (
	patience = 30 * time.Second
	slowest  = 16 << 10
	paceStep = 256 << 10 // bytes after which the deadline moves; they take less than patience
)

// pacedBody is the content of a request, under a deadline.
type pacedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	start time.Time     // and how long content may take from then on,
	wait  time.Duration // apart from what its size allows
	n     int64         // bytes that came
	next  int64         // when the deadline moves
}

// pace puts the content of r under a deadline.
func (s *Server) pace(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	b := &pacedBody{ReadCloser: r.Body, rc: http.NewResponseController(w), start: time.Now(), wait: s.patience, next: paceStep}
	r.Body = b
	// Also for what nobody reads: net/http does, before it answers.
	b.until(b.start.Add(b.wait))
}

// Read reads content. After its end nothing more is waited for, and there is time
// to answer.
func (b *pacedBody) Read(p []byte) (int, error) {
	if b.n >= b.next {
		b.next = b.n + paceStep
		b.until(b.start.Add(b.wait + time.Duration(b.n/slowest)*time.Second))
	}
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if err == io.EOF {
		b.until(time.Time{})
	}
	return n, err
}

// until sets the deadline; a zero t takes it away. Connections that have none
// belong to a test, so errors do not matter.
func (b *pacedBody) until(t time.Time) {
	_ = b.rc.SetReadDeadline(t)
	if t.IsZero() {
		t = time.Now()
	}
	_ = b.rc.SetWriteDeadline(t.Add(answerTime))
}
