package cubby

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/cubby-storage/cubby/outputs"
)

// wellKnown is where a Cubby server describes itself.
const wellKnown = "/.well-known/cubby/amplify_outputs.json"

// Discover asks the Cubby server at endpoint, a URL such as
// "https://files.example.com", for what [Config.Outputs] takes. A nil client is
// http.DefaultClient.
func Discover(ctx context.Context, endpoint string, client *http.Client) (*outputs.Outputs, error) {
	o, err := discover(ctx, endpoint, client)
	if err == nil {
		return o, nil
	}
	e := &Error{Op: "discover", Path: endpoint, Err: err}
	if u, ok := errors.AsType[*url.Error](err); ok {
		e.Err = u.Err // the path says the rest
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, fs.ErrNotExist):
	case untrusted:
		e.Hint = "check the endpoint, or have this computer trust the certificate"
	case !errors.Is(err, fs.ErrInvalid):
		e.Hint = "check the endpoint, and whether the server is running"
	case !strings.Contains(endpoint, "://"):
		e.Hint = "did you mean https://" + endpoint + "?"
	}
	return nil, e
}

func discover(ctx context.Context, endpoint string, client *http.Client) (*outputs.Outputs, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("not an http or https URL: %w", fs.ErrInvalid)
	}
	u.Path, u.RawQuery, u.Fragment = strings.TrimRight(u.Path, "/")+wellKnown, "", ""
	if client == nil {
		client = http.DefaultClient
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 {
		return nil, fmt.Errorf("server answers %s", resp.Status)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("not a Cubby server, %s answers %s: %w", wellKnown, resp.Status, fs.ErrNotExist)
	}
	o, err := outputs.Read(resp.Body) // which has a limit
	if err != nil {
		if _, ok := errors.AsType[*outputs.Error](err); ok {
			err = fmt.Errorf("not a Cubby server: %w", err)
		}
		return nil, err
	}
	if o.Custom == nil || o.Custom.Cubby == nil || o.Custom.Cubby.S3Endpoint == "" {
		return nil, fmt.Errorf("not a Cubby server, its description has no custom.cubby.s3_endpoint: %w", fs.ErrInvalid)
	}
	return o, nil
}

// SignIn signs a user of the user pool in with a password. The identity that the
// visitor had as a guest becomes the user's, unless the user has one. If it
// fails, the session is as it was before.
func (c *Client) SignIn(ctx context.Context, username, password string) (*Session, error) {
	err := c.canSign()
	if err == nil {
		err = c.session.signIn(ctx, username, password)
	}
	if err != nil {
		e := &Error{Op: "sign in", Path: username, Err: err}
		switch {
		case refused(err, "NotAuthorizedException", "UserNotFoundException"):
			e.Hint = "check the user name and the password"
		default:
			e.Hint = c.hint(e)
		}
		return nil, e
	}
	return c.Session(ctx)
}

// SignOut ends the session of the user here and at the user pool. The visitor is
// a guest then, another one than before. The session here has ended even if the
// user pool could not be told, which is an error.
func (c *Client) SignOut(ctx context.Context) error {
	err := c.canSign()
	if err == nil {
		err = c.session.signOut(ctx)
	}
	return c.fail("sign out", "", err)
}

func (c *Client) canSign() error {
	switch {
	case c.session == nil:
		return fmt.Errorf("no identity pool is configured: %w", fs.ErrInvalid)
	case c.cfg.UserPoolClientID == "":
		return fmt.Errorf("no user pool client is configured: %w", fs.ErrInvalid)
	}
	return nil
}

// Session returns who the visitor is. It asks for credentials if there are none.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	if c.session == nil {
		s := &Session{IdentityID: c.cfg.IdentityID}
		if c.cfg.Credentials != nil {
			creds, err := c.cfg.Credentials.Retrieve(ctx)
			if err != nil {
				return nil, c.fail("session", "", err)
			}
			if creds.CanExpire {
				s.Expires = creds.Expires
			}
		}
		return s, nil
	}
	s, err := c.session.describe(ctx)
	return s, c.fail("session", "", err)
}

func (s *session) describe(ctx context.Context) (*Session, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	creds, err := s.current(ctx, refreshBefore)
	if err != nil {
		return nil, err
	}
	d := &Session{IdentityID: s.saved.IdentityID, Username: s.saved.Username, Expires: creds.Expires}
	if d.Username != "" {
		c, err := parseClaims(s.saved.IDToken)
		if err != nil {
			return nil, err
		}
		d.SignedIn, d.UserID, d.Groups = true, c.Subject, c.Groups
	}
	return d, nil
}

// Token is the ID token of the user, which other services can verify. It asks
// for another one if it is about to expire. A guest has none: the error is
// fs.ErrPermission.
func (c *Client) Token(ctx context.Context) (string, error) {
	if c.session == nil {
		return "", c.fail("token", "", fmt.Errorf("no identity pool is configured: %w", fs.ErrInvalid))
	}
	t, err := c.session.token(ctx)
	return t, c.fail("token", "", err)
}

func (s *session) token(ctx context.Context) (string, error) {
	if err := s.lock(ctx); err != nil {
		return "", err
	}
	defer s.unlock()
	if s.saved.Username == "" {
		return "", fmt.Errorf("a guest has no token: %w", fs.ErrPermission)
	}
	next := *s.saved
	if err := s.refreshTokens(ctx, &next); err != nil {
		return "", err
	}
	return next.IDToken, s.update(ctx, &next)
}
