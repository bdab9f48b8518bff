package s3store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/cubby-storage/cubby/store"
)

// ServiceError is the refusal of a service. Find it with errors.As. It is never
// the sentinel itself: errors.Is finds that beside it.
type ServiceError struct {
	Code      string // of the S3 API, such as "AccessDenied"; of an answer without body, from its status
	Message   string // by the service
	RequestID string // "" if the service gave none
	Status    int    // of HTTP
	marker    string // version id of the delete marker that is in the way, or ""
	cause     error
}

func (e *ServiceError) Error() string {
	s := e.Code
	if e.Message != "" && e.Message != e.Code {
		s += ": " + e.Message
	}
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	if e.cause != nil {
		s = e.cause.Error() + ": " + s
	}
	return s
}

// Unwrap returns the sentinel that the code stands for, or nil.
func (e *ServiceError) Unwrap() error { return e.cause }

// kind says what a request is about, where one code has several meanings.
type kind int

const (
	kindRead        kind = iota // of an object
	kindWrite                   // of an object
	kindWriteAbsent             // of an object that must not be there
	kindUpload                  // of an upload, where 404 without a code is that
	kindBucket                  // a bucket itself
)

// mapError is the one place where errors of the service meet those of package
// store.
func mapError(err error, k kind) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	var answer *awshttp.ResponseError
	isAnswer := errors.As(err, &answer)
	if !errors.As(err, &api) && !isAnswer {
		var canceled *smithy.CanceledError
		if errors.As(err, &canceled) && canceled.Err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", context.Canceled, err)
		}
		return err
	}
	e, isMarker := new(ServiceError), false
	if isAnswer {
		e.Status, e.RequestID = answer.HTTPStatusCode(), answer.ServiceRequestID()
		if r := answer.HTTPResponse(); r != nil && r.Header.Get("X-Amz-Delete-Marker") == "true" {
			e.marker = r.Header.Get("X-Amz-Version-Id")
			isMarker = true
		}
	}
	if api != nil {
		e.Code, e.Message = api.ErrorCode(), api.ErrorMessage()
	}
	if e.Code == "" {
		e.Code = http.StatusText(e.Status)
	}
	e.cause = causeOf(e.Code, e.Status, k)
	if isMarker && e.Status == http.StatusMethodNotAllowed {
		e.cause = store.ErrMarker
	}
	if e.cause == nil && api == nil {
		// Not a refusal but an answer that could not be read.
		return err
	}
	return e
}

func causeOf(code string, status int, k kind) error {
	switch code {
	case "NoSuchKey":
		return fs.ErrNotExist
	case "NoSuchVersion":
		return store.ErrNoVersion
	case "NoSuchBucket":
		return store.ErrNoBucket
	case "NoSuchUpload":
		return store.ErrNoUpload
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "SignatureDoesNotMatch",
		"ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "InvalidObjectState":
		return fs.ErrPermission
	case "KMS.NotFoundException", "KMS.DisabledException", "KMS.KeyUnavailableException", "KMS.InvalidStateException",
		"KMS.InvalidKeyUsageException", "KMS.KMSInvalidStateException":
		return store.ErrWrongKey
	case "PreconditionFailed", "ConditionalRequestConflict":
		return precondition(k)
	case "NotModified":
		return store.ErrNotModified
	case "InvalidRange", "InvalidPartNumber":
		return store.ErrRange
	case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return store.ErrDigest
	case "IncompleteBody":
		return store.ErrIncomplete
	case "InvalidPart":
		return store.ErrInvalidPart
	case "InvalidPartOrder":
		return store.ErrPartOrder
	case "EntityTooSmall":
		return store.ErrPartTooSmall
	case "EntityTooLarge", "KeyTooLongError", "MetadataTooLarge", "MaxMessageLengthExceeded":
		return store.ErrTooLarge
	case "InvalidArgument", "InvalidRequest":
		return fs.ErrInvalid
	case "NotImplemented", "MethodNotAllowed":
		return errors.ErrUnsupported
	case "RequestTimeout", "SlowDown", "Throttling", "InternalError", "ServiceUnavailable":
		return nil
	case "BucketNotEmpty":
		return store.ErrNotEmpty
	case "BucketAlreadyExists", "BucketAlreadyOwnedByYou":
		return fs.ErrExist
	case "QuotaExceeded", "ServiceQuotaExceeded", "InsufficientStorage", "XMinioStorageFull":
		return store.ErrNoSpace
	}
	// A code that is not known, or an answer to HEAD, which has no body.
	switch status {
	case http.StatusNotModified:
		return store.ErrNotModified
	case http.StatusBadRequest:
		return fs.ErrInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return fs.ErrPermission
	case http.StatusNotFound:
		switch k {
		case kindBucket:
			return store.ErrNoBucket
		case kindUpload:
			return store.ErrNoUpload
		}
		return fs.ErrNotExist
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return errors.ErrUnsupported
	case http.StatusPreconditionFailed:
		return precondition(k)
	case http.StatusRequestedRangeNotSatisfiable:
		return store.ErrRange
	case http.StatusRequestEntityTooLarge:
		return store.ErrTooLarge
	case http.StatusInsufficientStorage:
		return store.ErrNoSpace
	}
	return nil
}

func precondition(k kind) error {
	if k == kindWriteAbsent {
		return fs.ErrExist
	}
	return store.ErrPrecondition
}

// writeKind is the kind of a write with this If-None-Match.
func writeKind(ifNoneMatch []string) kind {
	if len(ifNoneMatch) > 0 {
		return kindWriteAbsent
	}
	return kindWrite
}
