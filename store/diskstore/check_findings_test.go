package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// damagedStore is a store with one of each: an object in the index, one in a file,
// one of parts, a copy, and an upload of an owner.
type damagedStore struct {
	*testing.T
	s      *Store
	b      store.Bucket
	st     *state
	upload *store.Upload
}

func newDamaged(t *testing.T) *damagedStore {
	s, err := Open(t.TempDir(), &Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := &damagedStore{T: t, s: s, b: makeBucket(t, s, "media")}
	d.st, _ = s.find("media")
	large := noise(store.MinPartSize)
	put(t, d.b, "small", large[:100])
	put(t, d.b, "file", large[:200<<10])
	put(t, d.b, "empty", nil)
	putParts(t, d.b, "parts", large, large[:50])
	if _, err := d.b.Copy(t.Context(), "copy", "file", nil); err != nil {
		t.Fatal(err)
	}
	d.upload, err = d.b.CreateUpload(t.Context(), "open", &store.PutOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if err := partOf(t.Context(), d.b, d.upload, bytes.NewReader(large[:300<<10])); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *damagedStore) content(key string) ref {
	o, err := d.s.object(d.st, key)
	if err != nil || o == nil {
		d.Fatalf("%s: %v, %v", key, o, err)
	}
	return o.content
}

// extent is the first of an object of parts.
func (d *damagedStore) extent(key string) extent {
	parts, err := d.s.manifest(d.content(key).id)
	if err != nil {
		d.Fatal(err)
	}
	return parts[0][0]
}

func (d *damagedStore) id() uploadID {
	id, _ := parseUploadID(d.upload.ID)
	return id
}

func (d *damagedStore) set(key, row []byte) {
	if err := d.s.db.Set(key, row, pebble.NoSync); err != nil {
		d.Fatal(err)
	}
}

func (d *damagedStore) delete(key []byte) {
	if err := d.s.db.Delete(key, pebble.NoSync); err != nil {
		d.Fatal(err)
	}
}

func (d *damagedStore) check(opts *CheckOptions) []string {
	d.Helper()
	report, err := d.s.Check(d.Context(), opts)
	if err != nil {
		d.Fatal(err)
	}
	found := []string{}
	for _, f := range report.Findings {
		line := fmt.Sprintf("%s %s", f.Kind, f.Key)
		if f.Mended {
			line += " mended"
		}
		found = append(found, strings.ReplaceAll(line, "  ", " "))
	}
	slices.Sort(found)
	return found
}

// place changes what is known of where an object is in the log.
func (d *damagedStore) place(key string, f func(*location)) {
	at, err := d.s.location(d.content(key).id)
	if err != nil {
		d.Fatal(err)
	}
	f(&at)
	d.set(blobKey(spaceLocation, d.content(key).id), encodeLocation(at))
	o, _ := d.s.object(d.st, key)
	o.at = location{}
	d.set(objectKey(d.st.id, key), o.encode())
}

// flipLogged changes one byte of the record of an object, counted from its content.
func (d *damagedStore) flipLogged(key string, n int64) {
	at, err := d.s.location(d.content(key).id)
	if err != nil {
		d.Fatal(err)
	}
	if err := d.s.flush(); err != nil {
		d.Fatal(err)
	}
	f, err := os.OpenFile(d.s.journal.path(at.segment), os.O_RDWR, 0)
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, int64(at.offset)+headerSize+n); err != nil {
		d.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, int64(at.offset)+headerSize+n); err != nil {
		d.Fatal(err)
	}
}

// flip changes one byte of a file in its middle.
func flip(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFindings does damage of each kind, and has it found and mended.
func TestFindings(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(*damagedStore)
		want   string // found by Repair, split by commas
		after  string // found after that
	}{
		{"None", func(*damagedStore) {}, "", ""},
		{"FileGone", func(d *damagedStore) { os.Remove(d.s.path(d.content("file").id)) }, "missing copy,missing file", "missing copy,missing file"},
		{"FileShort", func(d *damagedStore) { os.Truncate(d.s.path(d.content("file").id), 1000) }, "damaged copy,damaged file", "damaged copy,damaged file"},
		{"FileOther", func(d *damagedStore) { flip(d.T, d.s.path(d.content("file").id)) }, "damaged copy,damaged file", "damaged copy,damaged file"},
		{"PartOther", func(d *damagedStore) { flip(d.T, d.s.path(d.extent("parts").id)) }, "damaged parts", "damaged parts"},
		{"PartGone", func(d *damagedStore) { os.Remove(d.s.path(d.extent("parts").id)) }, "missing parts", "missing parts"},
		{"OpenPartOther", func(d *damagedStore) {
			row, _ := d.s.row(partKey(d.id(), 1))
			p, _ := decodePart(1, row)
			flip(d.T, d.s.path(p.extents[0].id))
		}, "damaged open", "damaged open"},
		{"ContentGone", func(d *damagedStore) { d.delete(blobKey(spaceLocation, d.content("small").id)) }, "missing small", "missing small"},
		{"ContentOther", func(d *damagedStore) { d.flipLogged("small", 10) }, "damaged small", "damaged small"},
		{"ContentOfOther", func(d *damagedStore) { d.flipLogged("small", -1) }, "damaged small", "damaged small"},
		{"ContentShort", func(d *damagedStore) { d.place("small", func(at *location) { at.length -= 10 }) }, "damaged small", "damaged small"},
		{"ContentBehind", func(d *damagedStore) { d.place("small", func(at *location) { at.offset = 1 << 30 }) }, "damaged small", "damaged small"},
		{"PlaceBad", func(d *damagedStore) { d.set(blobKey(spaceLocation, d.content("small").id), nil) }, "damaged small", "damaged small"},
		{"PlaceMore", func(d *damagedStore) { d.set(blobKey(spaceLocation, d.s.newID()), nil) }, "left over mended", ""},
		{"SegmentGone", func(d *damagedStore) { d.place("small", func(at *location) { at.segment = 77 }) }, "missing small", "missing small"},
		{
			"ManifestGone", func(d *damagedStore) { d.delete(blobKey(spaceManifest, d.content("parts").id)) },
			"left over mended,left over mended,missing parts", "missing parts",
		},
		{"CountHigh", func(d *damagedStore) { d.set(blobKey(spaceRefs, d.content("file").id), encodeCount(7)) }, "wrong count mended", ""},
		{"CountGone", func(d *damagedStore) { d.delete(blobKey(spaceRefs, d.content("file").id)) }, "wrong count mended", ""},
		{"CountBad", func(d *damagedStore) { d.set(blobKey(spaceRefs, d.content("file").id), []byte("?")) }, "wrong count mended", ""},
		{"CountInline", func(d *damagedStore) { d.set(blobKey(spaceRefs, d.content("small").id), encodeCount(2)) }, "wrong count mended", ""},
		{"OwnerGone", func(d *damagedStore) { d.delete(ownerKey(d.st.id, "ann", "open", d.id())) }, "wrong index open mended", ""},
		{"OwnerOther", func(d *damagedStore) { d.set(ownerKey(d.st.id, "ann", "open", d.id()), []byte("?")) }, "wrong index open mended", ""},
		{"OwnerMore", func(d *damagedStore) { d.set(ownerKey(d.st.id, "bob", "open", d.id()), []byte("?")) }, "wrong index open mended", ""},
		{
			"UploadGone", func(d *damagedStore) { d.delete(uploadKey(d.st.id, "open", d.id())) },
			"left over mended,left over mended,wrong index mended", "",
		},
		{
			"ObjectGone", func(d *damagedStore) { d.delete(objectKey(d.st.id, "parts")) },
			"left over mended,left over mended,left over mended", "",
		},
		{
			"ObjectBad", func(d *damagedStore) { d.set(objectKey(d.st.id, "small"), []byte("?")) },
			"bad row small,left over", "bad row small,left over",
		},
		{
			"BucketGone", func(d *damagedStore) { d.delete(bucketKey("media")) },
			"no bucket copy,no bucket empty,no bucket file,no bucket open,no bucket parts,no bucket small",
			"no bucket copy,no bucket empty,no bucket file,no bucket open,no bucket parts,no bucket small",
		},
		{"FileMore", func(d *damagedStore) {
			id := d.s.newID()
			os.WriteFile(d.s.path(id), nil, 0o600)
			os.WriteFile(filepath.Join(d.s.tmpDir(), id.String()), nil, 0o600)
		}, "left over mended,left over mended", ""},
		{"FileStray", func(d *damagedStore) { os.WriteFile(filepath.Join(d.s.shardDir(0), "notes"), nil, 0o600) }, "stray file", "stray file"},
		{"RowStray", func(d *damagedStore) { d.set([]byte("zoo"), nil) }, "bad row", "bad row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDamaged(t)
			test.damage(d)
			for _, repair := range []bool{false, true, false} {
				opts := &CheckOptions{Content: true, Repair: repair}
				want := test.want
				if !repair {
					want = strings.ReplaceAll(want, " mended", "")
				}
				got := d.check(opts)
				for i := range got {
					got[i] = strings.TrimSpace(got[i])
				}
				if s := strings.Join(got, ","); s != want {
					t.Errorf("repair %v: found %q, want %q", repair, s, want)
				}
				if repair {
					test.want = test.after
				}
			}
		})
	}
}

