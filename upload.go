package cubby

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/cubby-storage/cubby/store"
)

// UploadOptions are the options of Upload.
type UploadOptions struct {
	// Attributes of the object. Where ContentType is "" it is that of the
	// extension of the path, or else what the first bytes look like.
	Attributes
	Tags map[string]string

	// PreventOverwrite fails with fs.ErrExist if there is an object already.
	PreventOverwrite bool

	// Size is what the reader holds. It need not be given: what is 0 is found
	// out, or unknown. A reader that holds more or less fails the upload.
	Size int64

	// Checksum is the algorithm of the checksum that protects the content. "" is CRC32.
	Checksum store.Algorithm

	SSE store.SSE

	// Progress, if not nil, is called as content is sent, with the bytes that
	// were sent and their total, which is -1 as long as it is unknown. Calls come
	// one at a time; done does not descend, also where content is sent again.
	Progress func(done, total int64)

	PartSize int64 // 0 stands for that of the Config
	Parallel int   // 0 stands for that of the Config
}

// Upload stores what it reads from r, up to io.EOF, at l. If r or ctx fails, any
// object already there is left as it was.
//
// A reader that is an io.ReaderAt and io.Seeker is read from where it stands, by
// ReadAt, up to where it ended when Upload began. One that becomes shorter, or
// whose content changes while it is sent, fails the upload.
func (c *Client) Upload(ctx context.Context, l Location, r io.Reader, opts *UploadOptions) (*Info, error) {
	const op = "upload"
	t, err := c.object(ctx, l)
	if err != nil {
		return nil, c.fail(op, l.String(), err)
	}
	info, err := c.upload(ctx, t, r, opts)
	if err != nil {
		err = c.fail(op, t.path, err)
		if e, ok := err.(*Error); ok && opts != nil && opts.PreventOverwrite && errors.Is(err, fs.ErrExist) {
			e.Hint = "there is an object already: choose another path, or allow to overwrite it"
		}
		return nil, err
	}
	return t.info(info), nil
}

func (c *Client) upload(ctx context.Context, t *target, r io.Reader, opts *UploadOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(UploadOptions)
	}
	src, err := newSource(r, opts.Size)
	if err != nil {
		return nil, err
	}
	u := &upload{
		bucket: t.Bucket, path: t.path, opts: opts, src: src, algorithm: opts.Checksum,
		partSize: opts.PartSize, parallel: opts.Parallel,
		progress: &progress{total: src.size, report: opts.Progress},
	}
	if u.algorithm == "" {
		u.algorithm = store.CRC32
	}
	if u.algorithm.New() == nil {
		return nil, fmt.Errorf("unknown checksum algorithm %q: %w", u.algorithm, fs.ErrInvalid)
	}
	if u.partSize == 0 {
		u.partSize = c.cfg.PartSize
	}
	if u.partSize < store.MinPartSize || u.partSize > store.MaxPartSize {
		return nil, fmt.Errorf("part size %d is not in %d to %d: %w", u.partSize, store.MinPartSize, int64(store.MaxPartSize), fs.ErrInvalid)
	}
	if u.parallel < 1 {
		u.parallel = c.cfg.Parallel
	}
	if src.size > store.MaxSize {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed: %w", src.size, int64(store.MaxSize), store.ErrTooLarge)
	}
	for src.size > u.partSize*store.MaxParts {
		u.partSize *= 2
	}
	return u.run(ctx)
}

// source is what is uploaded.
type source struct {
	r    io.Reader
	at   io.ReaderAt // not nil if parts can be read where they are
	base int64       // where at starts
	size int64       // -1 if unknown
}

// newSource looks at what r can do. A file of size 0 may be one that the system
// makes when it is read, so it is read as a stream.
func newSource(r io.Reader, size int64) (*source, error) {
	s := &source{r: r, size: -1}
	if size > 0 {
		s.size = size
	}
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return s, err
		}
	}
	if b, ok := r.(interface{ Len() int }); ok && s.size < 0 {
		s.size = int64(b.Len())
	}
	at, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	})
	if !ok {
		return s, nil
	}
	pos, err := at.Seek(0, io.SeekCurrent)
	if err != nil {
		return s, nil
	}
	end, err := at.Seek(0, io.SeekEnd)
	if err != nil {
		return s, nil
	}
	if _, err := at.Seek(pos, io.SeekStart); err != nil {
		return nil, err
	}
	if end <= pos {
		return s, nil
	}
	if size > 0 && size != end-pos {
		return nil, fmt.Errorf("reader holds %d bytes of %d: %w", end-pos, size, store.ErrIncomplete)
	}
	s.at, s.base, s.size = at, pos, end-pos
	return s, nil
}

