package memstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// content is the content of an object: one chunk for each of its parts. Chunks
// never change, so objects may share them.
type content [][]byte

// slice returns the bytes of c from offset on. They are inside c.
func (c content) slice(offset, length int64) content {
	var s content
	for _, chunk := range c {
		if length == 0 {
			break
		}
		skip := min(offset, int64(len(chunk)))
		take := min(length, int64(len(chunk))-skip)
		if take > 0 {
			s = append(s, chunk[skip:skip+take])
		}
		offset -= skip
		length -= take
	}
	return s
}

func (c content) join() []byte { return bytes.Join(c, nil) }

// read reads r to its end as a part, and checks it. With a key it returns what is
// sealed by it.
func read(ctx context.Context, r io.Reader, opts *store.PartOptions, key *crypt.DataKey) ([]byte, *store.Part, error) {
	d, err := store.NewDigester(store.ContextReader(ctx, r), opts)
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(d)
	if err != nil {
		return nil, nil, err
	}
	size, etag, sums, err := d.Sum()
	if err != nil {
		return nil, nil, err
	}
	if key != nil {
		if data, err = seal(key, data); err != nil {
			return nil, nil, err
		}
	}
	return data, &store.Part{Size: size, ETag: etag, Checksums: sums, ModTime: time.Now()}, nil
}

// body reads content. It implements io.WriterTo.
type body struct {
	ctx    context.Context
	rest   content
	closed bool
}

func (b *body) usable() error {
	if b.closed {
		return fmt.Errorf("read of a body: %w", fs.ErrClosed)
	}
	return b.ctx.Err()
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.usable(); err != nil {
		return 0, err
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest[0])
	b.advance(n)
	return n, nil
}

func (b *body) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := b.usable(); err != nil {
			return total, err
		}
		if len(b.rest) == 0 {
			return total, nil
		}
		chunk := b.rest[0]
		n, err := w.Write(chunk)
		total += int64(n)
		b.advance(n)
		if err == nil && n < len(chunk) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

// advance moves on by n bytes of the first chunk. The rest is the body's own
// slice of slices, and so may change.
func (b *body) advance(n int) {
	if b.rest[0] = b.rest[0][n:]; len(b.rest[0]) == 0 {
		b.rest = b.rest[1:]
	}
}

func (b *body) Close() error {
	b.closed = true
	return nil
}
