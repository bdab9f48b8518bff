package gate_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/diskstore"
	"github.com/cubby-storage/cubby/store/memstore"
)

// limited lets people write small pictures, and films that are a bit larger.
const limited = `
box/*     authenticated read,write,delete  maxSize=5 contentTypes=image/*   group:film write  maxSize=9 contentTypes=video/mp4
big/*     authenticated read,write  maxSize=20MiB
kinds/*   authenticated read,write  contentTypes=image/png,text/*
quota/*   authenticated read,write  quota=1 maxObjects=1
free/*    authenticated read,write
`

var filmer = access.Subject{Identity: "id:filmer", Authenticated: true, Groups: []string{"film"}}

func limitedWorld(t *testing.T) (*world, store.Bucket) {
	t.Helper()
	return limitedOn(t, memstore.New())
}

func limitedOn(t *testing.T, svc store.Service) (*world, store.Bucket) {
	t.Helper()
	w := &world{T: t, svc: &counting{Service: svc}}
	w.only(limited)
	w.svc.take()
	return w, w.bucket(w.gate.As(filmer), "box")
}

func as(contentType string) *store.PutOptions {
	return &store.PutOptions{Attributes: store.Attributes{ContentType: contentType}}
}

func sized(contentType string, size int64) *store.PutOptions {
	o := as(contentType)
	o.Size = size
	return o
}

// stored reports an error unless the object holds content; "" is no object.
func (w *world) stored(key, content string) {
	w.Helper()
	b := w.bucket(w.gate.Operator(), "box")
	o, err := b.Get(w.Context(), key, nil)
	if errors.Is(err, fs.ErrNotExist) {
		o, err = &store.Object{Body: io.NopCloser(strings.NewReader(""))}, nil
	}
	if err != nil {
		w.Fatal(err)
	}
	defer o.Body.Close()
	got, err := io.ReadAll(o.Body)
	if err != nil || string(got) != content {
		w.Errorf("%s holds %d bytes %.20q, %v; want %d bytes %.20q", key, len(got), got, err, len(content), content)
	}
}

// tooLarge reports an error unless err names this limit.
func (w *world) tooLarge(what string, err error, most int64) {
	w.Helper()
	w.fails(what, err, store.ErrTooLarge)
	l, ok := errors.AsType[*gate.Limited](err)
	if !ok || l.MaxSize != most || l.ContentTypes != nil || l.Check.Decision.Allowed || l.Check.Decision.Rule == nil || l.Check.Limit == "" {
		w.Errorf("%s: %v says %+v, want a limit of %d", what, err, l, most)
	}
	if errors.Is(err, fs.ErrPermission) {
		w.Errorf("%s: %v is a refusal of the right too", what, err)
	}
}

// wrongType reports an error unless err names these types as allowed.
func (w *world) wrongType(what string, err error, types ...string) {
	w.Helper()
	w.fails(what, err, gate.ErrContentType)
	w.fails(what, err, fs.ErrPermission)
	if l, ok := errors.AsType[*gate.Limited](err); !ok || l.MaxSize != 0 || !slices.Equal(l.ContentTypes, types) {
		w.Errorf("%s: %v says %+v, want the types %q", what, err, l, types)
	}
}

