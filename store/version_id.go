package store

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"time"
)

// VersionID is the place of a version among those of its key, in a driver that
// numbers them itself: those of later versions are greater, in the order of their
// bytes. Its text is the id of the version, but for that of a [NullVersion]. The
// zero value is that of what was there before the bucket kept versions.
type VersionID [16]byte

// versionText has no letters that look like digits.
var versionText = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewVersionID returns a fresh id that is greater than after, and greater than
// those that were made at an earlier time.
func NewVersionID(now time.Time, after VersionID) (id VersionID) {
	at := max(uint64(max(now.UnixNano(), 1)), binary.BigEndian.Uint64(after[:])+1)
	binary.BigEndian.PutUint64(id[:], at)
	rand.Read(id[8:]) // never fails
	return id
}

// ParseVersionID reads the text of an id. The error is ErrInvalidVersion for what
// cannot be one, and ErrNoVersion for what could be one of another store.
func ParseVersionID(s string) (id VersionID, err error) {
	b, err := versionText.DecodeString(s)
	if err != nil || len(s) != versionText.EncodedLen(len(id)) || len(b) != len(id) {
		return id, fmt.Errorf("version id %.64q: %w", s, ErrInvalidVersion)
	}
	copy(id[:], b)
	if id.String() != s {
		return VersionID{}, ErrNoVersion
	}
	return id, nil
}

// String returns the text of the id. It is 26 letters and digits, in the order
// that ids have.
func (id VersionID) String() string { return versionText.EncodeToString(id[:]) }

// IsZero reports whether id is the zero value.
func (id VersionID) IsZero() bool { return id == VersionID{} }
