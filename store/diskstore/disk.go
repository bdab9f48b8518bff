package diskstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is what the store does with files other than those of its index. Tests
// have one that fails, or loses what was not synced.
type disk interface {
	// resolve returns the one name of a directory that is there.
	resolve(dir string) (string, error)
	// mkdirAll makes a directory and those above it, as far as they are not there.
	mkdirAll(dir string) error
	// syncDir waits until the names in a directory are on the disk.
	syncDir(dir string) error
	// list calls f with the names in a directory until it fails.
	list(dir string, f func(name string) error) error
	// create makes a file for writing, where none must be.
	create(path string) (diskFile, error)
	// createUnnamed makes a file in dir that has no name until link gives it one.
	// Not every disk can.
	createUnnamed(dir string) (diskFile, error)
	// open opens a file for reading. What it returns is an *os.File if it is a file
	// of the operating system, which net/http sends without copying.
	open(path string) (io.ReadSeekCloser, error)
	// link gives a file a second name, which must be free.
	link(from, to string) error
	// rename gives a file another name.
	rename(from, to string) error
	// remove removes a name.
	remove(path string) error
	// stat describes a file, and not what a symbolic link leads to.
	stat(path string) (fs.FileInfo, error)
	// free returns how many bytes are free on the file system of dir.
	free(dir string) (uint64, error)
}

// diskFile is a file that is being written.
type diskFile interface {
	io.WriteCloser
	// link names a file that has no name. The name must be free.
	link(path string) error
	// syncData waits until the content is on the disk.
	syncData() error
	// startFlush has the disk write a piece, without waiting for it.
	startFlush(offset, length int64)
}

// osDisk is the disk of the operating system.
type osDisk struct{}

func (osDisk) resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

func (osDisk) mkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osDisk) syncDir(dir string) error { return syncDir(dir) }

func (osDisk) list(dir string, f func(name string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(256)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (osDisk) create(path string) (diskFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) createUnnamed(dir string) (diskFile, error) {
	f, err := openUnnamed(dir)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) open(path string) (io.ReadSeekCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // and not a nil *os.File
	}
	return f, nil
}

func (osDisk) link(from, to string) error { return os.Link(from, to) }

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) stat(path string) (fs.FileInfo, error) { return os.Lstat(path) }

func (osDisk) free(dir string) (uint64, error) {
	u, err := vfs.Default.GetDiskUsage(dir)
	return u.AvailBytes, err
}

type osFile struct{ *os.File }

func (f osFile) link(path string) error { return link(f.File, path) }

func (f osFile) syncData() error { return syncData(f.File) }

func (f osFile) startFlush(offset, length int64) { startFlush(f.File, offset, length) }

// syncAbove waits until the names of a directory and of those above it are on the
// disk: they may be new, from an attempt before this one too.
func syncAbove(d disk, dir string) error {
	for up := filepath.Dir(dir); up != dir; dir, up = up, filepath.Dir(up) {
		// What cannot be read or written to is not new.
		err := d.syncDir(up)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EINVAL) {
			return err
		}
	}
	return nil
}
