package outputs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestSameFormat writes each example in its own format, which loses nothing.
func TestSameFormat(t *testing.T) {
	for name, format := range examples {
		o := load(t, name)
		text, warnings := write(t, o, &WriteOptions{Format: format})
		again, err := Read(strings.NewReader(text))
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: error %v, warnings %q", name, err, warnings)
			continue
		}
		if !reflect.DeepEqual(o, again) {
			t.Errorf("%s: read\n%+v\nthen wrote and read\n%+v\n%s", name, o, again, text)
		}
	}
}

// TestSameDocument compares the text that is written with the one that was read.
func TestSameDocument(t *testing.T) {
	for name, format := range examples {
		if strings.HasSuffix(name, ".js") {
			continue
		}
		got, _ := write(t, load(t, name), &WriteOptions{Format: format})
		if g, w := flat(t, got), flat(t, file(t, name)); !maps.Equal(g, w) {
			t.Errorf("%s: wrote %v, want %v", name, g, w)
		}
	}
}

// TestThereAndBack converts each example to each format and back. What is
// different then was warned of.
func TestThereAndBack(t *testing.T) {
	for name, from := range examples {
		for _, to := range Formats() {
			o := load(t, name)
			text, lost := write(t, o, &WriteOptions{Format: to})
			other, err := ReadAs(strings.NewReader(text), &ReadOptions{Format: to})
			if err != nil {
				t.Errorf("%s as %s: %v", name, to, err)
				continue
			}
			_, more := write(t, other, &WriteOptions{Format: from})
			lost = append(lost, more...)
			// The model in the words of amplify_outputs.json, to which the
			// warnings belong.
			before, _ := write(t, stripped(o), nil)
			after, _ := write(t, stripped(other), nil)
			b, a := flat(t, before), flat(t, after)
			for path, want := range b {
				if a[path] != want && !warned(lost, path) {
					t.Errorf("%s as %s: %s is %s, was %s, with no warning in %q", name, to, path, a[path], want, lost)
				}
			}
			for path := range a {
				if _, ok := b[path]; !ok && !warned(lost, path) && to != from {
					t.Errorf("%s as %s: %s = %s was not there", name, to, path, a[path])
				}
			}
		}
	}
}

// stripped returns o without what is not in the model.
func stripped(o *Outputs) *Outputs {
	c := *o
	c.Version, c.Schema, c.Extra, c.Format = "1.5", "", nil, ""
	return &c
}

// warned reports whether a warning is about the path, or one above or below it.
func warned(warnings []string, path string) bool {
	for _, w := range warnings {
		if strings.HasPrefix(path, w) || strings.HasPrefix(w, path) {
			return true
		}
		// Of a list, elements move up when one is left out.
		if list, _, ok := strings.Cut(w, "["); ok && strings.HasPrefix(path, list) {
			return true
		}
	}
	return false
}

// flat returns the values of a JSON text by their paths.
func flat(t *testing.T, text string) map[string]string {
	t.Helper()
	var root any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	m := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(join(path, k), e)
			}
			if len(v) == 0 {
				m[path] = "{}"
			}
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), e)
			}
			if len(v) == 0 {
				m[path] = "[]"
			}
		default:
			m[path] = fmt.Sprint(v)
		}
	}
	walk("", root)
	return m
}

// TestAnyBucket has the configuration of an app with buckets of its own in both of
// its forms, which say the same.
func TestAnyBucket(t *testing.T) {
	file, resources := load(t, "any-bucket.json"), load(t, "any-bucket.js")
	a, warned := write(t, file, nil)
	b, _ := write(t, resources, nil)
	if a != b || warned != nil {
		t.Errorf("amplify_outputs.json becomes\n%s\nResourcesConfig\n%s", a, b)
	}
	a, warned = write(t, file, &WriteOptions{Format: ResourcesConfig})
	b, _ = write(t, resources, &WriteOptions{Format: ResourcesConfig})
	if a != b || warned != nil {
		t.Errorf("amplify_outputs.json becomes\n%s\nResourcesConfig\n%s", a, b)
	}
}

