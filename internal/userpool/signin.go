package userpool

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

// Tokens are what a sign-in yields. They are secret.
type Tokens struct {
	Access  string
	ID      string
	Refresh string // empty when a refresh token yielded the others
	Expires time.Duration
}

// String returns "redacted".
func (*Tokens) String() string { return "redacted" }

// GoString returns "redacted".
func (*Tokens) GoString() string { return "redacted" }

// SignIn begins a session of the user who has that name and password. For an
// unknown name and for a wrong password the error is the same. After five
// failures under a name, known or not, each attempt must wait longer.
func (p *Pool) SignIn(ctx context.Context, c Caller, name, password string) (*Tokens, error) {
	issuer, err := p.check(c)
	switch {
	case err != nil:
		return nil, err
	case name == "":
		return nil, fail(InvalidParameter, "Missing required parameter USERNAME", fs.ErrInvalid)
	case password == "":
		return nil, fail(InvalidParameter, "Missing required parameter PASSWORD", fs.ErrInvalid)
	case len(name) > 4*maxName || len(password) > maxPassword:
		return nil, fail(InvalidParameter, "The user name or password is too long.", fs.ErrInvalid)
	}
	user, err := p.passes(ctx, name, password)
	if err != nil {
		return nil, err
	}
	if err := maySignIn(user); err != nil {
		return nil, err
	}
	return p.begin(ctx, issuer, user)
}

