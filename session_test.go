package cubby

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/outputs"
)

func describe(t *testing.T, c *Client) *Session {
	t.Helper()
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signIn(t *testing.T, c *Client) *Session {
	t.Helper()
	s, err := c.SignIn(t.Context(), "alice", "secret")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGuestKeepsIdentity(t *testing.T) {
	p, saved := newPools(), new(kept)
	c := p.client(t, func(cfg *Config) { cfg.Sessions = saved })
	if s := describe(t, c); s.IdentityID != "id1" || s.SignedIn || s.Expires.IsZero() {
		t.Errorf("session is %+v", s)
	}
	describe(t, c)
	if got, want := p.took(), "GetId GetCredentialsForIdentity:id1"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
	// The next run of the program is the same guest.
	c = p.client(t, func(cfg *Config) { cfg.Sessions = saved })
	if s := describe(t, c); s.IdentityID != "id1" {
		t.Errorf("session is %+v", s)
	}
	if got, want := p.took(), "GetCredentialsForIdentity:id1"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestGuestBecomesUser(t *testing.T) {
	p := newPools()
	c := p.client(t, nil)
	describe(t, c)
	s := signIn(t, c)
	if s.IdentityID != "id1" || !s.SignedIn || s.Username != "alice" || s.UserID != "sub-alice" || len(s.Groups) != 1 {
		t.Errorf("session is %+v", s)
	}
	// Another guest, on another device, yields to the identity of alice.
	c = p.client(t, nil)
	if s := describe(t, c); s.IdentityID != "id2" {
		t.Errorf("session of the second guest is %+v", s)
	}
	if s := signIn(t, c); s.IdentityID != "id1" {
		t.Errorf("session of alice on her second device is %+v", s)
	}
	// After signing out she is a third guest.
	if err := c.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := describe(t, c); s.IdentityID != "id3" || s.SignedIn {
		t.Errorf("session after signing out is %+v", s)
	}
	if want := map[string]string{"id1": "alice", "id2": "(retired)", "id3": ""}; !maps.Equal(owners(p), want) {
		t.Errorf("identities are %v, want %v", owners(p), want)
	}
}

func TestRetiredGuestGetsAnotherIdentity(t *testing.T) {
	p, saved := newPools(), &kept{saved: []SavedSession{{IdentityID: "gone"}}}
	c := p.client(t, func(cfg *Config) { cfg.Sessions = saved })
	if s := describe(t, c); s.IdentityID != "id1" {
		t.Errorf("session is %+v", s)
	}
	if got, want := p.took(), "GetCredentialsForIdentity:gone GetId GetCredentialsForIdentity:id1"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestSignInFails(t *testing.T) {
	p := newPools()
	c := p.client(t, nil)
	before := describe(t, c)
	_, err := c.SignIn(t.Context(), "alice", "wrong")
	e, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, fs.ErrPermission) || e.Code() != "NotAuthorizedException" || e.RequestID() != "R1" {
		t.Fatalf("error is %v", err)
	}
	if want := "sign in alice: permission denied: NotAuthorizedException: it was NotAuthorizedException (request R1); check the user name and the password"; err.Error() != want {
		t.Errorf("message is %q, want %q", err, want)
	}
	if s := describe(t, c); s.IdentityID != before.IdentityID || s.SignedIn {
		t.Errorf("session is %+v", s)
	}
	_, err = c.SignIn(t.Context(), "newcomer", "x")
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "NEW_PASSWORD_REQUIRED") {
		t.Errorf("error is %v", err)
	}
}

func TestTokensAndCredentialsAreRenewed(t *testing.T) {
	for name, old := range map[string]bool{"new": false, "old": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, saved := newPools(), new(kept)
				p.old = old
				c := p.client(t, func(cfg *Config) { cfg.Sessions = saved })
				signIn(t, c)
				p.took()
				time.Sleep(54 * time.Minute)
				describe(t, c)
				if got := p.took(); got != "" {
					t.Errorf("asked for %q while the credentials are good", got)
				}
				time.Sleep(2 * time.Minute)
				describe(t, c)
				if got, want := p.took(), "GetCredentialsForIdentity:id1"; got != want {
					t.Errorf("calls are %q, want %q", got, want)
				}
				time.Sleep(56 * time.Minute)
				describe(t, c)
				want := "GetTokensFromRefreshToken GetCredentialsForIdentity:id1"
				if old {
					want = "GetTokensFromRefreshToken InitiateAuth GetCredentialsForIdentity:id1"
				}
				if got := p.took(); got != want {
					t.Errorf("calls are %q, want %q", got, want)
				}
				// The next run needs the refresh token that is good now.
				time.Sleep(2 * time.Hour)
				describe(t, p.client(t, func(cfg *Config) { cfg.Sessions = saved }))
			})
		})
	}
}

func TestOldCredentialsServeWhileServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPools()
		c := p.client(t, nil)
		describe(t, c)
		time.Sleep(57 * time.Minute)
		p.fail = 100
		describe(t, c)
		time.Sleep(4 * time.Minute)
		if _, err := c.Session(t.Context()); err == nil {
			t.Error("credentials that have ended were used")
		}
		p.fail = 2
		describe(t, c)
	})
}

func TestEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, saved := newPools(), new(kept)
		c := p.client(t, func(cfg *Config) { cfg.Sessions = saved })
		signIn(t, c)
		p.refresh = map[string]bool{}
		time.Sleep(2 * time.Hour)
		// No run of the program goes on as a guest by itself.
		for range 2 {
			_, err := c.Session(t.Context())
			if !errors.Is(err, ErrSessionEnded) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "sign in again") {
				t.Errorf("error is %v", err)
			}
			c = p.client(t, func(cfg *Config) { cfg.Sessions = saved })
		}
		if s := signIn(t, c); s.IdentityID != "id1" {
			t.Errorf("session is %+v", s)
		}
	})
}

// TestSessionEndedByServer is about sessions that end before their ID token does.
func TestSessionEndedByServer(t *testing.T) {
	p, saved := newPools(), new(kept)
	start := func() *Client { return p.client(t, func(cfg *Config) { cfg.Sessions = saved }) }
	c := start()
	signIn(t, c)
	token, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.revoked[token] = true
	p.took()
	// As long as the refresh token is good, the session goes on.
	c = start()
	if s := describe(t, c); s.IdentityID != "id1" || !s.SignedIn {
		t.Errorf("session is %+v", s)
	}
	if got, want := p.took(), "GetCredentialsForIdentity:id1 GetId GetTokensFromRefreshToken GetCredentialsForIdentity:id1"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
	if next, err := c.Token(t.Context()); err != nil || next == token {
		t.Errorf("token is the one of before, or %v", err)
	} else {
		p.revoked[next] = true
	}
	p.refresh = map[string]bool{}
	c.session.Invalidate()
	for range 2 {
		_, err := c.Session(t.Context())
		if !errors.Is(err, ErrSessionEnded) || !strings.Contains(err.Error(), "sign in again") {
			t.Errorf("error is %v", err)
		}
		c = start()
	}
	if got, want := p.took(), "GetCredentialsForIdentity:id1 GetId GetTokensFromRefreshToken"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
	if s := signIn(t, c); s.IdentityID != "id1" {
		t.Errorf("session is %+v", s)
	}
}

func TestSessionOfAnotherProgramGoesOn(t *testing.T) {
	p, saved := newPools(), new(kept)
	start := func() *Client { return p.client(t, func(cfg *Config) { cfg.Sessions = saved }) }
	c := start()
	signIn(t, c)
	token, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Everything of that session is revoked, and the user signs in elsewhere.
	p.revoked[token] = true
	p.refresh = map[string]bool{}
	signIn(t, start())
	c.session.Invalidate()
	if s := describe(t, c); s.IdentityID != "id1" || !s.SignedIn {
		t.Errorf("session is %+v", s)
	}
}

