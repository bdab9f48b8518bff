package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// TestSession goes through all that a client does with the tokens of a user.
func TestSession(t *testing.T) {
	w := newWorld(t, nil)
	client := w.srv.users.ClientID()
	tokens := w.signIn("alice")
	user := w.call("U.GetUser", map[string]any{"AccessToken": tokens["AccessToken"]})
	if user.get("Username") != "alice" {
		t.Errorf("the user is %v", user.fields)
	}
	w.call("U.GetUser", map[string]any{"AccessToken": tokens["IdToken"]}).refused("GetUser with an ID token", "NotAuthorizedException")

	refreshed := w.call("U.InitiateAuth", map[string]any{"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client, "AuthParameters": map[string]string{"REFRESH_TOKEN": tokens["RefreshToken"]}})
	if w.newID(map[string]any{w.srv.users.ID(): refreshed.get("AuthenticationResult", "IdToken")}) != w.newID(w.logins(tokens)) {
		t.Error("a new token is somebody else")
	}
	second := w.call("U.GetTokensFromRefreshToken", map[string]any{"ClientId": client, "RefreshToken": tokens["RefreshToken"]})
	if second.get("AuthenticationResult", "AccessToken") == "" {
		t.Errorf("tokens are %v", second.fields)
	}
	if a := w.call("U.RevokeToken", map[string]any{"ClientId": client, "Token": tokens["RefreshToken"]}); a.status != 200 {
		t.Errorf("RevokeToken: %v", a.fields)
	}
	w.call("U.GetTokensFromRefreshToken", map[string]any{"ClientId": client, "RefreshToken": tokens["RefreshToken"]}).refused("refresh after RevokeToken", "NotAuthorizedException")
	w.call("U.GetUser", map[string]any{"AccessToken": tokens["AccessToken"]}).refused("GetUser after RevokeToken", "NotAuthorizedException")

	first, other := w.signIn("alice"), w.signIn("alice")
	if a := w.call("U.GlobalSignOut", map[string]any{"AccessToken": first["AccessToken"]}); a.status != 200 {
		t.Errorf("GlobalSignOut: %v", a.fields)
	}
	for _, tokens := range []map[string]string{first, other} {
		w.call("U.GetUser", map[string]any{"AccessToken": tokens["AccessToken"]}).refused("GetUser after GlobalSignOut", "NotAuthorizedException")
		w.call("U.GetTokensFromRefreshToken", map[string]any{"ClientId": client, "RefreshToken": tokens["RefreshToken"]}).refused("refresh after GlobalSignOut", "NotAuthorizedException")
	}

	signIn := func(client, name, password string) answer {
		return w.call("U.InitiateAuth", map[string]any{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": map[string]string{"USERNAME": name, "PASSWORD": password}})
	}
	wrong, unknown := signIn(client, "alice", "wrong password"), signIn(client, "nobody", password)
	wrong.refused("wrong password", "NotAuthorizedException")
	unknown.refused("unknown user", "NotAuthorizedException")
	if wrong.get("message") != unknown.get("message") {
		t.Errorf("a wrong password says %v, an unknown user %v", wrong.fields, unknown.fields)
	}
	signIn("another", "alice", password).refused("another client", "ResourceNotFoundException")
}

// TestDocumentsOfThePool are where the tokens say, and prove them.
func TestDocumentsOfThePool(t *testing.T) {
	w := newWorld(t, nil)
	issuer := w.url + "/" + w.srv.users.ID()
	provider, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: w.srv.users.ClientID()})
	id, err := verifier.Verify(t.Context(), w.signIn("bob")["IdToken"])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Name   string   `json:"cognito:username"`
		Groups []string `json:"cognito:groups"`
		Use    string   `json:"token_use"`
	}
	if err := id.Claims(&claims); err != nil || claims.Name != "bob" || !slices.Equal(claims.Groups, []string{"admin"}) || claims.Use != "id" {
		t.Errorf("claims are %+v, %v", claims, err)
	}
	jwks := w.as(nil, "GET", "/"+w.srv.users.ID()+"/.well-known/jwks.json", "").is(200)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(jwks.body), &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("keys are %s, %v", jwks.body, err)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || k.KeyID == "" {
			t.Errorf("key %+v", k)
		}
	}
	if jwks.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers are %v", jwks.header)
	}
	// By another name the server is another issuer, and still the same pool.
	tokens := w.signIn("bob")
	if a, b := w.newID(map[string]any{"cognito-idp.eu-west-1.amazonaws.com/" + w.srv.users.ID(): tokens["IdToken"]}), w.newID(map[string]any{w.srv.users.ID(): tokens["IdToken"]}); a != b {
		t.Errorf("bob is %s and %s", a, b)
	}
}

