package iam

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestOutside asks random policies about everything but the known actions on the
// bucket. If they allow any of it, Outside says so.
func TestOutside(t *testing.T) {
	r := rand.New(rand.NewPCG(50, 51))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	silent, removed := 0, 0
	for range 3000 {
		d := &Document{Version: Version}
		for range 1 + r.IntN(4) {
			s := Statement{Effect: pick(Allow, Deny)}
			var actions, resources Strings
			for range 1 + r.IntN(2) {
				actions = append(actions, pick("s:a", "s:A", "s:b", "s:c", "s:*", "s:?", "i:*", "*", "i:x"))
				resources = append(resources, pick("arn:b", "arn:b/*", "arn:b/x", "arn:b/${me}", "arn:b*", "arn:o/*", "arn:o/x", "arn:?/x", "*"))
			}
			if s.Action = actions; r.IntN(4) == 0 {
				s.Action, s.NotAction = nil, actions
			}
			if s.Resource = resources; r.IntN(4) == 0 {
				s.Resource, s.NotResource = nil, resources
			}
			if r.IntN(6) == 0 {
				s.Condition = Condition{"StringEquals": {pick("known", "open"): {"x"}}}
			}
			d.Statement = append(d.Statement, s)
		}
		e := d.Compile()
		known := map[string][]string{"known": {pick("x", "y")}}
		lines := e.Outside(&Request{Context: known}, "arn:b", []string{"s:a", "s:b"})
		found := ""
		for _, action := range []string{"s:a", "s:b", "s:c", "s:zz", "i:x", "i:y"} {
			for _, resource := range []string{"arn:b", "arn:b/x", "arn:b/me", "arn:bb", "arn:o/x", "arn:o/y", "z"} {
				if (action == "s:a" || action == "s:b") && (resource == "arn:b" || resource == "arn:b/x" || resource == "arn:b/me") {
					continue
				}
				for _, open := range []string{"x", "y"} {
					q := &Request{Action: action, Resource: resource, Context: map[string][]string{"known": known["known"], "open": {open}, "me": {"me"}}}
					if e.Evaluate(q).Answer == Allowed {
						found = fmt.Sprintf("%s on %s", action, resource)
					}
				}
			}
		}
		if found != "" && len(lines) == 0 {
			t.Fatalf("%+v with %v allows %s", d.Statement, known, found)
		}
		if len(lines) == 0 {
			silent++
			if d.Statement[0].Effect == Allow {
				removed++
			}
		}
	}
	if silent < 300 || removed < 30 {
		t.Errorf("only %d policies reach nothing else, %d of them that allow something", silent, removed)
	}
}
