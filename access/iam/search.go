package iam

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// search goes through the states of a space, shortest texts first.
type search struct {
	*Space
	limit  int
	sets   []int32 // of all states, one behind the other
	states []state
	known  map[string]int32 // states by their sets
	queue  [][]int32        // states by the length of their texts
	found  map[string]bool  // the sets of patterns that there is a witness of
	out    []Witness
	work   int // elements of all sets that were made

	key    []byte  // room for what is looked up
	next   []int32 // room for the set that is made
	common []int32
	steps  []step
}

// state is a set of positions in the patterns: what is left to be matched. A state
// in the middle of the identity id has, before the positions, -1 minus the place
// in the id.
type state struct {
	from, to int // of the set, in sets
	parent   int32
	label    label
	length   int32
	done     bool
}

// label is the text that leads from one state to the next.
type label struct {
	at, n int32 // tokens of prog, if n is greater than 0
	c     rune  // one character, if it is greater than 0
	rest  int32 // what completes an identity id from this place on, if rest is greater than 0; the place is one less
}

// step is a literal character that a position waits for.
type step struct {
	c  rune
	at int32
}

func (w *search) run() ([]Witness, error) {
	w.next = w.next[:0]
	for n, at := range w.starts {
		if at >= 0 {
			w.next = w.enter(w.next, w.starts[n])
		}
	}
	slices.Sort(w.next)
	for _, c := range w.Prefix {
		set := slices.Clone(w.next)
		w.next = w.next[:0]
		for _, at := range set {
			w.next = w.read(w.next, at, c)
		}
		slices.Sort(w.next)
		w.next = slices.Compact(w.next)
	}
	w.reach(-1, label{}, 0)
	if w.NonEmpty {
		clear(w.known) // a longer text that leaves the same to be matched is another state
	}
	for length := 0; length < len(w.queue); length++ {
		for i := 0; i < len(w.queue[length]); i++ {
			at := w.queue[length][i]
			if st := &w.states[at]; st.done || int(st.length) != length {
				continue
			}
			w.states[at].done = true
			if set := w.set(at); len(set) > 0 && set[0] < 0 {
				w.insideID(at, int(-1-set[0]), set[1:])
			} else {
				if length > 0 || !w.NonEmpty {
					w.accept(at, set)
				}
				w.outside(at, set)
			}
			if len(w.states) > w.limit || w.work > 32*w.limit {
				return nil, fmt.Errorf("more than %d states: %w", w.limit, ErrComplex)
			}
		}
		w.queue[length] = nil
	}
	return w.out, nil
}

func (w *search) set(at int32) []int32 { return w.sets[w.states[at].from:w.states[at].to] }

// enter adds the position to a set, with those that can be reached without any text.
func (w *search) enter(set []int32, at int32) []int32 {
	for w.prog[at] == tokenMany {
		set = append(set, at)
		at++
	}
	return append(set, at)
}

// read adds to a set what follows a position when c is read.
func (w *search) read(set []int32, at int32, c rune) []int32 {
	switch t := w.prog[at]; t {
	case tokenRest:
		return append(set, at)
	case tokenMany:
		return w.enter(set, at)
	case tokenOne:
		return w.enter(set, at+1)
	case c:
		return w.enter(set, at+1)
	}
	return set
}

// reach notes that the set in w.next can be reached from a state. The set is sorted.
func (w *search) reach(parent int32, l label, n int) {
	w.work += len(w.next)
	length := n
	if parent >= 0 {
		length += int(w.states[parent].length)
	}
	if w.MaxLength > 0 && length > w.MaxLength {
		return
	}
	w.key = w.key[:0]
	for _, at := range w.next {
		w.key = append(w.key, byte(at), byte(at>>8), byte(at>>16), byte(at>>24))
	}
	id, ok := w.known[string(w.key)]
	if ok {
		st := &w.states[id]
		if st.done || int(st.length) <= length {
			return
		}
		st.parent, st.label, st.length = parent, l, int32(length)
	} else {
		id = int32(len(w.states))
		w.known[string(w.key)] = id
		from := len(w.sets)
		w.sets = append(w.sets, w.next...)
		w.states = append(w.states, state{from: from, to: len(w.sets), parent: parent, label: l, length: int32(length)})
	}
	for len(w.queue) <= length {
		w.queue = append(w.queue, nil)
	}
	w.queue[length] = append(w.queue[length], id)
}

