package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/cubby-storage/cubby/access"
)

// naive decides by going through all rules and comparing strings, straight from
// the words of the package comment. It is right rather than fast.
type naive struct {
	rules []access.Rule
	mode  access.GroupMode
}

func (n naive) allowed(s access.Subject, a access.Action, key string) bool {
	if a == 0 {
		return false
	}
	for bit := access.Action(1); bit != 0; bit <<= 1 {
		if a&bit != 0 && !n.one(s, bit, key) {
			return false
		}
	}
	return true
}

func (n naive) one(s access.Subject, a access.Action, key string) bool {
	roles := n.roles(s)
	shared := ""
	for _, r := range n.rules {
		if p, own := n.split(r); !own && strings.HasPrefix(key, p) && len(p) > len(shared) {
			shared = p
		}
	}
	for _, r := range n.rules {
		p, own := n.split(r)
		if !own && p == shared && slices.Contains(roles, roleOf(r.Who)) && r.Actions&a != 0 && shared != "" {
			return true
		}
	}
	for _, role := range roles {
		longest, given := 0, false
		for _, r := range n.rules {
			p, own := n.split(r)
			if !own || roleOf(r.Who) != role {
				continue
			}
			for _, v := range n.values(p, s) {
				full := replaceToken(p, v)
				if !strings.HasPrefix(key, full) || len(full) < longest {
					continue
				}
				if len(full) > longest {
					longest, given = len(full), false
				}
				given = given || r.Actions&a != 0
			}
		}
		if given {
			return true
		}
	}
	return false
}

func (n naive) roles(s access.Subject) []string {
	if s.Function != "" {
		return []string{"function:" + s.Function}
	}
	if !s.Authenticated {
		return []string{"guest"}
	}
	if n.mode == access.Replace && len(s.Groups) > 0 {
		return []string{"group:" + s.Groups[0]}
	}
	roles := []string{"authenticated", "owner"}
	for _, g := range s.Groups {
		roles = append(roles, "group:"+g)
	}
	return roles
}

func roleOf(who string) string {
	switch {
	case who == "entityidentity":
		return "owner"
	case strings.HasPrefix(who, "groups"):
		return "group:" + who[len("groups"):]
	}
	return who
}

// split returns the path without its star, and whether it is about a value of
// the subject's own.
func (n naive) split(r access.Rule) (prefix string, own bool) {
	prefix = strings.TrimSuffix(r.Path, "*")
	if strings.Contains(prefix, "{entity_id}") {
		if roleOf(r.Who) == "owner" {
			return prefix, true
		}
		return strings.TrimSuffix(prefix, "{entity_id}/"), false
	}
	return prefix, strings.Contains(prefix, "{")
}

func tokenOf(prefix string) (before, token, after string) {
	i := strings.IndexAny(prefix, "{")
	if i > 0 && prefix[i-1] == '$' {
		i--
	}
	j := strings.Index(prefix, "}")
	return prefix[:i], prefix[i : j+1], prefix[j+1:]
}

func replaceToken(prefix, value string) string {
	before, _, after := tokenOf(prefix)
	return before + value + after
}

// values returns what the token of a path may stand for.
func (n naive) values(prefix string, s access.Subject) []string {
	before, token, _ := tokenOf(prefix)
	var list []string
	switch {
	case token == "{entity_id}", strings.HasPrefix(token, "$"):
		list = []string{s.Identity}
	case !s.Authenticated:
	case token == "{sub}":
		list = []string{s.Sub}
	case token == "{username}":
		list = []string{s.Username}
	case token == "{group}":
		list = slices.Clone(s.Groups)
	default:
		list = []string{s.Claims[token[len("{claim:"):len(token)-1]]}
	}
	return slices.DeleteFunc(list, func(v string) bool {
		if v == "" || v == "." || v == ".." || len(v) > 128 || strings.ContainsAny(v, "/*?${}") ||
			!norm.NFC.IsNormalString(v) || strings.ContainsFunc(v, unicode.IsControl) || strings.ToValidUTF8(v, "") != v {
			return true
		}
		return slices.ContainsFunc(n.rules, func(r access.Rule) bool { return strings.HasPrefix(r.Path, before+v+"/") })
	})
}

// world makes random rules, subjects and keys out of a few words, so that they
// often meet.
type world struct{ *rand.Rand }

var (
	words  = []string{"a", "b", "a-", "a0", "é", "v", "w"}
	tokens = []string{"{entity_id}", "${cognito-identity.amazonaws.com:sub}", "{sub}", "{username}", "{group}", "{claim:t}"}
	whos   = []string{"guest", "authenticated", "owner", "group:v", "groupsw", "entityidentity", "function:f"}
	values = []string{"", "a", "v", "v", "v", "w", "w", "x", "..", "*", "a/b", "é", "e\u0301"}
)

func pick[T any](w world, list []T) T { return list[w.IntN(len(list))] }

func (w world) rule(i int) access.Rule {
	segs := make([]string, 1+w.IntN(1+w.IntN(4)))
	for i := range segs {
		segs[i] = pick(w, words[:1+w.IntN(len(words))])
	}
	if w.IntN(2) == 0 {
		segs[w.IntN(len(segs))] = pick(w, tokens)
	}
	r := access.Rule{Path: strings.Join(segs, "/") + "/*", Pos: fmt.Sprint(i)}
	if w.IntN(8) > 0 {
		r.Who, r.Actions = pick(w, whos), access.Action(1+w.IntN(31))
	}
	if r.Actions&access.Write != 0 && w.IntN(3) == 0 {
		r.Limits = &access.Limits{MaxSize: int64(w.IntN(3)) * 500, ContentTypes: pick(w, [][]string{nil, {"image/*"}, {"image/png", "text/plain"}}), Quota: int64(w.IntN(2)) << 30}
	}
	return r
}

// policy returns a policy of up to n rules: those that were not refused.
func (w world) policy(n int, opts *access.Options) (*access.Policy, []access.Rule) {
	rules := make([]access.Rule, w.IntN(n+1))
	for i := range rules {
		rules[i] = w.rule(i)
	}
	for {
		p, _, err := access.Compile(rules, opts)
		if err == nil {
			return p, rules
		}
		bad := make(map[string]bool)
		for _, problem := range err.(*access.Error).Problems {
			bad[problem.Pos] = true
		}
		rules = slices.DeleteFunc(rules, func(r access.Rule) bool { return bad[r.Pos] })
	}
}

func (w world) subject() access.Subject {
	s := access.Subject{
		Identity: pick(w, values), Authenticated: w.IntN(4) > 0,
		Sub: pick(w, values), Username: pick(w, values),
		Claims: map[string]string{"t": pick(w, values)},
	}
	if w.IntN(8) == 0 {
		s.Function = pick(w, []string{"f", "v"})
	}
	for range w.IntN(3) {
		s.Groups = append(s.Groups, pick(w, values))
	}
	return s
}

// key returns a key, mostly one that some rule covers.
func (w world) key(rules []access.Rule) string {
	if len(rules) > 0 && w.IntN(4) > 0 {
		prefix := strings.TrimSuffix(pick(w, rules).Path, "*")
		if strings.Contains(prefix, "{") {
			prefix = replaceToken(prefix, pick(w, []string{"v", "v", "w", "a", "x"}))
		}
		return prefix + w.key(nil)
	}
	segs := make([]string, w.IntN(6))
	for i := range segs {
		segs[i] = pick(w, append(words, "v", "w", "x", "", "..", "a\xff", "b."))
	}
	return strings.Join(segs, "/")
}
