package awskms

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

const arn = "arn:aws:kms:eu-west-1:111122223333:key/one"

// service is a small key service. What it wraps is the key with its name and context.
type service struct {
	calls int
	codes []string // errors to answer with, one after the other; "" is none
}

type message struct {
	KeyID             string            `json:"KeyId,omitempty"`
	Plaintext         []byte            `json:",omitempty"`
	CiphertextBlob    []byte            `json:",omitempty"`
	EncryptionContext map[string]string `json:",omitempty"`
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	s.calls++
	w := httptest.NewRecorder()
	s.serve(w, r)
	return w.Result(), nil
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, code)
	}
	if len(s.codes) > 0 {
		code := s.codes[0]
		s.codes = s.codes[1:]
		if code != "" {
			refuse(map[bool]int{true: 500, false: 400}[code == "KMSInternalException"], code)
			return
		}
	}
	if auth := r.Header.Get("Authorization"); !strings.Contains(auth, "Credential=AKID/") || !strings.Contains(auth, "/eu-west-1/kms/") {
		refuse(400, "UnrecognizedClientException")
		return
	}
	var in, out message
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		refuse(400, "ValidationException")
		return
	}
	switch r.Header.Get("X-Amz-Target") {
	case "TrentService.Encrypt":
		if in.KeyID != "alias/app" && in.KeyID != arn {
			refuse(400, "NotFoundException")
			return
		}
		out.KeyID = arn
		if out.CiphertextBlob, err = json.Marshal(message{arn, in.Plaintext, nil, in.EncryptionContext}); err != nil {
			refuse(500, "KMSInternalException")
			return
		}
	case "TrentService.Decrypt":
		var was message
		if err := json.Unmarshal(in.CiphertextBlob, &was); err != nil || !maps.Equal(was.EncryptionContext, in.EncryptionContext) {
			refuse(400, "InvalidCiphertextException")
			return
		}
		if was.KeyID != in.KeyID {
			refuse(400, "IncorrectKeyException")
			return
		}
		out.KeyID, out.Plaintext = arn, was.Plaintext
	default:
		refuse(400, "UnknownOperationException")
		return
	}
	text, err := json.Marshal(out)
	if err != nil {
		refuse(500, "KMSInternalException")
		return
	}
	_, _ = w.Write(text)
}

func keyring(s *service, opts Options) *Keyring {
	opts.Endpoint, opts.Region, opts.Credentials = "http://kms.test/", "eu-west-1", Static("AKID", "secret", "")
	opts.HTTPClient = &http.Client{Transport: s}
	return New(&opts)
}

func TestEnvelopes(t *testing.T) {
	s := new(service)
	keys := &crypt.Keys{Named: keyring(s, Options{DefaultKey: "alias/app"})}
	context := base64.StdEncoding.EncodeToString([]byte(`{"app":"photos"}`))
	for _, sse := range []store.SSE{{Algorithm: crypt.KMS}, {Algorithm: crypt.KMS, KMSKeyID: arn, KMSContext: context}} {
		e, key, err := keys.New(t.Context(), &sse)
		if err != nil {
			t.Fatal(err)
		}
		if e.KMSKeyID != arn {
			t.Errorf("the key is called %q", e.KMSKeyID)
		}
		got, err := keys.Open(t.Context(), e, nil)
		if err != nil || *got != *key {
			t.Errorf("the data key does not come back: %v", err)
		}
	}
	_, _, err := keys.New(t.Context(), &store.SSE{Algorithm: crypt.KMS, KMSKeyID: "alias/other"})
	if !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("a key that is not there: %v", err)
	}
	keys.Named = keyring(s, Options{})
	if _, _, err = keys.New(t.Context(), &store.SSE{Algorithm: crypt.KMS}); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("no default key: %v", err)
	}
}

func TestErrors(t *testing.T) {
	s := new(service)
	k := keyring(s, Options{Cache: -1})
	wrapped, _, err := k.Wrap(t.Context(), arn, "", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	other := base64.StdEncoding.EncodeToString([]byte(`{"a":"b"}`))
	for _, test := range []struct {
		key, context string
		code         string
		want         error
	}{
		{arn, "", "", nil},
		{arn, other, "", crypt.ErrDamaged},
		{"alias/app", "", "", store.ErrWrongKey},
		{arn, "", "DisabledException", store.ErrWrongKey},
		{arn, "", "KMSInvalidStateException", store.ErrWrongKey},
		{arn, "", "AccessDeniedException", store.ErrWrongKey},
	} {
		s.codes = []string{test.code}
		if _, err := k.Unwrap(t.Context(), test.key, test.context, wrapped); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
	s.codes = []string{"UnsupportedOperationException"}
	if _, err := k.Unwrap(t.Context(), arn, "", wrapped); err == nil || errors.Is(err, store.ErrWrongKey) {
		t.Errorf("a service that cannot: %v", err)
	}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(service)
		k := keyring(s, Options{})
		wrapped, _, err := k.Wrap(t.Context(), arn, "", make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		unwrap := func(want int) {
			t.Helper()
			s.calls = 0
			for range 3 {
				if _, err := k.Unwrap(t.Context(), arn, "", wrapped); err != nil {
					t.Fatal(err)
				}
			}
			if s.calls != want {
				t.Errorf("the service was asked %d times, want %d", s.calls, want)
			}
		}
		unwrap(1)
		time.Sleep(DefaultCache - time.Second)
		unwrap(0)
		time.Sleep(2 * time.Second)
		unwrap(1)
		// A service that fails at first is asked again.
		time.Sleep(DefaultCache)
		s.codes = []string{"KMSInternalException", "KMSInternalException"}
		s.calls = 0
		if _, err := k.Unwrap(t.Context(), arn, "", wrapped); err != nil || s.calls != 3 {
			t.Errorf("after %d calls: %v", s.calls, err)
		}
		for n := range 2 * cacheSize {
			k.keep([32]byte{byte(n), byte(n >> 8)}, nil)
		}
		if len(k.held) > cacheSize {
			t.Errorf("%d keys are held", len(k.held))
		}
	})
}
