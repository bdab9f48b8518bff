package storetest

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/iotest"

	"github.com/cubby-storage/cubby/store"
)

func (e *env) createUpload(key string, opts *store.PutOptions) *store.Upload {
	e.Helper()
	u, err := e.b.CreateUpload(e.Context(), key, opts)
	if err != nil {
		e.Fatalf("create upload %s: %v", short(key), err)
	}
	if u.Key != key || u.ID == "" {
		e.Fatalf("create upload %s returns key %s and id %q, want the key and some id", short(key), short(u.Key), u.ID)
	}
	return u
}

func (e *env) putPart(u *store.Upload, n int, content string) store.Part {
	e.Helper()
	p, err := e.b.PutPart(e.Context(), u.Key, u.ID, n, strings.NewReader(content), nil)
	if err != nil {
		e.Fatalf("put part %d: %v", n, err)
	}
	if p.Number != n || p.Size != int64(len(content)) || p.ETag == "" {
		e.Fatalf("put part %d returns number %d, %d bytes, entity tag %q; want %d, %d, some", n, p.Number, p.Size, p.ETag, n, len(content))
	}
	return *p
}

func (e *env) complete(u *store.Upload, parts ...store.Part) *store.Info {
	e.Helper()
	info, err := e.b.CompleteUpload(e.Context(), u.Key, u.ID, parts, nil)
	if err != nil {
		e.Fatalf("complete upload of %s: %v", short(u.Key), err)
	}
	return info
}

func (e *env) abort(u *store.Upload) {
	e.Helper()
	if err := e.b.AbortUpload(e.Context(), u.Key, u.ID, nil); err != nil {
		e.Fatalf("abort upload of %s: %v", short(u.Key), err)
	}
}

// wantParts checks which parts an upload has.
func (e *env) wantParts(u *store.Upload, want ...store.Part) {
	e.Helper()
	page, err := e.b.ListParts(e.Context(), u.Key, u.ID, nil)
	if err != nil {
		e.Fatalf("list parts: %v", err)
	}
	if page.More || page.Upload.ID != u.ID || page.Upload.Key != u.Key {
		e.Errorf("list parts: of upload %q of %s, more %v, want %q of %s, false", page.Upload.ID, short(page.Upload.Key), page.More, u.ID, short(u.Key))
	}
	same := func(a, b store.Part) bool { return a.Number == b.Number && a.Size == b.Size && a.ETag == b.ETag }
	if !slices.EqualFunc(page.Parts, want, same) {
		e.Errorf("parts are %v, want %v", page.Parts, want)
	}
}

// wantUploads checks which uploads there are, in this order.
func (e *env) wantUploads(want ...*store.Upload) {
	e.Helper()
	page, err := e.b.ListUploads(e.Context(), nil)
	if err != nil {
		e.Fatalf("list uploads: %v", err)
	}
	var got, ids []string
	for _, u := range page.Uploads {
		got = append(got, u.Key+" "+u.ID)
	}
	for _, u := range want {
		ids = append(ids, u.Key+" "+u.ID)
	}
	if !slices.Equal(got, ids) {
		e.Errorf("uploads are %q, want %q", got, ids)
	}
}

// gone checks that an upload no longer exists for any method.
func (e *env) gone(u *store.Upload) {
	e.Helper()
	ctx := e.Context()
	_, err := e.b.PutPart(ctx, u.Key, u.ID, 1, strings.NewReader("x"), nil)
	e.fails(err, store.ErrNoUpload, "put part")
	e.put("source", "x", nil)
	_, err = e.b.CopyPart(ctx, u.Key, u.ID, 1, "source", nil)
	e.fails(err, store.ErrNoUpload, "copy part")
	e.delete("source")
	_, err = e.b.ListParts(ctx, u.Key, u.ID, nil)
	e.fails(err, store.ErrNoUpload, "list parts")
	_, err = e.b.CompleteUpload(ctx, u.Key, u.ID, []store.Part{{Number: 1}}, nil)
	e.fails(err, store.ErrNoUpload, "complete upload")
	e.fails(e.b.AbortUpload(ctx, u.Key, u.ID, nil), store.ErrNoUpload, "abort upload")
}

