package outputs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Extra is a part of a file that this package does not know, kept as it is.
type Extra struct {
	Keys  []string // the way to it; in a list, a key is an index
	Value json.RawMessage
}

// Path returns the way as messages show it: custom.mine.
func (e *Extra) Path() string { return pathOf(e.Keys) }

func pathOf(keys []string) string {
	path := ""
	for _, k := range keys {
		if _, err := strconv.Atoi(k); err == nil {
			path += "[" + k + "]"
		} else {
			path = join(path, k)
		}
	}
	return path
}

// Empty reports whether nothing is lost without the part: it is null, false, an
// empty text, list or object, an object of such, or what is in every file of a
// mobile app (its UserAgent and Version, and the flow that is the usual one).
func (e *Extra) Empty() bool {
	v, err := parseRaw(e.Value)
	if err != nil {
		return false
	}
	if v.kind == text && len(e.Keys) > 0 {
		switch e.Keys[len(e.Keys)-1] {
		case "UserAgent", "Version":
			return len(e.Keys) == 1 || e.Keys[1] == "plugins"
		case "authenticationFlowType":
			return v.text == "USER_SRP_AUTH"
		}
	}
	return v.empty()
}

func (v *value) empty() bool {
	switch v.kind {
	case flag:
		return v.text == "false"
	case number:
		return false
	case text:
		return v.text == ""
	case list:
		return len(v.items) == 0
	case object:
		return !slices.ContainsFunc(v.fields, func(f field) bool { return !f.value.empty() })
	}
	return true
}

// extra adds what is not in the model, if it is in the words of the format. Of a
// section that is not, it warns once.
func (w *writer) extra(root *value) {
	var names []string // of the sections
	sections := map[string][][]string{}
	for _, x := range w.o.Extra {
		if w.speaks(&x) {
			v, err := parseRaw(x.Value)
			if (err != nil || !root.put(x.Keys, v)) && !x.Empty() {
				w.warn(x.Path(), "there is no such place, or its value is not JSON")
			}
			continue
		}
		if x.Empty() {
			continue
		}
		name := ""
		if len(x.Keys) > 0 {
			name = x.Keys[0]
		}
		if sections[name] == nil {
			names = append(names, name)
		}
		sections[name] = append(sections[name], x.Keys)
	}
	for _, name := range names {
		w.lostAll(sections[name])
	}
}

// lostAll warns of what the format has no place for, in one section.
func (w *writer) lostAll(parts [][]string) {
	top := parts[0]
	if len(parts) == 1 {
		w.lost(pathOf(top))
		return
	}
	for _, keys := range parts[1:] {
		n := 0
		for n < min(len(top), len(keys)) && top[n] == keys[n] {
			n++
		}
		top = top[:n]
	}
	const enough = 20
	var rest []string
	for _, keys := range parts[:min(len(parts), enough)] {
		rest = append(rest, pathOf(keys[len(top):]))
	}
	says := strings.Join(rest, ", ")
	if n := len(parts) - len(rest); n > 0 {
		says += fmt.Sprintf(" and %d more", n)
	}
	w.warn(pathOf(top), "%s has no place for %s", w.format, says)
}

// speaks reports whether an extra is in the words of the format that is written.
func (w *writer) speaks(x *Extra) bool {
	family := func(f Format) Format {
		switch f {
		case "":
			return AmplifyOutputs
		case Configuration:
			return AWSExports
		}
		return f
	}
	from, to := family(w.o.Format), family(w.format)
	both := func(f Format) bool { return f == AmplifyOutputs || f == AWSExports }
	return from == to || both(from) && both(to) && len(x.Keys) > 1 && x.Keys[0] == "custom"
}
