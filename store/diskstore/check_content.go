package diskstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// checkTogether is how many rows are read at once while content is checked.
const checkTogether = 256

// reading is the reading of all content.
type reading struct {
	*checker
	opts  *CheckOptions
	began time.Time
	done  int64
	buf   []byte
}

// contents reads all content that is there by now, and compares it with its entity tags.
func (c *checker) contents(opts *CheckOptions) error {
	r := &reading{checker: c, opts: opts, began: time.Now(), buf: make([]byte, bufferSize)}
	if err := r.each(spaceObject, r.current); err != nil {
		return err
	}
	if err := r.each(spaceVersion, r.older); err != nil {
		return err
	}
	if err := r.each(spaceTrash, r.trashed); err != nil {
		return err
	}
	return r.each(spacePart, r.part)
}

// each calls f with the rows of a space that are there by now. It holds on to none
// of them for long, other than an iterator would.
func (r *reading) each(space byte, f func(key, row []byte) error) error {
	type pair struct{ key, row []byte }
	o := within([]byte{space})
	full := errors.New("enough")
	for {
		var rows []pair
		err := r.s.scanRange(o, func(key, row []byte) error {
			rows = append(rows, pair{append([]byte(nil), key...), append([]byte(nil), row...)})
			if len(rows) == checkTogether {
				return full
			}
			return nil
		})
		if err != nil && !errors.Is(err, full) {
			return err
		}
		for _, p := range rows {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			if r.told[string(p.key)] {
				continue
			}
			if err := f(p.key[1:], p.row); err != nil {
				return err
			}
		}
		if len(rows) < checkTogether {
			return nil
		}
		o.LowerBound = append(rows[len(rows)-1].key, 0)
	}
}

func (r *reading) current(key, row []byte) error {
	id, bucket, rest, ok := r.bucketOf(key)
	if !ok {
		return nil
	}
	return r.compare(id, bucket, string(rest), row)
}

func (r *reading) older(key, row []byte) error {
	id, bucket, rest, ok := r.bucketOf(key)
	name, _, split := splitVersion(rest)
	if !ok || !split {
		return nil
	}
	return r.compare(id, bucket, name, row)
}

// compare reads the content of an object or a version of one.
func (r *reading) compare(id bucketID, bucket, key string, row []byte) error {
	o, err := decodeObject(key, row)
	if err != nil || o.marker {
		return nil // what is bad was found, if it was so then
	}
	if text := r.locked(o.sealed); text != "" {
		r.found(Finding{Kind: NoKey, Bucket: bucket, Key: o.Key, Blob: o.content.id.String()}, "%s", text)
		return r.ctx.Err()
	}
	st := &state{id: id}
	st.setVersioning(store.Enabled) // it may be an older version by now
	text, err := r.compareObject(st, o)
	if err != nil || text == "" {
		return err
	}
	r.found(Finding{Kind: Damaged, Bucket: bucket, Key: o.Key, Blob: o.content.id.String()}, "%s", text)
	return nil
}

// compareObject returns what is wrong with the content of an object, if it still has it.
func (r *reading) compareObject(st *state, o *object) (text string, err error) {
	if o.sealed.Customer() {
		return r.measureObject(st, o)
	}
	body, err := r.s.openContent(r.ctx, st, o, nil)
	if errors.Is(err, errChanged) {
		return "", nil
	}
	if err != nil {
		return r.failed(err)
	}
	defer body.Close()
	if body.length != o.Size {
		return fmt.Sprintf("the content has %d bytes, the object %d", body.length, o.Size), nil
	}
	if o.Parts == 0 {
		return r.compareTag(body, o.Size, o.ETag)
	}
	lists, err := r.s.parts(o)
	if err != nil {
		// It was there a moment ago, so it went with the object.
		return "", r.ctx.Err()
	}
	parts := make([]store.Part, len(lists))
	for i, n := range sizes(lists) {
		parts[i].Number = i + 1
		parts[i].Size = n
		if parts[i].ETag, err = r.digest(body, n); err != nil {
			return r.failed(err)
		}
	}
	tag, err := store.MultipartETag(parts)
	if err == nil && tag != o.ETag {
		text = fmt.Sprintf("the content of %d parts has the entity tag %s, the object %s", len(parts), tag, o.ETag)
	}
	return text, err
}

func (r *reading) part(key, row []byte) error {
	if len(key) != uploadIDSize+2 {
		return nil
	}
	n := int(binary.BigEndian.Uint16(key[uploadIDSize:]))
	p, err := decodePart(n, row)
	if err != nil {
		return nil
	}
	u, ok := r.uploads[uploadID(key)]
	if !ok {
		return nil // it was begun meanwhile, so it is not known how it is sealed
	}
	body := &body{ctx: r.ctx, s: r.s, length: p.Size}
	defer body.Close()
	sealed := u.sealed
	if text := r.locked(sealed); text != "" {
		r.found(Finding{Kind: NoKey, Bucket: r.buckets[u.bucket], Key: u.key}, "part %d of an upload: %s", n, text)
		return r.ctx.Err()
	}
	if err = r.extents(body, p, sealed); err == nil {
		err = body.open()
	}
	// If the row is still the same now that they are pinned, the files stay.
	now, nerr := r.s.row(append([]byte{spacePart}, key...))
	if errors.Is(nerr, fs.ErrNotExist) || nerr == nil && string(now) != string(row) {
		return nil
	}
	text := ""
	switch {
	case err != nil:
		text, err = r.failed(err)
	case sealed.Customer():
		text, err = r.measure(body)
	default:
		text, err = r.compareTag(body, p.Size, p.ETag)
	}
	if err != nil || text == "" {
		return err
	}
	r.found(Finding{Kind: Damaged, Bucket: r.buckets[u.bucket], Key: u.key}, "part %d of an upload: %s", n, text)
	return nil
}

// failed makes words of an error in reading, unless it is that of the context.
func (r *reading) failed(err error) (string, error) {
	if r.ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return "", err
	}
	return "the content cannot be read: " + err.Error(), nil
}

func (r *reading) compareTag(body io.Reader, size int64, tag string) (text string, err error) {
	got, err := r.digest(body, size)
	if err != nil {
		return r.failed(err)
	}
	if got != tag {
		text = fmt.Sprintf("the content has the entity tag %s, and should have %s", got, tag)
	}
	return text, nil
}

// digest reads size bytes and returns their entity tag.
func (r *reading) digest(from io.Reader, size int64) (string, error) {
	d, err := store.NewDigester(io.LimitReader(from, size), nil)
	if err != nil {
		return "", err
	}
	for err == nil {
		var n int
		n, err = d.Read(r.buf)
		r.done += int64(n)
		if r.opts.Progress != nil && n > 0 {
			r.opts.Progress(r.done, max(r.report.Bytes, r.done))
		}
		if perr := r.pace(); perr != nil {
			return "", perr
		}
	}
	if err != io.EOF {
		return "", err
	}
	n, tag, _, err := d.Sum()
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return tag, err
}

// pace waits until as much may have been read as was.
func (r *reading) pace() error {
	if r.opts.Rate <= 0 {
		return nil
	}
	// In floating point, since bytes times nanoseconds is more than an int64 holds.
	due := time.Duration(float64(r.done) / float64(r.opts.Rate) * float64(time.Second))
	wait := due - time.Since(r.began)
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-t.C:
		return nil
	}
}
