package diskstore

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

const clients = 16

// noise returns bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

// parallel runs f on 16 goroutines, whatever the number of processors.
func parallel(b *testing.B, size int64, f func(n int64) error) {
	b.Helper()
	b.SetBytes(size)
	b.ReportAllocs()
	var next, running atomic.Int64
	done := make(chan error, clients)
	b.ResetTimer()
	used := cpuTime()
	for range clients {
		running.Add(1)
		go func() {
			var err error
			for n := next.Add(1); n <= int64(b.N) && err == nil; n = next.Add(1) {
				err = f(n)
			}
			done <- err
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime()-used)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func benchBucket(b *testing.B, opts *Options) store.Bucket {
	b.Helper()
	s := openStore(b, b.TempDir(), opts)
	return makeBucket(b, s, "bench")
}

func benchPut(b *testing.B, size int, opts *Options) {
	bucket := benchBucket(b, opts)
	data := noise(size)
	parallel(b, int64(size), func(n int64) error {
		_, err := bucket.Put(b.Context(), "dir/"+strconv.FormatInt(n, 10), bytes.NewReader(data), &store.PutOptions{Size: int64(size)})
		return err
	})
}

func BenchmarkPut10KiB(b *testing.B) { benchPut(b, 10<<10, nil) }

func BenchmarkPut10KiBNoSync(b *testing.B) { benchPut(b, 10<<10, &Options{NoSync: true}) }

func BenchmarkPut1MiB(b *testing.B) { benchPut(b, 1<<20, nil) }

// BenchmarkFilePut10KiB is what the simplest durable store does: a file of its
// own for each object, synced and renamed into place.
func BenchmarkFilePut10KiB(b *testing.B) {
	dir := b.TempDir()
	data := noise(10 << 10)
	parallel(b, int64(len(data)), func(n int64) error {
		name := filepath.Join(dir, strconv.FormatInt(n, 10))
		f, err := os.Create(name + ".tmp")
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.Write(data); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		return os.Rename(name+".tmp", name)
	})
}

func benchGet(b *testing.B, size int, opts *Options) {
	const keys = 1000
	bucket := benchBucket(b, opts)
	data := noise(size)
	for n := range keys {
		if _, err := bucket.Put(b.Context(), "dir/"+strconv.Itoa(n), bytes.NewReader(data), nil); err != nil {
			b.Fatal(err)
		}
	}
	parallel(b, int64(size), func(n int64) error {
		o, err := bucket.Get(b.Context(), "dir/"+strconv.FormatInt(n%keys, 10), nil)
		if err != nil {
			return err
		}
		defer o.Body.Close()
		_, err = o.Body.(io.WriterTo).WriteTo(io.Discard)
		return err
	})
}

func BenchmarkGet10KiB(b *testing.B) { benchGet(b, 10<<10, &Options{NoSync: true}) }

func BenchmarkGet100KiB(b *testing.B) { benchGet(b, 100<<10, &Options{NoSync: true}) }

func BenchmarkStat(b *testing.B) {
	bucket := benchBucket(b, &Options{NoSync: true})
	if _, err := bucket.Put(b.Context(), "key", bytes.NewReader(nil), nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bucket.Stat(b.Context(), "key", nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListPage lists 1000 of 100,000 objects, with content.
func BenchmarkListPage(b *testing.B) {
	const keys = 100_000
	bucket := benchBucket(b, &Options{NoSync: true})
	data := noise(2 << 10)
	name := func(n int) string { return fmt.Sprintf("dir%02d/file%06d.jpg", n%100, n) }
	for n := range keys {
		if _, err := bucket.Put(b.Context(), name(n*7919%keys), bytes.NewReader(data), nil); err != nil {
			b.Fatal(err)
		}
	}
	for _, list := range []struct {
		name string
		opts store.ListOptions
		want int
	}{
		{"Flat", store.ListOptions{}, 1000},
		{"Prefix", store.ListOptions{Prefix: "dir50/"}, 1000},
		{"Delimiter", store.ListOptions{Delimiter: "/"}, 100},
	} {
		b.Run(list.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, err := bucket.List(b.Context(), &list.opts)
				if err != nil {
					b.Fatal(err)
				}
				if n := len(page.Objects) + len(page.Prefixes); n != list.want {
					b.Fatalf("%d entries, want %d", n, list.want)
				}
			}
		})
	}
}

// BenchmarkScale shows what puts, gets and lists cost among many objects: in all
// benchmarks up to 100,000 of them, and up to a million with CUBBY_LONG.
func BenchmarkScale(b *testing.B) {
	sizes := []int{1000, 100_000}
	if os.Getenv("CUBBY_LONG") == "1" {
		sizes = append(sizes, 1_000_000)
	}
	for _, keys := range sizes {
		b.Run(strconv.Itoa(keys), func(b *testing.B) { benchScale(b, keys) })
	}
}

func benchScale(b *testing.B, keys int) {
	bucket := benchBucket(b, &Options{NoSync: true})
	name := func(n int) string { return fmt.Sprintf("dir%03d/file%08d.jpg", n%1000, n*7919%keys) }
	fill := func(n int) error {
		_, err := bucket.Put(b.Context(), name(n), strings.NewReader("small"), nil)
		return err
	}
	for n := range keys {
		if err := fill(n); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Put", func(b *testing.B) {
		parallel(b, 5, func(n int64) error {
			_, err := bucket.Put(b.Context(), fmt.Sprintf("dir%03d/new%08d", n*31%1000, n*7919), strings.NewReader("small"), nil)
			return err
		})
	})
	b.Run("Get", func(b *testing.B) {
		parallel(b, 5, func(n int64) error {
			o, err := bucket.Get(b.Context(), name(int(n*104729)%keys), nil)
			if err != nil {
				return err
			}
			return o.Body.Close()
		})
	})
	b.Run("List", func(b *testing.B) {
		parallel(b, 0, func(n int64) error {
			_, err := bucket.List(b.Context(), &store.ListOptions{After: name(int(n*104729) % keys), Limit: 100})
			return err
		})
	})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.Logf("%d MiB of memory in use", m.Sys>>20)
}
