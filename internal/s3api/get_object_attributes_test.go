package s3api

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestGetObjectAttributes(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "content")
	uri := "/media/public/x?attributes"
	r := w.do("guest", "GET", uri, "", "X-Amz-Object-Attributes: ETag,Checksum, ObjectParts,StorageClass,ObjectSize").is(200)
	if r.element("ETag") != "9a0364b9e99bb480dd25e1f0284c8555" || r.element("ObjectSize") != "7" || r.element("StorageClass") != "STANDARD" {
		t.Errorf("got %s", r.body)
	}
	if r.header.Get("Last-Modified") == "" || strings.Contains(r.body, "ObjectParts") || strings.Contains(r.body, "Checksum") {
		t.Errorf("got %v %s", r.header, r.body)
	}
	if r = w.do("guest", "GET", uri, "", "X-Amz-Object-Attributes: ObjectSize").is(200); strings.Contains(r.body, "ETag") {
		t.Errorf("got more than was asked for: %s", r.body)
	}
	for _, h := range []string{"X-Amz-Object-Attributes: ETag,Owner", "X-Amz-Object-Attributes: etag", "X-Amz-Object-Attributes: ETag,"} {
		w.do("guest", "GET", uri, "", h).is(400, "InvalidArgument")
	}
	for _, h := range []string{"X-Amz-Object-Attributes: ", "X-Nothing: 1"} {
		w.do("guest", "GET", uri, "", h).is(400, "InvalidRequest")
	}
	for _, h := range []string{"X-Amz-Max-Parts: -1", "X-Amz-Max-Parts: ", "X-Amz-Part-Number-Marker: x"} {
		w.do("guest", "GET", uri, "", "X-Amz-Object-Attributes: ETag", h).is(400, "InvalidArgument")
	}
	w.do("guest", "GET", uri+"&partNumber=1", "", "X-Amz-Object-Attributes: ETag").is(501, "NotImplemented")
	w.do("bob", "GET", "/media/private/id:alice/x?attributes", "", "X-Amz-Object-Attributes: ETag").is(403, "AccessDenied")
	w.do("alice", "GET", "/media/private/id:alice/x?attributes", "", "X-Amz-Object-Attributes: ETag").is(404, "NoSuchKey")
}

func TestGetObjectAttributesSDK(t *testing.T) {
	w := newWorld(t, signed)
	alice, ctx := w.sdk("alice", false, true), t.Context()
	key, bucket := aws.String("public/big"), aws.String("media")
	up, err := alice.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, body := range [][]byte{bytes.Repeat([]byte("x"), big), []byte("end")} {
		n := aws.Int32(int32(i + 1))
		p, err := alice.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: n, ChecksumCRC32: p.ChecksumCRC32})
	}
	done, err := alice.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := alice.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{
		Bucket: bucket, Key: key, ObjectAttributes: types.ObjectAttributes("").Values(), MaxParts: aws.Int32(1), PartNumberMarker: aws.String("0"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToInt64(got.ObjectSize) != int64(big)+3 || quote(aws.ToString(got.ETag)) != aws.ToString(done.ETag) || got.StorageClass != types.StorageClassStandard ||
		got.LastModified == nil || got.ObjectParts == nil || aws.ToInt32(got.ObjectParts.TotalPartsCount) != 2 ||
		got.Checksum == nil || aws.ToString(got.Checksum.ChecksumCRC32) == "" || got.Checksum.ChecksumType != done.ChecksumType {
		t.Errorf("got %+v", got)
	}
	if _, err := w.sdk("bob", false, true).GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: bucket, Key: aws.String("private/id:alice/x"), ObjectAttributes: types.ObjectAttributes("").Values()}); !isCode(err, "AccessDenied") {
		t.Errorf("bob got %v", err)
	}
}
