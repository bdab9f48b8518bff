package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cubby-storage/cubby/server"
)

func (a *app) users() *cobra.Command {
	var data string
	c := group(&cobra.Command{
		Use:     "users",
		GroupID: "server",
		Short:   "Manage the users of a server on this machine",
		Long: `Users manages the built-in user directory of the server whose data directory is
DIR. It works while the server runs, too.`,
	})
	dataFlag(c, &data)

	var n server.NewUser
	var fromStdin bool
	add := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a user",
		Long:    "Add adds a user. Without --password-stdin or CUBBY_PASSWORD it makes a password and\nprints it.",
		Example: "  cubby users add carol --group admin --group staff",
		Args:    args(1, 1, "the name of the user"),
		RunE: a.manage(&data, func(c *cobra.Command, admin *server.Admin, args []string) (err error) {
			n.Name = args[0]
			var made bool
			if n.Password, made, err = a.givenPassword(c, fromStdin); err != nil {
				return err
			}
			u, err := admin.AddUser(c.Context(), n)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(struct {
					*server.User
					Password string `json:"password,omitempty"`
				}{u, map[bool]string{true: n.Password}[made]})
			}
			fmt.Fprintf(a.stdout, "added %s\n", u.Name)
			if made {
				fmt.Fprintf(a.stdout, "password %s\n", n.Password)
			}
			return nil
		}),
	}
	add.Flags().StringArrayVar(&n.Groups, "group", nil, "a group that the user is in; may be repeated")
	add.Flags().StringVar(&n.Email, "email", "", "e-mail address")
	add.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")

	list := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  args(0, 0, "no arguments"),
		RunE: a.manage(&data, func(c *cobra.Command, admin *server.Admin, _ []string) error {
			users, err := admin.Users(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(users)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for _, u := range users {
				var notes []string
				if u.Disabled {
					notes = append(notes, "disabled")
				}
				if u.Dev {
					notes = append(notes, "dev")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, u.Sub, strings.Join(u.Groups, ","), strings.Join(notes, ","))
			}
			return w.Flush()
		}),
	}

	var renewFromStdin bool
	renew := &cobra.Command{
		Use:   "password NAME",
		Short: "Give a user another password, and end their sessions",
		Long: `Password gives a user another password. On a terminal it asks for it. Otherwise,
without --password-stdin or CUBBY_PASSWORD, it makes one and prints it.`,
		Args: args(1, 1, "the name of the user"),
		RunE: a.manage(&data, func(c *cobra.Command, admin *server.Admin, args []string) (err error) {
			var text string
			made := false
			if _, ok := terminal(a.stdin); ok && !renewFromStdin {
				text, err = a.password(c, args[0], false)
			} else {
				text, made, err = a.givenPassword(c, renewFromStdin)
			}
			if err != nil {
				return err
			}
			if err := admin.SetPassword(c.Context(), args[0], text); err != nil {
				return err
			}
			if a.json {
				told := map[string]string{"username": args[0]}
				if made {
					told["password"] = text
				}
				return a.printJSON(told)
			}
			if made {
				fmt.Fprintf(a.stdout, "password %s\n", text)
				return nil
			}
			return a.confirm(nil, "changed the password of %s", args[0])
		}),
	}
	renew.Flags().BoolVar(&renewFromStdin, "password-stdin", false, "read the password from standard input")

	change := func(verb, past, short string, do func(*server.Admin, context.Context, string) error) *cobra.Command {
		return &cobra.Command{
			Use: verb + " NAME", Short: short, Args: args(1, 1, "the name of the user"),
			RunE: a.manage(&data, func(c *cobra.Command, admin *server.Admin, args []string) error {
				if err := do(admin, c.Context(), args[0]); err != nil {
					return err
				}
				return a.confirm(map[string]any{"username": args[0], past: true}, "%s %s", past, args[0])
			}),
		}
	}
	c.AddCommand(add, list, renew,
		change("disable", "disabled", "End a user's sessions, and let them sign in no more", (*server.Admin).DisableUser),
		change("enable", "enabled", "Let a user who was disabled sign in again", (*server.Admin).EnableUser),
		change("delete", "deleted", "Remove a user; nobody else can ever have the name", (*server.Admin).DeleteUser),
	)
	return c
}

