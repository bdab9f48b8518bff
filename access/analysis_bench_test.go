package access_test

import (
	"fmt"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// crowded returns a policy of about n rules: half of them for groups on one path,
// the others for groups on paths below it.
func crowded(tb testing.TB, n int) *access.Policy {
	tb.Helper()
	rules := []access.Rule{{Path: "docs/*", Who: "authenticated", Actions: access.Read}}
	for i := range n / 2 {
		g := fmt.Sprintf("group:g%05d", i)
		rules = append(rules,
			access.Rule{Path: "docs/*", Who: g, Actions: access.Read | access.Write},
			access.Rule{Path: fmt.Sprintf("docs/d%05d/*", i), Who: g, Actions: access.Read | access.Write},
		)
	}
	p, _, err := access.Compile(rules, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// BenchmarkAnalysis asks all questions about rules of 10,000 rules.
func BenchmarkAnalysis(b *testing.B) {
	const n = 10000
	for name, policy := range map[string]func(testing.TB, int) *access.Policy{"tenants": tenants, "crowded": crowded} {
		p := policy(b, n)
		rules := p.Rules()
		rules[n/2].Actions ^= access.Delete
		other, _, err := access.Compile(rules, nil)
		if err != nil {
			b.Fatal(err)
		}
		run := func(what string, f func() int, want int) {
			b.Run(what+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if got := f(); got != want {
						b.Fatalf("got %d, want %d", got, want)
					}
				}
			})
		}
		run("Diff", func() int { return len(access.Diff(p, other)) }, 1)
		for _, statement := range []string{"guest can never get", "nobody can versions", "authenticated can never versions tenants/*"} {
			st, err := access.ParseStatement(statement)
			if err != nil {
				b.Fatal(err)
			}
			run("Prove="+statement, func() int {
				if p.Prove(st).Holds {
					return 1
				}
				return 0
			}, 1)
		}
		run("WhoCan", func() int {
			grants, err := p.WhoCan(access.Write, "")
			if err != nil {
				b.Fatal(err)
			}
			return min(len(access.Summary(grants, 4)), 1)
		}, 1)
		run("WhatCan", func() int {
			grants, err := p.WhatCan("group:g00001")
			if err != nil {
				b.Fatal(err)
			}
			return min(len(access.Summary(grants, 4)), 1)
		}, 1)
		run("Lint", func() int { return min(len(p.Lint()), 0) }, 0)
	}
}
