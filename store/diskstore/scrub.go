package diskstore

import (
	"context"
	"errors"

	"github.com/cubby-storage/cubby/store"
)

// ScrubOptions are the options of Scrub. The zero value is the default.
type ScrubOptions struct {
	// Rate, if not nil, says how many bytes of content are read in a second at most,
	// where there are so many in all; 0 means no limit.
	Rate func(total int64) int64
	// Progress, if not nil, is told how much of the content was read.
	Progress func(done, total int64)
}

// Scrub reads all content and compares it with its entity tags, as Check does with
// Content, and nothing else: it does not compare counts and files, and needs no memory
// for each object. It may be called while the store is written to.
func (s *Store) Scrub(ctx context.Context, opts *ScrubOptions) (*Report, error) {
	if opts == nil {
		opts = new(ScrubOptions)
	}
	c := newChecker(ctx, s)
	err := s.enter(ctx)
	if err == nil {
		defer s.running.Done()
		if err = c.survey(); err == nil {
			how := &CheckOptions{Content: true, Progress: opts.Progress}
			if opts.Rate != nil {
				how.Rate = opts.Rate(c.report.Bytes)
			}
			err = c.contents(how)
		}
	}
	if err != nil {
		return nil, &store.Error{Op: "scrub store", Key: s.dir, Err: diskError(err)}
	}
	return &c.report, nil
}

// survey counts what there is to read.
func (c *checker) survey() (err error) {
	c.rowsAt = c.s.db.NewSnapshot()
	defer func() { err = errors.Join(err, c.rowsAt.Close()) }()
	for _, step := range []func() error{
		c.walkBuckets, c.walkUploads,
		func() error { return c.measureSpace(spaceObject, &c.report.Objects) },
		func() error { return c.measureSpace(spaceVersion, &c.report.Versions) },
		func() error { return c.measureSpace(spaceTrash, &c.report.Trash) },
		func() error { return c.measureSpace(spacePart, &c.report.Parts) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// measureSpace counts the rows of a space, and the bytes of their content.
func (c *checker) measureSpace(space byte, n *int64) error {
	return c.walk(space, func(key, row []byte) {
		var info store.Info
		if _, err := readHead(row, &info); err != nil {
			at := Finding{}
			if space != spacePart {
				_, at.Bucket, _, _ = c.bucketOf(key)
			}
			c.unreadable(at, "an object, a version or a part")
			return
		}
		*n++
		c.report.Bytes += info.Size
	})
}
