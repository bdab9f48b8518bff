package gate_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// marked is a service in whose buckets a delete marker stands for every object.
type marked struct{ store.Service }

type markedBucket struct {
	store.Bucket
	keys []string // of what ListVersions shows
}

func (s marked) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	b, err := s.Service.Bucket(ctx, name)
	return &markedBucket{b, []string{"a/x", "a/plain/x", "b/x"}}, err
}

func marker(key, version string) error {
	if version != "" {
		return &store.Error{Op: "get", Key: key, Marker: version, Err: store.ErrMarker}
	}
	return &store.Error{Op: "get", Key: key, Marker: "m1", Err: fs.ErrNotExist}
}

func (b *markedBucket) Stat(_ context.Context, key string, o *store.GetOptions) (*store.Info, error) {
	return nil, marker(key, o.Version)
}

func (b *markedBucket) DeleteMany(_ context.Context, targets []store.Target) ([]store.Deleted, error) {
	done := make([]store.Deleted, len(targets))
	for i, t := range targets {
		done[i].Err = marker(t.Key, "")
	}
	return done, nil
}

func (b *markedBucket) SetVersioning(context.Context, store.Versioning) error { return nil }

func (b *markedBucket) ListVersions(_ context.Context, o *store.ListVersionsOptions) (*store.VersionsPage, error) {
	hidden := func(key string) bool {
		return o.Ranges != nil && !slices.ContainsFunc(o.Ranges, func(r store.KeyRange) bool { return r.Contains(key) })
	}
	page := &store.VersionsPage{Prefixes: slices.DeleteFunc([]string{"a/c/", "a/plain/"}, hidden)}
	for _, key := range slices.DeleteFunc(slices.Clone(b.keys), hidden) {
		page.Versions = append(page.Versions, store.Version{Info: store.Info{Key: key, Version: "v1"}})
	}
	return page, nil
}

// newMarked returns a gate over such a service with one bucket, box.
func newMarked(t *testing.T, rules string) *gate.Gate {
	t.Helper()
	svc := memstore.New()
	if err := svc.CreateBucket(t.Context(), "box"); err != nil {
		t.Fatal(err)
	}
	return gate.New(marked{svc}, map[string]*access.Policy{"box": parse(t, rules)}, nil)
}

// TestMarkersAreHidden from those who may not list the object.
func TestMarkersAreHidden(t *testing.T) {
	g := newMarked(t, "open/*  authenticated read,write,delete\nshut/*  authenticated get,write,delete\n")
	for _, version := range []string{"", "m1"} {
		opts := &store.GetOptions{Version: version}
		for who, c := range map[string]struct {
			v      *gate.View
			key    string
			hidden bool
		}{
			"may list":     {g.As(alice), "open/x", false},
			"may not list": {g.As(alice), "shut/x", true},
			"operator":     {g.Operator(), "shut/x", false},
		} {
			b, err := c.v.Bucket(t.Context(), "box")
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Stat(t.Context(), c.key, opts)
			e, _ := errors.AsType[*store.Error](err)
			if got := errors.Is(err, fs.ErrPermission); got != c.hidden || (e.Marker == "") != c.hidden {
				t.Errorf("%s, version %q: %v, marker %q", who, version, err, e.Marker)
			}
			done, err := b.DeleteMany(t.Context(), targets(c.key))
			if err != nil || errors.Is(done[0].Err, fs.ErrPermission) != c.hidden {
				t.Errorf("%s: delete: %v, %v", who, done, err)
			}
		}
	}
}

