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

// request is one of an identity, by the way S3 puts it.
func request(identity, action, key string) *iam.Request {
	r := &iam.Request{Action: action, Resource: bucketARN + "/" + key, Context: map[string][]string{
		"cognito-identity.amazonaws.com:sub": {identity},
	}}
	if identity == "" {
		r.Context["cognito-identity.amazonaws.com:sub"] = nil
	}
	if strings.HasPrefix(action, "s3:List") {
		r.Resource = bucketARN
		r.Context["s3:prefix"] = []string{key}
	}
	return r
}

// agree compares the decisions for one subject with documents that hold together,
// by two evaluators, and returns how often it asked.
func agree(t *testing.T, p *access.Policy, docs []*iam.Document, s access.Subject, keys []string) int {
	t.Helper()
	all := new(iam.Document)
	for _, d := range docs {
		all.Version = d.Version
		all.Statement = append(all.Statement, d.Statement...)
	}
	e := all.Compile()
	asked := 0
	for _, key := range keys {
		for a, names := range iamActions {
			want := p.Decide(&s, a, key).Allowed
			for _, name := range names {
				asked++
				if got := allowsIAM(docs, s.Identity, name, key); got != want {
					t.Fatalf("rules\n%s\n%+v %s %q: the documents say %v, want %v\n%s", p, s, name, key, got, want, indent(t, all))
				}
				if got := e.Evaluate(request(s.Identity, name, key)).Answer; got == iam.Undecided || (got == iam.Allowed) != want {
					t.Fatalf("rules\n%s\n%+v %s %q: %v, want %v\n%s", p, s, name, key, got, want, indent(t, all))
				}
			}
		}
	}
	return asked
}

