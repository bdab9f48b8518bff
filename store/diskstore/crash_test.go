package diskstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

// The environment of a test process that is to be killed.
const (
	crashDir  = "CUBBY_CRASH_DIR"  // what it writes to
	crashFrom = "CUBBY_CRASH_FROM" // the number of its first write
)

const (
	crashWriters = 6
	crashKeys    = 5 // of each writer, so that most writes replace something
)

// crashWrite is one write of many: all about it follows from its number.
type crashWrite struct {
	writer, number int
}

func (w crashWrite) key() string {
	return fmt.Sprintf("w%d/k%d", w.writer, w.number%crashKeys)
}

func (w crashWrite) deletes() bool { return w.number%17 == 16 }

// parts returns the content: one part for a put, two for an upload, none for a delete.
func (w crashWrite) parts() [][]byte {
	size := 1 + (w.number*7919+w.writer*104729)%(20<<10)
	switch {
	case w.deletes():
		return nil
	case w.writer == 0 && w.number%20 == 7:
		return [][]byte{w.bytes(store.MinPartSize), w.bytes(size)}
	case w.number%3 == 2:
		size += 100 << 10
	}
	return [][]byte{w.bytes(size)}
}

func (w crashWrite) bytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(w.writer), byte(w.number), byte(w.number >> 8), byte(w.number >> 16), byte(n)}).Read(b)
	return b
}

func (w crashWrite) do(ctx context.Context, b store.Bucket) error {
	opts := &store.PutOptions{}
	opts.User = map[string]string{"number": strconv.Itoa(w.number)}
	parts := w.parts()
	if w.number%6 == 5 {
		if err := w.uncover(ctx, b); err != nil {
			return err
		}
	}
	switch len(parts) {
	case 0:
		_, err := b.Delete(ctx, w.key(), nil)
		return err
	case 1:
		_, err := b.Put(ctx, w.key(), bytes.NewReader(parts[0]), opts)
		return err
	}
	return tryParts(ctx, b, w.key(), opts, parts...)
}

// uncover puts an object in two versions, hides it, and deletes one version or
// marker of it.
func (w crashWrite) uncover(ctx context.Context, b store.Bucket) error {
	key := fmt.Sprintf("w%d/versions", w.writer)
	for range 2 {
		if _, err := b.Put(ctx, key, bytes.NewReader(w.bytes(1+w.number%(100<<10))), nil); err != nil {
			return err
		}
	}
	if _, err := b.Delete(ctx, key, nil); err != nil {
		return err
	}
	page, err := b.ListVersions(ctx, &store.ListVersionsOptions{Prefix: key})
	for n := 0; err == nil && n < min(2, len(page.Versions)); n++ {
		_, err = b.Delete(ctx, key, &store.DeleteOptions{Version: page.Versions[n].Info.Version})
	}
	return err
}

// TestCrash kills processes that write, and compares what they had answered with
// what is there afterwards.
func TestCrash(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(t, dir)
		return
	}
	for _, v := range []store.Versioning{store.Unversioned, store.Enabled} {
		t.Run("Versioning"+string(v), func(t *testing.T) { testCrash(t, v) })
	}
}

