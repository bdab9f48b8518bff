package identity

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cubby-storage/cubby/internal/state"
)

const (
	openIDLifetime = 10 * time.Minute
	openIDSetting  = "identity: openid key"
)

// openIDKey is the key that signs OpenID tokens. It is made when it is first
// asked for, because that takes long, and kept sealed in the state.
type openIDKey struct {
	sealer *Sealer

	mu     sync.Mutex // guards what follows
	public *jose.JSONWebKey
	signer jose.Signer
}

// OpenIDToken returns a token, good for ten minutes, by which others can know
// the identity, and the identity's id, which may differ from the one that was
// asked for. Others verify the token with [Pool.JWKS].
func (p *Pool) OpenIDToken(ctx context.Context, identityID string, logins map[string]string) (id string, token Secret, err error) {
	b, err := p.prove(ctx, identityID, logins)
	if err != nil {
		return "", Secret{}, err
	}
	signer, _, err := p.openIDKey(ctx)
	if err != nil {
		return "", Secret{}, internal(err)
	}
	now := p.cfg.Now()
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer:   p.cfg.Issuer,
		Subject:  b.identity,
		Audience: jwt.Audience{p.cfg.PoolID},
		IssuedAt: jwt.NewNumericDate(now),
		Expiry:   jwt.NewNumericDate(now.Add(openIDLifetime)),
	}).Claims(map[string]any{"amr": methods(b.logins)}).Serialize()
	if err != nil {
		return "", Secret{}, internal(err)
	}
	return b.identity, NewSecret(text), nil
}

// methods says how an identity was proven, as the amr claim does.
func methods(logins []*Login) []string {
	if len(logins) == 0 {
		return []string{"unauthenticated"}
	}
	amr := []string{"authenticated"}
	for _, l := range logins {
		amr = append(amr, l.Provider, l.Provider+":"+l.Subject)
	}
	return amr
}

// JWKS returns the public key that verifies OpenID tokens.
func (p *Pool) JWKS(ctx context.Context) (jose.JSONWebKeySet, error) {
	_, public, err := p.openIDKey(ctx)
	if err != nil {
		return jose.JSONWebKeySet{}, internal(err)
	}
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{*public}}, nil
}

func (p *Pool) openIDKey(ctx context.Context) (jose.Signer, *jose.JSONWebKey, error) {
	k := &p.openID
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.signer != nil {
		return k.signer, k.public, nil
	}
	der, err := k.load(ctx, p.db)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, err
	}
	rsaKey, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, errors.New("openid key is not an RSA key")
	}
	public := &jose.JSONWebKey{Key: rsaKey.Public(), Algorithm: string(jose.RS512), Use: "sig"}
	thumb, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, nil, err
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS512,
		Key:       jose.JSONWebKey{Key: rsaKey, KeyID: public.KeyID},
	}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return nil, nil, err
	}
	k.signer, k.public = signer, public
	return signer, public, nil
}

// load returns the private key that is kept in the state, after it has made
// one if there is none, or none that the server keys open.
func (k *openIDKey) load(ctx context.Context, db *state.DB) ([]byte, error) {
	ad := []byte(openIDSetting)
	sealed, err := db.Setting(ctx, openIDSetting)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	der, bad := k.sealer.Open(sealed, ad)
	if bad == nil && k.sealer.Current(sealed) {
		return der, nil
	}
	if bad != nil {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		if der, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
			return nil, err
		}
	}
	err = db.Update(ctx, func(t *state.Tx) error {
		// Another process may have been quicker; all must have one key.
		if now, err := t.Setting(ctx, openIDSetting); err == nil {
			if theirs, bad := k.sealer.Open(now, ad); bad == nil {
				der = theirs
				if k.sealer.Current(now) {
					return nil
				}
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return t.SetSetting(ctx, openIDSetting, k.sealer.Seal(der, ad))
	})
	return der, err
}
