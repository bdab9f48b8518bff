package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/server"
)

func (a *app) trash() *cobra.Command {
	var bucket string
	c := group(&cobra.Command{
		Use:     "trash",
		GroupID: "server",
		Short:   "Have deleted and overwritten files back",
		Long: `Trash shows what was deleted or overwritten in a bucket whose settings say how long
that can be had back, such as "trash: 30d", and puts it back.

It asks with the operator key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which
"cubby keys add" makes. Keys are full paths, such as public/a.txt.`,
	})
	c.PersistentFlags().StringVar(&bucket, "bucket", "", "the `BUCKET` (default: that of clients that name none)")
	c.AddCommand(a.trashLs(&bucket), a.trashRestore(&bucket), a.trashEmpty(&bucket))
	return c
}

// trashOf returns the name of the document of the trash of a bucket.
func (a *app) trashOf(c *cobra.Command, bucket string) (string, error) {
	if bucket == "" {
		client, err := a.client(c.Context())
		if err != nil {
			return "", err
		}
		if bucket, _, err = client.Resolve(c.Context(), cubby.At("a")); err != nil {
			return "", err
		}
	}
	return "trash/" + url.PathEscape(bucket), nil
}

func (a *app) trashLs(bucket *string) *cobra.Command {
	return &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List what can be had back",
		Long: `Ls lists what can be had back, by key, and of each key the latest first: when it was
deleted or overwritten, its size, its id, and its key.`,
		Example: "  cubby trash ls public/",
		Args:    args(0, 1, "at most what the keys start with"),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := a.trashOf(c, *bucket)
			if err != nil {
				return err
			}
			all := server.Trash{Objects: []server.Trashed{}}
			query := url.Values{"prefix": {strings.Join(args, "")}}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for more := true; more; more = query.Get("after") != "" {
				var p server.Trash
				if err := a.askOperator(c.Context(), http.MethodGet, name, query, &p); err != nil {
					return err
				}
				query.Set("after", p.Next)
				all.Bucket = p.Bucket
				if a.json {
					all.Objects = append(all.Objects, p.Objects...)
					continue
				}
				for _, o := range p.Objects {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.Deleted.UTC().Format(time.RFC3339), size(o.Size), o.ID, printable(o.Key))
				}
				if err := w.Flush(); err != nil {
					return err
				}
			}
			if a.json {
				return a.printJSON(&all)
			}
			return nil
		},
	}
}

func (a *app) trashRestore(bucket *string) *cobra.Command {
	var id string
	var force bool
	c := &cobra.Command{
		Use:   "restore KEY",
		Short: "Put a file back",
		Long: `Restore puts back what was deleted or overwritten last, or with --id any other of
those that "cubby trash ls" shows. Where there is a file with that key, --force puts
it into the trash. In a bucket that keeps versions it takes away the delete marker
that hides the file.`,
		Example: "  cubby trash restore public/a.txt",
		Args:    args(1, 1, "the key of a file"),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := a.trashOf(c, *bucket)
			if err != nil {
				return err
			}
			var r server.Restored
			query := url.Values{"key": {args[0]}, "id": {id}, "force": {strconv.FormatBool(force)}}
			if err := a.askOperator(c.Context(), http.MethodPost, name+"/restore", query, &r); err != nil {
				return err
			}
			return a.confirm(&r, "restored %s, %s", printable(r.Key), size(r.Size))
		},
	}
	c.Flags().StringVar(&id, "id", "", "the `ID` of what is meant")
	c.Flags().BoolVar(&force, "force", false, "also where there is a file")
	return c
}

func (a *app) trashEmpty(bucket *string) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:     "empty PREFIX | --all",
		Short:   "Remove for good what could be had back",
		Long:    "Empty removes for good what is in the trash below PREFIX, or all of it.",
		Example: "  cubby trash empty private/old/\n  cubby trash empty --all --bucket media",
		Args:    args(0, 1, "what the keys start with, or --all"),
		RunE: func(c *cobra.Command, args []string) error {
			prefix := strings.Join(args, "")
			if all == (prefix != "") {
				return usage(c, fmt.Errorf("cubby trash empty takes either what the keys start with, or --all"))
			}
			name, err := a.trashOf(c, *bucket)
			if err != nil {
				return err
			}
			var e server.Emptied
			if err := a.askOperator(c.Context(), http.MethodPost, name+"/empty", url.Values{"prefix": {prefix}}, &e); err != nil {
				return err
			}
			return a.confirm(&e, "removed %d files for good, %s", e.Objects, size(e.Bytes))
		},
	}
	c.Flags().BoolVar(&all, "all", false, "remove all of it")
	return c
}
