package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// password is that of every user of the tests.
const password = "correct horse 7"

const testConfig = `
buckets:
  - name: media
    default: true
    rules:
      public/*:
        guest: [read]
        authenticated: [read, write, delete]
      protected/{entity_id}/*:
        authenticated: [read]
        owner: [read, write, delete]
      private/{entity_id}/*:
        owner: [read, write, delete]
      users/{username}/*:
        authenticated: [read, write, delete]
      admin/*:
        group:admin: [read, write, delete]
      drop/*:
        authenticated: [write]
      blind/*:
        authenticated: [get]
  - name: other
    rules:
      private/{entity_id}/*:
        owner: [read, write, delete]
      shelf/*:
        authenticated: [get]
  - name: bare
`

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := template(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// template makes, once, the state of a server with users and an operator key, for
// every world to copy: keys take long to make.
var template = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "cubby"); err != nil {
		return "", err
	}
	ctx := context.Background()
	cfg := &Config{Data: filepath.Join(dir, "data"), Buckets: []Bucket{{Name: "media"}}}
	srv, err := Open(ctx, cfg, &Options{Store: memstore.New()})
	if err != nil {
		return dir, err
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		u := NewUser{Name: name, Password: password}
		if name == "bob" {
			u.Groups = []string{"admin"}
		}
		if _, err := srv.AddUser(ctx, u); err != nil {
			return dir, err
		}
	}
	return dir, srv.Close()
})

// newData returns a data directory that is a copy of the template.
func newData(t testing.TB) string {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		filepath.Join(from, "data", "state.db"): filepath.Join(data, "state.db"),
		filepath.Join(from, "data.keys"):        data + ".keys",
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// world is a whole server that is reached over HTTP.
type world struct {
	*testing.T
	srv *Server
	url string // of the server
	svc store.Service

	mu        sync.Mutex
	decisions []Decision
	operator  *person
}

// setup changes what newWorld does.
type setup struct {
	config string // instead of testConfig
	change func(*Config)
	file   bool // the settings are read from a file in the data directory
	opts   Options
}

func newWorld(t *testing.T, s *setup) *world {
	t.Helper()
	if s == nil {
		s = new(setup)
	}
	if s.config == "" {
		s.config = testConfig
	}
	cfg, err := ParseConfig([]byte(s.config))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = newData(t)
	if s.file {
		writeData(t, cfg.Data, ConfigFile, s.config)
		if cfg, err = ReadConfig(cfg.Data); err != nil {
			t.Fatal(err)
		}
	}
	if s.change != nil {
		s.change(cfg)
	}
	w := &world{T: t, svc: s.opts.Store}
	if w.svc == nil {
		w.svc = memstore.New()
	}
	opts := s.opts
	opts.Store = w.svc
	opts.OnDecision = func(d Decision) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.decisions = append(w.decisions, d)
	}
	if w.srv, err = Open(t.Context(), cfg, &opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.srv.Close(); err != nil {
			t.Error(err)
		}
	})
	ts := httptest.NewServer(w.srv)
	t.Cleanup(ts.Close)
	w.url = ts.URL
	key, err := w.srv.AddKey(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	w.operator = &person{name: "operator", keys: aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}}
	return w
}

// writeData writes a file into a data directory, as an editor does that keeps the file.
func writeData(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// asked returns the decisions since the last call.
func (w *world) asked() []Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.decisions
	w.decisions = nil
	return d
}

// person is somebody with credentials.
type person struct {
	name   string
	id     string // of the identity
	keys   aws.Credentials
	tokens map[string]string // of the user pool
}

// answer is the JSON that a call to Cognito gave.
type answer struct {
	t      *testing.T
	status int
	code   string // of an error
	fields map[string]any
}

// get returns a text, by the names of the objects that it is in.
func (a answer) get(path ...string) string {
	a.t.Helper()
	var v any = a.fields
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, ok := v.(string)
	if !ok {
		a.t.Fatalf("the answer %d %v has no text %q", a.status, a.fields, path)
	}
	return s
}

