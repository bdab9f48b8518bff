package s3api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

const big = store.MinPartSize

// upload starts a multipart upload and returns the query that names it.
func (w *world) upload(user, uri string, headers ...string) string {
	w.t.Helper()
	id := w.do(user, "POST", uri+"?uploads", "", headers...).is(200).element("UploadId")
	if id == "" {
		w.t.Fatal("no upload id")
	}
	return "?uploadId=" + id
}

// completion returns the list of parts 1 to n, without entity tags.
func completion(n int) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for i := range n {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber></Part>", i+1)
	}
	b.WriteString("</CompleteMultipartUpload>")
	return b.String()
}

func TestMultipart(t *testing.T) {
	w := newWorld(t)
	first, second := strings.Repeat("a", big), "end"
	const uri = "/media/private/id:alice/film.mp4"
	u := w.upload("alice", uri, "Content-Type: video/mp4", "X-Amz-Meta-Title: T", "X-Amz-Checksum-Algorithm: CRC32", "X-Amz-Checksum-Type: FULL_OBJECT", "X-Amz-Tagging: a=b")
	tag2 := w.do("alice", "PUT", uri+u+"&partNumber=2", second, "X-Amz-Checksum-Crc32: "+crc(second)).is(200).has("X-Amz-Checksum-Crc32", crc(second)).header.Get("ETag")
	tag1 := w.do("alice", "PUT", uri+u+"&partNumber=1", first, "Content-MD5: "+md5sum(first)).is(200).header.Get("ETag")
	w.do("alice", "PUT", uri+u+"&partNumber=1", "half", "Content-MD5: "+md5sum(first)).is(400, "BadDigest")

	r := w.do("alice", "GET", uri+u+"&x-id=ListParts", "").is(200)
	if fmt.Sprint(r.elements("PartNumber"), r.elements("Size")) != fmt.Sprintf("[1 2] [%d 3]", big) || r.element("ChecksumType") != "FULL_OBJECT" || r.element("IsTruncated") != "false" {
		t.Errorf("parts %s", r.body)
	}
	r = w.do("alice", "GET", uri+u+"&max-parts=1&encoding-type=url", "").is(200)
	if r.element("NextPartNumberMarker") != "1" || r.element("IsTruncated") != "true" || r.element("Key") != "private/id%3Aalice/film.mp4" {
		t.Errorf("parts %s", r.body)
	}
	if r = w.do("alice", "GET", uri+u+"&part-number-marker=1", "").is(200); fmt.Sprint(r.elements("PartNumber")) != "[2]" {
		t.Errorf("parts %s", r.body)
	}
	if r = w.do("operator", "GET", "/media?uploads", "").is(200); r.element("Key") != "private/id:alice/film.mp4" || strings.Contains(r.body, "<ID>id:alice</ID>") {
		t.Errorf("uploads %s", r.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		w.do("bob", method, uri+u, "").is(403, "AccessDenied")
	}
	w.do("bob", "PUT", uri+u+"&partNumber=1", "x").is(403, "AccessDenied")
	w.do("bob", "POST", uri+u, completion(2)).is(403, "AccessDenied")

	done := fmt.Sprintf("<CompleteMultipartUpload><Part><ETag>&quot;%s&quot;</ETag><PartNumber>1</PartNumber></Part><Part><ETag>%s</ETag><PartNumber>2</PartNumber><ChecksumCRC32>%s</ChecksumCRC32></Part></CompleteMultipartUpload>",
		strings.Trim(tag1, `"`), strings.Trim(tag2, `"`), crc(second))
	w.do("alice", "POST", uri+u, done, "X-Amz-Checksum-Crc32: "+crc("other"), "X-Amz-Checksum-Type: FULL_OBJECT").is(400, "BadDigest")
	w.do("alice", "POST", uri+u, done, "X-Amz-Mp-Object-Size: 7").is(400, "InvalidRequest")
	w.do("alice", "POST", uri+u, done, "X-Amz-Mp-Object-Size: x").is(400, "InvalidRequest")
	r = w.do("alice", "POST", uri+u, done, "X-Amz-Checksum-Crc32: "+crc(first+second), "X-Amz-Checksum-Type: FULL_OBJECT", "If-None-Match: *").is(200)
	if !strings.HasSuffix(r.element("ETag"), "-2&quot;") || r.element("Location") != "http://127.0.0.1:20005"+uri || r.element("ChecksumCRC32") != crc(first+second) {
		t.Errorf("completed %s", r.body)
	}
	// Who repeats it has not got the answer. Another list of parts is not a repetition.
	if again := w.do("alice", "POST", uri+u, done).is(200); again.element("ETag") != r.element("ETag") {
		t.Errorf("completed again %s", again.body)
	}
	w.do("alice", "POST", uri+u, completion(1)).is(404, "NoSuchUpload")
	w.do("bob", "POST", uri+u, done).is(403, "AccessDenied")
	if got := w.content("media", "private/id:alice/film.mp4"); got != first+second {
		t.Errorf("%d bytes", len(got))
	}
	w.do("alice", "GET", uri, "", "X-Amz-Checksum-Mode: ENABLED").is(200).has("Content-Type", "video/mp4").has("x-amz-meta-title", "T").has("X-Amz-Checksum-Crc32", crc(first+second)).
		has("X-Amz-Mp-Parts-Count", "").has("X-Amz-Tagging-Count", "1")
	for _, method := range []string{"GET", "HEAD"} {
		w.do("alice", method, uri+"?partNumber=2", "").is(206).has("X-Amz-Mp-Parts-Count", "2").has("Content-Length", "3").has("Content-Range", fmt.Sprintf("bytes %d-%d/%d", big, big+2, big+3))
		w.do("alice", method, uri+"?partNumber=3", "").is(416)
	}
}

func TestMultipartRefuses(t *testing.T) {
	w := newWorld(t)
	const uri = "/media/public/x"
	u := w.upload("alice", uri)
	w.do("alice", "PUT", uri+u+"&partNumber=1", "small").is(200)
	w.do("alice", "PUT", uri+u+"&partNumber=2", "small").is(200)
	for _, n := range []string{"0", "-1", "10001", "x", ""} {
		w.do("alice", "PUT", uri+u+"&partNumber="+n, "x").is(400, "InvalidArgument")
	}
	part := func(n, etag string) string {
		return "<Part><PartNumber>" + n + "</PartNumber><ETag>" + etag + "</ETag></Part>"
	}
	for _, c := range []struct{ body, code string }{
		{completion(2), "EntityTooSmall"},
		{completion(3), "InvalidPart"},
		{"<CompleteMultipartUpload>" + part("1", "abc") + "</CompleteMultipartUpload>", "InvalidPart"},
		{"<CompleteMultipartUpload>" + part("2", "") + part("1", "") + "</CompleteMultipartUpload>", "InvalidPartOrder"},
		{"<CompleteMultipartUpload>" + part("1", "") + part("1", "") + "</CompleteMultipartUpload>", "InvalidPartOrder"},
		{"<CompleteMultipartUpload>" + part("0", "") + "</CompleteMultipartUpload>", "InvalidArgument"},
		{"<CompleteMultipartUpload>" + part("99999999999999999999", "") + "</CompleteMultipartUpload>", "MalformedXML"},
		{"<CompleteMultipartUpload/>", "MalformedXML"},
		{"<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>", "MalformedXML"},
		{completion(store.MaxParts + 1), "MalformedXML"},
		{"", "MalformedXML"},
		{"<Delete/>", "MalformedXML"},
		{strings.Repeat(" ", maxCompleteBody+1), "MaxMessageLengthExceeded"},
	} {
		w.do("alice", "POST", uri+u, c.body).is(400, c.code)
	}
	for _, id := range []string{"?uploadId=", "?uploadId=none", "?uploadId=..%2F..%2Fx", "?uploadId=%00", "?uploadId=" + strings.Repeat("x", 2000)} {
		w.do("alice", "PUT", uri+id+"&partNumber=1", "x").is(404, "NoSuchUpload")
		w.do("alice", "GET", uri+id, "").is(404, "NoSuchUpload")
		w.do("alice", "POST", uri+id, completion(1)).is(404, "NoSuchUpload")
		w.do("alice", "DELETE", uri+id, "").is(404, "NoSuchUpload")
	}
	w.do("bob", "DELETE", uri+u, "").is(404, "NoSuchUpload") // it is alice's
	w.do("alice", "PUT", "/media/public/y"+u+"&partNumber=1", "x").is(404, "NoSuchUpload")
	w.do("guest", "POST", uri+"?uploads", "").is(403, "AccessDenied")
	w.do("alice", "POST", uri+"?uploads", "", "X-Amz-Checksum-Algorithm: MD4").is(400, "InvalidRequest")
	w.do("alice", "POST", uri+"?uploads", "", "X-Amz-Checksum-Algorithm: SHA512").is(501, "NotImplemented")
	w.do("alice", "POST", uri+"?uploads", "", "X-Amz-Checksum-Algorithm: SHA1", "X-Amz-Checksum-Type: FULL_OBJECT").is(400, "InvalidRequest")
	w.do("alice", "POST", uri+"?uploads", "", "X-Amz-Checksum-Type: HALF").is(400, "InvalidRequest")
	w.put("media", "public/x", "there")
	w.do("alice", "POST", uri+u, completion(1), "If-None-Match: *").is(412, "PreconditionFailed")
	w.do("alice", "DELETE", uri+u, "").is(204)
	w.do("alice", "DELETE", uri+u, "").is(404, "NoSuchUpload")
	w.do("alice", "PUT", uri+u+"&partNumber=1", "late").is(404, "NoSuchUpload")
}

func TestListMultipartUploads(t *testing.T) {
	w := newWorld(t)
	for _, k := range []string{"public/a", "public/b/1", "public/b/2", "public/c d"} {
		w.upload("alice", "/media/"+strings.ReplaceAll(k, " ", "%20"))
	}
	r := w.do("alice", "GET", "/media?uploads&prefix=public/&delimiter=/&encoding-type=url", "").is(200)
	if got := fmt.Sprint(r.elements("Key"), r.elements("Prefix"), r.elements("IsTruncated"), r.elements("MaxUploads")); got != "[public/a public/c%20d] [public/ public/b/] [false] [1000]" {
		t.Errorf("got %s", got)
	}
	var keys []string
	for after := ""; ; {
		r := w.do("alice", "GET", "/media?uploads&max-uploads=1&prefix=public/"+after, "").is(200)
		keys = append(keys, r.elements("Key")...)
		if r.element("IsTruncated") != "true" {
			break
		}
		after = "&key-marker=" + r.element("NextKeyMarker") + "&upload-id-marker=" + r.element("NextUploadIdMarker")
	}
	if got := strings.Join(keys, ","); got != "public/a,public/b/1,public/b/2,public/c d" {
		t.Errorf("got %s", got)
	}
	if r := w.do("bob", "GET", "/media?uploads&prefix=public/", "").is(200); len(r.elements("Key")) != 0 {
		t.Errorf("bob sees %s", r.body)
	}
	w.do("guest", "GET", "/media?uploads&prefix=private/", "").is(403, "AccessDenied")
	if r := w.do("alice", "GET", "/media?uploads&max-uploads=0&prefix=public/", "").is(200); len(r.elements("Key")) != 0 || r.element("IsTruncated") != "false" {
		t.Errorf("got %s", r.body)
	}
}
