package cubby

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// random returns n bytes, always the same.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func stored(t *testing.T, b store.Bucket, key string) []byte {
	t.Helper()
	o, err := b.Get(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Body.Close()
	content, err := io.ReadAll(o.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestUpload uploads contents around the size of a part, by every kind of reader.
func TestUpload(t *testing.T) {
	all := random(2 * DefaultPartSize)
	dir := t.TempDir()
	for _, test := range []struct{ size, parts int }{
		{0, 0}, {1, 0}, {DefaultPartSize, 0}, {DefaultPartSize + 1, 2}, {2 * DefaultPartSize, 2},
	} {
		content := all[:test.size]
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		later := bytes.NewReader(append([]byte("skipped"), content...))
		_, _ = later.Seek(7, io.SeekStart)
		for kind, r := range map[string]io.Reader{
			"file": file, "bytes": bytes.NewReader(content), "behind": later, "buffer": bytes.NewBuffer(slices.Clone(content)),
			"stream": struct{ io.Reader }{bytes.NewReader(content)}, "small reads": iotest.HalfReader(bytes.NewReader(content)),
		} {
			b := memory(t)
			var last, calls atomic.Int64
			info, err := client(t, b).Upload(t.Context(), At("public/x.bin"), r, &UploadOptions{Progress: func(done, total int64) {
				if done < last.Load() || total >= 0 && done > total {
					t.Errorf("progress is %d of %d after %d", done, total, last.Load())
				}
				last.Store(done)
				calls.Add(1)
			}})
			if err != nil {
				t.Fatalf("%s of %d bytes: %v", kind, test.size, err)
			}
			if !bytes.Equal(stored(t, b, "public/x.bin"), content) {
				t.Errorf("%s of %d bytes: content is another", kind, test.size)
			}
			s, err := b.Stat(t.Context(), "public/x.bin", nil)
			if err != nil {
				t.Fatal(err)
			}
			want := crc32.ChecksumIEEE(content)
			if got := s.Checksums; got.Type != store.FullObject || got.CRC32 != sum32(want) || s.Parts != test.parts {
				t.Errorf("%s of %d bytes: checksums are %+v, parts %d, want %s and %d", kind, test.size, got, s.Parts, sum32(want), test.parts)
			}
			if info.Path != "public/x.bin" || info.Bucket != "default" || info.Size != int64(test.size) || info.ETag != s.ETag {
				t.Errorf("%s of %d bytes: info is %+v", kind, test.size, info)
			}
			if last.Load() != int64(test.size) || test.size > 0 && calls.Load() == 0 {
				t.Errorf("%s of %d bytes: progress ended at %d", kind, test.size, last.Load())
			}
		}
		file.Close()
	}
}

func sum32(v uint32) string {
	return base64Of([]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

func TestUploadAttributes(t *testing.T) {
	b := memory(t)
	c := client(t, b)
	for path, want := range map[string]string{
		"a.jpg": "image/jpeg", "a.HTML": "text/html", "noext": "image/png", "a.unknown": "image/png",
	} {
		info, err := c.Upload(t.Context(), At(path), strings.NewReader("\x89PNG\r\n\x1a\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if info.ContentType != want {
			t.Errorf("content type of %s is %s, want %s", path, info.ContentType, want)
		}
	}
	_, err := c.Upload(t.Context(), At("all"), bytes.NewReader(random(DefaultPartSize+1)), &UploadOptions{
		Attributes: Attributes{ContentType: "a/b", CacheControl: "no-cache", User: map[string]string{"k": "v"}},
		Tags:       map[string]string{"t": "1"}, Checksum: store.SHA256,
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.Properties(t.Context(), At("all"))
	if err != nil {
		t.Fatal(err)
	}
	if info.ContentType != "a/b" || info.CacheControl != "no-cache" || info.User["k"] != "v" || info.TagCount != 1 || info.Checksums.Type != store.Composite {
		t.Errorf("properties are %+v", info)
	}
}

func TestPreventOverwrite(t *testing.T) {
	c := client(t, memory(t))
	opts := &UploadOptions{PreventOverwrite: true}
	for _, size := range []int{1, DefaultPartSize + 1} {
		if err := c.Remove(t.Context(), At("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Upload(t.Context(), At("x"), bytes.NewReader(random(size)), opts); err != nil {
			t.Fatal(err)
		}
		_, err := c.Upload(t.Context(), At("x"), bytes.NewReader(random(size)), opts)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "choose another path") {
			t.Errorf("error is %v, want fs.ErrExist", err)
		}
	}
}

// faulty is a bucket that fails when told.
type faulty struct {
	store.Bucket
	putPart  func(n int) error
	complete func() error
	get      func(opts *store.GetOptions, o *store.Object) error
	create   func(ctx context.Context) error
}

func (f *faulty) CreateUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	if f.create != nil {
		if err := f.create(ctx); err != nil {
			return nil, err
		}
	}
	return f.Bucket.CreateUpload(ctx, key, opts)
}

func (f *faulty) PutPart(ctx context.Context, key, id string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	if f.putPart != nil {
		if err := f.putPart(n); err != nil {
			return nil, err
		}
	}
	return f.Bucket.PutPart(ctx, key, id, n, r, opts)
}

func (f *faulty) CompleteUpload(ctx context.Context, key, id string, parts []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	info, err := f.Bucket.CompleteUpload(ctx, key, id, parts, opts)
	if err == nil && f.complete != nil {
		return nil, f.complete()
	}
	return info, err
}

func (f *faulty) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := f.Bucket.Get(ctx, key, opts)
	if err == nil && f.get != nil {
		err = f.get(opts, o)
	}
	return o, err
}

func uploads(t *testing.T, b store.Bucket) int {
	t.Helper()
	page, err := b.ListUploads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Uploads)
}

// TestUploadFails lets uploads fail in all ways; nothing may stay behind.
func TestUploadFails(t *testing.T) {
	broken := errors.New("broken")
	content := random(3 * DefaultPartSize)
	ctx, cancel := context.WithCancel(t.Context())
	for _, test := range []struct {
		name string
		r    io.Reader
		opts UploadOptions
		bad  func(n int) error
		want error
	}{
		{"part", bytes.NewReader(content), UploadOptions{}, func(n int) error {
			if n == 2 {
				return broken
			}
			return nil
		}, broken},
		{"stream part", struct{ io.Reader }{bytes.NewReader(content)}, UploadOptions{}, func(n int) error { return broken }, broken},
		{"reader", io.MultiReader(bytes.NewReader(content), iotest.ErrReader(broken)), UploadOptions{}, nil, broken},
		{"short", struct{ io.Reader }{bytes.NewReader(content)}, UploadOptions{Size: 1 << 30}, nil, store.ErrIncomplete},
		{"long", struct{ io.Reader }{bytes.NewReader(content)}, UploadOptions{Size: 1 << 20}, nil, store.ErrIncomplete},
		{"size of file", bytes.NewReader(content), UploadOptions{Size: 7}, nil, store.ErrIncomplete},
		{"canceled", bytes.NewReader(content), UploadOptions{Parallel: 1}, func(n int) error { cancel(); return nil }, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := memory(t)
			ctx := ctx
			if test.name != "canceled" {
				ctx = t.Context()
			}
			_, err := client(t, &faulty{Bucket: b, putPart: test.bad}).Upload(ctx, At("x"), test.r, &test.opts)
			if !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Op != "upload" || e.Path != "x" {
				t.Errorf("error is %#v", err)
			}
			if _, err := b.Stat(t.Context(), "x", nil); !errors.Is(err, fs.ErrNotExist) {
				t.Error("there is an object")
			}
			if n := uploads(t, b); n != 0 {
				t.Errorf("%d uploads were left behind", n)
			}
		})
	}
}

// TestUploadCanceledAtItsStart cancels an upload before its id is known here.
func TestUploadCanceledAtItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, create := range map[string]func(ctx context.Context) error{
			"answer comes": func(ctx context.Context) error { return ctx.Err() },
			"no answer":    func(ctx context.Context) error { <-ctx.Done(); return errors.New("broken") },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b := memory(t)
			f := &faulty{Bucket: b, create: func(ctx context.Context) error { cancel(); return create(ctx) }}
			start := time.Now()
			_, err := client(t, f).Upload(ctx, At("x"), bytes.NewReader(random(DefaultPartSize+1)), nil)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error is %v, want context.Canceled", name, err)
			}
			if n := uploads(t, b); n != 0 {
				t.Errorf("%s: %d uploads were left behind", name, n)
			}
			if d := time.Since(start); d > createGrace {
				t.Errorf("%s: took %v", name, d)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f := &faulty{Bucket: memory(t), create: func(context.Context) error { t.Error("an upload was started"); return nil }}
		if _, err := client(t, f).Upload(ctx, At("x"), bytes.NewReader(random(DefaultPartSize+1)), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want context.Canceled", err)
		}
	})
}

// fickle is a file whose size changes once it was read n times.
type fickle struct {
	*bytes.Reader // as it was first
	now           []byte
	n             atomic.Int64
}

func (f *fickle) ReadAt(p []byte, off int64) (int, error) {
	if f.n.Add(-1) >= 0 {
		return f.Reader.ReadAt(p, off)
	}
	return bytes.NewReader(f.now).ReadAt(p, off)
}

// TestUploadOfChangingFile lets files shrink and grow while they are uploaded.
func TestUploadOfChangingFile(t *testing.T) {
	all := random(3 * DefaultPartSize)
	for _, test := range []struct {
		name          string
		size, becomes int
		reads         int64 // until then; below 0: as soon as something is sent
		want          error
	}{
		{"empty at once", 1000, 0, 0, store.ErrIncomplete},
		{"empty", 1000, 0, 1, store.ErrIncomplete},
		{"shorter", 1000, 999, 1, store.ErrIncomplete},
		{"shorter when sent", 1 << 20, 1<<20 - 1, -1, store.ErrIncomplete},
		{"longer", 1000, 1001, 1, nil},
		{"without its last part", 2*DefaultPartSize + 1, 2 * DefaultPartSize, 1, store.ErrIncomplete},
		{"with half a part", 2 * DefaultPartSize, DefaultPartSize * 3 / 2, 1, store.ErrIncomplete},
		{"without half a part when sent", 2 * DefaultPartSize, DefaultPartSize * 3 / 2, -1, store.ErrIncomplete},
		{"with another part", 2 * DefaultPartSize, 3 * DefaultPartSize, 1, nil},
		{"with another part when sent", 2 * DefaultPartSize, 3 * DefaultPartSize, -1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := memory(t)
			f := &fickle{Reader: bytes.NewReader(all[:test.size]), now: all[:test.becomes]}
			opts := &UploadOptions{Parallel: 1}
			if f.n.Store(test.reads); test.reads < 0 {
				f.n.Store(1 << 40)
				opts.Progress = func(int64, int64) { f.n.Store(0) }
			}
			_, err := client(t, b).Upload(t.Context(), At("x"), f, opts)
			if !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if err == nil && !bytes.Equal(stored(t, b, "x"), all[:test.size]) {
				t.Error("content is not what the file had at first")
			}
			if _, statErr := b.Stat(t.Context(), "x", nil); err != nil && !errors.Is(statErr, fs.ErrNotExist) {
				t.Error("there is an object")
			}
			if n := uploads(t, b); n != 0 {
				t.Errorf("%d uploads were left behind", n)
			}
		})
	}
}

