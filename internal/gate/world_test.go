package gate_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

const rules = `
public/*                 guest read   authenticated read,write,delete,versions
protected/{entity_id}/*  authenticated read   owner read,write,delete
private/{entity_id}/*    owner read,write,delete,versions
drop/*                   authenticated write
read/*                   authenticated get
trash/*                  authenticated delete
admin/*                  group:admin read,write,delete,versions
`

var (
	guest = access.Subject{Identity: "id:guest"}
	alice = access.Subject{Identity: "id:alice", Authenticated: true}
	bob   = access.Subject{Identity: "id:bob", Authenticated: true, Groups: []string{"admin"}}
)

// world is a gate over a service that counts what reaches it.
type world struct {
	*testing.T
	svc  *counting
	gate *gate.Gate

	mu     sync.Mutex
	checks []gate.Check
}

// newWorld returns a world with the buckets media and other, which have rules,
// and bare, which has none. The rules of gone are for a bucket that there is not.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, svc: &counting{Service: memstore.New()}}
	for _, name := range []string{"media", "other", "bare"} {
		if err := w.svc.CreateBucket(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	p := parse(t, rules)
	policies := map[string]*access.Policy{"media": p, "other": p, "gone": p, "bare": parse(t, "")}
	w.gate = gate.New(w.svc, policies, &gate.Options{Observe: func(_ context.Context, c gate.Check) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.checks = append(w.checks, c)
	}})
	return w
}

