package server

import (
	"net/url"
	"slices"
	"testing"
)

// TestCopyAsConfusedDeputy tries every source with every destination, by both
// copies, as two users, within a bucket and between two.
func TestCopyAsConfusedDeputy(t *testing.T) {
	for _, name := range []string{"alice", "bob"} {
		w := newWorld(t, nil)
		alice, bob := w.user("alice"), w.user("bob")
		p := struct{ me, them *person }{alice, bob}
		if name == "bob" {
			p.me, p.them = bob, alice
		}
		readable := []string{"media/public/src", "media/blind/src", "media/private/" + p.me.id + "/src", "media/protected/" + p.them.id + "/src", "other/shelf/src", "other/private/" + p.me.id + "/src"}
		secret := []string{"media/drop/src", "media/private/" + p.them.id + "/src", "other/private/" + p.them.id + "/src", "bare/src", "nowhere/src", "media/public2/src"}
		writable := []string{"media/public/dst", "media/drop/dst", "media/private/" + p.me.id + "/dst", "other/private/" + p.me.id + "/dst"}
		closed := []string{"media/blind/dst", "media/private/" + p.them.id + "/dst", "media/protected/" + p.them.id + "/dst", "other/shelf/dst", "other/private/" + p.them.id + "/dst", "bare/dst", "nowhere/dst"}
		if p.me == alice {
			secret, closed = append(secret, "media/admin/src"), append(closed, "media/admin/dst") // bob is an admin
		}
		for _, src := range slices.Concat(readable, secret) {
			if name, key := cutBucket(src); name != "nowhere" {
				w.put(name, key, "content")
			}
		}
		for _, dst := range slices.Concat(writable, closed) {
			id := "none"
			if slices.Contains(writable, dst) {
				id = w.as(p.me, "POST", "/"+dst+"?uploads", "").is(200).element("UploadId")
			}
			for _, src := range slices.Concat(readable, secret) {
				want := 403
				if slices.Contains(readable, src) && slices.Contains(writable, dst) {
					want = 200
				}
				for _, source := range []string{src, "/" + src, url.QueryEscape(src)} {
					h := "X-Amz-Copy-Source: " + source
					w.as(p.me, "PUT", "/"+dst, "", h).is(want)
					w.as(p.me, "PUT", "/"+dst+"?partNumber=1&uploadId="+url.QueryEscape(id), "", h).is(want)
					if source == src && want == 403 {
						w.as(p.me, "PUT", "/"+dst, "", h, "X-Amz-Metadata-Directive: REPLACE").is(403, "AccessDenied")
						w.as(p.me, "PUT", "/"+dst+"?partNumber=1&uploadId="+url.QueryEscape(id), "", h, "X-Amz-Copy-Source-Range: bytes=0-1").is(403, "AccessDenied")
						w.as(p.me, "PUT", "/"+dst, "", h, "X-Amz-Copy-Source-If-Match: *").is(403, "AccessDenied")
					}
				}
			}
			if name, key := cutBucket(dst); slices.Contains(closed, dst) && name != "nowhere" && w.content(name, key) != "" {
				t.Errorf("%s wrote %s", p.me.name, dst)
			}
		}
	}
}

// cutBucket parts the name of a bucket from a key.
func cutBucket(path string) (bucket, key string) {
	for i := range len(path) {
		if path[i] == '/' {
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

// TestCopySourceOfAnother is not told apart from one that is not there.
func TestCopySourceOfAnother(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.user("alice"), w.user("bob")
	w.put("media", "private/"+bob.id+"/there", "secret")
	for _, key := range []string{"there", "none"} {
		for _, h := range []string{"X-Amz-Copy-Source-If-None-Match: *", "X-Amz-Copy-Source-If-Match: \"x\"", "X-Amz-Copy-Source-If-Modified-Since: Wed, 21 Oct 2015 07:28:00 GMT"} {
			w.as(alice, "PUT", "/media/public/x", "", "X-Amz-Copy-Source: media/private/"+bob.id+"/"+key, h).is(403, "AccessDenied")
		}
	}
}

// TestUploadOfAnother cannot be touched, though its key may be written.
func TestUploadOfAnother(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob, guest := w.user("alice"), w.user("bob"), w.guest()
	id := w.as(alice, "POST", "/media/public/x?uploads", "").is(200).element("UploadId")
	w.as(alice, "PUT", "/media/public/x?partNumber=1&uploadId="+id, "part").is(200)
	list := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
	w.as(bob, "GET", "/media/public/x?uploadId="+id, "").is(404, "NoSuchUpload")
	w.as(bob, "PUT", "/media/public/x?partNumber=1&uploadId="+id, "hostile").is(404, "NoSuchUpload")
	w.as(bob, "PUT", "/media/public/x?partNumber=2&uploadId="+id, "", "X-Amz-Copy-Source: media/public/x").is(404)
	w.as(bob, "POST", "/media/public/x?uploadId="+id, list).is(404, "NoSuchUpload")
	w.as(bob, "DELETE", "/media/public/x?uploadId="+id, "").is(404, "NoSuchUpload")
	w.as(guest, "PUT", "/media/public/x?partNumber=1&uploadId="+id, "hostile").is(403, "AccessDenied")
	w.as(guest, "GET", "/media/public/x?uploadId="+id, "").is(403, "AccessDenied")
	w.as(alice, "PUT", "/media/public/y?partNumber=1&uploadId="+id, "x").is(404, "NoSuchUpload")
	if got := w.as(bob, "GET", "/media?uploads", "").is(200).elements("UploadId"); len(got) != 0 {
		t.Errorf("bob lists %q", got)
	}
	r := w.as(alice, "GET", "/media?uploads", "").is(200)
	if got := r.elements("UploadId"); len(got) != 1 || got[0] != id {
		t.Errorf("alice lists %q", got)
	}
	for _, p := range []*person{alice, w.operator} {
		r := w.as(p, "GET", "/media?uploads", "").is(200)
		if got := r.elements("ID"); slices.Contains(got, alice.id) {
			t.Errorf("%s is shown who started it: %s", p.name, r.body)
		}
	}
	w.as(alice, "POST", "/media/public/x?uploadId="+id, list).is(200)
	if got := w.content("media", "public/x"); got != "part" {
		t.Errorf("the object is %q", got)
	}
}
