package iam

import (
	"fmt"
	"slices"
	"strings"
)

// Outside describes what the statements that allow can reach besides some actions
// on one bucket and its objects, a line for each: "Statement[2] also allows iam:*
// on *". It serves the comparison of a policy with rules, which asks about the
// actions by their names, and can ask nothing about what has no name there.
//
// What a statement that denies takes away is left out only if that is plain: if
// the statement holds for the request, whatever is not known of it, and covers the
// actions or the resources pattern by pattern. Of the request the principal and
// the context count.
func (e *Evaluator) Outside(r *Request, bucketARN string, actions []string) []string {
	o := outside{bucket: bucketARN, known: make(map[string]bool, len(actions))}
	for _, name := range actions {
		o.known[strings.ToLower(name)] = true
	}
	for i := range e.statements {
		if s := &e.statements[i]; s.deny && !s.any && s.holds(r) == yes {
			o.denials = append(o.denials, e.scope(i))
		}
	}
	var lines []string
	for i := range e.statements {
		if s := &e.statements[i]; !s.deny && s.holds(r) != no {
			lines = o.describe(lines, i, e.scope(i))
		}
	}
	return lines
}

// holds reports whether the request meets what the statement says of the principal
// and the context.
func (s *statement) holds(r *Request) truth {
	t := s.hasPrincipal(r)
	for i := range s.tests {
		t = min(t, s.tests[i].meets(r))
	}
	return t
}

// outside is what Outside looks beyond.
type outside struct {
	bucket  string
	known   map[string]bool // names of actions, in lower case
	denials []scope
}

// scope is what a statement is about.
type scope struct {
	actions, resources       []written
	notActions, notResources bool
}

// written is a pattern with its text in the policy.
type written struct {
	pattern
	text string
}

func (e *Evaluator) scope(i int) scope {
	s := &e.document.Statement[i]
	c := scope{notActions: len(s.NotAction) > 0, notResources: len(s.NotResource) > 0}
	for _, text := range slices.Concat(s.Action, s.NotAction) {
		c.actions = append(c.actions, written{parsePattern(strings.ToLower(text), true, false), text})
	}
	for _, text := range slices.Concat(s.Resource, s.NotResource) {
		c.resources = append(c.resources, written{parsePattern(text, true, e.document.Version == Version), text})
	}
	if len(c.resources) == 0 {
		c.resources = []written{{parsePattern("*", true, false), "*"}}
	}
	return c
}

// isKnown reports whether the pattern is the name of a known action.
func (o *outside) isKnown(p *written) bool { return len(p.rest) == 0 && o.known[p.prefix] }

// isInside reports whether the pattern is about nothing but the bucket.
func (o *outside) isInside(p *written) bool {
	return len(p.rest) == 0 && p.prefix == o.bucket || strings.HasPrefix(p.prefix, o.bucket+"/")
}

// describe adds the lines for one statement: one for all that it allows elsewhere,
// and one for the unknown actions that it allows on the bucket.
func (o *outside) describe(lines []string, i int, s scope) []string {
	line := func(actions, resources string) {
		lines = append(lines, fmt.Sprintf("Statement[%d] also allows %s on %s", i, actions, resources))
	}
	elsewhere, here := o.left(s, false), o.left(s, true)
	if len(elsewhere.actions) > 0 && len(elsewhere.resources) > 0 {
		line(list(elsewhere.actions, s.notActions), list(elsewhere.resources, s.notResources))
		if len(without(here.actions, elsewhere.actions)) == 0 {
			here.resources = without(here.resources, elsewhere.resources)
		}
	}
	if len(here.actions) > 0 && len(here.resources) > 0 {
		line(list(here.actions, s.notActions), list(here.resources, s.notResources))
	}
	return lines
}

// without returns the patterns that are not among the others.
func without(patterns, others []written) []written {
	in := make(map[string]bool, len(others))
	for _, p := range others {
		in[p.text] = true
	}
	return slices.DeleteFunc(slices.Clone(patterns), func(p written) bool { return in[p.text] })
}

// left returns what is left of a statement that allows when what is known, and what
// the denials take away, is left out: of all it allows elsewhere, or of the unknown
// actions everywhere.
func (o *outside) left(s scope, unknown bool) scope {
	s.actions, s.resources = slices.Clone(s.actions), slices.Clone(s.resources)
	switch {
	case unknown && !s.notActions:
		s.actions = slices.DeleteFunc(s.actions, func(p written) bool { return o.isKnown(&p) })
	case !unknown && !s.notResources:
		s.resources = slices.DeleteFunc(s.resources, func(p written) bool { return o.isInside(&p) })
	}
	everything := written{parsePattern("*", true, false), "*"}
	for i := range o.denials {
		d := &o.denials[i]
		action := func(p written) bool {
			if s.notActions {
				p = everything
			}
			return covers(d.actions, d.notActions, &p, func(q *written) bool { return unknown && o.isKnown(q) })
		}
		resource := func(p written) bool {
			if s.notResources {
				p = everything
			}
			return covers(d.resources, d.notResources, &p, func(q *written) bool { return !unknown && o.isInside(q) })
		}
		// The denial must cover all of the one to take away some of the other.
		allActions, allResources := !slices.ContainsFunc(s.actions, not(action)), !slices.ContainsFunc(s.resources, not(resource))
		if allActions {
			s.resources = slices.DeleteFunc(s.resources, resource)
		}
		if allResources {
			s.actions = slices.DeleteFunc(s.actions, action)
		}
	}
	return s
}

func not(f func(written) bool) func(written) bool { return func(p written) bool { return !f(p) } }

// covers reports whether the patterns, or with but all that none of them matches,
// plainly have all that p matches. With but, those do not count that except returns
// true for.
func covers(list []written, but bool, p *written, except func(*written) bool) bool {
	if but {
		return !slices.ContainsFunc(list, func(q written) bool { return !except(&q) && !q.disjoint(p) })
	}
	return slices.ContainsFunc(list, func(q written) bool { return q.covers(p) })
}

// covers reports whether p plainly matches all that q matches.
func (p *written) covers(q *written) bool {
	switch {
	case p.variables:
		return false
	case len(q.rest) == 0:
		return p.match(q.prefix, nil) == yes
	case len(p.rest) == 1 && p.rest[0].kind == anyText:
		return strings.HasPrefix(q.prefix, p.prefix)
	}
	return p.String() == q.String()
}

// disjoint reports whether plainly no text is matched by both.
func (p *written) disjoint(q *written) bool {
	return !strings.HasPrefix(p.prefix, q.prefix) && !strings.HasPrefix(q.prefix, p.prefix) ||
		len(p.rest) == 0 && !q.variables && q.match(p.prefix, nil) == no ||
		len(q.rest) == 0 && !p.variables && p.match(q.prefix, nil) == no
}

// list returns the texts of some of the patterns.
func list(patterns []written, but bool) string {
	const some = 3
	var texts []string
	for _, p := range patterns[:min(some, len(patterns))] {
		texts = append(texts, p.text)
	}
	text := strings.Join(texts, ", ")
	if n := len(patterns) - some; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	if but {
		text = "all but " + text
	}
	return text
}
