package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// rowVersion is the first byte of every row with more than one field.
const rowVersion = 1

// errCorrupt is the cause where the index does not hold what it must.
var errCorrupt = errors.New("store is damaged")

// kind says where a blob is.
type kind byte

const (
	none     kind = iota // the empty content
	inline               // in the index
	file                 // in a file
	manifest             // in the blobs that a manifest lists
	logged               // in the log
	kinds
)

// ref refers to a blob. The zero value is the empty content.
type ref struct {
	kind kind
	id   blobID
}

// extent is a piece of a content that is no manifest.
type extent struct {
	ref
	offset, length int64
}

// object is the row of an object or a delete marker, without its key.
type object struct {
	store.Info
	edition
	tags    map[string]string
	content ref
	sealed  *crypt.Envelope // nil if the content is plain
	at      location        // where logged content was when the row was written
}

// upload is the row of an upload.
type upload struct {
	store.Upload
	id     uploadID
	attrs  store.Attributes
	tags   map[string]string
	sealed *crypt.Envelope // of all parts
}

// part is the row of a part.
type part struct {
	store.Part
	extents []extent
}

// encoder appends fields to a row.
type encoder struct{ b []byte }

func newRow(size int) *encoder {
	return &encoder{append(make([]byte, 0, size), rowVersion)}
}

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

func (e *encoder) time(t time.Time) { e.b = binary.AppendVarint(e.b, t.UnixNano()) }

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

// strings writes a mask of those that are not empty, and then these. There are
// at most 8.
func (e *encoder) strings(ss ...*string) {
	at := len(e.b)
	e.b = append(e.b, 0)
	for i, s := range ss {
		if *s != "" {
			e.b[at] |= 1 << i
			e.string(*s)
		}
	}
}

func (e *encoder) strmap(m map[string]string) {
	e.uint(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e.string(k)
		e.string(m[k])
	}
}

func (e *encoder) sums(c *store.Checksums) { e.strings(sumFields(c)...) }

func sumFields(c *store.Checksums) []*string {
	return []*string{&c.CRC32, &c.CRC32C, &c.CRC64NVME, &c.SHA1, &c.SHA256, (*string)(&c.Type)}
}

func (e *encoder) attributes(a *store.Attributes) {
	e.strings(attributeFields(a)...)
	e.strmap(a.User)
}

func attributeFields(a *store.Attributes) []*string {
	return []*string{&a.ContentType, &a.CacheControl, &a.ContentDisposition, &a.ContentEncoding, &a.ContentLanguage, &a.Expires}
}

func (e *encoder) ref(r ref) {
	e.b = append(e.b, byte(r.kind))
	if r.kind != none {
		e.b = append(e.b, r.id[:]...)
	}
}

func (e *encoder) extents(x []extent) {
	e.uint(uint64(len(x)))
	for _, x := range x {
		e.ref(x.ref)
		e.uint(uint64(x.offset))
		e.uint(uint64(x.length))
	}
}

// decoder reads the fields of a row. After a first bad field it yields zeros.
type decoder struct {
	s   string
	bad bool
}

// readRow copies the row, so that all strings in it share one allocation.
func readRow(row []byte) *decoder {
	d := &decoder{s: string(row)}
	if d.byte() != rowVersion {
		d.fail()
	}
	return d
}

// readObject is readRow for the row of an object.
func readObject(row []byte) (d decoder, e edition) {
	d.s = string(row)
	switch d.byte() {
	case rowVersion:
	case versionRow:
		e = d.edition()
	default:
		d.fail()
	}
	return d, e
}

// headSize is how much of a row nearly always holds what a list shows of it. What
// comes after that may be large, and is copied only if it must be.
const headSize = 192

// readHead reads what a list shows of an object.
func readHead(row []byte, info *store.Info) (edition, error) {
	if d, e := readObject(row[:min(len(row), headSize)]); d.head(info) {
		return e, nil
	}
	d, e := readObject(row)
	if !d.head(info) {
		return e, d.done()
	}
	return e, nil
}

