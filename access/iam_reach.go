package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// place is a path on which rules stand: a shared one, or an own one.
type place struct {
	rights *rights
	path   string   // of a shared place; of an own one, what stands before the token
	kids   []*place // of a shared place: the nearest shared ones below

	at    *node   // of an own place: where the token hangs
	token token   // of an own place
	rel   string  // of an own place: what stands behind the token
	over  *rights // of an own place: the shared rights that hold there too

	signedIn Action // of a shared place: given to everybody who is signed in
}

// findPlaces returns the places of a policy, in the order of their paths, by the roles
// that have rules on them.
func findPlaces(root *node) map[role][]*place {
	by := make(map[role][]*place)
	note := func(pl *place) {
		for _, r := range pl.rights.all {
			by[r.role] = append(by[r.role], pl)
		}
	}
	var own func(n *node, pl place)
	own = func(n *node, pl place) {
		if n.rights != nil {
			here := pl
			here.rights = n.rights
			note(&here)
		}
		for _, name := range n.names {
			below := pl
			below.rel += name + "/"
			own(n.child(name), below)
		}
	}
	var shared func(n *node, path string, above *place)
	shared = func(n *node, path string, above *place) {
		if n.rights != nil {
			pl := &place{rights: n.rights, path: path}
			for _, r := range []*right{n.rights.authenticated, n.rights.owner} {
				if r != nil {
					pl.signedIn |= r.actions
				}
			}
			note(pl)
			if above != nil {
				above.kids = append(above.kids, pl)
			}
			above = pl
		}
		for _, e := range n.tokens {
			pl := place{path: path, at: n, token: e.token}
			if above != nil {
				pl.over = above.rights
			}
			own(e.to, pl)
		}
		for _, name := range n.names {
			shared(n.child(name), path+name+"/", above)
		}
	}
	if root != nil {
		shared(root, "", nil)
	}
	return by
}

// view is whom a document is for: one subject, or all that have a role.
type view struct {
	name     string // of the role, "" for one subject
	subject  Subject
	variable bool // the identity is IAM's variable
	anyGroup bool // the subject may be in a group that nobody knows
}

// counts returns the roles that the subject has.
func (v *view) counts(mode GroupMode) []role {
	s := &v.subject
	switch {
	case s.Function != "":
		return []role{{function, s.Function}}
	case !s.Authenticated:
		return []role{{kind: guest}}
	case mode == Replace && len(s.Groups) > 0:
		return []role{{member, s.Groups[0]}}
	}
	list := []role{{kind: authenticated}, {kind: owner}}
	for _, g := range s.Groups {
		list = append(list, role{member, g})
	}
	return list
}

// values returns the segments that a token stands for. It is not ok if they are
// not known.
func (v *view) values(t token) (values []string, ok bool) {
	s := &v.subject
	switch {
	case v.variable && t.kind == identityID:
		return []string{identityToken}, true
	case v.variable && t.kind != group, v.anyGroup:
		return nil, false
	case t.kind == identityID:
		values = []string{s.Identity}
	case !s.Authenticated:
	case t.kind == group:
		values = slices.Clone(s.Groups)
	case t.kind == sub:
		values = []string{s.Sub}
	case t.kind == username:
		values = []string{s.Username}
	case t.kind == claim:
		values = []string{s.Claims[t.claim]}
	}
	return slices.DeleteFunc(values, func(s string) bool { return !validValue(s) }), true
}

// spot is a place as it is for one view, with the actions that are allowed from
// there down.
type spot struct {
	path  string // as it stands in a document, without the wildcard
	place *place
	value string // of the token
	found finding
	may   Action
	holes Action // were taken back by a path here or above
	above *spot
}

// reach returns the spots at which the rights of a view change, in the order of
// their paths, and refuses what is known to be beyond IAM.
func (w *iamWriter) reach(v *view) []*spot {
	mode := w.policy.Groups()
	roles := v.counts(mode)
	signedIn := roles[0].kind == authenticated
	var spots []*spot
	add := func(pl *place, path, value string) {
		spots = append(spots, &spot{path: path, place: pl, value: value})
	}
	visit := func(pl *place) {
		if pl.at == nil {
			add(pl, pl.path, "")
			may := w.mask(v, &finding{shared: pl.rights})
			for _, kid := range pl.kids {
				if signedIn && may&^kid.signedIn == 0 {
					continue // if it changes anything, it has rules for a role of its own
				}
				add(kid, kid.path, "")
			}
			return
		}
		values, ok := v.values(pl.token)
		if !ok {
			w.checkToken(v, pl)
		}
		for _, value := range values {
			if pl.at.child(value) == nil {
				add(pl, pl.path+value+"/"+pl.rel, value)
			}
		}
	}
	if signedIn && v.variable && len(v.subject.Groups) > 0 {
		w.findSignedIn()
		for _, s := range w.signedIn {
			add(s.place, s.path, s.value)
		}
		for _, pl := range w.tokens {
			visit(pl)
		}
		roles = roles[2:]
	}
	for _, r := range roles {
		for _, pl := range w.places[r] {
			visit(pl)
		}
	}
	slices.SortFunc(spots, func(a, b *spot) int { return strings.Compare(a.path, b.path) })
	spots = slices.CompactFunc(spots, func(a, b *spot) bool { return a.path == b.path })
	var above *spot
	for _, s := range spots {
		for above != nil && !strings.HasPrefix(s.path, above.path) {
			above = above.above
		}
		s.above = above
		s.found = w.find(v, s)
		s.may = w.mask(v, &s.found)
		w.checkSpot(v, s)
		above = s
	}
	return spots
}

