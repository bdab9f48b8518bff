package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cubby-storage/cubby/access/iam"
)

// Gen1 is the access that the storage of an Amplify Gen 1 backend gives. Its lists
// have CREATE_AND_UPDATE, READ and DELETE.
type Gen1 struct {
	PolicyUUID string      // ends the names of the policies
	Auth       []string    // what users may do
	Guest      []string    // what guests may do
	Groups     []Gen1Group // in their order
	Functions  []string    // the functions that the bucket triggers
}

// Gen1Group is what the members of a group may do.
type Gen1Group struct {
	Name   string
	Access []string
}

// Gen1Policy is a policy that Gen 1 attaches to a role.
type Gen1Policy struct {
	ID       string // in the template of the backend: S3AuthPublicPolicy
	Name     string // Public_policy_ and the PolicyUUID
	Role     string // guest, authenticated, group:NAME or function:NAME
	Document *iam.Document
}

// WarnWholeBucket is the reason of a warning: a role has the whole bucket, for
// which there is no path.
const WarnWholeBucket Reason = "whole bucket"

// maxGen1 is the most bytes of a cli-inputs.json.
const maxGen1 = 1 << 20

// gen1Actions are the actions of Gen 1, in ours and in IAM's.
var gen1Actions = map[string]struct {
	ours Action
	iam  iam.Strings
}{
	"CREATE_AND_UPDATE": {Write, iam.Strings{"s3:PutObject"}},
	"READ":              {Read, iam.Strings{"s3:GetObject", "s3:ListBucket"}},
	"DELETE":            {Delete, iam.Strings{"s3:DeleteObject"}},
}

// ParseGen1 reads the cli-inputs.json of a storage resource. The error is
// fs.ErrInvalid.
func ParseGen1(text []byte) (*Gen1, error) {
	g, err := parseGen1(text)
	if err != nil {
		return nil, fmt.Errorf("cli-inputs.json: %w: %w", err, fs.ErrInvalid)
	}
	return g, nil
}

// gen1Groups is an object that keeps its order.
type gen1Groups []Gen1Group

func (list *gen1Groups) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	switch t, err := d.Token(); {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('{'):
		return errors.New("groupAccess is no object")
	}
	at := make(map[string]int)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		g := Gen1Group{Name: t.(string)}
		if err := d.Decode(&g.Access); err != nil {
			return fmt.Errorf("group %q: %w", g.Name, err)
		}
		if i, twice := at[g.Name]; twice {
			(*list)[i] = g
			continue
		}
		at[g.Name] = len(*list)
		*list = append(*list, g)
	}
	return nil
}

