package storetest

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// versioned switches versions on, or suspends them.
func (e *env) versioned(v store.Versioning) {
	e.Helper()
	if err := e.b.SetVersioning(e.Context(), v); err != nil {
		e.Fatalf("set versioning %q: %v", v, err)
	}
	e.wantVersioning(v)
}

func (e *env) wantVersioning(want store.Versioning) {
	e.Helper()
	if v, err := e.b.Versioning(e.Context()); err != nil || v != want {
		e.Errorf("versioning is %q, %v, want %q", v, err, want)
	}
}

// putVersion puts content and returns the id of the version.
func (e *env) putVersion(key, content string) string {
	e.Helper()
	info := e.put(key, content, nil)
	if info.Version == "" && e.opts.LikeS3 {
		return store.NullVersion
	}
	if info.Version == "" || len(info.Version) > 64 || strings.ContainsFunc(info.Version, unsafe) {
		e.Fatalf("put %s makes version %q, want an id of at most 64 characters that may stand in a URL", short(key), info.Version)
	}
	return info.Version
}

// unsafe reports whether a URL writes c in another way.
func unsafe(c rune) bool {
	return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", c)
}

// deleteVersion deletes what is named and checks what becomes of it.
func (e *env) deleteVersion(key, version string, marker bool) {
	e.Helper()
	d, err := e.b.Delete(e.Context(), key, &store.DeleteOptions{Version: version})
	if err != nil {
		e.Fatalf("delete version %s of %s: %v", version, short(key), err)
	}
	if d.Version != version || d.Marker != marker || d.Err != nil {
		e.Errorf("delete version %s of %s: %+v, want it with Marker %v", version, short(key), d, marker)
	}
}

// hide deletes an object and returns the id of the delete marker.
func (e *env) hide(key string) string {
	e.Helper()
	d, err := e.b.Delete(e.Context(), key, nil)
	if err != nil || !d.Marker || d.Version == "" || d.Err != nil {
		e.Fatalf("delete %s: %+v, %v, want a delete marker with an id", short(key), d, err)
	}
	return d.Version
}

// holdsVersion checks that a version has this content, by Get and by Stat.
func (e *env) holdsVersion(key, version, want string) {
	e.Helper()
	opts := &store.GetOptions{Version: version}
	o := e.openObject(key, opts)
	if got := e.read(o); got != want || o.Info.Version != version {
		e.Errorf("version %s of %s is %s with id %q, want %s", version, short(key), short(got), o.Info.Version, short(want))
	}
	info, err := e.b.Stat(e.Context(), key, opts)
	if err != nil || info.Version != version || info.Size != int64(len(want)) {
		e.Errorf("stat of version %s of %s: %+v, %v, want it with %d bytes", version, short(key), info, err, len(want))
	}
}

// current checks the content and the version id of the object.
func (e *env) current(key, version, want string) {
	e.Helper()
	e.holds(key, want)
	if info := e.stat(key); info.Version != version {
		e.Errorf("version of %s is %q, want %q", short(key), info.Version, version)
	}
}

// noVersion checks that a version is not there.
func (e *env) noVersion(key, version string) {
	e.Helper()
	opts := &store.GetOptions{Version: version}
	_, err := e.b.Stat(e.Context(), key, opts)
	e.fails(err, store.ErrNoVersion, "stat of a version that is not there")
	_, err = e.b.Get(e.Context(), key, opts)
	e.fails(err, store.ErrNoVersion, "get of a version that is not there")
}

// marks checks that err has this cause because of a delete marker.
func (e *env) marks(err, cause error, marker, what string) {
	e.Helper()
	e.fails(err, cause, what)
	if se, ok := errors.AsType[*store.Error](err); !ok || se.Marker != marker {
		e.Errorf("%s: error %#v does not name delete marker %q", what, err, marker)
	}
}

