package crypt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/cubby-storage/cubby/store"
)

// File is a keyring of the keys in a file, as [Local] is. The file is read when it is
// needed and has changed, and made with a random key called default when a key is
// first used, readable by its owner alone. One that others may read is refused. It is
//
//	{"format": 1, "keys": [
//		{"name": "default", "secrets": ["BASE64 OF 32 BYTES", ...]}, ...]}
//
// with the newest secret of each key first.
type File struct {
	path string

	mu   sync.Mutex
	read *Local
	seen os.FileInfo // before it was read
}

// NewFile returns the keyring of the file at path.
func NewFile(path string) *File { return &File{path: path} }

// local returns the keys as they are in the file now.
func (f *File) local(open func(path string) (*Local, error)) (*Local, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, err := os.Stat(f.path)
	if err != nil {
		seen = nil // which is told by who reads it
	}
	if f.seen != nil && seen != nil && os.SameFile(f.seen, seen) && f.seen.ModTime().Equal(seen.ModTime()) && f.seen.Size() == seen.Size() {
		return f.read, nil
	}
	l, err := open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the file of keys is not there: %w", store.ErrWrongKey)
	}
	if err != nil {
		// Whoever asks has not done what is wrong, so it is none of the causes that say so.
		return nil, fmt.Errorf("file of keys: %v", err)
	}
	f.read, f.seen = l, seen
	return l, nil
}

// Wrap implements Keyring.
func (f *File) Wrap(ctx context.Context, keyID, context string, dataKey []byte) (wrapped []byte, used string, err error) {
	l, err := f.local(openLocal)
	if err != nil {
		return nil, "", err
	}
	return l.Wrap(ctx, keyID, context, dataKey)
}

// Unwrap implements Keyring. A file that is not there is not made: it would not have
// the key.
func (f *File) Unwrap(ctx context.Context, keyID, context string, wrapped []byte) ([]byte, error) {
	l, err := f.local(readLocal)
	if err != nil {
		return nil, err
	}
	return l.Unwrap(ctx, keyID, context, wrapped)
}
