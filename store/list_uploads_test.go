package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

// uploadCursor is an UploadCursor over uploads in order. It counts its moves, and
// fails where it stands on the key broken.
type uploadCursor struct {
	uploads []store.Upload
	i       int
	moves   int
	broken  string
	err     error
}

func newUploadCursor(uploads []store.Upload) *uploadCursor {
	slices.SortFunc(uploads, func(a, b store.Upload) int { return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.ID, b.ID)) })
	return &uploadCursor{uploads: uploads}
}

func (c *uploadCursor) Seek(key string) bool { return c.SeekAfter(key, "") }

func (c *uploadCursor) SeekAfter(key, id string) bool {
	c.i = sort.Search(len(c.uploads), func(i int) bool {
		u := &c.uploads[i]
		return u.Key > key || u.Key == key && u.ID > id
	})
	return c.stands()
}

func (c *uploadCursor) Next() bool {
	c.i++
	return c.stands()
}

func (c *uploadCursor) stands() bool {
	c.moves++
	if c.i < len(c.uploads) && c.uploads[c.i].Key == c.broken {
		c.err = errBroken
	}
	return c.i < len(c.uploads) && c.err == nil
}

func (c *uploadCursor) Key() string                   { return c.uploads[c.i].Key }
func (c *uploadCursor) Upload() (store.Upload, error) { return c.uploads[c.i], nil }
func (c *uploadCursor) Err() error                    { return c.err }

