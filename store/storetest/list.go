package storetest

import (
	"io/fs"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// wantKeys checks which keys the bucket holds, and that their order is that of bytes.
func (e *env) wantKeys(want []string) {
	e.Helper()
	got := e.keys()
	if !slices.IsSorted(got) {
		e.Errorf("keys are not listed in the order of their bytes: %q", got)
	}
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		e.Errorf("bucket holds %q, want %q", got, want)
	}
}

// listKeys are many prefixes of each other, around two delimiters.
func listKeys() []string {
	return []string{
		"a", "a!", "a-", "a--", "a--b", "a--b--c", "a-b", "a.txt", "a/", "a//", "a//b", "a/b", "a/b/", "a/b/c", "a/b/d",
		"a/b--c", "a/c", "a/c/d/e", "a0", "aa/b", "ab", "b", "b/c", "b/c/d", "c--", "c--d/e", "c/d--e", "d/e", "e",
		"é/a", "é/b", "日/本", "😀", "z/z/z",
	}
}

// model is what a list with opts holds, in one page: prefixes end in "*".
func model(keys []string, opts *store.ListOptions) []string {
	var entries []string
	for _, k := range slices.Sorted(slices.Values(keys)) {
		rest, ok := strings.CutPrefix(k, opts.Prefix)
		if !ok || k <= opts.After {
			continue
		}
		if opts.Ranges != nil && !slices.ContainsFunc(opts.Ranges, func(r store.KeyRange) bool { return r.Contains(k) }) {
			continue
		}
		if opts.Delimiter != "" {
			if head, _, ok := strings.Cut(rest, opts.Delimiter); ok {
				roll := opts.Prefix + head + opts.Delimiter
				if roll == opts.After || slices.Contains(entries, roll+"*") {
					continue
				}
				k = roll + "*"
			}
		}
		entries = append(entries, k)
	}
	return entries
}

// pages lists to the end and returns what model does.
func (e *env) pages(opts store.ListOptions) []string {
	e.Helper()
	limit := opts.Limit
	if limit == 0 {
		limit = store.MaxPage
	}
	var entries []string
	for range 10_000 {
		page, err := e.b.List(e.Context(), &opts)
		if err != nil {
			e.Fatalf("list %+v: %v", opts, err)
		}
		var got []string
		for _, o := range page.Objects {
			got = append(got, o.Key)
		}
		for _, p := range page.Prefixes {
			got = append(got, p+"*")
		}
		slices.SortFunc(got, func(a, b string) int {
			return strings.Compare(strings.TrimSuffix(a, "*"), strings.TrimSuffix(b, "*"))
		})
		if len(got) > limit {
			e.Fatalf("list %+v: page of %d entries, want at most %d", opts, len(got), limit)
		}
		if len(got) > 0 && page.Next != strings.TrimSuffix(got[len(got)-1], "*") {
			e.Fatalf("list %+v: Next is %q, want the last of %q", opts, page.Next, got)
		}
		entries = append(entries, got...)
		if !page.More {
			return entries
		}
		if page.Next <= opts.After {
			e.Fatalf("list %+v: Next is %q, which does not lead on", opts, page.Next)
		}
		opts.After = page.Next
	}
	e.Fatalf("list does not end")
	return nil
}

func (e *env) wantPages(keys []string, opts store.ListOptions) {
	e.Helper()
	want := model(keys, &opts)
	if got := e.pages(opts); !slices.Equal(got, want) {
		e.Errorf("list %+v:\n got %q\nwant %q", opts, got, want)
	}
}

func testList(e *env) {
	e.wantPages(nil, store.ListOptions{})
	e.wantPages(nil, store.ListOptions{Prefix: "a", Delimiter: "/"})
	keys := listKeys()
	for i, k := range keys {
		e.put(k, strings.Repeat("x", i), nil)
	}
	page, err := e.b.List(e.Context(), nil)
	if err != nil {
		e.Fatalf("list: %v", err)
	}
	if len(page.Objects) != len(keys) || page.More || len(page.Prefixes) != 0 {
		e.Fatalf("list: %d objects, %d prefixes, more %v, want %d, 0, false", len(page.Objects), len(page.Prefixes), page.More, len(keys))
	}
	for _, o := range page.Objects {
		stat := e.stat(o.Key)
		if o.Size != stat.Size || o.ETag != stat.ETag || o.ModTime.Unix() != stat.ModTime.Unix() {
			e.Errorf("list says of %s: %d bytes, %q, %v; want as in Stat %d, %q, %v", short(o.Key),
				o.Size, o.ETag, o.ModTime, stat.Size, stat.ETag, stat.ModTime)
		}
	}
	for _, opts := range []store.ListOptions{
		{Prefix: "a/b"},
		{Prefix: "a/"},
		{Prefix: "é"},
		{Prefix: "none"},
		{Prefix: "a", After: "a/b"},
		{After: "a/b"},
		{After: "zz"},
		{Prefix: "b", After: "a"},
		{Prefix: "a", After: "b"},
		{Delimiter: "/"},
		{Delimiter: "--"},
		{Delimiter: "é/"},
		{Delimiter: "a"},
		{Prefix: "a/", Delimiter: "/"},
		{Prefix: "a", Delimiter: "/"},
		{Prefix: "a/b", Delimiter: "/"},
		{Prefix: "a/b/", Delimiter: "/"},
		{Prefix: "a-", Delimiter: "--"},
		{Prefix: "a/", Delimiter: "--"},
		{Delimiter: "/", After: "a/"},
		{Delimiter: "/", After: "a/b"},
		{Delimiter: "/", After: "a/zzz"},
		{Delimiter: "/", After: "a"},
		{Prefix: "a/", Delimiter: "/", After: "a/"},
		{Prefix: "a/", Delimiter: "/", After: "a/b/"},
		{Delimiter: "--", After: "a--"},
		{Delimiter: "--", After: "a--b--"},
	} {
		e.wantPages(keys, opts)
	}
	_, err = e.b.List(e.Context(), &store.ListOptions{Limit: -1})
	e.fails(err, fs.ErrInvalid, "list with a negative limit")
}

