package storetest

import (
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

var serviceTests = []struct {
	name string
	run  func(e *serviceEnv)
}{
	{"Buckets", testBuckets},
	{"BucketNames", testBucketNames},
	{"DeleteBucket", testDeleteBucket},
	{"DeleteBucketWithVersions", testDeleteBucketWithVersions},
	{"BucketsApart", testBucketsApart},
	{"CreateBucketRace", testCreateBucketRace},
	{"ServiceCancelled", testServiceCancelled},
}

// serviceEnv is what a test of a service works with.
type serviceEnv struct {
	env
	svc store.Service
}

func newServiceEnv(t *testing.T, svc store.Service, opts *Options) *serviceEnv {
	return &serviceEnv{env{T: t, opts: opts}, svc}
}

func (e *serviceEnv) create(name string) {
	e.Helper()
	if err := e.svc.CreateBucket(e.Context(), name); err != nil {
		e.Fatalf("create bucket %s: %v", name, err)
	}
}

// bucket returns the same test on the bucket called name.
func (e *serviceEnv) bucket(name string) *env {
	e.Helper()
	b, err := e.svc.Bucket(e.Context(), name)
	if err != nil {
		e.Fatalf("bucket %s: %v", name, err)
	}
	return &env{T: e.T, b: b, opts: e.opts}
}

func (e *serviceEnv) wantBuckets(want ...string) {
	e.Helper()
	infos, err := e.svc.Buckets(e.Context())
	if err != nil {
		e.Fatalf("buckets: %v", err)
	}
	var got []string
	for _, i := range infos {
		got = append(got, i.Name)
		if i.Created.IsZero() {
			e.Errorf("bucket %s has no time of creation", i.Name)
		}
	}
	if !slices.Equal(got, want) {
		e.Errorf("buckets are %q, want %q", got, want)
	}
}

func testBuckets(e *serviceEnv) {
	e.wantBuckets()
	_, err := e.svc.Bucket(e.Context(), "photos")
	e.fails(err, store.ErrNoBucket, "bucket that there is not")
	e.create("photos")
	e.create("docs")
	e.create("photos.2")
	e.create("photos-2")
	e.wantBuckets("docs", "photos", "photos-2", "photos.2")
	e.bucket("photos").put("k", "content", nil)
	e.fails(e.svc.CreateBucket(e.Context(), "photos"), fs.ErrExist, "create bucket that there is")
	e.bucket("photos").holds("k", "content")
}

func testBucketNames(e *serviceEnv) {
	for _, name := range []string{"", "ab", "Photos", "a_b", "-ab", "ab-", "a..b", "10.0.0.1", "a/b", "../up", strings.Repeat("a", 64)} {
		e.fails(e.svc.CreateBucket(e.Context(), name), fs.ErrInvalid, "create bucket "+short(name))
		_, err := e.svc.Bucket(e.Context(), name)
		e.fails(err, fs.ErrNotExist, "bucket "+short(name))
	}
	e.wantBuckets()
	e.create("abc")
	e.create(strings.Repeat("a", 63))
}

func testDeleteBucket(e *serviceEnv) {
	ctx := e.Context()
	e.fails(e.svc.DeleteBucket(ctx, "photos"), store.ErrNoBucket, "delete bucket that there is not")
	e.create("photos")
	b := e.bucket("photos")
	b.put("k", "content", nil)
	e.fails(e.svc.DeleteBucket(ctx, "photos"), store.ErrNotEmpty, "delete bucket with an object")
	b.holds("k", "content")
	b.delete("k")
	if !e.opts.NoMultipart && !e.opts.LikeS3 {
		u := b.createUpload("k", nil)
		e.fails(e.svc.DeleteBucket(ctx, "photos"), store.ErrNotEmpty, "delete bucket with an upload")
		b.wantUploads(u)
		b.abort(u)
	}
	e.succeeds(e.svc.DeleteBucket(ctx, "photos"), "delete empty bucket")
	e.wantBuckets()
	_, err := e.svc.Bucket(ctx, "photos")
	e.fails(err, store.ErrNoBucket, "bucket that was deleted")
	_, err = b.b.Put(ctx, "k", strings.NewReader("x"), nil)
	e.fails(err, store.ErrNoBucket, "put to a bucket that was deleted")
	_, err = b.b.List(ctx, nil)
	e.fails(err, store.ErrNoBucket, "list of a bucket that was deleted")
	e.create("photos")
	e.bucket("photos").wantKeys(nil)
	e.wantBuckets("photos")
}

// testDeleteBucketWithVersions deletes a bucket that has versions and no object.
func testDeleteBucketWithVersions(e *serviceEnv) {
	if e.opts.NoVersions {
		return
	}
	ctx := e.Context()
	e.create("photos")
	b := e.bucket("photos")
	b.versioned(store.Enabled)
	one := b.putVersion("k", "one")
	m := b.hide("k")
	b.wantKeys(nil)
	e.fails(e.svc.DeleteBucket(ctx, "photos"), store.ErrNotEmpty, "delete bucket with a version")
	b.deleteVersion("k", one, false)
	e.fails(e.svc.DeleteBucket(ctx, "photos"), store.ErrNotEmpty, "delete bucket with a delete marker")
	b.hidden("k", m)
	b.deleteVersion("k", m, true)
	e.succeeds(e.svc.DeleteBucket(ctx, "photos"), "delete bucket without versions")
	e.create("photos")
	e.bucket("photos").wantVersioning(store.Unversioned)
}

// testBucketsApart keeps the same keys in two buckets whose names are alike.
func testBucketsApart(e *serviceEnv) {
	names := []string{"abc", "abc.d", "abcd"}
	for _, name := range names {
		e.create(name)
		e.bucket(name).put("k", "of "+name, nil)
		e.bucket(name).put("d/k", "below "+name, nil)
	}
	for _, name := range names {
		b := e.bucket(name)
		b.holds("k", "of "+name)
		b.wantKeys([]string{"k", "d/k"})
	}
	e.bucket("abc").delete("k")
	e.bucket("abc").wantKeys([]string{"d/k"})
	e.bucket("abcd").wantKeys([]string{"k", "d/k"})
	_, err := e.bucket("abc").b.Copy(e.Context(), "k", "k", &store.CopyOptions{From: e.bucket("abcd").b})
	e.succeeds(err, "copy from another bucket")
	e.bucket("abc").holds("k", "of abcd")
	if e.opts.NoMultipart {
		return
	}
	u := e.bucket("abc").createUpload("k", nil)
	e.bucket("abcd").gone(u)
	e.bucket("abcd").wantUploads()
	e.bucket("abc").wantUploads(u)
}

func testCreateBucketRace(e *serviceEnv) {
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := e.svc.CreateBucket(e.Context(), "photos"); err == nil {
				won.Add(1)
			} else {
				e.fails(err, fs.ErrExist, "create bucket that came too late")
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		e.Errorf("%d creations of a bucket succeeded, want 1", n)
	}
	e.wantBuckets("photos")
}

func testServiceCancelled(e *serviceEnv) {
	e.create("photos")
	ctx := e.cancelled()
	ended := ctx.Err()
	_, err := e.svc.Buckets(ctx)
	e.fails(err, ended, "buckets with a context that has ended")
	e.fails(e.svc.CreateBucket(ctx, "docs"), ended, "create bucket with a context that has ended")
	e.fails(e.svc.DeleteBucket(ctx, "photos"), ended, "delete bucket with a context that has ended")
	e.wantBuckets("photos")
}
