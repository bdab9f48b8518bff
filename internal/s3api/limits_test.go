package s3api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/store"
)

const limitedRules = `
public/*  authenticated read,write  maxSize=10 contentTypes=image/png,text/*
large/*   authenticated read,write  maxSize=6MiB
free/*    authenticated read,write
`

// rules gives the bucket media these rules, and no other bucket any.
func (w *world) rules(text string) {
	w.t.Helper()
	p, err := access.Parse("rules", []byte(text), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.gate.SetPolicies(map[string]*access.Policy{"media": p})
}

func TestLimitsOfAPut(t *testing.T) {
	w := newWorld(t)
	w.rules(limitedRules)
	const types = "Content of this type may not be written here. These types may: image/png, text/*."
	w.do("alice", "PUT", "/media/public/x", "0123456789", "Content-Type: image/png").is(200)
	r := w.do("alice", "PUT", "/media/public/x", "0123456789x", "Content-Type: image/png").is(400, "EntityTooLarge")
	if m := r.element("Message"); m != "At most 10 bytes may be written here." {
		t.Errorf("message %q", m)
	}
	for _, contentType := range []string{"Content-Type: image/gif", "Content-Type: image/png,text/html", "Content-Type: ", "X-Nothing: 1"} {
		if r = w.do("alice", "PUT", "/media/public/x", "x", contentType).is(403, "AccessDenied"); r.element("Message") != types {
			t.Errorf("%s: message %q", contentType, r.element("Message"))
		}
	}
	w.do("operator", "PUT", "/media/public/y", "0123456789x", "Content-Type: image/gif").is(200)
	w.do("alice", "PUT", "/media/free/x", "0123456789x").is(200)
	if got := w.content("media", "public/x"); got != "0123456789" {
		t.Errorf("the object is %q now", got)
	}

	copied := []string{"X-Amz-Copy-Source: media/free/x", "X-Amz-Metadata-Directive: REPLACE", "Content-Type: text/plain"}
	w.do("alice", "PUT", "/media/public/x", "", copied...).is(400, "EntityTooLarge")
	w.do("alice", "PUT", "/media/public/x", "", copied[0]).is(403, "AccessDenied")
	w.do("alice", "PUT", "/media/free/small", "0123456789").is(200)
	copied[0] = "X-Amz-Copy-Source: media/free/small"
	w.do("alice", "PUT", "/media/public/x", "", copied...).is(200)
	w.do("alice", "GET", "/media/public/x", "").is(200).has("Content-Type", "text/plain")
}

func TestLimitsOfAnUpload(t *testing.T) {
	w := newWorld(t)
	w.rules(limitedRules)
	w.do("alice", "POST", "/media/public/x?uploads", "", "Content-Type: video/mp4").is(403, "AccessDenied")
	u := w.upload("alice", "/media/public/x", "Content-Type: image/png")
	w.do("alice", "PUT", "/media/public/x"+u+"&partNumber=1", "0123456789x").is(400, "EntityTooLarge")
	w.do("alice", "PUT", "/media/public/x"+u+"&partNumber=1", "0123456789").is(200)
	w.do("alice", "PUT", "/media/public/x"+u+"&partNumber=2", "x").is(400, "EntityTooLarge")
	w.put("media", "free/x", "0123456789x")
	w.do("alice", "PUT", "/media/public/x"+u+"&partNumber=1", "", "X-Amz-Copy-Source: media/free/x").is(400, "EntityTooLarge")
	w.do("alice", "PUT", "/media/public/x"+u+"&partNumber=1", "", "X-Amz-Copy-Source: media/free/x", "X-Amz-Copy-Source-Range: bytes=1-10").is(200)
	w.do("alice", "POST", "/media/public/x"+u, completion(1)).is(200)
	w.do("alice", "POST", "/media/public/x"+u, completion(1)).is(404, "NoSuchUpload")
	if got := w.content("media", "public/x"); got != "123456789x" {
		t.Errorf("the object is %q", got)
	}

	// The sum counts, of the parts that are named, by the limits of the end.
	w.rules("large/*  authenticated read,write")
	u = w.upload("alice", "/media/large/x")
	for _, n := range []string{"1", "2", "3"} {
		w.do("alice", "PUT", "/media/large/x"+u+"&partNumber="+n, strings.Repeat("x", big)).is(200)
	}
	w.rules(limitedRules)
	r := w.do("alice", "POST", "/media/large/x"+u, completion(2)).is(400, "EntityTooLarge")
	if m := r.element("Message"); m != "At most 6291456 bytes may be written here." {
		t.Errorf("message %q", m)
	}
	w.do("alice", "POST", "/media/large/x"+u, completion(1)).is(200)
}

// TestLimitsOverHTTP sends content as the SDK, a link and a hostile client do.
func TestLimitsOverHTTP(t *testing.T) {
	w := newWorld(t, signed)
	w.rules(limitedRules)
	ctx := t.Context()
	alice := w.sdk("alice", true, true) // with a trailer behind the content
	put := &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String("public/x"), ContentType: aws.String("text/plain")}
	failsWith := func(what, code string, err error) {
		t.Helper()
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	put.Body = strings.NewReader("0123456789")
	if _, err := alice.PutObject(ctx, put); err != nil {
		t.Fatal(err)
	}
	put.Body = strings.NewReader("0123456789x")
	_, err := alice.PutObject(ctx, put)
	failsWith("put", "EntityTooLarge", err)
	put.Body, put.ContentType = strings.NewReader("x"), aws.String("application/zip")
	_, err = alice.PutObject(ctx, put)
	failsWith("put", "AccessDenied", err)

	// A link does not say how much is sent by it, nor, unless it is signed, of what type.
	link, err := s3.NewPresignClient(alice).PresignPutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String("public/y")}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	client := alice.Options().HTTPClient
	send := func(contentType string, content io.Reader, size int64) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, link.URL, content)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = size
		r.Header.Set("Content-Type", contentType)
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, (&response{body: string(body)}).element("Code")
	}
	if status, code := send("text/plain", strings.NewReader("0123456789x"), 11); code != "EntityTooLarge" {
		t.Errorf("link, too large: %d %s", status, code)
	}
	if status, code := send("video/mp4", strings.NewReader("x"), 1); status != 403 || code != "AccessDenied" {
		t.Errorf("link, wrong type: %d %s", status, code)
	}
	if status, _ := send("image/png", strings.NewReader("0123456789"), 10); status != 200 {
		t.Errorf("link: %d", status)
	}
	if got := w.content("media", "public/y"); got != "0123456789" {
		t.Errorf("the link has written %q", got)
	}
}

// TestContentThatLies arrives in more bytes than were announced.
func TestContentThatLies(t *testing.T) {
	w := newWorld(t)
	w.rules(limitedRules)
	b, err := w.gate.As(access.Subject{Identity: "id:alice", Authenticated: true}).Bucket(t.Context(), "media")
	if err != nil {
		t.Fatal(err)
	}
	body := &bodyReader{io.MultiReader(bytes.NewReader(make([]byte, 11)), unread{t})}
	_, err = b.Put(t.Context(), "public/x", body, &store.PutOptions{Size: 10, Attributes: store.Attributes{ContentType: "image/png"}})
	if e := asError(err, "PutObject"); e.Code != "EntityTooLarge" {
		t.Errorf("%v is told as %+v", err, e)
	}
	if e := asError(context.Canceled, "PutObject"); e.Code != "RequestTimeout" {
		t.Errorf("told as %+v", e)
	}
}

// unread must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("more was read than the byte that is too many")
	return 0, io.EOF
}