// TestVersions writes each version, and is warned of what it does not have.
func TestVersions(t *testing.T) {
	o := load(t, "amplify_outputs.json")
	who := `storage.buckets[0].paths["%s"].%s`
	keys := []string{
		fmt.Sprintf(who, "protected/${cognito-identity.amazonaws.com:sub}/*", "entityidentity"),
		fmt.Sprintf(who, "public/*", "groupsadmin"),
	}
	for version, want := range map[string][]string{
		"1":   {"auth.mfa_methods[2]", "auth.passwordless", "auth.groups", "storage.buckets"},
		"1.1": {"auth.mfa_methods[2]", "auth.passwordless", "auth.groups", "storage.buckets[0].paths"},
		"1.2": append([]string{"auth.mfa_methods[2]", "auth.passwordless", "auth.groups"}, keys...),
		"1.3": append([]string{"auth.mfa_methods[2]", "auth.passwordless"}, keys...),
		"1.4": nil,
		"1.5": nil,
	} {
		text, warnings := write(t, o, &WriteOptions{Version: version})
		if !slices.Equal(warnings, want) {
			t.Errorf("version %s: warnings %q, want %q", version, warnings, want)
		}
		if !strings.Contains(text, `"version": "`+version+`"`) || !strings.Contains(text, `"$schema"`) {
			t.Errorf("version %s is\n%s", version, text)
		}
		flaws, err := Check(strings.NewReader(text), nil)
		if err != nil || len(flaws) > 0 {
			t.Errorf("version %s: %v, %v", version, err, flaws)
		}
	}
}

// TestLowestVersion keeps the version of a file as long as it can.
func TestLowestVersion(t *testing.T) {
	for _, test := range []struct {
		have, want string
		change     func(*Outputs)
	}{
		{"1", "1", func(*Outputs) {}},
		{"", Version, func(*Outputs) {}},
		{"9", Version, func(*Outputs) {}},
		{"1.5", "1.5", func(*Outputs) {}},
		{"1", "1.1", func(o *Outputs) { o.Storage.Buckets = []Bucket{{Name: "a", BucketName: "b", Region: "r"}} }},
		{"1", "1.2", func(o *Outputs) {
			o.Storage.Buckets = []Bucket{{Name: "a", BucketName: "b", Region: "r", Paths: map[string]map[string][]string{"p/*": {"guest": {"get"}}}}}
		}},
		{"1.2", "1.4", func(o *Outputs) {
			o.Storage.Buckets = []Bucket{{Name: "a", BucketName: "b", Region: "r", Paths: map[string]map[string][]string{"p/*": {"groupsa": {"get"}}}}}
		}},
		{"1", "1.3", func(o *Outputs) { o.Auth.Groups = []Group{{Name: "a"}} }},
		{"1", "1.4", func(o *Outputs) { o.Auth.Passwordless = new(Passwordless) }},
		{"1", "1.4", func(o *Outputs) { o.Auth.MFAMethods = []string{"EMAIL"} }},
		{"1", "1.5", func(o *Outputs) {
			o.Extra = []Extra{{Keys: []string{"notifications"}, Value: json.RawMessage(`{"amazon_connect":{}}`)}}
		}},
	} {
		o := &Outputs{Version: test.have, Auth: &Auth{Region: "r"}, Storage: &Storage{Region: "r", Bucket: "b"}}
		test.change(o)
		if text, _ := write(t, o, nil); !strings.Contains(text, `"version": "`+test.want+`"`) {
			t.Errorf("version %q, want %q, is\n%s", test.have, test.want, text)
		}
		if o.Version != test.have {
			t.Error("writing changed what was written")
		}
	}
}

