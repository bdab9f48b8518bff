package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var (
	binary string                          // the program under test
	long   = os.Getenv("CUBBY_LONG") != "" // take the time that big files and many crashes need
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cubby-e2e")
	if err == nil {
		binary, err = build(context.Background(), dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// site is a running server. Its directory holds its data, and what those who
// use it from a command line have in their configuration directories.
type site struct {
	*process
	dir string
	settings
}

// settings are what a server prints when it is ready.
type settings struct {
	Endpoint string
	Bucket   string
	Users    []struct{ Username, Password string }
}

// open runs "cubby dev" or "cubby serve" in dir until the test ends.
func open(t *testing.T, command, dir string) *site {
	t.Helper()
	p, err := start(context.Background(), binary, command, "--json", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop() })
	s := &site{process: p, dir: dir}
	if err := json.Unmarshal(p.json, &s.settings); err != nil {
		t.Fatalf("cubby %s printed %s: %v", command, p.json, err)
	}
	return s
}

// end ends the server, which must do so without an error.
func (s *site) end(t *testing.T) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatalf("the server ended with %v\n%s", err, s.stderr())
	}
}

// admin runs the program on the data directory, and reads the JSON it prints.
func (s *site) admin(t *testing.T, into any, args ...string) {
	t.Helper()
	out, err := s.person("admin").try(append(args, "--json", "--data", filepath.Join(s.dir, "data"))...)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("cubby %s printed %q: %v", strings.Join(args, " "), out, err)
		}
	}
}

// s3 returns a client of the AWS SDK: path style, and without retries.
func (s *site) s3(keys aws.CredentialsProvider, change ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.Endpoint), Region: "us-east-1", UsePathStyle: true,
		Credentials: keys, Retryer: aws.NopRetryer{},
	}, change...)
}

// loopback is an HTTP client for which every name is that of the server.
func (s *site) loopback(t *testing.T) *http.Client {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, u.Host)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// operator makes an operator key.
func (s *site) operator(t *testing.T) aws.CredentialsProvider {
	t.Helper()
	var key struct {
		ID     string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`
	}
	s.admin(t, &key, "keys", "add", "tests")
	return credentials.NewStaticCredentialsProvider(key.ID, key.Secret, "")
}

// person uses the program from a command line.
type person struct {
	env []string
	id  string // identity id, once signed in
}

func (s *site) person(name string) *person {
	return &person{env: append(os.Environ(), "CUBBY_ENDPOINT="+s.Endpoint, "CUBBY_CONFIG="+filepath.Join(s.dir, "home", name), "CUBBY_PASSWORD=")}
}

// login signs a user in with a password.
func (s *site) login(t *testing.T, name, password string) *person {
	t.Helper()
	p := s.person(name)
	p.env = append(p.env, "CUBBY_PASSWORD="+password)
	var who struct {
		IdentityID string `json:"identity_id"`
	}
	if err := json.Unmarshal([]byte(p.cubby(t, "login", name, "--json")), &who); err != nil {
		t.Fatal(err)
	}
	p.id = who.IdentityID
	return p
}

// user signs in one of the users of dev mode.
func (s *site) user(t *testing.T, name string) *person {
	t.Helper()
	for _, u := range s.Users {
		if u.Username == name {
			return s.login(t, name, u.Password)
		}
	}
	t.Fatalf("there is no user %s", name)
	return nil
}

// exitError is how the program ended.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// try runs the program, and returns what it printed.
func (p *person) try(args ...string) (string, error) {
	cmd := exec.Command(binary, args...)
	var out, log bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &out, &log
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = &exitError{exit.ExitCode(), fmt.Sprintf("cubby %s: %v\n%s", strings.Join(args, " "), err, log.String())}
	}
	return out.String(), err
}

// cubby runs the program, which must succeed, and returns what it printed.
func (p *person) cubby(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// refused runs the program, which must end with the exit code given.
func (p *person) refused(t *testing.T, code int, args ...string) {
	t.Helper()
	_, err := p.try(args...)
	if exit, ok := errors.AsType[*exitError](err); !ok || exit.code != code {
		t.Errorf("cubby %s: %v, want exit code %d", strings.Join(args, " "), err, code)
	}
}

// keys are the temporary keys of the person.
func (p *person) keys(t *testing.T) aws.CredentialsProvider {
	t.Helper()
	var k struct{ AccessKeyID, SecretAccessKey, SessionToken string }
	if err := json.Unmarshal([]byte(p.cubby(t, "credentials")), &k); err != nil {
		t.Fatal(err)
	}
	return credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, k.SessionToken)
}

// content returns n bytes that are the same for the same seed.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = byte(seed >> 56)
	}
	return b
}

// code is the code of an answer of S3 that is an error: the status in words
// where there was no body to read it from.
func code(err error) string {
	if e, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

// wantCode fails the test if err has not that code.
func wantCode(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}
