package diskstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
)

// body reads content extent by extent. It does not need the index any more.
type body struct {
	ctx            context.Context
	s              *Store
	offset, length int64
	extents        []extent // what is not read yet
	memory         [][]byte // of those among them that are in no file, in order
	at             location // where the first of them may be
	pinned         []blobID
	buf            *[]byte // what memory is in, if from the pool

	plain  *unsealer         // what opens the extents, if they are sealed
	file   io.ReadSeekCloser // of the first extent, if opened already
	closed bool
}

// open makes sure that the content stays: it pins the files, opens the first,
// and reads what is in the log or the index.
func (r *body) open() error {
	for _, x := range r.extents {
		if x.kind == file {
			r.pinned = append(r.pinned, x.id)
		}
	}
	r.s.pins.add(r.pinned...)
	for _, x := range r.extents {
		if x.kind == file {
			continue
		}
		if x.kind == logged {
			if err := r.logged(x); err != nil {
				return err
			}
			continue
		}
		err := r.s.view(blobKey(spaceContent, x.id), func(row []byte) error {
			if int64(len(row)) < x.offset+x.length {
				return fmt.Errorf("content %s: %w", x.id, errCorrupt)
			}
			row = row[x.offset : x.offset+x.length]
			var to []byte
			if r.buf == nil && len(row) <= bufferSizes[len(bufferSizes)-1] {
				r.buf = r.s.space.buffers.get(len(row))
				to = *r.buf
			} else {
				to = make([]byte, len(row))
			}
			copy(to, row)
			r.memory = append(r.memory, to)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(r.extents) > 0 && r.extents[0].kind == file {
		return r.next()
	}
	return nil
}

// logged reads an extent of a content in the log.
func (r *body) logged(x extent) error {
	content, buf, err := r.s.logged(x.id, r.at)
	if err != nil {
		return err
	}
	if int64(len(content)) < x.offset+x.length {
		r.s.space.buffers.put(buf)
		return fmt.Errorf("content %s: %w", x.id, errCorrupt)
	}
	content = content[x.offset : x.offset+x.length]
	if r.buf == nil {
		r.buf = buf
	} else {
		content = bytes.Clone(content)
		r.s.space.buffers.put(buf)
	}
	r.memory = append(r.memory, content)
	return nil
}

// next opens the file of the first extent, at its offset.
func (r *body) next() error {
	x := r.extents[0]
	f, err := r.s.disk.open(r.s.path(x.id))
	if err != nil {
		return err
	}
	if x.offset > 0 {
		if _, err := f.Seek(x.offset, io.SeekStart); err != nil {
			f.Close()
			return err
		}
	}
	r.file = f
	return nil
}

// advance notes that n bytes of the first extent were read.
func (r *body) advance(n int64) {
	x := &r.extents[0]
	x.offset += n
	x.length -= n
	if x.kind != file {
		r.memory[0] = r.memory[0][n:]
	}
	if x.length > 0 {
		return
	}
	if x.kind != file {
		r.memory = r.memory[1:]
	}
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
	r.extents = r.extents[1:]
}

func (r *body) usable() error {
	if r.closed {
		return fmt.Errorf("read of a body: %w", fs.ErrClosed)
	}
	return r.ctx.Err()
}

// Read implements [io.Reader].
func (r *body) Read(p []byte) (int, error) {
	if r.plain != nil {
		return r.plain.Read(p)
	}
	return r.readRaw(p)
}

// readRaw is Read of what the extents hold.
func (r *body) readRaw(p []byte) (int, error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	if len(r.extents) == 0 {
		return 0, io.EOF
	}
	x := r.extents[0]
	if x.kind != file {
		n := copy(p, r.memory[0])
		r.advance(int64(n))
		return n, nil
	}
	if r.file == nil {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Read(p[:min(int64(len(p)), x.length)])
	r.advance(int64(n))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteTo implements [io.WriterTo]. Files are handed to the ReadFrom of w, if it
// has one, as an *io.LimitedReader of an *os.File, which is what the standard
// library sends without copying.
func (r *body) WriteTo(w io.Writer) (written int64, err error) {
	if r.plain != nil {
		return r.plain.WriteTo(w)
	}
	if err := r.usable(); err != nil {
		return 0, err
	}
	for len(r.extents) > 0 && err == nil {
		if err := r.usable(); err != nil {
			return written, err
		}
		var n int64
		if x := r.extents[0]; x.kind != file {
			var m int
			m, err = w.Write(r.memory[0])
			if n = int64(m); err == nil && n < x.length {
				err = io.ErrShortWrite
			}
		} else {
			n, err = r.writeFile(w, x.length)
		}
		written += n
		r.advance(n)
	}
	return written, err
}

func (r *body) writeFile(w io.Writer, length int64) (n int64, err error) {
	if r.file == nil {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	limited := &io.LimitedReader{R: r.file, N: length}
	if to, ok := w.(io.ReaderFrom); ok {
		n, err = to.ReadFrom(limited)
	} else {
		buf := r.s.space.buffers.get(bufferSize)
		defer r.s.space.buffers.put(buf)
		n, err = io.CopyBuffer(w, limited, *buf)
	}
	if err == nil && n < length {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements [io.Closer].
func (r *body) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	if r.plain != nil {
		r.plain.end()
	}
	var err error
	if r.file != nil {
		err = r.file.Close()
	}
	r.s.pins.drop(r.s, r.pinned...)
	if r.buf != nil {
		r.s.space.buffers.put(r.buf)
	}
	r.buf, r.memory, r.extents = nil, nil, nil
	return err
}
