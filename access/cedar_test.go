package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/cedar-policy/cedar-go"
	"golang.org/x/text/unicode/norm"

	"github.com/cubby-storage/cubby/access"
)

// cedarText writes rules in the language Cedar, one policy for each rule, from
// the words of the package comment. A rule stands for itself there: what other
// rules take from it is spelled out in its unless clauses.
//
// Cedar has no way to put a pattern together from an attribute, so that the
// resource has its key whole and in segments. Nor can it judge a string, so that
// principals have no attribute where the value is one that matches nothing.
func cedarText(rules []access.Rule) string {
	var text strings.Builder
	for i, r := range rules {
		if r.Who == "" {
			continue // it only takes
		}
		path, own := cedarPath(r)
		var names []string
		for a := access.Get; a <= access.Versions; a <<= 1 {
			if r.Actions&a != 0 {
				names = append(names, fmt.Sprintf("Action::%q", a))
			}
		}
		fmt.Fprintf(&text, "@id(\"%d\")\npermit (principal, action in [%s], resource)\n", i, strings.Join(names, ", "))
		fmt.Fprintf(&text, "when { %s && %s }", cedarWho(r.Who), cedarCovers(rules, path))
		for _, other := range rules {
			longer, alsoOwn := cedarPath(other)
			switch {
			case own != alsoOwn, len(longer) <= len(path):
				// It adds to this one, or this one comes first.
			case own && roleOf(other.Who) != roleOf(r.Who):
				// It decides for its own role alone.
			default:
				fmt.Fprintf(&text, "\nunless { %s }", cedarCovers(rules, longer))
			}
		}
		text.WriteString(";\n")
	}
	return text.String()
}

// cedarPath returns the segments of the path that a rule is about, without the
// star, and whether one of them is a value of the subject's own.
func cedarPath(r access.Rule) (path []string, own bool) {
	path = strings.Split(r.Path, "/")
	path = path[:len(path)-1]
	i := slices.IndexFunc(path, func(s string) bool { return strings.Contains(s, "{") })
	switch {
	case i < 0:
		return path, false
	case path[i] != "{entity_id}" || roleOf(r.Who) == "owner":
		return path, true
	}
	return path[:i], false // it stands last, and for all values
}

// cedarWho returns the condition that a principal has the role that a rule is for.
func cedarWho(who string) string {
	user := "!(principal has function) && principal.authenticated"
	switch kind, name, _ := strings.Cut(roleOf(who), ":"); kind {
	case "guest":
		return "!(principal has function) && !principal.authenticated"
	case "function":
		return fmt.Sprintf("principal has function && principal.function == %q", name)
	case "group":
		return fmt.Sprintf("%s && principal in Group::%q", user, name)
	}
	return user // the owner is whoever has the value, which the path says
}

// cedarCovers returns the condition that a path covers the key of the resource.
func cedarCovers(rules []access.Rule, path []string) string {
	i := slices.IndexFunc(path, func(s string) bool { return strings.Contains(s, "{") })
	if i < 0 {
		return fmt.Sprintf("resource.key like %q", strings.Join(path, "/")+"/*")
	}
	// The key goes on after the path, if only with nothing.
	all := []string{fmt.Sprintf("resource has s%d", len(path))}
	for j, s := range path {
		if j != i {
			all = append(all, fmt.Sprintf("resource.s%d == %q", j, s))
		}
	}
	mine := fmt.Sprintf("resource.s%d", i)
	switch attr := path[i]; attr {
	case "{entity_id}", identityVar:
		all = append(all, "principal has identity && principal.identity == "+mine)
	case "{group}":
		all = append(all, "principal.authenticated && principal.groups.contains("+mine+")")
	default:
		attr = strings.Trim(strings.TrimPrefix(attr, "{claim:"), "{}")
		all = append(all, fmt.Sprintf("principal.authenticated && principal has %s && principal.%[1]s == %s", attr, mine))
	}
	for _, r := range rules { // what a rule has as a literal segment is nobody's value
		other := strings.Split(r.Path, "/")
		if len(other) > i+1 && slices.Equal(other[:i], path[:i]) && !strings.Contains(other[i], "{") {
			all = append(all, fmt.Sprintf("%s != %q", mine, other[i]))
		}
	}
	return strings.Join(all, " && ")
}

