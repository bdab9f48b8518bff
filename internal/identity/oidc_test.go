package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const client = "our-client"

// fakeIssuer is an OpenID Connect issuer that the test holds the keys of.
type fakeIssuer struct {
	*httptest.Server
	t     testing.TB
	clock *clock

	mu     sync.Mutex
	public []any // what it publishes
	asked  int   // how often it was asked for its keys
	about  func(w http.ResponseWriter, r *http.Request) bool
}

func newFakeIssuer(t testing.TB) *fakeIssuer {
	f := &fakeIssuer{t: t, clock: newClock()}
	f.Server = httptest.NewServer(http.HandlerFunc(f.answer))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeIssuer) answer(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.about != nil && f.about(w, r):
	case r.URL.Path == "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]string{"issuer": f.URL, "jwks_uri": f.URL + "/keys"})
	case r.URL.Path == "/keys":
		f.asked++
		json.NewEncoder(w).Encode(map[string]any{"keys": f.public})
	default:
		http.NotFound(w, r)
	}
}

func (f *fakeIssuer) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// publish makes a key one of the issuer's.
func (f *fakeIssuer) publish(kid string, private crypto.Signer) {
	f.set(func() { f.public = append(f.public, jose.JSONWebKey{Key: private.Public(), KeyID: kid, Use: "sig"}) })
}