func TestUploadWhoseAnswerIsLost(t *testing.T) {
	b := memory(t)
	content := random(DefaultPartSize + 1)
	c := client(t, &faulty{Bucket: b, complete: func() error { return store.ErrNoUpload }})
	info, err := c.Upload(t.Context(), At("x"), bytes.NewReader(content), nil)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(len(content)) {
		t.Errorf("info is %+v", info)
	}
}

func TestUploadToBucketWithoutParts(t *testing.T) {
	content := random(DefaultPartSize*2 + 1)
	for kind, r := range map[string]io.Reader{"seekable": bytes.NewReader(content), "stream": struct{ io.Reader }{bytes.NewReader(content)}} {
		b := memory(t)
		c := client(t, &faulty{Bucket: b, create: func(context.Context) error { return errors.ErrUnsupported }})
		if _, err := c.Upload(t.Context(), At("x"), r, nil); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if !bytes.Equal(stored(t, b, "x"), content) {
			t.Errorf("%s: content is another", kind)
		}
	}
}

// TestUploadMemory counts how many buffers a stream takes.
func TestUploadMemory(t *testing.T) {
	r := &holding{r: bytes.NewReader(random(4 * DefaultPartSize)), seen: map[*byte]bool{}}
	if _, err := client(t, memory(t)).Upload(t.Context(), At("x"), struct{ io.Reader }{r}, &UploadOptions{Parallel: 2, Size: 4 * DefaultPartSize}); err != nil {
		t.Fatal(err)
	}
	if len(r.seen) > 2 {
		t.Errorf("read into %d buffers, want at most 2", len(r.seen))
	}
}

