package access

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// ChangeKind is what a change is about.
type ChangeKind string

// The kinds of changes.
const (
	Gained  ChangeKind = "gained"  // the new rules allow what the old ones did not
	Lost    ChangeKind = "lost"    // the old rules allowed what the new ones do not
	Limited ChangeKind = "limits"  // both allow to write, but not the same things
	Setting ChangeKind = "setting" // the way in which rules are read is another
	More    ChangeKind = "more"    // there are more changes than Diff returns
)

// maxChanges is how many changes Diff returns, but for the one that says More.
const maxChanges = 10_000

// Change is one difference between two policies. If Kind is Setting it has nothing
// but From and To, and if it is More nothing else at all.
type Change struct {
	Kind ChangeKind
	// Who is whose rights changed: guest, authenticated, owner, group:NAME or
	// function:NAME, with more behind it if more is needed. For the owner and on a
	// path with a token it is about the subject's own value. What holds for
	// authenticated holds for members of groups and owners too, unless the old or
	// the new rules give it to them in another way.
	Who string
	// Path is where: the longest path around what changed. There may be paths
	// below it where nothing did.
	Path    string
	Actions Action
	// Subject and Key are an example: the old and the new policy answer
	// differently when they ask for Actions.
	Subject Subject
	Key     string
	Before  Decision
	After   Decision
	// From and To are the limits, or the setting, in words.
	From, To string
}

// String returns the change as one line.
func (c Change) String() string {
	decision := func(name string, d Decision) string {
		if d.Rule == nil {
			return ""
		}
		return fmt.Sprintf(", %s %s", name, d.Rule.at())
	}
	switch c.Kind {
	case Gained:
		return fmt.Sprintf("+ %s may now %s %s%s; such as %s", c.Who, c.Actions, quote(c.Path), decision("by", c.After), quote(c.Key))
	case Lost:
		return fmt.Sprintf("- %s may no longer %s %s%s; such as %s", c.Who, c.Actions, quote(c.Path), decision("which was by", c.Before), quote(c.Key))
	case Limited:
		return fmt.Sprintf("~ what %s may write to %s: %s, was %s; such as %s", c.Who, quote(c.Path), c.To, c.From, quote(c.Key))
	case More:
		return "~ and more, which are left out"
	}
	return fmt.Sprintf("~ %s, was %s", c.To, c.From)
}

// Diff returns all differences between the answers of two policies, those of
// settings first and then in the order of the paths. It is nil if and only if
// there are none: every subject gets the same answer for every action and key, and
// may write under the same limits. It stops after 10,000: if there are more, one
// whose Kind is More is the last. Both policies may be nil.
func Diff(before, after *Policy) []Change {
	var changes []Change
	set := func(what string, x, y uint8, names ...string) {
		if x != y {
			changes = append(changes, Change{Kind: Setting, From: what + names[x], To: what + names[y]})
		}
	}
	set("groups: ", uint8(before.Groups()), uint8(after.Groups()), "union", "replace")
	set("lists: ", uint8(before.Lists()), uint8(after.Lists()), "filtered", "prefix")
	d := newDiffer(before, after)
	d.found = func(p *position, c class, m masks) bool {
		s, key := p.subject(c, d.names), p.key("file")
		add := func(kind ChangeKind, a Action) *Change {
			changes = append(changes, Change{
				Kind: kind, Who: p.who(c, d.names), Path: p.path(c, d.names), Actions: a, Subject: s, Key: key,
				Before: before.Decide(&s, a, key), After: after.Decide(&s, a, key),
			})
			return &changes[len(changes)-1]
		}
		if m.gained != 0 {
			add(Gained, m.gained)
		}
		if m.lost != 0 {
			add(Lost, m.lost)
		}
		if m.limits {
			l := add(Limited, Write)
			l.From, l.To = limitsText(before.Bounds(&s, key)), limitsText(after.Bounds(&s, key))
		}
		if len(changes) > maxChanges {
			changes = append(changes[:maxChanges], Change{Kind: More})
			return false
		}
		return true
	}
	d.run(startOf(before.rootOf(), after.rootOf()))
	return changes
}

// masks is how the rights of a class differ.
type masks struct {
	gained, lost Action
	limits       bool
}

func (m masks) none() bool { return m == masks{} }

// minus returns what is in m and not in n.
func (m masks) minus(n masks) masks {
	return masks{m.gained &^ n.gained, m.lost &^ n.lost, m.limits && !n.limits}
}

// delta is all differences at a position, by what identifies a class at
// positions below it: those without facts and those with.
type delta struct {
	plain, own map[string]masks
}

// differ looks for differences between two policies.
type differ struct {
	modes   [2]GroupMode
	limited bool
	names   *fresh
	only    role // if not nobody, only subjects with this role
	found   func(*position, class, masks) bool
	e       explorer
}

func newDiffer(a, b *Policy) *differ {
	d := &differ{modes: [2]GroupMode{a.Groups(), b.Groups()}, names: newFresh(nil, a, b)}
	d.limited = a != nil && a.limited || b != nil && b.limited
	return d
}

