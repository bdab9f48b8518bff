package outputs

import (
	"reflect"
	"strings"
	"testing"
)

// TestV5 reads what apps passed to Amplify.configure before aws-amplify 6.
func TestV5(t *testing.T) {
	o := load(t, "amplify-v5.js")
	want := &Auth{
		Region: "eu-west-1", UserPoolID: "eu-west-1_Manual1", UserPoolClientID: "manualclient",
		IdentityPoolID: "eu-west-1:22222222-2222-4222-8222-222222222222", SignUpVerification: "link",
		OAuth: &OAuth{
			Domain: "app.auth.eu-west-1.amazoncognito.com", Scopes: []string{"email", "openid"},
			SignIn:  []string{"http://localhost:3000/", "https://app.example.com/"},
			SignOut: []string{"https://app.example.com/out"}, Response: "token",
		},
	}
	if !reflect.DeepEqual(o.Auth, want) {
		t.Errorf("auth is %+v, want %+v", o.Auth, want)
	}
	if s := (&Storage{Region: "eu-central-1", Bucket: "app-manual-files", Level: "guest"}); !reflect.DeepEqual(o.Storage, s) {
		t.Errorf("storage is %+v, want %+v", o.Storage, s)
	}
	if c := (&Cubby{S3Endpoint: localTesting, PathStyle: true, UserPoolEndpoint: "https://users.example.com/"}); !reflect.DeepEqual(o.Custom.Cubby, c) {
		t.Errorf("endpoints are %+v, want %+v", o.Custom.Cubby, c)
	}
	if len(o.Extra) != 3 {
		t.Errorf("besides, there is %v", o.Extra)
	}
}

// TestV5Manual reads what manuals told people to write down.
func TestV5Manual(t *testing.T) {
	const auth = `
        identityPoolId: 'XX-XXXX-X:XXXXXXXX-XXXX-1234-abcd-1234567890ab', //REQUIRED - Amazon Cognito Identity Pool ID
        region: 'XX-XXXX-X', // REQUIRED - Amazon Cognito Region
`
	const id = "XX-XXXX-X:XXXXXXXX-XXXX-1234-abcd-1234567890ab"
	for _, text := range []string{
		`import Amplify from 'aws-amplify';

Amplify.configure({
    Auth: {` + auth + `
        userPoolId: 'XX-XXXX-X_abcd1234', //OPTIONAL - Amazon Cognito User Pool ID
        userPoolWebClientId: 'XX-XXXX-X_abcd1234', //OPTIONAL - Amazon Cognito Web Client ID
    },
    Storage: {
        AWSS3: {
            bucket: 'b', //REQUIRED -  Amazon S3 bucket
            region: 'XX-XXXX-X', //OPTIONAL -  Amazon service region
        }
    }
});`,
		`Amplify.configure({ Auth: {` + auth + `}, Storage: { AWSS3: { bucket: 'b',//Your bucket name;
            region: 'XX-XXXX-X'//Specify the region your bucket was created in;
        } } });`,
		`{ Auth: {` + auth + `}, Storage: { bucket: 'b', region: 'XX-XXXX-X', identityPoolId: '` + id + `' } }`,
		`{"Storage": {"bucket": "b", "region": "XX-XXXX-X", "identityPoolId": "` + id + `"}}`,
	} {
		o, err := Read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if o.Format != AmplifyV5 || o.Auth == nil || o.Auth.IdentityPoolID != id || o.Auth.Region != "XX-XXXX-X" || !o.Auth.Guests ||
			!reflect.DeepEqual(o.Storage, &Storage{Bucket: "b", Region: "XX-XXXX-X"}) || o.Extra != nil {
			t.Errorf("%s: got %+v, %+v", text, o.Auth, o.Storage)
		}
		flaws, err := Check(strings.NewReader(text), nil)
		if err != nil || len(flaws) > 0 {
			t.Errorf("%s: %v, %v", text, flaws, err)
		}
	}
}

// TestV5Pools keeps a second identity pool, of which the model knows nothing.
func TestV5Pools(t *testing.T) {
	o, err := Read(strings.NewReader(`{Auth: {identityPoolId: 'r:1'}, Storage: {bucket: 'b', region: 'r', identityPoolId: 'r:2'}}`))
	if err != nil || o.Auth.IdentityPoolID != "r:1" || len(o.Extra) != 1 || o.Extra[0].Path() != "Storage.identityPoolId" {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestAWSConfiguration reads the pools and the bucket of older mobile apps.
func TestAWSConfiguration(t *testing.T) {
	o := load(t, "awsconfiguration.json")
	if a := o.Auth; a.UserPoolID != "us-east-2_Native1" || a.UserPoolClientID != "native1" || a.Region != "us-east-2" ||
		!strings.HasPrefix(a.IdentityPoolID, "us-east-2:3") || a.OAuth.Domain == "" {
		t.Errorf("auth is %+v", a)
	}
	if s := (&Storage{Region: "us-east-2", Bucket: "native-files"}); !reflect.DeepEqual(o.Storage, s) {
		t.Errorf("storage is %+v, want %+v", o.Storage, s)
	}
	if _, paths := write(t, o, nil); len(paths) != 1 || paths[0] != "CognitoUserPool.Default.AppClientSecret" {
		t.Errorf("warnings are %q", paths)
	}
}

// TestComments reads files of JSON as manuals show them.
func TestComments(t *testing.T) {
	const text = `{ // the app
  "version": "1.4",
  "storage": {
    "aws_region": "r", /* of the default bucket */
    "bucket_name": "b",
    // default bucket metadata should be duplicated below
    "buckets": [{"name": "a", "bucket_name": "b", "aws_region": "r", "paths": {
      // add more paths for the bucket
    },}],
  }
}`
	o, err := Read(strings.NewReader(text))
	if err != nil || o.Storage.Bucket != "b" {
		t.Fatalf("got %+v, %v", o, err)
	}
	flaws, err := Check(strings.NewReader(text), nil)
	if err != nil || len(flaws) != 2 || flaws[0].Text != noComments || flaws[0].Line != 1 || flaws[0].Column != 3 ||
		flaws[1].Text != noComma || flaws[1].Line != 9 || !flaws[0].Lint || !flaws[1].Lint {
		t.Errorf("flaws are %v, %v", flaws, err)
	}
}

// TestPasswordless keeps what is said to be off.
func TestPasswordless(t *testing.T) {
	o, err := Read(strings.NewReader(`{"version":"1.5","auth":{"aws_region":"r","user_pool_id":"r_1","user_pool_client_id":"c","passwordless":{"sms_otp_enabled":false}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if text, warnings := write(t, o, nil); !strings.Contains(text, `"sms_otp_enabled": false`) || warnings != nil {
		t.Errorf("wrote %s, warnings %q", text, warnings)
	}
}
