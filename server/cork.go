package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
)

// An answer of net/http goes out in at least two pieces if it has more than 4 KiB: one
// with the header and the first bytes, and the rest. Both cost a system call, and often
// wake the client, which is much of what a small object costs altogether. So a handler
// may have its connection wait with the header for the content: see [reply.Cork].

// corkSize is how much a connection may hold back. What does not fit goes out together
// with what was held, without being copied.
const corkSize = 4 << 10

// smallFile is the most bytes of a file that are read instead of sent from file to
// connection: reading them costs less than the further system call.
const smallFile = 32 << 10

// corkedListener makes connections that can hold back what is written.
type corkedListener struct{ net.Listener }

// Accept waits for the next connection. One that is not over TCP is as it was.
func (l corkedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok && err == nil {
		return &corkedConn{TCPConn: t}, nil
	}
	return c, err
}

// corkedConn is a connection that holds back small writes between cork and uncork.
type corkedConn struct {
	*net.TCPConn

	mu     sync.Mutex // TLS writes from more than one goroutine
	on     bool
	held   []byte
	pieces [2][]byte // and both, so that a write of two pieces needs no memory
	both   net.Buffers
}

// corkedBuffers are for corkedConn.held.
var corkedBuffers = sync.Pool{New: func() any { return new([corkSize]byte) }}

// fileBuffers are for files that are small.
var fileBuffers = sync.Pool{New: func() any { return new([smallFile]byte) }}

// cork begins to hold back.
func (c *corkedConn) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = true
}

// uncork writes what is held.
func (c *corkedConn) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = false
	_, err := c.write(nil)
	return err
}

// Write writes p, or holds it back. An error may be about what was held.
func (c *corkedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on || len(c.held)+len(p) > corkSize {
		return c.write(p)
	}
	if c.held == nil {
		c.held = corkedBuffers.Get().(*[corkSize]byte)[:0]
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

// write writes what is held, and p. It returns how much of p was written. What is
// held is gone then, even after an error, which ends the connection.
func (c *corkedConn) write(p []byte) (int, error) {
	if len(c.held) == 0 {
		if len(p) == 0 {
			return 0, nil
		}
		return c.TCPConn.Write(p)
	}
	held := c.held
	c.held = nil
	defer corkedBuffers.Put((*[corkSize]byte)(held[:corkSize]))
	c.pieces = [2][]byte{held, p}
	c.both = c.pieces[:]
	n, err := c.both.WriteTo(c.TCPConn)
	c.pieces, c.both = [2][]byte{}, nil
	return max(int(n)-len(held), 0), err
}

// ReadFrom writes what r holds. A file that is not small is sent without being copied.
func (c *corkedConn) ReadFrom(r io.Reader) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := r.(*io.LimitedReader); ok && c.on && l.N <= smallFile {
		b := fileBuffers.Get().(*[smallFile]byte)
		defer fileBuffers.Put(b)
		n, err := io.ReadFull(l, b[:l.N])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil // as a copy has it; there is less than announced
		}
		m, e := c.write(b[:n])
		if e != nil {
			err = e
		}
		return int64(m), err
	}
	if _, err := c.write(nil); err != nil {
		return 0, err
	}
	return c.TCPConn.ReadFrom(r)
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// connContext is for [http.Server.ConnContext].
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if k, ok := c.(*corkedConn); ok {
		return context.WithValue(ctx, connKey{}, k)
	}
	return ctx
}

// newReply returns the reply to r.
func newReply(w http.ResponseWriter, r *http.Request) *reply {
	k, _ := r.Context().Value(connKey{}).(*corkedConn)
	return &reply{ResponseWriter: w, conn: k}
}

// Cork has the header of the response wait for its content, or for Uncork, which must
// be called before the handler returns. It reports whether it could: the connection has
// a deadline for writing then.
func (w *reply) Cork() bool {
	if _, ok := w.ResponseWriter.(interface{ FlushError() error }); !ok || w.conn == nil {
		return false
	}
	w.corked = true
	w.conn.cork()
	return true
}

// Uncork sends all that was written.
func (w *reply) Uncork() error {
	w.corked = false
	err := w.flush()
	if e := w.conn.uncork(); err == nil {
		err = e
	}
	return err
}

// flush passes on what net/http holds. Cork saw that it can.
func (w *reply) flush() error {
	return w.ResponseWriter.(interface{ FlushError() error }).FlushError()
}
