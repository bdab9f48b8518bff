package crypt

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// chunks returns how many chunks size bytes have.
func chunks(size int64) int64 { return (size + chunkSize - 1) / chunkSize }

// SealedSize returns how many bytes the sealed form of size bytes has.
func SealedSize(size int64) int64 {
	if size <= 0 {
		return 0
	}
	return headerSize + size + tagSize*chunks(size)
}

// PlainSize returns how many bytes were sealed. Where no content has that many
// bytes the error is ErrDamaged.
func PlainSize(sealed int64) (int64, error) {
	if sealed == 0 {
		return 0, nil
	}
	n := (sealed - headerSize + sealedSize - 1) / sealedSize
	size := sealed - headerSize - n*tagSize
	if size <= 0 || SealedSize(size) != sealed {
		return 0, fmt.Errorf("%d bytes: %w", sealed, ErrDamaged)
	}
	return size, nil
}

// Span is a piece of sealed content.
type Span struct{ Offset, Length int64 }

// Spans returns the two pieces of a sealed content that [DataKey.Open] reads for length
// bytes from offset on of the size bytes that were sealed. Both may be empty.
func Spans(size, offset, length int64) [2]Span {
	if length <= 0 {
		return [2]Span{}
	}
	first, after := offset/chunkSize, chunks(offset+length)
	start, end := headerSize+first*sealedSize, min(headerSize+after*sealedSize, SealedSize(size))
	return [2]Span{{0, headerSize}, {start, end - start}}
}

// buffers have room for what a chunk needs: as it is sealed and with a header, or as
// it is plain and with one byte that comes after it.
var buffers = sync.Pool{New: func() any { return new([headerSize + sealedSize]byte) }}

type buffer = *[headerSize + sealedSize]byte

func getBuffer() buffer { return buffers.Get().(buffer) }

// Sealer reads the sealed form of what it reads from another reader.
type Sealer struct {
	r      io.Reader
	aead   cipher.AEAD
	header header
	nonce  nonce
	n      int64  // chunks that are sealed
	in     buffer // what is read and not sealed
	have   int    // how much of it
	ended  error  // of r
	buf    buffer
	out    []byte // sealed and not read yet
	err    error
}

// Seal returns a reader of the sealed form of what it reads from r, up to io.EOF.
// The caller closes it, which leaves r alone. An error of r is returned as it is.
func (k *DataKey) Seal(r io.Reader) *Sealer {
	s := &Sealer{r: r, in: getBuffer(), buf: getBuffer()}
	copy(s.header[:], mark)
	rand.Read(s.header[len(mark):])
	s.aead, s.err = k.content(&s.header)
	return s
}

// Read implements [io.Reader].
func (s *Sealer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.out) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if len(p) >= len(s.buf) {
			return len(s.next(p[:0])), s.err
		}
		s.out = s.next(s.buf[:0])
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// next appends the next chunk to b, or nothing and sets err.
func (s *Sealer) next(b []byte) []byte {
	// One byte more than fits tells whether the chunk is the last one.
	for s.have <= chunkSize && s.ended == nil {
		var n int
		n, s.ended = s.r.Read(s.in[s.have : chunkSize+1])
		s.have += n
	}
	if s.ended != nil && s.ended != io.EOF || s.have == 0 {
		s.err = s.ended
		return b
	}
	if s.n == 0 {
		b = append(b, s.header[:]...)
	}
	last := s.have <= chunkSize
	size := min(s.have, chunkSize)
	b = s.aead.Seal(b, s.nonce.of(s.n, last), s.in[:size], s.header[:])
	s.n++
	if last {
		s.err = io.EOF
	}
	s.have = copy(s.in[:], s.in[size:s.have])
	return b
}

// Close gives back what s holds.
func (s *Sealer) Close() error {
	if s.in != nil {
		clear(s.in[:])
		buffers.Put(s.in)
		buffers.Put(s.buf)
		s.in, s.buf, s.out = nil, nil, nil
		s.err = fmt.Errorf("read of a sealer: %w", fs.ErrClosed)
	}
	return nil
}

// Opener reads what was sealed.
type Opener struct {
	key    *DataKey
	raw    io.Reader
	aead   cipher.AEAD // nil before the header was read
	header header
	nonce  nonce
	size   int64 // of the whole content
	n      int64 // next chunk
	skip   int64 // bytes of it before the range
	rest   int64 // bytes of the range that are not opened yet
	buf    buffer
	out    []byte // opened and not read yet
	err    error
}

// Open returns a reader of length bytes from offset on of a content of size bytes,
// which it has from raw: the [Spans] of the sealed content one after the other. The
// caller closes it, which leaves raw alone. It yields no byte that was not verified;
// the error is ErrDamaged where that fails, or io.ErrUnexpectedEOF.
func (k *DataKey) Open(raw io.Reader, size, offset, length int64) *Opener {
	o := &Opener{key: k, raw: raw, size: size, n: offset / chunkSize, skip: offset % chunkSize, rest: length}
	if offset < 0 || length < 0 || length > size-offset {
		o.err = fmt.Errorf("%d bytes from %d of %d: %w", length, offset, size, fs.ErrInvalid)
	}
	return o
}

// OpenAt is Open for sealed content that can be read anywhere.
func (k *DataKey) OpenAt(raw io.ReaderAt, size, offset, length int64) *Opener {
	s := Spans(size, offset, length)
	return k.Open(io.MultiReader(io.NewSectionReader(raw, s[0].Offset, s[0].Length), io.NewSectionReader(raw, s[1].Offset, s[1].Length)), size, offset, length)
}

// next opens the next chunk.
func (o *Opener) next() error {
	if o.err == nil && len(o.out) == 0 {
		o.err = o.load()
	}
	return o.err
}

func (o *Opener) load() error {
	if o.rest == 0 {
		return io.EOF
	}
	if o.aead == nil {
		if _, err := io.ReadFull(o.raw, o.header[:]); err != nil {
			return short(err)
		}
		if string(o.header[:len(mark)]) != mark {
			return ErrDamaged
		}
		aead, err := o.key.content(&o.header)
		if err != nil {
			return err
		}
		o.aead, o.buf = aead, getBuffer()
	}
	size := min(chunkSize, o.size-o.n*chunkSize)
	b := o.buf[:size+tagSize]
	if _, err := io.ReadFull(o.raw, b); err != nil {
		return short(err)
	}
	b, err := o.aead.Open(b[:0], o.nonce.of(o.n, o.n == chunks(o.size)-1), b, o.header[:])
	if err != nil {
		return fmt.Errorf("chunk %d: %w", o.n, ErrDamaged)
	}
	o.out = b[o.skip:min(size, o.skip+o.rest)]
	o.rest -= int64(len(o.out))
	o.n++
	o.skip = 0
	return nil
}

func short(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read implements [io.Reader].
func (o *Opener) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := o.next(); err != nil {
		return 0, err
	}
	n := copy(p, o.out)
	o.out = o.out[n:]
	return n, nil
}

// WriteTo implements [io.WriterTo].
func (o *Opener) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if err := o.next(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return written, err
		}
		n, err := w.Write(o.out)
		written += int64(n)
		o.out = o.out[n:]
		if err == nil && len(o.out) > 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
	}
}

// Close gives back what o holds.
func (o *Opener) Close() error {
	if o.buf != nil {
		clear(o.buf[:])
		buffers.Put(o.buf)
		o.buf, o.out = nil, nil
	}
	o.err = fmt.Errorf("read of an opener: %w", fs.ErrClosed)
	return nil
}
