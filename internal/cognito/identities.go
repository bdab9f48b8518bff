package cognito

import (
	"net/http"
)

type identityID struct {
	IdentityID string `json:"IdentityId"`
}

type openIDToken struct {
	IdentityID string `json:"IdentityId"`
	Token      string
}

type credentialsForIdentity struct {
	IdentityID  string `json:"IdentityId"`
	Credentials credentials
}

type credentials struct {
	AccessKeyID  string `json:"AccessKeyId"`
	SecretKey    string
	SessionToken string
	Expiration   int64 // in seconds since 1970
}

func (h *Handler) getID(r *http.Request, m message) (any, error) {
	pool, err := m.text("IdentityPoolId")
	if err != nil {
		return nil, err
	}
	logins, err := m.texts("Logins")
	if err != nil {
		return nil, err
	}
	id, err := h.ids.GetID(r.Context(), pool, logins, h.opts.RemoteAddr(r))
	if err != nil {
		return nil, err
	}
	return identityID{id}, nil
}

func (h *Handler) getCredentials(r *http.Request, m message) (any, error) {
	id, err := m.text("IdentityId")
	if err != nil {
		return nil, err
	}
	logins, err := m.texts("Logins")
	if err != nil {
		return nil, err
	}
	if m.has("CustomRoleArn") {
		return nil, invalid("CustomRoleArn is not supported by this server.")
	}
	c, err := h.ids.Credentials(r.Context(), id, logins)
	if err != nil {
		return nil, err
	}
	return credentialsForIdentity{c.IdentityID, credentials{
		AccessKeyID:  c.AccessKeyID,
		SecretKey:    c.SecretKey.Reveal(),
		SessionToken: c.SessionToken.Reveal(),
		Expiration:   c.Expires.Unix(),
	}}, nil
}

func (h *Handler) getOpenIDToken(r *http.Request, m message) (any, error) {
	id, err := m.text("IdentityId")
	if err != nil {
		return nil, err
	}
	logins, err := m.texts("Logins")
	if err != nil {
		return nil, err
	}
	id, token, err := h.ids.OpenIDToken(r.Context(), id, logins)
	if err != nil {
		return nil, err
	}
	return openIDToken{id, token.Reveal()}, nil
}
