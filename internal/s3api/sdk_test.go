package s3api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/sigv4"
)

// signed makes w believe signatures: the access key is a name, and its secret
// is that name with "-secret".
func signed(o *Options) {
	v := &sigv4.Verifier{Secret: func(_ context.Context, id, _ string) (string, error) { return id + "-secret", nil }}
	o.Authenticate = func(r *http.Request) (*Caller, error) {
		req, err := v.Verify(r)
		if err != nil {
			return nil, err
		}
		if req.AccessKeyID == "operator" {
			return &Caller{Operator: true, Request: req}, nil
		}
		return &Caller{Subject: access.Subject{Identity: "id:" + req.AccessKeyID, Authenticated: true}, Request: req}, nil
	}
}

// sdk returns a client of the AWS SDK for a server of w. All names lead to it.
func (w *world) sdk(user string, https, pathStyle bool) *s3.Client {
	w.t.Helper()
	var srv *httptest.Server
	scheme := "http"
	if https {
		srv, scheme = httptest.NewTLSServer(w.h), "https"
	} else {
		srv = httptest.NewServer(w.h)
	}
	w.t.Cleanup(srv.Close)
	transport := srv.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	if https {
		transport.TLSClientConfig.ServerName = "example.com"
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		Region:                     "any-where-9",
		BaseEndpoint:               aws.String(scheme + "://s3.localhost:20005"),
		UsePathStyle:               pathStyle,
		HTTPClient:                 &http.Client{Transport: transport},
		Credentials:                credentials.NewStaticCredentialsProvider(user, user+"-secret", ""),
		RetryMaxAttempts:           1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})
}

func TestAWSSDK(t *testing.T) {
	for _, https := range []bool{false, true} {
		for _, pathStyle := range []bool{false, true} {
			t.Run(fmt.Sprintf("https=%v,path=%v", https, pathStyle), func(t *testing.T) {
				w := newWorld(t, signed)
				testSDK(t, w.sdk("alice", https, pathStyle), w.sdk("bob", https, pathStyle), w.sdk("operator", https, pathStyle))
			})
		}
	}
}

