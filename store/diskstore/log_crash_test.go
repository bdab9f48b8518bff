package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cubby-storage/cubby/store"
)

// history is what happened to a key: all values that it was to have, in order, and
// which of them was answered last. A nil value is none.
type history struct {
	values   [][]byte
	answered int
}

// histories are those of all keys.
type histories struct {
	mu sync.Mutex
	m  map[string]*history
}

func (h *histories) begin(key string, value []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m[key] == nil {
		h.m[key] = &history{values: [][]byte{nil}}
	}
	h.m[key].values = append(h.m[key].values, value)
	return len(h.m[key].values) - 1
}

func (h *histories) answer(key string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.m[key].answered = n
}

// now returns what is known to be answered.
func (h *histories) now() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := make(map[string]int)
	for key, x := range h.m {
		m[key] = x.answered
	}
	return m
}

// logWriter writes to keys of its own.
type logWriter struct {
	*testing.T
	b    store.Bucket
	h    *histories
	name int
	rng  *rand.Rand
	have map[string][]byte // its keys now
}

func (w *logWriter) step() error {
	ctx := context.Background()
	key := fmt.Sprintf("w%d/%d", w.name, w.rng.IntN(6))
	switch w.rng.IntN(8) {
	case 0:
		n := w.h.begin(key, nil)
		if _, err := w.b.Delete(ctx, key, nil); err != nil {
			return err
		}
		w.have[key] = nil
		w.h.answer(key, n)
	case 1, 2:
		src := fmt.Sprintf("w%d/%d", w.name, w.rng.IntN(6))
		if w.have[src] == nil || src == key {
			return nil
		}
		n := w.h.begin(key, w.have[src])
		if _, err := w.b.Copy(ctx, key, src, nil); err != nil {
			return err
		}
		w.have[key] = w.have[src]
		w.h.answer(key, n)
	default:
		content := make([]byte, 1+w.rng.IntN(1<<w.rng.IntN(15)))
		for i := range content {
			content[i] = byte(w.rng.Uint32())
		}
		n := w.h.begin(key, content)
		if _, err := w.b.Put(ctx, key, bytes.NewReader(content), nil); err != nil {
			return err
		}
		w.have[key] = content
		w.h.answer(key, n)
	}
	got, err := contentOf(w.b, key)
	if err != nil || !bytes.Equal(got, w.have[key]) {
		w.Errorf("%s has %d bytes, %v, want the %d that were put", key, len(got), err, len(w.have[key]))
	}
	return nil
}

// contentOf returns nil for an object that is not there.
func contentOf(b store.Bucket, key string) ([]byte, error) {
	o, err := b.Get(context.Background(), key, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer o.Body.Close()
	return io.ReadAll(o.Body)
}

// memoryDir makes the directory of a store in a file system in memory, to stay there
// after a crash.
func memoryDir(t *testing.T, mem *vfs.MemFS) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := mem.MkdirAll(mem.PathJoin(dir, "index"), 0o700); err != nil {
		t.Fatal(err)
	}
	for at := mem.PathJoin(dir, "index"); ; at = mem.PathDir(at) {
		d, err := mem.OpenDir(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			t.Fatal(err)
		}
		if at == mem.PathDir(at) {
			return dir
		}
	}
}

// TestLogBeforeIndex holds that the index has no row on the disk before the log has it.
func TestLogBeforeIndex(t *testing.T) {
	mem := vfs.NewCrashableMem()
	dir := memoryDir(t, mem)
	s := openStore(t, dir, &Options{fs: mem, Reserve: -1, NoSync: true})
	b := makeBucket(t, s, "order")
	for n := range 5 {
		put(t, b, fmt.Sprint(n), noise(1000))
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, &Options{fs: mem.CrashClone(vfs.CrashCloneCfg{}), Reserve: -1, NoSweep: true})
	b, err := s.Bucket(t.Context(), "order")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if !bytes.Equal(get(t, b, fmt.Sprint(n)), noise(1000)) {
			t.Errorf("content of %d is another", n)
		}
	}
}

// TestLogCrash writes to a store, cuts the power, and looks what is there: all that
// was answered, and nothing by halves. Then it goes on with that.
func TestLogCrash(t *testing.T) {
	seeds := 12
	if os.Getenv("CUBBY_LONG") == "1" {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { logCrash(t, uint64(seed)) })
	}
}

func logCrash(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	mem := vfs.NewCrashableMem()
	dir := memoryDir(t, mem)
	opts := Options{
		Inline: 32 << 10, Reserve: -1, NoSync: seed%4 == 3, NoSweep: true,
		segment: 32 << rng.IntN(3) << 10, checkpointSize: 16 << rng.IntN(5) << 10,
	}
	h := &histories{m: make(map[string]*history)}
	for round := range 5 {
		opts.fs = mem
		s, err := Open(dir, &opts)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		b, err := s.Bucket(t.Context(), "crash")
		if round == 0 {
			b = makeBucket(t, s, "crash")
		} else if err != nil {
			t.Fatal(err)
		}
		verifyLog(t, b, h)
		check(t, s)
		liveCounts(t, s)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		mem = writeAndCrash(t, s, b, mem, h, rng)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// writeAndCrash writes with three writers, and returns what the disk has when the
// power goes meanwhile.
func writeAndCrash(t *testing.T, s *Store, b store.Bucket, mem *vfs.MemFS, h *histories, rng *rand.Rand) (after *vfs.MemFS) {
	var steps atomic.Int64
	var wg sync.WaitGroup
	crashAt, kept := int64(rng.IntN(150)), rng.IntN(101)
	crashed := make(chan bool)
	for name := range 3 {
		w := &logWriter{t, b, h, name, rand.New(rand.NewPCG(rng.Uint64(), 1)), make(map[string][]byte)}
		h.mu.Lock()
		for key, x := range h.m {
			w.have[key] = x.values[len(x.values)-1]
		}
		h.mu.Unlock()
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-crashed:
					return
				default:
				}
				if err := w.step(); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				if w.rng.IntN(40) == 0 {
					if err := errors.Join(s.checkpoint(), s.reclaim()); err != nil {
						t.Error(err)
					}
				}
				steps.Add(1)
			}
		})
	}
	for steps.Load() < crashAt && !t.Failed() {
		s.due()
	}
	answered := h.now()
	if s.opts.NoSync {
		clear(answered) // the latest may be lost, each of them whole
	}
	after = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
	close(crashed)
	// What was begun by now may or may not be there.
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, x := range h.m {
		x.answered = answered[key]
		x.values = x.values[:len(x.values):len(x.values)]
	}
	h.mu.Unlock()
	wg.Wait()
	h.mu.Lock()
	for key, x := range h.m {
		x.answered = answered[key]
	}
	return after
}

// verifyLog compares what is there with the histories, which begin again with that.
func verifyLog(t *testing.T, b store.Bucket, h *histories) {
	t.Helper()
	for key, x := range h.m {
		got, err := contentOf(b, key)
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		found := false
		for _, value := range x.values[x.answered:] {
			found = found || bytes.Equal(value, got) && (value == nil) == (got == nil)
		}
		if !found {
			t.Errorf("%s has %d bytes, which is not what was answered, nor written later", key, len(got))
		}
		*x = history{values: [][]byte{got}}
	}
}
