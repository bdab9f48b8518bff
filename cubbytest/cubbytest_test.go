package cubbytest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/cubbytest"
	"github.com/cubby-storage/cubby/outputs"
	"github.com/cubby-storage/cubby/server"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/s3store"
)

func read(t *testing.T, c *cubby.Client, l cubby.Location) (string, error) {
	t.Helper()
	var text bytes.Buffer
	_, err := c.Download(t.Context(), l, &text, nil)
	return text.String(), err
}

func write(t *testing.T, c *cubby.Client, l cubby.Location, text string) error {
	t.Helper()
	_, err := c.Upload(t.Context(), l, strings.NewReader(text), nil)
	return err
}

func TestServer(t *testing.T) {
	t.Parallel()
	srv := cubbytest.NewServer(t, nil)
	srv.AddUser("alice")
	srv.AddUser("bob", "admin")
	alice, bob, guest := srv.Client("alice"), srv.Client("bob"), srv.Guest()

	diary := cubby.Key("diary.txt", cubby.Private)
	if err := write(t, alice, diary, "secret"); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, srv.Client("alice"), diary); got != "secret" || err != nil {
		t.Errorf("alice reads %q, %v", got, err)
	}
	_, path, err := alice.Resolve(t.Context(), diary)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*cubby.Client{"bob": bob, "a guest": guest} {
		if got, err := read(t, c, cubby.At(path)); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s reads %q, %v", name, got, err)
		}
	}
	if err := write(t, bob, cubby.At("admin/plan"), "x"); err != nil {
		t.Errorf("an admin writes: %v", err)
	}
	if err := write(t, alice, cubby.At("admin/plan"), "x"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("who is no admin writes: %v", err)
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	srv := cubbytest.NewServer(t, nil)
	b := srv.Bucket("media")
	if _, err := b.Put(t.Context(), "public/there.txt", strings.NewReader("before"), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, srv.Guest(), cubby.At("public/there.txt")); got != "before" || err != nil {
		t.Errorf("a guest reads %q, %v", got, err)
	}
	srv.AddUser("alice")
	if err := write(t, srv.Client("alice"), cubby.At("public/new.txt"), "after"); err != nil {
		t.Fatal(err)
	}
	o, err := b.Get(t.Context(), "public/new.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Body.Close()
	if text, err := io.ReadAll(o.Body); string(text) != "after" || err != nil {
		t.Errorf("the bucket holds %q, %v", text, err)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := cubbytest.NewServer(t, &cubbytest.Options{
		Rules:      []access.Rule{{Path: "in/*", Who: "guest", Actions: access.Write}},
		OnDecision: func(server.Decision) { asked.Add(1) },
	})
	guest := srv.Guest()
	if err := write(t, guest, cubby.At("in/a"), "x"); err != nil {
		t.Errorf("a guest writes: %v", err)
	}
	if err := write(t, guest, cubby.At("public/a"), "x"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the usual rules are there: %v", err)
	}
	if asked.Load() < 2 {
		t.Errorf("%d decisions were told of", asked.Load())
	}
}

func TestNoRules(t *testing.T) {
	t.Parallel()
	srv := cubbytest.NewServer(t, &cubbytest.Options{Rules: []access.Rule{}})
	if err := write(t, srv.Guest(), cubby.At("public/a"), "x"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without rules something is allowed: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg := &server.Config{
		Region:   "eu-west-1",
		NoGuests: true,
		Buckets:  []server.Bucket{{Name: "one-bucket"}, {Name: "two-bucket", Default: true}},
	}
	srv := cubbytest.NewServer(t, &cubbytest.Options{
		Config: cfg,
		Rules:  []access.Rule{{Path: "all/*", Who: "authenticated", Actions: access.Read | access.Write}},
	})
	if cfg.Data != "" || cfg.Buckets[1].Rules != nil {
		t.Errorf("the settings were changed: %+v", cfg)
	}
	out := srv.Outputs()
	if out.Storage.Region != "eu-west-1" || out.Storage.Bucket != "two-bucket" {
		t.Errorf("outputs are %+v", out.Storage)
	}
	if _, err := srv.Guest().Session(t.Context()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a guest has a session: %v", err)
	}
	srv.AddUser("alice")
	alice := srv.Client("alice")
	if err := write(t, alice, cubby.At("all/a"), "x"); err != nil {
		t.Errorf("alice writes to the default bucket: %v", err)
	}
	if err := write(t, alice, cubby.At("all/a").In("one-bucket"), "x"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("alice writes to the other bucket: %v", err)
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	srv := cubbytest.NewServer(t, &cubbytest.Options{Rules: []access.Rule{}})
	id, secret := srv.Operator()
	op, err := cubby.New(cubby.Config{
		Endpoint: srv.URL, PathStyle: true, Buckets: map[string]cubby.BucketConfig{"media": {Name: "media"}},
		Credentials: keys{id, secret}, IdentityID: "operator",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := write(t, op, cubby.At("anywhere"), "x"); err != nil {
		t.Errorf("an operator writes: %v", err)
	}
}

// TestApart checks that servers know nothing of each other.
func TestApart(t *testing.T) {
	t.Parallel()
	one, two := cubbytest.NewServer(t, nil), cubbytest.NewServer(t, nil)
	password := one.AddUser("alice")
	if _, err := two.Guest().SignIn(t.Context(), "alice", password); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a user of one signs in to the other: %v", err)
	}
	two.AddUser("alice")
	out := two.Outputs()
	out.Custom.Cubby.UserPoolEndpoint, out.Auth.UserPoolClientID = one.URL, one.Outputs().Auth.UserPoolClientID
	c, err := cubby.New(cubby.Config{Outputs: out})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignIn(t.Context(), "alice", password); err == nil {
		t.Error("a token of one is good for the other")
	}
}

// TestGone checks that nothing is left of a server when its test has ended.
func TestGone(t *testing.T) {
	var url string
	t.Run("while", func(t *testing.T) {
		srv := cubbytest.NewServer(t, nil)
		url = srv.URL
		resp, err := http.Get(url + "/.well-known/cubby/amplify_outputs.json")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		out, err := outputs.Read(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		served, _ := json.Marshal(out)
		if told, _ := json.Marshal(srv.Outputs()); !bytes.Equal(served, told) {
			t.Errorf("it serves %s, and tells %s", served, told)
		}
	})
	if resp, err := http.Get(url); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}

// TestMisuse checks that what cannot be done fails the test.
func TestMisuse(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(testing.TB){
		"bad rule":       func(t testing.TB) { cubbytest.NewServer(t, &cubbytest.Options{Rules: []access.Rule{{Path: "/"}}}) },
		"no buckets":     func(t testing.TB) { cubbytest.NewServer(t, &cubbytest.Options{Config: &server.Config{}}) },
		"unknown user":   func(t testing.TB) { cubbytest.NewServer(t, nil).Client("nobody") },
		"bad name":       func(t testing.TB) { cubbytest.NewServer(t, nil).AddUser("a/b") },
		"unknown bucket": func(t testing.TB) { cubbytest.NewServer(t, nil).Bucket("nothing") },
	} {
		t.Run(name, func(t *testing.T) {
			tb := &recorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				use(tb)
			}()
			<-done
			if !strings.Contains(tb.said, "cubbytest: ") {
				t.Errorf("it says %q", tb.said)
			}
		})
	}
}

// recorder is a test that is expected to fail.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Fatal(args ...any) {
	r.said = fmt.Sprintln(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Fatal(fmt.Sprintf(format, args...))
}

// keys are credentials that do not expire.
type keys struct{ id, secret string }

func (k keys) Retrieve(context.Context) (s3store.Credentials, error) {
	return s3store.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret}, nil
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	cfg := server.Starter()
	cfg.Encryption.Default = "AES256"
	srv := cubbytest.NewServer(t, &cubbytest.Options{Config: cfg})
	id, secret := srv.Operator()
	b, err := s3store.New(s3store.Config{Endpoint: srv.URL, Bucket: "media", PathStyle: true, Credentials: s3store.Static(id, secret, "")})
	if err != nil {
		t.Fatal(err)
	}
	for want, sse := range map[store.Encryption]store.SSE{
		{Algorithm: "AES256"}:                       {},
		{Algorithm: "aws:kms", KMSKeyID: "default"}: {Algorithm: "aws:kms"},
	} {
		if _, err := b.Put(t.Context(), "k", strings.NewReader("content"), &store.PutOptions{SSE: sse}); err != nil {
			t.Fatal(err)
		}
		if info, err := srv.Bucket("media").Stat(t.Context(), "k", nil); err != nil || info.SSE != want {
			t.Errorf("with %q it is encrypted as %+v, %v", sse.Algorithm, info, err)
		}
	}
}
