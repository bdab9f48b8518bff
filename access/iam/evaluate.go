package iam

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Request is what a policy is asked about.
type Request struct {
	Action    string // as in "s3:GetObject"
	Resource  string // an ARN
	Principal string // the ARN of who asks; "" is unknown
	// Context is what is known of the values of condition keys. A key with an empty
	// list is known to be absent. Whatever depends on a key that is not in the map is
	// unknown. The case of letters in keys does not matter.
	Context map[string][]string
}

// values returns the values of a condition key, whose name is in lower case.
func (r *Request) values(key string) (values []string, known bool) {
	if values, known = r.Context[key]; known {
		return values, true
	}
	for _, name := range slices.Sorted(maps.Keys(r.Context)) {
		if strings.ToLower(name) == key {
			return r.Context[name], true
		}
	}
	return nil, false
}

// Answer is what a policy says about a request.
type Answer uint8

// The answers. The zero value is a refusal.
const (
	Implicit  Answer = iota // no statement allows it
	Denied                  // a statement denies it
	Allowed                 // a statement allows it, and none denies it
	Undecided               // it depends on something unknown
)

var answerNames = [...]string{"not allowed", "denied", "allowed", "undecided"}

// String returns the answer in words.
func (a Answer) String() string {
	if int(a) < len(answerNames) {
		return answerNames[a]
	}
	return fmt.Sprintf("answer %d", a)
}

// Result is an answer with its reason.
type Result struct {
	Answer Answer
	// Statement is the index of the first statement that gave the answer, or left it
	// open. It is -1 if the answer is Implicit.
	Statement int
}

// Evaluate answers one request. Who asks often uses [Document.Compile].
//
// A statement that denies is stronger than any that allows. What is unknown - an
// operator, the value of a key, a variable of no known value - leaves the answer
// Undecided, unless the answer is the same whatever it is. That is judged
// condition by condition: two that only together leave no choice stay open.
func (d *Document) Evaluate(r *Request) Answer {
	return d.Compile().Evaluate(r).Answer
}

// Evaluator is a policy made ready to be asked often. It does not change, and may
// be used by several goroutines at once.
type Evaluator struct {
	document   Document
	statements []statement
	always     []int            // those that must always be looked at
	byResource index            // those that one of their resources leads to
	byKey      map[string]*gate // those that a condition leads to, by its key
}

// gate leads from the value of a condition key to the statements that want it.
type gate struct {
	values index
	all    []int
}

type statement struct {
	deny        bool
	principal   Principal
	actions     index
	notAction   bool
	resources   index
	notResource bool
	any         bool // it has no resources, as in the trust policy of a role
	tests       []test
}

// fewStatements are gone through faster than looked up.
const fewStatements = 8

// Compile returns the policy in a form that is asked quickly, however many
// patterns it has. The document must not be changed while that is in use.
func (d *Document) Compile() *Evaluator {
	e := &Evaluator{document: Document{Version: d.Version, Statement: slices.Clone(d.Statement)}, byKey: make(map[string]*gate)}
	var byResource []item
	byKey := make(map[string][]item)
	for i := range d.Statement {
		s, gates := d.Statement[i].compile(d.Version == Version)
		e.statements = append(e.statements, s)
		switch {
		case len(d.Statement) <= fewStatements || s.notResource || s.any:
			e.always = append(e.always, i)
			continue
		case gates != nil:
			g := e.byKey[gates.key]
			if g == nil {
				g = new(gate)
				e.byKey[gates.key] = g
			}
			g.all = append(g.all, i)
			for _, it := range gates.patterns.items {
				byKey[gates.key] = append(byKey[gates.key], item{it.pattern, i})
			}
		default:
			for _, it := range s.resources.items {
				byResource = append(byResource, item{it.pattern, i})
			}
		}
	}
	e.byResource = newIndex(byResource)
	for key, g := range e.byKey {
		g.values = newIndex(byKey[key])
	}
	return e
}

// compile prepares a statement. It also returns a test that only requests with a
// certain value of its key can meet, if there is one.
func (s *Statement) compile(variables bool) (c statement, gates *test) {
	c = statement{
		deny:        s.Effect != Allow,
		principal:   s.Principal,
		notAction:   len(s.NotAction) > 0,
		notResource: len(s.NotResource) > 0,
		tests:       s.Condition.compile(variables),
	}
	c.actions = actionIndex(slices.Concat(s.Action, s.NotAction))
	resources := slices.Concat(s.Resource, s.NotResource)
	c.any = len(resources) == 0
	items := make([]item, len(resources))
	for i, text := range resources {
		p := parsePattern(text, true, variables)
		if variables && !variablesAllowed(text) {
			p.breakAt()
		}
		items[i] = item{&p, 0}
	}
	c.resources = newIndex(items)
	for i := range c.tests {
		t := &c.tests[i]
		if (t.op == equals || t.op == like) && !t.not && !t.ifExists && t.each != forAll {
			return c, t
		}
	}
	return c, nil
}

// breakAt makes the pattern one that nobody knows the meaning of from its first
// variable on.
func (p *pattern) breakAt() {
	for i, q := range p.rest {
		if q.kind == variable {
			p.rest = append(p.rest[:i:i], part{kind: broken})
			return
		}
	}
}

