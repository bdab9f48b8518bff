// Package iam reads, writes and evaluates the policies of AWS IAM, as far as S3
// storage rules need them: Allow and Deny, actions and resources with wildcards,
// policy variables, and conditions on texts. What it does not know it does not
// guess: an evaluation that depends on it is [Undecided].
//
// A [Document] comes from [Parse] or is put together by a program;
// [Document.Evaluate] answers a [Request], and [Document.Compile] makes it ready to
// answer many. A [Space] divides all texts into those that no pattern tells apart,
// so that a question about every key can be answered by asking about a few.
//
// What an [Evaluator] tells of its statements besides answering, as About,
// Resources, Values, Unknown and Outside do, is there for the comparison of a policy
// with rules in package access.
//
// # Errors
//
// An error of Parse names the place in the document and matches fs.ErrInvalid.
package iam

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Version is the version of the policy language in which there are variables.
const Version = "2012-10-17"

// Document is a policy.
type Document struct {
	Version   string      `json:"Version,omitempty"`
	ID        string      `json:"Id,omitempty"`
	Statement []Statement `json:"Statement"`
}

// The effects of a statement.
const (
	Allow = "Allow"
	Deny  = "Deny"
)

// Statement is one statement of a policy.
type Statement struct {
	Sid         string    `json:"Sid,omitempty"`
	Effect      string    `json:"Effect"`
	Principal   Principal `json:"Principal,omitempty"` // of a policy that is attached to a resource
	Action      Strings   `json:"Action,omitempty"`
	NotAction   Strings   `json:"NotAction,omitempty"`
	Resource    Strings   `json:"Resource,omitempty"`
	NotResource Strings   `json:"NotResource,omitempty"`
	Condition   Condition `json:"Condition,omitempty"`
}

// Principal is whom a statement is about: {"AWS": ["arn:..."]}. {"*": ["*"]},
// which is written "*", is everybody.
type Principal map[string]Strings

// Condition maps operators to condition keys to values: {"StringLike":
// {"s3:prefix": ["a/*"]}}.
type Condition map[string]map[string]Strings

// Strings is one text or several. In JSON one is a string, and several are a list.
type Strings []string

// everybody is the principal that everybody is.
const everybody = "*"

// MarshalJSON implements json.Marshaler.
func (s Strings) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return marshal(s[0])
	}
	if s == nil {
		s = Strings{}
	}
	return marshal([]string(s))
}

// MarshalJSON implements json.Marshaler.
func (p Principal) MarshalJSON() ([]byte, error) {
	if len(p) == 1 && slices.Equal(p[everybody], []string{everybody}) {
		return marshal(everybody)
	}
	return marshal(map[string]Strings(p))
}

// marshal returns v as JSON in which no more is escaped than must be.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Size returns the number of characters of a document, or of a part of one, as IAM
// counts them against its limits: without white space between the elements, and
// with what is not Latin-1 escaped, as it must be. White space inside of a text
// counts, so that the size is never too small.
func Size(part any) int {
	text, err := marshal(part)
	if err != nil {
		return 0 // there is nothing in a document that has no JSON
	}
	n := 0
	for _, r := range string(text) {
		switch {
		case r <= 0xff:
			n++
		case r <= 0xffff:
			n += len(`\u0000`)
		default:
			n += 2 * len(`\u0000`)
		}
	}
	return n
}
