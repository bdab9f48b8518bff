package diskstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

// TestBackup backs up a store that is written to, and opens the copy.
func TestBackup(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		s := openStore(t, t.TempDir(), &Options{NoSync: noSync, Inline: 1 << 10})
		b := makeBucket(t, s, "busy")
		if noSync {
			setVersioning(t, b, store.Enabled)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				// Without syncs they would leave the backup no time.
				for n := 0; ctx.Err() == nil && (!noSync || n < 100); n++ {
					if err := busyWrite(ctx, b, w, n); err != nil && ctx.Err() == nil {
						t.Errorf("write: %v", err)
						return
					}
				}
			})
		}
		content := noise(8 << 10)
		for round := range 2 {
			for n := range 10 {
				put(t, b, "answered"+strconv.Itoa(n), content[round:round+100*(n+1)*(1+round)])
			}
			dir := filepath.Join(t.TempDir(), "backup")
			report, err := s.Backup(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				t.Errorf("%s: %s %s: %s", f.Kind, f.Key, f.Blob, f.Text)
			}
			// What happens to the store afterwards is nothing to the copy.
			if _, err := b.Delete(t.Context(), "answered3", nil); err != nil {
				t.Fatal(err)
			}
			restored := openStore(t, dir, nil)
			rb, err := restored.Bucket(t.Context(), "busy")
			if err != nil {
				t.Fatal(err)
			}
			for n := range 10 {
				got := get(t, rb, "answered"+strconv.Itoa(n))
				if want := content[round : round+100*(n+1)*(1+round)]; !bytes.Equal(got, want) {
					t.Errorf("object %d has %d bytes in the copy, want %d", n, len(got), len(want))
				}
			}
			report, err = restored.Check(t.Context(), &CheckOptions{Content: true})
			if err != nil || len(report.Findings) > 0 {
				t.Errorf("the copy: %+v, %v", report, err)
			}
		}
		stop()
		wg.Wait()
	}
}

func TestBackupRefuses(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := makeBucket(t, s, "media")
	put(t, b, "file", noise(200<<10))
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), full); !errors.Is(err, fs.ErrExist) {
		t.Errorf("into a directory that is not empty: %v, want fs.ErrExist", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Backup(ctx, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}

// TestHold keeps files while there is a hold, whatever happens to their objects.
func TestHold(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := makeBucket(t, s, "media")
	for _, key := range []string{"deleted", "replaced", "read"} {
		put(t, b, key, noise(200<<10))
	}
	files := func(want int) {
		t.Helper()
		if n := len(blobFiles(t, s)); n != want {
			t.Errorf("%d files, want %d", n, want)
		}
	}
	first, second := s.pins.hold(s), s.pins.hold(s)
	o, err := b.Get(t.Context(), "read", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.DeleteMany(t.Context(), []store.Target{{Key: "deleted"}, {Key: "read"}}); err != nil {
		t.Fatal(err)
	}
	put(t, b, "replaced", noise(10))
	files(3)
	first()
	files(3)
	second()
	files(1)
	if _, err := io.Copy(io.Discard, o.Body); err != nil {
		t.Error(err)
	}
	o.Body.Close()
	files(0)
	if _, err := b.Stat(t.Context(), "read", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat: %v, want fs.ErrNotExist", err)
	}
	if _, err := b.Delete(t.Context(), "replaced", nil); err != nil {
		t.Error(err)
	}
}