// holding notes the starts of the large buffers that are read into.
type holding struct {
	r    io.Reader
	seen map[*byte]bool
}

func (h *holding) Read(p []byte) (int, error) {
	if len(p) == DefaultPartSize {
		h.seen[&p[0]] = true
	}
	return h.r.Read(p)
}

func TestDownload(t *testing.T) {
	b := memory(t)
	c := client(t, b)
	content := random(1 << 20)
	if _, err := c.Upload(t.Context(), Key("x", Private), bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	var last int64
	info, err := c.Download(t.Context(), At("private/me/x"), &got, &DownloadOptions{Progress: func(done, _ int64) { last = done }})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), content) || info.Size != 1<<20 || last != 1<<20 {
		t.Errorf("got %d bytes, progress ended at %d, info %+v", got.Len(), last, info)
	}
	got.Reset()
	if _, err = c.Download(t.Context(), At("private/me/x"), &got, &DownloadOptions{Range: &Range{Offset: 5, Length: 10}}); err != nil || !bytes.Equal(got.Bytes(), content[5:15]) {
		t.Errorf("range: got %d bytes, error %v", got.Len(), err)
	}
	_, err = c.Download(t.Context(), At("missing"), &got, nil)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "download missing: file does not exist" {
		t.Errorf("error is %v", err)
	}
}

