package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// versions lists to the end and returns a line for each entry, with those of
// prefixes in brackets. It checks what all pages must be.
func (e *env) versions(opts store.ListVersionsOptions) []string {
	e.Helper()
	limit := opts.Limit
	if limit == 0 {
		limit = store.MaxPage
	}
	var lines []string
	for range 10_000 {
		page, err := e.b.ListVersions(e.Context(), &opts)
		if err != nil {
			e.Fatalf("list versions %+v: %v", opts, err)
		}
		if n := len(page.Versions) + len(page.Prefixes); n > limit {
			e.Fatalf("list versions %+v: page of %d entries, want at most %d", opts, n, limit)
		}
		// Both are in order, and a key is never one of the prefixes.
		for vs, ps := page.Versions, page.Prefixes; len(vs)+len(ps) > 0; {
			if len(ps) == 0 || len(vs) > 0 && vs[0].Key < ps[0] {
				lines = append(lines, line(&vs[0]))
				vs = vs[1:]
			} else {
				lines = append(lines, "["+ps[0]+"]")
				ps = ps[1:]
			}
		}
		if !page.More {
			return lines
		}
		if page.NextKey < opts.AfterKey || page.NextKey == opts.AfterKey && page.NextVersion == opts.AfterVersion {
			e.Fatalf("list versions %+v: next is %q %q, which does not lead on", opts, page.NextKey, page.NextVersion)
		}
		opts.AfterKey, opts.AfterVersion = page.NextKey, page.NextVersion
	}
	e.Fatalf("list of versions does not end")
	return nil
}

// testListVersions lists with prefixes, delimiters and ranges, in pages of all sizes.
func testListVersions(e *env) {
	e.versioned(store.Enabled)
	e.wantVersions()
	var all []store.Version // by key, the latest first
	keys := slices.Sorted(slices.Values(listKeys()))
	if e.opts.Slow {
		keys = keys[:12]
	}
	for i, key := range keys {
		var of []store.Version
		for n := range 1 + i%3 {
			v := store.Version{Info: store.Info{Key: key}}
			if i%4 == 3 && n%2 == 0 {
				v.Info.Version, v.IsMarker = e.hide(key), true
			} else {
				v.Info.Version = e.putVersion(key, strings.Repeat("x", n+1))
			}
			of = append(of, v)
		}
		of[len(of)-1].Latest = true
		slices.Reverse(of)
		all = append(all, of...)
	}
	page, err := e.b.ListVersions(e.Context(), nil)
	if err != nil || page.More || len(page.Versions) != len(all) {
		e.Fatalf("list versions: %d, %v, want %d", len(page.Versions), err, len(all))
	}
	for _, v := range page.Versions {
		if v.ModTime.IsZero() {
			e.Errorf("version %s has no time", line(&v))
		}
		if v.IsMarker {
			continue
		}
		info, err := e.b.Stat(e.Context(), v.Key, &store.GetOptions{Version: v.Info.Version})
		if err != nil || v.Size != info.Size || v.ETag != info.ETag || v.ModTime.Unix() != info.ModTime.Unix() {
			e.Errorf("list says of %s: %d bytes, %q, %v; want as in Stat %+v, %v", line(&v), v.Size, v.ETag, v.ModTime, info, err)
		}
	}
	mid := all[len(all)/2]
	for _, opts := range []store.ListVersionsOptions{
		{},
		{Prefix: "a/b"},
		{Prefix: "none"},
		{Delimiter: "/"},
		{Delimiter: "--", Prefix: "a"},
		{Prefix: "a/", Delimiter: "/"},
		{AfterKey: "a/b"},
		{AfterKey: "a/", Delimiter: "/"},
		{AfterKey: mid.Key, AfterVersion: mid.Info.Version},
		{AfterKey: mid.Key, AfterVersion: mid.Info.Version, Prefix: mid.Key[:1]},
		{AfterKey: "zzz"},
		{Ranges: []store.KeyRange{{Start: "a-", End: "a/b"}, {Start: "b", End: "c/"}}},
		{Ranges: []store.KeyRange{{Start: "a/b"}}, Delimiter: "/"},
		{Ranges: []store.KeyRange{}},
	} {
		want := modelVersions(all, &opts)
		for _, limit := range []int{0, 1, 2, 5} {
			opts.Limit = limit
			if got := e.versions(opts); !slices.Equal(got, want) {
				e.Errorf("list versions %+v:\n got %q\nwant %q", opts, got, want)
			}
		}
	}
	_, err = e.b.ListVersions(e.Context(), &store.ListVersionsOptions{Limit: -1})
	e.fails(err, fs.ErrInvalid, "list versions with a negative limit")
	_, err = e.b.ListVersions(e.Context(), &store.ListVersionsOptions{AfterKey: mid.Key, AfterVersion: "not an id"})
	e.fails(err, fs.ErrInvalid, "list versions after what cannot be an id")
	_, err = e.b.ListVersions(e.cancelled(), nil)
	if err == nil {
		e.Errorf("list versions with a context that has ended succeeds")
	}
}

