package s3api

import (
	"fmt"
	"strings"
	"testing"
)

func TestCopy(t *testing.T) {
	w := newWorld(t)
	w.do("alice", "PUT", "/media/private/id:alice/a%20+%C3%A9%2520", "text", "Content-Type: text/plain", "X-Amz-Meta-A: b", "X-Amz-Tagging: k=v").is(200)
	for _, src := range []string{
		"media/private/id:alice/a +é%2520", "/media/private/id:alice/a%20+%C3%A9%2520", "media%2Fprivate%2Fid%3Aalice%2Fa%20%2B%C3%A9%2520", "media/private/id:alice/a%20%2B%c3%a9%2520",
	} {
		r := w.do("alice", "PUT", "/other/public/copy", "", "X-Amz-Copy-Source: "+src, "X-Amz-Metadata-Directive: COPY", "X-Amz-Tagging-Directive: COPY").is(200)
		if !strings.HasPrefix(r.element("ETag"), "&quot;") || r.element("LastModified") == "" {
			t.Errorf("got %s", r.body)
		}
		w.do("alice", "GET", "/other/public/copy", "").is(200).has("Content-Type", "text/plain").has("x-amz-meta-a", "b").has("X-Amz-Tagging-Count", "1")
		w.do("alice", "DELETE", "/other/public/copy", "").is(204)
	}
	const src = "X-Amz-Copy-Source: media/private/id:alice/a%20+%C3%A9%2520"
	w.do("alice", "PUT", "/media/public/copy", "", src, "X-Amz-Metadata-Directive: REPLACE", "Content-Type: image/png", "X-Amz-Tagging-Directive: REPLACE").is(200)
	w.do("alice", "GET", "/media/public/copy", "").is(200).has("Content-Type", "image/png").has("x-amz-meta-a", "").has("X-Amz-Tagging-Count", "")
	w.do("alice", "PUT", "/media/public/copy", "", "X-Amz-Copy-Source: media/public/copy").is(400, "InvalidRequest")
	w.do("alice", "PUT", "/media/public/copy", "", "X-Amz-Copy-Source: media/public/copy", "X-Amz-Metadata-Directive: REPLACE", "X-Amz-Meta-New: 1").is(200)
	w.do("alice", "HEAD", "/media/public/copy", "").has("x-amz-meta-new", "1")
}

func TestCopySourceInLatin1(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/é", "text")
	w.do("alice", "PUT", "/media/public/copy", "", "X-Amz-Copy-Source: media/public/\xe9").is(200)
}

func TestCopyRefuses(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/x", "text")
	for _, c := range []struct {
		src    string
		status int
		code   string
	}{
		{"media", 400, "InvalidArgument"},
		{"media/", 400, "InvalidArgument"},
		{"/", 400, "InvalidArgument"},
		{"", 400, "InvalidArgument"},
		{"Media/x", 400, "InvalidBucketName"},
		{"media/public/x%3FversionId=1", 404, "NoSuchKey"},
		{"media/public/%FF", 400, "InvalidURI"},
		{"media/public/none", 404, "NoSuchKey"},
		{"nowhere/public/x", 403, "AccessDenied"},
		{"media/" + strings.Repeat("x", 2000), 400, "KeyTooLongError"},
		{"arn:aws:s3:::media/public/x", 400, "InvalidBucketName"},
	} {
		w.do("alice", "PUT", "/media/public/copy", "", "X-Amz-Copy-Source: "+c.src).is(c.status, c.code)
	}
	const src = "X-Amz-Copy-Source: media/public/x"
	w.do("alice", "PUT", "/media/public/copy", "", src, "X-Amz-Metadata-Directive: MERGE").is(400, "InvalidArgument")
	w.do("alice", "PUT", "/media/public/copy", "", src, "X-Amz-Tagging-Directive: MERGE").is(400, "InvalidArgument")
	w.do("alice", "PUT", "/media/public/copy", "content", src).is(400, "InvalidRequest")
	for _, h := range []string{
		`X-Amz-Copy-Source-If-Match: "a"`, "X-Amz-Copy-Source-If-None-Match: *", "X-Amz-Copy-Source-If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
		"X-Amz-Copy-Source-If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT", "X-Amz-Copy-Source-If-Unmodified-Since: 2000-01-01T00:00:00Z",
	} {
		w.do("alice", "PUT", "/media/public/copy", "", src, h).is(412, "PreconditionFailed")
	}
	w.do("alice", "PUT", "/media/public/copy", "", src, "X-Amz-Copy-Source-If-Unmodified-Since: whenever").is(400, "InvalidArgument")
	w.do("alice", "PUT", "/media/public/x", "", "X-Amz-Copy-Source: media/public/x", "If-None-Match: *", "X-Amz-Metadata-Directive: REPLACE").is(412, "PreconditionFailed")
	if got := w.content("media", "public/copy"); got != "" {
		t.Errorf("there is a copy: %q", got)
	}
}

