package identity

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/state"
)

const (
	sessionPrefix   = "ASIA" // of the access key id of a session
	longLivedPrefix = "CUBBY"
	accessKeySize   = 20
	tokenSizeMax    = 2048 // of a session token: it has to fit into URLs
	openedMax       = 1024
	groupsMax       = 10_000 // logins whose groups are held in memory
)

var tokenEncoding = base64.RawURLEncoding.Strict()

// Principal is who a request was made by.
type Principal struct {
	Operator    bool           // may do everything; Subject is empty
	Subject     access.Subject // its slices and maps are shared: not to be changed
	AccessKeyID string
	Expires     time.Time // zero for an operator or a function
}

// newAccessKeyID returns a random access key id of the usual form.
func newAccessKeyID(prefix string) string {
	return prefix + rand.Text()[:accessKeySize-len(prefix)]
}

// issue returns new credentials for an identity.
func (p *Pool) issue(b *bound) (*Credentials, error) {
	now := p.cfg.Now()
	s := &session{
		identity:      b.identity,
		authenticated: len(b.logins) > 0,
		issued:        now.Unix(),
		expires:       now.Add(p.cfg.Lifetime).Unix(),
	}
	for i, l := range b.logins {
		sl := sessionLogin{provider: l.Provider, subject: l.Subject, epoch: b.epochs[i], groups: l.Groups}
		if p.cfg.provider(l.Provider).LiveGroups {
			sl.lookup, sl.groups = true, nil
		}
		s.logins = append(s.logins, sl)
		if l.Provider == p.cfg.Primary {
			s.sub, s.username, s.claims = l.Subject, l.Username, l.Claims
		}
	}
	id := newAccessKeyID(sessionPrefix)
	token := p.sealSession(id, s)
	if len(token) > tokenSizeMax {
		for i := range s.logins {
			if l := &s.logins[i]; p.cfg.provider(l.provider).Groups != nil {
				l.lookup, l.groups = true, nil
			}
		}
		token = p.sealSession(id, s)
	}
	if len(token) > tokenSizeMax {
		return nil, unauthorized("The groups and claims of the login do not fit into a session.", nil)
	}
	return &Credentials{
		IdentityID:   b.identity,
		AccessKeyID:  id,
		SecretKey:    p.secret(0, id, sha256.Sum256([]byte(token))),
		SessionToken: NewSecret(token),
		Expires:      time.Unix(s.expires, 0),
	}, nil
}

func (p *Pool) sealSession(accessKeyID string, s *session) string {
	return tokenEncoding.EncodeToString(p.sessions.Seal(s.encode(), p.associated(accessKeyID)))
}

// associated is what a session token belongs to.
func (p *Pool) associated(accessKeyID string) []byte {
	return append([]byte(accessKeyID), p.cfg.PoolID...) // the first is of fixed size
}

// secret returns the secret key that belongs to an access key id and a token
// with that hash, sealed by the server key of that index.
func (p *Pool) secret(key int, accessKeyID string, hash [32]byte) Secret {
	b, err := hkdf.Expand(sha256.New, p.secrets[key][:], accessKeyID+string(hash[:]), 30)
	if err != nil {
		panic(err) // only for a length that SHA-256 cannot give
	}
	return NewSecret(base64.StdEncoding.EncodeToString(b))
}

// opened is a session whose token was opened once.
type opened struct {
	*session
	secret Secret
}

// openedKey is all that the meaning of a token depends on.
type openedKey struct {
	accessKeyID string
	hash        [32]byte
}

