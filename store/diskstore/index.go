package diskstore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// openIndex opens the database. It is set up to be small when idle: memory for
// rows not yet in tables grows with the load and is at most a few times memTable.
func (s *Store) openIndex(dir string) error {
	const memTable = 8 << 20
	o := &pebble.Options{
		FS:                          &indexFS{s.opts.fs, s, dir},
		DisableWAL:                  true, // the log is its log
		Lock:                        s.lock,
		Logger:                      &logger{s},
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		CacheSize:                   8 << 20,
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                256,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               64 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	o.EventListener = &pebble.EventListener{BackgroundError: s.indexTrouble}
	o.Experimental.FileCacheShards = 2
	o.Experimental.SpanPolicyFunc = span
	// What a row costs should not grow with their number. Beyond what the cache
	// holds, each is a block to read and to decompress, and before it a block of
	// the index of its table: both are small, and so are tables, as a filter is one
	// block for all of a table. The last level, which nearly all rows are in, has no
	// filters: Get does not look at them there.
	for i := range o.Levels {
		o.TargetFileSizes[i] = 8 << 20
		o.Levels[i].BlockSize = 4 << 10
		o.Levels[i].IndexBlockSize = 16 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.Levels[len(o.Levels)-1].FilterPolicy = pebble.NoFilterPolicy
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	o.EnsureDefaults()
	db, err := pebble.Open(dir, o)
	s.db = db
	return err
}

// indexTrouble is told what goes wrong when the index writes tables, which it does
// again then.
func (s *Store) indexTrouble(err error) {
	s.log.Error("index of the store", "err", err)
	select {
	case s.keeper.trouble <- err:
	default:
	}
}

// logger takes what Pebble has to say. Its Fatalf must not return: then the
// index can no longer be written, and go on only by being opened again.
type logger struct{ s *Store }

// fatal is what Fatalf panics with.
type fatal struct{ err error }

func (l *logger) Infof(string, ...any) {}

func (l *logger) Errorf(format string, args ...any) {
	l.s.log.Error("index of the store", "err", fmt.Sprintf(format, args...))
}

func (l *logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.s.log.Error("index of the store cannot be written", "err", err)
	// Only the cause is left of it here, which says whether the disk is full.
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err = cause
		}
	}
	panic(&fatal{err})
}

// row returns a copy of a row, or fs.ErrNotExist.
func (s *Store) row(key []byte) ([]byte, error) {
	var row []byte
	err := s.view(key, func(b []byte) error {
		row = append(make([]byte, 0, len(b)), b...)
		return nil
	})
	return row, err
}

// view calls f with a row, which it must not keep. Without one the error is
// fs.ErrNotExist.
func (s *Store) view(key []byte, f func(row []byte) error) error {
	row, c, err := s.db.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return fs.ErrNotExist
		}
		return err
	}
	defer c.Close()
	return f(row)
}

// scan calls f with each row whose key starts with prefix, in their order, until
// it returns an error.
func (s *Store) scan(prefix []byte, f func(key, row []byte) error) error {
	return s.scanRange(within(prefix), f)
}

func (s *Store) scanRange(o *pebble.IterOptions, f func(key, row []byte) error) error {
	return scan(s.db, o, f)
}

func scan(r pebble.Reader, o *pebble.IterOptions, f func(key, row []byte) error) error {
	it, err := r.NewIter(o)
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		row, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := f(it.Key(), row); err != nil {
			return err
		}
	}
	return it.Error()
}

// object returns the row of an object, or nil if there is none.
func (s *Store) object(b *state, key string) (*object, error) {
	var o *object
	err := s.view(objectKey(b.id, key), func(row []byte) (err error) {
		o, err = decodeObject(key, row)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return o, err
}
