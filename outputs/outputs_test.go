package outputs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
)

const full = `{
  "$schema": "https://example.com/schema",
  "version": "1.5",
  "auth": {
    "aws_region": "eu-central-1",
    "user_pool_id": "eu-central-1_Pool1",
    "user_pool_client_id": "client1",
    "identity_pool_id": "eu-central-1:0000",
    "unauthenticated_identities_enabled": false,
    "mfa_methods": ["TOTP"],
    "groups": [{"admin": {"precedence": 0}}, {"staff": {"precedence": 1}}]
  },
  "storage": {
    "aws_region": "eu-central-1",
    "bucket_name": "media-1",
    "buckets": [
      {"name": "media", "bucket_name": "media-1", "aws_region": "eu-central-1", "paths": {
        "public/*": {"guest": ["get", "list"], "groupsadmin": ["read", "write", "delete"]},
        "private/${cognito-identity.amazonaws.com:sub}/*": {"entityidentity": ["get"]}}},
      {"name": "logs", "bucket_name": "logs-1", "aws_region": "us-east-1"}
    ]
  },
  "custom": {"cubby": {"s3_endpoint": "http://127.0.0.1:20005", "identity_pool_endpoint": "http://127.0.0.1:20005/",
    "user_pool_endpoint": "http://127.0.0.1:20005/", "path_style": true}, "mine": 1},
  "data": {"url": "x"}
}`

func TestRead(t *testing.T) {
	o, err := Read(strings.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	want := &Outputs{
		Version: "1.5",
		Auth: &Auth{
			Region: "eu-central-1", UserPoolID: "eu-central-1_Pool1", UserPoolClientID: "client1",
			IdentityPoolID: "eu-central-1:0000", Groups: []Group{{"admin", 0}, {"staff", 1}},
		},
		Storage: &Storage{Region: "eu-central-1", Bucket: "media-1", Buckets: []Bucket{
			{Name: "media", BucketName: "media-1", Region: "eu-central-1", Paths: map[string]map[string][]string{
				"public/*": {"guest": {"get", "list"}, "groupsadmin": {"read", "write", "delete"}},
				"private/${cognito-identity.amazonaws.com:sub}/*": {"entityidentity": {"get"}},
			}},
			{Name: "logs", BucketName: "logs-1", Region: "us-east-1"},
		}},
		Custom: &Custom{&Cubby{
			S3Endpoint: "http://127.0.0.1:20005", IdentityPoolEndpoint: "http://127.0.0.1:20005/",
			UserPoolEndpoint: "http://127.0.0.1:20005/", PathStyle: true,
		}},
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v, want %+v", o, want)
	}
}

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
}

func TestReadErrors(t *testing.T) {
	storage := func(buckets string) string {
		return `{"version":"1.4","storage":{"aws_region":"r","bucket_name":"b","buckets":` + buckets + `}}`
	}
	for _, test := range []struct{ text, path, says string }{
		{``, "", "not JSON"},
		{`<html>`, "", "not JSON"},
		{`[]`, "", "must be an object"},
		{`{"version":"1"} {}`, "", "more text"},
		{`{}`, "version", "is missing"},
		{`{"version":1}`, "version", "must be a text"},
		{`{"version":"2"}`, "version", "only 1 to 1.5"},
		{`{"version":"1","storage":{}}`, "storage.aws_region", "is missing"},
		{`{"version":"1","storage":{"aws_region":"r","bucket_name":""}}`, "storage.bucket_name", "is empty"},
		{storage(`{}`), "storage.buckets", "must be a list"},
		{storage(`[1]`), "storage.buckets[0]", "must be an object"},
		{storage(`[{"name":"a","bucket_name":"x","aws_region":"r"},{"name":"a","bucket_name":"y","aws_region":"r"}]`), "storage.buckets[1].name", "another bucket"},
		{storage(`[{"name":"a","bucket_name":"x","aws_region":"r","paths":{"p/*":{"guest":["fly"]}}}]`), `storage.buckets[0].paths["p/*"].guest[0]`, "no action"},
		{`{"version":"1","auth":{"aws_region":"r","user_pool_id":"x"}}`, "auth.user_pool_id", "REGION_NAME"},
		{`{"version":"1","auth":{"aws_region":"r","identity_pool_id":"x"}}`, "auth.identity_pool_id", "REGION:ID"},
		{`{"version":"1","auth":{"aws_region":"r","unauthenticated_identities_enabled":"no"}}`, "auth.unauthenticated_identities_enabled", "true or false"},
		{`{"version":"1","auth":{"aws_region":"r","groups":[{"a":{"precedence":1.5}}]}}`, "auth.groups[0].a.precedence", "whole number"},
		{`{"version":"1","custom":{"cubby":{"s3_endpoint":"localhost:1"}}}`, "custom.cubby.s3_endpoint", "URL"},
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
	}
	_, err := Read(strings.NewReader(`{"version":"2"}`))
	if !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error %v is not fs.ErrInvalid", err)
	}
}

func TestWrite(t *testing.T) {
	o, err := Read(strings.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := o.Write(&b); err != nil {
		t.Fatal(err)
	}
	if o.Version != "1.5" {
		t.Error("Write changed what it wrote")
	}
	for _, want := range []string{"{\n  \"version\": \"1.4\",\n", `"private/${cognito-identity.amazonaws.com:sub}/*"`, `"precedence": 1`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if !json.Valid(b.Bytes()) {
		t.Error("not JSON")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(full)
	f.Add(`{"version":"1","storage":{"aws_region":"r","bucket_name":"b","buckets":[]}}`)
	f.Add(`{"version":"1.3","auth":{"aws_region":"r","groups":[{"":{}}]},"custom":{"cubby":{}}}`)
	f.Add(`{"version":"1.2","storage":{"aws_region":"r","bucket_name":"<&>","buckets":[{"name":"a","bucket_name":"x","aws_region":"r","paths":{"p":{}}}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		first, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := first.Write(&b); err != nil {
			t.Fatalf("write of what was read: %v", err)
		}
		second, err := Read(&b)
		if err != nil {
			t.Fatalf("read of what was written: %v\n%s", err, b.String())
		}
		first.Version = Version
		normal(first)
		normal(second)
		if !reflect.DeepEqual(first, second) {
			t.Errorf("read %+v, then wrote and read %+v", first, second)
		}
	})
}

// normal makes empty lists and none the same: JSON leaves both out.
func normal(o *Outputs) {
	if o.Auth != nil && len(o.Auth.Groups) == 0 {
		o.Auth.Groups = nil
	}
	if o.Storage != nil && len(o.Storage.Buckets) == 0 {
		o.Storage.Buckets = nil
	}
}
