package cubby

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/cubby-storage/cubby/store"
)

// DownloadOptions are the options of Download and Open.
type DownloadOptions struct {
	Range *Range // nil is the whole object

	// Progress, if not nil, is called with the bytes that were read and their
	// total as content arrives.
	Progress func(done, total int64)
}

// Object is an object that is open for reading. It is an io.ReadCloser. If the
// connection breaks, Read goes on where it was; if the object is not the same any
// more, it fails with store.ErrPrecondition instead. The end of a whole object is
// io.EOF only if its checksum, where it has one of the whole, is right.
type Object struct {
	Info
	Offset, Length int64 // the bytes that Read yields

	ctx      context.Context
	client   *Client
	target   *target
	body     io.ReadCloser
	read     int64
	failures int // since there was anything to read
	hash     hash.Hash
	want     string // the sum of hash
	progress func(done, total int64)
	err      error
}

// Open opens the object at l. The caller closes it. When ctx ends, Read fails.
func (c *Client) Open(ctx context.Context, l Location, opts *DownloadOptions) (*Object, error) {
	return c.open(ctx, "open", l, opts)
}

func (c *Client) open(ctx context.Context, op string, l Location, opts *DownloadOptions) (*Object, error) {
	if opts == nil {
		opts = new(DownloadOptions)
	}
	t, err := c.object(ctx, l)
	if err != nil {
		return nil, c.fail(op, l.String(), err)
	}
	s, err := t.Get(ctx, t.path, &store.GetOptions{Range: opts.Range})
	if err != nil {
		return nil, c.fail(op, t.path, err)
	}
	o := &Object{
		Info: *t.info(&s.Info), Offset: s.Offset, Length: s.Length,
		ctx: ctx, client: c, target: t, body: s.Body, progress: opts.Progress,
	}
	if s.Length == s.Size && s.Checksums.Type != store.Composite {
		if a := s.Checksums.Any(); a != "" {
			o.hash, o.want = a.New(), s.Checksums.Get(a)
		}
	}
	return o, nil
}

// Download writes the content of the object at l to w. What w has got when the
// error is not nil may be less than all, or wrong.
func (c *Client) Download(ctx context.Context, l Location, w io.Writer, opts *DownloadOptions) (*Info, error) {
	const op = "download"
	o, err := c.open(ctx, op, l, opts)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if _, err := io.CopyBuffer(onlyWriter{w}, o, make([]byte, 256<<10)); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Op = op
		}
		return nil, c.fail(op, o.Path, err)
	}
	return &o.Info, nil
}

// onlyWriter hides ReadFrom, which may hold content back.
type onlyWriter struct{ io.Writer }

// Read implements io.Reader.
func (o *Object) Read(p []byte) (int, error) {
	for o.err == nil && len(p) > 0 {
		n, err := o.body.Read(p[:min(int64(len(p)), o.Length-o.read+1)])
		if int64(n) > o.Length-o.read {
			n, err = int(o.Length-o.read), fmt.Errorf("object is longer than it says: %w", store.ErrIncomplete)
		}
		if n > 0 {
			o.count(p[:n])
		}
		switch {
		case err == io.EOF && o.read == o.Length:
			o.err = o.finish()
		case err == io.EOF:
			o.err = o.resume(io.ErrUnexpectedEOF)
		case errors.Is(err, store.ErrIncomplete):
			o.err = o.fail(err)
		case err != nil && o.read == o.Length:
			// All is here, whatever went wrong behind it.
			o.err = o.finish()
		case err != nil:
			o.err = o.resume(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, o.err
}

func (o *Object) count(p []byte) {
	o.read += int64(len(p))
	o.failures = 0
	if o.hash != nil {
		o.hash.Write(p)
	}
	if o.progress != nil {
		o.progress(o.read, o.Length)
	}
}

func (o *Object) finish() error {
	if o.hash != nil && base64.StdEncoding.EncodeToString(o.hash.Sum(nil)) != o.want {
		return o.fail(store.ErrDigest)
	}
	return io.EOF
}

func (o *Object) fail(err error) error { return o.client.fail("read", o.Path, err) }

// resume opens the object again behind what was read. It returns nil if that
// could be done, else why not.
func (o *Object) resume(cause error) error {
	o.body.Close()
	for {
		o.failures++
		if o.ctx.Err() != nil {
			return o.fail(o.ctx.Err())
		}
		if o.failures >= o.client.cfg.Attempts || o.ETag == "" {
			return o.fail(cause)
		}
		if err := wait(o.ctx, o.failures); err != nil {
			return o.fail(err)
		}
		s, err := o.target.Get(o.ctx, o.Path, &store.GetOptions{
			Version:    o.Version,
			Range:      &Range{Offset: o.Offset + o.read, Length: o.Length - o.read},
			Conditions: store.Conditions{IfMatch: []string{o.ETag}},
		})
		switch {
		case err == nil && s.Offset == o.Offset+o.read:
			o.body = s.Body
			return nil
		case err == nil:
			s.Body.Close()
			cause = fmt.Errorf("bytes from %d instead of %d: %w", s.Offset, o.Offset+o.read, store.ErrRange)
		case errors.Is(err, store.ErrPrecondition), errors.Is(err, fs.ErrNotExist):
			return o.fail(fmt.Errorf("object has changed while it was read: %w", strip(err)))
		case errors.Is(err, fs.ErrPermission):
			return o.fail(err)
		default:
			cause = strip(err)
		}
	}
}

// Close ends the reading. It may be called at any time by who reads.
func (o *Object) Close() error {
	if o.err == nil {
		o.err = fs.ErrClosed
	}
	return o.body.Close()
}
