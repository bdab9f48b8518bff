package access

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/access/iam"
)

// AmplifyError is why Amplify refuses rules. It matches fs.ErrInvalid.
type AmplifyError struct {
	Name       string // as Amplify calls it: InvalidStorageAccessPathError
	Message    string // what is wrong
	Details    string // more of it, may be ""
	Resolution string // what to do, may be ""
}

// Error returns what is wrong, under Amplify's name for it.
func (e *AmplifyError) Error() string {
	s := e.Name + ": " + e.Message
	if e.Details != "" {
		s += " " + e.Details
	}
	return s
}

// Unwrap returns fs.ErrInvalid.
func (e *AmplifyError) Unwrap() error { return fs.ErrInvalid }

// AmplifyOutput is what Amplify makes of rules.
type AmplifyOutput struct {
	// Paths are the paths of the outputs file, in their order.
	Paths AmplifyPaths
	// Policies are the documents, in the order in which their roles were first named.
	// A group and a resource may have the same name, and then there are two for it:
	// Role and Resource together are one role.
	Policies []AmplifyPolicy
}

// AmplifyPaths are the paths of a bucket in an outputs file. In JSON they are an
// object.
type AmplifyPaths []AmplifyOutputPath

// AmplifyOutputPath is one path with what is given on it.
type AmplifyOutputPath struct {
	Path   string
	Access AmplifyAccess
}

// AmplifyAccess is what is given on a path. In JSON it is an object.
type AmplifyAccess []AmplifyGrant

// AmplifyGrant gives actions to somebody.
type AmplifyGrant struct {
	Who     string // guest, authenticated, entityidentity or groupsNAME
	Actions []string
}

// MarshalJSON returns the paths as they stand in an outputs file.
func (p AmplifyPaths) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(p), func(i int) (string, any) { return p[i].Path, p[i].Access })
}

// MarshalJSON returns the object of a path in an outputs file.
func (a AmplifyAccess) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(a), func(i int) (string, any) {
		if a[i].Actions == nil {
			return a[i].Who, []string{}
		}
		return a[i].Who, a[i].Actions
	})
}

func (a *AmplifyAccess) set(who string, actions []string) {
	for i := range *a {
		if (*a)[i].Who == who {
			(*a)[i].Actions = actions
			return
		}
	}
	*a = append(*a, AmplifyGrant{who, actions})
}

// AmplifyPolicy is the document of one role.
type AmplifyPolicy struct {
	Role     string // AmplifyGuestRole, AmplifyAuthenticatedRole, or the name of a group or resource
	Resource bool   // Role is a resource's
	Document *iam.Document
}

// Generate returns what Amplify makes of the rules: the paths in its outputs file,
// and the documents of all roles, statement for statement. The error is an
// *AmplifyError, the first that Amplify would report.
func (a *Amplify) Generate(bucketARN string) (*AmplifyOutput, error) {
	if err := a.checkPaths(); err != nil {
		return nil, err
	}
	g := generator{roles: make(map[amplifyRole]*amplifyGrants), hooks: make(map[string][]*amplifySets)}
	out := new(AmplifyOutput)
	at := make(map[string]int)
	for _, p := range a.Paths {
		seen := make(map[string]bool)
		for _, r := range p.Rules {
			actions := expand(r.To)
			path := substitute(p.Path, r.Allow)
			i, ok := at[path]
			for _, id := range r.ids() {
				if seen[id.id] {
					return nil, &AmplifyError{
						"InvalidStorageAccessDefinitionError",
						fmt.Sprintf("%s has several rules on the path %q.", id.name, p.Path),
						"", "Write them as one rule.",
					}
				}
				seen[id.id] = true
			}
			if !ok {
				i = len(out.Paths)
				at[path] = i
				out.Paths = append(out.Paths, AmplifyOutputPath{Path: path, Access: AmplifyAccess{}})
			}
			for _, id := range r.ids() {
				out.Paths[i].Access.set(id.id, actions)
			}
			for _, role := range r.roles() {
				g.add(role, actions, path)
			}
		}
	}
	g.deny()
	for _, role := range g.order {
		grants := g.roles[role]
		if len(grants.order) == 0 {
			return nil, &AmplifyError{"EmptyPolicyFault", fmt.Sprintf("The rules for %s have no actions.", role.name), "", "Name at least one action."}
		}
		out.Policies = append(out.Policies, AmplifyPolicy{role.name, role.resource, grants.document(bucketARN)})
	}
	return out, nil
}

