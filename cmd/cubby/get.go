package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby"
)

func (a *app) get() *cobra.Command {
	c := &cobra.Command{
		Use:     "get REMOTE [FILE]",
		GroupID: "files",
		Short:   "Download a file",
		Long: `Get downloads a file under its own name, or as FILE, or into the directory FILE. "-"
is standard output. A file that is there already is replaced when the new one is
complete, and stays as it is if that fails.`,
		Example: "  cubby get private:photo.jpg\n  cubby get protected/us-east-1:0f…/card.png card.png\n  cubby get private:backup.tar - | tar x",
		Args:    args(1, 2, "a remote name, and where to put the file"),
		RunE: func(c *cobra.Command, args []string) error {
			from, err := parseRemote(args[0])
			if err != nil {
				return usage(c, err)
			}
			toStdout := len(args) == 2 && args[1] == "-"
			var name string
			if !toStdout {
				if name, err = localName(from, args[1:]); err != nil {
					return usage(c, err)
				}
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			if toStdout {
				_, err := client.Download(c.Context(), from.location(), a.stdout, nil)
				return err
			}
			info, err := a.getOne(c, client, from, name)
			if err != nil {
				return err
			}
			return a.confirm(toJSON(info), "%s  %s", printable(name), size(info.Size))
		},
	}
	return c
}

// localName returns the file to download to: what was asked for, or a file in it
// or in the current directory that has the name of the remote one.
func localName(from remote, asked []string) (string, error) {
	dir := ""
	if len(asked) > 0 {
		dir = asked[0]
		st, err := os.Stat(dir)
		isDir := err == nil && st.IsDir()
		switch {
		case dir == "":
			return "", errors.New("the name of the FILE is empty")
		case !isDir && !os.IsPathSeparator(dir[len(dir)-1]):
			return dir, nil
		}
	}
	base, err := filepath.Localize(from.base())
	if err != nil || base == "." {
		return "", fmt.Errorf("%q has no name that a file here can have: say which FILE", from.base())
	}
	return filepath.Join(dir, base), nil
}

// getOne downloads into a file beside name, and puts it in place when it is complete.
func (a *app) getOne(c *cobra.Command, client *cubby.Client, from remote, name string) (_ *cubby.Info, err error) {
	bar := a.progress(filepath.Base(name), -1)
	defer bar.end()
	opts := &cubby.DownloadOptions{Progress: bar.set}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	mode := fs.FileMode(0o666) // less what the umask takes
	old, err := os.Stat(name)
	if err == nil && !old.Mode().IsRegular() { // a pipe or a device stays what it is
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		info, err := client.Download(c.Context(), from.location(), f, opts)
		return info, cmp.Or(err, f.Close())
	}
	if err == nil {
		mode = old.Mode().Perm()
	}
	f, err := os.OpenFile(filepath.Join(filepath.Dir(name), ".cubby-"+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			e.Path = filepath.Dir(name) // nobody asked for the file in it
		}
		return nil, err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	info, err := client.Download(c.Context(), from.location(), f, opts)
	if err != nil {
		return nil, err
	}
	if old != nil {
		if err := f.Chmod(mode); err != nil {
			return nil, err
		}
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return info, os.Rename(f.Name(), name)
}
