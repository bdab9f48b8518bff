package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/access"
)

func (a *app) rulesDiff(f *ruleFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show who may do more or less under other rules",
		Long: `Diff compares what two sets of rules mean, not how they are written. OLD and NEW are
files with rules, or data directories. It shows every right that is gained or lost, with
an example. The exit code is 0 if nothing differs, and 1 if something does.`,
		Example: "  cubby rules diff .cubby new.yaml",
		Args:    args(2, 2, "the old rules and the new ones"),
		RunE: func(c *cobra.Command, args []string) error {
			if f.file != "" {
				return usage(c, errors.New("diff has its files as arguments, not in --file"))
			}
			before, err := a.readRules(f, args[0])
			if err != nil {
				return err
			}
			after, err := a.readRules(f, args[1])
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
// bucket. Buckets are the same if their names or those in the service are; if both
// files have but one, it is that. A bucket that one of the files lacks has no rules there.
func (f *ruleFile) diff(g *ruleFile, bucket string) ([]bucketChange, error) {
	type pair struct{ old, new ruleSet }
	var pairs []pair
	if len(f.buckets) == 1 && len(g.buckets) == 1 && bucket == "" {
		pairs = []pair{{f.buckets[0], g.buckets[0]}}
	} else {
		for _, s := range f.buckets {
			pairs = append(pairs, pair{s, g.like(s)})
		}
		for _, s := range g.buckets {
			if f.like(s).bucket == "" {
				pairs = append(pairs, pair{ruleSet{}, s})
			}
		}
	}
	var list []bucketChange
	found := false
	for _, p := range pairs {
		name := cmp.Or(p.old.bucket, p.new.bucket)
		if bucket != "" && !p.old.is(bucket) && !p.new.is(bucket) {
			continue
		}
		found = true
		if len(pairs) == 1 {
			name = ""
		}
		changes, err := diffSets(f, g, p.old, p.new, name)
		if err != nil {
			return nil, err
		}
		list = append(list, changes...)
	}
	if !found {
		return nil, fmt.Errorf("neither %s nor %s has rules of a bucket %s: %w", f.name, g.name, bucket, fs.ErrNotExist)
	}
	return list, nil
}

// is reports whether the rules are those of the bucket called name.
func (s *ruleSet) is(name string) bool { return name != "" && (s.bucket == name || s.physical == name) }

// like returns the rules of the bucket that s is of; the zero value if there are none.
func (f *ruleFile) like(s ruleSet) ruleSet {
	for _, t := range f.buckets {
		if t.is(s.bucket) || t.is(s.physical) {
			return t
		}
	}
	return ruleSet{}
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
	Actions []string          `json:"actions,omitempty"`
	Subject string            `json:"subject,omitempty"`
	Key     string            `json:"key,omitempty"`
	Before  *decisionJSON     `json:"before,omitempty"`
	After   *decisionJSON     `json:"after,omitempty"`
	From    string            `json:"from,omitempty"`
	To      string            `json:"to,omitempty"`
}

func (c *bucketChange) json() changeJSON {
	j := changeJSON{Bucket: c.bucket, Kind: c.Kind, From: c.From, To: c.To}
	if c.Kind != access.Setting && c.Kind != access.More {
		before, after := decisionOf(c.Before), decisionOf(c.After)
		j.Who, j.Path, j.Actions, j.Subject, j.Key = c.Who, c.Path, actionNames(c.Actions), c.Subject.String(), c.Key
		j.Before, j.After = &before, &after
	}
	return j
}
