package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cubby-storage/cubby/store"
)

const (
	expireTogether = 64   // deletions that share a sync
	expireScan     = 4096 // rows that are looked at of one moment, and then the rest of their key
)

// ExpireOptions are the options of Expire. The zero value expires nothing.
type ExpireOptions struct {
	// Prefix is what the keys start with that are looked at.
	Prefix string
	// Age is the time after which an object is deleted that was not written again.
	// Where the bucket keeps versions that makes a delete marker. 0 means never.
	Age time.Duration
	// NoncurrentAge is the time after which an older version is deleted for good,
	// counted from when it was overwritten or hidden, and after which a delete
	// marker that hides nothing goes. 0 means never.
	NoncurrentAge time.Duration
	// After is where to go on: the Next of the call before.
	After string
	// Limit is how many rows are looked at, and then the rest of their key; 0 means all.
	Limit int
}

// Expired is what Expire did.
type Expired struct {
	Objects  int64  // that were deleted because of their Age
	Versions int64  // older ones and delete markers that were
	More     bool   // there are keys after Next that were not looked at
	Next     string // the After of the next call
}

// Expire deletes what is too old in a bucket. It may be called while the store is
// written to: what is overwritten or uncovered meanwhile stays. It takes the time of
// a list, or with NoncurrentAge alone that of a list of the keys with older
// versions. Where ctx ends, the result says how far it came.
func (s *Store) Expire(ctx context.Context, bucket string, opts *ExpireOptions) (*Expired, error) {
	err := s.enter(ctx)
	if err != nil {
		return nil, &store.Error{Op: "expire", Bucket: bucket, Err: err}
	}
	defer s.running.Done()
	if opts == nil {
		opts = new(ExpireOptions)
	}
	done := &Expired{Next: opts.After}
	st, err := s.find(bucket)
	if err == nil && (opts.Age < 0 || opts.NoncurrentAge < 0 || opts.Limit < 0) {
		err = fmt.Errorf("negative age or limit: %w", fs.ErrInvalid)
	}
	if err == nil {
		err = s.expireBucket(ctx, st, opts, done)
	}
	if err != nil {
		return done, &store.Error{Op: "expire", Bucket: bucket, Err: diskError(err)}
	}
	return done, nil
}

func (s *Store) expireBucket(ctx context.Context, st *state, opts *ExpireOptions, done *Expired) error {
	if opts.Age == 0 && opts.NoncurrentAge == 0 {
		return nil
	}
	x := &expiry{s: s, st: st, opts: opts, done: done, left: opts.Limit}
	if x.left == 0 {
		x.left = -1
	}
	now := s.now()
	if opts.Age > 0 {
		x.before = now.Add(-opts.Age)
	}
	if opts.NoncurrentAge > 0 {
		x.noncurrent = now.Add(-opts.NoncurrentAge)
	}
	for done.More = true; done.More && x.left != 0; {
		err := x.scan(ctx)
		if err == nil {
			err = x.flush()
		}
		if err != nil {
			return err
		}
		done.Next = x.next
	}
	return nil
}

// expiry is a pass of Expire.
type expiry struct {
	s                  *Store
	st                 *state
	opts               *ExpireOptions
	done               *Expired
	before, noncurrent time.Time // what was written or replaced before that is deleted; zero means nothing
	left               int       // rows to look at, or below 0 all
	next               string    // the last key that was looked at whole
	versions, latest   []expired
}

// expired is a version that was too old when it was looked at.
type expired struct {
	key string
	id  store.VersionID
}

