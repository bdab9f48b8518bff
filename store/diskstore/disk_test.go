package diskstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// testRoot is where the store is on a testDisk.
const testRoot = "/data/store"

// testDisk is a disk in memory, for the index and for all else. Everything that
// changes it is counted. One change can be made to fail, and before one the power
// can be cut: what is on the disk then is another disk, while those who write to
// this one go on.
type testDisk struct {
	mem *vfs.MemFS
	// unnamed says that files can be made that have no name.
	unnamed bool
	// eager has names that are removed gone at once, other than those that are made,
	// which are there for sure when their directory was synced.
	eager bool
	full  atomic.Bool // no byte of a blob can be written, and no file of one made
	low   atomic.Bool // nothing is free, as the disk says

	n       atomic.Int64 // changes so far
	files   atomic.Int64 // files without a name so far
	failAt  int64        // the number of the change to fail, if above 0
	failure error
	short   bool // half of what is to be written is
	cutAt   int64
	keep    int // percent of what was not synced that is there afterwards
	rng     *rand.Rand

	mu     sync.RWMutex // held for reading by who changes something
	left   *vfs.MemFS   // what a power cut left
	failed atomic.Pointer[string]
	trace  func(op, name string) // is told each change
}

func newTestDisk(mem *vfs.MemFS) *testDisk {
	if mem == nil {
		mem = vfs.NewCrashableMem()
		dir, err := mem.OpenDir("/")
		if err == nil {
			err = errors.Join(dir.Sync(), dir.Close())
		}
		if err != nil {
			panic(err)
		}
	}
	return &testDisk{mem: mem}
}

// options are those of a store on the disk.
func (d *testDisk) options() *Options {
	return &Options{Inline: 256, fs: &testFS{d.mem, d}, disk: &memDisk{&testFS{d.mem, d}, d}}
}

// isCut reports whether the power was cut.
func (d *testDisk) isCut() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.left != nil
}

// cut makes what a power cut would leave now.
func (d *testDisk) cut() *vfs.MemFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == nil {
		d.left = d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: d.keep, RNG: d.rng})
	}
	return d.left
}

