package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/access/iam"
)

// findExcess looks for an example of each further operation that is allowed
// though no rule gives what it is part of. Those with the same example are one line.
// Then it looks for what is allowed outside of all operations, and of the bucket.
func (v *verifier) findExcess() error {
	var lines []string
	names := make(map[string][]string)
	for _, op := range furtherOperations {
		if len(v.evaluator.About(op.name)) == 0 {
			continue
		}
		where, err := v.excess(op)
		if err != nil {
			return err
		}
		if where == "" {
			continue
		}
		if names[where] == nil {
			lines = append(lines, where)
		}
		names[where] = append(names[where], op.name)
	}
	for _, where := range lines {
		v.out.Excess = append(v.out.Excess, fmt.Sprintf("also grants %s on %s", strings.Join(names[where], ", "), where))
	}
	known := make([]string, 0, len(operations)+len(furtherOperations))
	for _, op := range slices.Concat(operations, furtherOperations) {
		known = append(known, op.name)
	}
	r := v.request
	r.Context = maps.Clone(r.Context)
	delete(r.Context, prefixKey)
	if delete(r.Context, iam.IdentityKey); !v.hasID {
		r.Context[iam.IdentityKey] = nil
	}
	v.out.Excess = append(v.out.Excess, v.evaluator.Outside(&r, v.arn, known)...)
	return nil
}

// excess returns an example of where an operation is allowed, "" if it is nowhere.
func (v *verifier) excess(op operation) (string, error) {
	var list []question
	if op.bucket || op.list {
		list = append(list, question{operation: op, noPrefix: true, identity: someIdentity})
	}
	if op.bucket {
		if err := v.checkConditions(op); err != nil {
			return "", err
		}
	} else {
		witnesses, err := v.witnesses(op)
		if err != nil {
			return "", err
		}
		for _, w := range witnesses {
			list = append(list, question{operation: op, key: w.Text, identity: w.Identity})
		}
	}
	var open error
	for _, q := range list {
		allowed, _, err := v.byPolicy(q)
		switch {
		case err != nil && open == nil:
			open = err
		case !allowed || v.byRules(q).Allowed:
		case q.noPrefix:
			return "the bucket", nil
		case q.list:
			return fmt.Sprintf("the prefix %q", q.key), nil
		default:
			return fmt.Sprintf("%q", q.key), nil
		}
	}
	return "", open
}

// someIdentity is an identity id that no key has anything to do with.
const someIdentity = "eu-west-1:00000000-0000-4000-8000-000000000000"
