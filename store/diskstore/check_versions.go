package diskstore

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

func (c *checker) walkVersions() error {
	var last []byte // the key of the row before, without the version
	var failed error
	err := c.walk(spaceVersion, func(key, row []byte) {
		bucketID, bucket, rest, ok := c.bucketOf(key)
		name, id, split := splitVersion(rest)
		at := Finding{Bucket: bucket, Key: name}
		o, err := decodeObject(name, row)
		if !ok || !split || err != nil || o.id != id {
			c.unreadable(at, "a version of an object")
			return
		}
		o.older = true
		c.report.Versions++
		c.object(at, key[:len(bucketID)], o)
		st := &state{id: bucketID}
		if o.isNull() {
			null, err := c.s.nullID(c.rowsAt, st, name)
			if err != nil || !bytes.Equal(null, o.id[:]) {
				c.versionIndex(at, st, "the null version cannot be found by its name")
			}
		}
		first := !bytes.Equal(last, key[:len(key)-len(id)])
		last = append(last[:0], key[:len(key)-len(id)]...)
		if !first {
			return
		}
		current, err := rowAt(c.rowsAt, name, objectKey(bucketID, name), false)
		switch {
		case err != nil:
			failed = err
		case current == nil && !o.marker:
			c.versionIndex(at, st, "the latest version is not the current object")
		case current != nil && slices.Compare(current.id[:], o.id[:]) <= 0:
			at.Kind = BadIndex
			c.found(at, "an older version comes after the current object")
		}
	})
	if failed != nil && err == nil && !c.uncertain {
		err = failed
	}
	return err
}

// walkNulls looks for rows that name a null version that is not there.
func (c *checker) walkNulls() error {
	return c.walk(spaceNull, func(key, row []byte) {
		id, bucket, rest, ok := c.bucketOf(key)
		if !ok {
			c.found(Finding{Kind: BadRow}, "a row of a null version called %x", key)
			return
		}
		name, st := string(rest), &state{id: id}
		if null, err := nullAt(c.rowsAt, st, name); err != nil || null == nil || !null.isNull() {
			c.versionIndex(Finding{Bucket: bucket, Key: name}, st, "a null version is named that is not there")
		}
	})
}

// versionIndex notes what makeIndex mends.
func (c *checker) versionIndex(at Finding, st *state, text string) {
	key := at.Key
	at.Kind = BadIndex
	at.mend = func() (*change, error) { return c.makeIndex(st, key) }
	c.found(at, "%s", text)
}

// makeIndex makes the row of the null version of a key anew, and the latest version
// the current object.
func (c *checker) makeIndex(st *state, key string) (*change, error) {
	if c.uncertain {
		return nil, errUncertain
	}
	defer c.s.keys.lock(c.s.keys.object(st, key))()
	return c.apply(func(ch *change) error {
		current, err := c.s.object(st, key)
		if err != nil {
			return err
		}
		ch.delete(nullKey(st.id, key))
		first := true
		return c.s.scan(appendVersions(versionsPrefix(st.id), key), func(_, row []byte) error {
			o, err := decodeObject(key, row)
			if err != nil {
				return err
			}
			o.older = true
			switch {
			case first && current == nil && !o.marker:
				ch.delete(versionKey(st.id, key, o.id))
				ch.set(objectKey(st.id, key), o.encode())
			case o.isNull():
				ch.set(nullKey(st.id, key), o.id[:])
			}
			first = false
			return nil
		})
	})
}

// nullID returns the row that says which of the older versions is the null version.
func (s *Store) nullID(r pebble.Reader, st *state, key string) (id []byte, err error) {
	err = viewAt(r, nullKey(st.id, key), func(row []byte) error {
		id = slices.Clone(row)
		return nil
	})
	return id, err
}
