package gate_test

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// calls are the methods of a bucket, each with one call that is about key alone.
// TestEveryMethodIsListed sees to it that none is missing.
var calls = map[string]func(ctx context.Context, b store.Bucket, key string) error{
	"Stat": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.Stat(ctx, key, nil)
		return err
	},
	"Get": func(ctx context.Context, b store.Bucket, key string) error {
		o, err := b.Get(ctx, key, nil)
		if err == nil {
			err = o.Body.Close()
		}
		return err
	},
	"Put": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.Put(ctx, key, strings.NewReader("hostile"), nil)
		return err
	},
	"Copy": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.Copy(ctx, key, key, &store.CopyOptions{Replace: true})
		return err
	},
	"Delete": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.Delete(ctx, key, nil)
		return err
	},
	"DeleteMany": func(ctx context.Context, b store.Bucket, key string) error {
		done, err := b.DeleteMany(ctx, targets(key))
		if err != nil {
			return err
		}
		return done[0].Err
	},
	"List": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.List(ctx, &store.ListOptions{Prefix: key})
		return err
	},
	"ListVersions": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.ListVersions(ctx, &store.ListVersionsOptions{Prefix: key})
		return err
	},
	"Tags": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.Tags(ctx, key, nil)
		return err
	},
	"SetTags": func(ctx context.Context, b store.Bucket, key string) error {
		return b.SetTags(ctx, key, map[string]string{"a": "b"}, nil)
	},
	"CreateUpload": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.CreateUpload(ctx, key, nil)
		return err
	},
	"PutPart": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.PutPart(ctx, key, "id", 1, strings.NewReader("hostile"), nil)
		return err
	},
	"CopyPart": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.CopyPart(ctx, key, "id", 1, key, nil)
		return err
	},
	"ListParts": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.ListParts(ctx, key, "id", nil)
		return err
	},
	"ListUploads": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.ListUploads(ctx, &store.ListUploadsOptions{Prefix: key})
		return err
	},
	"CompleteUpload": func(ctx context.Context, b store.Bucket, key string) error {
		_, err := b.CompleteUpload(ctx, key, "id", []store.Part{{Number: 1}}, nil)
		return err
	},
	"AbortUpload": func(ctx context.Context, b store.Bucket, key string) error {
		return b.AbortUpload(ctx, key, "id", nil)
	},
}

// settings are the methods that are about a bucket as a whole.
var settings = map[string]func(ctx context.Context, b store.Bucket) error{
	"Versioning": func(ctx context.Context, b store.Bucket) error {
		_, err := b.Versioning(ctx)
		return err
	},
	"SetVersioning": func(ctx context.Context, b store.Bucket) error {
		return b.SetVersioning(ctx, store.Enabled)
	},
}

// ofPrefix are the methods whose key is a prefix.
var ofPrefix = map[string]bool{"List": true, "ListUploads": true, "ListVersions": true}

// needs is what each method asks for. Where a subject has that and no more, it
// may call the method.
var needs = map[string]access.Action{
	"Stat": access.Get, "Get": access.Get, "Tags": access.Get,
	"Put": access.Write, "SetTags": access.Write, "CreateUpload": access.Write, "PutPart": access.Write,
	"ListParts": access.Write, "ListUploads": access.Write, "CompleteUpload": access.Write, "AbortUpload": access.Write,
	"Copy": access.Get | access.Write, "CopyPart": access.Get | access.Write,
	"Delete": access.Delete, "DeleteMany": access.Delete, "List": access.List, "ListVersions": access.List | access.Versions,
}

// TestEveryMethodIsListed fails when a bucket gets a method that the tests below,
// or the bucket that counts, do not know.
func TestEveryMethodIsListed(t *testing.T) {
	bucket := reflect.TypeFor[store.Bucket]()
	for method := range bucket.Methods() {
		name := method.Name
		w := newWorld(t)
		b, err := w.svc.Bucket(t.Context(), "media")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case calls[name] != nil && needs[name] != 0:
			_ = calls[name](t.Context(), b, "x")
		case settings[name] != nil:
			_ = settings[name](t.Context(), b)
		default:
			t.Errorf("method %s is not tested", name)
			continue
		}
		if len(w.svc.take()) != 1 {
			t.Errorf("method %s is not counted", name)
		}
	}
	if n := len(calls) + len(settings); n != bucket.NumMethod() {
		t.Errorf("%d methods are tested, a bucket has %d", n, bucket.NumMethod())
	}
}

