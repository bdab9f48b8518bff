package gate

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"sync"

	"github.com/cubby-storage/cubby/store"
)

// ErrTooManyUploads is the cause when a subject starts an upload, but has as many open
// as Options.Uploads allows.
var ErrTooManyUploads = fmt.Errorf("too many uploads are open: %w", fs.ErrInvalid)

// uploads limits how many uploads subjects may have open.
type uploads struct {
	most    int
	tooMany error

	mu       sync.Mutex
	starting map[starter]int // uploads that lists may not show yet
}

// starter is somebody who starts uploads in a bucket.
type starter struct{ bucket, owner string }

func newUploads(opts *Options) *uploads {
	u := &uploads{most: opts.Uploads, tooMany: opts.TooManyUploads, starting: map[starter]int{}}
	if u.most == 0 {
		u.most = math.MaxInt
	}
	if u.tooMany == nil {
		u.tooMany = ErrTooManyUploads
	}
	return u
}

// admit asks whether the owner may start an upload in b. The caller starts it and then
// calls done. Of uploads that start side by side, each counts those that were admitted
// before it, so there are never more than allowed.
func (u *uploads) admit(ctx context.Context, b *bucket, owner string) (done func(), err error) {
	if u.most == math.MaxInt {
		return func() {}, nil
	}
	who := starter{b.name, owner}
	u.mu.Lock()
	u.starting[who]++
	n := u.starting[who] // with this one
	u.mu.Unlock()
	end := func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.starting[who]--; u.starting[who] == 0 {
			delete(u.starting, who)
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	list := &store.ListUploadsOptions{UploadOptions: store.UploadOptions{Owner: owner}}
	for n <= u.most {
		list.Limit = min(u.most-n+1, store.MaxPage)
		page, err := b.b.ListUploads(ctx, list)
		if err != nil {
			return nil, err
		}
		if n += len(page.Uploads); !page.More {
			break
		}
		list.AfterKey, list.AfterID = page.NextKey, page.NextID
	}
	if n > u.most {
		return nil, u.tooMany
	}
	return end, nil
}
