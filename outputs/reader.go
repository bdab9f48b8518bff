package outputs

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// node is a value, and where it was found. That of a field that is not there has
// the place of the object. Its path is put together only for a message: a stranger
// could make a long one for each of very many values.
type node struct {
	up    *node // nil is the file itself
	name  string
	index int // in a list, if there is no name
	value *value
}

// path returns the way to n.
func (n *node) path() string {
	switch {
	case n.up == nil:
		return ""
	case n.up.value.kind == list:
		return n.up.path() + "[" + strconv.Itoa(n.index) + "]"
	}
	return join(n.up.path(), n.name)
}

// reader takes values out of nodes, and notes what is wrong.
type reader struct {
	format Format
	flaws  []flaw
	failed bool // one of them is more than lint
}

// note keeps a flaw. Of very many it keeps enough to tell a bad text from a good one.
func (r *reader) note(f flaw, n node, format string, args []any) {
	if len(r.flaws) < 10*maxErrors || !f.lint && !r.failed {
		f.at, f.path, f.text = n.value.at, n.path(), short(fmt.Sprintf(format, args...))
		r.flaws = append(r.flaws, f)
		r.failed = r.failed || !f.lint
	}
}

func (r *reader) fail(n node, format string, args ...any) { r.note(flaw{}, n, format, args) }

// lint notes what is legal but likely wrong.
func (r *reader) lint(n node, format string, args ...any) { r.note(flaw{lint: true}, n, format, args) }

// breaks is lint for what Amplify's schema refuses.
func (r *reader) breaks(n node, format string, args ...any) {
	r.note(flaw{lint: true, schema: true}, n, format, args)
}

// object reports whether n is an object, and says so if it is none.
func (r *reader) object(n node) bool {
	if n.value.kind != object {
		r.fail(n, "must be an object")
		return false
	}
	n.value.read = max(n.value.read, opened)
	return true
}

// look returns a field of an object without reading it. It is false if there is
// none, or it is null.
func (r *reader) look(n node, name string) (node, bool) {
	f := node{up: &n, name: name, value: n.value.find(name)}
	if f.value == nil {
		f.value = &value{at: n.value.at, read: done}
		return f, false
	}
	return f, f.value.kind != null
}

// field is look for what is read now.
func (r *reader) field(n node, name string) (node, bool) {
	f, ok := r.look(n, name)
	f.value.read = max(f.value.read, done)
	return f, ok
}

// sub returns a field that is an object. It is false if there is none.
func (r *reader) sub(n node, name string) (node, bool) {
	f, ok := r.look(n, name)
	return f, ok && r.object(f)
}

// frame is sub for an object that stands for nothing by itself.
func (r *reader) frame(n node, name string) (node, bool) {
	f, ok := r.sub(n, name)
	if ok {
		f.value.read = max(f.value.read, framed)
	}
	return f, ok
}

// elements returns the elements of a list, and false if there is none.
func (r *reader) elements(n node, name string) ([]node, bool) {
	f, ok := r.look(n, name)
	if !ok {
		return nil, false
	}
	if f.value.kind != list {
		r.fail(f, "must be a list")
		return nil, false
	}
	f.value.read = max(f.value.read, opened)
	nodes := make([]node, len(f.value.items))
	for i, v := range f.value.items {
		nodes[i] = node{up: &f, index: i, value: v}
	}
	return nodes, true
}

func (r *reader) text(n node) string {
	n.value.read = done
	if n.value.kind != text {
		r.fail(n, "must be a text")
		return ""
	}
	return n.value.text
}

// optional returns a text that may be missing.
func (r *reader) optional(n node, name string) string {
	f, ok := r.field(n, name)
	if !ok {
		return ""
	}
	return r.text(f)
}

// required returns a text that may be neither missing nor empty.
func (r *reader) required(n node, name string) string {
	f, ok := r.field(n, name)
	if !ok {
		r.fail(f, "is missing")
		return ""
	}
	s := r.text(f)
	if s == "" && f.value.kind == text {
		r.fail(f, "is empty")
	}
	return s
}

// choice returns a text that may be missing, and is one of these.
func (r *reader) choice(n node, name string, words ...string) string {
	s := r.optional(n, name)
	if s != "" && !slices.Contains(words, s) {
		f, _ := r.look(n, name)
		r.lint(f, "is %q, and clients know only %s", s, strings.Join(words, ", "))
	}
	return s
}

// texts returns a list of texts, nil if there is none. If words are given, others
// are likely wrong.
func (r *reader) texts(n node, name string, words ...string) []string {
	nodes, ok := r.elements(n, name)
	if !ok {
		return nil
	}
	f, _ := r.field(n, name)
	f.value.read = done
	texts := []string{}
	seen := map[string]bool{}
	for _, e := range nodes {
		s := r.text(e)
		if words != nil && !slices.Contains(words, s) && e.value.kind == text {
			r.lint(e, "is %q, and clients know only %s", s, strings.Join(words, ", "))
		}
		if seen[s] {
			r.lint(e, "is %q, which is there twice", s)
		}
		seen[s] = true
		texts = append(texts, s)
	}
	return texts
}