// hidden checks that a delete marker is in place of the object.
func (e *env) hidden(key, marker string) {
	e.Helper()
	_, err := e.b.Stat(e.Context(), key, nil)
	e.marks(err, fs.ErrNotExist, marker, "stat of a hidden object")
	_, err = e.b.Get(e.Context(), key, nil)
	e.marks(err, fs.ErrNotExist, marker, "get of a hidden object")
	opts := &store.GetOptions{Version: marker}
	_, err = e.b.Stat(e.Context(), key, opts)
	e.marks(err, store.ErrMarker, marker, "stat of a delete marker")
	_, err = e.b.Get(e.Context(), key, opts)
	e.marks(err, store.ErrMarker, marker, "get of a delete marker")
}

// line is a version in the notation of wantVersions: "key version", with "!" for
// a delete marker and "*" for the latest.
func line(v *store.Version) string {
	s := v.Key + " " + v.Info.Version
	if v.IsMarker {
		s += "!"
	}
	if v.Latest {
		s += "*"
	}
	return s
}

// wantVersions checks which versions there are, in their order.
func (e *env) wantVersions(want ...string) {
	e.Helper()
	if got := e.versions(store.ListVersionsOptions{}); !slices.Equal(got, want) {
		e.Errorf("versions are\n%q, want\n%q", got, want)
	}
}

// testUnversioned uses the words for versions where there are none.
func testUnversioned(e *env) {
	ctx := e.Context()
	e.wantVersioning(store.Unversioned)
	if info := e.put("k", "content", nil); info.Version != "" {
		e.Errorf("put makes version %q, want none", info.Version)
	}
	null := &store.GetOptions{Version: store.NullVersion}
	if got := e.get("k", null); got != "content" {
		e.Errorf("null version is %s, want the object", short(got))
	}
	_, err := e.b.Stat(ctx, "missing", null)
	e.fails(err, store.ErrNoVersion, "stat of the null version of no object")
	_, err = e.b.Stat(ctx, "k", &store.GetOptions{Version: "not an id"})
	e.fails(err, fs.ErrInvalid, "stat of what cannot be an id")
	e.wantVersions("k null*")
	for _, v := range []store.Versioning{store.Unversioned, "enabled", "Off"} {
		e.fails(e.b.SetVersioning(ctx, v), fs.ErrInvalid, "set versioning "+string(v))
	}
	e.wantVersioning(store.Unversioned)
	d, err := e.b.Delete(ctx, "k", &store.DeleteOptions{Version: store.NullVersion})
	if err != nil || *d != (store.Deleted{}) {
		e.Errorf("delete of the null version: %+v, %v, want nothing to say", d, err)
	}
	e.missing("k")
	e.wantVersions()
}

// testVersions keeps all that is put.
func testVersions(e *env) {
	e.put("k", "zero", nil)
	e.versioned(store.Enabled)
	e.current("k", store.NullVersion, "zero")
	e.wantVersions("k null*")
	one := e.putVersion("k", "one")
	e.current("k", one, "one")
	two := e.putVersion("k", "two")
	three := e.putVersion("k", "two")
	e.current("k", three, "two")
	for version, content := range map[string]string{store.NullVersion: "zero", one: "one", two: "two", three: "two"} {
		e.holdsVersion("k", version, content)
	}
	e.wantVersions("k "+three+"*", "k "+two, "k "+one, "k null")
	e.wantKeys([]string{"k"})
	page, err := e.b.List(e.Context(), nil)
	listed := three
	if e.opts.LikeS3 {
		listed = ""
	}
	if err != nil || len(page.Objects) != 1 || page.Objects[0].Size != 3 || page.Objects[0].Version != listed {
		e.Errorf("list: %+v, %v, want the latest version alone", page, err)
	}
	other := e.putVersion("other", "other")
	e.noVersion("k", other)
	e.noVersion("other", store.NullVersion)
	e.noVersion("missing", one)
	_, err = e.b.Get(e.Context(), "k", &store.GetOptions{Version: "not an id"})
	e.fails(err, fs.ErrInvalid, "get of what cannot be an id")
	_, err = e.b.Delete(e.Context(), "k", &store.DeleteOptions{Version: "not an id"})
	e.fails(err, fs.ErrInvalid, "delete of what cannot be an id")

	e.deleteVersion("k", two, false)
	e.noVersion("k", two)
	e.deleteVersion("k", two, false)
	e.current("k", three, "two")
	e.deleteVersion("k", three, false)
	e.current("k", one, "one")
	e.deleteVersion("k", store.NullVersion, false)
	e.current("k", one, "one")
	e.wantVersions("k "+one+"*", "other "+other+"*")
	e.deleteVersion("k", one, false)
	e.missing("k")
	e.noVersion("k", one)
	_, err = e.b.Stat(e.Context(), "k", nil)
	e.marks(err, fs.ErrNotExist, "", "stat where all versions are deleted")
	e.deleteVersion("missing", one, false)
	e.wantVersions("other " + other + "*")
}

