package s3store

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// lists answers lists as S3 does, out of a bucket in memory.
func lists(t *testing.T, b store.Bucket, encoded bool) func(http.ResponseWriter, *recorded) {
	type object struct{ Key, ETag string }
	type prefix struct{ Prefix string }
	type result struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		EncodingType          string   `xml:",omitempty"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []object
		CommonPrefixes        []prefix
	}
	return func(w http.ResponseWriter, r *recorded) {
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("max-keys"))
		after := q.Get("start-after")
		if c := q.Get("continuation-token"); c != "" {
			after = strings.TrimPrefix(c, "T")
		}
		page, err := b.List(r.Context(), &store.ListOptions{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: after, Limit: limit})
		if err != nil {
			t.Error(err)
			return
		}
		out := result{IsTruncated: page.More}
		encode := func(s string) string { return s }
		if encoded {
			out.EncodingType, encode = "url", url.QueryEscape
		}
		if page.More {
			out.NextContinuationToken = "T" + page.Next
		}
		for _, o := range page.Objects {
			out.Contents = append(out.Contents, object{encode(o.Key), `"` + o.ETag + `"`})
		}
		for _, p := range page.Prefixes {
			out.CommonPrefixes = append(out.CommonPrefixes, prefix{encode(p)})
		}
		if err := xml.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}
}

// TestListAsMemstore compares random lists with those of memstore.
func TestListAsMemstore(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "b", "/", "é", "ÿ", "~", "+", " ", "\U0010ffff"}
	word := func(n int) string {
		var s strings.Builder
		for range rng.IntN(n + 1) {
			s.WriteString(letters[rng.IntN(len(letters))])
		}
		return s.String()
	}
	mem := memstore.New()
	if err := mem.CreateBucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	want, err := mem.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	for range 80 {
		if _, err := want.Put(t.Context(), "k"+word(6), strings.NewReader("x"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := want.Put(t.Context(), word(5)+"z", strings.NewReader("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	svc, got := serve(t, lists(t, want, true))
	for i := range 120 {
		opts := &store.ListOptions{Limit: 1 + rng.IntN(20)}
		if rng.IntN(3) == 0 {
			opts.Prefix = word(2)
		}
		if rng.IntN(2) == 0 {
			opts.Delimiter = []string{"/", "a", "é/"}[rng.IntN(3)]
		}
		if rng.IntN(3) == 0 {
			opts.After = "k" + word(4)
		}
		if rng.IntN(2) == 0 {
			var bounds []string
			for range 2 * rng.IntN(4) {
				bounds = append(bounds, word(3))
			}
			slices.Sort(bounds)
			bounds = slices.Compact(bounds)
			opts.Ranges = []store.KeyRange{}
			for j := 0; j+1 < len(bounds); j += 2 {
				opts.Ranges = append(opts.Ranges, store.KeyRange{Start: bounds[j], End: bounds[j+1]})
			}
			if len(opts.Ranges) > 0 && rng.IntN(4) == 0 {
				opts.Ranges[len(opts.Ranges)-1].End = ""
			}
		}
		for {
			w, err := want.List(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			g, err := got.List(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := outline(w), outline(g); !reflect.DeepEqual(a, b) {
				t.Fatalf("list %d, %+v:\n got %q\nwant %q", i, opts, b, a)
			}
			if !w.More {
				break
			}
			opts.After = w.Next
		}
	}
	t.Logf("%d requests", len(svc.all()))
}

func outline(p *store.Page) string {
	var s strings.Builder
	for _, o := range p.Objects {
		s.WriteString(o.Key + "\n")
	}
	fmt.Fprintf(&s, "prefixes %q more %v", p.Prefixes, p.More)
	if p.More {
		s.WriteString(" next " + p.Next)
	}
	return s.String()
}

func TestListOfPlainKeys(t *testing.T) {
	mem := memstore.New()
	if err := mem.CreateBucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	want, err := mem.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := want.Put(t.Context(), "a+b%41", strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	_, b := serve(t, lists(t, want, false))
	page, err := b.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Objects) != 1 || page.Objects[0].Key != "a+b%41" {
		t.Errorf("a service that does not encode keys: got %+v", page.Objects)
	}
}

// TestListSkipsWhatLiesBetween looks into two narrow ranges of many keys.
func TestListSkipsWhatLiesBetween(t *testing.T) {
	mem := memstore.New()
	if err := mem.CreateBucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	want, err := mem.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1500 {
		if _, err := want.Put(t.Context(), fmt.Sprintf("private/%04d/x", i), strings.NewReader(""), nil); err != nil {
			t.Fatal(err)
		}
	}
	s, b := serve(t, lists(t, want, true))
	page, err := b.List(t.Context(), &store.ListOptions{Ranges: []store.KeyRange{{Start: "private/0100/", End: "private/01000"}, {Start: "private/1400/", End: "private/14000"}}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got := outline(page); got != "private/0100/x\nprivate/1400/x\nprefixes [] more false" {
		t.Errorf("got %s", got)
	}
	if n := len(s.all()); n > 3 {
		t.Errorf("took %d requests", n)
	}
}

func FuzzBefore(f *testing.F) {
	for _, s := range []string{"", "a", "a/b0", "\xc3\xc0", "\xff", "a\x00", "\ue000", "\U0010ffff", "x\xed\xa0\x80", "\xf4\x90"} {
		f.Add(s, "a/b")
	}
	f.Fuzz(func(t *testing.T, start, key string) {
		b := before(start)
		if !utf8.ValidString(b) {
			t.Fatalf("before(%q) is %q, which is not UTF-8", start, b)
		}
		// Nothing from start on may be left out by a list of what comes after b.
		if utf8.ValidString(key) && key >= start && key != "" && key <= b {
			t.Errorf("key %q is not less than %q, but not after %q", key, start, b)
		}
	})
}

func FuzzChunked(f *testing.F) {
	f.Add("hello", 3)
	f.Add(strings.Repeat("x", chunkSize+1), 1000)
	f.Fuzz(func(t *testing.T, content string, n int) {
		if content == "" || n < 1 || n > 1<<20 {
			return
		}
		c := streamContent(stream(content), &store.PartOptions{Size: int64(len(content)), Algorithm: store.SHA1})
		var got []byte
		for buf := make([]byte, n); ; {
			m, err := c.body.Read(buf)
			got = append(got, buf[:m]...)
			if err != nil {
				break
			}
		}
		if int64(len(got)) != c.wire {
			t.Fatalf("%d bytes of content are %d, announced were %d", len(content), len(got), c.wire)
		}
		if plain, _ := dechunk(t, got); plain != content {
			t.Error("content has changed")
		}
	})
}