// accept notes the patterns that match the text of a state, if no shorter text has
// matched the same.
func (w *search) accept(id int32, set []int32) {
	w.key = w.key[:0]
	n := 0
	for _, at := range set {
		if t := w.prog[at]; t == tokenEnd || t == tokenRest {
			o := w.owner[at]
			w.key = append(w.key, byte(o), byte(o>>8), byte(o>>16), byte(o>>24))
			n++
		}
	}
	if w.found[string(w.key)] {
		return
	}
	w.found[string(w.key)] = true
	wit := Witness{matched: make([]int, 0, n)}
	for _, at := range set {
		if t := w.prog[at]; t == tokenEnd || t == tokenRest {
			wit.matched = append(wit.matched, int(w.owner[at]))
		}
	}
	wit.Text, wit.Identity = w.text(id)
	if wit.Identity == "" {
		wit.Identity = otherID(wit.Text)
	}
	w.out = append(w.out, wit)
}

// text returns the text that leads to a state, and the identity id in it.
func (w *search) text(id int32) (text, identity string) {
	var path []int32
	for ; id >= 0; id = w.states[id].parent {
		path = append(path, id)
	}
	var all, inside strings.Builder
	for _, id := range slices.Backward(path) {
		st := &w.states[id]
		var s string
		switch l := st.label; {
		case l.n > 0:
			s = string(w.prog[l.at : l.at+l.n])
		case l.rest > 0:
			s = idRest(int(l.rest - 1))
		case l.c > 0:
			s = string(l.c)
		}
		all.WriteString(s)
		if st.parent >= 0 {
			if set := w.set(st.parent); len(set) > 0 && set[0] < 0 {
				inside.WriteString(s)
			}
		}
	}
	return all.String(), inside.String()
}

// sort splits a set into w.common, what is left of it after any character, and
// w.steps, what particular characters add to that. It reports whether every
// character that is no step leaves only patterns that match whatever follows.
func (w *search) sort(set []int32) (simple bool) {
	w.common, w.steps = w.common[:0], w.steps[:0]
	simple = true
	for _, at := range set {
		switch t := w.prog[at]; t {
		case tokenRest:
			w.common = append(w.common, at)
		case tokenMany, tokenOne:
			w.common = w.read(w.common, at, 0)
			simple = false
		case tokenEnd, tokenID:
		default:
			w.steps = append(w.steps, step{t, at})
		}
	}
	slices.Sort(w.common)
	w.common = slices.Compact(w.common)
	slices.SortStableFunc(w.steps, func(a, b step) int { return cmp.Compare(a.c, b.c) })
	return simple
}

// groups calls each with the steps of each character.
func groups(steps []step, each func([]step)) {
	for len(steps) > 0 {
		n := 1
		for n < len(steps) && steps[n].c == steps[0].c {
			n++
		}
		each(steps[:n])
		steps = steps[n:]
	}
}

// outside goes on from a state that is not in the middle of an identity id.
func (w *search) outside(id int32, set []int32) {
	w.enterID(id, set)
	simple := w.sort(set)
	w.next = append(w.next[:0], w.common...)
	other := otherRune(w.steps)
	w.reach(id, label{c: other}, runeLen(other))
	groups(w.steps, func(g []step) {
		n := int32(1)
		if simple {
			n = w.literalRun(g)
		}
		size := 0
		for _, c := range w.prog[g[0].at : g[0].at+n] {
			size += runeLen(c)
		}
		w.advance(g, n)
		w.reach(id, label{at: g[0].at, n: n}, size)
	})
}

// advance puts into w.next what is left after the steps, of n tokens each.
func (w *search) advance(g []step, n int32) {
	w.next = append(w.next[:0], w.common...)
	for _, s := range g {
		w.next = w.enter(w.next, s.at+n)
	}
	slices.Sort(w.next)
	w.next = slices.Compact(w.next)
}