// cedarSubject returns a subject as an entity, whose groups are its parents.
func cedarSubject(s access.Subject) cedar.Entity {
	attrs := cedar.RecordMap{"authenticated": cedar.Boolean(s.Authenticated)}
	for name, value := range map[cedar.String]string{"identity": s.Identity, "sub": s.Sub, "username": s.Username, "t": s.Claims["t"]} {
		if cedarUsable(value) {
			attrs[name] = cedar.String(value)
		}
	}
	if s.Function != "" {
		attrs["function"] = cedar.String(s.Function)
	}
	var groups []cedar.Value
	var parents []cedar.EntityUID
	for _, g := range s.Groups {
		parents = append(parents, cedar.NewEntityUID("Group", cedar.String(g)))
		if cedarUsable(g) {
			groups = append(groups, cedar.String(g))
		}
	}
	attrs["groups"] = cedar.NewSet(groups...)
	return cedar.Entity{
		UID: cedar.NewEntityUID("Subject", "s"), Parents: cedar.NewEntityUIDSet(parents...),
		Attributes: cedar.NewRecord(attrs),
	}
}

// cedarUsable says whether a value may stand for a token.
func cedarUsable(v string) bool {
	for _, r := range v {
		if r == unicode.ReplacementChar || unicode.IsControl(r) || strings.ContainsRune("/*?${}", r) {
			return false
		}
	}
	return len(v) >= 1 && len(v) <= 128 && v != "." && v != ".." && norm.NFC.String(v) == v
}

// cedarKey returns a key as an entity.
func cedarKey(key string) cedar.Entity {
	attrs := cedar.RecordMap{"key": cedar.String(key)}
	for i, s := range strings.Split(key, "/") {
		attrs[cedar.String(fmt.Sprint("s", i))] = cedar.String(s)
	}
	return cedar.Entity{UID: cedar.NewEntityUID("Key", "k"), Attributes: cedar.NewRecord(attrs)}
}

// TestCedar compares Decide with what Cedar makes of the same rules.
func TestCedar(t *testing.T) {
	w := world{rand.New(rand.NewPCG(21, 22))}
	var allowed, denied, byOwn int
	for range 1000 {
		p, rules := w.policy(12, &access.Options{AcceptOwnerWithoutToken: true})
		text := cedarText(rules)
		policies, err := cedar.NewPolicySetFromBytes("rules.cedar", []byte(text))
		if err != nil {
			t.Fatalf("rules\n%s\nare in Cedar\n%s\n%v", p, text, err)
		}
		for range 12 {
			s, key := w.subject(), w.key(rules)
			subject, resource := cedarSubject(s), cedarKey(key)
			entities := cedar.EntityMap{subject.UID: subject, resource.UID: resource}
			for a := access.Get; a <= access.Versions; a <<= 1 {
				got, diag := cedar.Authorize(policies, entities, cedar.Request{
					Principal: subject.UID, Action: cedar.NewEntityUID("Action", cedar.String(a.String())), Resource: resource.UID,
				})
				if len(diag.Errors) > 0 {
					t.Fatalf("rules\n%s\nare in Cedar\n%s\n%v", p, text, diag.Errors)
				}
				d := p.Decide(&s, a, key)
				if d.Allowed != bool(got) {
					t.Fatalf("rules\n%s\n%+v %s %q: %v, but Cedar says %v to\n%s", p, s, a, key, d.Allowed, got, text)
				}
				if !d.Allowed {
					denied++
					continue
				}
				allowed++
				if _, own := cedarPath(*d.Rule); own {
					byOwn++
				}
			}
		}
	}
	t.Logf("%d allowed, %d of them by an own path, and %d denied", allowed, byOwn, denied)
	if allowed < 5000 || denied < 5000 || byOwn < 700 {
		t.Errorf("%d allowed, %d of them by an own path, and %d denied: this is too one-sided", allowed, byOwn, denied)
	}
}
