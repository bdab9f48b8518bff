package cubby

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/cubby-storage/cubby/store/s3store"
)

const (
	// refreshBefore is how long before their end credentials are renewed.
	refreshBefore = 5 * time.Minute
	// tokenMargin is how long an ID token must be good for still to be shown.
	tokenMargin = time.Minute
)

// errNoGuests is the cause of what is refused to those who are not signed in.
var errNoGuests = fmt.Errorf("there are no guests here: %w", fs.ErrPermission)

// Session describes who the visitor is.
type Session struct {
	IdentityID string // whose folders the levels protected and private stand for
	SignedIn   bool   // false: a guest
	Username   string
	UserID     string // the sub of the user
	Groups     []string
	Expires    time.Time // of the credentials; they are renewed before. Zero: they do not expire
}

// SavedSession is a session as a SessionStore keeps it. It is secret: who has it
// can act as the visitor.
type SavedSession struct {
	IdentityID   string `json:"identity_id,omitempty"` // of the user, or of the guest
	Username     string `json:"username,omitempty"`    // "" of a guest
	IDToken      string `json:"id_token,omitempty"`
	AccessToken  string `json:"access_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"` // "" of a user whose session has ended
}

// SessionStore keeps a session between runs of a program. Its methods are called
// one at a time by a Client; other programs may use the same store. A Client asks
// again what is there before it saves. Where another program has signed in or out
// meanwhile, it leaves that alone, and keeps its own session as long as it runs;
// only its own SignIn and SignOut are saved in any case.
type SessionStore interface {
	// Load returns the session that was saved last. If there is none, the error
	// is fs.ErrNotExist.
	Load(ctx context.Context) (*SavedSession, error)
	// Save keeps s in place of what was there.
	Save(ctx context.Context, s *SavedSession) error
}

// memorySessions is the SessionStore of a Config without one.
type memorySessions struct{ saved *SavedSession }

// Load implements SessionStore.
func (m *memorySessions) Load(context.Context) (*SavedSession, error) {
	if m.saved == nil {
		return nil, fs.ErrNotExist
	}
	s := *m.saved
	return &s, nil
}

// Save implements SessionStore.
func (m *memorySessions) Save(_ context.Context, s *SavedSession) error {
	c := *s
	m.saved = &c
	return nil
}

// session keeps the tokens and credentials of the visitor. It is the
// s3store.CredentialsProvider of the buckets.
type session struct {
	cfg    *Config
	caller *caller
	store  SessionStore
	isUser atomic.Bool // for hints, which must not wait
	stale  atomic.Bool // creds were refused

	// turn is held by who works with the fields below, which may take a request.
	turn   chan struct{}
	saved  *SavedSession // nil before it is loaded
	stored SavedSession  // as the store had it when it was ours last
	creds  s3store.Credentials
	life   time.Duration // of creds, when they were new
	skew   time.Duration // of the clock of the server against ours
}

func newSession(cfg *Config) *session {
	s := &session{cfg: cfg, caller: newCaller(cfg.HTTPClient, cfg.Attempts), store: cfg.Sessions, turn: make(chan struct{}, 1)}
	if s.store == nil {
		s.store = new(memorySessions)
	}
	return s
}

func (s *session) guest() bool { return !s.isUser.Load() }

// lock waits for its turn, and loads what was saved.
func (s *session) lock(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.saved == nil {
		if err := s.load(ctx); err != nil {
			s.unlock()
			return err
		}
	}
	return nil
}

func (s *session) unlock() { <-s.turn }

func (s *session) load(ctx context.Context) error {
	saved, err := s.look(ctx)
	if err != nil {
		return err
	}
	s.stored = *saved
	s.set(saved)
	return nil
}

// look returns what is in the store now.
func (s *session) look(ctx context.Context) (*SavedSession, error) {
	saved, err := s.store.Load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return new(SavedSession), nil
	}
	if err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	return saved, nil
}

func (s *session) set(next *SavedSession) {
	s.saved = next
	s.isUser.Store(next.Username != "")
}