// findSignedIn finds what matters of the rules for everybody who is signed in. Most
// groups add little to it.
func (w *iamWriter) findSignedIn() {
	if w.signedIn != nil {
		return
	}
	quiet := newIAMWriter(w.policy, w.arn)
	quiet.places = w.places
	v := &view{variable: true, subject: Subject{Authenticated: true}, anyGroup: true}
	w.signedIn = []*spot{}
	for _, s := range quiet.reach(v) {
		var above Action
		if s.above != nil {
			above = s.above.may
		}
		if s.may != above || s.may&Write != 0 && w.policy.limited {
			w.signedIn = append(w.signedIn, s)
		}
	}
	for _, r := range v.counts(Union) {
		for _, pl := range w.places[r] {
			if pl.at != nil && pl.token.kind != identityID {
				w.tokens = append(w.tokens, pl)
			}
		}
	}
}

// find returns the rights on the paths that cover the keys at a spot.
func (w *iamWriter) find(v *view, s *spot) finding {
	pl := s.place
	if pl.at == nil {
		return finding{shared: pl.rights}
	}
	f := finding{shared: pl.over}
	for _, e := range pl.at.tokens {
		values, _ := v.values(e.token)
		if !slices.Contains(values, s.value) {
			continue
		}
		if r := e.to.deepest(pl.rel); r != nil {
			f.own[f.n] = r
			f.n++
		}
	}
	return f
}

// mask returns the actions that the rights give to the view.
func (w *iamWriter) mask(v *view, f *finding) Action {
	t := tally{missing: allActions}
	f.giveAll(&t, &v.subject, w.policy.Groups())
	return allActions &^ t.missing
}

// checkSpot works out what is taken back at s, and refuses what is given again
// below that, and what else IAM cannot say.
func (w *iamWriter) checkSpot(v *view, s *spot) {
	var above, holes Action
	if s.above != nil {
		above, holes = s.above.may, s.above.holes
	}
	s.holes = holes | above&^s.may
	gained := s.may &^ above
	if again := gained & holes; again != 0 {
		w.refuseBelow(v, s, again)
	}
	if s.may&Write != 0 && w.policy.limited {
		b := new(bounds)
		s.found.giveAll(&tally{missing: Write, bounds: b}, &v.subject, w.policy.Groups())
		if !b.free {
			w.givers(v, &s.found, Write, func(r *Rule) { w.refuse(v, r, IAMLimits, "IAM has no limits on what is written") })
		}
	}
	if v.variable && s.place.at != nil && gained != 0 {
		w.checkLookalike(v, s, gained)
	}
}

// givers calls do with each rule that gives one of the actions to the view, one
// for each of its roles.
func (w *iamWriter) givers(v *view, f *finding, a Action, do func(r *Rule)) {
	for _, r := range v.counts(w.policy.Groups()) {
		for bit := Action(1); bit <= a; bit <<= 1 {
			t := tally{missing: a & bit}
			if f.give(&t, r.kind, r.name); t.last != nil {
				do(t.last.rule)
			}
		}
	}
}

// refuseBelow refuses the rules that give again what a path above s took back.
func (w *iamWriter) refuseBelow(v *view, s *spot, again Action) {
	for bit := Action(1); bit <= again; bit <<= 1 {
		if again&bit == 0 {
			continue
		}
		hole := s.above
		for hole.above.may&bit == 0 {
			hole = hole.above
		}
		top := hole.above
		for top.above != nil && top.above.may&bit != 0 {
			top = top.above
		}
		why := fmt.Sprintf("it gives %s again below %s, which takes it back from %s, and in IAM nothing lifts a denial", bit, w.called(hole), w.called(top))
		w.givers(v, &s.found, bit, func(r *Rule) { w.refuse(v, r, IAMBelowHole, why) })
	}
}

// called returns the path of a spot and where the first rule on it stands.
func (w *iamWriter) called(s *spot) string {
	text := fmt.Sprintf("%q", s.path+"*")
	if r := w.ruleAt(s.place); r != nil && r.Pos != "" {
		text += " (" + r.Pos + ")"
	}
	return text
}

