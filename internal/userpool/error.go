package userpool

import "errors"

// ErrExpired is the cause when a token was good and has expired.
var ErrExpired = errors.New("token has expired")

// The codes of an [Error], as Cognito calls them.
const (
	GroupExists           = "GroupExistsException"
	InvalidParameter      = "InvalidParameterException"
	InvalidPassword       = "InvalidPasswordException"
	LimitExceeded         = "LimitExceededException"
	NotAuthorized         = "NotAuthorizedException"
	PasswordResetRequired = "PasswordResetRequiredException"
	ResourceNotFound      = "ResourceNotFoundException"
	UnsupportedTokenType  = "UnsupportedTokenTypeException"
	UserNotConfirmed      = "UserNotConfirmedException"
	UserNotFound          = "UserNotFoundException"
	UsernameExists        = "UsernameExistsException"
)

// Error is a request that cannot be granted. Nothing in it is secret.
type Error struct {
	Code    string
	Message string // for the person who asked
	Err     error  // a sentinel of io/fs or this package where one fits, or nil
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func fail(code, message string, err error) error {
	return &Error{Code: code, Message: message, Err: err}
}
