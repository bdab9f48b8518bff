// Command memory measures how much memory the server takes at the most: for an
// upload and a download of 5 GiB in parts by "cubby put" and "cubby get", with
// 1,000 connections that are idle, and with 1,000 on which something goes on.
//
//	go run ./bench/memory
//
// It fails if the server, or the client of the large file, had over 100 MiB. It
// needs Linux, and twice the size of the file on the disk of -dir while it runs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cubby-storage/cubby/bench/target"
)

const (
	mib  = 1 << 20
	most = 100 * mib
	root = "/" + target.Bucket + "/" + target.Prefix
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

// run measures one thing after the other with one server.
func run() error {
	size := flag.Int64("size", 5<<10, "size of the large file in MiB")
	connections := flag.Int("connections", 1000, "connections")
	secs := flag.Int("secs", 10, "seconds that connections are idle, or busy")
	program := flag.String("cubby", "", "program to measure instead of building one")
	dir := flag.String("dir", "", "directory for the data; empty is one of the system's for temporary files")
	flag.Parse()
	tmp, err := os.MkdirTemp(*dir, "cubby-memory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if *program == "" {
		if *program, err = target.Build(tmp); err != nil {
			return err
		}
	}
	s, client, err := target.Cubby(*program, tmp)
	if err != nil {
		return err
	}
	defer s.Stop()
	m := &meter{s: s}
	fmt.Println("| | server, peak MiB | client, peak MiB | seconds |\n|---|---|---|---|")
	if *size > 0 {
		if err := m.large(client, tmp, *size*mib); err != nil {
			return err
		}
	}
	if err := m.idle(*connections, time.Duration(*secs)*time.Second); err != nil {
		return err
	}
	if err := m.busy(*connections, time.Duration(*secs)*time.Second); err != nil {
		return err
	}
	return m.over
}

// meter watches a server.
type meter struct {
	s    *target.Server
	over error // what took too much
}

// watch measures what f does. It returns the peak memory of a client, or 0.
func (m *meter) watch(what string, f func() (client int64, err error)) error {
	m.s.ResetPeak()
	began := time.Now()
	client, err := f()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	peak, theirs := m.s.Peak(), ""
	if client > 0 {
		theirs = fmt.Sprint(client / mib)
	}
	fmt.Printf("| %s | %d | %s | %.0f |\n", what, peak/mib, theirs, time.Since(began).Seconds())
	if max(peak, client) > most {
		m.over = errors.Join(m.over, fmt.Errorf("%s took %d MiB", what, max(peak, client)/mib))
	}
	return nil
}

// large moves a file of noise up and down.
func (m *meter) large(client *target.Client, dir string, size int64) error {
	transfer := func(in io.Reader, out io.Writer, args ...string) (int64, error) {
		cmd := client.Command(args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
		if err := cmd.Run(); err != nil {
			return 0, err
		}
		return maxMemory(cmd.ProcessState), nil
	}
	file, err := os.Create(dir + "/large")
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.CopyN(file, rand.NewChaCha8([32]byte{1}), size); err != nil {
		return err
	}
	what := fmt.Sprintf("%.1f GiB", float64(size)/(1<<30))
	if err := m.watch(what+" up, in parts", func() (int64, error) {
		return transfer(nil, nil, "put", "-q", file.Name(), target.Prefix+"large")
	}); err != nil {
		return err
	}
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	sink := new(counter)
	if err := m.watch(what+" down", func() (int64, error) {
		return transfer(nil, sink, "get", "-q", target.Prefix+"large", "-")
	}); err != nil {
		return err
	}
	if sink.n != size {
		return fmt.Errorf("got %d bytes of %d", sink.n, size)
	}
	if err := m.s.Renew(); err != nil {
		return err
	}
	_, err = m.s.Do(http.MethodDelete, root+"large", nil)
	return err
}

// counter counts what is written.
type counter struct{ n int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// idle keeps connections open that have each had a request.
func (m *meter) idle(connections int, d time.Duration) error {
	if err := m.s.Renew(); err != nil {
		return err
	}
	if _, err := m.s.Do(http.MethodPut, root+"small", make([]byte, 10<<10)); err != nil {
		return err
	}
	return m.watch(fmt.Sprintf("%d idle connections", connections), func() (int64, error) {
		// A body that none of the answers comes before keeps each connection for itself.
		var open sync.WaitGroup
		open.Add(connections)
		err := m.all(connections, func(i int) error {
			_, err := m.s.Send(http.MethodPut, fmt.Sprint(root, "idle/", i), &late{wait: &open, n: 16}, 16)
			return err
		})
		if err == nil {
			time.Sleep(d)
		}
		return 0, err
	})
}

// late is a body that begins when all others have been asked for too.
type late struct {
	wait *sync.WaitGroup
	n    int
	once sync.Once
}

// Read implements io.Reader.
func (l *late) Read(p []byte) (int, error) {
	l.once.Do(func() { l.wait.Done(); l.wait.Wait() })
	if l.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), l.n)
	l.n -= n
	return n, nil
}

// busy has every connection do something all the time. The peak of one kind
// includes what the server had not given back since the one before.
func (m *meter) busy(connections int, d time.Duration) error {
	const large = 4 * mib
	small := make([]byte, 10<<10)
	if _, err := m.s.Do(http.MethodPut, root+"large", make([]byte, large)); err != nil {
		return err
	}
	small10k := func(i, n int) error {
		method, body, key := http.MethodGet, []byte(nil), root+"small"
		if (i+n)%2 == 0 {
			method, body, key = http.MethodPut, small, fmt.Sprintf("%sbusy/%d/%d", root, i, n%16)
		}
		_, err := m.s.Do(method, key, body)
		return err
	}
	upload := func(i, _ int) error {
		_, err := m.s.Send(http.MethodPut, fmt.Sprint(root, "busy/", i), &slow{left: large, pause: d / 16}, large)
		return err
	}
	download := func(int, int) error {
		_, err := m.s.Do(http.MethodGet, root+"large", nil)
		return err
	}
	for _, kind := range []struct {
		what string
		do   func(i, n int) error
	}{
		{"put and get 10 KiB", small10k},
		{"get 4 MiB", download},
		{"put 4 MiB slowly", upload},
		{"do all of these", func(i, n int) error { return []func(i, n int) error{small10k, upload, download}[(i+n)%3](i, n) }},
	} {
		if err := m.s.Renew(); err != nil {
			return err
		}
		var failed atomic.Int64
		var cause atomic.Pointer[error]
		err := m.watch(fmt.Sprintf("%d connections that %s", connections, kind.what), func() (int64, error) {
			end := time.Now().Add(d)
			return 0, m.all(connections, func(i int) error {
				for n := 0; time.Now().Before(end); n++ {
					if err := kind.do(i, n); err != nil {
						failed.Add(1)
						cause.Store(&err)
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		// A server may send away some of so many.
		if p := cause.Load(); p != nil {
			fmt.Fprintf(os.Stderr, "%d requests failed: %v\n", failed.Load(), *p)
		}
	}
	return nil
}

// slow is a body that comes in pieces.
type slow struct {
	left  int
	pause time.Duration
}

// Read implements io.Reader.
func (s *slow) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if s.left%(256<<10) == 0 {
		time.Sleep(s.pause)
	}
	n := min(len(p), s.left, 32<<10)
	s.left -= n
	return n, nil
}

// all calls f with each number at once.
func (m *meter) all(n int, f func(i int) error) error {
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	if p := failed.Load(); p != nil {
		return *p
	}
	return nil
}
