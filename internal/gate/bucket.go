package gate

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/store"
)

// bucket is a bucket as one view sees it.
type bucket struct {
	*View
	name    string
	b       store.Bucket
	missing error // why b is nil; told to those alone whom the rules grant what they ask for
}

// may asks for the object key.
func (b *bucket) may(ctx context.Context, op, key string, a access.Action) error {
	if err := checkKey(op, b.name, key); err != nil {
		return err
	}
	if err := b.ask(ctx, op, b.name, key, a); err != nil {
		return err
	}
	return b.missing
}

// hide makes an object that is missing, or a delete marker in its place, look
// forbidden to those who may not list it. A missing bucket or upload is not hidden:
// to name one the caller had to know it.
func (b *bucket) hide(ctx context.Context, op, key string, err error) error {
	switch {
	case b.operator, errors.Is(err, store.ErrNoBucket), errors.Is(err, store.ErrNoUpload):
		return err
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrMarker):
		return err
	}
	if denied := b.ask(ctx, op, b.name, key, access.List); denied != nil {
		return denied
	}
	return err
}

// onWrite is the action of a write. A write that depends on the entity tag that
// is there tells the caller something of the content.
func onWrite(a access.Action, ifMatch []string) access.Action {
	if len(ifMatch) > 0 {
		a |= access.Get
	}
	return a
}

func (b *bucket) Stat(ctx context.Context, key string, opts *store.GetOptions) (*store.Info, error) {
	if err := b.may(ctx, "stat", key, access.Get); err != nil {
		return nil, err
	}
	info, err := b.b.Stat(ctx, key, opts)
	return info, b.hide(ctx, "stat", key, err)
}

func (b *bucket) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	if err := b.may(ctx, "get", key, access.Get); err != nil {
		return nil, err
	}
	obj, err := b.b.Get(ctx, key, opts)
	return obj, b.hide(ctx, "get", key, err)
}

func (b *bucket) Put(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	o := or(opts)
	if err := b.may(ctx, "put", key, onWrite(access.Write, o.IfMatch)); err != nil {
		return nil, err
	}
	most, err := b.most(ctx, "put", key, o.ContentType)
	if err != nil {
		return nil, err
	}
	var info *store.Info
	err = b.within(ctx, "put", key, most, most, o.Size, r, func(r io.Reader) error {
		info, err = b.b.Put(ctx, key, r, opts)
		return b.hide(ctx, "put", key, err)
	})
	return info, err
}

// source asks for the source of a copy, and returns the bucket that it is in. It
// asks in the name of who copies, whoever from was opened for. A bucket that did
// not come from this gate has no rules here, so it is for operators alone.
func (b *bucket) source(ctx context.Context, op string, from store.Bucket, src string) (*bucket, error) {
	s := b
	if from != nil {
		s = &bucket{View: b.View, b: from}
		if f, ok := from.(*bucket); ok && f.g == b.g {
			s.name, s.b, s.missing = f.name, f.b, f.missing
		} else if !b.operator {
			return nil, &store.Error{Op: op, Bucket: b.name, Key: src, Err: errForeign}
		}
	}
	return s, s.may(ctx, op, src, access.Get)
}

func (b *bucket) Copy(ctx context.Context, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	o := or(opts)
	if err := b.may(ctx, "copy", dst, onWrite(access.Write, o.Put.IfMatch)); err != nil {
		return nil, err
	}
	s, err := b.source(ctx, "copy", o.From, src)
	if err != nil {
		return nil, err
	}
	o.From = s.b
	if b.bounds(dst) != nil {
		if err := b.judgeCopy(ctx, dst, s, src, &o); err != nil {
			return nil, err
		}
	}
	info, err := b.b.Copy(ctx, dst, src, &o)
	if err = s.hide(ctx, "copy", src, err); len(o.Put.IfMatch) > 0 {
		err = b.hide(ctx, "copy", dst, err) // it may be the destination that is not there
	}
	return info, err
}

func (b *bucket) Delete(ctx context.Context, key string, opts *store.DeleteOptions) (*store.Deleted, error) {
	o := or(opts)
	a := onWrite(access.Delete, o.IfMatch)
	if o.Version != "" {
		a |= access.Versions
	}
	if err := b.may(ctx, "delete", key, a); err != nil {
		return nil, err
	}
	gone, err := b.b.Delete(ctx, key, opts)
	return gone, b.hide(ctx, "delete", key, err)
}

