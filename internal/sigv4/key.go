package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"sync"
	"sync/atomic"
)

// cacheSlots bounds the cache of signing keys. A key lives for a day and one
// signer, and deriving it anew costs only four HMACs.
const cacheSlots = 1024

// keyCache keeps signing keys, one in each slot. A reader never waits; two keys
// that meet in a slot take turns.
type keyCache struct {
	slots [cacheSlots]atomic.Pointer[signingKey]
}

// signingKey is a derived key with all that it was derived from.
type signingKey struct {
	id, date, region, service string
	secret                    string
	key                       [sha256.Size]byte
	slot                      int
	macs                      sync.Pool // of *keyMAC, with the key
}

// keyMAC is an HMAC with room for its sum.
type keyMAC struct {
	hash.Hash
	sum [sha256.Size]byte
}

// get returns the signing key of secret in the scope of c. A new one is not
// kept before put is called, so that only valid signatures fill the cache.
func (k *keyCache) get(c *credential, secret string) *signingKey {
	slot := slotOf(c)
	// Both secrets are the server's own, so their comparison may take any time.
	if s := k.slots[slot].Load(); s != nil && s.id == c.id && s.secret == secret &&
		s.date == c.date && s.region == c.region && s.service == c.service {
		return s
	}
	s := &signingKey{id: c.id, date: c.date, region: c.region, service: c.service, secret: secret, slot: slot}
	sum := mac([]byte("AWS4"+secret), c.date)
	sum = mac(sum, c.region)
	sum = mac(sum, c.service)
	sum = mac(sum, "aws4_request")
	copy(s.key[:], sum)
	return s
}

// put keeps s, a result of get.
func (k *keyCache) put(s *signingKey) {
	if slot := &k.slots[s.slot]; slot.Load() != s {
		slot.Store(s)
	}
}

// slotOf hashes c with FNV-1a.
func slotOf(c *credential) int {
	h := uint32(2166136261)
	for _, s := range [...]string{c.id, c.date, c.region, c.service} {
		for i := range len(s) {
			h = (h ^ uint32(s[i])) * 16777619
		}
		h = (h ^ '/') * 16777619
	}
	return int((h ^ h>>16) % cacheSlots)
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// matches reports in constant time whether signature, in hexadecimal, is that
// of text.
func (s *signingKey) matches(text []byte, signature string) bool {
	m, _ := s.macs.Get().(*keyMAC)
	if m == nil {
		m = &keyMAC{Hash: hmac.New(sha256.New, s.key[:])}
	}
	defer s.macs.Put(m)
	m.Reset()
	m.Write(text)
	return equalHex(m.Sum(m.sum[:0]), signature)
}

// equalHex compares a sum with its hexadecimal form in constant time.
func equalHex(sum []byte, text string) bool {
	var want, got [2 * sha256.Size]byte
	if len(text) != len(got) {
		return false
	}
	hex.Encode(want[:], sum)
	copy(got[:], text)
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
