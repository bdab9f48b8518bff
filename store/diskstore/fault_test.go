package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cubby-storage/cubby/store"
)

// script is a sequence of steps with one of everything in it, on both sides of what
// is kept in the index.
func script() []step {
	put := func(key string, n int) step {
		return on("alpha", fmt.Sprintf("put %s, %d bytes", key, n), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
			info, err := b.Put(ctx, key, bytes.NewReader(noise(n)), &store.PutOptions{Tags: map[string]string{"n": fmt.Sprint(n)}})
			if err != nil {
				return "", err
			}
			return describe(info), nil
		})
	}
	copyTo := func(bucket, dst, src string) step {
		return on(bucket, "copy "+dst, func(ctx context.Context, s *side, b store.Bucket) (string, error) {
			from, err := s.svc.Bucket(ctx, "alpha")
			if err != nil {
				return "", err
			}
			_, err = b.Copy(ctx, dst, src, &store.CopyOptions{From: from})
			return "", err
		})
	}
	create := func(n int, key string) step {
		return on("alpha", "create upload of "+key, func(ctx context.Context, s *side, b store.Bucket) (string, error) {
			u, err := b.CreateUpload(ctx, key, &store.PutOptions{Owner: "ann"})
			if err != nil {
				return "", err
			}
			s.uploads[n] = openUpload{"alpha", key, u.ID}
			return "", nil
		})
	}
	part := func(n, number, size int) step {
		return inUpload(n, fmt.Sprintf("put part %d, %d bytes", number, size), func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
			_, err := b.PutPart(ctx, u.key, u.id, number, bytes.NewReader(noise(size)), nil)
			return "", err
		})
	}
	copyPart := func(n, number int, src string) step {
		return inUpload(n, "copy part of "+src, func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
			_, err := b.CopyPart(ctx, u.key, u.id, number, src, nil)
			return "", err
		})
	}
	complete := func(n int, numbers ...int) step {
		return inUpload(n, "complete", func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
			var named []store.Part
			for _, number := range numbers {
				named = append(named, store.Part{Number: number})
			}
			_, err := b.CompleteUpload(ctx, u.key, u.id, named, &store.CompleteOptions{MinPart: 1})
			return "", err
		})
	}
	abort := func(n int) step {
		return inUpload(n, "abort", func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
			return "", b.AbortUpload(ctx, u.key, u.id, nil)
		})
	}
	tags := on("alpha", "set tags", func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		return "", b.SetTags(ctx, "file", map[string]string{"a": "b"}, nil)
	})
	many := on("alpha", "delete many", func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		_, err := b.DeleteMany(ctx, []store.Target{{Key: "file"}, {Key: "small"}})
		return "", err
	})
	many.each = []step{removeStep("alpha", "file", nil), removeStep("alpha", "small", nil)}
	return []step{
		createBucket("alpha"), createBucket("beta"),
		put("small", 100), put("file", 2000), put("empty", 0),
		put("file", 9000), put("small", 50), tags, flushIndex,
		copyTo("beta", "copy", "file"), copyTo("alpha", "small2", "small"),
		create(1, "parts"), part(1, 1, 1000), part(1, 2, 10), part(1, 1, 1200), copyPart(1, 3, "file"), part(1, 4, 700),
		complete(1, 1, 2, 3),
		create(2, "gone"), part(2, 1, 3000), copyPart(2, 2, "parts"), flushIndex, abort(2),
		copyTo("alpha", "parts2", "parts"), removeStep("alpha", "parts", nil), put("parts2", 300), compactIndex,
		many, removeStep("beta", "copy", nil), deleteBucket("beta"),
		put("file", 4000), create(3, "open"), part(3, 1, 5000), flushIndex,
	}
}

// flushIndex has the index write its tables. The model has none.
var flushIndex = step{name: "flush", do: func(_ context.Context, s *side) (string, error) {
	if s, ok := s.svc.(*Store); ok {
		return "", diskError(s.guard(s.db.Flush))
	}
	return "", nil
}}

var compactIndex = step{name: "compact", do: func(ctx context.Context, s *side) (string, error) {
	if s, ok := s.svc.(*Store); ok {
		return "", diskError(s.guard(func() error { return s.db.Compact(ctx, []byte{0}, []byte{255}, false) }))
	}
	return "", nil
}}

