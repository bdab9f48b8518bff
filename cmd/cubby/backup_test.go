package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/server"
)

// TestBackup backs up, loses the data directory, and restores it.
func TestBackup(t *testing.T) {
	dir := newData(t)
	dest := filepath.Join(t.TempDir(), "monday")
	sh := newShell(t, "http://127.0.0.1:1")
	succeed := func(want string, args ...string) {
		t.Helper()
		if exit := sh.run(t.Context(), nil, args...); exit != 0 || !strings.Contains(sh.stdout.String(), want) {
			t.Fatalf("cubby %q: %d\n%s%s", args, exit, sh.stdout.String(), sh.stderr.String())
		}
	}
	succeed("keys file is not among it", "backup", dest, "--data", dir)
	secret, err := os.ReadFile(dir + ".keys")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dest, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, secret) || strings.HasSuffix(path, ".keys") {
			t.Errorf("%s has the keys", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	succeed("restored 2 objects, 100.0 KiB", "restore", dest, "--data", dir)
	succeed("carol", "users", "list", "--data", dir)
	succeed("healthy: 2 objects", "doctor", "--content", "--data", dir)
	for name, want := range map[string]bool{"cubby.yaml": true, "rules.test": true, "backup.json": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	again := dir + ".again"
	succeed(`"objects": 2`, "restore", dest, "--data", again, "--json")
	for _, args := range [][]string{{"backup", dest, "--data", dir}, {"restore", dest, "--data", dir}} {
		if exit := sh.run(t.Context(), nil, args...); exit != int(conflict) || !strings.Contains(sh.stderr.String(), "not empty") {
			t.Errorf("cubby %q: %d, %s", args, exit, sh.stderr.String())
		}
	}
	disk := openObjects(t, dir)
	defer disk.Close()
	if exit := sh.run(t.Context(), nil, "backup", dest+"2", "--data", dir); exit != 1 || !strings.Contains(sh.stderr.String(), "Stop the server") {
		t.Errorf("backup of a running server: %d, %s", exit, sh.stderr.String())
	}
}

// TestBrokenBackup damages backups, which are refused then.
func TestBrokenBackup(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dest string)
		exit   int
		want   string
	}{
		{"NoMarker", func(t *testing.T, dest string) { os.Remove(filepath.Join(dest, server.BackupFile)) }, 3, "no complete backup"},
		{"HalfMarker", func(t *testing.T, dest string) { os.Truncate(filepath.Join(dest, server.BackupFile), 10) }, 1, "damaged"},
		{"Newer", func(t *testing.T, dest string) {
			text, _ := json.Marshal(server.BackupInfo{Format: 2})
			os.WriteFile(filepath.Join(dest, server.BackupFile), text, 0o600)
		}, 1, "format 2"},
		{"Gone", func(t *testing.T, dest string) { os.Remove(blobFile(t, dest)) }, 1, "when it was made"},
		{"Short", func(t *testing.T, dest string) { os.Truncate(blobFile(t, dest), 5) }, 1, "when it was made"},
		{"Other", func(t *testing.T, dest string) {
			path := blobFile(t, dest)
			os.WriteFile(path, bytes.Repeat([]byte("x"), 100<<10), 0o600)
		}, 1, "damaged"},
		{"Link", func(t *testing.T, dest string) {
			path := filepath.Join(dest, "state.db")
			if err := os.Rename(path, dest+".moved"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(dest+".moved", path); err != nil {
				t.Fatal(err)
			}
		}, 1, "neither a file nor a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newData(t)
			dest := filepath.Join(t.TempDir(), "backup")
			if _, err := server.Backup(t.Context(), dir, dest); err != nil {
				t.Fatal(err)
			}
			test.damage(t, dest)
			to := filepath.Join(t.TempDir(), "data")
			sh := newShell(t, "http://127.0.0.1:1")
			if exit := sh.run(t.Context(), nil, "restore", dest, "--data", to); exit != test.exit || !strings.Contains(sh.stderr.String(), test.want) {
				t.Errorf("exit %d, want %d with %q: %s", exit, test.exit, test.want, sh.stderr.String())
			}
			if names, _ := filepath.Glob(to + "*"); len(names) > 0 {
				t.Errorf("%q are left", names)
			}
			if test.name == "Other" {
				if exit := sh.run(t.Context(), nil, "restore", dest, "--data", to, "--damaged"); exit != 0 || !strings.Contains(sh.stdout.String(), "media//large.bin") {
					t.Errorf("exit %d: %s", exit, sh.stderr.String())
				}
			}
		})
	}
}
