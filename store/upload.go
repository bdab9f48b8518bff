package store

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// NewUpload returns the upload of key that CreateUpload with these options
// starts. The driver sets ID and Started. The error is that of [CheckKey] or
// [PutOptions.Check], or fs.ErrInvalid for a checksum that there is not.
func NewUpload(key string, opts *PutOptions) (*Upload, error) {
	if opts == nil {
		opts = new(PutOptions)
	}
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	u := &Upload{Key: key, Owner: opts.Owner, Algorithm: opts.Algorithm, Type: opts.Checksums.Type}
	if u.Algorithm == "" {
		u.Algorithm = opts.Checksums.Any()
	}
	switch {
	case u.Algorithm == "" && u.Type != "":
		return nil, fmt.Errorf("checksum of type %s without an algorithm: %w", u.Type, fs.ErrInvalid)
	case u.Algorithm == "":
		return u, nil
	case u.Type == "":
		u.Type = u.Algorithm.DefaultType()
	}
	return u, u.Algorithm.CheckType(u.Type)
}

// NewUploadID returns a fresh upload id. Those made at a later time are greater.
func NewUploadID(now time.Time) string {
	b := make([]byte, 8, 24)
	for i := range b {
		b[i] = byte(now.UnixNano() >> (56 - 8*i))
	}
	b = b[:24]
	rand.Read(b[8:]) // never fails
	return hex.EncodeToString(b)
}

// Check reports whether u is the upload of key that opts name, by its owner. A
// nil u is none. The error is ErrNoUpload.
func (u *Upload) Check(key string, opts UploadOptions) error {
	if u == nil || u.Key != key || opts.Owner != "" && opts.Owner != u.Owner {
		return ErrNoUpload
	}
	return nil
}

// Content returns the options with which part n of u is read: opts, with the
// algorithm of u where they have none. The error is fs.ErrInvalid if there is no
// part n, or if opts ask for another algorithm.
func (u *Upload) Content(n int, opts *PartOptions) (*PartOptions, error) {
	if n < 1 || n > MaxParts {
		return nil, fmt.Errorf("part %d is not in 1 to %d: %w", n, MaxParts, fs.ErrInvalid)
	}
	var o PartOptions
	if opts != nil {
		o = *opts
	}
	if o.Algorithm == "" {
		o.Algorithm = u.Algorithm
	}
	if u.Algorithm != "" && o.Algorithm != u.Algorithm {
		return nil, fmt.Errorf("part with %s in an upload with %s: %w", o.Algorithm, u.Algorithm, fs.ErrInvalid)
	}
	return &o, nil
}

// Assemble works out what CompleteUpload makes of an upload. Of the parts that
// are stored, which ascend by number, it picks those that are named and returns
// them with the description of the object: Key, Size, ETag, Checksums and Parts.
// The error is one of ErrPartOrder, ErrInvalidPart, ErrPartTooSmall, ErrTooLarge,
// ErrIncomplete, ErrDigest, or fs.ErrInvalid where no part is named or a checksum
// is given that the upload does not have. The conditions are left to the driver.
func Assemble(u *Upload, stored, named []Part, opts *CompleteOptions) (*Info, []Part, error) {
	if opts == nil {
		opts = new(CompleteOptions)
	}
	parts, err := pick(stored, named, cmp.Or(opts.MinPart, MinPartSize))
	if err != nil {
		return nil, nil, err
	}
	info := &Info{Key: u.Key, Parts: len(parts)}
	for _, p := range parts {
		info.Size += p.Size
	}
	if info.Size > MaxSize {
		return nil, nil, fmt.Errorf("object of %d bytes, at most %d are allowed: %w", info.Size, int64(MaxSize), ErrTooLarge)
	}
	if opts.Size > 0 && opts.Size != info.Size {
		return nil, nil, fmt.Errorf("parts have %d bytes of %d: %w", info.Size, opts.Size, ErrIncomplete)
	}
	if info.ETag, err = MultipartETag(parts); err != nil {
		return nil, nil, err
	}
	if info.Checksums, err = assembleChecksums(u, parts, &opts.Checksums); err != nil {
		return nil, nil, err
	}
	return info, parts, nil
}

// pick returns the stored parts that are named, all but the last of the least size or more.
func pick(stored, named []Part, least int64) ([]Part, error) {
	if len(named) == 0 {
		return nil, fmt.Errorf("no parts: %w", fs.ErrInvalid)
	}
	for i := range len(named) - 1 {
		if named[i].Number >= named[i+1].Number {
			return nil, fmt.Errorf("part %d before part %d: %w", named[i].Number, named[i+1].Number, ErrPartOrder)
		}
	}
	parts := make([]Part, 0, len(named))
	for _, n := range named {
		i, ok := slices.BinarySearchFunc(stored, n.Number, func(p Part, n int) int { return p.Number - n })
		if !ok {
			return nil, fmt.Errorf("part %d is not stored: %w", n.Number, ErrInvalidPart)
		}
		p := stored[i]
		if n.ETag != "" && n.ETag != p.ETag {
			return nil, fmt.Errorf("part %d has entity tag %s, not %s: %w", n.Number, p.ETag, n.ETag, ErrInvalidPart)
		}
		for _, a := range Algorithms() {
			if v := n.Checksums.Get(a); v != "" && p.Checksums.Get(a) != v {
				return nil, fmt.Errorf("part %d has another %s: %w", n.Number, a, ErrInvalidPart)
			}
		}
		parts = append(parts, p)
	}
	for _, p := range parts[:len(parts)-1] {
		if p.Size < least {
			return nil, fmt.Errorf("part %d of %d bytes, at least %d are needed: %w", p.Number, p.Size, least, ErrPartTooSmall)
		}
	}
	return parts, nil
}

// assembleChecksums returns the checksums of the object that is made of parts,
// after comparing those that are given.
func assembleChecksums(u *Upload, parts []Part, given *Checksums) (Checksums, error) {
	var sums Checksums
	if given.Type != "" && given.Type != u.Type {
		return sums, fmt.Errorf("checksum of type %s for an upload with type %q: %w", given.Type, u.Type, fs.ErrInvalid)
	}
	for _, a := range Algorithms() {
		if given.Get(a) != "" && a != u.Algorithm {
			return sums, fmt.Errorf("the upload has no %s: %w", a, fs.ErrInvalid)
		}
	}
	var v string
	var err error
	switch {
	case u.Algorithm == "":
		return sums, nil
	case u.Type == FullObject:
		v, err = CombineCRC(u.Algorithm, parts)
	default:
		v, err = CompositeChecksum(u.Algorithm, parts)
	}
	if err != nil {
		return sums, err
	}
	// A client may give a composite checksum without the number of parts.
	plain, _, _ := strings.Cut(v, "-")
	if g := given.Get(u.Algorithm); g != "" && g != v && g != plain {
		return sums, &DigestError{u.Algorithm, v, given.Get(u.Algorithm)}
	}
	sums.Set(u.Algorithm, v)
	sums.Type = u.Type
	return sums, nil
}
