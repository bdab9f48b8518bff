package sigv4

import (
	"fmt"
	"slices"
	"strings"
)

const (
	maxCredential    = 1024
	maxSignedHeaders = 128
)

// credential is an access key id with the scope of a signature.
type credential struct {
	id      string
	date    string // 20060102
	region  string
	service string
	scope   string // date/region/service/aws4_request, as the client wrote it
}

// parseCredential parses ID/DATE/REGION/SERVICE/aws4_request. Some clients are
// led to our address by a region that holds a host, so it may have any
// character, '/' too: the other fields are taken from both ends. If s is not
// what v accepts, wrong says why, in the words of S3.
func (v *Verifier) parseCredential(s string) (c credential, wrong string) {
	const form = `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	if len(s) > maxCredential || hasControl(s) || strings.Count(s, "/") < 4 {
		return c, form
	}
	id, scope, _ := strings.Cut(s, "/")
	date, rest, _ := strings.Cut(scope, "/")
	end := strings.LastIndexByte(rest, '/')
	terminal, rest := rest[end+1:], rest[:end]
	i := strings.LastIndexByte(rest, '/')
	service := rest[i+1:]
	switch {
	case id == "" || service == "":
		return c, form
	case terminal != "aws4_request" && strings.Count(s, "/") > 4:
		return c, form
	case terminal != "aws4_request":
		return c, fmt.Sprintf("incorrect terminal %q. This endpoint uses \"aws4_request\".", terminal)
	case !v.accepts(service):
		return c, fmt.Sprintf("incorrect service %q. This endpoint belongs to \"s3\".", service)
	case !isDate(date):
		return c, fmt.Sprintf("incorrect date format %q. This date in the credential must be in the format \"yyyyMMdd\".", date)
	}
	return credential{id: id, date: date, region: rest[:i], service: service, scope: scope}, ""
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

func isDate(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) == len(dateFormat)
}

// parseAuthorization parses the value of an Authorization header. Its fields
// may stand in any order, but only once.
func (v *Verifier) parseAuthorization(s string) (*claim, error) {
	scheme, rest, space := strings.Cut(s, " ")
	switch {
	case !space:
		return nil, errorf(InvalidArgument, "Authorization header is invalid -- one and only one ' ' (space) required.").
			with("ArgumentName", "Authorization").with("ArgumentValue", s)
	case scheme == algorithm:
	case scheme == "AWS":
		return nil, errorf(InvalidRequest, otherMechanism)
	case strings.HasPrefix(scheme, "AWS4-"):
		return nil, errorf(NotImplemented, "this signing algorithm is not supported; use "+algorithm)
	default:
		return nil, errorf(InvalidArgument, "Unsupported Authorization Type").with("ArgumentName", "Authorization").with("ArgumentValue", scheme)
	}

	names := [...]string{"Credential=", "SignedHeaders=", "Signature="}
	var values [len(names)]string
	var seen [len(names)]bool
	last := -1 // the field that is being read
	unknown, strange, pieces := "", false, 0
	rest = "," + rest
	for rest != "" {
		piece := rest[1:]
		if i := strings.IndexByte(piece, ','); i >= 0 {
			piece, rest = piece[:i], piece[i:]
		} else {
			rest = ""
		}
		pieces++
		field := -1
		trimmed := strings.TrimLeft(piece, " \t")
		for i, name := range names {
			if strings.HasPrefix(trimmed, name) {
				field = i
			}
		}
		switch {
		case field >= 0 && seen[field]:
			return nil, malformedHeader("it has %s twice.", strings.TrimSuffix(names[field], "="))
		case field >= 0:
			seen[field] = true
			values[field] = trimmed[len(names[field]):]
		case last == 0: // a comma within the region
			values[0] += "," + piece
			field = 0
		case !strange:
			unknown, strange = strings.TrimRight(trimmed, " \t"), true
		}
		last = field
	}
	for i := range values { // and not before: a comma may come after spaces in a region
		values[i] = strings.TrimRight(values[i], " \t")
	}
	for i, name := range names {
		if values[i] == "" {
			if i := strings.LastIndexByte(values[0], ','); i >= 0 && unknown == "" {
				unknown = strings.TrimSpace(values[0][i+1:]) // that was taken for a part of the region
			}
			return nil, missing(strings.TrimSuffix(name, "="), unknown, pieces)
		}
	}
	if strange {
		return nil, malformedHeader("the authorization component %q is malformed.", unknown)
	}
	cred, wrong := v.parseCredential(values[0])
	if wrong != "" {
		return nil, malformedHeader("%s", wrong)
	}
	return newClaim(cred, values[1], values[2], AuthorizationHeaderMalformed)
}

// missing is the error for an Authorization header of so many pieces that lacks
// the component called name. unknown is a piece that is no component, or "".
func missing(name, unknown string, pieces int) error {
	switch {
	case unknown != "" && !strings.Contains(unknown, "="):
		return malformedHeader("the authorization component %q is malformed.", unknown)
	case pieces < 3:
		return malformedHeader("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	return malformedHeader("missing %s.", name)
}

func malformedHeader(format string, args ...any) *Error {
	return errorf(AuthorizationHeaderMalformed, "The authorization header is malformed; "+format, args...)
}

// newClaim makes a claim of the parts that both ways of signing have.
func newClaim(cred credential, list, signature, code string) (*claim, error) {
	c := &claim{credential: cred, list: list, signature: signature}
	var ok bool
	if c.signed, ok = parseSignedHeaders(list); !ok {
		return nil, errorf(code, "the signed headers are not a list of different lower-case names with host among them")
	}
	return c, nil
}

// parseSignedHeaders splits a list of signed headers. The order is left to the
// client, since not all of them sort alike.
func parseSignedHeaders(list string) ([]string, bool) {
	n := strings.Count(list, ";") + 1
	if n > maxSignedHeaders {
		return nil, false
	}
	names := make([]string, 0, n)
	host, greatest := false, ""
	for name := range strings.SplitSeq(list, ";") {
		if !isHeaderName(name) {
			return nil, false
		}
		// A name that is greater than all others is not among them.
		if name <= greatest && slices.Contains(names, name) {
			return nil, false
		}
		greatest = max(greatest, name)
		host = host || name == "host"
		names = append(names, name)
	}
	return names, host
}

// isHeaderName reports whether s is a lower-case token of HTTP.
func isHeaderName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
