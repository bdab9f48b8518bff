// Package diskstore keeps buckets in a directory of the local disk: it is the
// store of a Cubby that needs no other.
//
// Metadata is in an index, a Pebble database, and the content of small objects in a
// log, which is that of the index, too; large objects and large parts are files that
// the index refers to. An object is visible whole or
// not at all, after a crash too, and a write that was answered is on the disk.
// Copies and completed uploads share the content of what they are made of.
//
// Content is encrypted at rest where the writer or [Options] ask for it; package crypt
// says how.
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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// DefaultInline is the value of Options.Inline where it is 0.
const DefaultInline = 64 << 10

const maxInline = 16 << 20

// DefaultReserve is the value of Options.Reserve where it is 0.
const DefaultReserve = 32 << 20

// ErrInUse is the cause where the directory is open already, here or in another
// process.
var ErrInUse = errors.New("the directory is in use")

// Options are the options of Open. The zero value is the default.
type Options struct {
	// Inline is the size in bytes up to which content is kept in the log; 0 means
	// DefaultInline, below 0 all content is kept in files. It is 16 MiB at most.
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
	// Keys are the keyrings for encryption. Without them that is by the keys of
	// customers alone.
	Keys *crypt.Keys
	// Encrypt encrypts what is written without asking for it as AES256 would.
	Encrypt bool
	// Logger is told what goes wrong in the background; nil is silent.
	Logger *slog.Logger
	// Now is the clock of modification times and of the age of uploads; nil means
	// time.Now.
	Now func() time.Time

	fs   vfs.FS // of the index and the log, for tests
	disk disk   // of all else, for tests

	segment        int64 // size of segments, for tests
	checkpointSize int64 // for tests
}

