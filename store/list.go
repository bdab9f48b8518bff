package store

import (
	"cmp"
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
	limit, err := pageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	page := new(Page)
	w := newWindow(opts.Prefix, opts.Delimiter, opts.Ranges)
	pos, ok := w.start(opts.After)
	if ok {
		pos, ok = w.next(pos)
	}
	for ok = ok && c.Seek(pos); ok; {
		key := c.Key()
		if pos, ok = w.next(key); !ok {
			break
		}
		if pos != key {
			ok = c.Seek(pos)
			continue
		}
		if len(page.Objects)+len(page.Prefixes) == limit {
			page.More = true
			return page, nil
		}
		if roll := w.roll(key); roll != "" {
			page.Prefixes = append(page.Prefixes, roll)
			page.Next = roll
			pos, ok = prefixEnd(roll)
			ok = ok && c.Seek(pos)
			continue
		}
		info, err := c.Info()
		if err != nil {
			return nil, err
		}
		page.Objects = append(page.Objects, info)
		page.Next = key
		ok = c.Next()
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return page, nil
}

// ListUploads makes the page of a list of the uploads given, which it sorts by
// key and id: the ids of a driver that uses it ascend with the time, as those of
// [NewUploadID] do. The error is fs.ErrInvalid for a negative limit.
func ListUploads(uploads []Upload, opts *ListUploadsOptions) (*UploadsPage, error) {
	if opts == nil {
		opts = new(ListUploadsOptions)
	}
	limit, err := pageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(uploads, func(a, b Upload) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.ID, b.ID))
	})
	page := new(UploadsPage)
	w := newWindow(opts.Prefix, opts.Delimiter, opts.Ranges)
	start, ok := w.start(opts.AfterKey)
	if !ok {
		return page, nil
	}
	for _, u := range uploads {
		if opts.Owner != "" && u.Owner != opts.Owner {
			continue
		}
		later := opts.AfterID != "" && u.Key == opts.AfterKey && u.ID > opts.AfterID
		if u.Key < start && !later {
			continue
		}
		pos, ok := w.next(u.Key)
		if !ok {
			break
		}
		roll := w.roll(u.Key)
		if pos != u.Key || roll != "" && roll == last(page.Prefixes) {
			continue
		}
		if len(page.Uploads)+len(page.Prefixes) == limit {
			page.More = true
			return page, nil
		}
		if roll != "" {
			page.Prefixes = append(page.Prefixes, roll)
			page.NextKey, page.NextID = roll, ""
			continue
		}
		page.Uploads = append(page.Uploads, u)
		page.NextKey, page.NextID = u.Key, u.ID
	}
	return page, nil
}

// ListParts makes the page of a list of the parts of u, which ascend by number.
// The error is fs.ErrInvalid for a negative limit.
func ListParts(u *Upload, parts []Part, opts *ListPartsOptions) (*PartsPage, error) {
	if opts == nil {
		opts = new(ListPartsOptions)
	}
	limit, err := pageLimit(opts.Limit)
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
	if after != "" && w.roll(after) == after {
		return prefixEnd(after)
	}
	if after == "" {
		return "", true
	}
	return after + "\x00", true
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

// prefixEnd returns the least string that is greater than all that start with
// prefix. It is false if there is none.
func prefixEnd(prefix string) (string, bool) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1}), true
		}
	}
	return "", false
}

func pageLimit(limit int) (int, error) {
	switch {
	case limit < 0:
		return 0, fmt.Errorf("negative limit %d: %w", limit, fs.ErrInvalid)
	case limit == 0:
		return MaxPage, nil
	}
	return min(limit, MaxPage), nil
}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}