// TestDeniedReachesNoBucket calls each method as subjects that lack the right.
func TestDeniedReachesNoBucket(t *testing.T) {
	subjects := map[string]access.Subject{
		"zero":           {},
		"guest":          guest,
		"bob":            bob,
		"forged guest":   {Identity: "id:alice"},
		"no identity":    {Authenticated: true},
		"empty identity": {Authenticated: true, Groups: []string{""}},
	}
	for name, call := range calls {
		for who, s := range subjects {
			w := newWorld(t)
			w.put("private/id:alice/x", "secret")
			w.svc.take()
			w.denied(who+" "+name, call(t.Context(), w.as(s), "private/id:alice/x"))
			if got := w.content("private/id:alice/x"); got != "secret" {
				t.Errorf("%s %s: the object is %q now", who, name, got)
			}
		}
	}
}

// TestOneRightIsNotAnother calls each method below paths that give one action.
func TestOneRightIsNotAnother(t *testing.T) {
	given := map[string]access.Action{"drop/x": access.Write, "read/x": access.Get, "trash/x": access.Delete}
	for name, call := range calls {
		for key, has := range given {
			w := newWorld(t)
			w.put(key, "content")
			w.svc.take()
			err := call(t.Context(), w.as(alice), key)
			if needs[name]&^has != 0 {
				w.denied(name+" "+key, err)
			} else if errors.Is(err, fs.ErrPermission) || len(w.svc.take()) == 0 {
				t.Errorf("%s %s was denied: %v", name, key, err)
			}
		}
	}
}

// TestGrantedReachesTheBucket calls each method as the owner and as an operator.
func TestGrantedReachesTheBucket(t *testing.T) {
	for name, call := range calls {
		w := newWorld(t)
		w.put("private/id:alice/x", "content")
		for who, b := range map[string]store.Bucket{"owner": w.as(alice), "operator": w.operator()} {
			w.svc.take()
			if err := call(t.Context(), b, "private/id:alice/x"); errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s %s: %v", who, name, err)
			}
			if got := w.svc.take(); len(got) == 0 || !strings.HasPrefix(got[0], "media "+name) {
				t.Errorf("%s %s: reached the bucket by %q", who, name, got)
			}
		}
	}
}

// TestOddKeysAreRefused holds that nobody gets past with a key that another
// program might read as another key.
func TestOddKeysAreRefused(t *testing.T) {
	odd := []string{
		"", ".", "..", "./public/x", "public/./x", "public/../private/id:alice/x", "public/..", "public/.", "../media/x",
		"public/x\x00", "\x00", "public/\x00/x", "public/\xff", strings.Repeat("x", store.MaxKey+1),
	}
	w := newWorld(t)
	w.put("public/x", "content")
	for name, call := range calls {
		if ofPrefix[name] {
			continue // which is no key
		}
		for who, b := range map[string]store.Bucket{"alice": w.as(alice), "operator": w.operator()} {
			for _, key := range odd {
				w.svc.take()
				want := fs.ErrInvalid
				if len(key) > store.MaxKey {
					want = store.ErrTooLarge
				}
				w.fails(who+" "+name, call(t.Context(), b, key), want)
				w.untouched(who + " " + name + " " + key)
			}
		}
	}
	for _, key := range []string{"public/...", "public/.x", "public/x.", "public//x", "public/a b", "public/%2e%2e/x", "public/;x", "public/\\..\\x"} {
		if _, err := w.as(alice).Put(t.Context(), key, strings.NewReader("x"), nil); err != nil {
			t.Errorf("put %q: %v", key, err)
		}
	}
}

// TestBadSource refuses a source that is no key, for operators too.
func TestBadSource(t *testing.T) {
	w := newWorld(t)
	for who, b := range map[string]store.Bucket{"alice": w.as(alice), "operator": w.operator()} {
		for _, src := range []string{"", "public/../private/id:alice/x", "public/.", "a\x00"} {
			w.svc.take()
			_, err := b.Copy(t.Context(), "public/y", src, nil)
			w.fails(who+" copy", err, fs.ErrInvalid)
			_, err = b.CopyPart(t.Context(), "public/y", "id", 1, src, nil)
			w.fails(who+" copy part", err, fs.ErrInvalid)
			w.untouched(who + " copy of " + src)
		}
	}
}

