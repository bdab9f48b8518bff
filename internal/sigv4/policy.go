package sigv4

import (
	"context"
	"net/http"
)

// PolicyForm holds the fields of a browser form that sign its policy, as they
// were sent.
type PolicyForm struct {
	Policy        string // the policy in Base64
	Algorithm     string // x-amz-algorithm
	Credential    string // x-amz-credential
	Date          string // x-amz-date
	SecurityToken string // x-amz-security-token
	Signature     string // x-amz-signature
}

// formKey is the key of the form in the context of its request.
type formKey struct{}

// WithForm returns r as a request that f signs. [Verifier.Verify] then verifies
// the form, and refuses a signature anywhere else in r. Request.Form is set in
// what it returns, which has no body and no signed headers. The signature ends
// after seven days.
//
// The policy itself is not looked at: its expiration and its conditions, and
// that it has a condition for every field, are the caller's to check.
func WithForm(r *http.Request, f *PolicyForm) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), formKey{}, f))
}

// verifyForm verifies the form f that r carries, whose query is in q.
func (v *Verifier) verifyForm(r *http.Request, f *PolicyForm, q *queryAuth, secret SecretFunc) (*Request, error) {
	switch {
	case len(r.Header["Authorization"]) > 0 || q.any() || q.v2:
		return nil, errorf(InvalidArgument, "the request is signed both in its form and elsewhere; use one of them")
	case *f == PolicyForm{}:
		return nil, &Error{Code: AccessDenied, Message: "the form needs a signed policy", Err: ErrAnonymous}
	case f.Policy == "":
		return nil, errorf(InvalidArgument, "the form has no policy")
	case f.Algorithm != algorithm:
		return nil, errorf(InvalidArgument, "the signing algorithm is not supported; use "+algorithm)
	}
	c := &claim{signature: f.Signature, token: f.SecurityToken}
	var ok bool
	if c.credential, ok = parseCredential(f.Credential); !ok {
		return nil, errorf(InvalidArgument, "x-amz-credential is not of the form ID/YYYYMMDD/REGION/SERVICE/aws4_request")
	}
	if err := v.checkScope(c, InvalidArgument); err != nil {
		return nil, err
	}
	var err error
	if c.time, err = parseTime(f.Date); err != nil {
		return nil, errorf(InvalidArgument, "x-amz-date is not of the form YYYYMMDDTHHMMSSZ")
	}
	if err := c.setTime(InvalidArgument); err != nil {
		return nil, err
	}
	c.expires = c.time.Add(maxExpires)
	if err := v.checkLife(c); err != nil {
		return nil, err
	}
	key, err := v.key(r.Context(), c, secret)
	if err != nil {
		return nil, err
	}
	if !matches(&key.key, []byte(f.Policy), c.signature) {
		return nil, &Error{
			Code:         SignatureDoesNotMatch,
			Message:      "the signature of the policy is not the one that the server computes",
			AccessKeyID:  c.id,
			StringToSign: f.Policy,
		}
	}
	v.keys.put(key)
	return &Request{
		AccessKeyID:  c.id,
		Region:       c.region,
		Service:      c.service,
		SessionToken: c.token,
		Form:         true,
		Time:         c.time,
		Expires:      c.expires,
		Body:         http.NoBody,
	}, nil
}
