package s3api

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
)

// Error is an error as the S3 API tells it. Options.Authenticate may return one.
type Error struct {
	Code    string // of the S3 API
	Status  int    // 0 means that of Code
	Message string // "" means that of Code
	Err     error  // the cause, which the caller is not told, or nil
}

func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// newError returns the error with this code; message may be "".
func newError(code, message string) *Error { return (&Error{Code: code, Message: message}).complete() }

// complete returns e with everything set that the table knows.
func (e *Error) complete() *Error {
	d, ok := codes[e.Code]
	if !ok {
		d = description{http.StatusForbidden, "The request was refused."}
	}
	full := *e
	full.Status = or(e.Status, d.status)
	full.Message = or(e.Message, d.message)
	return &full
}

type description struct {
	status  int
	message string
}

// codes are the codes that the server uses. A code of the signature check that
// is not among them is a refusal.
var codes = map[string]description{
	"AccessDenied":                        {403, "Access Denied."},
	"AccessForbidden":                     {403, "CORS does not allow this request."},
	"AuthorizationHeaderMalformed":        {400, "The Authorization header cannot be parsed."},
	"AuthorizationQueryParametersError":   {400, "The query parameters of the signature are not valid."},
	"BadDigest":                           {400, "The content does not have the checksum that was given for it."},
	"BadRequest":                          {400, "The request is not valid."},
	"BucketAlreadyOwnedByYou":             {409, "There is a bucket of this name already, and it is yours."},
	"BucketNotEmpty":                      {409, "The bucket still holds objects or uploads."},
	"EntityTooLarge":                      {400, "The content is larger than an object or part may be."},
	"EntityTooSmall":                      {400, "A part other than the last is smaller than a part may be."},
	"ExpiredToken":                        {400, "The session token has expired."},
	"IncompleteBody":                      {400, "The content does not have the size that was announced."},
	"IncorrectNumberOfFilesInPostRequest": {400, "A form must hold one file, in a field named file."},
	"InsufficientStorage":                 {507, "The server has no room left for this content."},
	"InternalError":                       {500, "The server made an error. Try again."},
	"InvalidAccessKeyId":                  {403, "The access key is not known here."},
	"InvalidArgument":                     {400, "An argument is not valid."},
	"InvalidBucketName":                   {400, "This is not the name of a bucket."},
	"InvalidChunkSizeError":               {403, "A chunk of the content has a size that is not allowed."},
	"InvalidDigest":                       {400, "The Content-MD5 is not the base64 of an MD5."},
	"InvalidLocationConstraint":           {400, "There are no buckets at this location."},
	"InvalidPart":                         {400, "A part is not there, or is not the one that was meant."},
	"InvalidPartNumber":                   {416, "The object has no such part."},
	"InvalidPartOrder":                    {400, "The parts are not in ascending order."},
	"InvalidPolicyDocument":               {400, "The policy is not as it should be."},
	"InvalidRange":                        {416, "No byte of the object is in the range."},
	"InvalidRequest":                      {400, "The request is not valid."},
	"InvalidTag":                          {400, "A tag is not valid."},
	"InvalidToken":                        {400, "The session token is not valid."},
	"InvalidURI":                          {400, "The URI of the request cannot be parsed."},
	"KeyTooLongError":                     {400, "The key is too long."},
	"MalformedPOSTRequest":                {400, "The form cannot be parsed."},
	"MalformedTrailerError":               {400, "The trailer of the content cannot be parsed."},
	"MalformedXML":                        {400, "The XML of the request is not as it should be."},
	"MaxPostPreDataLengthExceededError":   {400, "The form is too large before its file."},
	"MaxMessageLengthExceeded":            {400, "The request is too large."},
	"MetadataTooLarge":                    {400, "The user metadata is too large."},
	"MethodNotAllowed":                    {405, "There is no such operation on this resource."},
	"MissingContentLength":                {411, "The Content-Length is missing."},
	"MissingSecurityHeader":               {400, "A header that the signature needs is missing."},
	"NoSuchBucket":                        {404, "There is no bucket of this name."},
	"NoSuchKey":                           {404, "There is no object under this key."},
	"NoSuchUpload":                        {404, "There is no such upload. It may have been completed or aborted."},
	"NotImplemented":                      {501, "This is not implemented."},
	"NotModified":                         {304, "The object has not changed."},
	"PreconditionFailed":                  {412, "The object is not in the state that was asked for."},
	"RequestTimeTooSkewed":                {403, "The time of the request differs too much from that of the server."},
	"RequestTimeout":                      {400, "The request took too long."},
	"ServiceUnavailable":                  {503, "The server cannot answer now. Try again."},
	"SignatureDoesNotMatch":               {403, "The signature is not the one that the server calculated."},
	"SlowDown":                            {503, "Please send fewer requests."},
	"XAmzContentChecksumMismatch":         {400, "The content does not have the checksum that was given for it."},
	"XAmzContentSHA256Mismatch":           {400, "The content does not have the SHA-256 that was given for it."},
}

// asError is the one place where an error becomes a code of the S3 API. op is
// the operation that failed.
func asError(err error, op string) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.complete()
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return (&Error{Code: e.Code, Message: e.Message, Err: err}).complete()
	}
	if l, ok := errors.AsType[*gate.Limited](err); ok {
		return limited(l, err)
	}
	e := &Error{Code: codeOf(err, op), Err: err}
	if cause, ok := errors.AsType[*store.Error](err); ok && e.Code == "InvalidArgument" {
		// What is wrong with what the caller sent is theirs to know.
		e.Message = "An argument is not valid: " + strings.TrimSuffix(cause.Err.Error(), ": "+fs.ErrInvalid.Error()) + "."
	}
	return e.complete()
}