func TestTokenThatIsNeverAccepted(t *testing.T) {
	p := newPools()
	c := p.client(t, nil)
	signIn(t, c)
	p.owner = map[string]string{"id1": "(retired)"}
	for n := range 10 {
		p.token = n
		p.revoked[p.idToken()] = true
	}
	p.token = 1
	p.took()
	c.session.Invalidate()
	_, err := c.Session(t.Context())
	if !refused(err, "NotAuthorizedException") || errors.Is(err, ErrSessionEnded) {
		t.Errorf("error is %v", err)
	}
	if got, want := p.took(), "GetCredentialsForIdentity:id1 GetId GetTokensFromRefreshToken GetCredentialsForIdentity:id1 GetId"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestRefusedCredentialsAreReplaced(t *testing.T) {
	for _, code := range []string{"ExpiredToken", "InvalidToken"} {
		p := newPools()
		refusals := 1
		c := p.client(t, func(cfg *Config) {
			cfg.HTTPClient = &http.Client{Transport: handlerTransport{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Host != "s3.test":
					p.ServeHTTP(w, r)
				case refusals > 0:
					refusals--
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code></Error>")
				default:
					w.Header().Set("ETag", `"x"`)
				}
			})}}
		})
		if _, err := c.Upload(t.Context(), At("public/a"), strings.NewReader("x"), nil); err != nil {
			t.Errorf("%s: %v", code, err)
		}
		if got, want := p.took(), "GetId GetCredentialsForIdentity:id1 GetCredentialsForIdentity:id1"; got != want {
			t.Errorf("%s: calls are %q, want %q", code, got, want)
		}
	}
}

func TestCredentialsAreAskedForOnce(t *testing.T) {
	p := newPools()
	c := p.client(t, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.session.Retrieve(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := c.Credentials(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, want := p.took(), "GetId GetCredentialsForIdentity:id1"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestWrongClock(t *testing.T) {
	for _, skew := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		p := newPools()
		p.skew = skew
		c := p.client(t, nil)
		s := signIn(t, c)
		if left := time.Until(s.Expires); left < 59*time.Minute || left > 61*time.Minute {
			t.Errorf("clock wrong by %v: credentials are taken to be good for %v", skew, left)
		}
		p.took()
		describe(t, c)
		if _, err := c.Token(t.Context()); err != nil {
			t.Error(err)
		}
		if got := p.took(); got != "" {
			t.Errorf("clock wrong by %v: asked again for %q", skew, got)
		}
	}
}

func TestNoGuests(t *testing.T) {
	p := newPools()
	c := p.client(t, func(cfg *Config) { cfg.NoGuests = true })
	_, err := c.Upload(t.Context(), Key("a", Private), strings.NewReader("x"), nil)
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "sign in first") {
		t.Errorf("error is %v", err)
	}
	if got := p.took(); got != "" {
		t.Errorf("asked for %q", got)
	}
	signIn(t, c)
}

func TestSignOutWithoutServer(t *testing.T) {
	p := newPools()
	c := p.client(t, func(cfg *Config) { cfg.Attempts = 1 })
	signIn(t, c)
	p.fail = 1
	if err := c.SignOut(t.Context()); err == nil || !strings.Contains(err.Error(), "signed out here") {
		t.Errorf("error is %v", err)
	}
	if s := describe(t, c); s.SignedIn {
		t.Errorf("session is %+v", s)
	}
}

func TestRedirectGetsNoPassword(t *testing.T) {
	leaked := false
	c := newPools().client(t, func(cfg *Config) {
		cfg.HTTPClient = &http.Client{Transport: handlerTransport{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			leaked = leaked || r.URL.Host == "evil.test"
			http.Redirect(w, r, "http://evil.test/", http.StatusTemporaryRedirect)
		})}}
	})
	if _, err := c.SignIn(t.Context(), "alice", "secret"); err == nil {
		t.Error("signed in by a redirect")
	}
	if leaked {
		t.Error("the password went elsewhere")
	}
}

