package identity

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
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
	"time"
)

// Keys are the keys of the server, from which every other key is derived.
// The first one seals, all of them open: so a key is replaced by putting a new
// one in front, and dropping the old one once nothing sealed by it is left.
// Printed, Keys are "redacted".
type Keys struct {
	all []*key
}

type key struct {
	id      string // 8 hex digits, which stand in front of what it seals
	created time.Time
	secret  [32]byte
}

// keysFile is the form of the keys file.
type keysFile struct {
	Format int        `json:"format"`
	Keys   []keyEntry `json:"keys"`
}

type keyEntry struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Secret  []byte    `json:"secret"`
}

// keysMax bounds how much of a keys file is read.
const keysMax = 64 << 10

// NewKeys returns one random key that is in no file, as a test needs it.
func NewKeys() *Keys {
	k := &key{created: time.Now().UTC().Truncate(time.Second)}
	var id [4]byte
	rand.Read(id[:])
	rand.Read(k.secret[:])
	k.id = hex.EncodeToString(id[:])
	return &Keys{[]*key{k}}
}

// OpenKeys reads the keys file at path. If there is none it makes one with a
// random key, readable by its owner alone, and has it on the disk before it
// returns. A file that others may read is refused.
func OpenKeys(path string) (*Keys, error) {
	k, err := readKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeys(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make keys file: %w", err)
		}
		k, err = readKeys(path) // ours, or that of a process that came first
	}
	if err != nil {
		return nil, fmt.Errorf("read keys file: %w", err)
	}
	return k, nil
}

// AddKey puts a new random key in front of those in the keys file at path.
// The file is replaced as a whole or not at all. A server reads it at start.
func AddKey(path string) error {
	k, err := readKeys(path)
	if err != nil {
		return fmt.Errorf("read keys file: %w", err)
	}
	k.all = slices.Insert(k.all, 0, NewKeys().all[0])
	temp, err := k.writeTemp(path)
	if err != nil {
		return fmt.Errorf("add key: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("add key: %w", errors.Join(err, os.Remove(temp)))
	}
	return syncDir(filepath.Dir(path))
}

func readKeys(path string) (*Keys, error) {
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
		return nil, fmt.Errorf("%s has mode %04o, so others may read it; make it yours alone with: chmod 600 %[1]s",
			path, fi.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, keysMax))
	if err != nil {
		return nil, err
	}
	k, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// parseKeys never says what it read: it is secret.
func parseKeys(text []byte) (*Keys, error) {
	var file keysFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, errors.New("not a keys file")
	}
	if file.Format != 1 {
		return nil, fmt.Errorf("format %d of keys file is unknown", file.Format)
	}
	if len(file.Keys) == 0 {
		return nil, errors.New("keys file without a key")
	}
	k := new(Keys)
	for i, e := range file.Keys {
		if id, err := hex.DecodeString(e.ID); err != nil || hex.EncodeToString(id) != e.ID || len(id) != keyIDSize {
			return nil, fmt.Errorf("key %d: id is not %d lower-case hex digits", i+1, 2*keyIDSize)
		}
		if len(e.Secret) != len(key{}.secret) {
			return nil, fmt.Errorf("key %s: secret is not %d bytes", e.ID, len(key{}.secret))
		}
		if slices.ContainsFunc(k.all, func(o *key) bool { return o.id == e.ID }) {
			return nil, fmt.Errorf("key %s is there twice", e.ID)
		}
		k.all = append(k.all, &key{e.ID, e.Created, [32]byte(e.Secret)})
	}
	return k, nil
}

// makeKeys writes a new keys file. The error wraps fs.ErrExist if there is one.
func makeKeys(path string) error {
	dir := filepath.Dir(path)
	there := dir // the innermost directory that is there already
	for _, err := os.Stat(there); errors.Is(err, fs.ErrNotExist); _, err = os.Stat(there) {
		there = filepath.Dir(there)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := NewKeys().writeTemp(path)
	if err != nil {
		return err
	}
	// A link never takes the place of a file, and shows it only when whole.
	if err := os.Link(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Remove(temp); err != nil {
		return err
	}
	for ; dir != there; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return syncDir(there)
}

// writeTemp writes the keys to a new file beside path and returns its name.
func (k *Keys) writeTemp(path string) (temp string, err error) {
	file := keysFile{Format: 1}
	for _, k := range k.all {
		file.Keys = append(file.Keys, keyEntry{k.id, k.created, k.secret[:]})
	}
	text, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return "", err
	}
	temp = path + "." + rand.Text()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(temp))
	}
	return temp, nil
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

// Derive returns the key for one purpose, derived from the first key, and the
// first key's id. Different purposes give keys that tell nothing of each other.
func (k *Keys) Derive(purpose string) (id string, sub [32]byte) {
	return k.all[0].id, k.all[0].derive(purpose)
}

// All yields the keys for one purpose, derived from every key, each with the
// id of the key that it is from. The first is that of [Keys.Derive].
func (k *Keys) All(purpose string) iter.Seq2[string, [32]byte] {
	return func(yield func(string, [32]byte) bool) {
		for _, k := range k.all {
			if !yield(k.id, k.derive(purpose)) {
				return
			}
		}
	}
}

func (k *key) derive(purpose string) [32]byte {
	sub, err := hkdf.Key(sha256.New, k.secret[:], nil, "cubby 1 "+purpose, 32)
	if err != nil {
		panic(err) // only for a length that SHA-256 cannot give
	}
	return [32]byte(sub)
}

// String returns "redacted".
func (k *Keys) String() string { return redacted }

// GoString returns "redacted".
func (k *Keys) GoString() string { return redacted }
