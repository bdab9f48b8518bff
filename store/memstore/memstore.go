// Package memstore keeps objects in memory. It is the fake that tests of all
// other packages use: complete, atomic, and gone with the process.
//
// The zero [Bucket] is ready for use; [New] returns a [Store] of many. Encryption by
// keys that [Options] do not have fails with errors.ErrUnsupported. Errors are those of package store.
package memstore

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// Options are those of a Store or of a Bucket. The zero value is the default.
type Options struct {
	// Keys are the keyrings for encryption. Without them that is by the keys of
	// customers alone.
	Keys *crypt.Keys
	// Encrypt encrypts what is written without asking for it as AES256 would.
	Encrypt bool
}

// Store is a set of buckets in memory. The zero value is empty and ready for use.
type Store struct {
	Options Options // of its buckets; not to be changed once there are any

	mu      sync.RWMutex
	buckets map[string]*entry
}

type entry struct {
	bucket  *Bucket
	created time.Time
}

var _ store.Service = (*Store)(nil)

// New returns a Store without buckets.
func New() *Store { return new(Store) }

// Bucket implements store.Service.
func (s *Store) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, &store.Error{Op: "bucket", Bucket: name, Err: err}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.buckets[name]
	if e == nil {
		return nil, &store.Error{Op: "bucket", Bucket: name, Err: store.ErrNoBucket}
	}
	return e.bucket, nil
}

// Buckets implements store.Service.
func (s *Store) Buckets(ctx context.Context) ([]store.BucketInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, &store.Error{Op: "buckets", Err: err}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []store.BucketInfo
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		infos = append(infos, store.BucketInfo{Name: name, Created: s.buckets[name].created})
	}
	return infos, nil
}

// CreateBucket implements store.Service.
func (s *Store) CreateBucket(ctx context.Context, name string) error {
	if err := s.createBucket(ctx, name); err != nil {
		return &store.Error{Op: "create bucket", Bucket: name, Err: err}
	}
	return nil
}

func (s *Store) createBucket(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckBucketName(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return fs.ErrExist
	}
	if s.buckets == nil {
		s.buckets = make(map[string]*entry)
	}
	s.buckets[name] = &entry{&Bucket{Options: s.Options, name: name}, time.Now()}
	return nil
}

// DeleteBucket implements store.Service. What still holds the bucket finds that
// it does not exist.
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	if err := s.deleteBucket(ctx, name); err != nil {
		return &store.Error{Op: "delete bucket", Bucket: name, Err: err}
	}
	return nil
}

func (s *Store) deleteBucket(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.buckets[name]
	if e == nil {
		return store.ErrNoBucket
	}
	b := e.bucket
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.objects)+len(b.older)+len(b.uploads) > 0 {
		return store.ErrNotEmpty
	}
	b.removed = true
	delete(s.buckets, name)
	return nil
}
