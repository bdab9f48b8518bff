package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/server"
)

func (a *app) why() *cobra.Command {
	return &cobra.Command{
		Use:     "why REQUEST_ID",
		GroupID: "server",
		Short:   "Show why a request was denied",
		Long: `Why shows what the rules denied to a request: to whom, and which rule would have
allowed it. The id is in every answer of the server, and in the errors of this
program.

It asks with the operator key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which
"cubby keys add" makes. A server of "cubby dev" answers alice and bob, too. Servers
keep the last few thousand denials until they end; the log has them for longer.`,
		Example: "  cubby why 5F0C8E41D2A97B36",
		Args:    args(1, 1, "the id of a request"),
		RunE: func(c *cobra.Command, args []string) error {
			id := strings.ToUpper(args[0])
			if id == "" || strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' }) {
				return usage(c, fmt.Errorf("%q is not the id of a request", args[0]))
			}
			var d server.Denials
			err := a.askOperator(c.Context(), http.MethodGet, "why/"+id, nil, &d)
			if errors.Is(err, fs.ErrNotExist) {
				return &hinted{
					fmt.Errorf("no denial of the request %s is known: %w", id, fs.ErrNotExist),
					"Only recent denials by the rules are kept, until the server ends. Its log has older ones.",
				}
			} else if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(&d)
			}
			return a.printDenials(&d)
		},
	}
}

// printDenials prints d for people.
func (a *app) printDenials(d *server.Denials) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for i, n := range d.Denials {
		if i > 0 {
			fmt.Fprintln(w)
		}
		what := n.Action + " of " + n.Key + " in " + n.Bucket
		if n.Action == "" {
			what = "what only operators may do, to " + n.Bucket
		}
		who := n.Username
		switch {
		case n.Role != "guest" && n.Role != "authenticated":
			who = n.Role
		case who == "" && n.Role == "guest":
			who = "a guest"
		case who == "":
			who = "a user"
		}
		if n.Identity != "" {
			who += ", identity " + n.Identity
		}
		if len(n.Groups) > 0 {
			who += ", in " + strings.Join(n.Groups, ", ")
		}
		fmt.Fprintf(w, "denied\t%s\n", printable(what))
		fmt.Fprintf(w, "to\t%s\n", printable(who))
		fmt.Fprintf(w, "at\t%s\n", n.Time.UTC().Format(time.RFC3339))
		title := "because"
		for line := range strings.SplitSeq(n.Explanation, "\n") {
			fmt.Fprintf(w, "%s\t%s\n", title, printable(line))
			title = ""
		}
	}
	if d.Omitted > 0 {
		fmt.Fprintf(w, "\nand %d more\n", d.Omitted)
	}
	return w.Flush()
}
