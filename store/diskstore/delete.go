package diskstore

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/cubby-storage/cubby/store"
)

// Delete implements [store.Bucket].
func (b *bucket) Delete(ctx context.Context, key string, opts *store.DeleteOptions) error {
	st, err := b.enter(ctx)
	if err != nil {
		return b.fail("delete", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.DeleteOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return b.fail("delete", key, err)
	}
	if err := store.CheckPlain(opts.Version, store.SSE{}); err != nil {
		return b.fail("delete", key, err)
	}
	return b.fail("delete", key, b.s.deleteAll(st, []string{key}, opts.IfMatch))
}

// DeleteMany implements [store.Bucket]. All keys are deleted by one write.
func (b *bucket) DeleteMany(ctx context.Context, keys []string) ([]error, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("delete many", "", err)
	}
	defer b.s.running.Done()
	if len(keys) > store.MaxPage {
		err := fmt.Errorf("%d keys, at most %d are allowed: %w", len(keys), store.MaxPage, fs.ErrInvalid)
		return nil, b.fail("delete many", "", err)
	}
	errs := make([]error, len(keys))
	good := make([]string, 0, len(keys))
	for i, key := range keys {
		if err := store.CheckKey(key); err != nil {
			errs[i] = b.fail("delete", key, err)
		} else {
			good = append(good, key)
		}
	}
	if err := b.s.deleteAll(st, good, nil); err != nil {
		return nil, b.fail("delete many", "", err)
	}
	return errs, nil
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