// keep saves next, and only then makes it the session.
func (s *session) keep(ctx context.Context, next *SavedSession) error {
	if err := s.store.Save(ctx, next); err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	s.stored = *next
	s.set(next)
	return nil
}

// update makes next the session, which goes on. It saves it unless the store has
// been given another session meanwhile.
func (s *session) update(ctx context.Context, next *SavedSession) error {
	if *next != *s.saved && *next != s.stored {
		there, err := s.look(ctx)
		if err != nil {
			return err
		}
		if there.continues(&s.stored) {
			return s.keep(ctx, next)
		}
	}
	s.set(next)
	return nil
}

// continues reports whether v is the session that old was: that of the same guest,
// or of the same user with the same refresh token, or found to have ended.
func (v *SavedSession) continues(old *SavedSession) bool {
	switch {
	case v.Username != old.Username:
		return false
	case v.Username == "":
		return v.IdentityID == old.IdentityID
	}
	return v.RefreshToken == old.RefreshToken || v.RefreshToken == ""
}

// adopt takes over what another program has made of the session of the same user.
func (s *session) adopt(ctx context.Context, next *SavedSession) {
	other, err := s.look(ctx)
	if err == nil && other.Username == next.Username && other.RefreshToken != "" {
		*next, s.stored = *other, *other
	}
}

// Retrieve implements the CredentialsProvider of the AWS SDK.
func (s *session) Retrieve(ctx context.Context) (s3store.Credentials, error) {
	return s.credentials(ctx, refreshBefore)
}

// Invalidate makes the next Retrieve get other credentials. A bucket calls it when
// the service has refused those it was given: who revokes them does not wait for
// their end.
func (s *session) Invalidate() { s.stale.Store(true) }

// credentials returns credentials that are good for the time given, or for as
// long as they can be.
func (s *session) credentials(ctx context.Context, want time.Duration) (s3store.Credentials, error) {
	if err := s.lock(ctx); err != nil {
		return s3store.Credentials{}, err
	}
	defer s.unlock()
	return s.current(ctx, want)
}

// current is credentials for who has the turn.
func (s *session) current(ctx context.Context, want time.Duration) (s3store.Credentials, error) {
	if s.stale.Swap(false) {
		s.creds = s3store.Credentials{}
	}
	left := time.Until(s.creds.Expires)
	// Fresh ones are no better if those here have most of their life ahead.
	if s.creds.HasKeys() && left > min(want, s.life*3/4) {
		return s.creds, nil
	}
	err := s.renew(ctx, s.saved)
	if err != nil && s.creds.HasKeys() && left > 0 && !errors.Is(err, fs.ErrPermission) {
		return s.creds, nil
	}
	if err != nil {
		return s3store.Credentials{}, err
	}
	return s.creds, nil
}

// identity returns the identity id. The one that is known is asked about once in
// the life of the program: it may have become another.
func (s *session) identity(ctx context.Context) (string, error) {
	if err := s.lock(ctx); err != nil {
		return "", err
	}
	defer s.unlock()
	if _, err := s.current(ctx, refreshBefore); err != nil {
		return "", err
	}
	return s.saved.IdentityID, nil
}

// renew gets credentials for from, and makes it the session with the identity
// that they are for.
func (s *session) renew(ctx context.Context, from *SavedSession) error {
	next := *from
	if next.Username != "" {
		if err := s.refreshTokens(ctx, &next); err != nil {
			return err
		}
	} else if s.cfg.NoGuests {
		return errNoGuests
	}
	err := s.enter(ctx, &next, s.update)
	if next.Username == "" || !refused(err, "NotAuthorizedException", "ResourceNotFoundException") {
		return err
	}
	// The session may have ended before its ID token did: the user pool knows.
	s.adopt(ctx, &next)
	if err := s.refresh(ctx, &next); err != nil {
		return err
	}
	return s.enter(ctx, &next, s.update)
}

