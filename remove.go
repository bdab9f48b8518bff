package cubby

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// Remove removes the object at l. To remove one that is not there is no error.
func (c *Client) Remove(ctx context.Context, l Location) error {
	const op = "remove"
	t, err := c.object(ctx, l)
	if err != nil {
		return c.fail(op, l.String(), err)
	}
	_, err = t.Delete(ctx, t.path, nil)
	return c.fail(op, t.path, err)
}

// RemoveAllOptions are the options of RemoveAll.
type RemoveAllOptions struct {
	// Progress, if not nil, is called after each batch with the paths that were
	// removed, and with the error, an *Error, of each that was not.
	Progress func(removed []string, failed []error)
}

// RemoveAll removes the folder at l: every object whose path starts with its
// path and a slash. It returns how many it removed. If some could not be
// removed, it goes on, and the error is that of the first of them. It refuses the
// whole bucket with fs.ErrInvalid.
func (c *Client) RemoveAll(ctx context.Context, l Location, opts *RemoveAllOptions) (removed int, err error) {
	const op = "remove all"
	if opts == nil {
		opts = new(RemoveAllOptions)
	}
	t, err := c.locate(ctx, l)
	if err != nil {
		return 0, c.fail(op, l.String(), err)
	}
	prefix := t.path
	if prefix == "" || prefix == "*" {
		return 0, c.fail(op, prefix, fmt.Errorf("%q is the whole bucket: %w", prefix, fs.ErrInvalid))
	}
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	var firstErr error
	for list := (&store.ListOptions{Prefix: prefix}); ; {
		page, err := t.List(ctx, list)
		if err != nil {
			return removed, c.fail(op, prefix, err)
		}
		targets := make([]store.Target, len(page.Objects))
		for i, o := range page.Objects {
			targets[i].Key = o.Key
		}
		var failed []error
		if len(targets) > 0 {
			done, err := t.DeleteMany(ctx, targets)
			if err != nil {
				return removed, c.fail(op, prefix, err)
			}
			var gone []string
			for i, d := range done {
				if d.Err == nil {
					gone = append(gone, targets[i].Key)
				} else {
					failed = append(failed, c.fail("remove", targets[i].Key, d.Err))
				}
			}
			removed += len(gone)
			if opts.Progress != nil {
				opts.Progress(slices.Clip(gone), failed)
			}
		}
		if firstErr == nil && len(failed) > 0 {
			firstErr = failed[0]
		}
		if !page.More {
			return removed, firstErr
		}
		// Not from the start again: what could not be removed would come back.
		list.After = page.Next
	}
}
