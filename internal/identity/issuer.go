package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	answerMax    = 1 << 20          // of what an issuer answers
	askTimeout   = 10 * time.Second // for one answer
	keysMaxCount = 100

	keysFresh   = time.Hour        // how long keys are used without asking again
	keysUsable  = 24 * time.Hour   // how long they are used if the issuer does not answer
	askForKey   = time.Minute      // how often an unknown key makes us ask
	askOnceMore = 10 * time.Second // how often we ask an issuer that did not answer
)

// algorithms are those that an issuer may sign with. None of them takes a
// secret, so that nobody can use a public key as one.
var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// issuer asks an OpenID Connect issuer for its keys.
type issuer struct {
	address string
	client  *http.Client
	algs    []jose.SignatureAlgorithm
	current atomic.Pointer[keySet]

	asking sync.Mutex // guards what follows
	asked  time.Time
	err    error // why the last question had no answer
}

func newIssuer(address string, client *http.Client, algs []jose.SignatureAlgorithm) *issuer {
	own := new(http.Client)
	if client != nil {
		*own = *client
	}
	if own.Timeout == 0 {
		own.Timeout = askTimeout
	}
	own.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
			return errors.New("redirected to somewhere else")
		}
		return nil
	}
	return &issuer{address: address, client: own, algs: algs}
}

// checkAddress returns an error if an address is not https. With local, http
// will do for this machine.
func checkAddress(address string, local bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is not the address of a host", address)
	case u.Scheme == "https", u.Scheme == "http" && local && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not an https address", address)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// keys returns the keys of the issuer, which hold the one named kid if the
// issuer has it. How often the issuer is asked is limited, whatever tokens
// say. If its keys are not known the error wraps ErrUnavailable.
func (s *issuer) keys(ctx context.Context, kid string, now time.Time) (*keySet, error) {
	set := s.current.Load()
	switch {
	case !set.usable(kid, now, keysUsable):
		s.asking.Lock()
	case set.usable(kid, now, keysFresh) || !s.asking.TryLock():
		return set, nil // while one asks for newer keys, the others go on with these
	}
	defer s.asking.Unlock()
	set = s.current.Load()
	if set.usable(kid, now, keysFresh) {
		return set, nil
	}
	wait := askForKey
	if set == nil || s.err != nil || set.has(kid) {
		wait = askOnceMore
	}
	if s.asked.IsZero() || now.Sub(s.asked) >= wait {
		s.asked = now
		// The answer is for all who wait, not for this caller alone.
		fetched, err := s.fetch(context.WithoutCancel(ctx))
		s.err = err
		if err == nil {
			fetched.asked = now
			s.current.Store(fetched)
			set = fetched
		}
	}
	if set == nil || now.Sub(set.asked) >= keysUsable {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, s.err)
	}
	return set, nil
}

// fetch asks the issuer where its keys are, and for the keys.
func (s *issuer) fetch(ctx context.Context) (*keySet, error) {
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := s.ask(ctx, strings.TrimSuffix(s.address, "/")+"/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	if about.Issuer != s.address {
		return nil, fmt.Errorf("%s says that it is %q", s.address, about.Issuer)
	}
	// Only an issuer on this machine may have its keys there without https.
	if err := checkAddress(about.Keys, strings.HasPrefix(s.address, "http://")); err != nil {
		return nil, fmt.Errorf("jwks_uri of %s: %w", s.address, err)
	}
	var answer struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.ask(ctx, about.Keys, &answer); err != nil {
		return nil, err
	}
	if len(answer.Keys) > keysMaxCount {
		return nil, fmt.Errorf("%s has %d keys", s.address, len(answer.Keys))
	}
	set := &keySet{algs: s.algs}
	for _, text := range answer.Keys {
		var k jose.JSONWebKey
		// A key of a kind that is not known is no reason to refuse the others.
		if json.Unmarshal(text, &k) == nil && k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			set.all = append(set.all, k)
		}
	}
	return set, nil
}

func (s *issuer) ask(ctx context.Context, address string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	res, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", address, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, answerMax+1))
	if err != nil {
		return fmt.Errorf("get %s: %w", address, err)
	}
	if len(body) > answerMax {
		return fmt.Errorf("get %s: answer is over %d bytes", address, answerMax)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("get %s: %w", address, err)
	}
	return nil
}

// keySet is the keys of an issuer at one time. It implements oidc.KeySet.
type keySet struct {
	all   []jose.JSONWebKey
	algs  []jose.SignatureAlgorithm
	asked time.Time
}

// has reports whether the set has the key, or any key if the token names none.
func (s *keySet) has(kid string) bool {
	return slices.ContainsFunc(s.all, func(k jose.JSONWebKey) bool { return kid == "" || k.KeyID == kid })
}

// usable reports whether there is a set, not older than age, that has the key.
func (s *keySet) usable(kid string, now time.Time, age time.Duration) bool {
	return s != nil && s.has(kid) && now.Sub(s.asked) < age
}

// VerifySignature returns the payload of a token that one of the keys signed.
func (s *keySet) VerifySignature(_ context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, s.algs)
	if err != nil {
		return nil, err
	}
	h := jws.Signatures[0].Protected
	for _, k := range s.all {
		if h.KeyID != "" && h.KeyID != k.KeyID || !suits(h.Algorithm, &k) {
			continue
		}
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("no key of the issuer has signed this")
}

// suits reports whether an algorithm belongs to a key: to its type, to its
// curve, and to what the issuer says of it.
func suits(alg string, k *jose.JSONWebKey) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && key.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return alg == "ES256"
		case elliptic.P384():
			return alg == "ES384"
		case elliptic.P521():
			return alg == "ES512"
		}
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
