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
		Use:     "backup [DEST]",
		GroupID: "server",
		Short:   "Make a backup of the data of a server",
		Long: `Backup makes a copy of the data directory DIR in the directory DEST, which must be
empty or not be there: objects, users and keys of operators, settings, and tests of
the rules.

While a server runs on the directory it makes the copy by itself, and goes on
meanwhile. Backup asks it if AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are an
operator's key, and --endpoint is the URL of the server. Where the copy goes is then
not for you to say: it is a new directory, which is printed, below the one that
"backups:" names in the settings of the server. So leave DEST out.

The keys file is never part of it, nor are the files of tls_cert and tls_key: keep
those apart. On the same file system files are linked, so take DEST to another disk.

DEST is a backup as soon as it has a backup.json. If something is wrong with the
objects the backup is made, and the exit code is 1.`,
		Example: "  cubby backup /mnt/backup/monday --data /var/lib/cubby\n  cubby backup --endpoint https://files.example.com",
		Args:    args(0, 1, "the directory for the backup, or none of a server that runs"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.runBackup(haveDone[server.MadeBackup](c.Context(), a, "backup", nil, nil))
			}
			info, err := server.Backup(c.Context(), data, args[0])
			if errors.Is(err, server.ErrRunning) {
				return &hinted{err, "Stop the server first. Or have it make the backup: leave DEST out."}
			}
			if err != nil {
				return err
			}
			return a.runBackup(&server.MadeBackup{Path: args[0], BackupInfo: *info}, nil)
		},
	}
	dataFlag(c, &data)
	return c
}

// runBackup tells of a backup that was made.
func (a *app) runBackup(made *server.MadeBackup, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(made)
	} else {
		a.printFindings(made.Findings)
		err = a.confirm(nil, "backed up %d objects, %s, to %s; the keys file is not among it, keep a copy of it elsewhere", made.Objects, size(made.Bytes), printable(made.Path))
	}
	if err == nil && len(made.Findings) > 0 {
		err = &answer{failed}
	}
	return err
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