// variablesAllowed reports whether the variables in a resource, if there are any,
// all stand in its last field, where alone they may.
func variablesAllowed(resource string) bool {
	before, _, found := strings.Cut(resource, "${")
	return !found || strings.Count(before, ":") >= 5
}

// actionIndex returns the index of names of actions.
func actionIndex(names []string) index {
	items := make([]item, len(names))
	for i, name := range names {
		p := parsePattern(strings.ToLower(name), true, false)
		items[i] = item{&p, 0}
	}
	return newIndex(items)
}

// About returns the indexes of the statements about an action, for who must know
// whether their conditions can be decided.
func (e *Evaluator) About(action string) []int {
	var list []int
	action = strings.ToLower(action)
	for i := range e.statements {
		if e.statements[i].hasAction(action) == yes {
			list = append(list, i)
		}
	}
	return list
}

// Evaluate answers a request.
func (e *Evaluator) Evaluate(r *Request) Result {
	v := vote{r: r, action: strings.ToLower(r.Action)}
	for i := range v.first {
		v.first[i] = -1
	}
	e.candidates(r, func(i int) { v.count(i, &e.statements[i]) })
	for _, a := range [...]struct {
		truth  truth
		deny   bool
		answer Answer
	}{{yes, true, Denied}, {maybe, true, Undecided}, {yes, false, Allowed}, {maybe, false, Undecided}} {
		if i := v.first[slot(a.truth, a.deny)]; i >= 0 {
			return Result{a.answer, i}
		}
	}
	return Result{Implicit, -1}
}

// candidates calls each with all statements that may apply, some of them twice.
func (e *Evaluator) candidates(r *Request, each func(int)) {
	found := func(id int, _ truth) bool {
		each(id)
		return true
	}
	for _, i := range e.always {
		each(i)
	}
	e.byResource.find(r.Resource, r, found)
	for key, g := range e.byKey {
		values, known := r.values(key)
		switch {
		case known && len(values) == 0:
		case known && len(values) == 1:
			g.values.find(values[0], r, found)
		default:
			for _, i := range g.all {
				each(i)
			}
		}
	}
}

// vote notes the first statements that apply to a request, and that may.
type vote struct {
	r      *Request
	action string // in lower case
	first  [4]int // by slot
}

func slot(t truth, deny bool) int {
	n := int(t) - 1
	if deny {
		n += 2
	}
	return n
}

func (v *vote) count(i int, s *statement) {
	t := s.applies(v.r, v.action)
	if t == no {
		return
	}
	if first := &v.first[slot(t, s.deny)]; *first < 0 || i < *first {
		*first = i
	}
}

// applies reports whether the statement is about the request. The name of the
// action is given in lower case.
func (s *statement) applies(r *Request, action string) truth {
	t := s.hasAction(action)
	if t != no {
		t = min(t, s.hasPrincipal(r))
	}
	if t != no {
		t = min(t, s.hasResource(r))
	}
	for i := range s.tests {
		if t == no {
			break
		}
		t = min(t, s.tests[i].meets(r))
	}
	return t
}

func (s *statement) hasAction(action string) truth {
	t := s.actions.match(action, nil)
	if s.notAction {
		return t.not()
	}
	return t
}

func (s *statement) hasResource(r *Request) truth {
	if s.any {
		// A trust policy is about the role that it is attached to. Any other policy
		// must have resources.
		return max(maybe, is(len(s.principal) > 0))
	}
	t := s.resources.match(r.Resource, r)
	if s.notResource {
		return t.not()
	}
	return t
}

// hasPrincipal reports whether the statement is about who asks. A role is known to
// be no other role, and no service; what else may stand for whom, only AWS knows.
func (s *statement) hasPrincipal(r *Request) truth {
	if len(s.principal) == 0 || len(s.principal[everybody]) > 0 {
		return yes
	}
	best := no
	for kind, names := range s.principal {
		for _, name := range names {
			switch {
			case kind == "AWS" && (name == everybody || name == r.Principal && name != ""):
				return yes
			case isRole(r.Principal) && (kind == "Service" || kind == "AWS" && isRole(name)):
			default:
				best = maybe
			}
		}
	}
	return best
}

func isRole(name string) bool {
	return strings.HasPrefix(name, "arn:") && strings.Contains(name, ":iam:") && strings.Contains(name, ":role/")
}

// Unknown says, for an error, which part of a statement leaves its answer to the
// request open. It is "" if none does.
func (e *Evaluator) Unknown(r *Request, i int) string {
	s := &e.statements[i]
	place := fmt.Sprintf("Statement[%d]", i)
	if s.hasPrincipal(r) == maybe {
		return place + ".Principal: it is not known who asks"
	}
	if s.hasResource(r) == maybe {
		return place + ".Resource: a variable has no known value"
	}
	for _, t := range s.tests {
		if t.meets(r) != maybe {
			continue
		}
		place = fmt.Sprintf("%s.Condition.%s.%s: ", place, t.name, t.key)
		if t.op == unknownOperator {
			return place + "the operator, or its value, is unknown"
		}
		return place + "the value of the key, or of a variable, is unknown"
	}
	return ""
}
