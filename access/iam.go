package access

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/access/iam"
)

// The most characters of the documents of IAM.
const (
	maxInline       = 10240 // all inline policies of a role together
	maxManaged      = 6144  // a managed policy
	maxManagedCount = 10    // managed policies of a role
	maxSession      = 2048  // a session policy
	maxBucketPolicy = 20 << 10
)

// The reasons for which rules cannot be written as documents of IAM.
const (
	IAMBelowHole Reason = "grant below a hole"    // given again below a path that took it back
	IAMToken     Reason = "token without a value" // IAM has no variable for it
	IAMLookalike Reason = "like an identity id"   // a segment beside the token that somebody's id could be
	IAMLimits    Reason = "limits in IAM"         // IAM has no limits on what is written
	IAMSize      Reason = "size"                  // more characters than IAM accepts
)

// IAMError is why rules could not be written as documents of IAM: every rule that
// stands in the way, but of roles behind one whose documents are too large. It
// matches errors.ErrUnsupported.
type IAMError struct {
	Problems []Problem
}

// Error returns the problems, one to a line.
func (e *IAMError) Error() string { return (&Error{e.Problems}).Error() }

// Unwrap returns errors.ErrUnsupported.
func (e *IAMError) Unwrap() error { return errors.ErrUnsupported }

// IAMOptions say what the documents are written for.
type IAMOptions struct {
	// Bucket is the name of the bucket, or its ARN, arn:PARTITION:s3:::NAME. It is
	// required.
	Bucket string
	// IdentityPool is the id of the identity pool that assumes the roles. "" leaves
	// out the trust policies of all roles but those of functions.
	IdentityPool string
	// Groups are the names of all groups that users may be in. Nil is those that
	// the rules name; then rules with {group} for any but a named group are refused,
	// because a group that is not known has no role to give its folder to.
	Groups []string
	// Roles are the roles to write for, as RoleDocuments names them. Nil is all. What
	// stands in the way of others' documents is no error then.
	Roles []string
	// RoleARN returns the ARN of a role, as RoleDocuments names it, for BucketPolicy:
	// arn:PARTITION:iam::ACCOUNT:role/NAME. A role without one has no statement there.
	RoleARN func(role string) string
}

// RoleDocuments are the documents of one role.
type RoleDocuments struct {
	// Role is guest, authenticated, group:NAME or function:NAME.
	Role string
	// Inline is what the role may do. It is nil if that is nothing, or if it is in
	// Managed.
	Inline *iam.Document
	// Managed is what the role may do if that is too much for an inline policy: up
	// to ten documents, which hold together.
	Managed []*iam.Document
	// Trust says who may assume the role.
	Trust *iam.Document
}

// IAM returns the documents of the roles: guest, authenticated, the groups in the
// order of their first rules, and the functions.
//
// The documents are exact. What one allows is what Decide and MayList allow to a
// subject whose only credentials are those of the role: a guest; a user in no
// group; a member of one group, with all that is due to it besides (or, with
// Replace, nothing besides); a function. Lists are judged by their prefix, whatever
// Lists is. Identity ids are taken to be those of an identity pool.
//
// In the documents get is s3:GetObject, write s3:PutObject, delete
// s3:DeleteObject, list s3:ListBucket, and versions s3:ListBucketVersions. Delete and
// versions together are s3:DeleteObjectVersion, too.
//
// What IAM cannot say is an *IAMError; nothing is approximated. Options that
// cannot be right are fs.ErrInvalid.
func (p *Policy) IAM(opts *IAMOptions) ([]RoleDocuments, error) {
	w, roles, err := p.newIAMWriter(opts)
	if err != nil {
		return nil, err
	}
	out := make([]RoleDocuments, len(roles))
	for i, v := range roles {
		out[i].Role = v.name
		out[i].Trust = v.trust(opts.IdentityPool)
		parts := w.parts(v)
		if len(parts) == 0 {
			continue
		}
		if d := inline(parts); d != nil {
			out[i].Inline = d
			continue
		}
		docs, rest := pack(parts, maxManaged, maxManagedCount)
		if rest != nil {
			w.refuse(v, rest[0].rule(w), IAMSize, fmt.Sprintf(
				"it is the first with no room in %d managed policies of %d characters", maxManagedCount, maxManaged))
			// Each of thousands of further roles could be as large, which takes long
			// to find out and says nothing new.
			break
		}
		out[i].Managed = docs
	}
	if err := w.error(); err != nil {
		return nil, err
	}
	return out, nil
}

// inline returns the parts as one document, or nil if that is too much.
func inline(parts []*part) *iam.Document {
	n := 0
	for _, p := range parts {
		for _, pattern := range p.patterns {
			n += len(pattern)
		}
		if n > 2*maxInline { // characters may be of several bytes
			return nil
		}
	}
	if d := document(parts); iam.Size(d) <= maxInline {
		return d
	}
	return nil
}

