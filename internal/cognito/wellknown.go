package cognito

import (
	"net/http"
	"strings"
)

// discovery is what OpenID Connect tells about an issuer that signs tokens and
// has no pages of its own.
type discovery struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
}

// document returns what makes the public document at a path, or nil.
func (h *Handler) document(path string) func(*http.Request) (any, error) {
	name, ok := strings.CutPrefix(path, "/"+h.users.ID()+"/.well-known/")
	switch {
	case ok && name == "jwks.json":
		return func(r *http.Request) (any, error) { return h.users.JWKS(r.Context()) }
	case ok && name == "openid-configuration":
		return h.discovery
	}
	return nil
}

func (h *Handler) discovery(r *http.Request) (any, error) {
	issuer := strings.TrimRight(h.opts.BaseURL(r), "/") + "/" + h.users.ID()
	return discovery{
		Issuer:        issuer,
		JWKS:          issuer + "/.well-known/jwks.json",
		Algorithms:    []string{"RS256"},
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
	}, nil
}
