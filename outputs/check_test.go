package outputs

import (
	"strings"
	"testing"
)

// TestCheck reports what can be read, but likely does not do what it should.
func TestCheck(t *testing.T) {
	auth := func(fields string) string {
		return `{"version":"1.4","auth":{"aws_region":"r","user_pool_id":"r_1","user_pool_client_id":"c"` + fields + `}}`
	}
	storage := func(fields string) string {
		return `{"version":"1.4","storage":{"aws_region":"r","bucket_name":"b"` + fields + `}}`
	}
	paths := func(paths string) string {
		return storage(`,"buckets":[{"name":"a","bucket_name":"b","aws_region":"r","paths":` + paths + `}]`)
	}
	for _, test := range []struct{ text, path, says string }{
		{auth(``), "", ""},
		{storage(`,"buckets":[]`), "", ""},
		{paths(`{"a/*":{"guest":["read"]},"a/{entity_id}/*":{"entityidentity":["write"]},"b/${cognito-identity.amazonaws.com:sub}/c/*":{"guest":["write"]}}`), "", ""},
		{`{"version":"1.4","x":1}`, "x", "no key that the schema has"},
		{auth(`,"flow":1`), "auth.flow", "no key that the schema has"},
		{storage(`,"buckets":[{"name":"a","bucket_name":"b","aws_region":"r","x":1}]`), "storage.buckets[0].x", "no key"},
		{`{"version":"1.4","custom":{"mine":1,"cubby":{"endpoint":"x"}}}`, "custom.cubby.endpoint", "no key"},
		{`{"version":"1.4","auth":{"aws_region":"r","user_pool_id":"r_1"}}`, "auth.user_pool_client_id", "the schema wants it"},
		{auth(`,"oauth":{"identity_providers":[],"domain":"d","scopes":[],"redirect_sign_in_uri":["https://a"],"response_type":"code"}`), "auth.oauth.redirect_sign_out_uri", "is missing"},
		{auth(`,"password_policy":{"min_length":8,"require_numbers":true,"require_lowercase":true,"require_uppercase":true}`), "auth.password_policy.require_symbols", "is missing"},
		{auth(`,"identity_pool_id":"r:1"`), "auth.unauthenticated_identities_enabled", "refuse guests"},
		{auth(`,"identity_pool_id":"q:1","unauthenticated_identities_enabled":true`), "auth.identity_pool_id", `is in region "q"`},
		{strings.ReplaceAll(auth(``), "r_1", "q_1"), "auth.user_pool_id", `is in region "q"`},
		{auth(`,"mfa_methods":["SMS","PIGEON"]`), "auth.mfa_methods[1]", `is "PIGEON"`},
		{auth(`,"mfa_configuration":"ON"`), "auth.mfa_configuration", "NONE, OPTIONAL, REQUIRED"},
		{auth(`,"mfa_methods":["SMS","SMS"]`), "auth.mfa_methods[1]", "twice"},
		{auth(`,"passwordless":{"web_authn":{"relying_party_id":"a"}}`), "auth.passwordless.web_authn.user_verification", "schema wants it"},
		{auth(`,"username_attributes":[]`), "auth.username_attributes", "at least one"},
		{auth(`,"password_policy":{"min_length":5,"require_numbers":true,"require_lowercase":true,"require_uppercase":true,"require_symbols":true}`), "auth.password_policy.min_length", "6 to 99"},
		{auth(`,"groups":[{"a":{}},{"a":{}}]`), "auth.groups[1].a", "twice"},
		{auth(`,"groups":[{"a":{"rank":1}}]`), "auth.groups[0].a.rank", "no key"},
		{strings.Replace(auth(`,"groups":[]`), "1.4", "1.2", 1), "auth.groups", "since version 1.3"},
		{strings.Replace(auth(`,"passwordless":{}`), "1.4", "1.3", 1), "auth.passwordless", "since version 1.4"},
		{strings.Replace(auth(`,"mfa_methods":["EMAIL"]`), "1.4", "1.3", 1), "auth.mfa_methods", "since version 1.4"},
		{strings.Replace(storage(`,"buckets":[]`), "1.4", "1", 1), "storage.buckets", "since version 1.1"},
		{strings.Replace(paths(`{}`), "1.4", "1.1", 1), "storage.buckets[0].paths", "since version 1.2"},
		{strings.Replace(paths(`{"a/*":{"groupsa":["get"]}}`), "1.4", "1.3", 1), `storage.buckets[0].paths["a/*"].groupsa`, "schema of version 1.3 refuses"},
		{storage(`,"buckets":[{"name":"a","bucket_name":"c","aws_region":"r"}]`), "storage", "not repeated in buckets"},
		{storage(`,"buckets":[{"name":"a","bucket_name":"b","aws_region":"q"}]`), "storage", `as bucket "a" in "q"`},
		{paths(`{"a":{}}`), `storage.buckets[0].paths.a`, `does not end with "/*"`},
		{paths(`{"/a/*":{}}`), `storage.buckets[0].paths["/a/*"]`, `starts with "/"`},
		{paths(`{"a/?/*":{}}`), `storage.buckets[0].paths["a/?/*"]`, `a wildcard in IAM`},
		{paths(`{"a/{sub}/*":{}}`), `storage.buckets[0].paths["a/{sub}/*"]`, "no token but"},
		{paths(`{"a/x{entity_id}/*":{}}`), `storage.buckets[0].paths["a/x{entity_id}/*"]`, "not a whole segment"},
		{paths(`{"a/*":{"resource":["get"]}}`), `storage.buckets[0].paths["a/*"].resource`, "names no user"},
		{paths(`{"a/*":{"groups":["get"]}}`), `storage.buckets[0].paths["a/*"].groups`, "write groupsNAME"},
		{paths(`{"a/*":{"everybody":["get"]}}`), `storage.buckets[0].paths["a/*"].everybody`, "is nobody"},
		{paths(`{"a/*":{"guest":["get","get"]}}`), `storage.buckets[0].paths["a/*"].guest[1]`, "is there twice"},
		{paths(`{"a/*":{"entityidentity":["get"]}}`), `storage.buckets[0].paths["a/*"].entityidentity`, "to every user"},
		{`{"Storage":{"S3":{"region":"r"}}}`, "Storage.S3", "no default bucket"},
		{`{"Storage":{"AWSS3":{"bucket":"r"}}}`, "Storage", "has no S3"},
		{`{"Auth":{"userPoolId":"r_1"}}`, "Auth", "has no Cognito"},
		{`{"aws_project_region":"r","aws_user_files_s3_bucket":"b"}`, "", "has no aws_user_files_s3_bucket_region"},
	} {
		if _, err := Read(strings.NewReader(test.text)); err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		flaws, err := Check(strings.NewReader(test.text), nil)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if test.says == "" {
			if len(flaws) > 0 {
				t.Errorf("%s: %v", test.text, flaws)
			}
			continue
		}
		if len(flaws) != 1 || flaws[0].Path != test.path || !strings.Contains(flaws[0].Text, test.says) || !flaws[0].Lint || flaws[0].Line != 1 {
			t.Errorf("%s: flaws are %v, want %q at %q", test.text, flaws, test.says, test.path)
		}
	}
	flaws, err := Check(strings.NewReader("{"), nil)
	if err != nil || len(flaws) != 1 || flaws[0].Lint {
		t.Errorf("of half a text, flaws are %v, error %v", flaws, err)
	}
}

// TestExamples are files as they should be.
func TestExamples(t *testing.T) {
	for name := range examples {
		flaws, err := Check(strings.NewReader(file(t, name)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flaws {
			if !strings.Contains(f.Text, "since aws-amplify 6.9") {
				t.Errorf("%s: %v", name, f)
			}
		}
	}
}