// testDeleteMarkers hides objects, and uncovers them.
func testDeleteMarkers(e *env) {
	e.versioned(store.Enabled)
	one := e.putVersion("k", "one")
	m := e.hide("k")
	e.hidden("k", m)
	e.holdsVersion("k", one, "one")
	e.wantKeys(nil)
	e.wantVersions("k "+m+"!*", "k "+one)
	m2 := e.hide("k")
	e.hidden("k", m2)
	e.wantVersions("k "+m2+"!*", "k "+m+"!", "k "+one)
	two := e.putVersion("k", "two")
	e.current("k", two, "two")
	e.wantVersions("k "+two+"*", "k "+m2+"!", "k "+m+"!", "k "+one)
	e.wantKeys([]string{"k"})
	e.deleteVersion("k", two, false)
	e.hidden("k", m2)
	e.deleteVersion("k", m, true)
	e.hidden("k", m2)
	e.deleteVersion("k", m2, true)
	e.current("k", one, "one")
	e.wantVersions("k " + one + "*")

	lone := e.hide("nothing")
	e.hidden("nothing", lone)
	e.wantVersions("k "+one+"*", "nothing "+lone+"!*")
	e.deleteVersion("nothing", lone, true)
	e.missing("nothing")
	e.wantVersions("k " + one + "*")
}

// testSuspended has one null version for each key, and leaves the others alone.
func testSuspended(e *env) {
	e.versioned(store.Enabled)
	one := e.putVersion("k", "one")
	two := e.putVersion("k", "two")
	e.versioned(store.Suspended)
	e.current("k", two, "two")
	for _, content := range []string{"null one", "null two"} {
		if v := e.putVersion("k", content); v != store.NullVersion {
			e.Errorf("put makes version %q, want null", v)
		}
		e.current("k", store.NullVersion, content)
		e.wantVersions("k null*", "k "+two, "k "+one)
	}
	for range 2 {
		if m := e.hide("k"); m != store.NullVersion {
			e.Errorf("delete makes marker %q, want null", m)
		}
		e.hidden("k", store.NullVersion)
		e.wantVersions("k null!*", "k "+two, "k "+one)
	}
	e.wantKeys(nil)
	e.deleteVersion("k", store.NullVersion, true)
	e.current("k", two, "two")
	e.putVersion("k", "null three")
	e.versioned(store.Enabled)
	three := e.putVersion("k", "three")
	e.wantVersions("k "+three+"*", "k null", "k "+two, "k "+one)
	e.holdsVersion("k", store.NullVersion, "null three")
	e.versioned(store.Suspended)
	e.putVersion("k", "null four")
	e.current("k", store.NullVersion, "null four")
	e.wantVersions("k null*", "k "+three, "k "+two, "k "+one)
	e.versioned(store.Enabled)
	four := e.putVersion("k", "four")
	e.versioned(store.Suspended)
	e.hide("k")
	e.wantVersions("k null!*", "k "+four, "k "+three, "k "+two, "k "+one)
	e.deleteVersion("k", four, false)
	e.hidden("k", store.NullVersion)
	e.putVersion("new", "new")
	e.put("new", "newer", nil)
	e.hide("new")
	e.deleteVersion("new", store.NullVersion, true)
	e.missing("new")
}