// Open tells who holds an access key, and the secret to check a signature
// with. Without a session token the key is that of an operator or a function.
//
// The error has the code InvalidAccessKeyId for a key that is unknown or
// revoked, InvalidToken for a token that is not of this pool or not of that
// key, ExpiredToken for one whose time is over or whose login was revoked, and
// ServiceUnavailable when it is not known what was revoked.
func (p *Pool) Open(ctx context.Context, accessKeyID, sessionToken string) (Secret, *Principal, error) {
	if err := p.fresh(ctx); err != nil {
		return Secret{}, nil, err
	}
	if sessionToken == "" {
		return p.openLongLived(ctx, accessKeyID)
	}
	s, err := p.openSession(accessKeyID, sessionToken)
	if err != nil {
		return Secret{}, nil, &Error{CodeInvalidToken, "The provided token is malformed or otherwise invalid.", err}
	}
	if err := p.alive(s.session); err != nil {
		return Secret{}, nil, err
	}
	groups, err := p.groupsOf(ctx, s.session)
	if err != nil {
		return Secret{}, nil, err
	}
	return s.secret, &Principal{
		Subject: access.Subject{
			Identity:      s.identity,
			Authenticated: s.authenticated,
			Groups:        groups,
			Sub:           s.sub,
			Username:      s.username,
			Claims:        s.claims,
		},
		AccessKeyID: accessKeyID,
		Expires:     time.Unix(s.expires, 0),
	}, nil
}

// openSession opens a token, whether or not its time is over.
func (p *Pool) openSession(accessKeyID, token string) (*opened, error) {
	if len(accessKeyID) != accessKeySize || len(token) > tokenSizeMax {
		return nil, errSession
	}
	var text [tokenSizeMax]byte // not on the heap, as a conversion would be
	hash := sha256.Sum256(text[:copy(text[:], token)])
	if o, ok := p.opened.get(openedKey{accessKeyID, hash}); ok {
		return o, nil
	}
	sealed, err := tokenEncoding.DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") { // which the decoder skips
		return nil, errSession
	}
	plain, key, err := p.sessions.open(sealed, p.associated(accessKeyID))
	if err != nil {
		return nil, err
	}
	s, err := decodeSession(plain)
	if err != nil {
		return nil, err
	}
	o := &opened{s, p.secret(key, accessKeyID, hash)}
	p.opened.add(openedKey{accessKeyID, hash}, o)
	return o, nil
}

// alive returns an error if a session has ended.
func (p *Pool) alive(s *session) error {
	if p.cfg.Now().Unix() >= s.expires {
		return &Error{Code: CodeExpiredToken, Message: "The session has expired."}
	}
	if !s.authenticated && !p.cfg.AllowGuests {
		return &Error{Code: CodeInvalidToken, Message: "Guests are not allowed any more."}
	}
	p.mem.RLock()
	defer p.mem.RUnlock()
	if !s.authenticated && p.epochs[guestLogin(s.identity)] > 0 {
		return &Error{Code: CodeExpiredToken, Message: "The guest has become a user."}
	}
	for _, l := range s.logins {
		pc := p.cfg.provider(l.provider)
		if pc == nil || l.lookup && pc.Groups == nil || // the settings have changed
			p.epochs[state.Login{Provider: l.provider, Subject: l.subject}] > l.epoch {
			return &Error{Code: CodeExpiredToken, Message: "The session was revoked."}
		}
	}
	return nil
}

// groupsOf returns the groups of all logins of a session.
func (p *Pool) groupsOf(ctx context.Context, s *session) ([]string, error) {
	var all []string
	for _, l := range s.logins {
		groups := l.groups
		if l.lookup {
			var err error
			groups, err = p.lookUp(ctx, state.Login{Provider: l.provider, Subject: l.subject})
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil, &Error{CodeExpiredToken, "The user of the session is gone.", err}
			case err != nil:
				return nil, &Error{CodeUnavailable, "The groups of the user are not known now.", err}
			}
		}
		if len(s.logins) == 1 {
			return groups, nil
		}
		all = append(all, groups...)
	}
	return slices.Clip(all), nil
}

// lookUp asks the provider of a login for its groups, unless it was asked since
// the state last changed.
func (p *Pool) lookUp(ctx context.Context, l state.Login) ([]string, error) {
	p.mem.RLock()
	groups, ok := p.groups[l]
	changed := p.changed
	p.mem.RUnlock()
	if ok {
		return groups, nil
	}
	groups, err := p.cfg.provider(l.Provider).Groups(ctx, l.Subject)
	if err != nil {
		return nil, err
	}
	p.mem.Lock()
	defer p.mem.Unlock()
	// What was asked for before a change must not stay after it.
	if p.changed == changed {
		if len(p.groups) >= groupsMax {
			clear(p.groups)
		}
		p.groups[l] = groups
	}
	return groups, nil
}
