package diskstore

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cubby-storage/cubby/store"
)

// TestUpgrade opens a store of format 1, which was not closed.
func TestUpgrade(t *testing.T) {
	old, err := zip.OpenReader("testdata/format1.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	dir := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(dir, old); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"flushed": strings.Repeat("flushed ", 100), "copy": strings.Repeat("flushed ", 100),
		"file": strings.Repeat("file ", 1000), "inlog": "only in the log of the index", "overwritten": "second",
	}
	for round := range 3 {
		s := openStore(t, dir, nil)
		b, err := s.Bucket(t.Context(), "old")
		if err != nil {
			t.Fatal(err)
		}
		for key, content := range want {
			if got := string(get(t, b, key)); got != content {
				t.Errorf("round %d: %s is %.20q, want %.20q", round, key, got, content)
			}
		}
		report, err := s.Check(t.Context(), &CheckOptions{Content: true})
		if err != nil || len(report.Findings) > 0 {
			t.Errorf("round %d: %+v, %v", round, report, err)
		}
		if round == 1 {
			for _, key := range []string{"flushed", "overwritten"} {
				put(t, b, key, []byte("new"))
				want[key] = "new"
			}
			if _, err := b.Delete(t.Context(), "inlog", nil); err != nil {
				t.Fatal(err)
			}
			delete(want, "inlog")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogFails has the log fail to be written or synced. That ends all writing; what
// was answered is there when the store is opened again.
func TestLogFails(t *testing.T) {
	broken := errors.New("broken")
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWriteAt, errorfs.OpFileSyncData} {
		var fail atomic.Bool
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fail.Load() && op.Kind == kind && strings.HasSuffix(op.Path, suffix) {
				return broken
			}
			return nil
		})
		dir := t.TempDir()
		s := openStore(t, dir, &Options{fs: errorfs.Wrap(vfs.Default, inject)})
		b := makeBucket(t, s, "fail")
		for n := range 10 {
			put(t, b, fmt.Sprint(n), noise(100*n))
		}
		fail.Store(true)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				if _, err := b.Put(t.Context(), "late"+fmt.Sprint(n), bytes.NewReader(noise(10)), nil); !errors.Is(err, broken) {
					t.Errorf("put: %v, want that of the log", err)
				}
			})
		}
		wg.Wait()
		fail.Store(false)
		if _, err := b.Delete(t.Context(), "1", nil); !errors.Is(err, broken) {
			t.Errorf("delete: %v, want that of the log", err)
		}
		for n := range 10 {
			if !bytes.Equal(get(t, b, fmt.Sprint(n)), noise(100*n)) {
				t.Errorf("content of %d is another", n)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if b, err := openStore(t, dir, nil).Bucket(t.Context(), "fail"); err != nil {
			t.Error(err)
		} else {
			for n := range 10 {
				if !bytes.Equal(get(t, b, fmt.Sprint(n)), noise(100*n)) {
					t.Errorf("content of %d is another after the store was opened again", n)
				}
			}
		}
	}
}

// TestLogDamage changes a byte of the log after a crash. At its end that is how a
// write looks that was not answered; before it, something is lost.
func TestLogDamage(t *testing.T) {
	mem := vfs.NewCrashableMem()
	dir := memoryDir(t, mem)
	opts := &Options{fs: mem, Reserve: -1}
	s := openStore(t, dir, opts)
	b := makeBucket(t, s, "damage")
	var ends []int64
	for n := range 4 {
		put(t, b, fmt.Sprint(n), noise(1000))
		ends = append(ends, s.journal.active.used)
	}
	path := s.journal.path(s.journal.active.id)
	for n := range ends {
		clone := mem.CrashClone(vfs.CrashCloneCfg{})
		f, err := clone.OpenReadWrite(path, "test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("damage"), ends[n]-20); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, &Options{fs: clone, Reserve: -1, NoSweep: true})
		if n < len(ends)-2 {
			if !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("damage of record %d: %v, want errCorrupt", n, err)
			}
			continue
		}
		if n == len(ends)-1 && err != nil {
			t.Errorf("the last record is not whole: %v", err)
		}
		if err == nil {
			b, err := s.Bucket(t.Context(), "damage")
			if err != nil {
				t.Fatal(err)
			}
			for k := range n {
				if !bytes.Equal(get(t, b, fmt.Sprint(k)), noise(1000)) {
					t.Errorf("content of %d is another", k)
				}
			}
			s.Close()
		}
	}
}

