package diskstore

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

func sampleObject() *object {
	o := &object{content: ref{file, blobID{1, 2, 3}}, tags: map[string]string{"kind": "test", "empty": ""}}
	o.Key, o.Size, o.ETag = "a/b", 1<<40, "0123456789abcdef0123456789abcdef-7"
	o.ModTime = time.Unix(1_700_000_000, 123456789).UTC()
	o.Checksums = store.Checksums{CRC32: "AAAAAA==", SHA256: "x", Type: store.Composite}
	o.Parts, o.TagCount = 7, 2
	o.Attributes = store.Attributes{ContentType: "text/plain", Expires: "never", User: map[string]string{"a": "b"}}
	return o
}

func sampleUpload() *upload {
	o := sampleObject()
	u := &upload{attrs: o.Attributes, tags: o.tags}
	u.Owner, u.Started, u.Algorithm, u.Type = "me", o.ModTime, store.CRC32, store.FullObject
	return u
}

func samplePart() *part {
	o := sampleObject()
	return &part{
		Part:    store.Part{Number: 3, Size: o.Size, ETag: o.ETag, ModTime: o.ModTime, Checksums: o.Checksums},
		extents: []extent{{ref{inline, blobID{9}}, 5, 7}, {ref{file, blobID{8}}, 0, 1 << 33}},
	}
}

func TestRows(t *testing.T) {
	o := sampleObject()
	if got, err := decodeObject(o.Key, o.encode()); err != nil || !reflect.DeepEqual(got, o) {
		t.Errorf("object is %+v, %v, want %+v", got, err, o)
	}
	u := sampleUpload()
	if got, err := decodeUpload(u.encode()); err != nil || !reflect.DeepEqual(got, u) {
		t.Errorf("upload is %+v, %v, want %+v", got, err, u)
	}
	p := samplePart()
	if got, err := decodePart(3, p.encode()); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("part is %+v, %v, want %+v", got, err, p)
	}
	m := [][]extent{p.extents, nil, p.extents[:1]}
	if got, err := decodeManifest(encodeManifest(m)); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("manifest is %+v, %v, want %+v", got, err, m)
	}
	for _, e := range []edition{{id: store.VersionID{1, 2}}, {id: store.VersionID{9}, null: true}, {null: true}, {id: store.VersionID{3}, marker: true}} {
		v := *o
		v.edition = e
		if got, err := decodeObject(v.Key, v.encode()); err != nil || !reflect.DeepEqual(got, &v) {
			t.Errorf("version is %+v, %v, want %+v", got, err, v)
		}
	}
	for _, v := range []store.Versioning{store.Unversioned, store.Enabled, store.Suspended} {
		st := &state{id: bucketID{1, 2}, created: o.ModTime}
		got, err := decodeBucket(encodeBucket(st, v))
		if err != nil || got.id != st.id || !got.created.Equal(o.ModTime) || got.versioning() != v {
			t.Errorf("bucket is %+v, %v, want it %q", got, err, v)
		}
	}
	if n, err := decodeCount(encodeCount(300)); err != nil || n != 300 {
		t.Errorf("count is %d, %v, want 300", n, err)
	}
}

// FuzzRows decodes any bytes as each kind of row. What is one is the same after
// it was encoded and decoded again.
func FuzzRows(f *testing.F) {
	p := samplePart()
	f.Add(sampleObject().encode())
	f.Add(sampleUpload().encode())
	f.Add(p.encode())
	f.Add(encodeManifest([][]extent{p.extents, nil}))
	f.Add(encodeBucket(&state{id: bucketID{1}, created: p.ModTime}, store.Enabled))
	f.Add((&object{edition: edition{id: store.VersionID{1}, marker: true}}).encode())
	f.Add([]byte{rowVersion})
	f.Fuzz(func(t *testing.T, row []byte) {
		same := func(a, b any, err error) {
			t.Helper()
			if err != nil || !reflect.DeepEqual(a, b) {
				t.Errorf("%+v became %+v, %v", a, b, err)
			}
		}
		if o, err := decodeObject("k", row); err == nil {
			again, err := decodeObject("k", o.encode())
			same(o, again, err)
		}
		if u, err := decodeUpload(row); err == nil {
			again, err := decodeUpload(u.encode())
			same(u, again, err)
		}
		if p, err := decodePart(1, row); err == nil {
			again, err := decodePart(1, p.encode())
			same(p, again, err)
		}
		if m, err := decodeManifest(row); err == nil {
			again, err := decodeManifest(encodeManifest(m))
			same(m, again, err)
		}
		if st, err := decodeBucket(row); err == nil {
			again, err := decodeBucket(encodeBucket(st, st.versioning()))
			same([]any{st.id, st.created, st.versioning()}, []any{again.id, again.created, again.versioning()}, err)
		}
		if n, err := decodeCount(row); err == nil {
			again, err := decodeCount(encodeCount(n))
			same(n, again, err)
		}
	})
}

