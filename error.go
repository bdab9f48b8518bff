package cubby

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/s3store"
)

// Error is the error of this package: what was being done, to what, why it
// failed, and what can be done about it.
type Error struct {
	Op   string // "upload", "sign in"
	Path string // of the object, or the location that could not be made out; may be ""
	Err  error
	Hint string // what the caller can do; may be ""
}

func (e *Error) Error() string {
	s := e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	s += ": " + e.Err.Error()
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Code is the code that the service gave, such as "AccessDenied" or
// "NotAuthorizedException". It is "" if no service refused.
func (e *Error) Code() string {
	if s, ok := errors.AsType[*s3store.ServiceError](e.Err); ok {
		return s.Code
	}
	return ""
}

// RequestID is the id by which the service knows the request, or "".
func (e *Error) RequestID() string {
	if s, ok := errors.AsType[*s3store.ServiceError](e.Err); ok {
		return s.RequestID
	}
	return ""
}

// ErrSessionEnded is the cause of errors after the service has ended the session
// of a user. What was asked for was not done as a guest instead. Sign in again,
// or sign out. It matches fs.ErrPermission.
var ErrSessionEnded error = sessionEnded{}

type sessionEnded struct{}

func (sessionEnded) Error() string        { return "the session has ended" }
func (sessionEnded) Is(target error) bool { return target == fs.ErrPermission }

// strip takes the outermost error of a bucket away: ours says the same.
func strip(err error) error {
	if e, ok := err.(*store.Error); ok {
		return e.Err
	}
	return err
}

// fail makes the error of an operation, or nil.
func (c *Client) fail(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return e
	}
	e := &Error{Op: op, Path: path, Err: strip(err)}
	e.Hint = c.hint(e)
	return e
}

// hint says what the caller can do about e.
func (c *Client) hint(e *Error) string {
	switch code := e.Code(); {
	case errors.Is(e, ErrSessionEnded):
		return "sign in again, or sign out to go on as a guest"
	case errors.Is(e, errNoGuests):
		return "sign in first"
	case code == "RequestTimeTooSkewed":
		return "set the clock of this computer"
	case (code == "AccessDenied" || code == "Forbidden") && c.session != nil && c.session.guest():
		return "you are a guest: sign in, or use a path that is open to guests"
	case code == "AccessDenied", code == "Forbidden":
		return "no access rule allows it"
	case errors.Is(e, store.ErrNoBucket):
		return "check the name of the bucket"
	case errors.Is(e, context.DeadlineExceeded), errors.Is(e, context.Canceled):
		return ""
	}
	if _, ok := errors.AsType[*net.OpError](e); ok {
		return "check the endpoint, and whether the server is running"
	}
	if _, ok := errors.AsType[*url.Error](e); ok {
		return "check the endpoint"
	}
	return ""
}
