package s3api

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
)

const enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

// enabled returns a world whose bucket media keeps versions.
func enabled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.do("operator", "PUT", "/media?versioning", enable).is(200)
	return w
}

// versions describes a list of versions: key, version and what it is, in order.
func (r *response) versions() string {
	var all []string
	for part := range strings.SplitSeq(r.body, "</VersionId>") {
		before, key, ok := strings.Cut(part, "<Key>")
		if !ok {
			continue
		}
		key, version, _ := strings.Cut(key, "</Key><VersionId>")
		what := "object"
		if strings.HasSuffix(before, "<DeleteMarker>") {
			what = "marker"
		}
		all = append(all, key+" "+version+" "+what)
	}
	return strings.Join(all, ", ")
}

// TestSuspendedVersions tells readers of a null version, but not who writes it.
func TestSuspendedVersions(t *testing.T) {
	w := newWorld(t)
	w.put("media", "public/src", "content")
	w.do("operator", "PUT", "/media?versioning", strings.Replace(enable, "Enabled", "Suspended", 1)).is(200)
	const uri, id = "/media/public/x", "X-Amz-Version-Id"
	w.do("alice", "PUT", uri, "x").is(200).has(id, "")
	w.do("alice", "GET", uri, "").is(200).has(id, "null")
	w.do("alice", "PUT", uri, "", "X-Amz-Copy-Source: media/public/src").is(200).has(id, "")
	w.do("alice", "HEAD", uri, "").is(200).has(id, "null")
	w.do("alice", "DELETE", uri, "").is(204).has(id, "null").has("X-Amz-Delete-Marker", "true")
	for _, method := range []string{"GET", "DELETE"} {
		r := w.do("operator", method, uri+"?versionId=rubbish", "").is(400, "InvalidArgument").says("Invalid version id specified")
		if r.element("ArgumentName") != "versionId" || r.element("ArgumentValue") != "rubbish" {
			t.Errorf("got %s", r.body)
		}
	}
}

func TestBucketVersioning(t *testing.T) {
	w := newWorld(t)
	if r := w.do("alice", "GET", "/media?versioning", "").is(200); strings.Contains(r.body, "Status") {
		t.Errorf("got %s", r.body)
	}
	w.do("alice", "PUT", "/media?versioning", enable).is(403, "AccessDenied")
	for _, status := range []string{"Enabled", "Suspended"} {
		w.do("operator", "PUT", "/media?versioning", strings.Replace(enable, "Enabled", status, 1)).is(200)
		if r := w.do("guest", "GET", "/media?versioning", "").is(200); r.element("Status") != status {
			t.Errorf("got %s", r.body)
		}
	}
	w.do("nobody", "GET", "/nowhere?versioning", "").is(403)
	for body, want := range map[string][2]string{
		"":                           {"400", "MalformedXML"},
		"<VersioningConfiguration/>": {"400", "IllegalVersioningConfigurationException"},
		"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>":                                       {"400", "MalformedXML"},
		"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>":    {"501", "NotImplemented"},
		"<VersioningConfiguration><Status>Suspended</Status><MfaDelete>Maybe</MfaDelete></VersioningConfiguration>":    {"400", "MalformedXML"},
		"<VersioningConfiguration><Status>Suspended</Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>": {"200", ""},
	} {
		if r := w.do("operator", "PUT", "/media?versioning", body); fmt.Sprint(r.status) != want[0] || r.element("Code") != want[1] {
			t.Errorf("%s: got %d %s", body, r.status, r.body)
		}
	}
	w.do("operator", "PUT", "/media?versioning", enable, "Content-Md5: "+md5sum("x")).is(400, "BadDigest")
}