// checkToken refuses the rules on an own place if IAM does not know the value of
// the token and they matter.
func (w *iamWriter) checkToken(v *view, pl *place) {
	f := finding{shared: pl.over}
	before := w.mask(v, &f)
	f.own[0], f.n = pl.rights, 1
	// Rights that change nothing by themselves may still hide those on a shorter
	// path by another token, if both tokens have the same value.
	gained := w.mask(v, &f) &^ before
	if gained == 0 && len(pl.at.tokens) == 1 {
		return
	}
	why := fmt.Sprintf("IAM has no variable for %s", pl.token.text())
	if pl.token.kind == group {
		why = "{group} needs a role for each group, and not all groups are known"
	}
	roles := v.counts(w.policy.Groups())
	for _, r := range pl.rights.all {
		if slices.Contains(roles, r.role) {
			w.refuse(v, r.rule, IAMToken, why)
		}
	}
}

// checkLookalike refuses an own place where a segment that is not the owner's could
// be somebody's identity id: Decide would not take it for one, IAM would.
func (w *iamWriter) checkLookalike(v *view, s *spot, gained Action) {
	pl := s.place
	has := func(k tokenKind) bool {
		return slices.ContainsFunc(pl.at.tokens, func(e edge) bool { return e.token.kind == k })
	}
	name := ""
	switch {
	case !has(identityID):
		return
	case pl.token.kind == identityID:
		var ok bool
		if name, ok = w.lookalikes[pl.at]; !ok {
			if i := slices.IndexFunc(pl.at.names, likeIdentity); i >= 0 {
				name = pl.at.names[i]
			}
			w.lookalikes[pl.at] = name
		}
	}
	if name == "" && has(group) {
		if i := slices.IndexFunc(v.subject.Groups, likeIdentity); i >= 0 {
			name = v.subject.Groups[i]
		}
	}
	if name == "" {
		return
	}
	why := fmt.Sprintf("the segment %q in place of the token could be an identity id, and IAM would take it for one", name)
	w.givers(v, &s.found, gained, func(r *Rule) { w.refuse(v, r, IAMLookalike, why) })
}

// likeIdentity reports whether an identity pool could give s as an identity id:
// a region, a colon, and digits as in a UUID.
func likeIdentity(s string) bool {
	region, id, ok := strings.Cut(s, ":")
	word := func(c rune) bool {
		return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	digit := func(c rune) bool { return c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
	return ok && region != "" && id != "" &&
		strings.IndexFunc(region, func(c rune) bool { return !word(c) }) < 0 &&
		strings.IndexFunc(id, func(c rune) bool { return !digit(c) }) < 0
}

// refusal is a rule that IAM cannot say, for some roles.
type refusal struct {
	rule   *Rule
	reason Reason
	why    string
}

// refuse notes that a rule stands in the way of a document for v, which is nil for
// all roles at once.
func (w *iamWriter) refuse(v *view, r *Rule, reason Reason, why string) {
	at := refusal{r, reason, why}
	if _, ok := w.refused[at]; !ok {
		w.order = append(w.order, at)
	}
	if v != nil && v.name != "" {
		w.refused[at] = append(w.refused[at], v.name)
	} else {
		w.refused[at] = nil
	}
}

// error returns all refusals, in the order of the rules, or nil.
func (w *iamWriter) error() error {
	if len(w.order) == 0 {
		return nil
	}
	at := make(map[*Rule]int, len(w.policy.rules))
	for i := range w.policy.rules {
		at[&w.policy.rules[i]] = i
	}
	slices.SortStableFunc(w.order, func(a, b refusal) int { return cmp.Compare(at[a.rule], at[b.rule]) })
	e := new(IAMError)
	for _, r := range w.order {
		const some = 3
		text := r.why
		names := slices.Compact(w.refused[r])
		switch {
		case len(names) > some:
			text += fmt.Sprintf(" (roles %s and %d more)", strings.Join(names[:some], ", "), len(names)-some)
		case len(names) > 1:
			text += fmt.Sprintf(" (roles %s)", strings.Join(names, ", "))
		case len(names) == 1:
			text += fmt.Sprintf(" (role %s)", names[0])
		}
		e.Problems = append(e.Problems, Problem{r.rule.Pos, r.rule.Path, r.rule.Who, r.reason, text})
	}
	return e
}

// ruleAt returns the first rule on a place.
func (w *iamWriter) ruleAt(pl *place) *Rule {
	if w.first == nil {
		w.first = make(map[string]*Rule)
		for i := range w.policy.rules {
			rule := &w.policy.rules[i]
			r, _ := parseRole(rule.Who)
			pat, _ := parsePattern(rule.Path, false)
			if e := pat.effective(r); w.first[e] == nil {
				w.first[e] = rule
			}
		}
	}
	if pl.at == nil {
		return w.first[pl.path]
	}
	return w.first[pl.path+pl.token.text()+"/"+pl.rel]
}
