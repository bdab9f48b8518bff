package store

import (
	"errors"
	"io/fs"
)

// Error is the error of a Bucket or Service: what was being done, to what, and
// why it failed.
type Error struct {
	Op     string // the method, lower case: "get", "put", "complete upload"
	Bucket string // may be ""
	Key    string // may be ""
	// Marker is the version id of the delete marker that was found in place of an
	// object: that which hides it (fs.ErrNotExist), or that which was asked for by
	// its id (ErrMarker). "" if it was none.
	Marker string
	Err    error
}

func (e *Error) Error() string {
	s := e.Op
	if e.Bucket != "" {
		s += " " + e.Bucket
	}
	if e.Key != "" {
		s += " " + e.Key
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// cause is a sentinel that is a special case of another one.
type cause struct {
	msg string
	is  error
}

func (c *cause) Error() string        { return c.msg }
func (c *cause) Is(target error) bool { return target == c.is }

// The causes of an Error that io/fs has no word for. Each says in brackets which
// other sentinel errors.Is finds in it too.
var (
	// ErrNoBucket: there is no bucket of that name [fs.ErrNotExist].
	ErrNoBucket error = &cause{"bucket does not exist", fs.ErrNotExist}
	// ErrNoUpload: there is no such multipart upload, or not any more [fs.ErrNotExist].
	ErrNoUpload error = &cause{"upload does not exist", fs.ErrNotExist}
	// ErrNoVersion: the object has no such version [fs.ErrNotExist].
	ErrNoVersion error = &cause{"version does not exist", fs.ErrNotExist}
	// ErrMarker: the version is a delete marker, which can only be deleted [fs.ErrInvalid].
	ErrMarker error = &cause{"version is a delete marker", fs.ErrInvalid}
	// ErrKey: the object is kept with a customer's key, and none or one too many was
	// given [fs.ErrInvalid]. ErrWrongKey: it is another key, or one that the key
	// service does not know or let us use [fs.ErrPermission].
	ErrKey      error = &cause{"encryption key does not fit the object", fs.ErrInvalid}
	ErrWrongKey error = &cause{"wrong encryption key", fs.ErrPermission}
	// ErrNotEmpty: the bucket still holds objects, versions or uploads.
	ErrNotEmpty = errors.New("bucket is not empty")
	// ErrPrecondition: the state of the object is not the one asked for.
	ErrPrecondition = errors.New("precondition failed")
	// ErrNotModified: the object is as the caller knows it already.
	ErrNotModified = errors.New("not modified")
	// ErrRange: the range asked for lies outside the object.
	ErrRange = errors.New("range not satisfiable")
	// ErrDigest: the content does not have the checksum given for it.
	ErrDigest = errors.New("content does not match its checksum")
	// ErrIncomplete: the content is shorter or longer than announced.
	ErrIncomplete = errors.New("content does not have the size announced")
	// ErrTooLarge: the content, key or metadata is over a limit of this package.
	ErrTooLarge = errors.New("too large")
	// ErrInvalidPart: a part named in CompleteUpload is not stored, or is another one [fs.ErrInvalid].
	ErrInvalidPart error = &cause{"no such part", fs.ErrInvalid}
	// ErrInvalidVersion: the text cannot be the id of a version [fs.ErrInvalid].
	ErrInvalidVersion error = &cause{"not the id of a version", fs.ErrInvalid}
	// ErrPartOrder: the parts of CompleteUpload do not ascend [fs.ErrInvalid].
	ErrPartOrder error = &cause{"parts are not in ascending order", fs.ErrInvalid}
	// ErrPartTooSmall: a part other than the last is below MinPartSize.
	ErrPartTooSmall = errors.New("part is too small")
	// ErrNoSpace: the store has no room left for the write.
	ErrNoSpace = errors.New("no space left")
)
