package s3api

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/memstore"
)

// theKey and otherKey are customers' keys.
var theKey, otherKey = strings.Repeat("k", 32), strings.Repeat("o", 32)

// withKey are the headers that bring a key, for the object or the source of a copy.
func withKey(key string) []string { return keyWith(ownKeyPrefix, key) }

func fromKey(key string) []string {
	return keyWith("x-amz-copy-source-"+ownKeyPrefix[len("x-amz-"):], key)
}
func base64Of(text string) string  { return base64.StdEncoding.EncodeToString([]byte(text)) }
func base64MD5(text string) string { sum := md5.Sum([]byte(text)); return base64Of(string(sum[:])) }

func keyWith(p, key string) []string {
	return []string{p + "algorithm: AES256", p + "key: " + base64Of(key), p + "key-md5: " + base64MD5(key)}
}

const (
	customerAlgorithm = "X-Amz-Server-Side-Encryption-Customer-Algorithm"
	customerMD5       = "X-Amz-Server-Side-Encryption-Customer-Key-Md5"
)

func TestSSE(t *testing.T) {
	w := newWorld(t)
	const uri = "/media/public/x"
	w.do("alice", "PUT", uri, "content", "X-Amz-Server-Side-Encryption: AES256").is(200).has("X-Amz-Server-Side-Encryption", "AES256")
	w.do("alice", "GET", uri, "").is(200).has("X-Amz-Server-Side-Encryption", "AES256").has(customerAlgorithm, "")
	context := base64Of(`{"app":"x"}`)
	kms := []string{"X-Amz-Server-Side-Encryption: aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id: default", "X-Amz-Server-Side-Encryption-Context: " + context, "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled: false"}
	w.do("alice", "PUT", uri, "content", kms...).is(200).has("X-Amz-Server-Side-Encryption", "aws:kms").has("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "default")
	w.do("alice", "HEAD", uri, "").is(200).has("X-Amz-Server-Side-Encryption", "aws:kms").has("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "default")
	w.do("alice", "POST", uri+"?uploads", "", kms...).is(200).has("X-Amz-Server-Side-Encryption", "aws:kms")
	// A copy onto itself may change how it is encrypted.
	w.do("alice", "PUT", uri, "", "X-Amz-Copy-Source: "+uri, "X-Amz-Server-Side-Encryption: AES256").is(200).has("X-Amz-Server-Side-Encryption", "AES256")

	for header, code := range map[string]string{
		"X-Amz-Server-Side-Encryption: aes256":                                    "InvalidArgument",
		"X-Amz-Server-Side-Encryption: ":                                          "InvalidArgument",
		"X-Amz-Server-Side-Encryption: aws:kms:dsse":                              "NotImplemented",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id: mine":                       "InvalidArgument",
		"X-Amz-Server-Side-Encryption-Context: " + context:                        "InvalidArgument",
		"X-Amz-Server-Side-Encryption-Bucket-Key-Enabled: true":                   "NotImplemented",
		"X-Amz-Server-Side-Encryption-Bucket-Key-Enabled: maybe":                  "InvalidArgument",
		"X-Amz-Server-Side-Encryption-Customer-Algorithm: AES256":                 "InvalidArgument",
		"X-Amz-Server-Side-Encryption-Customer-Key: " + base64Of(theKey):          "InvalidArgument",
		"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key: " + base64Of("x"): "NotImplemented",
	} {
		if r := w.do("alice", "PUT", uri, "hostile", header); r.element("Code") != code {
			t.Errorf("%s: got %d %s", header, r.status, r.body)
		}
	}
	for _, context := range []string{"x", base64Of("x"), base64Of("null"), base64Of(`["a"]`), base64Of(`{"a":1}`), base64Of(`{"a":"` + strings.Repeat("x", maxKMSContext) + `"}`)} {
		w.do("alice", "PUT", uri, "hostile", "X-Amz-Server-Side-Encryption: aws:kms", "X-Amz-Server-Side-Encryption-Context: "+context).is(400, "InvalidArgument")
	}
	w.do("alice", "PUT", uri, "hostile", append(withKey(theKey), "X-Amz-Server-Side-Encryption: AES256")...).is(400, "InvalidArgument")
	// What S3 takes no such header for refuses it, so that nobody believes in it.
	for _, request := range [][2]string{{"GET", uri}, {"PUT", uri + "?partNumber=1&uploadId=x"}, {"GET", "/media"}} {
		r := w.do("alice", request[0], request[1], "", "X-Amz-Server-Side-Encryption: AES256").is(400, "InvalidArgument")
		if r.element("ArgumentName") != sseHeader || r.element("ArgumentValue") != "AES256" {
			t.Errorf("got %s", r.body)
		}
	}
	if r := w.do("alice", "GET", uri, ""); r.body != "content" {
		t.Errorf("the object is %q", r.body)
	}
	// A store that cannot says so, and keeps nothing.
	plain := newWorldOver(t, func(*memstore.Store) store.Service {
		s := memstore.New()
		if err := s.CreateBucket(t.Context(), "media"); err != nil {
			t.Fatal(err)
		}
		return s
	})
	plain.do("alice", "PUT", uri, "content", "X-Amz-Server-Side-Encryption: aws:kms").is(501, "NotImplemented")
	plain.do("alice", "GET", uri, "").is(404, "NoSuchKey")
}

// TestUnknownKeysOfKMS are no question of who may do what.
func TestUnknownKeysOfKMS(t *testing.T) {
	w := newWorld(t)
	const uri = "/media/public/x"
	w.do("alice", "PUT", uri, "content").is(200)
	unknown := []string{"X-Amz-Server-Side-Encryption: aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id: mine"}
	w.do("alice", "PUT", uri, "other", unknown...).is(400, "KMS.NotFoundException")
	w.do("alice", "PUT", uri, "", append(unknown, "X-Amz-Copy-Source: "+uri)...).is(400, "KMS.NotFoundException")
	w.do("alice", "POST", uri+"?uploads", "", unknown...).is(400, "KMS.NotFoundException")
	w.do("guest", "PUT", uri, "other", unknown...).is(403, "AccessDenied")
	if got := w.content("media", "public/x"); got != "content" {
		t.Errorf("the object is %q", got)
	}
}

func TestCustomersKeys(t *testing.T) {
	w := newWorld(t)
	const uri = "/media/public/x"
	sum := base64MD5(theKey)
	w.do("alice", "PUT", uri, "content", withKey(theKey)...).is(200).has(customerAlgorithm, "AES256").has(customerMD5, sum).has("X-Amz-Server-Side-Encryption", "")
	for _, method := range []string{"GET", "HEAD"} {
		w.do("alice", method, uri, "", withKey(theKey)...).is(200).has(customerAlgorithm, "AES256").has(customerMD5, sum).has("Content-Length", "7")
		w.do("alice", method, uri, "", append(withKey(theKey), "Range: bytes=2-3")...).is(206).has("Content-Length", "2")
		w.do("alice", method, uri, "", append(withKey(theKey), "Range: bytes=9-")...).is(416).has("Content-Range", "bytes */7")
		w.do("alice", method, uri, "").is(400)
		w.do("alice", method, uri, "", withKey(otherKey)...).is(403)
	}
	w.do("alice", "GET", uri, "").is(400, "InvalidRequest")
	w.do("alice", "GET", uri, "", withKey(otherKey)...).is(403, "AccessDenied")
	etag := w.do("alice", "GET", uri, "", withKey(theKey)...).header.Get("Etag")
	w.do("alice", "GET", uri, "", append(withKey(theKey), "If-None-Match: "+etag)...).is(304).has("Etag", etag)
	w.do("alice", "GET", uri+"?attributes", "", "X-Amz-Object-Attributes: ObjectSize").is(400, "InvalidRequest")
	w.do("alice", "GET", uri+"?attributes", "", append(withKey(theKey), "X-Amz-Object-Attributes: ObjectSize")...).is(200)
	w.do("alice", "GET", uri+"?acl", "").is(200)
	w.do("alice", "GET", uri+"?tagging", "").is(200)

	// Copies need the key of the source, and have one of their own or none.
	const copied = "/media/public/copy"
	src := "X-Amz-Copy-Source: " + uri
	w.do("alice", "PUT", copied, "", src).is(400, "InvalidRequest")
	w.do("alice", "PUT", copied, "", append(fromKey(otherKey), src)...).is(403, "AccessDenied")
	w.do("alice", "PUT", copied, "", append(fromKey(theKey), src)...).is(200).has(customerMD5, "")
	w.do("alice", "PUT", copied, "", append(append(fromKey(theKey), withKey(otherKey)...), src)...).is(200).has(customerMD5, base64MD5(otherKey))
	w.do("alice", "GET", copied, "", withKey(otherKey)...).is(200)
	// A copy onto itself may leave the key out.
	w.do("alice", "PUT", copied, "", append(fromKey(otherKey), "X-Amz-Copy-Source: "+copied)...).is(200).has(customerMD5, "")
	w.do("alice", "GET", copied, "").is(200)

	// Every part needs the key of the upload.
	r := w.do("alice", "POST", copied+"?uploads", "", withKey(theKey)...).is(200).has(customerMD5, sum)
	part := copied + "?partNumber=1&uploadId=" + r.element("UploadId")
	w.do("alice", "PUT", part, "part").is(400, "InvalidRequest")
	w.do("alice", "PUT", part, "part", withKey(otherKey)...).is(403, "AccessDenied")
	w.do("alice", "PUT", part, "part", withKey(theKey)...).is(200).has(customerMD5, sum)
	w.do("alice", "PUT", part, "", append(withKey(theKey), src)...).is(400, "InvalidRequest")
	w.do("alice", "PUT", part, "", append(append(fromKey(theKey), withKey(theKey)...), src)...).is(200).has(customerMD5, sum)
	list := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
	w.do("alice", "POST", copied+"?uploadId="+r.element("UploadId"), list, withKey(theKey)...).is(200).has(customerMD5, sum)
	if r := w.do("alice", "GET", copied, "", withKey(theKey)...).is(200); r.body != "content" {
		t.Errorf("got %q", r.body)
	}
}

// TestUploadsAreEncryptedAsTheyBegan checks what minio-go says twice.
func TestUploadsAreEncryptedAsTheyBegan(t *testing.T) {
	keys := &crypt.Keys{Server: crypt.NewLocal(slices.Values([][32]byte{{1}}))}
	w := newWorldOver(t, func(*memstore.Store) store.Service { return &memstore.Store{Options: memstore.Options{Keys: keys}} })
	w.do("operator", "PUT", "/media", "").is(200)
	w.do("alice", "PUT", "/media/public/src", "content").is(200)
	const uri, sealed = "/media/public/x", "X-Amz-Server-Side-Encryption: AES256"
	for _, begun := range []bool{true, false} {
		var headers []string
		ok := func(r *response) *response { return r.is(400, "InvalidArgument") }
		if begun {
			headers = []string{sealed}
			ok = func(r *response) *response { return r.is(200) }
		}
		id := w.do("alice", "POST", uri+"?uploads", "", headers...).is(200).element("UploadId")
		ok(w.do("alice", "PUT", uri+"?partNumber=1&uploadId="+id, "", "X-Amz-Copy-Source: media/public/src", sealed))
		etag := w.do("alice", "PUT", uri+"?partNumber=1&uploadId="+id, "content").is(200).header.Get("Etag")
		list := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + etag + "</ETag></Part></CompleteMultipartUpload>"
		w.do("alice", "POST", uri+"?uploadId="+id, list, "X-Amz-Server-Side-Encryption: aws:kms").is(400, "InvalidArgument")
		ok(w.do("alice", "POST", uri+"?uploadId="+id, list, sealed))
	}
	w.do("alice", "GET", uri, "").is(200).has("X-Amz-Server-Side-Encryption", "AES256")
}

// TestCustomersKeysAreChecked before anything is done with them, and show nowhere.
func TestCustomersKeysAreChecked(t *testing.T) {
	w := newWorld(t)
	const uri = "/media/public/x"
	algorithm, key, sum := ownKeyPrefix+"algorithm: ", ownKeyPrefix+"key: ", ownKeyPrefix+"key-md5: "
	for _, h := range [][]string{
		{algorithm + "AES256", key + base64Of(theKey)},
		{algorithm + "AES256", sum + base64MD5(theKey)},
		{key + base64Of(theKey), sum + base64MD5(theKey)},
		{algorithm + "aws:kms", key + base64Of(theKey), sum + base64MD5(theKey)},
		{algorithm + "AES256", key + base64Of(theKey), sum + base64MD5(otherKey)},
		{algorithm + "AES256", key + base64Of(theKey[1:]), sum + base64MD5(theKey[1:])},
		{algorithm + "AES256", key + theKey, sum + base64MD5(theKey)},
		{algorithm + "AES256", key, sum + base64MD5("")},
	} {
		for _, method := range []string{"PUT", "GET"} {
			r := w.do("alice", method, uri, "", h...).is(400, "InvalidArgument")
			if strings.Contains(r.body, base64Of(theKey)) || strings.Contains(r.body, theKey) {
				t.Errorf("the key shows: %s", r.body)
			}
		}
	}
	w.do("alice", "GET", uri+"?"+ownKeyPrefix+"key=x", "", withKey(theKey)...).is(400, "InvalidArgument")
	w.do("alice", "PUT", uri+"?"+ownKeyPrefix+"algorithm=AES256", "").is(400, "InvalidArgument")

	// Over a line that others might read.
	far := append(withKey(theKey), "Remote: 192.0.2.1:4000")
	w.do("alice", "PUT", uri, "x", far...).is(400, "InvalidRequest")
	w.do("alice", "GET", uri, "", far...).is(400, "InvalidRequest")
	w.do("alice", "PUT", uri, "x", append(withKey(theKey), "Remote: [::1]:4000")...).is(200)
	w.do("alice", "PUT", uri, "x", append(withKey(theKey), "Remote: @")...).is(400, "InvalidRequest")
	open := newWorld(t, func(o *Options) { o.PlainKeys = true })
	open.do("alice", "PUT", uri, "x", far...).is(200)
	if len(w.failed)+len(open.failed) > 0 {
		t.Errorf("failed: %v %v", w.failed, open.failed)
	}
}

func TestCustomersKeysOfForms(t *testing.T) {
	w := newWorld(t, signed)
	f := newPost("alice", "public/x")
	for _, h := range withKey(theKey) {
		name, v, _ := strings.Cut(h, ": ")
		f.with(name, v)
	}
	w.post(f).is(204).has(customerMD5, base64MD5(theKey))
	w.post(newPost("alice", "public/y").with("x-amz-server-side-encryption", "AES256")).is(204).has("X-Amz-Server-Side-Encryption", "AES256")
	w.post(newPost("alice", "public/z").with("x-amz-server-side-encryption", "none")).is(400, "InvalidArgument")
	w.post(newPost("alice", "public/z").with(sseHeader, "aws:kms").with(sseHeader+"-aws-kms-key-id", "mine")).is(400, "KMS.NotFoundException")
	w.post(newPost("alice", "public/z").with(ownKeyPrefix+"key", base64Of(theKey))).is(400, "InvalidArgument")
}

func TestCustomersKeysSDK(t *testing.T) {
	w := newWorld(t, signed)
	ctx, client := t.Context(), w.sdk("alice", true, true)
	media, key := aws.String("media"), aws.String("public/x")
	in := &s3.PutObjectInput{Bucket: media, Key: key, Body: strings.NewReader("content"), SSECustomerAlgorithm: aws.String("AES256"), SSECustomerKey: aws.String(base64Of(theKey)), SSECustomerKeyMD5: aws.String(base64MD5(theKey))}
	put, err := client.PutObject(ctx, in)
	if err != nil || *put.SSECustomerKeyMD5 != base64MD5(theKey) {
		t.Fatalf("got %+v, %v", put, err)
	}
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key, SSECustomerAlgorithm: aws.String("AES256"), SSECustomerKey: aws.String(base64Of(theKey)), SSECustomerKeyMD5: aws.String(base64MD5(theKey))})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(got.Body)
	if err := errors.Join(err, got.Body.Close()); err != nil || string(text) != "content" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key}); !isCode(err, "InvalidRequest") {
		t.Errorf("got %v", err)
	}
	kms, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: media, Key: key, Body: strings.NewReader("x"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String("default")})
	if err != nil || kms.ServerSideEncryption != types.ServerSideEncryptionAwsKms || *kms.SSEKMSKeyId != "default" {
		t.Errorf("got %+v, %v", kms, err)
	}
}

