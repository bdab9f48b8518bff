package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/cubby-storage/cubby/server"
)

// defaultData is where a server keeps its data if nothing else is said.
const defaultData = ".cubby"

// serverFlags are the flags that serve and dev share. Set, they go before the settings.
type serverFlags struct {
	data, keys                         string
	listen, listenTLS, tlsCert, tlsKey string
	hosts                              []string
}

func (f *serverFlags) add(fs *pflag.FlagSet, data string) {
	fs.StringVar(&f.data, "data", data, "directory of the data and of cubby.yaml")
	fs.StringVar(&f.keys, "keys", "", "file of the server's keys, outside DIR (default DIR.keys)")
	fs.StringVar(&f.listen, "listen", "", "address for HTTP")
	fs.StringVar(&f.listenTLS, "listen-tls", "", "address for HTTPS")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "certificate for HTTPS, a PEM file")
	fs.StringVar(&f.tlsKey, "tls-key", "", "its key, a PEM file")
	fs.StringArrayVar(&f.hosts, "host", nil, "a name the server is reached by; may be repeated")
}

// apply puts the flags that are set into cfg. Files are relative to where the
// command was typed, not to the data directory.
func (f *serverFlags) apply(cfg *server.Config) error {
	if f.listen != "" || f.listenTLS != "" {
		cfg.Listen, cfg.ListenTLS = f.listen, f.listenTLS
	}
	for flag, setting := range map[*string]*string{&f.keys: &cfg.Keys, &f.tlsCert: &cfg.TLSCert, &f.tlsKey: &cfg.TLSKey} {
		if *flag == "" {
			continue
		}
		abs, err := filepath.Abs(*flag)
		if err != nil {
			return err
		}
		*setting = abs
	}
	cfg.Hosts = append(cfg.Hosts, f.hosts...)
	if cfg.Listen == "" && cfg.ListenTLS == "" {
		cfg.Listen = server.DefaultListen
	}
	return nil
}

func (a *app) serve() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:     "serve",
		GroupID: "server",
		Short:   "Run a server",
		Long: `Serve runs the server whose data directory is DIR, until it is interrupted. Its
settings and access rules are in DIR/cubby.yaml. Where there is no such file yet,
it is made: one bucket, media, with public, protected and private folders, and
what the flags say.

Rules that change in the file take effect within a second or so, or at once on
SIGHUP, without a restart. Rules that are wrong, or that the tests in DIR/rules.test
fail with, do not, and the log says why.

Users are added with "cubby users add", keys for S3 tools with "cubby keys add".`,
		Args: args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.runServe(c.Context(), &f) },
	}
	f.add(c.Flags(), defaultData)
	return c
}

func (a *app) runServe(ctx context.Context, f *serverFlags) (err error) {
	signals := catchHangups()
	defer signal.Stop(signals)
	cfg, listeners, err := f.settings(nil)
	if err != nil {
		return err
	}
	defer func() { listeners.Close() }()
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	srv, err := server.Open(ctx, cfg, &server.Options{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, srv.Close()) }()
	ctx, stop := a.hangup(ctx, signals, srv)
	defer stop()
	if len(listeners.All) == 0 {
		if listeners, err = cfg.OpenListeners(); err != nil {
			listeners = new(server.Listeners)
			return err
		}
	}
	for _, w := range srv.Warnings() {
		log.Warn("rules", "warning", w)
	}
	if names, err := srv.DevUsers(ctx); err == nil && len(names) > 0 {
		log.Warn("users that dev mode made can sign in; stop them with: cubby users disable --data "+f.data+" NAME", "users", strings.Join(names, ","))
	}
	if err := srv.WriteOutputs(ctx, cfg.PublicURL(listeners)); err != nil {
		log.Warn("amplify_outputs.json", "error", err)
	}
	d, err := describe(ctx, srv, listeners, cfg.PublicURL(listeners), cfg.Data)
	if err == nil && a.json {
		err = a.printReady(d)
	}
	if err != nil {
		return err
	}
	if !a.json && !a.quiet {
		for u := range strings.FieldsSeq(listeners.URL + " " + listeners.URLTLS) {
			fmt.Fprintln(a.stderr, "cubby: serving", u)
		}
	}
	return srv.Serve(ctx, listeners.All...)
}

// catchHangups returns the signals SIGHUP from now on, of which one may wait: they must
// not end a server that is not open yet, or that is closing.
func catchHangups() chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals
}

