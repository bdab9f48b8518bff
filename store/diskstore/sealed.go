package diskstore

import (
	"context"
	"fmt"
	"io"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// Each blob of an object with an envelope is sealed on its own by the object's data
// key, as is each of an upload with one. Sizes in rows are those of the plain content.
// Every extent of them is a blob from its begin to its end, since a part that is
// copied into such an upload is sealed anew: so the size of the blob is known.

// want returns what a write that asks for sse gets.
func (s *Store) want(sse *store.SSE) *store.SSE {
	if s.opts.Encrypt && sse.IsZero() {
		return &store.SSE{Algorithm: crypt.AES256}
	}
	return sse
}

// envelope returns what a write that asks for sse is encrypted by: nil if it is plain.
func (s *Store) envelope(ctx context.Context, sse *store.SSE) (*crypt.Envelope, *crypt.DataKey, error) {
	return s.opts.Keys.New(ctx, s.want(sse))
}

// sealedField begins the field of a row that an envelope is in. It comes after all others.
const sealedField = 'e'

func (e *encoder) envelope(sealed *crypt.Envelope) {
	if sealed != nil {
		e.b = append(e.b, sealedField)
		e.string(string(sealed.Binary()))
	}
}

func (d *decoder) envelope() *crypt.Envelope {
	if d.s == "" || d.s[0] != sealedField {
		return nil
	}
	d.byte()
	sealed, err := crypt.ParseEnvelope(d.string())
	if sealed == nil || err != nil {
		d.fail()
	}
	return sealed
}

// unsealer reads the plain content of a body whose extents are sealed.
type unsealer struct {
	raw    *body
	key    *crypt.DataKey
	pieces []piece       // what is not begun yet
	open   *crypt.Opener // of the piece that is
}

// piece is what is wanted of a blob: length bytes from offset on of size.
type piece struct{ size, offset, length int64 }

// seal gives r the extents that hold its bytes sealed, and has it open them by key.
// With a nil key it yields them as they are.
func (r *body) seal(key *crypt.DataKey, parts [][]extent) error {
	u := &unsealer{raw: r, key: key}
	offset, length := r.offset, r.length
	for _, p := range parts {
		for _, x := range p {
			if x.offset != 0 {
				return fmt.Errorf("content %s is sealed and not whole: %w", x.id, errCorrupt)
			}
			skip := min(offset, x.length)
			take := min(length, x.length-skip)
			offset -= skip
			length -= take
			if take == 0 {
				continue
			}
			u.pieces = append(u.pieces, piece{x.length, skip, take})
			spans := crypt.Spans(x.length, skip, take)
			if spans[1].Offset == spans[0].Length { // one read, then
				spans[0].Length += spans[1].Length
				spans[1].Length = 0
			}
			for _, s := range spans {
				if s.Length > 0 {
					r.extents = append(r.extents, extent{x.ref, s.Offset, s.Length})
				}
			}
		}
	}
	if key != nil {
		r.plain = u
	}
	return nil
}

// rawSize returns how many bytes the extents of r have.
func (r *body) rawSize() (size int64) {
	for _, x := range r.extents {
		size += x.length
	}
	return size
}

// rawReader reads a body as it lies on the disk.
type rawReader struct{ *body }

func (r rawReader) Read(p []byte) (int, error) { return r.readRaw(p) }

// next begins the next piece. After the last one the error is io.EOF.
func (u *unsealer) next() error {
	if err := u.raw.usable(); err != nil {
		return err
	}
	if u.open != nil {
		return nil
	}
	if len(u.pieces) == 0 {
		return io.EOF
	}
	p := u.pieces[0]
	u.pieces = u.pieces[1:]
	u.open = u.key.Open(rawReader{u.raw}, p.size, p.offset, p.length)
	return nil
}

// end ends the piece that is open.
func (u *unsealer) end() {
	if u.open != nil {
		u.open.Close()
		u.open = nil
	}
}

func (u *unsealer) Read(p []byte) (int, error) {
	for {
		if err := u.next(); err != nil {
			return 0, err
		}
		n, err := u.open.Read(p)
		if err != io.EOF {
			return n, err
		}
		u.end()
	}
}

func (u *unsealer) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if err := u.next(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return written, err
		}
		n, err := u.open.WriteTo(w)
		written += n
		if err != nil {
			return written, err
		}
		u.end()
	}
}
