package access_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

// small makes rules and policies of so few letters that all their keys can be tried.
func (w world) small() ([]access.Rule, *iam.Document) {
	segs := []string{"a", "b", "a", "b", "ab", identityVar, "{entity_id}", smallIDs[0]}
	var rules []access.Rule
	for range w.IntN(4) {
		path := make([]string, 1, 4)
		for path[0] = pick(w, segs); w.IntN(2) == 0; {
			path = append(path, pick(w, segs))
		}
		rules = append(rules, access.Rule{
			Path: strings.Join(path, "/") + "/*", Who: pick(w, []string{"guest", "authenticated", "owner", "group:g", "function:f", "group:h"}),
			Actions: access.Action(1 + w.IntN(15)), Pos: fmt.Sprint(len(rules)),
		})
	}
	parts := []string{"a", "b", "/", "a/", "b/", "ab/", "*", "*", "?", identityVar, smallIDs[0], "?:0*"}
	pattern := func() string {
		if len(rules) > 0 && w.IntN(2) == 0 {
			return strings.Replace(pick(w, rules).Path, "{entity_id}", identityVar, 1)
		}
		text := []string{pick(w, parts)}
		for w.IntN(3) > 0 {
			text = append(text, pick(w, parts))
		}
		return strings.Join(text, "")
	}
	d := &iam.Document{Version: iam.Version}
	for range w.IntN(5) {
		s := iam.Statement{Effect: pick(w, []string{iam.Allow, iam.Allow, iam.Deny}), Action: iam.Strings{pick(w, smallActions)}}
		var list iam.Strings
		for range 1 + w.IntN(2) {
			list = append(list, pattern())
		}
		if s.Action[0] == "s3:ListBucket" {
			s.Resource, s.Condition = iam.Strings{bucketARN}, iam.Condition{"StringLike": {"s3:prefix": list}}
		} else {
			for _, p := range list {
				s.Resource = append(s.Resource, bucketARN+"/"+p)
			}
		}
		d.Statement = append(d.Statement, s)
	}
	return rules, d
}

var (
	smallActions = []string{"s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"} // in the order of ours
	smallIDs     = []string{"a:00000000-0000-0000-0000-000000000000", "b-:0000000a-0000-0000-0000-00000000000b"}
	smallKeys    = func() []string {
		keys := []string{""}
		for i := 0; len(keys) < 900; i++ {
			for _, c := range append(smallIDs, "a", "b", "/", "x") {
				keys = append(keys, keys[i]+c)
			}
		}
		return keys
	}()
)

// verifySmall compares Verify with all keys of a few letters, each asked of two
// other evaluators. It reports whether there was something to compare.
func verifySmall(t *testing.T, w world, keys []string) bool {
	t.Helper()
	rules, d := w.small()
	mode := access.GroupMode(w.IntN(2))
	p, _, err := access.Compile(rules, &access.Options{Groups: mode, AcceptOwnerWithoutToken: true})
	if err != nil {
		return false
	}
	who := pick(w, []string{"guest", "authenticated", "group:g", "function:f"})
	s := map[string]access.Subject{
		"guest": {}, "authenticated": {Authenticated: true}, "group:g": {Authenticated: true, Groups: []string{"g"}}, "function:f": {Function: "f"},
	}[who]
	v, err := access.Verify(p, who, d, &access.VerifyOptions{Bucket: "BUCKET"})
	if err != nil {
		if !errors.Is(err, access.ErrUndecided) {
			t.Fatalf("rules\n%s\n%+v\n%s: %v", p, d, who, err)
		}
		return false
	}
	ask := func(a int, identity, key string) (byRules, byPolicy bool) {
		if s.Function == "" {
			s.Identity = identity
		}
		return naive{rules, mode}.allowed(s, 1<<a, key), allowsIAM([]*iam.Document{d}, s.Identity, smallActions[a], key)
	}
	type kind struct {
		action  access.Action
		byRules bool
	}
	found := make(map[kind]int)
	for _, diff := range v.Differences {
		if diff.NoPrefix {
			t.Fatalf("%v", diff)
		}
		a := slices.Index(smallActions, diff.Operation)
		byRules, byPolicy := ask(a, diff.Identity, diff.Key)
		if byRules == byPolicy || byRules != diff.ByRules || byPolicy != diff.ByPolicy {
			t.Fatalf("rules\n%s\n%+v\n%s: %v, but rules %v, policy %v", p, d, who, diff, byRules, byPolicy)
		}
		k := kind{diff.Action, byRules}
		if n, ok := found[k]; !ok || len(diff.Key) < n {
			found[k] = len(diff.Key)
		}
	}
	for a := range smallActions {
		for _, key := range keys {
			for _, id := range smallIDs {
				byRules, byPolicy := ask(a, id, key)
				if byRules == byPolicy || key == "" && a != 1 {
					continue
				}
				// The ids of examples are up to 17 bytes longer than these.
				if n, ok := found[kind{1 << a, byRules}]; !ok || n > len(key)+17*strings.Count(key, ":") {
					t.Fatalf("rules\n%s\n%+v\n%s %s: %s on %q: rules %v, policy %v, but found %v", p, d, who, id, smallActions[a], key, byRules, byPolicy, v.Differences)
				}
			}
		}
	}
	return true
}

