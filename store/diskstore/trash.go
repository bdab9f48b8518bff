package diskstore

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// Trashed is an object that was deleted or overwritten and can be had back.
type Trashed struct {
	store.Info
	ID      string    // which of those with its key it is
	Deleted time.Time // or overwritten
}

// ListTrashOptions are the options of ListTrash. The zero value is the default.
type ListTrashOptions struct {
	Prefix string // what the keys start with
	After  string // where to go on: the Next of the page before
	Limit  int    // most objects in a page; 0 means store.MaxPage, which is the most there can be
}

// TrashPage is a page of what is in the trash, by key, and of each key the latest first.
type TrashPage struct {
	Objects []Trashed
	Next    string // the After of the next page, "" if this is the last
}

// UndeleteOptions are the options of Undelete. The zero value is the default.
type UndeleteOptions struct {
	// ID says which of the objects of the key is meant. By default it is what was
	// deleted or overwritten last.
	ID string
	// Force puts the object back where there is another, which goes to the trash.
	Force bool
}

// EmptyTrashOptions are the options of EmptyTrash. The zero value empties all of it.
type EmptyTrashOptions struct {
	Prefix string        // what the keys start with
	Age    time.Duration // since they were deleted or overwritten; 0 means any
	After  string        // where to go on: the Next of the call before
	Limit  int           // objects to look at; 0 means all
}

// Emptied is what EmptyTrash did.
type Emptied struct {
	Objects int64  // that are gone for good
	Bytes   int64  // which they had
	Next    string // the After of the next call; "" if all were looked at
}

// SetTrash says whether what is deleted or overwritten in a bucket can be had back, from
// now on until the store is closed; at first it cannot. What is in the trash stays there
// until EmptyTrash is called or the bucket is deleted. A bucket that keeps versions puts
// nothing there. It holds for a bucket that is deleted and made again, too.
func (s *Store) SetTrash(ctx context.Context, bucket string, keep bool) error {
	st, err := s.enterBucket(ctx, bucket)
	if err == nil {
		defer s.running.Done()
		s.setTrash(st, keep)
	}
	return trashError("set trash", bucket, "", err)
}

func (s *Store) setTrash(st *state, keep bool) {
	s.bucketsMu.Lock()
	defer s.bucketsMu.Unlock()
	s.trash[st.name] = keep
	if now := s.buckets[st.name]; now != nil {
		now.trash.Store(keep)
	}
}

// enterBucket begins a method of a bucket. Unless there is an error it ends with
// s.running.Done.
func (s *Store) enterBucket(ctx context.Context, name string) (*state, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	st, err := s.find(name)
	if err != nil {
		s.running.Done()
	}
	return st, err
}

func trashError(op, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	return &store.Error{Op: op, Bucket: bucket, Key: key, Err: diskError(err)}
}

// trashPrefix returns the start of the keys of the rows of the trash.
func trashPrefix(b bucketID) []byte {
	row := versionsPrefix(b)
	row[0] = spaceTrash
	return row
}

func trashKey(b bucketID, key string, id store.VersionID) []byte {
	row := versionKey(b, key, id)
	row[0] = spaceTrash
	return row
}

// discard drops the object that the change takes the place of, if any, in a bucket that
// keeps no versions. The caller holds the locks.
func (s *Store) discard(c *change, st *state, old *object) error {
	if old == nil || !st.trash.Load() {
		c.replace(old)
		return nil
	}
	return s.throw(c, st, old)
}

// throw moves the object to the trash. The caller sets or deletes the row it had.
func (s *Store) throw(c *change, st *state, old *object) error {
	last, err := s.lastTrashed(st, old.Key)
	if err != nil {
		return err
	}
	c.set(trashKey(st.id, old.Key, store.NewVersionID(s.now(), last)), old.encode())
	return nil
}

// lastTrashed returns the latest id of a key in the trash, or zero.
func (s *Store) lastTrashed(st *state, key string) (last store.VersionID, err error) {
	err = s.scan(appendVersions(trashPrefix(st.id), key), func(row, _ []byte) error {
		_, last, _ = splitVersion(row[1+bucketIDSize:])
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return last, err
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// trashed returns an object in the trash, or nil if it is not there.
func (s *Store) trashed(st *state, key string, id store.VersionID) (*object, error) {
	o, err := rowAt(s.db, key, trashKey(st.id, key, id), false)
	if o != nil {
		o.id, o.trash = id, true
	}
	return o, err
}

// trashTime returns when an object was moved to the trash.
func trashTime(id store.VersionID) time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(id[:]))).UTC()
}

