package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestSDK tells one story in each of the ways in which a client may address a
// bucket: alice works in her folder, and not in that of bob.
func TestSDK(t *testing.T) {
	t.Parallel()
	s := open(t, "dev", t.TempDir())
	alice, bob := s.user(t, "alice"), s.user(t, "bob")
	keys := alice.keys(t)
	secret := "private/" + bob.id + "/secret.txt"
	put(t, s.s3(bob.keys(t)), s.Bucket, secret, []byte("bob's"))

	u, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	client := s.loopback(t)
	for name, change := range map[string]func(*s3.Options){
		"Path": func(*s3.Options) {},
		"Host": func(o *s3.Options) {
			o.BaseEndpoint, o.UsePathStyle, o.HTTPClient = aws.String("http://s3.localhost:"+u.Port()), false, client
		},
		"Region": func(o *s3.Options) { o.Region = "moon-south-99" },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.s3(keys, change)
			dir := "private/" + alice.id + "/" + name + "/"
			object(t, c, s.Bucket, dir)
			conditions(t, c, s.Bucket, dir)
			lists(t, c, s.Bucket, dir)
			parts(t, c, s.Bucket, dir)
			links(t, c, client, s.Bucket, dir)
			denials(t, c, s.Bucket, dir, secret)
		})
	}
}

func put(t *testing.T, c *s3.Client, bucket, key string, data []byte) {
	t.Helper()
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)}); err != nil {
		t.Fatal(err)
	}
}

func read(ctx context.Context, c *s3.Client, bucket, key string) ([]byte, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

func wantObject(t *testing.T, c *s3.Client, bucket, key string, want []byte) {
	t.Helper()
	if got, err := read(t.Context(), c, bucket, key); err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s: %d other bytes than the %d that were put", key, len(got), len(want))
	}
}

func object(t *testing.T, c *s3.Client, bucket, dir string) {
	ctx, key, data := t.Context(), dir+"a b+ü&%.bin", content(1, 200<<10)
	up, err := c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(data), ContentType: aws.String("image/png"),
		CacheControl: aws.String("max-age=60"), Metadata: map[string]string{"colour": "blue"}, ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantObject(t, c, bucket, key, data)
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ContentLength != int64(len(data)) || *head.ContentType != "image/png" || *head.CacheControl != "max-age=60" ||
		head.Metadata["colour"] != "blue" || *head.ETag != *up.ETag || time.Since(*head.LastModified).Abs() > time.Minute {
		t.Errorf("head: %+v", head)
	}
	part, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: aws.String("bytes=100-199")})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Body.Close()
	if got, err := io.ReadAll(part.Body); err != nil || !bytes.Equal(got, data[100:200]) {
		t.Errorf("range: %d bytes, %v", len(got), err)
	}

	to := dir + "copy.bin"
	source := url.PathEscape(bucket + "/" + key)
	if _, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: &to, CopySource: &source}); err != nil {
		t.Fatal(err)
	}
	wantObject(t, c, bucket, to, data)
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &to}); err != nil {
		t.Fatal(err)
	}
	_, err = read(ctx, c, bucket, to)
	wantCode(t, "get of a removed object", err, "NoSuchKey")
}

func conditions(t *testing.T, c *s3.Client, bucket, dir string) {
	ctx, key := t.Context(), dir+"conditional.txt"
	put(t, c, bucket, key, []byte("first"))
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("second"), IfNoneMatch: aws.String("*")})
	wantCode(t, "put where there must be nothing", err, "PreconditionFailed")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("second"), IfMatch: aws.String(`"0123456789abcdef0123456789abcdef"`)})
	wantCode(t, "put over another object", err, "PreconditionFailed")
	wantObject(t, c, bucket, key, []byte("first"))
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, IfNoneMatch: head.ETag})
	wantCode(t, "get of what is known", err, "NotModified")
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("second"), IfMatch: head.ETag}); err != nil {
		t.Error(err)
	}
	wantObject(t, c, bucket, key, []byte("second"))
}