func TestListUploads(t *testing.T) {
	c := newUploadCursor([]store.Upload{{Key: "b", ID: "1"}, {Key: "a", ID: "4"}, {Key: "a", ID: "2"}, {Key: "a/x", ID: "3"}, {Key: "a/y", ID: "5"}})
	type O = store.ListUploadsOptions
	for _, test := range []struct {
		name string
		opts *O
		want string
	}{
		{"All", nil, "a2 a4 a/x3 a/y5 b1"},
		{"Prefix", &O{Prefix: "a/"}, "a/x3 a/y5"},
		{"Delimiter", &O{Delimiter: "/"}, "a2 a4 b1 [a/]"},
		{"AfterKey", &O{AfterKey: "a"}, "a/x3 a/y5 b1"},
		{"AfterID", &O{AfterKey: "a", AfterID: "2"}, "a4 a/x3 a/y5 b1"},
		{"AfterGoneID", &O{AfterKey: "a", AfterID: "3"}, "a4 a/x3 a/y5 b1"},
		{"AfterLastID", &O{AfterKey: "a", AfterID: "4"}, "a/x3 a/y5 b1"},
		{"AfterIDBeforePrefix", &O{AfterKey: "a", AfterID: "2", Prefix: "a/"}, "a/x3 a/y5"},
		{"AfterIDBeforeRange", &O{AfterKey: "a", AfterID: "2", Ranges: []store.KeyRange{{Start: "a/y"}}}, "a/y5 b1"},
		{"AfterIDWithoutKey", &O{AfterID: "9"}, "a2 a4 a/x3 a/y5 b1"},
		{"AfterPrefix", &O{AfterKey: "a/", Delimiter: "/"}, "b1"},
		{"AfterPrefixAndID", &O{AfterKey: "a/", AfterID: "1", Delimiter: "/"}, "b1"},
		{"AfterInsidePrefix", &O{AfterKey: "a/x", AfterID: "3", Delimiter: "/"}, "b1 [a/]"},
		{"Limit", &O{Limit: 1}, "a2 more after a 2"},
		{"LimitAtPrefix", &O{Limit: 3, Delimiter: "/"}, "a2 a4 [a/] more after a/ "},
		{"LimitAtEnd", &O{Limit: 5}, "a2 a4 a/x3 a/y5 b1"},
		{"Ranges", &O{Ranges: []store.KeyRange{{Start: "a/", End: "a/y"}, {Start: "b"}}}, "a/x3 b1"},
		{"NoRanges", &O{Ranges: []store.KeyRange{}}, ""},
		{"AfterLastKey", &O{AfterKey: "\xff", Prefix: "\xff", Delimiter: "\xff"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, err := store.ListUploads(c, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range page.Uploads {
				got = append(got, u.Key+u.ID)
			}
			for _, p := range page.Prefixes {
				got = append(got, "["+p+"]")
			}
			if page.More {
				got = append(got, "more after "+page.NextKey+" "+page.NextID)
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("page holds %q, want %q", got, test.want)
			}
		})
	}
}

func TestListUploadsErrors(t *testing.T) {
	if _, err := store.ListUploads(new(uploadCursor), &store.ListUploadsOptions{Limit: -1}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative limit: %v, want fs.ErrInvalid", err)
	}
	for _, broken := range []string{"a", "b/c", "d"} {
		c := newUploadCursor([]store.Upload{{Key: "a", ID: "1"}, {Key: "b/c", ID: "2"}, {Key: "d", ID: "3"}})
		c.broken = broken
		if page, err := store.ListUploads(c, &store.ListUploadsOptions{Delimiter: "/"}); page != nil || err != errBroken {
			t.Errorf("cursor that breaks at %s: %+v, %v, want its error", broken, page, err)
		}
	}
}

// TestListUploadsSteps holds that a page costs as many moves as it has entries,
// wherever it begins.
func TestListUploadsSteps(t *testing.T) {
	var uploads []store.Upload
	for i := range 10_000 {
		uploads = append(uploads, store.Upload{Key: fmt.Sprintf("dir%d/%d", i/5000, i/1000), ID: fmt.Sprintf("%05d", i)})
	}
	type O = store.ListUploadsOptions
	for name, test := range map[string]struct {
		opts O
		want int
	}{
		"Delimiter":     {O{Delimiter: "/"}, 2},
		"Limit":         {O{Limit: 2}, 2},
		"AfterID":       {O{AfterKey: "dir1/7", AfterID: "07500", Limit: 2}, 2},
		"AfterKey":      {O{AfterKey: "dir1/7", Limit: 2}, 2},
		"Ranges":        {O{Ranges: []store.KeyRange{{Start: "dir0/8", End: "dir0/9"}, {Start: "dir1/8"}}, Limit: 2}, 2},
		"OutsidePrefix": {O{Prefix: "dir2"}, 0},
	} {
		c := newUploadCursor(uploads)
		page, err := store.ListUploads(c, &test.opts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := len(page.Uploads) + len(page.Prefixes); n != test.want || c.moves > test.want+2 {
			t.Errorf("%s: %d entries after %d moves, want %d after about as many", name, n, c.moves, test.want)
		}
	}
}

// FuzzListUploads holds that pages of any size make up the same list, and that it
// is what looking at each upload by itself gives.
func FuzzListUploads(f *testing.F) {
	f.Add("a a a/ a/b a/b a/b/c b", "a", "/", "a/", "b", 1)
	f.Add("a--b a- a-- a-- b--", "", "--", "", "", 2)
	f.Add("\xff \xff/ \xff\xff \xff\xff", "\xff", "\xff", "\xff", "", 1)
	f.Fuzz(func(t *testing.T, text, prefix, delimiter, start, end string, limit int) {
		var uploads []store.Upload
		for i, k := range strings.Fields(text) {
			uploads = append(uploads, store.Upload{Key: k, ID: fmt.Sprintf("%06d", i)})
		}
		r := store.KeyRange{Start: start, End: end}
		var want []string
		for _, u := range uploads {
			rest, ok := strings.CutPrefix(u.Key, prefix)
			if !ok || !r.Contains(u.Key) {
				continue
			}
			entry := u.Key + " " + u.ID
			if head, _, ok := strings.Cut(rest, delimiter); ok && delimiter != "" {
				entry = prefix + head + delimiter
				if slices.Contains(want, entry) {
					continue
				}
			}
			want = append(want, entry)
		}
		var got []string
		c := newUploadCursor(uploads)
		opts := &store.ListUploadsOptions{Prefix: prefix, Delimiter: delimiter, Limit: max(1, limit&7), Ranges: []store.KeyRange{r}}
		for range len(uploads) + 1 {
			page, err := store.ListUploads(c, opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page.Uploads {
				got = append(got, u.Key+" "+u.ID)
			}
			got = append(got, page.Prefixes...)
			if !page.More {
				break
			}
			opts.AfterKey, opts.AfterID = page.NextKey, page.NextID
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("uploads %q, prefix %q, delimiter %q, range %q to %q, limit %d:\n got %q\nwant %q",
				text, prefix, delimiter, start, end, opts.Limit, got, want)
		}
	})
}
