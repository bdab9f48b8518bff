package access

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/access/iam"
)

// ErrUndecided is why Verify has no answer: the policy depends on something that
// is not known, or is too complex. The error that wraps it names the place.
var ErrUndecided = errors.New("cannot be decided")

// VerifyOptions say what a policy of IAM is compared for.
type VerifyOptions struct {
	// Bucket is the name of the bucket, or its ARN. It is required.
	Bucket string
	// Principal is the ARN of the role, for a policy that names principals.
	Principal string
	// Context are the values of condition keys in all requests, such as
	// {"aws:SecureTransport": {"true"}}. A key with an empty list is in none.
	Context map[string][]string
}

// Verification is what Verify found.
type Verification struct {
	// Differences are examples of requests that are answered differently: a shortest
	// one for each operation, direction, and rule and statement that decided.
	Differences []Difference
	// Excess is what the policy allows besides, that rules have no words for: other
	// actions, and any action elsewhere than on this bucket.
	Excess []string
	// Cases is how many requests were asked of both sides.
	Cases int
}

// Exact reports whether the policy grants what the rules grant, and no more,
// neither on this bucket nor anywhere else. What goes with a right that the rules
// grant, as [Verify] says, is not more.
func (v *Verification) Exact() bool { return len(v.Differences) == 0 && len(v.Excess) == 0 }

// Difference is a request that rules and policy answer differently.
type Difference struct {
	Action    Action // that the rules give the operation by
	Operation string // of S3: "s3:GetObject"
	Key       string // or the prefix of a list
	NoPrefix  bool   // a list that names no prefix; Key is ""
	Identity  string // the identity id of the subject; "" for a function
	ByRules   bool
	ByPolicy  bool
	Decision  Decision // of the rules
	Statement int      // that decided in the policy; -1 if none allows it
}

// String returns the difference as one line.
func (d Difference) String() string {
	what := fmt.Sprintf("%s on %q", d.Operation, d.Key)
	if d.NoPrefix {
		what = d.Operation + " without a prefix"
	}
	if d.Identity != "" && strings.Contains(d.Key, d.Identity) {
		what += " by " + d.Identity
	}
	switch {
	case d.ByPolicy:
		return fmt.Sprintf("%s: Statement[%d] of the policy allows it, no rule does", what, d.Statement)
	case d.Statement >= 0:
		return fmt.Sprintf("%s: %s allows it, Statement[%d] of the policy denies it", what, d.Decision.Rule.at(), d.Statement)
	}
	return fmt.Sprintf("%s: %s allows it, nothing in the policy does", what, d.Decision.Rule.at())
}

// Verify compares a policy of IAM with what the rules grant to a role: guest;
// authenticated, a user in no group; group:NAME, a member of only this group; or
// function:NAME. Whoever has the role has it alone, with no other policy.
//
// The answer is exact, for all keys and all identity ids of the form REGION:UUID.
// All texts are divided into those that match the same patterns, of the rules and
// of the policy, and one of each is asked of both sides.
//
// Get is compared with s3:GetObject, write with s3:PutObject, delete with
// s3:DeleteObject, and list, judged by the prefix, with s3:ListBucket; a list
// without a prefix is due to nobody. Versions is compared with
// s3:ListBucketVersions, and delete and versions together with
// s3:DeleteObjectVersion. Tags, attributes and older versions of what somebody may
// get, and tags and parts of what somebody may write, may be granted or not.
//
// All else that the policy allows is excess: other operations on this bucket,
// patterns of actions that have more names than these, and resources other than
// this bucket and its objects. A denial in the policy takes away from that if it
// needs no condition that is not known to hold, and covers it pattern by pattern.
// The policy is compared under the name of the bucket alone, not through access
// points.
//
// If the policy leaves the answer open the error is ErrUndecided. Rules that
// somebody in the role has rights by, through a token that IAM has no variable
// for, or with limits on what is written, cannot be met by any policy: the error is
// an *IAMError that names them. What {group} stands for is known to a role
// group:NAME.
func Verify(p *Policy, role string, doc *iam.Document, opts *VerifyOptions) (*Verification, error) {
	v, err := newVerifier(p, role, doc, opts)
	if err != nil {
		return nil, err
	}
	for _, op := range operations {
		if err := v.compare(op); err != nil {
			return nil, err
		}
	}
	if err := v.findExcess(); err != nil {
		return nil, err
	}
	return v.out, nil
}

// verifier holds what is known while a policy is compared.
type verifier struct {
	policy  *Policy
	role    string
	limits  *iamWriter // that refuses rules with limits; nil if there are none
	subject Subject
	hasID   bool
	paths   []string // patterns of the rules

	doc       *iam.Document
	evaluator *iam.Evaluator
	allows    *iam.Evaluator // as if nothing were denied
	arn       string         // of the bucket
	request   iam.Request    // what is the same in all

	spaces map[string][]iam.Witness // by their patterns
	out    *Verification
}

