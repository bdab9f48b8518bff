package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
it is made: one bucket, media, with public, protected and private folders.

Users are added with "cubby users add", keys for S3 tools with "cubby keys add".`,
		Args: args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.runServe(c.Context(), &f) },
	}
	f.add(c.Flags(), defaultData)
	return c
}

func (a *app) runServe(ctx context.Context, f *serverFlags) (err error) {
	cfg, err := a.config(f.data)
	if err != nil {
		return err
	}
	if err := f.apply(cfg); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	srv, err := server.Open(ctx, cfg, &server.Options{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, srv.Close()) }()
	listeners, err := cfg.OpenListeners()
	if err != nil {
		return err
	}
	for _, w := range srv.Warnings() {
		log.Warn("rules", "warning", w)
	}
	if names, err := srv.DevUsers(ctx); err == nil && len(names) > 0 {
		log.Warn("users that dev mode made can sign in; remove them with: cubby users delete NAME", "users", strings.Join(names, ","))
	}
	if err := srv.WriteOutputs(ctx, listeners.Any()); err != nil {
		log.Warn("amplify_outputs.json", "error", err)
	}
	d, err := describe(ctx, srv, listeners, cfg, nil)
	if err == nil && a.json {
		err = a.printReady(d)
	}
	if err != nil {
		for _, l := range listeners.All {
			l.Close()
		}
		return err
	}
	if !a.json && !a.quiet {
		for u := range strings.FieldsSeq(listeners.URL + " " + listeners.URLTLS) {
			fmt.Fprintln(a.stderr, "cubby: serving", u)
		}
	}
	return srv.Serve(ctx, listeners.All...)
}

// config reads the settings in the data directory, where it first writes those to
// begin with if there are none.
func (a *app) config(data string) (*server.Config, error) {
	cfg, err := server.ReadConfig(data)
	if !errors.Is(err, fs.ErrNotExist) {
		return cfg, err
	}
	cfg = server.Starter()
	cfg.Data = data
	if err := server.WriteConfig(cfg); err != nil {
		return nil, err
	}
	return server.ReadConfig(data) // now each rule knows its line
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

func describe(ctx context.Context, srv *server.Server, l *server.Listeners, cfg *server.Config, users []password) (*ready, error) {
	out, err := srv.Outputs(ctx, l.Any())
	if err != nil {
		return nil, err
	}
	data, err := filepath.Abs(cfg.Data)
	if err != nil {
		return nil, err
	}
	return &ready{
		Endpoint: l.URL, EndpointTLS: l.URLTLS,
		S3Endpoint: l.Any(), IdentityPoolEndpoint: l.Any(), UserPoolEndpoint: l.Any(),
		Region: out.Storage.Region, Bucket: out.Storage.Bucket,
		IdentityPoolID: out.Auth.IdentityPoolID, UserPoolID: out.Auth.UserPoolID, UserPoolClientID: out.Auth.UserPoolClientID,
		Users: users, Data: data,
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