// passes returns the user if the password is theirs, and otherwise counts a
// failure.
func (p *Pool) passes(ctx context.Context, name, password string) (*state.User, error) {
	secret, err := p.loadSecret(ctx)
	if err != nil {
		return nil, err
	}
	normal, nameErr := NormalizeName(name)
	who := secret.mac("attempts", normal)[:16]
	leave, err := p.attempts.enter(ctx, string(who))
	if err != nil {
		return nil, err
	}
	defer leave()

	var failures state.Failures
	var user *state.User
	err = p.db.View(ctx, func(t *state.Tx) (err error) {
		if failures, err = t.Failures(ctx, who); err != nil || nameErr != nil {
			return err
		}
		user, err = t.UserByName(ctx, normal)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	now := p.cfg.Now()
	if now.Before(failures.Until) {
		return nil, errAttempts()
	}
	ok, err := p.hasPassword(secret, user, normal, password)
	if err != nil {
		return nil, err
	}
	// Who hangs up when the answer is long in coming has had an attempt too.
	ctx = context.WithoutCancel(ctx)
	if !ok {
		err := p.db.Update(ctx, func(t *state.Tx) error {
			return t.SetFailures(ctx, who, failed(failures, now), now.Add(-forgetAfter), maxFailures)
		})
		if err != nil {
			return nil, err
		}
		return nil, errPassword()
	}
	if failures.Count > 0 {
		err = p.db.Update(ctx, func(t *state.Tx) error {
			return t.ForgetFailures(ctx, who)
		})
	}
	return user, err
}

// hasPassword reports whether the password is that of user. For no user, or
// one without a password, it does the same work with made-up values, which are
// always the same for a name.
func (p *Pool) hasPassword(s *secret, user *state.User, name, password string) (bool, error) {
	real := user != nil && user.Verifier != nil
	sub, salt := hex.EncodeToString(s.mac("sub", name)[:18]), s.mac("salt", name)[:saltSize]
	sealed, ad := s.decoy, p.verifierAD("", nil)
	if real {
		sub, salt = user.Sub, user.Salt
		sealed, ad = user.Verifier, p.verifierAD(sub, salt)
	}
	want, err := p.cfg.Sealer.Open(sealed, ad)
	if err != nil {
		return false, fmt.Errorf("open verifier of %s: %w", sub, err)
	}
	return verifies(want, p.name, sub, password, salt) && real, nil
}

// maySignIn returns why a user whose password was right may not sign in.
func maySignIn(u *state.User) error {
	switch {
	case !u.Enabled:
		return errDisabled()
	case u.Status == StatusConfirmed:
		return nil
	case u.Status == StatusUnconfirmed:
		return fail(UserNotConfirmed, "User is not confirmed.", nil)
	case u.Status == StatusResetRequired:
		return fail(PasswordResetRequired, "Password reset required for the user", nil)
	}
	return fail(NotAuthorized, "User may not sign in with a password.", nil)
}

func errPassword() error { return fail(NotAuthorized, "Incorrect username or password.", nil) }

func errDisabled() error { return fail(NotAuthorized, "User is disabled.", nil) }

// sessionsMax is how many sessions a user may have.
const sessionsMax = 200

// begin starts a session of a user, if nothing has ended theirs since user was
// read.
func (p *Pool) begin(ctx context.Context, issuer string, user *state.User) (*Tokens, error) {
	keys, err := p.loadKeys(ctx)
	if err != nil {
		return nil, err
	}
	now := p.cfg.Now()
	session := &state.UserSession{
		ID: state.NewUUID(), Sub: user.Sub, Client: p.cfg.ClientID, Epoch: user.Epoch,
		AuthTime: now, Expires: now.Add(p.cfg.RefreshLifetime),
	}
	refresh, row := newRefreshToken(session)
	var groups []string
	err = p.db.Update(ctx, func(t *state.Tx) error {
		user, err = t.User(ctx, user.Sub)
		if errors.Is(err, fs.ErrNotExist) || err == nil && user.Epoch != session.Epoch {
			return errPassword()
		}
		if err != nil {
			return err
		}
		if groups, err = t.GroupsOfUser(ctx, user.Sub); err != nil {
			return err
		}
		return t.AddUserSession(ctx, session, row, sessionsMax)
	})
	if err != nil {
		return nil, err
	}
	tokens, err := p.issue(keys[0], issuer, user, groups, session)
	if err != nil {
		return nil, err
	}
	tokens.Refresh = refresh
	return tokens, nil
}

// Refresh returns new access and ID tokens of the session that a refresh token
// belongs to.
func (p *Pool) Refresh(ctx context.Context, c Caller, token string) (*Tokens, error) {
	issuer, err := p.check(c)
	if err != nil {
		return nil, err
	}
	keys, err := p.loadKeys(ctx)
	if err != nil {
		return nil, err
	}
	var session *state.UserSession
	var user *state.User
	var groups []string
	err = p.db.View(ctx, func(t *state.Tx) error {
		row, err := findRefreshToken(ctx, t, token)
		if err != nil {
			return err
		}
		if session, user, err = p.session(ctx, t, row.Session); err != nil {
			return err
		}
		if now := p.cfg.Now(); row.Replaced || !now.Before(row.Expires) || !now.Before(session.Expires) {
			return fail(NotAuthorized, "Refresh Token has expired", ErrExpired)
		}
		if session.Client != c.ClientID {
			return errRefreshToken()
		}
		groups, err = t.GroupsOfUser(ctx, user.Sub)
		return err
	})
	if errors.Is(err, errSessionOver) {
		return nil, fail(NotAuthorized, "Refresh Token has been revoked", nil)
	}
	if err != nil {
		return nil, err
	}
	return p.issue(keys[0], issuer, user, groups, session)
}

// Revoke ends the session that a refresh token belongs to, and all its tokens
// with it. A token that is unknown, or whose session is over, is no error.
func (p *Pool) Revoke(ctx context.Context, c Caller, token string) error {
	if _, err := p.check(c); err != nil {
		return err
	}
	if strings.Count(token, ".") == 2 {
		return fail(UnsupportedTokenType, "Only a refresh token can be revoked.", nil)
	}
	return p.db.Update(ctx, func(t *state.Tx) error {
		row, err := findRefreshToken(ctx, t, token)
		if _, unknown := errors.AsType[*Error](err); unknown {
			return nil
		}
		if err != nil {
			return err
		}
		return t.RevokeUserSession(ctx, row.Session)
	})
}

// errSessionOver is why a token of a session that was good is good no more.
var errSessionOver = errors.New("the session is over")

// session returns a session that has not been ended, and its user. It does not
// look at the time. If the session was ended the error is errSessionOver.
func (p *Pool) session(ctx context.Context, t *state.Tx, id string) (*state.UserSession, *state.User, error) {
	s, err := t.UserSession(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errSessionOver
	}
	if err != nil {
		return nil, nil, err
	}
	u, err := t.User(ctx, s.Sub)
	switch {
	case err != nil:
		return nil, nil, err
	case !u.Enabled:
		return nil, nil, errDisabled()
	case s.Revoked || s.Epoch != u.Epoch:
		return nil, nil, errSessionOver
	}
	return s, u, nil
}

const (
	tokenIDSize     = 16
	tokenSecretSize = 32
)

// newRefreshToken returns a token and what to keep of it. The token is its id
// and 32 random bytes, of which the hash is kept.
func newRefreshToken(s *state.UserSession) (string, *state.RefreshToken) {
	token := make([]byte, tokenIDSize+tokenSecretSize)
	rand.Read(token)
	hash := sha256.Sum256(token)
	return base64.RawURLEncoding.EncodeToString(token), &state.RefreshToken{
		ID:      hex.EncodeToString(token[:tokenIDSize]),
		Session: s.ID,
		Hash:    hash[:],
		Expires: s.Expires,
	}
}

// findRefreshToken returns what is kept of a token. If it is not one that the
// pool gave out, or that long ago, the error is an Error.
func findRefreshToken(ctx context.Context, t *state.Tx, token string) (*state.RefreshToken, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenIDSize+tokenSecretSize) {
		return nil, errRefreshToken()
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, errRefreshToken()
	}
	row, err := t.RefreshToken(ctx, hex.EncodeToString(raw[:tokenIDSize]))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errRefreshToken()
	}
	if err != nil {
		return nil, err
	}
	if hash := sha256.Sum256(raw); subtle.ConstantTimeCompare(hash[:], row.Hash) != 1 {
		return nil, errRefreshToken()
	}
	return row, nil
}

func errRefreshToken() error { return fail(NotAuthorized, "Invalid Refresh Token", nil) }