// testMultipart makes an object of three parts and looks at it from all sides.
func testMultipart(e *env) {
	if e.opts.NoMultipart {
		return
	}
	e.put("k", "what was there", nil)
	before := e.stat("k")
	opts := &store.PutOptions{Attributes: attributes()}
	if !e.opts.NoTags {
		opts.Tags = map[string]string{"kind": "test"}
	}
	u := e.createUpload("k", opts)
	opts.User["colour"] = "red" // the driver keeps no hold on what it was given
	last, second := "the end", big()[10:]+"0123456789"
	p9 := e.putPart(u, 9, last)
	e.putPart(u, 1, "in vain")
	p1 := e.putPart(u, 1, big())
	p4 := e.putPart(u, 4, second)
	unused := e.putPart(u, 5, "unused")
	e.wantParts(u, p1, p4, unused, p9)
	e.wantUploads(u)
	e.unchanged(before, "what was there")
	e.wantKeys([]string{"k"})

	info := e.complete(u, p1, store.Part{Number: 4}, p9) // part 4 by its number alone
	want := big() + second + last
	e.holds("k", want)
	stat := e.stat("k")
	etag, err := store.MultipartETag([]store.Part{p1, p4, p9})
	if err != nil {
		e.Fatalf("entity tags of the parts: %v", err)
	}
	if info.ETag != etag || stat.ETag != etag {
		e.Errorf("entity tag is %q, and %q in Stat, want %q", info.ETag, stat.ETag, etag)
	}
	if stat.Parts != 3 {
		e.Errorf("Stat says %d parts, want 3", stat.Parts)
	}
	e.hasAttributes(stat, attributes())
	if !e.opts.NoTags {
		e.wantTags("k", opts.Tags)
	}
	e.wantUploads()
	e.gone(u)
	e.holds("k", want)
	e.readParts("k", big(), second, last)
	e.sub("Copy", func(e *env) {
		_, err := e.b.Copy(e.Context(), "copy", "k", nil)
		e.succeeds(err, "copy of an object in parts")
		e.delete("k")
		e.holds("copy", want)
		e.hasAttributes(e.stat("copy"), attributes())
	})
}

// readParts reads an object part by part, and across the borders of its parts.
func (e *env) readParts(key string, parts ...string) {
	e.Helper()
	whole := strings.Join(parts, "")
	start := 0
	for i, want := range parts {
		o := e.openObject(key, &store.GetOptions{Part: i + 1})
		if o.Offset != int64(start) || o.Length != int64(len(want)) || o.Size != int64(len(whole)) {
			e.Errorf("part %d: bytes %d+%d of %d, want %d+%d of %d", i+1, o.Offset, o.Length, o.Size, start, len(want), len(whole))
		}
		if got := e.read(o); got != want {
			e.Errorf("part %d is %s, want %s", i+1, short(got), short(want))
		}
		info, err := e.b.Stat(e.Context(), key, &store.GetOptions{Part: i + 1})
		e.succeeds(err, "stat of a part")
		if err == nil && info.Size != int64(len(want)) {
			e.Errorf("stat of part %d: size %d, want %d", i+1, info.Size, len(want))
		}
		if start > 0 {
			r := &store.Range{Offset: int64(start) - 3, Length: 6}
			if got, want := e.get(key, &store.GetOptions{Range: r}), whole[start-3:start+3]; got != want {
				e.Errorf("bytes across the start of part %d are %q, want %q", i+1, got, want)
			}
		}
		start += len(want)
	}
	r := &store.Range{Offset: 5, Length: int64(len(whole)) - 7}
	if e.get(key, &store.GetOptions{Range: r}) != whole[5:len(whole)-2] {
		e.Error("a range over all parts has other content")
	}
	o := e.openObject(key, nil)
	var got strings.Builder
	n, err := io.Copy(&got, o.Body)
	if err != nil || n != int64(len(whole)) || got.String() != whole {
		e.Errorf("io.Copy of an object in parts: %d bytes, %v, want %d and the same content", n, err, len(whole))
	}
	_, err = e.b.Get(e.Context(), key, &store.GetOptions{Part: len(parts) + 1})
	e.fails(err, store.ErrRange, "get of a part that is not there")
}

// testPartOfWhole reads parts of an object that was put whole: it has one.
func testPartOfWhole(e *env) {
	e.put("k", "content", nil)
	if got := e.get("k", &store.GetOptions{Part: 1}); got != "content" {
		e.Errorf("part 1 of an object put whole is %q, want all of it", got)
	}
	_, err := e.b.Get(e.Context(), "k", &store.GetOptions{Part: 2})
	e.fails(err, store.ErrRange, "get of part 2 of an object put whole")
	_, err = e.b.Get(e.Context(), "k", &store.GetOptions{Part: -1})
	e.fails(err, fs.ErrInvalid, "get of part -1")
	_, err = e.b.Get(e.Context(), "k", &store.GetOptions{Part: 1, Range: &store.Range{Length: 1}})
	e.fails(err, fs.ErrInvalid, "get of a part and a range")
}

