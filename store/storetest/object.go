package storetest

import (
	"io"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// attributes are those of the tests: one of each.
func attributes() store.Attributes {
	return store.Attributes{
		ContentType:        "text/plain; charset=utf-8",
		CacheControl:       "max-age=3600, private",
		ContentDisposition: `attachment; filename="a b.txt"`,
		ContentEncoding:    "gzip",
		ContentLanguage:    "de, en",
		Expires:            "Wed, 21 Oct 2037 07:28:00 GMT",
		User:               map[string]string{"colour": "blue", "x-y.z": "two words", "empty": ""},
	}
}

// hasAttributes checks all attributes of an object.
func (e *env) hasAttributes(info *store.Info, want store.Attributes) {
	e.Helper()
	for _, f := range []struct{ name, got, want string }{
		{"ContentType", info.ContentType, want.ContentType},
		{"CacheControl", info.CacheControl, want.CacheControl},
		{"ContentDisposition", info.ContentDisposition, want.ContentDisposition},
		{"ContentEncoding", info.ContentEncoding, want.ContentEncoding},
		{"ContentLanguage", info.ContentLanguage, want.ContentLanguage},
		{"Expires", info.Expires, want.Expires},
	} {
		if f.got != f.want {
			e.Errorf("%s of %s is %q, want %q", f.name, short(info.Key), f.got, f.want)
		}
	}
	if !maps.Equal(info.User, want.User) {
		e.Errorf("user metadata of %s is %v, want %v", short(info.Key), info.User, want.User)
	}
}

func testRoundTrip(e *env) {
	opts := &store.PutOptions{Attributes: attributes()}
	if !e.opts.NoTags {
		opts.Tags = map[string]string{"kind": "test", "leer": ""}
	}
	put := e.put("dir/file.txt", "hello, world", opts)
	opts.User["colour"] = "red" // the driver keeps no hold on what it was given
	stat := e.stat("dir/file.txt")
	got := e.openObject("dir/file.txt", nil)
	if content := e.read(got); content != "hello, world" {
		e.Errorf("content is %q, want %q", content, "hello, world")
	}
	for name, info := range map[string]*store.Info{"Put": put, "Stat": stat, "Get": &got.Info} {
		if info.Key != "dir/file.txt" || info.Size != 12 {
			e.Errorf("%s says key %q and size %d, want dir/file.txt and 12", name, info.Key, info.Size)
		}
		if info.ETag == "" || info.ETag != stat.ETag || strings.Contains(info.ETag, `"`) {
			e.Errorf("%s says entity tag %q, want one without quotation marks and that of Stat, %q", name, info.ETag, stat.ETag)
		}
	}
	for name, info := range map[string]*store.Info{"Stat": stat, "Get": &got.Info} {
		if info.ModTime.IsZero() || !info.ModTime.Equal(stat.ModTime) {
			e.Errorf("%s says time %v, want that of Stat, %v", name, info.ModTime, stat.ModTime)
		}
		if info.Parts != 0 {
			e.Errorf("%s says %d parts, want 0 for an object put whole", name, info.Parts)
		}
		if info.TagCount != len(opts.Tags) {
			e.Errorf("%s says %d tags, want %d", name, info.TagCount, len(opts.Tags))
		}
		e.hasAttributes(info, attributes())
	}
	if got.Offset != 0 || got.Length != 12 {
		e.Errorf("Get yields bytes %d+%d, want 0+12", got.Offset, got.Length)
	}
	if stat.User != nil {
		stat.User["colour"] = "green"
		e.hasAttributes(e.stat("dir/file.txt"), attributes())
	}
}

func testOverwrite(e *env) {
	e.put("k", "one", &store.PutOptions{Attributes: attributes()})
	first := e.stat("k")
	e.put("k", "second", nil)
	e.holds("k", "second")
	info := e.stat("k")
	e.hasAttributes(info, store.Attributes{ContentType: info.ContentType})
	if ct := info.ContentType; ct != "" && ct != "application/octet-stream" && ct != "binary/octet-stream" {
		e.Errorf("ContentType is %q, want none", ct)
	}
	if info.ETag == first.ETag {
		e.Errorf("entity tag is still %q after other content was put", info.ETag)
	}
	if info.ModTime.Before(first.ModTime) {
		e.Errorf("time went back from %v to %v", first.ModTime, info.ModTime)
	}
}

func testMissing(e *env) {
	e.missing("nothing")
	_, err := e.b.Get(e.Context(), "nothing", nil)
	e.fails(err, fs.ErrNotExist, "get of a missing key")
	e.put("nothing/below", "x", nil)
	e.missing("nothing")
	e.missing("nothing/")
	e.missing("nothing/below/")
}

// trickyKeys are keys that a driver might confuse.
func trickyKeys() []string {
	return []string{
		" ", "%2F", "%", "+", "-", ".hidden", "...", "/", "//", "/a", "A", "B", "a", "a ", "a b", "a!", "a!b",
		"a-b", "a.", "a...b", "a./b", "a/", "a//b", "a/b", "a/b/", "a/b/c", "a0", "aa", "ab", "a\\b", "a\nb", "a\tb",
		"b/%2F/c", "b/%41", "b/A", "b?x=y#z", "con", "nul.txt", "x:y*z|\"<>", "z~",
		"é", "e\u0301", "zürich/straße", "ß", "日本/語", "\ufffd", "\uffff", "😀/🎉", "𝒳", "&amp;", "<key>", "'", "\u200b",
		strings.Repeat("k", store.MaxKey), strings.Repeat("d/", store.MaxKey/2), strings.Repeat("é", store.MaxKey/2),
		strings.Repeat("k", 255) + "/x", strings.Repeat("k", 256),
	}
}

func testKeys(e *env) {
	keys := trickyKeys()
	for _, k := range keys {
		e.put(k, "content of "+k, nil)
	}
	for _, k := range keys {
		e.holds(k, "content of "+k)
	}
	e.wantKeys(keys)
	for _, k := range keys {
		e.delete(k)
		e.missing(k)
	}
	e.wantKeys(nil)
}

// testDotKeys has keys that a path cleaner would change.
func testDotKeys(e *env) {
	if e.opts.NoDotKeys {
		for _, k := range []string{".", "..", "a/.", "a/../b", "a/./b", "./b"} {
			_, err := e.b.Put(e.Context(), k, strings.NewReader("x"), nil)
			e.fails(err, fs.ErrInvalid, "put "+short(k))
			_, err = e.b.Get(e.Context(), k, nil)
			e.fails(err, fs.ErrInvalid, "get "+short(k))
		}
		e.wantKeys(nil)
		return
	}
	keys := []string{".", "..", "a", "a/.", "a/..", "a/../b", "a/./b", "a/b", "b", "../b", "./b"}
	for _, k := range keys {
		e.put(k, "content of "+k, nil)
	}
	for _, k := range keys {
		e.holds(k, "content of "+k)
	}
	e.wantKeys(keys)
}

func testBadKeys(e *env) {
	for key, want := range map[string]error{
		"":                                    fs.ErrInvalid,
		"a\xffb":                              fs.ErrInvalid,
		strings.Repeat("k", store.MaxKey+1):   store.ErrTooLarge,
		strings.Repeat("é", store.MaxKey/2+1): store.ErrTooLarge,
	} {
		ctx := e.Context()
		_, err := e.b.Put(ctx, key, strings.NewReader("x"), nil)
		e.fails(err, want, "put "+short(key))
		_, err = e.b.Stat(ctx, key, nil)
		e.fails(err, want, "stat "+short(key))
		_, err = e.b.Get(ctx, key, nil)
		e.fails(err, want, "get "+short(key))
		e.fails(e.remove(ctx, key, nil), want, "delete "+short(key))
		_, err = e.b.Copy(ctx, key, "a", nil)
		e.fails(err, want, "copy to "+short(key))
		_, err = e.b.Copy(ctx, "a", key, nil)
		e.fails(err, want, "copy of "+short(key))
		if !e.opts.NoMultipart {
			_, err = e.b.CreateUpload(ctx, key, nil)
			e.fails(err, want, "create upload of "+short(key))
		}
	}
	e.wantKeys(nil)
}

func testSizes(e *env) {
	sizes := []int{0, 1, 2, 511, 512, 4095, 4096, 4097, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128<<10 + 3}
	if !e.opts.Slow {
		sizes = append(sizes, 1<<20-1, 1<<20, 1<<20+1, 3<<20+7)
	}
	for _, n := range sizes {
		key := "size/" + strconv.Itoa(n)
		want := big()[:n]
		e.put(key, want, nil)
		e.holds(key, want)
		e.put(key, want, &store.PutOptions{Size: int64(n)})
		e.holds(key, want)
	}
}

// testRanges reads all kinds of ranges of a small, a large and an empty object.
func testRanges(e *env) {
	for _, size := range []int64{0, 1, 10, 64<<10 + 11} {
		key := "size/" + strconv.Itoa(int(size))
		content := big()[:size]
		e.put(key, content, nil)
		mid := size / 2
		for _, bounds := range [][2]int64{
			{0, -1},
			{0, size},
			{0, 1},
			{0, size + 5},
			{mid, -1},
			{mid, 1},
			{mid, size},
			{size - 1, 1},
			{size - 1, 5},
			{size, 1},
			{size, -1},
			{size + 5, 1},
			{0, 0},
			{mid, 0},
			{-1, -1},
			{-5, -1},
			{-5, 2},
			{-size, -1},
			{-size - 3, -1},
			{1, 1 << 62},
			{1 << 62, 1},
		} {
			r := store.Range{Offset: bounds[0], Length: bounds[1]}
			what := "range " + strconv.Itoa(int(r.Offset)) + "+" + strconv.Itoa(int(r.Length)) + " of " + key
			off, n, wantErr := r.Resolve(size)
			o, err := e.b.Get(e.Context(), key, &store.GetOptions{Range: &r})
			if wantErr != nil {
				e.fails(err, store.ErrRange, what)
				continue
			}
			if err != nil {
				e.Errorf("%s: %v", what, err)
				continue
			}
			if o.Offset != off || o.Length != n || o.Size != size {
				e.Errorf("%s: bytes %d+%d of %d, want %d+%d of %d", what, o.Offset, o.Length, o.Size, off, n, size)
			}
			if got := e.read(o); got != content[off:off+n] {
				e.Errorf("%s: content is %s, want %s", what, short(got), short(content[off:off+n]))
			}
		}
	}
}

// testWriterTo reads bodies by WriteTo, if they have it, whole, in ranges, and
// after a Read.
func testWriterTo(e *env) {
	for _, size := range []int{0, 100, 200 << 10} {
		key := "size/" + strconv.Itoa(size)
		content := big()[:size]
		e.put(key, content, nil)
		ranges := []*store.Range{nil}
		if size > 0 {
			ranges = append(ranges, &store.Range{Offset: 7, Length: 50}, &store.Range{Offset: -9, Length: -1})
		}
		for _, r := range ranges {
			for _, before := range []int{0, 3} {
				o := e.openObject(key, &store.GetOptions{Range: r})
				want := content[o.Offset : o.Offset+o.Length]
				if _, ok := o.Body.(io.WriterTo); !ok {
					e.read(o)
					continue
				}
				var got strings.Builder
				n, err := io.CopyN(&got, o.Body, int64(min(before, len(want))))
				e.succeeds(err, "read before WriteTo")
				m, err := o.Body.(io.WriterTo).WriteTo(&got)
				e.succeeds(err, "WriteTo")
				if n+m != o.Length || got.String() != want {
					e.Errorf("%s, range %v: Read %d and WriteTo %d bytes gave %s, want %s", key, r, n, m, short(got.String()), short(want))
				}
				if n, err := o.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					e.Errorf("%s: Read after WriteTo returns %d, %v, want 0, EOF", key, n, err)
				}
				o.Body.Close()
			}
		}
	}
}

