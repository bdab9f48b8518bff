package diskstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store/crypt"
)

// checker compares the rows of one moment with one another and with the files.
type checker struct {
	ctx    context.Context
	s      *Store
	report Report

	rowsAt    *pebble.Snapshot
	uncertain bool // a row that may refer to content cannot be read
	buckets   map[bucketID]string
	manifests map[blobID]content // that are there
	blobs     map[ref]content    // that are referred to
	uploads   map[uploadID]place
	bad       map[ref]trouble // with content that is referred to
	told      map[string]bool // the rows of objects and parts about whose content there are findings
}

// content is what is known of a blob.
type content struct {
	size   int64 // at least, for a manifest in all
	refs   int64
	parts  int
	counts int64 // as the index has it, or -1
	there  bool
}

// trouble is what is wrong with content. The zero value is nothing.
type trouble struct {
	kind FindingKind
	text string
}

// place is where an upload is, and how its parts are sealed.
type place struct {
	bucket bucketID
	key    string
	sealed *crypt.Envelope
}

func newChecker(ctx context.Context, s *Store) *checker {
	return &checker{
		ctx: ctx, s: s,
		report:  Report{Findings: []Finding{}}, // never nil, which JSON has another word for
		buckets: make(map[bucketID]string), manifests: make(map[blobID]content), blobs: make(map[ref]content),
		uploads: make(map[uploadID]place), bad: make(map[ref]trouble), told: make(map[string]bool),
	}
}