// TestVerifySmall compares Verify with brute force.
func TestVerifySmall(t *testing.T) {
	w := world{rand.New(rand.NewPCG(30, 31))}
	compared := 0
	for range 300 {
		if verifySmall(t, w, smallKeys[:150]) {
			compared++
		}
	}
	if compared < 100 {
		t.Errorf("only %d policies were compared", compared)
	}
}

// FuzzVerify does the same for longer.
func FuzzVerify(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		verifySmall(t, world{rand.New(rand.NewPCG(seed, 32))}, smallKeys)
	})
}

// tenantPolicy returns what tenants grants to somebody in no group, n patterns for
// each action.
func tenantPolicy(p *access.Policy) *iam.Document {
	var objects, prefixes, all iam.Strings
	for _, r := range p.Rules() {
		path := strings.Replace(r.Path, "{entity_id}", identityVar, 1)
		switch r.Who {
		case "owner":
			all = append(all, bucketARN+"/"+path)
			fallthrough
		case "authenticated":
			objects, prefixes = append(objects, bucketARN+"/"+path), append(prefixes, path)
		default:
			continue
		}
	}
	var hidden, hiddenPrefixes iam.Strings
	for _, r := range p.Rules() {
		if strings.HasSuffix(r.Path, "/hidden/*") {
			hidden, hiddenPrefixes = append(hidden, bucketARN+"/"+r.Path), append(hiddenPrefixes, r.Path)
		}
	}
	statement := func(effect, action string, list iam.Strings) iam.Statement {
		return iam.Statement{Effect: effect, Action: iam.Strings{action}, Resource: list}
	}
	lists := func(effect string, list iam.Strings) iam.Statement {
		return iam.Statement{Effect: effect, Action: iam.Strings{"s3:ListBucket"}, Resource: iam.Strings{bucketARN}, Condition: iam.Condition{"StringLike": {"s3:prefix": list}}}
	}
	return &iam.Document{Version: iam.Version, Statement: []iam.Statement{
		statement(iam.Allow, "s3:GetObject", objects), statement(iam.Deny, "s3:GetObject", hidden),
		lists(iam.Allow, prefixes), lists(iam.Deny, hiddenPrefixes),
		statement(iam.Allow, "s3:PutObject", all), statement(iam.Allow, "s3:DeleteObject", all),
	}}
}

func BenchmarkVerify(b *testing.B) {
	p := tenants(b, 10000)
	d := tenantPolicy(p)
	cases := 0
	for b.Loop() {
		v, err := access.Verify(p, "authenticated", d, &access.VerifyOptions{Bucket: "BUCKET"})
		if err != nil || !v.Exact() {
			b.Fatal(v, err)
		}
		cases = v.Cases
	}
	b.ReportMetric(float64(cases), "cases")
}
