package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/server"
)

func (a *app) rules() *cobra.Command {
	f := new(ruleFlags)
	c := group(&cobra.Command{
		Use:     "rules",
		GroupID: "server",
		Short:   "Check, explain, prove and compare access rules",
		Long: `Rules answers questions about access rules, by themselves: no server is asked, and
nothing is changed. The rules are those of DIR/cubby.yaml, or of FILE: a cubby.yaml,
an amplify_outputs.json, a ResourcesConfig, what defineStorage is given, or plain
lines such as

  private/{entity_id}/*   owner read,write   group:support read

Somebody to ask for is written like this; what is not said is missing:

` + access.SubjectHelp + `
A user of the server in DIR has their real identity id and groups, but for what is said.

Exit codes are those of all commands, and 8 for a question that cannot be decided. A
test that fails, a statement that does not hold and rules that differ are 1.`,
	})
	f.add(c)
	c.AddCommand(
		a.rulesCheck(f), a.rulesExplain(f), a.rulesWhoCan(f), a.rulesWhatCan(f), a.rulesProve(f),
		a.rulesTest(f), a.rulesDiff(f), a.rulesPolicy(f), a.rulesVerify(f),
	)
	return c
}

// finding is something that is wrong with rules, or looks like a mistake.
type finding struct {
	Bucket string        `json:"bucket,omitempty"`
	Pos    string        `json:"pos,omitempty"`
	Path   string        `json:"path,omitempty"`
	Who    string        `json:"who,omitempty"`
	Reason access.Reason `json:"reason"`
	Text   string        `json:"text"`
	Error  bool          `json:"error"` // no server would start with it

	problem access.Problem
}

func (a *app) rulesCheck(f *ruleFlags) *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Find errors and likely mistakes",
		Long: `Check reports what a server would refuse, and what it would accept but is likely a
mistake: rights that guests have and users have not, rules that change nothing, rules
for the owner on a path without a token, and guests who may write. Without --bucket it
checks the rules of all buckets.`,
		Args: args(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			file, err := a.rulesOf(f)
			if err != nil {
				return err
			}
			sets := file.buckets
			if f.bucket != "" {
				set, err := file.pick(f.bucket)
				if err != nil {
					return err
				}
				sets = []ruleSet{set}
			}
			found, rules, wrong := []finding{}, 0, 0
			for _, set := range sets {
				rules += len(set.rules)
				add := func(list []access.Problem, bad bool) {
					for _, p := range list {
						found = append(found, finding{set.bucket, p.Pos, p.Path, p.Who, p.Reason, p.Text, bad, p})
					}
				}
				p, _, err := access.Compile(set.rules, &file.opts)
				if e, ok := errors.AsType[*access.Error](err); ok {
					add(e.Problems, true)
					wrong += len(e.Problems)
					continue
				} else if err != nil {
					return err
				}
				add(p.Warnings(), false)
				add(p.Lint(), false)
			}
			if a.json {
				err = a.printJSON(found)
			} else {
				for _, x := range found {
					kind := "warning"
					if x.Error {
						kind = "error"
					}
					if len(sets) > 1 {
						kind += ": bucket " + x.Bucket
					}
					fmt.Fprintf(a.stdout, "%s: %s\n", kind, printable(x.problem.String()))
				}
				if len(found) == 0 && !a.quiet {
					fmt.Fprintf(a.stdout, "%s, nothing to remark\n", count(rules, "rule"))
				}
			}
			switch {
			case err != nil:
				return err
			case wrong > 0:
				return fmt.Errorf("%s: %s", file.name, count(wrong, "error"))
			case strict && len(found) > 0:
				return fmt.Errorf("%s: %s", file.name, count(len(found), "warning"))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "fail if there are warnings, too")
	return c
}

