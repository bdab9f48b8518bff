package cognito

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/identity"
	"github.com/cubby-storage/cubby/internal/state"
	"github.com/cubby-storage/cubby/internal/userpool"
)

const (
	userPoolID     = "eu-1_Test12345"
	clientID       = "testclient"
	identityPoolID = "eu-1:11111111-2222-4333-8444-555555555555"
	password       = "correct horse"
)

// sharedKey is made once, for it takes long.
var sharedKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// backend is a server over real pools.
type backend struct {
	url    string
	users  *userpool.Pool
	ids    *identity.Pool
	ns     atomic.Int64
	faults atomic.Int64
	h      *Handler
}

func (b *backend) Now() time.Time       { return time.Unix(0, b.ns.Load()) }
func (b *backend) wait(d time.Duration) { b.ns.Add(int64(d)) }

// provider lets the identity pool ask the user pool.
type provider struct{ pool *userpool.Pool }

func (p provider) Verify(ctx context.Context, token string) (*identity.Login, error) {
	l, err := p.pool.Verify(ctx, token)
	switch {
	case errors.Is(err, userpool.ErrExpired):
		return nil, fmt.Errorf("%w: %w", identity.ErrExpired, err)
	case err != nil:
		return nil, err
	}
	return &identity.Login{
		Subject: l.Subject, Username: l.Username, Groups: l.Groups, Claims: l.Claims,
		IssuedAt: l.IssuedAt, Expires: l.Expires,
	}, nil
}

func newBackend(t testing.TB, opts Options) *backend {
	t.Helper()
	b := new(backend)
	b.wait(1_800_000_000 * time.Second)
	db, err := state.Open(filepath.Join(t.TempDir(), "state.db"), &state.Options{Now: b.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	keys := identity.NewKeys()
	b.users, err = userpool.New(userpool.Config{
		PoolID: userPoolID, ClientID: clientID, Sealer: keys.Sealer("user pool"), Now: b.Now, NewKey: sharedKey,
	}, db)
	if err != nil {
		t.Fatal(err)
	}
	b.ids, err = identity.New(identity.Config{
		PoolID: identityPoolID, Region: "eu-1", AllowGuests: true, Now: b.Now, Primary: userPoolID,
		Providers: []identity.ProviderConfig{{
			ID: userPoolID, Match: identity.MatchPool(userPoolID), Provider: provider{b.users},
		}},
	}, db, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.ids.Close() })
	opts.Now = b.Now
	opts.OnError = func(_ *http.Request, _ string, err error) {
		b.faults.Add(1)
		t.Logf("fault: %v", err)
	}
	b.h = New(b.ids, b.users, &opts)
	srv := httptest.NewServer(b.h)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

func (b *backend) user(t testing.TB, name string) {
	t.Helper()
	_, err := b.users.CreateUser(t.Context(), name, password, &userpool.UserOptions{
		Attributes: map[string]string{"email": name + "@example.com", "email_verified": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (r *reply) String() string { return fmt.Sprintf("%d %s", r.status, r.text) }

// at returns the text at a path such as "AuthenticationResult.IdToken".
func (r *reply) at(path string) string {
	var v any = r.body
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

// send posts a body to an operation as apps do.
func (b *backend) send(t testing.TB, operation, body string) *reply {
	t.Helper()
	return b.do(t, http.MethodPost, "/", body, map[string]string{
		"content-type": contentType, "x-amz-target": operation, "cache-control": "no-store", "origin": "https://app.example",
	})
}

func (b *backend) do(t testing.TB, method, path, body string, header map[string]string) *reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := &reply{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &r.body); err != nil {
			t.Fatalf("answer %q: %v", text, err)
		}
	}
	return r
}

// ask calls an operation with fields, which must succeed.
func (b *backend) ask(t testing.TB, operation string, fields map[string]any) *reply {
	t.Helper()
	r := b.send(t, operation, encode(t, fields))
	if r.status != http.StatusOK {
		t.Fatalf("%s: %v", operation, r)
	}
	return r
}

// refused calls an operation with fields, which must fail with that error.
func (b *backend) refused(t testing.TB, operation string, fields map[string]any, name, message string) {
	t.Helper()
	r := b.send(t, operation, encode(t, fields))
	if r.status != http.StatusBadRequest || r.at("__type") != name || !strings.Contains(r.at("message"), message) ||
		r.header.Get("x-amzn-errortype") != name {
		t.Errorf("%s: %v, want %s with %q", operation, r, name, message)
	}
}

func encode(t testing.TB, fields map[string]any) string {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type fields = map[string]any

const (
	getID          = identityService + "GetId"
	getCredentials = identityService + "GetCredentialsForIdentity"
	getOpenIDToken = identityService + "GetOpenIdToken"
	initiateAuth   = userService + "InitiateAuth"
	getTokens      = userService + "GetTokensFromRefreshToken"
	revokeToken    = userService + "RevokeToken"
	getUser        = userService + "GetUser"
	globalSignOut  = userService + "GlobalSignOut"
)
