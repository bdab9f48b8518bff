package diskstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

func testKeys() *crypt.Keys {
	return &crypt.Keys{Server: crypt.NewLocal(slices.Values([][32]byte{{1}})), Named: crypt.NewLocal(slices.Values([][32]byte{{2}}))}
}

func text(size int) string { return strings.Repeat("This must not be read. ", size/23+1)[:size] }

// keep puts contents of some sizes by each encryption, and as parts of uploads of which
// one stays open.
func keep(t *testing.T, b store.Bucket, asks map[string]store.SSE) (held map[string]string) {
	t.Helper()
	held = make(map[string]string)
	for name, sse := range asks {
		for size, where := range map[int]string{5000: "/inline", 200 << 10: "/file"} {
			held[name+where] = text(size)
			if _, err := b.Put(t.Context(), name+where, strings.NewReader(text(size)), &store.PutOptions{SSE: sse}); err != nil {
				t.Fatal(err)
			}
		}
		for _, end := range []bool{true, false} {
			u, err := b.CreateUpload(t.Context(), name+"/parts", &store.PutOptions{SSE: sse})
			if err != nil {
				t.Fatal(err)
			}
			var parts []store.Part
			for n, size := range []int{store.MinPartSize, 3000} {
				p, err := b.PutPart(t.Context(), u.Key, u.ID, n+1, strings.NewReader(text(size)), &store.PartOptions{SSE: store.SSE{CustomerKey: sse.CustomerKey}})
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, *p)
			}
			if end {
				if _, err := b.CompleteUpload(t.Context(), u.Key, u.ID, parts, nil); err != nil {
					t.Fatal(err)
				}
				held[u.Key] = text(store.MinPartSize) + text(3000)
			}
		}
	}
	return held
}

func fetch(t *testing.T, b store.Bucket, key string, customer []byte) (string, error) {
	t.Helper()
	o, err := b.Get(t.Context(), key, &store.GetOptions{SSE: store.SSE{CustomerKey: customer}})
	if err != nil {
		return "", err
	}
	defer o.Body.Close()
	content, err := io.ReadAll(o.Body)
	return string(content), err
}

// TestNothingIsPlainOnDisk looks for what was put in all files of the store, and then
// for what was put with the keys that are needed, after it was opened again.
func TestNothingIsPlainOnDisk(t *testing.T) {
	dir := t.TempDir()
	opts := &Options{Keys: testKeys(), Encrypt: true}
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	b := makeBucket(t, s, "media")
	asks := map[string]store.SSE{"unasked": {}, "server": {Algorithm: "AES256"}, "kms": {Algorithm: "aws:kms"}, "customer": {CustomerKey: make([]byte, 32)}}
	held := keep(t, b, asks)
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = walkFiles(dir, func(path string, content []byte) {
		files++
		if bytes.Contains(content, []byte("This must not")) {
			t.Errorf("%s shows what was put", path)
		}
	})
	if err != nil || files < 8 {
		t.Errorf("%d files, %v", files, err)
	}
	s = openStore(t, dir, opts)
	if b, err = s.Bucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	for key, want := range held {
		name, _, _ := strings.Cut(key, "/")
		if got, err := fetch(t, b, key, asks[name].CustomerKey); got != want || err != nil {
			t.Errorf("%s is not what was put: %d bytes, %v", key, len(got), err)
		}
	}
	report, err := s.Check(t.Context(), &CheckOptions{Content: true})
	if err != nil || len(report.Findings) > 0 || report.Sealed != 5 {
		t.Errorf("check of the content: %+v, %v; want only 5 sealed", report, err)
	}
}