// BucketPolicy returns one policy of the bucket for all roles that have an ARN, in
// place of the documents of the roles, and which denies all requests without TLS.
// It is exact as IAM is.
func (p *Policy) BucketPolicy(opts *IAMOptions) (*iam.Document, error) {
	w, roles, err := p.newIAMWriter(opts)
	if err != nil {
		return nil, err
	}
	d := &iam.Document{Version: iam.Version, Statement: []iam.Statement{{
		Sid:       "OnlyTLS",
		Effect:    iam.Deny,
		Principal: iam.Principal{"*": {"*"}},
		Action:    iam.Strings{"s3:*"},
		Resource:  iam.Strings{w.arn, w.arn + "/*"},
		Condition: iam.Condition{"Bool": {"aws:SecureTransport": {"false"}}},
	}}}
	shared := newSharing()
	for _, v := range roles {
		arn := ""
		if opts.RoleARN != nil {
			arn = opts.RoleARN(v.name)
		}
		if arn == "" {
			continue
		}
		if !roleForm.MatchString(arn) {
			return nil, fmt.Errorf("role %s: %q is no ARN of a role, want arn:PARTITION:iam::ACCOUNT:role/NAME: %w", v.name, clip(arn), fs.ErrInvalid)
		}
		shared.add(arn, w.parts(v))
	}
	if err := w.error(); err != nil {
		return nil, err
	}
	parts := shared.parts()
	for _, part := range parts {
		d.Statement = append(d.Statement, part.statement())
	}
	if iam.Size(d) > maxBucketPolicy {
		_, rest := pack(parts, maxBucketPolicy-iam.Size(d.Statement[0])-len(","), 1)
		w.refuse(nil, rest[0].rule(w), IAMSize, fmt.Sprintf("it is the first with no room in a bucket policy of %d characters", maxBucketPolicy))
		return nil, w.error()
	}
	return d, nil
}

// checkName refuses a text that would mean something else inside a document.
func checkName(what, s string) error {
	if strings.ContainsAny(s, "*?${}\"\\ \t\r\n") {
		return fmt.Errorf("%s %q: %w", what, s, fs.ErrInvalid)
	}
	return nil
}

// bucketARN returns the ARN of the bucket.
func (o *IAMOptions) bucketARN() (string, error) {
	if o == nil || o.Bucket == "" {
		return "", fmt.Errorf("no bucket to write documents for: %w", fs.ErrInvalid)
	}
	arn := o.Bucket
	if !strings.HasPrefix(arn, "arn:") {
		arn = "arn:aws:s3:::" + arn
	}
	if !bucketForm.MatchString(arn) {
		return "", fmt.Errorf("bucket %q: want the name of a bucket, or arn:PARTITION:s3:::NAME: %w", clip(o.Bucket), fs.ErrInvalid)
	}
	return arn, nil
}

// The ARNs that documents may have. Names of buckets are also those with capital
// letters and underscores that old buckets may have.
var (
	bucketForm = regexp.MustCompile(`^arn:[a-z0-9-]+:s3:::[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$`)
	roleForm   = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`)
)

// newIAMWriter returns a writer and the views of the roles, in their order.
func (p *Policy) newIAMWriter(opts *IAMOptions) (*iamWriter, []*view, error) {
	arn, err := opts.bucketARN()
	if err == nil {
		err = checkName("identity pool", opts.IdentityPool)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, g := range opts.Groups {
		if !validValue(g) {
			return nil, nil, fmt.Errorf("group %q: %w", g, fs.ErrInvalid)
		}
	}
	roles := []*view{
		{name: "guest", variable: true},
		{name: "authenticated", variable: true, subject: Subject{Authenticated: true}, anyGroup: opts.Groups == nil},
	}
	var functions []*view
	seen := make(map[role]bool)
	add := func(r role) {
		if seen[r] {
			return
		}
		seen[r] = true
		switch r.kind {
		case member:
			roles = append(roles, &view{name: r.String(), variable: true, subject: Subject{Authenticated: true, Groups: []string{r.name}}})
		case function:
			functions = append(functions, &view{name: r.String(), subject: Subject{Function: r.name}})
		}
	}
	for _, rule := range p.Rules() {
		if r, wrong := parseRole(rule.Who); wrong == "" {
			add(r)
		}
	}
	for _, g := range opts.Groups {
		add(role{member, g})
	}
	roles = append(roles, functions...)
	if opts.Roles != nil {
		if roles, err = selectRoles(roles, opts.Roles); err != nil {
			return nil, nil, err
		}
	}
	return newIAMWriter(p, arn), roles, nil
}

// selectRoles returns the roles of the given names, in their order.
func selectRoles(roles []*view, names []string) ([]*view, error) {
	const most = 20 // that an error names
	known := make([]string, len(roles))
	for i, v := range roles {
		known[i] = v.name
	}
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		list, more := strings.Join(known[:min(len(known), most)], ", "), ""
		if len(known) > most {
			more = fmt.Sprintf(" and %d more", len(known)-most)
		}
		return nil, fmt.Errorf("no role is called %q, there are %s%s: %w", clip(name), list, more, fs.ErrInvalid)
	}
	return slices.DeleteFunc(roles, func(v *view) bool { return !slices.Contains(names, v.name) }), nil
}

// trust returns who may assume the role: the identity pool, or a function.
func (v *view) trust(pool string) *iam.Document {
	s := iam.Statement{
		Effect:    iam.Allow,
		Principal: iam.Principal{"Federated": {"cognito-identity.amazonaws.com"}},
		Action:    iam.Strings{"sts:AssumeRoleWithWebIdentity"},
	}
	amr := "unauthenticated"
	switch {
	case v.subject.Function != "":
		s.Principal = iam.Principal{"Service": {"lambda.amazonaws.com"}}
		s.Action = iam.Strings{"sts:AssumeRole"}
		return &iam.Document{Version: iam.Version, Statement: []iam.Statement{s}}
	case pool == "":
		return nil
	case v.subject.Authenticated:
		amr = "authenticated"
	}
	s.Condition = iam.Condition{
		"StringEquals":           {"cognito-identity.amazonaws.com:aud": {pool}},
		"ForAnyValue:StringLike": {"cognito-identity.amazonaws.com:amr": {amr}},
	}
	return &iam.Document{Version: iam.Version, Statement: []iam.Statement{s}}
}