// expand returns the actions with get and list for read, each once.
func expand(actions []string) []string {
	var list []string
	add := func(a string) {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, a := range actions {
		if a == "read" {
			add("get")
			add("list")
			continue
		}
		add(a)
	}
	return list
}

// substitute returns the path that a rule is about.
func substitute(path, allow string) string {
	value := "*"
	if allow == amplifyEntity {
		value = identityToken
	}
	path = strings.ReplaceAll(path, entityToken, value)
	if strings.HasSuffix(path, "/*/*") {
		return strings.TrimSuffix(path, "/*")
	}
	return path
}

// amplifyID is a key in the outputs, of which there may be one on a path.
type amplifyID struct{ id, name string }

func (r *AmplifyRule) ids() []amplifyID {
	switch r.Allow {
	case amplifyEntity:
		return []amplifyID{{"entityidentity", "The entity identity"}}
	case amplifyGuest:
		return []amplifyID{{r.Allow, "The guest"}}
	case amplifyAuthenticated:
		return []amplifyID{{r.Allow, "The authenticated user"}}
	case amplifyGroups:
		ids := make([]amplifyID, len(r.Names))
		for i, name := range r.Names {
			ids[i] = amplifyID{"groups" + name, fmt.Sprintf("The group %q", name)}
		}
		return ids
	}
	return nil
}

// amplifyRole is a role with a policy of its own. A group with the name of
// another role is that role.
type amplifyRole struct {
	name     string
	resource bool
}

func (r *AmplifyRule) roles() []amplifyRole {
	switch r.Allow {
	case amplifyGuest:
		return []amplifyRole{{name: AmplifyGuestRole}}
	case amplifyAuthenticated, amplifyEntity:
		return []amplifyRole{{name: AmplifyAuthenticatedRole}}
	}
	list := make([]amplifyRole, len(r.Names))
	for i, name := range r.Names {
		list[i] = amplifyRole{name, r.Allow == amplifyResource}
	}
	return list
}

// generator collects the paths of all roles and actions.
type generator struct {
	roles map[amplifyRole]*amplifyGrants
	order []amplifyRole
	hooks map[string][]*amplifySets // what is given on a path
	paths []string                  // with something given, in the order of the first rule
}

// amplifyGrants are what a role may do.
type amplifyGrants struct {
	sets  map[string]*amplifySets
	order []string // of the actions
}

// amplifySets are the paths of one action of one role.
type amplifySets struct {
	allow, deny orderedSet
}

// orderedSet is a set of texts in the order in which they came.
type orderedSet struct {
	has  map[string]bool
	list []string
}

func (s *orderedSet) add(text string) {
	if s.has[text] {
		return
	}
	if s.has == nil {
		s.has = make(map[string]bool)
	}
	s.has[text] = true
	s.list = append(s.list, text)
}

func (g *generator) add(role amplifyRole, actions []string, path string) {
	grants := g.roles[role]
	if grants == nil {
		grants = &amplifyGrants{sets: make(map[string]*amplifySets)}
		g.roles[role] = grants
		g.order = append(g.order, role)
	}
	for _, a := range actions {
		s := grants.sets[a]
		if s == nil {
			s = new(amplifySets)
			grants.sets[a] = s
			grants.order = append(grants.order, a)
		}
		if g.hooks[path] == nil {
			g.paths = append(g.paths, path)
		}
		if !s.allow.has[path] {
			g.hooks[path] = append(g.hooks[path], s)
		}
		s.allow.add(path)
	}
}

// deny adds what a path does not give again of what the path above it gives. If
// there are several above, it is the one that came first in the rules.
func (g *generator) deny() {
	at := make(map[string]int, len(g.paths))
	for i, p := range g.paths {
		at[p] = i
	}
	for _, p := range g.paths {
		parent := len(g.paths)
		for above := range abovePaths(strings.TrimSuffix(p, "*")) {
			if i, ok := at[above+"*"]; ok {
				parent = min(parent, i)
			}
		}
		// What is given to all owners is not taken back from any of them.
		if parent == len(g.paths) || g.paths[parent] == strings.ReplaceAll(p, identityToken+"/", "") {
			continue
		}
		for _, s := range g.hooks[g.paths[parent]] {
			if !s.allow.has[p] {
				s.deny.add(p)
			}
		}
	}
}

// document returns the policy, in which no allowed path stands below another.
func (grants *amplifyGrants) document(bucketARN string) *iam.Document {
	d := &iam.Document{Version: iam.Version}
	for _, a := range grants.order {
		s := grants.sets[a]
		roots := slices.DeleteFunc(slices.Clone(s.allow.list), func(p string) bool {
			for above := range abovePaths(strings.TrimSuffix(p, "*")) {
				if s.allow.has[above+"*"] {
					return true
				}
			}
			return false
		})
		d.Statement = append(d.Statement, amplifyStatement(iam.Allow, a, bucketARN, roots))
		if len(s.deny.list) > 0 {
			d.Statement = append(d.Statement, amplifyStatement(iam.Deny, a, bucketARN, s.deny.list))
		}
	}
	return d
}

func amplifyStatement(effect, action, bucketARN string, paths []string) iam.Statement {
	s := iam.Statement{Effect: effect}
	switch action {
	case "get":
		s.Action = iam.Strings{"s3:GetObject"}
	case "write":
		s.Action = iam.Strings{"s3:PutObject"}
	case "delete":
		s.Action = iam.Strings{"s3:DeleteObject"}
	case "list":
		prefixes := make(iam.Strings, 0, 2*len(paths))
		for _, p := range paths {
			prefixes = append(prefixes, p, strings.TrimSuffix(p, "*"))
		}
		s.Action, s.Resource = iam.Strings{"s3:ListBucket"}, iam.Strings{bucketARN}
		s.Condition = iam.Condition{"StringLike": {"s3:prefix": prefixes}}
		return s
	}
	for _, p := range paths {
		s.Resource = append(s.Resource, bucketARN+"/"+p)
	}
	return s
}

// checkPaths reports what Amplify would not accept, looking at everything in its
// order.
func (a *Amplify) checkPaths() error {
	below := make(map[string][]int) // by the text before the wildcard
	for i, p := range a.Paths {
		q := strings.ReplaceAll(p.Path, "*", "")
		below[q] = append(below[q], i)
	}
	for i, p := range a.Paths {
		var prefixes []int
		for n := range len(p.Path) + 1 {
			for _, j := range below[p.Path[:n]] {
				if j != i {
					prefixes = append(prefixes, j)
				}
			}
		}
		slices.Sort(prefixes)
		names := make([]string, len(prefixes))
		for k, j := range prefixes {
			names[k] = a.Paths[j].Path
		}
		if err := checkAmplifyPath(p.Path, strings.Join(names, ", "), len(names)); err != nil {
			return err
		}
	}
	return nil
}

// checkAmplifyPath checks a path that has n other paths above it.
func checkAmplifyPath(path, above string, n int) error {
	refuse := func(message, details, resolution string) error {
		return &AmplifyError{"InvalidStorageAccessPathError", fmt.Sprintf(message+" Found [%s].", path), details, resolution}
	}
	const form = "Write the path like photos/*."
	switch {
	case strings.HasPrefix(path, "/"):
		return refuse(`A path does not start with "/".`, "", form)
	case !strings.HasSuffix(path, "/*"):
		return refuse(`A path ends with "/*".`, "", form)
	case strings.Contains(path, "//"):
		return refuse(`A path has no "//".`, "", form)
	case strings.IndexByte(path, '*') < len(path)-1:
		return refuse("A path has no wildcard but at its end.", "", "Take out the other wildcards.")
	case n > 1:
		return refuse("A path is below one other path at most.", fmt.Sprintf("It is below [%s].", above), "Change the paths so that no more than one is above another.")
	}
	before, after, ok := strings.Cut(path, entityToken)
	if !ok {
		return nil
	}
	switch {
	case n > 0:
		return refuse("No other path is above one with {entity_id}.", fmt.Sprintf("It is below [%s].", above), "Put the rules of both on one path.")
	case strings.Contains(after, entityToken):
		return refuse("{entity_id} stands in a path once.", "", "Leave one of them.")
	case after != "/*":
		return refuse("{entity_id} stands right before the ending wildcard.", "", "Write the path like photos/{entity_id}/*.")
	case before == "":
		return refuse("{entity_id} is not the first part of a path.", "", "Write the path like photos/{entity_id}/*.")
	case !strings.HasSuffix(before, "/"):
		return refuse("{entity_id} is a whole part of a path.", "", "Write the path like photos/{entity_id}/*.")
	}
	return nil
}
