package userpool

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/cubby-storage/cubby/internal/state"
	"github.com/go-jose/go-jose/v4"
)

const (
	purposeSign   = "sign"
	purposeSecret = "secret"
)

// signingKey is a key that signs tokens. Its id is the thumbprint of the
// public key.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

// secret is what makes answers about unknown names stable.
type secret struct {
	key   []byte
	decoy []byte // a sealed verifier that nobody has the password for
}

// mac returns 32 bytes that stand for a text and cannot be computed by others.
func (s *secret) mac(purpose, text string) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(purpose + "\x00" + text))
	return h.Sum(nil)
}

// Prepare makes what the first sign-in needs and the state lacks: the signing
// key and a secret. It may run beside everything else; a sign-in that comes
// before it is done waits for it.
func (p *Pool) Prepare(ctx context.Context) error {
	if _, err := p.loadSecret(ctx); err != nil {
		return err
	}
	_, err := p.loadKeys(ctx)
	return err
}

// JWKS returns the public keys that tokens of the pool are verified with.
func (p *Pool) JWKS(ctx context.Context) (jose.JSONWebKeySet, error) {
	keys, err := p.loadKeys(ctx)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: &k.private.PublicKey, KeyID: k.id, Algorithm: string(jose.RS256), Use: "sig",
		})
	}
	return set, nil
}

// loadKeys returns the keys in the state. The first one signs; if there is
// none that may, it is made.
func (p *Pool) loadKeys(ctx context.Context) ([]*signingKey, error) {
	keys, err := p.readKeys(ctx)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	select { // one at a time, for it takes long
	case p.making <- struct{}{}:
		defer func() { <-p.making }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if keys, err = p.readKeys(ctx); err != nil || len(keys) > 0 {
		return keys, err
	}
	private, err := p.cfg.NewKey()
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	id, err := thumbprint(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode signing key: %w", err)
	}
	if _, err := p.keep(ctx, purposeSign, id, plain); err != nil {
		return nil, err
	}
	return p.readKeys(ctx)
}

// readKeys returns the keys in the state with one that signs in front, or
// nothing if no key may sign.
func (p *Pool) readKeys(ctx context.Context) ([]*signingKey, error) {
	rows, err := p.userKeys(ctx, purposeSign)
	if err != nil {
		return nil, err
	}
	var first, others []*signingKey
	for _, row := range rows {
		k, err := p.parseKey(row)
		if err != nil {
			return nil, err
		}
		if row.Retired || len(first) > 0 {
			others = append(others, k)
		} else {
			first = append(first, k)
		}
	}
	if len(first) == 0 {
		return nil, nil
	}
	return append(first, others...), nil
}

func (p *Pool) userKeys(ctx context.Context, purpose string) (rows []*state.UserKey, err error) {
	err = p.db.View(ctx, func(t *state.Tx) error {
		rows, err = t.UserKeys(ctx, purpose)
		return err
	})
	return rows, err
}

func (p *Pool) parseKey(row *state.UserKey) (*signingKey, error) {
	p.mu.Lock()
	k := p.keys[row.ID]
	p.mu.Unlock()
	if k != nil { // the id is a digest of the key
		return k, nil
	}
	plain, err := p.cfg.Sealer.Open(row.Sealed, p.ad(purposeSign, row.ID))
	if err != nil {
		return nil, fmt.Errorf("open signing key %s: %w", row.ID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("parse signing key %s: %w", row.ID, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("parse signing key %s: not an RSA key", row.ID)
	}
	if id, err := thumbprint(&private.PublicKey); err != nil || id != row.ID {
		return nil, fmt.Errorf("parse signing key %s: another key lies there", row.ID)
	}
	k = &signingKey{id: row.ID, private: private}
	p.mu.Lock()
	p.keys[row.ID] = k
	p.mu.Unlock()
	return k, nil
}

func thumbprint(public *rsa.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("name signing key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

func (p *Pool) loadSecret(ctx context.Context) (*secret, error) {
	p.mu.Lock()
	s := p.secret
	p.mu.Unlock()
	if s != nil { // it never changes
		return s, nil
	}
	rows, err := p.userKeys(ctx, purposeSecret)
	if err != nil {
		return nil, err
	}
	var row *state.UserKey
	if len(rows) > 0 {
		row = rows[len(rows)-1]
	} else {
		plain := make([]byte, 32)
		rand.Read(plain)
		if row, err = p.keep(ctx, purposeSecret, "secret", plain); err != nil {
			return nil, err
		}
	}
	s = new(secret)
	if s.key, err = p.cfg.Sealer.Open(row.Sealed, p.ad(purposeSecret, row.ID)); err != nil {
		return nil, fmt.Errorf("open secret of the user pool: %w", err)
	}
	if len(s.key) != 32 {
		return nil, errors.New("open secret of the user pool: wrong size")
	}
	decoy := make([]byte, verifierSize)
	rand.Read(decoy)
	s.decoy = p.cfg.Sealer.Seal(decoy, p.verifierAD("", nil))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.secret == nil {
		p.secret = s
	}
	return p.secret, nil
}

// keep stores a key unless one that is in use has been stored for the purpose
// meanwhile, maybe by another process, and returns the one that is in use.
func (p *Pool) keep(ctx context.Context, purpose, id string, plain []byte) (*state.UserKey, error) {
	row := &state.UserKey{ID: id, Purpose: purpose, Sealed: p.cfg.Sealer.Seal(plain, p.ad(purpose, id))}
	err := p.db.Update(ctx, func(t *state.Tx) error {
		rows, err := t.UserKeys(ctx, purpose)
		if err != nil {
			return err
		}
		for _, other := range rows {
			if !other.Retired {
				row = other
				return nil
			}
		}
		return t.AddUserKey(ctx, row)
	})
	return row, err
}
