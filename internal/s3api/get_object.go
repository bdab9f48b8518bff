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
	corked := obj.Length <= small && c.cork()
	if !corked {
		// Who takes the content too slowly must not hold it for ever. A writer that
		// has no deadlines belongs to a test.
		_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(sendTime(obj.Length)))
	}
	c.header(c.describeRange(obj, opts))
	// The writer must be net/http's own: a body that is a file goes out without
	// being copied through this program.
	_, err = io.Copy(c.w, obj.Body)
	if corked {
		if e := c.uncork(); err == nil {
			err = e
		}
	}
	if _, gone := errors.AsType[*net.OpError](err); gone || c.ctx.Err() != nil {
		return nil // nobody is there to be told
	}
	return err
}

// small is the most bytes of an object that is sent as soon as it is opened, within
// the time that any answer has.
const small = 64 << 10

// corker is a ResponseWriter that can send the header together with the content.
// Cork reports whether it will; Uncork must follow then.
type corker interface {
	Cork() bool
	Uncork() error
}

// cork has the header of the response wait for the content, if that can be had.
func (c *call) cork() bool {
	w, ok := c.w.(corker)
	return ok && w.Cork()
}

// uncork sends what was written since cork, which was true.
func (c *call) uncork() error { return c.w.(corker).Uncork() }

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
	span := c.value("range")
	opts := &store.GetOptions{Range: parseRange(span), Part: part, Conditions: c.conditions()}
	if opts.Version, err = c.version(); err != nil {
		return nil, err
	}
	if opts.SSE.CustomerKey, err = c.customerKey(ownKey); err != nil {
		return nil, err
	}
	if part != 0 && span != "" {
		return nil, newError("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
	}
	return opts, nil
}

// get opens the object. A range under If-Range is for the state of the object
// that the caller knows; of another one they get the whole.
func (c *call) get(b store.Bucket, opts *store.GetOptions) (*store.Object, error) {
	same := ""
	if opts.Range != nil {
		same = c.value("if-range")
	}
	if same == "" {
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
	partial := (opts.Range != nil || opts.Part != 0) && obj.Length > 0
	c.describe(&obj.Info, !partial)
	c.put("Content-Length", itoa(obj.Length))
	if opts.Part != 0 && obj.Parts > 0 {
		c.put("X-Amz-Mp-Parts-Count", itoa(obj.Parts))
	}
	if !partial {
		return http.StatusOK
	}
	c.put("Content-Range", "bytes "+itoa(obj.Offset)+"-"+itoa(obj.Offset+obj.Length-1)+"/"+itoa(obj.Size))
	return http.StatusPartialContent
}

// notRead completes the response for an object that could not be read.
func (c *call) notRead(b store.Bucket, opts *store.GetOptions, err error) error {
	same := &store.GetOptions{Version: opts.Version, SSE: opts.SSE}
	if errors.Is(err, store.ErrRange) {
		// Who asked for too much needs to know how much there is.
		if info, err := b.Stat(c.ctx, c.target.key, same); err == nil {
			c.put("Content-Range", "bytes */"+itoa(info.Size))
		}
	}
	switch {
	case errors.Is(err, store.ErrRange) && opts.Part != 0:
		return newError("InvalidPartNumber", "")
	case errors.Is(err, store.ErrNotModified):
		// A cache needs to know which state has not changed. If it has by now,
		// it is told nothing.
		info, err := b.Stat(c.ctx, c.target.key, same)
		if err == nil && errors.Is(opts.Check(info), store.ErrNotModified) {
			c.validators(info)
			c.some("Cache-Control", info.CacheControl)
			c.some("Expires", info.Expires)
		}
		return newError("NotModified", "")
	}
	return err
}
