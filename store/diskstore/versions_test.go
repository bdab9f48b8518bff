package diskstore

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

func versionedBucket(t testing.TB, s *Store, name string, v store.Versioning) store.Bucket {
	t.Helper()
	b := makeBucket(t, s, name)
	setVersioning(t, b, v)
	return b
}

func setVersioning(t testing.TB, b store.Bucket, v store.Versioning) {
	t.Helper()
	if err := b.SetVersioning(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

// listed returns a line for each version.
func listed(t testing.TB, b store.Bucket) []string {
	t.Helper()
	page, err := b.ListVersions(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, v := range page.Versions {
		l := v.Key + " " + v.Info.Version
		if v.IsMarker {
			l += "!"
		}
		if v.Latest {
			l += "*"
		}
		lines = append(lines, l)
	}
	return lines
}

// TestClockGoesBack keeps the order of versions whatever the clock says.
func TestClockGoesBack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := openStore(t, t.TempDir(), &Options{Now: func() time.Time { return now }})
	b := versionedBucket(t, s, "media", store.Enabled)
	var want []string
	for range 3 {
		want = append(want, put(t, b, "k", []byte("x")).Version)
		d, err := b.Delete(t.Context(), "k", nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, d.Version+"!")
		now = now.Add(-time.Hour)
	}
	slices.Reverse(want)
	want[0] += "*"
	for i := range want {
		want[i] = "k " + want[i]
	}
	if got := listed(t, b); !slices.Equal(got, want) {
		t.Errorf("versions are %q, want %q", got, want)
	}
}

// TestVersionsMove reads a version while it becomes the current object and an older
// one by turns.
func TestVersionsMove(t *testing.T) {
	s := openStore(t, t.TempDir(), &Options{NoSync: true, Inline: 1 << 10})
	b := versionedBucket(t, s, "media", store.Enabled)
	content := noise(3 << 10)
	id := put(t, b, "k", content).Version
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if err := readVersion(t, b, id, content, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 300 {
		d := &store.Deleted{}
		var err error
		if n%2 == 0 {
			d.Version = put(t, b, "k", content[:2<<10]).Version
		} else if d, err = b.Delete(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Delete(t.Context(), "k", &store.DeleteOptions{Version: d.Version}); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}

func readVersion(t *testing.T, b store.Bucket, id string, content []byte, n int) error {
	opts := &store.GetOptions{Version: id}
	if n%3 == 0 {
		page, err := b.ListVersions(t.Context(), nil)
		if err != nil || !slices.ContainsFunc(page.Versions, func(v store.Version) bool { return v.Info.Version == id }) {
			return fmt.Errorf("list: %+v, %w", page, err)
		}
		return nil
	}
	if n%3 == 1 {
		return b.SetTags(t.Context(), "k", map[string]string{"a": "b"}, opts)
	}
	o, err := b.Get(t.Context(), "k", opts)
	if err != nil {
		return err
	}
	defer o.Body.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(o.Body); err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), content) {
		return errors.New("content is that of another version")
	}
	return nil
}

// TestVersionFindings does damage to versions, and has it found and mended.
func TestVersionFindings(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(d *damagedStore, older, null *object)
		want   string // found by Repair
		after  string // found after that
	}{
		{"None", func(*damagedStore, *object, *object) {}, "", ""},
		{"NullGone", func(d *damagedStore, _, _ *object) { d.delete(nullKey(d.st.id, "k")) }, "wrong index k mended", ""},
		{"NullOther", func(d *damagedStore, older, _ *object) { d.set(nullKey(d.st.id, "k"), older.id[:]) }, "wrong index k mended,wrong index k mended", ""},
		{"NullBad", func(d *damagedStore, _, _ *object) { d.set(nullKey(d.st.id, "k"), []byte("?")) }, "wrong index k mended,wrong index k mended", ""},
		{"NullMore", func(d *damagedStore, older, _ *object) { d.set(nullKey(d.st.id, "a"), older.id[:]) }, "wrong index a mended", ""},
		{"CurrentGone", func(d *damagedStore, _, _ *object) { d.delete(objectKey(d.st.id, "k")) }, "left over mended,wrong index k mended", ""},
		{"CurrentOld", func(d *damagedStore, older, _ *object) {
			older.id, older.content = store.VersionID{1}, ref{}
			older.Size = 0
			d.set(objectKey(d.st.id, "k"), older.encode())
		}, "damaged k,left over mended,wrong index k", "damaged k,wrong index k"},
		{"OlderGone", func(d *damagedStore, older, _ *object) { d.delete(versionKey(d.st.id, "k", older.id)) }, "left over mended", ""},
		{"OlderBad", func(d *damagedStore, older, _ *object) { d.set(versionKey(d.st.id, "k", older.id), []byte("?")) }, "bad row k,left over", "bad row k,left over"},
		{"OlderElsewhere", func(d *damagedStore, older, _ *object) {
			d.delete(versionKey(d.st.id, "k", older.id))
			d.set(versionKey(bucketID{9}, "k", older.id), older.encode())
		}, "no bucket k,wrong index k mended", "no bucket k"},
		{"FileOther", func(d *damagedStore, older, _ *object) { flip(d.T, d.s.path(older.content.id)) }, "damaged k", "damaged k"},
		{"ContentGone", func(d *damagedStore, _, null *object) { d.delete(blobKey(spaceLocation, null.content.id)) }, "missing k", "missing k"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Open(t.TempDir(), &Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			d := &damagedStore{T: t, s: s, b: makeBucket(t, s, "media")}
			d.st, _ = s.find("media")
			put(t, d.b, "k", []byte("null"))
			setVersioning(t, d.b, store.Enabled)
			put(t, d.b, "k", noise(200<<10))
			put(t, d.b, "k", []byte("current"))
			if _, err := d.b.Delete(t.Context(), "hidden", nil); err != nil {
				t.Fatal(err)
			}
			older, err := olderAt(s.db, d.st, "k", store.VersionID{})
			if err != nil {
				t.Fatal(err)
			}
			null, err := nullAt(s.db, d.st, "k")
			if err != nil {
				t.Fatal(err)
			}
			test.damage(d, older, null)
			for i, want := range []string{test.want, test.after} {
				got := d.check(&CheckOptions{Content: true, Repair: i == 0})
				for i := range got {
					got[i] = strings.TrimSpace(got[i])
				}
				if s := strings.Join(got, ","); s != want {
					t.Errorf("check %d found %q, want %q", i, s, want)
				}
			}
		})
	}
}

// FuzzVersionKey holds that the keys of the rows of versions are in the order of
// lists of versions, and what they were made of.
func FuzzVersionKey(f *testing.F) {
	f.Add("a", "a\x00b", []byte{1})
	f.Add("a\x00", "a\x00\xff", []byte{0xff, 1})
	f.Add("k", "k", []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, a, b string, id []byte) {
		var bucket bucketID
		var idA, idB store.VersionID
		copy(idA[:], id)
		copy(idB[:], []byte("8"))
		rowA, rowB := versionKey(bucket, a, idA), versionKey(bucket, b, idB)
		want := strings.Compare(a, b)
		if want == 0 {
			want = slices.Compare(idB[:], idA[:])
		}
		if got := slices.Compare(rowA, rowB); got != want {
			t.Errorf("the order of %q %v and %q %v is %d, want %d", a, idA, b, idB, got, want)
		}
		key, gotID, ok := splitVersion(rowA[len(versionsPrefix(bucket)):])
		if !ok || key != a || gotID != idA {
			t.Errorf("%q, %v became %q, %v, %v", a, idA, key, gotID, ok)
		}
		if of := appendVersions(versionsPrefix(bucket), b); bytes.HasPrefix(rowA, of) != (a == b) {
			t.Errorf("versions of %q are among those of %q", a, b)
		}
	})
}
