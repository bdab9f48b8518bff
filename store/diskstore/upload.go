package diskstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"time"

	"github.com/cubby-storage/cubby/store"
)

func (s *Store) now() time.Time { return s.opts.Now().Round(0).UTC() }

// CreateUpload implements [store.Bucket].
func (b *bucket) CreateUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("create upload", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.PutOptions)
	}
	u, err := b.s.createUpload(ctx, st, key, opts)
	return u, b.fail("create upload", key, err)
}

func (s *Store) createUpload(ctx context.Context, st *state, key string, opts *store.PutOptions) (*store.Upload, error) {
	fresh, err := store.NewUpload(key, opts)
	if err != nil {
		return nil, err
	}
	sealed, _, err := s.envelope(ctx, &opts.SSE)
	if err != nil {
		return nil, err
	}
	fresh.SSE = sealed.Info()
	if err := s.space.check(s, 0); err != nil {
		return nil, err
	}
	fresh.Started = s.now()
	fresh.ID = store.NewUploadID(fresh.Started)
	id, ok := parseUploadID(fresh.ID)
	if !ok {
		return nil, fmt.Errorf("upload id %q: %w", fresh.ID, fs.ErrInvalid)
	}
	u := &upload{Upload: *fresh, tags: opts.Tags, attrs: opts.Attributes, sealed: sealed}
	c := s.begin()
	defer c.close()
	c.set(uploadKey(st.id, key, id), u.encode())
	if u.Owner != "" {
		head := newRow(64)
		head.upload(fresh)
		c.set(ownerKey(st.id, u.Owner, key, id), head.b)
	}
	release, err := hold(st)
	if err != nil {
		return nil, err
	}
	err = c.apply()
	release()
	if err != nil {
		return nil, err
	}
	return fresh, c.settle()
}

// upload returns an upload, or ErrNoUpload.
func (s *Store) upload(st *state, key, uploadID string, opts store.UploadOptions) (*upload, error) {
	id, ok := parseUploadID(uploadID)
	if !ok {
		return nil, store.ErrNoUpload
	}
	var u *upload
	err := s.view(uploadKey(st.id, key, id), func(row []byte) (err error) {
		u, err = decodeUpload(row)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.ErrNoUpload
	}
	if err != nil {
		return nil, err
	}
	u.Key, u.ID, u.id = key, uploadID, id
	return u, u.Check(key, opts)
}

// PutPart implements [store.Bucket].
func (b *bucket) PutPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("put part", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.PartOptions)
	}
	p, err := b.s.putPart(ctx, st, key, uploadID, n, r, opts)
	return p, b.fail("put part", key, err)
}

func (s *Store) putPart(ctx context.Context, st *state, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	u, err := s.upload(st, key, uploadID, opts.UploadOptions)
	if err != nil {
		return nil, err
	}
	if opts, err = u.Content(n, opts); err != nil {
		return nil, err
	}
	if err := u.sealed.Admits(&opts.SSE); err != nil {
		return nil, err
	}
	dataKey, err := s.opts.Keys.Open(ctx, u.sealed, opts.SSE.CustomerKey)
	if err != nil {
		return nil, err
	}
	content, err := s.stage(ctx, r, opts, dataKey)
	if err != nil {
		return nil, err
	}
	p := &part{Part: store.Part{Number: n, Size: content.size, ETag: content.etag, Checksums: content.sums}, extents: content.extents()}
	c := s.begin()
	defer c.close()
	c.add(content)
	err = func() error {
		release, err := hold(st)
		if err != nil {
			return err
		}
		defer release()
		defer s.keys.lock(s.keys.upload(u.id))()
		return s.setPart(c, st, u, p)
	}()
	if err != nil {
		content.release(false)
		return nil, err
	}
	err = c.settle()
	content.release(true)
	if err != nil {
		return nil, err
	}
	return &p.Part, nil
}