// TestMissingLooksForbidden hides whether there is an object from those who may
// not list it, however they ask.
func TestMissingLooksForbidden(t *testing.T) {
	w := newWorld(t)
	match := []string{"*"}
	asks := map[string]func(b store.Bucket, key string) error{
		"stat": func(b store.Bucket, key string) error { return calls["Stat"](t.Context(), b, key) },
		"get":  func(b store.Bucket, key string) error { return calls["Get"](t.Context(), b, key) },
		"tags": func(b store.Bucket, key string) error { return calls["Tags"](t.Context(), b, key) },
		"copy from": func(b store.Bucket, key string) error {
			_, err := b.Copy(t.Context(), "public/copy", key, nil)
			return err
		},
	}
	for name, ask := range asks {
		w.fails("alice "+name+" without list", ask(w.as(alice), "read/none"), fs.ErrPermission)
		w.fails("alice "+name+" with list", ask(w.as(alice), "public/none"), fs.ErrNotExist)
		w.fails("operator "+name, ask(w.operator(), "read/none"), fs.ErrNotExist)
	}
	if err := w.as(alice).SetTags(t.Context(), "drop/none", nil, nil); !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("set tags of what is missing: %v", err)
	}

	// In a bucket where get and write are given, but not list.
	w2 := &world{T: t, svc: &counting{Service: memstore.New()}}
	b := w2.only("box/*  authenticated get,write,delete")
	for name, err := range map[string]error{
		"put if match":      second(b.Put(t.Context(), "box/none", strings.NewReader("x"), &store.PutOptions{IfMatch: match})),
		"delete if match":   second(b.Delete(t.Context(), "box/none", &store.DeleteOptions{IfMatch: match})),
		"copy if match":     second(b.Copy(t.Context(), "box/none", "box/there", &store.CopyOptions{Put: store.PutOptions{IfMatch: match}})),
		"complete if match": second(b.CompleteUpload(t.Context(), "box/none", w2.upload(b, "box/none"), []store.Part{{Number: 1}}, &store.CompleteOptions{IfMatch: match})),
	} {
		if !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want a refusal that does not say what is missing", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestMissingBucketLooksLikeOneWithoutRules compares every answer.
func TestMissingBucketLooksLikeOneWithoutRules(t *testing.T) {
	w := newWorld(t)
	for _, s := range []access.Subject{{}, guest, alice, bob} {
		v := w.gate.As(s)
		missing, bare := w.bucket(v, "nowhere"), w.bucket(v, "bare")
		for name, call := range calls {
			for _, key := range []string{"public/x", "a/../b", ""} {
				a, b := call(t.Context(), missing, key), call(t.Context(), bare, key)
				if a == nil || b == nil || strings.ReplaceAll(a.Error(), "nowhere", "bare") != b.Error() {
					t.Errorf("%s %q: a missing bucket says %v, one without rules %v", name, key, a, b)
				}
			}
		}
		for _, name := range []string{"nowhere", "bare"} {
			_, err := v.StatBucket(t.Context(), name)
			w.denied("stat bucket "+name, err)
			w.denied("create bucket "+name, v.CreateBucket(t.Context(), name))
			w.denied("delete bucket "+name, v.DeleteBucket(t.Context(), name))
		}
	}
	if _, err := w.gate.Operator().Bucket(t.Context(), "nowhere"); !errors.Is(err, store.ErrNoBucket) {
		t.Errorf("operator: %v", err)
	}
	if _, err := w.gate.Operator().StatBucket(t.Context(), "nowhere"); !errors.Is(err, store.ErrNoBucket) {
		t.Errorf("operator: %v", err)
	}
}

// TestMissingBucketWithRules says that a bucket is missing to those who might do
// there what they ask for.
func TestMissingBucketWithRules(t *testing.T) {
	w := newWorld(t)
	b := w.bucket(w.gate.As(alice), "gone")
	for name, call := range calls {
		w.fails(name, call(t.Context(), b, "public/x"), store.ErrNoBucket)
		w.fails(name, call(t.Context(), b, "admin/x"), fs.ErrPermission)
	}
	_, err := b.DeleteMany(t.Context(), targets("admin/x", "public/x"))
	w.fails("delete many", err, store.ErrNoBucket)
	_, err = w.as(alice).Copy(t.Context(), "public/x", "public/x", &store.CopyOptions{From: b})
	w.fails("copy from it", err, store.ErrNoBucket)
	_, err = w.gate.As(alice).StatBucket(t.Context(), "gone")
	w.fails("stat bucket", err, store.ErrNoBucket)
	w.untouched("a bucket that is missing")
}

func TestBucketsAreThoseWithSomethingToList(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		who  string
		s    access.Subject
		want []string
	}{{"guest", guest, []string{"media", "other"}}, {"alice", alice, []string{"media", "other"}}} {
		w.wantBuckets(c.who, w.gate.As(c.s).Buckets, c.want)
	}
	w.wantBuckets("operator", w.gate.Operator().Buckets, []string{"bare", "media", "other"})
	w2 := &world{T: t, svc: &counting{Service: memstore.New()}}
	w2.only("drop/*  authenticated write")
	w2.wantBuckets("who may only write", w2.gate.As(alice).Buckets, nil)
	if info, err := w.gate.As(guest).StatBucket(t.Context(), "media"); err != nil || info.Name != "media" {
		t.Errorf("stat bucket: %v, %v", info, err)
	}
}

