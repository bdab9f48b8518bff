package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/server"
)

func (a *app) backup() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:     "backup DEST",
		GroupID: "server",
		Short:   "Make a backup of the data of a server on this machine",
		Long: `Backup makes a copy of the data directory DIR in the directory DEST, which must be
empty or not be there, while no server runs on it: objects, users and keys of
operators, settings, and tests of the rules.

The keys file is never part of it, nor are the files of tls_cert and tls_key: keep
those apart. On the same file system files are linked, so take DEST to another disk.

DEST is a backup as soon as it has a backup.json. If something is wrong with the
objects the backup is made, and the exit code is 1.`,
		Example: "  cubby backup /mnt/backup/monday --data /var/lib/cubby",
		Args:    args(1, 1, "the directory for the backup"),
		RunE: func(c *cobra.Command, args []string) error {
			info, err := server.Backup(c.Context(), data, args[0])
			if err != nil {
				return stopFirst(err)
			}
			if a.json {
				err = a.printJSON(info)
			} else {
				a.printFindings(info.Findings)
				err = a.confirm(nil, "backed up %d objects, %s; the keys file is not among it, keep a copy of it elsewhere", info.Objects, size(info.Bytes))
			}
			if err == nil && len(info.Findings) > 0 {
				err = &answer{failed}
			}
			return err
		},
	}
	dataFlag(c, &data)
	return c
}

func (a *app) restore() *cobra.Command {
	var data string
	var opts server.RestoreOptions
	c := &cobra.Command{
		Use:     "restore SRC",
		GroupID: "server",
		Short:   "Make a data directory of a backup",
		Long: `Restore copies the backup in the directory SRC to DIR, which must be empty or not be
there. It reads all objects of the copy and compares them with their entity tags. DIR
is there whole or not at all: an incomplete backup is refused, and so is a damaged
one without --damaged.

Put the server's keys file back, too, before the server starts: by default it is
DIR.keys.`,
		Example: "  cubby restore /mnt/backup/monday --data /var/lib/cubby",
		Args:    args(1, 1, "the directory of the backup"),
		RunE: func(c *cobra.Command, args []string) error {
			bar := a.progress("objects", -1)
			opts.Progress = bar.set
			d, err := server.Restore(c.Context(), args[0], data, &opts)
			bar.end()
			if errors.Is(err, server.ErrDamaged) && d != nil {
				a.printFindings(d.Findings)
				err = &hinted{err, "--damaged restores what there is."}
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(d)
			}
			a.printFindings(d.Findings)
			return a.confirm(nil, "restored %d objects, %s; the keys file belongs at %s unless the settings name another", d.Objects, size(d.Bytes), filepath.Clean(data)+".keys")
		},
	}
	dataFlag(c, &data)
	c.Flags().BoolVar(&opts.Damaged, "damaged", false, "restore what there is where there is damage")
	return c
}

// printFindings prints a line for each finding, unless with --json.
func (a *app) printFindings(findings []server.Finding) {
	if a.json {
		return
	}
	for _, f := range findings {
		fmt.Fprintln(a.stdout, describeFinding(&f))
	}
}