func lists(t *testing.T, c *s3.Client, bucket, dir string) {
	ctx, dir := t.Context(), dir+"list/"
	var want, got, folders []string
	for _, name := range []string{"a", "b", "c/1", "c/2", "d", "é &"} {
		put(t, c, bucket, dir+name, []byte(name))
		want = append(want, dir+name)
	}
	for p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &dir, MaxKeys: aws.Int32(2)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Contents) > 2 {
			t.Errorf("a page of %d", len(page.Contents))
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("list: %q, want %q", got, want)
	}
	got = nil
	page, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &dir, Delimiter: aws.String("/"), StartAfter: aws.String(dir + "a")})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range page.Contents {
		got = append(got, strings.TrimPrefix(*o.Key, dir))
	}
	for _, p := range page.CommonPrefixes {
		folders = append(folders, strings.TrimPrefix(*p.Prefix, dir))
	}
	if !slices.Equal(got, []string{"b", "d", "é &"}) || !slices.Equal(folders, []string{"c/"}) {
		t.Errorf("list of one level: %q and %q", got, folders)
	}

	var all types.Delete
	for _, key := range want {
		all.Objects = append(all.Objects, types.ObjectIdentifier{Key: &key})
	}
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &all})
	if err != nil || len(out.Deleted) != len(want) || len(out.Errors) != 0 {
		t.Errorf("delete of many: %+v, %v", out, err)
	}
	if page, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &dir}); err != nil || len(page.Contents) != 0 {
		t.Errorf("list after the delete: %d objects, %v", len(page.Contents), err)
	}
}

// multipart puts data in parts of 5 MiB, and runs before, if it is not nil, when
// nothing is left but to complete the upload.
func multipart(ctx context.Context, c *s3.Client, bucket, key string, data []byte, before func()) error {
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	var done []types.CompletedPart
	for piece := range slices.Chunk(data, 5<<20) {
		n := aws.Int32(int32(len(done)) + 1)
		part, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(piece)})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{PartNumber: n, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32})
	}
	if before != nil {
		before()
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	return err
}

func parts(t *testing.T, c *s3.Client, bucket, dir string) {
	ctx, key, data := t.Context(), dir+"parts.bin", content(2, 5<<20+1)
	if err := multipart(ctx, c, bucket, key, data, func() {
		_, err := read(ctx, c, bucket, key)
		wantCode(t, "get of an upload under way", err, "NoSuchKey")
	}); err != nil {
		t.Fatal(err)
	}
	wantObject(t, c, bucket, key, data)

	aborted := dir + "aborted.bin"
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &aborted})
	if err != nil {
		t.Fatal(err)
	}
	part := &s3.UploadPartInput{Bucket: &bucket, Key: &aborted, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")}
	if _, err := c.UploadPart(ctx, part); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &aborted, UploadId: up.UploadId}); err != nil {
		t.Fatal(err)
	}
	part.Body = strings.NewReader("late")
	_, err = c.UploadPart(ctx, part)
	wantCode(t, "part of an aborted upload", err, "NoSuchUpload")
}

func links(t *testing.T, c *s3.Client, client *http.Client, bucket, dir string) {
	ctx, key := t.Context(), dir+"by link.txt"
	presign := s3.NewPresignClient(c)
	up, err := presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := fetch(t, client, up.Method, up.URL, "by link"); status != http.StatusOK {
		t.Errorf("put by link: %d", status)
	}
	down, err := presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := fetch(t, client, down.Method, down.URL, ""); status != http.StatusOK || body != "by link" {
		t.Errorf("get by link: %d %q", status, body)
	}
	other := strings.Replace(down.URL, "by%20link.txt", "parts.bin", 1)
	if status, _ := fetch(t, client, down.Method, other, ""); status != http.StatusForbidden {
		t.Errorf("get of another object by that link: %d", status)
	}
	if status, _ := fetch(t, client, "DELETE", down.URL, ""); status != http.StatusForbidden {
		t.Errorf("delete by a link to get: %d", status)
	}
}

func fetch(t *testing.T, client *http.Client, method, link, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// denials tries what the rules do not grant. What is denied says nothing of
// whether the object exists.
func denials(t *testing.T, c *s3.Client, bucket, dir, secret string) {
	ctx := t.Context()
	for _, key := range []string{secret, secret + "-missing"} {
		_, err := read(ctx, c, bucket, key)
		wantCode(t, "get of another's object", err, "AccessDenied")
		_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		wantCode(t, "head of another's object", err, "Forbidden")
		_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
		wantCode(t, "put into another's folder", err, "AccessDenied")
		_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
		wantCode(t, "delete of another's object", err, "AccessDenied")
		_, err = c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		wantCode(t, "upload into another's folder", err, "AccessDenied")
		_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String(dir + "stolen"), CopySource: aws.String(bucket + "/" + key)})
		wantCode(t, "copy of another's object", err, "AccessDenied")
		out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}}}})
		if err != nil || len(out.Deleted) != 0 || len(out.Errors) != 1 || aws.ToString(out.Errors[0].Code) != "AccessDenied" {
			t.Errorf("delete of many, one another's: %+v, %v", out, err)
		}
	}
	_, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String(secret)})
	wantCode(t, "list of another's folder", err, "AccessDenied")
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("hers")})
	wantCode(t, "a user making a bucket", err, "AccessDenied")
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	wantCode(t, "a user removing a bucket", err, "AccessDenied")
}

