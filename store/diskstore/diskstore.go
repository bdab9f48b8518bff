// Package diskstore keeps buckets in a directory of the local disk: it is the
// store of a Cubby that needs no other.
//
// Metadata and small objects live in an index, a Pebble database; large ones and
// large parts are files that the index refers to. An object is visible whole or
// not at all, after a crash too, and a write that was answered is on the disk.
// Copies and completed uploads share the content of what they are made of.
//
// [Open] returns the [Store] of a directory, which implements [store.Service].
// One process at a time can have it open. The errors are those of package store;
// [store.ErrNoSpace] is returned before the disk is quite full, so that the index
// always has room to work in.
package diskstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cubby-storage/cubby/store"
)

// DefaultInline is the value of Options.Inline where it is 0.
const DefaultInline = 64 << 10

// DefaultReserve is the value of Options.Reserve where it is 0.
const DefaultReserve = 32 << 20

// ErrInUse is the cause where the directory is open already, here or in another
// process.
var ErrInUse = errors.New("the directory is in use")

// Options are the options of Open. The zero value is the default.
type Options struct {
	// Inline is the size in bytes up to which content is kept in the index; 0
	// means DefaultInline, below 0 all content is kept in files.
	Inline int
	// NoSync answers writes before they are on the disk. A crash then loses the
	// latest of them, and one of the machine may leave large objects among them
	// damaged.
	NoSync bool
	// Reserve is how many bytes of the disk are left free: what would use them
	// fails with store.ErrNoSpace. 0 means DefaultReserve, below 0 none.
	Reserve int64
	// NoSweep leaves alone the files that no row refers to, which Open otherwise has
	// removed after a crash. It is for who looks at a store with Check.
	NoSweep bool
	// StaleUploads is the age from which uploads that were neither completed nor
	// aborted are aborted, which is looked after when the store is opened and then
	// every hour. 0 means never.
	StaleUploads time.Duration
	// Logger is told what goes wrong in the background; nil is silent.
	Logger *slog.Logger
	// Now is the clock of modification times and of the age of uploads; nil means
	// time.Now.
	Now func() time.Time

	fs     vfs.FS                              // of the index, for tests
	free   func(dir string) (uint64, error)    // for tests
	write  func(*os.File, []byte) (int, error) // for tests
	synced func()                              // called after each sync of a directory, for tests
}

// Store is a directory that holds buckets. Its methods may be called concurrently.
type Store struct {
	dir    string
	opts   Options
	db     *pebble.DB
	lock   *pebble.Lock
	log    *slog.Logger
	failed atomic.Pointer[error] // why the index takes no more writes
	swept  atomic.Bool           // no file is left over

	life    sync.RWMutex // guards closed
	closed  bool
	stop    chan struct{} // closed when Close is called
	running sync.WaitGroup

	bucketsMu sync.RWMutex
	buckets   map[string]*state

	keys    stripes // of objects and uploads: held while a row is read and replaced
	refs    stripes // of blobs: held while a count is read and replaced
	pins    pins
	dirs    [shards]group
	space   space
	reaper  reaper
	lastID  atomic.Int64
	written atomic.Uint64 // files made, to fill one directory after the other
	first   uint64        // directory to start with
}

var _ store.Service = (*Store)(nil)

// Open opens the store in dir, and makes it if there is none. The error says so
// if another process has it open, or if it was made by a later version of Cubby.
func Open(dir string, opts *Options) (*Store, error) {
	s, err := open(dir, opts)
	if err != nil {
		return nil, &store.Error{Op: "open store", Key: dir, Err: diskError(err)}
	}
	return s, nil
}