// TestCopyAsksForBothEnds goes through who may read the source and who may write
// the destination, for both ways to copy.
func TestCopyAsksForBothEnds(t *testing.T) {
	w := newWorld(t)
	const mine, hers, public, drop = "private/id:bob/x", "private/id:alice/x", "public/x", "drop/x"
	for _, bucket := range []string{"media", "other"} {
		for _, k := range []string{mine, hers, public, drop} {
			w.put(bucket, k, "text of "+k)
		}
	}
	reads := map[string]bool{mine: true, public: true}
	writes := map[string]bool{mine: true, public: true, drop: true}
	for _, srcBucket := range []string{"media", "other"} {
		for _, src := range []string{mine, hers, public, drop} {
			for _, dst := range []string{mine, hers, public, drop} {
				what := fmt.Sprintf("%s/%s to %s", srcBucket, src, dst)
				from := "X-Amz-Copy-Source: " + srcBucket + "/" + src
				before := w.content("media", dst+".copy")
				r := w.do("bob", "PUT", "/media/"+dst+".copy", "", from)
				if ok := reads[src] && writes[dst]; (r.status == 200) != ok || !ok && (r.status != 403 || w.content("media", dst+".copy") != before) {
					t.Errorf("%s: %d %s", what, r.status, r.body)
				}
				if !writes[dst] {
					w.do("bob", "PUT", "/media/"+dst+"?uploadId=x&partNumber=1", "", from).is(403, "AccessDenied")
					continue
				}
				u := w.upload("bob", "/media/"+dst)
				r = w.do("bob", "PUT", "/media/"+dst+u+"&partNumber=1", "", from)
				if (r.status == 200) != reads[src] || !reads[src] && r.status != 403 {
					t.Errorf("part of %s: %d %s", what, r.status, r.body)
				}
				w.do("bob", "DELETE", "/media/"+dst+u, "").is(204)
			}
		}
	}
}

func TestUploadPartCopy(t *testing.T) {
	w := newWorld(t)
	w.put("other", "public/src", "0123456789")
	const uri, src = "/media/public/x", "X-Amz-Copy-Source: /other/public/src"
	u := w.upload("alice", uri)
	r := w.do("alice", "PUT", uri+u+"&partNumber=1", "", src, "X-Amz-Copy-Source-Range: bytes=2-4").is(200)
	if !strings.Contains(r.body, "<CopyPartResult ") || r.element("LastModified") == "" {
		t.Errorf("got %s", r.body)
	}
	for _, rang := range []string{"bytes=2-", "bytes=-2", "bytes=4-2", "2-4", "bytes=0-10", "bytes=20-30"} {
		w.do("alice", "PUT", uri+u+"&partNumber=1", "", src, "X-Amz-Copy-Source-Range: "+rang).is(400, "InvalidArgument")
	}
	w.do("alice", "PUT", uri+u+"&partNumber=1", "", src, `X-Amz-Copy-Source-If-Match: "a"`).is(412, "PreconditionFailed")
	w.do("alice", "POST", uri+u, completion(1)).is(200)
	if got := w.content("media", "public/x"); got != "234" {
		t.Errorf("got %q", got)
	}
}
