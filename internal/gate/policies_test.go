package gate_test

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// TestRulesAreReplaced for what begins afterwards, and for nothing else.
func TestRulesAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.put("public/x", "content")
	before := w.as(alice)
	policies := map[string]*access.Policy{"media": parse(t, "other/*  authenticated read")}
	w.gate.SetPolicies(policies)
	if got := w.gate.Policy("media"); got != policies["media"] {
		t.Errorf("the rules are %v", got.Rules())
	}
	if got := w.gate.Policy("other"); got != nil {
		t.Errorf("there are still rules of another bucket: %v", got.Rules())
	}
	if _, err := before.Stat(t.Context(), "public/x", nil); err != nil {
		t.Errorf("a view of before: %v", err)
	}
	_, err := w.as(alice).Stat(t.Context(), "public/x", nil)
	w.fails("a view of afterwards", err, fs.ErrPermission)

	// The map is the caller's own.
	policies["media"] = parse(t, rules)
	_, err = w.as(alice).Stat(t.Context(), "public/x", nil)
	w.fails("after the map has changed", err, fs.ErrPermission)

	w.gate.SetPolicies(nil)
	_, err = w.as(alice).Stat(t.Context(), "other/x", nil)
	w.fails("without rules", err, fs.ErrPermission)
	if _, err := w.operator().Stat(t.Context(), "public/x", nil); err != nil {
		t.Errorf("an operator: %v", err)
	}
}

// TestViewHasOneSetOfRules while others are set all the time: a copy that may
// read by one set and write by the other never happens.
func TestViewHasOneSetOfRules(t *testing.T) {
	w := newWorld(t)
	w.put("a/x", "content")
	sets := []map[string]*access.Policy{
		{"media": parse(t, "a/*  authenticated read"), "other": parse(t, "")},
		{"media": parse(t, ""), "other": parse(t, "b/*  authenticated write")},
	}
	w.gate.SetPolicies(sets[0])
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				if i == 0 {
					w.gate.SetPolicies(sets[n%2])
					_ = w.gate.Policy("media")
					continue
				}
				v := w.gate.As(alice)
				from, err := v.Bucket(t.Context(), "media")
				if err != nil {
					t.Error(err)
					return
				}
				to, err := v.Bucket(t.Context(), "other")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := to.Copy(t.Context(), fmt.Sprint("b/", i), "a/x", &store.CopyOptions{From: from}); err == nil {
					t.Error("one view had the rules of both sets")
				}
			}
		})
	}
	wg.Wait()
}

// TestFunctionsHaveRulesOfTheirOwn, and uploads of their own.
func TestFunctionsHaveRulesOfTheirOwn(t *testing.T) {
	w := &world{T: t, svc: &counting{Service: memstore.New()}}
	w.only("box/*  function:resize read,write   function:index read,write\nall/*  authenticated read   guest read\nown/{entity_id}/*  owner read,write")
	resize := w.bucket(w.gate.As(access.Subject{Function: "resize"}), "box")
	index := w.bucket(w.gate.As(access.Subject{Function: "index"}), "box")
	if _, err := resize.Stat(t.Context(), "box/there", nil); err != nil {
		t.Error(err)
	}
	w.svc.take()
	for _, key := range []string{"all/x", "own//x", "own/resize/x", "own/function/x"} {
		_, err := resize.Stat(t.Context(), key, nil)
		w.denied(key, err)
	}
	id := w.upload(resize, "box/x")
	_, err := index.ListParts(t.Context(), "box/x", id, nil)
	w.fails("the upload of another function", err, store.ErrNoUpload)
	_, err = index.PutPart(t.Context(), "box/x", id, 1, strings.NewReader("hostile"), nil)
	w.fails("a part of another function", err, store.ErrNoUpload)
	// Nor does a subject without an identity get at it.
	w.gate.SetPolicies(map[string]*access.Policy{"box": parse(t, "box/*  guest read,write")})
	_, err = w.bucket(w.gate.As(access.Subject{}), "box").ListParts(t.Context(), "box/x", id, nil)
	w.fails("the upload of a function, as nobody", err, store.ErrNoUpload)
}

// BenchmarkAs is what a request pays for rules that can be replaced.
func BenchmarkAs(b *testing.B) {
	g := gate.New(memstore.New(), map[string]*access.Policy{}, nil)
	for b.Loop() {
		if g.As(alice) == nil {
			b.Fatal("no view")
		}
	}
}
