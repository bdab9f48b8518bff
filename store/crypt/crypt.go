// Package crypt encrypts the contents of a store at rest.
//
// # Contents
//
// An object has a [DataKey], 32 random bytes. Each of its contents, which are its
// parts if it was uploaded in parts, is sealed on its own by [DataKey.Seal]: a header
// of 32 bytes, 24 of them random, and then chunks of 64 KiB, each with AES-256-GCM. The
// key of the content is derived from the data key and the header. The nonce is
// the number of the chunk and a mark of the last one, so that content which was cut
// short, put in another order or mixed with another is noticed. A range is read
// and verified by its chunks alone ([Spans], [DataKey.Open]). The sealed form of
// the empty content is empty.
//
// # Keys
//
// The data key is kept with the object in an [Envelope], wrapped by what the writer
// asked for: a key of the server, a named key of a [Keyring], or the key of a
// customer, which is not kept. [Keys] makes envelopes and opens them.
//
// # Errors
//
// A key that is not there or not the right one is [store.ErrWrongKey], one that is
// missing or too many is [store.ErrKey], and what no keyring is there for is
// errors.ErrUnsupported. Sealed bytes that were changed are [ErrDamaged].
package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// ErrDamaged is the cause where sealed bytes are not what was sealed with the key.
var ErrDamaged = errors.New("sealed content is damaged")

const (
	chunkSize  = 64 << 10
	tagSize    = 16
	sealedSize = chunkSize + tagSize // of a chunk that is full
	headerSize = 32
	keySize    = 32
	saltSize   = 32 // of a key that wraps
)

// mark begins the header of each content.
const mark = "cubby\x00e\x01"

type header [headerSize]byte

// DataKey is the key of the contents of an object. Printed, it is "redacted".
type DataKey struct{ secret [keySize]byte }

// NewDataKey returns a random key.
func NewDataKey() *DataKey {
	k := new(DataKey)
	rand.Read(k.secret[:]) // never fails
	return k
}

// String returns "redacted".
func (k DataKey) String() string { return "redacted" }

// GoString returns "redacted".
func (k DataKey) GoString() string { return "redacted" }

// content returns the cipher of the content that begins with h.
func (k *DataKey) content(h *header) (cipher.AEAD, error) {
	return derive(k.secret[:], h[len(mark):], "cubby content 1")
}

// derive returns the cipher of a key that is derived from a secret.
func derive(secret, salt []byte, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, purpose, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is 12 bytes of a content's cipher.
type nonce [12]byte

// of returns the nonce of chunk n.
func (b *nonce) of(n int64, last bool) []byte {
	binary.BigEndian.PutUint64(b[3:], uint64(n))
	b[11] = 0
	if last {
		b[11] = 1
	}
	return b[:]
}

// wrap seals a data key by a secret that may wrap any number of them: each gets a
// key of its own, derived with random salt.
func wrap(secret []byte, purpose, bound string, key []byte) ([]byte, error) {
	b := make([]byte, saltSize, saltSize+len(key)+tagSize)
	rand.Read(b)
	aead, err := derive(secret, b, purpose)
	if err != nil {
		return nil, err
	}
	return aead.Seal(b, make([]byte, aead.NonceSize()), key, []byte(bound)), nil
}

// unwrap is the reverse of wrap. The error is ErrDamaged.
func unwrap(secret []byte, purpose, bound string, wrapped []byte) ([]byte, error) {
	if len(wrapped) < saltSize {
		return nil, ErrDamaged
	}
	aead, err := derive(secret, wrapped[:saltSize], purpose)
	if err != nil {
		return nil, err
	}
	key, err := aead.Open(nil, make([]byte, aead.NonceSize()), wrapped[saltSize:], []byte(bound))
	if err != nil {
		return nil, ErrDamaged
	}
	return key, nil
}