func (f *fakeIssuer) provider(change func(*OIDCConfig)) *OIDC {
	f.t.Helper()
	cfg := OIDCConfig{Issuer: f.URL, ClientIDs: []string{client, "second"}, Now: f.clock.Now}
	if change != nil {
		change(&cfg)
	}
	o, err := NewOIDC(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return o
}

// claims are those of a good token.
func (f *fakeIssuer) claims(change map[string]any) map[string]any {
	now := f.clock.Now()
	c := map[string]any{
		"iss": f.URL, "sub": "ann", "aud": client,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, v := range change {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func (f *fakeIssuer) sign(alg jose.SignatureAlgorithm, kid string, key any, claims map[string]any) string {
	f.t.Helper()
	return f.signAs("JWT", alg, kid, key, claims)
}

func (f *fakeIssuer) signAs(typ string, alg jose.SignatureAlgorithm, kid string, key any, claims map[string]any) string {
	f.t.Helper()
	opts := new(jose.SignerOptions).WithType(jose.ContentType(typ))
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, opts)
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func TestOIDCAcceptsEveryKindOfKey(t *testing.T) {
	f := newFakeIssuer(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: rsaKey(), jose.RS384: rsaKey(), jose.RS512: rsaKey(), jose.PS256: rsaKey(), jose.PS384: rsaKey(),
		jose.PS512: rsaKey(), jose.EdDSA: ed, jose.ES256: ecKey(t, elliptic.P256()),
		jose.ES384: ecKey(t, elliptic.P384()), jose.ES512: ecKey(t, elliptic.P521()),
	}
	f.set(func() { f.public = append(f.public, map[string]string{"kty": "new", "kid": "?"}) })
	for alg, key := range keys {
		f.publish("key of "+string(alg), key)
	}
	o := f.provider(nil)
	for alg, key := range keys {
		for _, kid := range []string{"key of " + string(alg), ""} {
			l, err := o.Verify(t.Context(), f.sign(alg, kid, key, f.claims(nil)))
			if err != nil || l.Subject != "ann" || !l.IssuedAt.Equal(f.clock.Now()) || !l.Expires.Equal(f.clock.Now().Add(time.Hour)) {
				t.Errorf("%s with key %q: %+v, %v", alg, kid, l, err)
			}
		}
	}
	f.set(func() {
		if f.asked != 1 {
			t.Errorf("the issuer was asked %d times, want once", f.asked)
		}
	})
}

func TestOIDCTakesClaims(t *testing.T) {
	f := newFakeIssuer(t)
	key := ecKey(t, elliptic.P256())
	f.publish("k", key)
	o := f.provider(func(c *OIDCConfig) {
		c.GroupsClaim, c.GroupPrefix, c.UsernameClaim, c.Claims = "roles", "corp:", "name", []string{"team", "age", "gone"}
	})
	token := f.sign(jose.ES256, "k", key, f.claims(map[string]any{
		"roles": []string{"admin", "", "dev"}, "name": "Ann", "team": "red", "age": 7, "email": "a@example.org",
	}))
	l, err := o.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "groups", l.Groups, []string{"corp:admin", "corp:dev"})
	if l.Username != "Ann" || !maps.Equal(l.Claims, map[string]string{"team": "red"}) {
		t.Errorf("login is %+v", l)
	}
	l, err = o.Verify(t.Context(), f.sign(jose.ES256, "k", key, f.claims(map[string]any{"roles": "admin"})))
	if err != nil || !slices.Equal(l.Groups, []string{"corp:admin"}) {
		t.Errorf("one group: %+v, %v", l, err)
	}
	l, err = o.Verify(t.Context(), f.sign(jose.ES256, "k", key, f.claims(map[string]any{"roles": []any{"admin", 1}})))
	if err != nil || l.Groups != nil {
		t.Errorf("groups that are no texts: %+v, %v", l, err)
	}
}

func TestOIDCRefusesClaims(t *testing.T) {
	f := newFakeIssuer(t)
	key := ecKey(t, elliptic.P256())
	f.publish("k", key)
	o := f.provider(nil)
	now := f.clock.Now()
	for what, change := range map[string]map[string]any{
		"another issuer":           {"iss": "https://example.org"},
		"no issuer":                {"iss": nil},
		"another client":           {"aud": "theirs"},
		"no client":                {"aud": nil},
		"an empty list of clients": {"aud": []string{}},
		"their client by ours":     {"aud": []string{client, "theirs"}, "azp": "theirs"},
		"two clients and no azp":   {"aud": []string{client, "theirs"}},
		"no expiry":                {"exp": nil},
		"expiry 0":                 {"exp": 0},
		"expiry below 0":           {"exp": -1},
		"expired":                  {"exp": now.Add(-time.Second).Unix()},
		"expired now":              {"exp": now.Unix()},
		"no time of issue":         {"iat": nil},
		"issued in the future":     {"iat": now.Add(6 * time.Minute).Unix()},
		"not yet valid":            {"nbf": now.Add(6 * time.Minute).Unix()},
		"no subject":               {"sub": nil},
		"empty subject":            {"sub": ""},
		"long subject":             {"sub": strings.Repeat("s", 256)},
		"subject with a NUL":       {"sub": "ann\x00"},
		"subject that is a number": {"sub": 7},
		"SUB in place of sub":      {"sub": nil, "SUB": "ann"},
		"a like name beside sub":   {"\u017fub": "bob"}, // a long s, which comes after sub
		"AUD beside aud":           {"aud": "theirs", "AUD": client, "Aud": client},
		"an access token":          {"token_use": "access"},
	} {
		if l, err := o.Verify(t.Context(), f.sign(jose.ES256, "k", key, f.claims(change))); err == nil {
			t.Errorf("%s: accepted as %+v", what, l)
		}
	}
	for what, change := range map[string]map[string]any{
		"second client":               {"aud": "second"},
		"two clients, asked by ours":  {"aud": []string{"theirs", client}, "azp": "second"},
		"an id token, as Cognito has": {"token_use": "id"},
		"SUB beside sub":              {"SUB": "bob"},
		"a clock that is ahead":       {"iat": now.Add(4 * time.Minute).Unix()},
	} {
		if _, err := o.Verify(t.Context(), f.sign(jose.ES256, "k", key, f.claims(change))); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := o.Verify(t.Context(), f.sign(jose.ES256, "k", key, f.claims(map[string]any{"exp": now.Add(-time.Hour).Unix()})))
	if !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v, want ErrExpired", err)
	}
	if _, err := o.Verify(t.Context(), f.signAs("at+jwt", jose.ES256, "k", key, f.claims(nil))); err == nil {
		t.Error("a token of type at+jwt was accepted")
	}
}

func TestOIDCRefusesSignatures(t *testing.T) {
	f := newFakeIssuer(t)
	key, stranger := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("a secret of more than thirty-two bytes, published by mistake")
	f.publish("rsa", rsaKey())
	f.publish("ec", key)
	f.publish("small", small)
	f.set(func() {
		f.public = append(f.public,
			jose.JSONWebKey{Key: secret, KeyID: "oct"},
			jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "pinned", Algorithm: "RS256"},
			jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "enc", Use: "enc"},
		)
	})
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := f.sign(jose.RS256, "rsa", rsaKey(), f.claims(nil))
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"rsa"}`))
	asJSON := `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`

	o := f.provider(nil)
	if _, err := o.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]string{
		"the public key as a secret":         f.sign(jose.HS256, "rsa", asPEM, f.claims(nil)),
		"the public key's DER as a secret":   f.sign(jose.HS256, "rsa", der, f.claims(nil)),
		"a published secret":                 f.sign(jose.HS256, "oct", secret, f.claims(nil)),
		"no signature":                       none + "." + parts[1] + ".",
		"no algorithm, somebody's signature": none + "." + parts[1] + "." + parts[2],
		"a signature left out":               parts[0] + "." + parts[1] + ".",
		"another payload":                    parts[0] + "." + strings.Split(f.sign(jose.RS256, "rsa", rsaKey(), f.claims(map[string]any{"sub": "bob"})), ".")[1] + "." + parts[2],
		"another's key under this name":      f.sign(jose.ES256, "ec", stranger, f.claims(nil)),
		"another's key":                      f.sign(jose.ES256, "", stranger, f.claims(nil)),
		"a key of another name":              f.sign(jose.RS256, "ec", rsaKey(), f.claims(nil)),
		"a small key":                        f.sign(jose.RS256, "small", small, f.claims(nil)),
		"an algorithm that is not the key's": f.sign(jose.PS256, "pinned", rsaKey(), f.claims(nil)),
		"a key for encryption":               f.sign(jose.RS256, "enc", rsaKey(), f.claims(nil)),
		"JSON":                               asJSON,
		"a line end":                         good + "\n",
		"nothing":                            "",
		"dots":                               "..",
	} {
		if l, err := o.Verify(t.Context(), token); err == nil {
			t.Errorf("%s: accepted as %+v", what, l)
		}
	}
	o = f.provider(func(c *OIDCConfig) { c.Algorithms = []string{"ES256"} })
	if _, err := o.Verify(t.Context(), good); err == nil {
		t.Error("an algorithm that is not on the list was accepted")
	}
}

func TestOIDCAsksForNewKeys(t *testing.T) {
	f := newFakeIssuer(t)
	first, next := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	f.publish("1", first)
	o := f.provider(nil)
	verify := func(kid string, key any) error {
		_, err := o.Verify(t.Context(), f.sign(jose.ES256, kid, key, f.claims(nil)))
		return err
	}
	asked := func(want int) {
		t.Helper()
		f.set(func() {
			if f.asked != want {
				t.Errorf("the issuer was asked %d times, want %d", f.asked, want)
			}
		})
	}
	if err := verify("1", first); err != nil {
		t.Fatal(err)
	}
	for range 20 { // unknown keys cannot make us ask again and again
		if err := verify("2", next); err == nil {
			t.Fatal("a key that nobody knows was accepted")
		}
	}
	asked(1)
	f.publish("2", next)
	f.clock.add(askForKey)
	for range 20 {
		if err := verify("2", next); err != nil {
			t.Fatal(err)
		}
		if err := verify("3", next); err == nil {
			t.Fatal("a key that nobody knows was accepted")
		}
	}
	asked(2)

	// A key that is withdrawn is refused an hour later.
	f.set(func() { f.public = f.public[1:] })
	f.clock.add(keysFresh)
	if err := verify("1", first); err == nil {
		t.Error("a key that was withdrawn is accepted")
	}
	if err := verify("2", next); err != nil {
		t.Error(err)
	}
	asked(3)

	// An issuer that is down is not needed for what is known, for a day.
	f.set(func() {
		f.about = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	})
	f.clock.add(keysFresh + time.Second)
	if err := verify("2", next); err != nil {
		t.Errorf("while the issuer is down: %v", err)
	}
	f.clock.add(keysUsable)
	if err := verify("2", next); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a day later: %v, want ErrUnavailable", err)
	}
	f.set(func() { f.about = nil })
	if err := verify("2", next); !errors.Is(err, ErrUnavailable) {
		t.Errorf("it was asked again at once: %v", err)
	}
	f.clock.add(askOnceMore)
	if err := verify("2", next); err != nil {
		t.Errorf("when the issuer is up again: %v", err)
	}
}

func TestOIDCIssuerMisbehaves(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	elsewhere := newFakeIssuer(t)
	elsewhere.publish("k", key)
	for what, about := range map[string]func(f *fakeIssuer, w http.ResponseWriter, r *http.Request) bool{
		"is another": func(_ *fakeIssuer, w http.ResponseWriter, _ *http.Request) bool {
			json.NewEncoder(w).Encode(map[string]string{"issuer": elsewhere.URL, "jwks_uri": elsewhere.URL + "/keys"})
			return true
		},
		"redirects": func(_ *fakeIssuer, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
			return true
		},
		"redirects for ever": func(f *fakeIssuer, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, f.URL+"/again", http.StatusFound)
			return true
		},
		"has keys without https": func(f *fakeIssuer, w http.ResponseWriter, _ *http.Request) bool {
			json.NewEncoder(w).Encode(map[string]string{"issuer": f.URL, "jwks_uri": "http://example.org/keys"})
			return true
		},
		"has keys in a file": func(f *fakeIssuer, w http.ResponseWriter, _ *http.Request) bool {
			json.NewEncoder(w).Encode(map[string]string{"issuer": f.URL, "jwks_uri": "file:///keys"})
			return true
		},
		"talks without end": func(_ *fakeIssuer, w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			return true
		},
		"talks nonsense": func(_ *fakeIssuer, w http.ResponseWriter, _ *http.Request) bool {
			w.Write([]byte("<html>"))
			return true
		},
		"fails": func(_ *fakeIssuer, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
	} {
		f := newFakeIssuer(t)
		f.publish("k", key)
		f.about = func(w http.ResponseWriter, r *http.Request) bool { return about(f, w, r) }
		_, err := f.provider(nil).Verify(t.Context(), f.sign(jose.ES256, "k", key, f.claims(nil)))
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("issuer %s: %v, want ErrUnavailable", what, err)
		}
	}
	elsewhere.set(func() {
		if elsewhere.asked != 0 {
			t.Errorf("another issuer was asked for keys %d times", elsewhere.asked)
		}
	})
}

func TestOIDCConfig(t *testing.T) {
	ok := OIDCConfig{Issuer: "https://example.org/x", ClientIDs: []string{"c"}}
	if _, err := NewOIDC(ok); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*OIDCConfig){
		"no issuer":              func(c *OIDCConfig) { c.Issuer = "" },
		"http":                   func(c *OIDCConfig) { c.Issuer = "http://example.org" },
		"http to a like name":    func(c *OIDCConfig) { c.Issuer = "http://localhost.example.org" },
		"a password in it":       func(c *OIDCConfig) { c.Issuer = "https://u:p@example.org" },
		"no client":              func(c *OIDCConfig) { c.ClientIDs = nil },
		"an empty client":        func(c *OIDCConfig) { c.ClientIDs = []string{""} },
		"a shared secret":        func(c *OIDCConfig) { c.Algorithms = []string{"HS256"} },
		"no signature":           func(c *OIDCConfig) { c.Algorithms = []string{"none"} },
		"groups without a name":  func(c *OIDCConfig) { c.GroupsClaim = "groups" },
		"an issuer with a space": func(c *OIDCConfig) { c.Issuer = "https://exa mple.org" },
	} {
		c := ok
		change(&c)
		if _, err := NewOIDC(c); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

func TestOIDCInAPool(t *testing.T) {
	f := newFakeIssuer(t)
	key := ecKey(t, elliptic.P256())
	f.publish("k", key)
	h := newHome(t)
	f.clock = h.clock
	h.cfg.Providers = append(h.cfg.Providers, ProviderConfig{
		ID: "corp", Match: MatchNames(strings.TrimPrefix(f.URL, "http://")), Provider: f.provider(nil),
	})
	h.restart()
	guest := h.id(nil)
	logins := map[string]string{strings.TrimPrefix(f.URL, "http://"): f.sign(jose.ES256, "k", key, f.claims(nil))}
	if c := h.credentials(guest, logins); c.IdentityID != guest {
		t.Errorf("identity is %s, want %s", c.IdentityID, guest)
	}
	equal(t, "logins", h.loginsOf(guest), []string{"corp ann"})
	h.credentialsRefused("a token of one provider under the name of another", NewID("eu-1"),
		map[string]string{usersName: logins[strings.TrimPrefix(f.URL, "http://")]}, CodeNotAuthorized)
}

// FuzzOIDCVerify changes a good token in any way: what is accepted says what
// the issuer has signed.
func FuzzOIDCVerify(f *testing.F) {
	i := newFakeIssuer(f)
	key := ecKey(f, elliptic.P256())
	i.publish("k", key)
	o := i.provider(nil)
	good := i.sign(jose.ES256, "k", key, i.claims(nil))
	f.Add(good)
	f.Add(good + ".")
	f.Add(i.sign(jose.ES256, "k", ecKey(f, elliptic.P256()), i.claims(nil)))
	f.Add(i.sign(jose.HS256, "k", []byte("0123456789abcdef0123456789abcdef"), i.claims(nil)))
	f.Add(strings.Repeat("a.", 5))
	f.Fuzz(func(t *testing.T, token string) {
		l, err := o.Verify(t.Context(), token)
		head, _, _ := strings.Cut(good, strings.Split(good, ".")[2])
		if err == nil && (l.Subject != "ann" || !strings.HasPrefix(token, head)) {
			t.Errorf("%q was accepted as %+v", token, l)
		}
	})
}
