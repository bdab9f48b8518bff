package server

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/diskstore"
	"github.com/cubby-storage/cubby/store/memstore"
)

// sealed starts a server on dir with the embedded store, and returns a bucket of it.
func sealed(t *testing.T, dir, settings string) (*Server, store.Bucket) {
	t.Helper()
	if settings != "" {
		writeData(t, dir, ConfigFile, settings+testConfig)
	}
	cfg, err := ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := Open(t.Context(), cfg, &Options{Poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	name := cfg.Buckets[0].Name
	b, err := srv.svc.Bucket(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return srv, b
}

func putSealed(t *testing.T, b store.Bucket, key string, sse store.SSE) *store.Info {
	t.Helper()
	content := strings.Repeat("This must not be read. ", 5000)
	info, err := b.Put(t.Context(), key, strings.NewReader(content), &store.PutOptions{SSE: sse})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func readSealed(t *testing.T, b store.Bucket, key string, sse store.SSE) (string, error) {
	t.Helper()
	o, err := b.Get(t.Context(), key, &store.GetOptions{SSE: sse})
	if err != nil {
		return "", err
	}
	defer o.Body.Close()
	text, err := io.ReadAll(o.Body)
	return string(text), err
}

// TestStolenDirectory has all that lies in the data directory and in a backup of it:
// without the keys beside them nobody can read an object.
func TestStolenDirectory(t *testing.T) {
	dir := newData(t)
	srv, b := sealed(t, dir, "encryption: {default: AES256}\n")
	customer := store.SSE{CustomerKey: make([]byte, 32)}
	if info := putSealed(t, b, "unasked", store.SSE{}); info.SSE.Algorithm != "AES256" {
		t.Errorf("what nobody asked to be encrypted is %+v", info.SSE)
	}
	if _, err := os.Stat(dir + ".keys.kms"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there are named keys before one was used: %v", err)
	}
	if info := putSealed(t, b, "named", store.SSE{Algorithm: "aws:kms"}); info.SSE.KMSKeyID != "default" {
		t.Errorf("by the default key it is %+v", info.SSE)
	}
	putSealed(t, b, "theirs", customer)
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if _, err := Backup(t.Context(), dir, backup); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, backup} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if bytes.Contains(text, []byte("This must not")) {
				t.Errorf("%s shows an object", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	d, err := Diagnose(t.Context(), dir, &DiagnoseOptions{Content: true})
	if err != nil || len(d.Findings) > 0 || d.Sealed != 1 {
		t.Errorf("diagnosis %+v, %v; want only one object that is sealed", d, err)
	}

	// Elsewhere there are no keys.
	restored := filepath.Join(t.TempDir(), "data")
	d, err = Restore(t.Context(), backup, restored, nil)
	if err != nil || len(d.Findings) != 2 || d.Findings[0].Kind != diskstore.NoKey {
		t.Errorf("restore without keys: %+v, %v; want two objects without a key", d, err)
	}
	keys := []string{".keys", ".keys.kms"}
	disk, err := diskstore.Open(filepath.Join(restored, "objects"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = disk.Bucket(t.Context(), "media"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"unasked", "named"} {
		if _, err := readSealed(t, b, key, store.SSE{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s without keys: %v", key, err)
		}
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}

	// With the keys of the first server all is there.
	for _, name := range keys {
		text, err := os.ReadFile(dir + name)
		if err == nil {
			err = os.WriteFile(restored+name, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	srv, b = sealed(t, restored, "")
	defer srv.Close()
	for key, sse := range map[string]store.SSE{"unasked": {}, "named": {}, "theirs": customer} {
		if text, err := readSealed(t, b, key, sse); !strings.HasPrefix(text, "This must not") || err != nil {
			t.Errorf("%s with the keys of the first server: %v", key, err)
		}
	}
}

func TestEncryptionSettings(t *testing.T) {
	for text, want := range map[string]string{
		"{default: none}":                                        "",
		"{keys: ../named.keys}":                                  "",
		"{kms: {region: eu-west-1, key: alias/a}}":               "",
		"{kms: {endpoint: 'http://127.0.0.1:8080', cache: '0'}}": "",
		"{default: DES}":                                         "default",
		"{keys: named.keys}":                                     "lies in the data directory",
		"{keys: ../k, kms: {region: eu-1}}":                      "both in a file and in a key service",
		"{kms: {key: a}}":                                        "name an endpoint or a region",
		"{kms: {endpoint: 'kms.example.com'}}":                   "endpoint",
		"{kms: {endpoint: 'https://a:b@c.example'}}":             "endpoint",
		"{kms: {region: eu-1, cache: long}}":                     "cache",
		"{key: a}":                                               "unknown setting key",
	} {
		cfg, err := ParseConfig([]byte("encryption: " + text + "\n" + testConfig))
		if err == nil {
			cfg.Data = newData(t)
			err = errors.Join(cfg.check(), cfg.checkStart())
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestKeysThatCannotBeRead are a fault of the server: the caller learns neither where
// they lie nor what is wrong with them, and the operator does.
func TestKeysThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "the-keys")
	if err := os.WriteFile(path, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	objects := memstore.New()
	objects.Options.Keys = &crypt.Keys{Named: crypt.NewFile(path)}
	w := newWorld(t, &setup{opts: Options{Store: objects, Log: slog.New(slog.NewTextHandler(&log, nil))}})
	r := w.as(w.user("alice"), "PUT", "/media/public/x", "content", "X-Amz-Server-Side-Encryption: aws:kms").is(500, "InternalError")
	if strings.Contains(r.body, "the-keys") {
		t.Errorf("the caller is told %s", r.body)
	}
	if !strings.Contains(log.String(), "the-keys") {
		t.Errorf("the operator is told %s", log.String())
	}
}

// TestCustomersKeyIsNotSentBack in the error for a wrong signature, which shows what
// was signed: clients log it.
func TestCustomersKeyIsNotSentBack(t *testing.T) {
	w := newWorld(t, nil)
	forger := *w.user("alice")
	forger.keys.SecretAccessKey = "wrong"
	key := base64.StdEncoding.EncodeToString([]byte("a key of 32 bytes, as it must be"))
	for _, name := range []string{"X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key"} {
		header := w.request("PUT", "/media/public/x", "content", name+": "+key)
		w.sign(&forger, header, time.Now())
		query := w.request("PUT", "/media/public/x?"+name+"="+url.QueryEscape(key), "content")
		w.presign(&forger, query, time.Now())
		for _, r := range []*http.Request{header, query} {
			res := w.do(r).is(403, "SignatureDoesNotMatch")
			if res.element("CanonicalRequest") == "" {
				t.Errorf("%s: what was signed is not shown: %s", res.what, res.body)
			}
			for _, form := range []string{key, url.QueryEscape(key), fmt.Sprintf("% x", key), fmt.Sprintf("% x", url.QueryEscape(key))} {
				if strings.Contains(res.body, form) {
					t.Errorf("%s: the key is sent back: %s", res.what, res.body)
				}
			}
		}
	}
}
