package userpool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxToken is the length above which no token is looked at.
const maxToken = 50_000

const (
	useAccess = "access"
	useID     = "id"
	scope     = "aws.cognito.signin.user.admin"
)

// Login tells whom an ID token stands for. Groups and claims are those the
// user has now, not those they had when the token was made.
type Login struct {
	Subject  string
	Username string
	Groups   []string          // in the order of their precedence
	Claims   map[string]string // attributes of the user, and sub, aud, iss and cognito:username
	Session  string            // the origin_jti
	AuthTime time.Time         // of the sign-in
	IssuedAt time.Time
	Expires  time.Time
}

// claims are what the pool reads in its own tokens.
type claims struct {
	Subject  string   `json:"sub"`
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Client   string   `json:"client_id"`
	Session  string   `json:"origin_jti"`
	Use      string   `json:"token_use"`
	Scope    string   `json:"scope"`
	Groups   []string `json:"cognito:groups"`
	AuthTime int64    `json:"auth_time"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

// issue signs an access and an ID token of a session.
func (p *Pool) issue(k *signingKey, issuer string, u *state.User, groups []string, s *state.UserSession) (*Tokens, error) {
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("sign token: %w", err)
	}
	now := p.cfg.Now()
	event := state.NewUUID()
	both := map[string]any{
		"sub":        u.Sub,
		"iss":        issuer,
		"origin_jti": s.ID,
		"event_id":   event,
		"auth_time":  s.AuthTime.Unix(),
		"iat":        now.Unix(),
		"exp":        now.Add(p.cfg.AccessLifetime).Unix(),
	}
	if len(groups) > 0 {
		both["cognito:groups"] = groups
	}
	access := maps.Clone(both)
	access["jti"] = state.NewUUID()
	access["token_use"] = useAccess
	access["client_id"] = s.Client
	access["username"] = u.Name
	access["scope"] = scope

	id := attributeClaims(u.Attributes)
	maps.Copy(id, both)
	id["jti"] = state.NewUUID()
	id["token_use"] = useID
	id["aud"] = s.Client
	id["cognito:username"] = u.Name

	t := &Tokens{Expires: p.cfg.AccessLifetime}
	if t.Access, err = sign(signer, access); err != nil {
		return nil, err
	}
	t.ID, err = sign(signer, id)
	return t, err
}

func sign(signer jose.Signer, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed.CompactSerialize()
}

// attributeClaims returns attributes with the types that OpenID Connect gives
// them.
func attributeClaims(attributes map[string]string) map[string]any {
	all := make(map[string]any, len(attributes)+12)
	for name, value := range attributes {
		switch name {
		case "email_verified", "phone_number_verified":
			all[name] = value == "true"
		case "address":
			all[name] = map[string]string{"formatted": value}
		case "updated_at":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				all[name] = n
			}
		default:
			all[name] = value
		}
	}
	return all
}

// Verify returns whom an ID token stands for. The token must be signed by the
// pool, for its client, under any URL that ends in the pool id; it must not
// have expired, and its session and its user must still be good.
func (p *Pool) Verify(ctx context.Context, token string) (*Login, error) {
	c, err := p.parse(ctx, token, useID)
	if err != nil {
		return nil, err
	}
	var user *state.User
	var groups []string
	err = p.db.View(ctx, func(t *state.Tx) (err error) {
		if user, err = p.live(ctx, t, c); err != nil {
			return err
		}
		groups, err = t.GroupsOfUser(ctx, user.Sub)
		return err
	})
	if err != nil {
		return nil, err
	}
	login := &Login{
		Subject:  user.Sub,
		Username: user.Name,
		Groups:   groups,
		Claims:   maps.Clone(user.Attributes),
		Session:  c.Session,
		AuthTime: time.Unix(c.AuthTime, 0),
		IssuedAt: time.Unix(c.Issued, 0),
		Expires:  time.Unix(c.Expires, 0),
	}
	if login.Claims == nil {
		login.Claims = make(map[string]string)
	}
	maps.Copy(login.Claims, map[string]string{
		"sub": user.Sub, "iss": c.Issuer, "aud": c.Audience, "cognito:username": user.Name,
	})
	return login, nil
}

// UserInfo returns the user whom an access token stands for.
func (p *Pool) UserInfo(ctx context.Context, accessToken string) (*User, error) {
	c, err := p.parse(ctx, accessToken, useAccess)
	if err != nil {
		return nil, err
	}
	var u *User
	err = p.db.View(ctx, func(t *state.Tx) error {
		row, err := p.live(ctx, t, c)
		if err != nil {
			return err
		}
		u, err = p.user(ctx, t, row)
		return err
	})
	return u, err
}

// SignOutEverywhere ends all sessions of the user whom an access token stands
// for, and the credentials that came of them.
func (p *Pool) SignOutEverywhere(ctx context.Context, accessToken string) error {
	c, err := p.parse(ctx, accessToken, useAccess)
	if err != nil {
		return err
	}
	err = p.db.Update(ctx, func(t *state.Tx) error {
		user, err := p.live(ctx, t, c)
		if err != nil {
			return err
		}
		if err := t.EndUserSessions(ctx, user.Sub); err != nil {
			return err
		}
		return p.revoke(ctx, t, user.Sub, true)
	})
	if err == nil {
		p.revoked(c.Subject)
	}
	return err
}

// live returns the user of a token that was good when it was made, if its
// session still is.
func (p *Pool) live(ctx context.Context, t *state.Tx, c *claims) (*state.User, error) {
	s, u, err := p.session(ctx, t, c.Session)
	switch {
	case errors.Is(err, errSessionOver):
		if _, err := t.User(ctx, c.Subject); errors.Is(err, fs.ErrNotExist) {
			return nil, fail(UserNotFound, "User does not exist.", fs.ErrNotExist)
		}
		return nil, fail(NotAuthorized, title(c.Use)+" has been revoked", nil)
	case err != nil:
		return nil, err
	case u.Sub != c.Subject || s.Client != c.Audience+c.Client:
		return nil, errToken(c.Use)
	}
	return u, nil
}

// parse returns the claims of a token that the pool has signed for that use
// and that has not expired.
func (p *Pool) parse(ctx context.Context, token, use string) (*claims, error) {
	if len(token) > maxToken {
		return nil, errToken(use)
	}
	// The algorithm is fixed here: what the token says it is counts for nothing.
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(parsed.Headers) != 1 {
		return nil, errToken(use)
	}
	keys, err := p.loadKeys(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(keys, func(k *signingKey) bool { return k.id == parsed.Headers[0].KeyID })
	if i < 0 {
		return nil, errToken(use)
	}
	c := new(claims)
	if err := parsed.Claims(&keys[i].private.PublicKey, c); err != nil {
		return nil, errToken(use)
	}
	issuer, err := url.Parse(c.Issuer)
	client := c.Audience
	if use == useAccess {
		client = c.Client
	}
	switch {
	case err != nil, !strings.HasSuffix(issuer.Path, "/"+p.cfg.PoolID), issuer.RawQuery != "", issuer.Fragment != "",
		c.Use != use, client != p.cfg.ClientID,
		use == useAccess && (c.Scope != scope || c.Audience != ""),
		use == useID && c.Client != "":
		return nil, errToken(use)
	case p.cfg.Now().Unix() >= c.Expires:
		return nil, fail(NotAuthorized, title(use)+" has expired", ErrExpired)
	}
	return c, nil
}

func errToken(use string) error { return fail(NotAuthorized, "Invalid "+title(use), nil) }

func title(use string) string {
	if use == useID {
		return "ID Token"
	}
	return "Access Token"
}
