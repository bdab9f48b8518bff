// Package outputs reads and writes amplify_outputs.json, the file that tells an
// Amplify client where its storage and its users are.
//
// [Read] takes versions 1 to 1.5 and keeps what storage and signing in need: the
// buckets with their rules, the user pool, the identity pool, and, under
// custom.cubby, where a Cubby server answers. [Outputs.Write] writes version 1.4.
//
// # Errors
//
// An error of Read is an [*Error]: it names the place in the file.
package outputs

import (
	"encoding/json"
	"fmt"
	"io"
)

// Version is what Write writes.
const Version = "1.4"

// Outputs is what the file says.
type Outputs struct {
	Version string   `json:"version"`
	Auth    *Auth    `json:"auth,omitempty"`
	Storage *Storage `json:"storage,omitempty"`
	Custom  *Custom  `json:"custom,omitempty"`
}

// Auth says who the users are.
type Auth struct {
	Region           string `json:"aws_region"`
	UserPoolID       string `json:"user_pool_id,omitempty"`
	UserPoolClientID string `json:"user_pool_client_id,omitempty"`
	IdentityPoolID   string `json:"identity_pool_id,omitempty"`
	// Guests says whether visitors that are not signed in have an identity. A
	// file that does not say allows them.
	Guests bool    `json:"unauthenticated_identities_enabled"`
	Groups []Group `json:"groups,omitempty"`
}

// Group is a group of users. In JSON it is {"NAME": {"precedence": 1}}.
type Group struct {
	Name       string
	Precedence int
}

// MarshalJSON implements json.Marshaler.
func (g Group) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]map[string]int{g.Name: {"precedence": g.Precedence}})
}

// Storage says which buckets there are.
type Storage struct {
	Region  string   `json:"aws_region"`
	Bucket  string   `json:"bucket_name"` // the default bucket
	Buckets []Bucket `json:"buckets,omitempty"`
}

// Bucket is a bucket under a friendly name.
type Bucket struct {
	Name       string `json:"name"`        // in the app
	BucketName string `json:"bucket_name"` // in the service
	Region     string `json:"aws_region"`
	// Paths maps path patterns to who may do what there:
	// {"public/*": {"guest": ["get", "list"]}}.
	Paths map[string]map[string][]string `json:"paths,omitempty"`
}

// Custom is where a file may say more.
type Custom struct {
	Cubby *Cubby `json:"cubby,omitempty"`
}

// Cubby says where a Cubby server answers.
type Cubby struct {
	S3Endpoint           string `json:"s3_endpoint,omitempty"`
	IdentityPoolEndpoint string `json:"identity_pool_endpoint,omitempty"`
	UserPoolEndpoint     string `json:"user_pool_endpoint,omitempty"`
	PathStyle            bool   `json:"path_style,omitempty"` // the bucket stands in the path
}

// Write writes o, as version 1.4, indented by two spaces.
func (o *Outputs) Write(w io.Writer) error {
	v := *o
	v.Version = Version
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(&v)
}

// Error says what is wrong with a file, and where in it.
type Error struct {
	Path string // "storage.buckets[1].aws_region"; "" is the file as a whole
	Err  error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return "amplify outputs: " + e.Err.Error()
	}
	return fmt.Sprintf("amplify outputs: %s %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
