package sigv4

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// The codes of an [Error], as S3 names them.
const (
	AccessDenied                      = "AccessDenied"
	AuthorizationHeaderMalformed      = "AuthorizationHeaderMalformed"
	AuthorizationQueryParametersError = "AuthorizationQueryParametersError"
	ExpiredToken                      = "ExpiredToken"
	IncompleteBody                    = "IncompleteBody"
	InvalidAccessKeyID                = "InvalidAccessKeyId"
	InvalidArgument                   = "InvalidArgument"
	InvalidRequest                    = "InvalidRequest"
	InvalidToken                      = "InvalidToken"
	MalformedTrailerError             = "MalformedTrailerError"
	MissingContentLength              = "MissingContentLength"
	NotImplemented                    = "NotImplemented"
	RequestTimeTooSkewed              = "RequestTimeTooSkewed"
	SignatureDoesNotMatch             = "SignatureDoesNotMatch"
	XAmzContentSHA256Mismatch         = "XAmzContentSHA256Mismatch"
)

// ErrAnonymous is the cause of the error for a request that carries no
// authentication at all.
var ErrAnonymous = errors.New("request is not signed")

// Error says why a request, or the content of its body, was refused.
//
// It matches fs.ErrPermission if the caller is not who the request says, or
// comes too early or too late, and fs.ErrInvalid if the request is malformed.
// It never holds a secret or a signature that the server computed.
type Error struct {
	Code    string // what S3 calls it, one of the constants
	Message string // for the caller, may be shown
	Err     error  // the cause, or nil

	// AccessKeyID is set for InvalidAccessKeyID and SignatureDoesNotMatch.
	AccessKeyID string

	// RequestTime, ServerTime and MaxSkew are set for RequestTimeTooSkewed;
	// the two times and Expires for a presigned request out of its time.
	RequestTime, ServerTime, Expires time.Time
	MaxSkew                          time.Duration

	// CanonicalRequest and StringToSign are what the server found in a request
	// whose signature did not match, but for keys of customers. They may be shown to
	// the caller, who sent all of it, but not logged: a session token can be in them.
	CanonicalRequest, StringToSign string

	// Details are what S3 tells besides for some codes. All of it came from the
	// caller, too.
	Details []Detail
}

// Detail is an element of the XML of an error.
type Detail struct{ Name, Value string }

// with returns e with one more detail.
func (e *Error) with(name, value string) *Error {
	e.Details = append(e.Details, Detail{name, value})
	return e
}

// Error returns the code, the message and the cause.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of io/fs for the code.
func (e *Error) Is(target error) bool {
	switch e.Code {
	case AccessDenied, ExpiredToken, InvalidAccessKeyID, InvalidToken, RequestTimeTooSkewed, SignatureDoesNotMatch:
		return target == fs.ErrPermission
	}
	return target == fs.ErrInvalid
}

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