// TestOperator follows an operator key through its life.
func TestOperator(t *testing.T) {
	t.Parallel()
	s := open(t, "dev", t.TempDir())
	alice := s.user(t, "alice")
	mine := "private/" + alice.id + "/mine.txt"
	put(t, s.s3(alice.keys(t)), s.Bucket, mine, []byte("alice's"))

	keys := s.operator(t)
	c, ctx := s.s3(keys), t.Context()
	wantObject(t, c, s.Bucket, mine, []byte("alice's"))
	page, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.Bucket})
	if err != nil || !slices.ContainsFunc(page.Contents, func(o types.Object) bool { return *o.Key == mine }) {
		t.Errorf("list of all: %+v, %v", page, err)
	}

	name := aws.String("my.bucket")
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		put(t, c, *name, key, []byte(key))
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
	wantCode(t, "delete of a bucket that is not empty", err, "BucketNotEmpty")
	if status, body := deleteBare(t, s, keys, "a", "b"); status != http.StatusOK || strings.Count(body, "<Deleted>") != 2 {
		t.Errorf("delete without a bucket: %d %s", status, body)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name}); err != nil {
		t.Error(err)
	}
	if status, body := deleteBare(t, s, keys, mine); status != http.StatusBadRequest {
		t.Errorf("delete without a bucket, and none with a dot: %d %s", status, body)
	}
	wantObject(t, c, s.Bucket, mine, []byte("alice's"))

	k, err := keys.Retrieve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.admin(t, nil, "keys", "revoke", k.AccessKeyID)
	revoked := time.Now()
	for err = nil; err == nil; _, err = c.ListBuckets(ctx, &s3.ListBucketsInput{}) {
		if time.Since(revoked) > 2*time.Second {
			t.Fatal("a revoked key is good for more than 2 seconds")
		}
	}
	wantCode(t, "use of a revoked key", err, "InvalidAccessKeyId")
}

// deleteBare deletes as an old client does from a bucket with a dot in its name:
// it leaves out the bucket. Its region is the name of a host.
func deleteBare(t *testing.T, s *site, keys aws.CredentialsProvider, names ...string) (status int, answer string) {
	t.Helper()
	k, err := keys.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := "<Delete><Object><Key>" + strings.Join(names, "</Key></Object><Object><Key>") + "</Key></Object></Delete>"
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.Endpoint+"/?delete=", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	md5sum := md5.Sum([]byte(body))
	req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(md5sum[:]))
	req.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if err := v4.NewSigner().SignHTTP(t.Context(), k, req, "UNSIGNED-PAYLOAD", "s3", "localhost:443?", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestUsers adds a user while the server runs, who then signs in.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := open(t, "dev", t.TempDir())
	var added struct{ Password string }
	s.admin(t, &added, "users", "add", "carol", "--group", "admin")
	carol := s.login(t, "carol", added.Password)
	file := filepath.Join(t.TempDir(), "note.txt")
	write(t, file, []byte("from carol"))
	for _, remote := range []string{"private:note.txt", "protected:note.txt", "public:note.txt", "admin/note.txt"} {
		carol.cubby(t, "put", file, remote)
		if got := carol.cubby(t, "get", remote, "-"); got != "from carol" {
			t.Errorf("%s: %q", remote, got)
		}
	}
	carol.cubby(t, "cp", "private:note.txt", "private:copy.txt")
	carol.cubby(t, "rm", "private:note.txt")
	if got := carol.cubby(t, "ls", "private:"); got != "copy.txt\n" {
		t.Errorf("ls: %q", got)
	}
	carol.refused(t, 3, "get", "private:note.txt", "-")

	alice := s.user(t, "alice")
	alice.refused(t, 4, "get", "admin/note.txt", "-")
	alice.refused(t, 4, "get", "private/"+carol.id+"/copy.txt", "-")
	alice.refused(t, 4, "put", file, "protected/"+carol.id+"/note.txt")
	alice.refused(t, 4, "ls", "private/"+carol.id+"/")
	alice.refused(t, 4, "rm", "protected/"+carol.id+"/note.txt")
	alice.refused(t, 4, "cp", "private/"+carol.id+"/copy.txt", "private:stolen.txt")
	if got := alice.cubby(t, "get", "protected/"+carol.id+"/note.txt", "-"); got != "from carol" {
		t.Errorf("protected, read by another: %q", got)
	}

	guest := s.person("guest")
	if got := guest.cubby(t, "get", "public:note.txt", "-"); got != "from carol" {
		t.Errorf("public, read by a guest: %q", got)
	}
	guest.refused(t, 4, "put", file, "public:note.txt")
	guest.refused(t, 4, "put", file, "private:note.txt")
	_, err := s.person("stranger").try("login", "alice", "--endpoint", s.Endpoint)
	if err == nil {
		t.Error("alice signs in without a password")
	}
}
