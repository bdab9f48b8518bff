package s3api

import (
	"context"
	"testing"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// TestWritesHeedConditions or refuse them: none is passed over.
func TestWritesHeedConditions(t *testing.T) {
	w := newWorld(t)
	const uri = "/media/public/x"
	w.put("media", "public/x", "x")
	w.put("media", "public/src", "src")
	tag := w.do("alice", "HEAD", uri, "").is(200).header.Get("Etag")
	src := "X-Amz-Copy-Source: media/public/src"
	complete := func(user string, conditions ...string) *response {
		id := w.do(user, "POST", uri+"?uploads", "").is(200).element("UploadId")
		w.do(user, "PUT", uri+"?partNumber=1&uploadId="+id, "x").is(200)
		return w.do(user, "POST", uri+"?uploadId="+id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", conditions...)
	}
	for _, date := range []string{"If-Modified-Since: ", "If-Unmodified-Since: "} {
		date += "Sat, 01 Jan 2000 00:00:00 GMT"
		w.do("alice", "PUT", uri, "y", date).is(501, "NotImplemented")
		w.do("alice", "PUT", uri, "", src, date).is(501, "NotImplemented")
		w.do("alice", "POST", uri+"?uploads", "", date).is(501, "NotImplemented")
		w.do("alice", "DELETE", uri, "", date).is(501, "NotImplemented")
		complete("alice", date).is(501, "NotImplemented")
	}
	for _, c := range []struct {
		condition string
		status    int
		code      string
	}{
		{`If-Match: "other"`, 412, "PreconditionFailed"},
		{`If-None-Match: *`, 412, "PreconditionFailed"},
		{"If-None-Match: " + tag, 501, "NotImplemented"},
	} {
		w.do("alice", "PUT", uri, "y", c.condition).is(c.status, c.code)
		w.do("alice", "PUT", uri, "", src, c.condition).is(c.status, c.code)
		complete("alice", c.condition).is(c.status, c.code)
	}
	w.do("alice", "DELETE", uri, "", `If-Match: "other"`).is(412, "PreconditionFailed")
	w.do("alice", "DELETE", "/media/public/none", "", "If-Match: *").is(404, "NoSuchKey")
	w.do("alice", "DELETE", uri, "", "X-Amz-If-Match-Size: 1").is(501, "NotImplemented")
	w.do("alice", "DELETE", uri, "", "X-Amz-If-Match-Last-Modified-Time: Sat, 01 Jan 2000 00:00:00 GMT").is(501, "NotImplemented")
	if got := w.content("media", "public/x"); got != "x" {
		t.Errorf("the object is %q", got)
	}
	complete("alice", "If-Match: "+tag).is(200)
	w.do("alice", "PUT", uri, "", src, "If-Match: *").is(200)
	w.do("alice", "PUT", "/media/public/new", "", src, "If-None-Match: *").is(200)
	w.do("alice", "PUT", "/media/public/none", "x", "If-Match: *").is(404, "NoSuchKey")
	w.do("alice", "DELETE", uri, "", "If-Match: *").is(204)
}

// busy is a service that has no time.
type busy struct{ store.Service }

func (busy) Buckets(context.Context) ([]store.BucketInfo, error) {
	return nil, newError("SlowDown", "")
}

// TestUnavailableSaysWhenToAskAgain with every answer 503.
func TestUnavailableSaysWhenToAskAgain(t *testing.T) {
	w := newWorldOver(t, func(s *memstore.Store) store.Service { return busy{s} })
	w.do("operator", "GET", "/", "").is(503, "SlowDown").has("Retry-After", "1")
	w.do("operator", "GET", "/media/none", "").is(404).has("Retry-After", "")
}
