package cubby

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// abortTimeout is how long an upload that failed may take to clean up.
const abortTimeout = 10 * time.Second

// createGrace is how long an upload that is canceled waits for the id to abort.
const createGrace = 2 * time.Second

// growEvery is how many parts of a stream of unknown size have the same size
// before it doubles, so that MaxParts are enough for MaxSize.
const growEvery = 1000

// job is a part to be sent.
type job struct {
	n    int
	size int64
	body io.ReadSeeker
	free func() // gives the memory of body back
}

// jobs yields the parts of an upload one after the other, and io.EOF at the end.
type jobs func(ctx context.Context) (*job, error)

// sections are the parts of what can be read where it is.
func (u *upload) sections() jobs {
	n, off := 0, int64(0)
	return func(context.Context) (*job, error) {
		if off >= u.src.size {
			return nil, io.EOF
		}
		n++
		size := min(u.partSize, u.src.size-off)
		body := io.NewSectionReader(u.src.at, u.src.base+off, size)
		off += size
		return &job{n, size, body, func() {}}, nil
	}
}

// chunks are the parts of a stream whose first was read already. Each waits for
// one of as many buffers as there are parts on their way at a time.
func (u *upload) chunks(first []byte) jobs {
	buffers := make(chan []byte, u.parallel)
	buffers <- first
	for range u.parallel - 1 {
		buffers <- nil
	}
	n, off, last := 0, int64(0), false
	return func(ctx context.Context) (*job, error) {
		if last {
			return nil, io.EOF
		}
		var buf []byte
		select {
		case buf = <-buffers:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		size := u.partSize
		if u.src.size < 0 {
			size = min(u.partSize<<(n/growEvery), store.MaxPartSize)
		}
		if n > 0 {
			var err error
			if buf, last, err = u.readChunk(buf, size); err != nil {
				return nil, err
			}
		}
		n++
		off += int64(len(buf))
		if n > store.MaxParts || off > store.MaxSize {
			return nil, fmt.Errorf("over %d bytes in %d parts: %w", off, n, store.ErrTooLarge)
		}
		if u.src.size > 0 && (off > u.src.size || last && off < u.src.size) {
			return nil, fmt.Errorf("reader holds %d bytes of %d: %w", off, u.src.size, store.ErrIncomplete)
		}
		return &job{n, int64(len(buf)), bytes.NewReader(buf), func() { buffers <- buf }}, nil
	}
}

// multipart sends the parts that next yields. Where the bucket has no uploads in
// parts, it puts the content whole.
func (u *upload) multipart(ctx context.Context, next jobs, put *store.PutOptions) (*store.Info, error) {
	start := *put
	start.IfNoneMatch = nil
	whole := u.algorithm.CheckType(store.FullObject) == nil
	if whole {
		start.Checksums.Type = store.FullObject
	}
	up, err := u.create(ctx, &start)
	if errors.Is(err, errors.ErrUnsupported) {
		return u.stream(ctx, next, put)
	}
	if err != nil {
		return nil, err
	}
	info, err := u.parts(ctx, up.ID, next, put, whole)
	if err != nil {
		// What ended ctx must not keep the parts.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		if abortErr := u.bucket.AbortUpload(ctx, u.path, up.ID, nil); abortErr != nil && !errors.Is(abortErr, store.ErrNoUpload) {
			err = fmt.Errorf("%w (parts of upload %s are left behind: %v)", strip(err), up.ID, strip(abortErr))
		}
		return nil, err
	}
	return info, nil
}

// create starts the upload. It waits a little for the answer after ctx has ended:
// only who knows the id can abort the upload.
func (u *upload) create(ctx context.Context, start *store.PutOptions) (*store.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.NewTimer(createGrace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-later.Done():
		}
	})()
	up, err := u.bucket.CreateUpload(later, u.path, start)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return up, err
}

func (u *upload) parts(ctx context.Context, id string, next jobs, put *store.PutOptions, whole bool) (*store.Info, error) {
	sent, err := u.send(ctx, id, next)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sent, func(a, b store.Part) int { return a.Number - b.Number })
	done := &store.CompleteOptions{IfNoneMatch: put.IfNoneMatch}
	for _, p := range sent {
		done.Size += p.Size
	}
	if whole {
		sum, err := store.CombineCRC(u.algorithm, sent)
		if err != nil {
			return nil, err
		}
		done.Checksums.Set(u.algorithm, sum)
		done.Checksums.Type = store.FullObject
	}
	info, err := u.bucket.CompleteUpload(ctx, u.path, id, sent, done)
	if errors.Is(err, store.ErrNoUpload) {
		info, err = u.completed(ctx, sent, done, err)
	}
	if err != nil {
		return nil, err
	}
	info.Attributes = put.Attributes
	return info, nil
}

// completed looks whether an upload that is gone has become the object: what lies
// between here and the service may have sent the request again.
func (u *upload) completed(ctx context.Context, sent []store.Part, done *store.CompleteOptions, cause error) (*store.Info, error) {
	etag, err := store.MultipartETag(sent)
	if err != nil {
		return nil, cause
	}
	info, err := u.bucket.Stat(ctx, u.path, nil)
	if err != nil || info.Size != done.Size || info.ETag != etag {
		return nil, cause
	}
	return info, nil
}

// send sends the parts, several at a time. On the first error it stops.
func (u *upload) send(ctx context.Context, id string, next jobs) ([]store.Part, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var sent []store.Part
	slots := make(chan struct{}, u.parallel)
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		j, err := next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			cancel(err)
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer j.free()
			p, err := u.part(ctx, id, j)
			if err != nil {
				cancel(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, *p)
		})
	}
	wg.Wait()
	return sent, context.Cause(ctx)
}

func (u *upload) part(ctx context.Context, id string, j *job) (*store.Part, error) {
	sum, err := u.sum(j.body, j.size)
	if err != nil {
		return nil, err
	}
	opts := &store.PartOptions{Size: j.size, Algorithm: u.algorithm, SSE: u.opts.SSE}
	opts.Checksums.Set(u.algorithm, sum)
	p, err := u.bucket.PutPart(ctx, u.path, id, j.n, u.progress.reader(j.body), opts)
	if err != nil {
		return nil, err
	}
	p.Number, p.Size = j.n, j.size
	p.Checksums.Set(u.algorithm, sum)
	return p, nil
}

// stream puts all parts as one content.
func (u *upload) stream(ctx context.Context, next jobs, put *store.PutOptions) (*store.Info, error) {
	put.Size = max(u.src.size, 0)
	return u.bucket.Put(ctx, u.path, &jobReader{ctx: ctx, next: next, p: u.progress}, put)
}

type jobReader struct {
	ctx  context.Context
	next jobs
	p    *progress
	j    *job
}

// Read implements io.Reader.
func (r *jobReader) Read(b []byte) (int, error) {
	for {
		if r.j == nil {
			var err error
			if r.j, err = r.next(r.ctx); err != nil {
				return 0, err
			}
		}
		n, err := r.j.body.Read(b)
		if err == io.EOF {
			r.j.free()
			r.j, err = nil, nil
		}
		if n > 0 || err != nil {
			r.p.add(int64(n))
			return n, err
		}
	}
}