// FuzzUploadKey holds that the keys of the rows of uploads are as the keys of
// the uploads are: in the same order, and what they were made of.
func FuzzUploadKey(f *testing.F) {
	f.Add("a", "a\x00b", []byte{})
	f.Add("a\x00", "a\x00\xff", []byte{0, 1})
	f.Add("", "\x00\x01", []byte("0123456789abcdef01234567"))
	f.Fuzz(func(t *testing.T, a, b string, tail []byte) {
		var bucket bucketID
		var id uploadID
		copy(id[:], tail)
		rowA, rowB := uploadKey(bucket, a, id), uploadKey(bucket, b, uploadID{})
		if want := strings.Compare(a, b); want != 0 && slices.Compare(rowA, rowB) != want {
			t.Errorf("the order of %q and %q is not %d", a, b, want)
		}
		head := uploadPrefix(bucket)
		key, gotID, ok := splitUpload(rowA[len(head):])
		if !ok || key != a || gotID != id {
			t.Errorf("%q, %v became %q, %v, %v", a, id, key, gotID, ok)
		}
		if prefix := appendEscaped(head, b); strings.HasPrefix(a, b) != bytes.HasPrefix(rowA, prefix) && !strings.HasSuffix(b, "\x00") {
			t.Errorf("prefix %q of %q is lost", b, a)
		}
		if others := ownerPrefix(bucket, a); a != b && bytes.HasPrefix(ownerKey(bucket, b, a, id), others) {
			t.Errorf("uploads of owner %q are among those of %q", b, a)
		}
		if key, id, ok = splitUpload(tail); ok {
			if again := appendUpload(nil, key, id); !bytes.Equal(again, tail) {
				t.Errorf("%q became %q", tail, again)
			}
		}
	})
}

// TestReadHead reads the start of rows that go on with much, or have much in it.
func TestReadHead(t *testing.T) {
	for _, size := range []int{0, 100, 180, 190, 200, 1000} {
		long := strings.Repeat("x", size)
		more := store.Attributes{User: map[string]string{"a": long}}
		now := time.Unix(1, 2).UTC()
		for _, u := range []upload{
			{Upload: store.Upload{Owner: long, Started: now}},
			{Upload: store.Upload{Owner: "me", Started: now, Type: store.FullObject}, attrs: more},
		} {
			row := u.encode()
			var got store.Upload
			if err := readUploadHead(row, &got); err != nil || got != u.Upload {
				t.Errorf("%d bytes: read %+v, %v, want %+v", size, got, err, u.Upload)
			}
			if err := readUploadHead(row[:5+len(u.Owner)/2], &got); !errors.Is(err, errCorrupt) {
				t.Errorf("%d bytes, cut off: %v, want errCorrupt", size, err)
			}
		}
		for _, info := range []store.Info{
			{Size: 7, ETag: long, ModTime: now},
			{Size: 7, ETag: "tag", ModTime: now, Checksums: store.Checksums{SHA256: "sum"}, Attributes: more},
		} {
			row := (&object{Info: info}).encode()
			var got store.Info
			if _, err := readHead(row, &got); err != nil || got.Size != 7 || got.ETag != info.ETag || got.Checksums != info.Checksums || got.User != nil {
				t.Errorf("%d bytes: read %+v, %v, want %+v without attributes", size, got, err, info)
			}
			if _, err := readHead(row[:5+len(info.ETag)/2], &got); !errors.Is(err, errCorrupt) {
				t.Errorf("%d bytes, cut off: %v, want errCorrupt", size, err)
			}
		}
	}
}

func TestBlobNames(t *testing.T) {
	s := &Store{dir: "d"}
	for n := range shards {
		id := s.newID()
		id.setShard(n)
		if id.shard() != n {
			t.Errorf("directory of %s is %d, want %d", id, id.shard(), n)
		}
		if got, ok := parseBlobID(id.String()); !ok || got != id {
			t.Errorf("%s became %s, %v", id, got, ok)
		}
	}
	for _, name := range []string{"", "x", strings.Repeat("g", 32), strings.Repeat("A", 32), strings.Repeat("a", 33)} {
		if _, ok := parseBlobID(name); ok {
			t.Errorf("%q is taken for a blob", name)
		}
	}
}
