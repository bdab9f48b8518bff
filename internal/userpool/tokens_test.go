package userpool

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
	"github.com/go-jose/go-jose/v4"
)

// decode returns the claims of a token as they stand there.
func decode(t testing.TB, token string) map[string]any {
	t.Helper()
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	claims := make(map[string]any)
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestTokensHaveTheClaimsOfCognito(t *testing.T) {
	f := newFixture(t)
	f.group(t, "zeta", new(1))
	f.group(t, "alpha", new(2))
	f.group(t, "beta", nil)
	u, err := f.CreateUser(t.Context(), "Ann", password, &UserOptions{
		Groups: []string{"beta", "alpha", "zeta"},
		Attributes: map[string]string{
			"email": "ann@example.com", "email_verified": "true", "custom:team": "blue",
			"address": "Here 1", "updated_at": "1700000000",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := f.SignIn(t.Context(), Caller{testClient, "https://app.example:8443/base/"}, "ann", password)
	if err != nil {
		t.Fatal(err)
	}
	now := float64(f.Now().Unix())
	access, id := decode(t, tokens.Access), decode(t, tokens.ID)
	both := map[string]any{
		"sub": u.Sub, "iss": "https://app.example:8443/base/" + testPool, "auth_time": now, "iat": now,
		"exp": now + 3600, "cognito:groups": []any{"zeta", "alpha", "beta"},
	}
	for _, name := range []string{"origin_jti", "event_id"} {
		if access[name] != id[name] || len(id[name].(string)) != 36 {
			t.Errorf("%s is %v and %v", name, access[name], id[name])
		}
		both[name] = id[name]
	}
	if access["jti"] == id["jti"] || access["jti"] == "" {
		t.Error("the tokens have the same jti")
	}
	wantAccess := maps.Clone(both)
	maps.Copy(wantAccess, map[string]any{
		"jti": access["jti"], "token_use": "access", "client_id": testClient, "username": "ann",
		"scope": "aws.cognito.signin.user.admin",
	})
	if fmt.Sprint(access) != fmt.Sprint(wantAccess) {
		t.Errorf("access token:\n got %v\nwant %v", access, wantAccess)
	}
	wantID := maps.Clone(both)
	maps.Copy(wantID, map[string]any{
		"jti": id["jti"], "token_use": "id", "aud": testClient, "cognito:username": "ann",
		"email": "ann@example.com", "email_verified": true, "custom:team": "blue",
		"address": map[string]any{"formatted": "Here 1"}, "updated_at": 1.7e9,
	})
	if fmt.Sprint(id) != fmt.Sprint(wantID) {
		t.Errorf("ID token:\n got %v\nwant %v", id, wantID)
	}

	header, _, _ := strings.Cut(tokens.ID, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	set, err := f.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`{"alg":"RS256","kid":"%s"}`, set.Keys[0].KeyID); string(text) != want {
		t.Errorf("header %s, want %s", text, want)
	}
	public, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(public, []byte(`"d"`)) {
		t.Error("the JWKS holds a private key")
	}
}

func TestVerify(t *testing.T) {
	f := newFixture(t)
	f.group(t, "staff", nil)
	f.group(t, "admin", new(0))
	u, err := f.CreateUser(t.Context(), "ann", password, &UserOptions{
		Groups: []string{"staff"}, Attributes: map[string]string{"email": "ann@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens := f.signIn(t, "ann")
	f.add(time.Minute)
	if err := f.AddToGroup(t.Context(), "ann", "admin"); err != nil {
		t.Fatal(err)
	}
	login, err := f.Verify(t.Context(), tokens.ID)
	if err != nil {
		t.Fatal(err)
	}
	if login.Subject != u.Sub || login.Username != "ann" || !slices.Equal(login.Groups, []string{"admin", "staff"}) {
		t.Errorf("Verify returns %+v", login)
	}
	want := map[string]string{
		"sub": u.Sub, "aud": testClient, "iss": here.BaseURL + "/" + testPool,
		"cognito:username": "ann", "email": "ann@example.com",
	}
	if !maps.Equal(login.Claims, want) {
		t.Errorf("claims %v, want %v", login.Claims, want)
	}
	if login.IssuedAt.Unix() != f.Now().Add(-time.Minute).Unix() || login.Expires.Sub(login.IssuedAt) != time.Hour ||
		login.AuthTime != login.IssuedAt || login.Session != decode(t, tokens.ID)["origin_jti"] {
		t.Errorf("Verify returns the times %v, %v and session %s", login.IssuedAt, login.Expires, login.Session)
	}

	// Rights that were taken away do not come back with an old token.
	if err := f.RemoveFromGroup(t.Context(), "ann", "staff"); err != nil {
		t.Fatal(err)
	}
	if login, err = f.Verify(t.Context(), tokens.ID); err != nil || !slices.Equal(login.Groups, []string{"admin"}) {
		t.Errorf("after leaving a group: %+v, %v", login, err)
	}
	f.add(59*time.Minute - time.Second)
	if _, err := f.Verify(t.Context(), tokens.ID); err != nil {
		t.Errorf("a second before the end: %v", err)
	}
	f.add(time.Second)
	if _, err := f.Verify(t.Context(), tokens.ID); code(err) != NotAuthorized || err.Error() != "ID Token has expired" {
		t.Errorf("at the end: %v", err)
	}
	if _, err := f.UserInfo(t.Context(), tokens.Access); err == nil || err.Error() != "Access Token has expired" {
		t.Errorf("at the end: %v", err)
	}
}

func TestVerifyWhateverTheURL(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	for _, base := range []string{"http://localhost:20005", "https://cubby.example/a/b", "http://[::1]:1"} {
		tokens, err := f.SignIn(t.Context(), Caller{testClient, base}, "ann", password)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Verify(t.Context(), tokens.ID); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// forge signs claims with a key of its own choice.
func forge(t testing.TB, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sign(signer, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestForgedTokens(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	f.user(t, "bob")
	tokens, bob := f.signIn(t, "ann"), f.signIn(t, "bob")
	private, err := sharedKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	set, err := f.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kid := set.Keys[0].KeyID
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&private.PublicKey)
	pemText := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk, err := json.Marshal(set.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	ours := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: private, KeyID: kid}}
	claims := decode(t, tokens.ID)
	with := func(name string, value any) map[string]any {
		c := maps.Clone(claims)
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return c
	}
	hmacKey := func(secret []byte) jose.SigningKey {
		return jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: kid}}
	}
	b64 := base64.RawURLEncoding.EncodeToString
	part := strings.Split(tokens.ID, ".")
	bobs := strings.Split(bob.ID, ".")

	if _, err := f.Verify(t.Context(), forge(t, ours, claims)); err != nil {
		t.Fatalf("the true claims, signed by the true key: %v", err)
	}
	for name, token := range map[string]string{
		"empty":                 "",
		"dots":                  "..",
		"too long":              tokens.ID + strings.Repeat("A", maxToken),
		"access as ID":          tokens.Access,
		"refresh as ID":         tokens.Refresh,
		"HS256 with PEM":        forge(t, hmacKey(pemText), claims),
		"HS256 with DER":        forge(t, hmacKey(der), claims),
		"HS256 with PKCS 1":     forge(t, hmacKey(pkcs1), claims),
		"HS256 with JWK":        forge(t, hmacKey(jwk), claims),
		"none":                  b64([]byte(`{"alg":"none","kid":"`+kid+`"}`)) + "." + part[1] + ".",
		"none, signed":          b64([]byte(`{"alg":"none","kid":"`+kid+`"}`)) + "." + part[1] + "." + part[2],
		"no signature":          part[0] + "." + part[1] + ".",
		"claims of another":     part[0] + "." + bobs[1] + "." + part[2],
		"PS256":                 forge(t, jose.SigningKey{Algorithm: jose.PS256, Key: ours.Key}, claims),
		"RS512":                 forge(t, jose.SigningKey{Algorithm: jose.RS512, Key: ours.Key}, claims),
		"key of a stranger":     forge(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: stranger, KeyID: kid}}, claims),
		"unknown kid":           forge(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: private, KeyID: "x"}}, claims),
		"no kid":                forge(t, jose.SigningKey{Algorithm: jose.RS256, Key: private}, claims),
		"another pool":          forge(t, ours, with("iss", "http://127.0.0.1:20005/eu-1_Other1234")),
		"pool in the query":     forge(t, ours, with("iss", "http://evil.example/?/"+testPool)),
		"pool as fragment":      forge(t, ours, with("iss", "http://evil.example/#/"+testPool)),
		"pool as end of a name": forge(t, ours, with("iss", "http://127.0.0.1:20005/x"+testPool)),
		"no issuer":             forge(t, ours, with("iss", nil)),
		"other audience":        forge(t, ours, with("aud", "other")),
		"audience list":         forge(t, ours, with("aud", []string{testClient})),
		"no audience":           forge(t, ours, with("aud", nil)),
		"no use":                forge(t, ours, with("token_use", nil)),
		"other use":             forge(t, ours, with("token_use", "access")),
		"both kinds":            forge(t, ours, with("client_id", testClient)),
		"no expiry":             forge(t, ours, with("exp", nil)),
		"expiry as text":        forge(t, ours, with("exp", "9999999999")),
		"negative expiry":       forge(t, ours, with("exp", -1)),
		"no session":            forge(t, ours, with("origin_jti", nil)),
		"unknown session":       forge(t, ours, with("origin_jti", state.NewUUID())),
		"session of another":    forge(t, ours, with("origin_jti", decode(t, bob.ID)["origin_jti"])),
		"sub of another":        forge(t, ours, with("sub", decode(t, bob.ID)["sub"])),
		"key in the header":     forgeHeader(t, stranger, claims, func(o *jose.SignerOptions) { o.EmbedJWK = true }),
		"critical header":       forgeHeader(t, private, claims, func(o *jose.SignerOptions) { o.WithHeader("kid", kid).WithCritical("x") }),
		"JSON form":             `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,
	} {
		if login, err := f.Verify(t.Context(), token); code(err) == "" {
			t.Errorf("%s: %+v, %v", name, login, err)
		}
	}
	for name, token := range map[string]string{
		"ID as access":  tokens.ID,
		"other scope":   forge(t, ours, withOf(decode(t, tokens.Access), "scope", "openid")),
		"other client":  forge(t, ours, withOf(decode(t, tokens.Access), "client_id", "other")),
		"with audience": forge(t, ours, withOf(decode(t, tokens.Access), "aud", testClient)),
	} {
		if _, err := f.UserInfo(t.Context(), token); code(err) != NotAuthorized {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.SignOutEverywhere(t.Context(), token); code(err) != NotAuthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.wantAlive(t, tokens)
}

func withOf(claims map[string]any, name string, value any) map[string]any {
	claims[name] = value
	return claims
}

func forgeHeader(t testing.TB, key *rsa.PrivateKey, claims map[string]any, edit func(*jose.SignerOptions)) string {
	t.Helper()
	opts := new(jose.SignerOptions)
	edit(opts)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sign(signer, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Two pools whose ids and clients are the same have nothing in common.
func TestTokenOfAnotherInstallation(t *testing.T) {
	f := newFixture(t)
	db, err := state.Open(filepath.Join(t.TempDir(), "state.db"), &state.Options{Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	other := &fixture{clock: f.clock, db: db, sealer: newSealer(t, 'o'), ended: new([]string)}
	other.Pool = other.open(t, func(c *Config) {
		c.NewKey = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) }
	})
	other.user(t, "ann")
	f.user(t, "ann")
	f.wantDead(t, "foreign", other.signIn(t, "ann"), "Invalid")
	f.wantAlive(t, f.signIn(t, "ann"))
}

func TestRetiredKeyVerifiesAndSignsNot(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	tokens := f.signIn(t, "ann")
	set, err := f.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := set.Keys[0].KeyID
	err = f.db.Update(t.Context(), func(tx *state.Tx) error { return tx.RetireUserKey(t.Context(), old) })
	if err != nil {
		t.Fatal(err)
	}
	f.cfg.NewKey = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }
	next := f.signIn(t, "ann")
	f.wantAlive(t, tokens)
	f.wantAlive(t, next)
	header, _, _ := strings.Cut(next.ID, ".")
	if was, _, _ := strings.Cut(tokens.ID, "."); header == was {
		t.Error("the retired key still signs")
	}
	if set, err = f.JWKS(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 || set.Keys[1].KeyID != old {
		t.Errorf("the set is %v, want the new key and then the old one", set.Keys)
	}
}

func FuzzVerify(f *testing.F) {
	x := newFixture(f)
	x.user(f, "ann")
	tokens := x.signIn(f, "ann")
	f.Add(tokens.ID)
	f.Add(tokens.Access)
	f.Add(tokens.Refresh)
	f.Add("")
	f.Add("e30.e30.")
	f.Add(`{"payload":"","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		login, err := x.Verify(t.Context(), token)
		if err == nil && (token != tokens.ID || login.Username != "ann") {
			t.Errorf("%q stands for %+v", token, login)
		}
		if err != nil && code(err) == "" {
			t.Errorf("%q is called a fault of ours: %v", token, err)
		}
		if _, err := x.Refresh(t.Context(), here, token); err == nil && token != tokens.Refresh || err != nil && code(err) == "" {
			t.Errorf("%q as a refresh token: %v", token, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	f := newFixture(b)
	f.user(b, "ann")
	tokens := f.signIn(b, "ann")
	for b.Loop() {
		if _, err := f.Verify(b.Context(), tokens.ID); err != nil {
			b.Fatal(err)
		}
	}
}
