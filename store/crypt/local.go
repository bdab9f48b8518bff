package crypt

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/cubby-storage/cubby/store"
)

// DefaultKey is the name of the key that a Local uses where none is named.
const DefaultKey = "default"

// Limits of a file of keys.
const (
	maxFile    = 1 << 20
	maxKeyName = 256
)

// Local is a keyring of keys that are there in memory. Each name has one secret or
// more: the first wraps, all of them unwrap. So a key is replaced by putting a new
// secret in front, and the old ones stay for as long as anything was encrypted by
// them. Printed, a Local is "redacted".
type Local struct {
	keys map[string][]secret
}

type secret struct {
	id  [secretIDSize]byte // derived from it, begins what it wraps
	key [keySize]byte
}

const (
	secretIDSize = 8
	localPurpose = "cubby keyring 1"
)

// NewLocal returns a keyring with the default key alone, which has these secrets.
func NewLocal(secrets iter.Seq[[32]byte]) *Local {
	l := &Local{make(map[string][]secret)}
	for s := range secrets {
		l.keys[DefaultKey] = append(l.keys[DefaultKey], newSecret(s))
	}
	return l
}

func newSecret(key [keySize]byte) secret {
	id, err := hkdf.Key(sha256.New, key[:], nil, "cubby keyring id 1", secretIDSize)
	if err != nil {
		panic(err) // only for a length that SHA-256 cannot give
	}
	return secret{[secretIDSize]byte(id), key}
}

// String returns "redacted".
func (l *Local) String() string { return "redacted" }

// GoString returns "redacted".
func (l *Local) GoString() string { return "redacted" }

// Wrap implements Keyring.
func (l *Local) Wrap(_ context.Context, keyID, context string, dataKey []byte) (wrapped []byte, used string, err error) {
	if keyID == "" {
		keyID = DefaultKey
	}
	secrets := l.keys[keyID]
	if len(secrets) == 0 {
		return nil, "", unknown(keyID)
	}
	s := secrets[0]
	b, err := wrap(s.key[:], localPurpose, bound(keyID, context), dataKey)
	return append(s.id[:], b...), keyID, err
}

// Unwrap implements Keyring.
func (l *Local) Unwrap(_ context.Context, keyID, context string, wrapped []byte) ([]byte, error) {
	if keyID == "" {
		keyID = DefaultKey
	}
	if len(wrapped) < secretIDSize {
		return nil, fmt.Errorf("wrapped key: %w", ErrDamaged)
	}
	for _, s := range l.keys[keyID] {
		if s.id == [secretIDSize]byte(wrapped) {
			return unwrap(s.key[:], localPurpose, bound(keyID, context), wrapped[secretIDSize:])
		}
	}
	return nil, unknown(keyID)
}

// unknown is the error where there is no key of that name, or not the secret of it.
func unknown(keyID string) error {
	return fmt.Errorf("no key %.64q: %w", keyID, store.ErrWrongKey)
}

func bound(keyID, context string) string { return keyID + "\x00" + context }

// openLocal reads the keys in the file at path. If there is none it makes one with a
// random key called default, readable by its owner alone, and has it on the disk
// before it returns. A file that others may read is refused.
func openLocal(path string) (*Local, error) {
	l, err := readLocal(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeLocal(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make file of keys: %w", err)
		}
		l, err = readLocal(path) // ours, or that of a process that came first
	}
	return l, err
}

func readLocal(path string) (*Local, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so others may read it; make it yours alone with: chmod 600 %[1]s: %[3]w",
			path, fi.Mode().Perm(), fs.ErrPermission)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	l, err := parseLocal(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// localFile is the form of a file of keys.
type localFile struct {
	Format int        `json:"format"`
	Keys   []localKey `json:"keys"`
}

type localKey struct {
	Name    string   `json:"name"`
	Secrets [][]byte `json:"secrets"`
}

// parseLocal never says what it read but for names: it is secret.
func parseLocal(text []byte) (*Local, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), fs.ErrInvalid)
	}
	if len(text) > maxFile {
		return nil, bad("over %d bytes", maxFile)
	}
	var file localFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, bad("not a file of keys")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad("something follows the keys")
	}
	if file.Format != 1 {
		return nil, bad("format %d is unknown", file.Format)
	}
	l := &Local{make(map[string][]secret)}
	for i, k := range file.Keys {
		switch {
		case k.Name == "" || len(k.Name) > maxKeyName:
			return nil, bad("the name of key %d does not have 1 to %d bytes", i+1, maxKeyName)
		case l.keys[k.Name] != nil:
			return nil, bad("key %q is there twice", k.Name)
		case len(k.Secrets) == 0:
			return nil, bad("key %q has no secret", k.Name)
		}
		for n, b := range k.Secrets {
			if len(b) != keySize {
				return nil, bad("secret %d of key %q does not have %d bytes", n+1, k.Name, keySize)
			}
			s := newSecret([keySize]byte(b))
			if slices.Contains(l.keys[k.Name], s) {
				return nil, bad("secret %d of key %q is there twice", n+1, k.Name)
			}
			l.keys[k.Name] = append(l.keys[k.Name], s)
		}
	}
	if l.keys[DefaultKey] == nil {
		return nil, bad("there is no key called %s", DefaultKey)
	}
	return l, nil
}

// makeLocal writes a new file of keys. The error wraps fs.ErrExist if there is one.
func makeLocal(path string) error {
	var key [keySize]byte
	rand.Read(key[:])
	text, err := json.MarshalIndent(localFile{1, []localKey{{DefaultKey, [][]byte{key[:]}}}}, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp := path + "." + rand.Text()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		// A link never takes the place of a file, and shows it only when whole.
		err = os.Link(temp, path)
	}
	if err := errors.Join(err, os.Remove(temp)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable. On Windows that cannot be
// asked for.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
