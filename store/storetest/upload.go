package storetest

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// testMultipartChecksums uploads with each checksum of each type.
func testMultipartChecksums(e *env) {
	if e.opts.NoMultipart {
		return
	}
	content := [2]string{big(), "the end"}
	whole := content[0] + content[1]
	for _, a := range e.algorithms() {
		for _, typ := range []store.ChecksumType{"", store.Composite, store.FullObject} {
			opts := &store.PutOptions{Algorithm: a, Checksums: store.Checksums{Type: typ}}
			effective := typ
			if typ == "" {
				if effective = a.DefaultType(); e.opts.Slow {
					continue
				}
			}
			if a.CheckType(effective) != nil {
				_, err := e.b.CreateUpload(e.Context(), "k", opts)
				e.fails(err, fs.ErrInvalid, "create upload with "+string(a)+" "+string(typ))
				continue
			}
			e.sub(string(a)+"_"+string(effective)+"_"+strconv.FormatBool(typ != ""), func(e *env) {
				u := e.createUpload("k", opts)
				if u.Algorithm != a || u.Type != effective {
					e.Errorf("upload has %s %s, want %s %s", u.Algorithm, u.Type, a, effective)
				}
				var parts []store.Part
				for i, c := range content {
					p := e.putPart(u, i+1, c)
					if got, want := p.Checksums.Get(a), sum(a, c); got != want {
						e.Errorf("part %d has checksum %q, want %q", i+1, got, want)
					}
					parts = append(parts, p)
				}
				want := sum(a, whole)
				if effective == store.Composite {
					var err error
					if want, err = store.CompositeChecksum(a, parts); err != nil {
						e.Fatal(err)
					}
				}
				wrong := slices.Clone(parts)
				wrong[1].Checksums = sums(a, sum(a, "other"))
				_, err := e.b.CompleteUpload(e.Context(), "k", u.ID, wrong, nil)
				e.fails(err, store.ErrInvalidPart, "complete upload with another checksum of a part")
				_, err = e.b.CompleteUpload(e.Context(), "k", u.ID, parts, &store.CompleteOptions{Checksums: sums(a, sum(a, "other"))})
				e.fails(err, store.ErrDigest, "complete upload with another checksum")
				info, err := e.b.CompleteUpload(e.Context(), "k", u.ID, parts, &store.CompleteOptions{Checksums: sums(a, want)})
				if err != nil {
					e.Fatalf("complete upload: %v", err)
				}
				for method, info := range map[string]*store.Info{"CompleteUpload": info, "Stat": e.stat("k")} {
					if got := info.Checksums; got.Get(a) != want || got.Type != effective {
						e.Errorf("%s says checksum %q, %s; want %q, %s", method, got.Get(a), got.Type, want, effective)
					}
				}
			})
		}
	}
}