// run calls found for each class that differs and is not explained by another,
// until it returns false.
func (d *differ) run(start *position) {
	d.e = explorer{names: d.names, shy: -1, visit: d.visit}
	d.e.explore(start)
}

// look does the same for one position.
func (d *differ) look(p *position) {
	d.e = explorer{names: d.names, shy: -1}
	d.visit(p)
}

func (d *differ) visit(p *position) bool {
	if p.equal() {
		return false
	}
	p.delta = new(delta)
	var above delta
	if p.up != nil && p.up.delta != nil {
		above = *p.up.delta
	}
	sameShared, sameOwn := p.same()
	switch {
	case sameShared:
		p.delta.plain = above.plain
	default:
		d.plain(p, above.plain)
	}
	switch {
	case len(p.facts) == 0 || d.e.done:
	case sameShared && sameOwn:
		p.delta.own = above.own
	default:
		d.own(p, above.own)
	}
	return !d.e.done
}

// equal reports whether the two trees are one from here on.
func (p *position) equal() bool {
	a, b := &p.tracks[0], &p.tracks[1]
	return a.n == b.n && a.shared == b.shared && a.at == b.at && slices.Equal(a.own, b.own)
}

// plain compares the classes in which nothing in the key is the subject's own.
func (d *differ) plain(p *position, above map[string]masks) {
	if d.wants(guest) {
		d.compare(p, class{kind: guest}, above)
	}
	if d.wants(function) {
		for name := range d.candidates(p, function, false) {
			d.compare(p, class{kind: function, name: name}, above)
		}
	}
	if d.wants(authenticated) {
		d.users(p, 0, above)
	}
}

// own compares the others.
func (d *differ) own(p *position, above map[string]masks) {
	for _, kind := range []roleKind{guest, authenticated} {
		if !d.wants(kind) {
			continue
		}
		for set := range p.factSets(kind) {
			switch {
			case set == 0:
			case kind == guest:
				d.compare(p, class{kind: guest, own: set}, above)
			default:
				d.users(p, set, above)
			}
		}
	}
}

// wants reports whether subjects of a kind are to be compared.
func (d *differ) wants(kind roleKind) bool {
	switch d.only.kind {
	case nobody:
		return true
	case owner, member:
		return kind == authenticated
	}
	return d.only.kind == kind
}

// candidates yields the names of groups or functions to compare.
func (d *differ) candidates(p *position, kind roleKind, own bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		switch d.only.kind {
		case nobody:
			for name := range p.names(kind, own) {
				if d.e.done || !yield(name) {
					return
				}
			}
		case kind:
			yield(d.only.name)
		}
	}
}

// users compares users, by their groups.
func (d *differ) users(p *position, set uint32, above map[string]masks) {
	c := class{kind: authenticated, own: set}
	d.compare(p, c, above)
	if d.modes == [2]GroupMode{} {
		for g := range d.candidates(p, member, set != 0) {
			c.group = g
			d.compare(p, c, above)
		}
		return
	}
	groups := slices.Collect(d.candidates(p, member, set != 0))
	for _, f := range p.facts {
		if f.token.kind == group && !slices.Contains(groups, f.value) {
			groups = append(groups, f.value)
		}
	}
	var more []string
	if d.modes[0] != d.modes[1] {
		more = d.givers(p, set, groups)
	}
	for _, first := range append([]string{d.names.group}, groups...) {
		c.first, c.group = first, ""
		d.compare(p, c, above)
		for _, g := range more {
			if c.group = g; g != first {
				d.compare(p, c, above)
			}
		}
	}
}

// givers returns some of the groups: for each action that any of them gives with
// Union, two that do.
func (d *differ) givers(p *position, set uint32, groups []string) []string {
	union := slices.Index(d.modes[:], Union)
	var once, twice Action
	var list []string
	for _, g := range groups {
		s := Subject{Authenticated: true, Groups: []string{g}}
		f := p.finding(union, set)
		if a := f.gives(&s, Union); a&^twice != 0 {
			list = append(list, g)
			once, twice = once|a, twice|once&a
		}
	}
	return list
}

// compare compares the answers for a class, and reports what neither another
// class here nor the same class above explains.
func (d *differ) compare(p *position, c class, above map[string]masks) {
	if d.e.done {
		return
	}
	groups := p.groups(c)
	if !p.consistent(c, groups) {
		return
	}
	m := d.masks(p, c, groups)
	if m.none() {
		return
	}
	into := &p.delta.plain
	if c.own != 0 {
		into = &p.delta.own
	}
	if *into == nil {
		*into = make(map[string]masks)
	}
	id := p.id(c)
	(*into)[id] = m
	m = m.minus(above[id])
	for sub := c.own; ; sub = (sub - 1) & c.own {
		for _, o := range []class{{c.kind, c.name, sub, "", ""}, {c.kind, c.name, sub, c.first, ""}, {c.kind, c.name, sub, "", c.group}} {
			if o == c {
				continue
			}
			if sub == 0 {
				m = m.minus(p.delta.plain[p.id(o)])
			} else {
				m = m.minus(p.delta.own[p.id(o)])
			}
		}
		if sub == 0 {
			break
		}
	}
	if !m.none() {
		d.e.done = !d.found(p, c, m)
	}
}

