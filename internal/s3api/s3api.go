// Package s3api speaks the S3 protocol in front of a gate.
//
// [New] gives an [http.Handler]. A request goes one way through it: its host and
// path become a bucket and a key (target.go), Options.Authenticate says who sent
// it, or who signed the policy of a browser form, the method and the query choose
// one row of the table of operations (operations.go), and that operation asks the
// gate. A caller who is not authenticated learns nothing, not even which buckets
// there are. The package never holds a bucket that did not come from the gate.
//
// # Names
//
// Both forms of addressing work: "/bucket/key", and a bucket before the host as
// in "bucket.s3.example.org/key". A key is the rest of the path, percent-decoded
// exactly once and never cleaned, so the handler must not stand behind an
// [http.ServeMux], which cleans paths.
//
// # Errors
//
// An error becomes an S3 code and a status in one function (errors.go). What is
// not implemented, be it a sub-resource, a header or a form of an argument, is
// answered with NotImplemented and never with something else.
//
// Every response has an id in its header, and in its XML if it is an error. What
// happens on the way to it knows the id by [RequestID], so that it can be told
// later why a request was denied. The caller is told that only by Options.Explain.
//
// # Lists
//
// Text that XML cannot hold, such as control characters in a key, shows as U+FFFD
// unless the caller asks for encoding-type=url, which shows every key exactly.
package s3api

import (
	"context"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
)

// Caller is who sent a request.
type Caller struct {
	// Operator may do everything; otherwise the caller is Subject.
	Operator bool
	Subject  access.Subject
	// Request is what the signature covers. It is nil for a caller who is let
	// in without a signature.
	Request *sigv4.Request
}

// Options are the options of New.
type Options struct {
	// Authenticate says who sent r, without reading its body. An error should
	// be, or wrap, a *sigv4.Error, an *Error or fs.ErrPermission; any other one
	// is the server's fault. If it is nil, nobody is let in.
	Authenticate func(r *http.Request) (*Caller, error)
	// Hosts are names of this server: each, without a port, stands for path
	// style, and <bucket>.<host> for that bucket.
	Hosts []string
	// Region is where the buckets are said to be; "" means us-east-1.
	Region string
	// OwnerID is the account, of 12 digits, that all buckets belong to; "" means
	// 000000000000. A request that expects another owner is refused.
	OwnerID string
	// ServerName is the header Server; "" means Cubby.
	ServerName string
	// MaxBody is the most bytes of content in one request; 0 means store.MaxPartSize.
	MaxBody int64
	// CORS says which web pages may use the server; nil means all.
	CORS *CORS
	// OnError, if not nil, is told of what failed for no fault of the caller.
	OnError func(ctx context.Context, requestID string, err error)
	// Explain, if not nil, says why c was denied something. The text goes to c, in
	// the XML of the error, and nowhere else; "" is none. It tells of rules and of
	// what there is, so that it must be "" for all who may not know these.
	Explain func(c *Caller, d *gate.Denied) string
}

// server is the handler.
type server struct {
	g    *gate.Gate
	opts Options
	cors *cors
}

// New returns the handler for the buckets behind g.
func New(g *gate.Gate, opts *Options) http.Handler {
	s := &server{g: g}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	hosts := make([]string, len(o.Hosts))
	for i, h := range o.Hosts {
		hosts[i] = HostName(h)
	}
	o.Hosts = hosts
	o.Region = or(o.Region, "us-east-1")
	o.OwnerID = or(o.OwnerID, "000000000000")
	o.ServerName = or(o.ServerName, "Cubby")
	o.MaxBody = or(o.MaxBody, store.MaxPartSize)
	if o.OnError == nil {
		o.OnError = func(context.Context, string, error) {}
	}
	s.cors = newCORS(o.CORS)
	return s
}

// or returns v, or def if v is the zero value.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r, id: requestID()}
	c.ctx = context.WithValue(r.Context(), callKey{}, c)
	h := w.Header()
	h.Set("Server", s.opts.ServerName)
	h.Set("X-Amz-Request-Id", c.id)
	h.Set("X-Amz-Id-2", requestID()+requestID())
	protect(h)
	s.cors.allow(h, r)
	if r.Method == http.MethodOptions {
		if err := s.cors.preflight(w, r); err != nil {
			c.fail(err)
		}
		return
	}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

// callKey is the key of the call in its context.
type callKey struct{}

