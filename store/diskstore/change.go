package diskstore

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// change is a set of rows that are written at once. The caller holds the locks
// of the keys it is about while it reads their rows and until apply returns;
// settle is called without them, so that changes of one key share a sync too.
type change struct {
	s     *Store
	batch *pebble.Batch
	delta map[ref]int64 // of the number of references to blobs that were there before
	dead  []blobID      // whose files go when the change is settled
	open  bool          // being applied

	id      blobID // of content
	content []byte // that goes to the log
	sum     uint32 // of content
	marks   []int  // where in the batch its location belongs
	freed   []freed
	wait    *batch // that has the change
}

func (s *Store) begin() *change { return &change{s: s, batch: s.db.NewBatch()} }

// close gives the memory of the change back.
func (c *change) close() {
	if !c.open {
		c.batch.Close()
	}
}

// The batch is in memory, to write to it does not fail.

func (c *change) set(key, row []byte) { _ = c.batch.Set(key, row, nil) }

func (c *change) delete(key []byte) { _ = c.batch.Delete(key, nil) }

// add makes staged content a blob that is referred to once.
func (c *change) add(st *staged) {
	switch st.ref.kind {
	case logged:
		c.append(st.ref.id, st.data)
	case file:
		c.set(blobKey(spaceRefs, st.ref.id), encodeCount(1))
	}
}

// append puts content into the log. A change has one at most.
func (c *change) append(id blobID, content []byte) {
	c.id, c.content, c.sum = id, content, checksum(content)
	c.set(blobKey(spaceLocation, id), encodeLocation(location{}))
	c.mark()
}

// mark notes that the last row that was set ends with the location of the content.
func (c *change) mark() { c.marks = append(c.marks, len(c.batch.Repr())-locationSize) }

// setObject sets the row of an object.
func (c *change) setObject(key []byte, o *object) {
	c.set(key, o.encode())
	if o.content.kind == logged && o.content.id == c.id {
		c.mark()
	}
}

// share counts references to r that are new, or with a negative n gone.
func (c *change) share(r ref, n int64) {
	if r.kind == none {
		return
	}
	if c.delta == nil {
		c.delta = make(map[ref]int64)
	}
	c.delta[r] += n
}

func (c *change) shareAll(x []extent, n int64) {
	for _, x := range x {
		c.share(x.ref, n)
	}
}

// replace drops the content of the object that the change takes the place of, if any.
func (c *change) replace(o *object) {
	if o != nil {
		c.share(o.content, -1)
	}
}

// commit applies and settles a change that no key locks are held for.
func (c *change) commit() error {
	if err := c.apply(); err != nil {
		return err
	}
	return c.settle()
}

// apply makes the change visible. After an error nothing has changed, unless the
// index failed.
func (c *change) apply() error {
	for r, n := range c.delta {
		if n == 0 {
			delete(c.delta, r)
		}
	}
	if len(c.delta) == 0 {
		return c.write()
	}
	children := make(map[blobID][][]extent)
	ids := make([]uint64, 0, len(c.delta))
	for r := range c.delta {
		ids = append(ids, c.s.refs.blob(r.id))
		if r.kind != manifest {
			continue
		}
		parts, err := c.s.manifest(r.id)
		if err != nil {
			return err
		}
		children[r.id] = parts
		for _, x := range slices.Concat(parts...) {
			ids = append(ids, c.s.refs.blob(x.id))
		}
	}
	defer c.s.refs.lock(ids...)()
	// The content of manifests that go is dropped with them.
	for r, n := range c.delta {
		if r.kind != manifest {
			continue
		}
		gone, err := c.count(r, n)
		if err != nil {
			return err
		}
		if gone {
			c.shareAll(slices.Concat(children[r.id]...), -1)
		}
	}
	for r, n := range c.delta {
		if r.kind == manifest {
			continue
		}
		if _, err := c.count(r, n); err != nil {
			return err
		}
	}
	return c.write()
}

// count writes the number of references to r, which n are added to, and reports
// whether none are left.
func (c *change) count(r ref, n int64) (gone bool, err error) {
	key := blobKey(spaceRefs, r.id)
	old := int64(1)
	err = c.s.view(key, func(row []byte) (err error) {
		old, err = decodeCount(row)
		return err
	})
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && (!missing || r.kind == file) {
		return false, fmt.Errorf("references to %s: %w", r.id, errors.Join(errCorrupt, err))
	}
	n += old
	switch {
	case n < 0:
		return false, fmt.Errorf("references to %s: %w", r.id, errCorrupt)
	case n > 1 || n == 1 && r.kind == file:
		c.set(key, encodeCount(n))
	case !missing:
		c.delete(key)
	}
	if n > 0 {
		return false, nil
	}
	switch r.kind {
	case inline:
		c.delete(blobKey(spaceContent, r.id))
	case logged:
		return true, c.free(r.id)
	case manifest:
		c.delete(blobKey(spaceManifest, r.id))
	case file:
		c.dead = append(c.dead, r.id)
	}
	return true, nil
}

