// Package access decides who may do what with which key of a bucket.
//
// A [Policy] is made once from rules, by [Parse] from text or by [Compile] from
// values, and then asked any number of times, from any goroutine:
//
//	public/*                 guest read   authenticated read,write,delete
//	protected/{entity_id}/*  authenticated read   owner read,write,delete
//	private/{entity_id}/*    owner read,write,delete
//
// [Policy.Decide] answers whether a [Subject] may do an [Action] with a key, and
// which rule says so. [Policy.Visible] turns the right to list into the ranges
// of keys that a store is asked for, and [Policy.Ask] answers people, who ask for
// lists and keys alike. The package does no I/O, knows no clock and keeps no state:
// the same question always has the same answer.
//
// # Rules
//
// A rule gives actions on a path to somebody. Nothing takes a right away, and
// what no rule gives is denied; nil and empty policies deny everything.
//
// A path is a row of segments ending in "/*", and covers every key that begins
// with what stands before the "*". One segment may be a token, which stands for
// a value of the subject's own:
//
//	{entity_id}                           the identity id, in a rule for the owner; in a rule
//	                                      for anybody else p/{entity_id}/* means p/*
//	${cognito-identity.amazonaws.com:sub} the identity id, whoever the rule is for
//	{sub} {username} {claim:NAME}         from the token that the subject signed in with
//	{group}                               any group that the subject is a member of
//
// A value that is missing, not in Unicode normal form C, longer than 128 bytes,
// "." or "..", or that has a control character or one of "/*?${}" in it, matches
// nothing; neither does one that a rule has as a literal segment in that place.
//
// Who is one of guest, authenticated, owner (also entityidentity), group:NAME
// (also groupsNAME) and function:NAME. A guest has the rights of guests alone, a
// function those of its name alone. Everybody else has those of authenticated, of
// every group, and of owner, added up; see [Replace] for the other way. The rights
// come from two places:
//
//   - Of the shared paths, those without a token, the longest one that covers the
//     key decides alone, for everybody. So a path takes back what the path above
//     it gave, unless it gives it again.
//   - Of the own paths, those with a token, the longest one that covers the key
//     and names the role decides for that role. What it gives is added. Paths of
//     the same length, by different tokens, add up.
//
// A rule that lets somebody write may have [Limits] on what is written. They do not
// change a decision: see [Policy.Bounds].
//
// # Errors
//
// What [Parse] and [Compile] refuse is an [*Error], which matches fs.ErrInvalid
// and holds one [Problem] for each bad rule, with the position of the rule and a
// [Reason] that a program can test.
package access

import (
	"fmt"
	"io/fs"
	"strings"
)

// Subject is who a question is asked for. The zero value is a guest without an
// identity. The values are used as they are: Decide trusts that they were
// verified, but not that they are harmless.
type Subject struct {
	// Identity is the identity id.
	Identity string
	// Authenticated says that the subject is signed in. A subject that is not is
	// a guest: nothing below counts for it.
	Authenticated bool
	// Groups are the names of the groups, the one of highest precedence first.
	Groups []string
	// Sub and Username are the user's id and name at the issuer that the policy is for.
	Sub, Username string
	// Claims are further values that {claim:NAME} may stand for.
	Claims map[string]string
	// Function is the name of a program that has rules of its own. Nothing else
	// counts for it.
	Function string
}

// GroupMode says what the groups of a subject do to its other rights.
type GroupMode uint8

const (
	// Union adds the rights of all roles up. It is the default.
	Union GroupMode = iota
	// Replace gives a member of groups the rights of the first group in
	// Subject.Groups and no others, neither those of authenticated nor of owner,
	// as the roles of an Amplify backend do.
	Replace
)

// ListMode says what a list of a prefix returns.
type ListMode uint8

const (
	// Filtered lists exactly the keys that the subject may list. It is the default.
	Filtered ListMode = iota
	// Prefix lists every key with the prefix, or none: what IAM can do. The prefix
	// is judged as if it were a key, so keys below a longer path are listed too.
	Prefix
)

// Options change how rules are read. Nil and the zero value are the defaults.
type Options struct {
	Groups GroupMode
	Lists  ListMode
	// Strict accepts only what Amplify's defineStorage accepts and what means the
	// same there: its grammar of paths, nesting one level deep.
	Strict bool
	// AcceptOwnerWithoutToken accepts a rule for the owner on a path without a
	// token, which gives the right to every user who is signed in, with a
	// warning. Strict and Replace accept it too, as Amplify does.
	AcceptOwnerWithoutToken bool
}

// CheckKey reports whether key may be used at all, whatever the rules say: it
// has no "." or ".." segment, which some other program might resolve, and no NUL.
// The error is fs.ErrInvalid. Decide does not check this; the gate does, first.
func CheckKey(key string) error {
	if strings.IndexByte(key, 0) >= 0 {
		return fmt.Errorf("key %q holds a NUL: %w", clip(key), fs.ErrInvalid)
	}
	for s := range strings.SplitSeq(key, "/") {
		if s == "." || s == ".." {
			return fmt.Errorf("key %q has a %q segment: %w", clip(key), s, fs.ErrInvalid)
		}
	}
	return nil
}