func testSDK(t *testing.T, alice, bob, operator *s3.Client) {
	ctx := t.Context()
	media := aws.String("media")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := aws.String("private/id:alice/a b+c%20é&=;/x.txt")
	content := strings.Repeat("0123456789", 20_000)

	put, err := alice.PutObject(ctx, &s3.PutObjectInput{
		Bucket: media, Key: key, Body: strings.NewReader(content), ContentType: aws.String("text/plain"), Metadata: map[string]string{"a": "b"}, Tagging: aws.String("k=v"),
		ContentEncoding: aws.String("mine"), CacheControl: aws.String("max-age=3"), IfNoneMatch: aws.String("*"),
	})
	must(err)
	if aws.ToString(put.ChecksumCRC32) == "" {
		t.Error("the checksum of the SDK was not kept")
	}
	for _, a := range types.ChecksumAlgorithm("").Values() {
		if !slices.Contains([]string{"CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"}, string(a)) {
			continue
		}
		_, err = alice.PutObject(ctx, &s3.PutObjectInput{Bucket: media, Key: aws.String("public/" + string(a)), Body: strings.NewReader(content), ChecksumAlgorithm: a})
		must(err)
		o, err := alice.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: aws.String("public/" + string(a)), ChecksumMode: types.ChecksumModeEnabled})
		must(err)
		_, err = io.Copy(io.Discard, o.Body)
		must(err)
	}
	get, err := alice.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key})
	must(err)
	got, err := io.ReadAll(get.Body)
	must(err)
	if string(got) != content || aws.ToString(get.ETag) != aws.ToString(put.ETag) || get.Metadata["a"] != "b" || aws.ToString(get.ContentEncoding) != "mine" ||
		aws.ToInt32(get.TagCount) != 1 || aws.ToString(get.CacheControl) != "max-age=3" {
		t.Errorf("got %d bytes and %+v", len(got), get)
	}
	rang, err := alice.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key, Range: aws.String("bytes=-5")})
	must(err)
	if got, err = io.ReadAll(rang.Body); err != nil || string(got) != "56789" {
		t.Errorf("got %q %v", got, err)
	}
	if _, err = bob.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key}); !isCode(err, "AccessDenied") {
		t.Errorf("bob got %v", err)
	}
	if _, err = alice.HeadObject(ctx, &s3.HeadObjectInput{Bucket: media, Key: aws.String("public/none")}); !isType[*types.NotFound](err) {
		t.Errorf("got %v", err)
	}
	if _, err = alice.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: aws.String("public/none")}); !isType[*types.NoSuchKey](err) {
		t.Errorf("got %v", err)
	}
	if _, err = alice.PutObject(ctx, &s3.PutObjectInput{Bucket: media, Key: key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")}); !isCode(err, "PreconditionFailed") {
		t.Errorf("got %v", err)
	}
	_, err = alice.CopyObject(ctx, &s3.CopyObjectInput{Bucket: media, Key: aws.String("public/copy"), CopySource: aws.String("media/private/id:alice/a%20b%2Bc%2520%C3%A9%26%3D%3B/x.txt")})
	must(err)
	tags, err := bob.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: media, Key: aws.String("public/copy")})
	must(err)
	if len(tags.TagSet) != 1 {
		t.Errorf("tags %v", tags.TagSet)
	}

	big := bytes.Repeat([]byte("x"), big)
	up, err := alice.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: media, Key: aws.String("public/big"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	must(err)
	var parts []types.CompletedPart
	for i, body := range [][]byte{big, []byte("end")} {
		p, err := alice.UploadPart(ctx, &s3.UploadPartInput{Bucket: media, Key: up.Key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		must(err)
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: p.ChecksumCRC32})
	}
	_, err = alice.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: media, Key: up.Key, UploadId: up.UploadId, PartNumber: aws.Int32(3), CopySource: aws.String("media/public/copy"), CopySourceRange: aws.String("bytes=0-9")})
	must(err)
	listed, err := alice.ListParts(ctx, &s3.ListPartsInput{Bucket: media, Key: up.Key, UploadId: up.UploadId})
	must(err)
	if len(listed.Parts) != 3 {
		t.Errorf("parts %v", listed.Parts)
	}
	_, err = alice.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: media, Key: up.Key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	must(err)

	var keys []string
	pages := s3.NewListObjectsV2Paginator(bob, &s3.ListObjectsV2Input{Bucket: media, MaxKeys: aws.Int32(2), EncodingType: types.EncodingTypeUrl})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		must(err)
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	if got := strings.Join(keys, " "); got != "public/CRC32 public/CRC32C public/CRC64NVME public/SHA1 public/SHA256 public/big public/copy" {
		t.Errorf("bob lists %s", got)
	}

	presign := s3.NewPresignClient(alice)
	link, err := presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key, ResponseContentType: aws.String("text/html")}, s3.WithPresignExpires(time.Minute))
	must(err)
	client := alice.Options().HTTPClient
	fetch := func(method, url, body string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		must(err)
		res, err := client.Do(req)
		must(err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		must(err)
		return res, string(text)
	}
	if res, text := fetch("GET", link.URL, ""); res.StatusCode != 200 || text != content || res.Header.Get("Content-Disposition") != "attachment" || res.Header.Get("Date") == "" {
		t.Errorf("the link gave %d %v", res.StatusCode, res.Header)
	}
	if res, _ := fetch("GET", strings.Replace(link.URL, "text%2Fhtml", "image%2Fpng", 1), ""); res.StatusCode != 403 {
		t.Errorf("a changed link gave %d", res.StatusCode)
	}
	if res, _ := fetch("PUT", link.URL, "x"); res.StatusCode != 403 {
		t.Errorf("a link to get let put: %d", res.StatusCode)
	}
	link, err = presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: media, Key: aws.String("public/put")})
	must(err)
	if res, text := fetch("PUT", link.URL, ""); res.StatusCode != 200 {
		t.Errorf("the link gave %d %s", res.StatusCode, text)
	}

	out, err := alice.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: media, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("public/copy")}, {Key: aws.String("private/id:bob/x")}, {Key: key}}}})
	must(err)
	if len(out.Deleted) != 2 || len(out.Errors) != 1 || aws.ToString(out.Errors[0].Code) != "AccessDenied" {
		t.Errorf("deleted %v, failed %v", out.Deleted, out.Errors)
	}
	_, err = operator.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("new-bucket"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "any-where-9"}})
	must(err)
	if _, err = operator.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("new-bucket")}); !isType[*types.BucketAlreadyOwnedByYou](err) {
		t.Errorf("got %v", err)
	}
	_, err = operator.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("new-bucket")})
	must(err)
	if _, err = operator.ListBucketInventoryConfigurations(ctx, &s3.ListBucketInventoryConfigurationsInput{Bucket: media}); !isCode(err, "NotImplemented") {
		t.Errorf("got %v", err)
	}
}

func isCode(err error, code string) bool {
	e, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err)
	return ok && e.ErrorCode() == code
}

func isType[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func TestForgedSignature(t *testing.T) {
	w := newWorld(t, signed)
	w.put("media", "public/x", "x")
	c := w.sdk("alice", false, true)
	o := c.Options()
	o.Credentials = credentials.NewStaticCredentialsProvider("operator", "wrong", "")
	_, err := s3.New(o).DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("media"), Key: aws.String("public/x")})
	if !isCode(err, "SignatureDoesNotMatch") || w.content("media", "public/x") != "x" {
		t.Errorf("got %v", err)
	}
	if checks := w.asked(); len(checks) > 0 {
		t.Errorf("the gate was asked: %v", checks)
	}
}
