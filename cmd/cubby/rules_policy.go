package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
	"github.com/cubby-storage/cubby/server"
)

// policyFlags say which documents to print.
type policyFlags struct {
	role, from, to, gen1, as string
	s3Bucket, identityPool   string
	trust                    bool
	roleARNs                 []string
}

func (a *app) rulesPolicy(f *ruleFlags) *cobra.Command {
	var o policyFlags
	c := &cobra.Command{
		Use:   "policy",
		Short: "Print the rules as IAM policies",
		Long: `Policy prints the documents that make a bucket of AWS, or of any service with IAM,
grant what the rules grant: one for each role, as JSON. A member of a group has the
rights of everybody who is signed in and those of owners besides. The documents are
exact, or the rules that IAM cannot express are named. With --mode amplify they are
those that an Amplify backend writes, statement for statement.

--as prints the session policy of one subject. --role-arn prints a bucket policy for
the roles that it names. --from reads what defineStorage is given, and --gen1 the
cli-inputs.json of an Amplify CLI project; neither needs other rules. What
defineStorage is given is written as JSON:

  {"photos/{entity_id}/*": [{"guest": ["read"]}, {"entity:identity": ["read", "write"]}],
   "docs/*": [{"groups": ["staff"], "to": ["read"]}, {"authenticated": ["get"]}]}`,
		Example: `  cubby rules policy --role authenticated --s3-bucket my-files
  cubby rules policy --mode amplify
  cubby rules policy --role-arn guest=arn:aws:iam::111122223333:role/unauth --s3-bucket my-files
  cubby rules policy --from access.json --to json
  cubby rules policy --gen1 amplify/backend/storage/media/cli-inputs.json`,
		Args: args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(f); err != nil {
				return usage(c, err)
			}
			switch {
			case o.from != "":
				return a.amplifyPolicies(&o)
			case o.gen1 != "":
				return a.gen1Policies(&o)
			}
			p, _, set, err := a.policyOf(f)
			if err != nil {
				return err
			}
			if o.to != "json" {
				return a.printRules(p, o.to)
			}
			o.s3Bucket = cmp.Or(o.s3Bucket, set.physical, someBucket)
			opts := &access.IAMOptions{Bucket: o.s3Bucket, IdentityPool: o.identityPool}
			switch {
			case o.as != "":
				s, err := a.subject(c, f, o.as)
				if err != nil {
					return err
				}
				d, err := p.SessionPolicy(&s, opts)
				if err != nil {
					return err
				}
				return a.printPolicy(d, true)
			case len(o.roleARNs) > 0:
				return a.bucketPolicy(c, p, opts, o.roleARNs)
			case f.mode == modeAmplify:
				return a.policiesAsAmplify(p, &o)
			}
			if o.role != "" {
				opts.Roles = []string{o.role}
			}
			roles, err := p.IAM(opts)
			if err != nil {
				return err
			}
			return a.printRoles(roles, &o)
		},
	}
	fs := c.Flags()
	fs.StringVar(&o.role, "role", "", "print the policy of one `ROLE` alone: guest, authenticated, group:NAME\nor function:NAME")
	fs.StringVar(&o.s3Bucket, "s3-bucket", "", "name or ARN of the bucket in the policies (default that of the rules)")
	fs.StringVar(&o.identityPool, "identity-pool", "", "`ID` of the identity pool that assumes the roles, for their trust policies")
	fs.BoolVar(&o.trust, "trust", false, "with --role, print the trust policy")
	fs.StringArrayVar(&o.roleARNs, "role-arn", nil, "`ROLE=ARN` of a role to name in a bucket policy; may be repeated")
	fs.StringVar(&o.as, "as", "", "print the session policy of `WHO`")
	fs.StringVar(&o.from, "from", "", "`FILE` with what defineStorage is given; prints what Amplify makes of it")
	fs.StringVar(&o.gen1, "gen1", "", "`FILE` cli-inputs.json; prints the policies that the Amplify CLI makes")
	fs.StringVar(&o.to, "to", "json", "json, or for the rules themselves rules (lines) or cubby (a cubby.yaml)")
	return c
}

// printPolicy prints what AWS is to be given: it takes no characters but Latin-1, and
// counts the spaces of a session policy, which so has none.
func (a *app) printPolicy(v any, compact bool) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if !compact {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range text.String() {
		switch {
		case r <= 0xff:
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&out, "\\u%04x", r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, "\\u%04x\\u%04x", high, low)
		}
	}
	_, err := io.WriteString(a.stdout, out.String())
	return err
}

