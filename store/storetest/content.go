package storetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"testing/iotest"

	"github.com/cubby-storage/cubby/store"
)

// sum returns the checksum of content by a, as package store writes it.
func sum(a store.Algorithm, content string) string {
	h := a.New()
	io.WriteString(h, content)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// sums returns a Checksums with one value.
func sums(a store.Algorithm, value string) store.Checksums {
	var c store.Checksums
	c.Set(a, value)
	return c
}

// algorithms returns those that the driver has.
func (e *env) algorithms() []store.Algorithm {
	var known []store.Algorithm
	for _, a := range store.Algorithms() {
		if e.knows(a) {
			known = append(known, a)
		}
	}
	return known
}

// refuses checks that a Put over an object that is there and one to a new key
// fail with the cause want, and leave everything as it was. The options and the
// reader are made anew for each.
func (e *env) refuses(want error, what string, content func() (io.Reader, *store.PutOptions)) {
	e.Helper()
	for _, key := range []string{"there", "new"} {
		if key == "there" {
			e.put(key, "what was there", &store.PutOptions{Attributes: attributes()})
		}
		before, _ := e.b.Stat(e.Context(), key, nil)
		r, opts := content()
		_, err := e.b.Put(e.Context(), key, r, opts)
		e.fails(err, want, what)
		if before == nil {
			e.missing(key)
			continue
		}
		e.unchanged(before, "what was there")
	}
}

func testMD5(e *env) {
	md := md5.Sum([]byte("content"))
	info := e.put("k", "content", &store.PutOptions{MD5: md[:]})
	e.unchanged(e.stat(info.Key), "content")
	e.refuses(store.ErrDigest, "put of other content than MD5 says", func() (io.Reader, *store.PutOptions) {
		return strings.NewReader("Content"), &store.PutOptions{MD5: md[:]}
	})
	e.refuses(store.ErrDigest, "put of large content with a wrong MD5", func() (io.Reader, *store.PutOptions) {
		return strings.NewReader(big()[:300<<10]), &store.PutOptions{MD5: md[:]}
	})
}

// testChecksums gives each checksum as a value, asks for it by Algorithm alone,
// and gives it late.
func testChecksums(e *env) {
	for _, a := range e.algorithms() {
		e.sub(string(a), func(e *env) {
			for _, content := range []string{"", "content", big()[:100<<10]} {
				want := sum(a, content)
				trailer := func() (store.Checksums, error) { return sums(a, want), nil }
				for name, opts := range map[string]*store.PutOptions{
					"value":     {Checksums: sums(a, want)},
					"algorithm": {Algorithm: a},
					"both":      {Algorithm: a, Checksums: sums(a, want)},
					"trailer":   {Algorithm: a, Trailer: trailer},
				} {
					put := e.put("k", content, opts)
					got := e.openObject("k", nil)
					for method, info := range map[string]*store.Info{"Put": put, "Stat": e.stat("k"), "Get": &got.Info} {
						if v := info.Checksums.Get(a); v != want {
							e.Errorf("%s, by %s: checksum is %q, want %q", method, name, v, want)
						}
						if t := info.Checksums.Type; t != "" && t != store.FullObject {
							e.Errorf("%s, by %s: type is %q, want %q", method, name, t, store.FullObject)
						}
					}
					e.holds("k", content)
				}
			}
			wrong := sum(a, "other")
			e.refuses(store.ErrDigest, "put with a wrong checksum", func() (io.Reader, *store.PutOptions) {
				return strings.NewReader("content"), &store.PutOptions{Checksums: sums(a, wrong)}
			})
			e.refuses(store.ErrDigest, "put with a wrong checksum in the trailer", func() (io.Reader, *store.PutOptions) {
				return strings.NewReader("content"), &store.PutOptions{Algorithm: a, Trailer: func() (store.Checksums, error) {
					return sums(a, wrong), nil
				}}
			})
		})
	}
	e.refuses(fs.ErrInvalid, "put with an unknown algorithm", func() (io.Reader, *store.PutOptions) {
		return strings.NewReader("content"), &store.PutOptions{Algorithm: "ROT13"}
	})
}

// testTrailer looks at when a trailer is called, and what becomes of its error.
func testTrailer(e *env) {
	known := e.algorithms()
	if len(known) == 0 {
		return
	}
	a := known[0]
	read := false
	r := io.MultiReader(strings.NewReader("content"), readerFunc(func([]byte) (int, error) {
		read = true
		return 0, io.EOF
	}))
	_, err := e.b.Put(e.Context(), "k", r, &store.PutOptions{Algorithm: a, Trailer: func() (store.Checksums, error) {
		if !read {
			e.Error("trailer is called before the content was read to its end")
		}
		return sums(a, sum(a, "content")), nil
	}})
	e.succeeds(err, "put with a trailer")
	broken := errors.New("trailer is broken")
	e.refuses(broken, "put with a trailer that fails", func() (io.Reader, *store.PutOptions) {
		return strings.NewReader("content"), &store.PutOptions{Algorithm: a, Trailer: func() (store.Checksums, error) {
			return store.Checksums{}, broken
		}}
	})
}

func testAnnouncedSize(e *env) {
	for _, test := range []struct {
		size      int64
		announced int64
	}{{7, 6}, {7, 8}, {7, 1}, {0, 3}, {100 << 10, 100<<10 - 1}, {100 << 10, 100<<10 + 1}, {100, 1 << 20}} {
		what := "put of " + strconv.FormatInt(test.size, 10) + " bytes announced as " + strconv.FormatInt(test.announced, 10)
		e.refuses(store.ErrIncomplete, what, func() (io.Reader, *store.PutOptions) {
			return strings.NewReader(big()[:test.size]), &store.PutOptions{Size: test.announced}
		})
	}
	e.refuses(store.ErrTooLarge, "put announced as over MaxPartSize", func() (io.Reader, *store.PutOptions) {
		return strings.NewReader("content"), &store.PutOptions{Size: store.MaxPartSize + 1}
	})
	_, err := e.b.Put(e.Context(), "unknown", strings.NewReader("content"), &store.PutOptions{Size: -1})
	e.succeeds(err, "put with size -1, which means unknown")
	e.holds("unknown", "content")
}

// testReaders puts from readers that are slow, early or odd, but right.
func testReaders(e *env) {
	content := big()[:70<<10]
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"OneByteReader": iotest.OneByteReader,
		"HalfReader":    iotest.HalfReader,
		"DataErrReader": iotest.DataErrReader,
	} {
		if e.opts.Slow && name == "OneByteReader" {
			continue
		}
		_, err := e.b.Put(e.Context(), name, wrap(strings.NewReader(content)), nil)
		e.succeeds(err, "put from "+name)
		e.holds(name, content)
	}
	// The driver keeps no hold on the memory that it read.
	data := []byte("content")
	_, err := e.b.Put(e.Context(), "data", bytes.NewReader(data), nil)
	e.succeeds(err, "put")
	clear(data)
	e.holds("data", "content")
}