// enter gets credentials for next, whose tokens are good, and has save make it
// the session.
func (s *session) enter(ctx context.Context, next *SavedSession, save func(context.Context, *SavedSession) error) error {
	logins := map[string]string{}
	if next.Username != "" {
		c, err := parseClaims(next.IDToken)
		if err != nil {
			return err
		}
		logins[c.login()] = next.IDToken
	}
	known := next.IdentityID
	creds, life, err := s.getCredentials(ctx, next, logins)
	if known != "" && refused(err, "ResourceNotFoundException", "NotAuthorizedException") {
		// What was a guest may belong to a user by now, or to a server that has
		// forgotten it.
		next.IdentityID = ""
		creds, life, err = s.getCredentials(ctx, next, logins)
	}
	if err != nil {
		next.IdentityID = known
		return err
	}
	if err := save(ctx, next); err != nil {
		return err
	}
	s.creds, s.life = creds, life
	return nil
}

// getCredentials asks the identity pool, first for an identity if there is none.
func (s *session) getCredentials(ctx context.Context, next *SavedSession, logins map[string]string) (creds s3store.Credentials, life time.Duration, err error) {
	type request struct {
		IdentityPoolID string            `json:"IdentityPoolId,omitempty"`
		IdentityID     string            `json:"IdentityId,omitempty"`
		Logins         map[string]string `json:"Logins"`
	}
	if next.IdentityID == "" {
		var out struct {
			IdentityID string `json:"IdentityId"`
		}
		if err := s.callIdentity(ctx, "GetId", request{IdentityPoolID: s.cfg.IdentityPoolID, Logins: logins}, &out); err != nil {
			return creds, 0, err
		}
		next.IdentityID = out.IdentityID
	}
	var out struct {
		IdentityID  string `json:"IdentityId"`
		Credentials struct {
			AccessKeyID  string `json:"AccessKeyId"`
			SecretKey    string
			SessionToken string
			Expiration   float64
		}
	}
	if err := s.callIdentity(ctx, "GetCredentialsForIdentity", request{IdentityID: next.IdentityID, Logins: logins}, &out); err != nil {
		return creds, 0, err
	}
	c := out.Credentials
	if out.IdentityID == "" || c.AccessKeyID == "" || c.SecretKey == "" {
		return creds, 0, fmt.Errorf("%s does not answer as an identity pool does: %w", s.cfg.IdentityPoolEndpoint, fs.ErrInvalid)
	}
	next.IdentityID = out.IdentityID
	creds = s3store.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretKey, SessionToken: c.SessionToken,
		// By our clock, which may be wrong.
		CanExpire: true, Expires: time.Unix(int64(c.Expiration), 0).Add(-s.skew),
	}
	return creds, time.Until(creds.Expires), nil
}

func (s *session) callIdentity(ctx context.Context, op string, in, out any) error {
	at, err := s.caller.call(ctx, s.cfg.IdentityPoolEndpoint, identityTarget+op, in, out)
	s.seen(at)
	return err
}

func (s *session) callUsers(ctx context.Context, op string, in, out any) error {
	at, err := s.caller.call(ctx, s.cfg.UserPoolEndpoint, userTarget+op, in, out)
	s.seen(at)
	return err
}

// seen takes note of the clock of the server. A second or so is the way there.
func (s *session) seen(at time.Time) {
	if at.IsZero() {
		return
	}
	if s.skew = time.Until(at); s.skew.Abs() < 5*time.Second {
		s.skew = 0
	}
}

// tokens is what the user pool answers.
type tokens struct {
	AuthenticationResult *struct {
		IDToken      string `json:"IdToken"`
		AccessToken  string
		RefreshToken string
	}
	ChallengeName string
}

// fresh reports whether the ID token of v can still be shown.
func (s *session) fresh(v *SavedSession) bool {
	c, err := parseClaims(v.IDToken)
	return err == nil && time.Unix(int64(c.Expires), 0).Add(-s.skew).After(time.Now().Add(tokenMargin))
}

// refreshTokens sees to it that the ID token of next is good.
func (s *session) refreshTokens(ctx context.Context, next *SavedSession) error {
	if s.fresh(next) {
		return nil
	}
	// Another program may have refreshed them, and each refresh token may be
	// good for one use.
	if s.adopt(ctx, next); s.fresh(next) {
		return nil
	}
	return s.refresh(ctx, next)
}

