package s3store

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

func TestVersioning(t *testing.T) {
	status := ""
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		if r.Method == http.MethodPut {
			_, rest, _ := strings.Cut(string(r.body), "<Status>")
			status, _, _ = strings.Cut(rest, "</Status>")
			return
		}
		fmt.Fprintf(w, `<VersioningConfiguration><Status>%s</Status></VersioningConfiguration>`, status)
	})
	for _, want := range []store.Versioning{store.Unversioned, store.Enabled, store.Suspended} {
		if want != store.Unversioned {
			if err := b.SetVersioning(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := b.Versioning(t.Context()); got != want || err != nil {
			t.Errorf("versioning is %q, %v, want %q", got, err, want)
		}
	}
	n := len(s.all())
	if err := b.SetVersioning(t.Context(), store.Unversioned); !errors.Is(err, fs.ErrInvalid) || len(s.all()) > n {
		t.Errorf("to forget all versions: error is %v after %d requests", err, len(s.all())-n)
	}
	_, b = serve(t, refuse(http.StatusNotImplemented, "NotImplemented"))
	if got, err := b.Versioning(t.Context()); got != store.Unversioned || err != nil {
		t.Errorf("a service without versions: versioning is %q, %v", got, err)
	}
	if err := b.SetVersioning(t.Context(), store.Enabled); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a service without versions: error is %v", err)
	}
}

func TestVersionsOfAnswers(t *testing.T) {
	_, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		w.Header().Set("ETag", `"abc"`)
		w.Header().Set("X-Amz-Version-Id", "v1")
		if r.Method == http.MethodDelete {
			w.Header().Set("X-Amz-Delete-Marker", strconv.FormatBool(!r.URL.Query().Has("versionId")))
			w.WriteHeader(http.StatusNoContent)
		}
	})
	put, err := b.Put(t.Context(), "k", strings.NewReader("x"), nil)
	if err != nil || put.Version != "v1" {
		t.Errorf("put gives %+v, %v", put, err)
	}
	stat, err := b.Stat(t.Context(), "k", nil)
	if err != nil || stat.Version != "v1" {
		t.Errorf("stat gives %+v, %v", stat, err)
	}
	for _, opts := range []*store.DeleteOptions{nil, {Version: "v1"}} {
		d, err := b.Delete(t.Context(), "k", opts)
		if err != nil || d.Version != "v1" || d.Marker != (opts == nil) {
			t.Errorf("delete with %+v gives %+v, %v", opts, d, err)
		}
	}
	_, b = serve(t, refuse(http.StatusNotFound, "NoSuchVersion"))
	if d, err := b.Delete(t.Context(), "k", &store.DeleteOptions{Version: "v0"}); err != nil || *d != (store.Deleted{Version: "v0"}) {
		t.Errorf("delete of a version that is not there gives %+v, %v", d, err)
	}
}

func TestDeleteManyTellsMarkers(t *testing.T) {
	s, b := serve(t, func(w http.ResponseWriter, _ *recorded) {
		fmt.Fprint(w, `<DeleteResult>
			<Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m1</DeleteMarkerVersionId></Deleted>
			<Deleted><Key>a</Key><VersionId>v1</VersionId></Deleted>
			<Deleted><Key>a</Key><VersionId>m0</VersionId><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m0</DeleteMarkerVersionId></Deleted>
			<Error><Key>a</Key><VersionId>v2</VersionId><Code>AccessDenied</Code></Error>
			<Error><Key>a</Key><VersionId>v3</VersionId><Code>NoSuchVersion</Code></Error>
			<Deleted><Key>b</Key></Deleted></DeleteResult>`)
	})
	targets := []store.Target{{Key: "a"}, {Key: "a", Version: "v1"}, {Key: "a", Version: "m0"}, {Key: "a", Version: "v2"}, {Key: "a", Version: "v3"}, {Key: "b"}}
	done, err := b.DeleteMany(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	if err := done[3].Err; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error is %v, want fs.ErrPermission", err)
	}
	done[3].Err = nil
	want := []store.Deleted{{Version: "m1", Marker: true}, {Version: "v1"}, {Version: "m0", Marker: true}, {}, {Version: "v3"}, {}}
	if !slices.Equal(done, want) {
		t.Errorf("got %+v, want %+v", done, want)
	}
	if body := string(s.all()[0].body); !strings.Contains(body, "<VersionId>v1</VersionId>") || strings.Contains(body, "Quiet") {
		t.Errorf("asked for %s", body)
	}
}

