package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// mixedWriter does a bit of everything to a few keys that it shares with others. All
// contents of a key repeat its own byte.
type mixedWriter struct {
	b   store.Bucket
	rng *rand.Rand
}

func (w *mixedWriter) content(key string) []byte {
	n := []int{0, 1, 100, 1000, 3000, 6000}[w.rng.IntN(6)]
	return bytes.Repeat([]byte{key[0]}, n)
}

// absent takes the errors of what others did meanwhile for none.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrNoVersion) || errors.Is(err, store.ErrNoUpload) {
		return nil
	}
	return err
}

func (w *mixedWriter) read(ctx context.Context, key, version string) error {
	opts := &store.GetOptions{Version: version}
	if w.rng.IntN(2) == 0 {
		opts.Range = &store.Range{Offset: -int64(1 + w.rng.IntN(2000)), Length: -1}
	}
	o, err := w.b.Get(ctx, key, opts)
	if errors.Is(err, store.ErrRange) || errors.Is(err, store.ErrMarker) {
		return nil
	}
	if err != nil {
		return absent(err)
	}
	defer o.Body.Close()
	got, err := io.ReadAll(o.Body)
	if err != nil {
		return err
	}
	if int64(len(got)) != o.Length || len(bytes.Trim(got, key[:1])) > 0 {
		return fmt.Errorf("%s has %d bytes that are not all its own, of %d", key, len(got), o.Length)
	}
	return nil
}

func (w *mixedWriter) step(ctx context.Context) error {
	key := string(rune('a'+w.rng.IntN(3))) + fmt.Sprint(w.rng.IntN(4))
	other := key[:1] + fmt.Sprint(w.rng.IntN(4))
	opts := &store.PutOptions{}
	if w.rng.IntN(3) == 0 {
		opts.SSE.Algorithm = crypt.AES256
	}
	switch w.rng.IntN(10) {
	case 0, 1, 2:
		_, err := w.b.Put(ctx, key, bytes.NewReader(w.content(key)), opts)
		return err
	case 3, 4:
		_, err := w.b.Copy(ctx, key, other, nil)
		return absent(err)
	case 5:
		_, err := w.b.Delete(ctx, key, nil)
		return err
	case 6:
		return w.upload(ctx, key, other, opts)
	case 7:
		return absent(w.b.SetTags(ctx, key, map[string]string{"t": other}, nil))
	case 8:
		page, err := w.b.ListVersions(ctx, &store.ListVersionsOptions{Prefix: key})
		if err != nil || len(page.Versions) == 0 {
			return err
		}
		v := page.Versions[w.rng.IntN(len(page.Versions))]
		if w.rng.IntN(3) == 0 {
			return w.read(ctx, key, v.Info.Version)
		}
		_, err = w.b.Delete(ctx, key, &store.DeleteOptions{Version: v.Info.Version})
		return err
	}
	return w.read(ctx, key, "")
}

func (w *mixedWriter) upload(ctx context.Context, key, other string, opts *store.PutOptions) error {
	u, err := w.b.CreateUpload(ctx, key, opts)
	if err != nil {
		return err
	}
	p, err := w.b.PutPart(ctx, key, u.ID, 1, bytes.NewReader(append(w.content(key), key[0])), nil)
	if err != nil {
		return err
	}
	parts := []store.Part{*p}
	if p, err := w.b.CopyPart(ctx, key, u.ID, 2, other, nil); err == nil {
		parts = append(parts, *p)
	} else if !errors.Is(err, store.ErrRange) && absent(err) != nil {
		return err
	}
	if w.rng.IntN(3) == 0 {
		return w.b.AbortUpload(ctx, key, u.ID, nil)
	}
	_, err = w.b.CompleteUpload(ctx, key, u.ID, parts, &store.CompleteOptions{MinPart: 1})
	return err
}

// TestMixed has writers, readers, checkpoints, reclaims, checks, lifecycle and backups at
// the same time, on plain and sealed contents of all places and of many versions.
func TestMixed(t *testing.T) {
	dir := t.TempDir()
	opts := &Options{Inline: 4 << 10, segment: 32 << 10, checkpointSize: 128 << 10, NoSync: true, Reserve: -1, Keys: testKeys()}
	s := openStore(t, dir, opts)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	steps := 20_000 / int(stride(25))
	for i, name := range []string{"plain", "kept", "paused"} {
		b := makeBucket(t, s, name)
		if i > 0 {
			setVersioning(t, b, store.Enabled)
		}
		for n := range 2 {
			w := &mixedWriter{b, rand.New(rand.NewPCG(uint64(i), uint64(n)))}
			wg.Go(func() {
				for k := range steps {
					if i == 2 && n == 0 && k%50 == 49 {
						v := []store.Versioning{store.Enabled, store.Suspended}[k/50%2]
						if err := b.SetVersioning(ctx, v); err != nil {
							t.Error(err)
						}
					}
					if err := w.step(ctx); err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
	}
	var helpers sync.WaitGroup
	for _, f := range []func() error{
		func() error { return errors.Join(s.checkpoint(), s.reclaim()) },
		func() error {
			r, err := s.Check(ctx, &CheckOptions{Content: true, Repair: true})
			if err == nil && len(r.Findings) > 0 {
				err = fmt.Errorf("check found %+v", r.Findings)
			}
			return err
		},
		func() error {
			_, err := s.Expire(ctx, "kept", &ExpireOptions{NoncurrentAge: time.Millisecond})
			return err
		},
	} {
		helpers.Go(func() {
			for ctx.Err() == nil {
				if err := f(); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for n := range 2 {
		to := filepath.Join(t.TempDir(), fmt.Sprint(n))
		if _, err := s.Backup(ctx, to); err != nil {
			t.Fatal(err)
		}
		restored := openStore(t, to, &Options{Keys: testKeys()})
		mixedCheck(t, restored)
	}
	wg.Wait()
	stop()
	helpers.Wait()
	for range 2 {
		mixedCheck(t, s)
		liveCounts(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, opts)
	}
}

func mixedCheck(t *testing.T, s *Store) {
	t.Helper()
	r, err := s.Check(t.Context(), &CheckOptions{Content: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Errorf("%s: %s/%s blob %q: %s", f.Kind, f.Bucket, f.Key, f.Blob, f.Text)
	}
}

// liveCounts holds that what the counts of segments say is what there is.
func liveCounts(t *testing.T, s *Store) {
	t.Helper()
	live := make(map[uint32]int64)
	err := s.scan([]byte{spaceLocation}, func(_, row []byte) error {
		at, err := decodeLocation(row)
		live[at.segment] += footprint(at.length)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	for id, seg := range s.journal.segments {
		if seg.live != live[id] {
			t.Errorf("segment %d has %d live bytes, %d are counted", id, live[id], seg.live)
		}
		delete(live, id)
	}
	if len(live) > 0 {
		t.Errorf("contents in segments that are not there: %v", live)
	}
}
