// Package outputs reads, checks, converts and writes the configuration of an app
// that is built on Amplify: where its files and its users are.
//
// One model, [Outputs], stands for all the formats in which Amplify has written
// that down: amplify_outputs.json in its versions 1 to 1.5, the ResourcesConfig
// that Amplify.configure takes and the one that it took before aws-amplify 6,
// aws-exports.js, amplifyconfiguration.json of the JavaScript and of the mobile
// libraries, and awsconfiguration.json. [Read] finds out which one it has.
// [Outputs.WriteAs] writes any of them, and warns of what the format cannot hold.
//
// Where a Cubby server answers stands under custom.cubby.
//
// # Fidelity
//
// What a file says about other things than users and files is kept in
// [Outputs.Extra], and written back to the same format. The order of the keys of
// an object means nothing and may change; a key that is null is as good as missing.
//
// # Rules
//
// A bucket has its rules as Paths, in the words of the file; [Bucket.Rules] and
// [Paths] translate to and from the words of package access.
//
// # Errors
//
// What is wrong with a file is [Errors]: each [*Error] names the place. All of
// them match fs.ErrInvalid.
package outputs

import (
	"io"
	"strconv"
	"strings"
)

// Version is the version of amplify_outputs.json that is written if neither the
// model nor the options name one.
const Version = "1.4"

// Outputs is the configuration of an app.
type Outputs struct {
	Version string // of amplify_outputs.json: "1" to "1.5"; "" if it came from elsewhere
	Schema  string // its $schema, which only editors look at
	Auth    *Auth
	Storage *Storage
	Custom  *Custom

	// Format is what was read; "" is AmplifyOutputs. Extra is what else stood
	// there, in the words of that format.
	Format Format
	Extra  []Extra
}

// Auth says who the users are.
type Auth struct {
	Region           string
	UserPoolID       string
	UserPoolClientID string
	IdentityPoolID   string
	// Guests says whether visitors that are not signed in have an identity. An
	// amplify_outputs.json that does not say allows them.
	Guests bool
	Groups []Group

	Password           *PasswordPolicy
	OAuth              *OAuth
	RequiredAttributes []string // at sign-up: "email", "given_name", ...
	UsernameAttributes []string // "email", "phone_number" or "username"
	VerificationTypes  []string // "email" or "phone_number"
	SignUpVerification string   // "code" or "link"; amplify_outputs.json has no word for it
	MFA                string   // "NONE", "OPTIONAL" or "REQUIRED"
	MFAMethods         []string // "SMS", "TOTP" or "EMAIL"
	Passwordless       *Passwordless
}

// Group is a group of users.
type Group struct {
	Name       string
	Precedence int  // the lowest comes first
	Unranked   bool // there is no precedence
}

// PasswordPolicy says what a password must have.
type PasswordPolicy struct {
	MinLength        int // 0 is not said
	RequireNumbers   bool
	RequireLowercase bool
	RequireUppercase bool
	RequireSymbols   bool
}

// OAuth says how to sign in on the pages of the user pool.
type OAuth struct {
	Providers []string // "GOOGLE", "FACEBOOK", "LOGIN_WITH_AMAZON" or "SIGN_IN_WITH_APPLE"
	Custom    []string // providers by other names, which only ResourcesConfig has
	Domain    string
	Scopes    []string
	SignIn    []string // where to go on after signing in: URLs
	SignOut   []string
	Response  string // "code" or "token"
}

// Passwordless says how to sign in without a password.
type Passwordless struct {
	EmailOTP  bool
	SMSOTP    bool
	WebAuthn  *WebAuthn
	Preferred string // "EMAIL_OTP", "SMS_OTP", "PASSWORD" or "WEB_AUTHN"
}

// WebAuthn says how to sign in with a passkey.
type WebAuthn struct {
	RelyingPartyID   string
	UserVerification string // "required" or "preferred"
}

// Storage says which buckets there are.
type Storage struct {
	Region  string // of the default bucket
	Bucket  string // the default bucket, by its name in the service
	Buckets []Bucket
	Level   string // of keys that name none: "guest", "protected" or "private"; only mobile libraries and aws-amplify 5 are told
}

// Bucket is a bucket under a friendly name.
type Bucket struct {
	Name       string // in the app
	BucketName string // in the service
	Region     string
	// Paths maps path patterns to who may do what there:
	// {"public/*": {"guest": ["get", "list"]}}.
	Paths map[string]map[string][]string
}

// Custom is what the developer of the app added.
type Custom struct {
	Cubby *Cubby
}

// Cubby says where a Cubby server answers.
type Cubby struct {
	S3Endpoint           string
	IdentityPoolEndpoint string
	UserPoolEndpoint     string
	PathStyle            bool // the bucket stands in the path
}

// cubby returns the place for endpoints, which it makes if there is none.
func (o *Outputs) cubby() *Cubby {
	if o.Custom == nil {
		o.Custom = new(Custom)
	}
	if o.Custom.Cubby == nil {
		o.Custom.Cubby = new(Cubby)
	}
	return o.Custom.Cubby
}

// join returns the path of what is called name in the object at path.
func join(path, name string) string {
	name = short(name)
	switch {
	case !isName(name):
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

// short returns s, or what is enough of it for a message.
func short(s string) string {
	const enough = 2048
	if len(s) <= enough {
		return s
	}
	return strings.ToValidUTF8(s[:enough], "") + "..."
}

// isName reports whether s needs no quotes in a path.
func isName(s string) bool {
	for i := range len(s) {
		if !isWord(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

// Read reads a configuration in whatever format it is. The error is [Errors], or
// that of r.
func Read(r io.Reader) (*Outputs, error) {
	return ReadAs(r, nil)
}

// Write writes o as amplify_outputs.json: in its own version, or the lowest above
// it that can hold all of o, if there is one.
func (o *Outputs) Write(w io.Writer) error {
	_, err := o.WriteAs(w, nil)
	return err
}

// Warning is something that could not be written.
type Warning struct {
	// Path is what it is about: in the words of amplify_outputs.json, or such as
	// it would have, if the model has it, and else in those of the format that
	// was read.
	Path string
	Text string
}

// String returns the warning as one line.
func (w Warning) String() string { return w.Path + ": " + w.Text }
