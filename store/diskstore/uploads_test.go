package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// manyUploads starts uploads of an owner in one change, with many attributes.
func manyUploads(t *testing.T, s *Store, b store.Bucket, owner string, n int) {
	t.Helper()
	st, err := s.find(b.(*bucket).name)
	if err != nil {
		t.Fatal(err)
	}
	c := s.begin()
	defer c.close()
	u := &upload{attrs: store.Attributes{User: map[string]string{"a": strings.Repeat("x", 500)}}}
	u.Owner, u.Started = owner, s.now()
	head := newRow(64)
	head.upload(&u.Upload)
	for i := range n {
		id, _ := parseUploadID(store.NewUploadID(u.Started))
		key := fmt.Sprintf("dir/%05d", i)
		c.set(uploadKey(st.id, key, id), u.encode())
		c.set(ownerKey(st.id, owner, key, id), head.b)
	}
	if err := c.commit(); err != nil {
		t.Fatal(err)
	}
}

// TestUploadsOfOthers counts the rows that are read for a list of few among many.
func TestUploadsOfOthers(t *testing.T) {
	s := openStore(t, t.TempDir(), &Options{NoSync: true})
	b := makeBucket(t, s, "busy")
	manyUploads(t, s, b, "ann", 22_000)
	start := func(key, owner string) {
		if _, err := b.CreateUpload(t.Context(), key, &store.PutOptions{Owner: owner}); err != nil {
			t.Fatal(err)
		}
	}
	start("dir/", "bob")
	start("dir/20000", "bob")
	start("zoo", "bob")
	st, err := s.find("busy")
	if err != nil {
		t.Fatal(err)
	}
	as := func(owner string) store.UploadOptions { return store.UploadOptions{Owner: owner} }
	for _, test := range []struct {
		name string
		opts store.ListUploadsOptions
		want int
		more bool
	}{
		{"None", store.ListUploadsOptions{UploadOptions: as("guest")}, 0, false},
		{"NameBefore", store.ListUploadsOptions{UploadOptions: as("an")}, 0, false},
		{"Few", store.ListUploadsOptions{UploadOptions: as("bob")}, 3, false},
		{"FewByOne", store.ListUploadsOptions{UploadOptions: as("bob"), Limit: 1}, 1, true},
		{"FewPrefix", store.ListUploadsOptions{UploadOptions: as("bob"), Prefix: "dir/2"}, 1, false},
		{"FewDelimiter", store.ListUploadsOptions{UploadOptions: as("bob"), Delimiter: "/"}, 2, false},
		{"Many", store.ListUploadsOptions{UploadOptions: as("ann")}, store.MaxPage, true},
		{"ManyDelimiter", store.ListUploadsOptions{UploadOptions: as("ann"), Delimiter: "/"}, 1, false},
		{"All", store.ListUploadsOptions{}, store.MaxPage, true},
		{"AllAfter", store.ListUploadsOptions{AfterKey: "dir/21990"}, 10, false},
		{"AllDelimiter", store.ListUploadsOptions{Delimiter: "/"}, 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := s.uploads(t.Context(), st, test.opts.Owner, test.opts.Prefix)
			if err != nil {
				t.Fatal(err)
			}
			defer c.it.Close()
			page, err := store.ListUploads(c, &test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(page.Uploads) + len(page.Prefixes); n != test.want || page.More != test.more {
				t.Errorf("%d entries, more %v, want %d, %v", n, page.More, test.want, test.more)
			}
			for _, u := range page.Uploads {
				if o := test.opts.Owner; o != "" && u.Owner != o {
					t.Errorf("upload of %q in the list of %q", u.Owner, o)
				}
			}
			stats := c.it.Stats()
			rows := stats.ForwardStepCount[pebble.InternalIterCall] + stats.ForwardSeekCount[pebble.InternalIterCall]
			if rows > test.want+4 {
				t.Errorf("%d rows read for %d entries", rows, test.want)
			}
		})
	}
	again, err := b.ListUploads(t.Context(), &store.ListUploadsOptions{AfterKey: "zoo", AfterID: "first"})
	if !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("list after what is no upload id: %+v, %v, want fs.ErrInvalid", again, err)
	}
}

