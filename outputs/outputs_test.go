package outputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// file returns a text of testdata.
func file(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// load reads a text of testdata.
func load(t *testing.T, name string) *Outputs {
	t.Helper()
	o, err := ReadAs(strings.NewReader(file(t, name)), &ReadOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// write returns o in a format, and the paths of the warnings.
func write(t *testing.T, o *Outputs, opts *WriteOptions) (string, []string) {
	t.Helper()
	var b strings.Builder
	warnings, err := o.WriteAs(&b, opts)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, w := range warnings {
		paths = append(paths, w.Path)
	}
	return b.String(), paths
}

// examples are the files of testdata that can be read, and their formats.
var examples = map[string]Format{
	"amplify_outputs.json":             AmplifyOutputs,
	"any-bucket.json":                  AmplifyOutputs,
	"any-bucket.js":                    ResourcesConfig,
	"aws-exports.js":                   AWSExports,
	"amplifyconfiguration.json":        Configuration,
	"amplifyconfiguration-mobile.json": Mobile,
	"amplify-v5.js":                    AmplifyV5,
	"awsconfiguration.json":            AWSConfiguration,
}

func TestRead(t *testing.T) {
	o := load(t, "amplify_outputs.json")
	auth := &Auth{
		Region: "eu-central-1", UserPoolID: "eu-central-1_Ab12Cd34E", UserPoolClientID: "4k2o9example0client",
		IdentityPoolID: "eu-central-1:7c1b6c1e-0000-4000-8000-2f1c05ed4675", Guests: true,
		Groups:   []Group{{Name: "admin"}, {Name: "staff", Precedence: 1}, {Name: "interns", Unranked: true}},
		Password: &PasswordPolicy{MinLength: 10, RequireNumbers: true, RequireLowercase: true, RequireUppercase: true},
		OAuth: &OAuth{
			Providers: []string{"GOOGLE", "LOGIN_WITH_AMAZON", "SIGN_IN_WITH_APPLE"},
			Domain:    "example.auth.eu-central-1.amazoncognito.com",
			Scopes:    []string{"phone", "email", "openid", "profile", "aws.cognito.signin.user.admin"},
			SignIn:    []string{"http://localhost:3000/", "https://app.example.com/in"},
			SignOut:   []string{"https://app.example.com/out"},
			Response:  "code",
		},
		RequiredAttributes: []string{"email", "given_name"},
		UsernameAttributes: []string{"email", "phone_number"},
		VerificationTypes:  []string{"email"},
		MFA:                "OPTIONAL",
		MFAMethods:         []string{"SMS", "TOTP", "EMAIL"},
		Passwordless: &Passwordless{
			EmailOTP: true, WebAuthn: &WebAuthn{RelyingPartyID: "app.example.com", UserVerification: "preferred"}, Preferred: "WEB_AUTHN",
		},
	}
	if !reflect.DeepEqual(o.Auth, auth) {
		t.Errorf("auth is %+v, want %+v", o.Auth, auth)
	}
	storage := &Storage{Region: "eu-central-1", Bucket: "amplify-app-media-1", Buckets: []Bucket{
		{Name: "media", BucketName: "amplify-app-media-1", Region: "eu-central-1", Paths: map[string]map[string][]string{
			"public/*":    {"guest": {"get", "list"}, "authenticated": {"get", "list", "write"}, "groupsadmin": {"get", "list", "write", "delete"}},
			"protected/*": {"authenticated": {"get", "list"}},
			"protected/${cognito-identity.amazonaws.com:sub}/*": {"entityidentity": {"get", "list", "write", "delete"}},
			"jobs/*": {},
		}},
		{Name: "logs", BucketName: "amplify-app-logs-1", Region: "us-east-1"},
	}}
	if !reflect.DeepEqual(o.Storage, storage) {
		t.Errorf("storage is %+v, want %+v", o.Storage, storage)
	}
	cubby := &Cubby{
		S3Endpoint: "https://files.example.com", IdentityPoolEndpoint: "https://files.example.com/",
		UserPoolEndpoint: "https://files.example.com/", PathStyle: true,
	}
	if !reflect.DeepEqual(o.Custom, &Custom{cubby}) {
		t.Errorf("custom is %+v", o.Custom.Cubby)
	}
	extra := map[string]string{}
	for _, x := range o.Extra {
		extra[x.Path()] = string(x.Value)
	}
	if len(extra) != 6 || extra["custom.tenant"] != "7" || !strings.Contains(extra["data"], `"limit":1.50`) {
		t.Errorf("besides, there is %v", extra)
	}
	if o.Version != "1.4" || !strings.Contains(o.Schema, "2024-02") || o.Format != "" {
		t.Errorf("version is %q, schema %q, format %q", o.Version, o.Schema, o.Format)
	}
}

// TestReadOldest reads the first version, which had one bucket.
func TestReadOldest(t *testing.T) {
	o, err := Read(strings.NewReader(`{"version":"1","storage":{"aws_region":"r","bucket_name":"b"},"auth":{"aws_region":"r"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !o.Auth.Guests {
		t.Error("guests are refused by a file that does not say so")
	}
	if o.Storage.Bucket != "b" || o.Storage.Buckets != nil || o.Custom != nil {
		t.Errorf("got %+v", o.Storage)
	}
	if text, paths := write(t, o, nil); !strings.Contains(text, `"version": "1"`) || !slices.Equal(paths, []string{"auth.user_pool_id", "auth.user_pool_client_id"}) {
		t.Errorf("written again, with warnings %q, it is\n%s", paths, text)
	}
}

func TestReadErrors(t *testing.T) {
	storage := func(buckets string) string {
		return `{"version":"1.4","storage":{"aws_region":"r","bucket_name":"b","buckets":` + buckets + `}}`
	}
	for _, test := range []struct{ text, path, says string }{
		{``, "", "not JSON"},
		{`<html>`, "", "not JSON"},
		{`<`, "", `:1:1: not JSON: it begins with '<'`},
		{`[]`, "", "must be an object"},
		{`"x"`, "", "not JSON"},
		{`{"version":"1"} {}`, "", "more text"},
		{"{\"version\":\"1\",\n \"version\":\"1\"}", "", `amplify_outputs.json:2:2: the key "version" is there twice`},
		{"{version:\"1\" // one\n}", "", "a key without quotes is not JSON"},
		{"{\"\xff\":1}", "", ":1:3: this is not UTF-8"},
		{`{"a":"\ud800"}`, "", "half a character"},
		{`{"a":01}`, "", "no number"},
		{`{}`, "", "in any form that can be read, which are [amplify_outputs resources-config"},
		{`{"x":{"y":1}}`, "", "says nothing about users or files"},
		{`{"Auth":{"x":1},"Storage":{"S4":{}}}`, "", "says nothing about users or files"},
		{`{"UserAgent":"x","Version":"1.0"}`, "", "says nothing about users or files"},
		{`{"storage":{"aws_region":"r","bucket_name":"b"}}`, "version", "is missing"},
		{`{"S3TransferUtility":{"Default":{"Bucket":"b"}}}`, "S3TransferUtility.Default.Region", "is missing"},
		{`{"version":1}`, "version", "must be a text"},
		{`{"version":"2"}`, "version", "only 1 to 1.5"},
		{`{"version":"1","storage":{}}`, "storage.aws_region", "is missing"},
		{`{"version":"1","storage":{"aws_region":"r","bucket_name":""}}`, "storage.bucket_name", "is empty"},
		{storage(`{}`), "storage.buckets", "must be a list"},
		{storage(`[1]`), "storage.buckets[0]", "must be an object"},
		{storage(`[{"name":"a","bucket_name":"x","aws_region":"r"},{"name":"a","bucket_name":"y","aws_region":"r"}]`), "storage.buckets[1].name", "another bucket"},
		{storage(`[{"name":"a","bucket_name":"x","aws_region":"r","paths":{"p/*":{"guest":["fly"]}}}]`), `storage.buckets[0].paths["p/*"].guest[0]`, "no action fly"},
		{`{"version":"1","auth":{"aws_region":"r","user_pool_id":"x"}}`, "auth.user_pool_id", "REGION_NAME"},
		{`{"version":"1","auth":{"aws_region":"r","identity_pool_id":"x"}}`, "auth.identity_pool_id", "REGION:ID"},
		{`{"version":"1","auth":{"aws_region":"r","unauthenticated_identities_enabled":"no"}}`, "auth.unauthenticated_identities_enabled", "true or false"},
		{`{"version":"1","auth":{"aws_region":"r","groups":[{"a":{"precedence":1.5}}]}}`, "auth.groups[0].a.precedence", "whole number"},
		{`{"version":"1","custom":{"cubby":{"s3_endpoint":"localhost:1"}}}`, "custom.cubby.s3_endpoint", "URL"},
		{`{"Auth":{"Cognito":{"mfa":{"status":"ON"}}}}`, "Auth.Cognito.mfa.status", "want on, off or optional"},
		{`{"Auth":{"Cognito":{"loginWith":{"oauth":{"providers":["google"]}}}}}`, "Auth.Cognito.loginWith.oauth.providers[0]", "want Google"},
		{`{"Storage":{"S3":{"buckets":{"my bucket":{"region":"r"}}}}}`, `Storage.S3.buckets["my bucket"].bucketName`, "is missing"},
		{`{"aws_user_files_s3_bucket":"b"}`, "aws_project_region", "refuses the file"},
		{`{"aws_project_region":"r","aws_user_pools_id":"r_1","aws_cognito_mfa_configuration":"off"}`, "aws_cognito_mfa_configuration", "ON, OFF or OPTIONAL"},
		{`{"storage":{"plugins":{"awsS3StoragePlugin":{"bucket":"b"}}}}`, "storage.plugins.awsS3StoragePlugin.region", "is missing"},
	} {
		_, err := Read(strings.NewReader(test.text))
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%s: error is %v, want an *Error", test.text, err)
			continue
		}
		if e.Path != test.path || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error is %q at %q, want %q at %q", test.text, err, e.Path, test.says, test.path)
		}
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: error %v is not fs.ErrInvalid", test.text, err)
		}
	}
}

// TestReadAll reports everything that is wrong, each at its line and column.
func TestReadAll(t *testing.T) {
	_, err := ReadAs(strings.NewReader(file(t, "wrong.json")), &ReadOptions{Name: "wrong.json"})
	want := `wrong.json:5:21: auth.user_pool_id: must be REGION_NAME
wrong.json:6:15: auth.groups: must be a list
wrong.json:8:14: storage.bucket_name: is missing
wrong.json:14:48: storage.buckets[0].paths["p/*"].guest[1]: no action fly, want read, get, list, write or delete
wrong.json:17:17: storage.buckets[1].name: is "media", as that of another bucket`
	if err == nil || err.Error() != want {
		t.Errorf("errors are\n%v\nwant\n%s", err, want)
	}
	many := `{"version":"1.4","auth":{"aws_region":"r","mfa_methods":[` + strings.Repeat("1,", 500) + `1]}}`
	_, err = Read(strings.NewReader(many))
	if list, _ := errors.AsType[Errors](err); len(list) != maxErrors {
		t.Errorf("of many errors, %d are reported", len(list))
	}
}

// TestLintDoesNotHide has an error behind more warnings than are reported.
func TestLintDoesNotHide(t *testing.T) {
	text := `{"version":"1.4","auth":{"aws_region":"r","mfa_methods":[` + strings.Repeat(`"x",`, 3000) + `1]}}`
	if _, err := Read(strings.NewReader(text)); err == nil {
		t.Error("an error got lost behind many warnings")
	}
}

func TestReaderFails(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken)); err != broken {
		t.Errorf("error is %v, want that of the reader", err)
	}
	if _, err := Check(iotest.ErrReader(broken), nil); err != broken {
		t.Errorf("error of Check is %v, want that of the reader", err)
	}
	if _, err := ReadAs(strings.NewReader("{}"), &ReadOptions{Format: "yaml"}); !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), "yaml") {
		t.Errorf("error about an unknown format is %v", err)
	}
	if _, err := new(Outputs).WriteAs(new(strings.Builder), &WriteOptions{Version: "2"}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error about an unknown version is %v", err)
	}
	if _, err := new(Outputs).WriteAs(new(strings.Builder), &WriteOptions{Format: Mobile, Version: "1.4"}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error about the version of a format without one is %v", err)
	}
}

// TestHostile reads texts that would need much memory, much time, or much of the stack.
func TestHostile(t *testing.T) {
	long := strings.Repeat("k", 1<<19)
	for name, text := range map[string]string{
		"large": strings.Repeat(" ", maxSize+1),
		"deep":  strings.Repeat("{\"a\":", maxDepth+1),
		"wide":  `{"a":[` + strings.Repeat("0,", maxNodes) + `0]}`,
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "there are over") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	var keys, texts strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&keys, `"%d/*":{"x":[]},`, i)
		fmt.Fprintf(&texts, `"%d",`, i)
	}
	for name, text := range map[string]string{
		"long path":   `{"version":"1.4","auth":{"aws_region":"r","mfa_methods":[` + strings.Repeat("0,", 1<<15) + `0]},"` + long + `":[0]}`,
		"long key":    `{"version":"1.4","storage":{"aws_region":"r","bucket_name":"b","buckets":[{"name":"a","bucket_name":"b","aws_region":"r","paths":{"` + long + `":{"guest":[` + strings.Repeat("0,", 1<<15) + `0]}}}]}}`,
		"many keys":   `{"version":"1.1","storage":{"aws_region":"r","bucket_name":"b","buckets":[{"name":"a","bucket_name":"b","aws_region":"r","paths":{` + keys.String() + `"x/*":0}}]}}`,
		"many texts":  `{"version":"` + long + `","auth":{"aws_region":"r","mfa_methods":[` + texts.String() + `0]}}`,
		"many extras": `{"version":"1.4","auth":{"aws_region":0},` + strings.ReplaceAll(strings.TrimSuffix(keys.String(), ","), "*", "") + `}`,
		"same keys":   `{` + strings.Repeat(`"`+long[:1000]+`":0,`, 500) + `"version":"1"}`,
	} {
		flaws, err := Check(strings.NewReader(text), nil)
		if err != nil || len(flaws) == 0 || len(flaws.Error()) > 1<<20 {
			t.Errorf("%s: %v, %d flaws, %d bytes", name, err, len(flaws), len(flaws.Error()))
		}
	}
}

func TestDetect(t *testing.T) {
	for name, want := range examples {
		if got := detected(t, file(t, name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for text, want := range map[string]Format{
		`{}`:                                             AmplifyOutputs,
		`{"version":"1"}`:                                AmplifyOutputs,
		`{"storage":{"bucket_name":"b"}}`:                AmplifyOutputs,
		`{"storage":{"plugins":{}}}`:                     Mobile,
		`{"Storage":{"S3":{}}}`:                          ResourcesConfig,
		`{"Auth":{"region":"r"}}`:                        AmplifyV5,
		`{"Storage":{"AWSS3":{}}}`:                       AmplifyV5,
		`{"Storage":{"bucket":"b"}}`:                     AmplifyV5,
		`{"Auth":{"Cognito":{}},"Storage":{"AWSS3":{}}}`: ResourcesConfig,
		`{"UserAgent":"x","CognitoUserPool":{}}`:         AWSConfiguration,
		`{"UserAgent":"x","Version":"1"}`:                Mobile,
		`{"aws_project_region":"r"}`:                     Configuration,
		`{aws_project_region: 'r'}`:                      AWSExports,
		`{"aws_project_region":"r","Auth":null}`:         Configuration,
	} {
		if got := detected(t, text); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

func detected(t *testing.T, text string) Format {
	t.Helper()
	p, root, err := parseText(text)
	if err != nil {
		t.Fatal(err)
	}
	return detect(p, root)
}
