package cubby

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/outputs"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/s3store"
)

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestLocations(t *testing.T) {
	two := Config{
		Buckets:       map[string]BucketConfig{"media": {Store: memory(t)}, "logs": {Store: memory(t)}},
		DefaultBucket: "media", IdentityID: "r:1", Level: Private,
	}
	c, err := New(two)
	if err != nil {
		t.Fatal(err)
	}
	id := func(id string) string { return "users/" + id + "/a" }
	for _, test := range []struct {
		l            Location
		bucket, path string
	}{
		{At("public/a"), "media", "public/a"},
		{At("a//b/../c"), "media", "a//b/../c"},
		{At("a").In("logs"), "logs", "a"},
		{AtFunc(id), "media", "users/r:1/a"},
		{Key("a/b", Guest), "media", "public/a/b"},
		{Key("a", Public), "media", "public/a"},
		{Key("a", Protected), "media", "protected/r:1/a"},
		{Key("a", Protected).Owner("r:2"), "media", "protected/r:2/a"},
		{Key("a", Private).In("logs"), "logs", "private/r:1/a"},
		{Key("a", ""), "media", "private/r:1/a"},
		{Key("", Guest), "media", "public/"},
	} {
		bucket, path, err := c.Resolve(t.Context(), test.l)
		if err != nil || bucket != test.bucket || path != test.path {
			t.Errorf("%v is %s//%s, %v, want %s//%s", test.l, bucket, path, err, test.bucket, test.path)
		}
	}
	for _, l := range []Location{
		{},
		At("/a"), AtFunc(nil), AtFunc(func(string) string { return "/" }), Key("/a", Guest), Key("a", "secret"),
		Key("a", Private).Owner("r:2"), At("a").Owner("r:2"), Key("a", Protected).Owner("x/../r:2"), Key("a", Protected).Owner(".."),
		At("a").In("nowhere"),
	} {
		_, _, err := c.Resolve(t.Context(), l)
		if _, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%v: error is %v, want fs.ErrInvalid", l, err)
		}
	}
}

func TestNewErrors(t *testing.T) {
	for says, cfg := range map[string]Config{
		"no bucket":                 {},
		"DefaultBucket must name":   {Buckets: map[string]BucketConfig{"a": {Name: "x"}, "b": {Name: "y"}}},
		"is not one of a":           {Buckets: map[string]BucketConfig{"a": {Name: "x"}}, DefaultBucket: "b"},
		"neither an identity pool":  {Buckets: map[string]BucketConfig{"a": {Name: "x"}}},
		"part size":                 {Store: memory(t), PartSize: 1},
		"level \"x\"":               {Store: memory(t), Level: "x"},
		"not an http or https URL":  {Endpoint: "x:1", Buckets: map[string]BucketConfig{"a": {Name: "x"}}, IdentityPoolID: "r:1"},
		"no bucket named":           {Buckets: map[string]BucketConfig{"a": {}}, IdentityPoolID: "r:1"},
		"no bucket: give Outputs, ": {Outputs: new(outputs.Outputs)},
	} {
		_, err := New(cfg)
		if !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("error is %v, want %q", err, says)
		}
	}
}

