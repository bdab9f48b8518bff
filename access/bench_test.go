package access_test

import (
	"fmt"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// tenants returns a policy of about n rules: four for each tenant, one of them for
// the owners of folders.
func tenants(tb testing.TB, n int) *access.Policy {
	tb.Helper()
	var rules []access.Rule
	for i := range max(1, n/4) {
		base := fmt.Sprintf("tenants/t%05d/files/", i)
		rules = append(rules,
			access.Rule{Path: base + "private/{entity_id}/*", Who: "owner", Actions: access.Read | access.Write | access.Delete},
			access.Rule{Path: base + "shared/*", Who: "authenticated", Actions: access.Read},
			access.Rule{Path: base + "shared/*", Who: fmt.Sprintf("group:admins%05d", i), Actions: access.Read | access.Write | access.Delete},
			access.Rule{Path: base + "shared/hidden/*", Who: fmt.Sprintf("group:admins%05d", i), Actions: access.Read},
		)
	}
	p, _, err := access.Compile(rules[:min(n, len(rules))], nil)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

var ann = access.Subject{
	Identity:      "eu-central-1:6f1f0a0e-3c1b-4f7e-9d55-0c9f7f1f2a3b",
	Authenticated: true,
	Groups:        []string{"staff", "admins00000"},
}

func BenchmarkDecide(b *testing.B) {
	own := "tenants/t00000/files/private/" + ann.Identity + "/photos/2026/summer/IMG_0001.jpg"
	other := "tenants/t00000/files/private/eu-central-1:00000000-0000-0000-0000-000000000000/photos/2026/IMG_0001.jpg"
	for _, n := range []int{1, 100, 10000} {
		p := tenants(b, n)
		for _, q := range []struct{ name, key string }{{"owner", own}, {"denied", other}} {
			b.Run(fmt.Sprintf("%s/%d", q.name, n), func(b *testing.B) {
				b.ReportAllocs()
				want := q.name == "owner"
				for b.Loop() {
					if p.Decide(&ann, access.Get, q.key).Allowed != want {
						b.Fatal("wrong decision")
					}
				}
			})
		}
	}
	// As above, but each question about another tenant, so that little is in the cache.
	p := tenants(b, 10000)
	keys := make([]string, 2500)
	for i := range keys {
		keys[i] = fmt.Sprintf("tenants/t%05d/files/private/%s/photos/2026/summer/IMG_0001.jpg", i*7919%2500, ann.Identity)
	}
	b.Run("spread/10000", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if !p.Decide(&ann, access.Get, keys[i%len(keys)]).Allowed {
				b.Fatal("wrong decision")
			}
		}
	})
}

func BenchmarkVisible(b *testing.B) {
	p := tenants(b, 10000)
	for _, prefix := range []string{"", "tenants/t00000/files/"} {
		b.Run(fmt.Sprintf("prefix=%d", len(prefix)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Visible(&ann, prefix) == nil {
					b.Fatal("nothing is visible")
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	rules := tenants(b, 10000).Rules()
	for b.Loop() {
		if _, _, err := access.Compile(rules, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p := tenants(t, 100)
	for _, key := range []string{
		"tenants/t00000/files/private/" + ann.Identity + "/a",
		"tenants/t00000/files/private/bob/a",
		"tenants/t00000/files/shared/hidden/a",
		"elsewhere/a",
		"",
	} {
		if n := testing.AllocsPerRun(100, func() { p.Decide(&ann, access.Read|access.Write, key) }); n != 0 {
			t.Errorf("Decide on %q allocates %v times", key, n)
		}
	}
	mixed, err := access.Parse("mixed", []byte("u/{sub}/* owner get\nu/{username}/* owner list,write\nu/{claim:team}/x/* owner delete"), nil)
	if err != nil {
		t.Fatal(err)
	}
	name := "ångström"
	s := access.Subject{Authenticated: true, Sub: name, Username: name, Claims: map[string]string{"team": name}}
	key := "u/" + name + "/k"
	if !mixed.Decide(&s, access.Read|access.Write, key).Allowed {
		t.Error("the rights by two tokens do not add up")
	}
	if n := testing.AllocsPerRun(100, func() { mixed.Decide(&s, access.Read|access.Write, key) }); n != 0 {
		t.Errorf("Decide with three tokens in one place allocates %v times", n)
	}
}
