package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cubby-storage/cubby/store"
)

// sequence is a random run of steps with power cuts in it, on a disk in memory.
// All about it follows from its number, but for what happens at the same time.
type sequence struct {
	number  uint64
	rng     *rand.Rand
	writers []*writer
	unnamed bool
	eager   bool
	steps   int // of each writer between two cuts
	mem     *vfs.MemFS
	ready   bool // the buckets are there
	log     []string
	tally   *tally
}

// writer makes its steps one after the other, in a part of the keys of its own.
type writer struct {
	maker *maker
	model *side
	side  *side
	under *step // what was under way when the power was cut
	log   []string
}

// tally counts what was run.
type tally struct{ sequences, steps, cuts, faults, opens atomic.Int64 }

func (t *tally) String() string {
	return fmt.Sprintf("%d sequences, %d operations, %d power cuts, %d faults, %d times opened", t.sequences.Load(), t.steps.Load(), t.cuts.Load(), t.faults.Load(), t.opens.Load())
}

var modelBuckets = []string{"alpha", "beta"}

func newSequence(number uint64, tally *tally) *sequence {
	q := &sequence{number: number, rng: rand.New(rand.NewPCG(number, 1)), tally: tally}
	q.unnamed, q.eager = q.rng.IntN(2) == 0, q.rng.IntN(2) == 0
	n := 1
	if q.rng.IntN(3) == 0 {
		n = 2 + q.rng.IntN(3)
	}
	q.steps = (10 + q.rng.IntN(20)) / n
	for i := range n {
		prefix := ""
		if n > 1 {
			prefix = fmt.Sprintf("w%d/", i)
		}
		w := &writer{model: newModel(prefix, modelBuckets...)}
		w.maker = &maker{rng: rand.New(rand.NewPCG(number, uint64(i+2))), model: w.model, prefix: prefix, buckets: modelBuckets, fixed: n > 1}
		w.side = newSide(nil, prefix)
		q.writers = append(q.writers, w)
	}
	return q
}

// run runs the sequence: each time the power was cut the store is opened on what
// that left, and compared.
func (q *sequence) run() error {
	ctx := context.Background()
	q.tally.sequences.Add(1)
	cuts := 1 + q.rng.IntN(3)
	for n := 0; ; n++ {
		d := newTestDisk(q.mem)
		d.unnamed, d.eager = q.unnamed, q.eager
		d.rng = rand.New(rand.NewPCG(q.number, uint64(n+100)))
		d.keep = []int{0, 50, 100}[q.rng.IntN(3)]
		if n < cuts {
			d.cutAt = 1 + int64(q.rng.IntN(40+q.steps*len(q.writers)*4))
		}
		if q.rng.IntN(4) == 0 && n < cuts {
			d.failAt = 1 + int64(q.rng.IntN(40+q.steps*len(q.writers)*4))
			d.failure = []error{syscall.EIO, syscall.ENOSPC}[q.rng.IntN(2)]
			d.short = q.rng.IntN(2) == 0
		}
		q.log = append(q.log, fmt.Sprintf("open: cut at %d, %d%% of what is not synced stays, change %d fails", d.cutAt, d.keep, d.failAt))
		err := q.generation(ctx, d)
		if p := d.failed.Load(); p != nil {
			q.log = append(q.log, *p)
			q.tally.faults.Add(1)
			if errors.Is(err, d.failure) {
				err = nil // it was opened or closed, or looked at, when that happened
			}
		}
		if err != nil {
			return err
		}
		if !d.isCut() {
			if d.failed.Load() != nil && n%2 == 0 {
				q.mem = d.mem // which is used again without a power cut
				continue
			}
			if n < cuts {
				// The end came before the cut: the power goes after it.
				q.mem = d.cut()
				q.tally.cuts.Add(1)
				continue
			}
			return nil
		}
		q.tally.cuts.Add(1)
		q.mem = d.left
	}
}

// generation opens the store, compares it, and works on it until the power is cut
// or all steps are done.
func (q *sequence) generation(ctx context.Context, d *testDisk) (err error) {
	q.tally.opens.Add(1)
	opts := d.options()
	opts.NoSweep = q.rng.IntN(2) == 0
	clean := d.clean()
	s, err := Open(testRoot, opts)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}()
	if d.isCut() {
		return nil // what is seen here need not be on the disk that is left
	}
	if err := q.compare(ctx, s, d, clean); err != nil {
		return err
	}
	var wg sync.WaitGroup
	failures := make([]error, len(q.writers))
	for i, w := range q.writers {
		wg.Go(func() { failures[i] = w.work(ctx, s, d, q) })
	}
	wg.Wait()
	return errors.Join(failures...)
}