// TestWriteRefuses writes nothing that could not be read.
func TestWriteRefuses(t *testing.T) {
	twice := []Bucket{{Name: "a", BucketName: "x", Region: "r"}, {Name: "a", BucketName: "y", Region: "r"}}
	for path, o := range map[string]*Outputs{
		"storage.bucket_name":     {Storage: &Storage{Region: "r"}},
		"storage.buckets[1].name": {Storage: &Storage{Region: "r", Bucket: "x", Buckets: twice}},
		"auth.user_pool_id":       {Auth: &Auth{Region: "r", UserPoolID: "pool"}},
	} {
		var b strings.Builder
		err := o.Write(&b)
		if e, ok := errors.AsType[*Error](err); !ok || e.Path != path || e.Line != 0 || b.Len() > 0 {
			t.Errorf("%s: error is %v, and this is written: %s", path, err, b.String())
		}
	}
	o := &Outputs{Storage: &Storage{Region: "r", Bucket: "x", Buckets: twice}}
	if _, err := o.WriteAs(new(strings.Builder), &WriteOptions{Format: ResourcesConfig}); err == nil {
		t.Error("ResourcesConfig has two buckets of one name")
	}
}

// TestWarnings converts what only some formats have a word for.
func TestWarnings(t *testing.T) {
	o := &Outputs{
		Auth: &Auth{
			Region: "eu-west-1", UserPoolID: "us-east-1_A", IdentityPoolID: "us-east-1:1", SignUpVerification: "link",
			UsernameAttributes: []string{"email", "username"}, MFA: "SOMETIMES", MFAMethods: []string{"TOTP", "EMAIL"},
			OAuth:    &OAuth{Providers: []string{"GOOGLE", "OTHER"}, Custom: []string{"Okta"}, SignIn: []string{"https://a/?b,c"}, Response: "token"},
			Password: new(PasswordPolicy),
		},
		Storage: &Storage{Region: "r", Bucket: "b", Level: "private", Buckets: []Bucket{{Name: "b", BucketName: "b", Region: "r"}}},
		Custom:  &Custom{&Cubby{S3Endpoint: "http://localhost:1"}},
	}
	for format, want := range map[Format][]string{
		AmplifyOutputs: {
			"auth.password_policy.min_length", "auth.oauth.custom_providers", "auth.sign_up_verification_method",
			"storage.default_access_level", "auth.user_pool_client_id", "auth.oauth.redirect_sign_out_uri",
		},
		ResourcesConfig: {
			"auth.aws_region", "auth.mfa_configuration", "auth.mfa_methods[1]", "auth.oauth.identity_providers[1]",
			"storage.default_access_level", "custom.cubby.s3_endpoint",
		},
		AWSExports: {
			"auth.oauth.redirect_sign_in_uri[0]", "auth.username_attributes[1]", "auth.oauth.identity_providers[1]",
			"auth.oauth.custom_providers", "auth.mfa_configuration", "storage.default_access_level",
		},
		Mobile: {
			"auth.oauth.redirect_sign_in_uri[0]", "auth.oauth.response_type", "auth.username_attributes[1]",
			"auth.oauth.identity_providers[1]", "auth.oauth.custom_providers", "auth.mfa_configuration",
			"auth.unauthenticated_identities_enabled", "auth.sign_up_verification_method", "custom.cubby",
		},
	} {
		if _, got := write(t, o, &WriteOptions{Format: format}); !slices.Equal(got, want) {
			t.Errorf("%s: warnings\n%q, want\n%q", format, got, want)
		}
	}
}

// TestEndpoints has the one endpoint of S3 that old clients can be told.
func TestEndpoints(t *testing.T) {
	o := load(t, "amplifyconfiguration.json")
	want := &Cubby{S3Endpoint: "http://localhost:20005", IdentityPoolEndpoint: "http://localhost:20005/", PathStyle: true}
	if !reflect.DeepEqual(o.Custom.Cubby, want) {
		t.Errorf("endpoints are %+v, want %+v", o.Custom.Cubby, want)
	}
	if o.Auth.Guests {
		t.Error("guests are allowed, but signing in is mandatory")
	}
	text, _ := write(t, o, &WriteOptions{Format: ResourcesConfig})
	r, err := Read(strings.NewReader(text))
	if err != nil || !reflect.DeepEqual(r.Custom.Cubby, want) {
		t.Errorf("endpoints of ResourcesConfig are %+v, want %+v: %v", r.Custom.Cubby, want, err)
	}
}

