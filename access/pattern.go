package access

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxPath is the most bytes in a path: S3 has no longer keys.
const maxPath = 1024

const (
	entityToken   = "{entity_id}"
	identityToken = "${cognito-identity.amazonaws.com:sub}"
)

// token is which value of the subject a segment stands for.
type token struct {
	kind  tokenKind
	claim string
}

type tokenKind uint8

const (
	noToken tokenKind = iota
	identityID
	sub
	username
	group
	claim
)

// text returns the segment that is the token; both forms of the identity id have
// the same one.
func (t token) text() string {
	switch t.kind {
	case identityID:
		return identityToken
	case sub:
		return "{sub}"
	case username:
		return "{username}"
	case group:
		return "{group}"
	case claim:
		return "{claim:" + t.claim + "}"
	}
	return ""
}

// pattern is a path of a rule, taken apart.
type pattern struct {
	segs   []string
	token  token
	at     int  // index of the token in segs, -1 without one
	entity bool // the token is written {entity_id}
}

// last reports whether the token is the last segment.
func (p *pattern) last() bool { return p.at == len(p.segs)-1 }

// literal returns what stands before the token, or the whole path without "*".
func (p *pattern) literal() string {
	segs := p.segs
	if p.at >= 0 {
		segs = segs[:p.at]
	}
	return join(segs)
}

// own reports whether a rule for r on the path is about the subject's own value.
func (p *pattern) own(r role) bool {
	return p.at >= 0 && (!p.entity || r.kind == owner)
}

// effective returns the path, without "*", that a rule for r is about. It is the
// same text for paths that mean the same.
func (p *pattern) effective(r role) string {
	if !p.own(r) {
		return p.literal()
	}
	return p.literal() + p.token.text() + "/" + join(p.segs[p.at+1:])
}

func join(segs []string) string {
	if len(segs) == 0 {
		return ""
	}
	return strings.Join(segs, "/") + "/"
}

// flaw is what is wrong with a path or a rule.
type flaw struct {
	reason Reason
	text   string
}

// parsePattern takes a path apart. It reports the first flaw, in the order in
// which Amplify looks for them.
func parsePattern(path string, strict bool) (p pattern, bad *flaw) {
	refuse := func(r Reason, text string) (pattern, *flaw) { return pattern{}, &flaw{r, text} }
	p.at = -1
	switch body, ok := strings.CutSuffix(path, "/*"); {
	case path == "":
		return refuse(BadEnding, `the path is empty; a path ends with "/*", as in public/*`)
	case len(path) > maxPath:
		return refuse(BadLength, fmt.Sprintf("a path has at most %d bytes, as a key has", maxPath))
	case strings.HasPrefix(path, "/"):
		return refuse(BadLeadingSlash, `a path does not start with "/"`)
	case !ok:
		return refuse(BadEnding, `a path ends with "/*"`)
	case strings.Contains(path, "//"):
		return refuse(BadDoubleSlash, `a path has no "//"`)
	case strings.Contains(body, "*"):
		return refuse(BadWildcard, `a path has no "*" but the last character`)
	default:
		p.segs = strings.Split(body, "/")
	}
	var tokens, alone int
	for i, s := range p.segs {
		n, t, entity := findToken(s)
		if tokens += n; t.kind != noToken {
			alone++
			p.at, p.token, p.entity = i, t, entity
		}
	}
	switch {
	case tokens > 1:
		return refuse(BadTokenTwice, "a path has at most one token")
	case strict && alone == 1 && !p.last():
		return refuse(BadTokenNotLast, `the token stands right before the ending "/*"`)
	case strict && alone == 1 && p.at == 0:
		return refuse(BadTokenFirst, "the token is not the first segment")
	case tokens != alone:
		return refuse(BadTokenNotAlone, "the token is a whole segment, with nothing beside it")
	case strict && alone == 1 && p.token.kind != identityID:
		return refuse(BadToken, "Amplify has no token but {entity_id}")
	}
	for i, s := range p.segs {
		if i == p.at {
			continue
		}
		if bad := checkLiteral(s); bad != nil {
			return pattern{}, bad
		}
	}
	return p, nil
}

// checkLiteral reports what is wrong with a segment that is not a token.
func checkLiteral(s string) *flaw {
	switch {
	case s == "." || s == "..":
		return &flaw{BadDots, fmt.Sprintf("a path has no %q segment", s)}
	case !utf8.ValidString(s):
		return &flaw{BadEncoding, "a path is valid UTF-8"}
	case !norm.NFC.IsNormalString(s):
		return &flaw{BadEncoding, "a path is in Unicode normal form C"}
	case strings.ContainsAny(s, "{}"):
		return &flaw{BadToken, fmt.Sprintf("%q is no token, want {entity_id}, %s, {sub}, {username}, {group} or {claim:NAME}", clip(s), identityToken)}
	case strings.Contains(s, "?"):
		return &flaw{BadCharacter, `a path has no "?", which is a wildcard in IAM`}
	case strings.ContainsFunc(s, unicode.IsControl):
		return &flaw{BadCharacter, "a path has no control characters"}
	}
	return nil
}

// findToken counts the tokens inside a segment, and returns the one that is all of it.
func findToken(seg string) (n int, t token, entity bool) {
	for _, k := range []token{{kind: identityID}, {kind: sub}, {kind: username}, {kind: group}} {
		n += strings.Count(seg, k.text())
		if seg == k.text() {
			t = k
		}
	}
	n += strings.Count(seg, entityToken)
	if seg == entityToken {
		t, entity = token{kind: identityID}, true
	}
	for rest := seg; ; {
		_, after, ok := strings.Cut(rest, "{claim:")
		if !ok {
			return n, t, entity
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok || name == "" || strings.ContainsAny(name, "{}$?") || checkLiteral(name) != nil {
			return n, t, entity
		}
		n++
		if seg == "{claim:"+name+"}" {
			t = token{claim, name}
		}
		rest = after
	}
}

// validValue reports whether a value of a subject may stand for a token. Anything
// that could reach out of its segment, or that IAM would read as a pattern, may not.
func validValue(s string) bool {
	if s == "" || len(s) > 128 || s == "." || s == ".." {
		return false
	}
	var all byte
	for i := range len(s) {
		all |= byteClass[s[i]]
	}
	if all != 0 {
		return all == foreign && validForeign(s)
	}
	return true
}

// The classes of bytes in a value. A byte of neither is harmless.
const (
	foreign   = 1 << iota // part of a character that is not ASCII
	forbidden             // never allowed
)

var byteClass = func() (class [256]byte) {
	for c := range class {
		switch {
		case c >= utf8.RuneSelf:
			class[c] = foreign
		case c < 0x20, c == 0x7f, strings.IndexByte("/*?${}", byte(c)) >= 0:
			class[c] = forbidden
		}
	}
	return class
}()

// validForeign checks what cannot be seen from single bytes.
func validForeign(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	// QuickSpan does not allocate, and is enough for all but some combining marks.
	return utf8.ValidString(s) && (norm.NFC.QuickSpanString(s) == len(s) || norm.NFC.IsNormalString(s))
}
