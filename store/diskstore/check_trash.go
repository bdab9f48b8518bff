package diskstore

import "github.com/cubby-storage/cubby/store"

// trashRow reads a row of the trash, without its space.
func (c *checker) trashRow(key, row []byte) (at Finding, bucket bucketID, o *object, ok bool) {
	bucket, name, rest, ok := c.bucketOf(key)
	object, id, split := splitVersion(rest)
	at = Finding{Bucket: name, Key: object}
	o, err := decodeObject(object, row)
	if !ok || !split || err != nil {
		return at, bucket, nil, false
	}
	o.id, o.trash = id, true
	return at, bucket, o, true
}

func (c *checker) walkTrash() error {
	return c.walk(spaceTrash, func(key, row []byte) {
		at, bucket, o, ok := c.trashRow(key, row)
		if !ok {
			c.unreadable(at, "an object in the trash")
			return
		}
		c.report.Trash++
		c.object(at, bucket[:], o)
	})
}

// nameTrash tells of objects in the trash whose content is bad.
func (c *checker) nameTrash(tell func(space byte, key []byte, at Finding, r ref, what string)) error {
	return c.walk(spaceTrash, func(key, row []byte) {
		if at, _, o, ok := c.trashRow(key, row); ok && c.bad[o.content].kind != "" {
			tell(spaceTrash, key, at, o.content, "object in the trash")
		}
	})
}

// trashed reads the content of an object in the trash.
func (r *reading) trashed(key, row []byte) error {
	at, bucket, o, ok := r.trashRow(key, row)
	if !ok {
		return nil // what is bad was found, if it was so then
	}
	at.Kind, at.Blob = NoKey, o.content.id.String()
	text := r.locked(o.sealed)
	if text == "" {
		at.Kind = Damaged
		st := &state{id: bucket}
		st.setVersioning(store.Unversioned)
		var err error
		if text, err = r.compareObject(st, o); err != nil || text == "" {
			return err
		}
	}
	r.found(at, "object in the trash: %s", text)
	return r.ctx.Err()
}
