// Package cognito speaks the protocol by which apps reach a Cognito identity
// pool and user pool: AWS JSON 1.1, each call a POST whose x-amz-target header
// names the operation. Behind it are our own pools.
//
//	mux.Handle("/", cognito.New(identities, users, &cognito.Options{BaseURL: base}))
//
// Both services answer on every path. The public keys of the user pool and its
// OpenID Connect discovery document are below /POOL-ID/.well-known/. Any web
// page may call, without cookies: who a call is made for is in its body alone.
//
// # Limits
//
// Anybody may call, so one address may make only so many calls in a while, and
// of bodies larger than 64 KiB only a few are in memory at a time. Beyond either
// the answer is TooManyRequestsException, after which clients try again.
//
// # Errors
//
// An error is answered with status 400, where HTTP has no better one, and a
// JSON object that holds its name and a message; the name is in the header
// x-amzn-errortype too. A fault of ours is 500 InternalErrorException, says
// nothing more, and goes to [Options.OnError].
package cognito

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"github.com/cubby-storage/cubby/internal/identity"
	"github.com/cubby-storage/cubby/internal/userpool"
)

// IdentityPool is what the handler needs of an identity pool. Its errors are
// those of package identity.
type IdentityPool interface {
	GetID(ctx context.Context, poolID string, logins map[string]string, caller string) (string, error)
	Credentials(ctx context.Context, identityID string, logins map[string]string) (*identity.Credentials, error)
	OpenIDToken(ctx context.Context, identityID string, logins map[string]string) (string, identity.Secret, error)
}

// UserPool is what the handler needs of a user pool. Its errors are those of
// package userpool.
type UserPool interface {
	ID() string
	SignIn(ctx context.Context, c userpool.Caller, name, password string) (*userpool.Tokens, error)
	Refresh(ctx context.Context, c userpool.Caller, refreshToken string) (*userpool.Tokens, error)
	Revoke(ctx context.Context, c userpool.Caller, refreshToken string) error
	UserInfo(ctx context.Context, accessToken string) (*userpool.User, error)
	SignOutEverywhere(ctx context.Context, accessToken string) error
	JWKS(ctx context.Context) (jose.JSONWebKeySet, error)
}

// Options are the choices of [New]. Nil is the zero value.
type Options struct {
	// BaseURL returns the URL at which a request reached the server, up to
	// the path that the handler is mounted on. With the pool id behind it, it
	// is the issuer of tokens. Nil takes scheme and host of the request.
	BaseURL func(*http.Request) string

	// RemoteAddr returns the network address that a request came from, with
	// or without a port, by which callers are limited. Nil takes the other
	// end of the connection, whatever headers say.
	RemoteAddr func(*http.Request) string

	// OnError is told of requests that failed for no fault of the caller.
	// The error holds no secret.
	OnError func(r *http.Request, requestID string, err error)

	SignInRate       rate.Limit // sign-ins and refreshes per second and address; 0 means 10
	SignInBurst      int        // sign-ins and refreshes that an address may make at once; 0 means 100
	CredentialsRate  rate.Limit // calls for ids and credentials, and others that show a token, per second and address; 0 means 50
	CredentialsBurst int        // such calls that an address may make at once; 0 means 500
	OpenIDRate       rate.Limit // calls for OpenID tokens per second and address; 0 means 5
	OpenIDBurst      int        // calls for OpenID tokens that an address may make at once; 0 means 50
	Now              func() time.Time
}

// Handler answers the calls of apps. It is safe for concurrent use.
type Handler struct {
	ids   IdentityPool
	users UserPool
	opts  Options
	calls map[string]operation // by x-amz-target
	large chan struct{}        // holds one for each large body
}

// New returns a handler for the two pools.
func New(ids IdentityPool, users UserPool, opts *Options) *Handler {
	h := &Handler{ids: ids, users: users, large: make(chan struct{}, largeMax)}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.BaseURL == nil {
		h.opts.BaseURL = baseURL
	}
	if h.opts.RemoteAddr == nil {
		h.opts.RemoteAddr = func(r *http.Request) string { return r.RemoteAddr }
	}
	h.opts.SignInRate = cmp.Or(h.opts.SignInRate, 10)
	h.opts.SignInBurst = cmp.Or(h.opts.SignInBurst, 100)
	h.opts.CredentialsRate = cmp.Or(h.opts.CredentialsRate, 50)
	h.opts.CredentialsBurst = cmp.Or(h.opts.CredentialsBurst, 500)
	h.opts.OpenIDRate = cmp.Or(h.opts.OpenIDRate, 5)
	h.opts.OpenIDBurst = cmp.Or(h.opts.OpenIDBurst, 50)
	if h.opts.Now == nil {
		h.opts.Now = time.Now
	}
	h.calls = h.operations()
	return h
}

func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// ServeHTTP answers a call, a preflight, or a request for a public document.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := rand.Text()
	head := w.Header()
	head.Set("X-Amzn-Requestid", requestID)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Access-Control-Expose-Headers", "Date, x-amzn-errortype, x-amzn-requestid")

	var answer any
	var err error
	document := h.document(r.URL.Path)
	switch {
	case r.Method == http.MethodOptions:
		preflight(w)
		return
	case document != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		head.Set("Content-Type", "application/json")
		answer, err = document(r)
		if err == nil {
			head.Set("Cache-Control", "public, max-age=300")
		}
	default:
		head.Set("Content-Type", contentType)
		answer, err = h.call(w, r)
	}
	status := http.StatusOK
	if err != nil {
		var p problem
		if p, status = explain(err); p.fault && h.opts.OnError != nil {
			h.opts.OnError(r, requestID, err)
		}
		head.Set("X-Amzn-Errortype", p.Type)
		answer = p
	}
	text, err := json.Marshal(answer)
	if err != nil { // our own types always marshal
		text, status = []byte("{}"), http.StatusInternalServerError
	}
	if head.Get("Cache-Control") == "" {
		head.Set("Cache-Control", "no-store")
	}
	head.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text) // HEAD: net/http sends none of it
}

// preflight tells a browser that any page may call.
func preflight(w http.ResponseWriter) {
	head := w.Header()
	head.Set("Access-Control-Allow-Methods", "POST, GET, HEAD")
	// The star covers headers that an app adds. Not all browsers know it, so
	// the clients' own headers are named.
	head.Set("Access-Control-Allow-Headers", "amz-sdk-invocation-id, amz-sdk-request, authorization, cache-control, "+
		"content-type, x-amz-content-sha256, x-amz-date, x-amz-security-token, x-amz-target, x-amz-user-agent, *")
	head.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
}

// call reads the request and does what it asks for.
func (h *Handler) call(w http.ResponseWriter, r *http.Request) (any, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		return nil, refuse(http.StatusMethodNotAllowed, unknownOperation, "An operation is called with POST.")
	}
	target := r.Header.Get("X-Amz-Target")
	op, known := h.calls[target]
	switch {
	case !known:
		return nil, refuse(http.StatusBadRequest, unknownOperation, "The header x-amz-target names no known operation.")
	case op.do == nil:
		return nil, refuse(http.StatusBadRequest, unsupportedOperation, target+" is not supported by this server.")
	case !op.limit.Allow(h.opts.RemoteAddr(r), h.opts.Now()):
		return nil, refuse(http.StatusBadRequest, tooManyRequests, "Too many requests from this address.")
	}
	m, done, err := h.read(w, r)
	if err != nil {
		return nil, err
	}
	defer done()
	return op.do(r, m)
}
