package access

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// maxTokens is how many different tokens may stand in one place.
const maxTokens = 8

// Compile makes a policy of rules. Options may be nil. The error is an *Error
// with every rule that is wrong. The warnings are also in Policy.Warnings.
func Compile(rules []Rule, opts *Options) (*Policy, []Warning, error) {
	return newCompiler(rules, opts).compile(nil)
}

// compile makes the policy unless there are problems, those given or others. The
// number of a given problem is that of the rule it stands before.
func (c *compiler) compile(bad []numbered) (*Policy, []Warning, error) {
	for _, b := range bad {
		b.n = 2*b.n - 1
		c.problems = append(c.problems, b)
	}
	c.checkRules()
	c.checkPlaces()
	c.checkGuests()
	c.warn()
	if err := c.error(); err != nil {
		return nil, nil, err
	}
	p := c.build()
	return p, slices.Clone(p.warnings), nil
}

// compiler holds what is known of a set of rules while it is checked.
type compiler struct {
	opts     Options
	rules    []Rule
	read     []reading // of each rule
	paths    map[string]*path
	order    []*path          // in the order of their first rules
	shared   map[string]*path // by effective path
	own      map[string]*path
	problems []numbered
	warnings []numbered
}

// path is a path of a rule, or the effective path of several.
type path struct {
	pattern
	name  string
	first int // the first rule on it
	bad   *flaw
	owned bool // has a rule for the owner
	lists bool // has a rule that shows names
	all   []int
}

// reading is a rule that was understood.
type reading struct {
	ok        bool
	role      role
	path      *path
	effective string
}

// numbered is a problem of rule n/2, or before it.
type numbered struct {
	n int
	Problem
}

func newCompiler(rules []Rule, opts *Options) *compiler {
	c := &compiler{
		rules:  slices.Clone(rules),
		read:   make([]reading, len(rules)),
		paths:  make(map[string]*path),
		shared: make(map[string]*path),
		own:    make(map[string]*path),
	}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Groups > Replace || c.opts.Lists > Prefix {
		c.problems = append(c.problems, numbered{-1, Problem{Reason: BadOption, Text: "unknown mode in the options"}})
	}
	return c
}

// error returns all problems found, or nil.
func (c *compiler) error() error {
	if len(c.problems) == 0 {
		return nil
	}
	return &Error{sorted(c.problems)}
}