// someBucket stands in policies where no bucket is named.
const someBucket = "BUCKET"

// check reports flags that do not go together.
func (o *policyFlags) check(f *ruleFlags) error {
	switch {
	case o.to != "json" && o.to != "rules" && o.to != cubbyYAML:
		return fmt.Errorf("--to is json, rules or cubby, not %q", o.to)
	case o.from != "" && o.gen1 != "", (o.from != "" || o.gen1 != "") && f.file != "":
		return errors.New("--from, --gen1 and --file name the rules each by itself; choose one")
	case (o.from != "" || o.gen1 != "" || o.as != "" || len(o.roleARNs) > 0) && o.role != "":
		return errors.New("--role picks one of the policies of roles, which are not what is printed")
	case o.trust && o.role == "":
		return errors.New("--trust needs --role")
	case o.trust && o.identityPool == "" && !strings.HasPrefix(o.role, "function:"):
		return errors.New("a trust policy is for an identity pool, which --identity-pool names")
	}
	return nil
}

// printRules prints the rules themselves.
func (a *app) printRules(p *access.Policy, form string) error {
	if form == cubbyYAML {
		cfg := &server.Config{Buckets: []server.Bucket{{Name: "media", Rules: p.Rules()}}}
		return cfg.Write(a.stdout)
	}
	_, err := fmt.Fprint(a.stdout, p)
	return err
}

// printRoles prints the documents of the roles; if one was asked for, its policy alone.
func (a *app) printRoles(roles []access.RoleDocuments, o *policyFlags) error {
	if o.role != "" {
		switch r := roles[0]; {
		case o.trust:
			return a.printPolicy(r.Trust, false)
		case r.Managed != nil:
			return a.printPolicy(r.Managed, false)
		case r.Inline != nil:
			return a.printPolicy(r.Inline, false)
		}
		return fmt.Errorf("the rules give nothing to %s: %w", o.role, fs.ErrNotExist)
	}
	type roleJSON struct {
		Role    string          `json:"role"`
		Inline  *iam.Document   `json:"inline,omitempty"`
		Managed []*iam.Document `json:"managed,omitempty"`
		Trust   *iam.Document   `json:"trust,omitempty"`
	}
	list := []roleJSON{}
	for _, r := range roles {
		list = append(list, roleJSON(r))
	}
	return a.printPolicy(map[string]any{"roles": list}, false)
}

// bucketPolicy prints one policy, for the bucket.
func (a *app) bucketPolicy(c *cobra.Command, p *access.Policy, opts *access.IAMOptions, arns []string) error {
	byRole := map[string]string{}
	for _, s := range arns {
		role, arn, ok := strings.Cut(s, "=")
		if !ok || !strings.HasPrefix(arn, "arn:") {
			return usage(c, fmt.Errorf("--role-arn is ROLE=ARN, not %q", s))
		}
		byRole[role] = arn
	}
	opts.Roles = slices.Sorted(maps.Keys(byRole))
	opts.RoleARN = func(role string) string { return byRole[role] }
	d, err := p.BucketPolicy(opts)
	if err != nil {
		return err
	}
	return a.printPolicy(d, false)
}

// amplifyJSON is what Amplify makes of rules, for programs.
type amplifyJSON struct {
	Name     string                  `json:"name,omitempty"`
	Paths    *access.AmplifyPaths    `json:"paths,omitempty"`
	Policies map[string]iam.Document `json:"policies,omitzero"`
	Error    *amplifyErrorJSON       `json:"error,omitempty"`
}

type amplifyErrorJSON struct {
	Name       string `json:"name"`
	Message    string `json:"message"`
	Details    string `json:"details,omitempty"`
	Resolution string `json:"resolution,omitempty"`
}

// generate returns what Amplify answers to the rules, which may be an error.
func generate(rules *access.Amplify, bucket string) (*amplifyJSON, error) {
	out, err := rules.Generate(bucketARN(bucket))
	if e, ok := errors.AsType[*access.AmplifyError](err); ok {
		return &amplifyJSON{Error: &amplifyErrorJSON{e.Name, e.Message, e.Details, e.Resolution}}, nil
	} else if err != nil {
		return nil, err
	}
	j := &amplifyJSON{Paths: &out.Paths, Policies: map[string]iam.Document{}}
	for _, p := range out.Policies {
		name := p.Role
		if _, taken := j.Policies[name]; taken || p.Resource && slices.ContainsFunc(out.Policies, func(q access.AmplifyPolicy) bool { return q.Role == name && !q.Resource }) {
			name = "function:" + name // beside a group of the same name
		}
		j.Policies[name] = *p.Document
	}
	return j, nil
}

