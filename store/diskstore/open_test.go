package diskstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

func TestReopen(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		dir := t.TempDir()
		large := noise(store.MinPartSize + 10)
		s := openStore(t, dir, &Options{NoSync: noSync})
		b := makeBucket(t, s, "keep")
		put(t, b, "small", large[:10])
		put(t, b, "file", large[:1<<20])
		putParts(t, b, "parts", large[:store.MinPartSize], large[store.MinPartSize:])
		put(t, b, "gone", large[:1<<20])
		if _, err := b.Delete(t.Context(), "gone", nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, nil)
		b, err := s.Bucket(t.Context(), "keep")
		if err != nil {
			t.Fatal(err)
		}
		for key, n := range map[string]int{"small": 10, "file": 1 << 20, "parts": len(large)} {
			if !bytes.Equal(get(t, b, key), large[:n]) {
				t.Errorf("content of %s is another after it was reopened", key)
			}
		}
	}
}

func TestOnlyOneAtATime(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second Open: error is %v, want one that says that the directory is in use", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir, nil)
}

func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	if err := errors.Join(s.db.Set(formatKey, binary.AppendUvarint(nil, formatVersion+1), pebble.NoSync), s.db.Flush()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir, nil)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "format 3") {
		t.Errorf("error is %v, want one that names the format", err)
	}
}

func TestClosed(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := makeBucket(t, s, "closed")
	large := noise(300 << 10)
	put(t, b, "small", large[:10])
	put(t, b, "file", large)
	small, err := b.Get(t.Context(), "small", nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := b.Get(t.Context(), "file", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for _, o := range []*store.Object{small, file} {
		var got bytes.Buffer
		if _, err := got.ReadFrom(o.Body); err != nil || !bytes.Equal(got.Bytes(), large[:o.Size]) {
			t.Errorf("body of %s: %v", o.Key, err)
		}
		o.Body.Close()
	}
	if _, err := b.Stat(t.Context(), "small", nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Stat: error is %v, want fs.ErrClosed", err)
	}
	if err := s.CreateBucket(t.Context(), "other"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("CreateBucket: error is %v, want fs.ErrClosed", err)
	}
}

// turn is a reader without content that calls f.
type turn struct{ f func() }

func (r *turn) Read([]byte) (int, error) {
	r.f()
	return 0, io.EOF
}

// TestCloseWaits closes the store while a put reads its content.
func TestCloseWaits(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := makeBucket(t, s, "wait")
	reading, end := make(chan bool), make(chan bool)
	content := turn{f: func() {
		reading <- true
		<-end
	}}
	put := make(chan error)
	go func() {
		_, err := b.Put(t.Context(), "k", &content, nil)
		put <- err
	}()
	<-reading
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.stop
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	close(end)
	if err := <-put; err != nil {
		t.Errorf("put under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestSweep leaves files in the store as a crash does.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	b := makeBucket(t, s, "sweep")
	large := noise(300 << 10)
	put(t, b, "file", large)
	orphan := s.newID()
	for _, path := range []string{s.path(orphan), filepath.Join(s.tmpDir(), orphan.String())} {
		if err := os.WriteFile(path, large, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// After a crash this would not be there.
	if err := os.Remove(s.cleanFile()); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, nil)
	f, err := s.createFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.write(large), f.publish()); err != nil {
		t.Fatal(err)
	}
	s.sweep()
	if n := len(blobFiles(t, s)); n != 2 {
		t.Errorf("%d files, want that of the object and that of a write under way", n)
	}
	f.discard()
	b, err = s.Bucket(t.Context(), "sweep")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, b, "file"), large) {
		t.Error("content is another after the sweep")
	}
}
