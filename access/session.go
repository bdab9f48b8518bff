package access

import (
	"fmt"

	"github.com/cubby-storage/cubby/access/iam"
)

// SessionPolicy returns the document to scope the credentials of one subject down
// to what it may do, with all its groups, and with its values in place of the
// tokens. Of the options only the bucket counts.
//
// The document is exact as those of IAM are, and has at most 2,048 characters. If
// that is impossible, the error is an *IAMError. A subject that may do nothing has
// a document that denies everything: without one, its credentials would be those
// of the role.
func (p *Policy) SessionPolicy(s *Subject, opts *IAMOptions) (*iam.Document, error) {
	arn, err := opts.bucketARN()
	if err != nil {
		return nil, err
	}
	w := newIAMWriter(p, arn)
	v := new(view)
	var parts []*part
	if s != nil {
		v.subject = *s
		parts = w.parts(v)
	}
	if err := w.error(); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return &iam.Document{Version: iam.Version, Statement: []iam.Statement{{
			Effect:   iam.Deny,
			Action:   iam.Strings{"*"},
			Resource: iam.Strings{"*"},
		}}}, nil
	}
	d := document(parts)
	if iam.Size(d) <= maxSession {
		return d, nil
	}
	_, rest := pack(parts, maxSession, 1)
	left := 0
	for _, part := range rest {
		left += len(part.patterns)
	}
	w.refuse(v, rest[0].with(0, 1).rule(w), IAMSize, fmt.Sprintf(
		"it is the first with no room in a session policy of %d characters, and %d paths are left", maxSession, left))
	return nil, w.error()
}
