package cognito

import (
	"context"
	"errors"
	"net/http"

	"github.com/cubby-storage/cubby/internal/identity"
	"github.com/cubby-storage/cubby/internal/userpool"
)

// The names of errors that are of the protocol, not of a pool.
const (
	internalError        = "InternalErrorException"
	invalidParameter     = "InvalidParameterException"
	serialization        = "SerializationException"
	tooLarge             = "RequestEntityTooLargeException"
	tooManyRequests      = "TooManyRequestsException"
	unknownOperation     = "UnknownOperationException"
	unsupportedOperation = "UnsupportedOperationException"
)

// problem is an error as the caller gets it.
type problem struct {
	Type    string `json:"__type"`
	Message string `json:"message"`

	fault bool // no fault of the caller
}

// refusal is a request that no pool was asked about.
type refusal struct {
	status int
	problem
}

func (e *refusal) Error() string { return e.Type + ": " + e.Message }

func refuse(status int, name, message string) error {
	return &refusal{status, problem{Type: name, Message: message}}
}

func invalid(message string) error {
	return refuse(http.StatusBadRequest, invalidParameter, message)
}

// explain is the one place where errors meet the protocol.
func explain(err error) (problem, int) {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.problem, e.status
	}
	if errors.Is(err, context.Canceled) { // who asked has gone
		return problem{Type: "RequestAbortedException", Message: "The request was given up."}, http.StatusBadRequest
	}
	// An identity pool's error may have one of the user pool as its cause.
	if e, ok := errors.AsType[*identity.Error](err); ok {
		if e.Code != identity.CodeInternal {
			return problem{Type: e.Code, Message: e.Message, fault: e.Code == identity.CodeExternalService}, http.StatusBadRequest
		}
	} else if e, ok := errors.AsType[*userpool.Error](err); ok {
		return problem{Type: e.Code, Message: e.Message}, http.StatusBadRequest
	}
	return problem{Type: internalError, Message: "The server could not do this.", fault: true}, http.StatusInternalServerError
}
