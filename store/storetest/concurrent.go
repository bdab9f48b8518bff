package storetest

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/cubby-storage/cubby/store"
)

// testOpenReader overwrites and deletes an object while it is being read.
func testOpenReader(e *env) {
	for _, size := range []int{10, 100 << 10, 2 << 20} {
		if e.opts.Slow && size > 1<<20 {
			continue
		}
		content := big()[:size]
		for name, change := range map[string]func(){
			"overwrite": func() { e.put("k", "other", nil) },
			"delete":    func() { e.delete("k") },
			"copy":      func() { e.mustCopy("k", "other") },
			"both": func() {
				e.delete("k")
				e.put("k", strings.Repeat("-", size), nil)
			},
		} {
			e.put("other", strings.Repeat("=", size), nil)
			e.put("k", content, nil)
			fresh, half := e.openObject("k", nil), e.openObject("k", nil)
			ranged := e.openObject("k", &store.GetOptions{Range: &store.Range{Offset: 2, Length: 5}})
			start := make([]byte, 5)
			if _, err := io.ReadFull(half.Body, start); err != nil {
				e.Fatalf("read: %v", err)
			}
			change()
			if got := e.read(fresh); got != content {
				e.Errorf("body opened before %s yields %s, want the old content", name, short(got))
			}
			if got := string(start) + e.read(half); got != content {
				e.Errorf("body half read before %s yields %s, want the old content", name, short(got))
			}
			if got := e.read(ranged); got != content[2:7] {
				e.Errorf("range opened before %s yields %s, want the old content", name, short(got))
			}
		}
	}
}

func (e *env) mustCopy(dst, src string) {
	e.Helper()
	if _, err := e.b.Copy(e.Context(), dst, src, nil); err != nil {
		e.Fatalf("copy %s to %s: %v", src, dst, err)
	}
}

// testConcurrent writes, copies, deletes, reads and lists one key at once. Each
// content is one letter, its length and attributes go with the letter: a reader
// never sees parts of two writes.
func testConcurrent(e *env) {
	rounds := 60
	if e.opts.Slow {
		rounds = 3
	}
	ctx := e.Context()
	letters := "abcd"
	size := func(letter byte) int { return 1 + int(letter-'a')*(40<<10) }
	opts := func(letter byte) *store.PutOptions {
		return &store.PutOptions{Attributes: store.Attributes{ContentType: "letter/" + string(letter), User: map[string]string{"letter": string(letter)}}}
	}
	var wg sync.WaitGroup
	for _, letter := range []byte(letters) {
		content := strings.Repeat(string(letter), size(letter))
		e.put("copy/"+string(letter), content, opts(letter))
		wg.Go(func() {
			for i := range rounds {
				var err error
				if i%3 == 0 {
					_, err = e.b.Copy(ctx, "k", "copy/"+string(letter), nil)
				} else {
					_, err = e.b.Put(ctx, "k", strings.NewReader(content), opts(letter))
				}
				e.succeeds(err, "write")
			}
		})
	}
	wg.Go(func() {
		for range rounds / 3 {
			e.succeeds(e.remove(ctx, "k", nil), "delete")
		}
	})
	check := func(info *store.Info) byte {
		letter := info.User["letter"]
		if len(letter) != 1 || info.Size != int64(size(letter[0])) || info.ContentType != "letter/"+letter {
			e.Errorf("object is of letter %q, type %q and %d bytes, which were never put together", letter, info.ContentType, info.Size)
			return 0
		}
		return letter[0]
	}
	for range 2 {
		wg.Go(func() {
			for range rounds {
				o, err := e.b.Get(ctx, "k", nil)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					e.Errorf("get: %v", err)
					return
				}
				letter := check(&o.Info)
				content, err := io.ReadAll(o.Body)
				o.Body.Close()
				e.succeeds(err, "read")
				if letter != 0 && string(content) != strings.Repeat(string(letter), size(letter)) {
					e.Errorf("content of letter %q is %s", letter, short(string(content)))
				}
			}
		})
	}
	wg.Go(func() {
		for range rounds {
			info, err := e.b.Stat(ctx, "k", nil)
			if err == nil {
				check(info)
			} else if !errors.Is(err, fs.ErrNotExist) {
				e.Errorf("stat: %v", err)
			}
			page, err := e.b.List(ctx, &store.ListOptions{Prefix: "k"})
			if err != nil || len(page.Objects) > 1 || page.More {
				e.Errorf("list: %+v, %v, want one key or none", page, err)
			}
		}
	})
	wg.Wait()
	e.put("k", "end", nil)
	e.holds("k", "end")
	e.wantKeys([]string{"copy/a", "copy/b", "copy/c", "copy/d", "k"})
}

// testConcurrentKeys writes many keys at once: none is lost.
func testConcurrentKeys(e *env) {
	workers, each := 8, 25
	if e.opts.Slow {
		workers, each = 3, 3
	}
	var want []string
	var wg sync.WaitGroup
	for w := range workers {
		var keys []string
		for i := range each {
			keys = append(keys, strings.Repeat("d/", i%4)+string(rune('a'+w))+string(rune('a'+i)))
		}
		want = append(want, keys...)
		wg.Go(func() {
			for _, k := range keys {
				_, err := e.b.Put(e.Context(), k, strings.NewReader(k), nil)
				e.succeeds(err, "put")
				_, err = e.b.Put(e.Context(), k+"-", strings.NewReader(k), nil)
				e.succeeds(err, "put")
				e.delete(k + "-")
			}
		})
	}
	wg.Wait()
	e.wantKeys(want)
	for _, k := range want {
		e.holds(k, k)
	}
}
