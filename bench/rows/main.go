// Command rows measures what an operation of the embedded store costs beside how
// many objects there are: the cost should not grow with them.
//
//	go run ./bench/rows -rows 1k,100k,1m,10m
//
// For each number it loads a store with that many empty objects, whose rows are
// all that there is to store, and measures in a process of its own each: to open
// the store; put, durable; get and stat of keys all over it; and lists of 1,000
// keys that begin anywhere. Times are of the store alone, without HTTP. It prints a table in
// Markdown, and after it how much more the most rows cost than the fewest. The
// store of 10 million rows needs about 2 GB of disk while it lasts. With -profile
// each process writes a profile of where its time went.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/diskstore"
)

const (
	bucketName = "rows"
	perUser    = 100 // objects of a user
	pageSize   = 1000
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rows:", err)
		os.Exit(1)
	}
}

// config is what the flags say.
type config struct {
	rows    string
	dir     string
	keep    bool
	secs    float64
	clients int
	profile string
	step    string // what a process of its own does: "load", or the name of an operation
	n       int    // of its rows
}

func run() error {
	var c config
	flag.StringVar(&c.rows, "rows", "1k,100k,1m", "numbers of rows, with k or m")
	flag.StringVar(&c.dir, "dir", "", "directory for the stores; empty is one that is removed afterwards")
	flag.BoolVar(&c.keep, "keep", false, "keep the stores in -dir, and use those that are there")
	flag.Float64Var(&c.secs, "secs", 3, "seconds for each measurement")
	flag.IntVar(&c.clients, "clients", 16, "operations at a time; lists have 4")
	flag.StringVar(&c.profile, "profile", "", "directory for profiles")
	flag.StringVar(&c.step, "step", "", "for its own use")
	flag.IntVar(&c.n, "n", 0, "for its own use")
	flag.Parse()
	if c.step != "" {
		return c.child()
	}
	return c.parent()
}

// result is what a process has measured.
type result struct {
	Count   int64         // of operations
	Wall    time.Duration // for all of them
	CPU     time.Duration
	RSS     int64 // bytes, at the most
	Allocs  uint64
	Elapsed time.Duration // to open the store
}

// steps are the measurements, in their order: put is last, as it adds rows.
var steps = []string{"open", "get", "stat", "list", "put"}

func (c *config) parent() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "cubby-rows-"); err != nil {
			return err
		}
		defer os.RemoveAll(c.dir)
	}
	if c.profile != "" {
		if err := os.MkdirAll(c.profile, 0o755); err != nil {
			return err
		}
	}
	first, last := map[string]result{}, map[string]result{}
	fmt.Println("| rows | operation | op/s | CPU us/op | allocations/op | peak MiB | open ms |\n|---|---|---|---|---|---|---|")
	for size := range strings.SplitSeq(c.rows, ",") {
		n, err := number(size)
		if err != nil {
			return err
		}
		dir := filepath.Join(c.dir, size)
		child := func(step string) (r result, err error) {
			cmd := exec.Command(self, "-step", step, "-n", strconv.Itoa(n), "-dir", dir,
				"-secs", fmt.Sprint(c.secs), "-clients", strconv.Itoa(c.clients), "-profile", c.profile)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err == nil {
				err = json.Unmarshal(out, &r)
			}
			return r, err
		}
		if _, err := os.Stat(dir); err != nil || !c.keep {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			r, err := child("load")
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "%s rows loaded in %v\n", size, r.Wall.Round(time.Millisecond))
		}
		for _, step := range steps {
			r, err := child(step)
			if err != nil {
				return err
			}
			fmt.Printf("| %s | %s | %.0f | %.1f | %.0f | %d | %.0f |\n", size, step, float64(r.Count)/r.Wall.Seconds(), r.cpu(),
				float64(r.Allocs)/float64(max(r.Count, 1)), r.RSS>>20, float64(r.Elapsed.Microseconds())/1000)
			if _, ok := first[step]; !ok {
				first[step] = r
			}
			last[step] = r
		}
		if !c.keep {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	fmt.Print("\nmost rows beside fewest, CPU:")
	for _, step := range steps[1:] {
		fmt.Printf(" %s %.2f", step, last[step].cpu()/first[step].cpu())
	}
	fmt.Println()
	return nil
}

// cpu is how many microseconds of processor time an operation took.
func (r result) cpu() float64 { return float64(r.CPU.Nanoseconds()) / float64(max(r.Count, 1)) / 1000 }

