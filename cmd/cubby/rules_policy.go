package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

// policyFlags say which documents to print.
type policyFlags struct {
	role, mode, from, to, gen1, as string
	s3Bucket, identityPool         string
	trust                          bool
	roleARNs                       []string
}

func (a *app) rulesPolicy(f *ruleFlags) *cobra.Command {
	var o policyFlags
	c := &cobra.Command{
		Use:   "policy",
		Short: "Print the rules as IAM policies",
		Long: `Policy prints the documents that make a bucket of AWS, or of any service with IAM,
grant what the rules grant: one for each role, as JSON. In mode union, the default, a
member of a group has the rights of everybody who is signed in and those of owners
besides; the documents are exact, or the rules that IAM cannot express are named. In
mode amplify they are those that an Amplify backend writes, statement for statement.

--as prints the session policy of one subject. --role-arn prints a bucket policy for
the roles that it names. --from reads what defineStorage is given, and --gen1 the
cli-inputs.json of an Amplify CLI project; neither needs other rules.`,
		Example: `  cubby rules policy --role authenticated --s3-bucket my-files
  cubby rules policy --mode amplify
  cubby rules policy --role-arn guest=arn:aws:iam::111122223333:role/unauth --s3-bucket my-files
  cubby rules policy --from access.json --to json
  cubby rules policy --gen1 amplify/backend/storage/media/cli-inputs.json`,
		Args: args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.mode != "union" && o.mode != "amplify" {
				return usage(c, fmt.Errorf("--mode is union or amplify, not %q", o.mode))
			}
			if o.to != "json" && o.to != "rules" {
				return usage(c, fmt.Errorf("--to is json or rules, not %q", o.to))
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
			if o.to == "rules" {
				_, err := fmt.Fprint(a.stdout, p)
				return err
			}
			if o.s3Bucket == "" {
				o.s3Bucket = set.physical
			}
			if o.s3Bucket == "" {
				o.s3Bucket = "BUCKET"
			}
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
				return a.printJSON(d)
			case len(o.roleARNs) > 0:
				return a.bucketPolicy(c, p, opts, o.roleARNs)
			case o.mode == "amplify":
				return a.policiesAsAmplify(p, &o)
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
	fs.StringVar(&o.mode, "mode", "union", "union or amplify")
	fs.StringVar(&o.s3Bucket, "s3-bucket", "", "name or ARN of the bucket in the policies (default that of the rules)")
	fs.StringVar(&o.identityPool, "identity-pool", "", "`ID` of the identity pool that assumes the roles, for their trust policies")
	fs.BoolVar(&o.trust, "trust", false, "with --role, print the trust policy")
	fs.StringArrayVar(&o.roleARNs, "role-arn", nil, "`ROLE=ARN` of a role to name in a bucket policy; may be repeated")
	fs.StringVar(&o.as, "as", "", "print the session policy of `WHO`")
	fs.StringVar(&o.from, "from", "", "`FILE` with what defineStorage is given; prints what Amplify makes of it")
	fs.StringVar(&o.gen1, "gen1", "", "`FILE` cli-inputs.json; prints the policies that the Amplify CLI makes")
	fs.StringVar(&o.to, "to", "json", "json, or rules for the rules as lines")
	return c
}

// printRoles prints the documents of all roles, or of the one that was asked for.
func (a *app) printRoles(roles []access.RoleDocuments, o *policyFlags) error {
	type roleJSON struct {
		Role    string          `json:"role"`
		Inline  *iam.Document   `json:"inline,omitempty"`
		Managed []*iam.Document `json:"managed,omitempty"`
		Trust   *iam.Document   `json:"trust,omitempty"`
	}
	list := []roleJSON{}
	for _, r := range roles {
		list = append(list, roleJSON{r.Role, r.Inline, r.Managed, r.Trust})
		if r.Role != o.role {
			continue
		}
		switch {
		case o.trust && r.Trust == nil:
			return fmt.Errorf("a trust policy is for an identity pool, which --identity-pool names: %w", fs.ErrInvalid)
		case o.trust:
			return a.printJSON(r.Trust)
		case r.Managed != nil:
			return a.printJSON(r.Managed)
		case r.Inline != nil:
			return a.printJSON(r.Inline)
		}
		return fmt.Errorf("the rules give nothing to %s: %w", o.role, fs.ErrNotExist)
	}
	if o.role != "" {
		return unknownRole(o.role, roles)
	}
	return a.printJSON(map[string]any{"roles": list})
}

func unknownRole(role string, roles []access.RoleDocuments) error {
	var names []string
	for _, r := range roles {
		names = append(names, r.Role)
	}
	return fmt.Errorf("no rule is for %s, only for %s: %w", role, strings.Join(names, ", "), fs.ErrNotExist)
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
	opts.RoleARN = func(role string) string { return byRole[role] }
	d, err := p.BucketPolicy(opts)
	if err != nil {
		return err
	}
	return a.printJSON(d)
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
		j.Policies[p.Role] = *p.Document
	}
	return j, nil
}

func bucketARN(name string) string {
	if name == "" {
		name = "BUCKET"
	}
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
		err = fmt.Errorf("there is no access object: %w", fs.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.from, err)
	}
	if o.to == "rules" {
		list, err := rules.Rules()
		if err != nil {
			return fmt.Errorf("%s: %w", o.from, err)
		}
		p, _, err := access.Compile(list, &access.Options{AcceptOwnerWithoutToken: true})
		if err != nil {
			return fmt.Errorf("%s: %w", o.from, err)
		}
		_, err = fmt.Fprint(a.stdout, p)
		return err
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
	case kind == "group", kind == "function":
		name = rest
	}
	d, ok := j.Policies[name]
	if !ok {
		return fmt.Errorf("there is no policy of Amplify's for %s: %w", o.role, fs.ErrNotExist)
	}
	return a.printJSON(d)
}

