package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store/diskstore"
)

// read returns the answer to an operator.
func read[T any](r *response, status int) (v T) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.is(status).body), &v); err != nil {
		r.t.Fatal(err)
	}
	return v
}

// operatorDocuments are all documents for operators, and whether there is something to do.
var operatorDocuments = map[string]bool{
	"rules": false, "why/x": false, "doctor": true, "backup": true, "status": false,
	"trash/media": false, "trash/media/restore": true, "trash/media/empty": true, "trash/": false, "trash/media/burn": false,
}

// TestOperatorsAlone reads and does what there is for operators, as everybody else.
func TestOperatorsAlone(t *testing.T) {
	w := newWorld(t, &setup{opts: Options{Dev: true, Store: openDisk(t, nil)}})
	if _, err := w.srv.AddUser(t.Context(), NewUser{Name: "devon", Password: password, Dev: true}); err != nil {
		t.Fatal(err)
	}
	devon := w.user("devon")
	forged := *w.operator
	forged.keys.SecretAccessKey = "guess"
	first := ""
	for name, does := range operatorDocuments {
		if d := operatorDocument(name); d == nil || (d.do != nil) != does {
			t.Errorf("%s is %+v", name, d)
		}
		reads := operatorDocument(name).read != nil
		for _, p := range []*person{w.user("alice"), w.user("bob"), w.guest(), w.function("resize"), devon, nil} {
			for _, method := range []string{"GET", "POST"} {
				if method == "POST" && !does || method == "GET" && !reads {
					w.as(p, method, wellKnown+name, "").is(405)
					continue
				}
				if p == devon && operatorDocument(name).dev {
					continue
				}
				r := w.as(p, method, wellKnown+name, "").is(403, "AccessDenied")
				if first == "" && p != nil {
					first = r.body
				}
				if p != nil && r.body != first || r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %s, %v", r.what, r.body, r.header)
				}
			}
		}
		if reads {
			w.as(&forged, "GET", wellKnown+name, "").is(403, "SignatureDoesNotMatch")
		}
		if does {
			w.as(&forged, "POST", wellKnown+name, "").is(403, "SignatureDoesNotMatch")
		}
		for _, method := range []string{"PUT", "DELETE", "PATCH", "POST"} {
			if method != "POST" || !does {
				w.as(w.operator, method, wellKnown+name, "").is(405)
			}
		}
	}
	if d, b := w.srv.checkup.status(), w.srv.copying.status(); !d.Started.IsZero() || !b.Started.IsZero() {
		t.Errorf("somebody started %+v, %+v", d, b)
	}
	for _, name := range []string{"doctor/", "doctor/x", "backup/../rules", "rules/", "backups", "Doctor", ""} {
		w.as(w.operator, "GET", wellKnown+name, "").is(404)
	}
}

// await reads a document until the job of it has ended.
func await[T any](w *world, name string) Job[T] {
	w.Helper()
	for range 2000 {
		j := read[Job[T]](w.as(w.operator, "GET", wellKnown+name, ""), 200)
		if !j.Running {
			if j.Started.IsZero() || j.Ended.Before(j.Started) {
				w.Errorf("%s: %+v", name, j)
			}
			return j
		}
		time.Sleep(time.Millisecond)
	}
	w.Fatalf("%s does not end", name)
	panic("unreachable")
}