func sorted(list []numbered) []Problem {
	slices.SortStableFunc(list, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	out := make([]Problem, len(list))
	for i, n := range list {
		out[i] = n.Problem
	}
	return out
}

// refusePath reports a problem of the path that rule i stands on.
func (c *compiler) refusePath(i int, r Reason, text string) {
	c.problems = append(c.problems, numbered{2 * i, Problem{c.rules[i].Pos, c.rules[i].Path, "", r, text}})
}

// refuse reports a problem of rule i.
func (c *compiler) refuse(i int, r Reason, text string) {
	c.problems = append(c.problems, numbered{2 * i, Problem{c.rules[i].Pos, c.rules[i].Path, c.rules[i].Who, r, text}})
}

func (c *compiler) warnOf(i int, r Reason, text string) {
	c.warnings = append(c.warnings, numbered{2 * i, Problem{c.rules[i].Pos, c.rules[i].Path, c.rules[i].Who, r, text}})
}

// checkRules reads each rule by itself and notes who has rules where.
func (c *compiler) checkRules() {
	type place struct {
		effective string
		role      role
	}
	seen := make(map[place]int)
	for i := range c.rules {
		r := &c.rules[i]
		p := c.paths[r.Path]
		if p == nil {
			p = &path{name: r.Path, first: i}
			p.pattern, p.bad = parsePattern(r.Path, c.opts.Strict)
			c.paths[r.Path] = p
			c.order = append(c.order, p)
			if p.bad != nil {
				c.refusePath(i, p.bad.reason, p.bad.text)
			}
		}
		ro, ok := c.checkRule(i, p)
		if !ok || p.bad != nil {
			continue
		}
		at := place{p.effective(ro), ro}
		if j, dup := seen[at]; dup {
			text := "there is already a rule for the same on this path; write them as one"
			if pos := c.rules[j].Pos; pos != "" {
				text = "there is already a rule for the same on this path, at " + pos + "; write them as one"
			}
			c.refuse(i, BadDuplicate, text)
			continue
		}
		seen[at] = i
		c.read[i] = reading{true, ro, p, at.effective}
		kind := c.shared
		if p.own(ro) {
			kind = c.own
		}
		e := kind[at.effective]
		if e == nil {
			e = &path{pattern: p.pattern, name: p.name, first: i}
			kind[at.effective] = e
		}
		e.all = append(e.all, i)
		e.lists = e.lists || r.Actions&(List|Versions) != 0
		p.owned = p.owned || ro.kind == owner
	}
}

// checkRule reads who and actions of rule i. It reports whether they are right
// and may stand on the path.
func (c *compiler) checkRule(i int, p *path) (ro role, ok bool) {
	r := &c.rules[i]
	before := len(c.problems)
	if r.Who != "" || r.Actions != 0 {
		var wrong string
		ro, wrong = parseRole(r.Who)
		switch {
		case wrong != "":
			c.refuse(i, BadWho, wrong)
		case r.Actions == 0:
			c.refuse(i, BadNoAction, "a rule gives at least one action")
		case r.Actions&^allActions != 0:
			c.refuse(i, BadAction, "unknown action "+r.Actions.String())
		case c.opts.Strict && r.Actions&Versions != 0:
			c.refuse(i, BadAction, "Amplify has no action versions")
		case c.opts.Strict && r.Limits != nil:
			c.refuse(i, BadLimits, "Amplify has no limits")
		default:
			if wrong := r.Limits.check(r.Actions); wrong != "" {
				c.refuse(i, BadLimits, wrong)
			}
		}
	}
	if p.bad != nil || len(c.problems) > before {
		return ro, false
	}
	switch {
	case p.at < 0:
		if ro.kind == owner && !c.opts.Strict && c.opts.Groups != Replace && !c.opts.AcceptOwnerWithoutToken {
			c.refuse(i, BadOwnerNoToken, "without a token in the path everybody who is signed in is its owner; write authenticated, or add {entity_id}")
		}
	case ro.kind == nobody && !p.entity:
		c.refuse(i, BadNoAction, "a path with a token needs a rule: there is nothing for it to take back")
	case !p.own(ro) && !p.last():
		c.refuse(i, BadTokenNotLast, "only owner may stand on a path with something behind {entity_id}")
	case !p.own(ro) && p.at == 0:
		c.refuse(i, BadTokenFirst, "for anybody but the owner this path is the whole bucket; put a segment before {entity_id}")
	case ro.kind == guest && p.token.kind != identityID:
		c.refuse(i, BadGuestToken, "a guest has no value for "+p.token.text())
	case ro.kind == function && p.own(ro):
		c.refuse(i, BadFunction, "a function has no value for "+p.token.text())
	case p.token.kind == group && c.opts.Groups == Replace:
		c.refuse(i, BadGroupToken, "with groups: replace only one group counts; write group:NAME rules")
	}
	return ro, len(c.problems) == before
}

// checkPlaces refuses paths that are right by themselves but not beside others.
func (c *compiler) checkPlaces() {
	// A path for others with {entity_id} means the path above it.
	opened := make(map[string]*path)
	for _, r := range c.read {
		if r.ok && r.path.entity && !r.path.own(r.role) {
			opened[r.effective] = r.path
		}
	}
	for _, p := range c.order {
		if p.bad != nil || !p.entity {
			continue
		}
		for above := range abovePaths(strings.TrimSuffix(p.name, "*")) {
			q := c.paths[above+"*"]
			if o := opened[above]; q == nil && p.owned && o != nil && o != p {
				q = o
			}
			if q != nil && q.bad == nil {
				c.refusePath(p.first, BadAboveToken, fmt.Sprintf("the path %q would open the folders of all owners; write the rules in one path, or use %s", clip(q.name), identityToken))
				break
			}
		}
	}
	if c.opts.Strict {
		for name, e := range ordered(c.shared) {
			c.checkNesting(name, e, false)
		}
		for name, e := range ordered(c.own) {
			c.checkNesting(name, e, true)
		}
	}
	tokens := make(map[string][]token)
	for _, r := range c.read {
		if !r.ok || !r.path.own(r.role) {
			continue
		}
		place := r.path.literal()
		if slices.Contains(tokens[place], r.path.token) {
			continue
		}
		tokens[place] = append(tokens[place], r.path.token)
		switch n := len(tokens[place]); {
		case n == 2:
			c.warnings = append(c.warnings, numbered{2 * r.path.first, Problem{
				c.rules[r.path.first].Pos, r.path.name, "", WarnTokens,
				fmt.Sprintf("beside %s: a user who has the one value could be given another's folder by the other", tokens[place][0].text()),
			}})
		case n == maxTokens+1:
			c.refusePath(r.path.first, BadTokenBeside, fmt.Sprintf("more than %d different tokens in one place", maxTokens))
		}
	}
}

// ordered yields the paths in the order of their names.
func ordered(m map[string]*path) iter.Seq2[string, *path] {
	return func(yield func(string, *path) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}

// checkNesting refuses what Amplify would refuse, or answer differently: an
// effective path below two others, or an own one below any but its own parent.
func (c *compiler) checkNesting(name string, e *path, own bool) {
	var found []string
	for above := range abovePaths(name) {
		if c.shared[above] != nil || c.own[above] != nil {
			found = append(found, above)
		}
	}
	if len(found) > 1 || own && len(found) == 1 && found[0] != e.literal() {
		for i := range found {
			found[i] = clip(found[i])
		}
		c.refusePath(e.first, BadNesting, fmt.Sprintf("a path may be below one other path at most, and this is below %q", found))
	}
}

// abovePaths yields the paths above name, which ends with "/", longest first.
func abovePaths(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := len(name) - 2; i > 0; i-- {
			if name[i] == '/' && !yield(name[:i+1]) {
				return
			}
		}
	}
}

// checkGuests refuses own rules for guests where others may list: the identity
// id of a guest is all that keeps its files from anybody else.
func (c *compiler) checkGuests() {
	for i, r := range c.read {
		if !r.ok || r.role.kind != guest || !r.path.own(r.role) {
			continue
		}
		// The x stands for any guest's id.
		for above := range abovePaths(r.path.literal() + "x/") {
			s := c.shared[above]
			if s == nil {
				continue
			}
			if s.lists {
				c.refuse(i, BadGuestSecret, fmt.Sprintf("whoever may list %q would see the ids of guests, which are secrets", clip(s.name)))
				break
			}
			if c.opts.Lists == Filtered {
				break // nothing above it is listed here
			}
		}
	}
}

// warn notes what is accepted but may surprise.
func (c *compiler) warn() {
	for i, r := range c.read {
		if r.ok && r.role.kind == owner && r.path.at < 0 {
			c.warnOf(i, BadOwnerNoToken, "without a token in the path everybody who is signed in is its owner")
		}
		if l := c.rules[i].Limits; r.ok && l != nil && (l.MaxObjects > 0 || l.Quota > 0) {
			c.warnOf(i, WarnUnenforced, "maxObjects and quota are kept, but nothing counts yet")
		}
	}
	if c.opts.Lists != Prefix {
		return
	}
	listers := make(map[*path]map[role]bool)
	for _, e := range c.shared {
		list := make(map[role]bool)
		for _, i := range e.all {
			if c.rules[i].Actions&List != 0 {
				list[c.read[i].role] = true
			}
		}
		listers[e] = list
	}
	for name, e := range ordered(c.shared) {
		for above := range abovePaths(name) {
			if s := c.shared[above]; s != nil {
				c.warnListed(above, name, s, listers[s], listers[e])
				break
			}
		}
	}
}

// warnListed warns if some who may list the path s may not list the next path below
// it. It is one warning for all of them, by the first.
func (c *compiler) warnListed(above, below string, s *path, may, mayBelow map[role]bool) {
	n := len(may)
	for r := range mayBelow {
		if may[r] {
			n--
		}
	}
	if n == 0 {
		return
	}
	text := fmt.Sprintf("with lists: prefix, a list of %q shows the names below %q too", clip(above), clip(below))
	if n > 1 {
		text += fmt.Sprintf(", to this role and %d more", n-1)
	}
	for _, i := range s.all {
		if r := c.read[i].role; may[r] && !mayBelow[r] {
			c.warnOf(i, WarnListed, text)
			return
		}
	}
}

// build makes the policy of rules that were found right.
func (c *compiler) build() *Policy {
	p := &Policy{rules: c.rules, groups: c.opts.Groups, lists: c.opts.Lists, root: new(node), warnings: sorted(c.warnings)}
	p.limited = slices.ContainsFunc(p.rules, func(r Rule) bool { return r.Limits.bounds() })
	for i, r := range c.read {
		own := r.path.own(r.role)
		n := p.root
		if own {
			n = n.walk(r.path.segs[:r.path.at]).token(r.path.token).walk(r.path.segs[r.path.at+1:])
		} else if r.path.at >= 0 {
			n = n.walk(r.path.segs[:r.path.at])
		} else {
			n = n.walk(r.path.segs)
		}
		if n.rights == nil {
			n.rights = new(rights)
		}
		n.rights.add(&right{p.rules[i].Actions, &p.rules[i], r.role.String(), r.role, i})
	}
	p.root.finish(0, nil, false)
	return p
}