func testFailingReader(e *env) {
	broken := errors.New("reader is broken")
	for _, n := range []int{0, 1, 1000, 64 << 10, 300 << 10} {
		e.refuses(broken, "put from a reader that fails after "+strconv.Itoa(n)+" bytes", func() (io.Reader, *store.PutOptions) {
			return io.MultiReader(strings.NewReader(big()[:n]), iotest.ErrReader(broken)), nil
		})
	}
	e.refuses(io.ErrUnexpectedEOF, "put from a reader that ends unexpectedly", func() (io.Reader, *store.PutOptions) {
		return io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil
	})
}

// testCancelled calls every method with a context that has ended.
func testCancelled(e *env) {
	e.put("k", "content", nil)
	before := e.stat("k")
	ctx := e.cancelled()
	canceled := func(err error, what string) {
		e.Helper()
		e.fails(err, context.Canceled, what+" with a context that has ended")
	}
	_, err := e.b.Stat(ctx, "k", nil)
	canceled(err, "stat")
	_, err = e.b.Get(ctx, "k", nil)
	canceled(err, "get")
	_, err = e.b.Put(ctx, "k", strings.NewReader("x"), nil)
	canceled(err, "put")
	_, err = e.b.Put(ctx, "new", strings.NewReader("x"), nil)
	canceled(err, "put")
	_, err = e.b.Copy(ctx, "new", "k", nil)
	canceled(err, "copy")
	canceled(e.remove(ctx, "k", nil), "delete")
	if done, err := e.b.DeleteMany(ctx, targets("k")); err != nil {
		canceled(err, "delete many")
	} else {
		canceled(done[0].Err, "delete many")
	}
	_, err = e.b.List(ctx, nil)
	canceled(err, "list")
	if !e.opts.NoTags {
		_, err = e.b.Tags(ctx, "k", nil)
		canceled(err, "tags")
		canceled(e.b.SetTags(ctx, "k", map[string]string{"a": "b"}, nil), "set tags")
	}
	if !e.opts.NoMultipart {
		_, err = e.b.CreateUpload(ctx, "k", nil)
		canceled(err, "create upload")
		_, err = e.b.ListUploads(ctx, nil)
		canceled(err, "list uploads")
		u := e.createUpload("k", nil)
		_, err = e.b.PutPart(ctx, "k", u.ID, 1, strings.NewReader("x"), nil)
		canceled(err, "put part")
		_, err = e.b.CopyPart(ctx, "k", u.ID, 1, "k", nil)
		canceled(err, "copy part")
		e.wantParts(u)
		part := e.putPart(u, 1, "x")
		_, err = e.b.ListParts(ctx, "k", u.ID, nil)
		canceled(err, "list parts")
		_, err = e.b.CompleteUpload(ctx, "k", u.ID, []store.Part{part}, nil)
		canceled(err, "complete upload")
		canceled(e.b.AbortUpload(ctx, "k", u.ID, nil), "abort upload")
		e.wantParts(u, part)
		e.wantUploads(u)
	}
	e.unchanged(before, "content")
	e.wantKeys([]string{"k"})
}

