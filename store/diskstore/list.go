package diskstore

import (
	"context"

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
	return store.ListCursor(&cursor{ctx: ctx, it: it, at: objectKey(st.id, "")}, opts)
}

// cursor walks over the rows of the objects of a bucket.
type cursor struct {
	ctx context.Context
	it  *pebble.Iterator
	at  []byte // what the keys of the rows start with, and the last one sought
	key string // that the cursor stands on
	err error
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

func (c *cursor) alive() bool {
	if c.err == nil {
		c.err = c.ctx.Err()
	}
	return c.err == nil
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
	if d := readRow(row); !d.head(&info) {
		return store.Info{}, d.done()
	}
	return info, nil
}

// Err implements [store.Cursor].
func (c *cursor) Err() error {
	if c.err != nil {
		return c.err
	}
	return c.it.Error()
}
