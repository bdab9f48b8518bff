package gate

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/store"
)

// ErrContentType is the cause when content of that type may not be written under
// that key, though content of other types may [fs.ErrPermission].
var ErrContentType = fmt.Errorf("content type is not allowed: %w", fs.ErrPermission)

// Limited is the cause of an error for a write that the rules grant, but which is
// not within the limits beside them. errors.Is finds store.ErrTooLarge or
// ErrContentType in it. Who may write may know these limits.
type Limited struct {
	Check        Check
	MaxSize      int64    // the most bytes that may be written; 0 if the content type is the reason
	ContentTypes []string // those that may be written; nil if the size is the reason
}

func (l *Limited) Error() string { return l.Check.Limit + ": " + l.Unwrap().Error() }

// Unwrap returns store.ErrTooLarge or ErrContentType.
func (l *Limited) Unwrap() error {
	if l.MaxSize > 0 {
		return store.ErrTooLarge
	}
	return ErrContentType
}

// refuse returns the error of a write that is not within its limits, after
// telling the observer.
func (b *bucket) refuse(ctx context.Context, op, key string, l *Limited) error {
	c := &l.Check
	*c = Check{Bucket: b.name, Key: key, Action: access.Write, Subject: &b.subject, Policy: b.policies[b.name]}
	c.Decision = c.Policy.Decide(&b.subject, access.Write, key)
	c.Decision.Allowed = false
	if l.MaxSize > 0 {
		c.Limit = "at most " + strconv.FormatInt(l.MaxSize, 10) + " bytes may be written"
	} else {
		c.Limit = "only content of type " + strings.Join(l.ContentTypes, ", ") + " may be written"
	}
	b.g.observe(ctx, *c)
	return &store.Error{Op: op, Bucket: b.name, Key: key, Err: l}
}

// bounds returns the limits of which a write under key must keep one. Nil is none.
func (b *bucket) bounds(key string) []*access.Limits {
	if b.operator {
		return nil
	}
	return b.policies[b.name].Bounds(&b.subject, key)
}

// most returns the most bytes that an object of this content type may have under
// key; 0 is no limit. If there may be none of that type the error says so.
func (b *bucket) most(ctx context.Context, op, key, contentType string) (int64, error) {
	list := b.bounds(key)
	if list == nil {
		return 0, nil
	}
	var most int64
	for _, l := range list {
		switch {
		case !l.Admits(contentType):
		case l.MaxSize == 0:
			return 0, nil
		default:
			most = max(most, l.MaxSize)
		}
	}
	if most > 0 {
		return most, nil
	}
	l := new(Limited)
	for _, other := range list {
		l.ContentTypes = append(l.ContentTypes, other.ContentTypes...)
	}
	slices.Sort(l.ContentTypes)
	l.ContentTypes = slices.Compact(l.ContentTypes)
	return 0, b.refuse(ctx, op, key, l)
}

// mostOf is most for the object of an upload, whose parts were listed. If the store
// does not tell its content type, which was judged when the upload began, the
// largest of the limits counts.
func (b *bucket) mostOf(ctx context.Context, op, key string, page *store.PartsPage) (int64, error) {
	if page.Attributes != nil {
		return b.most(ctx, op, key, page.Attributes.ContentType)
	}
	var most int64
	for _, l := range b.bounds(key) {
		if l.MaxSize == 0 {
			return 0, nil
		}
		most = max(most, l.MaxSize)
	}
	return most, nil
}

// within has write store what r holds, which is size bytes if that is above 0,
// unless it is more than left. most is the limit that this comes of; if it is 0
// write gets r itself.
func (b *bucket) within(ctx context.Context, op, key string, most, left, size int64, r io.Reader, write func(io.Reader) error) error {
	if most == 0 {
		return write(r)
	}
	if left < 0 || size > left {
		return b.refuse(ctx, op, key, &Limited{MaxSize: most})
	}
	c := &capped{r: r, left: left}
	err := write(c)
	if err != nil && c.over.Load() {
		return b.refuse(ctx, op, key, &Limited{MaxSize: most})
	}
	return err
}

// capped fails with store.ErrTooLarge instead of the first byte too many.
type capped struct {
	r    io.Reader
	left int64
	over atomic.Bool // a driver may have others read for it
}

