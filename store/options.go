package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// Limits of a tag, in characters.
const (
	MaxTagKey   = 128
	MaxTagValue = 256
)

// CheckTags reports whether an object may have these tags. The error is
// ErrTooLarge or fs.ErrInvalid.
func CheckTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%d tags, at most %d are allowed: %w", len(tags), MaxTags, ErrTooLarge)
	}
	for k, v := range tags {
		switch {
		case k == "":
			return fmt.Errorf("tag without a key: %w", fs.ErrInvalid)
		case !utf8.ValidString(k) || !utf8.ValidString(v):
			return fmt.Errorf("tag %q is not valid UTF-8: %w", k, fs.ErrInvalid)
		case utf8.RuneCountInString(k) > MaxTagKey:
			return fmt.Errorf("key of a tag is over %d characters: %w", MaxTagKey, ErrTooLarge)
		case utf8.RuneCountInString(v) > MaxTagValue:
			return fmt.Errorf("value of tag %q is over %d characters: %w", k, MaxTagValue, ErrTooLarge)
		}
	}
	return nil
}

// Check reports whether an object may have these attributes: names of user
// metadata are not empty and in lower case, and all of it is at most MaxUserMeta
// bytes. The error is ErrTooLarge or fs.ErrInvalid.
func (a *Attributes) Check() error {
	size := 0
	for k, v := range a.User {
		if k == "" || k != strings.ToLower(k) {
			return fmt.Errorf("name %q of user metadata is empty or not in lower case: %w", k, fs.ErrInvalid)
		}
		size += len(k) + len(v)
	}
	if size > MaxUserMeta {
		return fmt.Errorf("%d bytes of user metadata, at most %d are allowed: %w", size, MaxUserMeta, ErrTooLarge)
	}
	return nil
}

// Check reports whether what o says can be stored, as far as that can be known
// without the content and the object that is there. A nil o can. The error is
// ErrTooLarge or fs.ErrInvalid.
func (o *PutOptions) Check() error {
	if o == nil {
		return nil
	}
	if o.Algorithm != "" && o.Algorithm.New() == nil {
		return fmt.Errorf("unknown checksum algorithm %q: %w", o.Algorithm, fs.ErrInvalid)
	}
	if o.Size > MaxPartSize {
		return fmt.Errorf("%d bytes, at most %d are allowed: %w", o.Size, int64(MaxPartSize), ErrTooLarge)
	}
	if err := o.Attributes.Check(); err != nil {
		return err
	}
	return CheckTags(o.Tags)
}

// Content returns what o says about the content, as [NewDigester] takes it. Of
// a nil o that is nothing.
func (o *PutOptions) Content() *PartOptions {
	if o == nil {
		return new(PartOptions)
	}
	return &PartOptions{Size: o.Size, MD5: o.MD5, Checksums: o.Checksums, Algorithm: o.Algorithm, Trailer: o.Trailer, SSE: o.SSE}
}

// Resolve says which bytes of an object o asks for. Of an object that was
// uploaded in parts, parts are their sizes; one that was put whole has part 1
// alone. A nil o asks for all. The error is ErrRange, or fs.ErrInvalid for a
// negative part or one with a range.
func (o *GetOptions) Resolve(size int64, parts []int64) (offset, length int64, err error) {
	switch {
	case o == nil:
		return 0, size, nil
	case o.Part == 0:
		return o.Range.Resolve(size)
	case o.Part < 0:
		return 0, 0, fmt.Errorf("part %d: %w", o.Part, fs.ErrInvalid)
	case o.Range != nil:
		return 0, 0, fmt.Errorf("both a part and a range: %w", fs.ErrInvalid)
	case o.Part == 1 && len(parts) == 0:
		return 0, size, nil
	case o.Part > len(parts):
		return 0, 0, fmt.Errorf("part %d of %d: %w", o.Part, max(len(parts), 1), ErrRange)
	}
	for _, n := range parts[:o.Part-1] {
		offset += n
	}
	return offset, parts[o.Part-1], nil
}

// IsZero reports whether s asks for nothing.
func (s *SSE) IsZero() bool {
	return s.Algorithm == "" && s.KMSKeyID == "" && s.KMSContext == "" && s.CustomerKey == nil
}

// CheckPlain is for drivers that keep neither versions nor encrypted objects.
// The error is errors.ErrUnsupported if a version or encryption is asked for.
func CheckPlain(version string, sse SSE) error {
	if version != "" {
		return fmt.Errorf("version %q: %w", version, errors.ErrUnsupported)
	}
	if !sse.IsZero() {
		return fmt.Errorf("encryption: %w", errors.ErrUnsupported)
	}
	return nil
}

// CheckSource is Check for the source of a copy: its caller has no copy that
// could be the same still, so what would be ErrNotModified is ErrPrecondition.
func (c *Conditions) CheckSource(info *Info) error {
	return sourceError(c.Check(info))
}

func sourceError(err error) error {
	if errors.Is(err, ErrNotModified) {
		return fmt.Errorf("source: %w", ErrPrecondition)
	}
	return err
}

// ContextReader returns a reader of r that fails with ctx.Err() when ctx has ended.
func ContextReader(ctx context.Context, r io.Reader) io.Reader {
	return &contextReader{ctx, r}
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