// scriptRun is a run of the script on a disk, on which one change fails or before
// one of which the power is cut.
type scriptRun struct {
	d     *testDisk
	steps []step
	model *side
	side  *side
	under *step
	log   []string
	fault error
}

func (r *scriptRun) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// explained returns an error unless err says what the fault was.
func (r *scriptRun) explained(what string, err error) error {
	want := r.fault
	if want == syscall.ENOSPC {
		want = store.ErrNoSpace
	}
	if r.d.failed.Load() == nil || !errors.Is(err, want) {
		return fmt.Errorf("%s: error %w, want one that is %v", what, err, want)
	}
	r.note("%s: %v", what, err)
	return nil
}

// open opens the store. The store is nil if the fault kept it from that.
func (r *scriptRun) open() (*Store, error) {
	s, err := Open(testRoot, r.d.options())
	if err != nil {
		return nil, r.explained("open", err)
	}
	r.side.svc = s
	return s, nil
}

// half does the steps up to one that ends the store, or until the power is cut, and
// closes the store.
func (r *scriptRun) half(ctx context.Context, steps int) error {
	s, err := r.open()
	if s == nil {
		return err
	}
	for range steps {
		if r.under != nil || len(r.steps) == 0 || r.d.isCut() {
			break
		}
		if err := r.step(ctx, s); err != nil {
			s.Close()
			return err
		}
	}
	if err := s.Close(); err != nil {
		return r.explained("close", err)
	}
	return nil
}

func (r *scriptRun) step(ctx context.Context, s *Store) error {
	st := r.steps[0]
	r.steps = r.steps[1:]
	r.note("%s", st.name)
	got, err := st.do(ctx, r.side)
	if r.d.isCut() {
		r.under = &st
		return nil
	}
	ended := s.failed.Load() != nil
	if err == nil {
		// The fault may have ended writing behind the back of a step, which was done.
		want, werr := st.do(ctx, r.model)
		if got != want || werr != nil {
			return fmt.Errorf("%s: %s, and not %s, error %v", st.name, got, want, werr)
		}
		return nil
	}
	if err := r.explained(st.name, err); err != nil {
		return err
	}
	r.under = &st
	if ended {
		// What is there can be read, and nothing can be written.
		if _, err := r.side.dump(ctx); err != nil {
			return fmt.Errorf("after the fault: %w", err)
		}
		return r.explained("create bucket", s.CreateBucket(ctx, "other"))
	}
	// The store goes on, and nothing of the step was done.
	if _, err := settle(ctx, r.side, r.model, nil); err != nil {
		return fmt.Errorf("%s failed and changed something: %w", st.name, err)
	}
	r.under = nil
	// It can be done now.
	r.steps = append([]step{st}, r.steps...)
	return nil
}

// rest opens the store on what is left of the disk, compares it, and does the rest
// of the steps.
func (r *scriptRun) rest(ctx context.Context, mem *vfs.MemFS) error {
	before := r.d
	r.d = newTestDisk(mem)
	r.d.unnamed, r.d.eager = before.unnamed, before.eager
	clean := r.d.clean()
	s, err := r.open()
	if err != nil {
		return err
	}
	done, err := settle(ctx, r.side, r.model, r.under)
	if r.under != nil && !done {
		r.steps = append([]step{*r.under}, r.steps...)
	}
	r.under = nil
	if err == nil {
		err = inspect(ctx, s, clean)
	}
	for err == nil && len(r.steps) > 0 {
		err = r.step(ctx, s)
	}
	if err == nil {
		_, err = settle(ctx, r.side, r.model, nil)
	}
	if err == nil {
		err = inspect(ctx, s, true)
	}
	return errors.Join(err, s.Close())
}

func newScriptRun(d *testDisk) *scriptRun {
	return &scriptRun{d: d, steps: script(), model: newModel(""), side: newSide(nil, "")}
}