func (c *capped) Read(p []byte) (int, error) {
	if c.over.Load() {
		return 0, store.ErrTooLarge
	}
	if int64(len(p)) > c.left {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	if int64(n) > c.left {
		c.over.Store(true)
		return 0, store.ErrTooLarge
	}
	c.left -= int64(n)
	return n, err
}

// room returns the most bytes that the object of an upload may have, 0 for no
// limit, and how many of them are left for part n. It looks at one page of the
// parts that are there: that is what can be known for little, and completing the
// upload looks at all.
func (b *bucket) room(ctx context.Context, op, key, uploadID string, n int, opts store.UploadOptions) (most, left int64, err error) {
	if b.bounds(key) == nil {
		return 0, 0, nil
	}
	page, err := b.b.ListParts(ctx, key, uploadID, &store.ListPartsOptions{UploadOptions: opts})
	if err != nil {
		return 0, 0, err
	}
	if most, err = b.mostOf(ctx, op, key, page); err != nil || most == 0 {
		return 0, 0, err
	}
	left = most
	for _, p := range page.Parts {
		if p.Number != n { // which is about to be replaced
			left -= p.Size
		}
	}
	return most, left, nil
}

// judgeParts compares the size of the parts that are named with the limits, and
// returns them with the entity tags that they have now, so that none of them can
// be replaced by a larger one before they are put together.
func (b *bucket) judgeParts(ctx context.Context, key, uploadID string, named []store.Part, opts store.UploadOptions) ([]store.Part, error) {
	const op = "complete upload"
	at := make(map[int]int, len(named))
	for i, p := range named {
		at[p.Number] = i
	}
	parts := slices.Clone(named)
	var most, size int64
	for list := (&store.ListPartsOptions{UploadOptions: opts}); ; {
		page, err := b.b.ListParts(ctx, key, uploadID, list)
		if err != nil {
			return nil, err
		}
		if most, err = b.mostOf(ctx, op, key, page); err != nil || most == 0 {
			return named, err
		}
		for _, p := range page.Parts {
			i, ok := at[p.Number]
			if !ok {
				continue
			}
			if tag := named[i].ETag; tag != "" && tag != p.ETag {
				continue // so that it stays in at
			}
			parts[i].ETag = p.ETag
			size += p.Size
			delete(at, p.Number)
		}
		if !page.More {
			break
		}
		list.After = page.Next
	}
	if len(at) > 0 {
		return nil, &store.Error{Op: op, Bucket: b.name, Key: key, Err: store.ErrInvalidPart}
	}
	if size > most {
		return nil, b.refuse(ctx, op, key, &Limited{MaxSize: most})
	}
	return parts, nil
}

// judgeCopy compares the source of a copy with the limits under dst, and changes o
// so that what was compared is what will be copied.
func (b *bucket) judgeCopy(ctx context.Context, dst string, s *bucket, src string, o *store.CopyOptions) error {
	info, err := b.pin(ctx, "copy", s, src, &store.GetOptions{Version: o.Version, SSE: store.SSE{CustomerKey: o.SourceKey}}, &o.Source)
	if err != nil {
		return err
	}
	if !o.Replace {
		// The attributes may change while the entity tag stays.
		o.Replace, o.Put.Attributes = true, info.Attributes
	}
	most, err := b.most(ctx, "copy", dst, o.Put.ContentType)
	if err == nil && most > 0 && info.Size > most {
		err = b.refuse(ctx, "copy", dst, &Limited{MaxSize: most})
	}
	return err
}

// judgeCopyPart is judgeCopy for a part of an upload.
func (b *bucket) judgeCopyPart(ctx context.Context, key, uploadID string, n int, s *bucket, src string, o *store.CopyPartOptions) error {
	most, left, err := b.room(ctx, "copy part", key, uploadID, n, o.UploadOptions)
	if err != nil || most == 0 {
		return err
	}
	info, err := b.pin(ctx, "copy part", s, src, &store.GetOptions{Version: o.Version, SSE: store.SSE{CustomerKey: o.SourceKey}}, &o.Source)
	if err != nil {
		return err
	}
	_, size, err := o.Range.ResolveWhole(info.Size)
	if err != nil {
		return &store.Error{Op: "copy part", Bucket: s.name, Key: src, Err: err}
	}
	if size > left {
		err = b.refuse(ctx, "copy part", key, &Limited{MaxSize: most})
	}
	return err
}

// pin describes the source of a copy, and makes it a condition that it stays so.
func (b *bucket) pin(ctx context.Context, op string, s *bucket, src string, opts *store.GetOptions, cond *store.Conditions) (*store.Info, error) {
	info, err := s.b.Stat(ctx, src, opts)
	if err != nil {
		return nil, s.hide(ctx, op, src, err)
	}
	if err := cond.CheckSource(info); err != nil {
		return nil, &store.Error{Op: op, Bucket: s.name, Key: src, Err: err}
	}
	cond.IfMatch = []string{info.ETag}
	return info, nil
}
