package s3store

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/cubby-storage/cubby/store"
)

const (
	// bufferSize is how much of a reader of unknown size is read before a put
	// becomes an upload in parts of that size.
	bufferSize = 8 << 20
	// maxBuffer is the most of a part of unknown size that is held in memory: a
	// part cannot be divided further.
	maxBuffer = 64 << 20
)

// content is what a PUT sends.
type content struct {
	body  io.Reader // an io.Seeker if the request can be sent again
	start int64     // where it stands then
	size  int64     // of the content
	sums  store.Checksums
	md5   []byte
	// trailer is the algorithm of the checksum that follows the content, or "".
	trailer store.Algorithm
	wire    int64 // of the body, which is longer than the content if it has a trailer
	guard   *guard
	section *section // the body if it can seek
}

// section is what r held when it was measured. Where r has become shorter since,
// Read fails; what it has got behind is not read. Others than readers in memory
// may have a Close, which is for the caller to use.
type section struct {
	r        io.ReadSeeker
	pos, end int64
	err      error // that of r having become shorter
}

// Read implements io.Reader.
func (s *section) Read(p []byte) (int, error) {
	if s.pos >= s.end {
		return 0, io.EOF
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.end-s.pos)])
	s.pos += int64(n)
	if err == io.EOF && s.pos < s.end {
		s.err = fmt.Errorf("reader has become shorter by %d bytes: %w", s.end-s.pos, store.ErrIncomplete)
		err = s.err
	}
	return n, err
}

// Seek implements io.Seeker.
func (s *section) Seek(offset int64, whence int) (int64, error) {
	pos, err := s.r.Seek(offset, whence)
	if err == nil {
		s.pos = pos
	}
	return pos, err
}

// errUnknownSize says that the size of the reader is not known, and over bufferSize.
var errUnknownSize = errors.New("size is not known")

// newContent prepares to send what r holds. What can seek is read once for its
// checksum, unless opts have one; where they do not name an algorithm it is
// protect, or the MD5 if that is "". With errUnknownSize, the reader returned
// holds all that r held.
func newContent(r io.Reader, opts *store.PartOptions, protect store.Algorithm, buffer int64) (*content, io.Reader, error) {
	size, seekable := sizeOf(r)
	if seekable && opts.Trailer == nil {
		c, err := seekableContent(r.(io.ReadSeeker), size, opts, protect)
		return c, nil, err
	}
	if opts.Size > 0 {
		return streamContent(r, opts), nil, nil
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(r, buffer+1))
	if err != nil {
		return nil, nil, err
	}
	if n > buffer {
		return nil, io.MultiReader(&buf, r), errUnknownSize
	}
	given := *opts
	if given.Trailer != nil {
		late, err := given.Trailer()
		if err != nil {
			return nil, nil, err
		}
		for _, a := range store.Algorithms() {
			if v := late.Get(a); v != "" {
				given.Checksums.Set(a, v)
			}
		}
		given.Trailer = nil
	}
	c, err := seekableContent(bytes.NewReader(buf.Bytes()), n, &given, protect)
	return c, nil, err
}

// sizeOf returns how much r holds from where it stands, if it can tell. A size
// of 0 is not trusted: files of the system that are made when read have it too.
func sizeOf(r io.Reader) (int64, bool) {
	s, ok := r.(io.Seeker)
	if !ok {
		return 0, false
	}
	pos, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, false
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, false
	}
	if _, err = s.Seek(pos, io.SeekStart); err != nil || end <= pos {
		return 0, false
	}
	return end - pos, true
}

