package diskstore

import (
	"bytes"
	"errors"
	"io/fs"
)

// What follows mends findings, each by a change that is applied and not settled.
// Rows may have changed since they were looked at, so they are looked at again,
// under the locks of those who change them. What nothing referred to at one moment
// nothing will refer to again, since references come with the content or are copied
// from one that is there.

// apply applies a change.
func (c *checker) apply(fill func(*change) error) (*change, error) {
	ch := c.s.begin()
	err := fill(ch)
	if err == nil {
		err = ch.write()
	}
	if err != nil {
		ch.close()
		return nil, err
	}
	return ch, nil
}

// recount makes the count of a blob what it should be, by as much as it was wrong.
func (c *checker) recount(r ref, b content, was []byte) (*change, error) {
	if c.uncertain {
		return nil, errUncertain
	}
	defer c.s.refs.lock(c.s.refs.blob(r.id))()
	return c.apply(func(ch *change) error {
		key := blobKey(spaceRefs, r.id)
		now, err := c.s.row(key)
		if errors.Is(err, fs.ErrNotExist) {
			if now, err = encodeCount(1), nil; r.kind == file {
				now = encodeCount(0)
			}
		}
		if err != nil {
			return err
		}
		n := b.refs
		if !bytes.Equal(now, was) {
			old, err := decodeCount(now)
			if err != nil {
				return err
			}
			n += old - b.counts
		}
		switch {
		case n < 1:
			// It is left over now, and the next check says so.
		case n > 1 || r.kind == file:
			ch.set(key, encodeCount(n))
		default:
			ch.delete(key)
		}
		return nil
	})
}

// without deletes a row.
func (c *checker) without(key []byte) (*change, error) {
	if c.uncertain {
		return nil, errUncertain
	}
	return c.apply(func(ch *change) error {
		ch.delete(key)
		return nil
	})
}

// discard deletes the rows of a blob that nothing refers to, and its file.
func (c *checker) discard(r ref) (*change, error) {
	if c.uncertain {
		return nil, errUncertain
	}
	defer c.s.refs.lock(c.s.refs.blob(r.id))()
	return c.apply(func(ch *change) error {
		ch.delete(blobKey(spaceRefs, r.id))
		switch r.kind {
		case inline:
			ch.delete(blobKey(spaceContent, r.id))
		case logged:
			return ch.free(r.id)
		case manifest:
			ch.delete(blobKey(spaceManifest, r.id))
		case file:
			ch.dead = append(ch.dead, r.id)
		}
		return nil
	})
}

// remove removes a file that has no row.
func (c *checker) remove(id blobID, path string, tmp bool) (*change, error) {
	if c.uncertain {
		return nil, errUncertain
	}
	left, err := c.leftOver(id, tmp)
	if err != nil {
		return nil, err
	}
	return c.apply(func(ch *change) error {
		if left && tmp {
			c.s.unlink(path)
		} else if left {
			ch.dead = append(ch.dead, id)
		}
		return nil
	})
}

// listAgain makes a row of the index of owners anew, as the upload has it now.
func (c *checker) listAgain(id uploadID, key []byte) (*change, error) {
	if c.uncertain {
		return nil, errUncertain
	}
	defer c.s.keys.lock(c.s.keys.upload(id))()
	return c.apply(func(ch *change) error {
		ch.delete(key)
		p, ok := c.uploads[id]
		if !ok {
			return nil
		}
		var u *upload
		err := c.s.view(uploadKey(p.bucket, p.key, id), func(row []byte) (err error) {
			u, err = decodeUpload(row)
			return err
		})
		if errors.Is(err, fs.ErrNotExist) || err == nil && u.Owner == "" {
			return nil
		}
		if err != nil {
			return err
		}
		head := newRow(64)
		head.upload(&u.Upload)
		ch.set(ownerKey(p.bucket, u.Owner, p.key, id), head.b)
		return nil
	})
}