// trashPosition returns the After of a row, without its prefix, and trashAfter the row
// after that.
func trashPosition(row []byte) string { return base64.RawURLEncoding.EncodeToString(row) }

func trashAfter(b bucketID, after string) ([]byte, error) {
	rest, err := base64.RawURLEncoding.DecodeString(after)
	if err == nil {
		_, _, ok := splitVersion(rest)
		if ok {
			return append(append(trashPrefix(b), rest...), 0), nil
		}
	}
	return nil, fmt.Errorf("position %.64q in the trash: %w", after, fs.ErrInvalid)
}

// scanTrash calls f with the rows of the trash of one moment whose keys start with a
// prefix and that come after a position.
func (s *Store) scanTrash(ctx context.Context, st *state, prefix, after string, f func(key string, id store.VersionID, position, row []byte) error) error {
	o := within(appendEscaped(trashPrefix(st.id), prefix))
	if after != "" {
		start, err := trashAfter(st.id, after)
		if err != nil {
			return err
		}
		if o.LowerBound = []byte(max(string(start), string(o.LowerBound))); o.UpperBound != nil && string(o.LowerBound) >= string(o.UpperBound) {
			return nil
		}
	}
	return s.scanRange(o, func(k, row []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		position := k[1+bucketIDSize:]
		key, id, ok := splitVersion(position)
		if !ok {
			return fmt.Errorf("row of the trash: %w", errCorrupt)
		}
		return f(key, id, position, row)
	})
}

// ListTrash returns a page of what can be had back of a bucket.
func (s *Store) ListTrash(ctx context.Context, bucket string, opts *ListTrashOptions) (*TrashPage, error) {
	if opts == nil {
		opts = new(ListTrashOptions)
	}
	p := new(TrashPage)
	st, err := s.enterBucket(ctx, bucket)
	if err == nil {
		defer s.running.Done()
		err = s.listTrash(ctx, st, opts, p)
	}
	if err != nil {
		return nil, trashError("list trash", bucket, "", err)
	}
	return p, nil
}

