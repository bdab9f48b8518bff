package identity

import (
	"context"
	"time"
)

// Credentials are temporary access keys for one identity.
type Credentials struct {
	IdentityID   string // may differ from the one that was asked for
	AccessKeyID  string
	SecretKey    Secret
	SessionToken Secret
	Expires      time.Time
}

// GetID returns the identity id of the holder of logins: tokens by the names
// of their providers. Without logins it returns the id of a new guest; how
// many of these one caller gets is limited. The caller is named by its network
// address, with or without a port.
func (p *Pool) GetID(ctx context.Context, poolID string, logins map[string]string, caller string) (string, error) {
	if err := p.checkPool(poolID); err != nil {
		return "", err
	}
	if len(logins) == 0 {
		if !p.cfg.AllowGuests {
			return "", noGuests()
		}
		if !p.guests.Allow(caller, p.cfg.Now()) {
			return "", &Error{Code: CodeTooManyRequests, Message: "Too many new guests from this address."}
		}
		return NewID(p.cfg.Region), nil
	}
	all, err := p.verify(ctx, logins)
	if err != nil {
		return "", err
	}
	b, err := p.bind(ctx, "", all)
	if err != nil {
		return "", internal(err)
	}
	return b.identity, nil
}

// Credentials returns credentials for an identity: a guest's without logins,
// else a user's. With logins the identity may turn out to be another one.
func (p *Pool) Credentials(ctx context.Context, identityID string, logins map[string]string) (*Credentials, error) {
	b, err := p.prove(ctx, identityID, logins)
	if err != nil {
		return nil, err
	}
	c, err := p.issue(b)
	if err != nil {
		return nil, internal(err)
	}
	return c, nil
}

// prove returns who may act for an identity: a guest, if there are no logins.
func (p *Pool) prove(ctx context.Context, identityID string, logins map[string]string) (*bound, error) {
	if err := p.CheckID(identityID); err != nil {
		return nil, err
	}
	if len(logins) == 0 {
		if err := p.guest(ctx, identityID); err != nil {
			return nil, internal(err)
		}
		return &bound{identity: identityID}, nil
	}
	all, err := p.verify(ctx, logins)
	if err != nil {
		return nil, err
	}
	b, err := p.bind(ctx, identityID, all)
	if err != nil {
		return nil, internal(err)
	}
	return b, nil
}
