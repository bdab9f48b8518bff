package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/server"
)

func (a *app) dev() *cobra.Command {
	var f serverFlags
	var once, expose bool
	c := &cobra.Command{
		Use:     "dev",
		GroupID: "server",
		Short:   "Try it: a locked server on this machine, with two users",
		Long: `Dev starts a server with an embedded store, the bucket media, and the users alice
and bob, whose new passwords it prints. Bob is in the group admin. Then it shows
what the rules allow: alice uploads a private file and gets a link to it, and bob
is denied.

The server listens on ` + server.DefaultListen + ` and answers only names of this machine. Its data
and its rules, in cubby.yaml, are in DIR; "cubby serve --data DIR" starts the same
server without dev mode. amplify_outputs.json is there, too. Rules that are changed
take effect within a second.`,
		Example: "  cubby dev\n  cubby dev --once\n  cubby dev --json --listen 127.0.0.1:0 --data DIR",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			// With --once, only a directory that was asked for is kept.
			if once && !c.Flags().Changed("data") {
				f.data = ""
			}
			return a.runDev(c, &f, once, expose)
		},
	}
	f.add(c.Flags(), defaultData)
	c.Flags().BoolVar(&once, "once", false, "show it and end, over a store that is thrown away unless --data is set")
	c.Flags().BoolVar(&expose, "expose", false, "allow addresses that other machines reach, by a --host")
	return c
}

func (a *app) runDev(c *cobra.Command, f *serverFlags, once, expose bool) (err error) {
	ctx := c.Context()
	signals := catchHangups()
	defer signal.Stop(signals)
	if f.data == "" {
		tmp, err := os.MkdirTemp("", "cubby")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		f.data = filepath.Join(tmp, "data")
		if f.listen == "" && f.listenTLS == "" {
			f.listen = "127.0.0.1:0"
		}
	}
	cfg, listeners, err := f.settings(func(cfg *server.Config) error {
		err := cmp.Or(loopback(cfg.Listen), loopback(cfg.ListenTLS))
		if err == nil || expose {
			return nil
		}
		return usage(c, err)
	})
	if err != nil {
		return err
	}
	defer func() { listeners.Close() }()

	var level slog.LevelVar
	level.Set(slog.LevelWarn) // what is denied while it is shown is no news
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: &level}))
	var seen decisions
	srv, err := server.Open(ctx, cfg, &server.Options{Log: log, Dev: true, OnDecision: seen.add})
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, srv.Close()) }()
	users, err := devUsers(ctx, srv)
	if err != nil {
		return err
	}
	if len(listeners.All) == 0 {
		if listeners, err = cfg.OpenListeners(); err != nil {
			listeners = new(server.Listeners)
			return err
		}
	}
	ctx, release := a.hangup(ctx, signals, srv)
	defer release()
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(serving, listeners.All...) }()
	defer func() {
		stop()
		err = cmp.Or(err, <-served)
	}()
	if err := srv.WriteOutputs(ctx, cfg.PublicURL(listeners)); err != nil {
		return err
	}
	out := a.stdout
	if a.json {
		// Scripts on this machine need trust no certificate if there is HTTP.
		d, err := describe(ctx, srv, listeners, listeners.Any(), cfg.Data)
		if err != nil {
			return err
		}
		d.Users = users
		if err := a.printReady(d); err != nil {
			return err
		}
		out = io.Discard
	}
	fmt.Fprintf(out, "Cubby serves %s\n", strings.Join(strings.Fields(listeners.URL+" "+listeners.URLTLS), " and "))
	fmt.Fprintf(out, "Data and rules are in %s\n\n", cfg.Data)
	for _, u := range users {
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("  %-5s  password %s  %s", u.Username, u.Password, inGroups(u.Groups)), " "))
	}
	fmt.Fprintln(out)
	// Over HTTPS alone there is no client here that trusts the certificate, and a
	// script that waits for the server wants to find it as it was.
	if listeners.URL != "" && (once || !a.json) {
		err := show(ctx, out, srv, listeners.URL, users, &seen)
		if ctx.Err() == nil && err != nil {
			// What class it would be of elsewhere says nothing here.
			err = &hinted{fmt.Errorf("the demonstration went wrong: %s", plain(err)), "Has " + filepath.Join(cfg.Data, server.ConfigFile) + " been changed?"}
		}
		if once {
			if err == nil {
				fmt.Fprintln(out, "All as it must be.")
			}
			return err
		}
		if err != nil && ctx.Err() == nil {
			a.tell(ctx, err) // whoever tries rules of their own wants the server all the same
		}
	} else if once {
		return usage(c, errors.New("--once shows it over HTTP: add --listen"))
	}
	level.Set(slog.LevelInfo)
	fmt.Fprint(out, a.welcome(cmp.Or(listeners.URL, listeners.URLTLS)))
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		served <- nil
		return err
	}
}

func inGroups(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "group " + strings.Join(names, ", ")
}

