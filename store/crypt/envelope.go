package crypt

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cubby-storage/cubby/store"
)

// The algorithms of store.SSE.
const (
	AES256 = "AES256"  // by a key of the server
	KMS    = "aws:kms" // by a named key
)

// What a stranger can make an envelope hold.
const (
	maxKeyID   = 2048
	maxContext = 8192
	maxWrapped = 8192
)

// Keyring wraps data keys by keys that it names and does not show. Its methods
// may be called concurrently.
//
// The context is a base64 JSON object of strings, or "": a data key is unwrapped with
// that alone which it was wrapped with. A key that the keyring does not have or may not
// use is store.ErrWrongKey.
type Keyring interface {
	// Wrap wraps a data key. The keyID "" is the default key; used names the one that
	// Unwrap is called with.
	Wrap(ctx context.Context, keyID, context string, dataKey []byte) (wrapped []byte, used string, err error)
	// Unwrap returns the data key.
	Unwrap(ctx context.Context, keyID, context string, wrapped []byte) ([]byte, error)
}

// Keys are the keyrings of a store. Where one is nil, or with nil Keys, what needs it
// is errors.ErrUnsupported; keys of customers need none.
type Keys struct {
	Server Keyring // of the algorithm AES256: its default key is used
	Named  Keyring // of the algorithm aws:kms
}

// Envelope is what is kept of the encryption of an object: how to come by its data
// key. A nil Envelope is that of an object that is not encrypted.
type Envelope struct {
	store.Encryption
	context string
	used    string // what the server's keyring calls its key
	wrapped []byte
}

// Info returns what an object's description says of its encryption.
func (e *Envelope) Info() store.Encryption {
	if e == nil {
		return store.Encryption{}
	}
	return e.Encryption
}

// Customer reports whether only the key of a customer opens e.
func (e *Envelope) Customer() bool { return e != nil && e.CustomerKeyMD5 != "" }

// Fits reports whether what was sealed by e may be kept as it is by a copy that is to
// be encrypted as sse says. It never may with the key of a customer.
func (e *Envelope) Fits(sse *store.SSE) bool {
	switch {
	case sse.CustomerKey != nil || e.Customer():
		return false
	case e == nil:
		return sse.IsZero()
	case e.Algorithm == KMS:
		return sse.Algorithm == KMS && sse.KMSKeyID == e.KMSKeyID && sse.KMSContext == e.context
	}
	return sse.Algorithm == e.Algorithm && sse.KMSKeyID == "" && sse.KMSContext == ""
}

// Admits reports whether what e encrypts may be read, or a part be added to it, with
// sse: the key of the customer where there is one and else nothing. It asks no
// keyring. The error is store.ErrKey, store.ErrWrongKey or fs.ErrInvalid.
func (e *Envelope) Admits(sse *store.SSE) error {
	if sse.Algorithm != "" || sse.KMSKeyID != "" || sse.KMSContext != "" {
		return fmt.Errorf("encryption: only a customer's key can be given here: %w", fs.ErrInvalid)
	}
	if e.Customer() {
		_, err := e.unwrapCustomer(sse.CustomerKey)
		return err
	}
	if sse.CustomerKey != nil {
		return fmt.Errorf("there is no customer's key: %w", store.ErrKey)
	}
	return nil
}

// CheckSSE reports whether sse can be asked for. The error is fs.ErrInvalid, or
// errors.ErrUnsupported for an algorithm that there is elsewhere.
func CheckSSE(sse *store.SSE) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("encryption: %s: %w", fmt.Sprintf(format, args...), fs.ErrInvalid)
	}
	named := sse.KMSKeyID != "" || sse.KMSContext != ""
	switch {
	case sse.CustomerKey != nil && (sse.Algorithm != "" || named):
		return bad("both a customer's key and another")
	case sse.CustomerKey != nil && len(sse.CustomerKey) != keySize:
		return bad("a customer's key of %d bytes, it must have %d", len(sse.CustomerKey), keySize)
	case named && sse.Algorithm != KMS:
		return bad("a named key without %s", KMS)
	case len(sse.KMSKeyID) > maxKeyID:
		return bad("the name of the key is over %d bytes", maxKeyID)
	case sse.Algorithm == "aws:kms:dsse" || sse.Algorithm == "aws:fsx":
		return fmt.Errorf("encryption %s: %w", sse.Algorithm, errors.ErrUnsupported)
	case sse.Algorithm != "" && sse.Algorithm != AES256 && sse.Algorithm != KMS:
		return bad("there is no algorithm %.32q", sse.Algorithm)
	}
	if _, err := ParseContext(sse.KMSContext); err != nil {
		return bad("%v", err)
	}
	return nil
}

// ParseContext returns the names and values of a context. That of "" is nil.
func ParseContext(context string) (map[string]string, error) {
	if context == "" {
		return nil, nil
	}
	if len(context) > maxContext {
		return nil, fmt.Errorf("the context is over %d bytes", maxContext)
	}
	text, err := base64.StdEncoding.DecodeString(context)
	if err != nil {
		return nil, errors.New("the context is not base64")
	}
	var m map[string]string
	if err := json.Unmarshal(text, &m); err != nil || m == nil {
		return nil, errors.New("the context is not a JSON object of strings")
	}
	return m, nil
}