func TestOutputsOfAmplify(t *testing.T) {
	c, err := New(Config{Outputs: &outputs.Outputs{
		Auth:    &outputs.Auth{Region: "eu-central-1", IdentityPoolID: "eu-central-1:1", UserPoolID: "eu-west-1_1", UserPoolClientID: "c"},
		Storage: &outputs.Storage{Region: "eu-central-1", Bucket: "media-1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.cfg.IdentityPoolEndpoint, "https://cognito-identity.eu-central-1.amazonaws.com/"; got != want {
		t.Errorf("identity pool is at %s, want %s", got, want)
	}
	if got, want := c.cfg.UserPoolEndpoint, "https://cognito-idp.eu-west-1.amazonaws.com/"; got != want {
		t.Errorf("user pool is at %s, want %s", got, want)
	}
	if !c.cfg.NoGuests || c.Buckets()[0] != "media-1" {
		t.Errorf("configuration is %+v", c.cfg)
	}
}

func fill(t *testing.T, b store.Bucket, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if _, err := b.Put(t.Context(), k, strings.NewReader(k), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func paths(t *testing.T, c *Client, l Location, opts *ListOptions) (paths []string) {
	t.Helper()
	for item, err := range c.List(t.Context(), l, opts) {
		if err != nil {
			t.Fatal(err)
		}
		p := item.Key
		if item.Folder != strings.HasSuffix(p, "/") || item.Folder && item.Size > 0 {
			t.Errorf("item is %+v", item)
		}
		paths = append(paths, p)
	}
	return paths
}

func TestList(t *testing.T) {
	b := memory(t)
	c := client(t, b)
	fill(t, b, "private/me/a", "private/me/b/1", "private/me/b/2", "private/me/c", "private/you/x", "public/p")
	for size := range 5 {
		if got, want := paths(t, c, Key("", Private), &ListOptions{PageSize: size}), []string{"a", "b/1", "b/2", "c"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := paths(t, c, Key("", Private), &ListOptions{PageSize: size, Delimiter: "/"}), []string{"a", "b/", "c"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := paths(t, c, At("private/"), nil), 5; len(got) != want {
		t.Errorf("got %q, want %d paths", got, want)
	}
	if got := paths(t, c, At(""), nil); len(got) != 6 {
		t.Errorf("got %q, want all", got)
	}
	page, err := c.ListPage(t.Context(), At("private/me/"), &ListOptions{PageSize: 3})
	if err != nil || len(page.Items) != 3 || page.Next == "" {
		t.Fatalf("page is %+v, %v", page, err)
	}
	page, err = c.ListPage(t.Context(), At("private/me/"), &ListOptions{PageSize: 3, Token: page.Next})
	if err != nil || len(page.Items) != 1 || page.Next != "" {
		t.Errorf("second page is %+v, %v", page, err)
	}
	if _, err := c.ListPage(t.Context(), At(""), &ListOptions{Token: "x"}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("token that is none: error is %v", err)
	}
	for range c.List(t.Context(), At(""), nil) {
		break
	}
}

func TestRemove(t *testing.T) {
	b := memory(t)
	c := client(t, b)
	fill(t, b, "d/1", "d/2/3", "da", "d")
	if err := c.Remove(t.Context(), At("d")); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(t.Context(), At("d")); err != nil {
		t.Errorf("remove of what is not there: %v", err)
	}
	var gone []string
	n, err := c.RemoveAll(t.Context(), At("d"), &RemoveAllOptions{Progress: func(removed []string, _ []error) { gone = append(gone, removed...) }})
	if err != nil || n != 2 || !slices.Equal(gone, []string{"d/1", "d/2/3"}) {
		t.Errorf("removed %d: %q, %v", n, gone, err)
	}
	if got := paths(t, c, At(""), nil); !slices.Equal(got, []string{"da"}) {
		t.Errorf("left are %q", got)
	}
	for _, l := range []Location{At(""), At("/"), At("*"), At("/*"), {}} {
		if _, err := c.RemoveAll(t.Context(), l, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("remove all of %v: error is %v", l, err)
		}
	}
	if err := c.Remove(t.Context(), At("")); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("remove of no path: error is %v", err)
	}
}

func TestRemoveAllOfManyPages(t *testing.T) {
	b := memory(t)
	for i := range store.MaxPage + 5 {
		fill(t, b, fmt.Sprintf("d/%04d", i))
	}
	if n, err := client(t, b).RemoveAll(t.Context(), At("d/"), nil); n != store.MaxPage+5 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
}

func TestCopy(t *testing.T) {
	media, logs := memory(t), memory(t)
	c, err := New(Config{Buckets: map[string]BucketConfig{"media": {Store: media}, "logs": {Store: logs}}, DefaultBucket: "media", IdentityID: "me"})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, media, "public/a")
	for _, dst := range []Location{Key("b", Private), At("b").In("logs")} {
		info, err := c.Copy(t.Context(), dst, At("public/a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Properties(t.Context(), dst)
		if err != nil || got.Size != 8 || got.ETag != info.ETag {
			t.Errorf("copy to %v: %+v, %v", dst, got, err)
		}
	}
	if _, err := c.Copy(t.Context(), At("b").In("logs"), At("public/a"), &CopyOptions{PreventOverwrite: true}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v, want fs.ErrExist", err)
	}
	if _, err := c.Copy(t.Context(), At("c"), At("public/a"), &CopyOptions{IfMatch: "other"}); !errors.Is(err, store.ErrPrecondition) {
		t.Errorf("error is %v, want store.ErrPrecondition", err)
	}
	_, err = c.Copy(t.Context(), At("c"), At("missing"), nil)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "copy missing to c: ") {
		t.Errorf("error is %v", err)
	}
	if _, err := c.Copy(t.Context(), At("c"), At("public/a"), &CopyOptions{Attributes: &Attributes{ContentType: "a/b"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Properties(t.Context(), At("c")); err != nil || got.ContentType != "a/b" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestURL(t *testing.T) {
	p := newPools()
	c := p.client(t, nil)
	signed := func(l Location, opts *URLOptions) (*url.URL, time.Duration) {
		t.Helper()
		u, expires, err := c.URL(t.Context(), l, opts)
		if err != nil {
			t.Fatal(err)
		}
		return u, time.Until(expires).Round(time.Minute)
	}
	u, d := signed(Key("a b", Private), nil)
	if u.Host != "s3.test" || u.Path != "/media-1/private/id1/a b" || d != 15*time.Minute || u.Query().Get("X-Amz-Expires") != "900" {
		t.Errorf("URL is %s, good for %v", u, d)
	}
	if !strings.HasPrefix(u.Query().Get("X-Amz-Credential"), "AK-id1/") {
		t.Errorf("URL is %s", u)
	}
	// Credentials are good for an hour.
	if u, d := signed(At("a"), &URLOptions{Expires: 24 * time.Hour, Method: http.MethodPut, ContentType: "a/b"}); d != time.Hour || u.Query().Get("X-Amz-SignedHeaders") != "content-type;host" {
		t.Errorf("URL is %s, good for %v", u, d)
	}
	if u, _ := signed(At("a"), &URLOptions{ContentDisposition: "attachment"}); u.Query().Get("response-content-disposition") != "attachment" {
		t.Errorf("URL is %s", u)
	}
	for _, opts := range []URLOptions{{Expires: 8 * 24 * time.Hour}, {Expires: time.Millisecond}, {Method: "DELETE"}} {
		if _, _, err := c.URL(t.Context(), At("a"), &opts); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: error is %v", opts, err)
		}
	}
	if _, _, err := client(t, memory(t)).URL(t.Context(), At("a"), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error is %v, want errors.ErrUnsupported", err)
	}
}

func TestErrorOfService(t *testing.T) {
	p := newPools()
	s3 := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "s3.test" {
			p.ServeHTTP(w, r)
			return
		}
		w.Header().Set("X-Amz-Request-Id", "R9")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
	})
	c := p.client(t, func(cfg *Config) { cfg.HTTPClient = &http.Client{Transport: handlerTransport{s3}} })
	get := func() *Error {
		t.Helper()
		_, err := c.Open(t.Context(), At("private/x"), nil)
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, fs.ErrPermission) || e.Code() != "AccessDenied" || e.RequestID() != "R9" {
			t.Fatalf("error is %v", err)
		}
		return e
	}
	if got, want := get().Error(), "open private/x: permission denied: AccessDenied: no (request R9); you are a guest: sign in, or use a path that is open to guests"; got != want {
		t.Errorf("message is %q, want %q", got, want)
	}
	signIn(t, c)
	if got := get().Hint; got != "no access rule allows it" {
		t.Errorf("hint is %q", got)
	}
}

func TestOwnCredentials(t *testing.T) {
	c, err := New(Config{
		Endpoint: "http://s3.test", Buckets: map[string]BucketConfig{"a": {Name: "a"}},
		Credentials: s3store.Static("AK", "s", ""), IdentityID: "me",
	})
	if err != nil {
		t.Fatal(err)
	}
	u, _, err := c.URL(t.Context(), Key("x", Private), &URLOptions{Expires: MaxExpires})
	if err != nil || u.Query().Get("X-Amz-Expires") != "604800" {
		t.Errorf("URL is %v, %v", u, err)
	}
	if s, err := c.Session(t.Context()); err != nil || s.IdentityID != "me" || !s.Expires.IsZero() {
		t.Errorf("session is %+v, %v", s, err)
	}
	if _, err := c.SignIn(t.Context(), "a", "b"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error is %v", err)
	}
}