// slow is content that comes after some time.
type slow struct {
	io.Reader
	wait time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(s.wait)
	s.wait = 0
	return s.Reader.Read(p)
}

func partOf(ctx context.Context, b store.Bucket, u *store.Upload, r io.Reader) error {
	_, err := b.PutPart(ctx, u.Key, u.ID, 1, r, nil)
	return err
}

// TestStaleUploads lets uploads grow old while the store is open, and while it is
// closed.
func TestStaleUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age = 24 * time.Hour
		dir, large := t.TempDir(), string(noise(300<<10))
		s := openStore(t, dir, &Options{StaleUploads: age})
		b := makeBucket(t, s, "stale")
		start := func(key string) *store.Upload {
			u, err := b.CreateUpload(t.Context(), key, &store.PutOptions{Owner: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		left := func(s *Store, uploads, files int) {
			t.Helper()
			synctest.Wait()
			page, err := b.ListUploads(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, m := len(page.Uploads), len(blobFiles(t, s)); n != uploads || m != files {
				t.Errorf("%d uploads and %d files, want %d and %d", n, m, uploads, files)
			}
			check(t, s)
		}
		var first []*store.Upload
		for i := range 2*staleBatch + 1 {
			u := start(fmt.Sprintf("old%d", i%3))
			first = append(first, u)
			if err := partOf(t.Context(), b, u, strings.NewReader(large[:10])); err != nil {
				t.Fatal(err)
			}
		}
		if err := partOf(t.Context(), b, first[0], strings.NewReader(large)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(age - time.Minute)
		young := start("young")
		if err := partOf(t.Context(), b, young, strings.NewReader(large)); err != nil {
			t.Fatal(err)
		}
		left(s, len(first)+1, 2)
		if err := partOf(t.Context(), b, first[1], &slow{strings.NewReader(large), 2 * staleEvery}); !errors.Is(err, store.ErrNoUpload) {
			t.Errorf("part that was under way: %v, want ErrNoUpload", err)
		}
		left(s, 1, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}

		time.Sleep(age)
		s = openStore(t, dir, nil)
		b, _ = s.Bucket(t.Context(), "stale")
		left(s, 1, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, &Options{StaleUploads: age})
		b, _ = s.Bucket(t.Context(), "stale")
		left(s, 0, 0)
	})
}

// TestAbortUploads aborts those that are as old as each key may be.
func TestAbortUploads(t *testing.T) {
	c := new(clock)
	s := openStore(t, t.TempDir(), &Options{Now: c.now})
	b := makeBucket(t, s, "media")
	for range 2 {
		for i := range staleBatch + 1 {
			for _, folder := range []string{"soon", "late", "never"} {
				u, err := b.CreateUpload(t.Context(), fmt.Sprintf("%s/%d", folder, i), nil)
				if err == nil {
					err = partOf(t.Context(), b, u, bytes.NewReader(noise(70<<10)))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		c.days.Add(3)
	}
	age := func(key string) time.Duration {
		switch key[0] {
		case 's':
			return 4 * day
		case 'l':
			return 10 * day
		}
		return 0
	}
	const each = staleBatch + 1
	for _, step := range []struct{ days, want int64 }{{6, each}, {6, 0}, {11, 2 * each}, {100, each}} {
		c.days.Store(step.days)
		if n, err := s.AbortUploads(t.Context(), "media", age); n != step.want || err != nil {
			t.Errorf("after %d days %d were aborted, %v, want %d", step.days, n, err, step.want)
		}
	}
	if page, err := b.ListUploads(t.Context(), nil); err != nil || len(page.Uploads) != 2*each {
		t.Errorf("%d uploads are left, %v", len(page.Uploads), err)
	}
	if _, err := s.AbortUploads(t.Context(), "none", age); !errors.Is(err, store.ErrNoBucket) {
		t.Errorf("no bucket: %v", err)
	}
	check(t, s)
}
