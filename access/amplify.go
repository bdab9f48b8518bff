package access

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Amplify is what the access callback of an Amplify backend's defineStorage
// returns: rules as Amplify writes them, which keep their order.
type Amplify struct {
	Paths []AmplifyPath
}

// AmplifyPath is a path with its rules. A path without rules counts when the
// paths are checked, and then vanishes.
type AmplifyPath struct {
	Path  string
	Rules []AmplifyRule
}

// AmplifyRule is one rule: allow.guest.to(["read"]).
type AmplifyRule struct {
	Allow string   // guest, authenticated, entity:identity, groups or resource
	Names []string // of the groups, or of the one resource
	To    []string // get, list, read, write and delete, in any order
}

const (
	amplifyGuest         = "guest"
	amplifyAuthenticated = "authenticated"
	amplifyEntity        = "entity:identity"
	amplifyGroups        = "groups"
	amplifyResource      = "resource"
)

// The roles of an Amplify backend that are no group's.
const (
	AmplifyGuestRole         = "unauthenticatedUserIamRole"
	AmplifyAuthenticatedRole = "authenticatedUserIamRole"
)

// maxAmplify is the most bytes of rules that are read.
const maxAmplify = 4 << 20

// ParseAmplify reads the rules from JSON: an object with a list of rules for each
// path, of the forms
//
//	{"guest": ["read"]}
//	{"authenticated": ["read", "write"]}
//	{"entity:identity": ["read", "write", "delete"]}
//	{"groups": ["admin", "staff"], "to": ["read"]}
//	{"resource": "resize", "to": ["get", "write"]}
//
// The paths come in the order that they have in JavaScript. Whether Amplify
// accepts them is for [Amplify.Generate] to say. The error is fs.ErrInvalid.
func ParseAmplify(text []byte) (*Amplify, error) {
	a, err := parseAmplify(text)
	if err != nil {
		return nil, fmt.Errorf("amplify access rules: %w: %w", err, fs.ErrInvalid)
	}
	return a, nil
}

func parseAmplify(text []byte) (*Amplify, error) {
	if len(text) > maxAmplify {
		return nil, fmt.Errorf("more than %d bytes", maxAmplify)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("want an object with a list of rules for each path")
	}
	a := new(Amplify)
	at := make(map[string]int)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		path := t.(string)
		var list []map[string]json.RawMessage
		if err := d.Decode(&list); err != nil {
			return nil, fmt.Errorf("path %q: %w", path, err)
		}
		if list == nil {
			return nil, fmt.Errorf("path %q: want a list of rules", path)
		}
		if len(path) > maxPath {
			return nil, fmt.Errorf("path %.60q...: a path has at most %d bytes, as a key has", path, maxPath)
		}
		p := AmplifyPath{Path: path}
		for i, m := range list {
			r, err := parseAmplifyRule(m)
			if err != nil {
				return nil, fmt.Errorf("path %q, rule %d: %w", path, i+1, err)
			}
			p.Rules = append(p.Rules, r)
		}
		if i, twice := at[path]; twice {
			a.Paths[i] = p
			continue
		}
		at[path] = len(a.Paths)
		a.Paths = append(a.Paths, p)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something stands behind the object")
	}
	slices.SortStableFunc(a.Paths, func(p, q AmplifyPath) int {
		m, isIndex := arrayIndex(p.Path)
		n, otherIs := arrayIndex(q.Path)
		switch {
		case isIndex && otherIs:
			return cmp.Compare(m, n)
		case isIndex:
			return -1
		case otherIs:
			return 1
		}
		return 0
	})
	return a, nil
}

// arrayIndex returns the number that a name is if JavaScript takes it for an
// index. Such names come first in an object.
func arrayIndex(name string) (uint64, bool) {
	if len(name) > 10 || name == "" || name[0] == '0' && name != "0" {
		return 0, false
	}
	n, err := strconv.ParseUint(name, 10, 64)
	return n, err == nil && n < 1<<32-1
}

func parseAmplifyRule(m map[string]json.RawMessage) (r AmplifyRule, err error) {
	one := func(key, actions string) (AmplifyRule, error) {
		want := 1
		if key != actions {
			want = 2
		}
		text, ok := m[actions]
		if !ok || len(m) != want {
			return r, fmt.Errorf("a rule for %s has %q and nothing else beside it", key, actions)
		}
		r.Allow = key
		if err := json.Unmarshal(text, &r.To); err != nil || r.To == nil {
			return r, errors.New("want a list of actions")
		}
		for _, a := range r.To {
			switch a {
			case "get", "list", "read", "write", "delete":
			default:
				return r, fmt.Errorf("unknown action %q, want get, list, read, write or delete", a)
			}
		}
		return r, nil
	}
	for _, key := range []string{amplifyGuest, amplifyAuthenticated, amplifyEntity} {
		if _, ok := m[key]; ok {
			return one(key, key)
		}
	}
	if text, ok := m[amplifyGroups]; ok {
		if err := json.Unmarshal(text, &r.Names); err != nil || r.Names == nil {
			return r, errors.New("want a list of groups")
		}
		return one(amplifyGroups, "to")
	}
	if text, ok := m[amplifyResource]; ok {
		var name string
		if err := json.Unmarshal(text, &name); err != nil || name == "" {
			return r, errors.New("want the name of a resource")
		}
		r.Names = []string{name}
		return one(amplifyResource, "to")
	}
	return r, fmt.Errorf("want %s, %s, %s, %s or %s", amplifyGuest, amplifyAuthenticated, amplifyEntity, amplifyGroups, amplifyResource)
}

