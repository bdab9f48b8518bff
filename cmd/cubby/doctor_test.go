package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/server"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// newData makes a data directory in which there are a user and two objects.
func newData(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	cfg := server.Starter()
	cfg.Data = dir
	if err := server.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	tests := "as guest write private/x/y -> deny\n"
	if err := os.WriteFile(filepath.Join(dir, server.TestsFile), []byte(tests), 0o600); err != nil {
		t.Fatal(err)
	}
	admin, err := server.OpenAdmin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AddUser(t.Context(), server.NewUser{Name: "carol", Password: "long enough, I hope"}); err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(); err != nil {
		t.Fatal(err)
	}
	disk := openObjects(t, dir)
	defer disk.Close()
	if err := disk.CreateBucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	b, err := disk.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	for key, size := range map[string]int{"small.txt": 10, "large.bin": 100 << 10} {
		if _, err := b.Put(t.Context(), key, bytes.NewReader(make([]byte, size)), nil); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openObjects(t *testing.T, dir string) *diskstore.Store {
	t.Helper()
	disk, err := diskstore.Open(filepath.Join(dir, "objects"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

// blobFile is the one file of the objects in a data directory.
func blobFile(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "objects", "blobs", "*", "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("files %q, %v, want one", names, err)
	}
	return names[0]
}

// TestDoctor damages a data directory in every part, and asks.
func TestDoctor(t *testing.T) {
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		args   string
		exit   int
		want   string // in what it prints
	}{
		{"Healthy", func(*testing.T, string) {}, "--content", 0, "healthy: 2 objects, 100.0 KiB\n"},
		{"Settings", write("cubby.yaml", "buckets: ["), "", 1, "cubby.yaml: "},
		{"Rules", write("cubby.yaml", "buckets: [{name: media, rules: {'public/*': {nobody: [read]}}}]"), "", 1, "cubby.yaml: rules of bucket media"},
		{"Tests", write("rules.test", "as guest write private/x/y -> allow\n"), "", 1, "rules.test: "},
		{"Keys", func(t *testing.T, dir string) { os.Chmod(dir+".keys", 0o644) }, "", 1, "can be read by others"},
		{"NoKeys", func(t *testing.T, dir string) { os.Remove(dir + ".keys") }, "", 1, "nobody can sign in"},
		{"State", write("state.db", strings.Repeat("no database ", 1000)), "", 1, "state.db: "},
		{"Short", func(t *testing.T, dir string) { os.Truncate(blobFile(t, dir), 5) }, "", 1, "objects: damaged: media//large.bin ("},
		{"Gone", func(t *testing.T, dir string) { os.Remove(blobFile(t, dir)) }, "--repair", 1, "1 findings, 0 of which --repair mends\n"},
		{"LeftOver", write("objects/blobs/0/00000000000000000000000000000000", "x"), "", 1, "1 findings, 1 of which --repair mends\n"},
		{"AfterCrash", func(t *testing.T, dir string) {
			write("objects/blobs/0/00000000000000000000000000000000", "x")(t, dir)
			if err := os.Remove(filepath.Join(dir, "objects", "clean")); err != nil {
				t.Fatal(err)
			}
		}, "", 1, "objects: left over"},
		{"Mended", write("objects/blobs/0/00000000000000000000000000000000", "x"), "--repair", 0, "[mended]\nhealthy: 2 objects"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newData(t)
			test.damage(t, dir)
			sh := newShell(t, "http://127.0.0.1:1")
			args := append([]string{"doctor", "--data", dir}, strings.Fields(test.args)...)
			exit := sh.run(t.Context(), nil, args...)
			if out := sh.stdout.String(); exit != test.exit || !strings.Contains(out, test.want) || sh.stderr.Len() > 0 {
				t.Errorf("exit %d, want %d with %q:\n%s%s", exit, test.exit, test.want, out, sh.stderr.String())
			}
			sh.run(t.Context(), nil, append(args, "--json")...)
			var d struct {
				Healthy  bool
				Findings []server.Finding
			}
			if err := json.Unmarshal(sh.stdout.Bytes(), &d); err != nil || d.Healthy != (test.exit == 0) {
				t.Errorf("as JSON: %v, %s", err, sh.stdout.String())
			}
		})
	}
}

// TestDoctorRefuses asks where a server runs, and where none ever did.
func TestDoctorRefuses(t *testing.T) {
	dir := newData(t)
	disk := openObjects(t, dir)
	defer disk.Close()
	sh := newShell(t, "http://127.0.0.1:1")
	if exit := sh.run(t.Context(), nil, "doctor", "--data", dir); exit != 1 || !strings.Contains(sh.stderr.String(), "Stop the server") {
		t.Errorf("exit %d: %s", exit, sh.stderr.String())
	}
	empty := t.TempDir()
	if exit := sh.run(t.Context(), nil, "doctor", "--data", empty); exit != int(missing) {
		t.Errorf("exit %d: %s", exit, sh.stderr.String())
	}
	if names, err := fs.Glob(os.DirFS(empty), "*"); err != nil || len(names) > 0 {
		t.Errorf("it made %q, %v", names, err)
	}
}
