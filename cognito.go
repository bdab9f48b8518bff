package cubby

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store/s3store"
)

const (
	identityTarget = "AWSCognitoIdentityService."
	userTarget     = "AWSCognitoIdentityProviderService."
	maxAnswer      = 1 << 20
	callTimeout    = 30 * time.Second // of one attempt
)

// caller makes calls of the AWS JSON 1.1 protocol.
type caller struct {
	client   *http.Client
	attempts int
}

func newCaller(client *http.Client, attempts int) *caller {
	if client == nil {
		client = http.DefaultClient
	}
	c := *client
	// A redirect would carry a password elsewhere.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &caller{&c, attempts}
}

// call sends in and reads the answer into out, which may be nil. It returns the
// time of the server, or the zero time. The error is fs.ErrPermission,
// fs.ErrInvalid or that of the network; a refusal has a *s3store.ServiceError.
func (c *caller) call(ctx context.Context, endpoint, target string, in, out any) (time.Time, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return time.Time{}, err
	}
	for n := 1; ; n++ {
		at, again, err := c.attempt(ctx, endpoint, target, body, out)
		if err == nil || !again || n >= c.attempts {
			return at, err
		}
		if waitErr := wait(ctx, n); waitErr != nil {
			return at, err
		}
	}
}

// wait waits before attempt n+1: a random time that doubles up to ten seconds.
func wait(ctx context.Context, n int) error {
	d := min(200*time.Millisecond<<min(n-1, 10), 10*time.Second)
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt is one attempt of a call. Again says whether another one makes sense.
func (c *caller) attempt(ctx context.Context, endpoint, target string, body []byte, out any) (at time.Time, again bool, err error) {
	actx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(actx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return at, false, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Cache-Control", "no-store")
	resp, err := c.client.Do(req)
	if err != nil {
		return at, ctx.Err() == nil, err
	}
	defer resp.Body.Close()
	at, _ = http.ParseTime(resp.Header.Get("Date"))
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return at, ctx.Err() == nil, err
	}
	if resp.StatusCode >= 300 {
		e := refusal(resp, answer)
		again := resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests ||
			slices.Contains([]string{"TooManyRequestsException", "ThrottlingException", "InternalErrorException"}, e.Code)
		return at, again, classify(e)
	}
	if out == nil {
		return at, false, nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return at, false, fmt.Errorf("%s does not answer as Cognito does: %w", endpoint, err)
	}
	return at, false, nil
}

// refusal reads the error of an answer.
func refusal(resp *http.Response, answer []byte) *s3store.ServiceError {
	var body struct {
		Type     string `json:"__type"`
		Code     any    `json:"code"`
		Message  string `json:"message"`
		Message2 string `json:"Message"`
	}
	_ = json.Unmarshal(answer, &body) // without a code the status must do
	code := resp.Header.Get("X-Amzn-Errortype")
	if code == "" {
		code, _ = body.Code.(string)
	}
	code = first(code, body.Type)
	if i := strings.IndexAny(code, ",:"); i >= 0 {
		code = code[:i]
	}
	if i := strings.LastIndexByte(code, '#'); i >= 0 {
		code = code[i+1:]
	}
	return &s3store.ServiceError{
		Code: first(code, http.StatusText(resp.StatusCode)), Message: first(body.Message, body.Message2),
		RequestID: resp.Header.Get("X-Amzn-Requestid"), Status: resp.StatusCode,
	}
}

// classify gives a refusal its cause.
func classify(e *s3store.ServiceError) error {
	switch e.Code {
	case "NotAuthorizedException", "UserNotFoundException", "UserNotConfirmedException", "PasswordResetRequiredException",
		"TokenRevokedException", "RefreshTokenReuseException", "ForbiddenException":
		return fmt.Errorf("%w: %w", fs.ErrPermission, e)
	case "ResourceNotFoundException":
		return fmt.Errorf("%w: %w", fs.ErrNotExist, e)
	}
	if e.Status < 500 && e.Status != http.StatusTooManyRequests {
		return fmt.Errorf("%w: %w", fs.ErrInvalid, e)
	}
	return e
}

// refused reports whether err is a refusal with one of these codes.
func refused(err error, codes ...string) bool {
	e, ok := errors.AsType[*s3store.ServiceError](err)
	return ok && slices.Contains(codes, e.Code)
}

// claims are those of an ID token that the client looks at. It does not verify
// the token: that is for the service that it is shown to.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Expires  float64  `json:"exp"`
	Username string   `json:"cognito:username"`
	Groups   []string `json:"cognito:groups"`
}

func parseClaims(token string) (*claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("ID token is not a JWT: %w", fs.ErrInvalid)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil, fmt.Errorf("ID token is not a JWT: %w: %w", fs.ErrInvalid, err)
	}
	c := new(claims)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("claims of the ID token: %w: %w", fs.ErrInvalid, err)
	}
	if c.Issuer == "" || c.Subject == "" {
		return nil, fmt.Errorf("ID token has no iss or sub: %w", fs.ErrInvalid)
	}
	return c, nil
}

// login is the name under which the identity pool knows the issuer.
func (c *claims) login() string {
	_, name, ok := strings.Cut(c.Issuer, "://")
	if !ok {
		return c.Issuer
	}
	return name
}