// testCancelledMidway ends the context while content is being read.
func testCancelledMidway(e *env) {
	e.put("k", "content", nil)
	before := e.stat("k")
	for _, n := range []int{10, 100 << 10} {
		ctx, cancel := context.WithCancel(e.Context())
		_, err := e.b.Put(ctx, "k", cancelAfter(big()[:n], cancel), nil)
		e.fails(err, context.Canceled, "put whose context ends midway")
		ctx, cancel = context.WithCancel(e.Context())
		_, err = e.b.Put(ctx, "new", cancelAfter(big()[:n], cancel), nil)
		e.fails(err, context.Canceled, "put whose context ends midway")
	}
	// A reader that goes on is not read to the end of days.
	ctx, cancel := context.WithCancel(e.Context())
	late := 0
	_, err := e.b.Put(ctx, "new", readerFunc(func(p []byte) (int, error) {
		cancel()
		if late += len(p); late > 64<<20 {
			e.Errorf("put read over %d bytes after its context ended", 64<<20)
			return 0, io.EOF
		}
		return len(p), nil
	}), nil)
	e.fails(err, context.Canceled, "put of endless content whose context ends")
	e.unchanged(before, "content")
	e.missing("new")
	if e.opts.NoMultipart {
		return
	}
	u := e.createUpload("k", nil)
	part := e.putPart(u, 1, "part")
	ctx, cancel = context.WithCancel(e.Context())
	_, err = e.b.PutPart(ctx, "k", u.ID, 1, cancelAfter(big()[:100], cancel), nil)
	e.fails(err, context.Canceled, "put part whose context ends midway")
	e.wantParts(u, part)
}

// cancelAfter returns a reader of content that calls cancel before its end.
func cancelAfter(content string, cancel func()) io.Reader {
	half := len(content) / 2
	return io.MultiReader(strings.NewReader(content[:half]), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, io.EOF
	}), strings.NewReader(content[half:]))
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// testMetadataLimits puts as much user metadata as is allowed, and more.
func testMetadataLimits(e *env) {
	full := map[string]string{"a": strings.Repeat("x", 1000), "b": strings.Repeat("y", store.MaxUserMeta-1002)}
	e.put("full", "content", &store.PutOptions{Attributes: store.Attributes{User: full}})
	e.hasAttributes(e.stat("full"), store.Attributes{ContentType: e.stat("full").ContentType, User: full})
	for name, user := range map[string]map[string]string{
		"one byte too many in values": {"a": full["a"], "b": full["b"] + "y"},
		"one byte too many in names":  {"a": full["a"], "bb": full["b"]},
	} {
		opts := &store.PutOptions{Attributes: store.Attributes{User: user}}
		e.refuses(store.ErrTooLarge, "put with "+name, func() (io.Reader, *store.PutOptions) {
			return strings.NewReader("content"), opts
		})
		_, err := e.b.Copy(e.Context(), "copy", "full", &store.CopyOptions{Replace: true, Put: *opts})
		e.fails(err, store.ErrTooLarge, "copy with "+name)
		if !e.opts.NoMultipart {
			_, err = e.b.CreateUpload(e.Context(), "new", opts)
			e.fails(err, store.ErrTooLarge, "create upload with "+name)
		}
	}
	for _, name := range []string{"", "Upper"} {
		e.refuses(fs.ErrInvalid, "put with user metadata called "+strconv.Quote(name), func() (io.Reader, *store.PutOptions) {
			return strings.NewReader("content"), &store.PutOptions{Attributes: store.Attributes{User: map[string]string{name: "x"}}}
		})
	}
}
