package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/diskstore"
)

const (
	firstPass    = 5 * time.Minute // after the start
	passEvery    = time.Hour
	passTogether = 2000 // rows that are looked at before a pause
	passPause    = 20 * time.Millisecond
)

// keeper deletes what is old enough in the embedded store.
type keeper struct {
	disk  *diskstore.Store
	log   *slog.Logger
	rules func() *Config // whose buckets count

	pass sync.Mutex // held while there is one
}

// run makes a pass every hour or so, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	wait := firstPass + rand.N(firstPass)
	for sleep(ctx, wait) {
		k.once(ctx)
		wait = passEvery - passEvery/10 + rand.N(passEvery/5)
	}
}

// sleep waits for d, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// gone is what a pass deleted in a bucket.
type gone struct{ objects, versions, uploads, trash int64 }

// once makes a pass over all buckets, unless another is under way. What goes wrong with
// one of them does not keep it from the others.
func (k *keeper) once(ctx context.Context) {
	if !k.pass.TryLock() {
		return
	}
	defer k.pass.Unlock()
	buckets, err := k.disk.Buckets(ctx)
	if err != nil {
		k.failed(ctx, "", err)
		return
	}
	for _, b := range buckets {
		set := Bucket{Name: b.Name}
		for _, s := range k.rules().Buckets {
			if s.Name == b.Name {
				set = s
			}
		}
		n, err := k.bucket(ctx, &set)
		if n != (gone{}) {
			k.log.InfoContext(ctx, "deleted what was old enough", "bucket", b.Name, "objects", n.objects, "versions", n.versions, "uploads", n.uploads, "trash", n.trash)
		}
		k.failed(ctx, b.Name, err)
	}
}

func (k *keeper) failed(ctx context.Context, bucket string, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrNoBucket) {
		k.log.ErrorContext(ctx, "what is old was not deleted", "bucket", bucket, "error", shorten(err.Error(), ""))
	}
}

// bucket makes a pass over one bucket.
func (k *keeper) bucket(ctx context.Context, b *Bucket) (n gone, err error) {
	if n.uploads, err = k.disk.AbortUploads(ctx, b.Name, b.uploadAge); err != nil {
		return n, err
	}
	for i := range b.Lifecycle {
		r := &b.Lifecycle[i]
		opts := diskstore.ExpireOptions{Prefix: r.Prefix, Age: time.Duration(r.Expire), NoncurrentAge: time.Duration(r.Noncurrent), Limit: passTogether}
		for more := true; more; {
			done, err := k.disk.Expire(ctx, b.Name, &opts)
			if done != nil {
				n.objects += done.Objects
				n.versions += done.Versions
			}
			if err != nil {
				return n, err
			}
			opts.After, more = done.Next, done.More
			if more && !sleep(ctx, passPause) {
				return n, ctx.Err()
			}
		}
	}
	// What was put there before the setting was taken away stays as long as by default.
	opts := diskstore.EmptyTrashOptions{Age: b.Trash.or(0), Limit: passTogether}
	if opts.Age == 0 {
		opts.Age = trashAge
	}
	for more := true; more; {
		done, err := k.disk.EmptyTrash(ctx, b.Name, &opts)
		n.trash += done.Objects
		if err != nil {
			return n, err
		}
		opts.After, more = done.Next, done.Next != ""
		if more && !sleep(ctx, passPause) {
			return n, ctx.Err()
		}
	}
	return n, nil
}

// trashAge is how long the trash of a bucket is kept that has none by now.
const trashAge = 30 * day

// keepable reports settings of buckets that the store cannot do.
func (c *Config) keepable(disk *diskstore.Store) error {
	if disk != nil {
		return nil
	}
	for _, b := range c.Buckets {
		if b.kept() {
			return fmt.Errorf("bucket %s: lifecycle and trash need the embedded store, this server has another: %w", b.Name, errors.ErrUnsupported)
		}
	}
	return nil
}

// setBuckets gives the buckets what the settings say beside rules.
func (s *Server) setBuckets(ctx context.Context, c *Config) error {
	if s.objects != nil {
		all, err := s.objects.Buckets(ctx)
		if err != nil {
			return err
		}
		for _, b := range all {
			keep := slices.ContainsFunc(c.Buckets, func(set Bucket) bool { return set.Name == b.Name && set.Trash.or(0) > 0 })
			if err := s.objects.SetTrash(ctx, b.Name, keep); err != nil && !errors.Is(err, store.ErrNoBucket) {
				return fmt.Errorf("trash of bucket %s: %w", b.Name, err)
			}
		}
	}
	for _, b := range c.Buckets {
		want, err := b.Versioning.state()
		if err != nil {
			return err
		}
		if want == store.Unversioned {
			continue
		}
		if err := s.setVersioning(ctx, b.Name, want); err != nil {
			return fmt.Errorf("versioning of bucket %s: %w", b.Name, err)
		}
	}
	return nil
}

func (s *Server) setVersioning(ctx context.Context, name string, want store.Versioning) error {
	b, err := s.svc.Bucket(ctx, name)
	if err != nil {
		return err
	}
	if now, err := b.Versioning(ctx); err != nil || now == want {
		return err
	}
	return b.SetVersioning(ctx, want)
}