func (s *Store) listTrash(ctx context.Context, st *state, opts *ListTrashOptions, p *TrashPage) error {
	limit := opts.Limit
	if limit == 0 {
		limit = store.MaxPage
	}
	if limit < 0 || limit > store.MaxPage {
		return fmt.Errorf("limit %d: %w", opts.Limit, fs.ErrInvalid)
	}
	last := ""
	err := s.scanTrash(ctx, st, opts.Prefix, opts.After, func(key string, id store.VersionID, position, row []byte) error {
		if len(p.Objects) == limit {
			p.Next = last
			return errEnough
		}
		o, err := decodeObject(key, row)
		if err != nil {
			return err
		}
		p.Objects = append(p.Objects, Trashed{o.Info, id.String(), trashTime(id)})
		last = trashPosition(position)
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Undelete puts back an object that was deleted or overwritten, as if it were written
// now. In a bucket that keeps versions it takes away the delete marker that hides the
// object. If there is nothing to put back the error is fs.ErrNotExist, and if there is an
// object in its place, and no Force, it is fs.ErrExist.
func (s *Store) Undelete(ctx context.Context, bucket, key string, opts *UndeleteOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(UndeleteOptions)
	}
	var o *object
	st, err := s.enterBucket(ctx, bucket)
	if err == nil {
		defer s.running.Done()
		o, err = s.undelete(st, key, opts)
	}
	if err != nil {
		return nil, trashError("undelete", bucket, key, err)
	}
	return &o.Info, nil
}

func (s *Store) undelete(st *state, key string, opts *UndeleteOptions) (o *object, err error) {
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	var id store.VersionID
	if opts.ID != "" {
		if id, err = store.ParseVersionID(opts.ID); errors.Is(err, store.ErrNoVersion) {
			err = fs.ErrNotExist
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.space.check(s, 0); err != nil {
		return nil, err
	}
	c := s.begin()
	defer c.close()
	err = func() error {
		release, err := hold(st)
		if err != nil {
			return err
		}
		defer release()
		defer s.keys.lock(s.keys.object(st, key))()
		o, err = s.putBack(c, st, key, id, opts.Force)
		return err
	}()
	if err == nil {
		err = c.settle()
	}
	return o, err
}

// putBack applies c, with which an object is back. The caller holds the locks.
func (s *Store) putBack(c *change, st *state, key string, id store.VersionID, force bool) (*object, error) {
	current, err := s.object(st, key)
	if err != nil {
		return nil, err
	}
	if current != nil && !force {
		return nil, fs.ErrExist
	}
	versioned := st.versioning() != store.Unversioned
	if id.IsZero() && current == nil && versioned {
		if o, err := s.unhide(c, st, key); err != nil || o != nil {
			return o, err
		}
	}
	if id.IsZero() {
		if id, err = s.lastTrashed(st, key); err != nil {
			return nil, err
		}
	}
	o, err := s.trashed(st, key, id)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fs.ErrNotExist
	}
	c.delete(trashKey(st.id, key, id))
	o.edition = edition{}
	if versioned {
		return o, s.replace(c, st, o, nil, nil)
	}
	if current != nil {
		if err := s.throw(c, st, current); err != nil {
			return nil, err
		}
	}
	o.ModTime = s.now()
	c.set(objectKey(st.id, key), o.encode())
	return o, c.apply()
}

// unhide takes away the delete marker that hides an object, if one does, and applies c.
func (s *Store) unhide(c *change, st *state, key string) (*object, error) {
	marker, err := olderAt(s.db, st, key, store.VersionID{})
	if err != nil || marker == nil || !marker.marker {
		return nil, err
	}
	o, err := olderAt(s.db, st, key, marker.id)
	if err != nil || o == nil || o.marker {
		return nil, err
	}
	c.forget(st, marker)
	if err := s.uncover(c, st, key, marker.id); err != nil {
		return nil, err
	}
	o.Version = st.versionOf(&o.edition)
	return o, c.apply()
}

// EmptyTrash removes for good what is in the trash of a bucket. Where ctx ends, the
// result says how far it came.
func (s *Store) EmptyTrash(ctx context.Context, bucket string, opts *EmptyTrashOptions) (*Emptied, error) {
	if opts == nil {
		opts = new(EmptyTrashOptions)
	}
	done := &Emptied{Next: opts.After}
	st, err := s.enterBucket(ctx, bucket)
	if err == nil {
		defer s.running.Done()
		if opts.Age < 0 || opts.Limit < 0 {
			err = fmt.Errorf("negative age or limit: %w", fs.ErrInvalid)
		} else {
			err = s.emptyTrash(ctx, st, opts, done)
		}
	}
	return done, trashError("empty trash", bucket, "", err)
}

func (s *Store) emptyTrash(ctx context.Context, st *state, opts *EmptyTrashOptions, done *Emptied) error {
	before := s.now().Add(-opts.Age)
	x := &expiry{s: s, st: st}
	left := opts.Limit
	for {
		var old []expired
		position := ""
		full := false
		seen := 0
		err := s.scanTrash(ctx, st, opts.Prefix, done.Next, func(key string, id store.VersionID, at, _ []byte) error {
			if full = len(old) == expireTogether || seen == expireScan || opts.Limit > 0 && left == 0; full {
				return errEnough
			}
			seen++
			left--
			if opts.Age == 0 || trashTime(id).Before(before) {
				old = append(old, expired{key, id})
			}
			position = trashPosition(at)
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		var bytes int64
		n, err := x.delete(old, func(c *change, st *state, at expired) (bool, error) {
			o, err := s.trashed(st, at.key, at.id)
			if err != nil || o == nil {
				return false, err
			}
			bytes += o.Size
			s.purge(c, st, o)
			return true, nil
		})
		if err != nil {
			return err
		}
		done.Objects += n
		done.Bytes += bytes
		if !full {
			done.Next = ""
			return nil
		}
		done.Next = position
		if opts.Limit > 0 && left <= 0 {
			return nil
		}
	}
}

// purge removes an object from the trash for good.
func (s *Store) purge(c *change, st *state, o *object) {
	c.replace(o)
	c.delete(trashKey(st.id, o.Key, o.id))
}

// purgeAll removes all of the trash of a bucket whose lock is held for writing.
func (s *Store) purgeAll(st *state) error {
	for full := true; full; {
		c := s.begin()
		n := 0
		err := s.scanTrash(context.Background(), st, "", "", func(key string, id store.VersionID, _, row []byte) error {
			o, err := decodeObject(key, row)
			if err != nil {
				return err
			}
			o.id = id
			s.purge(c, st, o)
			if n++; n == expireTogether {
				return errEnough
			}
			return nil
		})
		full = errors.Is(err, errEnough)
		if err == nil && n > 0 || full {
			err = c.commit()
		}
		c.close()
		if err != nil {
			return err
		}
	}
	return nil
}
