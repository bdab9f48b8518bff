package server

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/diskstore"
	"github.com/cubby-storage/cubby/store/memstore"
)

const lifecycleConfig = `
buckets:
  - name: media
    lifecycle:
      - {prefix: tmp/, expire: 7d}
      - {uploads: 2d}
      - {prefix: slow/, uploads: none}
  - name: kept
    versioning: enabled
    trash: 30d
    lifecycle:
      - noncurrent: 36h
        expire: 1d12h
`

// clock goes on by an hour when it is told to.
type clock struct{ hours atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(c.hours.Load()) * time.Hour)
}

// openDisk opens an embedded store that ends with the test.
func openDisk(t *testing.T, opts *diskstore.Options) *diskstore.Store {
	t.Helper()
	disk := must(diskstore.Open(t.TempDir(), opts))
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

func TestLifecycleIsRead(t *testing.T) {
	c, err := ParseConfig([]byte(lifecycleConfig + "scrub: none\nbackups: ../backups\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Bucket{
		{Name: "media", Lifecycle: []LifecycleRule{{Prefix: "tmp/", Expire: Age(7 * day)}, {Uploads: Age(2 * day)}, {Prefix: "slow/", Uploads: NoAge}}},
		{Name: "kept", Versioning: "enabled", Trash: Age(30 * day), Lifecycle: []LifecycleRule{{Noncurrent: Age(36 * time.Hour), Expire: Age(36 * time.Hour)}}},
	}
	if !reflect.DeepEqual(c.Buckets, want) || c.Scrub != NoAge {
		t.Errorf("read %+v", c)
	}
	for key, age := range map[string]time.Duration{"a": 2 * day, "slow/a": 0, "slow": 2 * day} {
		if got := c.Buckets[0].uploadAge(key); got != age {
			t.Errorf("uploads of %s may be %v old, want %v", key, got, age)
		}
	}
	if got := c.Buckets[1].uploadAge("a"); got != staleUploads {
		t.Errorf("by default uploads may be %v old", got)
	}
	const media = "buckets:\n  - name: media\n"
	for _, c := range []struct{ text, want string }{
		{media + "    versioning: on", "cubby.yaml:3: versioning must be"},
		{media + "    versioning: [enabled]", "cubby.yaml:3: versioning must be"},
		{media + "    trash: soon", `cubby.yaml:3: "soon" is no time`},
		{media + "    trash: 0d", "cubby.yaml:3"},
		{media + "    trash: -1h", "cubby.yaml:3"},
		{media + "    trash: 99999d", "cubby.yaml:3"},
		{media + "    trash: [1d]", "cubby.yaml:3: this must be a time"},
		{media + "    lifecycle: 7d", "cubby.yaml:3: this must be a list"},
		{media + "    lifecycle:\n      - 7d", "cubby.yaml:4: a rule must be settings"},
		{media + "    lifecycle:\n      - {prefix: tmp/}", "cubby.yaml:4: the rule does nothing"},
		{media + "    lifecycle:\n      - {expire: none}", "cubby.yaml:4: none is what"},
		{media + "    lifecycle:\n      - expire: 7d\n        after: 7d", "cubby.yaml:5: unknown setting after"},
		{media + "    lifecycle:\n      - expire: 7d\n        expire: 8d", "cubby.yaml:5"},
		{media + "    lifecycle:\n      - expire: 7d\n        prefix: [a]", "cubby.yaml:5: prefix must be"},
		{media + "    lifecycle:\n      - expire: a week", `cubby.yaml:4: "a week" is no time`},
		{"scrub: often", "cubby.yaml:1"},
	} {
		_, err := ParseConfig([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error is %v, want one that says %s", c.text, err, c.want)
		}
	}
	for _, bad := range []Bucket{{Versioning: "on"}, {Trash: -7}, {Lifecycle: make([]LifecycleRule, 1)}, {Lifecycle: []LifecycleRule{{Expire: Age(2 * mostAge)}}}} {
		if err := bad.checkLifecycle(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func FuzzAge(f *testing.F) {
	for _, text := range []string{"7d", "36h", "1d12h", "90m", "1h30m", "none", "0d", "01d", "-1d", "1d1d", "+1d", "36500d", "1.5h", "d", "1d-1h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAge(text)
		if err != nil {
			if a != 0 {
				t.Fatalf("%q is %v and %v", text, a, err)
			}
			return
		}
		if again, err := parseAge(a.String()); err != nil || again != a || a.check() != nil {
			t.Fatalf("%q is %v, written %q, read %v, %v", text, time.Duration(a), a, again, err)
		}
	})
}

// TestKeeper makes passes over two buckets at different times.
func TestKeeper(t *testing.T) {
	c, log := new(clock), newLogbook(t)
	disk := openDisk(t, &diskstore.Options{Now: c.now})
	w := newWorld(t, &setup{config: lifecycleConfig, opts: Options{Store: disk, Log: log.logger()}})
	media := must(disk.Bucket(t.Context(), "media"))
	for _, key := range []string{"tmp/a", "tmp/b", "other"} {
		w.put("media", key, "content")
	}
	for _, key := range []string{"a", "slow/a"} {
		must(media.CreateUpload(t.Context(), key, nil))
	}
	w.put("kept", "x", "one")
	w.put("kept", "x", "two")
	open := func() int {
		t.Helper()
		return len(must(media.ListUploads(t.Context(), nil)).Uploads)
	}
	for _, step := range []struct {
		hours   int64
		keys    []string
		uploads int
		kept    string
		log     string
	}{
		{0, []string{"other", "tmp/a", "tmp/b"}, 2, "two", ""},
		{37, []string{"other", "tmp/a", "tmp/b"}, 2, "", `bucket=kept objects=1 versions=1 uploads=0`},
		{49, []string{"other", "tmp/a", "tmp/b"}, 1, "", `bucket=media objects=0 versions=0 uploads=1`},
		{80, []string{"other", "tmp/a", "tmp/b"}, 1, "", `bucket=kept objects=0 versions=2 uploads=0`},
		{24 * 8, []string{"other"}, 1, "", `bucket=media objects=2 versions=0 uploads=0`},
		{24 * 90, []string{"other"}, 1, "", ""},
	} {
		c.hours.Store(step.hours)
		w.srv.keeper.once(t.Context())
		if keys := w.keys("media"); !slices.Equal(keys, step.keys) || open() != step.uploads || w.content("kept", "x") != step.kept {
			t.Errorf("after %d hours: %q, %d uploads, %q", step.hours, keys, open(), w.content("kept", "x"))
		}
		got := log.rest()
		if step.log == "" && strings.Contains(got, "old enough") || !strings.Contains(got, step.log) || strings.Count(got, "old enough") > 1 {
			t.Errorf("after %d hours the log says %q, want %q", step.hours, got, step.log)
		}
	}
}

// TestKeeperGoesOnByItself starts late, comes back each hour, and ends when it is told to.
func TestKeeperGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLogbook(t)
		disk := must(diskstore.Open(t.TempDir(), nil))
		defer disk.Close()
		if err := disk.CreateBucket(t.Context(), "media"); err != nil {
			t.Fatal(err)
		}
		b := must(disk.Bucket(t.Context(), "media"))
		// More than are looked at between two pauses.
		for i := range passTogether + 10 {
			must(b.Put(t.Context(), fmt.Sprintf("a%05d", i), strings.NewReader(""), nil))
		}
		cfg := &Config{Buckets: []Bucket{{Name: "media", Lifecycle: []LifecycleRule{{Expire: Age(30 * time.Minute)}}}}}
		k := &keeper{disk: disk, log: log.logger(), rules: func() *Config { return cfg }}
		ended := make(chan bool)
		go func() {
			k.run(t.Context())
			close(ended)
		}()
		time.Sleep(25 * time.Minute) // the first pass finds nothing
		synctest.Wait()
		if got := log.rest(); got != "" {
			t.Errorf("the log says %s", got)
		}
		k.pass.Lock()
		time.Sleep(2 * time.Hour) // while there is a pass there is no other
		synctest.Wait()
		if got := log.rest(); got != "" {
			t.Errorf("the log says %s", got)
		}
		k.pass.Unlock()
		time.Sleep(70 * time.Minute)
		synctest.Wait()
		if got := log.rest(); !strings.Contains(got, fmt.Sprintf("objects=%d ", passTogether+10)) {
			t.Errorf("the log says %s", got)
		}
	})
}

// TestKeepingNeedsTheEmbeddedStore at the start and while the server runs.
func TestKeepingNeedsTheEmbeddedStore(t *testing.T) {
	for _, text := range []string{"lifecycle: [{expire: 1d}]", "trash: 1d"} {
		cfg := must(ParseConfig([]byte("buckets: [{name: media, " + text + "}]")))
		cfg.Data = newData(t)
		if _, err := Open(t.Context(), cfg, &Options{Store: memstore.New()}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "bucket media: lifecycle and trash need the embedded store") {
			t.Errorf("%s: %v", text, err)
		}
	}
	w, _ := watched(t, shelf("get"), -1)
	w.edit(ConfigFile, shelf("get")+"    trash: 1d\n")
	if err := w.srv.Reload(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the error is %v", err)
	}
	w.edit(ConfigFile, shelf("get")+"    versioning: enabled\n")
	if err := w.srv.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if v := must(must(w.svc.Bucket(t.Context(), "media")).Versioning(t.Context())); v != store.Enabled {
		t.Errorf("versioning is %q", v)
	}
	w.edit(ConfigFile, shelf("get"))
	if err := w.srv.Reload(t.Context()); err != nil || w.keys("media") != nil {
		t.Error(err, w.keys("media"))
	}
	if v := must(must(w.svc.Bucket(t.Context(), "media")).Versioning(t.Context())); v != store.Enabled {
		t.Errorf("without the setting versioning is %q", v)
	}
}
