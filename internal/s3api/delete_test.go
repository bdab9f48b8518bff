package s3api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDeleteObjects(t *testing.T) {
	w := newWorld(t)
	for _, k := range []string{"public/a", "public/b&c", "private/id:bob/x"} {
		w.put("media", k, "x")
	}
	body := `<?xml version="1.0" encoding="UTF-8"?>
<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>false</Quiet>
	<Object><Key>public/a</Key></Object><Object><Key>public/b&amp;c</Key></Object><Object><Key>public/none</Key></Object>
	<Object><Key>private/id:bob/x</Key></Object><Object><Key>public/../private/id:bob/x</Key></Object><Object><Key>public/a</Key><VersionId>3</VersionId></Object><Object><Key>kept/a</Key><Size>3</Size></Object><Object><Key>kept/a</Key><VersionId>a b</VersionId></Object>
	<Object><Key></Key></Object><Object><Key>` + strings.Repeat("x", 1025) + `</Key></Object>
</Delete>`
	r := w.do("alice", "POST", "/media?delete=", body, "Content-MD5: "+md5sum(body)).is(200)
	deleted, failed, _ := strings.Cut(r.body, "<Error>")
	if got := strings.Join((&response{body: deleted}).elements("Key"), " "); got != "public/a public/b&amp;c public/none" {
		t.Errorf("deleted %q", got)
	}
	if got := fmt.Sprint((&response{body: failed}).elements("Code")); got != "[AccessDenied InvalidArgument AccessDenied NotImplemented InvalidArgument InvalidArgument KeyTooLongError]" {
		t.Errorf("failed %s: %s", got, failed)
	}
	if w.content("media", "private/id:bob/x") != "x" || w.content("media", "public/a") != "" {
		t.Error("the wrong objects are gone")
	}
	quiet := "<Delete><Quiet>true</Quiet><Object><Key>public/a</Key></Object></Delete>"
	for _, proof := range []string{"Content-MD5: " + md5sum(quiet), "X-Amz-Checksum-Crc32: " + crc(quiet), "X-Amz-Content-Sha256: 00"} {
		if r := w.do("alice", "POST", "/media?delete", quiet, proof).is(200); strings.Contains(r.body, "<Deleted>") || r.body == "" {
			t.Errorf("got %s", r.body)
		}
	}
	w.do("alice", "POST", "/media?delete", quiet).is(400, "InvalidRequest")
	w.do("alice", "POST", "/media?delete", quiet, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD").is(400, "InvalidRequest")
	w.do("alice", "POST", "/media?delete", quiet, "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER").is(400, "InvalidRequest")
	w.do("alice", "POST", "/media?delete", quiet, "Content-MD5: "+md5sum("x")).is(400, "BadDigest")
	w.do("alice", "POST", "/media?delete", quiet, "X-Amz-Checksum-Crc32: "+crc("x")).is(400, "BadDigest")
	for _, bad := range []string{
		"", "<Delete/>", "<Delete>", "<Other/>", quiet + quiet, quiet + "x", "x" + quiet,
		`<!DOCTYPE d [<!ENTITY e "public/a">]><Delete><Object><Key>&e;</Key></Object></Delete>`,
		"<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 1001) + "</Delete>",
		strings.Repeat("<Delete>", 1000) + strings.Repeat("</Delete>", 1000),
		`<?xml version="1.0" encoding="UTF-16"?>` + quiet,
	} {
		w.do("alice", "POST", "/media?delete", bad, "Content-MD5: "+md5sum(bad)).is(400, "MalformedXML")
	}
	w.do("alice", "POST", "/media?delete", strings.Repeat(" ", maxDeleteBody+1), "X-Amz-Content-Sha256: 00").is(400, "MaxMessageLengthExceeded")
	full := "<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 1000) + "</Delete>"
	w.do("operator", "POST", "/media?delete", full, "X-Amz-Content-Sha256: 00").is(200)
}

func TestDeleteObjectsIfMatch(t *testing.T) {
	w := newWorld(t)
	for _, k := range []string{"public/a", "public/b", "drop/a"} {
		w.put("media", k, "x")
	}
	tag := w.do("alice", "HEAD", "/media/public/a", "").is(200).header.Get("Etag")
	var body string
	for key, tag := range map[string]string{"public/a": tag, "public/b": "other", "public/none": "*", "drop/a": tag} {
		body += "<Object><Key>" + key + "</Key><ETag>" + tag + "</ETag></Object>"
	}
	body = "<Delete>" + body + "</Delete>"
	r := w.do("alice", "POST", "/media?delete=", body, "Content-MD5: "+md5sum(body)).is(200)
	deleted, _, _ := strings.Cut(r.body[strings.Index(r.body, "<Deleted>"):], "</Deleted>")
	codes := r.elements("Code")
	slices.Sort(codes)
	if !strings.Contains(deleted, "<Key>public/a</Key>") || fmt.Sprint(codes) != "[AccessDenied NoSuchKey PreconditionFailed]" || strings.Count(r.body, "<Deleted>") != 1 {
		t.Errorf("got %s", r.body)
	}
	if w.content("media", "public/a") != "" || w.content("media", "public/b") == "" || w.content("media", "drop/a") == "" {
		t.Error("the wrong objects are gone")
	}
}

func TestDeleteObjectsWithoutABucket(t *testing.T) {
	w := newWorld(t)
	body := "<Delete><Object><Key>x</Key></Object></Delete>"
	send := func(user string) *response {
		return w.do(user, "POST", "/?delete=", body, "Host: s3.localhost:20005", "Content-MD5: "+md5sum(body))
	}
	send("operator").is(400, "InvalidRequest")
	if err := w.service.CreateBucket(t.Context(), "my.bucket"); err != nil {
		t.Fatal(err)
	}
	w.put("my.bucket", "x", "x")
	w.put("media", "x", "x")
	send("alice").is(400, "InvalidRequest") // to whom it is not visible
	send("operator").is(200)
	if w.content("my.bucket", "x") != "" || w.content("media", "x") != "x" {
		t.Error("the wrong object is gone")
	}
	if err := w.service.CreateBucket(t.Context(), "your.bucket"); err != nil {
		t.Fatal(err)
	}
	send("operator").is(400, "InvalidRequest")
}