// modelVersions are the lines of a list of versions with opts.
func modelVersions(all []store.Version, opts *store.ListVersionsOptions) []string {
	var lines []string
	after := -1
	if opts.AfterVersion != "" {
		after = slices.IndexFunc(all, func(v store.Version) bool { return v.Key == opts.AfterKey && v.Info.Version == opts.AfterVersion })
	}
	for i, v := range all {
		rest, ok := strings.CutPrefix(v.Key, opts.Prefix)
		switch {
		case !ok, v.Key < opts.AfterKey, v.Key == opts.AfterKey && (after < 0 || i <= after):
			continue
		case opts.Ranges != nil && !slices.ContainsFunc(opts.Ranges, func(r store.KeyRange) bool { return r.Contains(v.Key) }):
			continue
		}
		if opts.Delimiter != "" {
			if head, _, ok := strings.Cut(rest, opts.Delimiter); ok {
				roll := opts.Prefix + head + opts.Delimiter
				if l := "[" + roll + "]"; roll != opts.AfterKey && !slices.Contains(lines, l) {
					lines = append(lines, l)
				}
				continue
			}
		}
		lines = append(lines, line(&v))
	}
	return lines
}

// testVersionPaging deletes all versions page by page while they are listed, in
// buckets with null versions at all places.
func testVersionPaging(e *env) {
	e.put("a", "null", nil)
	e.put("b", "null", nil)
	e.versioned(store.Enabled)
	for _, key := range []string{"a", "b", "c", "d"} {
		e.putVersion(key, "one")
		e.putVersion(key, "two")
	}
	e.hide("c")
	e.versioned(store.Suspended)
	e.hide("b")
	e.putVersion("d", "null")
	e.versioned(store.Enabled)
	e.putVersion("d", "three")
	e.hide("d")
	want := len(e.versions(store.ListVersionsOptions{}))
	opts := &store.ListVersionsOptions{Limit: 1}
	for n := 0; ; n++ {
		page, err := e.b.ListVersions(e.Context(), opts)
		if err != nil {
			e.Fatalf("list versions: %v", err)
		}
		for _, v := range page.Versions {
			e.deleteVersion(v.Key, v.Info.Version, v.IsMarker)
		}
		if !page.More {
			if n++; n != want {
				e.Errorf("%d versions were listed while they were deleted, want %d", n, want)
			}
			break
		}
		opts.AfterKey, opts.AfterVersion = page.NextKey, page.NextVersion
	}
	e.wantVersions()

	// A null version that is gone hides nothing that comes after it.
	one := e.putVersion("k", "one")
	e.versioned(store.Suspended)
	e.putVersion("k", "null")
	e.deleteVersion("k", store.NullVersion, false)
	got := e.versions(store.ListVersionsOptions{AfterKey: "k", AfterVersion: store.NullVersion})
	if want := []string{"k " + one + "*"}; !slices.Equal(got, want) {
		e.Errorf("after a null version that is gone: %q, want %q", got, want)
	}
	e.putVersion("k", "null")
	got = e.versions(store.ListVersionsOptions{AfterKey: "k", AfterVersion: store.NullVersion})
	if want := []string{"k " + one}; !slices.Equal(got, want) {
		e.Errorf("after the null version: %q, want %q", got, want)
	}
}