// readUploadHead reads what a list shows of an upload.
func readUploadHead(row []byte, u *store.Upload) error {
	if d := readRow(row[:min(len(row), headSize)]); d.upload(u) {
		return nil
	}
	if d := readRow(row); !d.upload(u) {
		return d.done()
	}
	return nil
}

func (d *decoder) fail() { d.s, d.bad = "", true }

// done returns an error if a field was bad, or if any are left.
func (d *decoder) done() error {
	if d.bad || d.s != "" {
		return fmt.Errorf("row of the index: %w", errCorrupt)
	}
	return nil
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.fail()
		return 0
	}
	b := d.s[0]
	d.s = d.s[1:]
	return b
}

func (d *decoder) uint() uint64 {
	var n uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b := d.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	d.fail()
	return 0
}

// size reads a number that is not negative as an int64.
func (d *decoder) size() int64 {
	n := int64(d.uint())
	if n < 0 {
		d.fail()
		return 0
	}
	return n
}

// count reads how many things follow that take at least a byte each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.s)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) time() time.Time {
	n := d.uint()
	return time.Unix(0, int64(n>>1)^-int64(n&1)).UTC()
}

func (d *decoder) string() string {
	n := d.count()
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) strings(ss ...*string) {
	mask := d.byte()
	if mask>>len(ss) != 0 {
		d.fail()
	}
	for i, s := range ss {
		if mask&(1<<i) != 0 {
			*s = d.string()
		}
	}
}

func (d *decoder) strmap() map[string]string {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := d.string()
		m[k] = d.string()
	}
	return m
}

func (d *decoder) sums(c *store.Checksums) { d.strings(sumFields(c)...) }

func (d *decoder) attributes(a *store.Attributes) {
	d.strings(attributeFields(a)...)
	a.User = d.strmap()
}

func (d *decoder) ref() (r ref) {
	r.kind = kind(d.byte())
	if r.kind >= kinds {
		d.fail()
	}
	if r.kind != none {
		if len(d.s) < len(r.id) {
			d.fail()
			return ref{}
		}
		d.s = d.s[copy(r.id[:], d.s):]
	}
	return r
}

// lastLocation reads the location that the row ends with.
func (d *decoder) lastLocation() location {
	n := len(d.s) - locationSize
	if n < 0 {
		d.fail()
		return location{}
	}
	at := readLocation([]byte(d.s[n:]))
	d.s = d.s[:n]
	return at
}

func (d *decoder) extents() []extent {
	n := d.count()
	if n == 0 {
		return nil
	}
	x := make([]extent, n)
	for i := range x {
		x[i] = extent{d.ref(), d.size(), d.size()}
		if k := x[i].kind; k != inline && k != file && k != logged || x[i].offset+x[i].length < 0 {
			d.fail()
			return nil
		}
	}
	return x
}

func (o *object) encode() []byte {
	e := newRow(256)
	if o.edition != (edition{}) {
		e.b[0] = versionRow
		e.edition(&o.edition)
	}
	e.uint(uint64(o.Size))
	e.time(o.ModTime)
	e.string(o.ETag)
	e.sums(&o.Checksums)
	e.uint(uint64(o.Parts))
	e.ref(o.content)
	e.strmap(o.tags)
	e.attributes(&o.Attributes)
	e.envelope(o.sealed)
	if o.content.kind == logged {
		// At the end, so that it can be written when it is known.
		var at [locationSize]byte
		o.at.put(at[:])
		e.b = append(e.b, at[:]...)
	}
	return e.b
}

// head reads of the row of an object or part what a list shows. It is false if
// a field was bad.
func (d *decoder) head(info *store.Info) bool {
	info.Size = d.size()
	info.ModTime = d.time()
	info.ETag = d.string()
	d.sums(&info.Checksums)
	return !d.bad
}