func TestDiscover(t *testing.T) {
	o := &outputs.Outputs{
		Auth:    &outputs.Auth{Region: "r", IdentityPoolID: "r:1", UserPoolID: "r_1", UserPoolClientID: "c", Guests: true},
		Storage: &outputs.Storage{Region: "r", Bucket: "media-1", Buckets: []outputs.Bucket{{Name: "media", BucketName: "media-1", Region: "r"}}},
		Custom:  &outputs.Custom{Cubby: &outputs.Cubby{S3Endpoint: "http://s3.test", IdentityPoolEndpoint: "http://s3.test/", UserPoolEndpoint: "http://s3.test/", PathStyle: true}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/base/.well-known/cubby/amplify_outputs.json", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Write(w); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/html/", func(w http.ResponseWriter, _ *http.Request) {
		http.ServeContent(w, new(http.Request), "x.html", time.Time{}, strings.NewReader("<html>"))
	})
	mux.HandleFunc("/down/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/other/", func(w http.ResponseWriter, _ *http.Request) { _ = (&outputs.Outputs{}).Write(w) })
	hc := &http.Client{Transport: handlerTransport{mux}}
	got, err := Discover(t.Context(), "http://any.test/base/", hc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Outputs: got})
	if err != nil {
		t.Fatal(err)
	}
	if names := c.Buckets(); len(names) != 1 || names[0] != "media" || c.cfg.Endpoint != "http://s3.test" || !c.cfg.PathStyle {
		t.Errorf("buckets are %q, configuration is %+v", names, c.cfg)
	}
	for endpoint, says := range map[string]string{
		"http://any.test/missing": "not a Cubby server",
		"http://any.test/html":    "not a Cubby server",
		"http://any.test/other":   "not a Cubby server",
		"http://any.test/down":    "answers 502 Bad Gateway; check the endpoint, and whether the server is running",
		"any.test:1":              "not an http or https URL: invalid argument; did you mean https://any.test:1?",
		"ftp://any.test":          "not an http or https URL",
	} {
		if _, err := Discover(t.Context(), endpoint, hc); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error is %v, want %q", endpoint, err, says)
		}
	}
}

func TestDiscoverNobody(t *testing.T) {
	_, err := Discover(t.Context(), "http://127.0.0.1:1", nil)
	if want := "discover http://127.0.0.1:1: dial tcp 127.0.0.1:1: "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "; check the endpoint, and whether the server is running") {
		t.Errorf("nobody there: error is %v, want %s...", err, want)
	}
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	if _, err := Discover(t.Context(), untrusted.URL, nil); err == nil || !strings.Contains(err.Error(), "trust the certificate") {
		t.Errorf("certificate of a stranger: error is %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		silent := &http.Client{Transport: silence{}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := Discover(ctx, "http://any.test", silent)
		if want := "discover http://any.test: context deadline exceeded; check the endpoint, and whether the server is running"; err == nil || err.Error() != want {
			t.Errorf("no answer: error is %v, want %s", err, want)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = Discover(canceled, "http://any.test", silent)
		if want := "discover http://any.test: context canceled"; err == nil || err.Error() != want {
			t.Errorf("canceled: error is %v, want %s", err, want)
		}
	})
}

// silence never answers.
type silence struct{}

// RoundTrip implements http.RoundTripper.
func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func FuzzClaims(f *testing.F) {
	f.Add(newPools().idToken())
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := parseClaims(token)
		if err == nil && (c.Issuer == "" || c.Subject == "") {
			t.Errorf("token %q without issuer or subject was accepted", token)
		}
	})
}
