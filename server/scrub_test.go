package server

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// TestScrubRate follows from the size, within bounds.
func TestScrubRate(t *testing.T) {
	for bytes, want := range map[int64]int64{
		0: scrubSlowest, 1 << 30: scrubSlowest, 20 << 40: (20 << 40) / (15 * 86400), 1 << 50: scrubFastest, 1 << 62: scrubFastest,
	} {
		if got := scrubRate(bytes, scrubEvery); got != want {
			t.Errorf("%d bytes are read at %d a second, want %d", bytes, got, want)
		}
	}
}

// TestScrub reads slowly, tells of damage, and goes on after the server was ended.
func TestScrub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, dir := newLogbook(t), t.TempDir()
		disk := must(diskstore.Open(filepath.Join(dir, "objects"), nil))
		defer disk.Close()
		if err := disk.CreateBucket(t.Context(), "media"); err != nil {
			t.Fatal(err)
		}
		b := must(disk.Bucket(t.Context(), "media"))
		for _, key := range []string{"a", "b", "c"} {
			must(b.Put(t.Context(), key, bytes.NewReader(make([]byte, 10<<20)), nil))
		}
		must(b.Copy(t.Context(), "d", "b", nil))
		db := must(state.Open(filepath.Join(dir, "state.db"), nil))
		defer db.Close()
		open := func(every time.Duration) *scrubber {
			s := &scrubber{disk: disk, db: db, log: log.logger(), every: every}
			if err := s.load(t.Context()); err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open(30 * day)
		if st := s.state(); st.Every != "30d" || st.Running || st.Last != nil {
			t.Errorf("before the first time: %+v", st)
		}
		began := time.Now()
		if err := s.once(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if took < 40*time.Second || took > 50*time.Second {
			t.Errorf("40 MiB took %v, want one second for each", took)
		}
		if last := s.state().Last; last.Objects != 4 || last.Bytes != 40<<20 || last.Rate != 1<<20 || last.Found != 0 || last.Ended.Sub(last.Started) != took {
			t.Errorf("it says %+v", last)
		}
		if text := log.rest(); !strings.Contains(text, "all content was read") || strings.Contains(text, "level=ERROR") {
			t.Errorf("the log says %s", text)
		}

		// Another process knows when that was, and waits.
		s = open(2 * time.Hour)
		if last := s.state().Last; last == nil || !last.Started.Equal(began) {
			t.Fatalf("after a restart: %+v", last)
		}
		go s.run(t.Context())
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if text := log.rest(); text != "" {
			t.Errorf("too early: %s", text)
		}
		damaged := 0
		for _, name := range must(filepath.Glob(filepath.Join(dir, "objects", "blobs", "*", "*"))) {
			text := must(os.ReadFile(name))
			text[5<<20] ^= 1
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
			damaged++
		}
		time.Sleep(2*time.Hour - time.Since(began) + 10*time.Second)
		synctest.Wait()
		if st := s.state(); !st.Running || st.Total != 40<<20 || st.Done == 0 || st.Done > 12<<20 {
			t.Errorf("while it reads: %+v", st)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		st := s.state()
		if st.Running || st.Last.Found != 4 || len(st.Last.Findings) != 4 || st.Last.Findings[0].Key != "a" || damaged != 3 {
			t.Errorf("it says %+v", st)
		}
		if text := log.rest(); strings.Count(text, "level=ERROR") != 4 || !strings.Contains(text, "kind=damaged bucket=media key=b") {
			t.Errorf("the log says %s", text)
		}
		if again := open(0).state(); again.Every != "none" || again.Last.Found != 4 {
			t.Errorf("after a restart: %+v", again)
		}
		open(0).run(t.Context()) // never
	})
}

// TestScrubFails tries again, and says why.
func TestScrubFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, dir := newLogbook(t), t.TempDir()
		disk := must(diskstore.Open(filepath.Join(dir, "objects"), nil))
		db := must(state.Open(filepath.Join(dir, "state.db"), nil))
		defer db.Close()
		if err := disk.Close(); err != nil {
			t.Fatal(err)
		}
		s := &scrubber{disk: disk, db: db, log: log.logger(), every: 30 * day}
		go s.run(t.Context())
		time.Sleep(2*scrubAgain + time.Hour)
		synctest.Wait()
		if st := s.state(); st.Error == "" || st.Running || st.Last != nil {
			t.Errorf("it says %+v", st)
		}
		if n := strings.Count(log.rest(), "was not read to its end"); n != 3 {
			t.Errorf("it was tried %d times", n)
		}
	})
}

// TestStatus is told to operators.
func TestStatus(t *testing.T) {
	w := newWorld(t, &setup{opts: Options{Store: openDisk(t, nil)}})
	st := read[Status](w.as(w.operator, "GET", wellKnown+statusDocument, ""), 200)
	if st.Scrub.Every != "30d" || st.Rules.Version != w.srv.Rules().Version {
		t.Errorf("it is %+v", st)
	}
	w = newWorld(t, nil)
	if st := read[Status](w.as(w.operator, "GET", wellKnown+statusDocument, ""), 200); st.Scrub.Every != "none" {
		t.Errorf("without an embedded store it is %+v", st)
	}
}
