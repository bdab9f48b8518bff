package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// ann and the rest are logins of one pool, gus is known elsewhere.
var (
	ann = Login{Provider: "pool", Subject: "ann"}
	bob = Login{Provider: "pool", Subject: "bob"}
	gus = Login{Provider: "outside", Subject: "gus"}
)

func open(t testing.TB, path string, now func() time.Time) *DB {
	t.Helper()
	db, err := Open(path, &Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func update(t testing.TB, db *DB, fn func(*Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func TestOpenMakesAPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20e&_pragma=x.db")
	db := open(t, path, nil)
	if _, err := db.Keep(t.Context(), "x", []byte("1")); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(names) != 3 {
		t.Fatalf("files are %q, %v; want the database, its log and the log's index", names, err)
	}
	for _, name := range names {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, fi.Mode())
		}
	}
}

func TestOpenSetsDurability(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "s.db"), nil)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000",
	} {
		var got string
		if err := db.w.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
	if _, err := db.r.ExecContext(t.Context(), `DELETE FROM settings`); err == nil {
		t.Error("a reading connection could write")
	}
}

func TestOpenAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := Open(path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if _, err := db.Keep(t.Context(), "x", []byte("1")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestOldKeysStayOperators brings a file of before there were functions up to date.
func TestOldKeysStayOperators(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	db, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.w.ExecContext(t.Context(), `ALTER TABLE operator_keys DROP COLUMN function;
		DROP TABLE bucket_documents;
		DELETE FROM migrations WHERE number >= 3;
		INSERT INTO operator_keys (id, name, sealed, created) VALUES ('A', 'n', x'00', 1)`)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path, nil)
	err = db.View(t.Context(), func(tx *Tx) error {
		all, err := tx.AccessKeys(t.Context())
		if err != nil || len(all) != 1 || all[0].ID != "A" || all[0].Function != "" {
			t.Errorf("keys are %+v, %v", all, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesANewerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	db, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.w.ExecContext(t.Context(), `INSERT INTO migrations (number, name, applied) VALUES (9999, 'later', 0)`)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(path, nil); !errors.Is(err, ErrNewer) {
		t.Fatalf("opening a newer file: %v, want ErrNewer", err)
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	if err := os.WriteFile(path, []byte("this is not a database, only some text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, nil); err == nil {
		t.Fatal("a text file was opened as a database")
	}
	if _, err := Open(filepath.Join(path, "x"), nil); err == nil {
		t.Fatal("a path below a file was opened")
	}
}

func TestMigrationsHaveNoGap(t *testing.T) {
	if _, err := steps(migrations); err != nil {
		t.Error(err)
	}
	for _, names := range [][]string{
		{"0002_b.sql"}, {"0001_a.sql", "0003_c.sql"}, {"0001_a.sql", "0001_b.sql"}, {"1_a.sql"},
	} {
		fsys := fstest.MapFS{}
		for _, n := range names {
			fsys["migrations/"+n] = new(fstest.MapFile)
		}
		if _, err := steps(fsys); err == nil {
			t.Errorf("%q passed", names)
		}
	}
}

func TestIdentities(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "s.db")
	db, err := Open(path, &Options{Now: func() time.Time { return time.Unix(1000, 5) }})
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *Tx) error {
		if _, err := tx.Identity(ctx, "r:1"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("unknown identity: %v", err)
		}
		if _, err := tx.IdentityOf(ctx, ann); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("unknown login: %v", err)
		}
		for _, id := range []string{"r:1", "r:2"} {
			if err := tx.AddIdentity(ctx, id); err != nil {
				return err
			}
		}
		if err := tx.AddIdentity(ctx, "r:1"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("second identity of that id: %v", err)
		}
		if err := tx.AddLogin(ctx, "r:1", ann); err != nil {
			return err
		}
		if err := tx.AddLogin(ctx, "r:2", ann); !errors.Is(err, fs.ErrExist) {
			t.Errorf("login bound twice: %v", err)
		}
		if err := tx.AddLogin(ctx, "r:1", bob); !errors.Is(err, fs.ErrExist) {
			t.Errorf("second login of one provider: %v", err)
		}
		if err := tx.AddLogin(ctx, "r:3", bob); err == nil {
			t.Error("login bound to nothing")
		}
		if err := tx.AddLogin(ctx, "r:2", gus); err != nil {
			return err
		}
		if err := tx.MoveLogins(ctx, "r:2", "r:1"); err != nil {
			return err
		}
		if err := tx.Retire(ctx, "r:2", "r:1"); err != nil { // it was stored
			return err
		}
		return tx.Retire(ctx, "r:9", "r:1") // it was a guest
	})
	db.Close()

	db = open(t, path, nil)
	err = db.View(ctx, func(tx *Tx) error {
		one, err := tx.Identity(ctx, "r:1")
		if err != nil || *one != (Identity{ID: "r:1", Created: time.Unix(1000, 0)}) {
			t.Errorf("identity 1 is %+v, %v", one, err)
		}
		for _, id := range []string{"r:2", "r:9"} {
			if v, err := tx.Identity(ctx, id); err != nil || v.MergedInto != "r:1" {
				t.Errorf("identity %s is %+v, %v; want it merged", id, v, err)
			}
		}
		all, err := tx.Logins(ctx, "r:1")
		if err != nil || len(all) != 2 || all[0] != gus || all[1] != ann {
			t.Errorf("logins are %v, %v", all, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	ctx := t.Context()
	db := open(t, filepath.Join(t.TempDir(), "s.db"), nil)
	want := errors.New("no")
	err := db.Update(ctx, func(tx *Tx) error {
		if err := tx.AddIdentity(ctx, "r:1"); err != nil {
			return err
		}
		return want
	})
	if err != want {
		t.Fatalf("got %v, want the error of the function", err)
	}
	update(t, db, func(tx *Tx) error { return tx.AddIdentity(ctx, "r:1") })
}

func TestDisable(t *testing.T) {
	ctx := t.Context()
	db := open(t, filepath.Join(t.TempDir(), "s.db"), nil)
	update(t, db, func(tx *Tx) error {
		if err := tx.DisableIdentity(ctx, "r:1", true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("disabling nobody: %v", err)
		}
		if err := tx.AddIdentity(ctx, "r:1"); err != nil {
			return err
		}
		for _, want := range []bool{true, false} {
			if err := tx.DisableIdentity(ctx, "r:1", want); err != nil {
				return err
			}
			if v, err := tx.Identity(ctx, "r:1"); err != nil || v.Disabled != want {
				t.Errorf("identity is %+v, %v", v, err)
			}
		}
		return nil
	})
}

func TestEpochs(t *testing.T) {
	ctx := t.Context()
	now := time.Unix(1000, 0)
	db := open(t, filepath.Join(t.TempDir(), "s.db"), func() time.Time { return now })
	revoke := func(l Login, signOut bool) (e Epoch) {
		update(t, db, func(tx *Tx) (err error) {
			e, err = tx.Revoke(ctx, l, signOut)
			return err
		})
		return e
	}
	update(t, db, func(tx *Tx) error {
		if e, err := tx.Epoch(ctx, ann); err != nil || e != (Epoch{Login: ann}) {
			t.Errorf("epoch before the first is %+v, %v", e, err)
		}
		return nil
	})
	if e := revoke(ann, true); e != (Epoch{ann, 1, now, 1}) {
		t.Errorf("first: %+v", e)
	}
	old := now
	now = now.Add(time.Hour)
	if e := revoke(bob, false); e != (Epoch{Login: bob, Count: 1, Seq: 2}) {
		t.Errorf("second: %+v", e)
	}
	if e := revoke(ann, false); e != (Epoch{ann, 2, old, 3}) {
		t.Errorf("third: %+v", e)
	}
	update(t, db, func(tx *Tx) error {
		if all, err := tx.Epochs(ctx, 0, now.Add(-time.Minute)); err != nil || len(all) != 2 || all[0].Login != bob {
			t.Errorf("all epochs: %+v, %v", all, err)
		}
		if all, err := tx.Epochs(ctx, 2, time.Time{}); err != nil || len(all) != 1 || all[0].Login != ann {
			t.Errorf("later epochs: %+v, %v", all, err)
		}
		if all, err := tx.Epochs(ctx, 0, now.Add(time.Minute)); err != nil || len(all) != 0 {
			t.Errorf("epochs of the future: %+v, %v", all, err)
		}
		return nil
	})
}

func TestAccessKeys(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "s.db")
	db := open(t, path, func() time.Time { return time.Unix(1000, 0) })
	update(t, db, func(tx *Tx) error {
		for id, function := range map[string]string{"B": "", "A": "resize"} {
			if err := tx.AddAccessKey(ctx, &AccessKey{ID: id, Name: "n", Function: function, Sealed: []byte(id)}); err != nil {
				return err
			}
		}
		if err := tx.AddAccessKey(ctx, &AccessKey{ID: "A", Sealed: []byte("x")}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("second key of that id: %v", err)
		}
		if err := tx.RevokeAccessKey(ctx, "C"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("revoking no key: %v", err)
		}
		return tx.RevokeAccessKey(ctx, "B")
	})

	// Another process has the same file open.
	db2 := open(t, path, func() time.Time { return time.Unix(2000, 0) })
	w, err := db2.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	before, err := w.Version(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Version(ctx); err != nil || n != before {
		t.Errorf("version went from %d to %d, %v without a change", before, n, err)
	}
	update(t, db, func(tx *Tx) error { return tx.ResealAccessKey(ctx, "A", []byte("a")) })
	if n, err := w.Version(ctx); err != nil || n == before {
		t.Errorf("version is %d, %v after a change elsewhere", n, err)
	}
	before, _ = w.Version(ctx)
	update(t, db2, func(tx *Tx) error { return tx.RevokeAccessKey(ctx, "B") })
	if n, err := w.Version(ctx); err != nil || n == before {
		t.Errorf("version is %d, %v after a change of our own", n, err)
	}
	err = db2.View(ctx, func(tx *Tx) error {
		all, err := tx.AccessKeys(ctx)
		if err != nil || len(all) != 2 || all[0].ID != "A" || string(all[0].Sealed) != "a" || !all[0].Revoked.IsZero() ||
			all[0].Function != "resize" || all[1].Function != "" || all[0].Name != "n" || !all[1].Revoked.Equal(time.Unix(1000, 0)) {
			t.Errorf("keys are %+v, %v", all, err)
		}
		c, err := tx.Changes(ctx)
		if err != nil || c.AccessKeys == 0 || c.Epochs != 0 {
			t.Errorf("changes are %+v, %v", c, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKeep(t *testing.T) {
	ctx := t.Context()
	db := open(t, filepath.Join(t.TempDir(), "s.db"), nil)
	if _, err := db.Setting(ctx, "pool"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("setting that is not there: %v", err)
	}
	for _, v := range []string{"one", "two"} {
		if got, err := db.Keep(ctx, "pool", []byte(v)); err != nil || string(got) != "one" {
			t.Errorf("kept %q, %v; want what came first", got, err)
		}
	}
	update(t, db, func(tx *Tx) error { return tx.SetSetting(ctx, "pool", []byte("three")) })
	if got, err := db.Setting(ctx, "pool"); err != nil || string(got) != "three" {
		t.Errorf("setting is %q, %v", got, err)
	}
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.db")
	open(b, path, nil).Close()
	for b.Loop() {
		db, err := Open(path, nil)
		if err != nil {
			b.Fatal(err)
		}
		db.Close()
	}
}

func BenchmarkVersion(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "s.db"), nil)
	w, err := db.Watch(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	for b.Loop() {
		if _, err := w.Version(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
