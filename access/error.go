package access

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// Reason is why a rule was refused or warned of.
type Reason string

// The reasons for refusing a rule because of its path.
const (
	BadLeadingSlash  Reason = "leading slash"
	BadEnding        Reason = "no ending wildcard"
	BadDoubleSlash   Reason = "double slash"
	BadWildcard      Reason = "wildcard inside"
	BadCharacter     Reason = "character"
	BadEncoding      Reason = "encoding" // not UTF-8, or not in normal form C
	BadDots          Reason = "dot segment"
	BadLength        Reason = "length"
	BadToken         Reason = "unknown token"
	BadTokenTwice    Reason = "two tokens"
	BadTokenNotLast  Reason = "token not last"
	BadTokenFirst    Reason = "token first"
	BadTokenNotAlone Reason = "token not alone"
	BadTokenBeside   Reason = "too many tokens side by side"
	BadNesting       Reason = "nesting"           // Strict: below more than one other path
	BadAboveToken    Reason = "above {entity_id}" // another path would open it to others
)

// The reasons for refusing a rule because of something else.
const (
	BadSyntax       Reason = "syntax"
	BadWho          Reason = "who"
	BadAction       Reason = "action"
	BadNoAction     Reason = "no action"
	BadDuplicate    Reason = "duplicate"
	BadOption       Reason = "option"
	BadGuestToken   Reason = "guest token"     // a token that guests have no value for
	BadGuestSecret  Reason = "guest id listed" // others could list the ids of guests
	BadGroupToken   Reason = "group token"     // {group} and Replace exclude each other
	BadFunction     Reason = "function token"  // a token that functions have no value for
	BadLimits       Reason = "limits"
	WarnUnenforced  Reason = "not enforced"     // warning: a limit that is kept but does nothing yet
	BadOwnerNoToken Reason = "owner, no token"  // also a warning
	WarnTokens      Reason = "tokens confused"  // warning: two kinds of values in one place
	WarnListed      Reason = "names are listed" // warning: Prefix lists what a longer path takes back
)

// Problem is what is wrong with one rule.
type Problem struct {
	Pos    string // of the rule, may be ""
	Path   string // of the rule, may be ""
	Who    string // of the rule, "" if the path itself is the problem
	Reason Reason
	Text   string // what is wrong, for people
}

// String returns the problem as one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Pos != "" {
		b.WriteString(p.Pos + ": ")
	}
	if p.Path != "" {
		fmt.Fprintf(&b, "path %q: ", clip(p.Path))
	}
	if p.Who != "" {
		fmt.Fprintf(&b, "%q: ", clip(p.Who))
	}
	return b.String() + p.Text
}

// maxEcho is how many bytes of one field of a text are repeated in a message.
const maxEcho = 80

// clip returns the beginning of s if it is too long for a message.
func clip(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	n := maxEcho - len("...")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// Warning is a rule that is accepted but may not mean what its author thinks.
type Warning = Problem

// Error is why rules were refused: all that is wrong with them, in their order.
// It matches fs.ErrInvalid.
type Error struct {
	Problems []Problem
}

// Error returns the problems, one to a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns fs.ErrInvalid.
func (e *Error) Unwrap() error { return fs.ErrInvalid }