// TestMarkers reads what is hidden, or is itself a delete marker.
func TestMarkers(t *testing.T) {
	_, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		w.Header().Set("X-Amz-Version-Id", "m1")
		switch r.URL.Query().Get("versionId") {
		case "":
			w.Header().Set("X-Amz-Delete-Marker", "true")
			refuse(http.StatusNotFound, "NoSuchKey")(w, r)
		case "m1":
			w.Header().Set("X-Amz-Delete-Marker", "true")
			refuse(http.StatusMethodNotAllowed, "MethodNotAllowed")(w, r)
		default:
			refuse(http.StatusNotFound, "NoSuchVersion")(w, r)
		}
	})
	for version, test := range map[string]struct {
		marker string
		want   error
	}{
		"": {"m1", fs.ErrNotExist}, "m1": {"m1", store.ErrMarker}, "v9": {"", store.ErrNoVersion},
	} {
		opts := &store.GetOptions{Version: version}
		_, stat := b.Stat(t.Context(), "k", opts)
		_, get := b.Get(t.Context(), "k", opts)
		for op, err := range map[string]error{"stat": stat, "get": get} {
			e, ok := errors.AsType[*store.Error](err)
			if !ok || !errors.Is(err, test.want) || e.Marker != test.marker {
				t.Errorf("%s of version %q: error is %#v, want %v with marker %q", op, version, err, test.want, test.marker)
			}
			if version == "" && errors.Is(err, store.ErrNoVersion) {
				t.Errorf("%s: error is %v although no version was asked for", op, err)
			}
		}
	}
}

// TestCopiesOfMarkers knows the refusal of S3, which names no marker.
func TestCopiesOfMarkers(t *testing.T) {
	_, b := serve(t, func(w http.ResponseWriter, _ *recorded) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `<Error><Code>InvalidRequest</Code><Message>The source of a copy request may not specifically refer to a delete marker by version id.</Message></Error>`)
	})
	_, copied := b.Copy(t.Context(), "k", "s", &store.CopyOptions{Version: "m1"})
	_, part := b.CopyPart(t.Context(), "k", "u", 1, "s", &store.CopyPartOptions{Version: "m1", Range: &store.Range{Length: 1}})
	for op, err := range map[string]error{"copy": copied, "copy part": part} {
		if e, ok := errors.AsType[*store.Error](err); !ok || !errors.Is(err, store.ErrMarker) || e.Marker != "m1" {
			t.Errorf("%s: error is %#v, want store.ErrMarker with marker m1", op, err)
		}
	}
}

// TestDeleteManyOfTheSame makes as many markers as were asked for, where versions
// are kept.
func TestDeleteManyOfTheSame(t *testing.T) {
	for marker, want := range map[string]struct {
		done []store.Deleted
		more int // requests beside the first
	}{
		"m1":              {[]store.Deleted{{Version: "m1", Marker: true}, {Version: "m2", Marker: true}, {Version: "v"}, {Version: "v"}}, 1},
		store.NullVersion: {[]store.Deleted{{Version: "null", Marker: true}, {Version: "null", Marker: true}, {Version: "v"}, {Version: "v"}}, 0},
		"":                {[]store.Deleted{{}, {}, {Version: "v"}, {Version: "v"}}, 0},
	} {
		s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
			switch {
			case r.Method == http.MethodDelete:
				w.Header().Set("X-Amz-Delete-Marker", "true")
				w.Header().Set("X-Amz-Version-Id", "m2")
				w.WriteHeader(http.StatusNoContent)
			case marker == "":
				fmt.Fprint(w, `<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>a</Key><VersionId>v</VersionId></Deleted></DeleteResult>`)
			default:
				fmt.Fprintf(w, `<DeleteResult><Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>%s</DeleteMarkerVersionId></Deleted>
					<Deleted><Key>a</Key><VersionId>v</VersionId></Deleted></DeleteResult>`, marker)
			}
		})
		done, err := b.DeleteMany(t.Context(), []store.Target{{Key: "a"}, {Key: "a"}, {Key: "a", Version: "v"}, {Key: "a", Version: "v"}})
		if err != nil || !slices.Equal(done, want.done) || len(s.all()) != 1+want.more {
			t.Errorf("marker %q: got %+v, %v in %d requests, want %+v", marker, done, err, len(s.all()), want.done)
		}
	}
	_, b := serve(t, func(w http.ResponseWriter, _ *recorded) {
		fmt.Fprint(w, `<DeleteResult><Error><Key>a</Key><VersionId>?</VersionId><Code>InvalidArgument</Code></Error></DeleteResult>`)
	})
	if done, err := b.DeleteMany(t.Context(), []store.Target{{Key: "a", Version: "?"}}); err != nil || !errors.Is(done[0].Err, fs.ErrInvalid) {
		t.Errorf("what cannot be an id: got %+v, %v, want fs.ErrInvalid", done, err)
	}
}