// testDeleteManyVersions deletes the same keys several times in one request.
func testDeleteManyVersions(e *env) {
	e.versioned(store.Enabled)
	one, two := e.putVersion("k", "one"), e.putVersion("k", "two")
	other := e.putVersion("other", "other")
	done, err := e.b.DeleteMany(e.Context(), []store.Target{
		{Key: "k", Version: two},
		{Key: "k"},
		{Key: "none"},
		{Key: "k"},
		{Key: "other", Version: "not an id"},
		{Key: "other", Version: one},
		{Key: "k", Version: two},
		{Key: ""},
	})
	if err != nil || len(done) != 8 {
		e.Fatalf("delete many: %+v, %v, want 8 results", done, err)
	}
	for i, want := range []store.Deleted{
		{Version: two},
		{Version: done[1].Version, Marker: true},
		{Version: done[2].Version, Marker: true},
		{Version: done[3].Version, Marker: true},
		{Err: fs.ErrInvalid},
		{Version: one},
		{Version: two},
		{Err: fs.ErrInvalid},
	} {
		e.result(done[i].Err, want.Err, "target "+strconv.Itoa(i))
		if want.Err == nil && done[i] != want {
			e.Errorf("target %d: %+v, want %+v", i, done[i], want)
		}
	}
	m, none, m2 := done[1].Version, done[2].Version, done[3].Version
	if m == m2 || m == "" {
		e.Errorf("delete markers %q and %q, want two", m, m2)
	}
	e.wantVersions("k "+m2+"!*", "k "+m+"!", "k "+one, "none "+none+"!*", "other "+other+"*")
	var all []store.Target
	for _, l := range e.versions(store.ListVersionsOptions{}) {
		key, version, _ := strings.Cut(strings.TrimRight(l, "!*"), " ")
		all = append(all, store.Target{Key: key, Version: version})
	}
	if _, err := e.b.DeleteMany(e.Context(), all); err != nil {
		e.Fatalf("delete many: %v", err)
	}
	e.wantVersions()
	e.wantKeys(nil)
}

// versionModel says what a bucket with versions must hold.
type versionModel struct {
	state store.Versioning
	keys  map[string][]modelVersion // the latest first
}

type modelVersion struct {
	id, content string
	marker      bool
}

// write is a put or, with a marker, a delete.
func (m *versionModel) write(key string, v modelVersion) {
	if m.state != store.Enabled {
		m.drop(key, store.NullVersion)
		v.id = store.NullVersion
	}
	if m.state == store.Unversioned && v.marker {
		return
	}
	m.keys[key] = slices.Insert(m.keys[key], 0, v)
}

func (m *versionModel) drop(key, id string) {
	m.keys[key] = slices.DeleteFunc(m.keys[key], func(v modelVersion) bool { return v.id == id })
}

func (m *versionModel) lines() []string {
	var lines []string
	for _, key := range []string{"a", "a/b", "b"} {
		for i, v := range m.keys[key] {
			sv := &store.Version{Info: store.Info{Key: key, Version: v.id}, IsMarker: v.marker, Latest: i == 0}
			lines = append(lines, line(sv))
		}
	}
	return lines
}

