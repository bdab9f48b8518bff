package s3store

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

var (
	ours   = bytes.Repeat([]byte{1}, 32)
	theirs = bytes.Repeat([]byte{2}, 32)
)

// writes are the requests that store content, each with the options sse and, if
// it has a source, the key of that.
func writes(t *testing.T, b *Bucket, sse store.SSE, source []byte) map[string]func() (store.Encryption, error) {
	ctx := t.Context()
	return map[string]func() (store.Encryption, error){
		"put": func() (store.Encryption, error) {
			info, err := b.Put(ctx, "k", strings.NewReader("x"), &store.PutOptions{SSE: sse})
			if err != nil {
				return store.Encryption{}, err
			}
			return info.SSE, nil
		},
		"create": func() (store.Encryption, error) {
			u, err := b.CreateUpload(ctx, "k", &store.PutOptions{SSE: sse})
			if err != nil {
				return store.Encryption{}, err
			}
			return u.SSE, nil
		},
		"copy": func() (store.Encryption, error) {
			info, err := b.Copy(ctx, "k", "s", &store.CopyOptions{SourceKey: source, Put: store.PutOptions{SSE: sse}})
			if err != nil {
				return store.Encryption{}, err
			}
			return info.SSE, nil
		},
	}
}

// echoes answers writes with the headers of encryption that they came with, but
// for keys.
func echoes(w http.ResponseWriter, r *recorded) {
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption") && !strings.HasSuffix(name, "-Key") {
			w.Header()[name] = values
		}
	}
	w.Header().Set("ETag", `"abc"`)
	switch {
	case r.URL.Query().Has("uploads"):
		fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
	case r.Header.Get("X-Amz-Copy-Source") != "" && r.URL.Query().Has("partNumber"):
		fmt.Fprint(w, `<CopyPartResult><ETag>"abc"</ETag></CopyPartResult>`)
	case r.Header.Get("X-Amz-Copy-Source") != "":
		fmt.Fprint(w, `<CopyObjectResult><ETag>"abc"</ETag></CopyObjectResult>`)
	}
}

func TestEncryption(t *testing.T) {
	_, b := serve(t, echoes)
	for want, sse := range map[store.Encryption]store.SSE{
		{}:                                      {},
		{Algorithm: "AES256"}:                   {Algorithm: "AES256"},
		{Algorithm: "aws:kms", KMSKeyID: "one"}: {Algorithm: "aws:kms", KMSKeyID: "one", KMSContext: "e30="},
		{Algorithm: "AES256", CustomerKeyMD5: sumOf(ours)}: {CustomerKey: ours},
	} {
		for op, do := range writes(t, b, sse, nil) {
			if got, err := do(); got != want || err != nil {
				t.Errorf("%s with %+v is encrypted as %+v, %v", op, want, got, err)
			}
		}
	}
	for name, get := range map[string]func(*store.GetOptions) (store.Encryption, error){
		"stat": func(o *store.GetOptions) (store.Encryption, error) {
			info, err := b.Stat(t.Context(), "k", o)
			if err != nil {
				return store.Encryption{}, err
			}
			return info.SSE, nil
		},
		"get": func(o *store.GetOptions) (store.Encryption, error) {
			obj, err := b.Get(t.Context(), "k", o)
			if err != nil {
				return store.Encryption{}, err
			}
			return obj.SSE, obj.Body.Close()
		},
	} {
		got, err := get(&store.GetOptions{SSE: store.SSE{CustomerKey: ours}})
		if want := (store.Encryption{Algorithm: "AES256", CustomerKeyMD5: sumOf(ours)}); got != want || err != nil {
			t.Errorf("%s tells %+v, %v", name, got, err)
		}
	}
}

func sumOf(key []byte) string {
	_, _, sum, _ := customerKey(store.SSE{CustomerKey: key})
	return *sum
}

// TestKeysOfCopies checks that the key of a source is not taken for that of what
// is written.
func TestKeysOfCopies(t *testing.T) {
	s, b := serve(t, echoes)
	ctx := t.Context()
	if _, err := b.Copy(ctx, "k", "s", &store.CopyOptions{SourceKey: theirs, Put: store.PutOptions{SSE: store.SSE{CustomerKey: ours}}}); err != nil {
		t.Fatal(err)
	}
	part := &store.CopyPartOptions{SourceKey: theirs, SSE: store.SSE{CustomerKey: ours}}
	if _, err := b.CopyPart(ctx, "k", "u", 1, "s", part); err != nil {
		t.Fatal(err)
	}
	for i, r := range s.all() {
		key, source := r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key"), r.Header.Get("X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key")
		switch {
		case r.Method == http.MethodHead: // of the source
			if key != *base64OrNil(theirs) {
				t.Errorf("request %d looks at the source with key %s", i, key)
			}
		case key != *base64OrNil(ours) || source != *base64OrNil(theirs):
			t.Errorf("request %d writes with key %s and reads with %s", i, key, source)
		}
	}
}