// call calls an operation of one of the pools: "I." is the identity pool, "U."
// the user pool.
func (w *world) call(operation string, body map[string]any) answer {
	w.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	target := strings.NewReplacer("I.", "AWSCognitoIdentityService.", "U.", "AWSCognitoIdentityProviderService.").Replace(operation)
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+"/", bytes.NewReader(text))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	res := w.do(r)
	a := answer{t: w.T, status: res.status}
	if err := json.Unmarshal([]byte(res.body), &a.fields); err != nil {
		w.Fatalf("%s: %d %s: %v", operation, res.status, res.body, err)
	}
	a.code, _ = a.fields["__type"].(string)
	return a
}

// refused reports an error unless the call failed with this code.
func (a answer) refused(what, code string) {
	a.t.Helper()
	if a.status != http.StatusBadRequest || a.code != code {
		a.t.Errorf("%s: got %d %s %v, want %s", what, a.status, a.code, a.fields["message"], code)
	}
}

// signIn returns the tokens of a user.
func (w *world) signIn(name string) map[string]string {
	w.Helper()
	a := w.call("U.InitiateAuth", map[string]any{
		"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": w.srv.users.ClientID(),
		"AuthParameters": map[string]string{"USERNAME": name, "PASSWORD": password},
	})
	if a.status != http.StatusOK {
		w.Fatalf("sign in %s: %v", name, a.fields)
	}
	tokens := map[string]string{}
	for _, t := range []string{"IdToken", "AccessToken", "RefreshToken"} {
		tokens[t] = a.get("AuthenticationResult", t)
	}
	return tokens
}

// logins are those of a user of the built-in pool, as clients send them.
func (w *world) logins(tokens map[string]string) map[string]any {
	return map[string]any{"cognito-idp.us-east-1.amazonaws.com/" + w.srv.users.ID(): tokens["IdToken"]}
}

// credentials returns those for an identity. logins may be nil.
func (w *world) credentials(id string, logins map[string]any) answer {
	w.Helper()
	body := map[string]any{"IdentityId": id}
	if logins != nil {
		body["Logins"] = logins
	}
	return w.call("I.GetCredentialsForIdentity", body)
}

// newID returns the identity of somebody, a guest if logins is nil.
func (w *world) newID(logins map[string]any) string {
	w.Helper()
	body := map[string]any{"IdentityPoolId": w.srv.identityPool}
	if logins != nil {
		body["Logins"] = logins
	}
	return w.call("I.GetId", body).get("IdentityId")
}

func keysOf(a answer) aws.Credentials {
	a.t.Helper()
	return aws.Credentials{
		AccessKeyID:     a.get("Credentials", "AccessKeyId"),
		SecretAccessKey: a.get("Credentials", "SecretKey"),
		SessionToken:    a.get("Credentials", "SessionToken"),
	}
}

// user signs a user in, up to credentials.
func (w *world) user(name string) *person {
	w.Helper()
	tokens := w.signIn(name)
	id := w.newID(w.logins(tokens))
	a := w.credentials(id, w.logins(tokens))
	return &person{name, a.get("IdentityId"), keysOf(a), tokens}
}

func (w *world) guest() *person {
	w.Helper()
	id := w.newID(nil)
	return &person{name: "guest", id: id, keys: keysOf(w.credentials(id, nil))}
}

// put stores an object without the server.
func (w *world) put(bucket, key, content string) {
	w.Helper()
	b, err := w.svc.Bucket(w.Context(), bucket)
	if err == nil {
		_, err = b.Put(w.Context(), key, strings.NewReader(content), nil)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// content returns an object without the server, or "" if there is none.
func (w *world) content(bucket, key string) string {
	w.Helper()
	b, err := w.svc.Bucket(w.Context(), bucket)
	if err != nil {
		w.Fatal(err)
	}
	o, err := b.Get(w.Context(), key, nil)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return ""
	} else if err != nil {
		w.Fatal(err)
	}
	defer o.Body.Close()
	text, err := io.ReadAll(o.Body)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// keys returns all keys of a bucket without the server.
func (w *world) keys(bucket string) []string {
	w.Helper()
	b, err := w.svc.Bucket(w.Context(), bucket)
	if err != nil {
		w.Fatal(err)
	}
	page, err := b.List(w.Context(), nil)
	if err != nil {
		w.Fatal(err)
	}
	var keys []string
	for _, o := range page.Objects {
		keys = append(keys, o.Key)
	}
	return keys
}
