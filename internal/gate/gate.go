// Package gate is the only door between a front end and a bucket.
//
// [Gate.As] gives the buckets as one subject may see them, [Gate.Operator] as an
// operator does. Both are a [store.Service] whose buckets ask the rules first:
// what they do not grant fails with fs.ErrPermission before the bucket is
// touched, a list holds exactly the keys that the subject may list, and a key
// that is missing looks forbidden to those who may not list it. A bucket that is
// missing looks like one without rules.
//
// What the rules let somebody write may have limits (see [access.Limits]). They are
// kept before and while content arrives, and what is too large is never stored, not
// even in part: see [Limited].
//
// A key with a "." or ".." segment or a NUL is fs.ErrInvalid for everybody.
package gate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync/atomic"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/store"
)

// Gate guards the buckets of a service.
type Gate struct {
	svc      store.Service
	policies atomic.Pointer[map[string]*access.Policy] // never changed, only replaced
	observe  func(context.Context, Check)
	uploads  *uploads
}

// Options are the options of New.
type Options struct {
	// Observe, if not nil, is told of every question that the gate asked and
	// how it was answered. It must be quick, and safe for concurrent use.
	Observe func(context.Context, Check)

	// Uploads is how many uploads a subject may have open in one bucket; 0 is no
	// limit. TooManyUploads is the cause of the error for one more; nil means
	// ErrTooManyUploads.
	Uploads        int
	TooManyUploads error
}

// Check is a question that a gate asked.
type Check struct {
	Bucket   string
	Key      string // for a list, its prefix; "" for a bucket
	Action   access.Action
	Operator bool
	Subject  *access.Subject // nil for an operator
	Policy   *access.Policy  // the rules that were asked; nil for an operator
	Decision access.Decision
	// Limit says why a write that the rules grant was refused all the same: none
	// of their limits admits it. Decision is a refusal then, and names the rule
	// that would have allowed it. Elsewhere Limit is "".
	Limit string
	// Omits says that a denial only leaves something out of a list: nothing was refused.
	Omits bool
}

// New returns the gate of svc, with the rules of each bucket under its name. A
// bucket without rules is open to operators alone.
func New(svc store.Service, policies map[string]*access.Policy, opts *Options) *Gate {
	if opts == nil {
		opts = new(Options)
	}
	g := &Gate{svc: svc, observe: opts.Observe, uploads: newUploads(opts)}
	g.SetPolicies(policies)
	if g.observe == nil {
		g.observe = func(context.Context, Check) {}
	}
	return g
}

// SetPolicies gives the buckets other rules. Every view that As returns from then
// on has them; one that it returned before keeps those it has, so that a request
// is judged by one set of rules from its beginning to its end.
func (g *Gate) SetPolicies(policies map[string]*access.Policy) {
	own := maps.Clone(policies)
	g.policies.Store(&own)
}

// Policy returns the rules that a bucket has now, nil if it has none.
func (g *Gate) Policy(bucket string) *access.Policy { return (*g.policies.Load())[bucket] }

// Denied is the cause of an error for what the rules do not grant. errors.Is
// finds fs.ErrPermission in it.
type Denied struct {
	Check Check
}

func (d *Denied) Error() string { return fs.ErrPermission.Error() }

// Is reports whether target is fs.ErrPermission.
func (d *Denied) Is(target error) bool { return target == fs.ErrPermission }

// View is the service as one subject, or an operator, may see it.
type View struct {
	g        *Gate
	operator bool
	subject  access.Subject
	policies map[string]*access.Policy // those of the gate when the view was made
	omits    bool                      // see Check
}

// As returns the service as s may see it, by the rules of now.
func (g *Gate) As(s access.Subject) *View {
	return &View{g: g, subject: s, policies: *g.policies.Load()}
}

// Operator returns the service with everything in it.
func (g *Gate) Operator() *View { return &View{g: g, operator: true} }

var (
	_ store.Service = (*View)(nil)
	_ store.Bucket  = (*bucket)(nil)
)

// ask puts one question to the rules. key is that of an object, or the prefix of
// a list.
func (v *View) ask(ctx context.Context, op, name, key string, a access.Action) error {
	c := Check{Bucket: name, Key: key, Action: a, Operator: v.operator}
	if v.operator {
		c.Decision.Allowed = true
	} else {
		c.Subject, c.Policy = &v.subject, v.policies[name]
		c.Decision = c.Policy.Decide(&v.subject, a, key)
	}
	return v.settle(ctx, op, c)
}

// omitting returns v for questions about what a list leaves out.
func (v *View) omitting() *View {
	w := *v
	w.omits = true
	return &w
}

func (v *View) settle(ctx context.Context, op string, c Check) error {
	c.Omits = v.omits
	v.g.observe(ctx, c)
	if !c.Decision.Allowed {
		return &store.Error{Op: op, Bucket: c.Bucket, Key: c.Key, Err: &Denied{c}}
	}
	return nil
}

