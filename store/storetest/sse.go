package storetest

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// encryption is one that a write can ask for.
type encryption struct {
	name string
	ask  store.SSE // of a write
	give store.SSE // of a read
}

func customerKey(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

func customer(name string, n byte) encryption {
	sse := store.SSE{CustomerKey: customerKey(n)}
	return encryption{name, sse, sse}
}

// encryptions are all there are, and none.
func encryptions() []encryption {
	return []encryption{
		{name: "plain"},
		{name: "AES256", ask: store.SSE{Algorithm: "AES256"}},
		{name: "KMS", ask: store.SSE{Algorithm: "aws:kms"}},
		customer("customer", 1),
	}
}

// described checks what is said of the encryption of an object or upload. A driver
// may encrypt what nobody asked to be.
func (c *encryption) described(e *env, got store.Encryption, what string) {
	e.Helper()
	want := store.Encryption{Algorithm: c.ask.Algorithm}
	switch {
	case c.ask.CustomerKey != nil:
		sum := md5.Sum(c.ask.CustomerKey)
		want = store.Encryption{Algorithm: "AES256", CustomerKeyMD5: base64.StdEncoding.EncodeToString(sum[:])}
	case c.ask.Algorithm == "aws:kms":
		if want.KMSKeyID = got.KMSKeyID; got.KMSKeyID == "" {
			e.Errorf("%s, %s: the key is not named", c.name, what)
		}
	case c.ask.IsZero() && got.Algorithm == "AES256":
		want.Algorithm = got.Algorithm
	}
	if got != want {
		e.Errorf("%s, %s: encryption is %+v, want %+v", c.name, what, got, want)
	}
}

func tagOf(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

// holdsBy checks an object that is encrypted by c: all of it, and some ranges.
func (c *encryption) holdsBy(e *env, key, want string) {
	e.Helper()
	info, err := e.b.Stat(e.Context(), key, &store.GetOptions{SSE: c.give})
	if err != nil {
		e.Errorf("%s: stat %s: %v", c.name, key, err)
		return
	}
	c.described(e, info.SSE, "stat")
	if info.Size != int64(len(want)) {
		e.Errorf("%s: size of %s is %d, want %d", c.name, key, info.Size, len(want))
	}
	o := e.openObject(key, &store.GetOptions{SSE: c.give})
	c.described(e, o.SSE, "get")
	if got := e.read(o); got != want {
		e.Errorf("%s: content of %s is %s, want %s", c.name, key, short(got), short(want))
	}
	size := int64(len(want))
	for _, x := range [][2]int64{{0, 1}, {size - 1, 1}, {-5, -1}, {size / 2, -1}, {64<<10 - 3, 7}, {64 << 10, 1}, {100, 128 << 10}} {
		r := store.Range{Offset: x[0], Length: x[1]}
		offset, length, err := r.Resolve(size)
		if err != nil {
			continue
		}
		if got := e.get(key, &store.GetOptions{SSE: c.give, Range: &r}); got != want[offset:offset+length] {
			e.Errorf("%s: range %+v of %d bytes is %s", c.name, r, size, short(got))
		}
	}
}

func testSSE(e *env) {
	if e.opts.NoSSE {
		return
	}
	for _, c := range encryptions() {
		for _, size := range []int{0, 1, 1000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300 << 10} {
			content := big()[:size]
			key := fmt.Sprint(c.name, size)
			opts := &store.PutOptions{SSE: c.ask, Attributes: attributes()}
			if a := e.algorithms(); len(a) > 0 {
				opts.Algorithm = a[0]
			}
			info := e.put(key, content, opts)
			c.described(e, info.SSE, "put")
			if info.Size != int64(size) || info.ETag != tagOf(content) {
				e.Errorf("%s: put of %d bytes says %d bytes, entity tag %s", c.name, size, info.Size, info.ETag)
			}
			if got, want := info.Checksums.Get(opts.Algorithm), sum(opts.Algorithm, content); opts.Algorithm != "" && got != want {
				e.Errorf("%s: put says checksum %s, want %s", c.name, got, want)
			}
			c.holdsBy(e, key, content)
			o := e.openObject(key, &store.GetOptions{SSE: c.give})
			e.hasAttributes(&o.Info, attributes())
			_, err := e.b.Get(e.Context(), key, &store.GetOptions{SSE: c.give, Range: &store.Range{Offset: int64(size), Length: 1}})
			e.fails(err, store.ErrRange, c.name+": get outside")
			e.put(key, "plain now", nil)
			e.holds(key, "plain now")
			if got := e.read(o); got != content {
				e.Errorf("%s: what was opened before is %s", c.name, short(got))
			}
		}
	}
}

func testSSEKeys(e *env) {
	if e.opts.NoSSE {
		return
	}
	ctx := e.Context()
	ours := customer("customer", 1)
	e.put("theirs", "secret", &store.PutOptions{SSE: ours.ask})
	e.put("empty", "", &store.PutOptions{SSE: ours.ask})
	e.put("plain", "content", nil)
	e.put("server", "content", &store.PutOptions{SSE: store.SSE{Algorithm: "AES256"}})
	for _, test := range []struct {
		key  string
		sse  store.SSE
		want error
	}{
		{"theirs", store.SSE{}, store.ErrKey},
		{"theirs", store.SSE{CustomerKey: customerKey(2)}, store.ErrWrongKey},
		{"theirs", store.SSE{CustomerKey: customerKey(1)[1:]}, fs.ErrInvalid},
		{"theirs", ours.give, nil},
		{"empty", store.SSE{}, store.ErrKey},
		{"empty", store.SSE{CustomerKey: customerKey(2)}, store.ErrWrongKey},
		{"plain", ours.give, store.ErrKey},
		{"plain", store.SSE{Algorithm: "AES256"}, fs.ErrInvalid},
		{"server", ours.give, store.ErrKey},
		{"server", store.SSE{}, nil},
	} {
		opts := &store.GetOptions{SSE: test.sse}
		_, err := e.b.Stat(ctx, test.key, opts)
		e.result(err, test.want, "stat "+test.key)
		o, err := e.b.Get(ctx, test.key, opts)
		e.result(err, test.want, "get "+test.key)
		if err == nil {
			o.Body.Close()
		}
		_, err = e.b.Copy(ctx, "copy", test.key, &store.CopyOptions{SourceKey: test.sse.CustomerKey})
		if test.sse.Algorithm == "" {
			e.result(err, test.want, "copy of "+test.key)
		}
	}
	_, err := e.b.Stat(ctx, "missing", &store.GetOptions{SSE: ours.give})
	e.fails(err, fs.ErrNotExist, "stat of a missing key with a customer's key")

	if !e.opts.NoTags {
		tags := map[string]string{"kind": "test"}
		e.succeeds(e.b.SetTags(ctx, "theirs", tags, nil), "set tags without the customer's key")
		got, err := e.b.Tags(ctx, "theirs", nil)
		if err != nil || !maps.Equal(got, tags) {
			e.Errorf("tags without the customer's key are %v, %v", got, err)
		}
		_, err = e.b.Tags(ctx, "theirs", &store.GetOptions{SSE: store.SSE{CustomerKey: customerKey(2)}})
		e.fails(err, store.ErrWrongKey, "tags with the wrong key")
	}
	ours.holdsBy(e, "theirs", "secret")

	// What cannot be asked for changes nothing.
	before := e.stat("plain")
	context := base64.StdEncoding.EncodeToString([]byte(`{"app":"photos"}`))
	for _, test := range []struct {
		sse  store.SSE
		want error
	}{
		{store.SSE{Algorithm: "DES"}, fs.ErrInvalid},
		{store.SSE{KMSKeyID: "default"}, fs.ErrInvalid},
		{store.SSE{Algorithm: "AES256", KMSKeyID: "default"}, fs.ErrInvalid},
		{store.SSE{Algorithm: "AES256", KMSContext: context}, fs.ErrInvalid},
		{store.SSE{Algorithm: "aws:kms", KMSContext: "%"}, fs.ErrInvalid},
		{store.SSE{Algorithm: "aws:kms", KMSKeyID: "no such key"}, store.ErrWrongKey},
		{store.SSE{Algorithm: "aws:kms", CustomerKey: customerKey(1)}, fs.ErrInvalid},
		{store.SSE{CustomerKey: customerKey(1)[1:]}, fs.ErrInvalid},
		{store.SSE{CustomerKey: []byte{}}, fs.ErrInvalid},
	} {
		what := fmt.Sprintf("%s, key %q and %d bytes", test.sse.Algorithm, test.sse.KMSKeyID, len(test.sse.CustomerKey))
		_, err := e.b.Put(ctx, "plain", strings.NewReader("other"), &store.PutOptions{SSE: test.sse})
		e.fails(err, test.want, "put with "+what)
		_, err = e.b.Copy(ctx, "plain", "server", &store.CopyOptions{Put: store.PutOptions{SSE: test.sse}})
		e.fails(err, test.want, "copy with "+what)
		if !e.opts.NoMultipart {
			_, err = e.b.CreateUpload(ctx, "plain", &store.PutOptions{SSE: test.sse})
			e.fails(err, test.want, "create upload with "+what)
		}
	}
	e.unchanged(before, "content")
	withContext := encryption{name: "KMS with a context", ask: store.SSE{Algorithm: "aws:kms", KMSContext: context}}
	e.put("context", "content", &store.PutOptions{SSE: withContext.ask})
	withContext.holdsBy(e, "context", "content")
	e.delete("theirs")
	e.missing("theirs")
}

// testSSECopy copies from each encryption to each.
func testSSECopy(e *env) {
	if e.opts.NoSSE {
		return
	}
	content := big()[:70<<10]
	other := e.another()
	targets := append(encryptions(), customer("another customer", 2))
	for _, from := range encryptions() {
		for _, to := range targets {
			for name, bucket := range map[string]store.Bucket{"own": nil, "another": other.b, "foreign": foreign{other.b}} {
				src := e
				if bucket != nil {
					src = other
				}
				tag := src.put("src", content, &store.PutOptions{SSE: from.ask, Attributes: attributes()}).ETag
				opts := &store.CopyOptions{From: bucket, SourceKey: from.give.CustomerKey, Put: store.PutOptions{SSE: to.ask}}
				info, err := e.b.Copy(e.Context(), "dst", "src", opts)
				if err != nil {
					e.Errorf("copy of %s from %s as %s: %v", name, from.name, to.name, err)
					continue
				}
				to.described(e, info.SSE, "copy from "+from.name)
				if info.ETag != tag {
					e.Errorf("copy of %s from %s as %s has entity tag %s, its source %s", name, from.name, to.name, info.ETag, tag)
				}
				src.delete("src")
				to.holdsBy(e, "dst", content)
			}
			// Onto itself.
			e.put("same", content, &store.PutOptions{SSE: from.ask})
			opts := &store.CopyOptions{Replace: true, SourceKey: from.give.CustomerKey, Put: store.PutOptions{SSE: to.ask}}
			_, err := e.b.Copy(e.Context(), "same", "same", opts)
			e.succeeds(err, "copy onto itself from "+from.name+" as "+to.name)
			to.holdsBy(e, "same", content)
		}
	}
	// The checksum of a copy is that of the plain content.
	for _, c := range encryptions() {
		for _, a := range e.algorithms() {
			e.put("src", content, &store.PutOptions{SSE: c.ask})
			info, err := e.b.Copy(e.Context(), "dst", "src", &store.CopyOptions{SourceKey: c.give.CustomerKey, Put: store.PutOptions{SSE: c.ask, Algorithm: a}})
			e.succeeds(err, c.name+": copy with "+string(a))
			if err == nil && info.Checksums.Get(a) != sum(a, content) {
				e.Errorf("%s: copy has %s %q", c.name, a, info.Checksums.Get(a))
			}
		}
	}
}

func testSSEMultipart(e *env) {
	if e.opts.NoSSE || e.opts.NoMultipart {
		return
	}
	ctx := e.Context()
	first, source := big(), big()[1:1+200<<10]
	e.put("plain", "content", nil)
	all := encryptions()
	sources := map[string]encryption{"plain": all[3], "AES256": all[0], "KMS": all[1], "customer": all[3]}
	for _, c := range all {
		e.sub(c.name, func(e *env) {
			u := e.createUpload("k", &store.PutOptions{SSE: c.ask, Attributes: attributes()})
			c.described(e, u.SSE, "create upload")
			put := func(n int, content string, sse store.SSE) (*store.Part, error) {
				return e.b.PutPart(ctx, u.Key, u.ID, n, strings.NewReader(content), &store.PartOptions{SSE: sse})
			}
			for _, test := range []struct {
				key  []byte
				want error
			}{{nil, store.ErrKey}, {customerKey(9), store.ErrWrongKey}} {
				want := test.want
				if c.give.CustomerKey == nil {
					if want = store.ErrKey; test.key == nil {
						continue
					}
				}
				_, err := put(1, "x", store.SSE{CustomerKey: test.key})
				e.fails(err, want, "put part with another key")
				_, err = e.b.CopyPart(ctx, u.Key, u.ID, 1, "plain", &store.CopyPartOptions{SSE: store.SSE{CustomerKey: test.key}})
				e.fails(err, want, "copy part with another key")
			}
			_, err := put(1, "x", store.SSE{Algorithm: "AES256"})
			e.fails(err, fs.ErrInvalid, "put part that asks for encryption")
			_, err = put(1, "replaced", c.give)
			e.succeeds(err, "put part 1")
			one, err := put(1, first, c.give)
			if err != nil {
				e.Fatalf("put part 1: %v", err)
			}
			if one.Size != int64(len(first)) || one.ETag != tagOf(first) {
				e.Errorf("part 1 has %d bytes, entity tag %s", one.Size, one.ETag)
			}
			from := sources[c.name]
			copied := source + first
			e.put("src", copied, &store.PutOptions{SSE: from.ask})
			opts := &store.CopyPartOptions{SSE: c.give, SourceKey: from.give.CustomerKey}
			p, err := e.b.CopyPart(ctx, u.Key, u.ID, 2, "src", opts)
			if err != nil {
				e.Fatalf("copy part from %s: %v", from.name, err)
			}
			if p.ETag != tagOf(copied) {
				e.Errorf("part copied from %s has entity tag %s", from.name, p.ETag)
			}
			opts.Range = &store.Range{Offset: 65000, Length: 100 << 10}
			last, err := e.b.CopyPart(ctx, u.Key, u.ID, 3, "src", opts)
			if err != nil {
				e.Fatalf("copy part of a range: %v", err)
			}
			if opts.SourceKey != nil {
				opts.SourceKey = nil
				_, err = e.b.CopyPart(ctx, u.Key, u.ID, 3, "src", opts)
				e.fails(err, store.ErrKey, "copy part without the key of its source")
			}
			ranged := copied[65000 : 65000+100<<10]
			parts, whole := []store.Part{*one, *p, *last}, first+copied+ranged
			info := e.complete(u, parts...)
			if c.give.CustomerKey == nil || !e.opts.LikeS3 {
				c.described(e, info.SSE, "complete upload")
			}
			if want, err := store.MultipartETag(parts); err != nil || info.ETag != want {
				e.Errorf("entity tag is %s, want %s, %v", info.ETag, want, err)
			}
			c.holdsBy(e, "k", whole)
			_, err = e.b.Copy(ctx, "copy", "k", &store.CopyOptions{SourceKey: c.give.CustomerKey, Put: store.PutOptions{SSE: c.ask}})
			e.succeeds(err, "copy")
			edge := int64(len(first))
			for _, key := range []string{"k", "copy"} {
				got := e.get(key, &store.GetOptions{SSE: c.give, Range: &store.Range{Offset: edge - 70000, Length: 200000}})
				if got != whole[edge-70000:edge+130000] {
					e.Errorf("range over the parts of %s is %s", key, short(got))
				}
			}
			if got := e.get("k", &store.GetOptions{SSE: c.give, Part: 3}); got != ranged {
				e.Errorf("part 3 is %s", short(got))
			}
			info, err = e.b.Stat(ctx, "k", &store.GetOptions{SSE: c.give, Part: 2})
			if err != nil || info.Size != int64(len(copied)) {
				e.Errorf("stat of part 2: %+v, %v", info, err)
			}
		})
	}
}
