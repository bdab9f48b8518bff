package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/storetest"
)

// trashBucket makes a bucket whose objects go to the trash.
func trashBucket(t testing.TB, s *Store, name string) store.Bucket {
	t.Helper()
	b := makeBucket(t, s, name)
	if err := s.SetTrash(t.Context(), name, true); err != nil {
		t.Fatal(err)
	}
	return b
}

// trash returns a line for each object in the trash, by pages of two.
func trash(t *testing.T, s *Store, bucket, prefix string) (lines []string) {
	t.Helper()
	for next, more := "", true; more; more = next != "" {
		p, err := s.ListTrash(t.Context(), bucket, &ListTrashOptions{Prefix: prefix, After: next, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Objects {
			lines = append(lines, fmt.Sprintf("%s %d", o.Key, o.Size))
		}
		next = p.Next
	}
	return lines
}

// TestTrashDoesNotShow: a bucket with trash does what others do.
func TestTrashDoesNotShow(t *testing.T) {
	s := openStore(t, t.TempDir(), &Options{NoSync: true, Keys: testKeys()})
	n := 0
	storetest.Run(t, func(t *testing.T) store.Bucket {
		n++
		return trashBucket(t, s, "bucket"+strconv.Itoa(n))
	}, &storetest.Options{Slow: true})
	check(t, s)
}

func TestTrash(t *testing.T) {
	c := new(clock)
	s := openStore(t, t.TempDir(), &Options{Now: c.now})
	b := trashBucket(t, s, "media")
	small, large := []byte("small"), noise(100<<10)
	put(t, b, "a", small)
	put(t, b, "a\x00b", []byte("odd"))
	put(t, b, "b", large)
	c.days.Add(1)
	put(t, b, "a", []byte("again"))
	remove(t, b, "a")
	putParts(t, b, "b", noise(store.MinPartSize), small) // over the large one
	if _, err := b.Copy(t.Context(), "b", "a\x00b", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DeleteMany(t.Context(), []store.Target{{Key: "a\x00b"}, {Key: "none"}, {Key: "a\x00b"}}); err != nil {
		t.Fatal(err)
	}
	all := []string{"a 5", "a 5", "a\x00b 3", fmt.Sprintf("b %d", store.MinPartSize+5), "b 102400"}
	if got := trash(t, s, "media", ""); !slices.Equal(got, all) {
		t.Errorf("in the trash are %q, want %q", got, all)
	}
	if got := trash(t, s, "media", "a\x00"); !slices.Equal(got, []string{"a\x00b 3"}) {
		t.Errorf("below a prefix there are %q", got)
	}
	p, err := s.ListTrash(t.Context(), "media", nil)
	if err != nil || p.Next != "" || len(p.Objects) != 5 || p.Objects[0].Deleted.Sub(c.now()).Abs() > time.Microsecond || p.Objects[0].ModTime != c.now().UTC() || p.Objects[1].ModTime.Equal(c.now()) {
		t.Errorf("got %+v, %v", p, err)
	}
	check(t, s)

	// What was there last comes back, as it was, and what is in its place does not go.
	undelete := func(key string, opts *UndeleteOptions, want error) {
		t.Helper()
		if _, err := s.Undelete(t.Context(), "media", key, opts); !errors.Is(err, want) {
			t.Errorf("undelete %q: %v, want %v", key, err, want)
		}
	}
	undelete("a", nil, nil)
	if got := get(t, b, "a"); string(got) != "again" {
		t.Errorf("a is %q", got)
	}
	undelete("a", nil, fs.ErrExist)
	undelete("a", &UndeleteOptions{ID: p.Objects[0].ID, Force: true}, fs.ErrNotExist) // it is back
	undelete("a", &UndeleteOptions{ID: p.Objects[1].ID, Force: true}, nil)
	if got := get(t, b, "a"); string(got) != "small" {
		t.Errorf("a is %q", got)
	}
	undelete("b", &UndeleteOptions{ID: p.Objects[4].ID, Force: true}, nil)
	if got := get(t, b, "b"); !bytes.Equal(got, large) {
		t.Errorf("b has %d bytes", len(got))
	}
	for _, id := range []string{"x", "null"} {
		undelete("a", &UndeleteOptions{ID: id, Force: true}, fs.ErrInvalid)
	}
	undelete("none", nil, fs.ErrNotExist)
	undelete("../x", nil, fs.ErrNotExist)
	all = []string{"a 5", "a\x00b 3", "b 3", fmt.Sprintf("b %d", store.MinPartSize+5)}
	if got := trash(t, s, "media", ""); !slices.Equal(got, all) {
		t.Errorf("in the trash are %q, want %q", got, all)
	}
	check(t, s)

	// It outlives the store, whatever the setting is then.
	if err := s.SetTrash(t.Context(), "media", false); err != nil {
		t.Fatal(err)
	}
	put(t, b, "a", nil)
	if got := trash(t, s, "media", ""); !slices.Equal(got, all) {
		t.Errorf("in the trash are %q, want %q", got, all)
	}
	undelete("a", &UndeleteOptions{Force: true}, nil) // which keeps what is there even now
	if got := trash(t, s, "media", "a"); !slices.Equal(got, []string{"a 0", "a\x00b 3"}) {
		t.Errorf("in the trash are %q", got)
	}
	for _, bad := range []ListTrashOptions{{Limit: -1}, {Limit: store.MaxPage + 1}, {After: "?"}, {After: "AAAA"}} {
		if _, err := s.ListTrash(t.Context(), "media", &bad); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := s.ListTrash(t.Context(), "none", nil); !errors.Is(err, store.ErrNoBucket) {
		t.Errorf("no bucket: %v", err)
	}
}

// TestEmptyTrash in steps, by age and prefix, until the files are gone.
func TestEmptyTrash(t *testing.T) {
	c := new(clock)
	s := openStore(t, t.TempDir(), &Options{Now: c.now})
	b := trashBucket(t, s, "media")
	content := noise(100 << 10)
	for day := range 3 {
		for i := range 100 {
			key := fmt.Sprintf("%c/%03d", 'a'+day, i)
			data := content[:10]
			if i < 2 {
				data = content
			}
			put(t, b, key, data)
			remove(t, b, key)
		}
		c.days.Add(1)
	}
	empty := func(opts EmptyTrashOptions) (n int64) {
		t.Helper()
		for more := true; more; more = opts.After != "" {
			done, err := s.EmptyTrash(t.Context(), "media", &opts)
			if err != nil {
				t.Fatal(err)
			}
			n += done.Objects
			opts.After = done.Next
		}
		return n
	}
	for _, step := range []struct {
		opts EmptyTrashOptions
		want int64
		left int
	}{
		{EmptyTrashOptions{Age: 4 * day}, 0, 300},
		{EmptyTrashOptions{Age: 2*day + 1, Limit: 7}, 100, 200},
		{EmptyTrashOptions{Prefix: "c/", Limit: 1}, 100, 100},
		{EmptyTrashOptions{Prefix: "c/"}, 0, 100},
		{EmptyTrashOptions{Prefix: "b/05"}, 10, 90},
		{EmptyTrashOptions{}, 90, 0},
	} {
		if n := empty(step.opts); n != step.want || len(trash(t, s, "media", "")) != step.left {
			t.Errorf("%+v removed %d and left %d, want %d and %d", step.opts, n, len(trash(t, s, "media", "")), step.want, step.left)
		}
	}
	check(t, s)
	if left := blobFiles(t, s); len(left) > 0 {
		t.Errorf("the files %q are left", left)
	}
	for _, bad := range []EmptyTrashOptions{{Age: -1}, {Limit: -1}, {After: "x"}} {
		if _, err := s.EmptyTrash(t.Context(), "media", &bad); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestTrashGoesWithItsBucket, but not before that is empty.
func TestTrashGoesWithItsBucket(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := trashBucket(t, s, "media")
	put(t, b, "keep", nil)
	for i := range 2*expireTogether + 3 {
		key := strconv.Itoa(i)
		put(t, b, key, noise(100<<10))
		remove(t, b, key)
	}
	if err := s.DeleteBucket(t.Context(), "media"); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("the error is %v", err)
	}
	if n := len(trash(t, s, "media", "")); n != 2*expireTogether+3 {
		t.Errorf("%d are in the trash", n)
	}
	remove(t, b, "keep")
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for range cap(errs) {
		wg.Go(func() { errs <- s.DeleteBucket(context.Background(), "media") })
	}
	wg.Wait()
	close(errs)
	gone := 0
	for err := range errs {
		if err == nil {
			gone++
		} else if !errors.Is(err, store.ErrNoBucket) {
			t.Error(err)
		}
	}
	if gone != 1 {
		t.Errorf("it was deleted %d times", gone)
	}
	check(t, s)
	if left := blobFiles(t, s); len(left) > 0 {
		t.Errorf("the files %q are left", left)
	}
	b = makeBucket(t, s, "media") // for which the setting still holds
	if got := trash(t, s, "media", ""); got != nil {
		t.Errorf("a new bucket has %q", got)
	}
	put(t, b, "k", nil)
	remove(t, b, "k")
	if got := trash(t, s, "media", ""); !slices.Equal(got, []string{"k 0"}) {
		t.Errorf("in the trash are %q", got)
	}
}

// TestUndeleteOfVersions takes away the delete marker, and needs no trash.
func TestUndeleteOfVersions(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := trashBucket(t, s, "media")
	put(t, b, "old", []byte("of before"))
	remove(t, b, "old")
	setVersioning(t, b, store.Enabled)
	put(t, b, "k", []byte("one"))
	put(t, b, "k", []byte("two"))
	remove(t, b, "k")
	if got := trash(t, s, "media", ""); !slices.Equal(got, []string{"old 9"}) {
		t.Errorf("in the trash are %q", got)
	}
	info, err := s.Undelete(t.Context(), "media", "k", nil)
	if err != nil || string(get(t, b, "k")) != "two" || info.Version == "" {
		t.Errorf("got %+v, %v", info, err)
	}
	if _, err := s.Undelete(t.Context(), "media", "k", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the error is %v", err)
	}
	remove(t, b, "k")
	remove(t, b, "k") // two markers: the one below is no object
	if _, err := s.Undelete(t.Context(), "media", "k", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	if _, err := s.Undelete(t.Context(), "media", "old", nil); err != nil || string(get(t, b, "old")) != "of before" || len(trash(t, s, "media", "")) > 0 {
		t.Errorf("the error is %v", err)
	}
	check(t, s)
}

// TestTrashFindings damages what is in the trash.
func TestTrashFindings(t *testing.T) {
	d := newDamaged(t)
	if err := d.s.SetTrash(t.Context(), "media", true); err != nil {
		t.Fatal(err)
	}
	path := d.s.path(d.content("file").id)
	for _, key := range []string{"small", "file", "copy", "parts"} {
		remove(t, d.b, key)
	}
	if got := d.check(&CheckOptions{Content: true}); len(got) > 0 {
		t.Errorf("found %q", got)
	}
	flip(t, path)
	if got := d.check(&CheckOptions{Content: true}); !slices.Equal(got, []string{"damaged copy", "damaged file"}) {
		t.Errorf("found %q", got)
	}
	os.Remove(path)
	if got := d.check(&CheckOptions{Content: true}); !slices.Equal(got, []string{"missing copy", "missing file"}) {
		t.Errorf("found %q", got)
	}
	d.set(trashKey(d.st.id, "x", store.VersionID{1}), []byte("nonsense"))
	if got := d.check(&CheckOptions{Repair: true}); !slices.Contains(got, "bad row x") {
		t.Errorf("found %q", got)
	}
	if r, err := d.s.Check(t.Context(), nil); err != nil || r.Trash != 4 {
		t.Errorf("the report is %+v, %v", r, err)
	}
}

// TestTrashIsBackedUp with its content.
func TestTrashIsBackedUp(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	b := trashBucket(t, s, "media")
	put(t, b, "k", noise(100<<10))
	remove(t, b, "k")
	dir := filepath.Join(t.TempDir(), "backup")
	if r, err := s.Backup(t.Context(), dir); err != nil || r.Trash != 1 || len(r.Findings) > 0 {
		t.Fatalf("the report is %+v, %v", r, err)
	}
	c := openStore(t, dir, nil)
	if _, err := c.Undelete(t.Context(), "media", "k", nil); err != nil {
		t.Fatal(err)
	}
	cb, err := c.Bucket(t.Context(), "media")
	if err != nil || !bytes.Equal(get(t, cb, "k"), noise(100<<10)) {
		t.Errorf("the content is another, %v", err)
	}
	check(t, c)
}

// TestUndeleteMeanwhile puts back, overwrites and deletes one object at once.
func TestUndeleteMeanwhile(t *testing.T) {
	s := openStore(t, t.TempDir(), &Options{NoSync: true})
	b := trashBucket(t, s, "media")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := b.Put(t.Context(), "k", bytes.NewReader(noise(70<<10+i)), nil); err != nil {
					t.Error(err)
				}
				if _, err := b.Delete(t.Context(), "k", nil); err != nil {
					t.Error(err)
				}
				_, err := s.Undelete(t.Context(), "media", "k", &UndeleteOptions{Force: i%2 == 0})
				if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
				if i%10 == 0 {
					if _, err := s.EmptyTrash(t.Context(), "media", &EmptyTrashOptions{Limit: 3}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	check(t, s)
}

// TestScrub reads what Check with Content does.
func TestScrub(t *testing.T) {
	d := newDamaged(t)
	if err := d.s.SetTrash(t.Context(), "media", true); err != nil {
		t.Fatal(err)
	}
	remove(t, d.b, "copy")
	scrub := func(opts *ScrubOptions) (found []string) {
		t.Helper()
		r, err := d.s.Scrub(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		all, err := d.s.Check(t.Context(), nil)
		if err != nil || all.Bytes != r.Bytes || all.Objects != r.Objects || all.Trash != r.Trash || all.Parts != r.Parts {
			t.Errorf("it says %+v, and Check %+v, %v", r, all, err)
		}
		for _, f := range r.Findings {
			found = append(found, string(f.Kind)+" "+f.Key)
		}
		slices.Sort(found)
		return found
	}
	var read, total int64
	opts := &ScrubOptions{Rate: func(n int64) int64 { total = n; return 1 << 40 }, Progress: func(done, _ int64) { read = done }}
	if got := scrub(opts); len(got) > 0 || read != total || total == 0 {
		t.Errorf("found %q, read %d of %d bytes", got, read, total)
	}
	flip(t, d.s.path(d.content("file").id))
	if got := scrub(nil); !slices.Equal(got, []string{"damaged copy", "damaged file"}) {
		t.Errorf("found %q", got)
	}
	os.Remove(d.s.path(d.content("file").id))
	if got := scrub(nil); !slices.Equal(got, []string{"damaged copy", "damaged file"}) {
		t.Errorf("found %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.s.Scrub(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func FuzzTrashAfter(f *testing.F) {
	b := bucketID{1, 2, 3}
	for _, key := range []string{"a", "a\x00b", "\x00\x01", ""} {
		f.Add(trashPosition(trashKey(b, key, store.VersionID{7})[1+bucketIDSize:]))
	}
	f.Add("AAAA")
	f.Add("?")
	f.Fuzz(func(t *testing.T, after string) {
		row, err := trashAfter(b, after)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		// It is just after a row of this bucket's trash, and of no other.
		key, id, ok := splitVersion(row[1+bucketIDSize : len(row)-1])
		if !ok || !bytes.HasPrefix(row, trashPrefix(b)) || !bytes.Equal(row, append(trashKey(b, key, id), 0)) {
			t.Fatalf("%q begins at %x", after, row)
		}
	})
}
