package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of the protocol, and of OpenID Connect for a subject.
const (
	loginsMax   = 10
	loginKeyMax = 128
	tokenMax    = 50000
	subjectMax  = 255
	linkedMax   = 20
)

// verify returns the logins that the tokens of a Logins map prove, ordered by
// provider, at most one for each. One token that is no good fails them all.
func (p *Pool) verify(ctx context.Context, tokens map[string]string) ([]*Login, error) {
	if len(tokens) > loginsMax {
		return nil, invalid(fmt.Sprintf("Logins holds more than %d logins.", loginsMax))
	}
	for name, token := range tokens {
		switch {
		case name == "" || len(name) > loginKeyMax:
			return nil, invalid(fmt.Sprintf("A key of Logins is not 1 to %d characters.", loginKeyMax))
		case token == "" || len(token) > tokenMax:
			return nil, invalid(fmt.Sprintf("A token of Logins is not 1 to %d characters.", tokenMax))
		}
	}
	var all []*Login
	for _, name := range slices.Sorted(maps.Keys(tokens)) {
		l, err := p.verifyOne(ctx, name, tokens[name])
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(o *Login) bool { return o.Provider == l.Provider })
		switch {
		case i < 0:
			all = append(all, l)
		case all[i].Subject != l.Subject:
			return nil, &Error{Code: CodeConflict, Message: "Logins holds two logins of one provider."}
		case all[i].IssuedAt.Before(l.IssuedAt):
			all[i] = l // the same user under two names of the provider
		}
	}
	slices.SortFunc(all, func(a, b *Login) int { return strings.Compare(a.Provider, b.Provider) })
	return all, nil
}

func (p *Pool) verifyOne(ctx context.Context, name, token string) (*Login, error) {
	i := slices.IndexFunc(p.cfg.Providers, func(pc ProviderConfig) bool { return pc.Match(name) })
	if i < 0 {
		return nil, unauthorized("The login is not of a provider of this identity pool.", nil)
	}
	pc := &p.cfg.Providers[i]
	l, err := pc.Provider.Verify(ctx, token)
	switch {
	case errors.Is(err, ErrUnavailable):
		return nil, &Error{CodeExternalService, "The login provider cannot be reached now.", err}
	case errors.Is(err, ErrExpired):
		return nil, unauthorized("Invalid login token. Token expired.", err)
	case err != nil:
		return nil, unauthorized("Invalid login token.", err)
	case !l.Expires.IsZero() && !p.cfg.Now().Before(l.Expires):
		return nil, unauthorized("Invalid login token. Token expired.", nil)
	case !validSubject(l.Subject):
		return nil, unauthorized("Invalid login token.", errors.New("subject is empty, too long or no text"))
	}
	own := *l
	own.Provider = pc.ID
	return &own, nil
}

func validSubject(s string) bool {
	return s != "" && len(s) <= subjectMax && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func unauthorized(message string, err error) error {
	return &Error{CodeNotAuthorized, message, err}
}
