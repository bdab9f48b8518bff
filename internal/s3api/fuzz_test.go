package s3api

import (
	"context"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store/memstore"
)

// newFuzzWorld returns a world with the bucket "media", for targets.
func newFuzzWorld(f *testing.F) *world {
	f.Helper()
	w := &world{service: memstore.New()}
	if err := w.service.CreateBucket(context.Background(), "media"); err != nil {
		f.Fatal(err)
	}
	w.gate = gate.New(w.service, nil, &gate.Options{Observe: func(_ context.Context, c gate.Check) { w.checks = append(w.checks, c) }})
	w.h = New(w.gate, &Options{Authenticate: w.authenticate})
	return w
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	return rec
}

// FuzzXML holds that what readXML takes is one plain document, and that text
// written by xmlWriter is well-formed and reads back.
func FuzzXML(f *testing.F) {
	for _, s := range []string{
		`<Delete><Object><Key>a</Key></Object></Delete>`, `<?xml version="1.0"?><Delete xmlns="x"><Quiet>true</Quiet></Delete>`,
		`<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>`, `<Delete/><Delete/>`, `<Delete>`, "<Delete>\x01</Delete>",
		`<Delete><a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a></Delete>`, "a\x00\uffff<&>\"'\r\n\t\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var req deleteRequest
		if err := readXML([]byte(s), &req); err == nil {
			// What was read can be written, and is read again.
			x := newXML()
			x.root("Delete")
			x.bool("Quiet", req.Quiet)
			for _, o := range req.Objects {
				x.open("Object")
				x.elem("Key", o.Key)
				x.close("Object")
			}
			x.close("Delete")
			var again deleteRequest
			if err := readXML(x.b, &again); err != nil || len(again.Objects) != len(req.Objects) || again.Quiet != req.Quiet {
				t.Fatalf("%q: %v", x.b, err)
			}
			for i, o := range req.Objects {
				if again.Objects[i].Key != o.Key {
					t.Errorf("%q became %q", o.Key, again.Objects[i].Key)
				}
			}
		}
		x := newXML()
		x.open("a")
		x.text(s)
		x.close("a")
		var got string
		if err := xml.Unmarshal(x.b, &got); err != nil {
			t.Errorf("%q: %v", x.b, err)
		}
		if enc := string(appendURL(nil, s)); len(enc) < len(s) {
			t.Errorf("%q became %q", s, enc)
		}
	})
}

// FuzzSource holds that a source that is encoded once is found again, and that
// none with a bad bucket or key passes.
func FuzzSource(f *testing.F) {
	for _, s := range []string{"media/a", "/media/a b", "media%2Fa", "media/a%2520b", "media/a?versionId=1", "media/\xe9", "media/%zz", "//a", "media/../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseSource(s)
		if err != nil || got.check() != nil {
			return
		}
		enc := string(appendURL(nil, got.bucket+"/"+got.key))
		if got.version != "" {
			enc += "?versionId=" + string(appendURL(nil, got.version))
		}
		if again, err := parseSource(enc); err != nil || again != got {
			t.Errorf("%q is %q, but %q is %q (%v)", s, got, enc, again, err)
		}
	})
}

// FuzzRange holds that a range that is taken is one the store can resolve.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=1-0", "bytes=0-1,3-4", "bytes=99999999999999999999-", "bytes=0-9223372036854775807", "items=0-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := parseRange(s)
		if r == nil {
			return
		}
		if off, n, err := r.Resolve(100); err == nil && (off < 0 || n <= 0 || off+n > 100) {
			t.Errorf("%q: %d+%d", s, off, n)
		}
	})
}
