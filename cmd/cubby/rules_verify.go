package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

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
			doc, err := parsePolicies(text)
			if err != nil {
				return fmt.Errorf("%s: %w", policy, err)
			}
			v, err := access.Verify(p, role, doc, &access.VerifyOptions{
				Bucket: cmp.Or(bucket, set.physical, someBucket), Principal: principal,
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
	c.Flags().StringVar(&policy, "policy", "", "`FILE` with the policy, JSON, or a list of policies (- is standard input)")
	c.Flags().StringVar(&role, "role", "", "`ROLE` that the policy is for: guest, authenticated, group:NAME or function:NAME")
	c.Flags().StringVar(&bucket, "s3-bucket", "", "name or ARN of the bucket in the policy (default that of the rules)")
	c.Flags().StringVar(&principal, "principal", "", "`ARN` of the role, if the policy is one of a bucket")
	require(c, "policy", "role")
	return c
}

// parsePolicies reads a policy, or a list of policies that hold together.
func parsePolicies(text []byte) (*iam.Document, error) {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		return iam.Parse(text)
	}
	all := &iam.Document{Version: iam.Version}
	for i, one := range list {
		d, err := iam.Parse(one)
		if err == nil && d.Version != iam.Version {
			err = fmt.Errorf("only policies of version %s can be put together: %w", iam.Version, fs.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("policy %d: %w", i+1, err)
		}
		all.Statement = append(all.Statement, d.Statement...)
	}
	return all, nil
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