// compare holds that the store has what the models have, and that nothing else is
// wrong with it. At first it makes the buckets.
func (q *sequence) compare(ctx context.Context, s *Store, d *testDisk, clean bool) error {
	if !q.ready {
		for _, name := range modelBuckets {
			if err := s.CreateBucket(ctx, name); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		q.ready = !d.isCut()
	}
	// In one of the buckets what goes is kept, which only the check sees.
	if q.number%2 == 0 {
		if err := s.SetTrash(ctx, modelBuckets[0], true); err != nil && !errors.Is(err, store.ErrNoBucket) {
			return err
		}
	}
	for _, w := range q.writers {
		w.side.svc = s
		if _, err := settle(ctx, w.side, w.model, w.under); err != nil {
			return err
		}
		w.under = nil
	}
	err := inspect(ctx, s, clean)
	if err != nil && d.failed.Load() != nil {
		err = inspect(ctx, s, false) // a file that was not removed is now
	}
	return err
}

// inspect sweeps the store unless that was not necessary, and checks it.
func inspect(ctx context.Context, s *Store, clean bool) error {
	if !clean {
		s.sweep() // to its end, other than that which Open may have begun
	}
	report, err := s.Check(ctx, &CheckOptions{Content: true})
	if err != nil {
		return err
	}
	var text []string
	for _, f := range report.Findings {
		text = append(text, fmt.Sprintf("%s: %s/%s blob %q: %s", f.Kind, f.Bucket, f.Key, f.Blob, f.Text))
	}
	if len(text) > 0 {
		return fmt.Errorf("check found\n%s", strings.Join(text, "\n"))
	}
	return nil
}

// work does the steps of a writer, until the power is cut.
func (w *writer) work(ctx context.Context, s *Store, d *testDisk, q *sequence) error {
	for range q.steps {
		if d.isCut() {
			return nil
		}
		st := w.maker.next()
		w.log = append(w.log, st.name)
		got, err := st.do(ctx, w.side)
		if d.isCut() {
			w.under = &st
			w.log = append(w.log, "power cut")
			return nil
		}
		q.tally.steps.Add(1)
		if d.failed.Load() != nil && errors.Is(err, d.failure) {
			w.log = append(w.log, err.Error())
			if s.failed.Load() != nil {
				w.under = &st // which may be on the disk
				return nil
			}
			continue // nothing has changed
		}
		want, werr := st.do(ctx, w.model)
		if got != want || causeOf(err) != causeOf(werr) {
			return fmt.Errorf("%s:\n\tis      %s, error %v\n\tand not %s, error %v", st.name, got, err, want, werr)
		}
	}
	return nil
}

// story tells what a sequence did, for who looks for what went wrong.
func (q *sequence) story() string {
	lines := slices.Clone(q.log)
	for _, w := range q.writers {
		lines = append(lines, fmt.Sprintf("writer %q:", w.model.prefix))
		lines = append(lines, w.log...)
	}
	return strings.Join(lines, "\n")
}

// TestRandom runs random sequences of all operations, with power cuts in between,
// on the store and on one in memory, and holds that there is no difference: what
// was answered is there, and what was under way is there whole or not at all.
//
// CUBBY_LONG=1 has it run for CUBBY_TIME, or ten minutes, and CUBBY_SEQUENCE is the
// number of the first sequence.
func TestRandom(t *testing.T) {
	first, until := uint64(1), uint64(81)
	var end time.Time
	if os.Getenv("CUBBY_LONG") == "1" {
		length := 10 * time.Minute
		if text := os.Getenv("CUBBY_TIME"); text != "" {
			var err error
			if length, err = time.ParseDuration(text); err != nil {
				t.Fatal(err)
			}
		}
		first, until = uint64(time.Now().UnixNano()), 0
		end = time.Now().Add(length)
	}
	if text := os.Getenv("CUBBY_SEQUENCE"); text != "" {
		if _, err := fmt.Sscan(text, &first); err != nil {
			t.Fatal(err)
		}
		until = max(until, first+1)
	}
	var count tally
	var next atomic.Uint64
	next.Store(first)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !t.Failed() {
				n := next.Add(1) - 1
				if end.IsZero() && n >= until || !end.IsZero() && time.Now().After(end) {
					return
				}
				q := newSequence(n, &count)
				if err := q.run(); err != nil {
					t.Errorf("sequence %d (CUBBY_SEQUENCE=%d runs it again): %v\nIt did:\n%s", n, n, err, q.story())
				}
			}
		})
	}
	wg.Wait()
	t.Log(&count)
}
