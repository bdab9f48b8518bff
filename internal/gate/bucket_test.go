package gate_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/memstore"
	"github.com/cubby-storage/cubby/store/storetest"
)

// only gives the world one bucket, box, with these rules and the object
// box/there, and returns it as alice sees it.
func (w *world) only(text string) store.Bucket {
	w.Helper()
	if err := w.svc.CreateBucket(w.Context(), "box"); err != nil {
		w.Fatal(err)
	}
	w.gate = gate.New(w.svc, map[string]*access.Policy{"box": parse(w.T, text)}, nil)
	b := w.bucket(w.gate.Operator(), "box")
	if _, err := b.Put(w.Context(), "box/there", strings.NewReader("x"), nil); err != nil {
		w.Fatal(err)
	}
	return w.bucket(w.gate.As(alice), "box")
}

// upload starts an upload with one part and returns its id.
func (w *world) upload(b store.Bucket, key string) string {
	w.Helper()
	u, err := b.CreateUpload(w.Context(), key, nil)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := b.PutPart(w.Context(), key, u.ID, 1, strings.NewReader("part"), nil); err != nil {
		w.Fatal(err)
	}
	return u.ID
}

// TestOperatorSeesABucket is the conformance suite: for an operator the gate adds
// nothing but the rule about keys, and takes nothing away.
func TestOperatorSeesABucket(t *testing.T) {
	opts := &storetest.Options{NoDotKeys: true, Slow: true}
	// A copy needs both buckets behind one gate.
	keys := crypt.NewLocal(slices.Values([][32]byte{{1}}))
	mem := &memstore.Store{Options: memstore.Options{Keys: &crypt.Keys{Server: keys, Named: keys}}}
	svc, n := gate.New(mem, nil, nil).Operator(), 0
	storetest.Run(t, func(t *testing.T) store.Bucket {
		n++
		name := fmt.Sprintf("bucket-%d", n)
		if err := svc.CreateBucket(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		b, err := svc.Bucket(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, opts)
}

// TestCopyAsksTwice tries every pair of a source and a destination.
func TestCopyAsksTwice(t *testing.T) {
	readable := []string{"public/x", "read/x", "private/id:alice/x", "protected/id:bob/x"}
	writable := []string{"public/y", "drop/y", "private/id:alice/y", "protected/id:alice/y"}
	secret := []string{"drop/x", "trash/x", "private/id:bob/x", "admin/x", "public2/x", "public"}
	closed := []string{"read/y", "trash/y", "private/id:bob/y", "protected/id:bob/y", "admin/y", "nowhere"}
	for _, from := range []string{"", "media", "other"} {
		w := newWorld(t)
		for _, key := range slices.Concat(readable, secret) {
			for _, name := range []string{"media", "other"} {
				if _, err := w.bucket(w.gate.Operator(), name).Put(t.Context(), key, strings.NewReader("content"), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		b := w.as(alice)
		var source store.Bucket
		if from != "" {
			source = w.bucket(w.gate.As(alice), from)
		}
		for _, src := range slices.Concat(readable, secret) {
			for _, dst := range slices.Concat(writable, closed) {
				what := fmt.Sprintf("%s from %q to %s", src, from, dst)
				id := ""
				if slices.Contains(writable, dst) {
					u, err := b.CreateUpload(t.Context(), dst, nil)
					if err != nil {
						t.Fatal(err)
					}
					id = u.ID
				}
				w.svc.take()
				_, err := b.Copy(t.Context(), dst, src, &store.CopyOptions{From: source})
				_, partErr := b.CopyPart(t.Context(), dst, id, 1, src, &store.CopyPartOptions{From: source})
				if slices.Contains(readable, src) && slices.Contains(writable, dst) {
					if err != nil || partErr != nil {
						t.Errorf("%s: %v, %v", what, err, partErr)
					}
					w.svc.take()
					continue
				}
				w.denied("copy "+what, err)
				w.denied("copy part "+what, partErr)
				if got := w.content(dst); slices.Contains(closed, dst) && got != "" {
					t.Errorf("%s: it is there: %q", what, got)
				}
				w.svc.take()
			}
		}
	}
}

// TestCopyInTheNameOfWhoCopies gives alice a bucket that was opened for another.
func TestCopyInTheNameOfWhoCopies(t *testing.T) {
	w := newWorld(t)
	w.put("private/id:bob/x", "secret")
	for who, from := range map[string]store.Bucket{"bob": w.as(bob), "operator": w.operator()} {
		w.svc.take()
		_, err := w.as(alice).Copy(t.Context(), "public/x", "private/id:bob/x", &store.CopyOptions{From: from})
		w.denied("copy from the bucket of "+who, err)
		_, err = w.as(alice).CopyPart(t.Context(), "public/x", "id", 1, "private/id:bob/x", &store.CopyPartOptions{From: from})
		w.denied("copy part from the bucket of "+who, err)
	}
}

// TestForeignSource lets only operators copy from a bucket that did not come from
// this gate.
func TestForeignSource(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	other.put("public/x", "content")
	bare := new(memstore.Bucket)
	if _, err := bare.Put(t.Context(), "public/x", strings.NewReader("content"), nil); err != nil {
		t.Fatal(err)
	}
	for what, from := range map[string]store.Bucket{"bare": bare, "another gate's": other.as(alice)} {
		w.svc.take()
		_, err := w.as(alice).Copy(t.Context(), "public/x", "public/x", &store.CopyOptions{From: from})
		w.fails("copy from a bucket that is "+what, err, fs.ErrInvalid)
		_, err = w.as(alice).CopyPart(t.Context(), "public/x", "id", 1, "public/x", &store.CopyPartOptions{From: from})
		w.fails("copy part from a bucket that is "+what, err, fs.ErrInvalid)
		w.untouched("copy from a bucket that is " + what)
		if _, err := w.operator().Copy(t.Context(), "public/y", "public/x", &store.CopyOptions{From: from}); err != nil {
			t.Errorf("operator: copy from a bucket that is %s: %v", what, err)
		}
		_, err = w.operator().Copy(t.Context(), "public/y", "a/../x", &store.CopyOptions{From: from})
		w.fails("operator: copy of an odd key", err, fs.ErrInvalid)
	}
}

// TestOptionsOfTheCallerStay holds that the gate changes its own copy of them.
func TestOptionsOfTheCallerStay(t *testing.T) {
	w := newWorld(t)
	w.put("public/x", "content")
	from := w.bucket(w.gate.As(alice), "media")
	copied := &store.CopyOptions{From: from}
	if _, err := w.as(alice).Copy(t.Context(), "public/y", "public/x", copied); err != nil || copied.From != from {
		t.Errorf("copy: %v, from %v", err, copied.From)
	}
	put := &store.PutOptions{Owner: "id:bob"}
	u, err := w.as(alice).CreateUpload(t.Context(), "public/x", put)
	if err != nil || put.Owner != "id:bob" || u.Owner != "id:alice" {
		t.Errorf("create upload: %v, owner %q, of the upload %q", err, put.Owner, u.Owner)
	}
	list := &store.ListOptions{}
	if _, err := w.as(alice).List(t.Context(), list); err != nil || list.Ranges != nil {
		t.Errorf("list: %v, ranges %v", err, list.Ranges)
	}
}

func TestDeleteManyKeepsWhatMayNotBeDeleted(t *testing.T) {
	w := newWorld(t)
	keys := []string{"private/id:bob/1", "public/1", "public/../x", "drop/1", "public/2", "trash/none", "admin/1", "", "trash/1"}
	for _, key := range []string{"private/id:bob/1", "public/1", "drop/1", "public/2", "admin/1", "trash/1"} {
		w.put(key, "content")
	}
	w.svc.take()
	done, err := w.as(alice).DeleteMany(t.Context(), targets(keys...))
	if err != nil {
		t.Fatal(err)
	}
	want := []error{fs.ErrPermission, nil, fs.ErrInvalid, fs.ErrPermission, nil, nil, fs.ErrPermission, fs.ErrInvalid, nil}
	if len(done) != len(want) {
		t.Fatalf("%d results for %d keys", len(done), len(keys))
	}
	for i, key := range keys {
		if !errors.Is(done[i].Err, want[i]) {
			t.Errorf("%q: %v, want %v", key, done[i].Err, want[i])
		}
	}
	if got := w.svc.take(); !slices.Equal(got, []string{"media DeleteMany public/1 public/2 trash/none trash/1"}) {
		t.Errorf("reached the bucket: %q", got)
	}
	for _, key := range []string{"private/id:bob/1", "drop/1", "admin/1"} {
		if w.content(key) == "" {
			t.Errorf("%s is gone", key)
		}
	}
	w.svc.take()
	done, err = w.as(guest).DeleteMany(t.Context(), targets("public/1"))
	if err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	w.denied("all", done[0].Err)
}

// TestConditionsTellOfTheContent needs the right to read it.
func TestConditionsTellOfTheContent(t *testing.T) {
	w := newWorld(t)
	tag := w.put("drop/x", "content").ETag
	w.put("trash/x", "content")
	w.put("public/x", "content")
	b := w.as(alice)
	id := w.upload(b, "drop/x")
	w.svc.take()
	for _, match := range [][]string{{"*"}, {tag}, {"guess"}} {
		_, err := b.Put(t.Context(), "drop/x", strings.NewReader("y"), &store.PutOptions{IfMatch: match})
		w.denied("put", err)
		_, err = b.Copy(t.Context(), "drop/x", "public/x", &store.CopyOptions{Put: store.PutOptions{IfMatch: match}})
		w.denied("copy", err)
		_, err = b.CompleteUpload(t.Context(), "drop/x", id, []store.Part{{Number: 1}}, &store.CompleteOptions{IfMatch: match})
		w.denied("complete upload", err)
		w.denied("delete", second(b.Delete(t.Context(), "trash/x", &store.DeleteOptions{IfMatch: match})))
	}
	// To write only what is not there yet asks for no more than to write.
	if _, err := b.Put(t.Context(), "drop/x", strings.NewReader("y"), &store.PutOptions{IfNoneMatch: []string{"*"}}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("put if none match: %v", err)
	}
	if _, err := b.Put(t.Context(), "public/x", strings.NewReader("y"), &store.PutOptions{IfMatch: []string{tag}}); err != nil {
		t.Errorf("put with the right to get: %v", err)
	}
}

// TestUploadsBelongToWhoStartedThem though the other may write the key as well.
func TestUploadsBelongToWhoStartedThem(t *testing.T) {
	w := newWorld(t)
	a, b, op := w.as(alice), w.as(bob), w.operator()
	id := w.upload(a, "public/x")
	w.put("public/there", "hostile")
	part := []store.Part{{Number: 1}}
	errs := map[string]error{
		"list parts": second(b.ListParts(t.Context(), "public/x", id, nil)),
		"forge it":   second(b.ListParts(t.Context(), "public/x", id, &store.ListPartsOptions{UploadOptions: store.UploadOptions{Owner: "id:alice"}})),
		"put part":   second(b.PutPart(t.Context(), "public/x", id, 1, strings.NewReader("hostile"), nil)),
		"copy part":  second(b.CopyPart(t.Context(), "public/x", id, 1, "public/there", nil)),
		"complete":   second(b.CompleteUpload(t.Context(), "public/x", id, part, nil)),
		"abort":      b.AbortUpload(t.Context(), "public/x", id, nil),
		"abort as":   b.AbortUpload(t.Context(), "public/x", id, &store.UploadOptions{Owner: "id:alice"}),
	}
	for what, err := range errs {
		w.fails("bob: "+what, err, store.ErrNoUpload)
	}
	for who, n := range map[string]int{"alice": 1, "bob": 0, "operator": 1} {
		page, err := map[string]store.Bucket{"alice": a, "bob": b, "operator": op}[who].ListUploads(t.Context(), nil)
		if err != nil || len(page.Uploads) != n {
			t.Errorf("%s lists %v, %v, want %d uploads", who, page, err, n)
		}
	}
	if page, err := b.ListUploads(t.Context(), &store.ListUploadsOptions{UploadOptions: store.UploadOptions{Owner: "id:alice"}}); err != nil || len(page.Uploads) > 0 {
		t.Errorf("bob lists alice's uploads: %v, %v", page, err)
	}
	if page, err := op.ListParts(t.Context(), "public/x", id, nil); err != nil || len(page.Parts) != 1 {
		t.Errorf("operator: %v, %v", page, err)
	}
	if _, err := a.CompleteUpload(t.Context(), "public/x", id, part, nil); err != nil {
		t.Errorf("alice: %v", err)
	}
	if got := w.content("public/x"); got != "part" {
		t.Errorf("the object is %q", got)
	}
}

// TestUploadsOfWhoMayOnlyWrite can be listed below what they may write.
func TestUploadsOfWhoMayOnlyWrite(t *testing.T) {
	w := &world{T: t, svc: &counting{Service: memstore.New()}}
	b := w.only("drop/*  authenticated write")
	id := w.upload(b, "drop/x")
	page, err := b.ListUploads(t.Context(), &store.ListUploadsOptions{Prefix: "drop/"})
	if err != nil || len(page.Uploads) != 1 || page.Uploads[0].ID != id {
		t.Errorf("uploads: %v, %v", page, err)
	}
	w.svc.take()
	_, err = b.ListUploads(t.Context(), nil)
	w.denied("all", err)
	// The rules changed: what one started where one may not write any more does not show.
	w.gate = gate.New(w.svc, map[string]*access.Policy{"box": parse(t, "drop/*  authenticated list")}, nil)
	page, err = w.bucket(w.gate.As(alice), "box").ListUploads(t.Context(), nil)
	if err != nil || len(page.Uploads) != 0 {
		t.Errorf("uploads: %v, %v", page, err)
	}
}

// TestListsHoldExactlyWhatMayBeListed compares lists with the decision on each
// key, for random rules, subjects and keys, with and without ranges and pages.
func TestListsHoldExactlyWhatMayBeListed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	segment := func() string { return pick("a", "b", "ab", "id:alice", "id:bob", "a b", "é") }
	key := func() string {
		segs := make([]string, 1+rnd.IntN(4))
		for i := range segs {
			segs[i] = segment()
		}
		return strings.Join(segs, "/")
	}
	shown, hidden := 0, 0
	for round := range 300 {
		var list []access.Rule
		for range 1 + rnd.IntN(5) {
			path := pick("a/", "b/", "a/b/", "ab/", "id:bob/", "a/a/", "{entity_id}/", "b/{entity_id}/", "ab/{entity_id}/") + "*"
			who := pick("guest", "authenticated", "owner", "group:admin")
			if strings.Contains(path, "{") {
				who = "owner"
			} else if who == "owner" {
				who = "authenticated"
			}
			list = append(list, access.Rule{Path: path, Who: who, Actions: []access.Action{access.List, access.Read, access.Get}[rnd.IntN(3)]})
		}
		p, _, err := access.Compile(list, nil)
		if err != nil {
			continue // a rule that stands there twice, or reaches below another
		}
		svc := memstore.New()
		if err := svc.CreateBucket(t.Context(), "box"); err != nil {
			t.Fatal(err)
		}
		raw, err := svc.Bucket(t.Context(), "box")
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for range 40 {
			k := key()
			keys[k] = true
			if _, err := raw.Put(t.Context(), k, strings.NewReader(""), nil); err != nil {
				t.Fatal(err)
			}
		}
		g := gate.New(svc, map[string]*access.Policy{"box": p}, nil)
		for _, s := range []access.Subject{guest, alice, bob} {
			b, err := g.As(s).Bucket(t.Context(), "box")
			if err != nil {
				t.Fatal(err)
			}
			opts := &store.ListOptions{Limit: 1 + rnd.IntN(50)}
			if rnd.IntN(2) == 0 {
				opts.Prefix = key()
				opts.Prefix = opts.Prefix[:rnd.IntN(len(opts.Prefix)+1)]
			}
			if rnd.IntN(2) == 0 {
				opts.After = key()
			}
			if rnd.IntN(2) == 0 {
				from, to := key(), key()
				opts.Ranges = []store.KeyRange{{Start: min(from, to), End: max(from, to) + "!"}, {Start: "z"}}
			}
			if rnd.IntN(3) == 0 {
				opts.Delimiter = "/"
			}
			var want []string
			for k := range keys {
				in := opts.Ranges == nil || slices.ContainsFunc(opts.Ranges, func(r store.KeyRange) bool { return r.Contains(k) })
				if !in || !strings.HasPrefix(k, opts.Prefix) {
					continue
				}
				if !p.Decide(&s, access.List, k).Allowed {
					hidden++
					continue
				}
				if k <= opts.After {
					continue
				}
				if i := strings.Index(k[len(opts.Prefix):], "/"); opts.Delimiter != "" && i >= 0 {
					k = k[:len(opts.Prefix)+i+1]
				}
				if k != opts.After {
					want = append(want, k)
				}
			}
			slices.Sort(want)
			want = slices.Compact(want)
			shown += len(want)
			got, err := all(t, b, opts)
			if len(p.Visible(&s, opts.Prefix)) == 0 {
				if !errors.Is(err, fs.ErrPermission) {
					t.Fatalf("round %d: rules\n%s\n%+v lists %+v: %v", round, p, s, opts, err)
				}
				continue
			}
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("round %d: rules\n%s\n%+v lists %+v: %v\n got %q\nwant %q", round, p, s, opts, err, got, want)
			}
		}
	}
	if shown < 300 || hidden < 300 {
		t.Errorf("%d keys shown and %d hidden: the random world is too one-sided", shown, hidden)
	}
}

// all returns all keys and prefixes of a list, in order.
func all(t *testing.T, b store.Bucket, opts *store.ListOptions) ([]string, error) {
	t.Helper()
	var got []string
	o := *opts
	for {
		page, err := b.List(t.Context(), &o)
		if err != nil {
			return nil, err
		}
		for _, i := range page.Objects {
			got = append(got, i.Key)
		}
		got = append(got, page.Prefixes...)
		if len(page.Objects)+len(page.Prefixes) > o.Limit {
			t.Fatalf("a page of %d entries, at most %d were asked for", len(page.Objects)+len(page.Prefixes), o.Limit)
		}
		if !page.More {
			slices.Sort(got)
			return got, nil
		}
		o.After = page.Next
	}
}

// TestListByPrefix answers as IAM does where the rules say so: all or nothing.
func TestListByPrefix(t *testing.T) {
	p, err := access.Parse("rules", []byte("a/*  authenticated list\na/b/*  group:admin list\nc/*  authenticated get"), &access.Options{Lists: access.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, svc: &counting{Service: memstore.New()}}
	b := w.only("")
	for _, key := range []string{"a/1", "a/b/2", "ab", "c/3"} {
		if _, err := w.bucket(w.gate.Operator(), "box").Put(t.Context(), key, strings.NewReader(""), nil); err != nil {
			t.Fatal(err)
		}
	}
	w.svc.take()
	_, err = b.List(t.Context(), nil)
	w.denied("without rules", err)
	w.gate = gate.New(w.svc, map[string]*access.Policy{"box": p}, nil)
	b = w.bucket(w.gate.As(alice), "box")
	if got, err := all(t, b, &store.ListOptions{Prefix: "a/", Limit: 10}); err != nil || !slices.Equal(got, []string{"a/1", "a/b/2"}) {
		t.Errorf("a/: %q, %v", got, err)
	}
	w.svc.take()
	for _, prefix := range []string{"", "a", "a/b/", "c/"} {
		_, err := b.List(t.Context(), &store.ListOptions{Prefix: prefix})
		w.denied("list of "+prefix, err)
	}
}