// scan looks at the rows of one moment.
func (x *expiry) scan(ctx context.Context) (err error) {
	c, err := x.s.versions(ctx, x.st, x.opts.Prefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	start := x.opts.Prefix
	if x.done.Next >= start && x.done.Next != "" {
		start = x.done.Next + "\x00"
	}
	x.next = x.done.Next
	stands := c.Seek(start)
	for n := 0; n < expireScan && x.left != 0; {
		if x.before.IsZero() {
			stands = stands && c.skip()
		}
		if !stands {
			break
		}
		key := c.Key()
		rows, more, err := x.key(c, key)
		if err != nil {
			return err
		}
		n += rows
		if x.left > 0 {
			x.left = max(x.left-rows, 0)
		}
		x.next, stands = key, more
		if len(x.versions)+len(x.latest) >= expireTogether {
			if err := x.flush(); err != nil {
				return err
			}
			x.done.Next = key
		}
	}
	x.done.More = stands
	return c.Err()
}

// skip moves on to the next key with older versions, if c stands on one without.
func (c *versionCursor) skip() bool {
	if !c.hasOlder {
		return false
	}
	if c.hasCurrent && c.current.key < c.older.key {
		c.hasCurrent = c.current.Seek(c.older.key)
	}
	return c.stand("")
}

// key looks at the versions of a key, and moves c to the next one.
func (x *expiry) key(c *versionCursor, key string) (rows int, stands bool, err error) {
	var latest expired
	var marker, lone bool
	var replaced time.Time // when the version was that c stands on
	for stands = true; stands && c.Key() == key; stands = c.Next() {
		e, written, err := c.written()
		if err != nil {
			return rows, false, err
		}
		at := expired{key, e.id}
		switch rows++; {
		case rows == 1 && e.marker:
			latest, marker, lone = at, true, written.Before(x.noncurrent)
		case rows == 1 && written.Before(x.before):
			x.latest = append(x.latest, at)
		case rows == 1:
		case replaced.Before(x.noncurrent):
			x.versions = append(x.versions, at)
		default:
			lone = false
		}
		replaced = written
		if len(x.versions) >= expireTogether {
			if err := x.flush(); err != nil {
				return rows, false, err
			}
		}
	}
	if marker && lone {
		x.latest = append(x.latest, latest)
	}
	return rows, stands, c.Err()
}

// written returns which version c stands on, and when it was written.
func (c *versionCursor) written() (edition, time.Time, error) {
	it := c.older.it
	if c.onCurrent {
		it = c.current.it
	}
	row, err := it.ValueAndErr()
	if err != nil {
		return edition{}, time.Time{}, err
	}
	var info store.Info
	e, err := readHead(row, &info)
	return e, info.ModTime, err
}

// flush deletes what was found: first the older versions, and then what is the
// latest of its key, so that a delete marker hides nothing by then.
func (x *expiry) flush() error {
	n, err := x.delete(x.versions, x.s.expireVersion)
	x.done.Versions += n
	x.versions = x.versions[:0]
	if err != nil {
		return err
	}
	objects := int64(0)
	n, err = x.delete(x.latest, func(c *change, st *state, at expired) (bool, error) {
		o, err := x.s.object(st, at.key)
		switch {
		case err != nil:
			return false, err
		case o == nil:
			return x.s.expireMarker(c, st, at)
		case o.id != at.id || !o.ModTime.Before(x.before):
			return false, nil
		}
		objects++
		_, err = x.s.deleteOne(c, st, store.Target{Key: at.key}, nil)
		return err == nil, err
	})
	x.latest = x.latest[:0]
	if err == nil {
		x.done.Objects += objects
		x.done.Versions += n - objects
	}
	return err
}

// delete has f delete in one change what is to be deleted, and returns of how many
// f says that it did.
func (x *expiry) delete(all []expired, f func(*change, *state, expired) (bool, error)) (n int64, err error) {
	if len(all) == 0 {
		return 0, nil
	}
	s := x.s
	c := s.begin()
	defer c.close()
	err = func() error {
		release, err := hold(x.st)
		if err != nil {
			return err
		}
		defer release()
		locks := make([]uint64, len(all))
		for i := range all {
			locks[i] = s.keys.object(x.st, all[i].key)
		}
		defer s.keys.lock(locks...)()
		for _, at := range all {
			did, err := f(c, x.st, at)
			if err != nil {
				return err
			}
			if did {
				n++
			}
		}
		return c.apply()
	}()
	if err == nil {
		err = c.settle()
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// expireVersion deletes a version for good, if it is still among the older ones and
// not the latest.
func (s *Store) expireVersion(c *change, st *state, at expired) (bool, error) {
	o, err := rowAt(s.db, at.key, versionKey(st.id, at.key, at.id), true)
	if err != nil || o == nil {
		return false, err
	}
	if o.marker {
		latest, err := s.latestMarker(st, at.key)
		if err != nil || latest == at.id {
			return false, err
		}
	}
	c.replace(o)
	c.forget(st, o)
	return true, nil
}

// latestMarker returns the id of the delete marker that hides an object, or zero.
func (s *Store) latestMarker(st *state, key string) (id store.VersionID, err error) {
	o, err := s.object(st, key)
	if err != nil || o != nil {
		return id, err
	}
	m, err := olderAt(s.db, st, key, id)
	if err != nil || m == nil {
		return id, err
	}
	return m.id, nil
}

// expireMarker deletes a delete marker that is all there is of its key.
func (s *Store) expireMarker(c *change, st *state, at expired) (bool, error) {
	m, err := rowAt(s.db, at.key, versionKey(st.id, at.key, at.id), true)
	if err != nil || m == nil || !m.marker {
		return false, err
	}
	other, err := olderAt(s.db, st, at.key, at.id)
	if err != nil || other != nil {
		return false, err
	}
	c.forget(st, m)
	return true, nil
}
