package diskstore

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
)

// sweep removes the files that no row refers to: what a crash left over, and
// what could not be removed while it was read.
func (s *Store) sweep() {
	s.swept.Store(true)
	dirs := []string{s.tmpDir()}
	for n := range shards {
		dirs = append(dirs, s.shardDir(n))
	}
	for _, dir := range dirs {
		if err := s.sweepDir(dir); err != nil {
			s.swept.Store(false)
			if !errors.Is(err, fs.ErrClosed) {
				s.log.Warn("sweep of the store", slog.String("err", err.Error()))
			}
			return
		}
	}
}

func (s *Store) sweepDir(dir string) error {
	return s.disk.list(dir, func(name string) error {
		select {
		case <-s.stop:
			return fs.ErrClosed
		default:
		}
		return s.sweepFile(dir, name)
	})
}

func (s *Store) sweepFile(dir, name string) error {
	id, ok := parseBlobID(name)
	// A file of a write under way is pinned from before it has a name until after
	// it has a row, so it is seen by one of these two looks, in this order.
	if !ok || s.pins.has(id) {
		return nil
	}
	if dir != s.tmpDir() {
		err := s.view(blobKey(spaceRefs, id), func([]byte) error { return nil })
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// It may have been read when it was looked at first, and be so still.
		if s.pins.has(id) {
			return nil
		}
	}
	s.unlink(filepath.Join(dir, name))
	return nil
}