// MarshalJSON returns the rules as ParseAmplify reads them, in their order.
func (a *Amplify) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(a.Paths), func(i int) (string, any) {
		rules := a.Paths[i].Rules
		if rules == nil {
			rules = []AmplifyRule{}
		}
		return a.Paths[i].Path, rules
	})
}

// marshalOrdered writes an object of n members in their order.
func marshalOrdered(n int, member func(i int) (string, any)) ([]byte, error) {
	b := []byte{'{'}
	for i := range n {
		key, value := member(i)
		for j, v := range []any{key, value} {
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			if j > 0 {
				b = append(b, ':')
			} else if i > 0 {
				b = append(b, ',')
			}
			b = append(b, text...)
		}
	}
	return append(b, '}'), nil
}

// MarshalJSON returns the rule as ParseAmplify reads it.
func (r AmplifyRule) MarshalJSON() ([]byte, error) {
	names, to := r.Names, r.To
	if names == nil {
		names = []string{}
	}
	if to == nil {
		to = []string{}
	}
	switch {
	case r.Allow == amplifyGroups:
		return json.Marshal(struct {
			Groups []string `json:"groups"`
			To     []string `json:"to"`
		}{names, to})
	case r.Allow == amplifyResource && len(names) == 1:
		return json.Marshal(struct {
			Resource string   `json:"resource"`
			To       []string `json:"to"`
		}{names[0], to})
	}
	return json.Marshal(map[string][]string{r.Allow: to})
}

// Rules returns the same rules for [Compile], to be read with Strict, Replace and
// Prefix, which are Amplify's ways. What Amplify forgets is not among them: paths
// without rules, and rules without actions. The error is an *AmplifyError if
// Amplify refuses the rules.
func (a *Amplify) Rules() ([]Rule, error) {
	if _, err := a.Generate(""); err != nil {
		return nil, err
	}
	var rules []Rule
	type place struct{ path, who string }
	at := make(map[place]int)
	for _, p := range a.Paths {
		for _, r := range p.Rules {
			if len(r.To) == 0 {
				continue
			}
			actions, err := ParseAction(strings.Join(r.To, ","))
			if err != nil {
				return nil, err
			}
			for _, who := range r.whos() {
				// The rules for a resource need not be one, and a group may have the
				// name of another role.
				if i, twice := at[place{p.Path, who}]; twice {
					rules[i].Actions |= actions
					continue
				}
				at[place{p.Path, who}] = len(rules)
				rules = append(rules, Rule{Path: p.Path, Who: who, Actions: actions})
			}
		}
	}
	return rules, nil
}

// whos returns whom the rule is for, as in a Rule.
func (r *AmplifyRule) whos() []string {
	switch r.Allow {
	case amplifyGuest, amplifyAuthenticated:
		return []string{r.Allow}
	case amplifyEntity:
		return []string{"owner"}
	}
	var list []string
	for _, name := range r.Names {
		switch {
		case r.Allow == amplifyResource:
			list = append(list, "function:"+name)
		case name == AmplifyGuestRole:
			list = append(list, amplifyGuest)
		case name == AmplifyAuthenticatedRole:
			list = append(list, amplifyAuthenticated)
		default:
			list = append(list, "group:"+name)
		}
	}
	return list
}

// Amplify returns the same rules as Amplify writes them. They mean to Amplify what
// they mean to a policy with Strict, Replace and Prefix, whatever the options of
// this one. The error is an *Error with the rules that Amplify could not hold, or
// would understand differently.
func (p *Policy) Amplify() (*Amplify, error) {
	c := newCompiler(p.Rules(), &Options{Strict: true, Groups: Replace, Lists: Prefix})
	if _, _, err := c.compile(nil); err != nil {
		return nil, err
	}
	given := make(map[string]bool) // the shared paths that Amplify sees
	for i := range c.rules {
		if r := c.read[i]; r.role.kind != nobody && !r.path.own(r.role) {
			given[r.effective] = true
		}
	}
	a := new(Amplify)
	at := make(map[string]int)
	for i, rule := range c.rules {
		r := c.read[i]
		if r.role.kind == nobody {
			for above := range abovePaths(r.effective) {
				if given[above] && !given[r.effective] {
					c.refuse(i, BadNoAction, fmt.Sprintf("Amplify forgets a path without rules, so this would not take back what %q gives", above+"*"))
				}
			}
			continue
		}
		ar := AmplifyRule{Allow: r.role.String(), To: strings.Split(rule.Actions.String(), ",")}
		switch r.role.kind {
		case owner:
			ar.Allow = amplifyEntity
		case member:
			if r.role.name == AmplifyGuestRole || r.role.name == AmplifyAuthenticatedRole {
				c.refuse(i, BadWho, "Amplify takes a group of this name for another role")
			}
			ar.Allow, ar.Names = amplifyGroups, []string{r.role.name}
		case function:
			ar.Allow, ar.Names = amplifyResource, []string{r.role.name}
		}
		j, ok := at[rule.Path]
		if !ok {
			j = len(a.Paths)
			at[rule.Path] = j
			a.Paths = append(a.Paths, AmplifyPath{Path: rule.Path})
		}
		a.Paths[j].Rules = append(a.Paths[j].Rules, ar)
	}
	if err := c.error(); err != nil {
		return nil, err
	}
	return a, nil
}