func TestErrorsOfKeys(t *testing.T) {
	ctx := t.Context()
	with, without := store.SSE{CustomerKey: ours}, store.SSE{}
	stat := func(b *Bucket, sse store.SSE) error {
		_, err := b.Stat(ctx, "k", &store.GetOptions{SSE: sse})
		return err
	}
	get := func(b *Bucket, sse store.SSE) error {
		_, err := b.Get(ctx, "k", &store.GetOptions{SSE: sse})
		return err
	}
	part := func(b *Bucket, sse store.SSE) error {
		_, err := b.PutPart(ctx, "k", "u", 1, strings.NewReader("x"), &store.PartOptions{SSE: sse})
		return err
	}
	copied := func(b *Bucket, sse store.SSE) error {
		_, err := b.Copy(ctx, "k", "s", &store.CopyOptions{SourceKey: sse.CustomerKey})
		return err
	}
	put := func(b *Bucket, sse store.SSE) error {
		_, err := b.Put(ctx, "k", strings.NewReader("x"), &store.PutOptions{SSE: sse})
		return err
	}
	for _, test := range []struct {
		name          string
		do            func(*Bucket, store.SSE) error
		sse           store.SSE
		status        int
		code, message string
		want, not     error
	}{
		{"stat without", stat, without, 400, "InvalidRequest", "The object was stored using a form of Server Side Encryption.", store.ErrKey, nil},
		{"get without", get, without, 400, "InvalidRequest", "The object is encrypted with a customer's key.", store.ErrKey, nil},
		{"get of a plain object", get, with, 400, "InvalidRequest", "The encryption parameters are not applicable to this object.", store.ErrKey, nil},
		{"get with another", get, with, 403, "AccessDenied", "Access Denied", store.ErrWrongKey, nil},
		{"stat with another", stat, with, 403, "AccessDenied", "", store.ErrWrongKey, nil},
		{"get that is not allowed", get, without, 403, "AccessDenied", "Access Denied", fs.ErrPermission, store.ErrWrongKey},
		{"get by a stranger", get, with, 403, "InvalidAccessKeyId", "", fs.ErrPermission, store.ErrWrongKey},
		{"part without", part, without, 400, "InvalidRequest", "The multipart upload initiate requested encryption.", store.ErrKey, nil},
		{"part with another", part, with, 400, "InvalidRequest", "The provided encryption parameters did not match the ones used originally.", store.ErrWrongKey, nil},
		{"copy without", copied, without, 400, "InvalidRequest", "stored using a form of server side encryption", store.ErrKey, nil},
		{"copy with another", copied, with, 403, "AccessDenied", "Access Denied", store.ErrWrongKey, nil},
		{"put with an unknown name", put, store.SSE{Algorithm: "aws:kms", KMSKeyID: "x"}, 400, "KMS.NotFoundException", "no key", store.ErrWrongKey, nil},
		{"get that is bad otherwise", get, with, 400, "InvalidRequest", "Cannot specify both Range header and partNumber", fs.ErrInvalid, store.ErrKey},
		{"copy onto itself", copied, without, 400, "InvalidRequest", "without changing its encryption attributes", fs.ErrInvalid, store.ErrKey},
		{"put that is bad otherwise", put, with, 400, "InvalidRequest", "checksum algorithm", fs.ErrInvalid, store.ErrKey},
	} {
		_, b := serve(t, func(w http.ResponseWriter, r *recorded) {
			w.WriteHeader(test.status)
			if r.Method != http.MethodHead {
				fmt.Fprintf(w, `<Error><Code>%s</Code><Message>%s %s</Message></Error>`, test.code, test.message, r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key"))
			}
		})
		err := test.do(b, test.sse)
		if !errors.Is(err, test.want) || test.not != nil && errors.Is(err, test.not) {
			t.Errorf("%s: error is %v, want %v", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), base64.StdEncoding.EncodeToString(ours)) {
			t.Errorf("%s: the key stands in %v", test.name, err)
		}
	}
}

// TestReadsAskForNoEncryption checks that what S3 has no words for is not just left out.
func TestReadsAskForNoEncryption(t *testing.T) {
	s, b := serve(t, echoes)
	ctx := t.Context()
	for _, sse := range []store.SSE{{Algorithm: "AES256"}, {KMSKeyID: "one"}, {KMSContext: "e30="}, {Algorithm: "AES256", CustomerKey: ours}} {
		_, stat := b.Stat(ctx, "k", &store.GetOptions{SSE: sse})
		_, get := b.Get(ctx, "k", &store.GetOptions{SSE: sse})
		_, tags := b.Tags(ctx, "k", &store.GetOptions{SSE: sse})
		_, part := b.PutPart(ctx, "k", "u", 1, strings.NewReader("x"), &store.PartOptions{SSE: sse})
		_, copied := b.CopyPart(ctx, "k", "u", 1, "s", &store.CopyPartOptions{SSE: sse, Range: &store.Range{Length: 1}})
		for op, err := range map[string]error{
			"stat": stat, "get": get, "tags": tags, "set tags": b.SetTags(ctx, "k", nil, &store.GetOptions{SSE: sse}), "put part": part, "copy part": copied,
		} {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s with %q, %q: error is %v, want fs.ErrInvalid", op, sse.Algorithm, sse.KMSKeyID, err)
			}
		}
	}
	if n := len(s.all()); n != 0 {
		t.Errorf("the service got %d requests", n)
	}
}

// TestTagsWithKeys looks at the object first: requests about tags take no key.
func TestTagsWithKeys(t *testing.T) {
	s, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		if r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key") == *base64OrNil(theirs) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `<Tagging><TagSet></TagSet></Tagging>`)
	})
	wrong := &store.GetOptions{SSE: store.SSE{CustomerKey: theirs}}
	_, err := b.Tags(t.Context(), "k", wrong)
	for op, err := range map[string]error{"tags": err, "set tags": b.SetTags(t.Context(), "k", nil, wrong)} {
		if !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("%s: error is %v, want store.ErrWrongKey", op, err)
		}
	}
	if _, err := b.Tags(t.Context(), "k", &store.GetOptions{SSE: store.SSE{CustomerKey: ours}}); err != nil {
		t.Errorf("tags with the key: %v", err)
	}
	for _, r := range s.all() {
		if r.URL.Query().Has("tagging") && r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key") != "" {
			t.Error("a request about tags brings a key")
		}
	}
}
