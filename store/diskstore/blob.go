package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

const (
	bufferSize  = 64 << 10
	flushEvery  = 8 << 20 // bytes of a file after which the disk is told to start writing
	filesPerDir = 64      // files made one after the other in one directory, so that they share its sync
)

// buffers are pools of buffers of a few sizes, the largest of which fits all that
// is read or written at once: many small contents may be under way.
type buffers struct{ pools [len(bufferSizes)]sync.Pool }

var bufferSizes = [...]int{4 << 10, 16 << 10, DefaultInline + headerSize + 512}

func (p *buffers) get(size int) *[]byte {
	for i, most := range bufferSizes {
		if size > most {
			continue
		}
		if b, ok := p.pools[i].Get().(*[]byte); ok {
			*b = (*b)[:size]
			return b
		}
		b := make([]byte, size, most)
		return &b
	}
	b := make([]byte, size)
	return &b
}

func (p *buffers) put(b *[]byte) {
	for i, most := range bufferSizes {
		if cap(*b) == most {
			p.pools[i].Put(b)
			return
		}
	}
}

// staged is content that is stored and not yet referred to by any row.
type staged struct {
	s    *Store
	ref  ref
	data []byte // of logged content
	buf  *[]byte
	file *newFile
	size int64
	etag string
	sums store.Checksums
}

// stage stores what it reads from r, sealed if key is not nil. After an error nothing of it is left. The
// caller calls release, after the change that adds the content was settled or
// without one.
func (s *Store) stage(ctx context.Context, r io.Reader, content *store.PartOptions, key *crypt.DataKey) (*staged, error) {
	if err := s.space.check(s, content.Size); err != nil {
		return nil, err
	}
	d, err := store.NewDigester(store.ContextReader(ctx, r), content)
	if err != nil {
		return nil, err
	}
	st := &staged{s: s}
	from, size := io.Reader(d), content.Size
	if key != nil {
		sealer := key.Seal(d)
		defer sealer.Close()
		from = sealer
		if size > 0 {
			size = crypt.SealedSize(size)
		}
	}
	if err := st.fill(from, size); err != nil {
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
		room := limit
		if size > 0 {
			room = size
		}
		st.buf = s.space.buffers.get(int(room) + 1)
		n, err := readFull(r, *st.buf)
		head = (*st.buf)[:n]
		if err == io.EOF {
			if n > 0 {
				st.ref, st.data = ref{logged, s.newID()}, head
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
	buf := s.space.buffers.get(bufferSize)
	defer s.space.buffers.put(buf)
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
		st.s.space.buffers.put(st.buf)
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
	f         diskFile
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
	if n.f, err = s.disk.createUnnamed(s.shardDir(n.id.shard())); err != nil {
		n.tmp = filepath.Join(s.tmpDir(), n.id.String())
		n.f, err = s.disk.create(n.tmp)
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
	m, err := n.f.Write(p)
	n.size += int64(m)
	if err == nil && !n.s.opts.NoSync && n.size-n.flushed >= flushEvery {
		n.f.startFlush(n.flushed, n.size-n.flushed)
		n.flushed = n.size
	}
	return err
}

// publish makes the file durable under its name.
func (n *newFile) publish() error {
	sync := !n.s.opts.NoSync
	if sync {
		if err := n.f.syncData(); err != nil {
			return err
		}
	}
	path := n.s.path(n.id)
	var err error
	if n.tmp == "" {
		err = n.f.link(path)
	} else {
		// Windows does not rename a file that is open.
		if err = n.f.Close(); err == nil {
			n.s.unlinked.Store(n.s.tmpDir(), true)
			err = n.s.disk.rename(n.tmp, path)
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
	return n.s.dirs[dir].do(func() error { return n.s.disk.syncDir(n.s.shardDir(dir)) })
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
// next sweep does it. After an error of the index it is not known what the rows on the
// disk refer to, and nothing is removed.
func (s *Store) unlink(path string) {
	if s.failed.Load() != nil {
		return
	}
	s.unlinked.Store(filepath.Dir(path), true)
	if err := s.disk.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