func (b *bucket) DeleteMany(ctx context.Context, targets []store.Target) ([]store.Deleted, error) {
	if len(targets) > store.MaxPage {
		return nil, &store.Error{Op: "delete many", Bucket: b.name, Err: errTooMany}
	}
	all := make([]store.Deleted, len(targets))
	var allowed []store.Target
	var at []int
	for i, t := range targets {
		a := access.Delete
		if t.Version != "" {
			a |= access.Versions
		}
		err := b.may(ctx, "delete", t.Key, a)
		switch {
		case err == nil:
			allowed, at = append(allowed, t), append(at, i)
		case errors.Is(err, store.ErrNoBucket):
			return nil, err
		default:
			all[i].Err = err
		}
	}
	if len(allowed) == 0 {
		return all, nil
	}
	done, err := b.b.DeleteMany(ctx, allowed)
	if err != nil {
		return nil, err
	}
	for i, d := range done {
		d.Err = b.hide(ctx, "delete", allowed[i].Key, d.Err)
		all[at[i]] = d
	}
	return all, nil
}

// Versioning is for those who may list something in the bucket.
func (b *bucket) Versioning(ctx context.Context) (store.Versioning, error) {
	_, err := b.visible(ctx, "get versioning of", b.name, "")
	if err == nil {
		err = b.missing
	}
	if err != nil {
		return "", err
	}
	return b.b.Versioning(ctx)
}

// SetVersioning is for operators alone.
func (b *bucket) SetVersioning(ctx context.Context, v store.Versioning) error {
	if err := b.operate(ctx, "set versioning of", b.name); err != nil {
		return err
	}
	return b.b.SetVersioning(ctx, v)
}

// ListVersions shows the versions of keys that a rule gives both list and versions for,
// to those whom one gives both for the prefix.
func (b *bucket) ListVersions(ctx context.Context, opts *store.ListVersionsOptions) (*store.VersionsPage, error) {
	o := or(opts)
	err := b.ask(ctx, "list versions", b.name, o.Prefix, access.List|access.Versions)
	if err == nil {
		err = b.missing
	}
	if err != nil {
		return nil, err
	}
	if !b.operator {
		// Not left to what comes of it: where a page ends would tell of others.
		o.Ranges = intersect(keyRanges(b.policies[b.name].VisibleVersions(&b.subject, o.Prefix)), o.Ranges)
	}
	return b.b.ListVersions(ctx, &o)
}

func (b *bucket) List(ctx context.Context, opts *store.ListOptions) (*store.Page, error) {
	o := or(opts)
	ranges, err := b.visible(ctx, "list", b.name, o.Prefix)
	if err == nil {
		err = b.missing
	}
	if err != nil {
		return nil, err
	}
	o.Ranges = intersect(ranges, o.Ranges)
	return b.b.List(ctx, &o)
}

func (b *bucket) Tags(ctx context.Context, key string, opts *store.GetOptions) (map[string]string, error) {
	if err := b.may(ctx, "get tags of", key, access.Get); err != nil {
		return nil, err
	}
	tags, err := b.b.Tags(ctx, key, opts)
	return tags, b.hide(ctx, "get tags of", key, err)
}

func (b *bucket) SetTags(ctx context.Context, key string, tags map[string]string, opts *store.GetOptions) error {
	if err := b.may(ctx, "set tags of", key, access.Write); err != nil {
		return err
	}
	return b.hide(ctx, "set tags of", key, b.b.SetTags(ctx, key, tags, opts))
}

func (b *bucket) CreateUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	if err := b.may(ctx, "create upload", key, access.Write); err != nil {
		return nil, err
	}
	o := or(opts)
	if _, err := b.most(ctx, "create upload", key, o.ContentType); err != nil {
		return nil, err
	}
	o.Owner = b.owner(o.Owner)
	if !b.operator {
		done, err := b.g.uploads.admit(ctx, b, o.Owner)
		if err != nil {
			return nil, &store.Error{Op: "create upload", Bucket: b.name, Key: key, Err: err}
		}
		defer done()
	}
	return b.b.CreateUpload(ctx, key, &o)
}

