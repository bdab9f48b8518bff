package access

import (
	"fmt"
	"strings"
)

// Ask answers a question as people ask it, where Decide is about one key and
// nothing else. A list of a key that is "" or ends with "/" is a list of all keys
// with that prefix: it is allowed if and only if it may show any, or, with Lists set
// to Prefix, if MayList allows it. Everything else Ask decides as Decide does; there,
// a list of a key is about seeing it. If there are several actions, all must be given.
//
// The rule and the role of a list of a prefix that shows something are those by which
// the first of the keys is shown, unless they give it for the prefix as a key.
func (p *Policy) Ask(s *Subject, a Action, key string) Decision {
	d, _ := p.ask(s, a, key)
	return d
}

// ask is Ask. If a has a list of a prefix that may show any keys, it returns those.
func (p *Policy) ask(s *Subject, a Action, key string) (Decision, []KeyRange) {
	d := p.Decide(s, a, key)
	if a&List == 0 || key != "" && !strings.HasSuffix(key, "/") {
		return d, nil
	}
	shown := p.Visible(s, key)
	if d.Allowed || shown == nil {
		return d, shown
	}
	if rest := a &^ List; rest != 0 {
		if d := p.Decide(s, rest, key); !d.Allowed {
			return d, shown
		}
	}
	return p.Decide(s, List, shown[0].Start), shown
}

// maxShown is how many places a list is said to show.
const maxShown = 4

// shows returns in words which of the keys with a prefix are in the ranges.
func shows(prefix string, ranges []KeyRange) string {
	whole := KeyRange{prefix, after(prefix)}
	if len(ranges) == 1 && ranges[0] == whole {
		return "it shows all of it"
	}
	if list, ok := folders(ranges); ok {
		return "it shows only what is below " + list
	}
	var hidden []KeyRange
	from := prefix
	for _, r := range ranges {
		if from < r.Start {
			hidden = append(hidden, KeyRange{from, r.Start})
		}
		from = r.End
	}
	if from != whole.End {
		hidden = append(hidden, KeyRange{from, whole.End})
	}
	if list, ok := folders(hidden); ok {
		return "it shows all of it but what is below " + list
	}
	var texts []string
	for _, r := range ranges[:min(maxShown, len(ranges))] {
		text := fmt.Sprintf("from %q", r.Start)
		if r.End != "" {
			text += fmt.Sprintf(" to before %q", r.End)
		}
		texts = append(texts, text)
	}
	return "it shows only the keys " + enumerate(texts, len(ranges))
}

// folders returns the names of ranges that are each all keys below some path, and
// whether all are.
func folders(ranges []KeyRange) (list string, ok bool) {
	var names []string
	for i, r := range ranges {
		if !strings.HasSuffix(r.Start, "/") || r.End != after(r.Start) {
			return "", false
		}
		if i < maxShown {
			names = append(names, quote(r.Start))
		}
	}
	return enumerate(names, len(ranges)), true
}

// enumerate returns the first of n texts as a list.
func enumerate(texts []string, n int) string {
	list := strings.Join(texts, ", ")
	if more := n - len(texts); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
