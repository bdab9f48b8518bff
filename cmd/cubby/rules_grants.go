package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/access"
)

// grantJSON is what a rule gives, for programs.
type grantJSON struct {
	Who      string   `json:"who"`
	Actions  []string `json:"actions"`
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
			out = append(out, grantJSON{g.Who, actionNames(g.Actions), g.Path, g.Own, g.Except, g.Excepted, g.Rule.String(), g.Rule.Pos, g.Alike})
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