// masks returns the differences for a class.
func (d *differ) masks(p *position, c class, groups []string) masks {
	s := c.bare(groups)
	x, y := p.finding(0, c.own), p.finding(1, c.own)
	a, b := x.gives(&s, d.modes[0]), y.gives(&s, d.modes[1])
	m := masks{gained: b &^ a, lost: a &^ b}
	if d.limited && a&b&Write != 0 {
		m.limits = !sameBounds(x.bounds(&s, d.modes[0]), y.bounds(&s, d.modes[1]))
	}
	return m
}

// bounds returns what Policy.Bounds does.
func (f *finding) bounds(s *Subject, mode GroupMode) []*Limits {
	b := new(bounds)
	f.giveAll(&tally{missing: Write, bounds: b}, s, mode)
	if b.free {
		return nil
	}
	return b.list
}

// sameBounds reports whether the same may be written under a as under b.
func sameBounds(a, b []*Limits) bool {
	types := []string{"other/other"}
	for _, l := range slices.Concat(a, b) {
		types = append(types, l.ContentTypes...)
	}
	for _, t := range types {
		if !slices.Equal(largest(a, t), largest(b, t)) {
			return false
		}
	}
	return true
}

// largest returns the numbers of those limits that admit a content type, without
// those that are no larger than others in anything.
func largest(list []*Limits, contentType string) [][3]uint64 {
	kind, _, _ := strings.Cut(contentType, "/")
	var all [][3]uint64
	for _, l := range list {
		if len(l.ContentTypes) > 0 && !slices.Contains(l.ContentTypes, contentType) && !slices.Contains(l.ContentTypes, kind+"/*") {
			continue
		}
		// None is 0, and so the largest of all when one is taken away.
		all = append(all, [3]uint64{uint64(l.MaxSize) - 1, uint64(l.MaxObjects) - 1, uint64(l.Quota) - 1})
	}
	if list == nil {
		all = append(all, [3]uint64{^uint64(0), ^uint64(0), ^uint64(0)})
	}
	slices.SortFunc(all, func(x, y [3]uint64) int { return slices.Compare(x[:], y[:]) })
	all = slices.Compact(all)
	return slices.DeleteFunc(slices.Clone(all), func(x [3]uint64) bool {
		return slices.ContainsFunc(all, func(y [3]uint64) bool {
			return x != y && x[0] <= y[0] && x[1] <= y[1] && x[2] <= y[2]
		})
	})
}

func limitsText(list []*Limits) string {
	if len(list) == 0 {
		return "no limits"
	}
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = l.String()
	}
	return strings.Join(texts, " or ")
}

// id identifies a class at positions that follow each other.
func (p *position) id(c class) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %q %q %q", c.kind, c.name, c.first, c.group)
	var facts []string
	for i, f := range p.facts {
		if c.own&(1<<i) != 0 {
			facts = append(facts, fmt.Sprintf(" %q %s", f.value, f.token.text()))
		}
	}
	slices.Sort(facts)
	return b.String() + strings.Join(facts, "")
}

// who returns the subjects of a class in the words of rules, as far as they go.
func (p *position) who(c class, names *fresh) string {
	var who string
	var groups []string
	for _, g := range []string{c.first, c.group} {
		switch g {
		case "":
		case names.group:
			groups = append(groups, "a group without rules")
		default:
			groups = append(groups, role{member, g}.String())
		}
	}
	switch {
	case c.kind == function:
		who = role{function, c.name}.String()
	case c.kind == guest:
		who = role{kind: guest}.String()
	case len(groups) > 0:
		who = strings.Join(groups, " and ")
	case c.own != 0:
		who = role{kind: owner}.String()
	default:
		who = role{kind: authenticated}.String()
	}
	shown := false
	for i, f := range p.facts {
		switch {
		case c.own&(1<<i) == 0:
		case !shown && f.value == names.inKey[f.token.kind]:
			shown = true // by the path
		case c.kind == authenticated && who == "owner" && !shown:
			who = fmt.Sprintf("authenticated with %s %q", f.token.short(), f.value)
			shown = true
		default:
			who += fmt.Sprintf(" with %s %q", f.token.short(), f.value)
		}
	}
	return who
}

// path returns the path of the keys, with a token for what is the subject's own.
func (p *position) path(c class, names *fresh) string {
	segs := slices.Clone(p.segs)
	for i, s := range segs {
		for j, f := range p.facts {
			if f.value != s || !names.stands(s) || c.own != 0 && c.own&(1<<j) == 0 {
				continue
			}
			segs[i] = f.token.text()
			if f.token.kind == identityID && c.kind == authenticated && c.first == "" && c.group == "" {
				segs[i] = entityToken
			}
			break
		}
	}
	return join(segs) + "*"
}

// stands reports whether s is a value that stands in keys only.
func (f *fresh) stands(s string) bool {
	for _, v := range f.inKey {
		if v == s {
			return true
		}
	}
	return false
}

// short returns the segment as it is best written for people.
func (t token) short() string {
	if t.kind == identityID {
		return entityToken
	}
	return t.text()
}