// literalRun returns how many literal tokens all the steps have in common.
func (w *search) literalRun(g []step) int32 {
	first := w.prog[g[0].at:]
	n := 0
	for first[n] >= 0 {
		n++
	}
	for _, s := range g[1:] {
		rest := w.prog[s.at:]
		for i := range n {
			if rest[i] != first[i] {
				n = i
				break
			}
		}
	}
	return int32(n)
}

// otherRune returns a character that is none of the steps.
func otherRune(steps []step) rune {
	const nice = "xyzwvutsrqponmlkjihgfedcba0123456789-_/"
	has := func(c rune) bool {
		_, ok := slices.BinarySearchFunc(steps, c, func(s step, c rune) int { return cmp.Compare(s.c, c) })
		return ok
	}
	for _, c := range nice {
		if !has(c) {
			return c
		}
	}
	for c := rune(0x100); ; c++ {
		if !has(c) {
			return c
		}
	}
}

// enterID begins the identity id, if some pattern waits for it in the set. No
// pattern that waits for one later can match then, nor one with a literal text that
// is part of none.
func (w *search) enterID(id int32, set []int32) {
	if !slices.ContainsFunc(set, func(at int32) bool { return w.prog[at] == tokenID }) {
		return
	}
	w.next = append(w.next[:0], -1)
	for _, at := range set {
		if w.prog[at] == tokenEnd || at < w.ids[w.owner[at]] || w.prog[at] >= 0 && !w.mayBeIn(at) {
			continue
		}
		w.next = append(w.next, at)
	}
	w.reach(id, label{}, 0)
}

// mayBeIn reports whether the literal text at a position may be in an identity id
// that begins there.
func (w *search) mayBeIn(at int32) bool {
	place := 0
	for ; w.prog[at] >= 0 && place < idEnd; at++ {
		next, ok := idStep(place, w.prog[at])
		if !ok {
			return false
		}
		place = next
	}
	return true
}

// insideID goes on from a state in the middle of an identity id, at a place in it.
func (w *search) insideID(id int32, place int, set []int32) {
	var waiting []int32 // for the end of the id
	open := false       // some pattern looks into the id
	for _, at := range set {
		switch t := w.prog[at]; {
		case t == tokenID:
			waiting = append(waiting, at)
		case t == tokenMany:
			// It stays where it is if what follows can be in no id.
			open = open || w.prog[at+1] < 0 || inID(w.prog[at+1])
		case t == tokenOne || t >= 0 && inID(t):
			open = true
		}
	}
	w.sort(set)
	if !open {
		w.reachInID(id, label{rest: int32(place) + 1}, len(idRest(place)), idEnd, nil, waiting)
		return
	}
	steps := w.steps
	if place > 0 && place <= maxRegion {
		i, j := stepsOf(steps, ':')
		w.reachInID(id, label{c: ':'}, 1, maxRegion+1, steps[i:j], waiting)
	}
	other := true // no character but those of steps was read
	for _, c := range idLetters(place) {
		i, j := stepsOf(steps, c)
		if i < j || other {
			w.reachInID(id, label{c: c}, 1, place+1, steps[i:j], waiting)
			other = other && i < j
		}
	}
}

// stepsOf returns where the steps of c are.
func stepsOf(steps []step, c rune) (i, j int) {
	i, _ = slices.BinarySearchFunc(steps, c, func(s step, c rune) int { return cmp.Compare(s.c, c) })
	for j = i; j < len(steps) && steps[j].c == c; j++ {
	}
	return i, j
}

// reachInID notes a place in the identity id, or its end, that can be reached.
func (w *search) reachInID(id int32, l label, n, place int, g []step, waiting []int32) {
	if place == idEnd {
		w.advance(g, 1)
		for _, at := range waiting {
			w.next = w.enter(w.next, at+1)
		}
		slices.Sort(w.next)
		w.next = slices.Compact(w.next)
	} else {
		w.next = append(w.next[:0], -1-int32(place))
		w.next = append(w.next, w.common...)
		for _, s := range g {
			w.next = w.enter(w.next, s.at+1)
		}
		w.next = append(w.next, waiting...)
		rest := w.next[1:]
		slices.Sort(rest)
		w.next = append(w.next[:1], slices.Compact(rest)...)
	}
	w.reach(id, l, n)
}