// hangup has srv read its settings again at each signal, until stop is called. If one
// comes because the terminal is gone, the context ends, as programs do then.
func (a *app) hangup(ctx context.Context, signals <-chan os.Signal, srv *server.Server) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	fd, ok := terminal(a.stdin)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if ok && !term.IsTerminal(fd) {
				cancel()
				return
			}
			_ = srv.Reload(ctx) // which logs what is wrong
		}
	})
	return ctx, func() {
		cancel()
		wg.Wait()
	}
}

// settings returns the settings in the data directory, with the flags put in. If
// there are none yet it makes the file, with the flags in it, so that the same server
// starts without them. It opens the listeners first then: what cannot be served must
// not be kept, and a port 0 becomes the one that it got. Else there are no listeners.
// A check that is not nil can refuse the settings before.
func (f *serverFlags) settings(check func(*server.Config) error) (*server.Config, *server.Listeners, error) {
	none := new(server.Listeners)
	cfg, err := server.ReadConfig(f.data)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		cfg, err = server.Starter(), nil
		cfg.Data = f.data
	}
	if err == nil {
		err = f.apply(cfg)
	}
	if err == nil && check != nil {
		err = check(cfg)
	}
	if err != nil || !made {
		return cfg, none, err
	}
	listeners, err := cfg.OpenListeners()
	if err != nil {
		return nil, none, err
	}
	cfg.Listen = withPort(cfg.Listen, listeners.URL)
	cfg.ListenTLS = withPort(cfg.ListenTLS, listeners.URLTLS)
	if err = server.WriteConfig(cfg); err == nil {
		cfg, err = server.ReadConfig(f.data) // now each rule knows its line
	}
	if err != nil {
		listeners.Close()
		return nil, none, err
	}
	return cfg, listeners, nil
}

// withPort returns the address with the port of the URL, if it leaves the port open.
func withPort(addr, at string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "0" && port != "" {
		return addr
	}
	u, err := url.Parse(at)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(host, u.Port())
}

// ready is what --json prints when a server answers.
type ready struct {
	Endpoint             string     `json:"endpoint,omitempty"`
	EndpointTLS          string     `json:"endpoint_tls,omitempty"`
	S3Endpoint           string     `json:"s3_endpoint"`
	IdentityPoolEndpoint string     `json:"identity_pool_endpoint"`
	UserPoolEndpoint     string     `json:"user_pool_endpoint"`
	Region               string     `json:"region"`
	Bucket               string     `json:"bucket"`
	IdentityPoolID       string     `json:"identity_pool_id"`
	UserPoolID           string     `json:"user_pool_id"`
	UserPoolClientID     string     `json:"user_pool_client_id"`
	Users                []password `json:"users,omitempty"`
	Data                 string     `json:"data"`
}

// printReady prints d on one line, so that a script which waits for the server can
// read lines.
func (a *app) printReady(d *ready) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(d)
}

// password is a user of dev mode with the password that was made for them.
type password struct {
	Username string   `json:"username"`
	Password string   `json:"password"`
	Groups   []string `json:"groups"`
}

// describe describes a server for clients that reach it at the URL base.
func describe(ctx context.Context, srv *server.Server, l *server.Listeners, base, dir string) (*ready, error) {
	out, err := srv.Outputs(ctx, base)
	if err != nil {
		return nil, err
	}
	data, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return &ready{
		Endpoint: l.URL, EndpointTLS: l.URLTLS,
		S3Endpoint: base, IdentityPoolEndpoint: base, UserPoolEndpoint: base,
		Region: out.Storage.Region, Bucket: out.Storage.Bucket,
		IdentityPoolID: out.Auth.IdentityPoolID, UserPoolID: out.Auth.UserPoolID, UserPoolClientID: out.Auth.UserPoolClientID,
		Data: data,
	}, nil
}

// openAdmin opens the users and keys of the server in f.data.
func (a *app) openAdmin(ctx context.Context, data string) (*server.Admin, error) {
	cfg, err := server.ReadConfig(data)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = &hinted{err, `"cubby serve" and "cubby dev" make one. --data DIR names another.`}
		}
		return nil, err
	}
	return server.OpenAdmin(ctx, cfg)
}

// dataFlag adds the flag for the data directory of a server on this machine.
func dataFlag(c *cobra.Command, data *string) {
	c.PersistentFlags().StringVar(data, "data", defaultData, "data directory of the server")
}