func TestVersionsOfAnObject(t *testing.T) {
	w := enabled(t)
	const uri = "/media/kept/x"
	v1 := w.do("alice", "PUT", uri, "one").is(200).header.Get("X-Amz-Version-Id")
	v2 := w.do("alice", "PUT", uri, "two!").is(200).header.Get("X-Amz-Version-Id")
	none := w.do("alice", "PUT", "/media/kept/other", "").is(200).header.Get("X-Amz-Version-Id") // of no version of x
	if v1 == "" || v2 == "" || v1 == v2 {
		t.Fatalf("versions %q and %q", v1, v2)
	}
	for _, method := range []string{"GET", "HEAD"} {
		w.do("alice", method, uri, "").is(200).has("X-Amz-Version-Id", v2).has("Content-Length", "4")
		w.do("alice", method, uri+"?versionId="+v1, "").is(200).has("X-Amz-Version-Id", v1).has("Content-Length", "3")
		w.do("alice", method, uri+"?versionId="+v1, "", "Range: bytes=9-").is(416).has("Content-Range", "bytes */3")
		r := w.do("alice", method, uri+"?versionId="+none, "").is(404)
		if method == "GET" && (r.element("Code") != "NoSuchVersion" || r.element("VersionId") != none) {
			t.Errorf("got %s", r.body)
		}
		for _, bad := range []string{"", "%20", "a%0Ab", "%C3%A9", strings.Repeat("x", 1025)} {
			w.do("alice", method, uri+"?versionId="+bad, "").is(400)
		}
	}
	w.do("alice", "GET", uri+"?versionId=", "").is(400, "InvalidArgument")
	w.do("alice", "PUT", uri+"?tagging&versionId="+v1, "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>").is(200).has("X-Amz-Version-Id", v1)
	if r := w.do("alice", "GET", uri+"?tagging&versionId="+v1, "").is(200).has("X-Amz-Version-Id", v1); r.element("Value") != "b" {
		t.Errorf("got %s", r.body)
	}
	if r := w.do("alice", "GET", uri+"?tagging", "").is(200); strings.Contains(r.body, "<Tag>") {
		t.Errorf("another version has the tags: %s", r.body)
	}
	w.do("alice", "DELETE", uri+"?tagging&versionId="+v1, "").is(204)
	if r := w.do("alice", "GET", uri+"?attributes&versionId="+v1, "", "X-Amz-Object-Attributes: ObjectSize").is(200).has("X-Amz-Version-Id", v1); r.element("ObjectSize") != "3" {
		t.Errorf("got %s", r.body)
	}
	w.do("alice", "GET", uri+"?acl&versionId="+v1, "").is(200).has("X-Amz-Version-Id", v1)

	// An old version is read, and put back, as the source of a copy.
	w.do("alice", "PUT", uri, "", "X-Amz-Copy-Source: media/kept/x?versionId="+v1).is(200).has("X-Amz-Copy-Source-Version-Id", v1)
	if r := w.do("alice", "GET", uri, "").is(200); r.body != "one" {
		t.Errorf("the object is %q", r.body)
	}
	w.do("alice", "PUT", uri, "", "X-Amz-Copy-Source: media/kept/x").is(400, "InvalidRequest")
	w.do("alice", "PUT", uri, "", "X-Amz-Copy-Source: media/kept/x?versionId="+none).is(404, "NoSuchVersion")
	w.do("alice", "PUT", uri, "", "X-Amz-Copy-Source: media/kept/x?versionId=").is(400, "InvalidArgument")
	id := w.do("alice", "POST", uri+"?uploads", "").is(200).element("UploadId")
	w.do("alice", "PUT", uri+"?partNumber=1&uploadId="+id, "", "X-Amz-Copy-Source: media/kept/x?versionId="+v2).is(200).has("X-Amz-Copy-Source-Version-Id", v2)
	r := w.do("alice", "POST", uri+"?uploadId="+id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>").is(200)
	if r.header.Get("X-Amz-Version-Id") == "" || w.do("alice", "GET", uri, "").body != "two!" {
		t.Errorf("got %v %s", r.header, r.body)
	}
}

func TestDeleteMarkers(t *testing.T) {
	w := enabled(t)
	const uri = "/media/kept/x"
	v1 := w.do("alice", "PUT", uri, "one").is(200).header.Get("X-Amz-Version-Id")
	r := w.do("alice", "DELETE", uri, "").is(204).has("X-Amz-Delete-Marker", "true")
	marker := r.header.Get("X-Amz-Version-Id")
	for _, method := range []string{"GET", "HEAD"} {
		r := w.do("alice", method, uri, "").is(404).has("X-Amz-Delete-Marker", "true").has("X-Amz-Version-Id", marker).has("Allow", "")
		if method == "GET" {
			r.is(404, "NoSuchKey")
		}
		r = w.do("alice", method, uri+"?versionId="+marker, "").is(405).has("X-Amz-Delete-Marker", "true").has("X-Amz-Version-Id", marker).has("Allow", "DELETE")
		if method == "GET" && (r.element("Code") != "MethodNotAllowed" || r.element("ResourceType") != "DeleteMarker") {
			t.Errorf("got %s", r.body)
		}
		w.do("alice", method, uri+"?versionId="+v1, "").is(200).has("X-Amz-Delete-Marker", "")
	}
	w.do("alice", "GET", uri+"?tagging&versionId="+marker, "").is(405, "MethodNotAllowed")
	w.do("alice", "GET", uri+"?attributes", "", "X-Amz-Object-Attributes: ETag").is(404, "NoSuchKey").has("X-Amz-Delete-Marker", "true")
	w.do("alice", "PUT", "/media/kept/y", "", "X-Amz-Copy-Source: media/kept/x").is(404, "NoSuchKey").has("X-Amz-Version-Id", "")
	w.do("alice", "PUT", "/media/kept/y", "", "X-Amz-Copy-Source: media/kept/x?versionId="+marker).is(400, "InvalidRequest")
	w.do("alice", "DELETE", uri+"?versionId="+marker, "").is(204).has("X-Amz-Delete-Marker", "true").has("X-Amz-Version-Id", marker)
	w.do("alice", "GET", uri, "").is(200).has("X-Amz-Version-Id", v1)
	w.do("alice", "DELETE", uri+"?versionId="+v1, "").is(204).has("X-Amz-Delete-Marker", "").has("X-Amz-Version-Id", v1)
	w.do("alice", "GET", uri, "").is(404, "NoSuchKey").has("X-Amz-Delete-Marker", "")
}

// TestMarkersAreForThoseWhoMayList tells nobody else that there was an object.
func TestMarkersAreForThoseWhoMayList(t *testing.T) {
	w := enabled(t)
	w.do("alice", "PUT", "/media/blind/x", "one").is(200)
	marker := w.do("alice", "DELETE", "/media/blind/x", "").is(204).header.Get("X-Amz-Version-Id")
	for _, uri := range []string{"/media/blind/x", "/media/blind/x?versionId=" + marker, "/media/blind/never", "/media/blind/never?versionId=" + marker} {
		r := w.do("alice", "GET", uri, "").is(403, "AccessDenied").has("X-Amz-Delete-Marker", "").has("X-Amz-Version-Id", "").has("Allow", "")
		if strings.Contains(r.body, "Marker") {
			t.Errorf("got %s", r.body)
		}
	}
	w.do("operator", "GET", "/media/blind/x", "").is(404, "NoSuchKey").has("X-Amz-Delete-Marker", "true")
}

func TestDeletingVersionsNeedsTheRight(t *testing.T) {
	w := enabled(t)
	v := w.do("alice", "PUT", "/media/public/x", "one").is(200).header.Get("X-Amz-Version-Id")
	w.do("alice", "DELETE", "/media/public/x?versionId="+v, "").is(403, "AccessDenied")
	w.do("alice", "DELETE", "/media/public/x?versionId=null", "").is(403, "AccessDenied")
	w.do("alice", "GET", "/media?versions", "").is(403, "AccessDenied")
	w.do("alice", "GET", "/media?versions&prefix=public/", "").is(403, "AccessDenied")
	w.do("guest", "GET", "/media/public/x?versionId="+v, "").is(200) // to read one is to read
	w.do("operator", "DELETE", "/media/public/x?versionId="+v, "").is(204)
}

func TestListObjectVersions(t *testing.T) {
	w := enabled(t)
	var v []string
	for _, key := range []string{"a", "a", "b%26c"} {
		v = append(v, w.do("alice", "PUT", "/media/kept/"+key, "content").is(200).header.Get("X-Amz-Version-Id"))
	}
	v = append(v, w.do("alice", "DELETE", "/media/kept/a", "").is(204).header.Get("X-Amz-Version-Id"))
	want := []string{"kept/a " + v[3] + " marker", "kept/a " + v[1] + " object", "kept/a " + v[0] + " object", "kept/b&amp;c " + v[2] + " object"}
	r := w.do("alice", "GET", "/media?versions&prefix=kept/", "").is(200)
	if got := r.versions(); got != strings.Join(want, ", ") {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := strings.Join(r.elements("IsLatest"), " "); got != "true false false true" {
		t.Errorf("the latest: %s", got)
	}
	if r.element("Name") != "media" || r.element("Prefix") != "kept/" || r.element("MaxKeys") != "1000" || r.element("IsTruncated") != "false" ||
		len(r.elements("Owner")) != 0 || len(r.elements("ID")) != 4 || len(r.elements("ETag")) != 3 || strings.Contains(r.body, "NextKeyMarker") || strings.Contains(r.body, "<Delimiter") {
		t.Errorf("got %s", r.body)
	}
	for size := 1; size < 4; size++ {
		var got []string
		uri := fmt.Sprintf("/media?versions=&prefix=kept/&max-keys=%d", size)
		for next := uri; next != ""; {
			r := w.do("alice", "GET", next, "").is(200)
			if s := r.versions(); s != "" {
				got = append(got, s)
			}
			next = ""
			if r.element("IsTruncated") == "true" {
				next = uri + "&key-marker=" + strings.ReplaceAll(r.element("NextKeyMarker"), "&amp;", "%26") + "&version-id-marker=" + r.element("NextVersionIdMarker")
			}
		}
		if s := strings.Join(got, ", "); s != strings.Join(want, ", ") {
			t.Errorf("in pages of %d: %s", size, s)
		}
	}
	if r := w.do("alice", "GET", "/media?versions&prefix=kept/b&encoding-type=url", "").is(200); r.element("Key") != "kept/b%26c" || r.element("EncodingType") != "url" {
		t.Errorf("got %s", r.body)
	}
	if r := w.do("alice", "GET", "/media?versions&prefix=kept/&max-keys=0", "").is(200); r.versions() != "" || r.element("IsTruncated") != "false" {
		t.Errorf("got %s", r.body)
	}
	for _, q := range []string{"version-id-marker=1", "key-marker=a&version-id-marker=", "key-marker=a&version-id-marker=%20", "encoding-type=x", "max-keys=-1"} {
		w.do("alice", "GET", "/media?versions&prefix=kept/&"+q, "").is(400, "InvalidArgument")
	}
	w.do("alice", "GET", "/media?versions&prefix=public/", "").is(403, "AccessDenied")
	if r := w.do("operator", "GET", "/media?versions", "").is(200); len(r.elements("Key")) != 4 {
		t.Errorf("got %s", r.body)
	}
}

func TestDeleteObjectsWithVersions(t *testing.T) {
	w := enabled(t)
	v1 := w.do("alice", "PUT", "/media/kept/a", "one").is(200).header.Get("X-Amz-Version-Id")
	remove := func(objects string) *response {
		body := "<Delete>" + objects + "</Delete>"
		return w.do("alice", "POST", "/media?delete", body, "Content-Md5: "+md5sum(body)).is(200)
	}
	r := remove("<Object><Key>kept/a</Key></Object>")
	marker := r.element("DeleteMarkerVersionId")
	if marker == "" || r.element("DeleteMarker") != "true" || r.element("VersionId") != "" {
		t.Errorf("got %s", r.body)
	}
	r = remove("<Object><Key>kept/a</Key><VersionId>" + marker + "</VersionId></Object><Object><Key>kept/a</Key><VersionId>" + v1 + "</VersionId></Object><Object><Key>public/a</Key><VersionId>1</VersionId></Object>")
	if got := r.elements("VersionId"); !slices.Equal(got, []string{marker, v1, "1"}) || len(r.elements("DeleteMarker")) != 1 || r.element("DeleteMarkerVersionId") != marker || r.element("Code") != "AccessDenied" {
		t.Errorf("got %s", r.body)
	}
	if r := w.do("alice", "GET", "/media?versions&prefix=kept/", "").is(200); r.versions() != "" {
		t.Errorf("left: %s", r.body)
	}
}

func TestVersionsSDK(t *testing.T) {
	w := newWorld(t, signed)
	ctx, client := t.Context(), w.sdk("operator", false, true)
	media, key := aws.String("media"), aws.String("a b/é")
	if _, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: media, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	put, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: media, Key: key, Body: strings.NewReader("one")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: media, Key: key}); err != nil {
		t.Fatal(err)
	}
	list, err := client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: media})
	if err != nil || len(list.Versions) != 1 || len(list.DeleteMarkers) != 1 || *list.Versions[0].VersionId != *put.VersionId || !*list.DeleteMarkers[0].IsLatest {
		t.Fatalf("got %+v, %v", list, err)
	}
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key})
	if !isType[*types.NoSuchKey](err) {
		t.Errorf("got %v", err)
	}
	copied, err := client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: media, Key: key, CopySource: aws.String("media/a%20b/%C3%A9?versionId=" + *put.VersionId)})
	if err != nil || *copied.CopySourceVersionId != *put.VersionId {
		t.Fatalf("got %+v, %v", copied, err)
	}
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: media, Key: key})
	if err != nil || *got.VersionId != *copied.VersionId {
		t.Fatalf("got %+v, %v", got, err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(got.Body); err != nil || b.String() != "one" || got.Body.Close() != nil {
		t.Errorf("got %q, %v", b.String(), err)
	}
	if _, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: media, Key: key, VersionId: list.DeleteMarkers[0].VersionId}); !isCode(err, "MethodNotAllowed") {
		t.Errorf("got %v", err)
	}
	v, err := client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: media})
	if err != nil || string(v.Status) != string(store.Enabled) {
		t.Errorf("got %+v, %v", v, err)
	}
}

// TestCopyOfAPartOfAVersion tells how large that version is, if there is less of it
// than was asked for, and of no other.
func TestCopyOfAPartOfAVersion(t *testing.T) {
	w := newWorld(t)
	w.do("operator", "PUT", "/media?versioning", enable).is(200)
	old := w.do("alice", "PUT", "/media/public/x", "four").is(200).header.Get("X-Amz-Version-Id")
	w.do("alice", "PUT", "/media/public/x", "more than that").is(200)
	id := w.do("alice", "POST", "/media/public/y?uploads", "").is(200).element("UploadId")
	r := w.do("alice", "PUT", "/media/public/y?partNumber=1&uploadId="+id, "", "X-Amz-Copy-Source: media/public/x?versionId="+old, "X-Amz-Copy-Source-Range: bytes=0-9").is(400, "InvalidArgument")
	if r.element("ArgumentValue") != "4" {
		t.Errorf("got %s", r.body)
	}
}