// Store is a directory that holds buckets. Its methods may be called concurrently.
type Store struct {
	dir    string
	opts   Options
	db     *pebble.DB
	lock   *pebble.Lock
	disk   disk
	log    *slog.Logger
	failed atomic.Pointer[error] // why there are no more writes
	swept  atomic.Bool           // no file is left over

	unlinked sync.Map // directories that names were removed from

	life    sync.RWMutex // guards closed
	closed  bool
	stop    chan struct{} // closed when Close is called
	running sync.WaitGroup

	bucketsMu sync.RWMutex
	buckets   map[string]*state
	trash     map[string]bool // as SetTrash was told

	keys    stripes // of objects and uploads: held while a row is read and replaced
	refs    stripes // of blobs: held while a count is read and replaced
	pins    pins
	dirs    [shards]group
	space   space
	reaper  reaper
	journal *journal
	keeper  keeper
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
	s := &Store{stop: make(chan struct{}), buckets: make(map[string]*state), trash: make(map[string]bool), first: rand.Uint64N(shards)}
	s.keys.seed, s.refs.seed = maphash.MakeSeed(), maphash.MakeSeed()
	if opts != nil {
		s.opts = *opts
	}
	s.setDefaults()
	index := filepath.Join(dir, "index")
	if err := s.disk.mkdirAll(index); err != nil {
		return nil, err
	}
	// The lock knows directories by name, so there must be one name for each.
	var err error
	if s.dir, err = s.disk.resolve(dir); err != nil {
		return nil, err
	}
	index = filepath.Join(s.dir, "index")
	if err := s.opts.fs.MkdirAll(index, 0o700); err != nil {
		return nil, err
	}
	s.lock, err = pebble.LockDirectory(index, s.opts.fs)
	if isFull(err) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	s.journal = &journal{fs: s.opts.fs, dir: s.logDir(), size: s.opts.segment, noSync: s.opts.NoSync, segments: make(map[uint32]*segment)}
	s.keeper.kick, s.keeper.trouble = make(chan struct{}, 1), make(chan error, 1)
	err = s.guard(func() error { return s.openIndex(index) })
	if err == nil {
		err = s.guard(s.load)
	}
	if err == nil {
		err = s.unmarkClean()
	}
	if err != nil {
		s.journal.close()
		if s.db != nil {
			s.db.Close()
		}
		s.lock.Close()
		return nil, err
	}
	s.running.Go(s.keep)
	if !s.swept.Load() && !s.opts.NoSweep {
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
	o.Inline = min(max(o.Inline, 0), maxInline)
	if o.segment == 0 {
		o.segment = segmentSize
	}
	if o.checkpointSize == 0 {
		o.checkpointSize = checkpointSize
	}
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if s.disk = o.disk; s.disk == nil {
		s.disk = osDisk{}
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
		// The index is older than any segment, so it was lost, and they stay.
		if ids, err := s.journal.list(); len(ids) > 0 {
			return fmt.Errorf("there is a log and no index: %w", errCorrupt)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
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
		if version < formatVersion {
			if err := s.upgrade(); err != nil {
				return err
			}
		}
	}
	if err := s.openLog(); err != nil {
		return err
	}
	return s.scan([]byte{spaceBucket}, func(key, row []byte) error {
		st, err := decodeBucket(row)
		st.name = string(key[1:])
		s.buckets[st.name] = st
		return err
	})
}

// create makes the directories, and then the row that says they are there.
func (s *Store) create() error {
	if err := s.disk.mkdirAll(s.tmpDir()); err != nil {
		return err
	}
	for n := range shards {
		if err := s.disk.mkdirAll(s.shardDir(n)); err != nil {
			return err
		}
	}
	for _, dir := range []string{filepath.Join(s.dir, "blobs"), s.dir} {
		if err := s.disk.syncDir(dir); err != nil {
			return err
		}
	}
	if err := syncAbove(s.disk, s.dir); err != nil {
		return err
	}
	return s.upgrade()
}

// upgrade makes what older formats have not, and then the row that says it is there.
func (s *Store) upgrade() error {
	if err := s.opts.fs.MkdirAll(s.logDir(), 0o700); err != nil {
		return err
	}
	d, err := s.opts.fs.OpenDir(s.dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	return s.guard(func() error {
		if err := s.db.Set(formatKey, binary.AppendUvarint(nil, formatVersion), pebble.NoSync); err != nil {
			return err
		}
		return s.db.Flush()
	})
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
	var err error
	if s.failed.Load() == nil {
		if err = s.checkpoint(); err == nil {
			err = s.writeEnd()
		}
	}
	err = errors.Join(err, s.guard(s.db.Close))
	s.journal.close()
	switch {
	case s.failed.Load() != nil:
		err = nil // who wrote was told why
	case err == nil && s.swept.Load() && s.pins.empty():
		err = s.markClean()
	}
	err = errors.Join(err, s.lock.Close())
	if err != nil {
		return &store.Error{Op: "close store", Key: s.dir, Err: diskError(err)}
	}
	return nil
}

// unmarkClean removes the file that markClean made, if it is there. It is gone for
// good before anything is done that may have to be swept.
func (s *Store) unmarkClean() error {
	err := s.disk.remove(s.cleanFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.disk.syncDir(s.dir)
	}
	s.swept.Store(err == nil)
	return err
}

// markClean makes the file that says that nothing is to be swept. Before that it
// waits until the names that were removed are gone from the disk.
func (s *Store) markClean() error {
	var err error
	s.unlinked.Range(func(dir, _ any) bool {
		err = s.disk.syncDir(dir.(string))
		return err == nil
	})
	if err != nil {
		return err
	}
	f, err := s.disk.create(s.cleanFile())
	if err != nil {
		return err
	}
	return f.Close()
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

	// keeps changes while mu is held for writing, and says whether versions are kept.
	keeps atomic.Pointer[store.Versioning]
	trash atomic.Bool // what is deleted or overwritten is moved to the trash

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
	c.set(bucketKey(name), encodeBucket(st, store.Unversioned))
	if err := c.commit(); err != nil {
		return err
	}
	st.trash.Store(s.trash[name])
	s.buckets[name] = st
	return nil
}

// DeleteBucket implements [store.Service]. A bucket with nothing but trash is empty, and
// its trash goes with it.
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
	st, err := s.find(name)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone {
		return store.ErrNoBucket
	}
	for _, prefix := range [][]byte{objectKey(st.id, ""), versionsPrefix(st.id), uploadPrefix(st.id)} {
		err := s.scan(prefix, func(_, _ []byte) error { return store.ErrNotEmpty })
		if err != nil {
			return err
		}
	}
	if err := s.purgeAll(st); err != nil {
		return err
	}
	// Nobody waits for the lock of a bucket while they hold this one.
	s.bucketsMu.Lock()
	defer s.bucketsMu.Unlock()
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
	if e, ok := errors.AsType[*store.Error](err); ok {
		if e.Op != "" {
			return err
		}
		return &store.Error{Op: op, Bucket: b.name, Key: key, Marker: e.Marker, Err: e.Err}
	}
	return &store.Error{Op: op, Bucket: b.name, Key: key, Err: diskError(err)}
}