// testSmallUploads completes uploads of one small and of one empty part.
func testSmallUploads(e *env) {
	if e.opts.NoMultipart {
		return
	}
	for _, content := range []string{"small", ""} {
		u := e.createUpload("k", nil)
		info := e.complete(u, e.putPart(u, 7, content))
		e.holds("k", content)
		if !strings.HasSuffix(info.ETag, "-1") {
			e.Errorf("entity tag is %q, want one that ends in -1", info.ETag)
		}
	}
	// An upload does not look at the object before it is complete, nor does
	// what happens to the key meanwhile end it.
	u := e.createUpload("k", &store.PutOptions{})
	p := e.putPart(u, 1, "upload")
	e.put("k", "meanwhile", nil)
	e.delete("k")
	e.complete(u, p)
	e.holds("k", "upload")
}

// testCompleteErrors names wrong parts: the upload stays as it was.
func testCompleteErrors(e *env) {
	if e.opts.NoMultipart {
		return
	}
	u := e.createUpload("k", nil)
	p1, p2, p3 := e.putPart(u, 1, big()), e.putPart(u, 2, "small"), e.putPart(u, 3, "last")
	wrong := p3
	wrong.ETag = p2.ETag
	for _, test := range []struct {
		name  string
		parts []store.Part
		opts  *store.CompleteOptions
		want  error
	}{
		{"NoParts", nil, nil, fs.ErrInvalid},
		{"MissingPart", []store.Part{p1, {Number: 4, ETag: p2.ETag}}, nil, store.ErrInvalidPart},
		{"MissingPartWithoutTag", []store.Part{p1, {Number: 4}}, nil, store.ErrInvalidPart},
		{"OtherTag", []store.Part{p1, wrong}, nil, store.ErrInvalidPart},
		{"Descending", []store.Part{p3, p1}, nil, store.ErrPartOrder},
		{"Twice", []store.Part{p1, p1, p3}, nil, store.ErrPartOrder},
		{"TooSmall", []store.Part{p1, p2, p3}, nil, store.ErrPartTooSmall},
		{"SmallFirst", []store.Part{p2, p3}, nil, store.ErrPartTooSmall},
		{"OtherSize", []store.Part{p1, p3}, &store.CompleteOptions{Size: p1.Size}, store.ErrIncomplete},
	} {
		_, err := e.b.CompleteUpload(e.Context(), "k", u.ID, test.parts, test.opts)
		e.fails(err, test.want, "complete upload, "+test.name)
	}
	e.missing("k")
	e.wantParts(u, p1, p2, p3)
	e.wantUploads(u)
	_, err := e.b.CompleteUpload(e.Context(), "k", u.ID, []store.Part{p1, p3}, &store.CompleteOptions{Size: p1.Size + p3.Size})
	e.succeeds(err, "complete upload")
	e.holds("k", big()+"last")
}

func testCompleteConditions(e *env) {
	if e.opts.NoMultipart {
		return
	}
	content := "upload"
	u := e.createUpload("k", nil)
	p := e.putPart(u, 1, content)
	complete := func(opts store.CompleteOptions) error {
		_, err := e.b.CompleteUpload(e.Context(), "k", u.ID, []store.Part{p}, &opts)
		return err
	}
	if !e.opts.NoIfMatch {
		e.fails(complete(store.CompleteOptions{IfMatch: []string{"*"}}), fs.ErrNotExist, "complete upload of a new key with IfMatch *")
		e.missing("k")
	}
	e.put("k", "what was there", nil)
	before := e.stat("k")
	if !e.opts.NoIfNoneMatch {
		e.fails(complete(store.CompleteOptions{IfNoneMatch: []string{"*"}}), fs.ErrExist, "complete upload over an object with IfNoneMatch *")
	}
	if !e.opts.NoIfMatch {
		e.fails(complete(store.CompleteOptions{IfMatch: []string{"other"}}), store.ErrPrecondition, "complete upload with IfMatch of another object")
	}
	e.unchanged(before, "what was there")
	e.wantParts(u, p)
	if !e.opts.NoIfMatch {
		e.succeeds(complete(store.CompleteOptions{IfMatch: []string{before.ETag}}), "complete upload with IfMatch")
		e.holds("k", content)
		content = "second upload"
		u = e.createUpload("k", nil)
		p = e.putPart(u, 1, content)
	}
	if !e.opts.NoIfNoneMatch {
		e.delete("k")
		e.succeeds(complete(store.CompleteOptions{IfNoneMatch: []string{"*"}}), "complete upload of a new key with IfNoneMatch *")
		e.holds("k", content)
	}
}

