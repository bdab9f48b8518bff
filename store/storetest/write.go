package storetest

import (
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// testPutConditions puts with every condition that a write may have.
func testPutConditions(e *env) {
	put := func(key, content string, opts *store.PutOptions) error {
		_, err := e.b.Put(e.Context(), key, strings.NewReader(content), opts)
		return err
	}
	if !e.opts.NoIfNoneMatch {
		none := &store.PutOptions{IfNoneMatch: []string{"*"}}
		e.succeeds(put("none", "first", none), "put to a new key with IfNoneMatch *")
		before := e.stat("none")
		e.fails(put("none", "second", none), fs.ErrExist, "put over an object with IfNoneMatch *")
		e.unchanged(before, "first")
		e.delete("none")
		e.succeeds(put("none", "third", none), "put after delete with IfNoneMatch *")
		e.holds("none", "third")
		e.fails(put("none", "x", &store.PutOptions{IfNoneMatch: []string{"other"}}), errors.ErrUnsupported, "put with IfNoneMatch of a tag")
		e.holds("none", "third")
	}
	if !e.opts.NoIfMatch {
		any := &store.PutOptions{IfMatch: []string{"*"}}
		e.fails(put("match", "x", any), fs.ErrNotExist, "put to a new key with IfMatch *")
		e.fails(put("match", "x", &store.PutOptions{IfMatch: []string{"tag"}}), fs.ErrNotExist, "put to a new key with IfMatch")
		e.missing("match")
		old := e.put("match", "first", nil)
		e.succeeds(put("match", "second", &store.PutOptions{IfMatch: []string{old.ETag}}), "put with IfMatch of the object there")
		before := e.stat("match")
		e.fails(put("match", "x", &store.PutOptions{IfMatch: []string{old.ETag}}), store.ErrPrecondition, "put with IfMatch of an older object")
		e.unchanged(before, "second")
		e.succeeds(put("match", "third", &store.PutOptions{IfMatch: []string{"other", before.ETag}}), "put with IfMatch of several tags")
		e.succeeds(put("match", "fourth", any), "put over an object with IfMatch *")
		e.holds("match", "fourth")
	}
}

// testLatePutConditions changes the object after a conditional Put has begun:
// what counts is the object at the end.
func testLatePutConditions(e *env) {
	late := func(key string, meanwhile func()) io.Reader {
		return io.MultiReader(strings.NewReader("late "), readerFunc(func([]byte) (int, error) {
			meanwhile()
			return 0, io.EOF
		}), strings.NewReader("content"))
	}
	if !e.opts.NoIfNoneMatch {
		r := late("none", func() { e.put("none", "early", nil) })
		_, err := e.b.Put(e.Context(), "none", r, &store.PutOptions{IfNoneMatch: []string{"*"}})
		e.fails(err, fs.ErrExist, "put with IfNoneMatch * where an object came meanwhile")
		e.holds("none", "early")
	}
	if !e.opts.NoIfMatch {
		old := e.put("match", "old", nil)
		r := late("match", func() { e.put("match", "early", nil) })
		_, err := e.b.Put(e.Context(), "match", r, &store.PutOptions{IfMatch: []string{old.ETag}})
		e.fails(err, store.ErrPrecondition, "put with IfMatch of an object that was overwritten meanwhile")
		e.holds("match", "early")
		r = late("match", func() { e.delete("match") })
		_, err = e.b.Put(e.Context(), "match", r, &store.PutOptions{IfMatch: []string{"*"}})
		e.fails(err, fs.ErrNotExist, "put with IfMatch * of an object that was deleted meanwhile")
		e.missing("match")
	}
}

// testWriteRace lets many write the same object on the same condition: one does.
func testWriteRace(e *env) {
	rounds := 20
	if e.opts.Slow {
		rounds = 2
	}
	for round := range rounds {
		size := 1 + round%2*(30<<10)
		if !e.opts.NoIfNoneMatch {
			key := "none/" + strconv.Itoa(round)
			e.race(key, size, fs.ErrExist, &store.PutOptions{IfNoneMatch: []string{"*"}})
		}
		if !e.opts.NoIfMatch {
			key := "match/" + strconv.Itoa(round)
			there := e.put(key, "what was there", nil)
			e.race(key, size, store.ErrPrecondition, &store.PutOptions{IfMatch: []string{there.ETag}})
		}
	}
}

// race puts many contents with these options at once. One must succeed, and the
// others fail with the cause late.
func (e *env) race(key string, size int, late error, opts *store.PutOptions) {
	e.Helper()
	racers := 16
	if e.opts.Slow {
		racers = 5
	}
	content := func(i int) string { return strings.Repeat(strconv.Itoa(i)+",", size) }
	var won, winner atomic.Int64
	var wg, ready sync.WaitGroup
	ready.Add(racers)
	all := make(chan struct{})
	go func() {
		ready.Wait()
		close(all)
	}()
	for i := range racers {
		wg.Go(func() {
			// At their ends the readers wait for each other, so that the writes meet.
			// A driver that lets them in one by one need not wait for long.
			arrive := sync.OnceFunc(ready.Done)
			defer arrive()
			r := io.MultiReader(strings.NewReader(content(i)), readerFunc(func([]byte) (int, error) {
				arrive()
				select {
				case <-all:
				case <-time.After(100 * time.Millisecond):
				}
				return 0, io.EOF
			}))
			_, err := e.b.Put(e.Context(), key, r, opts)
			if err == nil {
				won.Add(1)
				winner.Store(int64(i))
				return
			}
			e.fails(err, late, "conditional put that came too late")
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		e.Fatalf("%d of %d conditional puts of %s succeeded, want 1", n, racers, key)
	}
	e.holds(key, content(int(winner.Load())))
}

// testCounter lets many count in one object: no count is lost.
func testCounter(e *env) {
	if e.opts.NoIfMatch {
		return
	}
	workers, each := 8, 25
	if e.opts.Slow {
		workers, each = 3, 3
	}
	e.put("counter", "0", nil)
	count := func() error {
		for {
			o, err := e.b.Get(e.Context(), "counter", nil)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(o.Body)
			o.Body.Close()
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(text))
			if err != nil {
				return err
			}
			_, err = e.b.Put(e.Context(), "counter", strings.NewReader(strconv.Itoa(n+1)), &store.PutOptions{IfMatch: []string{o.ETag}})
			if !errors.Is(err, store.ErrPrecondition) {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				e.succeeds(count(), "increment")
			}
		})
	}
	wg.Wait()
	e.holds("counter", strconv.Itoa(workers*each))
}

func testDelete(e *env) {
	e.put("k", "content", nil)
	e.put("k/below", "below", nil)
	e.delete("k")
	e.missing("k")
	e.holds("k/below", "below")
	e.succeeds(e.remove(e.Context(), "k", nil), "delete of a missing key")
	e.succeeds(e.remove(e.Context(), "never", nil), "delete of a missing key")
	e.put("k", "again", nil)
	e.holds("k", "again")
}

func testDeleteConditions(e *env) {
	if e.opts.NoDeleteIfMatch {
		return
	}
	del := func(key string, tags ...string) error {
		return e.remove(e.Context(), key, &store.DeleteOptions{IfMatch: tags})
	}
	e.fails(del("k", "*"), fs.ErrNotExist, "delete of a missing key with IfMatch *")
	e.fails(del("k", "tag"), fs.ErrNotExist, "delete of a missing key with IfMatch")
	e.put("k", "content", nil)
	before := e.stat("k")
	e.fails(del("k", "other"), store.ErrPrecondition, "delete with IfMatch of another object")
	e.unchanged(before, "content")
	e.succeeds(del("k", "other", before.ETag), "delete with IfMatch")
	e.missing("k")
	e.put("k", "content", nil)
	e.succeeds(del("k", "*"), "delete with IfMatch *")
	e.missing("k")
}

func testDeleteMany(e *env) {
	n := store.MaxPage
	if e.opts.Slow {
		n = 20
	}
	var keys, rest []string
	for i := range n {
		key := "many/" + strconv.Itoa(i)
		keys = append(keys, key)
		if i%2 == 0 || i%3 == 0 {
			e.put(key, "content", nil)
		}
	}
	e.put("many", "stays", nil)
	e.put("other", "stays", nil)
	rest = []string{"many", "other"}
	keys[n-1] = keys[0] // twice, and some are missing
	if (n-1)%2 == 0 || (n-1)%3 == 0 {
		rest = append(rest, "many/"+strconv.Itoa(n-1))
	}
	done, err := e.b.DeleteMany(e.Context(), targets(keys...))
	if err != nil {
		e.Fatalf("delete many: %v", err)
	}
	if len(done) != n {
		e.Fatalf("delete many: %d results, want one for each of %d keys", len(done), n)
	}
	for i, d := range done {
		if d.Err != nil {
			e.Errorf("delete many: %s: %v", short(keys[i]), d.Err)
		}
	}
	e.wantKeys(rest)

	done, err = e.b.DeleteMany(e.Context(), nil)
	if err != nil || len(done) != 0 {
		e.Errorf("delete many of no keys: %v, %v, want no results", done, err)
	}
	done, err = e.b.DeleteMany(e.Context(), targets("many", "", "other"))
	if err != nil || len(done) != 3 {
		e.Fatalf("delete many with an empty key: %v, %v, want three results", done, err)
	}
	e.succeeds(done[0].Err, "delete many, good key")
	e.fails(done[1].Err, fs.ErrInvalid, "delete many, empty key")
	e.succeeds(done[2].Err, "delete many, good key")
	e.wantKeys(rest[2:])

	e.put("k", "content", nil)
	done, err = e.b.DeleteMany(e.Context(), targets(append(make([]string, store.MaxPage), "k")...))
	e.fails(err, fs.ErrInvalid, "delete many of more than MaxPage keys")
	if done != nil {
		e.Errorf("delete many of more than MaxPage keys: %d results, want none", len(done))
	}
	e.holds("k", "content")
}

func testTags(e *env) {
	if e.opts.NoTags {
		return
	}
	ctx := e.Context()
	wantTags := func(key string, want map[string]string) {
		e.Helper()
		e.wantTags(key, want)
	}
	e.put("k", "content", nil)
	before := e.stat("k")
	wantTags("k", nil)
	first := map[string]string{"a": "1", "B": "", "größe": "süß +-=._:/@"}
	e.succeeds(e.b.SetTags(ctx, "k", first, nil), "set tags")
	wantTags("k", map[string]string{"a": "1", "B": "", "größe": "süß +-=._:/@"})
	first["a"] = "changed" // the driver keeps no hold on what it was given
	e.tags("k")["a"] = "changed"
	wantTags("k", map[string]string{"a": "1", "B": "", "größe": "süß +-=._:/@"})
	e.succeeds(e.b.SetTags(ctx, "k", map[string]string{"c": "2"}, nil), "set tags")
	wantTags("k", map[string]string{"c": "2"})
	if got := e.stat("k"); got.ETag != before.ETag {
		e.Errorf("entity tag is %q after tags were set, want %q as before", got.ETag, before.ETag)
	}
	e.holds("k", "content")

	full := make(map[string]string)
	for i := range store.MaxTags {
		full[strings.Repeat("k", store.MaxTagKey-1)+strconv.Itoa(i)] = strings.Repeat("v", store.MaxTagValue)
	}
	e.succeeds(e.b.SetTags(ctx, "k", full, nil), "set as many tags as are allowed")
	wantTags("k", full)
	for name, tags := range badTags() {
		want := store.ErrTooLarge
		if name == "EmptyKey" {
			want = fs.ErrInvalid
		}
		e.fails(e.b.SetTags(ctx, "k", tags, nil), want, "set tags, "+name)
		e.refuses(want, "put with tags, "+name, func() (io.Reader, *store.PutOptions) {
			return strings.NewReader("content"), &store.PutOptions{Tags: tags}
		})
	}
	wantTags("k", full)
	e.succeeds(e.b.SetTags(ctx, "k", nil, nil), "set no tags")
	wantTags("k", nil)

	e.put("k", "content", &store.PutOptions{Tags: map[string]string{"a": "1"}})
	wantTags("k", map[string]string{"a": "1"})
	e.put("k", "content", nil)
	wantTags("k", nil)
	_, err := e.b.Tags(ctx, "missing", nil)
	e.fails(err, fs.ErrNotExist, "tags of a missing key")
	e.fails(e.b.SetTags(ctx, "missing", nil, nil), fs.ErrNotExist, "set tags of a missing key")
	e.missing("missing")
}

// wantTags checks the tags of an object, and that Stat counts them.
func (e *env) wantTags(key string, want map[string]string) {
	e.Helper()
	got := e.tags(key)
	same := len(got) == len(want)
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			same = false
		}
	}
	if !same {
		e.Errorf("tags of %s are %v, want %v", short(key), got, want)
	}
	if n := e.stat(key).TagCount; n != len(want) {
		e.Errorf("stat of %s counts %d tags, want %d", short(key), n, len(want))
	}
}

func badTags() map[string]map[string]string {
	many := make(map[string]string)
	for i := range store.MaxTags + 1 {
		many[strconv.Itoa(i)] = ""
	}
	return map[string]map[string]string{
		"TooMany":   many,
		"LongKey":   {strings.Repeat("k", store.MaxTagKey+1): ""},
		"LongValue": {"k": strings.Repeat("v", store.MaxTagValue+1)},
		"EmptyKey":  {"": "v"},
	}
}