func bucketARN(name string) string {
	name = cmp.Or(name, someBucket)
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return "arn:aws:s3:::" + name
}

// amplifyPolicies prints what Amplify makes of what defineStorage is given, for one
// case or for each in a list of cases.
func (a *app) amplifyPolicies(o *policyFlags) error {
	text, err := a.readFile(o.from)
	if err != nil {
		return err
	}
	var file struct {
		Cases []struct {
			Name   string
			Access json.RawMessage
		}
	}
	if json.Unmarshal(text, &file) == nil && file.Cases != nil && o.to == "json" {
		list := []*amplifyJSON{}
		for _, in := range file.Cases {
			rules, err := access.ParseAmplify(in.Access)
			if err != nil {
				return fmt.Errorf("%s: case %s: %w", o.from, in.Name, err)
			}
			j, err := generate(rules, o.s3Bucket)
			if err != nil {
				return err
			}
			j.Name = in.Name
			list = append(list, j)
		}
		return a.printJSON(map[string]any{"cases": list})
	}
	rules, err := parseAccess(text)
	if err == nil && rules == nil {
		err = fmt.Errorf("this is not what defineStorage is given, written as JSON: %w", fs.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.from, err)
	}
	if o.to != "json" {
		list, err := rules.Rules()
		if err != nil {
			return fmt.Errorf("%s: %w", o.from, err)
		}
		p, _, err := access.Compile(list, &access.Options{AcceptOwnerWithoutToken: true})
		if err != nil {
			return fmt.Errorf("%s: %w", o.from, err)
		}
		return a.printRules(p, o.to)
	}
	j, err := generate(rules, o.s3Bucket)
	if err != nil {
		return err
	}
	return a.printJSON(j)
}

// policiesAsAmplify prints the documents that Amplify would write for the rules.
func (a *app) policiesAsAmplify(p *access.Policy, o *policyFlags) error {
	rules, err := p.Amplify()
	if err != nil {
		return err
	}
	j, err := generate(rules, o.s3Bucket)
	if err != nil {
		return err
	}
	if j.Error != nil {
		return fmt.Errorf("%s: %s: %w", j.Error.Name, j.Error.Message, fs.ErrInvalid)
	}
	if o.role == "" {
		return a.printJSON(j)
	}
	name := o.role
	switch kind, rest, _ := strings.Cut(o.role, ":"); {
	case kind == "guest":
		name = access.AmplifyGuestRole
	case kind == "authenticated":
		name = access.AmplifyAuthenticatedRole
	case kind == "function" && j.Policies[o.role].Statement != nil:
	case kind == "group", kind == "function":
		name = rest
	}
	d, ok := j.Policies[name]
	if !ok || !slices.ContainsFunc(p.Rules(), func(r access.Rule) bool { return sameRole(r.Who, o.role) }) {
		return fmt.Errorf("there is no policy of Amplify's for %s: %w", o.role, fs.ErrNotExist)
	}
	return a.printJSON(d)
}

// sameRole reports whether a rule is for a role.
func sameRole(who, role string) bool {
	switch {
	case who == "owner" || who == "entityidentity":
		return role == "authenticated"
	case strings.HasPrefix(who, "groups"):
		return role == "group:"+strings.TrimPrefix(who, "groups")
	}
	return who == role
}

// gen1Policies prints the policies that the Amplify CLI makes of its inputs, or the
// same access as rules.
func (a *app) gen1Policies(o *policyFlags) error {
	text, err := a.readFile(o.gen1)
	if err != nil {
		return err
	}
	g, err := access.ParseGen1(text)
	if err != nil {
		return fmt.Errorf("%s: %w", o.gen1, err)
	}
	if o.to != "json" {
		rules, warnings := g.Rules()
		p, _, err := access.Compile(rules, &access.Options{AcceptOwnerWithoutToken: true})
		if err != nil {
			return err
		}
		for _, w := range warnings {
			a.warn(w.Path, w.String())
		}
		return a.printRules(p, o.to)
	}
	type policyJSON struct {
		Name     string        `json:"name"`
		Role     string        `json:"role"`
		Document *iam.Document `json:"document"`
	}
	list := []policyJSON{}
	for _, p := range g.Policies(bucketARN(o.s3Bucket)) {
		list = append(list, policyJSON{p.Name, p.Role, p.Document})
	}
	return a.printPolicy(map[string]any{"policies": list}, false)
}
