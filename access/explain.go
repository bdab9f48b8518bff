package access

import (
	"fmt"
	"strings"
)

// Explain returns the decision on a with key in words, on one or a few lines: the
// rule that allowed it, or the nearest rule that would have, and the path that
// took back what a path above it gave. It names rules and their positions, and so
// is for those who may see the rules.
func (p *Policy) Explain(s *Subject, a Action, key string) string {
	d := p.Decide(s, a, key)
	if d.Allowed {
		return fmt.Sprintf("%s on %q is allowed to %s by %s", a, key, d.Role, d.Rule.at())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %q is denied", a, key)
	if p == nil || p.root == nil || s == nil || a == 0 {
		return b.String()
	}
	if above, path := p.takenBack(s, a, key); above != nil {
		fmt.Fprintf(&b, "\n%s would give it, but %q is nearer and does not", above.at(), path)
	}
	if d.Nearest != nil {
		fmt.Fprintf(&b, "\nthe nearest rule that gives what is missing is %s", d.Nearest.at())
	} else {
		b.WriteString("\nno single rule gives what is missing to anybody here")
	}
	return b.String()
}

// at returns the rule with its position.
func (r *Rule) at() string {
	s := r.String()
	if r.Pos == "" {
		return "`" + s + "`"
	}
	return "`" + s + "` (" + r.Pos + ")"
}

// takenBack returns the rule on a shared path that would allow a if there were no
// longer path, and that longer path.
func (p *Policy) takenBack(s *Subject, a Action, key string) (*Rule, string) {
	var rule *Rule
	var path string
	n := p.root
	for depth := 0; n != nil; {
		if n.rights != nil {
			f := finding{shared: n.rights}
			if d, _ := f.decide(s, a, p.groups); d.Allowed {
				rule = d.Rule
			}
			path = key[:depth] + "*"
		}
		i := strings.IndexByte(key[depth:], '/')
		if i < 0 {
			break
		}
		n = n.child(key[depth : depth+i])
		depth += i + 1
	}
	return rule, path
}
