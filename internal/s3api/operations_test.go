package s3api

import (
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestEveryOperationAsksTheGate sends a request for each row of the table, as
// somebody who may do nothing, and one who may.
func TestEveryOperationAsksTheGate(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name+" "+op.method, func(t *testing.T) {
			w := newWorld(t)
			w.put("media", "secret/x", "secret")
			uri := map[level]string{serviceLevel: "/", bucketLevel: "/media", objectLevel: "/media/secret/x"}[op.level]
			body := ""
			var query []string
			for _, q := range op.query {
				switch q {
				case "partNumber":
					q = "partNumber=1"
				case "uploadId":
					q = "uploadId=x"
				}
				query = append(query, q)
			}
			var headers []string
			if op.header != "" {
				headers = append(headers, op.header+": media/secret/x")
			}
			switch op.name {
			case "DeleteObjects":
				body = "<Delete><Object><Key>secret/x</Key></Object></Delete>"
				headers = append(headers, "X-Amz-Content-Sha256: 00")
				if op.level == serviceLevel {
					if err := w.service.CreateBucket(t.Context(), "dotted.bucket"); err != nil {
						t.Fatal(err)
					}
				}
			case "CompleteMultipartUpload":
				body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
			case "PutObjectTagging":
				body = "<Tagging><TagSet/></Tagging>"
			case "GetObjectAttributes":
				headers = append(headers, "X-Amz-Object-Attributes: ETag")
			case "CopyObject":
				headers = append(headers, "X-Amz-Metadata-Directive: REPLACE")
			}
			if op.form {
				walkForm(t)
				return
			}
			if len(query) > 0 {
				uri += "?" + strings.Join(query, "&")
			}
			r := w.do("nobody", op.method, uri, body, headers...)
			checks := w.asked()
			if len(checks) == 0 {
				t.Fatalf("the gate was not asked: %d %s", r.status, r.body)
			}
			for _, c := range checks {
				if c.Decision.Allowed && op.name != "ListBuckets" && op.level != serviceLevel && c.Bucket == "media" && c.Key != "" {
					t.Errorf("the gate allowed %+v", c)
				}
			}
			switch op.name {
			case "ListBuckets", "DeleteObjects", "ListObjects", "ListObjectsV2", "HeadBucket", "GetBucketLocation", "GetBucketVersioning":
			case "ListMultipartUploads":
				r.is(200)
			default:
				r.is(403)
			}
			if strings.Contains(r.body, "secret/x</Key><LastModified") || w.content("media", "secret/x") != "secret" {
				t.Errorf("it happened all the same: %s", r.body)
			}
			w.do("operator", op.method, uri, body, headers...)
			if checks := w.asked(); len(checks) == 0 || !checks[0].Operator {
				t.Errorf("the gate was not asked for an operator: %v", checks)
			}
		})
	}
}

// walkForm is TestEveryOperationAsksTheGate for a form, which has to be signed.
func walkForm(t *testing.T) {
	w := newWorld(t, signed)
	w.put("media", "secret/x", "secret")
	w.post(newPost("nobody", "secret/x")).is(403, "AccessDenied")
	checks := w.asked()
	if len(checks) != 1 || checks[0].Decision.Allowed || checks[0].Key != "secret/x" || checks[0].Action != access.Write || w.content("media", "secret/x") != "secret" {
		t.Errorf("the gate was asked %+v", checks)
	}
	w.post(newPost("operator", "secret/x")).is(204)
	if checks := w.asked(); len(checks) != 1 || !checks[0].Operator || w.content("media", "secret/x") != "content" {
		t.Errorf("the gate was asked for an operator: %+v", checks)
	}
}

func TestUnauthenticatedLearnNothing(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "x")
	for _, uri := range []string{"/", "/media", "/nowhere", "/media/public/x", "/nowhere/x", "/media?acl", "/media?list-type=2", "/media/x?uploads"} {
		for _, method := range []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"} {
			r := w.do("", method, uri, "").is(403)
			if method != "HEAD" {
				r.is(403, "AccessDenied")
			}
		}
	}
	if checks := w.asked(); len(checks) > 0 {
		t.Errorf("the gate was asked: %v", checks)
	}
}

func TestNobodyIsLetInByDefault(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Authenticate = nil })
	w.do("operator", "GET", "/", "").is(403, "AccessDenied")
}