// counter counts what is read of it.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestWhatOneLimitAdmitsIsAdmitted has a picture and a film of two rules.
func TestWhatOneLimitAdmitsIsAdmitted(t *testing.T) {
	w, b := limitedWorld(t)
	for _, c := range []struct {
		contentType string
		size        int
		most        int64 // that the refusal names
	}{
		{"image/png", 5, 0},
		{"IMAGE/PNG; q=1", 5, 0},
		{"image/png", 0, 0},
		{"image/png", 6, 5},
		{"video/mp4", 6, 0},
		{"video/mp4", 9, 0},
		{"video/mp4", 10, 9},
		{"video/mp4", 100_000, 9},
	} {
		for _, known := range []bool{true, false} {
			r := &counter{r: strings.NewReader(strings.Repeat("x", c.size))}
			o := as(c.contentType)
			if known {
				o.Size = int64(c.size)
			}
			_, err := b.Put(t.Context(), "box/x", r, o)
			if c.most == 0 {
				if err != nil {
					t.Errorf("%s of %d bytes: %v", c.contentType, c.size, err)
				}
				w.stored("box/x", strings.Repeat("x", c.size))
				continue
			}
			w.tooLarge(c.contentType, err, c.most)
			if most := int(c.most) + 1; known && r.n > 0 || r.n > most {
				t.Errorf("%s of %d bytes, known %v: %d bytes were read", c.contentType, c.size, known, r.n)
			}
		}
	}
	for _, contentType := range []string{"", "text/html", "video/webm", "image", "image/png, text/html", "text/html;image/png"} {
		w.svc.take()
		_, err := b.Put(t.Context(), "box/y", strings.NewReader("x"), as(contentType))
		w.wrongType(contentType, err, "image/*", "video/mp4")
		w.untouched(contentType)
	}
	// Who is not in the group has the one limit alone.
	_, err := w.bucket(w.gate.As(alice), "box").Put(t.Context(), "box/y", strings.NewReader("x"), as("video/mp4"))
	w.wrongType("alice's film", err, "image/*")
	w.stored("box/y", "")
}

// TestTooLargeLeavesWhatWasThere, however the bytes arrive and whatever was
// announced.
func TestTooLargeLeavesWhatWasThere(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testTooLarge(t, memstore.New()) })
	t.Run("disk", func(t *testing.T) {
		disk, err := diskstore.Open(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := disk.Close(); err != nil {
				t.Error(err)
			}
		}()
		testTooLarge(t, disk)
	})
}

