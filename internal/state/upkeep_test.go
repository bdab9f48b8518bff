package state_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cubby-storage/cubby/internal/state"
)

// TestUpkeep backs up a state, and damages it.
func TestUpkeep(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "state.db"), filepath.Join(dir, "backup.db")
	db, err := state.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Keep(t.Context(), "name", []byte("first")); err != nil {
		t.Fatal(err)
	}
	if found, err := db.Integrity(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("a good file: %q, %v", found, err)
	}
	if err := db.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(t.Context(), backup); err == nil {
		t.Error("a backup went over another file")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(backup); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("backup: %v, %v", fi.Mode(), err)
	}
	db, err = state.Open(backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := db.Keep(t.Context(), "name", []byte("second")); err != nil || string(kept) != "first" {
		t.Errorf("the backup has %q, %v", kept, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096 + 8; i < len(content); i += 4096 {
		for j := range 64 {
			content[i+j] = 0xff
		}
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err = state.Open(path, nil)
	if err != nil {
		return // which is as good
	}
	defer db.Close()
	if found, err := db.Integrity(t.Context()); err == nil && len(found) == 0 {
		t.Error("the damage was not found")
	}
}
