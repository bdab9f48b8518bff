package server_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/server"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// ending is a context that ends when it was asked for the nth time.
type ending struct {
	context.Context
	n int
}

func (e *ending) Err() error {
	if e.n--; e.n < 0 {
		return context.Canceled
	}
	return nil
}

// TestBackupEnds ends a backup at many of the points where it can end. What is there
// then is none.
func TestBackupEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := server.Starter()
	cfg.Data = dir
	if err := server.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	disk, err := diskstore.Open(filepath.Join(dir, "objects"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.CreateBucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	b, err := disk.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "large", strings.NewReader(strings.Repeat("x", 100<<10)), nil); err != nil {
		t.Fatal(err)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n += 4 {
		dest := filepath.Join(t.TempDir(), "backup")
		_, err := server.Backup(&ending{t.Context(), n}, dir, dest)
		restored := filepath.Join(t.TempDir(), "data")
		_, rerr := server.Restore(t.Context(), dest, restored, nil)
		if err == nil {
			if rerr != nil {
				t.Errorf("restore of a whole backup: %v", rerr)
			}
			if n < 20 {
				t.Errorf("there were only %d points", n)
			}
			return
		}
		if !errors.Is(err, context.Canceled) || !errors.Is(rerr, fs.ErrNotExist) {
			t.Errorf("ended at point %d: %v, restore %v", n, err, rerr)
		}
	}
}