func parse(t *testing.T, text string) *access.Policy {
	t.Helper()
	p, err := access.Parse("rules", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bucket returns the bucket called name as v sees it.
func (w *world) bucket(v *gate.View, name string) store.Bucket {
	w.Helper()
	b, err := v.Bucket(w.Context(), name)
	if err != nil {
		w.Fatalf("bucket %s: %v", name, err)
	}
	return b
}

func (w *world) as(s access.Subject) store.Bucket {
	w.Helper()
	return w.bucket(w.gate.As(s), "media")
}

func (w *world) operator() store.Bucket {
	w.Helper()
	return w.bucket(w.gate.Operator(), "media")
}

// put stores an object as an operator.
func (w *world) put(key, content string) *store.Info {
	w.Helper()
	info, err := w.operator().Put(w.Context(), key, strings.NewReader(content), nil)
	if err != nil {
		w.Fatalf("put %s: %v", key, err)
	}
	return info
}

// content returns an object as an operator sees it, or "" if there is none.
func (w *world) content(key string) string {
	w.Helper()
	o, err := w.operator().Get(w.Context(), key, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	} else if err != nil {
		w.Fatal(err)
	}
	defer o.Body.Close()
	b, err := io.ReadAll(o.Body)
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// asked returns what was observed since the last call.
func (w *world) asked() []gate.Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.checks
	w.checks = nil
	return c
}

// fails reports an error unless err is want, and one of package store.
func (w *world) fails(what string, err, want error) {
	w.Helper()
	if _, ok := errors.AsType[*store.Error](err); want != nil && !ok || !errors.Is(err, want) {
		w.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

// denied reports an error unless err is a refusal, and nothing has reached a bucket.
func (w *world) denied(what string, err error) {
	w.Helper()
	w.fails(what, err, fs.ErrPermission)
	d, ok := errors.AsType[*gate.Denied](err)
	if !ok {
		w.Errorf("%s: error %v does not hold the question", what, err)
	} else if d.Check.Decision.Allowed {
		w.Errorf("%s: the refusal says that it was allowed", what)
	}
	w.untouched(what)
}

func (w *world) untouched(what string) {
	w.Helper()
	if calls := w.svc.take(); len(calls) > 0 {
		w.Errorf("%s: reached the bucket: %v", what, calls)
	}
}

// counting is a service that notes each call of its buckets.
type counting struct {
	store.Service

	mu     sync.Mutex
	calls  []string
	reader io.Reader         // of the last Put
	after  func(call string) // if not nil, is called after some of the calls
	silent bool              // does not tell of which type uploads will be
}

func (c *counting) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	b, err := c.Service.Bucket(ctx, name)
	if err != nil {
		return nil, err
	}
	return &countingBucket{Bucket: b, svc: c, note: func(call string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls = append(c.calls, name+" "+call)
	}}, nil
}

// take returns the calls since the last take, in order.
func (c *counting) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := slices.Clone(c.calls)
	c.calls = nil
	return calls
}

type countingBucket struct {
	store.Bucket
	svc  *counting
	note func(string)
}

// done is called at the end of a call that something may happen after.
func (b *countingBucket) done(call string) {
	if b.svc.after != nil {
		b.svc.after(call)
	}
}

func (b *countingBucket) Stat(ctx context.Context, key string, o *store.GetOptions) (*store.Info, error) {
	b.note("Stat")
	defer b.done("Stat")
	return b.Bucket.Stat(ctx, key, o)
}

func (b *countingBucket) Get(ctx context.Context, key string, o *store.GetOptions) (*store.Object, error) {
	b.note("Get")
	return b.Bucket.Get(ctx, key, o)
}

func (b *countingBucket) Put(ctx context.Context, key string, r io.Reader, o *store.PutOptions) (*store.Info, error) {
	b.note("Put")
	b.svc.reader = r
	return b.Bucket.Put(ctx, key, r, o)
}

func (b *countingBucket) Copy(ctx context.Context, dst, src string, o *store.CopyOptions) (*store.Info, error) {
	b.note("Copy")
	return b.Bucket.Copy(ctx, dst, src, o)
}

func (b *countingBucket) Delete(ctx context.Context, key string, o *store.DeleteOptions) (*store.Deleted, error) {
	b.note("Delete")
	return b.Bucket.Delete(ctx, key, o)
}

func (b *countingBucket) DeleteMany(ctx context.Context, targets []store.Target) ([]store.Deleted, error) {
	var call strings.Builder
	call.WriteString("DeleteMany")
	for _, t := range targets {
		call.WriteString(" " + t.Key)
	}
	b.note(call.String())
	return b.Bucket.DeleteMany(ctx, targets)
}

func (b *countingBucket) Versioning(ctx context.Context) (store.Versioning, error) {
	b.note("Versioning")
	return b.Bucket.Versioning(ctx)
}

func (b *countingBucket) SetVersioning(ctx context.Context, v store.Versioning) error {
	b.note("SetVersioning")
	return b.Bucket.SetVersioning(ctx, v)
}

func (b *countingBucket) ListVersions(ctx context.Context, o *store.ListVersionsOptions) (*store.VersionsPage, error) {
	b.note("ListVersions")
	return b.Bucket.ListVersions(ctx, o)
}

// targets are the current objects of these keys.
func targets(keys ...string) []store.Target {
	all := make([]store.Target, len(keys))
	for i, key := range keys {
		all[i].Key = key
	}
	return all
}

func (b *countingBucket) List(ctx context.Context, o *store.ListOptions) (*store.Page, error) {
	b.note("List")
	return b.Bucket.List(ctx, o)
}

func (b *countingBucket) Tags(ctx context.Context, key string, o *store.GetOptions) (map[string]string, error) {
	b.note("Tags")
	return b.Bucket.Tags(ctx, key, o)
}

func (b *countingBucket) SetTags(ctx context.Context, key string, tags map[string]string, o *store.GetOptions) error {
	b.note("SetTags")
	return b.Bucket.SetTags(ctx, key, tags, o)
}

func (b *countingBucket) CreateUpload(ctx context.Context, key string, o *store.PutOptions) (*store.Upload, error) {
	b.note("CreateUpload")
	return b.Bucket.CreateUpload(ctx, key, o)
}

func (b *countingBucket) PutPart(ctx context.Context, key, id string, n int, r io.Reader, o *store.PartOptions) (*store.Part, error) {
	b.note("PutPart")
	return b.Bucket.PutPart(ctx, key, id, n, r, o)
}

func (b *countingBucket) CopyPart(ctx context.Context, key, id string, n int, src string, o *store.CopyPartOptions) (*store.Part, error) {
	b.note("CopyPart")
	return b.Bucket.CopyPart(ctx, key, id, n, src, o)
}

func (b *countingBucket) ListParts(ctx context.Context, key, id string, o *store.ListPartsOptions) (*store.PartsPage, error) {
	b.note("ListParts")
	defer b.done("ListParts")
	page, err := b.Bucket.ListParts(ctx, key, id, o)
	if err == nil && b.svc.silent {
		page.Attributes = nil
	}
	return page, err
}

func (b *countingBucket) ListUploads(ctx context.Context, o *store.ListUploadsOptions) (*store.UploadsPage, error) {
	b.note("ListUploads")
	return b.Bucket.ListUploads(ctx, o)
}

func (b *countingBucket) CompleteUpload(ctx context.Context, key, id string, parts []store.Part, o *store.CompleteOptions) (*store.Info, error) {
	b.note("CompleteUpload")
	return b.Bucket.CompleteUpload(ctx, key, id, parts, o)
}

func (b *countingBucket) AbortUpload(ctx context.Context, key, id string, o *store.UploadOptions) error {
	b.note("AbortUpload")
	return b.Bucket.AbortUpload(ctx, key, id, o)
}
