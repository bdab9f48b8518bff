package store_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// versionCursor is a VersionCursor over versions in order, whose ids are their
// places. It fails where it stands on the key broken.
type versionCursor struct {
	versions []store.Version
	i        int
	broken   string
	err      error
}

// newVersionCursor takes lines "key id", the latest of each key first.
func newVersionCursor(lines ...string) *versionCursor {
	c := new(versionCursor)
	for i, l := range lines {
		key, id, _ := strings.Cut(l, " ")
		v := store.Version{Info: store.Info{Key: key, Version: id}}
		v.Latest = i == 0 || c.versions[i-1].Key != key
		c.versions = append(c.versions, v)
	}
	return c
}

func (c *versionCursor) Seek(key string) bool {
	c.i = slices.IndexFunc(c.versions, func(v store.Version) bool { return v.Key >= key })
	return c.stands()
}

func (c *versionCursor) SeekAfter(key, place string) bool {
	c.i = slices.IndexFunc(c.versions, func(v store.Version) bool { return v.Key > key || v.Key == key && v.Info.Version < place })
	return c.stands()
}

func (c *versionCursor) Next() bool {
	c.i++
	return c.stands()
}

func (c *versionCursor) stands() bool {
	if c.i < 0 || c.i >= len(c.versions) {
		return false
	}
	if c.Key() == c.broken {
		c.err = errBroken
	}
	return c.err == nil
}

func (c *versionCursor) Key() string                     { return c.versions[c.i].Key }
func (c *versionCursor) Place() string                   { return c.versions[c.i].Info.Version }
func (c *versionCursor) Version() (store.Version, error) { return c.versions[c.i], nil }
func (c *versionCursor) Err() error                      { return c.err }

func TestListVersionsCursor(t *testing.T) {
	c := newVersionCursor("a 4", "a 2", "a/x 3", "a/x 1", "a/y 5", "b 1")
	type O = store.ListVersionsOptions
	for _, test := range []struct {
		name string
		opts *O
		want string
	}{
		{"All", nil, "a4* a2 a/x3* a/x1 a/y5* b1*"},
		{"Prefix", &O{Prefix: "a/"}, "a/x3* a/x1 a/y5*"},
		{"Delimiter", &O{Delimiter: "/"}, "a4* a2 b1* [a/]"},
		{"AfterKey", &O{AfterKey: "a"}, "a/x3* a/x1 a/y5* b1*"},
		{"AfterVersion", &O{AfterKey: "a", AfterVersion: "4"}, "a2 a/x3* a/x1 a/y5* b1*"},
		{"AfterGoneVersion", &O{AfterKey: "a", AfterVersion: "3"}, "a2 a/x3* a/x1 a/y5* b1*"},
		{"AfterLastVersion", &O{AfterKey: "a", AfterVersion: "2"}, "a/x3* a/x1 a/y5* b1*"},
		{"AfterVersionBeforePrefix", &O{AfterKey: "a", AfterVersion: "4", Prefix: "a/"}, "a/x3* a/x1 a/y5*"},
		{"AfterVersionBeforeRange", &O{AfterKey: "a", AfterVersion: "4", Ranges: []store.KeyRange{{Start: "a/y"}}}, "a/y5* b1*"},
		{"AfterVersionWithoutKey", &O{AfterVersion: "4"}, "a4* a2 a/x3* a/x1 a/y5* b1*"},
		{"AfterPrefix", &O{AfterKey: "a/", Delimiter: "/"}, "b1*"},
		{"AfterInsidePrefix", &O{AfterKey: "a/x", AfterVersion: "3", Delimiter: "/"}, "b1* [a/]"},
		{"Limit", &O{Limit: 1}, "a4* more after a 4"},
		{"LimitInsideKey", &O{Limit: 3}, "a4* a2 a/x3* more after a/x 3"},
		{"LimitAtPrefix", &O{Limit: 3, Delimiter: "/"}, "a4* a2 [a/] more after a/ "},
		{"LimitAtEnd", &O{Limit: 6}, "a4* a2 a/x3* a/x1 a/y5* b1*"},
		{"Ranges", &O{Ranges: []store.KeyRange{{Start: "a/", End: "a/y"}, {Start: "b"}}}, "a/x3* a/x1 b1*"},
		{"NoRanges", &O{Ranges: []store.KeyRange{}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, err := store.ListVersionsCursor(c, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range page.Versions {
				s := v.Key + v.Info.Version
				if v.Latest {
					s += "*"
				}
				got = append(got, s)
			}
			for _, p := range page.Prefixes {
				got = append(got, "["+p+"]")
			}
			if page.More {
				got = append(got, "more after "+page.NextKey+" "+page.NextVersion)
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("page holds %q, want %q", got, test.want)
			}
		})
	}
}

func TestListVersionsCursorErrors(t *testing.T) {
	if _, err := store.ListVersionsCursor(newVersionCursor(), &store.ListVersionsOptions{Limit: -1}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative limit: %v, want fs.ErrInvalid", err)
	}
	for _, broken := range []string{"a", "b/c", "d"} {
		c := newVersionCursor("a 1", "b/c 2", "d 3")
		c.broken = broken
		if page, err := store.ListVersionsCursor(c, &store.ListVersionsOptions{Delimiter: "/"}); page != nil || err != errBroken {
			t.Errorf("cursor that breaks at %s: %+v, %v, want its error", broken, page, err)
		}
	}
}

// TestVersionIDs makes ids by a clock that stands, runs and goes back.
func TestVersionIDs(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	var last store.VersionID
	if !last.IsZero() || last.String() != strings.Repeat("0", 26) {
		t.Errorf("zero id is %s", last)
	}
	for i, step := range []time.Duration{0, 0, time.Nanosecond, -time.Hour, time.Hour, -100 * 365 * 24 * time.Hour} {
		at = at.Add(step)
		id := store.NewVersionID(at, last)
		if slices.Compare(id[:], last[:]) <= 0 || id.String() <= last.String() || len(id.String()) != 26 {
			t.Errorf("id %d is %s, after %s", i, id, last)
		}
		if got, err := store.ParseVersionID(id.String()); err != nil || got != id {
			t.Errorf("%s became %s, %v", id, got, err)
		}
		last = id
	}
}

// FuzzParseVersionID reads back what it took, and nothing else.
func FuzzParseVersionID(f *testing.F) {
	f.Add(store.NewVersionID(time.Unix(1, 2), store.VersionID{}).String())
	f.Add("01G65Z755AFWAKHE12NY0CQ9FH")
	f.Add("null")
	f.Add(strings.Repeat("Z", 26))
	f.Add("0000000000000\n0000000000000")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := store.ParseVersionID(s)
		switch {
		case err == nil && id.String() != s:
			t.Errorf("%q became %s", s, id)
		case err != nil && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, store.ErrNoVersion):
			t.Errorf("%q: %v", s, err)
		case errors.Is(err, store.ErrNoVersion) && len(s) != 26:
			t.Errorf("%q is taken for an id of another store", s)
		}
	})
}