// New returns a random data key and the envelope of it that sse asks for, which are
// nil if that asks for none.
func (k *Keys) New(ctx context.Context, sse *store.SSE) (*Envelope, *DataKey, error) {
	if err := CheckSSE(sse); err != nil {
		return nil, nil, err
	}
	if sse.IsZero() {
		return nil, nil, nil
	}
	key, e := NewDataKey(), &Envelope{context: sse.KMSContext}
	var err error
	if sse.CustomerKey != nil {
		sum := md5.Sum(sse.CustomerKey)
		e.Encryption = store.Encryption{Algorithm: AES256, CustomerKeyMD5: base64.StdEncoding.EncodeToString(sum[:])}
		e.wrapped, err = wrap(sse.CustomerKey, customerPurpose, "", key.secret[:])
		return e, key, err
	}
	e.Algorithm = sse.Algorithm
	ring, err := k.ring(sse.Algorithm)
	if err != nil {
		return nil, nil, err
	}
	var used string
	if e.wrapped, used, err = ring.Wrap(ctx, sse.KMSKeyID, e.context, key.secret[:]); err != nil {
		return nil, nil, err
	}
	if e.Algorithm == KMS {
		e.KMSKeyID = used
	} else {
		e.used = used
	}
	if len(used) > maxKeyID || len(e.wrapped) > maxWrapped {
		return nil, nil, errors.New("the key service gives a key that is too long")
	}
	return e, key, nil
}

const customerPurpose = "cubby customer key 1"

func (k *Keys) ring(algorithm string) (Keyring, error) {
	var ring Keyring
	if k != nil && algorithm == AES256 {
		ring = k.Server
	} else if k != nil {
		ring = k.Named
	}
	if ring == nil {
		return nil, fmt.Errorf("encryption %s: no keys are set up: %w", algorithm, errors.ErrUnsupported)
	}
	return ring, nil
}

// Open returns the data key of e, by the key of the customer if it is such an envelope
// (see [Envelope.Admits]) and else by a keyring. That of nil is nil.
func (k *Keys) Open(ctx context.Context, e *Envelope, customer []byte) (*DataKey, error) {
	if e.Customer() {
		return e.unwrapCustomer(customer)
	}
	if err := e.Admits(&store.SSE{CustomerKey: customer}); e == nil || err != nil {
		return nil, err
	}
	ring, err := k.ring(e.Algorithm)
	if err != nil {
		return nil, err
	}
	id := e.KMSKeyID
	if e.Algorithm == AES256 {
		id = e.used
	}
	secret, err := ring.Unwrap(ctx, id, e.context, e.wrapped)
	if err != nil {
		return nil, err
	}
	return dataKey(secret)
}

func dataKey(secret []byte) (*DataKey, error) {
	if len(secret) != keySize {
		return nil, fmt.Errorf("data key of %d bytes: %w", len(secret), ErrDamaged)
	}
	return &DataKey{[keySize]byte(secret)}, nil
}

func (e *Envelope) unwrapCustomer(customer []byte) (*DataKey, error) {
	if customer == nil {
		return nil, fmt.Errorf("it is kept with a customer's key: %w", store.ErrKey)
	}
	if len(customer) != keySize {
		return nil, fmt.Errorf("a customer's key of %d bytes: %w", len(customer), fs.ErrInvalid)
	}
	secret, err := unwrap(customer, customerPurpose, "", e.wrapped)
	if err != nil {
		return nil, store.ErrWrongKey
	}
	return dataKey(secret)
}

// envelopeVersion is the first byte of an envelope's binary form.
const envelopeVersion = 1

// Binary returns the form of e that [ParseEnvelope] reads. That of nil is empty.
func (e *Envelope) Binary() []byte {
	if e == nil {
		return nil
	}
	b := []byte{envelopeVersion}
	for _, s := range []string{e.Algorithm, e.KMSKeyID, e.CustomerKeyMD5, e.context, e.used, string(e.wrapped)} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// ParseEnvelope reads what Binary returned. The error is ErrDamaged.
func ParseEnvelope[T string | []byte](text T) (*Envelope, error) {
	if len(text) == 0 {
		return nil, nil
	}
	b := []byte(text)
	bad := fmt.Errorf("envelope: %w", ErrDamaged)
	if b[0] != envelopeVersion {
		return nil, bad
	}
	b = b[1:]
	var fields [6]string
	for i := range fields {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) || size > maxWrapped {
			return nil, bad
		}
		fields[i] = string(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	e := &Envelope{
		Encryption: store.Encryption{Algorithm: fields[0], KMSKeyID: fields[1], CustomerKeyMD5: fields[2]},
		context:    fields[3], used: fields[4], wrapped: []byte(fields[5]),
	}
	ok := e.Algorithm == AES256 && e.KMSKeyID == "" || e.Algorithm == KMS && e.CustomerKeyMD5 == "" && e.used == ""
	if len(b) > 0 || !ok {
		return nil, bad
	}
	return e, nil
}