func (r *reader) flag(n node, name string, missing bool) bool {
	f, ok := r.field(n, name)
	if !ok {
		return missing
	}
	if f.value.kind != flag {
		r.fail(f, "must be true or false")
	}
	return f.value.text == "true"
}

// whole returns a whole number, 0 if it is missing.
func (r *reader) whole(n node, name string) int {
	f, ok := r.field(n, name)
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(f.value.text)
	if err != nil || f.value.kind != number {
		r.fail(f, "must be a whole number")
	}
	return i
}

// endpoint returns a URL that may be missing.
func (r *reader) endpoint(n node, name string) string {
	s := r.optional(n, name)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		f, _ := r.look(n, name)
		r.fail(f, "must be an http or https URL")
	}
	return s
}

// pools checks the ids of the pools, which name their regions.
func (r *reader) pools(a *Auth, user, id node) {
	userRegion, _, ok := strings.Cut(a.UserPoolID, "_")
	if a.UserPoolID != "" && !ok {
		r.fail(user, "must be REGION_NAME")
		userRegion = ""
	}
	idRegion, _, ok := strings.Cut(a.IdentityPoolID, ":")
	if a.IdentityPoolID != "" && !ok {
		r.fail(id, "must be REGION:ID")
		idRegion = ""
	}
	if a.Region == "" {
		a.Region = userRegion
	}
	if a.Region == "" {
		a.Region = idRegion
	}
	if a.UserPoolID != "" && userRegion != a.Region {
		r.lint(user, "is in region %q, and the users are said to be in %q", userRegion, a.Region)
	}
	if a.IdentityPoolID != "" && idRegion != a.Region {
		r.lint(id, "is in region %q, and the users are said to be in %q", idRegion, a.Region)
	}
}

// groups reads [{"NAME": {"precedence": 1}}].
func (r *reader) groups(n node) []Group {
	nodes, ok := r.elements(n, "groups")
	if !ok {
		return nil
	}
	groups := []Group{}
	names := map[string]bool{}
	for _, e := range nodes {
		if !r.object(e) {
			continue
		}
		for _, f := range e.value.fields {
			if g, ok := r.sub(e, f.name); ok {
				group := Group{Name: f.name, Precedence: r.whole(g, "precedence")}
				_, ranked := r.field(g, "precedence")
				group.Unranked = !ranked
				if names[f.name] {
					r.lint(g, "is a group that is there twice")
				}
				names[f.name] = true
				groups = append(groups, group)
			}
		}
	}
	return groups
}

// cubby reads custom.cubby.
func (r *reader) cubby(n node, o *Outputs) {
	custom, ok := r.frame(n, "custom")
	if !ok {
		return
	}
	y, ok := r.frame(custom, "cubby")
	if !ok {
		return
	}
	c := Cubby{
		S3Endpoint:           r.endpoint(y, "s3_endpoint"),
		IdentityPoolEndpoint: r.endpoint(y, "identity_pool_endpoint"),
		UserPoolEndpoint:     r.endpoint(y, "user_pool_endpoint"),
		PathStyle:            r.flag(y, "path_style", false),
	}
	if c != (Cubby{}) {
		*o.cubby() = c
	}
}

// defaultBucket checks that the default bucket is one of the list, if there is one, and
// in the same region.
func (r *reader) defaultBucket(n node, s *Storage) {
	unsaid := func(b Bucket) bool { return b.BucketName == "" || b.Region == "" }
	if len(s.Buckets) == 0 || s.Bucket == "" || s.Region == "" || slices.ContainsFunc(s.Buckets, unsaid) {
		return
	}
	i := slices.IndexFunc(s.Buckets, func(b Bucket) bool { return b.BucketName == s.Bucket })
	if i < 0 {
		r.lint(n, "the default bucket %q is not repeated in buckets, and has neither a friendly name nor rules therefore", s.Bucket)
	} else if b := s.Buckets[i]; b.Region != s.Region {
		r.lint(n, "the default bucket is in region %q here, and as bucket %q in %q", s.Region, b.Name, b.Region)
	}
}

// leftover appends what nobody has read.
func (r *reader) leftover(n node, extra *[]Extra) {
	v := n.value
	switch {
	case v.read == done || v.kind == null:
	case n.up != nil && (v.read == untouched || v.read == framed && len(v.fields) == 0):
		keys := n.keys()
		*extra = append(*extra, Extra{Keys: keys, Value: v.raw()})
		ours := len(keys) > 2 && keys[0] == "custom" && keys[1] == "cubby"
		if ours || r.format == AmplifyOutputs && !slices.Contains([]string{"analytics", "custom", "data", "geo", "notifications"}, keys[0]) {
			r.lint(n, "is no key that the schema has, and clients ignore it")
		}
	default:
		for _, f := range v.fields {
			r.leftover(node{up: &n, name: f.name, value: f.value}, extra)
		}
		for i, e := range v.items {
			r.leftover(node{up: &n, index: i, value: e}, extra)
		}
	}
}

// keys returns the way to n as an Extra has it.
func (n *node) keys() []string {
	switch {
	case n.up == nil:
		return nil
	case n.up.value.kind == list:
		return append(n.up.keys(), strconv.Itoa(n.index))
	}
	return append(n.up.keys(), n.name)
}
