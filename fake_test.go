package cubby

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// memory returns an empty bucket in memory.
func memory(t testing.TB) store.Bucket {
	t.Helper()
	s := memstore.New()
	if err := s.CreateBucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	b, err := s.Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// client returns a client of one bucket, as the identity "me".
func client(t testing.TB, b store.Bucket) *Client {
	t.Helper()
	c, err := New(Config{Store: b, IdentityID: "me"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// handlerTransport answers requests by a handler, without a network.
type handlerTransport struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// pools plays an identity pool and a user pool with the user alice, whose
// password is "secret".
type pools struct {
	mu       sync.Mutex
	calls    []string          // operations, with the identity that was asked for
	owner    map[string]string // identity: user, "" for a guest
	refresh  map[string]bool   // refresh tokens that are good
	revoked  map[string]bool   // ID tokens that are good no more, though their time is not over
	old      bool              // does not know GetTokensFromRefreshToken
	fail     int               // so many calls answer 500
	skew     time.Duration     // of the clock
	identity int
	token    int
}

func newPools() *pools {
	return &pools{owner: map[string]string{}, refresh: map[string]bool{}, revoked: map[string]bool{}}
}

func (p *pools) client(t testing.TB, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{
		Endpoint: "http://s3.test", PathStyle: true, Buckets: map[string]BucketConfig{"media": {Name: "media-1"}},
		IdentityPoolID: "r:pool", IdentityPoolEndpoint: "http://pool.test/", UserPoolID: "r_users", UserPoolClientID: "app",
		UserPoolEndpoint: "http://users.test/", HTTPClient: &http.Client{Transport: handlerTransport{p}},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// took returns the calls since it was asked last.
func (p *pools) took() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := strings.Join(p.calls, " ")
	p.calls = nil
	return s
}

func (p *pools) now() time.Time { return time.Now().Add(p.skew) }

type refusedCall struct{ code string }

// ServeHTTP implements http.Handler.
func (p *pools) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Date", p.now().UTC().Format(http.TimeFormat))
	w.Header().Set("X-Amzn-Requestid", "R1")
	_, op, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !ok {
		fmt.Fprint(w, "not a call of Cognito")
		return
	}
	var in struct {
		IdentityID     string `json:"IdentityId"`
		Logins         map[string]string
		AuthFlow       string
		AuthParameters map[string]string
		RefreshToken   string
		Token          string
	}
	text, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(text, &in); err != nil {
		panic(err)
	}
	p.calls = append(p.calls, strings.TrimSuffix(op+":"+in.IdentityID, ":"))
	if p.fail > 0 {
		p.fail--
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer func() {
		if e, ok := recover().(refusedCall); ok {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":"com.amazonaws#%s:x","message":"it was %s"}`, e.code, e.code)
		}
	}()
	switch op {
	case "GetId":
		p.answer(w, map[string]any{"IdentityId": p.identityOf(p.user(in.Logins))})
	case "GetCredentialsForIdentity":
		id := p.credentialsFor(in.IdentityID, p.user(in.Logins))
		p.answer(w, map[string]any{"IdentityId": id, "Credentials": map[string]any{
			"AccessKeyId": "AK-" + id, "SecretKey": "s", "SessionToken": "t", "Expiration": float64(p.now().Add(time.Hour).Unix()) + 0.5,
		}})
	case "InitiateAuth":
		if in.AuthFlow == "REFRESH_TOKEN_AUTH" {
			p.tokens(w, in.AuthParameters["REFRESH_TOKEN"], false)
			return
		}
		if in.AuthParameters["USERNAME"] == "newcomer" {
			p.answer(w, map[string]any{"ChallengeName": "NEW_PASSWORD_REQUIRED"})
			return
		}
		if in.AuthFlow != "USER_PASSWORD_AUTH" || in.AuthParameters["USERNAME"] != "alice" || in.AuthParameters["PASSWORD"] != "secret" {
			panic(refusedCall{"NotAuthorizedException"})
		}
		p.tokens(w, "", true)
	case "GetTokensFromRefreshToken":
		if p.old {
			panic(refusedCall{"UnknownOperationException"})
		}
		p.tokens(w, in.RefreshToken, true)
	case "RevokeToken":
		delete(p.refresh, in.Token)
	default:
		panic(refusedCall{"UnknownOperationException"})
	}
}

func (p *pools) answer(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

// user is who logins say, "" for nobody.
func (p *pools) user(logins map[string]string) string {
	token := logins["users.test/r_users"]
	if token == "" {
		return ""
	}
	c, err := parseClaims(token)
	if err != nil || p.revoked[token] {
		panic(refusedCall{"NotAuthorizedException"})
	}
	return c.Username
}

func (p *pools) identityOf(user string) string {
	for id, u := range p.owner {
		if user != "" && u == user {
			return id
		}
	}
	p.identity++
	id := fmt.Sprint("id", p.identity)
	p.owner[id] = user
	return id
}

func (p *pools) credentialsFor(id, user string) string {
	owner, ok := p.owner[id]
	switch {
	case !ok:
		panic(refusedCall{"ResourceNotFoundException"})
	case owner == user:
		return id
	case owner != "":
		panic(refusedCall{"NotAuthorizedException"})
	}
	for other, u := range p.owner {
		if u == user {
			p.owner[id] = "(retired)"
			return other
		}
	}
	p.owner[id] = user
	return id
}

// tokens gives new tokens for a refresh token, or at a sign-in for "".
func (p *pools) tokens(w io.Writer, old string, rotate bool) {
	if old != "" && !p.refresh[old] {
		panic(refusedCall{"NotAuthorizedException"})
	}
	p.token++
	result := map[string]any{"IdToken": p.idToken(), "AccessToken": "a", "ExpiresIn": 3600}
	if rotate {
		delete(p.refresh, old)
		next := fmt.Sprint("refresh", p.token)
		p.refresh[next] = true
		result["RefreshToken"] = next
	}
	p.answer(w, map[string]any{"AuthenticationResult": result})
}

func (p *pools) idToken() string {
	text, err := json.Marshal(map[string]any{
		"iss": "https://users.test/r_users", "sub": "sub-alice", "exp": p.now().Add(time.Hour).Unix(),
		"cognito:username": "alice", "cognito:groups": []string{"staff"}, "jti": p.token,
	})
	if err != nil {
		panic(err)
	}
	return "h." + base64.RawURLEncoding.EncodeToString(text) + ".s"
}

// kept is a SessionStore that other clients can share.
type kept struct {
	mu    sync.Mutex
	saved []SavedSession
}

// Load implements SessionStore.
func (k *kept) Load(context.Context) (*SavedSession, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.saved) == 0 {
		return new(SavedSession), nil
	}
	s := k.saved[len(k.saved)-1]
	return &s, nil
}

// Save implements SessionStore.
func (k *kept) Save(_ context.Context, s *SavedSession) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.saved = append(k.saved, *s)
	return nil
}

func owners(p *pools) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.owner)
}