// TestDoctorAndBackupOfARunningServer damages an object while the server runs, and asks.
func TestDoctorAndBackupOfARunningServer(t *testing.T) {
	dir := t.TempDir()
	disk := must(diskstore.Open(filepath.Join(dir, "objects"), nil))
	defer disk.Close()
	backups := filepath.Join(dir, "backups")
	w := newWorld(t, &setup{file: true, opts: Options{Store: disk}, change: func(c *Config) { c.Backups = backups }})
	w.put("media", "large", strings.Repeat("x", 100<<10))
	w.put("media", "small", "x")

	if j := read[Job[Diagnosis]](w.as(w.operator, "GET", wellKnown+doctorDocument, ""), 200); j != (Job[Diagnosis]{}) {
		t.Errorf("before any there is %+v", j)
	}
	if j := read[Job[Diagnosis]](w.as(w.operator, "POST", wellKnown+doctorDocument, ""), 200); !j.Running {
		t.Errorf("started %+v", j)
	}
	if j := await[Diagnosis](w, doctorDocument); j.Error != "" || j.Result.Objects != 2 || len(j.Result.Findings) > 0 || j.Done != 0 {
		t.Errorf("the report is %+v %+v", j, j.Result)
	}
	w.as(w.operator, "POST", wellKnown+backupDocument, "").is(200)
	made := await[MadeBackup](w, backupDocument)
	if made.Error != "" || made.Result.Objects != 2 || filepath.Dir(made.Result.Path) != backups {
		t.Fatalf("the backup is %+v", made)
	}
	restored := filepath.Join(t.TempDir(), "data")
	if d, err := Restore(t.Context(), made.Result.Path, restored, nil); err != nil || d.Objects != 2 {
		t.Errorf("restored %+v, %v", d, err)
	}

	for _, query := range []string{"content=perhaps", "rate=-1", "rate=x", "rate=99999999999", "repair=2"} {
		w.as(w.operator, "POST", wellKnown+doctorDocument+"?"+query, "").is(400, "InvalidArgument")
	}
	files := must(filepath.Glob(filepath.Join(dir, "objects", "blobs", "*", "*")))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	writeData(t, filepath.Dir(files[0]), filepath.Base(files[0]), strings.Repeat("y", 100<<10))
	stray := filepath.Join(dir, "objects", "blobs", "0", "00000000000000000000000000000000")
	writeData(t, filepath.Dir(stray), filepath.Base(stray), "left over")
	w.as(w.operator, "POST", wellKnown+doctorDocument+"?content=true&repair=true&rate=100", "").is(200)
	j := await[Diagnosis](w, doctorDocument)
	var kinds strings.Builder
	for _, f := range j.Result.Findings {
		kinds.WriteString(string(f.Kind) + " " + f.Key + ";")
	}
	if kinds.String() != "left over ;damaged large;" || j.Done == 0 {
		t.Errorf("found %s %+v", kinds.String(), j)
	}
	if _, err := os.Stat(stray); err == nil {
		t.Error("what was left over is there still")
	}
}

// TestOperatorsAreToldWhatIsMissing where there is no embedded store, or no directory.
func TestOperatorsAreToldWhatIsMissing(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{doctorDocument, backupDocument} {
		w.as(w.operator, "POST", wellKnown+name, "").is(501, "NotImplemented")
		w.as(w.operator, "GET", wellKnown+name, "").is(200)
	}
	w = newWorld(t, &setup{opts: Options{Store: openDisk(t, nil)}})
	w.as(w.operator, "POST", wellKnown+backupDocument, "").is(501, "NotImplemented")
}

// TestJobsAreOneAtATime and end with the server.
func TestJobsAreOneAtATime(t *testing.T) {
	disk := openDisk(t, nil)
	w := newWorld(t, &setup{opts: Options{Store: disk}})
	w.put("media", "large", strings.Repeat("x", 3<<20))
	w.as(w.operator, "POST", wellKnown+doctorDocument+"?content=1&rate=1", "").is(200)
	w.as(w.operator, "POST", wellKnown+doctorDocument, "").is(409, "OperationAborted")
	w.srv.stop()
	if j := await[Diagnosis](w, doctorDocument); j.Error == "" || j.Result != nil {
		t.Errorf("it ended with %+v", j)
	}
}

