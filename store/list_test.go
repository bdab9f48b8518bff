package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// sliceCursor is a Cursor over sorted keys. It counts its steps, and fails
// where it stands on the key broken.
type sliceCursor struct {
	keys         []string
	i            int
	seeks, nexts int
	broken       string
	err          error
}

var errBroken = errors.New("cursor is broken")

func (c *sliceCursor) Seek(key string) bool {
	c.seeks++
	c.i, _ = slices.BinarySearch(c.keys, key)
	return c.stands()
}

func (c *sliceCursor) Next() bool {
	c.nexts++
	c.i++
	return c.stands()
}

func (c *sliceCursor) stands() bool {
	if c.i < len(c.keys) && c.keys[c.i] == c.broken {
		c.err = errBroken
	}
	return c.i < len(c.keys) && c.err == nil
}

func (c *sliceCursor) Key() string               { return c.keys[c.i] }
func (c *sliceCursor) Info() (store.Info, error) { return store.Info{Key: c.Key()}, nil }
func (c *sliceCursor) Err() error                { return c.err }

// entries are those of a page in one line; prefixes in brackets.
func entries(page *store.Page) string {
	var all []string
	for _, o := range page.Objects {
		all = append(all, o.Key)
	}
	for _, p := range page.Prefixes {
		all = append(all, "["+p+"]")
	}
	if page.More {
		all = append(all, "more after "+page.Next)
	}
	return strings.Join(all, " ")
}

