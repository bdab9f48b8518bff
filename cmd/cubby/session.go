package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/server"
)

// configDir is where the program keeps its sessions.
func (a *app) configDir() (string, error) {
	if dir := a.getenv("CUBBY_CONFIG"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "cubby"), err
}

// server returns the URL of the server that the command is for.
func (a *app) server() (string, error) {
	s := a.endpoint
	if s == "" {
		s = a.getenv("CUBBY_ENDPOINT")
	}
	if s == "" {
		dir, err := a.configDir()
		if err != nil {
			return "", err
		}
		last, err := os.ReadFile(filepath.Join(dir, "endpoint"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		s = strings.TrimSpace(string(last))
	}
	if s == "" {
		s = defaultEndpoint
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", &usageError{"cubby", fmt.Errorf("endpoint %q is not a URL such as https://files.example.com", s)}
	}
	return strings.TrimRight(s, "/"), nil
}

// defaultEndpoint is where "cubby dev" and "cubby serve" listen if nothing else is said.
const defaultEndpoint = "http://" + server.DefaultListen

// sessionOf returns where the session with the server at endpoint is kept.
func (a *app) sessionOf(endpoint string) (*sessionFile, error) {
	dir, err := a.configDir()
	if err != nil {
		return nil, err
	}
	// Each server has a session of its own, under a name that any URL can have.
	sum := sha256.Sum256([]byte(endpoint))
	return &sessionFile{filepath.Join(dir, "sessions", hex.EncodeToString(sum[:8])+".json")}, nil
}

// signedIn returns the name of the user who is signed in, "" for a guest.
func (a *app) signedIn() string {
	endpoint, err := a.server()
	if err != nil {
		return ""
	}
	f, err := a.sessionOf(endpoint)
	if err != nil {
		return ""
	}
	s, err := f.Load(context.Background())
	if err != nil {
		return ""
	}
	return s.Username
}

// client returns a client of the server, with the session of the last login there.
func (a *app) client(ctx context.Context) (*cubby.Client, error) {
	endpoint, err := a.server()
	if err != nil {
		return nil, err
	}
	sessions, err := a.sessionOf(endpoint)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	out, err := cubby.Discover(limited, endpoint, nil)
	if err != nil {
		return nil, err
	}
	return cubby.New(cubby.Config{Outputs: out, Sessions: sessions})
}

// answerTime is how long a server may take to say what it is.
const answerTime = 30 * time.Second

// sessionFile keeps a session in a file that only its owner can read.
type sessionFile struct{ name string }

// Load implements cubby.SessionStore.
func (f *sessionFile) Load(context.Context) (*cubby.SavedSession, error) {
	text, err := os.ReadFile(f.name)
	if err != nil {
		return nil, err
	}
	s := new(cubby.SavedSession)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return s, nil
}

// Save implements cubby.SessionStore.
func (f *sessionFile) Save(_ context.Context, s *cubby.SavedSession) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(f.name, text)
}

// replaceFile writes a file that only its owner can read, whole or not at all.
func replaceFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".cubby-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func (a *app) login() *cobra.Command {
	var fromStdin bool
	c := &cobra.Command{
		Use:     "login NAME",
		GroupID: "session",
		Short:   "Sign in",
		Long: `Login signs in with the password that it asks for, or that is in CUBBY_PASSWORD.
The session is kept in your configuration directory, or in $CUBBY_CONFIG, readable
by you alone, and later commands use the same server unless told another.`,
		Example: "  cubby login alice\n  cubby login alice --endpoint https://files.example.com\n  cubby login alice --password-stdin <password.txt",
		Args:    args(1, 1, "the name of the user"),
		RunE: func(c *cobra.Command, args []string) error {
			endpoint, err := a.server()
			if err != nil {
				return err
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			password, err := a.password(c, args[0], fromStdin)
			if err != nil {
				return err
			}
			s, err := client.SignIn(c.Context(), args[0], password)
			if err != nil {
				return err
			}
			dir, err := a.configDir()
			if err != nil {
				return err
			}
			if err := replaceFile(filepath.Join(dir, "endpoint"), []byte(endpoint+"\n")); err != nil {
				return err
			}
			return a.confirm(sessionJSON(endpoint, s), "signed in to %s as %s", endpoint, s.Username)
		},
	}
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return c
}

// password asks for a password where it is not given otherwise.
func (a *app) password(c *cobra.Command, name string, fromStdin bool) (string, error) {
	if p := a.getenv("CUBBY_PASSWORD"); p != "" && !fromStdin {
		return p, nil
	}
	fd, ok := terminal(a.stdin)
	if fromStdin || !ok {
		return readPassword(c, a.input(c.Context()))
	}
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(a.stderr, "Password for %s: ", name)
	defer fmt.Fprintln(a.stderr)
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case got := <-answers:
		return string(got.text), got.err
	case <-c.Context().Done(): // the terminal would stay silent
		return "", errors.Join(c.Context().Err(), term.Restore(fd, before))
	}
}

