package diskstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/cubby-storage/cubby/store"
)

const (
	bufferSize   = 256 << 10
	flushEvery   = 8 << 20 // bytes of a file after which the disk is told to start writing
	filesPerDir  = 64      // files made one after the other in one directory, so that they share its sync
	smallBuffers = DefaultInline + 512
)

// buffers is a pool of buffers of one size.
type buffers struct{ pool sync.Pool }

func (p *buffers) get(size int) *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok && cap(*b) >= size {
		*b = (*b)[:size]
		return b
	}
	b := make([]byte, size)
	return &b
}

func (p *buffers) put(b *[]byte) { p.pool.Put(b) }

// staged is content that is stored and not yet referred to by any row.
type staged struct {
	s    *Store
	ref  ref
	data []byte // of inline content
	buf  *[]byte
	file *newFile
	size int64
	etag string
	sums store.Checksums
}

// stage stores what it reads from r. After an error nothing of it is left. The
// caller calls release, after the change that adds the content was settled or
// without one.
func (s *Store) stage(ctx context.Context, r io.Reader, content *store.PartOptions) (*staged, error) {
	if err := s.space.check(s, content.Size); err != nil {
		return nil, err
	}
	d, err := store.NewDigester(store.ContextReader(ctx, r), content)
	if err != nil {
		return nil, err
	}
	st := &staged{s: s}
	if err := st.fill(d, content.Size); err != nil {
		st.release(false)
		return nil, err
	}
	if st.size, st.etag, st.sums, err = d.Sum(); err == nil {
		err = ctx.Err()
	}
	if err == nil && st.file != nil {
		err = st.file.publish()
	}
	if err != nil {
		st.release(false)
		return nil, err
	}
	return st, nil
}

