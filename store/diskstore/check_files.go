package diskstore

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// walkFiles looks at all files. Those of writes that are under way have a pin from
// before they have a name until after they have a row.
func (c *checker) walkFiles() error {
	dirs := []string{c.s.tmpDir()}
	for n := range shards {
		dirs = append(dirs, c.s.shardDir(n))
	}
	for n, dir := range dirs {
		err := c.s.disk.list(dir, func(name string) error {
			if err := c.ctx.Err(); err != nil {
				return err
			}
			return c.file(dir, name, n-1)
		})
		if errors.Is(err, fs.ErrNotExist) {
			c.found(Finding{Kind: Missing}, "the directory %s is gone", filepath.Base(dir))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file looks at a file of a directory, whose number is below 0 for that of files
// that are being written.
func (c *checker) file(dir, name string, shard int) error {
	info, err := c.s.disk.stat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	id, ok := parseBlobID(name)
	if !ok || !info.Mode().IsRegular() || shard >= 0 && id.shard() != shard {
		c.found(Finding{Kind: StrayFile}, "%s is none of the store's", filepath.Join(filepath.Base(dir), name))
		return nil
	}
	r := ref{file, id}
	if b, ok := c.blobs[r]; ok && shard >= 0 {
		c.have(r, b, info.Size())
		return nil
	}
	left, err := c.leftOver(id, shard < 0)
	if err != nil || !left {
		return err
	}
	// What a write under way gave up is gone by now.
	if _, err := c.s.disk.stat(filepath.Join(dir, name)); err != nil {
		return nil
	}
	at := Finding{Kind: LeftOver, Blob: id.String(), mend: func() (*change, error) { return c.remove(id, filepath.Join(dir, name), shard < 0) }}
	c.found(at, "nothing refers to a file of %d bytes", info.Size())
	return nil
}

// leftOver reports whether a file that no row of the snapshot refers to is not one
// of a write or a removal under way either.
func (c *checker) leftOver(id blobID, tmp bool) (bool, error) {
	if c.s.pins.has(id) {
		return false, nil
	}
	if tmp {
		return true, nil
	}
	err := c.s.view(blobKey(spaceRefs, id), func([]byte) error { return nil })
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return !c.s.pins.has(id), nil
}