// TestSecretsStayOut converts a file with a secret, which no warning repeats.
func TestSecretsStayOut(t *testing.T) {
	o := load(t, "amplifyconfiguration-mobile.json")
	var b strings.Builder
	warnings, err := o.WriteAs(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprint(warnings) + b.String(); strings.Contains(all, "not-for-messages") || !strings.Contains(all, "AppClientSecret") {
		t.Errorf("warnings and text are %s", all)
	}
}

// TestNoise warns once of each section that another format has no place for, and not
// at all of what is empty or in every file.
func TestNoise(t *testing.T) {
	o := load(t, "amplifyconfiguration-mobile.json")
	var b strings.Builder
	warnings, err := o.WriteAs(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"api: amplify_outputs has no place for it",
		"auth.plugins.awsCognitoAuthPlugin.Auth.Default: amplify_outputs has no place for OAuth.AppClientSecret, authenticationFlowType",
		"storage.plugins.awsDynamoDbStoragePlugin: amplify_outputs has no place for it",
	}
	var got []string
	for _, w := range warnings {
		if !strings.Contains(w.Text, "level") && w.Path != "storage.default_access_level" {
			got = append(got, w.String())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("warnings are %q, want %q", got, want)
	}
	for _, from := range Formats() {
		o := &Outputs{Format: from, Storage: &Storage{Region: "r", Bucket: "b"}}
		for i, v := range []string{`{}`, `[]`, `""`, `false`, `null`, `{"Default":{}}`} {
			o.Extra = append(o.Extra, Extra{Keys: []string{fmt.Sprintf("x%d", i)}, Value: json.RawMessage(v)})
		}
		o.Extra = append(o.Extra, Extra{Keys: []string{"UserAgent"}, Value: json.RawMessage(`"x"`)})
		for _, x := range o.Extra {
			if !x.Empty() {
				t.Errorf("%s is not empty", x.Value)
			}
		}
		for _, to := range Formats() {
			if _, paths := write(t, o, &WriteOptions{Format: to}); paths != nil {
				t.Errorf("%s as %s: warnings %q", from, to, paths)
			}
		}
	}
	for _, v := range []string{`0`, `true`, `[false]`, `{"a":[0]}`, `" "`, `{`} {
		if x := (&Extra{Keys: []string{"custom", "Version"}, Value: json.RawMessage(v)}); x.Empty() {
			t.Errorf("%s is empty", v)
		}
	}
	if x := (&Extra{Keys: []string{"custom", "Version"}, Value: json.RawMessage(`"2"`)}); x.Empty() {
		t.Error("a version of one's own is empty")
	}
	o.Extra = nil
	for i := range 50 {
		o.Extra = append(o.Extra, Extra{Keys: []string{"auth", fmt.Sprint("k", i)}, Value: json.RawMessage(`1`)})
	}
	warnings, err = o.WriteAs(&b, nil)
	if last := warnings[len(warnings)-1]; err != nil || last.Path != "auth" || !strings.HasSuffix(last.Text, "k19 and 30 more") {
		t.Errorf("of many, the last warning is %q: %v", last, err)
	}
}

// TestExtra adds parts by hand.
func TestExtra(t *testing.T) {
	o := &Outputs{Storage: &Storage{Region: "r", Bucket: "b"}, Extra: []Extra{
		{Keys: []string{"custom", "a", "b"}, Value: json.RawMessage(`{"c": [1, null]}`)},
		{Keys: []string{"storage", "bucket_name"}, Value: json.RawMessage(`"other"`)},
		{Keys: []string{"storage", "bucket_name", "x"}, Value: json.RawMessage(`1`)},
		{Keys: []string{"custom", "bad"}, Value: json.RawMessage(`{`)},
		{Keys: []string{"custom", "lax"}, Value: json.RawMessage(`{a: 1}`)},
		{Value: json.RawMessage(`1`)},
	}}
	text, warnings := write(t, o, nil)
	if want := []string{"storage.bucket_name.x", "custom.bad", "custom.lax", ""}; !slices.Equal(warnings, want) {
		t.Errorf("warnings are %q, want %q", warnings, want)
	}
	if got := flat(t, text); got["custom.a.b.c[0]"] != "1" || got["storage.bucket_name"] != "b" {
		t.Errorf("wrote %s", text)
	}
}