// versions answers lists of versions as S3 does.
func versions(t *testing.T, all []store.Version) func(http.ResponseWriter, *recorded) {
	type version struct {
		XMLName            xml.Name
		Key                string
		VersionID          string `xml:"VersionId"`
		IsLatest           bool
		LastModified, ETag string `xml:",omitempty"`
	}
	type prefix struct{ Prefix string }
	type result struct {
		XMLName        xml.Name `xml:"ListVersionsResult"`
		EncodingType   string
		IsTruncated    bool
		NextKeyMarker  string
		NextVersionID  string `xml:"NextVersionIdMarker"`
		Versions       []version
		CommonPrefixes []prefix
	}
	return func(w http.ResponseWriter, r *recorded) {
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("max-keys"))
		out := result{EncodingType: "url"}
		key, id := q.Get("key-marker"), q.Get("version-id-marker")
		last := ""
		for i, v := range all {
			isPast := v.Key > key || v.Key == key && id != "" && slices.IndexFunc(all, func(o store.Version) bool { return o.Key == key && o.Version == id }) < i
			roll := rolled(v.Key, q.Get("prefix"), q.Get("delimiter"))
			if !isPast || !strings.HasPrefix(v.Key, q.Get("prefix")) || roll != "" && (roll == last || roll == key) {
				continue
			}
			if len(out.Versions)+len(out.CommonPrefixes) == limit {
				out.IsTruncated = true
				break
			}
			out.NextKeyMarker, out.NextVersionID = url.QueryEscape(v.Key), v.Version
			if last = roll; roll != "" {
				out.CommonPrefixes = append(out.CommonPrefixes, prefix{url.QueryEscape(roll)})
				out.NextKeyMarker, out.NextVersionID = url.QueryEscape(roll), ""
				continue
			}
			e := version{Key: url.QueryEscape(v.Key), VersionID: v.Version, IsLatest: v.Latest, LastModified: v.ModTime.Format(time.RFC3339)}
			e.XMLName.Local = "Version"
			if v.IsMarker {
				e.XMLName.Local = "DeleteMarker"
			} else {
				e.ETag = `"` + v.ETag + `"`
			}
			out.Versions = append(out.Versions, e)
		}
		if err := xml.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}
}

// wanted makes the list that opts ask for the plain way: all that there is, in
// order, less what does not belong there.
func wanted(all []store.Version, opts *store.ListVersionsOptions) (entries []string) {
	after := slices.IndexFunc(all, func(v store.Version) bool { return v.Key == opts.AfterKey && v.Version == opts.AfterVersion })
	for i, v := range all {
		in := opts.Ranges == nil || slices.ContainsFunc(opts.Ranges, func(r store.KeyRange) bool { return r.Contains(v.Key) })
		isPast := v.Key > opts.AfterKey || v.Key == opts.AfterKey && opts.AfterVersion != "" && i > after
		roll := rolled(v.Key, opts.Prefix, opts.Delimiter)
		switch {
		case !in || !isPast || !strings.HasPrefix(v.Key, opts.Prefix) || roll != "" && roll == opts.AfterKey:
		case roll == "":
			entries = append(entries, versionLine(v))
		case !slices.Contains(entries, roll):
			entries = append(entries, roll)
		}
	}
	return entries
}

func versionLine(v store.Version) string {
	return fmt.Sprint(v.Key, " ", v.Version, " ", v.Latest, " ", v.IsMarker, " ", v.ETag, " ", v.ModTime.UTC())
}

// listAll reads a list of versions page by page, and checks that none is too long.
func listAll(t *testing.T, b *Bucket, opts store.ListVersionsOptions) (entries []string) {
	t.Helper()
	for {
		page, err := b.ListVersions(t.Context(), &opts)
		if err != nil {
			t.Fatalf("%+v: %v", opts, err)
		}
		type line struct{ key, text string }
		var lines []line
		for _, v := range page.Versions {
			lines = append(lines, line{v.Key, versionLine(v)})
		}
		for _, p := range page.Prefixes {
			lines = append(lines, line{p, p})
		}
		if len(lines) > opts.Limit || page.More && len(lines) == 0 {
			t.Fatalf("%+v: a page of %d entries", opts, len(lines))
		}
		slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.key, b.key) })
		for _, l := range lines {
			entries = append(entries, l.text)
		}
		if !page.More {
			return entries
		}
		opts.AfterKey, opts.AfterVersion = page.NextKey, page.NextVersion
	}
}