// rows does all that needs no content.
func (c *checker) rows() (err error) {
	// In this order: what a row of the snapshot refers to has a file until the end.
	defer c.s.pins.hold(c.s)()
	defer c.s.journal.hold()()
	c.rowsAt = c.s.db.NewSnapshot()
	defer func() { err = errors.Join(err, c.rowsAt.Close()) }()
	for _, step := range []func() error{
		c.walkBuckets, c.walkManifests, c.walkObjects, c.walkVersions, c.walkNulls, c.walkTrash, c.walkUploads, c.walkOwners, c.walkParts, c.walkShared,
		c.walkContents, c.walkLogged, c.walkCounts, c.walkFiles, c.compare, c.name, c.walkOthers,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// walk calls f with the rows of a space.
func (c *checker) walk(space byte, f func(key, row []byte)) error {
	return scan(c.rowsAt, within([]byte{space}), func(key, row []byte) error {
		f(key[1:], row)
		return c.ctx.Err()
	})
}

// unreadable notes a row that may refer to something.
func (c *checker) unreadable(f Finding, what string) {
	c.uncertain = true
	f.Kind = BadRow
	c.found(f, "the row of %s cannot be read", what)
}

func (c *checker) walkBuckets() error {
	return c.walk(spaceBucket, func(key, row []byte) {
		st, err := decodeBucket(row)
		if err != nil {
			c.unreadable(Finding{Bucket: string(key)}, "a bucket")
			return
		}
		c.buckets[st.id] = string(key)
	})
}

func (c *checker) walkManifests() error {
	return c.walk(spaceManifest, func(key, row []byte) {
		if len(key) != len(blobID{}) {
			c.unreadable(Finding{}, fmt.Sprintf("a manifest called %x", key))
			return
		}
		id := blobID(key)
		parts, err := decodeManifest(row)
		if err != nil {
			c.unreadable(Finding{Blob: id.String()}, "a manifest")
			c.bad[ref{manifest, id}] = trouble{Damaged, "the list of its parts cannot be read"}
		}
		m := content{parts: len(parts), there: true}
		for _, n := range sizes(parts) {
			m.size += n
		}
		c.manifests[id] = m
	})
}

// bucketOf splits the key of a row that begins with a bucket.
func (c *checker) bucketOf(key []byte) (id bucketID, name string, rest []byte, ok bool) {
	if len(key) < bucketIDSize {
		return id, "", nil, false
	}
	id = bucketID(key[:bucketIDSize])
	return id, c.buckets[id], key[bucketIDSize:], true
}

func (c *checker) walkObjects() error {
	return c.walk(spaceObject, func(key, row []byte) {
		_, bucket, rest, ok := c.bucketOf(key)
		at := Finding{Bucket: bucket, Key: string(rest)}
		o, err := decodeObject(string(rest), row)
		if !ok || err != nil {
			c.unreadable(at, "an object")
			return
		}
		c.report.Objects++
		c.object(at, key[:bucketIDSize], o)
	})
}

// object notes what an object or a version of one refers to.
func (c *checker) object(at Finding, bucket []byte, o *object) {
	c.report.Bytes += o.Size
	if at.Bucket == "" {
		at.Kind = NoBucket
		c.found(at, "the object is in bucket %x, which is not there", bucket)
	}
	if o.content.kind == none {
		if o.Size != 0 {
			at.Kind = Damaged
			c.found(at, "the object has %d bytes and no content", o.Size)
		}
		return
	}
	size := o.Size
	if o.sealed != nil && o.content.kind != manifest {
		size = crypt.SealedSize(size)
	}
	c.refer(o.content, size)
	if m := c.manifests[o.content.id]; o.content.kind == manifest && m.there && c.bad[o.content].kind == "" &&
		(m.size != o.Size || m.parts != o.Parts) {
		at.Kind, at.Blob = Damaged, o.content.id.String()
		c.found(at, "the object has %d bytes in %d parts, its manifest %d in %d", o.Size, o.Parts, m.size, m.parts)
	}
}

// refer notes a reference to the first bytes of a blob, up to size.
func (c *checker) refer(r ref, size int64) {
	b, ok := c.blobs[r]
	if !ok {
		b.counts = -1
	}
	b.refs++
	b.size = max(b.size, size)
	c.blobs[r] = b
}

func (c *checker) walkUploads() error {
	return c.walk(spaceUpload, func(key, row []byte) {
		id, bucket, rest, ok := c.bucketOf(key)
		name, upload, split := splitUpload(rest)
		at := Finding{Bucket: bucket, Key: name}
		u, err := decodeUpload(row)
		if !ok || !split || err != nil {
			c.unreadable(at, "an upload")
		}
		if !ok || !split {
			return
		}
		there := place{bucket: id, key: name}
		if err == nil {
			there.sealed = u.sealed
		}
		c.uploads[upload] = there
		if bucket == "" {
			at.Kind = NoBucket
			c.found(at, "upload %s is in bucket %x, which is not there", upload, key[:bucketIDSize])
		}
	})
}

// walkOwners compares the index of owners with the uploads.
func (c *checker) walkOwners() error {
	want := make(map[string][]byte)
	err := c.walk(spaceUpload, func(key, row []byte) {
		id, _, rest, ok := c.bucketOf(key)
		name, upload, split := splitUpload(rest)
		u, err := decodeUpload(row)
		if ok && split && err == nil && u.Owner != "" {
			head := newRow(64)
			head.upload(&u.Upload)
			want[string(ownerKey(id, u.Owner, name, upload))] = head.b
		}
	})
	if err != nil {
		return err
	}
	lists := func(id uploadID, key []byte, text string) {
		at := Finding{Kind: BadIndex, mend: func() (*change, error) { return c.listAgain(id, key) }}
		if p, ok := c.uploads[id]; ok {
			at.Bucket, at.Key = c.buckets[p.bucket], p.key
		}
		c.found(at, "%s", text)
	}
	err = c.walk(spaceOwner, func(key, row []byte) {
		full := append([]byte{spaceOwner}, key...)
		head, ok := want[string(full)]
		delete(want, string(full))
		var id uploadID
		if len(key) >= bucketIDSize+uploadIDSize {
			id = uploadID(key[len(key)-uploadIDSize:])
		}
		switch {
		case !ok:
			lists(id, full, "a row for the lists of an owner belongs to no upload of theirs")
		case !slices.Equal(head, row):
			lists(id, full, "the lists of the owner show the upload as it is not")
		}
	})
	for key := range want {
		lists(uploadID([]byte(key[len(key)-uploadIDSize:])), []byte(key), "the upload is in no list of its owner")
	}
	return err
}

func (c *checker) walkParts() error {
	return c.walk(spacePart, func(key, row []byte) {
		at := Finding{}
		if len(key) != uploadIDSize+2 {
			c.unreadable(at, fmt.Sprintf("a part called %x", key))
			return
		}
		id, n := uploadID(key), int(binary.BigEndian.Uint16(key[uploadIDSize:]))
		u, ok := c.uploads[id]
		at.Bucket, at.Key = c.buckets[u.bucket], u.key
		if !ok {
			// Its content is not referred to by it.
			at.Kind = LeftOver
			full := append([]byte{spacePart}, key...)
			at.mend = func() (*change, error) { return c.without(full) }
			c.found(at, "part %d belongs to no upload", n)
			return
		}
		p, err := decodePart(n, row)
		if err != nil {
			c.unreadable(at, fmt.Sprintf("part %d", n))
			return
		}
		c.report.Parts++
		c.report.Bytes += p.Size
		var size int64
		for _, x := range p.extents {
			c.refer(x.ref, x.offset+x.length)
			size += x.length
		}
		if size != p.Size {
			at.Kind = Damaged
			c.found(at, "part %d has %d bytes, its content %d", n, p.Size, size)
		}
	})
}

// walkShared notes what the manifests refer to that are not left over.
func (c *checker) walkShared() error {
	return c.walk(spaceManifest, func(key, row []byte) {
		if len(key) != len(blobID{}) || c.blobs[ref{manifest, blobID(key)}].refs == 0 {
			return
		}
		parts, err := decodeManifest(row)
		if err != nil {
			return
		}
		for _, x := range slices.Concat(parts...) {
			c.refer(x.ref, x.offset+x.length)
		}
	})
}

// surplus notes a row or a file that nothing refers to.
func (c *checker) surplus(r ref, format string, args ...any) {
	c.found(Finding{Kind: LeftOver, Blob: r.id.String(), mend: func() (*change, error) { return c.discard(r) }}, format, args...)
}

func (c *checker) walkContents() error {
	for id := range c.manifests {
		r := ref{manifest, id}
		b, ok := c.blobs[r]
		if !ok {
			c.surplus(r, "no object has the manifest")
			continue
		}
		b.there = true
		c.blobs[r] = b
	}
	return c.walk(spaceContent, func(key, row []byte) {
		if len(key) != len(blobID{}) {
			c.found(Finding{Kind: BadRow}, "content called %x", key)
			return
		}
		r := ref{inline, blobID(key)}
		b, ok := c.blobs[r]
		if !ok {
			c.surplus(r, "nothing refers to %d bytes in the index", len(row))
			return
		}
		c.have(r, b, int64(len(row)))
	})
}

// walkLogged compares the rows of logged contents with the segments of the log.
func (c *checker) walkLogged() error {
	sizes, err := c.s.journal.sizes()
	if err != nil {
		return err
	}
	return c.walk(spaceLocation, func(key, row []byte) {
		if len(key) != len(blobID{}) {
			c.found(Finding{Kind: BadRow}, "the place of content called %x", key)
			return
		}
		r := ref{logged, blobID(key)}
		b, ok := c.blobs[r]
		at, err := decodeLocation(row)
		switch {
		case !ok:
			c.surplus(r, "nothing refers to %d bytes in the log", at.length)
			return
		case err != nil:
			c.bad[r] = trouble{Damaged, "the row that says where the content is cannot be read"}
			b.there = true
			c.blobs[r] = b
			return
		}
		size, ok := sizes[at.segment]
		if !ok {
			return // and compare finds that it is missing
		}
		c.have(r, b, min(int64(at.length), size-int64(at.offset)-headerSize))
	})
}

// have notes that a blob is there.
func (c *checker) have(r ref, b content, size int64) {
	if size < b.size {
		c.bad[r] = trouble{Damaged, fmt.Sprintf("%d bytes are there, %d should be", size, b.size)}
	}
	b.there = true
	c.blobs[r] = b
}

func (c *checker) walkCounts() error {
	return c.walk(spaceRefs, func(key, row []byte) {
		if len(key) != len(blobID{}) {
			c.found(Finding{Kind: BadRow}, "a count called %x", key)
			return
		}
		id := blobID(key)
		n, err := decodeCount(row)
		referred := false
		for k := inline; k < kinds; k++ {
			r := ref{k, id}
			b, ok := c.blobs[r]
			if !ok {
				continue
			}
			referred = true
			b.counts = n
			c.blobs[r] = b
			if err != nil || n != b.refs {
				c.wrongCount(r, b, row)
			}
		}
		if _, ok := c.manifests[id]; !ok && !referred {
			c.surplus(ref{file, id}, "nothing refers to content that is counted")
		}
	})
}

func (c *checker) wrongCount(r ref, b content, row []byte) {
	row = slices.Clone(row)
	at := Finding{Kind: BadCount, Blob: r.id.String(), mend: func() (*change, error) { return c.recount(r, b, row) }}
	if _, err := decodeCount(row); err != nil {
		c.found(at, "%d references, and a count of them that cannot be read", b.refs)
		return
	}
	c.found(at, "%d references, %d are counted", b.refs, b.counts)
}

// compare looks for what is not there and for counts that are not.
func (c *checker) compare() error {
	for r, b := range c.blobs {
		if !b.there {
			c.bad[r] = trouble{Missing, "the content is gone"}
			if r.kind == manifest {
				c.bad[r] = trouble{Missing, "the list of its parts is gone"}
			}
		}
		if b.counts < 0 && (b.refs != 1 || r.kind == file) {
			if b.counts = 0; r.kind != file {
				b.counts = 1
			}
			c.wrongCount(r, b, encodeCount(b.counts))
		}
	}
	return nil
}

// name finds out which objects and parts have content that is bad.
func (c *checker) name() error {
	if len(c.bad) == 0 {
		return nil
	}
	// What is bad about a manifest's content is so about the manifest.
	err := c.walk(spaceManifest, func(key, row []byte) {
		if parts, err := decodeManifest(row); err == nil && len(key) == len(blobID{}) {
			for _, x := range slices.Concat(parts...) {
				if bad := c.bad[x.ref]; bad.kind != "" {
					c.bad[ref{manifest, blobID(key)}] = bad
				}
			}
		}
	})
	if err != nil {
		return err
	}
	tell := func(row byte, key []byte, at Finding, r ref, what string) {
		at.Kind, at.Blob = c.bad[r].kind, r.id.String()
		c.told[string(row)+string(key)] = true
		c.found(at, "%s: %s", what, c.bad[r].text)
	}
	err = c.walk(spaceObject, func(key, row []byte) {
		_, bucket, rest, _ := c.bucketOf(key)
		if o, err := decodeObject("", row); err == nil && c.bad[o.content].kind != "" {
			tell(spaceObject, key, Finding{Bucket: bucket, Key: string(rest)}, o.content, "object")
		}
	})
	if err != nil {
		return err
	}
	err = c.walk(spaceVersion, func(key, row []byte) {
		_, bucket, rest, _ := c.bucketOf(key)
		name, id, _ := splitVersion(rest)
		if o, err := decodeObject("", row); err == nil && c.bad[o.content].kind != "" {
			tell(spaceVersion, key, Finding{Bucket: bucket, Key: name}, o.content, "version "+id.String())
		}
	})
	if err != nil {
		return err
	}
	if err := c.nameTrash(tell); err != nil {
		return err
	}
	return c.walk(spacePart, func(key, row []byte) {
		p, err := decodePart(1, row)
		if err != nil || len(key) != uploadIDSize+2 {
			return
		}
		u, ok := c.uploads[uploadID(key)]
		for _, x := range p.extents {
			if ok && c.bad[x.ref].kind != "" {
				n := binary.BigEndian.Uint16(key[uploadIDSize:])
				tell(spacePart, key, Finding{Bucket: c.buckets[u.bucket], Key: u.key}, x.ref, fmt.Sprintf("part %d of an upload", n))
				return
			}
		}
	})
}

// walkOthers looks for rows of no space, without reading those of the others.
func (c *checker) walkOthers() error {
	spaces := []byte{spaceFormat, spaceBucket, spaceContent, spaceLocation, spaceManifest, spaceNull, spaceObject, spacePart, spaceRefs, spaceTrash, spaceUpload, spaceVersion, spaceOwner}
	for i := range len(spaces) + 1 {
		o := new(pebble.IterOptions)
		if i > 0 {
			o.LowerBound = []byte{spaces[i-1] + 1}
		}
		if i < len(spaces) {
			o.UpperBound = []byte{spaces[i]}
		}
		err := scan(c.rowsAt, o, func(key, _ []byte) error {
			c.found(Finding{Kind: BadRow}, "a row called %x is none of the store's", key[:min(len(key), 64)])
			return c.ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
