package iam

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// errNotPattern is why a condition cannot be said in patterns.
var errNotPattern = errors.New("not a comparison with patterns")

// Pattern is what a policy compares a text with, as it is written for [Space.Add].
type Pattern struct {
	Text  string
	Place string // where it stands: "Statement[0].Resource[1]"
}

// Resources returns the patterns that the resource of a request for the action is
// compared with. A [Space] of them and of other patterns has all resources that the
// policy can tell apart.
func (e *Evaluator) Resources(action string) []Pattern {
	var list []Pattern
	for _, i := range e.About(action) {
		s := &e.document.Statement[i]
		name, texts := "Resource", s.Resource
		if len(s.NotResource) > 0 {
			name, texts = "NotResource", s.NotResource
		}
		for j, text := range texts {
			p := parsePattern(text, true, e.document.Version == Version)
			list = append(list, Pattern{p.String(), fmt.Sprintf("Statement[%d].%s[%d]", i, name, j)})
		}
	}
	return list
}

// Values returns the patterns that the value of a condition key of a request for
// the action is compared with, as Resources does for the resource. If it is also
// compared with something else, the error says where.
func (e *Evaluator) Values(action, key string) ([]Pattern, error) {
	var list []Pattern
	for _, i := range e.About(action) {
		s := &e.document.Statement[i]
		for _, name := range slices.Sorted(maps.Keys(s.Condition)) {
			for _, k := range slices.Sorted(maps.Keys(s.Condition[name])) {
				if !strings.EqualFold(k, key) {
					continue
				}
				place := fmt.Sprintf("Statement[%d].Condition.%s.%s", i, name, k)
				switch op := parseOperator(name).op; op {
				case null:
				case equals, like:
					for j, text := range s.Condition[name][k] {
						p := parsePattern(text, op == like, e.document.Version == Version)
						list = append(list, Pattern{p.String(), fmt.Sprintf("%s[%d]", place, j)})
					}
				default:
					return nil, fmt.Errorf("%s: %w", place, errNotPattern)
				}
			}
		}
	}
	return list, nil
}
