package storetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

// env is what one test works with: a bucket, and steps on it that end the test
// if they fail.
type env struct {
	*testing.T
	b    store.Bucket
	open func(t *testing.T) store.Bucket
	opts *Options
}

// another returns the same test with a second, empty bucket.
func (e *env) another() *env {
	e.Helper()
	return &env{e.T, e.open(e.T), e.open, e.opts}
}

// sub runs a part of the test, on the same bucket.
func (e *env) sub(name string, f func(e *env)) {
	e.Helper()
	e.Run(name, func(t *testing.T) { f(&env{t, e.b, e.open, e.opts}) })
}

func (e *env) put(key, content string, opts *store.PutOptions) *store.Info {
	e.Helper()
	info, err := e.b.Put(e.Context(), key, strings.NewReader(content), opts)
	if err != nil {
		e.Fatalf("put %s: %v", short(key), err)
	}
	return info
}

func (e *env) stat(key string) *store.Info {
	e.Helper()
	info, err := e.b.Stat(e.Context(), key, nil)
	if err != nil {
		e.Fatalf("stat %s: %v", short(key), err)
	}
	return info
}

func (e *env) openObject(key string, opts *store.GetOptions) *store.Object {
	e.Helper()
	o, err := e.b.Get(e.Context(), key, opts)
	if err != nil {
		e.Fatalf("get %s: %v", short(key), err)
	}
	e.Cleanup(func() { o.Body.Close() })
	return o
}

func (e *env) get(key string, opts *store.GetOptions) string {
	e.Helper()
	o := e.openObject(key, opts)
	content := e.read(o)
	if int64(len(content)) != o.Length {
		e.Errorf("get %s: read %d bytes, but Length is %d", short(key), len(content), o.Length)
	}
	return content
}

func (e *env) read(o *store.Object) string {
	e.Helper()
	var content bytes.Buffer
	content.Grow(int(o.Length) + bytes.MinRead)
	if _, err := content.ReadFrom(o.Body); err != nil {
		e.Fatalf("read %s: %v", short(o.Key), err)
	}
	if err := o.Body.Close(); err != nil {
		e.Errorf("close %s: %v", short(o.Key), err)
	}
	return content.String()
}

// holds checks that the object under key has this content, by Get and by Stat.
func (e *env) holds(key, want string) {
	e.Helper()
	if got := e.get(key, nil); got != want {
		e.Errorf("content of %s is %s, want %s", short(key), short(got), short(want))
	}
	if got := e.stat(key).Size; got != int64(len(want)) {
		e.Errorf("size of %s is %d, want %d", short(key), got, len(want))
	}
}

// missing checks that there is no object under key.
func (e *env) missing(key string) {
	e.Helper()
	_, err := e.b.Stat(e.Context(), key, nil)
	e.fails(err, fs.ErrNotExist, "stat "+short(key))
}

// unchanged checks that the object that info describes is there still, with this
// content.
func (e *env) unchanged(info *store.Info, content string) {
	e.Helper()
	now := e.stat(info.Key)
	if now.ETag != info.ETag || !now.ModTime.Equal(info.ModTime) || now.Size != info.Size || now.TagCount != info.TagCount {
		e.Errorf("%s has changed: entity tag %q of %v, %d bytes, %d tags; want %q of %v, %d bytes, %d tags", short(info.Key),
			now.ETag, now.ModTime, now.Size, now.TagCount, info.ETag, info.ModTime, info.Size, info.TagCount)
	}
	e.hasAttributes(now, info.Attributes)
	if got := e.get(info.Key, nil); got != content {
		e.Errorf("content of %s is %s, want %s as before", short(info.Key), short(got), short(content))
	}
}

func (e *env) delete(key string) {
	e.Helper()
	if err := e.remove(e.Context(), key, nil); err != nil {
		e.Fatalf("delete %s: %v", short(key), err)
	}
}

// remove is Delete where only the error is looked at.
func (e *env) remove(ctx context.Context, key string, opts *store.DeleteOptions) error {
	_, err := e.b.Delete(ctx, key, opts)
	return err
}

// targets are the current objects of these keys.
func targets(keys ...string) []store.Target {
	all := make([]store.Target, len(keys))
	for i, key := range keys {
		all[i].Key = key
	}
	return all
}

func (e *env) tags(key string) map[string]string {
	e.Helper()
	tags, err := e.b.Tags(e.Context(), key, nil)
	if err != nil {
		e.Fatalf("tags %s: %v", short(key), err)
	}
	return tags
}

// keys returns all keys of the bucket.
func (e *env) keys() []string {
	e.Helper()
	var keys []string
	opts := new(store.ListOptions)
	for {
		page, err := e.b.List(e.Context(), opts)
		if err != nil {
			e.Fatalf("list: %v", err)
		}
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
		}
		if !page.More {
			return keys
		}
		opts.After = page.Next
	}
}

// fails checks that err is one of package store, with the cause want.
func (e *env) fails(err, want error, what string) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("%s: error is %v, want one that is %q", what, err, want)
		return
	}
	if _, ok := errors.AsType[*store.Error](err); !ok {
		e.Errorf("%s: error %v (%T) wraps no *store.Error", what, err, err)
	}
}

// result checks that err has the cause want, or is nil if want is.
func (e *env) result(err, want error, what string) {
	e.Helper()
	if want == nil {
		e.succeeds(err, what)
	} else {
		e.fails(err, want, what)
	}
}

// succeeds checks that err is nil.
func (e *env) succeeds(err error, what string) {
	e.Helper()
	if err != nil {
		e.Errorf("%s: %v", what, err)
	}
}

// knows reports whether the driver has checksums by a.
func (e *env) knows(a store.Algorithm) bool {
	return e.opts.Algorithms == nil || slices.Contains(e.opts.Algorithms, a)
}

// cancelled returns a context that has ended.
func (e *env) cancelled() context.Context {
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	return ctx
}

// short cuts content or a key for a message.
func short(s string) string {
	if len(s) <= 60 {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:40]) + "... (" + strconv.Itoa(len(s)) + " bytes)"
}