func testCrash(t *testing.T, versioning store.Versioning) {
	rounds, answers := 3, 150
	if os.Getenv("CUBBY_LONG") == "1" {
		rounds, answers = 20, 1000
	}
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	b := makeBucket(t, s, "crash")
	if versioning != store.Unversioned {
		setVersioning(t, b, versioning)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	answered := make(map[string]crashWrite)
	all := make(map[crashWrite]bool)
	from := 0
	for round := range rounds {
		// Kill at another point of the work each time.
		from = killWriter(t, dir, from, answers+37*round, answered, all) + 1
		s := openStore(t, dir, nil)
		b, err := s.Bucket(t.Context(), "crash")
		if err != nil {
			t.Fatal(err)
		}
		verifyCrash(t, b, answered)
		if versioning != store.Unversioned {
			verifyVersions(t, b, all)
		}
		// The sweep at the start may not have come to an end yet.
		s.sweep()
		endUploads(t, b)
		check(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func writeUntilKilled(t *testing.T, dir string) {
	from, err := strconv.Atoi(os.Getenv(crashFrom))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Bucket(t.Context(), "crash")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for writer := range crashWriters {
		wg.Go(func() {
			for n := from; ; n++ {
				if err := (crashWrite{writer, n}).do(t.Context(), b); err != nil {
					fmt.Printf("error %v\n", err)
					return
				}
				// One write of a short line is whole or not at all.
				fmt.Printf("answered %d %d\n", writer, n)
			}
		})
	}
	wg.Wait()
}

// killWriter runs a process that writes and kills it after a number of answers.
// It notes the last answer about each key and returns the greatest number that a
// write may have had.
func killWriter(t *testing.T, dir string, from, answers int, answered map[string]crashWrite, all map[crashWrite]bool) (last int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrash$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashFrom+"="+strconv.Itoa(from))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	last = from
	for n := 1; lines.Scan(); n++ {
		var w crashWrite
		if _, err := fmt.Sscanf(lines.Text(), "answered %d %d", &w.writer, &w.number); err != nil {
			t.Errorf("the process said %q", lines.Text())
			break
		}
		answered[w.key()] = w
		all[w] = true
		last = max(last, w.number+1)
		if n == answers {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return last
}

// verifyCrash holds that each key has what was answered last, or what a later
// write put whose answer was not heard, and all of it.
func verifyCrash(t *testing.T, b store.Bucket, answered map[string]crashWrite) {
	t.Helper()
	for key, last := range answered {
		o, err := b.Get(t.Context(), key, nil)
		// The next write of this key may have been done, too.
		next := crashWrite{last.writer, last.number + crashKeys}
		if errors.Is(err, fs.ErrNotExist) {
			if !last.deletes() && !next.deletes() {
				t.Errorf("%s is missing, write %d was answered", key, last.number)
			}
			continue
		}
		if err != nil {
			t.Errorf("get %s: %v", key, err)
			continue
		}
		got, err := io.ReadAll(o.Body)
		o.Body.Close()
		number, _ := strconv.Atoi(o.User["number"])
		if err != nil || number < last.number {
			t.Errorf("%s has write %d, %v, but %d was answered", key, number, err, last.number)
		}
		w := crashWrite{last.writer, number}
		if want := bytes.Join(w.parts(), nil); !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes that are not the %d of write %d", key, len(got), len(want), number)
		}
		answered[key] = w
	}
	page, err := b.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range page.Objects {
		if _, known := answered[o.Key]; known {
			continue
		}
		// No answer about this key was heard, so it has what its first write put.
		if got := get(t, b, o.Key); int64(len(got)) != o.Size {
			t.Errorf("%s has %d bytes of %d", o.Key, len(got), o.Size)
		}
	}
}

// verifyVersions holds that every put that was answered is a version, in its order,
// with its content.
func verifyVersions(t *testing.T, b store.Bucket, all map[crashWrite]bool) {
	t.Helper()
	there := make(map[crashWrite]bool)
	last := make(map[string]int)
	opts := new(store.ListVersionsOptions)
	for page := (&store.VersionsPage{More: true}); page.More; {
		var err error
		if page, err = b.ListVersions(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		opts.AfterKey, opts.AfterVersion = page.NextKey, page.NextVersion
		for _, v := range page.Versions {
			if v.IsMarker || strings.HasSuffix(v.Key, "versions") {
				continue
			}
			o, err := b.Get(t.Context(), v.Key, &store.GetOptions{Version: v.Info.Version})
			if err != nil {
				t.Errorf("get version %s of %s: %v", v.Info.Version, v.Key, err)
				continue
			}
			got, err := io.ReadAll(o.Body)
			o.Body.Close()
			var w crashWrite
			fmt.Sscanf(v.Key, "w%d/", &w.writer)
			w.number, _ = strconv.Atoi(o.User["number"])
			if want := bytes.Join(w.parts(), nil); err != nil || !bytes.Equal(got, want) {
				t.Errorf("version %d of %s has %d bytes, %v, that are not its %d", w.number, v.Key, len(got), err, len(want))
			}
			if before, ok := last[v.Key]; ok && before <= w.number {
				t.Errorf("version %d of %s comes after version %d", w.number, v.Key, before)
			}
			last[v.Key] = w.number
			there[w] = true
		}
	}
	for w := range all {
		if !w.deletes() && !there[w] {
			t.Errorf("version %d of %s is missing", w.number, w.key())
		}
	}
}

// endUploads aborts what a crash interrupted.
func endUploads(t *testing.T, b store.Bucket) {
	t.Helper()
	page, err := b.ListUploads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range page.Uploads {
		if err := b.AbortUpload(t.Context(), u.Key, u.ID, nil); err != nil {
			t.Error(err)
		}
	}
}