func TestListCursor(t *testing.T) {
	keys := []string{"a", "a/", "a/1", "a/2/x", "a/2/y", "a0", "b--1", "b--2", "c", "c/1", "\u00ff/1", "\u00ff/2"}
	type O = store.ListOptions
	type R = store.KeyRange
	for _, test := range []struct {
		name string
		opts *O
		want string
	}{
		{"All", nil, "a a/ a/1 a/2/x a/2/y a0 b--1 b--2 c c/1 \u00ff/1 \u00ff/2"},
		{"Prefix", &O{Prefix: "a/"}, "a/ a/1 a/2/x a/2/y"},
		{"Delimiter", &O{Delimiter: "/"}, "a a0 b--1 b--2 c [a/] [c/] [\u00ff/]"},
		{"LongDelimiter", &O{Delimiter: "--", Prefix: "b"}, "[b--]"},
		{"PrefixAndDelimiter", &O{Prefix: "a/", Delimiter: "/"}, "a/ a/1 [a/2/]"},
		{"After", &O{After: "b--1"}, "b--2 c c/1 \u00ff/1 \u00ff/2"},
		{"AfterBetween", &O{After: "bb"}, "c c/1 \u00ff/1 \u00ff/2"},
		{"AfterPrefix", &O{After: "a/", Delimiter: "/"}, "a0 b--1 b--2 c [c/] [\u00ff/]"},
		{"AfterInsidePrefix", &O{After: "a/1", Delimiter: "/"}, "a0 b--1 b--2 c [a/] [c/] [\u00ff/]"},
		{"AfterLastInsidePrefix", &O{After: "a/2/y", Delimiter: "/"}, "a0 b--1 b--2 c [c/] [\u00ff/]"},
		{"AfterIsNoPrefixHere", &O{After: "a/", Delimiter: "/", Prefix: "a/"}, "a/1 [a/2/]"},
		{"Limit", &O{Limit: 2}, "a a/ more after a/"},
		{"LimitAtPrefix", &O{Limit: 2, Delimiter: "/"}, "a [a/] more after a/"},
		{"LimitAtEnd", &O{Limit: 2, After: "c/1"}, "\u00ff/1 \u00ff/2"},
		{"LimitAtLastPrefix", &O{Limit: 1, After: "c/", Delimiter: "/"}, "[\u00ff/]"},
		{"NoRanges", &O{Ranges: []R{}}, ""},
		{"Ranges", &O{Ranges: []R{{Start: "a/1", End: "a/2/y"}, {Start: "b--2", End: "c"}, {Start: "z"}}}, "a/1 a/2/x b--2 \u00ff/1 \u00ff/2"},
		{"RangesAndDelimiter", &O{Delimiter: "/", Ranges: []R{{Start: "a/2/y", End: "a0"}, {Start: "c", End: "c/1"}}}, "c [a/]"},
		{"RangeInsidePrefixEmpty", &O{Delimiter: "/", Ranges: []R{{Start: "a/3", End: "a/4"}}}, ""},
		{"RangeEmpty", &O{Ranges: []R{{Start: "a", End: "a"}, {Start: "a0", End: "b"}}}, "a0"},
		{"RangesTouch", &O{Ranges: []R{{Start: "a/", End: "a/2"}, {Start: "a/2", End: "a0"}}}, "a/ a/1 a/2/x a/2/y"},
		{"RangesAndPrefix", &O{Prefix: "a/", Ranges: []R{{End: "a/2"}, {Start: "c"}}}, "a/ a/1"},
		{"NoSuchPrefix", &O{Prefix: "b/"}, ""},
		{"AfterThePrefix", &O{Prefix: "a/", After: "b"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, err := store.ListCursor(&sliceCursor{keys: keys}, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := entries(page); got != test.want {
				t.Errorf("page holds %q, want %q", got, test.want)
			}
		})
	}
}

// TestListCursorSteps holds that keys which are not listed one by one are
// stepped over, not through.
func TestListCursorSteps(t *testing.T) {
	var keys []string
	for i := range 10_000 {
		keys = append(keys, fmt.Sprintf("dir%d/%04d", i/5000, i))
	}
	for name, opts := range map[string]*store.ListOptions{
		"Delimiter":       {Delimiter: "/"},
		"AfterPrefix":     {Delimiter: "/", After: "dir0/"},
		"Ranges":          {Ranges: []store.KeyRange{{Start: "dir0/0001", End: "dir0/0003"}, {Start: "dir1/9998"}}},
		"RangesDelimiter": {Delimiter: "/", Ranges: []store.KeyRange{{Start: "dir0/0001", End: "dir0/4000"}, {Start: "dir1/9998"}}},
		"NoRanges":        {Ranges: []store.KeyRange{}},
		"OutsidePrefix":   {Prefix: "dir2"},
	} {
		c := &sliceCursor{keys: keys}
		if _, err := store.ListCursor(c, opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.seeks+c.nexts > 8 {
			t.Errorf("%s: %d seeks and %d steps over %d keys, want a handful", name, c.seeks, c.nexts, len(keys))
		}
	}
}

func TestListCursorErrors(t *testing.T) {
	keys := []string{"a", "b", "c/1", "d"}
	for _, broken := range keys {
		for _, delimiter := range []string{"", "/"} {
			page, err := store.ListCursor(&sliceCursor{keys: keys, broken: broken}, &store.ListOptions{Delimiter: delimiter})
			if page != nil || err != errBroken {
				t.Errorf("list over a cursor that breaks at %s: %v, %v, want its error", broken, page, err)
			}
		}
	}
	if _, err := store.ListCursor(&sliceCursor{keys: keys}, &store.ListOptions{Limit: -1}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("list with a negative limit: %v, want fs.ErrInvalid", err)
	}
	many := make([]string, store.MaxPage+1)
	for i := range many {
		many[i] = fmt.Sprintf("%05d", i)
	}
	page, err := store.ListCursor(&sliceCursor{keys: many}, &store.ListOptions{Limit: 1 << 40})
	if err != nil || len(page.Objects) != store.MaxPage || !page.More {
		t.Errorf("list with a vast limit: %d objects, more %v, %v, want %d, true", len(page.Objects), page.More, err, store.MaxPage)
	}
}

// FuzzListCursor holds that pages of any size make up the same list, and that
// it is what looking at each key by itself gives.
func FuzzListCursor(f *testing.F) {
	f.Add("a a/ a/b a/b/c b", "a", "/", "", "a/", "b", 1)
	f.Add("a--b a- a--c b--", "", "--", "a--", "", "", 2)
	f.Add("\xff \xff/ \xff\xff", "\xff", "\xff", "\xff", "\xff", "", 1)
	f.Fuzz(func(t *testing.T, text, prefix, delimiter, after, start, end string, limit int) {
		keys := strings.Fields(text)
		slices.Sort(keys)
		keys = slices.Compact(keys)
		r := store.KeyRange{Start: start, End: end}
		var want []string
		for _, k := range keys {
			rest, ok := strings.CutPrefix(k, prefix)
			if !ok || k <= after || !r.Contains(k) {
				continue
			}
			if head, _, ok := strings.Cut(rest, delimiter); ok && delimiter != "" {
				k = prefix + head + delimiter
				if k == after || slices.Contains(want, "["+k+"]") {
					continue
				}
				k = "[" + k + "]"
			}
			want = append(want, k)
		}
		var got []string
		opts := &store.ListOptions{Prefix: prefix, Delimiter: delimiter, After: after, Limit: max(1, limit&7), Ranges: []store.KeyRange{r}}
		for range len(keys) + 1 {
			page, err := store.ListCursor(&sliceCursor{keys: keys}, opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Objects {
				got = append(got, o.Key)
			}
			for _, p := range page.Prefixes {
				got = append(got, "["+p+"]")
			}
			if !page.More {
				break
			}
			opts.After = page.Next
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("keys %q, prefix %q, delimiter %q, after %q, range %q to %q, limit %d:\n got %q\nwant %q",
				keys, prefix, delimiter, after, start, end, opts.Limit, got, want)
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	for _, test := range []struct {
		prefix, want string
		ok           bool
	}{
		{"a", "b", true},
		{"a/", "a0", true},
		{"\x00", "\x01", true},
		{"a\xff", "b", true},
		{"a\xfe\xff\xff", "a\xff", true},
		{"é", "\xc3\xaa", true},
		{"", "", false},
		{"\xff\xff", "", false},
	} {
		if got, ok := store.PrefixEnd(test.prefix); got != test.want || ok != test.ok {
			t.Errorf("PrefixEnd(%q) = %q, %v, want %q, %v", test.prefix, got, ok, test.want, test.ok)
		}
	}
}

func TestPageLimit(t *testing.T) {
	for limit, want := range map[int]int{0: store.MaxPage, 1: 1, store.MaxPage: store.MaxPage, store.MaxPage + 1: store.MaxPage} {
		if got, err := store.PageLimit(limit); got != want || err != nil {
			t.Errorf("PageLimit(%d) = %d, %v, want %d", limit, got, err, want)
		}
	}
	if _, err := store.PageLimit(-1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("PageLimit(-1): %v, want fs.ErrInvalid", err)
	}
}

func TestListParts(t *testing.T) {
	u := &store.Upload{Key: "k", ID: "1"}
	parts := []store.Part{{Number: 1}, {Number: 3}, {Number: 4}, {Number: 10}}
	type O = store.ListPartsOptions
	for _, test := range []struct {
		opts *O
		want string
	}{
		{nil, "[1 3 4 10] false 10"},
		{&O{Limit: 4}, "[1 3 4 10] false 10"},
		{&O{Limit: 3}, "[1 3 4] true 4"},
		{&O{Limit: 1, After: 1}, "[3] true 3"},
		{&O{After: 2}, "[3 4 10] false 10"},
		{&O{After: 10}, "[] false 0"},
		{&O{After: -5, Limit: 1}, "[1] true 1"},
	} {
		page, err := store.ListParts(u, parts, test.opts)
		if err != nil {
			t.Fatal(err)
		}
		numbers := []int{}
		for _, p := range page.Parts {
			numbers = append(numbers, p.Number)
		}
		if got := fmt.Sprint(numbers, page.More, page.Next); got != test.want || page.Upload != *u {
			t.Errorf("%+v: page holds %s of %v, want %s of %v", test.opts, got, page.Upload, test.want, *u)
		}
	}
	if _, err := store.ListParts(u, parts, &O{Limit: -1}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative limit: %v, want fs.ErrInvalid", err)
	}
}

func TestNewUploadID(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	first, same, later := store.NewUploadID(now), store.NewUploadID(now), store.NewUploadID(now.Add(1))
	if first == same {
		t.Errorf("two ids of one moment are both %s", first)
	}
	if first >= later || same >= later {
		t.Errorf("%s and %s are not less than the later %s", first, same, later)
	}
}