// testCopyPart copies parts from its own, another and a foreign bucket.
func testCopyPart(e *env) {
	if e.opts.NoMultipart {
		return
	}
	other := e.another()
	e.put("src", big(), nil)
	other.put("theirs", "of another bucket", nil)
	tag := e.stat("src").ETag
	u := e.createUpload("k", nil)
	copyPart := func(n int, src string, opts store.CopyPartOptions) (store.Part, error) {
		p, err := e.b.CopyPart(e.Context(), "k", u.ID, n, src, &opts)
		if err != nil {
			return store.Part{}, err
		}
		if p.Number != n {
			e.Errorf("copy part %d returns part %d", n, p.Number)
		}
		return *p, nil
	}
	R := func(offset, length int64) *store.Range { return &store.Range{Offset: offset, Length: length} }
	p1, err := copyPart(1, "src", store.CopyPartOptions{Source: store.Conditions{IfMatch: []string{tag}}})
	e.succeeds(err, "copy part")
	p2, err := copyPart(2, "src", store.CopyPartOptions{Range: R(1000, 70)})
	e.succeeds(err, "copy part with a range")
	e.wantParts(u, p1, p2)
	for _, test := range []struct {
		name string
		src  string
		opts store.CopyPartOptions
		want error
	}{
		{"MissingSource", "missing", store.CopyPartOptions{}, fs.ErrNotExist},
		{"MissingForeignSource", "missing", store.CopyPartOptions{From: foreign{other.b}}, fs.ErrNotExist},
		{"IfMatchOther", "src", store.CopyPartOptions{Source: store.Conditions{IfMatch: []string{"other"}}}, store.ErrPrecondition},
		{"IfNoneMatch", "src", store.CopyPartOptions{Source: store.Conditions{IfNoneMatch: []string{tag}}}, store.ErrPrecondition},
		{"RangeBeyondEnd", "src", store.CopyPartOptions{Range: R(store.MinPartSize, 1)}, store.ErrRange},
		{"RangeOverEnd", "src", store.CopyPartOptions{Range: R(store.MinPartSize-1, 2)}, store.ErrRange},
		{"ForeignRangeOverEnd", "theirs", store.CopyPartOptions{From: foreign{other.b}, Range: R(0, 18)}, store.ErrRange},
	} {
		_, err := copyPart(2, test.src, test.opts)
		e.fails(err, test.want, "copy part, "+test.name)
	}
	e.wantParts(u, p1, p2)
	e.complete(u, p1, p2)
	e.delete("src")
	e.holds("k", big()+big()[1000:1070])

	for name, test := range map[string]struct {
		opts store.CopyPartOptions
		want string
	}{
		"another":       {store.CopyPartOptions{From: other.b}, "of another bucket"},
		"foreign":       {store.CopyPartOptions{From: foreign{other.b}}, "of another bucket"},
		"foreign range": {store.CopyPartOptions{From: foreign{other.b}, Range: R(3, 7)}, "another"},
		"to the end":    {store.CopyPartOptions{From: other.b, Range: R(11, -1)}, "bucket"},
	} {
		u = e.createUpload("k", nil)
		p, err := copyPart(1, "theirs", test.opts)
		e.succeeds(err, "copy part, "+name)
		e.complete(u, p)
		e.holds("k", test.want)
	}
}

func testListParts(e *env) {
	if e.opts.NoMultipart {
		return
	}
	u := e.createUpload("k", &store.PutOptions{Attributes: store.Attributes{ContentType: "image/png"}})
	var want []store.Part
	numbers := []int{1, 2, 3, 10, 11, 100, 9999, store.MaxParts}
	for _, n := range numbers {
		want = append(want, e.putPart(u, n, "part "+strconv.Itoa(n)))
	}
	for limit := range len(want) + 2 {
		var got []store.Part
		opts := &store.ListPartsOptions{Limit: limit}
		for range 2 * len(want) {
			page, err := e.b.ListParts(e.Context(), "k", u.ID, opts)
			if err != nil {
				e.Fatalf("list parts: %v", err)
			}
			if limit > 0 && len(page.Parts) > limit {
				e.Errorf("list parts: page of %d, want at most %d", len(page.Parts), limit)
			}
			got = append(got, page.Parts...)
			if !page.More {
				break
			}
			opts.After = page.Next
		}
		same := func(a, b store.Part) bool { return a.Number == b.Number && a.Size == b.Size && a.ETag == b.ETag }
		if !slices.EqualFunc(got, want, same) {
			e.Errorf("list parts by %d: %v, want %v", limit, got, want)
		}
	}
	page, err := e.b.ListParts(e.Context(), "k", u.ID, nil)
	if err == nil && page.Attributes != nil && page.Attributes.ContentType != "image/png" {
		e.Errorf("list parts: the object will be of type %q, want image/png", page.Attributes.ContentType)
	}
	page, err = e.b.ListParts(e.Context(), "k", u.ID, &store.ListPartsOptions{After: 11})
	if err != nil || len(page.Parts) != 3 || page.More {
		e.Errorf("list parts after 11: %+v, %v, want 3 parts", page, err)
	}
	page, err = e.b.ListParts(e.Context(), "k", u.ID, &store.ListPartsOptions{After: store.MaxParts})
	if err != nil || len(page.Parts) != 0 || page.More {
		e.Errorf("list parts after the last: %+v, %v, want none", page, err)
	}
	_, err = e.b.ListParts(e.Context(), "k", u.ID, &store.ListPartsOptions{Limit: -1})
	e.fails(err, fs.ErrInvalid, "list parts with a negative limit")
}

