package cubby_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/server"
	"github.com/cubby-storage/cubby/store/memstore"
)

// site is an address where one server can follow another.
type site struct{ *server.Server }

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.Server.ServeHTTP(w, r) }

// open opens a server without users at the site, in place of the one there.
func (s *site) open(t *testing.T) {
	t.Helper()
	cfg := server.Starter()
	cfg.Data, cfg.Keys = filepath.Join(t.TempDir(), "data"), ""
	srv, err := server.Open(t.Context(), cfg, &server.Options{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Store: memstore.New(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	s.Server = srv
}

func (s *site) addCarol(t *testing.T, password string) {
	t.Helper()
	if _, err := s.AddUser(t.Context(), server.NewUser{Name: "carol", Password: password}); err != nil {
		t.Fatal(err)
	}
}

// TestServerEndsSession checks that a session that the server ends is found to
// have ended at the next request, in the program that runs and in the next one.
func TestServerEndsSession(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *site) error{
		"disabled": func(_ *testing.T, s *site) error { return s.DisableUser(context.Background(), "carol") },
		"another password": func(_ *testing.T, s *site) error {
			return s.SetPassword(context.Background(), "carol", "another long password")
		},
		"started anew": func(t *testing.T, s *site) error {
			s.open(t)
			s.addCarol(t, "another long password")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, saved := new(site), new(sessions)
			s.open(t)
			s.addCarol(t, "the first long password")
			web := httptest.NewServer(s)
			defer web.Close()
			out, err := s.Outputs(t.Context(), web.URL)
			if err != nil {
				t.Fatal(err)
			}
			start := func() *cubby.Client {
				c, err := cubby.New(cubby.Config{Outputs: out, Sessions: saved})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			c := start()
			if _, err := c.SignIn(t.Context(), "carol", "the first long password"); err != nil {
				t.Fatal(err)
			}
			write := func(c *cubby.Client) error {
				_, err := c.Upload(t.Context(), cubby.Key("a.txt", cubby.Private), strings.NewReader("a"), nil)
				return err
			}
			if err := write(c); err != nil {
				t.Fatal(err)
			}
			if err := end(t, s); err != nil {
				t.Fatal(err)
			}
			for _, c := range []*cubby.Client{c, c, start()} {
				if err := write(c); !errors.Is(err, cubby.ErrSessionEnded) || !strings.HasSuffix(err.Error(), "sign in again, or sign out to go on as a guest") {
					t.Errorf("error is %v", err)
				}
			}
		})
	}
}

// sessions is a SessionStore.
type sessions struct{ saved cubby.SavedSession }

// Load implements cubby.SessionStore.
func (s *sessions) Load(context.Context) (*cubby.SavedSession, error) {
	c := s.saved
	return &c, nil
}

// Save implements cubby.SessionStore.
func (s *sessions) Save(_ context.Context, c *cubby.SavedSession) error {
	s.saved = *c
	return nil
}
