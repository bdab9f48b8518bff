package diskstore

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// TestFullDisk has the disk run full, and be free again, at random: what there is no
// room for fails with store.ErrNoSpace and changes nothing, deletes are done, and
// when there is room all is as before.
func TestFullDisk(t *testing.T) {
	refused, deleted := 0, 0
	for n := range uint64(400 / stride(20)) {
		rng := rand.New(rand.NewPCG(n, 5))
		d := newTestDisk(nil)
		d.unnamed = n%2 == 0
		s, err := Open(testRoot, d.options())
		if err != nil {
			t.Fatal(err)
		}
		model, real := newModel("", modelBuckets...), newSide(s, "")
		for _, name := range modelBuckets {
			if err := s.CreateBucket(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		m := &maker{rng: rng, model: model, buckets: modelBuckets}
		for range 60 {
			if rng.IntN(6) == 0 {
				d.low.Store(rng.IntN(2) == 0)
				d.full.Store(rng.IntN(2) == 0)
				s.space.mu.Lock()
				s.space.seen = time.Time{}
				s.space.mu.Unlock()
			}
			st := m.next()
			full := d.low.Load() || d.full.Load()
			got, err := st.do(t.Context(), real)
			if full && errors.Is(err, store.ErrNoSpace) {
				if strings.Contains(st.name, ": delete ") || strings.Contains(st.name, "abort") {
					t.Fatalf("sequence %d: %s: %v", n, st.name, err)
				}
				refused++
				continue
			}
			want, werr := st.do(t.Context(), model)
			if got != want || causeOf(err) != causeOf(werr) {
				t.Fatalf("sequence %d: %s:\nis      %s, error %v\nand not %s, error %v", n, st.name, got, err, want, werr)
			}
			if full && strings.Contains(st.name, ": delete ") {
				deleted++
			}
		}
		d.low.Store(false)
		d.full.Store(false)
		_, err = settle(t.Context(), real, model, nil)
		if err == nil {
			err = inspect(t.Context(), s, true)
		}
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatalf("sequence %d: %v", n, err)
		}
	}
	if refused == 0 || deleted == 0 {
		t.Errorf("%d steps were refused and %d deletes done while the disk was full, want some of both", refused, deleted)
	}
}

// secondDir is what a process that TestSecondProcess starts is to open.
const secondDir = "CUBBY_SECOND_DIR"

// TestSecondProcess holds that a directory can be open in one process only.
func TestSecondProcess(t *testing.T) {
	if dir := os.Getenv(secondDir); dir != "" {
		s, err := Open(dir, nil)
		if errors.Is(err, ErrInUse) {
			os.Exit(7)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	open := func() error {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSecondProcess$")
		cmd.Env = append(os.Environ(), secondDir+"="+dir)
		return cmd.Run()
	}
	if err, ok := errors.AsType[*exec.ExitError](open()); !ok || err.ExitCode() != 7 {
		t.Errorf("a second process opened the store (%v), want ErrInUse", err)
	}
	put(t, makeBucket(t, s, "first"), "k", []byte("still here"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Errorf("a process could not open the store after it was closed: %v", err)
	}
}