func (b *bucket) PutPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	if err := b.may(ctx, "put part", key, access.Write); err != nil {
		return nil, err
	}
	o := or(opts)
	o.Owner = b.owner(o.Owner)
	most, left, err := b.room(ctx, "put part", key, uploadID, n, o.UploadOptions)
	if err != nil {
		return nil, err
	}
	var part *store.Part
	err = b.within(ctx, "put part", key, most, left, o.Size, r, func(r io.Reader) error {
		part, err = b.b.PutPart(ctx, key, uploadID, n, r, &o)
		return err
	})
	return part, err
}

func (b *bucket) CopyPart(ctx context.Context, key, uploadID string, n int, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	if err := b.may(ctx, "copy part", key, access.Write); err != nil {
		return nil, err
	}
	o := or(opts)
	s, err := b.source(ctx, "copy part", o.From, src)
	if err != nil {
		return nil, err
	}
	o.From, o.Owner = s.b, b.owner(o.Owner)
	if b.bounds(key) != nil {
		if err := b.judgeCopyPart(ctx, key, uploadID, n, s, src, &o); err != nil {
			return nil, err
		}
	}
	part, err := b.b.CopyPart(ctx, key, uploadID, n, src, &o)
	return part, s.hide(ctx, "copy part", src, err)
}

func (b *bucket) ListParts(ctx context.Context, key, uploadID string, opts *store.ListPartsOptions) (*store.PartsPage, error) {
	if err := b.may(ctx, "list parts", key, access.Write); err != nil {
		return nil, err
	}
	o := or(opts)
	o.Owner = b.owner(o.Owner)
	return b.b.ListParts(ctx, key, uploadID, &o)
}

// ListUploads shows an operator all uploads, and others their own, of keys that
// they may still write.
func (b *bucket) ListUploads(ctx context.Context, opts *store.ListUploadsOptions) (*store.UploadsPage, error) {
	o := or(opts)
	if _, err := b.omitting().visible(ctx, "list uploads", b.name, o.Prefix); err != nil {
		// Who may write below the prefix, but not list it, may list uploads there.
		if err := b.ask(ctx, "list uploads", b.name, o.Prefix, access.Write); err != nil {
			return nil, err
		}
	}
	if b.missing != nil {
		return nil, b.missing
	}
	o.Owner = b.owner(o.Owner)
	page, err := b.b.ListUploads(ctx, &o)
	if err != nil || b.operator {
		return page, err
	}
	own := page.Uploads[:0]
	for _, u := range page.Uploads {
		if b.omitting().ask(ctx, "list uploads", b.name, u.Key, access.Write) == nil {
			own = append(own, u)
		}
	}
	page.Uploads = own
	return page, nil
}

func (b *bucket) CompleteUpload(ctx context.Context, key, uploadID string, parts []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	o := or(opts)
	if err := b.may(ctx, "complete upload", key, onWrite(access.Write, o.IfMatch)); err != nil {
		return nil, err
	}
	o.Owner = b.owner(o.Owner)
	if b.bounds(key) != nil {
		var err error
		if parts, err = b.judgeParts(ctx, key, uploadID, parts, o.UploadOptions); err != nil {
			return nil, err
		}
	}
	info, err := b.b.CompleteUpload(ctx, key, uploadID, parts, &o)
	return info, b.hide(ctx, "complete upload", key, err)
}

func (b *bucket) AbortUpload(ctx context.Context, key, uploadID string, opts *store.UploadOptions) error {
	if err := b.may(ctx, "abort upload", key, access.Write); err != nil {
		return err
	}
	return b.b.AbortUpload(ctx, key, uploadID, &store.UploadOptions{Owner: b.owner(or(opts).Owner)})
}

// or returns a copy of what p points to, or a zero value.
func or[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// intersect returns the keys that are in both lists of ranges; nil is all keys.
func intersect(a, b []store.KeyRange) []store.KeyRange {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	both := []store.KeyRange{}
	for len(a) > 0 && len(b) > 0 {
		r := store.KeyRange{Start: max(a[0].Start, b[0].Start), End: lowerEnd(a[0].End, b[0].End)}
		if r.End == "" || r.Start < r.End {
			both = append(both, r)
		}
		if r.End == a[0].End {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}

// lowerEnd is the lower of two ends of ranges, of which "" is the highest.
func lowerEnd(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}