func testListUploads(e *env) {
	if e.opts.NoMultipart {
		return
	}
	e.wantUploads()
	var all []*store.Upload
	for _, key := range []string{"a", "a", "a", "a/b", "a/b", "a/b/c", "a/c", "b", "b", "c/d"} {
		all = append(all, e.createUpload(key, nil))
	}
	// The last one started has the first key.
	all = append([]*store.Upload{e.createUpload("A", nil)}, all...)
	e.wantUploads(all...)
	type R = store.KeyRange
	for _, test := range []struct {
		opts store.ListUploadsOptions
		want []string
	}{
		{store.ListUploadsOptions{}, []string{"A", "a", "a", "a", "a/b", "a/b", "a/b/c", "a/c", "b", "b", "c/d"}},
		{store.ListUploadsOptions{Prefix: "a/"}, []string{"a/b", "a/b", "a/b/c", "a/c"}},
		{store.ListUploadsOptions{Delimiter: "/"}, []string{"A", "a", "a", "a", "a/*", "b", "b", "c/*"}},
		{store.ListUploadsOptions{Prefix: "a/", Delimiter: "/"}, []string{"a/b", "a/b", "a/b/*", "a/c"}},
		{store.ListUploadsOptions{Ranges: []R{}}, nil},
		{store.ListUploadsOptions{Ranges: []R{{Start: "a", End: "a/"}, {Start: "a/b/c", End: "a/c"}}}, []string{"a", "a", "a", "a/b/c"}},
		{store.ListUploadsOptions{Delimiter: "/", Ranges: []R{{Start: "a/b/c", End: "a/c"}, {Start: "b"}}}, []string{"a/*", "b", "b", "c/*"}},
		{store.ListUploadsOptions{AfterKey: "a"}, []string{"a/b", "a/b", "a/b/c", "a/c", "b", "b", "c/d"}},
		{store.ListUploadsOptions{AfterKey: "a/", Delimiter: "/"}, []string{"b", "b", "c/*"}},
		{store.ListUploadsOptions{AfterKey: "a", AfterID: all[2].ID}, []string{"a", "a/b", "a/b", "a/b/c", "a/c", "b", "b", "c/d"}},
	} {
		for _, limit := range []int{0, 1, 2, 3, 100} {
			test.opts.Limit = limit
			if got := e.uploadPages(test.opts); !slices.Equal(got, test.want) {
				e.Errorf("list uploads %+v:\n got %q\nwant %q", test.opts, got, test.want)
			}
		}
	}
	_, err := e.b.ListUploads(e.Context(), &store.ListUploadsOptions{Limit: -1})
	e.fails(err, fs.ErrInvalid, "list uploads with a negative limit")
	e.wantKeys(nil)
}

// uploadPages lists uploads to the end: their keys, and prefixes with a "*".
func (e *env) uploadPages(opts store.ListUploadsOptions) []string {
	e.Helper()
	var got []string
	seen := make(map[string]bool)
	for range 100 {
		page, err := e.b.ListUploads(e.Context(), &opts)
		if err != nil {
			e.Fatalf("list uploads %+v: %v", opts, err)
		}
		if n := len(page.Uploads) + len(page.Prefixes); opts.Limit > 0 && n > opts.Limit {
			e.Fatalf("list uploads %+v: page of %d entries", opts, n)
		}
		for _, u := range page.Uploads {
			if seen[u.ID] {
				e.Errorf("list uploads %+v: %s comes twice", opts, short(u.Key))
			}
			seen[u.ID] = true
			got = append(got, u.Key)
		}
		for _, p := range page.Prefixes {
			got = append(got, p+"*")
		}
		if !page.More {
			slices.SortStableFunc(got, func(a, b string) int {
				return strings.Compare(strings.TrimSuffix(a, "*"), strings.TrimSuffix(b, "*"))
			})
			return got
		}
		opts.AfterKey, opts.AfterID = page.NextKey, page.NextID
	}
	e.Fatalf("list of uploads does not end")
	return nil
}

