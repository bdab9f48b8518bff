package identity

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrSealed is the cause when sealed bytes do not open: they were changed,
// belong to something else, or were sealed by a key that is not there any more.
var ErrSealed = errors.New("seal is broken or its key is unknown")

// keyIDSize is the number of bytes of a key's id in front of sealed bytes.
const keyIDSize = 4

// A Sealer seals bytes for one purpose, so that only a holder of the server's
// keys can read or make them, and only for the same purpose. It is safe for
// concurrent use. Printed, it is "redacted".
type Sealer struct {
	keys []*sealKey
}

type sealKey struct {
	id   [keyIDSize]byte
	aead cipher.AEAD
}

// Sealer returns the sealer for a purpose, such as "operator keys".
func (k *Keys) Sealer(purpose string) *Sealer {
	s := new(Sealer)
	for id, sub := range k.All("seal " + purpose) {
		aead, err := chacha20poly1305.NewX(sub[:])
		if err != nil {
			panic(err) // only for a key of a wrong length
		}
		sk := &sealKey{aead: aead}
		hex.Decode(sk.id[:], []byte(id)) // parseKeys saw that it is hex
		s.keys = append(s.keys, sk)
	}
	return s
}

// Seal returns plain sealed by the first key. What is sealed opens only with
// the same associated data: the name of the thing that it belongs to.
func (s *Sealer) Seal(plain, associated []byte) []byte {
	k := s.keys[0]
	const head = keyIDSize + chacha20poly1305.NonceSizeX
	out := make([]byte, head, head+len(plain)+chacha20poly1305.Overhead)
	copy(out, k.id[:])
	rand.Read(out[keyIDSize:])
	return k.aead.Seal(out, out[keyIDSize:], plain, k.full(associated))
}

// Open returns what was sealed, or [ErrSealed].
func (s *Sealer) Open(sealed, associated []byte) ([]byte, error) {
	plain, _, err := s.open(sealed, associated)
	return plain, err
}

// Current reports whether sealed names the first key. Bytes that do not should
// be opened and sealed anew before their key is dropped.
func (s *Sealer) Current(sealed []byte) bool {
	return len(sealed) >= keyIDSize && [keyIDSize]byte(sealed) == s.keys[0].id
}

// open also returns the index of the key.
func (s *Sealer) open(sealed, associated []byte) ([]byte, int, error) {
	const head = keyIDSize + chacha20poly1305.NonceSizeX
	if len(sealed) < head+chacha20poly1305.Overhead {
		return nil, 0, ErrSealed
	}
	i := slices.IndexFunc(s.keys, func(k *sealKey) bool { return k.id == [keyIDSize]byte(sealed) })
	if i < 0 {
		return nil, 0, ErrSealed
	}
	k := s.keys[i]
	plain, err := k.aead.Open(nil, sealed[keyIDSize:head], sealed[head:], k.full(associated))
	if err != nil {
		return nil, 0, ErrSealed
	}
	return plain, i, nil
}

// full adds the key's id to the associated data, so that it is sealed as well.
func (k *sealKey) full(associated []byte) []byte {
	return append(k.id[:len(k.id):len(k.id)], associated...)
}

// String returns "redacted".
func (s *Sealer) String() string { return redacted }

// GoString returns "redacted".
func (s *Sealer) GoString() string { return redacted }