// setPart applies c, with p in place of the part that has its number. The caller
// holds the locks.
func (s *Store) setPart(c *change, st *state, u *upload, p *part) error {
	if _, err := s.upload(st, u.Key, u.ID, store.UploadOptions{}); err != nil {
		return err
	}
	key := partKey(u.id, p.Number)
	err := s.view(key, func(row []byte) error {
		old, err := decodePart(p.Number, row)
		if err == nil {
			c.shareAll(old.extents, -1)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.ModTime = s.now()
	c.set(key, p.encode())
	return c.apply()
}

// stored returns up to limit parts of an upload with a number above after.
func (s *Store) stored(u *upload, after, limit int) ([]*part, error) {
	var parts []*part
	prefix := partPrefix(u.id)
	full := errors.New("enough")
	o := within(prefix)
	if after > 0 {
		o.LowerBound = partKey(u.id, min(after, store.MaxParts)+1)
	}
	err := s.scanRange(o, func(key, row []byte) error {
		if len(parts) == limit {
			return full
		}
		p, err := decodePart(int(binary.BigEndian.Uint16(key[len(prefix):])), row)
		parts = append(parts, p)
		return err
	})
	if err != nil && !errors.Is(err, full) {
		return nil, err
	}
	return parts, nil
}

func plain(parts []*part) []store.Part {
	plain := make([]store.Part, len(parts))
	for i, p := range parts {
		plain[i] = p.Part
	}
	return plain
}

// ListParts implements [store.Bucket].
func (b *bucket) ListParts(ctx context.Context, key, uploadID string, opts *store.ListPartsOptions) (*store.PartsPage, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("list parts", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.ListPartsOptions)
	}
	u, err := b.s.upload(st, key, uploadID, opts.UploadOptions)
	if err != nil {
		return nil, b.fail("list parts", key, err)
	}
	parts, err := b.s.stored(u, opts.After, store.MaxPage+1)
	if err != nil {
		return nil, b.fail("list parts", key, err)
	}
	page, err := store.ListParts(&u.Upload, plain(parts), opts)
	if err != nil {
		return nil, b.fail("list parts", key, err)
	}
	page.Attributes = &u.attrs
	return page, nil
}

// CompleteUpload implements [store.Bucket]. The object refers to the content of
// the parts, which is not copied.
func (b *bucket) CompleteUpload(ctx context.Context, key, uploadID string, parts []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	st, err := b.enter(ctx)
	if err != nil {
		return nil, b.fail("complete upload", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.CompleteOptions)
	}
	info, err := b.s.completeUpload(st, key, uploadID, parts, opts)
	return info, b.fail("complete upload", key, err)
}

func (s *Store) completeUpload(st *state, key, uploadID string, named []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	u, err := s.upload(st, key, uploadID, opts.UploadOptions)
	if err != nil {
		return nil, err
	}
	if err := s.space.check(s, 0); err != nil {
		return nil, err
	}
	c := s.begin()
	defer c.close()
	o := &object{tags: u.tags, sealed: u.sealed}
	err = func() error {
		release, err := hold(st)
		if err != nil {
			return err
		}
		defer release()
		defer s.keys.lock(s.keys.upload(u.id), s.keys.object(st, key))()
		parts, err := s.end(c, st, u, opts.UploadOptions)
		if err != nil {
			return err
		}
		info, picked, err := store.Assemble(&u.Upload, plain(parts), named, opts)
		if err != nil {
			return err
		}
		o.Info = *info
		o.Attributes = u.attrs
		o.SSE = u.SSE
		o.TagCount = len(u.tags)
		extents := make([][]extent, 0, len(picked))
		for _, p := range parts {
			if len(picked) > 0 && picked[0].Number == p.Number {
				picked = picked[1:]
				extents = append(extents, p.extents)
			} else {
				c.shareAll(p.extents, -1)
			}
		}
		o.content = ref{manifest, s.newID()}
		c.set(blobKey(spaceManifest, o.content.id), encodeManifest(extents))
		return s.replace(c, st, o, opts.IfMatch, opts.IfNoneMatch)
	}()
	if err != nil {
		return nil, err
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	o.User = maps.Clone(o.User)
	return &o.Info, nil
}

// end removes the rows of an upload in c and returns its parts. The caller holds
// the locks.
func (s *Store) end(c *change, st *state, u *upload, opts store.UploadOptions) ([]*part, error) {
	if _, err := s.upload(st, u.Key, u.ID, opts); err != nil {
		return nil, err
	}
	parts, err := s.stored(u, 0, store.MaxParts)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		c.delete(partKey(u.id, p.Number))
	}
	c.delete(uploadKey(st.id, u.Key, u.id))
	if u.Owner != "" {
		c.delete(ownerKey(st.id, u.Owner, u.Key, u.id))
	}
	return parts, nil
}

// AbortUpload implements [store.Bucket].
func (b *bucket) AbortUpload(ctx context.Context, key, uploadID string, opts *store.UploadOptions) error {
	st, err := b.enter(ctx)
	if err != nil {
		return b.fail("abort upload", key, err)
	}
	defer b.s.running.Done()
	if opts == nil {
		opts = new(store.UploadOptions)
	}
	return b.fail("abort upload", key, b.s.abortUpload(st, key, uploadID, opts))
}

func (s *Store) abortUpload(st *state, key, uploadID string, opts *store.UploadOptions) error {
	c := s.begin()
	defer c.close()
	if err := s.abort(c, st, key, uploadID, opts); err != nil {
		return err
	}
	return c.settle()
}

// abort applies c, with the end of an upload.
func (s *Store) abort(c *change, st *state, key, uploadID string, opts *store.UploadOptions) error {
	u, err := s.upload(st, key, uploadID, *opts)
	if err != nil {
		return err
	}
	release, err := hold(st)
	if err != nil {
		return err
	}
	defer release()
	defer s.keys.lock(s.keys.upload(u.id))()
	parts, err := s.end(c, st, u, *opts)
	if err != nil {
		return err
	}
	for _, p := range parts {
		c.shareAll(p.extents, -1)
	}
	return c.apply()
}
