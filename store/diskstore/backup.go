package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

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
	if err := s.disk.mkdirAll(dir); err != nil {
		return nil, err
	}
	if dir, err = s.disk.resolve(dir); err != nil {
		return nil, err
	}
	err = s.disk.list(dir, func(string) error { return fmt.Errorf("the directory is not empty: %w", fs.ErrExist) })
	if err != nil {
		return nil, err
	}
	if err := s.copyTo(ctx, dir); err != nil {
		return nil, err
	}
	return s.verifyCopy(ctx, dir)
}

// copyTo copies the index, then the log, which goes on from there, and then all files
// that they may refer to.
func (s *Store) copyTo(ctx context.Context, dir string) error {
	defer s.pins.hold(s)()
	defer s.journal.hold()()
	if err := s.checkpoint(); err != nil {
		return err
	}
	if err := s.guard(func() error { return s.db.Checkpoint(filepath.Join(dir, "index")) }); err != nil {
		return err
	}
	if err := s.copyLog(ctx, filepath.Join(dir, "log")); err != nil {
		return err
	}
	to := &Store{dir: dir}
	if err := s.disk.mkdirAll(to.tmpDir()); err != nil {
		return err
	}
	for n := range shards {
		if err := s.disk.mkdirAll(to.shardDir(n)); err != nil {
			return err
		}
		err := s.disk.list(s.shardDir(n), func(name string) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, ok := parseBlobID(name); !ok {
				return nil
			}
			err := s.linkOrCopy(filepath.Join(s.shardDir(n), name), filepath.Join(to.shardDir(n), name))
			// A write under way may have given up its file, which no row refers to.
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := s.disk.syncDir(to.shardDir(n)); err != nil {
			return err
		}
	}
	return errors.Join(s.disk.syncDir(filepath.Join(dir, "blobs")), s.disk.syncDir(dir), syncAbove(s.disk, dir))
}

// copyLog copies the log as it is now. Segments that are not written to any more are
// linked where that is possible.
func (s *Store) copyLog(ctx context.Context, dir string) error {
	if err := s.disk.mkdirAll(dir); err != nil {
		return err
	}
	j := s.journal
	j.gate.Lock()
	end, counts := j.end(), j.counts()
	j.gate.Unlock()
	if err := s.flush(); err != nil {
		return err
	}
	for _, c := range counts {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, to := j.path(c.id), filepath.Join(dir, segmentName(c.id))
		var err error
		if c.id == end.segment {
			err = s.copyFile(from, to, c.used)
		} else {
			err = s.linkOrCopy(from, to)
		}
		if err != nil {
			return err
		}
	}
	return s.disk.syncDir(dir)
}

func (s *Store) linkOrCopy(from, to string) error {
	if !s.opts.NoSync { // else the content may not be on the disk yet
		if err := s.disk.link(from, to); err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.copyFile(from, to, 1<<62)
}

// copyFile copies a file, or the first bytes of one.
func (s *Store) copyFile(from, to string, size int64) error {
	in, err := s.disk.open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := s.disk.create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, size))
	if err == nil {
		err = out.syncData()
	}
	return errors.Join(err, out.Close())
}

// verifyCopy opens the store in dir, which removes the files that its index does not
// refer to, and checks it.
func (s *Store) verifyCopy(ctx context.Context, dir string) (_ *Report, err error) {
	c, err := open(dir, &Options{NoSweep: true, fs: s.opts.fs, disk: s.disk})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.sweep()
	if !c.swept.Load() {
		return nil, errors.New("files that belong to no object were not removed")
	}
	return c.check(ctx, nil)
}