// outside is an OIDC issuer that is not ours.
type outside struct {
	*httptest.Server
	signer jose.Signer
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := new(outside)
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"issuer": o.URL, "jwks_uri": o.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	if o.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// token returns a token that the issuer signed, with some claims changed. A claim
// of nil is left out.
func (o *outside) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{"iss": o.URL, "aud": "app", "sub": "ann", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "groups": []string{"staff", "admin"}}
	for name, v := range changes {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	text, err := jwt.Signed(o.signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const outsideRules = `
buckets:
  - name: media
    rules:
      private/{entity_id}/*:
        owner: [read, write]
      admin/*:
        group:admin: [read, write]
      staff/*:
        group:staff: [read, write]
      corp/*:
        group:corp-staff: [read, write]
      users/{username}/*:
        authenticated: [read, write]
`

// TestOutsideIssuer lets its users in, with groups that are not ours.
func TestOutsideIssuer(t *testing.T) {
	out, other := newOutside(t), newOutside(t)
	w := newWorld(t, &setup{config: outsideRules, change: func(c *Config) {
		c.Issuers = []Issuer{{Name: "corp", URL: out.URL, Audiences: []string{"app"}, GroupsClaim: "groups", GroupPrefix: "corp-"}}
	}})
	name := strings.TrimPrefix(out.URL, "http://")
	logins := map[string]any{name: out.token(t, nil)}
	id := w.newID(logins)
	ann := &person{name: "ann", id: id, keys: keysOf(w.credentials(id, logins))}
	w.as(ann, "PUT", "/media/private/"+id+"/x", "x").is(200)
	w.as(ann, "PUT", "/media/corp/x", "x").is(200)
	for _, key := range []string{"admin/x", "staff/x", "corp-staff/x", "users/ann/x", "users/alice/x"} {
		w.as(ann, "PUT", "/media/"+key, "hostile").is(403, "AccessDenied")
	}
	for _, key := range []string{"corp", out.URL, name} {
		if got := w.newID(map[string]any{key: out.token(t, map[string]any{"groups": nil})}); got != id {
			t.Errorf("by %s ann is %s, want %s", key, got, id)
		}
	}

	// A user of ours with the same sub is somebody else.
	alice := w.user("alice")
	forged := map[string]any{name: out.token(t, map[string]any{"sub": w.sub("alice"), "cognito:username": "alice"})}
	if w.newID(forged) == alice.id {
		t.Error("the issuer made somebody alice")
	}
	w.credentials(alice.id, forged).refused("alice's identity with the login of another issuer", "NotAuthorizedException")

	for what, token := range map[string]string{
		"another audience":  out.token(t, map[string]any{"aud": "other"}),
		"no audience":       out.token(t, map[string]any{"aud": nil}),
		"another issuer":    out.token(t, map[string]any{"iss": other.URL}),
		"no issuer":         out.token(t, map[string]any{"iss": nil}),
		"expired":           out.token(t, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}),
		"no expiry":         out.token(t, map[string]any{"exp": nil}),
		"no subject":        out.token(t, map[string]any{"sub": ""}),
		"other's signature": other.token(t, map[string]any{"iss": out.URL}),
		"ours":              alice.tokens["IdToken"],
		"none":              "eyJhbGciOiJub25lIn0." + strings.Split(out.token(t, nil), ".")[1] + ".",
	} {
		a := w.call("I.GetId", map[string]any{"IdentityPoolId": w.srv.identityPool, "Logins": map[string]any{name: token}})
		a.refused(what, "NotAuthorizedException")
	}
	a := w.call("I.GetId", map[string]any{"IdentityPoolId": w.srv.identityPool, "Logins": map[string]any{strings.TrimPrefix(other.URL, "http://"): other.token(t, nil)}})
	a.refused("an issuer that is not configured", "NotAuthorizedException")
	a = w.call("I.GetId", map[string]any{"IdentityPoolId": w.srv.identityPool, "Logins": map[string]any{w.srv.users.ID(): out.token(t, nil)}})
	a.refused("as a user of ours", "NotAuthorizedException")
}

// sub returns the sub of a user.
func (w *world) sub(name string) string {
	w.Helper()
	users, err := w.srv.Users(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	i := slices.IndexFunc(users, func(u User) bool { return u.Name == name })
	if i < 0 {
		w.Fatalf("there is no %s", name)
	}
	return users[i].Sub
}