func (a *app) keys() *cobra.Command {
	var data string
	c := group(&cobra.Command{
		Use:     "keys",
		GroupID: "server",
		Short:   "Manage the long-lived keys of a server on this machine",
		Long: `Keys manages long-lived S3 access keys. Those of operators may do everything: they
are for backups, for tools, and to make buckets. Those of functions, programs of
your own, may do what the rules for them say. It works while the server runs, too.`,
	})
	dataFlag(c, &data)
	var function string
	add := &cobra.Command{
		Use:   "add [NAME]",
		Short: "Make an operator key, or one of a function, and print it",
		Long: `Add makes an operator key. With --function it makes a key with which a program
may do what the rules for function:F say, and nothing else. NAME is for you to know
the key by. The secret is shown only now.`,
		Example: "  cubby keys add backup\n  cubby keys add --function resize worker-1",
		Args:    args(0, 1, "at most a name for the key"),
		RunE: a.manage(&data, func(c *cobra.Command, admin *server.Admin, args []string) error {
			name := strings.Join(args, "")
			var k *server.Key
			var err error
			if c.Flags().Changed("function") {
				k, err = admin.AddFunctionKey(c.Context(), name, function)
			} else {
				k, err = admin.AddKey(c.Context(), name)
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(k)
			}
			fmt.Fprintf(a.stdout, "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", k.ID, k.Secret)
			return nil
		}),
	}
	add.Flags().StringVar(&function, "function", "", "make a key of this function, as rules name it, not an operator's")
	list := &cobra.Command{
		Use:   "list",
		Short: "List the keys, without their secrets",
		Args:  args(0, 0, "no arguments"),
		RunE: a.manage(&data, func(c *cobra.Command, admin *server.Admin, _ []string) error {
			keys, err := admin.Keys(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(keys)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for _, k := range keys {
				status, who := "good", "operator"
				if k.Revoked {
					status = "revoked"
				}
				if k.Function != "" {
					who = "function:" + k.Function
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Created.Format("2006-01-02 15:04"), who, status, k.Name)
			}
			return w.Flush()
		}),
	}
	revoke := &cobra.Command{
		Use:   "revoke ID",
		Short: "Make a key worthless",
		Args:  args(1, 1, "the access key id"),
		RunE: a.manage(&data, func(c *cobra.Command, admin *server.Admin, args []string) error {
			if err := admin.RevokeKey(c.Context(), args[0]); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					err = fmt.Errorf("there is no key %s: %w", args[0], fs.ErrNotExist)
				}
				return err
			}
			return a.confirm(map[string]any{"access_key_id": args[0], "revoked": true}, "revoked %s", args[0])
		}),
	}
	c.AddCommand(add, list, revoke)
	return c
}

// manage returns what a command does that is about the server in the directory
// that data points to by then.
func (a *app) manage(data *string, do func(*cobra.Command, *server.Admin, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		admin, err := a.openAdmin(c.Context(), *data)
		if err != nil {
			return err
		}
		defer func() { err = cmp.Or(err, admin.Close()) }()
		return do(c, admin, args)
	}
}

// givenPassword returns the password for a user: from standard input, from
// CUBBY_PASSWORD, or a new one, which is made then.
func (a *app) givenPassword(c *cobra.Command, fromStdin bool) (text string, made bool, err error) {
	if fromStdin {
		text, err = readPassword(c, a.input(c.Context()))
		return text, false, err
	}
	if text = a.getenv("CUBBY_PASSWORD"); text != "" {
		return text, false, nil
	}
	return newPassword(), true, nil
}

// newPassword returns a random password that is easy to type.
func newPassword() string { return strings.ToLower(rand.Text()[:20]) }

// readPassword reads one line, without its end.
func readPassword(c *cobra.Command, r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usage(c, errors.New("there is no password on standard input"))
	}
	return line, nil
}

// input returns standard input as a reader that also ends when ctx does, while
// it waits for more.
func (a *app) input(ctx context.Context) io.Reader {
	if f, ok := a.stdin.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			return f // which does not wait
		}
	}
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, a.stdin)
		w.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { r.CloseWithError(ctx.Err()) })
	return r
}

// terminal returns the file descriptor of f if it is a terminal.
func terminal(f any) (int, bool) {
	file, ok := f.(*os.File)
	if !ok {
		return 0, false
	}
	return int(file.Fd()), term.IsTerminal(int(file.Fd()))
}
