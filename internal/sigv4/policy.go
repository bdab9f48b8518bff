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
		return nil, &Error{Code: AccessDenied, Message: "Access Denied.", Err: ErrAnonymous}
	}
	for _, field := range []struct{ name, value string }{
		{"policy", f.Policy}, {"x-amz-algorithm", f.Algorithm}, {"x-amz-credential", f.Credential}, {"x-amz-date", f.Date}, {"x-amz-signature", f.Signature},
	} {
		if field.value == "" {
			return nil, errorf(InvalidArgument, "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", field.name).
				with("ArgumentName", field.name)
		}
	}
	if f.Algorithm != algorithm {
		return nil, errorf(InvalidArgument, "Only %s is supported", algorithm).with("ArgumentName", "X-Amz-Algorithm").with("ArgumentValue", f.Algorithm)
	}
	cred, wrong := v.parseCredential(f.Credential)
	if wrong != "" {
		return nil, errorf(InvalidArgument, "%s", wrong).with("ArgumentName", "x-amz-credential").with("ArgumentValue", f.Credential)
	}
	c := &claim{credential: cred, signature: f.Signature, token: f.SecurityToken}
	var err error
	if c.time, err = parseTime(f.Date); err != nil {
		return nil, errorf(InvalidArgument, "X-Amz-Date must be formated via ISO8601 Long format").with("ArgumentName", "X-Amz-Date").with("ArgumentValue", f.Date)
	}
	if c.setTime(f.Date); !c.sameDay() {
		return nil, errorf(InvalidArgument, "the date %q of the credential is not the date of the form", c.date)
	}
	c.expires = c.time.Add(maxExpires)
	if err := v.checkLife(c); err != nil {
		return nil, err
	}
	key, err := v.key(r.Context(), c, secret)
	if err != nil {
		return nil, err
	}
	if !key.matches([]byte(f.Policy), c.signature) {
		return nil, &Error{
			Code:         SignatureDoesNotMatch,
			Message:      mismatch,
			AccessKeyID:  c.id,
			StringToSign: f.Policy,
			Details:      []Detail{{"SignatureProvided", c.signature}, {"StringToSignBytes", spacedHex([]byte(f.Policy))}},
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
