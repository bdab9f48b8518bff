package diskstore

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// check compares everything that the store holds with what its rows refer to:
// nothing may be missing, left over, or counted wrongly.
func check(t *testing.T, s *Store) {
	t.Helper()
	if s.closed || s.failed.Load() != nil {
		return
	}
	for s.reaping() {
		runtime.Gosched()
	}
	report, err := s.Check(context.Background(), nil) // that of the test may have ended
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("%s: %s/%s blob %q: %s", f.Kind, f.Bucket, f.Key, f.Blob, f.Text)
	}
}

// reaping reports whether files are still to be removed.
func (s *Store) reaping() bool {
	s.reaper.mu.Lock()
	defer s.reaper.mu.Unlock()
	return s.reaper.busy
}

// blobFiles returns the paths of all files of the store, but not those of its index.
func blobFiles(t *testing.T, s *Store) []string {
	t.Helper()
	var paths []string
	for _, dir := range []string{"blobs", "tmp"} {
		err := filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}