func (w *world) wantBuckets(who string, list func(context.Context) ([]store.BucketInfo, error), want []string) {
	w.Helper()
	infos, err := list(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	var got []string
	for _, i := range infos {
		got = append(got, i.Name)
	}
	if !slices.Equal(got, want) {
		w.Errorf("%s sees the buckets %q, want %q", who, got, want)
	}
}

// TestOnlyOperatorsMakeBuckets holds for everybody else, whatever they may do.
func TestOnlyOperatorsMakeBuckets(t *testing.T) {
	w := newWorld(t)
	for _, s := range []access.Subject{guest, alice, bob} {
		w.denied("create", w.gate.As(s).CreateBucket(t.Context(), "mine"))
		w.denied("delete", w.gate.As(s).DeleteBucket(t.Context(), "media"))
	}
	w.wantBuckets("operator", w.gate.Operator().Buckets, []string{"bare", "media", "other"})
	if err := w.gate.Operator().CreateBucket(t.Context(), "mine"); err != nil {
		t.Error(err)
	}
	if err := w.gate.Operator().DeleteBucket(t.Context(), "bare"); err != nil {
		t.Error(err)
	}
	w.wantBuckets("operator", w.gate.Operator().Buckets, []string{"media", "mine", "other"})
}

// TestObserversAreTold of each question, whoever asks.
func TestObserversAreTold(t *testing.T) {
	w := newWorld(t)
	for name, call := range calls {
		for _, granted := range []bool{true, false} {
			b, key := w.as(alice), "private/id:alice/x"
			if !granted {
				b = w.as(guest)
			}
			w.asked()
			_ = call(t.Context(), b, key)
			checks := w.asked()
			if len(checks) == 0 {
				t.Errorf("%s: nobody was told", name)
				continue
			}
			c := checks[0]
			if c.Bucket != "media" || c.Key != key || c.Operator || c.Subject == nil || c.Action == 0 || c.Decision.Allowed != granted {
				t.Errorf("%s, granted %v: told %+v", name, granted, c)
			}
			if rule := c.Decision.Rule; granted && !ofPrefix[name] && (rule == nil || rule.Pos != "rules:4" || c.Decision.Role != "owner") {
				t.Errorf("%s: the rule is %v", name, rule)
			}
			if !granted && c.Decision.Nearest == nil {
				t.Errorf("%s: no nearest rule is named", name)
			}
		}
		_ = call(t.Context(), w.operator(), "x")
		if checks := w.asked(); len(checks) == 0 || !checks[0].Operator || checks[0].Subject != nil || !checks[0].Decision.Allowed {
			t.Errorf("%s: of an operator told %+v", name, checks)
		}
	}
	_ = w.gate.As(alice).CreateBucket(t.Context(), "new")
	_, _ = w.gate.As(alice).Buckets(t.Context())
	if checks := w.asked(); len(checks) != 4 || checks[0].Decision.Allowed || checks[0].Bucket != "new" {
		t.Errorf("told %+v", checks)
	}
}
