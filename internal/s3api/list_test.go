package s3api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store"
)

// check holds the rules of a list that clients insist on.
func (r *response) check(bucket, prefix, delimiter, maxKeys, token string) *response {
	r.t.Helper()
	r.is(200)
	for name, want := range map[string]string{"Name": bucket, "MaxKeys": maxKeys, "ContinuationToken": token} {
		if got := r.element(name); got != want {
			r.t.Errorf("%s: %s is %q, want %q", r.what, name, got, want)
		}
	}
	if got := r.element("Delimiter"); got != delimiter || delimiter == "" && strings.Contains(r.body, "<Delimiter") {
		r.t.Errorf("%s: Delimiter is %q, want %q: %s", r.what, got, delimiter, r.body)
	}
	if token == "" && strings.Contains(r.body, "<ContinuationToken") {
		r.t.Errorf("%s: a token that nobody sent: %s", r.what, r.body)
	}
	head, _, _ := strings.Cut(r.body, "<CommonPrefixes>")
	if !strings.Contains(head, "<Prefix>"+prefix+"</Prefix>") {
		r.t.Errorf("%s: Prefix is not %q: %s", r.what, prefix, r.body)
	}
	if got := fmt.Sprint(len(r.elements("Key")) + strings.Count(r.body, "<CommonPrefixes>")); r.element("KeyCount") != got {
		r.t.Errorf("%s: KeyCount is %q of %s", r.what, r.element("KeyCount"), got)
	}
	if more := r.element("NextContinuationToken") != ""; r.element("IsTruncated") != fmt.Sprint(more) {
		r.t.Errorf("%s: IsTruncated is %q: %s", r.what, r.element("IsTruncated"), r.body)
	}
	return r
}

func TestListObjectsV2(t *testing.T) {
	w := newWorld(t)
	for _, k := range []string{"public/a", "public/b/1", "public/b/2", "public/c", "public/x y+z&é", "private/id:alice/1", "private/id:bob/1"} {
		w.put("media", k, "content")
	}
	r := w.do("guest", "GET", "/media?list-type=2&prefix=public/", "").check("media", "public/", "", "1000", "")
	if got := strings.Join(r.elements("Key"), " "); got != "public/a public/b/1 public/b/2 public/c public/x y+z&amp;é" {
		t.Errorf("keys %q", got)
	}
	if r.element("Size") != "7" || r.element("StorageClass") != "STANDARD" || !strings.HasPrefix(r.element("ETag"), "&quot;") || strings.Contains(r.body, "<Owner>") || strings.Contains(r.body, "EncodingType") {
		t.Errorf("got %s", r.body)
	}
	r = w.do("guest", "GET", "/media?list-type=2&prefix=public/&delimiter=/&max-keys=2&encoding-type=url&fetch-owner=true&start-after=public/%20", "").check("media", "public/", "/", "2", "")
	if got := strings.Join(r.elements("Key"), " ") + " " + strings.Join(r.elements("Prefix"), " "); got != "public/a public/ public/b/" {
		t.Errorf("got %q", got)
	}
	if r.element("StartAfter") != "public/%20" || r.element("EncodingType") != "url" || r.element("ID") != "123456789012" {
		t.Errorf("got %s", r.body)
	}
	next := r.element("NextContinuationToken")
	r = w.do("guest", "GET", "/media?list-type=2&prefix=public/&delimiter=/&max-keys=2&encoding-type=url&continuation-token="+next, "").check("media", "public/", "/", "2", next)
	if got := strings.Join(r.elements("Key"), " "); got != "public/c public/x%20y%2Bz%26%C3%A9" {
		t.Errorf("got %q", got)
	}
	w.do("guest", "GET", "/media?list-type=2&prefix=private/", "").is(403, "AccessDenied")
	r = w.do("alice", "GET", "/media?list-type=2&prefix=", "").check("media", "", "", "1000", "")
	if strings.Contains(r.body, "bob") || !strings.Contains(r.body, "private/id:alice/1") {
		t.Errorf("alice sees %s", r.body)
	}
	w.do("alice", "GET", "/media?list-type=2&max-keys=0", "").check("media", "", "", "0", "")
	if r := w.do("alice", "GET", "/media?list-type=2&max-keys=5000&prefix=public/none", "").check("media", "public/none", "", "1000", ""); r.element("KeyCount") != "0" {
		t.Errorf("got %s", r.body)
	}
	for _, q := range []string{"max-keys=-1", "max-keys=x", "max-keys=99999999999999999999", "encoding-type=base64", "continuation-token=", "continuation-token=x", "continuation-token=AmE", "continuation-token=AYA"} {
		w.do("alice", "GET", "/media?list-type=2&"+q, "").is(400, "InvalidArgument")
	}
}

func TestListOfOddKeys(t *testing.T) {
	w := newWorld(t)
	keys := []string{"public/\x01\x1f", "public/\x7f", "public/a\r\n\tb", "public/%2F%25", "public/<x>&\"'", "public/\uffff", "public/\U0001F600"}
	for _, k := range keys {
		w.put("media", k, "")
	}
	var got []string
	for _, enc := range w.do("guest", "GET", "/media?list-type=2&prefix=public/&encoding-type=url", "").is(200).elements("Key") {
		k, err := url.QueryUnescape(enc)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, k)
	}
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Errorf("got %q, want %q", got, keys)
	}
	r := w.do("guest", "GET", "/media?list-type=2&prefix=public/", "").is(200)
	for _, bad := range []string{"\x01", "\x1f", "\uffff", "<x>"} {
		if strings.Contains(r.body, bad) {
			t.Errorf("%q is in %q", bad, r.body)
		}
	}
}

