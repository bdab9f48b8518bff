package identity

import "errors"

// The codes of an [Error] that answers a call of the identity pool's API.
const (
	CodeInvalidParameter = "InvalidParameterException"
	CodeNotAuthorized    = "NotAuthorizedException"
	CodeNotFound         = "ResourceNotFoundException"
	CodeConflict         = "ResourceConflictException"
	CodeLimitExceeded    = "LimitExceededException"
	CodeTooManyRequests  = "TooManyRequestsException"
	CodeExternalService  = "ExternalServiceException"
	CodeInternal         = "InternalErrorException"
)

// The codes of an [Error] that [Pool.Open] returns.
const (
	CodeInvalidAccessKeyID = "InvalidAccessKeyId"
	CodeInvalidToken       = "InvalidToken"
	CodeExpiredToken       = "ExpiredToken"
	CodeUnavailable        = "ServiceUnavailable"
)

// ErrUnavailable is in the cause of a [Provider]'s error when it could not ask
// whom it had to ask, so that the token may yet be good.
var ErrUnavailable = errors.New("provider cannot be reached")

// ErrExpired is in the cause of a [Provider]'s error when the token was good
// and has expired.
var ErrExpired = errors.New("token has expired")

// Error is the error of every method of [Pool].
type Error struct {
	Code    string // how the protocol calls it
	Message string // for the caller
	Err     error  // the cause, for the operator; may be nil
}

// Error returns the code, the message and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// internal returns err itself if it is an Error, and otherwise the Error for
// something that is no fault of the caller.
func internal(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{CodeInternal, "The identity pool could not do this now.", err}
}

func notFound(id string) error {
	// Old clients compare this text, and ask for a new id when they see it.
	return &Error{Code: CodeNotFound, Message: "Identity '" + id + "' not found."}
}

func forbidden(id string) error {
	return &Error{Code: CodeNotAuthorized, Message: "Access to identity '" + id + "' is forbidden."}
}

func invalid(message string) error {
	return &Error{Code: CodeInvalidParameter, Message: message}
}