// testVersionConditions holds conditions against the object that is there, which a
// delete marker is not.
func testVersionConditions(e *env) {
	e.versioned(store.Enabled)
	one := e.put("k", "one", nil)
	two := e.put("k", "two", nil)
	ctx := e.Context()
	_, err := e.b.Get(ctx, "k", &store.GetOptions{Version: one.Version, Conditions: store.Conditions{IfMatch: []string{two.ETag}}})
	e.fails(err, store.ErrPrecondition, "get of a version with IfMatch of another one")
	_, err = e.b.Stat(ctx, "k", &store.GetOptions{Version: one.Version, Conditions: store.Conditions{IfNoneMatch: []string{one.ETag}}})
	e.fails(err, store.ErrNotModified, "stat of a version with IfNoneMatch")
	if !e.opts.NoDeleteIfMatch {
		e.fails(e.remove(ctx, "k", &store.DeleteOptions{IfMatch: []string{one.ETag}}), store.ErrPrecondition, "delete with IfMatch of an older version")
		e.fails(e.remove(ctx, "k", &store.DeleteOptions{Version: one.Version, IfMatch: []string{two.ETag}}), store.ErrPrecondition,
			"delete of a version with IfMatch of another one")
		e.succeeds(e.remove(ctx, "k", &store.DeleteOptions{IfMatch: []string{two.ETag}}), "delete with IfMatch")
		e.fails(e.remove(ctx, "k", &store.DeleteOptions{IfMatch: []string{"*"}}), fs.ErrNotExist, "delete of a hidden object with IfMatch")
	} else {
		e.hide("k")
	}
	if !e.opts.NoIfMatch {
		_, err = e.b.Put(ctx, "k", strings.NewReader("x"), &store.PutOptions{IfMatch: []string{two.ETag}})
		e.fails(err, fs.ErrNotExist, "put over a hidden object with IfMatch")
	}
	if !e.opts.NoIfNoneMatch {
		_, err = e.b.Put(ctx, "k", strings.NewReader("three"), &store.PutOptions{IfNoneMatch: []string{"*"}})
		e.succeeds(err, "put over a hidden object with IfNoneMatch *")
		e.holds("k", "three")
		_, err = e.b.Put(ctx, "k", strings.NewReader("x"), &store.PutOptions{IfNoneMatch: []string{"*"}})
		e.fails(err, fs.ErrExist, "put over an object with IfNoneMatch *")
	}
}

// testVersionTags gives each version tags of its own.
func testVersionTags(e *env) {
	if e.opts.NoTags {
		return
	}
	e.versioned(store.Enabled)
	ctx := e.Context()
	one := e.put("k", "one", &store.PutOptions{Tags: map[string]string{"n": "1"}}).Version
	two := e.put("k", "two", &store.PutOptions{Tags: map[string]string{"n": "2"}}).Version
	of := func(version string) *store.GetOptions { return &store.GetOptions{Version: version} }
	want := func(version, n string) {
		e.Helper()
		tags, err := e.b.Tags(ctx, "k", of(version))
		if err != nil || tags["n"] != n {
			e.Errorf("tags of version %q: %v, %v, want n %q", version, tags, err, n)
		}
	}
	want("", "2")
	want(one, "1")
	e.succeeds(e.b.SetTags(ctx, "k", map[string]string{"n": "one"}, of(one)), "set tags of an older version")
	e.succeeds(e.b.SetTags(ctx, "k", map[string]string{"n": "two"}, of(two)), "set tags of the latest version")
	want(one, "one")
	want("", "two")
	m := e.hide("k")
	e.marks(e.b.SetTags(ctx, "k", nil, nil), fs.ErrNotExist, m, "set tags of a hidden object")
	e.marks(e.b.SetTags(ctx, "k", nil, of(m)), store.ErrMarker, m, "set tags of a delete marker")
	_, err := e.b.Tags(ctx, "k", nil)
	e.marks(err, fs.ErrNotExist, m, "tags of a hidden object")
	_, err = e.b.Tags(ctx, "k", of(m))
	e.marks(err, store.ErrMarker, m, "tags of a delete marker")
	want(two, "two")
	e.deleteVersion("k", two, false)
	e.fails(e.b.SetTags(ctx, "k", nil, of(two)), store.ErrNoVersion, "set tags of a version that is not there")
	e.wantVersions("k "+m+"!*", "k "+one)
	e.holdsVersion("k", one, "one")
}