// testListPages lists with every size of page.
func testListPages(e *env) {
	keys := listKeys()
	for _, k := range keys {
		e.put(k, "x", nil)
	}
	sizes := len(keys) + 2
	if e.opts.Slow {
		sizes = 4
	}
	ranges := []store.KeyRange{{Start: "a-", End: "a/"}, {Start: "a/b/c", End: "a/b/d"}, {Start: "b"}}
	for limit := 1; limit < sizes; limit++ {
		for _, opts := range []store.ListOptions{
			{}, {Delimiter: "/"}, {Delimiter: "--"}, {Prefix: "a/", Delimiter: "/"}, {Prefix: "a"}, {Ranges: ranges}, {Ranges: ranges, Delimiter: "/"},
		} {
			opts.Limit = limit
			e.wantPages(keys, opts)
		}
	}
}

// testListRanges lists with ranges of keys, by hand and at random.
func testListRanges(e *env) {
	keys := listKeys()
	for _, k := range keys {
		e.put(k, "x", nil)
	}
	type R = store.KeyRange
	for _, ranges := range [][]R{
		{},
		{{Start: "", End: ""}},
		{{Start: "a/", End: "a0"}},
		{{Start: "a/b/d", End: "a/b/d\x00"}},
		{{Start: "zzz"}},
		{{Start: "", End: "a"}},
		{{Start: "a", End: "a"}},
		{{Start: "a/b", End: "a/b/c"}, {Start: "b", End: "b0"}, {Start: "é"}},
		{{Start: "a/x", End: "a/y"}},
		{{Start: "a/b/c", End: "a/b/d"}, {Start: "a/c", End: "a/c/z"}},
		{{Start: "a/", End: "a/b"}, {Start: "a/b", End: "a/c"}},
	} {
		for _, delimiter := range []string{"", "/", "--"} {
			for _, prefix := range []string{"", "a", "a/", "a/b", "b", "é"} {
				for _, after := range []string{"", "a/", "a/b"} {
					e.wantPages(keys, store.ListOptions{Prefix: prefix, Delimiter: delimiter, After: after, Ranges: ranges})
				}
			}
		}
	}
	rounds := 400
	if e.opts.Slow {
		rounds = 20
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(more ...string) string {
		if i := rnd.IntN(len(keys) + len(more)); i < len(more) {
			return more[i]
		}
		return keys[rnd.IntN(len(keys))]
	}
	for range rounds {
		opts := store.ListOptions{
			Prefix:    pick("", "", "", "", "a", "a", "a/", "a/", "a/b", "c"),
			Delimiter: []string{"", "/", "/", "--", "b", "//"}[rnd.IntN(6)],
			After:     pick("", "", "", "", "", "", "a/", "a--"),
			Limit:     rnd.IntN(5),
		}
		if opts.Prefix != "" && rnd.IntN(3) == 0 {
			opts.Prefix = opts.Prefix[:1]
			if opts.Prefix > "z" {
				opts.Prefix = ""
			}
		}
		if rnd.IntN(3) > 0 {
			var bounds []string
			for range 2 * rnd.IntN(4) {
				bounds = append(bounds, pick("a/", "a-", "b/", "zz"))
			}
			slices.Sort(bounds)
			opts.Ranges = []store.KeyRange{}
			for i := 0; i < len(bounds); i += 2 {
				opts.Ranges = append(opts.Ranges, store.KeyRange{Start: bounds[i], End: bounds[i+1]})
			}
		}
		e.wantPages(keys, opts)
	}
}

// testListFull lists more keys than a page may hold.
func testListFull(e *env) {
	if e.opts.Slow {
		return
	}
	var keys []string
	for i := range store.MaxPage + 2 {
		keys = append(keys, "k"+strconv.Itoa(i))
		e.put(keys[i], "x", nil)
	}
	for _, limit := range []int{0, store.MaxPage, store.MaxPage + 1, 1 << 30} {
		page, err := e.b.List(e.Context(), &store.ListOptions{Limit: limit})
		if err != nil {
			e.Fatalf("list with limit %d: %v", limit, err)
		}
		if n := len(page.Objects); n > store.MaxPage || !page.More {
			e.Errorf("list with limit %d: %d of %d objects, more %v, want at most %d, true", limit, n, len(keys), page.More, store.MaxPage)
		}
	}
	e.wantKeys(keys)
}