// borders returns keys at, below and beside all paths, for the values of tokens.
func borders(rules []access.Rule, values ...string) []string {
	keys := []string{"", "/", "x", "x/y"}
	for _, r := range rules {
		prefix := strings.TrimSuffix(r.Path, "*")
		full := []string{prefix}
		if strings.Contains(prefix, "{") {
			full = nil
			before, _, _ := tokenOf(prefix)
			keys = append(keys, before, before+"x/y")
			for _, v := range values {
				full = append(full, replaceToken(prefix, v))
			}
		}
		for _, f := range full {
			base := strings.TrimSuffix(f, "/")
			keys = append(keys, base, f, f+"k", f+"x/y", f+"/", base+"2/k", base[:max(0, len(base)-1)]+"/k", f+me+"/k", f+"v/k")
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// checkIAM compares the documents of all roles with the decisions for those who
// have them. It reports whether there are documents, and how often it asked.
func checkIAM(t *testing.T, p *access.Policy, rules []access.Rule, opts *access.IAMOptions, keys []string) (asked int, ok bool) {
	t.Helper()
	roles, err := p.IAM(opts)
	if err != nil {
		if e, ok := errors.AsType[*access.IAMError](err); !ok || len(e.Problems) == 0 {
			t.Fatalf("rules\n%s\n%v", p, err)
		}
		return 0, false
	}
	subject := access.Subject{Identity: me, Authenticated: true, Sub: "v", Username: me, Claims: map[string]string{"t": "w"}}
	for _, r := range roles {
		s := subject
		switch kind, name, _ := strings.Cut(r.Role, ":"); kind {
		case "guest":
			s.Authenticated = false
		case "group":
			s.Groups = []string{name}
		case "function":
			s.Function = name
		}
		docs := r.Managed
		if r.Inline != nil {
			docs = []*iam.Document{r.Inline}
		}
		asked += agree(t, p, docs, s, keys)
		if r.Role == "authenticated" && opts.Groups == nil && p.Groups() == access.Union {
			// A group that no rule names has no role of its own.
			s.Groups = []string{"x"}
			asked += agree(t, p, docs, s, keys)
		}
	}
	return asked, true
}

// TestIAMRandom compares the documents of random rules with the decisions.
func TestIAMRandom(t *testing.T) {
	w := world{rand.New(rand.NewPCG(11, 12))}
	var asked, written, refused int
	for i := range 1000 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(6, opts)
		if i%4 > 1 {
			// The same without what is mostly refused.
			for i, r := range rules {
				for _, token := range []string{"{sub}", "{username}", "{claim:t}"} {
					r.Path = strings.ReplaceAll(r.Path, token, identityVar)
				}
				r.Limits = nil
				rules[i] = r
			}
			var err error
			if p, _, err = access.Compile(rules, opts); err != nil {
				continue
			}
		}
		io := *forBucket
		if i%3 == 0 {
			io.Groups = []string{"v", "x"}
		}
		n, ok := checkIAM(t, p, rules, &io, borders(rules, me, you, "v", "x"))
		if asked += n; ok {
			written++
		} else {
			refused++
		}
	}
	if written < 500 || refused < 100 || asked < 300000 {
		t.Errorf("%d sets of rules were written and %d refused, %d requests compared", written, refused, asked)
	}
	t.Logf("%d sets of rules were written and %d refused, %d requests compared", written, refused, asked)
}

// FuzzIAM compares documents with decisions, of roles and of a subject.
func FuzzIAM(f *testing.F) {
	seeds(f, func(rules, key string) {
		f.Add(rules, key, "ann", "admin,red", byte(1))
	})
	f.Add("a/{group}/* owner read\na/* guest list", "a/x/k", "i", "x,y", byte(5))
	f.Fuzz(func(t *testing.T, text, key, identity, groups string, flags byte) {
		if len(text) > 2000 || len(key) > 200 {
			return
		}
		opts := &access.Options{AcceptOwnerWithoutToken: true}
		if flags&2 != 0 {
			opts.Groups = access.Replace
		}
		p, err := access.Parse("fuzz", []byte(text), opts)
		if err != nil || len(p.Rules()) > 20 {
			return
		}
		io := *forBucket
		if flags&4 != 0 {
			io.Groups = []string{"v", "x"}
		}
		keys := append(borders(p.Rules(), me, you, "v"), key)
		checkIAM(t, p, p.Rules(), &io, keys)
		s := access.Subject{Identity: identity, Authenticated: flags&1 != 0, Sub: groups, Username: identity}
		if groups != "" {
			s.Groups = strings.Split(groups, ",")
		}
		if d, err := p.SessionPolicy(&s, forBucket); err == nil {
			agree(t, p, []*iam.Document{d}, s, append(keys, borders(p.Rules(), identity, groups)...))
		}
	})
}

// manyRules returns large sets of n rules, by what is hard about them.
func manyRules(tb testing.TB, n int) map[string]*access.Policy {
	tb.Helper()
	sets := map[string][]access.Rule{"tenants": tenants(tb, n).Rules()}
	add := func(name, path, who string) {
		sets[name] = append(sets[name], access.Rule{Path: path, Who: who, Actions: access.Read})
	}
	add("above all", "t/*", "authenticated")
	for i := range n {
		add("one each", fmt.Sprintf("d%d/*", i), fmt.Sprintf("group:g%d", i))
		add("one group", fmt.Sprintf("d%d/*", i), "group:g")
		add("owners", fmt.Sprintf("t/${cognito-identity.amazonaws.com:sub}/c%d/*", i), fmt.Sprintf("group:g%d", i))
		if i%2 == 0 {
			add("above all", "t/*", fmt.Sprintf("group:g%d", i))
			add("above all", fmt.Sprintf("t/c%d/*", i), "authenticated")
		}
		if i < n/10 {
			add("deep", strings.Repeat("d/", i%500)+fmt.Sprintf("%d/*", i), "authenticated")
		}
	}
	out := make(map[string]*access.Policy)
	for name, rules := range sets {
		p, _, err := access.Compile(rules, nil)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		out[name] = p
	}
	return out
}

// TestIAMMany writes the documents of large sets of rules, or finds them too large.
// What would go through all rules for each role, or each pair of rules, takes
// minutes.
func TestIAMMany(t *testing.T) {
	for name, p := range manyRules(t, 4000) {
		_, err := p.IAM(forBucket)
		if e, ok := errors.AsType[*access.IAMError](err); err != nil && (!ok || len(e.Problems) != 1 || e.Problems[0].Reason != access.IAMSize) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkIAM(b *testing.B) {
	for name, p := range manyRules(b, 10000) {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.IAM(forBucket); err != nil && !errors.Is(err, errors.ErrUnsupported) {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSessionPolicy(b *testing.B) {
	p := tenants(b, 10000)
	for b.Loop() {
		if _, err := p.SessionPolicy(&access.Subject{Identity: me, Authenticated: true}, forBucket); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			b.Fatal(err)
		}
	}
}
