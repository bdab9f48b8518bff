// Package cubbytest runs a whole Cubby server in memory for tests, as
// net/http/httptest runs an HTTP server.
//
//	srv := cubbytest.NewServer(t, nil)
//	srv.AddUser("alice")
//	alice := srv.Client("alice")
//	_, err := alice.Upload(t.Context(), cubby.Key("a.txt", cubby.Private), r, nil)
//
// It is the real server, with real sign-in, signatures and rules, on a port of
// 127.0.0.1 that is free. Objects are kept in memory, users and keys in a
// directory of the test's own. All of it is gone when the test ends, so every
// test can have one. Objects can be encrypted in each way; of the keys for aws:kms
// there is one called default.
//
// What cannot be done fails the test.
package cubbytest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/outputs"
	"github.com/cubby-storage/cubby/server"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/memstore"
)

// Options are the options of NewServer.
type Options struct {
	// Rules are the access rules of the default bucket. Nil are those of Config.
	Rules []access.Rule

	// Config are the settings. Nil are those of server.Starter: the bucket media
	// with public, protected and private folders, and one for the group admin.
	// Data, Keys and the addresses are not used, and of Encryption only Default.
	Config *server.Config

	// OnDecision, if not nil, is told how each question to the rules was
	// answered, from many goroutines.
	OnDecision func(server.Decision)
}

// Server is a running server. Its methods are called from the goroutine of the
// test, since they fail it with FailNow.
type Server struct {
	// URL is where it is reached, such as http://127.0.0.1:34567.
	URL string

	t     testing.TB
	srv   *server.Server
	store *memstore.Store

	passwords map[string]string
}

// NewServer starts a server that runs until the test ends. What it has to say of
// faults of its own is in the log of the test.
func NewServer(t testing.TB, opts *Options) *Server {
	t.Helper()
	if opts == nil {
		opts = new(Options)
	}
	cfg := opts.config()
	cfg.Data, cfg.Keys = filepath.Join(t.TempDir(), "data"), ""
	cfg.Listen, cfg.ListenTLS = "127.0.0.1:0", ""
	s := &Server{t: t, store: newStore(cfg), passwords: map[string]string{}}
	var err error
	s.srv, err = server.Open(t.Context(), cfg, &server.Options{
		Log:        slog.New(slog.NewTextHandler(t.Output(), nil)),
		OnDecision: opts.OnDecision,
		Store:      s.store,
	})
	if err != nil {
		t.Fatal("cubbytest:", err)
	}
	listeners, err := cfg.OpenListeners()
	if err != nil {
		s.srv.Close()
		t.Fatal("cubbytest:", err)
	}
	s.URL = listeners.URL
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- s.srv.Serve(ctx, listeners.All...) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error("cubbytest:", err)
		}
		if err := s.srv.Close(); err != nil {
			t.Error("cubbytest:", err)
		}
	})
	return s
}

// newStore returns the store of a server with these settings, with keys of its own.
func newStore(cfg *server.Config) *memstore.Store {
	keyring := func() *crypt.Local {
		var secret [32]byte
		rand.Read(secret[:]) // never fails
		return crypt.NewLocal(slices.Values([][32]byte{secret}))
	}
	return &memstore.Store{Options: memstore.Options{
		Keys:    &crypt.Keys{Server: keyring(), Named: keyring()},
		Encrypt: cfg.Encryption.Default == crypt.AES256,
	}}
}

// config returns settings that NewServer may change.
func (o *Options) config() *server.Config {
	cfg := server.Starter()
	if o.Config != nil {
		c := *o.Config
		cfg = &c
	}
	if o.Rules == nil || len(cfg.Buckets) == 0 {
		return cfg
	}
	cfg.Buckets = slices.Clone(cfg.Buckets)
	def := max(0, slices.IndexFunc(cfg.Buckets, func(b server.Bucket) bool { return b.Default }))
	cfg.Buckets[def].Rules = o.Rules
	return cfg
}

// Outputs describes the server to a client: what Config.Outputs of package cubby
// takes. As JSON, it is at /.well-known/cubby/amplify_outputs.json below URL.
func (s *Server) Outputs() *outputs.Outputs {
	s.t.Helper()
	out, err := s.srv.Outputs(context.Background(), s.URL)
	if err != nil {
		s.t.Fatal("cubbytest:", err)
	}
	return out
}

// AddUser adds a user who is in these groups, and returns the password.
func (s *Server) AddUser(name string, groups ...string) (password string) {
	s.t.Helper()
	password = strings.ToLower(rand.Text())
	if _, err := s.srv.AddUser(context.Background(), server.NewUser{Name: name, Password: password, Groups: groups}); err != nil {
		s.t.Fatal("cubbytest:", err)
	}
	s.passwords[name] = password
	return password
}

// Client returns a client that is signed in as a user whom AddUser added. Each
// client has a session of its own.
func (s *Server) Client(name string) *cubby.Client {
	s.t.Helper()
	password, ok := s.passwords[name]
	if !ok {
		s.t.Fatalf("cubbytest: no user %q was added", name)
	}
	c := s.Guest()
	if _, err := c.SignIn(context.Background(), name, password); err != nil {
		s.t.Fatal("cubbytest:", err)
	}
	return c
}

// Guest returns a client that is not signed in. Each is another guest.
func (s *Server) Guest() *cubby.Client {
	s.t.Helper()
	c, err := cubby.New(cubby.Config{Outputs: s.Outputs()})
	if err != nil {
		s.t.Fatal("cubbytest:", err)
	}
	return c
}

// Operator makes an operator key, which may do everything, for any S3 client.
func (s *Server) Operator() (accessKeyID, secretAccessKey string) {
	s.t.Helper()
	k, err := s.srv.AddKey(context.Background(), s.t.Name())
	if err != nil {
		s.t.Fatal("cubbytest:", err)
	}
	return k.ID, k.Secret
}

// Bucket returns what a bucket holds, past the server: no rule is asked. It is
// for what must be there before a test, and to see what is there after it.
func (s *Server) Bucket(name string) *memstore.Bucket {
	s.t.Helper()
	b, err := s.store.Bucket(context.Background(), name)
	if err != nil {
		s.t.Fatal("cubbytest:", err)
	}
	return b.(*memstore.Bucket)
}
