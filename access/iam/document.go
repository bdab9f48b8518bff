// Package iam reads, writes and evaluates the policies of AWS IAM, as far as S3
// storage rules need them: Allow and Deny, actions and resources with wildcards,
// policy variables, and conditions on texts. What it does not know it does not
// guess: an evaluation that depends on it is [Undecided].
//
// A [Document] comes from [Parse] or is put together by a program;
// [Document.Evaluate] answers a [Request].
//
// # Errors
//
// An error of Parse names the place in the document and matches fs.ErrInvalid.
package iam

import (
	"encoding/json"
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

// MarshalJSON implements json.Marshaler.
func (s Strings) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]string(s))
}