func TestListPagesAreComplete(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 25 {
		k := fmt.Sprintf("public/%02d/%d", i/3, i)
		w.put("media", k, "")
		want = append(want, k)
	}
	slices.Sort(want)
	for size := range 9 {
		var v1, v2 []string
		for tok := ""; ; {
			uri := fmt.Sprintf("/media?list-type=2&prefix=public/&max-keys=%d", size+1)
			if tok != "" {
				uri += "&continuation-token=" + tok
			}
			r := w.do("guest", "GET", uri, "").is(200)
			v2 = append(v2, r.elements("Key")...)
			if tok = r.element("NextContinuationToken"); tok == "" {
				break
			}
		}
		for marker := ""; ; {
			r := w.do("guest", "GET", fmt.Sprintf("/media?prefix=public/&max-keys=%d&marker=%s", size+1, marker), "").is(200)
			v1 = append(v1, r.elements("Key")...)
			if marker = r.element("NextMarker"); marker == "" {
				break
			}
		}
		if !slices.Equal(v1, want) || !slices.Equal(v2, want) {
			t.Errorf("in pages of %d: %v and %v", size+1, v1, v2)
		}
	}
}

func TestListObjects(t *testing.T) {
	w := newWorld(t)
	for _, k := range []string{"public/a", "public/b/1", "public/c d"} {
		w.put("media", k, "")
	}
	r := w.do("guest", "GET", "/media?prefix=public/&delimiter=/&max-keys=2&marker=public/", "").is(200)
	if r.element("Marker") != "public/" || r.element("NextMarker") != "public/b/" || r.element("IsTruncated") != "true" || r.element("ID") == "" || strings.Contains(r.body, "KeyCount") {
		t.Errorf("got %s", r.body)
	}
	r = w.do("guest", "GET", "/media?list-type=1&prefix=public/&delimiter=/&encoding-type=url&marker=public/b/", "").is(200)
	if r.element("Key") != "public/c%20d" || len(r.elements("Key")) != 1 || r.element("NextMarker") != "" {
		t.Errorf("got %s", r.body)
	}
}

// sparse is a bucket whose pages are mostly empty.
type sparse struct{ store.Bucket }

func (s sparse) List(ctx context.Context, opts *store.ListOptions) (*store.Page, error) {
	switch {
	case opts.After == "":
		return &store.Page{More: true, Next: "a"}, nil
	case opts.After == "a":
		return &store.Page{More: true, Next: "b"}, nil
	case opts.After == "stuck":
		return &store.Page{More: true, Next: "stuck"}, nil
	case opts.After >= "x":
		return &store.Page{More: true, Next: opts.After + "x"}, nil
	}
	return s.Bucket.List(ctx, opts)
}

type sparseService struct{ store.Service }

func (s sparseService) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	b, err := s.Service.Bucket(ctx, name)
	return sparse{b}, err
}

func TestListPassesOverEmptyPages(t *testing.T) {
	w := newWorld(t)
	w.put("media", "c", "")
	w.h = New(gate.New(sparseService{w.service}, nil, nil), &Options{Authenticate: w.authenticate})
	if r := w.do("operator", "GET", "/media?list-type=2", "").check("media", "", "", "1000", ""); r.element("Key") != "c" {
		t.Errorf("got %s", r.body)
	}
	for _, after := range []string{"stuck", "x"} {
		r := w.do("operator", "GET", "/media?list-type=2&start-after="+after, "").check("media", "", "", "1000", "")
		if r.element("IsTruncated") != "true" {
			t.Errorf("got %s", r.body)
		}
	}
}

// TestListTakesNoMemory of its own for each entry.
func TestListTakesNoMemory(t *testing.T) {
	page := new(store.Page)
	for i := range 1000 {
		page.Objects = append(page.Objects, store.Info{Key: fmt.Sprintf("photos & films/%06d.jpg", i), ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 12345, ModTime: time.Now()})
	}
	write := func() *xmlWriter {
		x := newXML()
		endList(x, page, "000000000000")
		return x
	}
	write().free()
	if n := testing.AllocsPerRun(20, func() { write().free() }); n > 20 { // some, where the race detector empties pools
		t.Errorf("a list of 1000 takes %v pieces of memory", n)
	}
}

// TestTimesAreThoseOfThePackageTime for all years that have four digits, and others.
func TestTimesAreThoseOfThePackageTime(t *testing.T) {
	for _, at := range []time.Time{
		{},
		time.Unix(0, 0), time.Unix(1<<40, 999_999_999), time.Unix(-1<<40, 0), time.Date(2024, 2, 29, 23, 59, 59, 999_000_000, time.FixedZone("", 3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 1e6, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 8, 7, 6, 5, 4_300_000, time.UTC),
	} {
		if got, want := string(appendTime(nil, at)), at.UTC().Format(timeFormat); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := string(appendHTTPTime(nil, at)), at.UTC().Format(http.TimeFormat); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for month := range 12 {
		for day := range 31 {
			at := time.Date(2026, time.Month(month+1), day+1, month, day, month+day, month*day*1e6, time.UTC)
			if got, want := string(appendHTTPTime(appendTime(nil, at), at)), at.Format(timeFormat)+at.Format(http.TimeFormat); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

func BenchmarkListXML(b *testing.B) {
	page := &store.Page{Objects: make([]store.Info, 1000)}
	for i := range page.Objects {
		page.Objects[i] = store.Info{Key: fmt.Sprintf("photos/%06d.jpg", i), ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 12345, ModTime: time.Now()}
	}
	b.ReportAllocs()
	for b.Loop() {
		x := newXML()
		endList(x, page, "")
		x.free()
	}
}
