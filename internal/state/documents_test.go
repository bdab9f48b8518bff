package state

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestDocuments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	db := open(t, path, nil)
	set := func(bucket, name, text string) {
		t.Helper()
		update(t, db, func(tx *Tx) error { return tx.SetDocument(t.Context(), Document{bucket, name, text}) })
	}
	has := func(want ...Document) {
		t.Helper()
		err := db.View(t.Context(), func(tx *Tx) error {
			got, err := tx.Documents(t.Context())
			if !slices.Equal(got, want) {
				t.Errorf("documents are %v, want %v", got, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	has()
	set("a", "cors", "1")
	set("b", "cors", "2")
	set("a", "more", "3")
	set("a", "cors", "4")
	has(Document{"a", "cors", "4"}, Document{"a", "more", "3"}, Document{"b", "cors", "2"})
	set("a", "more", "")
	set("a", "none", "")
	has(Document{"a", "cors", "4"}, Document{"b", "cors", "2"})
	update(t, db, func(tx *Tx) error { return tx.ForgetDocuments(t.Context(), "a") })
	update(t, db, func(tx *Tx) error { return tx.ForgetDocuments(t.Context(), "none") })
	has(Document{"b", "cors", "2"})
}
