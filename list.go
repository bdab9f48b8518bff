package cubby

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// ListOptions are the options of List and ListPage.
type ListOptions struct {
	// Delimiter, if not "", leaves out what lies deeper: paths that hold it
	// behind the location count as one item up to and with it. It is usually "/".
	Delimiter string
	PageSize  int    // most items in a page; 0 stands for 1000, which is the most
	Token     string // Page.Next of the page before this one
}

// Item is an object in a list, or a folder that stands for what lies in it.
type Item struct {
	Bucket  string // friendly name
	Path    string
	Key     string // what follows the folder of the level; of a location that is no key, Path
	Folder  bool   // rolled up by the delimiter; the fields below are zero then
	Size    int64
	ETag    string
	ModTime time.Time
}

// Page is part of a list.
type Page struct {
	Items []Item // by Path
	Next  string // token of the next page; "" if there is none
}

// List yields what there is at l: the objects whose paths start with its path,
// in the order of their bytes. An empty path is the whole bucket. After an error
// nothing more is yielded.
func (c *Client) List(ctx context.Context, l Location, opts *ListOptions) iter.Seq2[Item, error] {
	o := ListOptions{}
	if opts != nil {
		o = *opts
	}
	return func(yield func(Item, error) bool) {
		for {
			page, err := c.ListPage(ctx, l, &o)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			o.Token = page.Next
		}
	}
}

// ListPage returns one page of what List yields. It may hold less than PageSize
// although there are more.
func (c *Client) ListPage(ctx context.Context, l Location, opts *ListOptions) (*Page, error) {
	const op = "list"
	if opts == nil {
		opts = new(ListOptions)
	}
	t, err := c.locate(ctx, l)
	if err != nil {
		return nil, c.fail(op, l.String(), err)
	}
	// The token is the last path of the page before, behind a mark.
	after, ok := strings.CutPrefix(opts.Token, "after:")
	if opts.Token != "" && !ok {
		return nil, c.fail(op, t.path, fmt.Errorf("token %q is not one of a page: %w", opts.Token, fs.ErrInvalid))
	}
	s, err := t.List(ctx, &store.ListOptions{Prefix: t.path, Delimiter: opts.Delimiter, After: after, Limit: opts.PageSize})
	if err != nil {
		return nil, c.fail(op, t.path, err)
	}
	page := new(Page)
	for _, o := range s.Objects {
		page.Items = append(page.Items, Item{Bucket: t.name, Path: o.Key, Key: t.key(o.Key), Size: o.Size, ETag: o.ETag, ModTime: o.ModTime})
	}
	for _, p := range s.Prefixes {
		page.Items = append(page.Items, Item{Bucket: t.name, Path: p, Key: t.key(p), Folder: true})
	}
	slices.SortFunc(page.Items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	if s.More {
		page.Next = "after:" + s.Next
	}
	return page, nil
}

// key is what follows the folder of the level.
func (t *target) key(path string) string { return strings.TrimPrefix(path, t.folder) }
