package diskstore

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// List implements [store.Bucket].
func (b *bucket) List(ctx context.Context, opts *store.ListOptions) (*store.Page, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("list", "", err)
	}
	defer b.s.running.Done()
	page, err := b.s.list(ctx, st, opts)
	return page, b.fail("list", "", err)
}

func (s *Store) list(ctx context.Context, st *state, opts *store.ListOptions) (*store.Page, error) {
	prefix := ""
	if opts != nil {
		prefix = opts.Prefix
	}
	it, err := s.db.NewIter(within(objectKey(st.id, prefix)))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	return store.ListCursor(&cursor{walk: walk{ctx: ctx, it: it}, st: st, at: objectKey(st.id, "")}, opts)
}

// walk is an iterator that ends with a context.
type walk struct {
	ctx context.Context
	it  *pebble.Iterator
	err error
}

// alive reports whether to go on.
func (w *walk) alive() bool {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	return w.err == nil
}

// Err implements [store.Cursor].
func (w *walk) Err() error {
	if w.err != nil {
		return w.err
	}
	return w.it.Error()
}

// cursor walks over the rows of the objects of a bucket.
type cursor struct {
	walk
	st  *state
	at  []byte // what the keys of the rows start with, and the last one sought
	key string // that the cursor stands on
}

const objectHead = 1 + bucketIDSize

// Seek implements [store.Cursor].
func (c *cursor) Seek(key string) bool {
	c.at = append(c.at[:objectHead], key...)
	return c.alive() && c.stand(c.it.SeekGE(c.at))
}

// Next implements [store.Cursor].
func (c *cursor) Next() bool { return c.alive() && c.stand(c.it.Next()) }

func (c *cursor) stand(ok bool) bool {
	if ok {
		c.key = string(c.it.Key()[objectHead:])
	}
	return ok
}

// Key implements [store.Cursor].
func (c *cursor) Key() string { return c.key }

// Info implements [store.Cursor].
func (c *cursor) Info() (store.Info, error) {
	row, err := c.it.ValueAndErr()
	if err != nil {
		return store.Info{}, err
	}
	info := store.Info{Key: c.key}
	e, err := readHead(row, &info)
	info.Version = c.st.versionOf(&e)
	return info, err
}

// ListUploads implements [store.Bucket].
func (b *bucket) ListUploads(ctx context.Context, opts *store.ListUploadsOptions) (*store.UploadsPage, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("list uploads", "", err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.ListUploadsOptions)
	}
	c, err := b.s.uploads(ctx, st, opts.Owner, opts.Prefix)
	if err != nil {
		return nil, b.fail("list uploads", "", err)
	}
	defer c.it.Close()
	page, err := store.ListUploads(c, opts)
	return page, b.fail("list uploads", "", err)
}

// uploadCursor walks over the rows of uploads, or over those for the lists of an
// owner.
type uploadCursor struct {
	walk
	at   []byte // as in cursor
	head int    // how much of it all keys of the rows start with
	key  string // that the cursor stands on
	id   uploadID
}

// uploads returns a cursor over the uploads of keys with the prefix, and of this
// owner unless that is "". The caller closes its iterator.
func (s *Store) uploads(ctx context.Context, st *state, owner, prefix string) (*uploadCursor, error) {
	at := uploadPrefix(st.id)
	if owner != "" {
		at = ownerPrefix(st.id, owner)
	}
	head := len(at)
	at = appendEscaped(at, prefix)
	it, err := s.db.NewIter(within(slices.Clone(at)))
	if err != nil {
		return nil, err
	}
	return &uploadCursor{walk: walk{ctx: ctx, it: it}, at: at, head: head}, nil
}

// Seek implements [store.UploadCursor].
func (c *uploadCursor) Seek(key string) bool {
	c.at = appendEscaped(c.at[:c.head], key)
	return c.alive() && c.stand(c.it.SeekGE(c.at))
}

// SeekAfter implements [store.UploadCursor].
func (c *uploadCursor) SeekAfter(key, id string) bool {
	raw, ok := parseUploadID(id)
	if !ok {
		c.err = fmt.Errorf("upload id %q: %w", id, fs.ErrInvalid)
		return false
	}
	c.at = append(appendUpload(c.at[:c.head], key, raw), 0)
	return c.alive() && c.stand(c.it.SeekGE(c.at))
}

// Next implements [store.UploadCursor].
func (c *uploadCursor) Next() bool { return c.alive() && c.stand(c.it.Next()) }

func (c *uploadCursor) stand(ok bool) bool {
	if !ok {
		return false
	}
	if c.key, c.id, ok = splitUpload(c.it.Key()[c.head:]); !ok {
		c.err = fmt.Errorf("key of an upload: %w", errCorrupt)
	}
	return ok
}

// Key implements [store.UploadCursor].
func (c *uploadCursor) Key() string { return c.key }

// Upload implements [store.UploadCursor].
func (c *uploadCursor) Upload() (store.Upload, error) {
	row, err := c.it.ValueAndErr()
	if err != nil {
		return store.Upload{}, err
	}
	u := store.Upload{Key: c.key, ID: c.id.String()}
	err = readUploadHead(row, &u)
	return u, err
}
