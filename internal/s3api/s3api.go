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
// # Settings of buckets
//
// Operators may give a bucket CORS rules of its own; until then those of the server
// hold for it. Other settings that clients read get the answer of S3 for what nobody
// has set, and cannot be set.
//
// # Keys of customers
//
// A key for encryption (SSE-C) is taken only from a header, and over a connection that
// nobody else can read. It goes to the store and nowhere else.
//
// # Lists
//
// Text that XML cannot hold, such as control characters in a key, shows as U+FFFD
// unless the caller asks for encoding-type=url, which shows every key exactly.
package s3api

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"

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
	// CORS says which web pages may use the server; nil means all. It holds for
	// buckets that have no rules of their own.
	CORS *CORS
	// Documents keeps the settings that operators give a bucket; nil means that they
	// can give none.
	Documents Documents
	// PlainKeys lets customers' keys (SSE-C) come over connections that others might
	// read. Otherwise they need TLS, or a caller on the same machine.
	PlainKeys bool
	// OnError, if not nil, is told of what failed for no fault of the caller.
	OnError func(ctx context.Context, requestID string, err error)
	// Explain, if not nil, says why c was denied something. The text goes to c, in
	// the XML of the error, and nowhere else; "" is none. It tells of rules and of
	// what there is, so that it must be "" for all who may not know these.
	Explain func(c *Caller, d *gate.Denied) string
}

// server is the handler.
type server struct {
	g      *gate.Gate
	opts   Options
	cors   *cors
	shared sync.Map // the *parsedCORS of buckets that have rules of their own
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
	c := &call{s: s, w: w, r: r, h: w.Header()}
	c.Context = r.Context()
	c.ctx = c
	ids := requestIDs()
	c.id = ids[:idSize]
	c.put("Server", s.opts.ServerName)
	c.put("X-Amz-Request-Id", c.id)
	c.put("X-Amz-Id-2", ids[idSize:])
	c.protect()
	var err error
	c.target, err = s.target(r)
	switch c.cors = s.corsOf(c.target.bucket); {
	case r.Method == http.MethodOptions && c.cors != nil:
		err = c.cors.preflight(w, r)
	case r.Method == http.MethodOptions:
		s.cors.allow(c.h, r)
		err = s.cors.preflight(w, r)
	default:
		if c.cors != nil {
			c.cors.allow(c.h, r)
		} else {
			s.cors.allow(c.h, r)
		}
		if err == nil {
			err = c.serve()
		}
	}
	if err != nil {
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

// idSize is the length of a request's id.
const idSize = 16

// requestIDs returns a fresh id, and one of twice its size behind it. They have to be
// unique, not secret.
func requestIDs() string {
	const digits = "0123456789ABCDEF"
	var b [3 * idSize]byte
	var n uint64
	for i := range b {
		if i%idSize == 0 {
			n = rand.Uint64()
		}
		b[i] = digits[n&15]
		n >>= 4
	}
	return string(b[:])
}

// call is one request on its way through the handler. It is the context of all that
// is done for the request, too: that takes no memory of its own.
type call struct {
	context.Context
	s      *server
	w      http.ResponseWriter
	r      *http.Request
	h      http.Header // of the response
	ctx    context.Context
	id     string
	target target
	cors   *corsRules // those of the bucket, or nil
	op     *operation
	form   *form // what the request holds if it is a browser form
	query  url.Values
	amz    map[string]string // the x-amz- parameters of the query, by lower-case name
	caller *Caller
	view   *gate.View
	wrote  bool // the header of the response is sent

	values [16]string // of h
	n      int        // how many of them are used
}

// Value returns the call for the key of calls, so that [RequestID] finds it.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// put sets a header of the response, whose name is in canonical form. The value is in
// the call: to give each header memory of its own costs as much as all else with them.
func (c *call) put(name, value string) {
	if c.n == len(c.values) {
		c.h[name] = []string{value}
		return
	}
	c.values[c.n] = value
	c.n++
	c.h[name] = c.values[c.n-1 : c.n : c.n]
}

// some is put unless value is "".
func (c *call) some(name, value string) {
	if value != "" {
		c.put(name, value)
	}
}

// serve takes the request through all stages.
func (c *call) serve() error {
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
	c.put("Content-Type", "application/xml")
	c.put("Content-Length", itoa(len(x.b)))
	corked := c.cork()
	c.header(status)
	// An error means that the caller has gone. HTTP/2 may still hold on to x then.
	if _, err := c.w.Write(x.b); err == nil {
		x.free()
	}
	if corked {
		_ = c.uncork()
	}
	return nil
}

// fail sends err as the response, unless one is on its way already.
func (c *call) fail(err error) {
	op := ""
	if c.op != nil {
		op = c.op.name
	}
	if errors.Is(err, store.ErrWrongKey) && !c.asksFor(ownKey) && !c.asksFor(sourceKey) {
		err = &Error{Code: "KMS.NotFoundException", Err: err}
	}
	e := asError(err, op)
	if e.Status >= 500 && e.Code != "NotImplemented" {
		c.s.opts.OnError(c.ctx, c.id, err)
	}
	if c.wrote {
		return // the content ends early, and net/http closes the connection
	}
	c.tellMarker(err)
	if e.Status == http.StatusServiceUnavailable {
		c.w.Header().Set("Retry-After", "1")
	}
	if c.r.Method == http.MethodHead || e.Status == http.StatusNotModified {
		c.header(e.Status)
		return
	}
	c.xml(e.Status, c.errorXML(e))
}