// fill reads r up to io.EOF, into memory while it is small, and then into a file.
func (st *staged) fill(r io.Reader, size int64) error {
	s := st.s
	limit := int64(s.opts.Inline)
	var head []byte
	if size <= limit {
		// One byte more than fits tells content that does from content that does not.
		st.buf = s.space.small.get(s.opts.Inline + 1)
		n, err := readFull(r, *st.buf)
		head = (*st.buf)[:n]
		if err == io.EOF {
			if n > 0 {
				st.ref, st.data = ref{inline, s.newID()}, head
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	var err error
	if st.file, err = s.createFile(); err != nil {
		return err
	}
	st.ref = ref{file, st.file.id}
	if err := st.file.write(head); err != nil {
		return err
	}
	buf := s.space.large.get(bufferSize)
	defer s.space.large.put(buf)
	for {
		n, err := readFull(r, *buf)
		if serr := s.space.check(s, int64(n)); serr != nil {
			return serr
		}
		if werr := st.file.write((*buf)[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if st.file.size == 0 {
		st.ref = ref{}
		st.file.discard()
		st.file = nil
	}
	return nil
}

// readFull fills p. Other than io.ReadFull it returns the error of r as it is.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// extents returns the content of a part.
func (st *staged) extents() []extent {
	if st.ref.kind == none {
		return nil
	}
	return []extent{{st.ref, 0, st.size}}
}

// release gives back what st holds. If the content was not kept its file goes.
func (st *staged) release(kept bool) {
	if st.buf != nil {
		st.s.space.small.put(st.buf)
		st.buf, st.data = nil, nil
	}
	if f := st.file; f != nil {
		st.file = nil
		if kept {
			f.keep()
		} else {
			f.discard()
		}
	}
}

// newFile is a file that is being written. Its id is pinned, so that the sweep
// leaves it alone.
type newFile struct {
	s         *Store
	id        blobID
	f         *os.File
	tmp       string // its name while it is written; "" if it has none
	size      int64
	flushed   int64
	published bool
}

func (s *Store) createFile() (*newFile, error) {
	n := &newFile{s: s, id: s.newID()}
	n.id.setShard(int((s.first + s.written.Add(1)/filesPerDir) % shards))
	s.pins.add(n.id)
	var err error
	if n.f, err = openUnnamed(s.shardDir(n.id.shard())); err != nil {
		n.tmp = filepath.Join(s.tmpDir(), n.id.String())
		n.f, err = os.OpenFile(n.tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	if err != nil {
		s.pins.drop(s, n.id)
		return nil, err
	}
	return n, nil
}

func (n *newFile) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	m, err := n.s.opts.write(n.f, p)
	n.size += int64(m)
	if err == nil && !n.s.opts.NoSync && n.size-n.flushed >= flushEvery {
		startFlush(n.f, n.flushed, n.size-n.flushed)
		n.flushed = n.size
	}
	return err
}

// publish makes the file durable under its name.
func (n *newFile) publish() error {
	sync := !n.s.opts.NoSync
	if sync {
		if err := syncData(n.f); err != nil {
			return err
		}
	}
	path := n.s.path(n.id)
	var err error
	if n.tmp == "" {
		err = link(n.f, path)
	} else {
		// Windows does not rename a file that is open.
		if err = n.f.Close(); err == nil {
			err = os.Rename(n.tmp, path)
		}
	}
	if err != nil {
		return err
	}
	n.published = true
	if !sync {
		return nil
	}
	dir := n.id.shard()
	return n.s.dirs[dir].do(func() error {
		err := syncDir(n.s.shardDir(dir))
		if n.s.opts.synced != nil {
			n.s.opts.synced()
		}
		return err
	})
}

// keep is called when a row refers to the file.
func (n *newFile) keep() {
	n.f.Close()
	n.s.pins.drop(n.s, n.id)
}

func (n *newFile) discard() {
	n.f.Close()
	switch {
	case n.published:
		n.s.unlink(n.s.path(n.id))
	case n.tmp != "":
		n.s.unlink(n.tmp)
	}
	n.s.pins.drop(n.s, n.id)
}

// unlink removes a file that nothing refers to. If that is not possible now, the
// next sweep does it.
func (s *Store) unlink(path string) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		s.swept.Store(false)
		s.log.Warn("file of the store not removed", slog.String("err", err.Error()))
	}
}

// pins says which files must stay although no row may refer to them: those that
// are being written or read, and those that are about to be removed.
type pins struct {
	// removing is held for reading while files are removed, and for writing to
	// begin a hold: after that, what was to be removed before is gone.
	removing sync.RWMutex
	mu       sync.Mutex
	m        map[blobID]pin
	holds    int // while it is above 0 no file with a pin goes
}

type pin struct {
	n    int
	dead bool // remove it with the last pin
}

func (p *pins) add(ids ...blobID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = make(map[blobID]pin)
	}
	for _, id := range ids {
		x := p.m[id]
		x.n++
		p.m[id] = x
	}
}

func (p *pins) drop(s *Store, ids ...blobID) { p.release(s, false, ids) }

// remove drops the pins of files that no row refers to, which go now or when
// nobody reads them any more.
func (p *pins) remove(s *Store, ids ...blobID) {
	if len(ids) > 0 {
		p.release(s, true, ids)
	}
}

func (p *pins) release(s *Store, die bool, ids []blobID) {
	p.removing.RLock()
	defer p.removing.RUnlock()
	var dead []blobID
	p.mu.Lock()
	for _, id := range ids {
		x := p.m[id]
		x.n--
		x.dead = x.dead || die
		if x.n > 0 || x.dead && p.holds > 0 {
			p.m[id] = x
			continue
		}
		delete(p.m, id)
		if x.dead {
			dead = append(dead, id)
		}
	}
	p.mu.Unlock()
	for _, id := range dead {
		s.unlink(s.path(id))
	}
}

// hold keeps all files that a row refers to now, whatever happens to the row,
// until end is called.
func (p *pins) hold(s *Store) (end func()) {
	p.removing.Lock()
	defer p.removing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds++
	return func() {
		var dead []blobID
		p.mu.Lock()
		if p.holds--; p.holds == 0 {
			for id, x := range p.m {
				if x.n == 0 {
					delete(p.m, id)
					dead = append(dead, id)
				}
			}
		}
		p.mu.Unlock()
		for _, id := range dead {
			s.unlink(s.path(id))
		}
	}
}

func (p *pins) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.m) == 0
}

func (p *pins) has(id blobID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.m[id]
	return ok
}

// group lets calls that come while one is under way share the next one.
type group struct {
	mu   sync.Mutex // guards next
	next *call
	run  sync.Mutex // held by the call under way
}

type call struct {
	done chan struct{}
	err  error
}

// do returns after a call of f that began after do did.
func (g *group) do(f func() error) error {
	g.mu.Lock()
	if c := g.next; c != nil {
		g.mu.Unlock()
		<-c.done
		return c.err
	}
	c := &call{done: make(chan struct{})}
	g.next = c
	g.mu.Unlock()
	g.run.Lock()
	g.mu.Lock()
	g.next = nil
	g.mu.Unlock()
	c.err = f()
	g.run.Unlock()
	close(c.done)
	return c.err
}

// manifest returns the extents of the parts of an object.
func (s *Store) manifest(id blobID) (parts [][]extent, err error) {
	err = s.view(blobKey(spaceManifest, id), func(row []byte) (err error) {
		parts, err = decodeManifest(row)
		return err
	})
	if err != nil {
		err = fmt.Errorf("manifest %s: %w", id, err)
	}
	return parts, err
}
