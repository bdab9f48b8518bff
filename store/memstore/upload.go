package memstore

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// upload is a multipart upload. The lock of its bucket guards it.
type upload struct {
	store.Upload
	attributes store.Attributes
	tags       map[string]string
	parts      map[int]part
	sealed     *crypt.Envelope // of all parts
}

type part struct {
	store.Part
	data []byte
}

// stored returns the parts by number.
func (u *upload) stored() []store.Part {
	var parts []store.Part
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		parts = append(parts, u.parts[n].Part)
	}
	return parts
}

// find returns an upload. The caller holds the lock.
func (b *Bucket) findUpload(key, id string, opts store.UploadOptions) (*upload, error) {
	u := b.uploads[id]
	if u == nil {
		return nil, store.ErrNoUpload
	}
	return u, u.Check(key, opts)
}

// CreateUpload implements store.Bucket.
func (b *Bucket) CreateUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	u, err := b.createUpload(ctx, key, opts)
	return u, b.fail("create upload", key, err)
}

func (b *Bucket) createUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	if opts == nil {
		opts = new(store.PutOptions)
	}
	fresh, err := store.NewUpload(key, opts)
	if err != nil {
		return nil, err
	}
	sealed, _, err := b.envelope(ctx, &opts.SSE)
	if err != nil {
		return nil, err
	}
	fresh.SSE = sealed.Info()
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	fresh.Started = time.Now()
	fresh.ID = store.NewUploadID(fresh.Started)
	u := &upload{Upload: *fresh, attributes: opts.Attributes, tags: maps.Clone(opts.Tags), parts: make(map[int]part), sealed: sealed}
	u.attributes.User = maps.Clone(opts.User)
	if b.uploads == nil {
		b.uploads = make(map[string]*upload)
	}
	b.uploads[u.ID] = u
	return fresh, nil
}

// PutPart implements store.Bucket.
func (b *Bucket) PutPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	p, err := b.putPart(ctx, key, uploadID, n, r, opts)
	return p, b.fail("put part", key, err)
}

func (b *Bucket) putPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	if opts == nil {
		opts = new(store.PartOptions)
	}
	if err := b.rlock(ctx); err != nil {
		return nil, err
	}
	u, err := b.findUpload(key, uploadID, opts.UploadOptions)
	b.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	if opts, err = u.Content(n, opts); err != nil {
		return nil, err
	}
	if err := u.sealed.Admits(&opts.SSE); err != nil {
		return nil, err
	}
	dataKey, err := b.Options.Keys.Open(ctx, u.sealed, opts.SSE.CustomerKey)
	if err != nil {
		return nil, err
	}
	data, p, err := read(ctx, r, opts, dataKey)
	if err != nil {
		return nil, err
	}
	p.Number = n
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if b.uploads[uploadID] != u {
		return nil, store.ErrNoUpload
	}
	u.parts[n] = part{*p, data}
	return p, nil
}

// ListParts implements store.Bucket.
func (b *Bucket) ListParts(ctx context.Context, key, uploadID string, opts *store.ListPartsOptions) (*store.PartsPage, error) {
	page, err := b.listParts(ctx, key, uploadID, opts)
	return page, b.fail("list parts", key, err)
}

func (b *Bucket) listParts(ctx context.Context, key, uploadID string, opts *store.ListPartsOptions) (*store.PartsPage, error) {
	if opts == nil {
		opts = new(store.ListPartsOptions)
	}
	if err := b.rlock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.RUnlock()
	u, err := b.findUpload(key, uploadID, opts.UploadOptions)
	if err != nil {
		return nil, err
	}
	page, err := store.ListParts(&u.Upload, u.stored(), opts)
	if err != nil {
		return nil, err
	}
	page.Attributes = new(u.attributes)
	page.Attributes.User = maps.Clone(u.attributes.User)
	return page, nil
}

// ListUploads implements store.Bucket.
func (b *Bucket) ListUploads(ctx context.Context, opts *store.ListUploadsOptions) (*store.UploadsPage, error) {
	if opts == nil {
		opts = new(store.ListUploadsOptions)
	}
	if err := b.rlock(ctx); err != nil {
		return nil, b.fail("list uploads", "", err)
	}
	defer b.mu.RUnlock()
	c := new(uploadCursor)
	for _, u := range b.uploads {
		if opts.Owner == "" || u.Owner == opts.Owner {
			c.uploads = append(c.uploads, &u.Upload)
		}
	}
	slices.SortFunc(c.uploads, func(a, b *store.Upload) int { return order(a, b.Key, b.ID) })
	page, err := store.ListUploads(c, opts)
	return page, b.fail("list uploads", "", err)
}

// uploadCursor walks over uploads, which are in order.
type uploadCursor struct {
	uploads []*store.Upload
	i       int
}

// order compares u with an upload of key with the id.
func order(u *store.Upload, key, id string) int {
	return cmp.Or(strings.Compare(u.Key, key), strings.Compare(u.ID, id))
}

func (c *uploadCursor) Seek(key string) bool { return c.SeekAfter(key, "") }

func (c *uploadCursor) SeekAfter(key, id string) bool {
	c.i = sort.Search(len(c.uploads), func(i int) bool { return order(c.uploads[i], key, id) > 0 })
	return c.i < len(c.uploads)
}

func (c *uploadCursor) Next() bool {
	c.i++
	return c.i < len(c.uploads)
}

func (c *uploadCursor) Key() string { return c.uploads[c.i].Key }

func (c *uploadCursor) Upload() (store.Upload, error) { return *c.uploads[c.i], nil }

func (c *uploadCursor) Err() error { return nil }

// CompleteUpload implements store.Bucket.
func (b *Bucket) CompleteUpload(ctx context.Context, key, uploadID string, parts []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	info, err := b.completeUpload(ctx, key, uploadID, parts, opts)
	return info, b.fail("complete upload", key, err)
}

func (b *Bucket) completeUpload(ctx context.Context, key, uploadID string, named []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.CompleteOptions)
	}
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	u, err := b.findUpload(key, uploadID, opts.UploadOptions)
	if err != nil {
		return nil, err
	}
	info, picked, err := store.Assemble(&u.Upload, u.stored(), named, opts)
	if err != nil {
		return nil, err
	}
	if err := store.CheckWrite(opts.IfMatch, opts.IfNoneMatch, b.current(key)); err != nil {
		return nil, err
	}
	info.ModTime, info.Attributes = time.Now(), u.attributes
	info.SSE = u.SSE
	o := &object{Info: *info, tags: u.tags, sealed: u.sealed}
	for _, p := range picked {
		o.content = append(o.content, u.parts[p.Number].data)
	}
	delete(b.uploads, uploadID)
	return b.add(o), nil
}

// AbortUpload implements store.Bucket.
func (b *Bucket) AbortUpload(ctx context.Context, key, uploadID string, opts *store.UploadOptions) error {
	return b.fail("abort upload", key, b.abortUpload(ctx, key, uploadID, opts))
}

func (b *Bucket) abortUpload(ctx context.Context, key, uploadID string, opts *store.UploadOptions) error {
	if opts == nil {
		opts = new(store.UploadOptions)
	}
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	if _, err := b.findUpload(key, uploadID, *opts); err != nil {
		return err
	}
	delete(b.uploads, uploadID)
	return nil
}