func TestNotImplemented(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "x")
	names := []string{
		"policy", "policyStatus", "lifecycle", "website", "encryption", "object-lock", "legal-hold", "retention", "torrent", "select", "restore",
		"notification", "replication", "requestPayment", "accelerate", "logging", "metrics", "analytics", "inventory", "intelligent-tiering",
		"ownershipControls", "publicAccessBlock", "versions", "cors", "session",
	}
	has := func(method, uri, query string) bool {
		return slices.ContainsFunc(operations, func(op operation) bool {
			return uri == "/media" && op.level == bucketLevel && op.method == method && slices.Contains(op.query, query)
		})
	}
	for _, name := range names {
		for _, uri := range []string{"/media", "/media/public/x"} {
			for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
				if has(method, uri, name) {
					continue
				}
				w.do("operator", method, uri+"?"+name, "").is(501, "NotImplemented")
				w.do("operator", method, uri+"?"+name+"=&x-id=Y", "").is(501, "NotImplemented")
			}
		}
	}
	for _, c := range []struct{ method, uri string }{
		{"PUT", "/media/public/x?attributes"},
		{"POST", "/media/public/x?attributes"},
		{"DELETE", "/media/public/x?attributes"},
		{"GET", "/media?attributes"},
		{"GET", "/media/public/x?uploads"},
		{"PUT", "/media/public/x?uploads"},
		{"DELETE", "/media/public/x?uploads"},
		{"PUT", "/media/public/x?ACL=1"},
		{"GET", "/media/public/x?Legal-Hold=1"},
		{"DELETE", "/media/public/x?uploadid=1"},
		{"DELETE", "/media/public/x?Tagging=1"},
		{"DELETE", "/media/public/x?versionid=1"},
		{"POST", "/media?acl"},
		{"DELETE", "/media?acl"},
		{"DELETE", "/media/public/x?acl"},
		{"DELETE", "/media?versioning"},
		{"DELETE", "/media?versions"},
		{"PUT", "/media?tagging"},
		{"DELETE", "/media?tagging"},
		{"PUT", "/media?brandNew"},
		{"DELETE", "/media?brandNew"},
		{"DELETE", "/media/public/x?brandNew"},
		{"PUT", "/media/public/x?partNumber=1"},
		{"POST", "/media/public/x"},
		{"POST", "/media"},
		{"PATCH", "/media/public/x"},
		{"GET", "/media?uploadId=1"},
	} {
		w.do("operator", c.method, c.uri, "").is(501, "NotImplemented")
	}
	for _, h := range []string{
		"X-Amz-Server-Side-Encryption: aws:kms:dsse", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled: true", "X-Amz-Object-Lock-Mode: GOVERNANCE",
		"X-Amz-Website-Redirect-Location: /x", "X-Amz-Mfa: 1 2", "X-Amz-If-Match-Size: 1", "X-Amz-Storage-Class: GLACIER", "X-Amz-Brand-New: 1", "X-Amz-Copy-Source-Range: bytes=0-1",
		"X-Amz-Write-Offset-Bytes: 4",
	} {
		w.do("operator", "PUT", "/media/public/x", "y", h).is(501, "NotImplemented")
	}
	w.do("operator", "PUT", "/media/public/x", "y", "If-None-Match: abc").is(501, "NotImplemented")
	if got := w.content("media", "public/x"); got != "x" {
		t.Errorf("the object is %q now", got)
	}
	for _, h := range []string{"X-Amz-Acl: private", "X-Amz-Storage-Class: STANDARD", "X-Amz-User-Agent: x", "Amz-Sdk-Request: attempt=1", "X-Amz-Request-Payer: requester"} {
		w.do("operator", "PUT", "/media/public/x?x-id=PutObject&.amazonaws.com", "x", h).is(200)
	}
	for _, h := range []string{"X-Amz-Acl: public-read", "X-Amz-Grant-Read: id=1", "X-Amz-Acl: log-delivery-write"} {
		w.do("operator", "PUT", "/media/public/x", "y", h).is(400, "AccessControlListNotSupported")
	}
	w.do("operator", "PUT", "/media/public/x?X-Amz-Acl=public-read", "y").is(400, "AccessControlListNotSupported")
	w.do("operator", "PUT", "/media/public/x", "y", "X-Amz-Acl: mine").is(400, "InvalidArgument")
	for _, method := range []string{"PUT", "POST"} {
		w.do("operator", method, "/media/public/x?uploads&versionId=null", "").is(map[string]int{"PUT": 501, "POST": 400}[method])
	}
	w.do("operator", "PUT", "/media/public/x?versionId=null", "y").is(400, "InvalidArgument")
	w.do("operator", "GET", "/media?versionId=1", "").is(400, "InvalidArgument")
	w.do("operator", "HEAD", "/", "").is(405)
	w.do("operator", "PUT", "/", "").is(405, "MethodNotAllowed")
	w.do("operator", "GET", "/media?versionId=null", "").is(200)
}

func TestExpectedOwner(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "x")
	w.do("alice", "GET", "/media/public/x", "", "X-Amz-Expected-Bucket-Owner: 123456789012").is(200)
	w.do("alice", "GET", "/media/public/x", "", "X-Amz-Expected-Bucket-Owner: 210987654321").is(403, "AccessDenied")
	w.do("alice", "GET", "/media/public/x?x-amz-expected-bucket-owner=210987654321", "").is(403, "AccessDenied")
	w.do("alice", "PUT", "/media/public/y", "", "X-Amz-Copy-Source: media/public/x", "X-Amz-Source-Expected-Bucket-Owner: 1").is(403, "AccessDenied")
}

func TestQueryIsReadStrictly(t *testing.T) {
	w := newWorld(t)
	w.do("operator", "GET", "/media?prefix=a&prefix=b", "").is(400, "InvalidArgument")
	w.do("operator", "GET", "/media?prefix=%zz", "").is(400, "InvalidURI")
	w.do("operator", "GET", "/media?prefix=%ff", "").is(400, "InvalidURI")
	w.do("operator", "GET", "/media?a;b", "").is(400, "InvalidURI")
	w.do("operator", "GET", "/media?list-type=3", "").is(400, "InvalidArgument")
	w.do("operator", "PUT", "/media/public/x?x-amz-tagging=a&X-Amz-Tagging=b", "").is(400, "InvalidArgument")
}

func TestTableIsComplete(t *testing.T) {
	for _, op := range operations {
		if op.serve == nil || op.name == "" {
			t.Errorf("row %v is not complete", op.name)
		}
		for _, q := range append(slices.Clone(op.query), op.params...) {
			if !strings.Contains(q, "=") && !subresources[q] {
				t.Errorf("%s: %s is not among the sub-resources", op.name, q)
			}
		}
	}
}
