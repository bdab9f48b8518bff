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

	details []sigv4.Detail // what S3 adds to the XML for some codes
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

// with returns e with one more element in its XML.
func (e *Error) with(name, value string) *Error {
	e.details = append(e.details, sigv4.Detail{Name: name, Value: value})
	return e
}

// malformed returns the error for XML that is not what it should be, with S3's own
// words, and why behind them.
func malformed(why string) *Error {
	return newError("MalformedXML", "").with("additionalMessage", why)
}

// badArgument returns the error for an argument of this name and value.
func badArgument(name, value, message string) *Error {
	return newError("InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
}

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

// codes are the codes that the server uses, with the words that S3 has for them:
// there are clients that look for those. A code of the signature check that is
// not among them is a refusal.
var codes = map[string]description{
	"AccessDenied":                        {403, "Access Denied."},
	"AccessForbidden":                     {403, "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."},
	"AuthorizationHeaderMalformed":        {400, "The Authorization header cannot be parsed."},
	"AuthorizationQueryParametersError":   {400, "The query parameters of the signature are not valid."},
	"BadDigest":                           {400, "The Content-MD5 you specified did not match what we received."},
	"BadRequest":                          {400, "The request is not valid."},
	"BucketAlreadyOwnedByYou":             {409, "Your previous request to create the named bucket succeeded and you already own it."},
	"BucketNotEmpty":                      {409, "The bucket you tried to delete is not empty."},
	"EntityTooLarge":                      {400, "Your proposed upload exceeds the maximum allowed object size."},
	"EntityTooSmall":                      {400, "Your proposed upload is smaller than the minimum allowed size"},
	"ExpiredToken":                        {400, "The session token has expired."},
	"IncompleteBody":                      {400, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
	"IncorrectNumberOfFilesInPostRequest": {400, "A form must hold one file, in a field named file."},
	"InsufficientStorage":                 {507, "The server has no room left for this content."},
	"InternalError":                       {500, "We encountered an internal error, please try again."},
	"InvalidAccessKeyId":                  {403, "The AWS Access Key Id you provided does not exist in our records."},
	"InvalidArgument":                     {400, "An argument is not valid."},
	"InvalidBucketName":                   {400, "The specified bucket is not valid."},
	"InvalidChunkSizeError":               {403, "A chunk of the content has a size that is not allowed."},
	"InvalidDigest":                       {400, "The Content-Md5 you specified is not valid."},
	"InvalidLocationConstraint":           {400, "The specified location-constraint is not valid"},
	"InvalidPart":                         {400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	"InvalidPartNumber":                   {416, "The requested partnumber is not satisfiable."},
	"InvalidPartOrder":                    {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	"InvalidPolicyDocument":               {400, "The policy is not as it should be."},
	"InvalidRange":                        {416, "The requested range is not satisfiable"},
	"InvalidRequest":                      {400, "The request is not valid."},
	"InvalidTag":                          {400, "A tag is not valid."},
	"InvalidToken":                        {400, "The session token is not valid."},
	"InvalidURI":                          {400, "The specified URI couldn't be parsed."},
	"KeyTooLongError":                     {400, "Your key is too long."},
	"KMS.NotFoundException":               {400, "The key for aws:kms does not exist, or may not be used."},
	"MalformedPOSTRequest":                {400, "The body of your POST request is not well-formed multipart/form-data."},
	"MalformedTrailerError":               {400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	"MalformedXML":                        {400, "The XML you provided was not well-formed or did not validate against our published schema."},
	"MaxPostPreDataLengthExceededError":   {400, "The form is too large before its file."},
	"MaxMessageLengthExceeded":            {400, "Your request was too big."},
	"MetadataTooLarge":                    {400, "Your metadata headers exceed the maximum allowed metadata size"},
	"MethodNotAllowed":                    {405, "The specified method is not allowed against this resource."},
	"MissingContentLength":                {411, "You must provide the Content-Length HTTP header."},
	"MissingSecurityHeader":               {400, "A header that the signature needs is missing."},
	"NoSuchBucket":                        {404, "The specified bucket does not exist."},
	"NoSuchKey":                           {404, "The specified key does not exist."},
	"NoSuchUpload":                        {404, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	"NotImplemented":                      {501, "A header you provided implies functionality that is not implemented."},
	"NotModified":                         {304, "Not Modified"},
	"PreconditionFailed":                  {412, "At least one of the pre-conditions you specified did not hold."},
	"RequestTimeTooSkewed":                {403, "The time of the request differs too much from that of the server."},
	"RequestTimeout":                      {400, "The request took too long."},
	"ServiceUnavailable":                  {503, "The server cannot answer now. Try again."},
	"SignatureDoesNotMatch":               {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	"SlowDown":                            {503, "Please reduce your request rate."},
	"XAmzContentChecksumMismatch":         {400, "The content does not have the checksum that was given for it."},
	"XAmzContentSHA256Mismatch":           {400, "The provided 'x-amz-content-sha256' header does not match what was computed."},

	// Of versions and of settings of a bucket.
	"AccessControlListNotSupported":                  {400, "Access control lists are switched off here: the one there is gives the owner everything."},
	"IllegalVersioningConfigurationException":        {400, "The settings do not say whether versions are kept."},
	"NoSuchBucketPolicy":                             {404, "The bucket has no policy: Cubby's rules are not among its settings."},
	"NoSuchCORSConfiguration":                        {404, "The CORS configuration does not exist"},
	"NoSuchLifecycleConfiguration":                   {404, "The bucket has no lifecycle rules of its own."},
	"NoSuchPublicAccessBlockConfiguration":           {404, "The bucket has no such settings: nothing is public unless a rule says so."},
	"NoSuchTagSet":                                   {404, "The bucket has no tags."},
	"NoSuchVersion":                                  {404, "The specified version does not exist."},
	"NoSuchWebsiteConfiguration":                     {404, "The bucket is not a website."},
	"ObjectLockConfigurationNotFoundError":           {404, "The bucket locks no objects."},
	"ReplicationConfigurationNotFoundError":          {404, "The bucket is not replicated."},
	"ServerSideEncryptionConfigurationNotFoundError": {404, "The bucket has no settings for encryption."},
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
	if d, ok := errors.AsType[*store.DigestError](err); ok && e.Code == "BadDigest" {
		e.digest(d)
	}
	if errors.Is(err, store.ErrKey) {
		e.Message = "The object is encrypted with a customer's key, which the request must bring; or it is not, and the request brings one."
	} else if errors.Is(err, store.ErrMarker) && e.Code == "InvalidRequest" {
		e.Message = "The source of a copy request may not specifically refer to a delete marker by version id."
	} else if errors.Is(err, store.ErrInvalidVersion) {
		e.Message = "Invalid version id specified"
	} else if cause, ok := errors.AsType[*store.Error](err); ok && e.Code == "InvalidArgument" {
		// What is wrong with what the caller sent is theirs to know.
		e.Message = "An argument is not valid: " + strings.TrimSuffix(cause.Err.Error(), ": "+fs.ErrInvalid.Error()) + "."
	}
	return e.complete()
}

// digest says which checksum it is that content does not have.
func (e *Error) digest(d *store.DigestError) {
	if d.Algorithm != "" {
		e.Message = "The " + string(d.Algorithm) + " you specified did not match the calculated checksum."
		return
	}
	e.with("CalculatedDigest", d.Got).with("ExpectedDigest", d.Want)
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
	case is(store.ErrNoVersion):
		return "NoSuchVersion"
	case is(store.ErrMarker) && !copies:
		return "MethodNotAllowed"
	case is(store.ErrMarker), is(store.ErrKey):
		return "InvalidRequest"
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
	case "InvalidArgument":
		if id := c.query.Get("versionId"); id != "" && errors.Is(e.Err, store.ErrInvalidVersion) {
			x.elem("ArgumentName", "versionId")
			x.elem("ArgumentValue", id)
		}
	case "NoSuchVersion":
		x.elem("Key", c.target.key)
		x.some("VersionId", c.query.Get("versionId"))
	case "NoSuchBucket", "InvalidBucketName", "BucketNotEmpty", "BucketAlreadyOwnedByYou":
		x.elem("BucketName", c.target.bucket)
	case "NoSuchUpload":
		x.elem("UploadId", c.query.Get("uploadId"))
	case "MethodNotAllowed":
		x.elem("Method", c.r.Method)
		if c.w.Header().Get("X-Amz-Delete-Marker") != "" {
			x.elem("ResourceType", "DeleteMarker")
		} else {
			x.elem("ResourceType", c.resourceType())
		}
	}
	if sig, ok := errors.AsType[*sigv4.Error](e.Err); ok {
		x.signature(sig)
	}
	for _, d := range e.details {
		x.some(d.Name, d.Value)
	}
	x.some("CubbyReason", c.reason(e))
	x.elem("Resource", c.r.URL.Path)
	x.elem("RequestId", c.id)
	x.elem("HostId", c.w.Header().Get("X-Amz-Id-2"))
	x.close("Error")
	return x
}

// resourceType is what S3 calls the kind of thing that the request is about.
func (c *call) resourceType() string {
	switch c.target.level() {
	case serviceLevel:
		return "SERVICE"
	case bucketLevel:
		return "BUCKET"
	}
	return "OBJECT"
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
	for _, d := range e.Details {
		x.some(d.Name, d.Value)
	}
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
