package diskstore

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/cubby-storage/cubby/store"
)

const (
	staleEvery = time.Hour // how often stale uploads are looked for
	staleBatch = 16        // of them that share a sync
)

// expire aborts stale uploads, now and every hour, until the store is closed.
func (s *Store) expire() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.running.Go(func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	tick := time.NewTicker(staleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.abortStale(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// abortStale aborts the uploads that are stale by now, of all buckets. What goes
// wrong with one of them does not keep it from the others.
func (s *Store) abortStale(ctx context.Context) {
	before := s.now().Add(-s.opts.StaleUploads)
	s.bucketsMu.RLock()
	buckets := slices.Collect(maps.Values(s.buckets))
	s.bucketsMu.RUnlock()
	for _, st := range buckets {
		_, err := s.abortOld(ctx, st, func(u *store.Upload) bool { return u.Started.Before(before) })
		if err != nil && ctx.Err() == nil {
			s.warnStale(st, "", err)
		}
	}
}

// AbortUploads aborts the uploads of a bucket that are as old as age says of their key,
// and returns how many they were. 0 means that those of the key may have any age. What
// goes wrong with one of them does not keep it from the others.
func (s *Store) AbortUploads(ctx context.Context, bucket string, age func(key string) time.Duration) (n int64, err error) {
	if err = s.enter(ctx); err == nil {
		defer s.running.Done()
		var st *state
		if st, err = s.find(bucket); err == nil {
			now := s.now()
			n, err = s.abortOld(ctx, st, func(u *store.Upload) bool {
				most := age(u.Key)
				return most > 0 && u.Started.Before(now.Add(-most))
			})
		}
	}
	if err != nil {
		return n, &store.Error{Op: "abort uploads", Bucket: bucket, Err: diskError(err)}
	}
	return n, nil
}

// abortOld aborts the uploads of a bucket that are old, and returns how many.
func (s *Store) abortOld(ctx context.Context, st *state, old func(*store.Upload) bool) (n int64, err error) {
	var after *store.Upload
	for more := true; more && err == nil && s.failed.Load() == nil; {
		var stale []store.Upload
		stale, more, err = s.stale(ctx, st, after, old)
		if more {
			after = &stale[len(stale)-1]
		}
		n += s.abortAll(st, stale)
	}
	return n, err
}

func (s *Store) warnStale(st *state, key string, err error) {
	s.log.Warn("stale upload not aborted", slog.String("bucket", st.name), slog.String("key", key), slog.String("err", err.Error()))
}

// stale returns some of the uploads that are old and come after the one given, if any
// is, and whether there may be more after these.
func (s *Store) stale(ctx context.Context, st *state, after *store.Upload, old func(*store.Upload) bool) (stale []store.Upload, more bool, err error) {
	c, err := s.uploads(ctx, st, "", "")
	if err != nil {
		return nil, false, err
	}
	defer c.it.Close()
	if after == nil {
		more = c.Seek("")
	} else {
		more = c.SeekAfter(after.Key, after.ID)
	}
	for ; more && len(stale) < staleBatch; more = c.Next() {
		u, err := c.Upload()
		if err != nil {
			s.warnStale(st, c.Key(), err)
			continue
		}
		if old(&u) {
			stale = append(stale, u)
		}
	}
	return stale, more, c.Err()
}

// abortAll aborts uploads, and returns how many. Those that ended meanwhile are passed over.
func (s *Store) abortAll(st *state, uploads []store.Upload) (n int64) {
	var changes []*change
	for _, u := range uploads {
		c := s.begin()
		defer c.close()
		err := s.abort(c, st, u.Key, u.ID, new(store.UploadOptions))
		switch {
		case err == nil:
			changes = append(changes, c)
		case !errors.Is(err, store.ErrNoUpload) && !errors.Is(err, store.ErrNoBucket):
			s.warnStale(st, u.Key, err)
		}
	}
	for _, c := range changes {
		if err := c.settle(); err != nil {
			s.warnStale(st, "", err)
			continue
		}
		n++
	}
	return n
}
