// Command cubby is file storage for apps: the server, and its command line.
//
//	cubby dev      try it: a locked server with two users
//	cubby serve    run a server
//	cubby put      upload, with get, ls, rm, cp, url, stat beside it
//
// "cubby help" has the rest.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// env is all that the program knows of the outside.
type env struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends what the first one did not
	os.Exit(run(ctx, &env{os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv}))
}

// app is one run of the program.
type app struct {
	*env
	json     bool   // --json
	quiet    bool   // --quiet
	endpoint string // --endpoint
	read     bool   // standard input was
}

// run runs the command in e.args, and returns its exit code.
func run(ctx context.Context, e *env) int {
	a := &app{env: e}
	root := a.root()
	root.SetArgs(e.args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return int(a.tell(ctx, err))
	}
	return int(done)
}

func (a *app) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "cubby",
		Short: "File storage for apps",
		Long: `Cubby is file storage for apps: every user gets public, protected and private
folders, and rules say who may get, list, write and delete what.

Begin with "cubby dev". It starts a server on this machine, with two users, and
shows what they may do. In another terminal:

  cubby login alice
  cubby put photo.jpg private:photo.jpg
  cubby ls private:
  cubby url private:photo.jpg

A remote name is LEVEL:KEY, where LEVEL is public (or guest), protected or
private, or a full path such as public/a.txt, in which {id} stands for your own
identity id. BUCKET//NAME means another bucket than the default one.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 there
already or changed meanwhile, 6 not signed in, 7 server not reached, 8 cannot be
decided, 130 interrupted. With --json, errors are JSON, too, on standard error.`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	})
	root.SetVersionTemplate("cubby {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err) })
	// A command with commands of its own does nothing by itself.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print JSON, for programs")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print no progress and no confirmation")
	f.StringVar(&a.endpoint, "endpoint", "", "`URL` of the server (default $CUBBY_ENDPOINT, else that\nof the last login, else "+defaultEndpoint+")")
	root.AddGroup(
		&cobra.Group{ID: "files", Title: "Files:"},
		&cobra.Group{ID: "session", Title: "Session:"},
		&cobra.Group{ID: "server", Title: "Server:"},
		&cobra.Group{ID: "program", Title: "Program:"},
	)
	root.SetHelpCommandGroupID("program")
	root.AddCommand(a.commands()...)
	return root
}

// commands is the table of commands.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.put(), a.get(), a.ls(), a.rm(), a.cp(), a.url(), a.stat(),
		a.login(), a.logout(), a.whoami(), a.credentials(),
		a.dev(), a.serve(), a.users(), a.keys(), a.rules(), a.why(), a.outputs(),
		a.trash(), a.doctor(), a.backup(), a.restore(),
		a.version(),
	}
}

// group makes c a command that only has commands of its own.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		err := fmt.Errorf("there is no command %q", c.CommandPath()+" "+args[0])
		if names := c.SuggestionsFor(args[0]); len(names) > 0 {
			err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(names, " or "))
		}
		return usage(c, err)
	}
	return c
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: "program",
		Short:   "Show the version of the program",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if a.json {
				return a.printJSON(map[string]string{"version": version()})
			}
			fmt.Fprintln(a.stdout, "cubby", version())
			return nil
		},
	}
}

// version is what the build knows of itself.
func version() string {
	v := "unknown"
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		v = b.Main.Version
	}
	return fmt.Sprintf("%s (%s, %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// printJSON prints v as one indented JSON value.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// confirm says that something was done: in words, or as v with --json.
func (a *app) confirm(v any, format string, args ...any) error {
	if a.json {
		return a.printJSON(v)
	}
	if !a.quiet {
		_, err := fmt.Fprintf(a.stdout, format+"\n", args...)
		return err
	}
	return nil
}

// warn tells of something that does not end the command.
func (a *app) warn(path, text string) {
	if a.json {
		enc := json.NewEncoder(a.stderr)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(map[string]string{"warning": text, "path": path})
		return
	}
	fmt.Fprintf(a.stderr, "cubby: warning: %s\n", printable(text))
}

// usage marks err as the fault of whoever typed the command.
func usage(c *cobra.Command, err error) error {
	return &usageError{c.CommandPath(), err}
}

// args returns a check for the number of arguments, which are named in the message.
func args(least, most int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usage(c, fmt.Errorf("%s takes %s", c.CommandPath(), names))
		}
		return nil
	}
}

// require makes flags required.
func require(c *cobra.Command, flags ...string) {
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		for _, name := range flags {
			if !c.Flags().Changed(name) {
				return usage(c, fmt.Errorf("%s needs --%s", c.CommandPath(), name))
			}
		}
		return nil
	}
}