// refresh gets other tokens for next. If the user pool refuses them, the session
// has ended, unless another program has got them meanwhile.
func (s *session) refresh(ctx context.Context, next *SavedSession) error {
	if next.RefreshToken == "" {
		s.creds = s3store.Credentials{}
		return ErrSessionEnded
	}
	old := next.IDToken
	var out tokens
	err := s.callUsers(ctx, "GetTokensFromRefreshToken", map[string]any{
		"ClientId": s.cfg.UserPoolClientID, "RefreshToken": next.RefreshToken,
	}, &out)
	if refused(err, "UnknownOperationException", "UnsupportedOperationException", "InvalidAction") {
		err = s.callUsers(ctx, "InitiateAuth", map[string]any{
			"ClientId": s.cfg.UserPoolClientID, "AuthFlow": "REFRESH_TOKEN_AUTH",
			"AuthParameters": map[string]string{"REFRESH_TOKEN": next.RefreshToken},
		}, &out)
	}
	if err == nil && out.AuthenticationResult == nil {
		err = fmt.Errorf("user pool answers without tokens: %w", fs.ErrInvalid)
	}
	if errors.Is(err, fs.ErrPermission) || refused(err, "ResourceNotFoundException") {
		if s.adopt(ctx, next); s.fresh(next) && next.IDToken != old {
			return nil // another program was faster
		}
		ended := &SavedSession{IdentityID: next.IdentityID, Username: next.Username}
		s.creds = s3store.Credentials{}
		if saveErr := s.update(ctx, ended); saveErr != nil {
			return errors.Join(ErrSessionEnded, saveErr)
		}
		return fmt.Errorf("%w: %w", ErrSessionEnded, err)
	}
	if err != nil {
		return err
	}
	next.IDToken, next.AccessToken = out.AuthenticationResult.IDToken, out.AuthenticationResult.AccessToken
	next.RefreshToken = first(out.AuthenticationResult.RefreshToken, next.RefreshToken)
	// The old refresh token may be used up.
	return s.update(ctx, &SavedSession{next.IdentityID, next.Username, next.IDToken, next.AccessToken, next.RefreshToken})
}

// signIn signs in with a password. If it fails, the session is as before.
func (s *session) signIn(ctx context.Context, username, password string) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	var out tokens
	err := s.callUsers(ctx, "InitiateAuth", map[string]any{
		"ClientId": s.cfg.UserPoolClientID, "AuthFlow": "USER_PASSWORD_AUTH",
		"AuthParameters": map[string]string{"USERNAME": username, "PASSWORD": password},
	}, &out)
	if err != nil {
		return err
	}
	r := out.AuthenticationResult
	if r == nil {
		return fmt.Errorf("the user pool asks for the challenge %s: %w", out.ChallengeName, errors.ErrUnsupported)
	}
	c, err := parseClaims(r.IDToken)
	if err != nil {
		return err
	}
	next := &SavedSession{
		Username: first(c.Username, username), IDToken: r.IDToken, AccessToken: r.AccessToken, RefreshToken: r.RefreshToken,
	}
	if s.saved.Username == "" || s.saved.Username == next.Username {
		// What was uploaded as a guest becomes the user's.
		next.IdentityID = s.saved.IdentityID
	}
	return s.enter(ctx, next, s.keep)
}

// signOut forgets the session here, whatever the user pool answers.
func (s *session) signOut(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	old := s.saved
	s.creds = s3store.Credentials{}
	if err := s.keep(ctx, new(SavedSession)); err != nil {
		return err
	}
	if old.RefreshToken == "" {
		return nil
	}
	err := s.callUsers(ctx, "RevokeToken", map[string]any{"ClientId": s.cfg.UserPoolClientID, "Token": old.RefreshToken}, nil)
	if err == nil || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return fmt.Errorf("signed out here, but the server could not be told: %w", err)
}
