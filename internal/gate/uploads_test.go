package gate_test

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// bounded is a world where subjects may have so many uploads open.
func bounded(t *testing.T, most int, tooMany error) *world {
	t.Helper()
	w := &world{T: t, svc: &counting{Service: memstore.New()}}
	policies := map[string]*access.Policy{}
	for _, name := range []string{"media", "other"} {
		if err := w.svc.CreateBucket(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		policies[name] = parse(t, rules+"drop/* function:thumbs write function:other write\n")
	}
	w.gate = gate.New(w.svc, policies, &gate.Options{Uploads: most, TooManyUploads: tooMany})
	return w
}

// TestUploadsAreCounted by who started them, in each bucket.
func TestUploadsAreCounted(t *testing.T) {
	const most = 3
	w := bounded(t, most, nil)
	thumbs := access.Subject{Function: "thumbs"}
	for _, who := range []access.Subject{alice, thumbs} {
		b := w.as(who)
		var ids []string
		for i := range most {
			u, err := b.CreateUpload(t.Context(), fmt.Sprint("drop/", i), nil)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, u.ID)
		}
		_, err := b.CreateUpload(t.Context(), "drop/more", nil)
		w.fails("one more", err, gate.ErrTooManyUploads)
		if errors.Is(err, fs.ErrPermission) {
			t.Errorf("the error is %v", err)
		}
		w.svc.take()
		_, err = b.CreateUpload(t.Context(), "admin/x", nil)
		w.denied("what may not be written", err)
		if err := b.AbortUpload(t.Context(), "drop/0", ids[0], nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.CreateUpload(t.Context(), "drop/again", nil); err != nil {
			t.Errorf("after one was aborted: %v", err)
		}
		if _, err := w.bucket(w.gate.As(who), "other").CreateUpload(t.Context(), "drop/x", nil); err != nil {
			t.Errorf("in another bucket: %v", err)
		}
	}
	for _, who := range []access.Subject{bob, {Function: "other"}} {
		if _, err := w.as(who).CreateUpload(t.Context(), "drop/x", nil); err != nil {
			t.Errorf("somebody else: %v", err)
		}
	}
	for i := range 2 * most {
		if _, err := w.operator().CreateUpload(t.Context(), fmt.Sprint(i), &store.PutOptions{Owner: "id:alice"}); err != nil {
			t.Errorf("an operator: %v", err)
		}
	}
}

// TestUploadsThatStartTogether are never more than may be open.
func TestUploadsThatStartTogether(t *testing.T) {
	const most = 10
	errFull := errors.New("full")
	w := bounded(t, most, errFull)
	b := w.as(alice)
	var started atomic.Int32
	var wg sync.WaitGroup
	for i := range 4 * most {
		wg.Go(func() {
			_, err := b.CreateUpload(t.Context(), fmt.Sprint("drop/", i), nil)
			if err == nil {
				started.Add(1)
			} else if !errors.Is(err, errFull) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := started.Load(); n > most {
		t.Errorf("%d uploads started, %d may", n, most)
	}
	for n := started.Load(); n < most; n++ { // those that were refused are not counted
		if _, err := b.CreateUpload(t.Context(), fmt.Sprint("drop/late", n), nil); err != nil {
			t.Errorf("with room: %v", err)
		}
	}
	_, err := b.CreateUpload(t.Context(), "drop/more", nil)
	w.fails("one more", err, errFull)
}

// TestManyUploads are counted through all the pages of their list.
func TestManyUploads(t *testing.T) {
	const most = store.MaxPage + 5
	w := bounded(t, most, nil)
	b, err := w.svc.Service.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	for i := range most {
		if _, err := b.CreateUpload(t.Context(), fmt.Sprint("drop/", i), &store.PutOptions{Owner: "id:alice"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = w.as(alice).CreateUpload(t.Context(), "drop/more", nil)
	w.fails("one more", err, gate.ErrTooManyUploads)
	if _, err := w.as(bob).CreateUpload(t.Context(), "drop/more", nil); err != nil {
		t.Error(err)
	}
}
