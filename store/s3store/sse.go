package s3store

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
)

// encryption reads how an object is encrypted out of the headers of an answer.
func encryption(algorithm types.ServerSideEncryption, keyID, customerAlgorithm, customerMD5 *string) store.Encryption {
	if a := aws.ToString(customerAlgorithm); a != "" {
		return store.Encryption{Algorithm: a, CustomerKeyMD5: aws.ToString(customerMD5)}
	}
	return store.Encryption{Algorithm: string(algorithm), KMSKeyID: aws.ToString(keyID)}
}

// keyError makes of the refusal of a request that was sent with these customers'
// keys, nil for none, one that says so where it is about keys. S3 has no codes
// for that: it tells by the message, and to a wrong key that access is denied.
func keyError(err error, keys ...[]byte) error {
	e, ok := errors.AsType[*ServiceError](err)
	if !ok {
		return err
	}
	sent := false
	for _, key := range keys {
		if key == nil {
			continue
		}
		sent = true
		e.Message = strings.ReplaceAll(e.Message, base64.StdEncoding.EncodeToString(key), "[key]")
	}
	switch {
	case sent && e.Status == http.StatusForbidden && (e.Code == "AccessDenied" || e.Code == http.StatusText(e.Status)):
		e.cause = store.ErrWrongKey
	case e.Code != "InvalidRequest":
	case sent && strings.Contains(e.Message, "did not match"):
		e.cause = store.ErrWrongKey
	case aboutKeys.MatchString(e.Message):
		e.cause = store.ErrKey
	}
	return err
}

// aboutKeys is in what services say of a customer's key that is missing or one too
// many. To copy an object onto itself is refused with a word of encryption, too.
var aboutKeys = regexp.MustCompile(`(?i)form of server[- ]side encryption|encryption parameters|requested? encryption|customer's key`)

// readKey is customerKey of a read or a part, which can bring nothing but a key.
func readKey(s store.SSE) (algorithm, key, sum *string, err error) {
	if s.Algorithm != "" || s.KMSKeyID != "" || s.KMSContext != "" {
		return nil, nil, nil, fmt.Errorf("a read or a part asks for encryption: %w", fs.ErrInvalid)
	}
	return customerKey(s)
}

// markerError makes of the refusal to copy a version, "" for the object itself, one
// that names the delete marker which that is.
func markerError(err error, version string) error {
	e, ok := errors.AsType[*ServiceError](err)
	if ok && version != "" && e.Code == "InvalidRequest" && strings.Contains(e.Message, "delete marker") {
		e.cause, e.marker = store.ErrMarker, version
	}
	return err
}