// count returns a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (a *app) rulesExplain(f *ruleFlags) *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "explain --as WHO ACTIONS KEY",
		Short: "Tell whether somebody may do something, and why",
		Long: `Explain decides one request, and tells the rule that decided or, if it is denied,
the nearest rule that would have allowed it. To list a key that ends with "/" is to list
what is below it. The exit code is 0 if the request is allowed, and 4 if it is denied.`,
		Example: `  cubby rules explain --as alice get private/us-east-1:5e2a/x
  cubby rules explain --as 'alice(groups=staff)' read,write docs/plan.txt
  cubby rules explain --as guest list public/`,
		Args: args(2, 2, "the actions and a key"),
		RunE: func(c *cobra.Command, args []string) error {
			p, _, _, err := a.policyOf(f)
			if err != nil {
				return err
			}
			s, err := a.subject(c, f, as)
			if err != nil {
				return err
			}
			actions, err := access.ParseAction(args[0])
			if err != nil {
				return usage(c, err)
			}
			d, why := p.Ask(&s, actions, args[1]), p.Explain(&s, actions, args[1])
			if err := access.CheckKey(args[1]); err != nil {
				d, why = access.Decision{}, "whatever the rules say, the server refuses it: "+plain(err)
			}
			if a.json {
				err = a.printJSON(struct {
					Subject string   `json:"subject"`
					Actions []string `json:"actions"`
					Key     string   `json:"key"`
					decisionJSON
					Why string `json:"why"`
				}{s.String(), actionNames(actions), args[1], decisionOf(d), why})
			} else {
				fmt.Fprintf(a.stdout, "as %s\n%s\n", printable(s.String()), printableLines(why))
			}
			if err == nil && !d.Allowed {
				err = &answer{denied}
			}
			return err
		},
	}
	c.Flags().StringVar(&as, "as", "", "`WHO` asks")
	require(c, "as")
	return c
}

