package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// CheckKey reports whether key can name an object: not empty, valid UTF-8, at
// most MaxKey bytes. The error is fs.ErrInvalid or ErrTooLarge.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("empty key: %w", fs.ErrInvalid)
	case len(key) > MaxKey:
		return fmt.Errorf("key of %d bytes, at most %d are allowed: %w", len(key), MaxKey, ErrTooLarge)
	case !utf8.ValidString(key):
		return fmt.Errorf("key is not valid UTF-8: %w", fs.ErrInvalid)
	}
	return nil
}

// CheckBucketName reports whether name is a bucket name by the rules of S3: 3 to
// 63 lower-case letters, digits, hyphens and dots, starting and ending with a
// letter or digit, without two dots in a row, and not an IP address.
func CheckBucketName(name string) error {
	bad := func(why string) error { return fmt.Errorf("bucket name %q %s: %w", name, why, fs.ErrInvalid) }
	if len(name) < 3 || len(name) > 63 {
		return bad("must have 3 to 63 characters")
	}
	for i := range len(name) {
		c := name[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && c != '-' && c != '.' {
			return bad("may hold only a-z, 0-9, '-' and '.'")
		}
		if !alnum && (i == 0 || i == len(name)-1) {
			return bad("must start and end with a letter or digit")
		}
	}
	if strings.Contains(name, "..") {
		return bad("must not hold two dots in a row")
	}
	if strings.Trim(name, ".0123456789") == "" { // to parse what is no address costs much
		if _, err := netip.ParseAddr(name); err == nil {
			return bad("must not be an IP address")
		}
	}
	return nil
}

// Check tests c against an object. A nil info means that there is none. The
// error is nil, ErrPrecondition, ErrNotModified, or fs.ErrNotExist where only an
// object that exists can meet c.
func (c *Conditions) Check(info *Info) error {
	if info == nil {
		return fs.ErrNotExist
	}
	mod := info.ModTime.Unix()
	switch {
	case len(c.IfMatch) > 0:
		if !matches(c.IfMatch, info.ETag) {
			return ErrPrecondition
		}
	case !c.IfUnmodifiedSince.IsZero() && mod > c.IfUnmodifiedSince.Unix():
		return ErrPrecondition
	}
	switch {
	case len(c.IfNoneMatch) > 0:
		if matches(c.IfNoneMatch, info.ETag) {
			return ErrNotModified
		}
	case !c.IfModifiedSince.IsZero() && mod <= c.IfModifiedSince.Unix():
		return ErrNotModified
	}
	return nil
}

// CheckWrite tests the conditions of a write against the object that is there.
// A nil info means that there is none. The error is nil, fs.ErrExist,
// fs.ErrNotExist or ErrPrecondition, or errors.ErrUnsupported for an IfNoneMatch
// other than "*".
func CheckWrite(ifMatch, ifNoneMatch []string, info *Info) error {
	if len(ifNoneMatch) > 0 {
		if !matches(ifNoneMatch, "*") {
			return fmt.Errorf("If-None-Match of a write may only be *: %w", errors.ErrUnsupported)
		}
		if info != nil {
			return fs.ErrExist
		}
	}
	if len(ifMatch) > 0 {
		if info == nil {
			return fs.ErrNotExist
		}
		if !matches(ifMatch, info.ETag) {
			return ErrPrecondition
		}
	}
	return nil
}

func matches(tags []string, etag string) bool {
	for _, t := range tags {
		if t == "*" || t == etag {
			return true
		}
	}
	return false
}

// Resolve turns r into an offset and a length inside an object of the given
// size. A nil r is the whole object. The error is ErrRange if no byte of the
// object is in r.
func (r *Range) Resolve(size int64) (offset, length int64, err error) {
	if r == nil {
		return 0, size, nil
	}
	offset, length = r.Offset, r.Length
	if offset < 0 {
		offset = max(size+offset, 0)
	}
	if offset >= size || length == 0 {
		return 0, 0, ErrRange
	}
	if length < 0 || length > size-offset {
		length = size - offset
	}
	return offset, length, nil
}

// Contains reports whether key is in r.
func (r KeyRange) Contains(key string) bool {
	return key >= r.Start && (r.End == "" || key < r.End)
}
