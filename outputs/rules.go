package outputs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// The two ways to write the own folder of a user: in an outputs file and in IAM,
// and in the rules of an Amplify backend.
const (
	identityToken = "${cognito-identity.amazonaws.com:sub}"
	entityToken   = "{entity_id}"
)

// Rule is a rule of a bucket, in the words of package access: who may do what on
// a path. One with neither Who nor Actions gives nothing to anybody: its path
// takes back what the path above it gave.
type Rule struct {
	Path    string
	Who     string   // guest, authenticated, owner, group:NAME
	Actions []string // get, list, write, delete
	Limits  string   // of what may be written; no outputs file has any
}

// Rules returns the paths of a bucket as rules, in order of path and role. The
// warnings tell what means nothing to anybody.
func (b *Bucket) Rules() ([]Rule, []Warning) {
	var rules []Rule
	var warnings []Warning
	for _, path := range slices.Sorted(maps.Keys(b.Paths)) {
		empty := true
		for _, who := range slices.SortedFunc(maps.Keys(b.Paths[path]), compareWho) {
			role, wrong := roleOf(who)
			if wrong != "" {
				warnings = append(warnings, Warning{join("paths", path) + "." + who, wrong})
				continue
			}
			if actions := expand(b.Paths[path][who]); len(actions) > 0 {
				rules = append(rules, Rule{Path: path, Who: role, Actions: actions})
				empty = false
			}
		}
		if empty {
			rules = append(rules, Rule{Path: path})
		}
	}
	return rules, warnings
}

// actionWords are the actions of outputs files.
var actionWords = []string{"get", "list", "write", "delete"}

// expand returns the actions in their order, each once, with read taken apart.
func expand(actions []string) []string {
	var set []string
	for _, a := range actionWords {
		if slices.Contains(actions, a) || slices.Contains(actions, "read") && (a == "get" || a == "list") {
			set = append(set, a)
		}
	}
	return set
}

// roleOf returns the role that a key of a path names, or what is wrong with it.
func roleOf(who string) (role, wrong string) {
	switch {
	case who == "guest" || who == "authenticated":
		return who, ""
	case who == "entityidentity":
		return "owner", ""
	case who == "resource":
		return "", "names no user: what a function may do stands in no outputs file"
	case who == "groups" || who == "entity":
		return "", "names nobody: write groupsNAME, or entityidentity"
	}
	if name, ok := strings.CutPrefix(who, "groups"); ok {
		return "group:" + name, ""
	}
	return "", "is nobody: want guest, authenticated, entityidentity or groupsNAME"
}

// Paths returns rules as an outputs file has them, in which {entity_id} is the
// token of IAM for the owner, and nothing but a part of the path for all others.
// The warnings tell what an outputs file cannot say.
func Paths(rules []Rule) (map[string]map[string][]string, []Warning) {
	paths := map[string]map[string][]string{}
	var warnings []Warning
	for _, rule := range rules {
		path, who := rule.Path, rule.Who
		at := join("rules", rule.Path)
		warn := func(format string, args ...any) {
			warnings = append(warnings, Warning{at, fmt.Sprintf(format, args...)})
		}
		if who != "" {
			at += "." + who
		}
		if name, ok := strings.CutPrefix(who, "group:"); ok {
			who = "groups" + name
		}
		if who == "owner" {
			who = "entityidentity"
		}
		if who == "entityidentity" {
			path = strings.ReplaceAll(path, entityToken, identityToken)
		} else if p, ok := strings.CutSuffix(path, entityToken+"/*"); ok {
			path = p + "*"
		}
		if token := strings.ReplaceAll(path, identityToken, ""); strings.Contains(token, "{") {
			warn("an outputs file has no token but {entity_id}")
			continue
		}
		// The path is there even if nothing is said of it: it takes back what
		// the path above it gave.
		if paths[path] == nil {
			paths[path] = map[string][]string{}
		}
		if _, wrong := roleOf(who); who != "" && wrong != "" {
			warn("an outputs file has no rules for %s", rule.Who)
			continue
		}
		if rule.Limits != "" {
			warn("an outputs file has no limits (%s)", rule.Limits)
		}
		for _, a := range rule.Actions {
			if a != "read" && !slices.Contains(actionWords, a) {
				warn("an outputs file has no action %s", a)
			}
		}
		if actions := expand(slices.Concat(paths[path][who], rule.Actions)); who != "" && len(actions) > 0 {
			paths[path][who] = actions
		}
	}
	return paths, warnings
}

// paths reads the paths of a bucket.
func (r *reader) paths(n node, version string) map[string]map[string][]string {
	all, ok := r.sub(n, "paths")
	if !ok {
		return nil
	}
	paths := map[string]map[string][]string{}
	for _, f := range all.value.fields {
		path, key := f.name, node{up: &all, name: f.name, value: &value{at: f.at}}
		if wrong := patternFlaw(path); wrong != "" {
			r.lint(key, "%s", wrong)
		}
		rules, ok := r.sub(all, path)
		if !ok {
			continue
		}
		paths[path] = map[string][]string{}
		for _, f := range rules.value.fields {
			key := node{up: &rules, name: f.name, value: &value{at: f.at}}
			if _, wrong := roleOf(f.name); wrong != "" {
				r.lint(key, "%s", wrong)
			} else if !oldWho(f.name) && before(version, "1.4") && !before(version, "1.2") {
				r.lint(key, "is a key that the schema of version %s refuses, write version 1.4", version)
			}
			if f.name == "entityidentity" && !strings.Contains(path, identityToken) && !strings.Contains(path, entityToken) {
				r.lint(key, "gives the path to every user: it has no %s", identityToken)
			}
			nodes, ok := r.elements(rules, f.name)
			if !ok {
				continue
			}
			actions := []string{}
			for _, e := range nodes {
				a := r.text(e)
				if a != "read" && !slices.Contains(actionWords, a) {
					r.fail(e, "no action %s, want read, get, list, write or delete", a)
				}
				if len(actions) < 10 && slices.Contains(actions, a) {
					r.lint(e, "is there twice")
				}
				actions = append(actions, a)
			}
			paths[path][f.name] = actions
		}
	}
	all.value.read = done
	return paths
}

// patternFlaw returns what is wrong with a path, "" if nothing is. Both grammars
// are right: that of outputs files and that of an Amplify backend.
func patternFlaw(path string) string {
	body, ok := strings.CutSuffix(path, "/*")
	switch {
	case len(path) > 1024:
		return "is longer than any key, of at most 1024 bytes"
	case strings.HasPrefix(path, "/"):
		return `starts with "/", and no key does`
	case !ok:
		return `does not end with "/*"`
	case strings.Contains(path, "//"):
		return `has "//" in it`
	case strings.Contains(body, "*"):
		return `has a "*" that is not the last character`
	}
	tokens := 0
	for seg := range strings.SplitSeq(body, "/") {
		switch {
		case seg == identityToken || seg == entityToken:
			tokens++
		case strings.Contains(seg, identityToken) || strings.Contains(seg, entityToken):
			return "has a token that is not a whole segment"
		case seg == "." || seg == "..":
			return fmt.Sprintf("has a %q segment", seg)
		case strings.ContainsAny(seg, "{}"):
			return fmt.Sprintf("has %q in it, and clients know no token but %s", seg, identityToken)
		case strings.Contains(seg, "?"):
			return `has a "?" in it, which is a wildcard in IAM`
		case strings.ContainsFunc(seg, unicode.IsControl):
			return "has a control character in it"
		}
	}
	if tokens > 1 {
		return "has more than one token"
	}
	return ""
}