// segmentFiles returns the names of the segments.
func segmentFiles(t *testing.T, s *Store) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.logDir(), "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestReclaim deletes most of what is in many segments.
func TestReclaim(t *testing.T) {
	dir := t.TempDir()
	opts := &Options{segment: 16 << 10}
	s := openStore(t, dir, opts)
	b := makeBucket(t, s, "reclaim")
	const keys = 120
	content := func(n int) []byte { return noise(30 << 10)[n : n+1000+n%3*7000] }
	for n := range keys {
		put(t, b, fmt.Sprint(n), content(n))
	}
	put(t, b, "large", content(0)[:0:0])
	put(t, b, "large", noise(40<<10)) // more than a segment
	o, err := b.Get(t.Context(), "3", nil)
	if err != nil {
		t.Fatal(err)
	}
	before := len(segmentFiles(t, s))
	for n := range keys {
		if n%10 == 0 {
			if _, err := b.Copy(t.Context(), "copy"+fmt.Sprint(n), fmt.Sprint(n), nil); err != nil {
				t.Fatal(err)
			}
		}
		if n%10 > 1 {
			if _, err := b.Delete(t.Context(), fmt.Sprint(n), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		if err := s.checkpoint(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for n := 0; n < keys; n += 10 {
				if !bytes.Equal(get(t, b, fmt.Sprint(n)), content(n)) {
					t.Errorf("content of %d is another while it is moved", n)
				}
			}
		})
		if err := s.reclaim(); err != nil {
			t.Fatal(err)
		}
		put(t, b, "more", noise(1000))
	}
	wg.Wait()
	check(t, s)
	if after := len(segmentFiles(t, s)); after > before/3 {
		t.Errorf("%d segments of %d are left", after, before)
	}
	if got, err := io.ReadAll(o.Body); err != nil || !bytes.Equal(got, content(3)) {
		t.Errorf("body of what was deleted: %d bytes, %v", len(got), err)
	}
	o.Body.Close()
	verify := func(b store.Bucket) {
		t.Helper()
		for n := range keys {
			if n%10 < 2 && !bytes.Equal(get(t, b, fmt.Sprint(n)), content(n)) {
				t.Errorf("content of %d is another", n)
			}
			if n%10 == 0 && !bytes.Equal(get(t, b, "copy"+fmt.Sprint(n)), content(n)) {
				t.Errorf("content of copy %d is another", n)
			}
		}
		if !bytes.Equal(get(t, b, "large"), noise(40<<10)) {
			t.Error("content of what is larger than a segment is another")
		}
	}
	verify(b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, opts)
	b, err = s.Bucket(t.Context(), "reclaim")
	if err != nil {
		t.Fatal(err)
	}
	verify(b)
	// What the counts say is what there is.
	live := make(map[uint32]int64)
	err = s.scan([]byte{spaceLocation}, func(_, row []byte) error {
		at, err := decodeLocation(row)
		live[at.segment] += footprint(at.length)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, seg := range s.journal.segments {
		if seg.live != live[id] {
			t.Errorf("segment %d has %d live bytes, %d are counted", id, live[id], seg.live)
		}
	}
}

// TestLogGoesOn holds that a log that was closed is gone on with.
func TestLogGoesOn(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		s := openStore(t, dir, nil)
		if n == 0 {
			makeBucket(t, s, "more")
		}
		b, err := s.Bucket(t.Context(), "more")
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, fmt.Sprint(n), noise(100))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if files := segmentFiles(t, s); len(files) != 1 {
			t.Errorf("segments are %q, want one", files)
		}
	}
}

// FuzzRecord reads any bytes as a record. One that is whole has the checksums it says.
func FuzzRecord(f *testing.F) {
	j := &journal{size: segmentSize, segments: make(map[uint32]*segment), active: &segment{}, sealed: true}
	b, err := j.append(&record{id: blobID{1}, content: []byte("content"), sum: checksum([]byte("content")), rows: []byte("rows"), dead: []freed{{7, 300}}})
	if err != nil {
		f.Fatal(err)
	}
	stamp(b.chunks[0].data[headerSize:], 3)
	f.Add(b.chunks[0].data, b.chunks[0].seg.salt)
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, salt uint64) {
		w := &window{f: bytes.NewReader(data), size: int64(len(data))}
		if id := uint32(1); len(data) >= headerSize {
			if salt, ok := parseSegmentHeader(data, id); ok && !bytes.Equal(segmentHeader(id, salt)[:28], data[:28]) {
				t.Error("the start of a segment became another")
			}
		}
		for off := int64(0); off < int64(len(data)); off += 8 {
			h, record, ok, err := w.record(off, salt)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				continue
			}
			content, rows, dead, good := h.parts(record)
			if !good || h.salt != salt || len(content)+len(rows)+len(dead)+headerSize != len(record) || checksum(content) != h.contentSum {
				t.Errorf("record %+v of %d bytes is not whole", h, len(record))
			}
			if list, ok := parseFreed(dead); ok && len(list) > 0 {
				if again, ok := parseFreed(appendFreed(nil, list)); !ok || len(again) != len(list) || again[0] != list[0] {
					t.Errorf("%v became %v", list, again)
				}
			}
			again := make([]byte, headerSize)
			h.put(again)
			stamp(again, h.synced)
			if !bytes.Equal(again, record[:headerSize]) {
				t.Errorf("header %x became %x", record[:headerSize], again)
			}
		}
	})
}
