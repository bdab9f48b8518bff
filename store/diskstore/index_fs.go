package diskstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// indexFS is the file system that Pebble sees. Pebble takes the process down, or
// hangs, when it cannot write the log or the list of its tables. Here such an error
// ends all writing to the store instead: Pebble is told that all is well, and from
// then on nothing of what it does but new tables reaches the disk, so that what is
// there stays what it was, for the next Open, which removes the tables. Writers learn
// of it by guard. Errors in the writing of tables are Pebble's to handle.
type indexFS struct {
	vfs.FS
	s   *Store
	dir string // of the index; a backup is made in another
}

// retryAfter is how long Pebble waits after an error.
const retryAfter = 20 * time.Millisecond

// vital reports whether Pebble cannot go on without the file, which is any but a table.
func (f *indexFS) vital(name string) bool {
	return f.within(name) && !strings.HasSuffix(name, ".sst")
}

func (f *indexFS) within(name string) bool { return f.PathDir(name) == f.dir }

func (f *indexFS) frozen() bool { return f.s.failed.Load() != nil }

// freeze ends all writing if err is not nil.
func (f *indexFS) freeze(op, name string, err error) {
	if err != nil {
		f.s.fail(fmt.Errorf("index: %s %s: %w", op, f.PathBase(name), err))
		f.s.log.Error("index of the store cannot be written", "err", err)
	}
}

// make makes a file.
func (f *indexFS) make(name string, do func() (vfs.File, error)) (vfs.File, error) {
	vital := f.vital(name)
	if vital && !f.frozen() && strings.HasPrefix(f.PathBase(name), "marker.") {
		// The file that it points to is to be there before it.
		f.freeze("sync", name, f.syncDir(f.PathDir(name)))
	}
	if vital && f.frozen() {
		return &indexFile{vfs.NewMemFile(nil), f, name}, nil
	}
	if f.within(name) && strings.HasSuffix(name, ".sst") {
		// Rows are not on the disk before the log is. If that failed there is no
		// list of tables that this one gets into, and who waits for it need not wait.
		if err := f.s.journal.flush(); err != nil {
			f.s.fail(err)
		}
	}
	file, err := do()
	switch {
	case err == nil && vital:
		return &indexFile{file, f, name}, nil
	case err != nil && vital:
		f.freeze("create", name, err)
		return &indexFile{vfs.NewMemFile(nil), f, name}, nil
	case err != nil && f.within(name):
		f.pause()
	}
	return file, err
}

// pause has Pebble wait after an error, since it tries again at once.
func (f *indexFS) pause() {
	select {
	case <-f.s.stop:
	case <-time.After(retryAfter):
	}
}

func (f *indexFS) syncDir(dir string) error {
	d, err := f.FS.OpenDir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Create implements [vfs.FS].
func (f *indexFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.make(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

// ReuseForWrite implements [vfs.FS].
func (f *indexFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.make(to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

// OpenDir implements [vfs.FS].
func (f *indexFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil || name != f.dir {
		return file, err
	}
	return &indexFile{file, f, name}, nil
}

// Remove implements [vfs.FS].
func (f *indexFS) Remove(name string) error {
	if f.within(name) && f.frozen() {
		return nil
	}
	return f.FS.Remove(name)
}

// RemoveAll implements [vfs.FS].
func (f *indexFS) RemoveAll(name string) error {
	if f.within(name) && f.frozen() {
		return nil
	}
	return f.FS.RemoveAll(name)
}

// Rename implements [vfs.FS].
func (f *indexFS) Rename(from, to string) error {
	if !f.within(to) {
		return f.FS.Rename(from, to)
	}
	if !f.frozen() {
		f.freeze("rename", to, f.FS.Rename(from, to))
	}
	return nil
}

// Link implements [vfs.FS].
func (f *indexFS) Link(from, to string) error {
	if f.within(to) && f.frozen() {
		return *f.s.failed.Load()
	}
	return f.FS.Link(from, to)
}

// Unwrap implements [vfs.FS].
func (f *indexFS) Unwrap() vfs.FS { return f.FS }

// indexFile is a vital file, or a directory.
type indexFile struct {
	vfs.File
	fs   *indexFS
	name string
}

// do changes the file, unless that has ended.
func (f *indexFile) do(op string, do func() error) {
	if !f.fs.frozen() {
		f.fs.freeze(op, f.name, do())
	}
}

// Write implements [vfs.File].
func (f *indexFile) Write(p []byte) (int, error) {
	f.do("write", func() error {
		_, err := f.File.Write(p)
		return err
	})
	return len(p), nil
}

// WriteAt implements [vfs.File].
func (f *indexFile) WriteAt(p []byte, at int64) (int, error) {
	f.do("write", func() error {
		_, err := f.File.WriteAt(p, at)
		return err
	})
	return len(p), nil
}

// Sync implements [vfs.File].
func (f *indexFile) Sync() error {
	f.do("sync", f.File.Sync)
	return nil
}

// SyncData implements [vfs.File].
func (f *indexFile) SyncData() error {
	f.do("sync", f.File.SyncData)
	return nil
}

// SyncTo implements [vfs.File].
func (f *indexFile) SyncTo(length int64) (full bool, err error) {
	f.do("sync", func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, nil
}

// Preallocate implements [vfs.File]. It only saves time, so errors do not matter.
func (f *indexFile) Preallocate(offset, length int64) error {
	if !f.fs.frozen() {
		_ = f.File.Preallocate(offset, length)
	}
	return nil
}
