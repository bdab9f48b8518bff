package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/cubby-storage/cubby/access"
)

// ParseConfig reads the text of a cubby.yaml. What it does not know is an error. An
// error is an [access.Error] with all that is wrong, and the lines where.
func ParseConfig(text []byte) (*Config, error) {
	c := new(Config)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(c); err == io.EOF {
		return c, nil
	} else if err != nil {
		return nil, unreadable(err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); err != io.EOF {
		return nil, &access.Error{Problems: []access.Problem{{Pos: place(more.Line), Reason: access.BadSyntax, Text: "there is more than one YAML document"}}}
	}
	return c, nil
}

// place names a line of the settings, 0 for an unknown one.
func place(line int) string {
	if line == 0 {
		return ConfigFile
	}
	return fmt.Sprintf("%s:%d", ConfigFile, line)
}

// unreadable returns the error for an error of the YAML library.
func unreadable(err error) error {
	var list []*yaml.LoadError
	if all, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		list = slices.Clone(all.Errors)
	} else if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		list = append(list, one)
	} else {
		return &access.Error{Problems: []access.Problem{{Pos: ConfigFile, Reason: access.BadSyntax, Text: strings.TrimPrefix(err.Error(), "yaml: ")}}}
	}
	slices.SortStableFunc(list, func(a, b *yaml.LoadError) int { return cmp.Compare(a.Mark.Line, b.Mark.Line) })
	var bad access.Error
	for _, e := range list {
		p := access.Problem{Pos: place(e.Mark.Line), Reason: access.BadSyntax, Text: inWords(e.Message)}
		if e.ContextMsg != "" {
			p.Text += ", " + e.ContextMsg
			if e.ContextMark.Line > 0 && e.ContextMark.Line != e.Mark.Line {
				p.Text += fmt.Sprintf(" that begins in line %d", e.ContextMark.Line)
			}
		}
		if !slices.Contains(bad.Problems, p) {
			bad.Problems = append(bad.Problems, p)
		}
	}
	return &bad
}

// How the YAML library tells of values that do not fit the Go types.
var (
	unknownField = regexp.MustCompile(`^field (.+) not found in type \S+$`)
	fieldTwice   = regexp.MustCompile(`^field (.+) already set in type \S+$`)
	keyTwice     = regexp.MustCompile(`^mapping key "(.*)" already defined at line (\d+)$`)
	wrongType    = regexp.MustCompile("(?s)^cannot construct (!!\\w+)(?: `(.*)`)? into (\\S+)$")
)

// inWords returns what the YAML library says, without the names of Go types.
func inWords(message string) string {
	m := wrongType.FindStringSubmatch(message)
	if m == nil {
		message = unknownField.ReplaceAllString(message, "unknown setting $1")
		message = fieldTwice.ReplaceAllString(message, "$1 is there twice")
		return keyTwice.ReplaceAllString(message, "$1 is there twice, first in line $2")
	}
	got := m[2]
	switch m[1] {
	case "!!map":
		got = "a mapping"
	case "!!seq":
		got = "a list"
	default:
		got = fmt.Sprintf("%q", got)
	}
	want := "something else"
	switch {
	case m[3] == "string":
		want = "a text"
	case m[3] == "bool":
		want = "true or false"
	case strings.HasPrefix(m[3], "[]"):
		want = "a list"
	case strings.HasPrefix(m[3], "server."):
		want = "settings"
	}
	return "this must be " + want + ", not " + got
}

// UnmarshalYAML reads the rules with their lines, which errors then name.
func (r *Rules) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(n, "rules must map paths to rules")}}
	}
	var bad []*yaml.LoadError
	paths := map[string]int{} // and their lines
	for i := 0; i+1 < len(n.Content); i += 2 {
		path, whos := aliased(n.Content[i]), aliased(n.Content[i+1])
		if first := paths[path.Value]; first > 0 {
			bad = append(bad, wrong(n.Content[i], "path %q is there twice, first in line %d", path.Value, first))
			continue
		}
		paths[path.Value] = n.Content[i].Line
		if whos.Kind != yaml.MappingNode {
			bad = append(bad, wrong(whos, "the rules of %q must map who to a list of actions", path.Value))
			continue
		}
		if len(whos.Content) == 0 { // nobody: it takes back what a path above it gave
			*r = append(*r, access.Rule{Path: path.Value, Pos: place(n.Content[i].Line)})
		}
		known := map[string]int{}
		for j := 0; j+1 < len(whos.Content); j += 2 {
			who, list := whos.Content[j], whos.Content[j+1]
			rule := access.Rule{Path: path.Value, Who: aliased(who).Value, Pos: place(who.Line)}
			if first := known[rule.Who]; first > 0 {
				bad = append(bad, wrong(who, "%q on %q is there twice, first in line %d", rule.Who, rule.Path, first))
				continue
			}
			known[rule.Who] = who.Line
			if err := readGrant(&rule, list); err != nil {
				bad = append(bad, err)
				continue
			}
			*r = append(*r, rule)
		}
	}
	if bad != nil {
		return &yaml.LoadErrors{Errors: bad}
	}
	return nil
}