// FuzzCustomerKey holds that a key that is taken is the one that was sent, and that an
// error does not show it.
func FuzzCustomerKey(f *testing.F) {
	f.Add("AES256", base64Of(theKey), base64MD5(theKey))
	f.Add("AES256", base64Of(theKey), base64MD5(otherKey))
	f.Add("AES256", base64Of(theKey)[:42]+"v=", base64MD5(theKey)) // bits that mean nothing
	f.Add("aws:kms", "", "")
	f.Add("AES256", base64Of(theKey)+"\n", base64MD5(theKey))
	f.Fuzz(func(t *testing.T, algorithm, key, sum string) {
		b, err := parseCustomerKey(algorithm, key, sum)
		if err != nil {
			if len(key) > 16 && strings.Contains(err.Error(), key) {
				t.Errorf("the key shows in %q", err)
			}
			return
		}
		if len(b) != 32 || algorithm != "AES256" || sum != base64MD5(string(b)) || strings.NewReplacer("\r", "", "\n", "").Replace(key) != base64Of(string(b)) {
			t.Errorf("%q %q %q is %q", algorithm, key, sum, b)
		}
	})
}

// FuzzVersion holds that the id of a version can be sent back as a header.
func FuzzVersion(f *testing.F) {
	for _, s := range []string{"", "null", "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo", "a b", "a\r\nb", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkVersion("versionId", s) == nil && (s == "" || !printable(s) || strings.TrimSpace(s) != s || len(s) > maxVersion) {
			t.Errorf("%q is taken", s)
		}
		if src, err := parseSource("media/key?versionId=" + s); err == nil && checkVersion("versionId", src.version) != nil {
			t.Errorf("%q is %q as a source", s, src.version)
		}
	})
}