// number reads "100k".
func number(s string) (int, error) {
	digits := strings.TrimRight(s, "km")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("number of rows %q", s)
	}
	switch s[len(digits):] {
	case "":
		return n, nil
	case "k":
		return n * 1000, nil
	case "m":
		return n * 1000_000, nil
	}
	return 0, fmt.Errorf("number of rows %q", s)
}

// key is that of object i of n. They ascend, as those of a restored backup do;
// the objects of a user follow each other.
func key(i, n int) string {
	users := max(n/perUser, 1)
	id := uint64(i/perUser) << 32 / uint64(users)
	return fmt.Sprintf("private/eu-central-1:%08x-6b1e-4c47-a9d2-0d2f6f0c9a51/photos/%06d.jpg", id, i%perUser)
}

// child is a process of its own.
func (c *config) child() error {
	began := time.Now()
	s, err := diskstore.Open(c.dir, &diskstore.Options{NoSync: c.step == "load", Reserve: -1})
	if err != nil {
		return err
	}
	r := result{Elapsed: time.Since(began), Count: 1, Wall: time.Since(began)}
	ctx := context.Background()
	if c.step == "load" {
		if err := s.CreateBucket(ctx, bucketName); err != nil {
			return err
		}
	}
	b, err := s.Bucket(ctx, bucketName)
	if err != nil {
		return err
	}
	stop := func() {}
	if c.profile != "" && c.step != "open" {
		f, err := os.Create(filepath.Join(c.profile, fmt.Sprintf("%s-%d.prof", c.step, c.n)))
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		stop = func() { pprof.StopCPUProfile(); f.Close() }
	}
	switch c.step {
	case "open":
		r.CPU = cpuTime()
	case "load":
		r, err = measure(runtime.NumCPU()*4, int64(c.n), 0, func(i int64) error { return put(ctx, b, key(int(i), c.n)) })
	case "put":
		r, err = measure(c.clients, 0, c.secs, func(i int64) error {
			return put(ctx, b, fmt.Sprint(key(rand.IntN(c.n), c.n), "-", began.Unix(), "-", i))
		})
	case "get":
		r, err = measure(c.clients, 0, c.secs, func(int64) error {
			o, err := b.Get(ctx, key(rand.IntN(c.n), c.n), nil)
			if err != nil {
				return err
			}
			return o.Body.Close()
		})
	case "stat":
		r, err = measure(c.clients, 0, c.secs, func(int64) error {
			_, err := b.Stat(ctx, key(rand.IntN(c.n), c.n), nil)
			return err
		})
	case "list":
		r, err = measure(4, 0, c.secs, func(int64) error {
			opts := &store.ListOptions{}
			if c.n > pageSize {
				opts.After = key(rand.IntN(c.n), c.n)
			}
			page, err := b.List(ctx, opts)
			if err == nil && len(page.Objects) < pageSize && opts.After == "" {
				err = fmt.Errorf("page of %d keys", len(page.Objects))
			}
			return err
		})
	default:
		err = fmt.Errorf("unknown step %q", c.step)
	}
	stop()
	if err != nil {
		return err
	}
	if c.step != "open" {
		r.Elapsed = time.Since(began) - r.Wall
	}
	r.RSS = peakMemory()
	if err := s.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func put(ctx context.Context, b store.Bucket, key string) error {
	_, err := b.Put(ctx, key, bytes.NewReader(nil), &store.PutOptions{Attributes: store.Attributes{ContentType: "image/jpeg"}})
	return err
}

// measure calls f on that many goroutines with 0, 1, 2 and so on, n times or
// until the seconds are over.
func measure(clients int, n int64, secs float64, f func(int64) error) (result, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := cpuTime(), time.Now()
	end := began.Add(time.Duration(secs * float64(time.Second)))
	for range clients {
		wg.Go(func() {
			for failed.Load() == nil && (n > 0 || time.Now().Before(end)) {
				i := next.Add(1) - 1
				if n > 0 && i >= n {
					return
				}
				if err := f(i); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	r := result{Count: next.Load(), Wall: time.Since(began), CPU: cpuTime() - cpu}
	if n > 0 {
		r.Count = n
	}
	runtime.ReadMemStats(&after)
	r.Allocs = after.Mallocs - before.Mallocs
	if p := failed.Load(); p != nil {
		return r, *p
	}
	return r, nil
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	fields := strings.Fields(string(rest))
	var ticks int64
	for _, f := range fields[11:13] {
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// peakMemory is the most of this process that was in memory.
func peakMemory() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	n, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	return n << 10
}
