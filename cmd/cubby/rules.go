package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

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
A user of the server in DIR is asked for with their real identity id and groups.

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
the nearest rule that would have allowed it. The exit code is 0 if the request is
allowed, and 4 if it is denied.`,
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
			d := p.Decide(&s, actions, args[1])
			why := p.Explain(&s, actions, args[1])
			if a.json {
				err = a.printJSON(struct {
					Subject string `json:"subject"`
					Actions string `json:"actions"`
					Key     string `json:"key"`
					decisionJSON
					Why string `json:"why"`
				}{s.String(), actions.String(), args[1], decisionOf(d), why})
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
	Nearest string `json:"nearest,omitempty"`
}

func decisionOf(d access.Decision) decisionJSON {
	j := decisionJSON{Allowed: d.Allowed, Role: d.Role}
	if d.Rule != nil {
		j.Rule, j.Pos = d.Rule.String(), d.Rule.Pos
	}
	if d.Nearest != nil {
		j.Nearest, j.Pos = d.Nearest.String(), d.Nearest.Pos
	}
	return j
}

// subject returns who a question is asked for: a user of the server in the data
// directory as they are, or whoever the text says.
func (a *app) subject(c *cobra.Command, f *ruleFlags, text string) (access.Subject, error) {
	s, err := access.ParseSubject(text)
	if err != nil {
		return s, usage(c, err)
	}
	if f.file != "" || !s.Authenticated || s.Username != text {
		return s, nil
	}
	if _, err := os.Stat(filepath.Join(f.data, server.StateFile)); err != nil {
		return s, nil // nobody has signed in yet
	}
	admin, err := a.openAdmin(c.Context(), f.data)
	if err != nil {
		return s, err
	}
	defer admin.Close()
	real, err := admin.Subject(c.Context(), text)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return s, err
	}
	return *real, nil
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
			if err == nil && !proof.Holds {
				err = &answer{failed}
			}
			return err
		},
	}
}

// caseJSON is a request and its answer for programs.
type caseJSON struct {
	Subject string `json:"subject"`
	Actions string `json:"actions"`
	Key     string `json:"key"`
	decisionJSON
}

func proofOf(p access.Proof) any {
	j := struct {
		Statement      string    `json:"statement"`
		Holds          bool      `json:"holds"`
		Cases          int       `json:"cases"`
		Counterexample *caseJSON `json:"counterexample,omitempty"`
	}{p.Statement.String(), p.Holds, p.Cases, nil}
	if c := p.Counterexample; c != nil {
		j.Counterexample = &caseJSON{c.Subject.String(), c.Action.String(), c.Key, decisionOf(c.Decision)}
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

A line "bucket NAME" says which bucket the tests after it are about.`,
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

func (a *app) rulesDiff(f *ruleFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show who may do more or less under other rules",
		Long: `Diff compares what two sets of rules mean, not how they are written. OLD and NEW are
files with rules, or data directories. It shows every right that is gained or lost, with
an example. The exit code is 0 if nothing differs, and 1 if something does.`,
		Example: "  cubby rules diff .cubby new.yaml",
		Args:    args(2, 2, "the old rules and the new ones"),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := a.readRules(args[0])
			if err != nil {
				return err
			}
			after, err := a.readRules(args[1])
			if err != nil {
				return err
			}
			changes, err := before.diff(after, f.bucket)
			if err != nil {
				return err
			}
			if a.json {
				list := []changeJSON{}
				for _, c := range changes {
					list = append(list, c.json())
				}
				err = a.printJSON(list)
			} else {
				for _, c := range changes {
					if c.bucket != "" {
						fmt.Fprintf(a.stdout, "%s: ", c.bucket)
					}
					fmt.Fprintln(a.stdout, printable(c.String()))
				}
				if len(changes) == 0 && !a.quiet {
					fmt.Fprintln(a.stdout, "no difference")
				}
			}
			if err == nil && len(changes) > 0 {
				err = &answer{failed}
			}
			return err
		},
	}
}

// bucketChange is a change of the rules of a bucket, whose name is "" if there is but one.
type bucketChange struct {
	bucket string
	access.Change
}

// diff returns what differs between the rules, of all buckets or of the one called
// bucket. A bucket that one of the files lacks has no rules there.
func (f *ruleFile) diff(g *ruleFile, bucket string) ([]bucketChange, error) {
	if len(f.buckets) == 1 && len(g.buckets) == 1 && bucket == "" {
		return diffSets(f, g, f.buckets[0], g.buckets[0], "")
	}
	names := []string{bucket}
	if bucket == "" {
		names = nil
		for _, s := range slices.Concat(f.buckets, g.buckets) {
			if !slices.Contains(names, s.bucket) {
				names = append(names, s.bucket)
			}
		}
	}
	var list []bucketChange
	for _, name := range names {
		old, err := f.pick(name)
		new, err2 := g.pick(name)
		if err != nil && err2 != nil {
			return nil, err
		}
		changes, err := diffSets(f, g, old, new, name)
		if err != nil {
			return nil, err
		}
		list = append(list, changes...)
	}
	return list, nil
}