// welcome says how to go on with the server at the URL.
func (a *app) welcome(url string) string {
	at := ""
	if known, err := a.server(); err != nil || known != url {
		at = " --endpoint " + url
	}
	return fmt.Sprintf(`In another terminal:

  cubby login alice%s
  cubby put FILE private:NAME
  cubby ls private:
  cubby url private:NAME

Ctrl-C ends the server.
`, at)
}

// loopback refuses an address that other machines reach.
func loopback(addr string) error {
	if addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines, and dev mode prints passwords: add --expose, or use \"cubby serve\"", addr)
}

// devUsers makes alice and bob, or gives them new passwords.
func devUsers(ctx context.Context, srv *server.Server) ([]password, error) {
	users := []password{{Username: "alice", Groups: []string{}}, {Username: "bob", Groups: []string{"admin"}}}
	for i := range users {
		u := &users[i]
		u.Password = newPassword()
		_, err := srv.AddUser(ctx, server.NewUser{Name: u.Username, Password: u.Password, Groups: u.Groups, Dev: true})
		if errors.Is(err, fs.ErrExist) {
			err = renew(ctx, srv, u)
		}
		if err != nil {
			return nil, err
		}
	}
	return users, nil
}

// renew gives a user that dev mode made before another password. It leaves
// everybody else alone.
func renew(ctx context.Context, srv *server.Server, u *password) error {
	all, err := srv.Users(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(known server.User) bool { return known.Name == u.Username })
	switch {
	case i < 0:
		return &hinted{fmt.Errorf("%s was deleted here, and nobody can have the name again", u.Username), "--data DIR takes another directory."}
	case !all[i].Dev:
		return &hinted{fmt.Errorf("%s is a user here whom dev mode did not make", u.Username), `--data DIR takes another directory, "cubby serve" runs this one.`}
	}
	return srv.SetPassword(ctx, u.Username, u.Password)
}

// decisions remembers the last answer of the rules about each key.
type decisions struct {
	mu   sync.Mutex
	last map[string]server.Decision
}

func (d *decisions) add(s server.Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.last) > 1000 || d.last == nil {
		d.last = map[string]server.Decision{}
	}
	d.last[s.Key] = s
}

func (d *decisions) of(key string) server.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last[key]
}

// show does over HTTP what an app would do, and fails if anything is not as it
// must be.
func show(ctx context.Context, w io.Writer, srv *server.Server, base string, users []password, seen *decisions) error {
	out, err := srv.Outputs(ctx, base)
	if err != nil {
		return err
	}
	as := func(u password) (*cubby.Client, *cubby.Session, error) {
		c, err := cubby.New(cubby.Config{Outputs: out})
		if err != nil {
			return nil, nil, err
		}
		s, err := c.SignIn(ctx, u.Username, u.Password)
		return c, s, err
	}
	alice, session, err := as(users[0])
	if err != nil {
		return err
	}
	const name = "hello.txt"
	content := []byte("Only alice may read this.\n")
	key := "private/" + session.IdentityID + "/" + name
	if _, err := alice.Upload(ctx, cubby.Key(name, cubby.Private), bytes.NewReader(content), nil); err != nil {
		return err
	}
	d := seen.of(key)
	if !d.Allowed || d.Rule == nil {
		return errors.New("alice's upload was not asked about")
	}
	fmt.Fprintf(w, "alice uploads  %s\n   allowed by  %s\n", key, at(d.Rule, d.Rule.Pos))

	link, _, err := alice.URL(ctx, cubby.Key(name, cubby.Private), nil)
	if err != nil {
		return err
	}
	if err := fetch(ctx, link.String(), content); err != nil {
		return err
	}
	fmt.Fprintf(w, "         link  %s\n\n", link)

	bob, _, err := as(users[1])
	if err != nil {
		return err
	}
	_, err = bob.Download(ctx, cubby.At(key), io.Discard, nil)
	switch {
	case err == nil:
		return errors.New("bob could read what is private to alice")
	case !errors.Is(err, fs.ErrPermission):
		return err
	}
	fmt.Fprintf(w, "bob downloads  %s\n", key)
	if d = seen.of(key); d.Nearest == nil {
		fmt.Fprintf(w, "       denied  no rule lets anybody %s there\n\n", d.Action)
	} else {
		fmt.Fprintf(w, "       denied  nothing lets bob %s there; the nearest rule is for %s:\n", d.Action, whom(d.Nearest.Who))
		fmt.Fprintf(w, "               %s\n\n", at(d.Nearest, d.Nearest.Pos))
	}
	return nil
}

// at returns a rule and where it stands.
func at(rule fmt.Stringer, pos string) string {
	return fmt.Sprintf("%s  (%s)", rule, pos)
}

// whom says in words who a rule is for.
func whom(who string) string {
	switch who {
	case "owner", "entityidentity":
		return "the owner"
	case "guest":
		return "guests"
	case "authenticated":
		return "users"
	}
	return "the group " + strings.TrimPrefix(strings.TrimPrefix(who, "group:"), "groups")
}

// fetch gets a link as anybody would, and compares what it yields.
func fetch(ctx context.Context, link string, want []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
		return fmt.Errorf("the link answered %s with other bytes than were uploaded", resp.Status)
	}
	return nil
}
