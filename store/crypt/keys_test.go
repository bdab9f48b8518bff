package crypt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
)

func customer(n byte) []byte { return bytes.Repeat([]byte{n}, keySize) }

func testKeys(t *testing.T) *Keys {
	t.Helper()
	return &Keys{Server: NewLocal(slices.Values([][32]byte{{1}})), Named: NewFile(filepath.Join(t.TempDir(), "keys"))}
}

func TestEnvelopes(t *testing.T) {
	keys := testKeys(t)
	context := base64.StdEncoding.EncodeToString([]byte(`{"app":"photos"}`))
	for _, test := range []struct {
		sse  store.SSE
		want store.Encryption
	}{
		{store.SSE{Algorithm: AES256}, store.Encryption{Algorithm: AES256}},
		{store.SSE{Algorithm: KMS}, store.Encryption{Algorithm: KMS, KMSKeyID: DefaultKey}},
		{store.SSE{Algorithm: KMS, KMSKeyID: DefaultKey, KMSContext: context}, store.Encryption{Algorithm: KMS, KMSKeyID: DefaultKey}},
		{store.SSE{CustomerKey: customer(7)}, store.Encryption{Algorithm: AES256, CustomerKeyMD5: "FZtdYGUJcTbpzTqf7sQmdg=="}},
	} {
		e, key, err := keys.New(t.Context(), &test.sse)
		if err != nil {
			t.Fatal(err)
		}
		want := test.want
		if want.CustomerKeyMD5 != "" {
			want.CustomerKeyMD5 = e.CustomerKeyMD5
		}
		if e.Info() != want {
			t.Errorf("encryption is %+v, want %+v", e.Info(), want)
		}
		again, err := ParseEnvelope(e.Binary())
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("envelope %+v is read as %+v, %v", e, again, err)
		}
		got, err := keys.Open(t.Context(), again, test.sse.CustomerKey)
		if err != nil || *got != *key {
			t.Errorf("%+v: the data key does not come back: %v", want, err)
		}
		if bytes.Contains(e.Binary(), key.secret[:]) || bytes.Contains(e.Binary(), customer(7)) {
			t.Error("the envelope shows a key")
		}
		if e.Customer() {
			if _, err := new(Keys).Open(t.Context(), e, customer(8)); !errors.Is(err, store.ErrWrongKey) {
				t.Errorf("another customer's key: %v", err)
			}
			if err := e.Admits(new(store.SSE)); !errors.Is(err, store.ErrKey) {
				t.Errorf("no customer's key: %v", err)
			}
			continue
		}
		if _, err := keys.Open(t.Context(), e, customer(7)); !errors.Is(err, store.ErrKey) {
			t.Errorf("a customer's key too many: %v", err)
		}
		if _, err := (*Keys)(nil).Open(t.Context(), e, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("without keyrings: %v", err)
		}
		if _, err := testKeys(t).Open(t.Context(), e, nil); e.Algorithm == KMS && !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("with other keys: %v", err)
		}
	}
	if e, key, err := (*Keys)(nil).New(t.Context(), new(store.SSE)); e != nil || key != nil || err != nil {
		t.Errorf("where nothing is asked for there is %v, %v, %v", e, key, err)
	}
}

func TestWhatCannotBeAskedFor(t *testing.T) {
	keys := testKeys(t)
	for _, test := range []struct {
		sse  store.SSE
		want error
	}{
		{store.SSE{Algorithm: "DES"}, fs.ErrInvalid},
		{store.SSE{Algorithm: "aws:kms:dsse"}, errors.ErrUnsupported},
		{store.SSE{Algorithm: AES256, KMSKeyID: "k"}, fs.ErrInvalid},
		{store.SSE{KMSKeyID: "k"}, fs.ErrInvalid},
		{store.SSE{Algorithm: KMS, KMSKeyID: "unknown"}, store.ErrWrongKey},
		{store.SSE{Algorithm: KMS, KMSKeyID: strings.Repeat("k", maxKeyID+1)}, fs.ErrInvalid},
		{store.SSE{Algorithm: KMS, KMSContext: "{}"}, fs.ErrInvalid},
		{store.SSE{Algorithm: KMS, KMSContext: base64.StdEncoding.EncodeToString([]byte(`{"a":1}`))}, fs.ErrInvalid},
		{store.SSE{Algorithm: KMS, CustomerKey: customer(1)}, fs.ErrInvalid},
		{store.SSE{CustomerKey: customer(1)[1:]}, fs.ErrInvalid},
		{store.SSE{CustomerKey: []byte{}}, fs.ErrInvalid},
	} {
		if _, _, err := keys.New(t.Context(), &test.sse); !errors.Is(err, test.want) {
			t.Errorf("%.60v: %v, want %v", test.sse, err, test.want)
		}
	}
}

func TestFits(t *testing.T) {
	keys := testKeys(t)
	all := []store.SSE{{}, {Algorithm: AES256}, {Algorithm: KMS, KMSKeyID: DefaultKey}, {CustomerKey: customer(1)}}
	for i, sse := range all {
		e, _, err := keys.New(t.Context(), &sse)
		if err != nil {
			t.Fatal(err)
		}
		for j, to := range all {
			if got, want := e.Fits(&to), i == j && sse.CustomerKey == nil; got != want {
				t.Errorf("content of %+v fits %+v: %v", e.Info(), to, got)
			}
		}
	}
}

func TestLocalFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "keys")
	l := NewFile(path)
	if _, err := l.Unwrap(t.Context(), "", "", nil); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("unwrap without a file: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was made for nothing: %v", err)
	}
	wrapped, used, err := l.Wrap(t.Context(), "", "", customer(1))
	if err != nil || used != DefaultKey {
		t.Fatalf("wrapped by %q, %v", used, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", fi.Mode())
	}
	// A new secret in front, and another key.
	fresh := base64.StdEncoding.EncodeToString(customer(3))
	more := strings.Replace(string(text), `"secrets": [`, `"secrets": ["`+fresh+`",`, 1)
	more = strings.Replace(more, `"keys": [`, `"keys": [{"name": "photos", "secrets": ["`+fresh+`"]},`, 1)
	if err := os.WriteFile(path, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", DefaultKey} {
		if got, err := l.Unwrap(t.Context(), name, "", wrapped); err != nil || !bytes.Equal(got, customer(1)) {
			t.Errorf("by the old secret of %q: %v", name, err)
		}
	}
	now, _, err := l.Wrap(t.Context(), DefaultKey, "context", customer(2))
	if err != nil || bytes.Equal(now[:secretIDSize], wrapped[:secretIDSize]) {
		t.Errorf("the new secret does not wrap: %v", err)
	}
	for what, try := range map[string]struct {
		key, context string
		wrapped      []byte
		want         error
	}{
		"another key":     {"photos", "context", now, ErrDamaged},
		"another context": {DefaultKey, "", now, ErrDamaged},
		"an unknown key":  {"films", "context", now, store.ErrWrongKey},
		"a lost secret":   {"photos", "", wrapped, store.ErrWrongKey},
		"too short":       {DefaultKey, "", now[:secretIDSize+3], ErrDamaged},
		"nothing":         {DefaultKey, "", nil, ErrDamaged},
	} {
		if _, err := l.Unwrap(t.Context(), try.key, try.context, try.wrapped); !errors.Is(err, try.want) {
			t.Errorf("%s: %v, want %v", what, err, try.want)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", l.read, l.read, l.read); s != "redacted redacted redacted" {
		t.Errorf("printed, the keyring is %s", s)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewFile(path).Wrap(t.Context(), "", "", customer(1)); err == nil || errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file that others may read: %v", err)
	}
}

func localText(name, secrets string) string {
	return `{"format":1,"keys":[{"name":"default","secrets":["` + base64.StdEncoding.EncodeToString(customer(1)) + `"]},{"name":"` + name + `","secrets":[` + secrets + `]}]}`
}

func TestWrongLocalFiles(t *testing.T) {
	secret := `"` + base64.StdEncoding.EncodeToString(customer(2)) + `"`
	if _, err := parseLocal([]byte(localText("a", secret))); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"nothing":              "",
		"no JSON":              "keys",
		"format":               `{"format":2,"keys":[]}`,
		"no default key":       `{"format":1,"keys":[{"name":"a","secrets":[` + secret + `]}]}`,
		"field":                `{"format":1,"keys":[],"more":1}`,
		"something after":      localText("a", secret) + "{}",
		"name":                 localText("", secret),
		"long name":            localText(strings.Repeat("a", maxKeyName+1), secret),
		"the name twice":       localText("default", secret),
		"no secret":            localText("a", ""),
		"a secret twice":       localText("a", secret+","+secret),
		"a secret not base64":  localText("a", `"secret%"`),
		"a secret of 31 bytes": localText("a", `"`+base64.StdEncoding.EncodeToString(customer(2)[1:])+`"`),
		"too large":            localText("a", secret) + strings.Repeat(" ", maxFile),
	} {
		_, err := parseLocal([]byte(text))
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		} else if strings.Contains(err.Error(), secret[1:20]) {
			t.Errorf("%s: the error shows a secret: %v", what, err)
		}
	}
}

// FuzzLocal reads files: what is read wraps and unwraps by each key.
func FuzzLocal(f *testing.F) {
	f.Add([]byte(localText("a", `"`+base64.StdEncoding.EncodeToString(customer(2))+`"`)))
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLocal(text)
		if err != nil {
			return
		}
		for name := range l.keys {
			wrapped, used, err := l.Wrap(t.Context(), name, "", customer(9))
			if err != nil || used != name {
				t.Fatalf("key %q wraps as %q, %v", name, used, err)
			}
			if got, err := l.Unwrap(t.Context(), name, "", wrapped); err != nil || !bytes.Equal(got, customer(9)) {
				t.Fatalf("key %q: %v", name, err)
			}
		}
	})
}

// FuzzEnvelope reads envelopes: what is read is written alike, but for numbers that
// were longer than they need to be.
func FuzzEnvelope(f *testing.F) {
	e, _, err := new(Keys).New(f.Context(), &store.SSE{CustomerKey: customer(1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Binary())
	f.Add([]byte("\x01\x06AES256\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEnvelope(text)
		if err != nil {
			return
		}
		again, err := ParseEnvelope(e.Binary())
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%+v is read as %+v, %v", e, again, err)
		}
	})
}