func (a *app) logout() *cobra.Command {
	return &cobra.Command{
		Use:     "logout",
		GroupID: "session",
		Short:   "End the session",
		Long: `Logout ends the session here and at the server. Where the server cannot be
reached, it ends here all the same.`,
		Args: args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			endpoint, err := a.server()
			if err != nil {
				return err
			}
			client, err := a.client(c.Context())
			if err == nil {
				err = client.SignOut(c.Context())
			} else if a.forget(endpoint) {
				err = &hinted{err, "You are signed out here, but the server does not know."}
			}
			if err != nil {
				return err
			}
			return a.confirm(whoJSON{Endpoint: endpoint}, "signed out of %s", endpoint)
		},
	}
}

// forget removes the session with the server at endpoint, and reports whether
// there was one.
func (a *app) forget(endpoint string) bool {
	f, err := a.sessionOf(endpoint)
	return err == nil && os.Remove(f.name) == nil
}

// whoJSON is what whoami and login print for programs.
type whoJSON struct {
	Endpoint   string     `json:"endpoint"`
	IdentityID string     `json:"identity_id,omitempty"`
	SignedIn   bool       `json:"signed_in"`
	Username   string     `json:"username,omitempty"`
	Sub        string     `json:"sub,omitempty"`
	Groups     []string   `json:"groups,omitempty"`
	Expires    *time.Time `json:"expires,omitempty"`
}

func sessionJSON(endpoint string, s *cubby.Session) whoJSON {
	w := whoJSON{Endpoint: endpoint, IdentityID: s.IdentityID, SignedIn: s.SignedIn, Username: s.Username, Sub: s.UserID, Groups: s.Groups}
	if !s.Expires.IsZero() {
		w.Expires = &s.Expires
	}
	return w
}

func (a *app) whoami() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		GroupID: "session",
		Short:   "Show who you are to the server",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			endpoint, err := a.server()
			if err != nil {
				return err
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			s, err := client.Session(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(sessionJSON(endpoint, s))
			}
			name := "a guest"
			if s.SignedIn {
				name = s.Username
			}
			fmt.Fprintf(a.stdout, "%s at %s\nidentity %s\n", name, endpoint, s.IdentityID)
			if len(s.Groups) > 0 {
				fmt.Fprintf(a.stdout, "groups   %s\n", strings.Join(s.Groups, " "))
			}
			return nil
		},
	}
}

func (a *app) credentials() *cobra.Command {
	return &cobra.Command{
		Use:     "credentials",
		GroupID: "session",
		Short:   "Print your temporary S3 keys, for other S3 tools",
		Long: `Credentials prints the temporary keys of your session as JSON. It is the form that
AWS tools take from a credential_process:

  [profile cubby]
  credential_process = cubby credentials
  endpoint_url = http://127.0.0.1:20005
  region = us-east-1`,
		Args: args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			keys, err := client.Credentials(c.Context())
			if err != nil {
				return err
			}
			return a.printJSON(map[string]any{
				"Version":         1,
				"AccessKeyId":     keys.AccessKeyID,
				"SecretAccessKey": keys.SecretAccessKey,
				"SessionToken":    keys.SessionToken,
				"Expiration":      keys.Expires.UTC().Format(time.RFC3339),
			})
		},
	}
}
