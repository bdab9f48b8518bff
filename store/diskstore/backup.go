package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// Backup makes a copy of the store of one moment in dir, which must be empty or not
// be there. It may be called while the store is written to: what was answered before
// is in the copy, and no object is there in part. Files are linked where the file
// system can, since they never change, and copied where not; until Backup returns, the
// space of what is deleted is not free.
//
// The copy is a store, which was checked as [Store.Check] does without Content. If
// the error is not nil, what is in dir is no copy.
func (s *Store) Backup(ctx context.Context, dir string) (*Report, error) {
	r, err := s.backup(ctx, dir)
	if err != nil {
		return nil, &store.Error{Op: "back up store", Key: dir, Err: diskError(err)}
	}
	return r, nil
}

func (s *Store) backup(ctx context.Context, dir string) (_ *Report, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.running.Done()
	if p := s.failed.Load(); p != nil {
		return nil, fmt.Errorf("the store must be opened again first: %w", *p)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("the directory is not empty: %w", fs.ErrExist)
	}
	if err != nil {
		return nil, err
	}
	if err := s.copyTo(ctx, dir); err != nil {
		return nil, err
	}
	return verifyCopy(ctx, dir)
}

// copyTo copies the index, and then all files that it may refer to.
func (s *Store) copyTo(ctx context.Context, dir string) error {
	defer s.pins.hold(s)()
	if err := s.guard(func() error { return s.db.Checkpoint(filepath.Join(dir, "index"), pebble.WithFlushedWAL()) }); err != nil {
		return err
	}
	to := &Store{dir: dir}
	if err := os.Mkdir(to.tmpDir(), 0o700); err != nil {
		return err
	}
	for n := range shards {
		if err := os.MkdirAll(to.shardDir(n), 0o700); err != nil {
			return err
		}
		entries, err := os.ReadDir(s.shardDir(n))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, ok := parseBlobID(e.Name()); !ok {
				continue
			}
			err := s.linkOrCopy(filepath.Join(s.shardDir(n), e.Name()), filepath.Join(to.shardDir(n), e.Name()))
			// A write under way may have given up its file, which no row refers to.
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := syncDir(to.shardDir(n)); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(filepath.Join(dir, "blobs")), syncDir(dir))
}

func (s *Store) linkOrCopy(from, to string) error {
	if !s.opts.NoSync { // else the content may not be on the disk yet
		if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// verifyCopy opens the store in dir, which removes the files that its index does not
// refer to, and checks it.
func verifyCopy(ctx context.Context, dir string) (_ *Report, err error) {
	s, err := open(dir, &Options{NoSweep: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.sweep()
	if !s.swept.Load() {
		return nil, errors.New("files that belong to no object were not removed")
	}
	return s.check(ctx, nil)
}
