package s3api

import (
	"strings"
	"testing"
)

// TestErrorDetails checks that errors say what S3 adds to them.
func TestErrorDetails(t *testing.T) {
	w := newWorld(t)
	r := w.do("guest", "GET", "/media?max-keys=-3", "").is(400, "InvalidArgument")
	if r.element("ArgumentName") != "max-keys" || r.element("ArgumentValue") != "-3" {
		t.Errorf("got %s", r.body)
	}
	r = w.do("alice", "PUT", "/media/public/x", "text", "Content-MD5: "+md5sum("other")).is(400, "BadDigest")
	if r.element("CalculatedDigest") != md5sum("text") || r.element("ExpectedDigest") == "" {
		t.Errorf("got %s", r.body)
	}
	r = w.do("alice", "PUT", "/media/public/x", "text", "X-Amz-Checksum-Crc32: "+crc("other")).is(400, "BadDigest")
	if !strings.HasPrefix(r.element("Message"), "The CRC32 you specified") {
		t.Errorf("got %s", r.body)
	}
	r = w.do("alice", "DELETE", "/media", "", "X-Amz-Acl: private").is(501, "NotImplemented")
	if !strings.Contains(r.element("Message"), "x-amz-acl") {
		t.Errorf("got %s", r.body)
	}
}

// TestDeleteBucketWithUploads checks that uploads alone do not keep a bucket.
func TestDeleteBucketWithUploads(t *testing.T) {
	w := newWorld(t)
	w.do("operator", "PUT", "/fresh", "").is(200).has("X-Amz-Bucket-Arn", "arn:aws:s3:::fresh")
	for range 3 {
		w.do("operator", "POST", "/fresh/a?uploads", "").is(200)
	}
	w.do("operator", "PUT", "/fresh/b", "x").is(200)
	w.do("operator", "DELETE", "/fresh", "").is(409, "BucketNotEmpty")
	if r := w.do("operator", "GET", "/fresh?uploads", "").is(200); len(r.elements("UploadId")) != 3 {
		t.Errorf("uploads are gone from a bucket that is not: %s", r.body)
	}
	w.do("operator", "DELETE", "/fresh/b", "").is(204)
	w.do("alice", "DELETE", "/fresh", "").is(403, "AccessDenied")
	w.do("operator", "DELETE", "/fresh", "").is(204)
	w.do("operator", "HEAD", "/fresh", "").is(404)
}

// TestDeleteBucketWithVersions checks that a version that is not current keeps a bucket,
// with the uploads in it.
func TestDeleteBucketWithVersions(t *testing.T) {
	w := newWorld(t)
	w.do("operator", "PUT", "/fresh", "").is(200)
	w.do("operator", "PUT", "/fresh?versioning", enable).is(200)
	w.do("operator", "POST", "/fresh/a?uploads", "").is(200)
	version := w.do("operator", "PUT", "/fresh/b", "x").is(200).header.Get("X-Amz-Version-Id")
	marker := w.do("operator", "DELETE", "/fresh/b", "").is(204).header.Get("X-Amz-Version-Id")
	for _, id := range []string{version, marker} {
		w.do("operator", "DELETE", "/fresh", "").is(409, "BucketNotEmpty").says("You must delete all versions in the bucket.")
		if r := w.do("operator", "GET", "/fresh?uploads", "").is(200); r.element("UploadId") == "" {
			t.Errorf("the upload is gone from a bucket that is not: %s", r.body)
		}
		w.do("operator", "DELETE", "/fresh/b?versionId="+id, "").is(204)
	}
	w.do("operator", "DELETE", "/fresh", "").is(204)
}