// RequestID returns the id of the request that ctx belongs to, as the response
// names it: the gate hands such a ctx to its observer. It is "" for another ctx.
func RequestID(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.id
	}
	return ""
}

// requestID returns a fresh id. It has to be unique, not secret.
func requestID() string {
	var b [8]byte
	n := rand.Uint64()
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

// call is one request on its way through the handler.
type call struct {
	s      *server
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	id     string
	target target
	op     *operation
	form   *form // what the request holds if it is a browser form
	query  url.Values
	amz    map[string]string // the x-amz- parameters of the query, by lower-case name
	caller *Caller
	view   *gate.View
	wrote  bool // the header of the response is sent
}

// serve takes the request through all stages.
func (c *call) serve() error {
	var err error
	if c.target, err = c.s.target(c.r); err != nil {
		return err
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	if err := c.parseQuery(); err != nil {
		return err
	}
	if err := c.choose(); err != nil {
		return err
	}
	if err := c.checkHeaders(); err != nil {
		return err
	}
	return c.op.serve(c)
}

// authenticate finds out who the caller is, and what they may see.
func (c *call) authenticate() error {
	if c.s.opts.Authenticate == nil {
		return newError("AccessDenied", "")
	}
	if err := c.readForm(); err != nil {
		return err
	}
	caller, err := c.s.opts.Authenticate(c.r)
	if err != nil {
		return err
	}
	// Nobody is let in for a form but who signed its policy.
	if caller == nil || c.form != nil && (caller.Request == nil || !caller.Request.Form) {
		return newError("AccessDenied", "")
	}
	c.caller = caller
	if caller.Operator {
		c.view = c.s.g.Operator()
	} else {
		c.view = c.s.g.As(caller.Subject)
	}
	return nil
}

// readForm reads the fields of the form that the request holds, if it is one: they
// say who signed it.
func (c *call) readForm() error {
	boundary := formBoundary(c.r)
	if boundary == "" || c.target.level() != bucketLevel {
		return nil
	}
	if c.r.ContentLength < 0 {
		return newError("MissingContentLength", "")
	}
	f, err := readForm(&bodyReader{c.r.Body}, boundary)
	if err != nil {
		return err
	}
	c.form, c.r = f, sigv4.WithForm(c.r, f.signature())
	return nil
}

// bucket returns the bucket that the request names.
func (c *call) bucket() (store.Bucket, error) {
	return c.view.Bucket(c.ctx, c.target.bucket)
}

// body returns the content of the request, verified as far as it was signed.
func (c *call) body() io.Reader {
	if c.caller.Request != nil && c.caller.Request.Body != nil {
		return &bodyReader{c.caller.Request.Body}
	}
	return &bodyReader{c.r.Body}
}

// size returns the number of bytes in the content, or -1.
func (c *call) size() int64 {
	if c.caller.Request != nil {
		return c.caller.Request.Size
	}
	return c.r.ContentLength
}

// bodyReader marks the errors of its reader as the caller's.
type bodyReader struct{ r io.Reader }

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = &bodyError{err}
	}
	return n, err
}

// bodyError says that content could not be read from the caller.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "content: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// readBody returns the whole content, which may have at most limit bytes.
func (c *call) readBody(limit int64) ([]byte, error) {
	if c.size() > limit {
		return nil, newError("MaxMessageLengthExceeded", "")
	}
	b, err := io.ReadAll(io.LimitReader(c.body(), limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, newError("MaxMessageLengthExceeded", "")
	}
	return b, nil
}

// header sends the header of the response.
func (c *call) header(status int) {
	c.wrote = true
	c.w.WriteHeader(status)
}

// xml sends x as the response.
func (c *call) xml(status int, x *xmlWriter) error {
	h := c.w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", itoa(len(x.b)))
	c.header(status)
	c.w.Write(x.b) // an error means that the caller has gone
	return nil
}

// fail sends err as the response, unless one is on its way already.
func (c *call) fail(err error) {
	op := ""
	if c.op != nil {
		op = c.op.name
	}
	e := asError(err, op)
	if e.Status >= 500 && e.Code != "NotImplemented" {
		c.s.opts.OnError(c.ctx, c.id, err)
	}
	if c.wrote {
		return // the content ends early, and net/http closes the connection
	}
	if c.r.Method == http.MethodHead || e.Status == http.StatusNotModified {
		c.header(e.Status)
		return
	}
	c.xml(e.Status, c.errorXML(e))
}