// printableLines returns text of several lines as a terminal may show it.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// decisionJSON is a decision for programs.
type decisionJSON struct {
	Allowed bool   `json:"allowed"`
	Role    string `json:"role,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Pos     string `json:"pos,omitempty"`
	// Of a denial, the nearest rule that would have allowed it.
	Nearest    string `json:"nearest,omitempty"`
	NearestPos string `json:"nearest_pos,omitempty"`
}

// actionNames returns the names of actions, for programs.
func actionNames(a access.Action) []string { return strings.Split(a.String(), ",") }

func decisionOf(d access.Decision) decisionJSON {
	j := decisionJSON{Allowed: d.Allowed, Role: d.Role}
	if d.Rule != nil {
		j.Rule, j.Pos = d.Rule.String(), d.Rule.Pos
	}
	if d.Nearest != nil {
		j.Nearest, j.NearestPos = d.Nearest.String(), d.Nearest.Pos
	}
	return j
}

// subject returns who a question is asked for: a user of the server in the data
// directory as they are, but for what the text says else, or whoever the text says.
func (a *app) subject(c *cobra.Command, f *ruleFlags, text string) (access.Subject, error) {
	s, err := access.ParseSubject(text)
	if err != nil {
		return s, usage(c, err)
	}
	if f.file != "" || !s.Authenticated || s.Function != "" {
		return s, nil
	}
	if _, err := os.Stat(filepath.Join(f.data, server.StateFile)); err != nil {
		return s, nil // there are no users yet
	}
	name, _, _ := strings.Cut(text, "(")
	made, err := access.ParseSubject(name) // as it is if nothing more is said
	if err != nil {
		return s, usage(c, err)
	}
	admin, err := a.openAdmin(c.Context(), f.data)
	if err != nil {
		return s, err
	}
	defer admin.Close()
	user, err := admin.Subject(c.Context(), made.Username)
	if errors.Is(err, fs.ErrNotExist) {
		if !a.quiet {
			fmt.Fprintf(a.stderr, "cubby: the server has no user %s; taken as said\n", printable(made.Username))
		}
		return s, nil
	} else if err != nil {
		return s, err
	}
	said := func(mine *string, said, made string) {
		if said != made {
			*mine = said
		}
	}
	said(&user.Identity, s.Identity, made.Identity)
	said(&user.Sub, s.Sub, made.Sub)
	said(&user.Username, s.Username, made.Username)
	if s.Groups != nil {
		user.Groups = s.Groups
	}
	maps.Copy(user.Claims, s.Claims)
	return *user, nil
}

func (a *app) rulesProve(f *ruleFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "prove STATEMENT",
		Short: "Prove that something can never happen, or show how it can",
		Long: `Prove decides a statement over all requests that there can be: the rules tell
finitely many kinds of them apart, and each is asked. If the statement does not hold
it shows a request that breaks it. A statement is one of

` + access.StatementHelp,
		Example: `  cubby rules prove 'guest can never write'
  cubby rules prove 'only owner can get private/{entity_id}/*'
  cubby rules prove 'only group:admin can delete archive/*'`,
		Args: args(1, -1, "a statement"),
		RunE: func(c *cobra.Command, args []string) error {
			p, _, _, err := a.policyOf(f)
			if err != nil {
				return err
			}
			st, err := access.ParseStatement(strings.Join(args, " "))
			if err != nil {
				return usage(c, err)
			}
			proof := p.Prove(st)
			switch {
			case a.json:
				err = a.printJSON(proofOf(proof))
			case proof.Holds:
				fmt.Fprintf(a.stdout, "proven: %s\n%s\n", printable(st.String()), count(proof.Cases, "case"))
			default:
				fmt.Fprintf(a.stdout, "not so: %s\n%s\n", printable(st.String()), printableLines(proof.Counterexample.String()))
			}
			if proof.Note != "" && !a.json {
				fmt.Fprintf(a.stdout, "note: %s\n", printableLines(proof.Note))
			}
			if err == nil && !proof.Holds {
				err = &answer{failed}
			}
			return err
		},
	}
}

// caseJSON is a request and its answer for programs.
type caseJSON struct {
	Subject string   `json:"subject"`
	Actions []string `json:"actions"`
	Key     string   `json:"key"`
	decisionJSON
}

func proofOf(p access.Proof) any {
	j := struct {
		Statement      string    `json:"statement"`
		Holds          bool      `json:"holds"`
		Cases          int       `json:"cases"`
		Note           string    `json:"note,omitempty"`
		Counterexample *caseJSON `json:"counterexample,omitempty"`
	}{p.Statement.String(), p.Holds, p.Cases, p.Note, nil}
	if c := p.Counterexample; c != nil {
		j.Counterexample = &caseJSON{c.Subject.String(), actionNames(c.Action), c.Key, decisionOf(c.Decision)}
	}
	return j
}

func (a *app) rulesTest(f *ruleFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "test [FILE]...",
		Short: "Run the tests of the rules",
		Long: `Test runs the tests in the files, or those in DIR/rules.test, which a server runs,
too: it does not take over rules whose tests fail. A test is a line such as

  as alice(groups=staff) write private/bob/x -> deny
  as guest read public/logo.png -> allow

A line "bucket NAME" says which bucket the tests after it are about. The people in it
are made up, and not the users of a server.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, names []string) error {
			file, err := a.rulesOf(f)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				if f.file != "" {
					return usage(c, errors.New("with --file, name the file of the tests"))
				}
				names = []string{filepath.Join(f.data, server.TestsFile)}
			}
			total, failures := 0, []string{}
			for _, name := range names {
				text, err := a.readFile(name)
				if err != nil {
					return err
				}
				tests, err := access.ParseTests(filepath.Base(name), text)
				if err != nil {
					return err
				}
				total += len(tests)
				failed, err := file.failures(f, tests)
				if err != nil {
					return err
				}
				failures = append(failures, failed...)
			}
			if a.json {
				if err := a.printJSON(server.RulesCheck{Tests: total, Failures: failures}); err != nil {
					return err
				}
			} else {
				for _, text := range failures {
					fmt.Fprintf(a.stdout, "%s\n\n", printableLines(text))
				}
			}
			if len(failures) > 0 {
				return fmt.Errorf("%d of %s failed", len(failures), count(total, "test"))
			}
			if !a.json && !a.quiet {
				fmt.Fprintf(a.stdout, "ok, %s\n", count(total, "test"))
			}
			return nil
		},
	}
}

// failures runs tests, and returns what is to say about those that fail.
func (f *ruleFile) failures(flags *ruleFlags, tests []access.Test) ([]string, error) {
	policies := map[string]*access.Policy{}
	var list []string
	for _, t := range tests {
		name := cmp.Or(t.Bucket, flags.bucket)
		p, ok := policies[name]
		if !ok {
			set, err := f.pick(name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Pos, err)
			}
			if p, err = f.policy(set); err != nil {
				return nil, err
			}
			policies[name] = p
		}
		if failure := t.Check(p); failure != nil {
			list = append(list, failure.String())
		}
	}
	return list, nil
}