// upload is one Upload under way.
type upload struct {
	bucket    store.Bucket
	path      string
	opts      *UploadOptions
	src       *source
	algorithm store.Algorithm
	partSize  int64
	parallel  int
	progress  *progress
}

func (u *upload) run(ctx context.Context) (*store.Info, error) {
	if u.src.at != nil {
		head := make([]byte, min(512, u.src.size))
		if n, err := u.src.at.ReadAt(head, u.src.base); n < len(head) {
			if err == io.EOF {
				err = errShorter
			}
			return nil, err
		}
		put := u.putOptions(head)
		if u.src.size <= u.partSize {
			return u.single(ctx, io.NewSectionReader(u.src.at, u.src.base, u.src.size), u.src.size, put)
		}
		return u.multipart(ctx, u.sections(), put)
	}
	first, last, err := u.readChunk(nil, u.partSize)
	if err != nil {
		return nil, err
	}
	put := u.putOptions(first[:min(512, len(first))])
	if last {
		if u.src.size > 0 && u.src.size != int64(len(first)) {
			return nil, fmt.Errorf("reader holds %d bytes of %d: %w", len(first), u.src.size, store.ErrIncomplete)
		}
		u.progress.total = int64(len(first))
		return u.single(ctx, bytes.NewReader(first), int64(len(first)), put)
	}
	return u.multipart(ctx, u.chunks(first), put)
}

// putOptions are those of the object, whose content starts with head.
func (u *upload) putOptions(head []byte) *store.PutOptions {
	put := &store.PutOptions{Attributes: u.opts.Attributes, Tags: u.opts.Tags, SSE: u.opts.SSE, Algorithm: u.algorithm}
	if put.ContentType == "" {
		put.ContentType = contentType(u.path, head)
	}
	if u.opts.PreventOverwrite {
		put.IfNoneMatch = []string{"*"}
	}
	return put
}

// single puts content of that size whole.
func (u *upload) single(ctx context.Context, content io.ReadSeeker, size int64, put *store.PutOptions) (*store.Info, error) {
	sum, err := u.sum(content, size)
	if err != nil {
		return nil, err
	}
	put.Size = size
	put.Checksums.Set(u.algorithm, sum)
	return u.bucket.Put(ctx, u.path, u.progress.reader(content), put)
}

// errShorter is the cause where a file is truncated while it is uploaded.
var errShorter = fmt.Errorf("reader has become shorter: %w", store.ErrIncomplete)

// sum reads content of that size for its checksum, and goes back to its start.
func (u *upload) sum(content io.ReadSeeker, size int64) (string, error) {
	h := u.algorithm.New()
	n, err := io.Copy(h, content)
	if err == nil && n < size {
		err = errShorter
	}
	if err != nil {
		return "", err
	}
	_, err = content.Seek(0, io.SeekStart)
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), err
}

// readChunk reads up to n bytes of the stream into buf, or into a greater one.
// Last says that the stream has ended.
func (u *upload) readChunk(buf []byte, n int64) (_ []byte, last bool, err error) {
	buf = buf[:0]
	for int64(len(buf)) < n {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(max(2*int64(cap(buf)), 64<<10), n))
			if u.src.size > 0 {
				grown = make([]byte, len(buf), min(u.src.size, n))
			}
			if cap(grown) == len(buf) {
				grown = make([]byte, len(buf), n) // it holds more than announced
			}
			copy(grown, buf)
			buf = grown
		}
		m, err := u.src.r.Read(buf[len(buf):min(int64(cap(buf)), n)])
		buf = buf[:len(buf)+m]
		if err == io.EOF {
			return buf, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	// Whether this was all is seen only by asking for more.
	var next [1]byte
	m, err := io.ReadFull(u.src.r, next[:])
	if m == 0 && errors.Is(err, io.EOF) {
		return buf, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	u.src.r = io.MultiReader(bytes.NewReader(next[:]), u.src.r)
	return buf, false, nil
}

// progress reports how much was sent.
type progress struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64)
}

func (p *progress) add(n int64) {
	if p.report == nil || n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.report(p.done, p.total)
}

// reader counts what is read of r, from its start, for the first time.
func (p *progress) reader(r io.ReadSeeker) io.ReadSeeker {
	if p.report == nil {
		return r
	}
	return &countingReader{r: r, p: p}
}

type countingReader struct {
	r         io.ReadSeeker
	p         *progress
	pos, high int64
}

// Read implements io.Reader.
func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.pos += int64(n)
	if c.pos > c.high {
		c.p.add(c.pos - c.high)
		c.high = c.pos
	}
	return n, err
}

// Seek implements io.Seeker.
func (c *countingReader) Seek(offset int64, whence int) (int64, error) {
	pos, err := c.r.Seek(offset, whence)
	if err == nil {
		c.pos = pos
	}
	return pos, err
}
