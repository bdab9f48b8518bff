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
	err = store.CheckKey(key)
	if err == nil {
		err = store.CheckPlain(opts.Version, store.SSE{})
	}
	if err == nil {
		err = b.s.deleteAll(st, []string{key}, opts.IfMatch)
	}
	if err != nil {
		return nil, b.fail("delete", key, err)
	}
	return new(store.Deleted), nil
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
	done := make([]store.Deleted, len(targets))
	good := make([]string, 0, len(targets))
	for i, t := range targets {
		err := store.CheckKey(t.Key)
		if err == nil {
			err = store.CheckPlain(t.Version, store.SSE{})
		}
		if err != nil {
			done[i].Err = b.fail("delete", t.Key, err)
		} else {
			good = append(good, t.Key)
		}
	}
	if err := b.s.deleteAll(st, good, nil); err != nil {
		return nil, b.fail("delete many", "", err)
	}
	return done, nil
}

// Versioning implements store.Bucket.
func (b *bucket) Versioning(ctx context.Context) (store.Versioning, error) {
	return store.Unversioned, nil
}

// SetVersioning implements store.Bucket. The bucket keeps no versions.
func (b *bucket) SetVersioning(context.Context, store.Versioning) error {
	return b.fail("set versioning", "", fmt.Errorf("versions: %w", errors.ErrUnsupported))
}

// ListVersions implements store.Bucket. The bucket keeps no versions.
func (b *bucket) ListVersions(context.Context, *store.ListVersionsOptions) (*store.VersionsPage, error) {
	return nil, b.fail("list versions", "", fmt.Errorf("versions: %w", errors.ErrUnsupported))
}

func (s *Store) deleteAll(st *state, keys, ifMatch []string) error {
	c := s.begin()
	defer c.close()
	err := func() error {
		release, err := hold(st)
		if err != nil {
			return err
		}
		defer release()
		locks := make([]uint64, len(keys))
		for i, key := range keys {
			locks[i] = s.keys.object(st, key)
		}
		defer s.keys.lock(locks...)()
		seen := make(map[string]bool, len(keys))
		for _, key := range keys {
			if seen[key] {
				continue
			}
			seen[key] = true
			o, err := s.object(st, key)
			if err == nil {
				err = checkWrite(ifMatch, nil, o)
			}
			if err != nil {
				return err
			}
			if o != nil {
				c.replace(o)
				c.delete(objectKey(st.id, key))
			}
		}
		return c.apply()
	}()
	if err != nil {
		return err
	}
	return c.settle()
}
