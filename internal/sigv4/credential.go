package sigv4

import (
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
// character, '/' too: the other fields are taken from both ends.
func parseCredential(s string) (credential, bool) {
	var c credential
	if len(s) > maxCredential || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return c, false
	}
	id, scope, ok := strings.Cut(s, "/")
	if !ok || id == "" {
		return c, false
	}
	rest, ok := strings.CutSuffix(scope, "/aws4_request")
	if !ok {
		return c, false
	}
	date, rest, ok := strings.Cut(rest, "/")
	if !ok || !isDate(date) {
		return c, false
	}
	i := strings.LastIndexByte(rest, '/')
	if i < 0 || i+1 == len(rest) {
		return c, false
	}
	return credential{id: id, date: date, region: rest[:i], service: rest[i+1:], scope: scope}, true
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
func parseAuthorization(s string) (*claim, error) {
	scheme, rest, _ := strings.Cut(s, " ")
	switch {
	case scheme == algorithm:
	case scheme == "AWS":
		return nil, errorf(InvalidRequest, "this way of signing is not supported; use "+algorithm)
	case strings.HasPrefix(scheme, "AWS4-"):
		return nil, errorf(NotImplemented, "this signing algorithm is not supported; use "+algorithm)
	default:
		return nil, errorf(InvalidArgument, "this type of authorization is not supported; use "+algorithm)
	}

	names := [...]string{"Credential=", "SignedHeaders=", "Signature="}
	var values [len(names)]string
	var seen [len(names)]bool
	last := -1 // the field that is being read
	rest = "," + rest
	for rest != "" {
		piece := rest[1:]
		if i := strings.IndexByte(piece, ','); i >= 0 {
			piece, rest = piece[:i], piece[i:]
		} else {
			rest = ""
		}
		field := -1
		trimmed := strings.Trim(piece, " \t")
		for i, name := range names {
			if strings.HasPrefix(trimmed, name) {
				field = i
			}
		}
		switch {
		case field >= 0 && seen[field]:
			return nil, errorf(AuthorizationHeaderMalformed, "the Authorization header has %s twice", strings.TrimSuffix(names[field], "="))
		case field >= 0:
			seen[field] = true
			values[field] = trimmed[len(names[field]):]
		case last == 0: // a comma within the region
			values[0] += "," + strings.TrimRight(piece, " \t")
			field = 0
		default:
			return nil, errorf(AuthorizationHeaderMalformed, "the Authorization header has an unknown part")
		}
		last = field
	}
	for i, name := range names {
		if values[i] == "" {
			return nil, errorf(AuthorizationHeaderMalformed, "the Authorization header has no %s", strings.TrimSuffix(name, "="))
		}
	}
	return newClaim(values[0], values[1], values[2], AuthorizationHeaderMalformed)
}

// newClaim makes a claim of the parts that both ways of signing have.
func newClaim(cred, list, signature, code string) (*claim, error) {
	c := &claim{list: list, signature: signature}
	var ok bool
	if c.credential, ok = parseCredential(cred); !ok {
		return nil, errorf(code, "the credential is not of the form ID/YYYYMMDD/REGION/SERVICE/aws4_request")
	}
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