// run does half of the script, leaves files behind that belong to nothing, opens the
// store again and does the other half. After the fault or the cut, the store is
// opened on what that left and the script goes on. At the end the power is cut too.
func (r *scriptRun) run(cutAfter bool) error {
	ctx := context.Background()
	if err := r.half(ctx, len(r.steps)/2); err != nil {
		return err
	}
	if !r.d.isCut() && r.under == nil {
		if err := r.leaveFiles(); err != nil {
			return err
		}
		if err := r.half(ctx, len(r.steps)); err != nil {
			return err
		}
	}
	mem := r.d.mem
	if r.d.isCut() || cutAfter {
		mem = r.d.cut()
		r.note("power cut")
	}
	if err := r.rest(ctx, mem); err != nil {
		return err
	}
	r.note("power cut at the end")
	return r.rest(ctx, r.d.cut())
}

// leaveFiles leaves what a crash could.
func (r *scriptRun) leaveFiles() error {
	if _, err := r.d.mem.Stat(testRoot + "/blobs/f"); err != nil {
		return nil // the store was not made
	}
	_ = r.d.mem.Remove(testRoot + "/clean") // which need not be there
	for _, name := range []string{"tmp", "blobs/3", "blobs/7"} {
		id := strings.Repeat("a", 31) + name[len(name)-1:]
		if name == "tmp" {
			id = strings.Repeat("b", 32)
		}
		f, err := r.d.mem.Create(testRoot+"/"+name+"/"+id, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if _, err := f.Write([]byte("left over")); err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// changes returns how many changes of the disk the script makes.
func changes(t *testing.T, unnamed bool) int64 {
	t.Helper()
	r := newScriptRun(newTestDisk(nil))
	r.d.unnamed = unnamed
	first := r.d
	if err := r.run(false); err != nil {
		t.Fatalf("without any fault: %v\n%s", err, strings.Join(r.log, "\n"))
	}
	return first.n.Load()
}

// stride is how many of many runs are made, one in how many.
func stride(n int64) int64 {
	if os.Getenv("CUBBY_LONG") == "1" {
		return 1
	}
	return n
}

// TestFaults has every change of the disk that the script makes fail once: the method
// says so, nothing that was answered is lost, nothing is there in part, and no
// file is left over.
func TestFaults(t *testing.T) {
	runs, hit := 0, 0
	for _, unnamed := range []bool{false, true} {
		n := changes(t, unnamed)
		for i, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EIO, syscall.ENOSPC} {
			short, cut := i == 1, i >= 2
			for at := 1 + rand.Int64N(stride(50)); at <= n; at += stride(50) {
				d := newTestDisk(nil)
				d.unnamed, d.short, d.failAt, d.failure = unnamed, short, at, fault
				d.rng, d.keep = rand.New(rand.NewPCG(uint64(at), 1)), int(at%3)*50
				r := newScriptRun(d)
				r.fault = fault
				runs++
				err := r.run(cut)
				if d.failed.Load() != nil {
					hit++
				}
				if err != nil {
					what := "nothing"
					if p := d.failed.Load(); p != nil {
						what = *p
					}
					t.Fatalf("change %d of %d fails (%s; unnamed %t, short %t, cut %t): %v\n%s", at, n, what, unnamed, short, cut, err, strings.Join(r.log, "\n"))
				}
			}
		}
	}
	t.Logf("%d runs, %d faults", runs, hit)
}

// TestPowerCut cuts the power before every change of the disk that the script makes.
func TestPowerCut(t *testing.T) {
	runs := 0
	for _, unnamed := range []bool{false, true} {
		n := changes(t, unnamed)
		for _, eager := range []bool{false, true} {
			for _, keep := range []int{0, 50, 100} {
				for at := 1 + rand.Int64N(stride(80)); at <= n; at += stride(80) {
					d := newTestDisk(nil)
					d.unnamed, d.eager, d.cutAt, d.keep, d.rng = unnamed, eager, at, keep, rand.New(rand.NewPCG(uint64(at), uint64(keep)))
					r := newScriptRun(d)
					runs++
					if err := r.run(false); err != nil {
						t.Fatalf("cut before change %d of %d (unnamed %t, eager %t, %d%% stay): %v\n%s", at, n, unnamed, eager, keep, err, strings.Join(r.log, "\n"))
					}
				}
			}
		}
	}
	t.Logf("%d runs", runs)
}