func open(dir string, opts *Options) (*Store, error) {
	s := &Store{stop: make(chan struct{}), buckets: make(map[string]*state), first: rand.Uint64N(shards)}
	s.keys.seed, s.refs.seed = maphash.MakeSeed(), maphash.MakeSeed()
	if opts != nil {
		s.opts = *opts
	}
	s.setDefaults()
	index := filepath.Join(dir, "index")
	if err := os.MkdirAll(index, 0o700); err != nil {
		return nil, err
	}
	// The lock knows directories by name, so there must be one name for each.
	dir, err := filepath.Abs(dir)
	if err == nil {
		s.dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	index = filepath.Join(s.dir, "index")
	s.lock, err = pebble.LockDirectory(index, s.opts.fs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err := s.openIndex(index); err != nil {
		s.lock.Close()
		return nil, err
	}
	if err := s.load(); err != nil {
		s.db.Close()
		s.lock.Close()
		return nil, err
	}
	if err := os.Remove(s.cleanFile()); err == nil {
		s.swept.Store(true)
	} else if !s.opts.NoSweep {
		s.running.Go(s.sweep)
	}
	if s.opts.StaleUploads > 0 {
		s.running.Go(s.expire)
	}
	return s, nil
}

func (s *Store) setDefaults() {
	o := &s.opts
	if o.Inline == 0 {
		o.Inline = DefaultInline
	}
	o.Inline = max(o.Inline, 0)
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.free == nil {
		o.free = freeSpace
	}
	if o.write == nil {
		o.write = (*os.File).Write
	}
	s.log = o.Logger
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
}

// load reads the format and the buckets, and in a new directory makes what belongs there.
func (s *Store) load() error {
	row, err := s.row(formatKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.create(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		version, n := binary.Uvarint(row)
		if n <= 0 {
			return fmt.Errorf("format: %w", errCorrupt)
		}
		if version > formatVersion {
			return fmt.Errorf("the store has format %d, this program knows formats up to %d: %w", version, formatVersion, errors.ErrUnsupported)
		}
	}
	return s.scan([]byte{spaceBucket}, func(key, row []byte) error {
		id, created, err := decodeBucket(row)
		name := string(key[1:])
		s.buckets[name] = &state{id: id, name: name, created: created}
		return err
	})
}

// create makes the directories, and then the row that says they are there.
func (s *Store) create() error {
	if err := os.MkdirAll(s.tmpDir(), 0o700); err != nil {
		return err
	}
	for n := range shards {
		if err := os.MkdirAll(s.shardDir(n), 0o700); err != nil {
			return err
		}
	}
	for _, dir := range []string{filepath.Join(s.dir, "blobs"), s.dir} {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return s.db.Set(formatKey, binary.AppendUvarint(nil, formatVersion), pebble.Sync)
}

// Close waits for the methods that are under way and closes the store. Bodies
// that are still open can be read to their end. Methods called afterwards fail
// with fs.ErrClosed.
func (s *Store) Close() error {
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	s.life.Unlock()
	s.running.Wait()
	err := s.guard(s.db.Close)
	if s.failed.Load() != nil {
		err = nil // who wrote was told why
	}
	if err == nil && s.swept.Load() && s.pins.empty() {
		err = os.WriteFile(s.cleanFile(), nil, 0o600)
	}
	err = errors.Join(err, s.lock.Close())
	if err != nil {
		return &store.Error{Op: "close store", Key: s.dir, Err: diskError(err)}
	}
	return nil
}

// enter begins a method, which ends with s.running.Done.
func (s *Store) enter(ctx context.Context) error {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return fmt.Errorf("store: %w", fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.running.Add(1)
	return nil
}

// newID returns an id that no other blob has.
func (s *Store) newID() (id blobID) {
	now := time.Now().UnixNano()
	for {
		last := s.lastID.Load()
		now = max(now, last+1)
		if s.lastID.CompareAndSwap(last, now) {
			break
		}
	}
	binary.BigEndian.PutUint64(id[:], uint64(now))
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// state is a bucket that exists.
type state struct {
	id      bucketID
	name    string
	created time.Time

	mu   sync.RWMutex // held for reading while objects change, for writing to delete the bucket
	gone bool         // guarded by mu
}

// find returns the bucket called name, or ErrNoBucket.
func (s *Store) find(name string) (*state, error) {
	s.bucketsMu.RLock()
	defer s.bucketsMu.RUnlock()
	if st := s.buckets[name]; st != nil {
		return st, nil
	}
	return nil, store.ErrNoBucket
}

// Bucket implements [store.Service].
func (s *Store) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	err := s.enter(ctx)
	if err == nil {
		defer s.running.Done()
		_, err = s.find(name)
	}
	if err != nil {
		return nil, &store.Error{Op: "bucket", Bucket: name, Err: err}
	}
	return &bucket{s, name}, nil
}

// Buckets implements [store.Service].
func (s *Store) Buckets(ctx context.Context) ([]store.BucketInfo, error) {
	if err := s.enter(ctx); err != nil {
		return nil, &store.Error{Op: "buckets", Err: err}
	}
	defer s.running.Done()
	s.bucketsMu.RLock()
	defer s.bucketsMu.RUnlock()
	infos := make([]store.BucketInfo, 0, len(s.buckets))
	for st := range maps.Values(s.buckets) {
		infos = append(infos, store.BucketInfo{Name: st.name, Created: st.created})
	}
	slices.SortFunc(infos, func(a, b store.BucketInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// CreateBucket implements [store.Service].
func (s *Store) CreateBucket(ctx context.Context, name string) error {
	err := s.enter(ctx)
	if err == nil {
		defer s.running.Done()
		err = s.createBucket(name)
	}
	if err != nil {
		return &store.Error{Op: "create bucket", Bucket: name, Err: diskError(err)}
	}
	return nil
}

func (s *Store) createBucket(name string) error {
	if err := store.CheckBucketName(name); err != nil {
		return err
	}
	if err := s.space.check(s, 0); err != nil {
		return err
	}
	s.bucketsMu.Lock()
	defer s.bucketsMu.Unlock()
	if s.buckets[name] != nil {
		return fs.ErrExist
	}
	st := &state{name: name, created: s.opts.Now().Round(0).UTC()}
	id := s.newID()
	copy(st.id[:], id[:])
	c := s.begin()
	defer c.close()
	c.set(bucketKey(name), encodeBucket(st.id, st.created))
	if err := c.commit(); err != nil {
		return err
	}
	s.buckets[name] = st
	return nil
}

// DeleteBucket implements [store.Service].
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	err := s.enter(ctx)
	if err == nil {
		defer s.running.Done()
		err = s.deleteBucket(name)
	}
	if err != nil {
		return &store.Error{Op: "delete bucket", Bucket: name, Err: diskError(err)}
	}
	return nil
}

func (s *Store) deleteBucket(name string) error {
	s.bucketsMu.Lock()
	defer s.bucketsMu.Unlock()
	st := s.buckets[name]
	if st == nil {
		return store.ErrNoBucket
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, prefix := range [][]byte{objectKey(st.id, ""), uploadPrefix(st.id)} {
		err := s.scan(prefix, func(_, _ []byte) error { return store.ErrNotEmpty })
		if err != nil {
			return err
		}
	}
	c := s.begin()
	defer c.close()
	c.delete(bucketKey(name))
	if err := c.commit(); err != nil {
		return err
	}
	st.gone = true
	delete(s.buckets, name)
	return nil
}

// bucket implements [store.Bucket]. It is whichever bucket has the name.
type bucket struct {
	s    *Store
	name string
}

// enter begins a method. Unless there is an error it ends with s.running.Done.
func (b *bucket) enter(ctx context.Context) (*state, error) {
	if err := b.s.enter(ctx); err != nil {
		return nil, err
	}
	st, err := b.s.find(b.name)
	if err != nil {
		b.s.running.Done()
	}
	return st, err
}

// fail makes err the error of a method.
func (b *bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*store.Error](err); ok {
		return err
	}
	return &store.Error{Op: op, Bucket: b.name, Key: key, Err: diskError(err)}
}
