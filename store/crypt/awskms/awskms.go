// Package awskms wraps data keys by the keys of a key management service that
// speaks the protocol of AWS KMS. What it is given and gives are the data keys of
// objects, never their contents, and the keys that wrap never leave the service.
package awskms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// DefaultCache is the value of Options.Cache where it is 0.
const DefaultCache = 5 * time.Minute

// cacheSize is how many data keys are held at most.
const cacheSize = 1024

// Credentials sign requests. They are those of the AWS SDK.
type Credentials = aws.Credentials

// CredentialsProvider gives the credentials of each request. Any provider of the AWS
// SDK is one; what it gives is kept until it expires.
type CredentialsProvider = aws.CredentialsProvider

// Static returns a provider of credentials that do not change.
func Static(accessKeyID, secret, sessionToken string) CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (Credentials, error) {
		return Credentials{AccessKeyID: accessKeyID, SecretAccessKey: secret, SessionToken: sessionToken}, nil
	})
}

// Options say which service and how to reach it.
type Options struct {
	Endpoint    string // URL of the service; "" is that of AWS in Region
	Region      string // "" is us-east-1
	Credentials CredentialsProvider
	// DefaultKey is the id, ARN or alias of the key for who names none; "" is none.
	DefaultKey string
	// Cache is how long a data key that the service unwrapped is held, so that reads in
	// a row ask once. A key that is disabled opens no longer after that time. 0 stands
	// for DefaultCache; below 0 each read asks.
	Cache time.Duration
	// HTTPClient sends the requests; nil is one that suits the AWS SDK.
	HTTPClient *http.Client
}

// Keyring is a [crypt.Keyring] of the keys of a service.
type Keyring struct {
	client     *kms.Client
	defaultKey string
	hold       time.Duration

	mu   sync.Mutex
	held map[[sha256.Size]byte]heldKey
}

type heldKey struct {
	secret []byte
	until  time.Time
}

var _ crypt.Keyring = (*Keyring)(nil)

// New returns the keyring of a service, which it does not ask anything yet.
func New(opts *Options) *Keyring {
	o := kms.Options{
		Region:      cmp.Or(opts.Region, "us-east-1"),
		Credentials: aws.NewCredentialsCache(opts.Credentials),
	}
	if opts.Endpoint != "" {
		o.BaseEndpoint = aws.String(strings.TrimSuffix(opts.Endpoint, "/"))
	}
	if opts.HTTPClient != nil {
		o.HTTPClient = opts.HTTPClient
	}
	return &Keyring{
		client: kms.New(o), defaultKey: opts.DefaultKey, hold: cmp.Or(opts.Cache, DefaultCache),
		held: make(map[[sha256.Size]byte]heldKey),
	}
}

// Wrap implements crypt.Keyring. The name of the key that is used is its ARN.
func (k *Keyring) Wrap(ctx context.Context, keyID, context string, dataKey []byte) (wrapped []byte, used string, err error) {
	if keyID = cmp.Or(keyID, k.defaultKey); keyID == "" {
		return nil, "", fmt.Errorf("no key is named and there is no default one: %w", store.ErrWrongKey)
	}
	names, err := crypt.ParseContext(context)
	if err != nil {
		return nil, "", err
	}
	out, err := k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &keyID, Plaintext: dataKey, EncryptionContext: names})
	if err != nil {
		return nil, "", failure("wrap", err)
	}
	return out.CiphertextBlob, cmp.Or(aws.ToString(out.KeyId), keyID), nil
}

// Unwrap implements crypt.Keyring.
func (k *Keyring) Unwrap(ctx context.Context, keyID, context string, wrapped []byte) ([]byte, error) {
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", keyID, context, wrapped))
	if secret := k.recall(id); secret != nil {
		return secret, nil
	}
	names, err := crypt.ParseContext(context)
	if err != nil {
		return nil, err
	}
	in := &kms.DecryptInput{CiphertextBlob: wrapped, EncryptionContext: names}
	if keyID != "" {
		in.KeyId = &keyID
	}
	out, err := k.client.Decrypt(ctx, in)
	if err != nil {
		return nil, failure("unwrap", err)
	}
	k.keep(id, out.Plaintext)
	return out.Plaintext, nil
}

func (k *Keyring) recall(id [sha256.Size]byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h, ok := k.held[id]; ok && time.Now().Before(h.until) {
		return h.secret
	}
	return nil
}

func (k *Keyring) keep(id [sha256.Size]byte, secret []byte) {
	if k.hold < 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if len(k.held) >= cacheSize {
		for id, h := range k.held {
			if now.After(h.until) {
				delete(k.held, id)
			}
		}
	}
	for id := range k.held { // any of them
		if len(k.held) < cacheSize {
			break
		}
		delete(k.held, id)
	}
	k.held[id] = heldKey{secret, now.Add(k.hold)}
}

// failure tells a key that cannot be used from a service that cannot be reached.
func failure(op string, err error) error {
	cause := err
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "NotFoundException", "DisabledException", "KMSInvalidStateException", "AccessDeniedException",
			"InvalidKeyUsageException", "IncorrectKeyException", "InvalidArnException":
			cause = fmt.Errorf("%w: %s", store.ErrWrongKey, api.ErrorCode())
		case "InvalidCiphertextException":
			cause = crypt.ErrDamaged
		}
	}
	return fmt.Errorf("key service, %s: %w", op, cause)
}