// testVersionCopies copies versions, to objects and to parts.
func testVersionCopies(e *env) {
	e.versioned(store.Enabled)
	ctx := e.Context()
	one := e.putVersion("k", "one")
	two := e.putVersion("k", "two")
	info, err := e.b.Copy(ctx, "copy", "k", &store.CopyOptions{Version: one})
	e.succeeds(err, "copy of a version")
	e.current("copy", info.Version, "one")
	back, err := e.b.Copy(ctx, "k", "k", &store.CopyOptions{Version: one})
	e.succeeds(err, "copy of a version over its key")
	e.current("k", back.Version, "one")
	e.wantVersions("copy "+info.Version+"*", "k "+back.Version+"*", "k "+two, "k "+one)
	m := e.hide("k")
	_, err = e.b.Copy(ctx, "copy", "k", nil)
	if e.opts.LikeS3 {
		e.fails(err, fs.ErrNotExist, "copy of a hidden object")
	} else {
		e.marks(err, fs.ErrNotExist, m, "copy of a hidden object")
	}
	_, err = e.b.Copy(ctx, "copy", "k", &store.CopyOptions{Version: m})
	e.marks(err, store.ErrMarker, m, "copy of a delete marker")
	_, err = e.b.Copy(ctx, "copy", "k", &store.CopyOptions{Version: info.Version})
	e.fails(err, store.ErrNoVersion, "copy of a version that is not there")
	_, err = e.b.Copy(ctx, "copy", "k", &store.CopyOptions{Version: "not an id"})
	e.fails(err, fs.ErrInvalid, "copy of what cannot be an id")
	e.current("copy", info.Version, "one")
	if e.opts.NoMultipart {
		return
	}
	u := e.createUpload("parts", nil)
	p, err := e.b.CopyPart(ctx, u.Key, u.ID, 1, "k", &store.CopyPartOptions{Version: two})
	if err != nil {
		e.Fatalf("copy part of a version: %v", err)
	}
	_, err = e.b.CopyPart(ctx, u.Key, u.ID, 1, "k", &store.CopyPartOptions{Version: m})
	e.marks(err, store.ErrMarker, m, "copy part of a delete marker")
	_, err = e.b.CopyPart(ctx, u.Key, u.ID, 1, "k", &store.CopyPartOptions{Version: info.Version})
	e.fails(err, store.ErrNoVersion, "copy part of a version that is not there")
	first := e.complete(u, *p)
	e.deleteVersion("k", two, false)
	e.current("parts", first.Version, "two")
	u = e.createUpload("parts", nil)
	second := e.complete(u, e.putPart(u, 1, "more"))
	e.current("parts", second.Version, "more")
	e.holdsVersion("parts", first.Version, "two")
	if o := e.openObject("parts", &store.GetOptions{Version: first.Version, Part: 1}); e.read(o) != "two" {
		e.Errorf("part 1 of a version has another content")
	}
}