func seekableContent(r io.ReadSeeker, size int64, opts *store.PartOptions, protect store.Algorithm) (*content, error) {
	if opts.Size > 0 && opts.Size != size {
		return nil, fmt.Errorf("got %d bytes of %d: %w", size, opts.Size, store.ErrIncomplete)
	}
	if size > store.MaxPartSize {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed: %w", size, int64(store.MaxPartSize), store.ErrTooLarge)
	}
	pos, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	s := &section{r: r, pos: pos, end: pos + size}
	c := &content{body: s, section: s, start: pos, size: size, wire: size, sums: opts.Checksums, md5: opts.MD5}
	a, h := opts.Algorithm, hash.Hash(nil)
	switch {
	case a != "" && c.sums.Get(a) == "":
		h = a.New()
	case a != "" || opts.MD5 != nil || opts.Checksums.Any() != "":
		return c, nil
	case protect != "":
		a, h = protect, protect.New()
	default:
		h = md5.New()
	}
	if err := c.hash(h); err != nil {
		return nil, err
	}
	if a == "" {
		c.md5 = h.Sum(nil)
	} else {
		c.sums.Set(a, base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return c, nil
}

func streamContent(r io.Reader, opts *store.PartOptions) *content {
	c := &content{size: opts.Size, wire: opts.Size, sums: opts.Checksums, md5: opts.MD5}
	c.guard = &guard{size: opts.Size, given: opts.Checksums, trailer: opts.Trailer}
	if opts.Algorithm != "" && opts.Checksums.Get(opts.Algorithm) == "" {
		c.trailer = opts.Algorithm
		c.guard.algorithm = opts.Algorithm
		c.guard.hash = opts.Algorithm.New()
	}
	c.guard.r = bufio.NewReaderSize(r, 64<<10)
	c.body = c.guard
	if c.trailer != "" {
		c.body = newChunked(c.guard, c.trailer, c.size)
		c.wire = chunkedSize(c.trailer, c.size)
	}
	return c
}

// guard yields what r holds, but its last byte only when r has ended and turned
// out to be what was announced. Otherwise the request breaks off before it is
// whole, and the service stores nothing.
type guard struct {
	r         *bufio.Reader
	size, n   int64
	algorithm store.Algorithm
	hash      hash.Hash // nil if algorithm is ""
	given     store.Checksums
	trailer   func() (store.Checksums, error)
	sum       string // by algorithm, once all is read
	done      bool
	err       error
}

// Read implements io.Reader.
func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if g.r.Buffered() < 2 && !g.done {
		_, err := g.r.Peek(2)
		if err != nil {
			if err == io.EOF {
				err = g.finish()
			}
			if err != nil {
				g.err = err
				return 0, err
			}
			g.done = true
		}
	}
	free := g.r.Buffered()
	if !g.done {
		free--
	}
	if free == 0 {
		return 0, io.EOF
	}
	n, err := g.r.Read(p[:min(len(p), free)])
	if !g.done {
		g.count(p[:n])
		if g.n >= g.size {
			g.err = fmt.Errorf("got over %d bytes: %w", g.size, store.ErrIncomplete)
			return 0, g.err
		}
	}
	return n, err
}

func (g *guard) count(p []byte) {
	g.n += int64(len(p))
	if g.hash != nil {
		g.hash.Write(p)
	}
}

// finish checks what was read and the byte that is held back.
func (g *guard) finish() error {
	last, _ := g.r.Peek(g.r.Buffered())
	g.count(last)
	if g.n != g.size {
		return fmt.Errorf("got %d bytes of %d: %w", g.n, g.size, store.ErrIncomplete)
	}
	if g.hash != nil {
		g.sum = base64.StdEncoding.EncodeToString(g.hash.Sum(nil))
	}
	if g.trailer == nil {
		return nil
	}
	late, err := g.trailer()
	if err != nil {
		return err
	}
	for _, a := range store.Algorithms() {
		v := late.Get(a)
		switch {
		case v == "":
		case a == g.algorithm && v != g.sum, g.given.Get(a) != "" && v != g.given.Get(a):
			return fmt.Errorf("%s: %w", a, store.ErrDigest)
		case a != g.algorithm && g.given.Get(a) == "":
			return fmt.Errorf("%s was not announced: %w", a, store.ErrDigest)
		}
	}
	return nil
}

// failure returns the error that broke the content off, or else err.
func (c *content) failure(err error) error {
	switch {
	case err != nil && c.guard != nil && c.guard.err != nil:
		return c.guard.err
	case err != nil && c.section != nil && c.section.err != nil:
		return c.section.err
	}
	return err
}

// hash writes all of a content that can seek to h, and goes back to its start.
func (c *content) hash(h hash.Hash) error {
	if _, err := io.Copy(h, c.section); err != nil {
		return err
	}
	_, err := c.section.Seek(c.start, io.SeekStart)
	return err
}

// sumMD5 returns the MD5 of a content that can seek.
func (c *content) sumMD5() ([]byte, error) {
	if c.md5 != nil {
		return c.md5, nil
	}
	if _, err := c.section.Seek(c.start, io.SeekStart); err != nil {
		return nil, err
	}
	h := md5.New()
	err := c.hash(h)
	return h.Sum(nil), err
}

// checksums returns those that were sent.
func (c *content) checksums() store.Checksums {
	sums := c.sums
	if c.trailer != "" {
		sums.Set(c.trailer, c.guard.sum)
	}
	if sums.Any() != "" {
		sums.Type = store.FullObject
	}
	return sums
}

func (c *content) contentMD5() *string { return base64OrNil(c.md5) }

// customerKey returns the three headers of a customer's key, or nil.
func customerKey(s store.SSE) (algorithm, key, sum *string, err error) {
	if s.CustomerKey == nil {
		return nil, nil, nil, nil
	}
	if len(s.CustomerKey) != 32 {
		return nil, nil, nil, fmt.Errorf("customer key of %d bytes, not 32: %w", len(s.CustomerKey), fs.ErrInvalid)
	}
	m := md5.Sum(s.CustomerKey)
	a := "AES256"
	return &a, base64OrNil(s.CustomerKey), base64OrNil(m[:]), nil
}

func base64OrNil(b []byte) *string {
	if b == nil {
		return nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	return &s
}
