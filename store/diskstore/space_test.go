package diskstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cubby-storage/cubby/store"
)

// TestReserve holds that a disk that is nearly full takes deletes only.
func TestReserve(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	s := openStore(t, t.TempDir(), &Options{disk: freeDisk{bytes: free.Load}})
	b := makeBucket(t, s, "full")
	large := noise(300 << 10)
	put(t, b, "file", large)
	look := func(n uint64) {
		free.Store(n)
		s.space.mu.Lock()
		defer s.space.mu.Unlock()
		s.space.seen = s.space.seen.Add(-2 * spaceAge)
	}
	look(DefaultReserve + 1000)
	if _, err := b.Put(t.Context(), "small", bytes.NewReader(large[:10]), nil); err != nil {
		t.Errorf("put of what fits: %v", err)
	}
	look(DefaultReserve + 1000)
	_, err := b.Put(t.Context(), "large", bytes.NewReader(large), &store.PutOptions{Size: int64(len(large))})
	wantNoSpace(t, "put of what does not fit", err)
	look(DefaultReserve - 1)
	_, err = b.Put(t.Context(), "small", bytes.NewReader(large[:10]), nil)
	wantNoSpace(t, "put", err)
	_, err = b.Copy(t.Context(), "copy", "file", nil)
	wantNoSpace(t, "copy", err)
	_, err = b.CreateUpload(t.Context(), "upload", nil)
	wantNoSpace(t, "create upload", err)
	wantNoSpace(t, "create bucket", s.CreateBucket(t.Context(), "other"))
	if !bytes.Equal(get(t, b, "file"), large) {
		t.Error("content is another on a full disk")
	}
	if _, err := b.Delete(t.Context(), "file", nil); err != nil {
		t.Errorf("delete: %v", err)
	}
}

// freeDisk says how much is free on it.
type freeDisk struct {
	osDisk
	bytes func() uint64
}

func (d freeDisk) free(string) (uint64, error) { return d.bytes(), nil }

// fullDisk takes half of each write while it is full.
type fullDisk struct {
	osDisk
	full *bool
}

func (d fullDisk) createUnnamed(string) (diskFile, error) { return nil, errors.ErrUnsupported }

func (d fullDisk) create(path string) (diskFile, error) {
	f, err := d.osDisk.create(path)
	if err != nil {
		return nil, err
	}
	return fullFile{f, d.full}, nil
}

type fullFile struct {
	diskFile
	full *bool
}

func (f fullFile) Write(p []byte) (int, error) {
	if *f.full {
		n, err := f.diskFile.Write(p[:len(p)/2])
		return n, errors.Join(err, &os.PathError{Op: "write", Path: "file", Err: syscall.ENOSPC})
	}
	return f.diskFile.Write(p)
}

func wantNoSpace(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("%s: error is %v, want store.ErrNoSpace", what, err)
	}
}

// TestFullFile has the disk run full in the middle of a file.
func TestFullFile(t *testing.T) {
	full := false
	s := openStore(t, t.TempDir(), &Options{disk: fullDisk{full: &full}})
	b := makeBucket(t, s, "full")
	large := noise(300 << 10)
	put(t, b, "file", large)
	full = true
	_, err := b.Put(t.Context(), "file", bytes.NewReader(large[1:]), nil)
	wantNoSpace(t, "put", err)
	if !bytes.Equal(get(t, b, "file"), large) {
		t.Error("content is another after a put that failed")
	}
	if n := len(blobFiles(t, s)); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
	full = false
	put(t, b, "file", large[1:])
}

// TestFullIndex has the disk run full under the log of the index. That ends all
// writing; what was answered is there when the store is opened again.
func TestFullIndex(t *testing.T) {
	dir := t.TempDir()
	var full atomic.Bool
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	})
	s := openStore(t, dir, &Options{fs: errorfs.Wrap(vfs.Default, inject)})
	b := makeBucket(t, s, "full")
	large := noise(300 << 10)
	put(t, b, "small", large[:1000])
	put(t, b, "file", large)
	full.Store(true)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, err := b.Put(t.Context(), "small", bytes.NewReader(large[:10]), nil)
			wantNoSpace(t, "put", err)
		})
	}
	wg.Wait()
	_, err := b.Put(t.Context(), "other", bytes.NewReader(large), nil)
	wantNoSpace(t, "put", err)
	_, err = b.Delete(t.Context(), "file", nil)
	wantNoSpace(t, "delete", err)
	full.Store(false)
	if !bytes.Equal(get(t, b, "file"), large) {
		t.Error("content is another after the disk was full")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, nil)
	s.sweep() // of files of writes that failed
	b, err = s.Bucket(t.Context(), "full")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(get(t, b, "small")); n != 1000 {
		t.Errorf("%d bytes, want the 1000 that were put", n)
	}
	if !bytes.Equal(get(t, b, "file"), large) {
		t.Error("content is another after the store was opened again")
	}
}

// TestNothingStays counts the files after puts that fail.
func TestNothingStays(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := makeBucket(t, s, "fail")
	large := noise(1 << 20)
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := turn{f: cancel}
	for _, test := range []struct {
		name string
		ctx  context.Context
		r    io.Reader
		opts store.PutOptions
		want error
	}{
		{"Reader", t.Context(), io.MultiReader(bytes.NewReader(large), iotest.ErrReader(broken)), store.PutOptions{}, broken},
		{"Size", t.Context(), bytes.NewReader(large), store.PutOptions{Size: 1<<20 + 1}, store.ErrIncomplete},
		{"Digest", t.Context(), bytes.NewReader(large), store.PutOptions{MD5: make([]byte, 16)}, store.ErrDigest},
		{"SmallDigest", t.Context(), bytes.NewReader(large[:9]), store.PutOptions{MD5: make([]byte, 16)}, store.ErrDigest},
		{"Trailer", t.Context(), bytes.NewReader(large), store.PutOptions{Trailer: func() (store.Checksums, error) { return store.Checksums{}, broken }}, broken},
		{"Late", t.Context(), &late{Reader: *bytes.NewReader(large), put: func() { put(t, b, "late", nil) }}, store.PutOptions{IfNoneMatch: []string{"*"}}, fs.ErrExist},
		{"Cancelled", ctx, io.MultiReader(bytes.NewReader(large), &end, bytes.NewReader(large)), store.PutOptions{}, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := b.Put(test.ctx, "late", test.r, &test.opts)
			if !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			check(t, s)
			if left := blobFiles(t, s); len(left) != 0 {
				t.Errorf("files %v are left over", left)
			}
		})
	}
	if len(s.pins.m) != 0 {
		t.Errorf("%d files are pinned", len(s.pins.m))
	}
}

// late has its key put by another before it ends.
type late struct {
	bytes.Reader
	put  func()
	done bool
}

func (l *late) Read(p []byte) (int, error) {
	if !l.done {
		l.done = true
		l.put()
	}
	return l.Reader.Read(p)
}

// TestGroup holds that calls share one that begins after them.
func TestGroup(t *testing.T) {
	var g group
	var runs atomic.Int64
	first, release := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		g.do(func() error {
			first <- true
			<-release
			return nil
		})
	})
	<-first
	broken := errors.New("broken")
	for range 8 {
		wg.Go(func() {
			if err := g.do(func() error { runs.Add(1); return broken }); err != broken {
				t.Errorf("error is %v, want that of the call", err)
			}
		})
	}
	close(release)
	wg.Wait()
	if n := runs.Load(); n < 1 || n > 8 {
		t.Errorf("%d calls for 8", n)
	}
}