func decodeObject(key string, row []byte) (*object, error) {
	d, e := readObject(row)
	o := &object{Info: store.Info{Key: key}, edition: e}
	d.head(&o.Info)
	parts := d.size()
	if parts > store.MaxParts {
		d.fail()
	}
	o.Parts = int(parts)
	o.content = d.ref()
	o.tags = d.strmap()
	o.TagCount = len(o.tags)
	d.attributes(&o.Attributes)
	if o.content.kind == logged {
		o.at = d.lastLocation()
	}
	o.sealed = d.envelope()
	o.SSE = o.sealed.Info()
	return o, d.done()
}

func (u *upload) encode() []byte {
	e := newRow(256)
	e.upload(&u.Upload)
	e.strmap(u.tags)
	e.attributes(&u.attrs)
	e.envelope(u.sealed)
	return e.b
}

// upload writes what a list shows of an upload, but for its key and id: the start
// of its row, and all of that for the lists of its owner.
func (e *encoder) upload(u *store.Upload) {
	e.time(u.Started)
	e.strings(&u.Owner, (*string)(&u.Algorithm), (*string)(&u.Type))
}

// upload is the reverse of that of the encoder. It is false if a field was bad.
func (d *decoder) upload(u *store.Upload) bool {
	u.Started = d.time()
	d.strings(&u.Owner, (*string)(&u.Algorithm), (*string)(&u.Type))
	return !d.bad
}

// decodeUpload reads the row of an upload. The caller sets its key and id.
func decodeUpload(row []byte) (*upload, error) {
	d := readRow(row)
	u := new(upload)
	d.upload(&u.Upload)
	u.tags = d.strmap()
	d.attributes(&u.attrs)
	u.sealed = d.envelope()
	u.SSE = u.sealed.Info()
	return u, d.done()
}

func (p *part) encode() []byte {
	e := newRow(128)
	e.uint(uint64(p.Size))
	e.time(p.ModTime)
	e.string(p.ETag)
	e.sums(&p.Checksums)
	e.extents(p.extents)
	return e.b
}

func decodePart(number int, row []byte) (*part, error) {
	d, info := readRow(row), new(store.Info)
	d.head(info)
	p := &part{Part: store.Part{Number: number, Size: info.Size, ETag: info.ETag, ModTime: info.ModTime, Checksums: info.Checksums}}
	p.extents = d.extents()
	return p, d.done()
}

// encodeManifest writes the extents of the parts of an object.
func encodeManifest(parts [][]extent) []byte {
	e := newRow(32 * len(parts))
	e.uint(uint64(len(parts)))
	for _, x := range parts {
		e.extents(x)
	}
	return e.b
}

func decodeManifest(row []byte) ([][]extent, error) {
	d := readRow(row)
	parts := make([][]extent, d.count())
	for i := range parts {
		parts[i] = d.extents()
	}
	return parts, d.done()
}

func encodeBucket(st *state, v store.Versioning) []byte {
	e := newRow(32)
	e.b = append(e.b, st.id[:]...)
	e.time(st.created)
	if v != store.Unversioned {
		e.b[0] = versionRow
		e.string(string(v))
	}
	return e.b
}

// decodeBucket reads the row of a bucket. The caller sets its name.
func decodeBucket(row []byte) (*state, error) {
	d, st := &decoder{s: string(row)}, new(state)
	version := d.byte()
	for i := range st.id {
		st.id[i] = d.byte()
	}
	st.created = d.time()
	switch version {
	case rowVersion:
	case versionRow:
		v := store.Versioning(d.string())
		if v != store.Enabled && v != store.Suspended {
			d.fail()
		}
		st.setVersioning(v)
	default:
		d.fail()
	}
	return st, d.done()
}

func encodeCount(n int64) []byte { return binary.AppendUvarint([]byte{rowVersion}, uint64(n)) }

func decodeCount(row []byte) (int64, error) {
	d := readRow(row)
	n := d.size()
	return n, d.done()
}