// TestDownloadResumes breaks the connection off again and again.
func TestDownloadResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory(t)
		content := random(100_000)
		if _, err := b.Put(t.Context(), "x", bytes.NewReader(content), &store.PutOptions{Algorithm: store.CRC32}); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("connection reset")
		gets := 0
		f := &faulty{Bucket: b, get: func(opts *store.GetOptions, o *store.Object) error {
			if gets++; gets == 3 {
				return broken
			}
			if gets > 1 && len(opts.IfMatch) == 0 {
				t.Error("resumed without asking for the same object")
			}
			end := error(nil) // ends early, without an error
			if gets%2 == 0 {
				end = broken
			}
			o.Body = &cut{o.Body, 15_000, end}
			return nil
		}}
		var got bytes.Buffer
		if _, err := client(t, f).Download(t.Context(), At("x"), &got, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), content) || gets != 8 {
			t.Errorf("got %d bytes by %d requests", got.Len(), gets)
		}
	})
}

// cut ends after n bytes.
type cut struct {
	io.ReadCloser
	n   int
	err error
}

func (c *cut) Read(p []byte) (int, error) {
	if c.n == 0 {
		if c.err == nil {
			return 0, io.EOF
		}
		return 0, c.err
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.n)])
	c.n -= n
	return n, err
}

func TestDownloadFails(t *testing.T) {
	for _, test := range []struct {
		name string
		get  func(b store.Bucket, n int, o *store.Object) error
		want error
	}{
		{"wrong bytes", func(_ store.Bucket, _ int, o *store.Object) error {
			o.Body = struct {
				io.Reader
				io.Closer
			}{strings.NewReader("jello"), o.Body}
			return nil
		}, store.ErrDigest},
		{"too many bytes", func(_ store.Bucket, _ int, o *store.Object) error {
			o.Body = struct {
				io.Reader
				io.Closer
			}{strings.NewReader("hello, world"), o.Body}
			return nil
		}, store.ErrIncomplete},
		{"never ends", func(_ store.Bucket, _ int, o *store.Object) error {
			o.Body = &cut{o.Body, 0, nil}
			return nil
		}, io.ErrUnexpectedEOF},
		{"overwritten", func(b store.Bucket, n int, o *store.Object) error {
			if n == 1 {
				_, err := b.Put(context.Background(), "x", strings.NewReader("other"), nil)
				o.Body = &cut{o.Body, 2, nil}
				return err
			}
			return nil
		}, store.ErrPrecondition},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory(t)
				if _, err := b.Put(t.Context(), "x", strings.NewReader("hello"), &store.PutOptions{Algorithm: store.CRC32}); err != nil {
					t.Fatal(err)
				}
				n := 0
				f := &faulty{Bucket: b, get: func(_ *store.GetOptions, o *store.Object) error { n++; return test.get(b, n, o) }}
				_, err := client(t, f).Download(t.Context(), At("x"), io.Discard, nil)
				if !errors.Is(err, test.want) {
					t.Errorf("error is %v, want %v", err, test.want)
				}
				if e, ok := errors.AsType[*Error](err); !ok || e.Op != "download" {
					t.Errorf("error is %#v", err)
				}
			})
		})
	}
}

func TestOpenClosed(t *testing.T) {
	b := memory(t)
	if _, err := b.Put(t.Context(), "x", strings.NewReader("hello"), nil); err != nil {
		t.Fatal(err)
	}
	o, err := client(t, b).Open(t.Context(), At("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(struct{ io.Reader }{o}, []byte("hello")); err != nil {
		t.Error(err)
	}
	if o, err = client(t, b).Open(t.Context(), At("x"), nil); err != nil {
		t.Fatal(err)
	}
	o.Close()
	if _, err := o.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after Close: error is %v", err)
	}
}
