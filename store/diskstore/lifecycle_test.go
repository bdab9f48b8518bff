package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// clock is a clock for tests: it goes on by a day when it is told to.
type clock struct{ days atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(c.days.Load()) * day)
}

const day = 24 * time.Hour

func expire(t *testing.T, s *Store, bucket string, opts ExpireOptions) *Expired {
	t.Helper()
	done, err := s.Expire(t.Context(), bucket, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func remove(t *testing.T, b store.Bucket, key string) string {
	t.Helper()
	d, err := b.Delete(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Version
}

// TestExpireAge deletes the objects of a prefix that were not written again.
func TestExpireAge(t *testing.T) {
	c := new(clock)
	s := openStore(t, t.TempDir(), &Options{Now: c.now})
	b := makeBucket(t, s, "media")
	for _, key := range []string{"tmp/a", "tmp/b", "tmp/c", "tmq", "tm"} {
		put(t, b, key, noise(100<<10))
	}
	c.days.Add(5)
	put(t, b, "tmp/b", []byte("again"))
	c.days.Add(5)
	if done := expire(t, s, "media", ExpireOptions{Prefix: "tmp/", Age: 11 * day}); *done != (Expired{Next: "tmp/c"}) {
		t.Errorf("before the time: %+v", done)
	}
	if done := expire(t, s, "media", ExpireOptions{Prefix: "tmp/", Age: 7 * day, NoncurrentAge: day}); *done != (Expired{Objects: 2, Next: "tmp/c"}) {
		t.Errorf("at the time: %+v, want two objects", done)
	}
	if got, want := listed(t, b), []string{"tm null*", "tmp/b null*", "tmq null*"}; !slices.Equal(got, want) {
		t.Errorf("left is %q, want %q", got, want)
	}
	if done := expire(t, s, "media", ExpireOptions{}); *done != (Expired{}) {
		t.Errorf("without an age: %+v", done)
	}
}

// TestExpireVersions deletes what was replaced long ago, and the markers that hide
// nothing then.
func TestExpireVersions(t *testing.T) {
	c := new(clock)
	s := openStore(t, t.TempDir(), &Options{Now: c.now, NoSync: true})
	b := makeBucket(t, s, "media")
	put(t, b, "k", []byte("null"))
	put(t, b, "old", []byte("null"))
	setVersioning(t, b, store.Enabled)
	c.days.Add(10)
	one := put(t, b, "k", noise(100<<10)).Version // null is replaced on day 10
	first := put(t, b, "hidden", []byte("first")).Version
	c.days.Add(10)
	two := put(t, b, "k", []byte("two")).Version // one on day 20
	marker := remove(t, b, "hidden")             // first on day 20
	lone := remove(t, b, "lone")
	c.days.Add(10) // day 30
	opts := ExpireOptions{NoncurrentAge: 15 * day}
	if done := expire(t, s, "media", opts); *done != (Expired{Versions: 1, Next: "lone"}) {
		t.Errorf("day 30: %+v, want one version", done)
	}
	want := []string{"hidden " + marker + "!*", "hidden " + first, "k " + two + "*", "k " + one, "lone " + lone + "!*", "old null*"}
	if got := listed(t, b); !slices.Equal(got, want) {
		t.Errorf("day 30: left is\n%q, want\n%q", got, want)
	}
	c.days.Add(6) // day 36
	if done := expire(t, s, "media", opts); *done != (Expired{Versions: 4, Next: "lone"}) {
		t.Errorf("day 36: %+v, want two versions and two markers", done)
	}
	if got, want := listed(t, b), []string{"k " + two + "*", "old null*"}; !slices.Equal(got, want) {
		t.Errorf("day 36: left is %q, want %q", got, want)
	}
	// An object that is too old is hidden, and is an older version from then on.
	if done := expire(t, s, "media", ExpireOptions{Age: 30 * day, NoncurrentAge: 15 * day}); *done != (Expired{Objects: 1, Next: "old"}) {
		t.Errorf("with an age: %+v, want one object", done)
	}
	if got := listed(t, b); len(got) != 3 || got[2] != "old null" {
		t.Errorf("with an age: left is %q, want old hidden", got)
	}
	c.days.Add(16)
	setVersioning(t, b, store.Suspended)
	if done := expire(t, s, "media", ExpireOptions{Age: 30 * day, NoncurrentAge: 15 * day}); *done != (Expired{Objects: 1, Versions: 2, Next: "old"}) {
		t.Errorf("at the end: %+v, want an object, a version and its marker", done)
	}
	if got, want := listed(t, b), []string{"k null!*", "k " + two}; !slices.Equal(got, want) {
		t.Errorf("at the end: left is %q, want %q", got, want)
	}
}

// TestExpireInSteps goes on where a limit or the end of a context stopped it.
func TestExpireInSteps(t *testing.T) {
	c := new(clock)
	s := openStore(t, t.TempDir(), &Options{Now: c.now, NoSync: true})
	b := versionedBucket(t, s, "media", store.Enabled)
	const keys, each = 30, 4
	for i := range keys {
		for range each {
			put(t, b, fmt.Sprintf("k%02d", i), []byte("x"))
		}
	}
	for range 3 * expireTogether {
		put(t, b, "many", []byte("x"))
	}
	c.days.Add(10)
	opts := ExpireOptions{NoncurrentAge: day, Limit: 10}
	var total int64
	for steps := 0; ; steps++ {
		done := expire(t, s, "media", opts)
		total += done.Versions
		if !done.More {
			break
		}
		if done.Next <= opts.After || done.Versions == 0 || done.Versions > 3*each || steps > keys {
			t.Fatalf("step %d: %+v after %q", steps, done, opts.After)
		}
		opts.After = done.Next
	}
	if want := int64(keys*(each-1) + 3*expireTogether - 1); total != want || len(listed(t, b)) != keys+1 {
		t.Errorf("%d versions were deleted, want %d", total, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Expire(ctx, "media", &ExpireOptions{Age: day}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
	for _, bad := range []ExpireOptions{{Age: -1}, {NoncurrentAge: -1}, {Limit: -1}} {
		if _, err := s.Expire(t.Context(), "media", &bad); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: error is %v, want fs.ErrInvalid", bad, err)
		}
	}
	if _, err := s.Expire(t.Context(), "none", nil); !errors.Is(err, store.ErrNoBucket) {
		t.Errorf("no bucket: error is %v", err)
	}
}

// TestExpireMeanwhile leaves alone what changed after it was looked at.
func TestExpireMeanwhile(t *testing.T) {
	c := new(clock)
	s := openStore(t, t.TempDir(), &Options{Now: c.now})
	b := versionedBucket(t, s, "media", store.Enabled)
	put(t, b, "written", []byte("old"))
	uncovered := put(t, b, "uncovered", []byte("old")).Version
	covers := put(t, b, "uncovered", []byte("new")).Version
	marker := remove(t, b, "marker")
	c.days.Add(10)
	st, err := s.find("media")
	if err != nil {
		t.Fatal(err)
	}
	x := &expiry{s: s, st: st, opts: new(ExpireOptions), done: new(Expired), left: -1, before: c.now().Add(-day), noncurrent: c.now().Add(-day)}
	if err := x.scan(t.Context()); err != nil || len(x.versions) != 1 || len(x.latest) != 3 {
		t.Fatalf("found %+v and %+v, %v, want one version and three that are the latest", x.versions, x.latest, err)
	}
	written := put(t, b, "written", []byte("new")).Version
	if _, err := b.Delete(t.Context(), "uncovered", &store.DeleteOptions{Version: covers}); err != nil {
		t.Fatal(err)
	}
	under := put(t, b, "marker", []byte("new")).Version
	if err := x.flush(); err != nil || *x.done != (Expired{}) {
		t.Errorf("deleted %+v, %v, want nothing", x.done, err)
	}
	got := listed(t, b)
	want := []string{"marker " + under + "*", "marker " + marker + "!", "uncovered " + uncovered + "*", "written " + written + "*"}
	if len(got) != 5 || !slices.Equal(got[:4], want) {
		t.Errorf("left is\n%q, want\n%q", got, want)
	}
}
