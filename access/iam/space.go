package iam

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrComplex is why the combinations of patterns could not be gone through: they
// are too many.
var ErrComplex = errors.New("too complex to decide")

// Why a pattern cannot be part of a space.
var (
	errOtherVariable = errors.New("it has a variable other than ${" + IdentityKey + "}")
	errLateVariable  = errors.New("a wildcard stands before its variable")
	errTwoVariables  = errors.New("it has two variables")
)

// Space is all texts, as far as some patterns can tell them apart. It serves
// comparisons that must hold for every key: each of its few [Witness] texts is asked
// of the policy and of what the policy is compared with. Patterns are
// written as in a policy of this [Version], and may have one variable, for the
// identity id, behind literal text. The zero value has no patterns.
type Space struct {
	// Prefix is what all texts begin with. No identity id is in it.
	Prefix string
	// MaxLength is the most bytes in a text behind the prefix; 0 is no limit.
	MaxLength int
	// NonEmpty leaves out the text that is the prefix alone.
	NonEmpty bool

	limit    int // of the states that are looked at; 0 is two million
	index    map[string]int
	starts   []int32 // in prog, of each pattern; -1 for one that no text can match
	ids      []int32 // in prog, of the variable of each pattern; -1 for none
	prog     []rune  // the tokens of all patterns, one behind the other
	owner    []int32 // of each token
	literals []string
}

// The tokens that are no characters.
const (
	tokenOne  rune = -1 - iota // "?"
	tokenMany                  // "*"
	tokenRest                  // "*" at the end
	tokenEnd                   // the end
	tokenID                    // the identity id
)

// Add adds a pattern. The same pattern may be added again. A pattern with any other use of variables is an error, unless no text with the
// prefix could match it.
func (s *Space) Add(text string) error {
	if _, ok := s.index[text]; ok {
		return nil
	}
	p := parsePattern(text, true, true)
	possible := strings.HasPrefix(p.prefix, s.Prefix) || strings.HasPrefix(s.Prefix, p.prefix) && len(p.rest) > 0
	if possible {
		if err := checkVariables(&p); err != nil {
			return err
		}
	}
	n := len(s.starts)
	if s.index == nil {
		s.index = make(map[string]int)
	}
	s.index[text] = n
	s.ids = append(s.ids, -1)
	if !possible {
		s.starts = append(s.starts, -1)
		return nil
	}
	s.starts = append(s.starts, int32(len(s.prog)))
	s.literal(n, p.prefix)
	for i, q := range p.rest {
		switch q.kind {
		case literal:
			s.literal(n, q.text)
		case anyOne:
			s.token(n, tokenOne)
		case variable:
			s.ids[n] = int32(len(s.prog))
			s.literals = append(s.literals, p.prefix)
			s.token(n, tokenID)
		case anyText:
			if i == len(p.rest)-1 {
				s.token(n, tokenRest)
				return nil
			}
			s.token(n, tokenMany)
		}
	}
	s.token(n, tokenEnd)
	return nil
}

func (s *Space) token(n int, c rune) {
	s.prog = append(s.prog, c)
	s.owner = append(s.owner, int32(n))
}

func (s *Space) literal(n int, text string) {
	for _, c := range text {
		s.token(n, c)
	}
}

// checkVariables reports why the variables of a pattern are not understood.
func checkVariables(p *pattern) error {
	found, wildcard := false, false
	for _, q := range p.rest {
		switch {
		case q.kind == broken, q.kind == variable && (q.text != IdentityKey || q.hasValue):
			return errOtherVariable
		case q.kind == variable && found:
			return errTwoVariables
		case q.kind == variable && wildcard:
			return errLateVariable
		case q.kind == variable:
			found = true
		case q.kind != literal:
			wildcard = true
		}
	}
	return nil
}

// checkPlaces makes sure that no text can have the same identity id in two places
// where patterns have the variable. Two such places that are less than a colon and
// a UUID apart would give the id two colons.
func (s *Space) checkPlaces() error {
	places := make(map[string]bool, len(s.literals))
	for _, l := range s.literals {
		places[l] = true
	}
	for _, l := range s.literals {
		for i := 0; i <= len(l)-uuidLength-1; i++ {
			if places[l[:i]] && mayBeID(l[i:]) {
				return fmt.Errorf("the identity id may stand behind both %q and %q: %w", l[:i], l, ErrComplex)
			}
		}
	}
	return nil
}

// mayBeID reports whether some identity id begins with the text, or the text with
// some identity id.
func mayBeID(text string) bool {
	at := 0
	for _, c := range text {
		next, ok := idStep(at, c)
		if !ok {
			return false
		}
		if at = next; at == idEnd {
			break
		}
	}
	return true
}

// Witness is one text that stands for all that match the same patterns.
type Witness struct {
	Text     string // without the prefix
	Identity string // what the variable stands for
	matched  []int  // the numbers of the patterns that match, ascending
}

// Witnesses returns, for every set of patterns that some text and some identity id
// can match together, with no pattern outside of the set, a text that is as short
// as such a text can be. The shorter ones come first. The same patterns, added in
// the same order, have the same witnesses. The error is ErrComplex, with more.
//
// The patterns are run side by side, as an automaton whose states are made as they
// are needed. In a state only the characters that some pattern waits for, and one
// other, make a difference; and where all that may follow are literal texts, they
// are read in one step.
func (s *Space) Witnesses() ([]Witness, error) {
	if err := s.checkPlaces(); err != nil {
		return nil, err
	}
	w := search{Space: s, limit: s.limit, known: make(map[string]int32), found: make(map[string]bool)}
	if w.limit == 0 {
		w.limit = 2_000_000
	}
	return w.run()
}

func runeLen(c rune) int { return max(1, utf8.RuneLen(c)) }
