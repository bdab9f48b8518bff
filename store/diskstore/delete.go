package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cubby-storage/cubby/store"
)

// Delete implements [store.Bucket].
func (b *bucket) Delete(ctx context.Context, key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("delete", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.DeleteOptions)
	}
	t := store.Target{Key: key, Version: opts.Version}
	if err := checkTarget(&t); err != nil {
		return nil, b.fail("delete", key, err)
	}
	done, err := b.s.deleteAll(st, []store.Target{t}, opts.IfMatch)
	if err != nil {
		return nil, b.fail("delete", key, err)
	}
	return &done[0], nil
}

// checkTarget reports whether there can be such a target.
func checkTarget(t *store.Target) error {
	err := store.CheckKey(t.Key)
	if err == nil {
		_, err = parseVersion(t.Version)
	}
	if errors.Is(err, store.ErrNoVersion) {
		return nil
	}
	return err
}

// DeleteMany implements [store.Bucket]. All keys are deleted by one write.
func (b *bucket) DeleteMany(ctx context.Context, targets []store.Target) ([]store.Deleted, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("delete many", "", err)
	}
	defer b.s.running.Done()
	if len(targets) > store.MaxPage {
		err := fmt.Errorf("%d keys, at most %d are allowed: %w", len(targets), store.MaxPage, fs.ErrInvalid)
		return nil, b.fail("delete many", "", err)
	}
	all := make([]store.Deleted, len(targets))
	good := make([]store.Target, 0, len(targets))
	at := make([]int, 0, len(targets))
	for i, t := range targets {
		if err := checkTarget(&t); err != nil {
			all[i].Err = b.fail("delete", t.Key, err)
		} else {
			good, at = append(good, t), append(at, i)
		}
	}
	done, err := b.s.deleteAll(st, good, nil)
	if err != nil {
		return nil, b.fail("delete many", "", err)
	}
	for i, d := range done {
		d.Err = b.fail("delete", good[i].Key, d.Err)
		all[at[i]] = d
	}
	return all, nil
}

// deleteAll deletes what is named, by one change for all targets of different keys:
// of those of one key each sees what the one before it left. The error is set only
// if nothing was deleted.
func (s *Store) deleteAll(st *state, targets []store.Target, ifMatch []string) ([]store.Deleted, error) {
	done := make([]store.Deleted, len(targets))
	rest := make([]int, len(targets))
	for i := range rest {
		rest[i] = i
	}
	var changes []*change // that are applied
	err := func() error {
		release, err := hold(st)
		if err != nil {
			return err
		}
		defer release()
		locks := make([]uint64, len(targets))
		for i := range targets {
			locks[i] = s.keys.object(st, targets[i].Key)
		}
		defer s.keys.lock(locks...)()
		for len(rest) > 0 {
			c := s.begin()
			var later []int
			seen := make(map[string]bool, len(rest))
			for _, i := range rest {
				if seen[targets[i].Key] {
					later = append(later, i)
					continue
				}
				seen[targets[i].Key] = true
				if done[i], err = s.deleteOne(c, st, targets[i], ifMatch); err != nil {
					c.close()
					return err
				}
			}
			if err := c.apply(); err != nil {
				c.close()
				return err
			}
			changes = append(changes, c)
			rest = later
		}
		return nil
	}()
	if err != nil && len(changes) > 0 {
		// What comes before is deleted.
		for _, i := range rest {
			done[i] = store.Deleted{Err: err}
		}
		err = nil
	}
	if err == nil {
		err = settleAll(changes)
	}
	if err != nil {
		return nil, err
	}
	return done, nil
}

// settleAll settles and closes changes that are applied.
func settleAll(changes []*change) (err error) {
	for _, c := range changes {
		if err == nil {
			err = c.settle()
		}
		c.close()
	}
	return err
}

// deleteOne deletes in c what is named. The caller holds the locks.
func (s *Store) deleteOne(c *change, st *state, t store.Target, ifMatch []string) (store.Deleted, error) {
	versioning := st.versioning()
	if t.Version != "" && (versioning != store.Unversioned || t.Version != store.NullVersion) {
		return s.deleteVersion(c, st, t, ifMatch)
	}
	o, err := s.object(st, t.Key)
	if err == nil {
		err = checkWrite(ifMatch, nil, o)
	}
	switch {
	case err != nil:
		return store.Deleted{}, err
	case versioning != store.Unversioned:
		return s.cover(c, st, t.Key, o)
	case o != nil:
		if err := s.discard(c, st, o); err != nil {
			return store.Deleted{}, err
		}
		c.delete(objectKey(st.id, t.Key))
	}
	return store.Deleted{}, nil
}