// TestLostKeys opens a store with other keys, and with none.
func TestLostKeys(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, &Options{Keys: testKeys()})
	if err != nil {
		t.Fatal(err)
	}
	held := keep(t, makeBucket(t, s, "media"), map[string]store.SSE{"server": {Algorithm: "AES256"}, "plain": {}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := crypt.NewLocal(slices.Values([][32]byte{{9}}))
	for _, test := range []struct {
		keys *crypt.Keys
		want error
	}{{nil, errors.ErrUnsupported}, {&crypt.Keys{Server: other, Named: other}, store.ErrWrongKey}} {
		s, err := Open(dir, &Options{Keys: test.keys})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bucket(t.Context(), "media")
		if err != nil {
			t.Fatal(err)
		}
		for key, content := range held {
			got, err := fetch(t, b, key, nil)
			if strings.HasPrefix(key, "plain") {
				if got != content || err != nil {
					t.Errorf("%s: %v", key, err)
				}
			} else if !errors.Is(err, test.want) {
				t.Errorf("%s without its key: %v, want %v", key, err, test.want)
			}
		}
		report, err := s.Check(t.Context(), &CheckOptions{Content: true, Repair: true})
		if err != nil || len(report.Findings) != 5 {
			t.Errorf("check: %+v, %v; want 5 findings", report, err)
		}
		for _, f := range report.Findings {
			if f.Kind != NoKey || f.Mendable {
				t.Errorf("found %+v, want %s", f, NoKey)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSealedIsChanged changes files: it is found out by who reads, and by Check.
func TestSealedIsChanged(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"a bit":    func(b []byte) []byte { b[100<<10] ^= 1; return b },
		"the end":  func(b []byte) []byte { return b[:len(b)-1] },
		"a chunk":  func(b []byte) []byte { copy(b[32:], b[32+64<<10+16:][:64<<10+16]); return b },
		"the head": func(b []byte) []byte { b[20] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.TempDir(), &Options{Keys: testKeys()})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			b := makeBucket(t, s, "media")
			if _, err := b.Put(t.Context(), "k", strings.NewReader(text(200<<10)), &store.PutOptions{SSE: store.SSE{Algorithm: "AES256"}}); err != nil {
				t.Fatal(err)
			}
			path := blobFiles(t, s)[0]
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, spoil(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := fetch(t, b, "k", nil); err == nil || !strings.HasPrefix(text(200<<10), got) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			report, err := s.Check(t.Context(), &CheckOptions{Content: true})
			if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != Damaged {
				t.Errorf("check: %+v, %v", report, err)
			}
		})
	}
}

// TestCopiesShareSealed copies without a byte more on the disk.
func TestCopiesShareSealed(t *testing.T) {
	s := openStore(t, t.TempDir(), &Options{Keys: testKeys()})
	b := makeBucket(t, s, "media")
	kms := store.SSE{Algorithm: "aws:kms", KMSKeyID: crypt.DefaultKey}
	for _, sse := range []store.SSE{{Algorithm: "AES256"}, kms} {
		if _, err := b.Put(t.Context(), "k", strings.NewReader(text(200<<10)), &store.PutOptions{SSE: sse}); err != nil {
			t.Fatal(err)
		}
		before := len(blobFiles(t, s))
		info, err := b.Copy(t.Context(), "copy"+sse.Algorithm, "k", &store.CopyOptions{Put: store.PutOptions{SSE: sse}})
		if err != nil || info.SSE.Algorithm != sse.Algorithm {
			t.Fatalf("copy: %+v, %v", info, err)
		}
		if now := len(blobFiles(t, s)); now != before {
			t.Errorf("%s: %d files after the copy, %d before", sse.Algorithm, now, before)
		}
	}
}

func BenchmarkSealed(b *testing.B) {
	s := openStore(b, b.TempDir(), &Options{Keys: testKeys(), NoSync: true})
	bucket := makeBucket(b, s, "media")
	for _, size := range []int{10 << 10, 8 << 20} {
		content := text(size)
		for _, sse := range []store.SSE{{}, {Algorithm: "AES256"}} {
			name := map[int]string{10 << 10: "10KiB", 8 << 20: "8MiB"}[size] + "/" + sse.Algorithm
			put := func(b *testing.B) {
				if _, err := bucket.Put(b.Context(), "k", strings.NewReader(content), &store.PutOptions{Size: int64(size), SSE: sse}); err != nil {
					b.Fatal(err)
				}
			}
			b.Run("Put"+name, func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					put(b)
				}
			})
			b.Run("Get"+name, func(b *testing.B) {
				put(b)
				b.SetBytes(int64(size))
				for b.Loop() {
					o, err := bucket.Get(b.Context(), "k", nil)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := io.Copy(io.Discard, o.Body); err != nil {
						b.Fatal(err)
					}
					o.Body.Close()
				}
			})
		}
	}
}

// walkFiles calls f with all files in dir.
func walkFiles(dir string, f func(path string, content []byte)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		if e.IsDir() {
			if err := walkFiles(path, f); err != nil {
				return err
			}
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(path, content)
	}
	return nil
}