func parseGen1(text []byte) (*Gen1, error) {
	if len(text) > maxGen1 {
		return nil, fmt.Errorf("more than %d bytes", maxGen1)
	}
	var in struct {
		PolicyUUID      *string
		AuthAccess      []string
		GuestAccess     []string
		GroupAccess     gen1Groups
		TriggerFunction string
		AdminTrigger    struct{ TriggerFunction string } `json:"adminTriggerFunction"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, err
	}
	if in.PolicyUUID == nil || in.AuthAccess == nil || in.GuestAccess == nil {
		return nil, errors.New("want policyUUID, authAccess and guestAccess")
	}
	g := &Gen1{PolicyUUID: *in.PolicyUUID, Auth: in.AuthAccess, Guest: in.GuestAccess, Groups: in.GroupAccess}
	lists := [][]string{g.Auth, g.Guest}
	for _, group := range g.Groups {
		lists = append(lists, group.Access)
	}
	for _, list := range lists {
		for _, a := range list {
			if _, ok := gen1Actions[a]; !ok {
				return nil, fmt.Errorf("unknown access %q, want CREATE_AND_UPDATE, READ or DELETE", a)
			}
		}
	}
	for _, f := range []string{in.TriggerFunction, in.AdminTrigger.TriggerFunction} {
		if f != "" && f != "NONE" && !slices.Contains(g.Functions, f) {
			g.Functions = append(g.Functions, f)
		}
	}
	return g, nil
}

// iamActions returns the actions as IAM calls them, without s3:ListBucket unless
// it is wanted.
func (g *Gen1) iamActions(access []string, list bool) iam.Strings {
	var out iam.Strings
	for _, a := range access {
		for _, name := range gen1Actions[a].iam {
			if (list || name != "s3:ListBucket") && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// Policies returns the policies that Gen 1 creates, with the names it gives them.
func (g *Gen1) Policies(bucketARN string) []Gen1Policy {
	var out []Gen1Policy
	add := func(id, name, role string, statements ...iam.Statement) {
		out = append(out, Gen1Policy{id, name, role, &iam.Document{Version: iam.Version, Statement: statements}})
	}
	allow := func(actions iam.Strings, path string) iam.Statement {
		return iam.Statement{Effect: iam.Allow, Action: actions, Resource: iam.Strings{bucketARN + path}}
	}
	list := func(prefixes ...string) iam.Statement {
		s := allow(iam.Strings{"s3:ListBucket"}, "")
		var like iam.Strings
		for _, p := range prefixes {
			like = append(like, p, p+"*")
		}
		s.Condition = iam.Condition{"StringLike": {"s3:prefix": like}}
		return s
	}
	levels := func(role, id string, access []string) {
		actions := g.iamActions(access, false)
		if len(actions) == 0 {
			return
		}
		add("S3"+id+"PublicPolicy", "Public_policy_"+g.PolicyUUID, role, allow(actions, "/public/*"))
		prefixes := []string{"public/", "protected/"}
		if role == "authenticated" {
			add("S3AuthProtectedPolicy", "Protected_policy_"+g.PolicyUUID, role, allow(actions, "/protected/"+identityToken+"/*"))
			add("S3AuthPrivatePolicy", "Private_policy_"+g.PolicyUUID, role, allow(actions, "/private/"+identityToken+"/*"))
			prefixes = append(prefixes, "private/"+identityToken+"/")
		}
		if slices.Contains(access, "CREATE_AND_UPDATE") {
			add("S3"+id+"UploadPolicy", "Uploads_policy_"+g.PolicyUUID, role, allow(iam.Strings{"s3:PutObject"}, "/uploads/*"))
		}
		if slices.Contains(access, "READ") {
			add("S3"+id+"ReadPolicy", "read_policy_"+g.PolicyUUID, role, allow(iam.Strings{"s3:GetObject"}, "/protected/*"), list(prefixes...))
		}
	}
	levels("authenticated", "Auth", g.Auth)
	levels("guest", "Guest", g.Guest)
	for _, group := range g.Groups {
		actions := g.iamActions(group.Access, true)
		if len(actions) == 0 {
			continue
		}
		statements := []iam.Statement{allow(actions, "/*")}
		if slices.Contains(group.Access, "READ") {
			statements = append(statements, allow(iam.Strings{"s3:ListBucket"}, ""))
		}
		add(group.Name+"GroupPolicy", group.Name+"-group-s3-policy", "group:"+group.Name, statements...)
	}
	for _, f := range g.Functions {
		add("S3TriggerBucketPolicy", "amplify-lambda-execution-policy-storage", "function:"+f,
			allow(iam.Strings{"s3:ListBucket"}, ""),
			allow(iam.Strings{"s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject"}, "/*"))
	}
	return out
}

// Rules returns the same access for [Compile], to be read with Replace and Prefix,
// which are Amplify's ways. Groups and functions have the whole bucket in Gen 1;
// their rules give them the folders of all levels, and a warning says so.
func (g *Gen1) Rules() ([]Rule, []Warning) {
	var rules []Rule
	var warnings []Warning
	give := func(path, who string, a Action) {
		if a != 0 {
			rules = append(rules, Rule{Path: path, Who: who, Actions: a})
		}
	}
	const public, protected, private, uploads = "public/*", "protected/{entity_id}/*", "private/{entity_id}/*", "uploads/*"
	whole := func(who string, a Action) {
		if a == 0 {
			return
		}
		for _, path := range []string{public, protected, private, uploads} {
			give(path, who, a)
		}
		warnings = append(warnings, Warning{"", "", who, WarnWholeBucket, "the policy gives the whole bucket, and no rule can; " +
			"the rules are for public, protected, private and uploads, add others for what else is in use"})
	}
	auth, guest := gen1Ours(g.Auth), gen1Ours(g.Guest)
	give(public, "guest", guest)
	give(public, "authenticated", auth)
	give(protected, "guest", guest&Read)
	give(protected, "authenticated", auth&Read)
	give(protected, "owner", auth)
	give(private, "owner", auth)
	give(uploads, "guest", guest&Write)
	give(uploads, "authenticated", auth&Write)
	for _, group := range g.Groups {
		whole("group:"+group.Name, gen1Ours(group.Access))
	}
	for _, f := range g.Functions {
		whole("function:"+f, Read|Write|Delete)
	}
	return rules, warnings
}

func gen1Ours(access []string) (a Action) {
	for _, name := range access {
		a |= gen1Actions[name].ours
	}
	return a
}
