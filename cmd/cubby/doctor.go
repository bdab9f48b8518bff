package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/server"
)

func (a *app) doctor() *cobra.Command {
	var data string
	var opts server.DiagnoseOptions
	var rate int64
	c := &cobra.Command{
		Use:     "doctor",
		GroupID: "server",
		Short:   "Look for damage in the data of a server on this machine",
		Long: `Doctor looks at the data directory DIR: whether the settings and rules are good and
their tests pass, whether others can read the keys file, and whether state.db and the
objects are whole.

While a server runs on the directory it does that by itself, and goes on meanwhile.
Doctor asks it if AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are an operator's key,
and --endpoint is the URL of the server.

With --content it reads all objects and compares them with their entity tags. With
--repair it removes files and rows that nothing refers to, and makes wrong counts
and indexes anew. Objects whose content is gone or damaged it only names: they are
yours to restore or to delete.

The exit code is 0 if all is well, or mended now, and 1 if not.`,
		Example: "  cubby doctor --data /var/lib/cubby --content",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if rate < 0 {
				return usage(c, errors.New("--rate is below 0"))
			}
			opts.Rate = rate << 20
			return a.runDoctor(c, data, &opts)
		},
	}
	dataFlag(c, &data)
	c.Flags().BoolVar(&opts.Content, "content", false, "read all objects")
	c.Flags().BoolVar(&opts.Repair, "repair", false, "mend what can be mended without loss")
	c.Flags().Int64Var(&rate, "rate", 0, "with --content, `MIB` to read in a second at most")
	return c
}

func (a *app) runDoctor(c *cobra.Command, data string, opts *server.DiagnoseOptions) error {
	bar := a.progress("objects", -1)
	opts.Progress = bar.set
	d, err := server.Diagnose(c.Context(), data, opts)
	if ask, why := a.askRunning(c.Context(), data, err); ask {
		query := url.Values{
			"content": {strconv.FormatBool(opts.Content)}, "repair": {strconv.FormatBool(opts.Repair)}, "rate": {strconv.FormatInt(opts.Rate>>20, 10)},
		}
		d, err = haveDone[server.Diagnosis](c.Context(), a, "doctor", query, bar.set)
	} else {
		err = why
	}
	bar.end()
	if err != nil {
		return err
	}
	bad := 0
	for _, f := range d.Findings {
		if !f.Mended {
			bad++
		}
	}
	if a.json {
		err = a.printJSON(struct {
			Healthy bool `json:"healthy"`
			*server.Diagnosis
		}{bad == 0, d})
	} else {
		a.printDiagnosis(d, bad)
	}
	if err == nil && bad > 0 {
		err = &answer{failed}
	}
	return err
}

// describeFinding returns a finding on one line.
func describeFinding(f *server.Finding) string {
	about := f.Where
	if f.Kind != "" {
		about += ": " + string(f.Kind)
	}
	if name := strings.Trim(f.Bucket+"//"+f.Key, "/"); name != "" {
		about += ": " + name
	}
	if f.Blob != "" {
		about += " (" + f.Blob + ")"
	}
	note := ""
	if f.Mended {
		note = " [mended]"
	}
	return printable(about + ": " + strings.ReplaceAll(f.Text, "\n", "; ") + note)
}

// printDiagnosis prints a line for each finding, and one for all.
func (a *app) printDiagnosis(d *server.Diagnosis, bad int) {
	a.printFindings(d.Findings)
	mendable := 0
	for _, f := range d.Findings {
		if f.Mendable && !f.Mended {
			mendable++
		}
	}
	if a.quiet {
		return
	}
	switch {
	case bad > 0:
		fmt.Fprintf(a.stdout, "%d findings, %d of which --repair mends\n", bad, mendable)
	default:
		fmt.Fprintf(a.stdout, "healthy: %d objects, %s\n", d.Objects, size(d.Bytes))
	}
}