// TestTrashOfAServer has deleted files listed, restored and removed by an operator.
func TestTrashOfAServer(t *testing.T) {
	c, log := new(clock), newLogbook(t)
	disk := openDisk(t, &diskstore.Options{Now: c.now})
	w := newWorld(t, &setup{config: "buckets:\n  - name: media\n    trash: 2d\n  - name: bare\n", opts: Options{Store: disk, Log: log.logger()}})
	for _, bucket := range []string{"media", "bare"} {
		w.as(w.operator, "PUT", "/"+bucket+"/a", "one").is(200)
		w.as(w.operator, "PUT", "/"+bucket+"/a", "two").is(200)
		w.as(w.operator, "DELETE", "/"+bucket+"/a", "").is(204)
	}
	at := func(name string) string { return wellKnown + trashDocuments + name }
	list := func(bucket, query string) Trash {
		t.Helper()
		return read[Trash](w.as(w.operator, "GET", at(bucket)+"?"+query, ""), 200)
	}
	all := list("media", "")
	if len(all.Objects) != 2 || all.Objects[0].Key != "a" || all.Objects[0].Size != 3 || all.Next != "" || len(list("bare", "").Objects) != 0 {
		t.Fatalf("in the trash are %+v", all)
	}
	first := list("media", "limit=1&prefix=a")
	if next := list("media", "limit=1&prefix=a&after="+first.Next); len(first.Objects) != 1 || len(next.Objects) != 1 || next.Objects[0] != all.Objects[1] || next.Next != "" {
		t.Errorf("pages are %+v, %+v", first, next)
	}
	if r := read[Restored](w.as(w.operator, "POST", at("media/restore?key=a"), ""), 200); r.Key != "a" || w.content("media", "a") != "two" {
		t.Errorf("restored %+v: %s", r, w.content("media", "a"))
	}
	w.as(w.operator, "POST", at("media/restore?key=a"), "").is(409, "Conflict")
	w.as(w.operator, "POST", at("media/restore?key=b"), "").is(404, "NoSuchKey")
	w.as(w.operator, "POST", at("media/restore"), "").is(400, "InvalidArgument")
	w.as(w.operator, "POST", at("media/restore?key=a&force=yes"), "").is(400, "InvalidArgument")
	w.as(w.operator, "POST", at("media/restore?key=a&force=true&id="+all.Objects[1].ID), "").is(200)
	if w.content("media", "a") != "one" {
		t.Errorf("restored %s", w.content("media", "a"))
	}
	for _, name := range []string{"nowhere", "", "media/burn", "..", "media/.."} {
		w.as(w.operator, "GET", at(name), "").is(404)
	}
	w.as(w.operator, "GET", at("media?limit=99999"), "").is(400, "InvalidArgument")
	w.as(w.operator, "GET", at("media?after=x"), "").is(400, "InvalidArgument")
	if e := read[Emptied](w.as(w.operator, "POST", at("media/empty?prefix=b"), ""), 200); e.Objects != 0 {
		t.Errorf("removed %+v", e)
	}
	if e := read[Emptied](w.as(w.operator, "POST", at("media/empty"), ""), 200); e.Objects != 1 || e.Bytes != 3 {
		t.Errorf("removed %+v", e)
	}
	// What is old enough goes by itself.
	w.as(w.operator, "DELETE", "/media/a", "").is(204)
	for _, hours := range []int64{47, 49} {
		c.hours.Store(hours)
		w.srv.keeper.once(t.Context())
		if n := len(list("media", "").Objects); (n == 1) != (hours < 48) {
			t.Errorf("after %d hours there are %d", hours, n)
		}
	}
	if text := log.rest(); !strings.Contains(text, "bucket=media objects=0 versions=0 uploads=0 trash=1") {
		t.Errorf("the log says %s", text)
	}
	w = newWorld(t, nil)
	w.as(w.operator, "GET", at("media"), "").is(501, "NotImplemented")
	w.as(w.operator, "POST", at("media/restore?key=x"), "").is(501, "NotImplemented")
	w.as(w.operator, "POST", at("media/empty"), "").is(501, "NotImplemented")
}