func testTooLarge(t *testing.T, svc store.Service) {
	w, b := limitedOn(t, svc)
	if _, err := b.Put(t.Context(), "box/x", strings.NewReader("old"), as("image/png")); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"at once":       strings.NewReader("123456"),
		"byte by byte":  iotest.OneByteReader(strings.NewReader("123456")),
		"with an end":   iotest.DataErrReader(strings.NewReader("123456")),
		"without end":   neverEnding{},
		"then it fails": io.MultiReader(strings.NewReader("123456"), iotest.ErrReader(io.ErrUnexpectedEOF)),
	} {
		_, err := b.Put(t.Context(), "box/x", r, as("image/png"))
		w.tooLarge(name, err, 5)
		w.stored("box/x", "old")
	}
	// A size that is a lie is no way around it.
	_, err := b.Put(t.Context(), "box/x", strings.NewReader("123456"), sized("image/png", 5))
	w.tooLarge("too small a size", err, 5)
	_, err = b.Put(t.Context(), "box/x", strings.NewReader("1234"), sized("image/png", 3))
	w.fails("within the limit, but not what was announced", err, store.ErrIncomplete)
	// What fails within the limit fails as it would without one.
	_, err = b.Put(t.Context(), "box/x", io.MultiReader(strings.NewReader("1"), iotest.ErrReader(io.ErrUnexpectedEOF)), as("image/png"))
	w.fails("a reader that fails", err, io.ErrUnexpectedEOF)
	w.stored("box/x", "old")

	// So it is with what does not fit into memory, and with parts.
	_, err = b.Put(t.Context(), "big/x", neverEnding{}, nil)
	w.tooLarge("large without end", err, 20<<20)
	w.stored("big/x", "")
	u, err := b.CreateUpload(t.Context(), "big/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.PutPart(t.Context(), "big/x", u.ID, 1, neverEnding{}, nil)
	w.tooLarge("part without end", err, 20<<20)
	if page, err := b.ListParts(t.Context(), "big/x", u.ID, nil); err != nil || len(page.Parts) > 0 {
		t.Errorf("the parts are %+v, %v", page, err)
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// TestWithoutLimitsContentIsNotTouched: the bucket gets the very reader.
func TestWithoutLimitsContentIsNotTouched(t *testing.T) {
	w, b := limitedWorld(t)
	r := strings.NewReader("content")
	for name, c := range map[string]struct {
		b    store.Bucket
		key  string
		opts *store.PutOptions
		same bool
	}{
		"no limits":          {b, "free/x", nil, true},
		"limits for later":   {b, "quota/x", nil, true},
		"only types":         {b, "kinds/x", as("text/plain"), true},
		"an operator":        {w.bucket(w.gate.Operator(), "box"), "box/x", nil, true},
		"there is a maximum": {b, "big/x", nil, false},
	} {
		w.svc.reader = nil
		if _, err := c.b.Put(t.Context(), c.key, r, c.opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := w.svc.reader == io.Reader(r); got != c.same {
			t.Errorf("%s: the same reader is %v, want %v", name, got, c.same)
		}
	}
}

// TestUploadsKeepLimits from their first part to the last.
func TestUploadsKeepLimits(t *testing.T) {
	w, b := limitedWorld(t)
	_, err := b.CreateUpload(t.Context(), "box/x", as("text/html"))
	w.wrongType("create", err, "image/*", "video/mp4")
	w.untouched("create")

	start := func(key, contentType string) string {
		t.Helper()
		u, err := b.CreateUpload(t.Context(), key, as(contentType))
		if err != nil {
			t.Fatal(err)
		}
		return u.ID
	}
	part := func(key, id string, n int, content string, known bool) error {
		o := new(store.PartOptions)
		if known {
			o.Size = int64(len(content))
		}
		_, err := b.PutPart(t.Context(), key, id, n, strings.NewReader(content), o)
		return err
	}
	for _, known := range []bool{true, false} {
		picture, film := start("box/x", "image/png"), start("box/x", "video/mp4")
		w.tooLarge("a picture of 6", part("box/x", picture, 1, "123456", known), 5)
		if err := part("box/x", film, 1, "123456", known); err != nil {
			t.Errorf("a film of 6: %v", err)
		}
		w.tooLarge("4 more", part("box/x", film, 2, "1234", known), 9)
		if err := part("box/x", film, 1, "123456789", known); err != nil {
			t.Errorf("9 in place of 6: %v", err)
		}
		w.tooLarge("a byte more", part("box/x", film, 2, "1", known), 9)
		_, err := b.CompleteUpload(t.Context(), "box/x", film, []store.Part{{Number: 1, ETag: hexMD5("other")}}, nil)
		w.fails("complete with another part", err, store.ErrInvalidPart)
		_, err = b.CompleteUpload(t.Context(), "box/x", film, []store.Part{{Number: 1}}, &store.CompleteOptions{Size: 8})
		w.fails("complete with another size", err, store.ErrIncomplete)
		info, err := b.CompleteUpload(t.Context(), "box/x", film, []store.Part{{Number: 1, ETag: hexMD5("123456789")}}, nil)
		if err != nil || info.Size != 9 {
			t.Errorf("complete: %+v, %v", info, err)
		}
		w.fails("an upload that is none", part("box/x", film, 1, "1", known), store.ErrNoUpload)
	}
}

// TestUploadIsJudgedByTheLimitsOfItsEnd has rules that change meanwhile.
func TestUploadIsJudgedByTheLimitsOfItsEnd(t *testing.T) {
	w := &world{T: t, svc: &counting{Service: memstore.New()}}
	b := w.only("box/*  authenticated read,write")
	u, err := b.CreateUpload(t.Context(), "box/x", as("image/png"))
	if err != nil {
		t.Fatal(err)
	}
	first, second := strings.Repeat("x", store.MinPartSize), "tail"
	for i, content := range []string{first, second} {
		if _, err := b.PutPart(t.Context(), "box/x", u.ID, i+1, strings.NewReader(content), nil); err != nil {
			t.Fatal(err)
		}
	}
	both := []store.Part{{Number: 1}, {Number: 2}}
	complete := func(rules string) error {
		t.Helper()
		w.gate.SetPolicies(map[string]*access.Policy{"box": parse(t, rules)})
		_, err := w.bucket(w.gate.As(alice), "box").CompleteUpload(t.Context(), "box/x", u.ID, both, nil)
		return err
	}
	w.tooLarge("too large now", complete("box/*  authenticated read,write maxSize=5MiB"), 5<<20)
	w.wrongType("of another type now", complete("box/*  authenticated read,write contentTypes=text/plain"), "text/plain")
	w.wrongType("of another type now", complete("box/*  authenticated read,write maxSize=1GB contentTypes=text/plain"), "text/plain")
	w.fails("not allowed now", complete("box/*  authenticated read"), fs.ErrPermission)
	w.stored("box/x", "")
	if err := complete("box/*  authenticated read,write maxSize=6MiB contentTypes=image/png"); err != nil {
		t.Errorf("good again: %v", err)
	}
	w.stored("box/x", first+second)
}

// TestUploadOutlivesTheGate goes on with an upload that another gate has started.
func TestUploadOutlivesTheGate(t *testing.T) {
	w := &world{T: t, svc: &counting{Service: memstore.New()}}
	b := w.only("box/*  authenticated read,write maxSize=5 contentTypes=image/*")
	u, err := b.CreateUpload(t.Context(), "box/x", as("image/png"))
	if err != nil {
		t.Fatal(err)
	}
	again := func(rules string) store.Bucket {
		g := gate.New(w.svc, map[string]*access.Policy{"box": parse(t, rules)}, nil)
		return w.bucket(g.As(alice), "box")
	}
	typed, other := again("box/*  authenticated read,write maxSize=5 contentTypes=image/*"), again("box/*  authenticated read,write contentTypes=video/*")
	_, err = other.PutPart(t.Context(), "box/x", u.ID, 1, strings.NewReader("x"), nil)
	w.wrongType("part", err, "video/*")
	if _, err := typed.PutPart(t.Context(), "box/x", u.ID, 1, strings.NewReader("x"), nil); err != nil {
		t.Error(err)
	}
	_, err = other.CompleteUpload(t.Context(), "box/x", u.ID, []store.Part{{Number: 1}}, nil)
	w.wrongType("complete", err, "video/*")
	if _, err := typed.CompleteUpload(t.Context(), "box/x", u.ID, []store.Part{{Number: 1}}, nil); err != nil {
		t.Error(err)
	}
}

// TestStoreThatDoesNotTellTypes keeps the largest of the limits where the store does
// not tell of which type an upload will be.
func TestStoreThatDoesNotTellTypes(t *testing.T) {
	w := &world{T: t, svc: &counting{Service: memstore.New(), silent: true}}
	b := w.only("box/*  authenticated read,write maxSize=5 contentTypes=image/*   group:film write maxSize=7 contentTypes=video/*")
	u, err := b.CreateUpload(t.Context(), "box/x", as("image/png"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.PutPart(t.Context(), "box/x", u.ID, 1, strings.NewReader("123456"), nil)
	w.tooLarge("part", err, 5)
	p, err := b.PutPart(t.Context(), "box/x", u.ID, 1, strings.NewReader("12345"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompleteUpload(t.Context(), "box/x", u.ID, []store.Part{*p}, nil); err != nil {
		t.Error(err)
	}
}

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestPartsCannotGrowWhileTheyAreJudged replaces a part between the look at the
// parts and the end of the upload.
func TestPartsCannotGrowWhileTheyAreJudged(t *testing.T) {
	large := "123456"
	for name, part := range map[string]store.Part{
		"by number":      {Number: 1},
		"by entity tag":  {Number: 1, ETag: hexMD5(large)},
		"part not there": {Number: 2},
	} {
		for i := range 4 {
			small, size := []string{"small", ""}[i%2], []int64{0, int64(len(large))}[i/2]
			w, b := limitedWorld(t)
			u, err := b.CreateUpload(t.Context(), "box/x", as("image/png"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.PutPart(t.Context(), "box/x", u.ID, 1, strings.NewReader(small), nil); err != nil {
				t.Fatal(err)
			}
			raw := w.bucket(w.gate.Operator(), "box")
			w.svc.after = func(call string) {
				if call != "ListParts" {
					return
				}
				w.svc.after = nil
				for n := range 2 {
					if _, err := raw.PutPart(t.Context(), "box/x", u.ID, n+1, strings.NewReader(large), nil); err != nil {
						t.Error(err)
					}
				}
			}
			_, err = b.CompleteUpload(t.Context(), "box/x", u.ID, []store.Part{part}, &store.CompleteOptions{Size: size})
			if err == nil || w.svc.after != nil {
				t.Errorf("%s, %q, size %d: it is complete", name, small, size)
			}
			w.stored("box/x", "")
		}
	}
}

// TestCopiesKeepLimits of where they go, by size and type of what they come from.
func TestCopiesKeepLimits(t *testing.T) {
	w, b := limitedWorld(t)
	put := func(key, contentType, content string) {
		t.Helper()
		o := as(contentType)
		o.User, o.Tags = map[string]string{"a": "b"}, map[string]string{"t": "u"}
		if _, err := b.Put(t.Context(), key, strings.NewReader(content), o); err != nil {
			t.Fatal(err)
		}
	}
	put("free/small", "image/png", "12345")
	put("free/large", "image/png", "123456")
	put("free/page", "text/html", "1")
	info, err := b.Copy(t.Context(), "box/x", "free/small", nil)
	if err != nil || info.Size != 5 {
		t.Errorf("small: %+v, %v", info, err)
	}
	if got, err := b.Stat(t.Context(), "box/x", nil); err != nil || got.ContentType != "image/png" || got.User["a"] != "b" || got.TagCount != 1 {
		t.Errorf("the copy is %+v, %v", got, err)
	}
	_, err = b.Copy(t.Context(), "box/x", "free/large", nil)
	w.tooLarge("large", err, 5)
	_, err = b.Copy(t.Context(), "box/x", "free/page", nil)
	w.wrongType("page", err, "image/*", "video/mp4")
	// The type that counts is the one that the copy will have.
	if _, err = b.Copy(t.Context(), "box/y", "free/page", &store.CopyOptions{Replace: true, Put: *as("image/gif")}); err != nil {
		t.Error(err)
	}
	_, err = b.Copy(t.Context(), "box/x", "free/small", &store.CopyOptions{Replace: true, Put: *as("text/html")})
	w.wrongType("small as a page", err, "image/*", "video/mp4")
	if _, err = b.Copy(t.Context(), "box/y", "free/large", &store.CopyOptions{Replace: true, Put: *as("video/mp4")}); err != nil {
		t.Error(err)
	}
	w.stored("box/x", "12345")
	w.stored("box/y", "123456")
	sealed := as("image/png")
	sealed.SSE.CustomerKey = make([]byte, 32)
	if _, err := b.Put(t.Context(), "free/sealed", strings.NewReader("1"), sealed); err != nil {
		t.Fatal(err)
	}
	if _, err = b.Copy(t.Context(), "box/z", "free/sealed", &store.CopyOptions{SourceKey: sealed.SSE.CustomerKey}); err != nil {
		t.Errorf("a source under a customer's key: %v", err)
	}
	_, err = b.Copy(t.Context(), "box/z", "free/sealed", nil)
	w.fails("a source under a customer's key, without it", err, store.ErrKey)

	_, err = b.Copy(t.Context(), "box/x", "free/none", nil)
	w.fails("no source", err, fs.ErrNotExist)
	_, err = b.Copy(t.Context(), "box/x", "free/small", &store.CopyOptions{Source: store.Conditions{IfNoneMatch: []string{"*"}}})
	w.fails("source unlike asked for", err, store.ErrPrecondition)

	u, err := b.CreateUpload(t.Context(), "box/z", as("image/png"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.CopyPart(t.Context(), "box/z", u.ID, 1, "free/large", nil)
	w.tooLarge("large as a part", err, 5)
	_, err = b.CopyPart(t.Context(), "box/z", u.ID, 1, "free/large", &store.CopyPartOptions{Range: &store.Range{Offset: 2, Length: 9}})
	w.fails("range outside", err, store.ErrRange)
	if _, err = b.CopyPart(t.Context(), "box/z", u.ID, 1, "free/large", &store.CopyPartOptions{Range: &store.Range{Offset: 2, Length: 4}}); err != nil {
		t.Error(err)
	}
	_, err = b.CopyPart(t.Context(), "box/z", u.ID, 2, "free/small", &store.CopyPartOptions{Range: &store.Range{Length: 2}})
	w.tooLarge("two more", err, 5)
	if _, err = b.CompleteUpload(t.Context(), "box/z", u.ID, []store.Part{{Number: 1}}, nil); err != nil {
		t.Error(err)
	}
	w.stored("box/z", "3456")
}

// TestSealedContentKeepsLimits judges what is encrypted by the size it has in plain.
func TestSealedContentKeepsLimits(t *testing.T) {
	w, b := limitedWorld(t)
	key := store.SSE{CustomerKey: make([]byte, 32)}
	o := as("image/png")
	o.SSE = key
	_, err := b.Put(t.Context(), "box/x", strings.NewReader("123456"), o)
	w.tooLarge("large", err, 5)
	if _, err := b.Put(t.Context(), "box/x", strings.NewReader("12345"), o); err != nil {
		t.Errorf("small: %v", err)
	}
	u, err := b.CreateUpload(t.Context(), "box/y", o)
	if err != nil {
		t.Fatal(err)
	}
	part := func(n int, content string) (*store.Part, error) {
		return b.PutPart(t.Context(), "box/y", u.ID, n, strings.NewReader(content), &store.PartOptions{SSE: key})
	}
	if _, err = part(2, "123"); err != nil {
		t.Fatal(err)
	}
	_, err = part(1, "123")
	w.tooLarge("parts", err, 5)
	if _, err := b.Put(t.Context(), "free/sealed", strings.NewReader("123"), o); err != nil {
		t.Fatal(err)
	}
	_, err = b.CopyPart(t.Context(), "box/y", u.ID, 1, "free/sealed", &store.CopyPartOptions{SSE: key, SourceKey: key.CustomerKey})
	w.tooLarge("copied part", err, 5)
	_, err = b.CopyPart(t.Context(), "box/y", u.ID, 1, "free/sealed", &store.CopyPartOptions{SSE: key})
	w.fails("copied part without the key of its source", err, store.ErrKey)
	p, err := part(2, "12345")
	if err != nil {
		t.Fatal(err)
	}
	info, err := b.CompleteUpload(t.Context(), "box/y", u.ID, []store.Part{*p}, nil)
	if err != nil || info.Size != 5 {
		t.Errorf("upload: %+v, %v", info, err)
	}
}

// TestCopiesOfVersionsKeepLimits of the version that is copied, not of the current one.
func TestCopiesOfVersionsKeepLimits(t *testing.T) {
	w, b := limitedWorld(t)
	if err := w.bucket(w.gate.Operator(), "box").SetVersioning(t.Context(), store.Enabled); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, content := range []string{"123456", "123", "1234567"} {
		info, err := b.Put(t.Context(), "free/x", strings.NewReader(content), as("image/png"))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.Version)
	}
	_, err := b.Copy(t.Context(), "box/x", "free/x", &store.CopyOptions{Version: ids[0]})
	w.tooLarge("an old large one", err, 5)
	_, err = b.Copy(t.Context(), "box/x", "free/x", nil)
	w.tooLarge("the current one", err, 5)
	if _, err := b.Copy(t.Context(), "box/x", "free/x", &store.CopyOptions{Version: ids[1]}); err != nil {
		t.Errorf("an old small one: %v", err)
	}
	w.stored("box/x", "123")
	u, err := b.CreateUpload(t.Context(), "box/y", as("image/png"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.CopyPart(t.Context(), "box/y", u.ID, 1, "free/x", &store.CopyPartOptions{Version: ids[0]})
	w.tooLarge("a part of an old large one", err, 5)
	if _, err := b.CopyPart(t.Context(), "box/y", u.ID, 1, "free/x", &store.CopyPartOptions{Version: ids[1]}); err != nil {
		t.Errorf("a part of an old small one: %v", err)
	}
}

// TestSourceCannotChangeWhileItIsJudged replaces the source of a copy between the
// look at it and the copy: by larger content, or by another content type.
func TestSourceCannotChangeWhileItIsJudged(t *testing.T) {
	for name, change := range map[string]*store.PutOptions{"larger": as("image/png"), "page": as("text/html")} {
		w, b := limitedWorld(t)
		content := map[string]string{"larger": "123456789", "page": "12345"}[name]
		if _, err := b.Put(t.Context(), "free/x", strings.NewReader("12345"), as("image/png")); err != nil {
			t.Fatal(err)
		}
		raw := w.bucket(w.gate.Operator(), "box")
		w.svc.after = func(call string) {
			if call == "Stat" {
				w.svc.after = nil
				if _, err := raw.Put(t.Context(), "free/x", strings.NewReader(content), change); err != nil {
					t.Error(err)
				}
			}
		}
		_, err := b.Copy(t.Context(), "box/x", "free/x", nil)
		info, none := raw.Stat(t.Context(), "box/x", nil)
		if name == "larger" {
			w.fails(name, err, store.ErrPrecondition)
			w.fails(name, none, fs.ErrNotExist)
		} else if err != nil || none != nil || info.ContentType != "image/png" {
			t.Errorf("%s: %v; the copy is %+v", name, err, info)
		}
	}
}

// TestOperatorsHaveNoLimits in any of it.
func TestOperatorsHaveNoLimits(t *testing.T) {
	w, _ := limitedWorld(t)
	b := w.bucket(w.gate.Operator(), "box")
	large := bytes.Repeat([]byte("x"), 100)
	if _, err := b.Put(t.Context(), "box/x", bytes.NewReader(large), as("text/html")); err != nil {
		t.Error(err)
	}
	if _, err := b.Copy(t.Context(), "box/y", "box/x", nil); err != nil {
		t.Error(err)
	}
	if _, err := b.CompleteUpload(t.Context(), "box/z", w.upload(b, "box/z"), []store.Part{{Number: 1}}, nil); err != nil {
		t.Error(err)
	}
}

// TestObserversAreToldOfLimits, with the rule that would have allowed it.
func TestObserversAreToldOfLimits(t *testing.T) {
	w := newWorld(t)
	w.gate.SetPolicies(map[string]*access.Policy{"media": parse(t, limited)})
	w.asked()
	_, err := w.as(alice).Put(t.Context(), "box/x", strings.NewReader("123456"), as("image/png"))
	w.tooLarge("put", err, 5)
	c := w.asked()
	if len(c) != 2 || !c[0].Decision.Allowed || c[0].Limit != "" {
		t.Fatalf("told %+v", c)
	}
	if c := c[1]; c.Decision.Allowed || c.Decision.Rule == nil || c.Decision.Rule.Pos != "rules:2" || c.Limit != "at most 5 bytes may be written" || c.Subject == nil || c.Policy == nil {
		t.Errorf("told %+v", c)
	}
}