// free removes a logged content, which nothing refers to. The caller holds the lock
// of its references.
func (c *change) free(id blobID) error {
	at, err := c.s.location(id)
	switch {
	case err == nil:
		c.freed = append(c.freed, freed{at.segment, footprint(at.length)})
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errCorrupt):
		return err
	}
	c.delete(blobKey(spaceLocation, id))
	return nil
}

// write hands the change to the log and to the index, without waiting for the disk.
func (c *change) write() error {
	if p := c.s.failed.Load(); p != nil {
		return fmt.Errorf("the store takes no writes until it is opened again: %w", *p)
	}
	// From now on it shows that these files are not left over.
	c.s.pins.add(c.dead...)
	err := c.record()
	if err != nil {
		c.s.pins.drop(c.s, c.dead...)
	}
	return err
}

// record appends the change to the log, and then applies it. Those who change the
// same rows do so in the same order, since they hold the same locks.
func (c *change) record() error {
	if c.batch.Empty() {
		return nil
	}
	if n := c.batch.Len(); n > maxRows {
		return fmt.Errorf("a change of %d bytes: %w", n, store.ErrTooLarge)
	}
	j := c.s.journal
	j.gate.RLock()
	defer j.gate.RUnlock()
	r := record{id: c.id, content: c.content, sum: c.sum, rows: c.batch.Repr(), marks: c.marks, dead: c.freed}
	b, err := j.append(&r)
	if err != nil {
		return c.s.fail(err)
	}
	// Unless all goes well, the batch stays with what is left of the index.
	c.open, c.wait, c.content = true, b, nil
	if err := c.s.guard(func() error { return c.s.db.Apply(c.batch, pebble.NoSync) }); err != nil {
		// It is in the log and not in the index.
		return c.s.fail(err)
	}
	c.open = false
	return nil
}

// settle waits until the change is on the disk, and then removes the files that
// nothing refers to any more.
func (c *change) settle() error {
	if c.wait != nil {
		if err := c.s.journal.commit(c.wait); err != nil {
			err = c.s.fail(err) // before the pins go
			c.s.pins.drop(c.s, c.dead...)
			return err
		}
		c.wait = nil
		c.s.due()
	}
	if c.s.opts.NoSync {
		c.s.reaper.add(c.s, c.dead)
		return nil
	}
	c.s.pins.remove(c.s, c.dead...)
	return nil
}

// guard calls f, and takes what it does to the index that cannot be made good as
// the end of all writing. If writing has ended when f returns, that is the error,
// since what f did may not be on the disk.
func (s *Store) guard(f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *fatal:
			err = s.fail(r.err)
		default:
			panic(r)
		}
	}()
	if err := f(); err != nil {
		return err
	}
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// fail ends all writing. What was answered before is on the disk; of what fails
// now that is not known, and readers may see it until the store is opened again.
func (s *Store) fail(err error) error {
	err = diskError(err)
	s.swept.Store(false)
	s.failed.CompareAndSwap(nil, &err)
	return err
}

// stripes are locks for things that are many: each has one that it shares with others.
type stripes struct {
	seed maphash.Seed
	mu   [256]sync.Mutex
}

func (s *stripes) blob(id blobID) uint64 { return uint64(id[8]) }

func (s *stripes) object(b *state, key string) uint64 {
	return maphash.String(s.seed, key) ^ maphash.Bytes(s.seed, b.id[:])
}

func (s *stripes) upload(id uploadID) uint64 { return maphash.Bytes(s.seed, id[:]) }

// lock locks the things with these numbers and returns what unlocks them.
func (s *stripes) lock(things ...uint64) (unlock func()) {
	if len(things) == 1 {
		mu := &s.mu[things[0]%uint64(len(s.mu))]
		mu.Lock()
		return mu.Unlock
	}
	n := make([]uint64, 0, len(things))
	for _, t := range things {
		n = append(n, t%uint64(len(s.mu)))
	}
	slices.Sort(n)
	n = slices.Compact(n)
	for _, i := range n {
		s.mu[i].Lock()
	}
	return func() {
		for _, i := range n {
			s.mu[i].Unlock()
		}
	}
}

// hold keeps the buckets from being deleted until release is called. The error
// is ErrNoBucket if one was already.
func hold(buckets ...*state) (release func(), err error) {
	slices.SortFunc(buckets, func(a, b *state) int { return slices.Compare(a.id[:], b.id[:]) })
	buckets = slices.Compact(buckets)
	for i, b := range buckets {
		b.mu.RLock()
		if b.gone {
			for _, b := range buckets[:i+1] {
				b.mu.RUnlock()
			}
			return nil, store.ErrNoBucket
		}
	}
	return func() {
		for _, b := range buckets {
			b.mu.RUnlock()
		}
	}, nil
}
