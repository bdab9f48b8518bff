package state

import (
	"crypto/rand"
	"fmt"
)

// NewUUID returns a random UUID, which holds 122 random bits: an id for a new
// identity, user or session.
func NewUUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40 // version 4: random
	u[8] = u[8]&0x3f | 0x80 // the usual variant
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
