package s3api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/cubby-storage/cubby/store"
)

func getObject(c *call) error {
	opts, err := c.getOptions()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	obj, err := c.get(b, opts)
	if err != nil {
		return c.notRead(b, opts, err)
	}
	defer obj.Body.Close()
	// Who takes the content too slowly must not hold it for ever. A writer that
	// has no deadlines belongs to a test.
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(sendTime(obj.Length)))
	c.header(c.describeRange(obj, opts))
	// The writer must be net/http's own: a body that is a file goes out without
	// being copied through this program.
	_, err = io.Copy(c.w, obj.Body)
	if _, gone := errors.AsType[*net.OpError](err); gone || c.ctx.Err() != nil {
		return nil // nobody is there to be told
	}
	return err
}

// sendTime is how long the sending of n bytes may take: a minute, and as long as
// it takes over a line of 16 KiB a second.
func sendTime(n int64) time.Duration {
	return time.Minute + time.Duration(n/(16<<10))*time.Second
}

// getOptions reads the headers that GetObject and HeadObject share.
func (c *call) getOptions() (*store.GetOptions, error) {
	if err := c.checkOverrides(); err != nil {
		return nil, err
	}
	part, err := c.partNumber()
	if err != nil {
		return nil, err
	}
	opts := &store.GetOptions{Range: parseRange(c.value("range")), Part: part, Conditions: c.conditions()}
	if part != 0 && c.value("range") != "" {
		return nil, newError("InvalidRequest", "There may be a Range or a partNumber, but not both.")
	}
	return opts, nil
}

// get opens the object. A range under If-Range is for the state of the object
// that the caller knows; of another one they get the whole.
func (c *call) get(b store.Bucket, opts *store.GetOptions) (*store.Object, error) {
	same := c.value("if-range")
	if opts.Range == nil || same == "" {
		return b.Get(c.ctx, c.target.key, opts)
	}
	whole, part := *opts, *opts
	whole.Range = nil
	if len(opts.IfMatch) > 0 || !opts.IfUnmodifiedSince.IsZero() {
		opts.Range = nil
		return b.Get(c.ctx, c.target.key, opts)
	}
	if t := c.time("if-range"); !t.IsZero() {
		part.IfUnmodifiedSince = t
	} else {
		part.IfMatch = etags(same)
	}
	obj, err := b.Get(c.ctx, c.target.key, &part)
	if errors.Is(err, store.ErrPrecondition) {
		opts.Range = nil
		return b.Get(c.ctx, c.target.key, &whole)
	}
	return obj, err
}

// describeRange writes the headers of an object of which the response holds what
// opts asked for, and returns the status.
func (c *call) describeRange(obj *store.Object, opts *store.GetOptions) int {
	h := c.w.Header()
	partial := (opts.Range != nil || opts.Part != 0) && obj.Length > 0
	c.describe(&obj.Info, !partial)
	h.Set("Content-Length", itoa(obj.Length))
	if opts.Part != 0 && obj.Parts > 0 {
		h.Set("X-Amz-Mp-Parts-Count", itoa(obj.Parts))
	}
	if !partial {
		return http.StatusOK
	}
	h.Set("Content-Range", "bytes "+itoa(obj.Offset)+"-"+itoa(obj.Offset+obj.Length-1)+"/"+itoa(obj.Size))
	return http.StatusPartialContent
}

// notRead completes the response for an object that could not be read.
func (c *call) notRead(b store.Bucket, opts *store.GetOptions, err error) error {
	if errors.Is(err, store.ErrRange) {
		// Who asked for too much needs to know how much there is.
		if info, err := b.Stat(c.ctx, c.target.key, nil); err == nil {
			c.w.Header().Set("Content-Range", "bytes */"+itoa(info.Size))
		}
	}
	switch {
	case errors.Is(err, store.ErrRange) && opts.Part != 0:
		return newError("InvalidPartNumber", "")
	case errors.Is(err, store.ErrNotModified):
		// A cache needs to know which state has not changed. If it has by now,
		// it is told nothing.
		info, err := b.Stat(c.ctx, c.target.key, nil)
		if err == nil && errors.Is(opts.Check(info), store.ErrNotModified) {
			c.validators(info)
			set(c.w.Header(), "Cache-Control", info.CacheControl)
			set(c.w.Header(), "Expires", info.Expires)
		}
		return newError("NotModified", "")
	}
	return err
}
