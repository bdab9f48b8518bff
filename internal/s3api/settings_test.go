package s3api

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestSettingsThatNobodyHasSet are answered as S3 does, to operators.
func TestSettingsThatNobodyHasSet(t *testing.T) {
	w := newWorld(t)
	for query, code := range map[string]string{
		"policy": "NoSuchBucketPolicy", "policyStatus": "NoSuchBucketPolicy", "tagging": "NoSuchTagSet", "lifecycle": "NoSuchLifecycleConfiguration",
		"encryption": "ServerSideEncryptionConfigurationNotFoundError", "object-lock": "ObjectLockConfigurationNotFoundError",
		"publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "website": "NoSuchWebsiteConfiguration", "replication": "ReplicationConfigurationNotFoundError",
		"ownershipControls": "", "logging": "", "notification": "", "accelerate": "", "requestPayment": "", "acl": "",
	} {
		status := 404
		if code == "" {
			status = 200
		}
		w.do("operator", "GET", "/media?"+query, "").is(status, code)
		w.do("alice", "GET", "/media?"+query, "").is(403, "AccessDenied")
		w.do("alice", "GET", "/nowhere?"+query, "").is(403, "AccessDenied")
		w.do("operator", "GET", "/nowhere?"+query, "").is(404, "NoSuchBucket")
		if query != "acl" {
			w.do("operator", "PUT", "/media?"+query, "<x/>").is(501, "NotImplemented")
		}
		w.do("operator", "DELETE", "/media?"+query, "").is(501, "NotImplemented")
	}
	for query, want := range map[string]string{
		"ownershipControls": "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
		"requestPayment":    "<Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
		"notification":      `<NotificationConfiguration xmlns="` + namespace + `"></NotificationConfiguration>`,
	} {
		if r := w.do("operator", "GET", "/media?"+query, "").is(200); !strings.HasSuffix(r.body, want) {
			t.Errorf("%s: got %s", query, r.body)
		}
	}
}

func TestACLs(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "x")
	owner := "<AccessControlPolicy><Owner><ID>123456789012</ID></Owner><AccessControlList><Grant>" +
		`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>123456789012</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>`
	everybody := strings.Replace(owner, "<ID>123456789012</ID></Grantee>", "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>", 1)
	for _, uri := range []string{"/media?acl", "/media/public/x?acl"} {
		w.do("operator", "GET", uri, "").is(200)
		w.do("operator", "PUT", uri, owner).is(200)
		w.do("operator", "PUT", uri, "", "X-Amz-Acl: private").is(200)
		w.do("operator", "PUT", uri, everybody).is(400, "AccessControlListNotSupported")
		w.do("operator", "PUT", uri, strings.Replace(owner, "FULL_CONTROL", "READ", 1)).is(400, "AccessControlListNotSupported")
		w.do("operator", "PUT", uri, "", "X-Amz-Acl: public-read").is(400, "AccessControlListNotSupported")
		w.do("operator", "PUT", uri, "", "X-Amz-Grant-Read: id=1").is(400, "AccessControlListNotSupported")
		w.do("operator", "PUT", uri, "").is(400, "InvalidRequest")
		w.do("operator", "PUT", uri, owner, "X-Amz-Acl: private").is(400, "InvalidRequest")
		w.do("alice", "PUT", uri, "", "X-Amz-Acl: private").is(403, "AccessDenied")
	}
	w.do("guest", "GET", "/media/public/x?acl", "").is(200)
	w.do("guest", "GET", "/media/secret/x?acl", "").is(403, "AccessDenied")
	w.do("operator", "GET", "/media/public/none?acl", "").is(404, "NoSuchKey")
	w.do("operator", "PUT", "/media/public/none?acl", "", "X-Amz-Acl: private").is(404, "NoSuchKey")
	w.do("alice", "PUT", "/media/public/y", "y", "X-Amz-Acl: bucket-owner-full-control").is(200)
	w.do("operator", "PUT", "/new-bucket", "", "X-Amz-Acl: bucket-owner-full-control").is(400, "AccessControlListNotSupported")
	w.do("operator", "PUT", "/new-bucket", "", "X-Amz-Acl: private").is(200)
}

func TestSettingsSDK(t *testing.T) {
	w := newWorld(t, signed)
	w.put("media", "x", "x")
	ctx, client, media := t.Context(), w.sdk("operator", false, true), aws.String("media")
	acl, err := client.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: media, Key: aws.String("x")})
	if err != nil || len(acl.Grants) != 1 || acl.Grants[0].Permission != types.PermissionFullControl || *acl.Grants[0].Grantee.ID != *acl.Owner.ID || acl.Grants[0].Grantee.Type != types.TypeCanonicalUser {
		t.Errorf("got %+v, %v", acl, err)
	}
	// What the SDK read is taken when it is sent back.
	if _, err := client.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: media, Key: aws.String("x"), AccessControlPolicy: &types.AccessControlPolicy{Grants: acl.Grants, Owner: acl.Owner}}); err != nil {
		t.Error(err)
	}
	owns, err := client.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: media})
	if err != nil || owns.OwnershipControls.Rules[0].ObjectOwnership != types.ObjectOwnershipBucketOwnerEnforced {
		t.Errorf("got %+v, %v", owns, err)
	}
	if _, err := client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: media}); !isCode(err, "NoSuchBucketPolicy") {
		t.Errorf("got %v", err)
	}
}