// testOwners gives uploads to two owners: neither reaches those of the other.
func testOwners(e *env) {
	if e.opts.NoMultipart || e.opts.NoOwners {
		return
	}
	ctx := e.Context()
	ann := e.createUpload("k", &store.PutOptions{Owner: "ann"})
	bob := e.createUpload("k", &store.PutOptions{Owner: "bob"})
	if ann.Owner != "ann" {
		e.Errorf("owner of the upload is %q, want ann", ann.Owner)
	}
	as := store.UploadOptions{Owner: "ann"}
	e.put("src", "source", nil)
	_, err := e.b.PutPart(ctx, "k", bob.ID, 1, strings.NewReader("x"), &store.PartOptions{UploadOptions: as})
	e.fails(err, store.ErrNoUpload, "put part of another owner's upload")
	_, err = e.b.CopyPart(ctx, "k", bob.ID, 1, "src", &store.CopyPartOptions{UploadOptions: as})
	e.fails(err, store.ErrNoUpload, "copy part of another owner's upload")
	_, err = e.b.CopyPart(ctx, "k", bob.ID, 1, "src", &store.CopyPartOptions{UploadOptions: as, From: foreign{e.b}})
	e.fails(err, store.ErrNoUpload, "foreign copy part of another owner's upload")
	_, err = e.b.ListParts(ctx, "k", bob.ID, &store.ListPartsOptions{UploadOptions: as})
	e.fails(err, store.ErrNoUpload, "list parts of another owner's upload")
	e.wantParts(bob)
	part := e.putPart(bob, 1, "of bob")
	_, err = e.b.CompleteUpload(ctx, "k", bob.ID, []store.Part{part}, &store.CompleteOptions{UploadOptions: as})
	e.fails(err, store.ErrNoUpload, "complete another owner's upload")
	e.fails(e.b.AbortUpload(ctx, "k", bob.ID, &as), store.ErrNoUpload, "abort another owner's upload")
	e.missing("k")
	page, err := e.b.ListUploads(ctx, &store.ListUploadsOptions{UploadOptions: as})
	if err != nil || len(page.Uploads) != 1 || page.Uploads[0].ID != ann.ID || page.Uploads[0].Owner != "ann" {
		e.Errorf("uploads of ann: %+v, %v, want %s alone", page, err, ann.ID)
	}
	// Pages of one say nothing of what lies between one's own uploads.
	between := []*store.Upload{e.createUpload("j", &store.PutOptions{Owner: "bob"}), e.createUpload("k/b", &store.PutOptions{Owner: "bob"})}
	more := e.createUpload("k/c", &store.PutOptions{Owner: "ann"})
	for delimiter, want := range map[string][]string{"": {"k", "k/c"}, "/": {"k", "k/*"}} {
		opts := store.ListUploadsOptions{UploadOptions: as, Delimiter: delimiter, Limit: 1}
		if got := e.uploadPages(opts); !slices.Equal(got, want) {
			e.Errorf("uploads of ann, one by one: %q, want %q", got, want)
		}
		page, err := e.b.ListUploads(ctx, &opts)
		if err != nil || !page.More || page.NextKey != "k" || page.NextID != ann.ID {
			e.Errorf("first upload of ann: %+v, %v, want one more after it", page, err)
		}
	}
	for _, u := range append(between, more) {
		e.succeeds(e.b.AbortUpload(ctx, u.Key, u.ID, nil), "abort upload")
	}
	_, err = e.b.PutPart(ctx, "k", ann.ID, 1, strings.NewReader("of ann"), &store.PartOptions{UploadOptions: as})
	e.succeeds(err, "put part of one's own upload")
	parts, err := e.b.ListParts(ctx, "k", ann.ID, &store.ListPartsOptions{UploadOptions: as})
	if err != nil || len(parts.Parts) != 1 || parts.Upload.Owner != "ann" {
		e.Errorf("list parts of one's own upload: %+v, %v, want one part of ann", parts, err)
	}
	_, err = e.b.CompleteUpload(ctx, "k", ann.ID, []store.Part{{Number: 1}}, &store.CompleteOptions{UploadOptions: as})
	e.succeeds(err, "complete one's own upload")
	e.holds("k", "of ann")
	e.succeeds(e.b.AbortUpload(ctx, "k", bob.ID, &store.UploadOptions{Owner: "bob"}), "abort one's own upload")
}