func (a *app) rulesVerify(f *ruleFlags) *cobra.Command {
	var policy, role, bucket, principal string
	c := &cobra.Command{
		Use:   "verify --policy FILE --role ROLE",
		Short: "Tell whether an IAM policy grants exactly what the rules grant",
		Long: `Verify compares an IAM policy with what the rules grant to one role, over all keys
and all identity ids there can be. It shows what the policy allows and no rule does, and
what rules allow and the policy does not, with an example of each. Lists are judged by
their prefix, as IAM does, and requests are taken to come over TLS.

The exit code is 0 if they grant the same, 1 if they do not, and 8 if the policy depends
on something that is not known, such as an unusual condition.`,
		Example: `  cubby rules verify --policy auth-role.json --role authenticated --s3-bucket my-files
  cubby rules verify -f amplify_outputs.json --policy unauth-role.json --role guest`,
		Args: args(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			p, _, set, err := a.policyOf(f)
			if err != nil {
				return err
			}
			text, err := a.readFile(policy)
			if err != nil {
				return err
			}
			doc, err := iam.Parse(text)
			if err != nil {
				return fmt.Errorf("%s: %w", policy, err)
			}
			v, err := access.Verify(p, role, doc, &access.VerifyOptions{
				Bucket: cmp.Or(bucket, set.physical, "BUCKET"), Principal: principal,
				Context: map[string][]string{"aws:SecureTransport": {"true"}},
			})
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(verificationOf(v))
			} else {
				for _, d := range v.Differences {
					fmt.Fprintln(a.stdout, printable(d.String()))
				}
				for _, e := range v.Excess {
					fmt.Fprintln(a.stdout, printable(e))
				}
				if v.Exact() && !a.quiet {
					fmt.Fprintf(a.stdout, "%s grants exactly what the rules grant to %s, %s\n", policy, role, count(v.Cases, "case"))
				}
			}
			if err == nil && !v.Exact() {
				err = &answer{failed}
			}
			return err
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "`FILE` with the policy, JSON (- is standard input)")
	c.Flags().StringVar(&role, "role", "", "`ROLE` that the policy is for: guest, authenticated, group:NAME or function:NAME")
	c.Flags().StringVar(&bucket, "s3-bucket", "", "name or ARN of the bucket in the policy (default that of the rules)")
	c.Flags().StringVar(&principal, "principal", "", "`ARN` of the role, if the policy is one of a bucket")
	require(c, "policy", "role")
	return c
}

func verificationOf(v *access.Verification) any {
	type differenceJSON struct {
		Operation string `json:"operation"`
		Key       string `json:"key"`
		NoPrefix  bool   `json:"no_prefix,omitempty"`
		Identity  string `json:"identity_id,omitempty"`
		ByRules   bool   `json:"by_rules"`
		ByPolicy  bool   `json:"by_policy"`
		Rule      string `json:"rule,omitempty"`
		Statement *int   `json:"statement,omitempty"`
		Text      string `json:"text"`
	}
	list := []differenceJSON{}
	for _, d := range v.Differences {
		j := differenceJSON{d.Operation, d.Key, d.NoPrefix, d.Identity, d.ByRules, d.ByPolicy, decisionOf(d.Decision).Rule, nil, d.String()}
		if d.Statement >= 0 {
			j.Statement = &d.Statement
		}
		list = append(list, j)
	}
	return struct {
		Exact       bool             `json:"exact"`
		Cases       int              `json:"cases"`
		Differences []differenceJSON `json:"differences"`
		Excess      []string         `json:"excess"`
	}{v.Exact(), v.Cases, list, append([]string{}, v.Excess...)}
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
	if o.to == "rules" {
		rules, warnings := g.Rules()
		p, _, err := access.Compile(rules, &access.Options{AcceptOwnerWithoutToken: true})
		if err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintf(a.stderr, "cubby: warning: %s\n", printable(w.String()))
		}
		_, err = fmt.Fprint(a.stdout, p)
		return err
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
	return a.printJSON(map[string]any{"policies": list})
}