func newVerifier(p *Policy, who string, doc *iam.Document, opts *VerifyOptions) (*verifier, error) {
	v := &verifier{policy: p, role: who, doc: doc, hasID: true, spaces: make(map[string][]iam.Witness), out: new(Verification)}
	r, wrong := parseRole(who)
	if wrong == "" && r.kind == owner {
		wrong = "an owner has the role authenticated"
	}
	if wrong != "" {
		return nil, fmt.Errorf("role %q: %s: %w", who, wrong, fs.ErrInvalid)
	}
	switch r.kind {
	case function:
		v.subject.Function, v.hasID = r.name, false
	case member:
		v.subject.Groups = []string{r.name}
		fallthrough
	case authenticated:
		v.subject.Authenticated = true
	}
	if doc == nil || opts == nil {
		return nil, fmt.Errorf("no policy or no bucket to compare: %w", fs.ErrInvalid)
	}
	var err error
	if v.arn, err = (&IAMOptions{Bucket: opts.Bucket}).bucketARN(); err != nil {
		return nil, err
	}
	if _, name, ok := strings.Cut(v.arn, ":::"); !ok || name == "" || strings.ContainsAny(name, ":/") {
		return nil, fmt.Errorf("bucket %q: %w", opts.Bucket, fs.ErrInvalid)
	}
	v.request = iam.Request{Principal: opts.Principal, Context: make(map[string][]string)}
	for _, key := range slices.Sorted(maps.Keys(opts.Context)) {
		v.request.Context[strings.ToLower(key)] = opts.Context[key]
	}
	if p != nil && p.limited {
		v.limits = newIAMWriter(p, v.arn)
	}
	v.evaluator = doc.Compile()
	allows := *doc
	allows.Statement = slices.DeleteFunc(slices.Clone(doc.Statement), func(s iam.Statement) bool { return s.Effect != iam.Allow })
	v.allows = allows.Compile()
	return v, v.readRules(r)
}

// readRules notes the patterns that tell keys apart for the rules.
func (v *verifier) readRules(who role) error {
	roles := []role{who}
	if who.kind == authenticated || who.kind == member && v.policy.Groups() == Union {
		roles = append(roles, role{kind: authenticated}, role{kind: owner})
	}
	seen := make(map[string]bool)
	add := func(prefix string) {
		if !seen[prefix] {
			seen[prefix] = true
			v.paths = append(v.paths, prefix+"*")
		}
	}
	e := new(IAMError)
	for _, rule := range v.policy.Rules() {
		p, bad := parsePattern(rule.Path, false)
		r, wrong := parseRole(rule.Who)
		if bad != nil || wrong != "" && rule.Who != "" {
			continue // it could not have been compiled
		}
		path := p.effective(r)
		if p.own(r) && p.token.kind != identityID {
			switch {
			case !slices.Contains(roles, r):
				continue
			case p.token.kind != group:
				e.Problems = append(e.Problems, Problem{rule.Pos, rule.Path, rule.Who, IAMToken, "IAM has no variable for " + p.token.text()})
				continue
			case len(v.subject.Groups) == 0:
				continue
			}
			path = strings.Replace(path, p.token.text(), v.subject.Groups[0], 1)
		}
		add(path)
		// The token does not stand for what is written out beside it.
		for i, seg := range p.segs {
			if i != p.at && likeIdentity(seg) && (p.at < 0 || i < p.at) {
				add(join(p.segs[:i+1]))
			}
		}
	}
	if len(e.Problems) > 0 {
		return e
	}
	return nil
}

// witnesses returns the texts that stand for all that the operation may be about.
func (v *verifier) witnesses(op operation) ([]iam.Witness, error) {
	if err := v.checkConditions(op); err != nil {
		return nil, err
	}
	var patterns []iam.Pattern
	var err error
	space := iam.Space{MaxLength: maxPath}
	if op.list {
		patterns, err = v.evaluator.Values(op.name, prefixKey)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, ErrUndecided)
		}
	} else {
		patterns = v.evaluator.Resources(op.name)
		space.Prefix, space.NonEmpty = v.arn+"/", true
	}
	var b strings.Builder
	b.WriteString(space.Prefix)
	for _, p := range patterns {
		b.WriteByte(0)
		b.WriteString(p.Text)
	}
	key := b.String()
	if list, ok := v.spaces[key]; ok {
		return list, nil
	}
	for _, p := range patterns {
		if err := space.Add(p.Text); err != nil {
			return nil, fmt.Errorf("%s: %q: %w: %w", p.Place, p.Text, err, ErrUndecided)
		}
	}
	for _, path := range v.paths {
		if err := space.Add(space.Prefix + path); err != nil {
			return nil, fmt.Errorf("path %q: %w: %w", path, err, ErrUndecided)
		}
	}
	list, err := space.Witnesses()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", op.name, err, ErrUndecided)
	}
	v.spaces[key] = list
	return list, nil
}

