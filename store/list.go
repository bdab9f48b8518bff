package store

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Cursor walks over the objects of a driver in the ascending order of the bytes
// of their keys. One that has not been moved, or whose last move was false,
// stands nowhere.
type Cursor interface {
	// Seek moves to the first key that is not less than key, which may be "".
	// It is false if there is none, or on an error.
	Seek(key string) bool
	// Next moves to the next key. It is false if there is none, or on an error.
	Next() bool
	// Key is the key that the cursor stands on.
	Key() string
	// Info describes the object that the cursor stands on, as Page.Objects does.
	Info() (Info, error)
	// Err is the error that ended the walk, or nil.
	Err() error
}

// ListCursor makes the page of a list of what c walks over. It seeks over the
// keys that a prefix stands for and over those between two ranges, so the work
// is that of the entries in the page and of the ranges. The error is
// fs.ErrInvalid for a negative limit, or that of c.
func ListCursor(c Cursor, opts *ListOptions) (*Page, error) {
	if opts == nil {
		opts = new(ListOptions)
	}
	limit, err := PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	page := new(Page)
	w := newWindow(opts.Prefix, opts.Delimiter, opts.Ranges)
	pos, ok := w.start(opts.After)
	page.More, err = w.walk(c, ok && c.Seek(pos), limit, func(key, roll string) error {
		if roll != "" {
			page.Prefixes = append(page.Prefixes, roll)
			page.Next = roll
			return nil
		}
		info, err := c.Info()
		page.Objects = append(grow(page.Objects, limit), info)
		page.Next = key
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// grow makes room for one more element of up to limit in few steps: most pages
// are either short or full.
func grow[E any](s []E, limit int) []E {
	if len(s) < cap(s) {
		return s
	}
	return slices.Grow(s, max(1, min(limit, 8*max(len(s), 2))-len(s)))
}

// ListParts makes the page of a list of the parts of u, which ascend by number.
// The error is fs.ErrInvalid for a negative limit.
func ListParts(u *Upload, parts []Part, opts *ListPartsOptions) (*PartsPage, error) {
	if opts == nil {
		opts = new(ListPartsOptions)
	}
	limit, err := PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	i, _ := slices.BinarySearchFunc(parts, opts.After+1, func(p Part, n int) int { return p.Number - n })
	parts = parts[i:]
	page := &PartsPage{Upload: *u}
	if len(parts) > limit {
		page.More = true
		parts = parts[:limit]
	}
	page.Parts = slices.Clone(parts)
	if len(parts) > 0 {
		page.Next = parts[len(parts)-1].Number
	}
	return page, nil
}

// window is the part of the key space that a list is about.
type window struct {
	prefix, delimiter string
	ranges            []KeyRange // those that end after the last key asked about
}

func newWindow(prefix, delimiter string, ranges []KeyRange) *window {
	if ranges == nil {
		ranges = []KeyRange{{}}
	}
	return &window{prefix, delimiter, ranges}
}

// start returns the least key that a list after this one may hold. It is false
// if there is none.
func (w *window) start(after string) (string, bool) {
	switch {
	case after == "":
		return w.next("")
	case w.roll(after) != after:
		return w.next(after + "\x00")
	}
	end, ok := PrefixEnd(after)
	if !ok {
		return "", false
	}
	return w.next(end)
}

// next returns the least key in the window that is not less than key. It is
// false if there is none. From call to call key must not descend.
func (w *window) next(key string) (string, bool) {
	key = max(key, w.prefix)
	for len(w.ranges) > 0 {
		r := w.ranges[0]
		pos := max(key, r.Start)
		if r.End == "" || pos < r.End {
			return pos, strings.HasPrefix(pos, w.prefix)
		}
		w.ranges = w.ranges[1:]
	}
	return "", false
}

// roll returns the prefix that key is rolled up to, or "".
func (w *window) roll(key string) string {
	rest, ok := strings.CutPrefix(key, w.prefix)
	if !ok || w.delimiter == "" {
		return ""
	}
	i := strings.Index(rest, w.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(w.prefix)+i+len(w.delimiter)]
}

// walker is what all cursors have in common.
type walker interface {
	Seek(key string) bool
	Next() bool
	Key() string
	Err() error
}

// walk calls take for each entry of the list, with its key and the prefix that
// this is rolled up to, or "". It begins where c stands, unless stands is false,
// and ends after limit entries: then it reports whether there are more.
func (w *window) walk(c walker, stands bool, limit int, take func(key, roll string) error) (more bool, err error) {
	for n := 0; stands; {
		key := c.Key()
		pos, ok := w.next(key)
		if !ok {
			break
		}
		if pos != key {
			stands = c.Seek(pos)
			continue
		}
		if n == limit {
			return true, nil
		}
		n++
		roll := w.roll(key)
		if err := take(key, roll); err != nil {
			return false, err
		}
		if roll == "" {
			stands = c.Next()
			continue
		}
		pos, ok = PrefixEnd(roll)
		stands = ok && c.Seek(pos)
	}
	return false, c.Err()
}

// PrefixEnd returns the least string that is greater than all that start with
// prefix: with prefix as the start it bounds them in a [KeyRange]. It is false if
// there is none, for "" and where all bytes are 0xff.
func PrefixEnd(prefix string) (string, bool) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1}), true
		}
	}
	return "", false
}

// PageLimit returns the most entries of a page for the Limit of the options of a
// list: MaxPage for 0 and for what is greater. The error is fs.ErrInvalid for a
// negative one.
func PageLimit(limit int) (int, error) {
	switch {
	case limit < 0:
		return 0, fmt.Errorf("negative limit %d: %w", limit, fs.ErrInvalid)
	case limit == 0:
		return MaxPage, nil
	}
	return min(limit, MaxPage), nil
}
