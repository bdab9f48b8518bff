package diskstore

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

// sender is a writer that counts what it is given as a connection would send it
// without copying: a limited reader of a file.
type sender struct {
	bytes.Buffer
	sent, copied int64
}

func (s *sender) Write(p []byte) (int, error) {
	s.copied += int64(len(p))
	return s.Buffer.Write(p)
}

func (s *sender) ReadFrom(r io.Reader) (int64, error) {
	n, err := s.Buffer.ReadFrom(r)
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			s.sent += n
			return n, err
		}
	}
	s.copied += n
	return n, err
}

func put(t testing.TB, b store.Bucket, key string, content []byte) *store.Info {
	t.Helper()
	info, err := b.Put(t.Context(), key, bytes.NewReader(content), nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// putParts makes an object of parts.
func putParts(t testing.TB, b store.Bucket, key string, parts ...[]byte) {
	t.Helper()
	if err := tryParts(t.Context(), b, key, nil, parts...); err != nil {
		t.Fatal(err)
	}
}

func tryParts(ctx context.Context, b store.Bucket, key string, opts *store.PutOptions, parts ...[]byte) error {
	u, err := b.CreateUpload(ctx, key, opts)
	if err != nil {
		return err
	}
	var named []store.Part
	for i, content := range parts {
		p, err := b.PutPart(ctx, key, u.ID, i+1, bytes.NewReader(content), nil)
		if err != nil {
			return err
		}
		named = append(named, *p)
	}
	_, err = b.CompleteUpload(ctx, key, u.ID, named, nil)
	return err
}

func get(t testing.TB, b store.Bucket, key string) []byte {
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

// TestSend holds that all content that is in files can be sent from there.
func TestSend(t *testing.T) {
	b := makeBucket(t, openStore(t, t.TempDir(), nil), "send")
	large := noise(2*store.MinPartSize + 100)
	put(t, b, "small", large[:1000])
	put(t, b, "file", large[:300<<10])
	putParts(t, b, "parts", large[:store.MinPartSize], large[store.MinPartSize:2*store.MinPartSize], large[2*store.MinPartSize:])
	for _, test := range []struct {
		name, key    string
		opts         store.GetOptions
		want         []byte
		sent, copied int64
	}{
		{"Inline", "small", store.GetOptions{}, large[:1000], 0, 1000},
		{"File", "file", store.GetOptions{}, large[:300<<10], 300 << 10, 0},
		{"Parts", "parts", store.GetOptions{}, large, 2 * store.MinPartSize, 100},
		{"RangeOfFile", "file", store.GetOptions{Range: &store.Range{Offset: 7, Length: 100_000}}, large[7:100_007], 100_000, 0},
		{"RangeOfParts", "parts", store.GetOptions{Range: &store.Range{Offset: store.MinPartSize - 50, Length: 100}}, large[store.MinPartSize-50:][:100], 100, 0},
		{"Part", "parts", store.GetOptions{Part: 2}, large[store.MinPartSize : 2*store.MinPartSize], store.MinPartSize, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, err := b.Get(t.Context(), test.key, &test.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Body.Close()
			to := new(sender)
			n, err := io.Copy(to, o.Body)
			if err != nil || n != o.Length || !bytes.Equal(to.Bytes(), test.want) {
				t.Errorf("copied %d bytes of %d, %v", n, o.Length, err)
			}
			if to.sent != test.sent || to.copied != test.copied {
				t.Errorf("sent %d bytes and copied %d, want %d and %d", to.sent, to.copied, test.sent, test.copied)
			}
		})
	}
}

// TestReadersKeepContent reads objects to their end after everything that refers
// to their content is gone.
func TestReadersKeepContent(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := makeBucket(t, s, "keep")
	large := noise(store.MinPartSize + 100<<10)
	put(t, b, "small", large[:1000])
	put(t, b, "file", large)
	putParts(t, b, "parts", large[:store.MinPartSize], large[store.MinPartSize:])
	putParts(t, b, "tail", large[:store.MinPartSize], large[store.MinPartSize:][:10])
	var open []*store.Object
	keys := []string{"small", "file", "parts", "tail"}
	for _, key := range keys {
		o, err := b.Get(t.Context(), key, nil)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, o)
	}
	for i, key := range keys {
		if i%2 == 0 {
			put(t, b, key, []byte("other"))
		} else if _, err := b.Delete(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	s.sweep()
	for _, o := range open {
		content, err := io.ReadAll(o.Body)
		if err != nil || !bytes.Equal(content, large[:o.Size]) {
			t.Errorf("read %d bytes of %s, %v, want all %d as they were", len(content), o.Key, err, o.Size)
		}
		if err := o.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := blobFiles(t, s); len(left) != 0 {
		t.Errorf("files %v are left over", left)
	}
}

// TestShare holds that copies and completed uploads take no room.
func TestShare(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := makeBucket(t, s, "share")
	ctx := t.Context()
	large := noise(store.MinPartSize + 100)
	putParts(t, b, "parts", large[:store.MinPartSize], large[store.MinPartSize:])
	for _, dst := range []string{"copy", "copy2", "parts"} {
		if _, err := b.Copy(ctx, dst, "parts", &store.CopyOptions{Replace: true}); err != nil {
			t.Fatal(err)
		}
	}
	u, err := b.CreateUpload(ctx, "slices", nil)
	if err != nil {
		t.Fatal(err)
	}
	var named []store.Part
	for n, r := range []*store.Range{nil, {Offset: 50, Length: store.MinPartSize}, {Offset: store.MinPartSize - 5, Length: 20}} {
		p, err := b.CopyPart(ctx, "slices", u.ID, n+1, "parts", &store.CopyPartOptions{Range: r})
		if err != nil {
			t.Fatal(err)
		}
		named = append(named, *p)
	}
	if _, err := b.CompleteUpload(ctx, "slices", u.ID, named, nil); err != nil {
		t.Fatal(err)
	}
	check(t, s)
	for _, key := range []string{"parts", "copy", "copy2"} {
		if !bytes.Equal(get(t, b, key), large) {
			t.Errorf("content of %s is wrong", key)
		}
	}
	want := slices.Concat(large, large[50:][:store.MinPartSize], large[store.MinPartSize-5:][:20])
	if !bytes.Equal(get(t, b, "slices"), want) {
		t.Error("content of slices is wrong")
	}
	if n := len(blobFiles(t, s)); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
	for _, key := range []string{"parts", "copy", "slices", "copy2"} {
		if _, err := b.Delete(ctx, key, nil); err != nil {
			t.Fatal(err)
		}
		check(t, s)
	}
	if left := blobFiles(t, s); len(left) != 0 {
		t.Errorf("files %v are left over", strings.Join(left, ", "))
	}
}