// readGrant reads what a rule gives: a list of actions, or a mapping that has limits
// beside that list.
func readGrant(r *access.Rule, n *yaml.Node) *yaml.LoadError {
	if n = aliased(n); n.Kind != yaml.MappingNode {
		return readActions(r, n)
	}
	var actions *yaml.Node
	var limits []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], aliased(n.Content[i+1])
		text := value.Value
		switch name.Value {
		case "actions":
			if actions != nil {
				return wrong(name, "actions is there twice")
			}
			actions = value
			if err := readActions(r, value); err != nil {
				return err
			}
			continue
		case "contentTypes":
			types, ok := words(value)
			if !ok || len(types) == 0 {
				return wrong(value, "contentTypes must be a list, such as [image/png, image/*]")
			}
			var list []string
			for _, t := range types {
				if strings.Contains(t.Value, ",") {
					return wrong(t, "%q is more than one content type", t.Value)
				}
				list = append(list, t.Value)
			}
			text = strings.Join(list, ",")
		case "maxSize", "maxObjects", "quota":
			if value.Kind != yaml.ScalarNode {
				return wrong(value, "%s must be one value", name.Value)
			}
		default:
			return wrong(name, "unknown setting %s, beside actions there can be maxSize, contentTypes, maxObjects and quota", name.Value)
		}
		limits = append(limits, name.Value+"="+text)
		var err error
		if r.Limits, err = access.ParseLimits(limits); err != nil {
			return wrong(value, "%s", withoutCause(err))
		}
	}
	if actions == nil {
		return wrong(n, "%q on %q has no actions", r.Who, r.Path)
	}
	return nil
}

// readActions reads a list of actions.
func readActions(r *access.Rule, n *yaml.Node) *yaml.LoadError {
	names, ok := words(n)
	if !ok {
		return wrong(n, "the actions of %q on %q must be a list", r.Who, r.Path)
	}
	for _, name := range names {
		a, err := access.ParseAction(name.Value)
		if err != nil {
			return wrong(name, "%s", withoutCause(err))
		}
		r.Actions |= a
	}
	return nil
}

// words returns the items of a list of texts. Nothing at all is an empty list.
func words(n *yaml.Node) (list []*yaml.Node, ok bool) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, true
	}
	if n.Kind != yaml.SequenceNode {
		return nil, false
	}
	for _, item := range n.Content {
		if item = aliased(item); item.Kind != yaml.ScalarNode {
			return nil, false
		}
		list = append(list, item)
	}
	return list, true
}

// aliased returns the node that n stands for.
func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// withoutCause returns what err says without its class, which people need not be told.
func withoutCause(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+fs.ErrInvalid.Error())
}

// wrong returns the error for a node that cannot be read.
func wrong(n *yaml.Node, format string, args ...any) *yaml.LoadError {
	return &yaml.LoadError{
		Stage: yaml.ConstructorStage, Mark: yaml.Mark{Line: n.Line, Column: n.Column}, Message: fmt.Sprintf(format, args...),
	}
}

// MarshalYAML writes the rules as UnmarshalYAML reads them, paths in order.
func (r Rules) MarshalYAML() (any, error) {
	m := &yaml.Node{Kind: yaml.MappingNode}
	at := map[string]*yaml.Node{}
	for _, rule := range r {
		whos := at[rule.Path]
		if whos == nil {
			whos = &yaml.Node{Kind: yaml.MappingNode}
			at[rule.Path] = whos
			m.Content = append(m.Content, text(rule.Path), whos)
		}
		if rule.Who == "" && rule.Actions == 0 {
			continue
		}
		whos.Content = append(whos.Content, text(rule.Who), writeGrant(&rule))
	}
	return m, nil
}

// writeGrant is the inverse of readGrant.
func writeGrant(r *access.Rule) *yaml.Node {
	var names []string
	if r.Actions != 0 {
		names = strings.Split(r.Actions.String(), ",")
	}
	limits := r.Limits.String()
	if limits == "" {
		return flow(names)
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{text("actions"), flow(names)}}
	for limit := range strings.FieldsSeq(limits) {
		name, value, _ := strings.Cut(limit, "=")
		v := &yaml.Node{Kind: yaml.ScalarNode, Value: value} // a number stays one
		if name == "contentTypes" {
			v = flow(strings.Split(value, ","))
		}
		n.Content = append(n.Content, text(name), v)
	}
	return n
}

// flow returns a list on one line.
func flow(texts []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, t := range texts {
		n.Content = append(n.Content, text(t))
	}
	return n
}

// text returns a node that is this text, whatever else it might be taken for.
func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}
