package diskstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestReclaimFullDisk holds that the space of what is deleted comes back when the disk
// is full, although something is left in all segments.
func TestReclaimFullDisk(t *testing.T) {
	var free, asked atomic.Int64
	free.Store(1 << 40)
	disk := freeDisk{bytes: func() uint64 {
		asked.Add(1)
		return uint64(free.Load())
	}}
	s := openStore(t, t.TempDir(), &Options{segment: 16 << 10, disk: disk})
	b := makeBucket(t, s, "full")
	const keys = 100
	for n := range keys {
		put(t, b, fmt.Sprint(n), noise(1000+n))
	}
	before := len(segmentFiles(t, s))
	free.Store(DefaultReserve - 1)
	for n := range keys {
		if n%10 > 0 {
			if _, err := b.Delete(t.Context(), fmt.Sprint(n), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(s.checkpoint(), s.reclaim()); err != nil {
		t.Fatal(err)
	}
	if after := len(segmentFiles(t, s)); after > before/2 {
		t.Errorf("%d segments of %d are left on a full disk", after, before)
	}
	for n := 0; n < keys; n += 10 {
		if !bytes.Equal(get(t, b, fmt.Sprint(n)), noise(1000+n)) {
			t.Errorf("content of %d is another", n)
		}
	}
	// Where there is no room to move anything either, nobody tries all the time.
	for n := range keys {
		if n%10 == 0 && n%20 > 0 {
			if _, err := b.Delete(t.Context(), fmt.Sprint(n), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	free.Store(0)
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	s.keeper.kick <- struct{}{}
	for len(s.keeper.kick) > 0 {
		time.Sleep(time.Millisecond)
	}
	if err := s.reclaim(); err != nil { // after that which was asked for
		t.Fatal(err)
	}
	if len(s.keeper.kick) > 0 {
		t.Error("what there is no room for asks for itself again")
	}
}

// failOn returns a file system that fails in all that on says, with an error.
func failOn(err error, on func(errorfs.Op) bool) vfs.FS {
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on(op) {
			return err
		}
		return nil
	}))
}

// soon fails if f takes longer than any disk does.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan bool)
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// TestLogFailsInCheckpoint has the log fail when the index is about to be written.
func TestLogFailsInCheckpoint(t *testing.T) {
	var fail atomic.Bool
	dir := t.TempDir()
	s := openStore(t, dir, &Options{NoSync: true, fs: failOn(syscall.EIO, func(op errorfs.Op) bool {
		return fail.Load() && op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, suffix)
	})})
	b := makeBucket(t, s, "fail")
	put(t, b, "k", noise(100))
	fail.Store(true)
	soon(t, "checkpoint", func() {
		if err := s.checkpoint(); !errors.Is(err, syscall.EIO) {
			t.Errorf("checkpoint: %v, want that of the log", err)
		}
	})
	if !bytes.Equal(get(t, b, "k"), noise(100)) {
		t.Error("content is another")
	}
	soon(t, "close", func() { s.Close() })
	fail.Store(false)
	openStore(t, dir, nil)
}

// TestCloseFull closes a store while no table of its index can be written.
func TestCloseFull(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync} {
		var fail atomic.Bool
		dir := t.TempDir()
		s := openStore(t, dir, &Options{fs: failOn(syscall.ENOSPC, func(op errorfs.Op) bool {
			return fail.Load() && op.Kind == kind && strings.HasSuffix(op.Path, ".sst")
		})})
		b := makeBucket(t, s, "full")
		put(t, b, "k", noise(100))
		fail.Store(true)
		s.keeper.kick <- struct{}{}
		soon(t, "close", func() { s.Close() })
		fail.Store(false)
		b, err := openStore(t, dir, nil).Bucket(t.Context(), "full")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(get(t, b, "k"), noise(100)) {
			t.Error("content is another")
		}
	}
}

// TestLostStart damages the start of segments. What was answered is not given up.
func TestLostStart(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		mem := vfs.NewCrashableMem()
		dir := memoryDir(t, mem)
		s := openStore(t, dir, &Options{fs: mem, Reserve: -1, segment: 16 << 10})
		b := makeBucket(t, s, "start")
		for n := range 20 {
			put(t, b, fmt.Sprint(n), noise(2000))
		}
		if checkpoint {
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		put(t, b, "last", noise(10))
		put(t, b, "more", noise(10))
		for id := range s.journal.segments {
			clone := mem.CrashClone(vfs.CrashCloneCfg{})
			f, err := clone.OpenReadWrite(s.journal.path(id), "test")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("damage"), 0); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, &Options{fs: clone, Reserve: -1, NoSweep: true})
			if err == nil {
				b, err := s.Bucket(t.Context(), "start")
				if err != nil {
					t.Error(err)
				} else if got, err := contentOf(b, "last"); err != nil || !bytes.Equal(got, noise(10)) {
					t.Errorf("checkpoint %t, segment %d is damaged: %d bytes, %v", checkpoint, id, len(got), err)
				}
				s.Close()
			} else if !errors.Is(err, errCorrupt) {
				t.Errorf("segment %d: %v, want errCorrupt", id, err)
			}
		}
	}
}

// TestLostIndex opens a store whose index is gone. The log, which still has all, stays.
func TestLostIndex(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	put(t, makeBucket(t, s, "index"), "k", noise(100))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := segmentFiles(t, s)
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(dir, nil); !errors.Is(err, errCorrupt) {
		t.Errorf("open: %v, want errCorrupt", err)
		if err == nil {
			s.Close()
		}
	}
	if after := segmentFiles(t, s); len(after) != len(before) || len(before) == 0 {
		t.Errorf("segments are %q, were %q", after, before)
	}
}