// limited is the error for what is not within the limits beside the rules. They
// are for whoever may write there to know.
func limited(l *gate.Limited, err error) *Error {
	e := &Error{Code: "AccessDenied", Err: err}
	if l.MaxSize > 0 {
		e.Code = "EntityTooLarge"
		e.Message = "At most " + itoa(l.MaxSize) + " bytes may be written here."
	} else {
		e.Message = "Content of this type may not be written here. These types may: " + strings.Join(l.ContentTypes, ", ") + "."
	}
	return e.complete()
}

func codeOf(err error, op string) string {
	is := func(target error) bool { return errors.Is(err, target) }
	reads := op == "PutObject" || op == "UploadPart" || op == "PostObject"
	copies := op == "CopyObject" || op == "UploadPartCopy"
	if _, ok := errors.AsType[*bodyError](err); ok {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "EntityTooLarge"
		}
		if is(os.ErrDeadlineExceeded) {
			return "RequestTimeout"
		}
		return "IncompleteBody"
	}
	switch {
	case is(fs.ErrPermission):
		return "AccessDenied"
	case is(store.ErrNoBucket):
		return "NoSuchBucket"
	case is(store.ErrNoUpload):
		return "NoSuchUpload"
	case is(fs.ErrNotExist):
		return "NoSuchKey"
	case is(fs.ErrExist) && op == "CreateBucket":
		return "BucketAlreadyOwnedByYou"
	case is(fs.ErrExist), is(store.ErrPrecondition), is(store.ErrNotModified) && copies:
		return "PreconditionFailed"
	case is(store.ErrNotModified):
		return "NotModified"
	case is(store.ErrNotEmpty):
		return "BucketNotEmpty"
	case is(store.ErrRange) && op == "UploadPartCopy":
		return "InvalidArgument"
	case is(store.ErrRange):
		return "InvalidRange"
	case is(store.ErrDigest) && (reads || op == "CompleteMultipartUpload"):
		return "BadDigest"
	case is(store.ErrIncomplete) && op == "CompleteMultipartUpload":
		return "InvalidRequest"
	case is(store.ErrIncomplete) && reads:
		return "IncompleteBody"
	case is(store.ErrTooLarge) && copies:
		return "InvalidRequest"
	case is(store.ErrTooLarge):
		return "EntityTooLarge"
	case is(store.ErrPartOrder):
		return "InvalidPartOrder"
	case is(store.ErrInvalidPart):
		return "InvalidPart"
	case is(store.ErrPartTooSmall):
		return "EntityTooSmall"
	case is(store.ErrNoSpace):
		return "InsufficientStorage"
	case is(errors.ErrUnsupported):
		return "NotImplemented"
	case is(fs.ErrInvalid):
		return "InvalidArgument"
	case is(context.Canceled), is(context.DeadlineExceeded), is(os.ErrDeadlineExceeded):
		return "RequestTimeout"
	}
	return "InternalError"
}

// errorXML is the content of the response for e.
func (c *call) errorXML(e *Error) *xmlWriter {
	x := newXML()
	x.open("Error")
	x.elem("Code", e.Code)
	x.elem("Message", e.Message)
	switch e.Code {
	case "NoSuchKey":
		x.elem("Key", c.target.key)
	case "NoSuchBucket", "InvalidBucketName", "BucketNotEmpty", "BucketAlreadyOwnedByYou":
		x.elem("BucketName", c.target.bucket)
	case "NoSuchUpload":
		x.elem("UploadId", c.query.Get("uploadId"))
	case "MethodNotAllowed":
		x.elem("Method", c.r.Method)
	}
	if sig, ok := errors.AsType[*sigv4.Error](e.Err); ok {
		x.signature(sig)
	}
	x.some("CubbyReason", c.reason(e))
	x.elem("Resource", c.r.URL.Path)
	x.elem("RequestId", c.id)
	x.elem("HostId", c.w.Header().Get("X-Amz-Id-2"))
	x.close("Error")
	return x
}

// maxReason is the most bytes of text that say why something was denied.
const maxReason = 2 << 10

// reason returns why the caller was denied what they asked for, if they may know.
func (c *call) reason(e *Error) string {
	d, ok := errors.AsType[*gate.Denied](e.Err)
	if !ok || c.caller == nil || c.s.opts.Explain == nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r // U+FFFD for what is not valid
	}, c.s.opts.Explain(c.caller, d))
	if len(text) > maxReason {
		text = text[:maxReason]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return text
}

// signature writes what a client needs to find its mistake. It has sent all of it.
func (x *xmlWriter) signature(e *sigv4.Error) {
	x.some("AWSAccessKeyId", e.AccessKeyID)
	x.some("StringToSign", e.StringToSign)
	x.some("CanonicalRequest", e.CanonicalRequest)
	for _, t := range []struct {
		name string
		time time.Time
	}{{"RequestTime", e.RequestTime}, {"ServerTime", e.ServerTime}, {"Expires", e.Expires}} {
		if !t.time.IsZero() {
			x.elem(t.name, t.time.UTC().Format(time.RFC3339))
		}
	}
	if e.MaxSkew > 0 {
		x.int("MaxAllowedSkewMilliseconds", e.MaxSkew.Milliseconds())
	}
}
