package access

import (
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/access/iam"
)

// iamWriter writes documents of a policy, and notes what stands in the way.
type iamWriter struct {
	policy *Policy
	arn    string // of the bucket
	places map[role][]*place

	signedIn []*spot  // see findSignedIn
	tokens   []*place // own places of everybody who is signed in, by other tokens than the identity

	lookalikes map[*node]string // a child that is like an identity id, or ""
	first      map[string]*Rule // on each path, once needed
	refused    map[refusal][]string
	order      []refusal
}

func newIAMWriter(p *Policy, arn string) *iamWriter {
	w := &iamWriter{policy: p, arn: arn, lookalikes: make(map[*node]string), refused: make(map[refusal][]string)}
	if p == nil {
		w.policy = new(Policy)
	}
	w.places = findPlaces(w.policy.root)
	return w
}

// byPrefix are the actions that IAM judges by the prefix of a list.
const byPrefix = List | Versions

// keyActions returns what IAM judges by the key where somebody may do a. Versions
// is to delete single versions, which takes both Delete and Versions.
func keyActions(a Action) Action {
	if a&Delete == 0 {
		a &^= Versions
	}
	return a &^ List
}

// part is a statement, or a piece of one.
type part struct {
	partKind
	patterns []string
	places   []*place // of the patterns
	arn      string
	who      []string // ARNs of principals
}

// partKind is what the patterns of a statement have in common.
type partKind struct {
	effect  string
	prefix  bool // the patterns are of prefixes
	actions Action
}

// parts returns the statements for a view: first what is allowed, then what is
// denied. Patterns with the same actions are together.
func (w *iamWriter) parts(v *view) []*part {
	var list []*part
	at := make(map[partKind]*part)
	add := func(s *spot, effect string, may, but Action) {
		for _, k := range []partKind{{effect, false, keyActions(may) &^ keyActions(but)}, {effect, true, may &^ but & byPrefix}} {
			if k.actions == 0 {
				continue
			}
			p := at[k]
			if p == nil {
				p = &part{partKind: k, arn: w.arn}
				at[k] = p
				list = append(list, p)
			}
			p.patterns = append(p.patterns, s.path+"*")
			p.places = append(p.places, s.place)
		}
	}
	for _, s := range w.reach(v) {
		var above Action
		if s.above != nil {
			above = s.above.may
		}
		add(s, iam.Allow, s.may, above)
		add(s, iam.Deny, above, s.may)
	}
	slices.SortStableFunc(list, compareParts)
	return list
}

func compareParts(a, b *part) int {
	rank := func(p *part) int {
		n := 0
		if p.effect == iam.Deny {
			n = 2
		}
		if p.prefix {
			n++
		}
		return n
	}
	return rank(a) - rank(b)
}

// rule returns the rule that the first pattern is of.
func (p *part) rule(w *iamWriter) *Rule { return w.ruleAt(p.places[0]) }

// with returns a part with other patterns: those from i to j.
func (p *part) with(i, j int) *part {
	q := *p
	q.patterns, q.places = p.patterns[i:j:j], p.places[i:j:j]
	return &q
}

// statement returns the part as a statement.
func (p *part) statement() iam.Statement {
	s := iam.Statement{Effect: p.effect}
	names := map[Action]string{Get: "s3:GetObject", Write: "s3:PutObject", Delete: "s3:DeleteObject", Versions: "s3:DeleteObjectVersion"}
	if p.prefix {
		names = map[Action]string{List: "s3:ListBucket", Versions: "s3:ListBucketVersions"}
	}
	for bit := Action(1); bit <= p.actions; bit <<= 1 {
		if p.actions&bit != 0 {
			s.Action = append(s.Action, names[bit])
		}
	}
	if len(p.who) > 0 {
		s.Principal = iam.Principal{"AWS": slices.Clone(p.who)}
	}
	if p.prefix {
		s.Resource = iam.Strings{p.arn}
		s.Condition = iam.Condition{"StringLike": {"s3:prefix": slices.Clone(p.patterns)}}
		return s
	}
	for _, pattern := range p.patterns {
		s.Resource = append(s.Resource, p.arn+"/"+pattern)
	}
	return s
}

// document returns a document of the parts.
func document(parts []*part) *iam.Document {
	d := &iam.Document{Version: iam.Version}
	for _, p := range parts {
		d.Statement = append(d.Statement, p.statement())
	}
	return d
}

// pack puts the parts into at most n documents of at most limit characters. What
// found no room is the rest.
func pack(parts []*part, limit, n int) (docs []*iam.Document, rest []*part) {
	empty := iam.Size(iam.Document{Version: iam.Version, Statement: []iam.Statement{}})
	var open []*part
	used := empty
	flush := func() {
		if len(open) > 0 {
			docs = append(docs, document(open))
		}
		open, used = nil, empty
	}
	for k, p := range parts {
		bare := p.with(0, 0)
		bare.patterns = []string{"", ""}
		head := iam.Size(bare.statement()) + len(",")
		each := 0
		if !p.prefix {
			each = iam.Size(p.arn+"/") - len(`""`)
		}
		head -= 2*(each+len(`""`)) + len(",")
		from := 0
		for i, pattern := range p.patterns {
			need := each + iam.Size(pattern) + len(",")
			if i == from {
				need += head
			}
			if used+need > limit && used > empty {
				if i > from {
					open = append(open, p.with(from, i))
					need += head
				}
				flush()
				from = i
			}
			if len(docs) == n || used+need > limit {
				return docs, append([]*part{p.with(i, len(p.patterns))}, parts[k+1:]...)
			}
			used += need
		}
		open = append(open, p.with(from, len(p.patterns)))
	}
	flush()
	return docs, nil
}

// sharing collects the same patterns for several principals.
type sharing struct {
	order []sharedPattern
	who   map[sharedPattern][]string
	place map[sharedPattern]*place
	arn   string
}

type sharedPattern struct {
	partKind
	pattern string
}

func newSharing() *sharing {
	return &sharing{who: make(map[sharedPattern][]string), place: make(map[sharedPattern]*place)}
}

func (sh *sharing) add(who string, parts []*part) {
	for _, p := range parts {
		sh.arn = p.arn
		for i, pattern := range p.patterns {
			k := sharedPattern{p.partKind, pattern}
			if sh.who[k] == nil {
				sh.order = append(sh.order, k)
				sh.place[k] = p.places[i]
			}
			if !slices.Contains(sh.who[k], who) {
				sh.who[k] = append(sh.who[k], who)
			}
		}
	}
}

// parts returns the statements, in which patterns for the same principals are
// together.
func (sh *sharing) parts() []*part {
	type kind struct {
		partKind
		who string
	}
	var list []*part
	at := make(map[kind]*part)
	for _, k := range sh.order {
		who := sh.who[k]
		kk := kind{k.partKind, strings.Join(who, "\n")}
		p := at[kk]
		if p == nil {
			p = &part{partKind: k.partKind, arn: sh.arn, who: who}
			at[kk] = p
			list = append(list, p)
		}
		p.patterns = append(p.patterns, k.pattern)
		p.places = append(p.places, sh.place[k])
	}
	slices.SortStableFunc(list, compareParts)
	return list
}