// testReadConditions asks Stat, Get and Tags with every condition.
func testReadConditions(e *env) {
	e.put("k", "content", nil)
	info := e.stat("k")
	sec := info.ModTime.Truncate(time.Second)
	before, after := sec.Add(-2*time.Second), sec.Add(2*time.Second)
	type C = store.Conditions
	for _, test := range []struct {
		name string
		cond C
		want error
	}{
		{"IfMatch", C{IfMatch: []string{info.ETag}}, nil},
		{"IfMatchOneOf", C{IfMatch: []string{"other", info.ETag}}, nil},
		{"IfMatchAny", C{IfMatch: []string{"*"}}, nil},
		{"IfMatchOther", C{IfMatch: []string{"other"}}, store.ErrPrecondition},
		{"IfNoneMatch", C{IfNoneMatch: []string{info.ETag}}, store.ErrNotModified},
		{"IfNoneMatchOneOf", C{IfNoneMatch: []string{"other", info.ETag}}, store.ErrNotModified},
		{"IfNoneMatchAny", C{IfNoneMatch: []string{"*"}}, store.ErrNotModified},
		{"IfNoneMatchOther", C{IfNoneMatch: []string{"other"}}, nil},
		{"ModifiedSinceBefore", C{IfModifiedSince: before}, nil},
		{"ModifiedSinceThen", C{IfModifiedSince: sec}, store.ErrNotModified},
		{"UnmodifiedSinceBefore", C{IfUnmodifiedSince: before}, store.ErrPrecondition},
		{"UnmodifiedSinceThen", C{IfUnmodifiedSince: sec}, nil},
		{"UnmodifiedSinceAfter", C{IfUnmodifiedSince: after}, nil},
		{"IfMatchGoesFirst", C{IfMatch: []string{info.ETag}, IfUnmodifiedSince: before}, nil},
		{"IfNoneMatchGoesFirst", C{IfNoneMatch: []string{"other"}, IfModifiedSince: sec}, nil},
		{"BothTags", C{IfMatch: []string{info.ETag}, IfNoneMatch: []string{info.ETag}}, store.ErrNotModified},
		{"PreconditionFirst", C{IfMatch: []string{"other"}, IfNoneMatch: []string{info.ETag}}, store.ErrPrecondition},
	} {
		e.sub(test.name, func(e *env) {
			opts := &store.GetOptions{Conditions: test.cond}
			_, err := e.b.Stat(e.Context(), "k", opts)
			e.result(err, test.want, "stat")
			o, err := e.b.Get(e.Context(), "k", opts)
			e.result(err, test.want, "get")
			if err == nil {
				o.Body.Close()
			}
			_, err = e.b.Stat(e.Context(), "missing", opts)
			e.fails(err, fs.ErrNotExist, "stat of a missing key")
			_, err = e.b.Get(e.Context(), "missing", opts)
			e.fails(err, fs.ErrNotExist, "get of a missing key")
		})
	}
}