// TestVersionsAreListedWhereARuleGivesThem, and not below a longer path whose rule
// does not.
func TestVersionsAreListedWhereARuleGivesThem(t *testing.T) {
	g := newMarked(t, "a/*  authenticated read,versions\na/plain/*  authenticated read\nb/*  authenticated read\n")
	b, err := g.As(alice).Bucket(t.Context(), "box")
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.ListVersions(t.Context(), &store.ListVersionsOptions{Prefix: "a/"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Versions) != 1 || page.Versions[0].Key != "a/x" || !slices.Equal(page.Prefixes, []string{"a/c/"}) {
		t.Errorf("listed %+v, %q", page.Versions, page.Prefixes)
	}
	for _, prefix := range []string{"", "b/", "a/plain/"} {
		if _, err := b.ListVersions(t.Context(), &store.ListVersionsOptions{Prefix: prefix}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("below %q: %v", prefix, err)
		}
	}
	all, err := g.Operator().Bucket(t.Context(), "box")
	if err != nil {
		t.Fatal(err)
	}
	if page, err := all.ListVersions(t.Context(), nil); err != nil || len(page.Versions) != 3 || len(page.Prefixes) != 2 {
		t.Errorf("operator: %+v, %v", page, err)
	}
}

// TestPagesOfVersionsTellNothingElse than the versions that are in them: neither how
// many others there are nor, as the place where a list goes on, their keys and ids.
func TestPagesOfVersionsTellNothingElse(t *testing.T) {
	svc := memstore.New()
	if err := svc.CreateBucket(t.Context(), "box"); err != nil {
		t.Fatal(err)
	}
	g := gate.New(svc, map[string]*access.Policy{"box": parse(t, "a/*  authenticated read,versions\na/plain/*  authenticated read\n")}, nil)
	all, err := g.Operator().Bucket(t.Context(), "box")
	if err == nil {
		err = all.SetVersioning(t.Context(), store.Enabled)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a/b", "a/plain/x", "a/plain/y/z", "a/z"} {
		if _, err := all.Put(t.Context(), key, strings.NewReader(key), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := all.Delete(t.Context(), "a/plain/x", nil); err != nil {
		t.Fatal(err)
	}
	b, err := g.As(alice).Bucket(t.Context(), "box")
	if err != nil {
		t.Fatal(err)
	}
	for _, delimiter := range []string{"", "/"} {
		opts := &store.ListVersionsOptions{Prefix: "a/", Delimiter: delimiter, Limit: 1}
		for i, key := range []string{"a/b", "a/z"} {
			page, err := b.ListVersions(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Versions) != 1 || page.Versions[0].Key != key || page.NextKey != key || page.More != (i == 0) {
				t.Errorf("delimiter %q, page %d: got %+v", delimiter, i, page)
			}
			opts.AfterKey, opts.AfterVersion = page.NextKey, page.NextVersion
		}
	}
}

// TestDeletingAVersionNeedsMore than deleting the object.
func TestDeletingAVersionNeedsMore(t *testing.T) {
	w := newWorld(t)
	for _, s := range []access.Subject{alice, guest} {
		w.svc.take()
		_, err := w.as(s).Delete(t.Context(), "trash/x", &store.DeleteOptions{Version: store.NullVersion})
		w.denied("delete a version", err)
		done, err := w.as(s).DeleteMany(t.Context(), []store.Target{{Key: "trash/x", Version: "1"}})
		if err != nil {
			t.Fatal(err)
		}
		w.denied("delete versions", done[0].Err)
	}
	for who, err := range map[string]error{
		"the right": second(w.as(bob).Delete(t.Context(), "admin/x", &store.DeleteOptions{Version: "1"})),
		"operator":  second(w.operator().Delete(t.Context(), "trash/x", &store.DeleteOptions{Version: "1"})),
	} {
		if errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if n := len(w.svc.take()); n != 2 {
		t.Errorf("%d calls reached the bucket", n)
	}
}

// TestVersioning is read by those who may list something, and changed by operators.
func TestVersioning(t *testing.T) {
	w := newWorld(t)
	for who, c := range map[string]struct {
		v      *gate.View
		bucket string
		want   error
	}{
		"guest":                 {w.gate.As(guest), "media", nil},
		"alice":                 {w.gate.As(alice), "media", nil},
		"operator":              {w.gate.Operator(), "bare", nil},
		"without rules":         {w.gate.As(alice), "bare", fs.ErrPermission},
		"missing":               {w.gate.As(alice), "nowhere", fs.ErrPermission},
		"missing, but of rules": {w.gate.As(alice), "gone", store.ErrNoBucket},
	} {
		b := w.bucket(c.v, c.bucket)
		w.svc.take()
		err := settings["Versioning"](t.Context(), b)
		if c.want == nil {
			if err != nil {
				t.Errorf("%s: %v", who, err)
			}
		} else {
			w.fails(who, err, c.want)
			w.untouched(who)
		}
		w.svc.take()
		err = settings["SetVersioning"](t.Context(), b)
		if who == "operator" {
			if errors.Is(err, fs.ErrPermission) || len(w.svc.take()) != 1 {
				t.Errorf("%s: %v", who, err)
			}
			continue
		}
		w.denied(who, err)
	}
}

// TestOperate is for operators alone, and tells them alone whether there is a bucket.
func TestOperate(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"media", "bare", "nowhere", "gone"} {
		for _, s := range []access.Subject{{}, guest, alice, bob} {
			w.denied(name, w.gate.As(s).Operate(t.Context(), "get cors of", name))
		}
	}
	if err := w.gate.Operator().Operate(t.Context(), "get cors of", "bare"); err != nil {
		t.Error(err)
	}
	w.fails("a missing bucket", w.gate.Operator().Operate(t.Context(), "get cors of", "nowhere"), store.ErrNoBucket)
}
