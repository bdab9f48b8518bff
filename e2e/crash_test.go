package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ledger holds what a server promised: for each key what was answered last, and
// what was on its way after that.
type ledger struct {
	mu   sync.Mutex
	keys map[string]*promise
	n    int // answers
}

type promise struct {
	kept, underway []byte // SHA-256, or nil
}

// sent notes that data may be stored under key from now on.
func (l *ledger) sent(key string, data []byte) {
	sum := sha256.Sum256(data)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys[key] == nil {
		l.keys[key] = new(promise)
	}
	l.keys[key].underway = sum[:]
}

// answered notes that what was sent under key is stored, and counts it.
func (l *ledger) answered(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.keys[key]
	p.kept, p.underway = p.underway, nil
	l.n++
	return l.n
}

// check compares the bucket with the ledger: all that was answered is there,
// byte for byte, and what is there beside it was sent as it is.
func (l *ledger) check(t *testing.T, c *s3.Client, bucket string) {
	t.Helper()
	listed := map[string]int64{}
	for p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			listed[*o.Key] = *o.Size
		}
	}
	for key := range listed {
		if l.keys[key] == nil {
			t.Errorf("%s is there, but nothing was put whole", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		p := l.keys[key]
		size, there := listed[key]
		if !there {
			if p.kept != nil {
				t.Errorf("%s was answered, and is lost", key)
			}
			if _, err := read(t.Context(), c, bucket, key); code(err) != "NoSuchKey" {
				t.Errorf("%s is not in the list, but get answers %v", key, err)
			}
			delete(l.keys, key)
			continue
		}
		data, err := read(t.Context(), c, bucket, key)
		if err != nil {
			t.Errorf("%s is in the list: %v", key, err)
			continue
		}
		sum := sha256.Sum256(data)
		if !bytes.Equal(sum[:], p.kept) && !bytes.Equal(sum[:], p.underway) || int64(len(data)) != size {
			t.Errorf("%s is neither what was answered nor what was on its way: %d bytes, in the list %d", key, len(data), size)
		}
		p.kept, p.underway = sum[:], nil
	}
}

// TestCrash kills the server while several writers put, and looks at what is
// there when it runs again.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, "serve", dir)
	keys := s.operator(t)
	l := &ledger{keys: map[string]*promise{}}
	rounds := 3
	if long {
		rounds = 20
	}
	for round := range rounds {
		c := s.s3(keys)
		var killed atomic.Bool
		var enough sync.Once
		kill := make(chan struct{})
		target := l.n + 40 + 17*round%50
		put := func(key string, data []byte) error {
			l.sent(key, data)
			_, err := c.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: bytes.NewReader(data)})
			return err
		}
		writers := []func(i int) (string, error){
			func(i int) (string, error) { // small ones
				key := fmt.Sprintf("small/%d-%d", round, i)
				return key, put(key, content(uint64(i), 100+i))
			},
			func(i int) (string, error) { // small ones side by side with others of the same folder
				key := fmt.Sprintf("small/%d-%d-too", round, i)
				return key, put(key, content(uint64(i)+1, 3000))
			},
			func(i int) (string, error) {
				key := fmt.Sprintf("big/%d-%d", round, i)
				return key, put(key, content(uint64(i)+2, 200<<10))
			},
			func(i int) (string, error) { // over what is there: smaller, larger
				key := fmt.Sprintf("over/%d", i%3)
				return key, put(key, content(uint64(round*1000+i), []int{50, 200 << 10, 5000}[i%7%3]))
			},
			func(i int) (string, error) {
				key := fmt.Sprintf("parts/%d", i%2)
				data := content(uint64(round*1000+i)+3, 5<<20+i)
				return key, multipart(context.Background(), c, s.Bucket, key, data, func() { l.sent(key, data) })
			},
		}
		var wg sync.WaitGroup
		for _, write := range writers {
			wg.Go(func() {
				for i := 0; ; i++ {
					key, err := write(i)
					if err != nil {
						if !killed.Load() {
							t.Errorf("%s: %v", key, err)
							enough.Do(func() { close(kill) })
						}
						return
					}
					if l.answered(key) >= target {
						enough.Do(func() { close(kill) })
					}
				}
			})
		}
		<-kill
		killed.Store(true)
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		<-s.done
		s = open(t, "serve", dir)
		l.check(t, s.s3(keys), s.Bucket)
		if t.Failed() {
			t.Fatalf("in round %d of %d", round+1, rounds)
		}
	}
	t.Logf("%d rounds, %d answered puts", rounds, l.n)
	s.end(t)
}
