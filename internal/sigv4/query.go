package sigv4

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parameters of a presigned URL, as indexes of queryAuth.
const (
	paramAlgorithm = iota
	paramCredential
	paramDate
	paramExpires
	paramSignedHeaders
	paramSignature
	paramToken
	authParams   // the number of those that sign
	paramPayload = authParams
	allParams    = authParams + 1
)

func paramNames() [allParams]string {
	return [...]string{
		"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires",
		"x-amz-signedheaders", "x-amz-signature", "x-amz-security-token", "x-amz-content-sha256",
	}
}

// queryAuth holds the parameters of a query that concern its signature.
type queryAuth struct {
	values [allParams]string // decoded
	seen   [allParams]bool
	v2     bool // there are parameters of Signature Version 2
}

// any reports whether the query says anything about a signature. One
// parameter is enough: half a presigned URL is a bad one, not an anonymous
// request.
func (q *queryAuth) any() bool {
	return slices.Contains(q.seen[:authParams], true)
}

// pair is a parameter of the query in canonical encoding.
type pair struct{ name, value string }

// parseQuery reads a raw query into the canonical pairs of s, sorted and
// without the signature, and into s.auth.
func (s *scratch) parseQuery(raw string) error {
	for raw != "" {
		var text string
		text, raw, _ = strings.Cut(raw, "&")
		if text == "" {
			continue
		}
		name, value, _ := strings.Cut(text, "=")
		var p pair
		var ok1, ok2 bool
		p.name, ok1 = encodeQuery(name)
		p.value, ok2 = encodeQuery(value)
		if !ok1 || !ok2 {
			return errorf(InvalidArgument, "the query has a malformed escape sequence")
		}
		param, err := s.auth.add(p)
		if err != nil {
			return err
		}
		if param != paramSignature {
			s.pairs = append(s.pairs, p)
		}
	}
	byName := func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	}
	if !slices.IsSortedFunc(s.pairs, byName) {
		slices.SortFunc(s.pairs, byName)
	}
	return nil
}

// add notes p if it is one of the parameters of q, and returns which.
func (q *queryAuth) add(p pair) (param int, err error) {
	switch p.name {
	case "AWSAccessKeyId", "Signature":
		q.v2 = true
		return -1, nil
	}
	if !hasAmzPrefix(p.name) {
		return -1, nil
	}
	names := paramNames()
	i := slices.IndexFunc(names[:], func(name string) bool { return strings.EqualFold(name, p.name) })
	if i < 0 {
		return -1, nil
	}
	if q.seen[i] {
		return -1, errorf(AuthorizationQueryParametersError, "the query has %s twice", names[i])
	}
	value, err := url.PathUnescape(p.value)
	if err != nil {
		return -1, errorf(AuthorizationQueryParametersError, "the query parameter %s is malformed", names[i])
	}
	q.seen[i], q.values[i] = true, value
	return i, nil
}

func (v *Verifier) queryClaim(r *http.Request, q *queryAuth) (*claim, error) {
	if got := q.values[paramAlgorithm]; got != algorithm && got != "" {
		return nil, errorf(AuthorizationQueryParametersError, "X-Amz-Algorithm only supports %q", algorithm)
	}
	if slices.Contains(q.values[:paramToken], "") {
		return nil, errorf(AuthorizationQueryParametersError, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	}
	cred, wrong := v.parseCredential(q.values[paramCredential])
	if wrong != "" {
		return nil, errorf(AuthorizationQueryParametersError, "Error parsing the X-Amz-Credential parameter; %s", wrong)
	}
	c, err := newClaim(cred, q.values[paramSignedHeaders], q.values[paramSignature], AuthorizationQueryParametersError)
	if err != nil {
		return nil, err
	}
	c.presigned = true
	if c.time, err = parseTime(q.values[paramDate]); err != nil {
		return nil, errorf(AuthorizationQueryParametersError, `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if c.setTime(q.values[paramDate]); !c.sameDay() {
		return nil, errorf(AuthorizationQueryParametersError, "Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", c.date, c.iso[:len(dateFormat)])
	}
	life, err := parseExpires(q.values[paramExpires])
	if err != nil {
		return nil, err
	}
	c.expires = c.time.Add(life)
	if err := v.checkLife(c); err != nil {
		if now := v.now(); now.After(c.expires) {
			err.with("X-Amz-Expires", q.values[paramExpires])
		}
		return nil, err
	}

	token, inHeader, err := single(r.Header, "X-Amz-Security-Token")
	if err != nil {
		return nil, err
	}
	if inHeader && q.seen[paramToken] {
		return nil, errorf(InvalidArgument, "the session token is both in a header and in the query")
	}
	c.token = q.values[paramToken]
	if inHeader {
		c.token = token
	}
	return c, nil
}

// parseExpires reads the seconds that a presigned URL is good for.
func parseExpires(s string) (time.Duration, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return 0, errorf(AuthorizationQueryParametersError, "X-Amz-Expires should be a number")
	case n < 0:
		return 0, errorf(AuthorizationQueryParametersError, "X-Amz-Expires must be non-negative")
	case n == 0:
		return 0, errorf(AuthorizationQueryParametersError, "X-Amz-Expires must be at least a second")
	case n > int64(maxExpires/time.Second):
		return 0, errorf(AuthorizationQueryParametersError, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	return time.Duration(n) * time.Second, nil
}

// checkLife refuses c before its time and after its expiry.
func (v *Verifier) checkLife(c *claim) *Error {
	now := v.now()
	e := &Error{Code: AccessDenied, RequestTime: c.time, ServerTime: now, Expires: c.expires}
	switch {
	case c.time.Sub(now) > v.skew():
		e.Message = "Request is not valid yet."
	case now.After(c.expires):
		e.Message = "Request has expired."
	default:
		return nil
	}
	return e
}
