package outputs

import (
	"fmt"
	"slices"
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
		{`{"Auth":{"Cognito":{}},"Storage":{"AWSS3":{"bucket":"r"}}}`, "Storage", "has no S3"},
		{`{"Auth":{"userPoolId":"r_1"},"Storage":{"S3":{"bucket":"b","region":"r"}}}`, "Auth", "has no Cognito"},
		{`{"Storage":{"AWSS3":{"bucket":"b"}}}`, "Storage.AWSS3", "has no region"},
		{`{"Auth":{"region":"r"},"Storage":{"AWSS3":{"bucket":"","region":"r"}}}`, "Storage.AWSS3", "names no bucket"},
		{`{"Storage":{"bucket":"b","region":"r","level":"mine"}}`, "Storage.level", "clients know only public, protected, private"},
		{`{"version":"1", /* one */ "data": [1] /* two */}`, "", "JSON has no comments"},
		{`{"version":"1", "data": [1,], }`, "", "JSON has no comma behind the last element"},
		{`{"aws_project_region":"r","aws_user_pools_id":"r_1" /* one */}`, "", "JSON has no comments"},
		{`{"aws_project_region":"r",aws_user_pools_id:"r_1", /* a module has them */}`, "", ""},
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
	for _, text := range []string{`{"a":1,"b":{}}`, `{"Auth":{"x":1}}`, `{"aws_project_region":"r","aws_appsync_region":"r"}`} {
		flaws, err := Check(strings.NewReader(text), nil)
		i := slices.IndexFunc(flaws, func(e *Error) bool { return !e.Lint })
		if err != nil || i < 0 || !strings.Contains(flaws[i].Text, "says nothing") || strings.Contains(flaws.Error(), "no key") {
			t.Errorf("%s: flaws are %v, %v", text, flaws, err)
		}
	}
	flaws, err := Check(strings.NewReader("{"), nil)
	if err != nil || len(flaws) != 1 || flaws[0].Lint {
		t.Errorf("of half a text, flaws are %v, error %v", flaws, err)
	}
}

// TestOneProblem reports each place once, whatever follows from it.
func TestOneProblem(t *testing.T) {
	storage := `{"version":"1.4","storage":{"aws_region":"r","bucket_name":"b","buckets":%s}}`
	for text, want := range map[string]string{
		fmt.Sprintf(storage, `{"a":{}}`):       "storage.buckets: must be a list",
		fmt.Sprintf(storage, `[{"name":"a"}]`): "storage.buckets[0].bucket_name: is missing, storage.buckets[0].aws_region: is missing",
		fmt.Sprintf(storage, `[{"bucket_name":"b","aws_region":"r"},{"bucket_name":"c","aws_region":"r"}]`):                                          "storage.buckets[0].name: is missing, storage.buckets[1].name: is missing",
		fmt.Sprintf(storage, `[{"name":"a","bucket_name":"b","aws_region":"r","paths":{"p/*":{"guest":[1,2]}}}]`):                                    `storage.buckets[0].paths["p/*"].guest[0]: must be a text, storage.buckets[0].paths["p/*"].guest[1]: must be a text`,
		strings.Replace(fmt.Sprintf(storage, `{}`), "1.4", "1", 1):                                                                                   "storage.buckets: must be a list",
		`{"version":"1.4","storage":{"aws_region":"r","bucket_name":["b"]}}`:                                                                         "storage.bucket_name: must be a text",
		`{"version":"1.4","storage":{"aws_region":"r","bucket_name":"b","bucket_name":"c"}}`:                                                         `the key "bucket_name" is there twice`,
		`{"version":"1.4","storage":5,"auth":[]}`:                                                                                                    "storage: must be an object, auth: must be an object",
		`{"version":"1.4","auth":{"aws_region":"r","user_pool_id":"x","user_pool_client_id":"c"}}`:                                                   "auth.user_pool_id: must be REGION_NAME",
		`{"version":"1.4","auth":{"user_pool_id":"x","identity_pool_id":"q:1","user_pool_client_id":"c","unauthenticated_identities_enabled":true}}`: "auth.aws_region: is missing, auth.user_pool_id: must be REGION_NAME",
		fmt.Sprintf(storage, `[{"name":"a","bucket_name":"b","aws_region":1}]`):                                                                      "storage.buckets[0].aws_region: must be a text",
		`{"version":"1.4","auth":{"aws_region":"r","user_pool_id":"r_1","user_pool_client_id":"c","mfa_methods":[1,1]}}`:                             "auth.mfa_methods[0]: must be a text, auth.mfa_methods[1]: must be a text",
		`{"version":2,"storage":{"aws_region":"r","bucket_name":"b"}}`:                                                                               "version: must be a text",
	} {
		flaws, err := Check(strings.NewReader(text), nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		var got []string
		for _, f := range flaws {
			got = append(got, strings.TrimPrefix(f.Path+": "+f.Text, ": "))
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: got %q, want %q", text, s, want)
		}
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