// testRandomVersions does all kinds of changes at random and compares each outcome.
func testRandomVersions(e *env) {
	steps := 400
	if e.opts.Slow {
		steps = 60
	}
	r := rand.New(rand.NewPCG(1, 2))
	state, err := e.b.Versioning(e.Context())
	e.succeeds(err, "versioning")
	m := &versionModel{state: state, keys: make(map[string][]modelVersion)}
	keys := []string{"a", "a/b", "b"}
	var gone []string
	for step := range steps {
		key := keys[r.IntN(len(keys))]
		what := fmt.Sprintf("step %d: ", step)
		switch n := r.IntN(20); {
		case n == 0 && step > 20:
			m.state = []store.Versioning{store.Enabled, store.Suspended}[r.IntN(2)]
			e.versioned(m.state)
		case n < 7:
			v := modelVersion{content: strings.Repeat(strconv.Itoa(step), 1+r.IntN(3))}
			v.id = e.put(key, v.content, nil).Version
			m.write(key, v)
		case n < 9:
			src := keys[r.IntN(len(keys))]
			info, err := e.b.Copy(e.Context(), key, src, &store.CopyOptions{Replace: src == key})
			if of := m.keys[src]; len(of) == 0 || of[0].marker {
				e.fails(err, fs.ErrNotExist, what+"copy of no object")
			} else if err != nil {
				e.Fatalf("%scopy: %v", what, err)
			} else {
				m.write(key, modelVersion{id: info.Version, content: of[0].content})
			}
		case n < 13:
			d, err := e.b.Delete(e.Context(), key, nil)
			if err != nil || d.Marker != (m.state != store.Unversioned) {
				e.Fatalf("%sdelete: %+v, %v", what, d, err)
			}
			m.write(key, modelVersion{id: d.Version, marker: true})
		case n < 18 && len(m.keys[key]) > 0:
			v := m.keys[key][r.IntN(len(m.keys[key]))]
			d, err := e.b.Delete(e.Context(), key, &store.DeleteOptions{Version: v.id})
			if err != nil || d.Marker != v.marker {
				e.Fatalf("%sdelete of version %s: %+v, %v", what, v.id, d, err)
			}
			m.drop(key, v.id)
			if gone = append(gone, v.id); v.id != store.NullVersion {
				e.noVersion(key, v.id)
			}
		case len(gone) > 0 && m.state != store.Unversioned:
			if id := gone[r.IntN(len(gone))]; id != store.NullVersion {
				e.deleteVersion(key, id, false)
			}
		}
		e.compareVersions(m)
		if e.Failed() {
			e.Fatalf("%sdiffers", what)
		}
	}
}

// compareVersions checks that the bucket holds what the model does.
func (e *env) compareVersions(m *versionModel) {
	e.Helper()
	e.wantVersions(m.lines()...)
	var current []string
	for key, versions := range m.keys {
		for i, v := range versions {
			if v.marker {
				_, err := e.b.Stat(e.Context(), key, &store.GetOptions{Version: v.id})
				e.marks(err, store.ErrMarker, v.id, "stat of a delete marker")
				continue
			}
			o, err := e.b.Get(e.Context(), key, &store.GetOptions{Version: v.id})
			if err != nil {
				e.Fatalf("get version %s of %s: %v", v.id, key, err)
			}
			if got := e.read(o); got != v.content {
				e.Errorf("version %s of %s is %s, want %s", v.id, key, short(got), short(v.content))
			}
			if i == 0 {
				current = append(current, key)
				if got := e.get(key, nil); got != v.content {
					e.Errorf("object %s is %s, want %s", key, short(got), short(v.content))
				}
			}
		}
		if len(versions) == 0 || versions[0].marker {
			_, err := e.b.Stat(e.Context(), key, nil)
			if se, ok := errors.AsType[*store.Error](err); !ok || (se.Marker != "") != (len(versions) > 0) {
				e.Errorf("stat of %s: %v, want one that knows of the marker", key, err)
			}
			e.fails(err, fs.ErrNotExist, "stat of no object")
		}
	}
	e.wantKeys(current)
}