// change does something to the disk, unless that fails before.
func (d *testDisk) change(op, name string, do func() error) error {
	n := d.n.Add(1)
	if d.trace != nil {
		d.trace(op, name)
	}
	if n == d.cutAt {
		d.cut()
	}
	if n == d.failAt {
		what := fmt.Sprintf("%s %s: %v", op, name, d.failure)
		d.failed.Store(&what)
		return &os.PathError{Op: op, Path: name, Err: d.failure}
	}
	if d.full.Load() && !strings.HasPrefix(name, testRoot+"/index") && !strings.HasPrefix(name, testRoot+"/log") && (op == "write" || op == "create" || op == "link") {
		return &os.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	err := do()
	if err == nil && op == "remove" && d.eager {
		dir, err := d.mem.OpenDir(path.Dir(name))
		if err != nil {
			return err
		}
		return errors.Join(dir.Sync(), dir.Close())
	}
	return err
}

// testFS is the disk as the index sees it.
type testFS struct {
	vfs.FS
	d *testDisk
}

func (f *testFS) file(op, name string, open func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.d.change(op, name, func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &testFile{file, f.d, name}, nil
}

func (f *testFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("create", name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *testFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file("create", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *testFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("rename", to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *testFS) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &testFile{dir, f.d, name}, nil
}

func (f *testFS) Link(from, to string) error {
	return f.d.change("link", to, func() error { return f.FS.Link(from, to) })
}

func (f *testFS) Remove(name string) error {
	return f.d.change("remove", name, func() error { return f.FS.Remove(name) })
}

func (f *testFS) RemoveAll(name string) error {
	return f.d.change("remove", name, func() error { return f.FS.RemoveAll(name) })
}

func (f *testFS) Rename(from, to string) error {
	return f.d.change("rename", to, func() error { return f.FS.Rename(from, to) })
}

func (f *testFS) MkdirAll(dir string, mode os.FileMode) error {
	return f.d.change("mkdir", dir, func() error { return f.FS.MkdirAll(dir, mode) })
}

func (f *testFS) Lock(name string) (c io.Closer, err error) {
	err = f.d.change("create", name, func() (err error) {
		c, err = f.FS.Lock(name)
		return err
	})
	return c, err
}

func (f *testFS) Unwrap() vfs.FS { return f.FS }

// testFile is a file that is written to, or a directory.
type testFile struct {
	vfs.File
	d    *testDisk
	name string
}

func (f *testFile) Write(p []byte) (n int, err error) {
	err = f.d.change("write", f.name, func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	if err != nil && n == 0 && f.d.short && errors.Is(err, f.d.failure) {
		n, _ = f.File.Write(p[:len(p)/2])
	}
	return n, err
}

func (f *testFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.d.change("write", f.name, func() (err error) {
		n, err = f.File.WriteAt(p, at)
		return err
	})
	return n, err
}

func (f *testFile) Sync() error { return f.d.change("sync", f.name, f.File.Sync) }

func (f *testFile) SyncData() error { return f.d.change("sync", f.name, f.File.SyncData) }

// memDisk is a testDisk as the store sees it.
type memDisk struct {
	*testFS
	d *testDisk
}

var _ disk = (*memDisk)(nil)

func (m *memDisk) resolve(dir string) (string, error) { return dir, nil }

func (m *memDisk) mkdirAll(dir string) error { return m.MkdirAll(dir, 0o700) }

func (m *memDisk) syncDir(dir string) error {
	f, err := m.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (m *memDisk) list(dir string, f func(name string) error) error {
	names, err := m.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := f(name); err != nil {
			return err
		}
	}
	return nil
}

func (m *memDisk) create(name string) (diskFile, error) {
	if _, err := m.Stat(name); err == nil {
		return nil, &os.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f, err := m.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &memFile{File: f, m: m}, nil
}

func (m *memDisk) createUnnamed(string) (diskFile, error) {
	if !m.d.unnamed {
		return nil, errors.ErrUnsupported
	}
	name := fmt.Sprintf("/unnamed/%d", m.d.files.Add(1))
	if err := m.d.mem.MkdirAll("/unnamed", 0o700); err != nil {
		return nil, err
	}
	f, err := m.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &memFile{File: f, m: m, name: name}, nil
}

func (m *memDisk) open(name string) (io.ReadSeekCloser, error) {
	f, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &memReader{*io.NewSectionReader(f, 0, info.Size()), f}, nil
}

func (m *memDisk) link(from, to string) error { return m.Link(from, to) }

func (m *memDisk) rename(from, to string) error { return m.Rename(from, to) }

func (m *memDisk) remove(name string) error { return m.Remove(name) }

func (m *memDisk) stat(name string) (fs.FileInfo, error) { return m.Stat(name) }

func (m *memDisk) free(string) (uint64, error) {
	if m.d.low.Load() {
		return 0, nil
	}
	return 1 << 40, nil
}

type memFile struct {
	vfs.File
	m      *memDisk
	name   string // that it is kept under while it has none
	closed bool
}

// Close may be called again, as that of an os.File.
func (f *memFile) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return f.File.Close()
}

func (f *memFile) link(to string) error {
	if err := f.m.Link(f.name, to); err != nil {
		return err
	}
	return f.m.d.mem.Remove(f.name)
}

func (f *memFile) syncData() error { return f.SyncData() }

func (f *memFile) startFlush(int64, int64) {}

type memReader struct {
	io.SectionReader
	f vfs.File
}

func (r *memReader) Close() error { return r.f.Close() }

// clean reports whether the store says that nothing is to be swept.
func (d *testDisk) clean() bool {
	_, err := d.mem.Stat(testRoot + "/clean")
	return err == nil
}