// testCompleteRace completes the same upload many times at once: one does.
func testCompleteRace(e *env) {
	if e.opts.NoMultipart {
		return
	}
	racers := 8
	if e.opts.Slow {
		racers = 2
	}
	u := e.createUpload("k", nil)
	p := e.putPart(u, 1, "upload")
	var won atomic.Int64
	var wg sync.WaitGroup
	for range racers {
		wg.Go(func() {
			_, err := e.b.CompleteUpload(e.Context(), "k", u.ID, []store.Part{p}, nil)
			if err == nil {
				won.Add(1)
				return
			}
			e.fails(err, store.ErrNoUpload, "complete upload that came too late")
		})
	}
	wg.Wait()
	// A service may answer those who come late as S3 does, that it is done.
	if n := won.Load(); n < 1 || n > 1 && !e.opts.LikeS3 {
		e.Errorf("%d of %d completions of an upload succeeded, want 1", n, racers)
	}
	e.holds("k", "upload")
}

func testAbort(e *env) {
	if e.opts.NoMultipart {
		return
	}
	e.put("k", "what was there", nil)
	before := e.stat("k")
	u, other := e.createUpload("k", nil), e.createUpload("k", nil)
	e.putPart(u, 1, "in vain")
	p := e.putPart(other, 1, "other")
	e.abort(u)
	e.gone(u)
	e.wantUploads(other)
	e.unchanged(before, "what was there")

	// An abort ends a PutPart that is under way.
	u = e.createUpload("k", nil)
	r := io.MultiReader(strings.NewReader(big()[:100<<10]), readerFunc(func([]byte) (int, error) {
		e.abort(u)
		return 0, io.EOF
	}), strings.NewReader("rest"))
	_, err := e.b.PutPart(e.Context(), "k", u.ID, 1, r, nil)
	e.fails(err, store.ErrNoUpload, "put part of an upload that was aborted meanwhile")
	e.gone(u)
	e.wantUploads(other)
	e.complete(other, p)
	e.holds("k", "other")
}

// testWrongUpload names uploads that there are not, or of another key.
func testWrongUpload(e *env) {
	if e.opts.NoMultipart {
		return
	}
	u := e.createUpload("k", nil)
	p := e.putPart(u, 1, "part")
	e.gone(&store.Upload{Key: "k", ID: "no such id"})
	e.gone(&store.Upload{Key: "other", ID: u.ID})
	e.gone(&store.Upload{Key: "k", ID: u.ID + "0"})
	for _, n := range []int{0, -1, store.MaxParts + 1} {
		_, err := e.b.PutPart(e.Context(), "k", u.ID, n, strings.NewReader("x"), nil)
		e.fails(err, fs.ErrInvalid, "put part with a number that there is not")
		e.put("source", "x", nil)
		_, err = e.b.CopyPart(e.Context(), "k", u.ID, n, "source", nil)
		e.fails(err, fs.ErrInvalid, "copy part with a number that there is not")
	}
	e.wantParts(u, p)
	high := e.putPart(u, store.MaxParts, "high")
	e.wantParts(u, p, high)
}

// testPartContent checks parts as Put checks objects: a part that fails leaves
// the one before it.
func testPartContent(e *env) {
	if e.opts.NoMultipart {
		return
	}
	u := e.createUpload("k", nil)
	p := e.putPart(u, 1, "part")
	broken := errors.New("reader is broken")
	for _, test := range []struct {
		name string
		r    io.Reader
		opts store.PartOptions
		want error
	}{
		{"MD5", strings.NewReader("other"), store.PartOptions{MD5: make([]byte, 16)}, store.ErrDigest},
		{"TooShort", strings.NewReader("other"), store.PartOptions{Size: 6}, store.ErrIncomplete},
		{"TooLong", strings.NewReader("other"), store.PartOptions{Size: 4}, store.ErrIncomplete},
		{"TooLarge", strings.NewReader("other"), store.PartOptions{Size: store.MaxPartSize + 1}, store.ErrTooLarge},
		{"BrokenReader", io.MultiReader(strings.NewReader("oth"), iotest.ErrReader(broken)), store.PartOptions{}, broken},
	} {
		_, err := e.b.PutPart(e.Context(), "k", u.ID, 1, test.r, &test.opts)
		e.fails(err, test.want, "put part, "+test.name)
	}
	for _, a := range e.algorithms() {
		opts := &store.PartOptions{Checksums: sums(a, sum(a, "something else"))}
		_, err := e.b.PutPart(e.Context(), "k", u.ID, 1, strings.NewReader("other"), opts)
		e.fails(err, store.ErrDigest, "put part with a wrong "+string(a))
	}
	e.wantParts(u, p)
	e.complete(u, p)
	e.holds("k", "part")
}
