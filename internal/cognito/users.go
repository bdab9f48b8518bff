package cognito

import (
	"maps"
	"net/http"
	"slices"

	"github.com/cubby-storage/cubby/internal/userpool"
)

type initiated struct {
	AuthenticationResult authenticationResult
	ChallengeParameters  struct{}
}

type refreshed struct {
	AuthenticationResult authenticationResult
}

type authenticationResult struct {
	AccessToken  string
	ExpiresIn    int64  // seconds
	IDToken      string `json:"IdToken"`
	RefreshToken string `json:",omitempty"`
	TokenType    string
}

type userInfo struct {
	Username       string
	UserAttributes []attribute
}

type attribute struct {
	Name  string
	Value string
}

func (h *Handler) initiateAuth(r *http.Request, m message) (any, error) {
	flow, err := m.text("AuthFlow")
	if err != nil {
		return nil, err
	}
	caller, err := h.caller(r, m)
	if err != nil {
		return nil, err
	}
	with, err := m.texts("AuthParameters")
	if err != nil {
		return nil, err
	}
	var tokens *userpool.Tokens
	switch flow {
	case "USER_PASSWORD_AUTH":
		tokens, err = h.users.SignIn(r.Context(), caller, with["USERNAME"], with["PASSWORD"])
	case "REFRESH_TOKEN_AUTH", "REFRESH_TOKEN":
		if with["REFRESH_TOKEN"] == "" {
			return nil, invalid("Missing required parameter REFRESH_TOKEN")
		}
		tokens, err = h.users.Refresh(r.Context(), caller, with["REFRESH_TOKEN"])
	case "USER_SRP_AUTH", "USER_AUTH", "CUSTOM_AUTH", "ADMIN_NO_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH":
		return nil, invalid("The flow " + flow + " is not enabled for this client.")
	default:
		return nil, invalid("AuthFlow is not the name of a flow.")
	}
	if err != nil {
		return nil, err
	}
	return initiated{AuthenticationResult: result(tokens)}, nil
}

func (h *Handler) getTokens(r *http.Request, m message) (any, error) {
	caller, err := h.caller(r, m)
	if err != nil {
		return nil, err
	}
	token, err := m.text("RefreshToken")
	if err != nil {
		return nil, err
	}
	tokens, err := h.users.Refresh(r.Context(), caller, token)
	if err != nil {
		return nil, err
	}
	return refreshed{result(tokens)}, nil
}

func result(t *userpool.Tokens) authenticationResult {
	return authenticationResult{
		AccessToken:  t.Access,
		ExpiresIn:    int64(t.Expires.Seconds()),
		IDToken:      t.ID,
		RefreshToken: t.Refresh,
		TokenType:    "Bearer",
	}
}

func (h *Handler) revokeToken(r *http.Request, m message) (any, error) {
	caller, err := h.caller(r, m)
	if err != nil {
		return nil, err
	}
	token, err := m.text("Token")
	if err != nil {
		return nil, err
	}
	return struct{}{}, h.users.Revoke(r.Context(), caller, token)
}

func (h *Handler) getUser(r *http.Request, m message) (any, error) {
	token, err := m.text("AccessToken")
	if err != nil {
		return nil, err
	}
	u, err := h.users.UserInfo(r.Context(), token)
	if err != nil {
		return nil, err
	}
	info := userInfo{Username: u.Name, UserAttributes: []attribute{{"sub", u.Sub}}}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		info.UserAttributes = append(info.UserAttributes, attribute{name, u.Attributes[name]})
	}
	return info, nil
}

func (h *Handler) globalSignOut(r *http.Request, m message) (any, error) {
	token, err := m.text("AccessToken")
	if err != nil {
		return nil, err
	}
	return struct{}{}, h.users.SignOutEverywhere(r.Context(), token)
}

// caller returns where a request for tokens comes from.
func (h *Handler) caller(r *http.Request, m message) (userpool.Caller, error) {
	client, err := m.text("ClientId")
	return userpool.Caller{ClientID: client, BaseURL: h.opts.BaseURL(r)}, err
}