// visible asks for a list, and returns the ranges that it may show. For an
// operator they are nil, which is all.
func (v *View) visible(ctx context.Context, op, name, prefix string) ([]store.KeyRange, error) {
	c := Check{Bucket: name, Key: prefix, Action: access.List, Operator: v.operator}
	if v.operator {
		c.Decision.Allowed = true
		return nil, v.settle(ctx, op, c)
	}
	c.Subject, c.Policy = &v.subject, v.policies[name]
	ranges := c.Policy.Visible(&v.subject, prefix)
	if len(ranges) > 0 {
		c.Decision.Allowed = true
	} else {
		c.Decision = c.Policy.Decide(&v.subject, access.List, prefix)
		c.Decision.Allowed = false
	}
	if err := v.settle(ctx, op, c); err != nil {
		return nil, err
	}
	return keyRanges(ranges), nil
}

// keyRanges returns ranges of rules as a store takes them. They are not nil, which
// would be all keys.
func keyRanges(ranges []access.KeyRange) []store.KeyRange {
	list := make([]store.KeyRange, len(ranges))
	for i, r := range ranges {
		list[i] = store.KeyRange{Start: r.Start, End: r.End}
	}
	return list
}

// Bucket returns the bucket called name as the subject may see it. If there is
// none, only an operator is told so here. A subject gets a bucket whose methods
// fail with store.ErrNoBucket for what the rules would grant in it, and else with
// fs.ErrPermission, as those of a bucket without rules do: names cannot be probed.
func (v *View) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	b, err := v.g.svc.Bucket(ctx, name)
	if err != nil && (v.operator || !errors.Is(err, store.ErrNoBucket)) {
		return nil, err
	}
	return &bucket{View: v, name: name, b: b, missing: err}, nil
}

// StatBucket describes a bucket to those who may list something in it.
func (v *View) StatBucket(ctx context.Context, name string) (*store.BucketInfo, error) {
	if _, err := v.visible(ctx, "stat bucket", name, ""); err != nil {
		return nil, err
	}
	list, err := v.g.svc.Buckets(ctx)
	if err != nil {
		return nil, err
	}
	for _, info := range list {
		if info.Name == name {
			return &info, nil
		}
	}
	return nil, &store.Error{Op: "stat bucket", Bucket: name, Err: store.ErrNoBucket}
}

// Buckets describes the buckets in which the subject may list something.
func (v *View) Buckets(ctx context.Context) ([]store.BucketInfo, error) {
	list, err := v.g.svc.Buckets(ctx)
	if err != nil {
		return nil, err
	}
	seen := list[:0]
	for _, info := range list {
		if _, err := v.omitting().visible(ctx, "list buckets", info.Name, ""); err == nil {
			seen = append(seen, info)
		}
	}
	return seen, nil
}

// CreateBucket makes a bucket. Only an operator may.
func (v *View) CreateBucket(ctx context.Context, name string) error {
	if err := v.operate(ctx, "create bucket", name); err != nil {
		return err
	}
	return v.g.svc.CreateBucket(ctx, name)
}

// DeleteBucket removes an empty bucket. Only an operator may.
func (v *View) DeleteBucket(ctx context.Context, name string) error {
	if err := v.operate(ctx, "delete bucket", name); err != nil {
		return err
	}
	return v.g.svc.DeleteBucket(ctx, name)
}

// Operate asks for leave to read or change settings of a bucket that lie outside of
// it. Only an operator has it. op says what is being done.
func (v *View) Operate(ctx context.Context, op, name string) error {
	if err := v.operate(ctx, op, name); err != nil {
		return err
	}
	_, err := v.g.svc.Bucket(ctx, name)
	return err
}

// operate asks for what no rule can grant.
func (v *View) operate(ctx context.Context, op, name string) error {
	c := Check{Bucket: name, Operator: v.operator}
	c.Decision.Allowed = v.operator
	if !v.operator {
		c.Subject, c.Policy = &v.subject, v.policies[name]
	}
	return v.settle(ctx, op, c)
}

// owner is who an upload belongs to: the subject, whoever named is. An operator,
// to whom all belong, may name somebody.
func (v *View) owner(named string) string {
	switch {
	case v.operator:
		return named
	case v.subject.Function != "":
		return "function/" + v.subject.Function // no identity has a slash in it
	case v.subject.Identity == "":
		return "anonymous"
	}
	return v.subject.Identity
}

// checkKey refuses keys that name nothing, or that others might read as another key.
func checkKey(op, name, key string) error {
	err := store.CheckKey(key)
	if err == nil {
		err = access.CheckKey(key)
	}
	if err != nil {
		return &store.Error{Op: op, Bucket: name, Key: key, Err: err}
	}
	return nil
}

var errTooMany = fmt.Errorf("more than %d keys: %w", store.MaxPage, fs.ErrInvalid)

// errForeign is for a copy from a bucket that did not come from this gate.
var errForeign = fmt.Errorf("the source is not a bucket of this gate: %w", fs.ErrInvalid)
