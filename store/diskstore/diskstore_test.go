package diskstore

import (
	"context"
	"strconv"
	"testing"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/storetest"
)

// openStore opens the store in dir. At the end of the test it is checked.
func openStore(t testing.TB, dir string, opts *Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t, ok := t.(*testing.T); ok {
			check(t, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestStore checks each store after each test, and empties it for the next one.
func TestStore(t *testing.T) {
	var free []*Store
	all := t
	storetest.RunService(t, func(t *testing.T) store.Service {
		if len(free) == 0 {
			free = append(free, openStore(all, all.TempDir(), &Options{Keys: testKeys()}))
		}
		s := free[0]
		free = free[1:]
		t.Cleanup(func() {
			free = append(free, s)
			check(t, s)
			empty(t, s)
			check(t, s)
		})
		return s
	}, nil)
}

// empty deletes all buckets and what is in them.
func empty(t *testing.T, s *Store) {
	t.Helper()
	ctx := context.Background() // that of the test has ended when this cleans up
	buckets, err := s.Buckets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range buckets {
		b, err := s.Bucket(ctx, info.Name)
		if err != nil {
			t.Fatal(err)
		}
		page := &store.VersionsPage{More: true}
		for page.More {
			if page, err = b.ListVersions(ctx, nil); err != nil {
				t.Fatal(err)
			}
			var targets []store.Target
			for _, v := range page.Versions {
				targets = append(targets, store.Target{Key: v.Key, Version: v.Info.Version})
			}
			if _, err := b.DeleteMany(ctx, targets); err != nil {
				t.Fatal(err)
			}
		}
		uploads, err := b.ListUploads(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uploads.Uploads {
			if err := b.AbortUpload(ctx, u.Key, u.ID, nil); err != nil {
				t.Error(err)
			}
		}
		if err := s.DeleteBucket(ctx, info.Name); err != nil {
			t.Error(err)
		}
	}
}

// TestFiles keeps all content in files, and all buckets in one store.
func TestFiles(t *testing.T) {
	s := openStore(t, t.TempDir(), &Options{Inline: -1, NoSync: true, Keys: testKeys()})
	n := 0
	storetest.Run(t, func(t *testing.T) store.Bucket {
		n++
		return makeBucket(t, s, "bucket"+strconv.Itoa(n))
	}, nil)
}

// TestVersioned has all that a bucket does happen in one that keeps versions.
func TestVersioned(t *testing.T) {
	for _, v := range []store.Versioning{store.Enabled, store.Suspended} {
		t.Run(string(v), func(t *testing.T) {
			s := openStore(t, t.TempDir(), &Options{NoSync: true, Inline: 8 << 10, Keys: testKeys()})
			n := 0
			storetest.Run(t, func(t *testing.T) store.Bucket {
				n++
				b := makeBucket(t, s, "bucket"+strconv.Itoa(n))
				if err := b.SetVersioning(t.Context(), v); err != nil {
					t.Fatal(err)
				}
				return b
			}, &storetest.Options{Slow: true})
		})
	}
}

func makeBucket(t testing.TB, s *Store, name string) store.Bucket {
	t.Helper()
	if err := s.CreateBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	b, err := s.Bucket(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