// loadWrites is how many writes there are while a store is checked.
const loadWrites = 400

// TestCheckUnderLoad checks a store again and again while all kinds of writes go on.
func TestCheckUnderLoad(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		s := openStore(t, t.TempDir(), &Options{NoSync: noSync, Inline: 1 << 10})
		b := makeBucket(t, s, "busy")
		if noSync {
			setVersioning(t, b, store.Enabled)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var written atomic.Int64
		for w := range 3 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if err := busyWrite(ctx, b, w, n); err != nil && ctx.Err() == nil {
						t.Errorf("write: %v", err)
						stop()
						return
					}
					written.Add(1)
				}
			})
		}
		for ctx.Err() == nil && written.Load() < loadWrites {
			report, err := s.Check(t.Context(), &CheckOptions{Content: true, Repair: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				t.Errorf("%s: %s %s: %s", f.Kind, f.Key, f.Blob, f.Text)
			}
		}
		stop()
		wg.Wait()
		endUploads(t, b)
	}
}

// busyWrite does one of the writes that there are.
func busyWrite(ctx context.Context, b store.Bucket, writer, n int) error {
	key := fmt.Sprintf("k%d", (writer+n)%4)
	body := bytes.NewReader(noise(100 + n%3*4000))
	switch n % 7 {
	case 0, 1, 2:
		_, err := b.Put(ctx, key, body, nil)
		return err
	case 3:
		_, err := b.Copy(ctx, fmt.Sprintf("k%d", writer), key, nil)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	case 4:
		if _, err := b.Delete(ctx, key, nil); err != nil {
			return err
		}
		page, err := b.ListVersions(ctx, &store.ListVersionsOptions{Prefix: key, Limit: 4})
		if err != nil || len(page.Versions) == 0 {
			return err
		}
		v := page.Versions[n%len(page.Versions)]
		_, err = b.DeleteMany(ctx, []store.Target{{Key: v.Key, Version: v.Info.Version}, {Key: v.Key, Version: page.Versions[0].Info.Version}})
		return err
	}
	u, err := b.CreateUpload(ctx, key, &store.PutOptions{Owner: key})
	if err != nil {
		return err
	}
	p, err := b.PutPart(ctx, key, u.ID, 1, body, nil)
	if err != nil {
		return err
	}
	if n%7 == 5 {
		return b.AbortUpload(ctx, key, u.ID, nil)
	}
	_, err = b.CompleteUpload(ctx, key, u.ID, []store.Part{*p}, nil)
	return err
}

// TestCheckRate reads at the speed it is told, and tells how far it is.
func TestCheckRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir(), nil)
		b := makeBucket(t, s, "slow")
		put(t, b, "file", noise(1<<20))
		began, last := time.Now(), int64(0)
		_, err := s.Check(t.Context(), &CheckOptions{Content: true, Rate: 1 << 18, Progress: func(done, total int64) {
			if done < last || total != 1<<20 {
				t.Errorf("progress of %d of %d after %d", done, total, last)
			}
			last = done
		}})
		if took := time.Since(began); err != nil || last != 1<<20 || took < 4*time.Second || took > 5*time.Second {
			t.Errorf("read %d bytes in %v, %v", last, took, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = s.Check(ctx, &CheckOptions{Content: true, Progress: func(int64, int64) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want that of the context", err)
		}
	})
}
