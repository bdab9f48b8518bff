package iam

import (
	"fmt"
	"strings"
)

// IdentityKey is the condition key, and the variable, whose value is the identity
// id of a subject: REGION:UUID, with 1 to 18 of a to z, 0 to 9 and "-" before the
// colon and a UUID in lower case behind it.
const IdentityKey = "cognito-identity.amazonaws.com:sub"

const (
	maxRegion  = 18
	uuidLength = 36
	// idEnd is the place behind an identity id. The places up to maxRegion are
	// behind so many characters of the region, the others behind those of the UUID.
	idEnd = maxRegion + 1 + uuidLength

	someRegion = "eu-west-1"
	someUUID   = "00000000-0000-4000-8000-000000000000"
)

const (
	regionLetters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	hexDigits     = "0123456789abcdef"
)

// idLetters returns the characters that may stand at a place in an identity id,
// but for the colon.
func idLetters(at int) string {
	if at < maxRegion {
		return regionLetters
	}
	switch at - maxRegion - 1 {
	case -1:
		return ""
	case 8, 13, 18, 23:
		return "-"
	}
	return hexDigits
}

// idStep returns the place behind the character c at a place in an identity id.
func idStep(at int, c rune) (int, bool) {
	switch {
	case c == ':':
		return maxRegion + 1, at >= 1 && at <= maxRegion
	case at < idEnd && c > 0 && c < 0x80 && strings.IndexByte(idLetters(at), byte(c)) >= 0:
		return at + 1, true
	}
	return 0, false
}

// inID reports whether a character may be somewhere in an identity id.
func inID(c rune) bool {
	return c == ':' || c < 0x80 && strings.IndexByte(regionLetters, byte(c)) >= 0
}

// idRest returns what can complete an identity id.
func idRest(at int) string {
	switch {
	case at == 0:
		return someRegion + ":" + someUUID
	case at <= maxRegion:
		return ":" + someUUID
	}
	return someUUID[at-maxRegion-1:]
}

// otherID returns an identity id that is not in the text.
func otherID(text string) string {
	for i := 1; ; i++ {
		id := fmt.Sprintf("%s:%s%012d", someRegion, someUUID[:uuidLength-12], i)
		if !strings.Contains(text, id) {
			return id
		}
	}
}