// checkConditions makes sure that what the conditions of the policy say about the
// operation depends on its key or prefix alone.
func (v *verifier) checkConditions(op operation) error {
	for _, i := range v.evaluator.About(op.name) {
		s := &v.doc.Statement[i]
		if !v.mayBeHere(s) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.Condition)) {
			for _, key := range slices.Sorted(maps.Keys(s.Condition[name])) {
				place := fmt.Sprintf("Statement[%d].Condition.%s.%s", i, name, key)
				switch {
				case strings.EqualFold(key, prefixKey):
				case strings.EqualFold(key, iam.IdentityKey) && name != "Null" && v.hasID:
					return fmt.Errorf("%s: it tells identity ids apart: %w", place, ErrUndecided)
				case slices.ContainsFunc(s.Condition[name][key], func(t string) bool { return strings.Contains(t, "${") }):
					return fmt.Errorf("%s: a variable: %w", place, ErrUndecided)
				}
			}
		}
	}
	return nil
}

// mayBeHere reports whether a statement may be about the bucket. It is no only if
// that is plain.
func (v *verifier) mayBeHere(s *iam.Statement) bool {
	return len(s.Resource) == 0 || slices.ContainsFunc(s.Resource, func(r string) bool {
		if i := strings.IndexAny(r, "*?$"); i >= 0 {
			r = r[:i]
		}
		return strings.HasPrefix(r, v.arn) || strings.HasPrefix(v.arn, r)
	})
}

// prefixKey is the condition key of the prefix of a list.
const prefixKey = "s3:prefix"

// question is a request that both sides are asked.
type question struct {
	operation
	key      string
	noPrefix bool
	identity string
}

// byPolicy asks the policy.
func (v *verifier) byPolicy(q question) (bool, iam.Result, error) {
	r := &v.request
	r.Action, r.Resource = q.name, v.arn
	r.Context[prefixKey], r.Context[iam.IdentityKey] = nil, nil
	switch {
	case q.list && !q.noPrefix:
		r.Context[prefixKey] = []string{q.key}
	case !q.list && !q.bucket:
		r.Resource += "/" + q.key
	}
	if v.hasID {
		r.Context[iam.IdentityKey] = []string{q.identity}
	}
	result := v.evaluator.Evaluate(r)
	if result.Answer == iam.Undecided && v.allows.Evaluate(r).Answer != iam.Implicit {
		return false, result, fmt.Errorf("%s, for %s on %q: %w", v.evaluator.Unknown(r, result.Statement), q.name, q.key, ErrUndecided)
	}
	return result.Answer == iam.Allowed, result, nil
}

// byRules asks the rules.
func (v *verifier) byRules(q question) Decision {
	if q.noPrefix || q.action == 0 {
		return Decision{}
	}
	s := v.subject
	if v.hasID {
		s.Identity = q.identity
	}
	if q.action == List {
		return v.policy.MayList(&s, q.key)
	}
	return v.policy.Decide(&s, q.action, q.key)
}

// checkLimits refuses the rules with limits by which the subject may write a key,
// unless a rule without any lets it, as IAM does.
func (v *verifier) checkLimits(q question) {
	s := v.subject
	if v.hasID {
		s.Identity = q.identity
	}
	if len(v.policy.Bounds(&s, q.key)) == 0 {
		return
	}
	var f finding
	f.find(v.policy.root, &s, q.key)
	v.limits.givers(&view{subject: s}, &f, Write, func(r *Rule) {
		v.limits.refuse(&view{name: v.role}, r, IAMLimits, "IAM has no limits on what is written")
	})
}

// compare compares the answers to all requests for an operation.
func (v *verifier) compare(op operation) error {
	if len(v.evaluator.About(op.name)) == 0 && !slices.ContainsFunc(v.policy.Rules(), func(r Rule) bool { return r.Actions&op.action != 0 }) {
		return nil
	}
	witnesses, err := v.witnesses(op)
	if err != nil {
		return err
	}
	type cause struct {
		rule      *Rule
		statement int
	}
	seen := make(map[cause]bool)
	ask := func(q question) error {
		allowed, result, err := v.byPolicy(q)
		if err != nil {
			return err
		}
		v.out.Cases++
		d := v.byRules(q)
		if d.Allowed && op.action == Write && v.limits != nil {
			v.checkLimits(q)
		}
		if d.Allowed == allowed || seen[cause{d.Rule, result.Statement}] {
			return nil
		}
		seen[cause{d.Rule, result.Statement}] = true
		diff := Difference{
			Action: op.action, Operation: op.name, Key: q.key, NoPrefix: q.noPrefix,
			ByRules: d.Allowed, ByPolicy: allowed, Decision: d, Statement: result.Statement,
		}
		if v.hasID {
			diff.Identity = q.identity
		}
		v.out.Differences = append(v.out.Differences, diff)
		return nil
	}
	if op.list && len(witnesses) > 0 {
		if err := ask(question{operation: op, noPrefix: true, identity: witnesses[0].Identity}); err != nil {
			return err
		}
	}
	for _, w := range witnesses {
		if err := ask(question{operation: op, key: w.Text, identity: w.Identity}); err != nil {
			return err
		}
	}
	if v.limits != nil {
		return v.limits.error()
	}
	return nil
}
