package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cubby-storage/cubby/bench/target"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

const root = "/" + target.Bucket + "/" + target.Prefix

// operation is what is measured.
type operation struct {
	name    string
	clients int
	files   bool // a server of files can do it
	// prepare makes what the operation needs. It is called before each round.
	prepare func(s *target.Server, round int) error
	// do is the request number n of a round, by one of the clients. It returns
	// how many bytes of content it moved.
	do func(s *target.Server, round, client int, n int64) (int64, error)
	// count, if not 0, is how many requests a round has, which then takes as long
	// as it takes.
	count int64
}

func operationNames() []string {
	var names []string
	for _, op := range new(config).operations() {
		names = append(names, op.name)
	}
	return names
}

// noise returns content that does not compress.
func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func (c *config) operations() []operation {
	var content []byte // made when it is first needed
	body := func(size int) []byte {
		if content == nil {
			content = noise(64 * mib)
		}
		return content[:size]
	}
	nothing := func(*target.Server, int) error { return nil }
	put := func(name string, clients, size int, key func(round, client int, n int64) string) operation {
		return operation{
			name: name, clients: clients, prepare: nothing,
			do: func(s *target.Server, round, client int, n int64) (int64, error) {
				_, err := s.Do("PUT", root+name+"/"+key(round, client, n), body(size))
				return int64(size), err
			},
		}
	}
	get := func(name, method string, clients, size, keys int) operation {
		// HEAD uses the objects of GET.
		dir := root + "get" + strconv.Itoa(size) + "/"
		return operation{
			name: name, clients: clients, files: true,
			prepare: once(func(s *target.Server) error {
				return each(keys, func(i int) error { _, err := s.Do("PUT", dir+strconv.Itoa(i), body(size)); return err })
			}),
			do: func(s *target.Server, _, _ int, n int64) (int64, error) {
				return s.Do(method, dir+strconv.FormatInt(n%int64(keys), 10), nil)
			},
		}
	}
	deleted := func(round int, n int64) string { return fmt.Sprintf("%sdelete/%d/%d", root, round, n) }
	return []operation{
		put("put10k", 16, 10*kib, func(round, _ int, n int64) string { return fmt.Sprintf("%d/%02x/%d", round, n&63, n) }),
		get("get10k", "GET", 16, 10*kib, 500),
		get("head", "HEAD", 16, 10*kib, 500),
		{
			name: "delete", clients: 16, count: int64(c.deletes),
			prepare: func(s *target.Server, round int) error {
				return each(c.deletes, func(i int) error { _, err := s.Do("PUT", deleted(round, int64(i)), body(10*kib)); return err })
			},
			do: func(s *target.Server, round, _ int, n int64) (int64, error) {
				return s.Do("DELETE", deleted(round, n), nil)
			},
		},
		put("put1m", 16, mib, func(_, _ int, n int64) string { return strconv.FormatInt(n%200, 10) }),
		get("get1m", "GET", 16, mib, 50),
		put("put64m", 8, 64*mib, func(_, client int, _ int64) string { return strconv.Itoa(client) }),
		get("get64m", "GET", 8, 64*mib, 2),
		{
			name: "list", clients: 4,
			prepare: once(func(s *target.Server) error {
				return each(c.keys, func(i int) error { _, err := s.Do("PUT", fmt.Sprintf("%slist/%06d", root, i), body(64)); return err })
			}),
			do: func(s *target.Server, _, _ int, _ int64) (int64, error) {
				n, err := s.Do("GET", "/"+target.Bucket+"?list-type=2&max-keys=1000&prefix="+target.Prefix[:len(target.Prefix)-1]+"%2Flist%2F", nil)
				if err == nil && n < 100*int64(min(c.keys, 1000)) {
					err = fmt.Errorf("%s: a list of %d bytes", s.Name, n)
				}
				return 0, err
			},
		},
	}
}

// once makes f what is prepared before the first round alone.
func once(f func(*target.Server) error) func(*target.Server, int) error {
	return func(s *target.Server, round int) error {
		if round > 0 {
			return nil
		}
		return f(s)
	}
}

// each calls f with 0 to n-1 on 16 goroutines.
func each(n int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && failed.Load() == nil; i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if p := failed.Load(); p != nil {
		return *p
	}
	return nil
}

// round is what a server did in a round.
type round struct {
	ops, bytes float64 // per second
	p50, p99   time.Duration
	cpu        time.Duration // of the server, for each operation
	peak       int64         // bytes
	failed     int64
	err        error // of one that failed
}

// measure lets the clients do the operation until the seconds, or the requests,
// are over. What failed does not count as done.
func (op *operation) measure(s *target.Server, n int, secs float64) round {
	var next, moved, failed atomic.Int64
	var cause atomic.Pointer[error]
	times := make([][]time.Duration, op.clients)
	s.ResetPeak()
	cpu, began := s.CPU(), time.Now()
	end := began.Add(time.Duration(secs * float64(time.Second)))
	var wg sync.WaitGroup
	for client := range op.clients {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				start := time.Now()
				if op.count > 0 && i >= op.count || op.count == 0 && start.After(end) {
					return
				}
				size, err := op.do(s, n, client, i)
				if err != nil {
					failed.Add(1)
					cause.Store(&err)
					continue
				}
				moved.Add(size)
				times[client] = append(times[client], time.Since(start))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began).Seconds()
	all := slices.Concat(times...)
	slices.Sort(all)
	r := round{
		ops: float64(len(all)) / elapsed, bytes: float64(moved.Load()) / elapsed,
		peak: s.Peak(), failed: failed.Load(),
	}
	if p := cause.Load(); p != nil {
		r.err = *p
	}
	if len(all) > 0 {
		r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
		r.cpu = (s.CPU() - cpu) / time.Duration(len(all))
	}
	return r
}