func diffSets(f, g *ruleFile, old, new ruleSet, name string) ([]bucketChange, error) {
	before, err := f.policy(old)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	after, err := g.policy(new)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	var list []bucketChange
	for _, c := range access.Diff(before, after) {
		list = append(list, bucketChange{name, c})
	}
	return list, nil
}

// changeJSON is a change for programs.
type changeJSON struct {
	Bucket  string            `json:"bucket,omitempty"`
	Kind    access.ChangeKind `json:"kind"`
	Who     string            `json:"who,omitempty"`
	Path    string            `json:"path,omitempty"`
	Actions string            `json:"actions,omitempty"`
	Subject string            `json:"subject,omitempty"`
	Key     string            `json:"key,omitempty"`
	Before  *decisionJSON     `json:"before,omitempty"`
	After   *decisionJSON     `json:"after,omitempty"`
	From    string            `json:"from,omitempty"`
	To      string            `json:"to,omitempty"`
}

func (c *bucketChange) json() changeJSON {
	j := changeJSON{Bucket: c.bucket, Kind: c.Kind, From: c.From, To: c.To}
	if c.Kind != access.Setting {
		before, after := decisionOf(c.Before), decisionOf(c.After)
		j.Who, j.Path, j.Actions, j.Subject, j.Key = c.Who, c.Path, c.Actions.String(), c.Subject.String(), c.Key
		j.Before, j.After = &before, &after
	}
	return j
}

// grantJSON is what a rule gives, for programs.
type grantJSON struct {
	Who      string   `json:"who"`
	Actions  string   `json:"actions"`
	Path     string   `json:"path"`
	Own      bool     `json:"own,omitempty"`
	Except   []string `json:"except,omitempty"`
	Excepted int      `json:"excepted,omitempty"`
	Rule     string   `json:"rule"`
	Pos      string   `json:"pos,omitempty"`
	Alike    int      `json:"alike,omitempty"`
}

// alike is how many grants that are alike become one line.
const alike = 5

// printGrants prints grants as a table. Without all, those that are alike are one line.
func (a *app) printGrants(list []access.Grant, all bool) error {
	if !all {
		list = access.Summary(list, alike)
	}
	if a.json {
		out := []grantJSON{}
		for _, g := range list {
			out = append(out, grantJSON{g.Who, g.Actions.String(), g.Path, g.Own, g.Except, g.Excepted, g.Rule.String(), g.Rule.Pos, g.Alike})
		}
		return a.printJSON(out)
	}
	if len(list) == 0 && !a.quiet {
		_, err := fmt.Fprintln(a.stdout, "nobody, nowhere")
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, g := range list {
		var notes []string
		if g.Excepted > 0 {
			except := "except " + strings.Join(g.Except, ", ")
			if more := g.Excepted - len(g.Except); more > 0 {
				except += fmt.Sprintf(" and %d more", more)
			}
			notes = append(notes, except)
		}
		if g.Alike > 0 {
			notes = append(notes, fmt.Sprintf("and %d more alike", g.Alike))
		}
		if g.Rule.Pos != "" {
			notes = append(notes, "("+g.Rule.Pos+")")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(g.Who), g.Actions, printable(g.Path), printable(strings.Join(notes, "  ")))
	}
	return w.Flush()
}

func (a *app) rulesWhoCan(f *ruleFlags) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "who-can ACTIONS [PATTERN]",
		Short: "Show who may do something below a path",
		Long: `Who-can shows each role that may do any of the actions, where below the pattern, and
the rule that says so. A pattern is a path such as docs/*, or one key; without one it
is everything. What a role may is what the rules give to it by itself: a user has the
rights of all their roles.`,
		Example: "  cubby rules who-can write 'admin/*'\n  cubby rules who-can read,delete",
		Args:    args(1, 2, "the actions, and a pattern if you like"),
		RunE: func(c *cobra.Command, args []string) error {
			p, _, _, err := a.policyOf(f)
			if err != nil {
				return err
			}
			actions, err := access.ParseAction(args[0])
			if err != nil {
				return usage(c, err)
			}
			list, err := p.WhoCan(actions, strings.Join(args[1:], ""))
			if err != nil {
				return usage(c, err)
			}
			return a.printGrants(list, all)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "show every path, also those that are like another")
	return c
}

func (a *app) rulesWhatCan(f *ruleFlags) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "what-can ROLE",
		Short: "Show what somebody may do, path by path",
		Long: `What-can shows what a role may do: guest, authenticated, owner, group:NAME or
function:NAME. For authenticated it shows what users may do in folders of their own,
too, and for a group what its members may do besides.`,
		Example: "  cubby rules what-can guest\n  cubby rules what-can group:editors",
		Args:    args(1, 1, "a role"),
		RunE: func(c *cobra.Command, args []string) error {
			p, _, _, err := a.policyOf(f)
			if err != nil {
				return err
			}
			list, err := p.WhatCan(args[0])
			if err != nil {
				return usage(c, err)
			}
			return a.printGrants(list, all)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "show every path, also those that are like another")
	return c
}