// TestListVersions compares random lists with those that are made the plain way.
func TestListVersions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	letters := []string{"a", "b", "/", "é", "~", "+", " ", "\U0010ffff"}
	word := func(n int) string {
		var s strings.Builder
		for range rng.IntN(n + 1) {
			s.WriteString(letters[rng.IntN(len(letters))])
		}
		return s.String()
	}
	var keys []string
	for range 60 {
		keys = append(keys, "k"+word(5), word(4)+"z")
	}
	slices.Sort(keys)
	var all []store.Version
	for _, key := range slices.Compact(keys) {
		for i := range 1 + rng.IntN(4) {
			v := store.Version{Latest: i == 0, IsMarker: rng.IntN(3) == 0}
			v.Key, v.Version, v.ModTime = key, fmt.Sprint("v", rng.Uint32()), time.Unix(1e9, 0)
			if !v.IsMarker {
				v.ETag = fmt.Sprint(rng.Uint32())
			}
			all = append(all, v)
		}
	}
	svc, b := serve(t, versions(t, all))
	for range 150 {
		opts := store.ListVersionsOptions{Limit: 1 + rng.IntN(20)}
		if rng.IntN(3) == 0 {
			opts.Prefix = word(2)
		}
		if rng.IntN(2) == 0 {
			opts.Delimiter = []string{"/", "a", "é/"}[rng.IntN(3)]
		}
		switch rng.IntN(4) {
		case 0:
			opts.AfterKey = "k" + word(4)
		case 1:
			v := all[rng.IntN(len(all))]
			opts.AfterKey, opts.AfterVersion = v.Key, v.Version
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
		if got, want := listAll(t, b, opts), wanted(all, &opts); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v:\n got %q\nwant %q", opts, got, want)
		}
	}
	t.Logf("%d versions, %d requests", len(all), len(svc.all()))
}

// TestListVersionsSkipsWhatLiesBetween looks into two narrow ranges of many keys.
func TestListVersionsSkipsWhatLiesBetween(t *testing.T) {
	var all []store.Version
	for i := range 3000 {
		v := store.Version{Latest: true}
		v.Key, v.Version = fmt.Sprintf("private/%04d/x", i), "v"
		all = append(all, v)
	}
	s, b := serve(t, versions(t, all))
	page, err := b.ListVersions(t.Context(), &store.ListVersionsOptions{
		Limit: 10, Ranges: []store.KeyRange{{Start: "private/0100/", End: "private/01000"}, {Start: "private/2400/", End: "private/24000"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Versions) != 2 || page.Versions[0].Key != "private/0100/x" || page.Versions[1].Key != "private/2400/x" || page.More {
		t.Errorf("got %+v", page)
	}
	if n := len(s.all()); n > 3 {
		t.Errorf("took %d requests", n)
	}
}

func TestListVersionsOfBadAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"cut":           `<ListVersionsResult><Version><Key>a</Key>`,
		"no marker":     `<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>`,
		"key":           `<ListVersionsResult><EncodingType>url</EncodingType><Version><Key>%zz</Key></Version></ListVersionsResult>`,
		"other element": `<Other><Wrapped><Version><Key>a</Key></Version></Wrapped></Other`,
	} {
		_, b := serve(t, func(w http.ResponseWriter, _ *recorded) { fmt.Fprint(w, body) })
		if page, err := b.ListVersions(t.Context(), nil); err == nil {
			t.Errorf("%s: got %+v", name, page)
		}
	}
	_, b := serve(t, ok)
	if _, err := b.ListVersions(t.Context(), &store.ListVersionsOptions{Limit: -1}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative limit: error is %v", err)
	}
}

func FuzzVersionOrder(f *testing.F) {
	f.Add([]byte(`<L><Version/><DeleteMarker><Version/></DeleteMarker><Version/></L>`))
	f.Add([]byte(`<L xmlns="x"><Version>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		markers, err := (&versionOrder{body}).markers()
		n := strings.Count(string(body), "Version") + strings.Count(string(body), "DeleteMarker")
		if err == nil && len(markers) > n {
			t.Errorf("%d versions in %q", len(markers), body)
		}
	})
}
