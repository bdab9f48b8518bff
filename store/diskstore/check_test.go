package diskstore

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// check compares everything that the store holds with what its rows refer to:
// nothing may be missing, left over, or counted wrongly.
func check(t *testing.T, s *Store) {
	t.Helper()
	if s.closed || s.failed.Load() != nil {
		return
	}
	for s.reaping() {
		runtime.Gosched()
	}
	refs := make(map[ref]int64)
	walk := func(space byte, f func(key, row []byte)) {
		t.Helper()
		err := s.scan([]byte{space}, func(key, row []byte) error {
			f(key, row)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	fine := func(what string, key []byte, err error) bool {
		t.Helper()
		if err != nil {
			t.Errorf("%s %q: %v", what, key, err)
		}
		return err == nil
	}
	walk(spaceObject, func(key, row []byte) {
		o, err := decodeObject("", row)
		if fine("object", key, err) && o.content.kind != none {
			refs[o.content]++
		}
	})
	uploads, owned := make(map[uploadID]bool), make(map[uploadID]string)
	walk(spaceUpload, func(key, row []byte) {
		_, id, _ := splitUpload(key[len(uploadPrefix(bucketID{})):])
		uploads[id] = true
		u, err := decodeUpload(row)
		if fine("upload", key, err) && u.Owner != "" {
			owned[id] = u.Owner
		}
	})
	walk(spaceOwner, func(key, row []byte) {
		id := uploadID(key[len(key)-uploadIDSize:])
		owner := owned[id]
		delete(owned, id)
		if owner == "" || !bytes.HasPrefix(key, ownerPrefix(bucketID(key[1:1+bucketIDSize]), owner)) {
			t.Errorf("row %q for the lists of an owner belongs to no upload of theirs", key)
		}
	})
	for id := range owned {
		t.Errorf("upload %s is in no list of its owner", id)
	}
	walk(spacePart, func(key, row []byte) {
		if !uploads[uploadID(key[1:1+uploadIDSize])] {
			t.Errorf("part %q belongs to no upload", key)
		}
		p, err := decodePart(1, row)
		if fine("part", key, err) {
			for _, x := range p.extents {
				refs[x.ref]++
			}
		}
	})
	walk(spaceManifest, func(key, row []byte) {
		r := ref{manifest, blobID(key[1:])}
		if refs[r] == 0 {
			t.Errorf("manifest %s is left over", r.id)
		}
		parts, err := decodeManifest(row)
		if fine("manifest", key, err) {
			for _, x := range slices.Concat(parts...) {
				refs[x.ref]++
			}
		}
	})
	contents := make(map[blobID]bool)
	walk(spaceContent, func(key, _ []byte) { contents[blobID(key[1:])] = true })
	counts := make(map[blobID]int64)
	walk(spaceRefs, func(key, row []byte) {
		n, err := decodeCount(row)
		fine("count", key, err)
		counts[blobID(key[1:])] = n
	})
	files := make(map[blobID]bool)
	for _, path := range blobFiles(t, s) {
		id, ok := parseBlobID(filepath.Base(path))
		if !ok {
			t.Errorf("file %s has no name of a blob", path)
		}
		files[id] = true
	}
	for r, n := range refs {
		count, counted := counts[r.id]
		delete(counts, r.id)
		if counted && count != n || !counted && (n != 1 || r.kind == file) {
			t.Errorf("%s is referred to %d times, the count is %d", r.id, n, count)
		}
		switch r.kind {
		case inline:
			if !contents[r.id] {
				t.Errorf("content %s is missing", r.id)
			}
			delete(contents, r.id)
		case file:
			if !files[r.id] {
				t.Errorf("file %s is missing", r.id)
			}
			delete(files, r.id)
		}
	}
	for id := range maps.Keys(contents) {
		t.Errorf("content %s is left over", id)
	}
	for id := range maps.Keys(counts) {
		t.Errorf("count of %s is left over", id)
	}
	for id := range maps.Keys(files) {
		if !s.pins.has(id) {
			t.Errorf("file %s is left over", id)
		}
	}
}

// reaping reports whether files are still to be removed.
func (s *Store) reaping() bool {
	s.reaper.mu.Lock()
	defer s.reaper.mu.Unlock()
	return s.reaper.busy
}

// blobFiles returns the paths of all files of the store, but not those of its index.
func blobFiles(t *testing.T, s *Store) []string {
	t.Helper()
	var paths []string
	for _, dir := range []string{"blobs", "tmp"} {
		err := filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}
