package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// OIDCConfig says which ID tokens an [OIDC] provider accepts. Issuer and
// ClientIDs are required.
type OIDCConfig struct {
	Issuer    string   // its address, as in the iss claim; https, unless it is on this machine
	ClientIDs []string // one of them must be in the aud claim

	// Algorithms are the signature algorithms accepted, of RS256, RS384,
	// RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA.
	// If empty, all of them are.
	Algorithms []string

	GroupsClaim   string   // the claim that holds the groups; "" for none
	GroupPrefix   string   // goes in front of each group; required with GroupsClaim
	UsernameClaim string   // the claim that holds the user name; "" for none
	Claims        []string // the claims that rules may use, where they are texts

	Client *http.Client // asks the issuer; nil means one of our own
	Now    func() time.Time
}

// OIDC is the [Provider] of an OpenID Connect issuer. It asks the issuer for
// its keys when the first token comes, and for new ones as it has to.
type OIDC struct {
	cfg    OIDCConfig
	algs   []jose.SignatureAlgorithm
	issuer *issuer
}

// skew is how far the clock of an issuer may be ahead.
const skew = 5 * time.Minute

// NewOIDC returns the provider that cfg describes. It does not ask the issuer.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	if err := checkAddress(cfg.Issuer, true); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	switch {
	case len(cfg.ClientIDs) == 0 || slices.Contains(cfg.ClientIDs, ""):
		return nil, fmt.Errorf("issuer %s: client ids are required", cfg.Issuer)
	case cfg.GroupsClaim != "" && cfg.GroupPrefix == "":
		return nil, fmt.Errorf("issuer %s: groups need a prefix, or they are the same as ours", cfg.Issuer)
	}
	o := &OIDC{cfg: cfg}
	if o.cfg.Now == nil {
		o.cfg.Now = time.Now
	}
	names := cfg.Algorithms
	if len(names) == 0 {
		names = algorithms
	}
	for _, alg := range names {
		if !slices.Contains(algorithms, alg) {
			return nil, fmt.Errorf("issuer %s: algorithm %q is not one of %s", cfg.Issuer, alg, strings.Join(algorithms, ", "))
		}
		o.algs = append(o.algs, jose.SignatureAlgorithm(alg))
	}
	o.issuer = newIssuer(cfg.Issuer, cfg.Client, o.algs)
	return o, nil
}

// Verify returns who an ID token was issued to.
func (o *OIDC) Verify(ctx context.Context, token string) (*Login, error) {
	kid, err := o.header(token)
	if err != nil {
		return nil, err
	}
	now := o.cfg.Now()
	keys, err := o.issuer.keys(ctx, kid, now)
	if err != nil {
		return nil, err
	}
	var algs []string
	for _, a := range o.algs {
		algs = append(algs, string(a))
	}
	t, err := oidc.NewVerifier(o.cfg.Issuer, keys, &oidc.Config{
		SkipClientIDCheck:    true, // there may be several: see check
		SupportedSigningAlgs: algs,
		Now:                  func() time.Time { return now },
	}).Verify(ctx, token)
	if late, ok := errors.AsType[*oidc.TokenExpiredError](err); ok && !late.Expiry.IsZero() {
		return nil, fmt.Errorf("%w: %w", ErrExpired, err)
	}
	if err != nil {
		return nil, err
	}
	var claims map[string]json.RawMessage
	if err := t.Claims(&claims); err != nil {
		return nil, err
	}
	return o.login(t, claims, now)
}

// header returns the id of the key that signed a token, "" if it does not say.
func (o *OIDC) header(token string) (kid string, err error) {
	if strings.ContainsAny(token, "\r\n") { // which the decoder of base64 skips
		return "", errors.New("token has more than one line")
	}
	jws, err := jose.ParseSignedCompact(token, o.algs)
	if err != nil {
		return "", err
	}
	h := jws.Signatures[0].Protected
	// An access token of the same issuer is a token as well, for another use.
	if typ, ok := h.ExtraHeaders[jose.HeaderType]; ok && !strings.EqualFold(fmt.Sprint(typ), "JWT") {
		return "", fmt.Errorf("token is of type %q", typ)
	}
	return h.KeyID, nil
}

// login checks what the verifier does not, and takes the claims that count.
func (o *OIDC) login(t *oidc.IDToken, claims map[string]json.RawMessage, now time.Time) (*Login, error) {
	// The names of claims are exact, but the verifier takes SUB for sub.
	switch {
	case text(claims["iss"]) == "" || text(claims["iss"]) != t.Issuer,
		text(claims["sub"]) != t.Subject,
		!slices.Equal(texts(claims["aud"]), t.Audience):
		return nil, errors.New("iss, sub or aud is there twice")
	case !validSubject(t.Subject):
		return nil, errors.New("sub is empty, too long or no text")
	case claims["exp"] == nil || t.Expiry.Unix() <= 0:
		return nil, errors.New("exp is missing")
	case !now.Before(t.Expiry):
		return nil, ErrExpired
	case claims["iat"] == nil || t.IssuedAt.Unix() <= 0:
		return nil, errors.New("iat is missing")
	case t.IssuedAt.After(now.Add(skew)):
		return nil, errors.New("iat is in the future")
	}
	if use, ok := claims["token_use"]; ok && text(use) != "id" {
		return nil, errors.New("token_use is not id")
	}
	if err := o.audience(t.Audience, text(claims["azp"])); err != nil {
		return nil, err
	}
	l := &Login{Subject: t.Subject, IssuedAt: t.IssuedAt, Expires: t.Expiry}
	if o.cfg.UsernameClaim != "" {
		l.Username = text(claims[o.cfg.UsernameClaim])
	}
	if o.cfg.GroupsClaim != "" {
		for _, g := range texts(claims[o.cfg.GroupsClaim]) {
			if g != "" {
				l.Groups = append(l.Groups, o.cfg.GroupPrefix+g)
			}
		}
	}
	for _, name := range o.cfg.Claims {
		if v := text(claims[name]); v != "" {
			if l.Claims == nil {
				l.Claims = make(map[string]string)
			}
			l.Claims[name] = v
		}
	}
	return l, nil
}

// audience checks that a token is meant for us. Of several audiences, the one
// that asked for the token must be ours too.
func (o *OIDC) audience(aud []string, azp string) error {
	if !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(o.cfg.ClientIDs, a) }) {
		return errors.New("aud is none of our clients")
	}
	if len(aud) > 1 && !slices.Contains(o.cfg.ClientIDs, azp) {
		return errors.New("azp is none of our clients")
	}
	return nil
}

// text returns the value of a claim that is a text, else "".
func text(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}

// texts returns the values of a claim that is a text or a list of texts.
func texts(v json.RawMessage) []string {
	var all []string
	if json.Unmarshal(v, &all) == nil {
		return all
	}
	var s string
	if json.Unmarshal(v, &s) == nil {
		return []string{s}
	}
	return nil
}
