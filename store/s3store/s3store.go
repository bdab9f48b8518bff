// Package s3store makes the buckets of any S3 service a [store.Bucket].
//
//	b, err := s3store.New(s3store.Config{
//		Endpoint:    "https://s3.example.com",
//		Bucket:      "media",
//		PathStyle:   true,
//		Credentials: s3store.Static("AKID", "secret", ""),
//	})
//
// It asks nothing of the service beyond the S3 API: lists are bounded by prefix
// and start-after, and what lies outside a range is dropped here.
//
// # Content
//
// Content is sent once and as it is read: the payload is not signed, a checksum
// protects it instead. What can seek is sent with its checksum in a header, and
// again if the first attempt fails. What cannot is sent once; a checksum that is
// only known at its end follows as a trailer. Its last byte is held back until
// all of it was read and found right, so that the service never stores content
// that is too long, too short, or not the one announced.
//
// # What is left out
//
// An S3 service does not tell the uploads of one user from those of another, so
// what names an owner fails with errors.ErrUnsupported. Info of Put, Copy and
// CompleteUpload holds what the service answers and what the caller said; ModTime
// is then the time of the answer.
//
// # Versions and keys
//
// Version ids are those of the service, and "" where it sends none. A request
// with a customer's key should go over https: the service gets the key itself.
// Errors never hold it. Where a request that had one is denied, the error is
// ErrWrongKey, since S3 answers the same to a wrong key; that is fs.ErrPermission too.
//
// # Lost answers
//
// A write under a condition whose answer is lost is sent again, and then fails on
// what the first attempt has written. So where an earlier attempt may have been
// done, such a failure counts as success if the object there is what was sent, by
// its size and checksum or entity tag, and was not written before. Who writes the
// same content at the same moment cannot be told apart.
//
// # Errors
//
// Every error is a [*store.Error] with the sentinels of that package. Where the
// service refused, a [*ServiceError] in the chain has its code and request id.
package s3store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/cubby-storage/cubby/store"
)

// Attempts is how often a request is sent at most where Config does not say.
const Attempts = 4

// Credentials sign requests. They are those of the AWS SDK.
type Credentials = aws.Credentials

// CredentialsProvider gives the credentials of each request; it keeps them
// itself for as long as they are good. Any provider of the AWS SDK is one. If it
// has a method Invalidate(), as aws.CredentialsCache has, that is called when the
// service refuses a session that has ended, and the request is sent again.
type CredentialsProvider = aws.CredentialsProvider

// Static returns a provider of credentials that do not change.
func Static(accessKeyID, secret, sessionToken string) CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (Credentials, error) {
		return Credentials{AccessKeyID: accessKeyID, SecretAccessKey: secret, SessionToken: sessionToken}, nil
	})
}

// Config says which service and how to reach it.
type Config struct {
	Endpoint  string // URL of the service; "" is that of AWS in Region
	Region    string // "" is us-east-1
	Bucket    string // of New; NewService does not look at it
	PathStyle bool   // the bucket stands in the path instead of the host name

	Credentials CredentialsProvider // nil sends requests unsigned
	HTTPClient  *http.Client        // nil is one that suits the AWS SDK
	// Attempts is how often a request is sent at most. 0 stands for the constant Attempts.
	Attempts int
	// Backoff, if not nil, is how long to wait before attempt n, 2 or more. By
	// default that is a random time that doubles up to 20 seconds.
	Backoff func(n int) time.Duration
}

// Bucket is a bucket of an S3 service. It is a [store.Bucket].
type Bucket struct {
	client   *s3.Client
	endpoint string
	name     string
}

// Service is an S3 service. It is a [store.Service].
type Service struct {
	client   *s3.Client
	endpoint string
}

var (
	_ store.Bucket  = (*Bucket)(nil)
	_ store.Service = (*Service)(nil)
)

// New returns the bucket that cfg names. It does not ask the service whether
// there is one. The error is fs.ErrInvalid.
func New(cfg Config) (*Bucket, error) {
	if cfg.Bucket == "" {
		return nil, &store.Error{Op: "open", Err: fmt.Errorf("no bucket named: %w", fs.ErrInvalid)}
	}
	s, err := NewService(cfg)
	if err != nil {
		return nil, err
	}
	return s.bucket(cfg.Bucket), nil
}

// NewService returns the service that cfg names. The error is fs.ErrInvalid.
func NewService(cfg Config) (*Service, error) {
	o := s3.Options{
		Region:                     cfg.Region,
		UsePathStyle:               cfg.PathStyle,
		Credentials:                cfg.Credentials,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Logger:                     logging.Nop{},
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Credentials == nil {
		o.Credentials = aws.AnonymousCredentials{}
	}
	if cfg.HTTPClient != nil {
		o.HTTPClient = cfg.HTTPClient
	}
	if cfg.Endpoint != "" {
		u, err := url.Parse(cfg.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, &store.Error{Op: "open", Err: fmt.Errorf("endpoint %q is not an http or https URL: %w", cfg.Endpoint, fs.ErrInvalid)}
		}
		o.BaseEndpoint = aws.String(strings.TrimSuffix(cfg.Endpoint, "/"))
	}
	attempts := cfg.Attempts
	if attempts < 1 {
		attempts = Attempts
	}
	o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts = attempts
		first := []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(isFinal)}
		if c, ok := cfg.Credentials.(interface{ Invalidate() }); ok {
			first = append(first, renewal(c.Invalidate))
		}
		s.Retryables = append(first, s.Retryables...)
		if cfg.Backoff != nil {
			s.Backoff = retry.BackoffDelayerFunc(func(n int, _ error) (time.Duration, error) { return cfg.Backoff(n + 1), nil })
		}
	})
	return &Service{s3.New(o), aws.ToString(o.BaseEndpoint)}, nil
}

// isFinal tells the SDK not to send content again that has become another.
func isFinal(err error) aws.Ternary {
	if errors.Is(err, store.ErrIncomplete) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// renewal tells the SDK to try again with other credentials than those of a
// session that has ended.
func renewal(invalidate func()) retry.IsErrorRetryableFunc {
	return func(err error) aws.Ternary {
		api, ok := errors.AsType[smithy.APIError](err)
		if !ok {
			return aws.UnknownTernary
		}
		switch api.ErrorCode() {
		case "ExpiredToken", "InvalidToken":
			invalidate()
			return aws.TrueTernary
		case "BadRequest": // of HEAD, where that may be all there is to know
			invalidate()
		}
		return aws.UnknownTernary
	}
}

func (s *Service) bucket(name string) *Bucket { return &Bucket{s.client, s.endpoint, name} }

// Bucket returns the bucket called name. One that the credentials may not look
// at is returned too: its objects may be open to them.
func (s *Service) Bucket(ctx context.Context, name string) (store.Bucket, error) {
	if name == "" || strings.Contains(name, "/") { // in a path that is another request
		return nil, &store.Error{Op: "open", Bucket: name, Err: store.ErrNoBucket}
	}
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	err = mapError(err, kindBucket)
	if errors.Is(err, fs.ErrInvalid) && store.CheckBucketName(name) != nil {
		err = fmt.Errorf("%w: %w", store.ErrNoBucket, err)
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, &store.Error{Op: "open", Bucket: name, Err: err}
	}
	return s.bucket(name), nil
}

// Buckets describes all buckets of the owner of the credentials, by name.
func (s *Service) Buckets(ctx context.Context) ([]store.BucketInfo, error) {
	var list []store.BucketInfo
	for p := s3.NewListBucketsPaginator(s.client, &s3.ListBucketsInput{}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, &store.Error{Op: "list buckets", Err: mapError(err, kindBucket)}
		}
		for _, b := range page.Buckets {
			list = append(list, store.BucketInfo{Name: aws.ToString(b.Name), Created: aws.ToTime(b.CreationDate)})
		}
	}
	return list, nil
}

// CreateBucket makes a bucket. In a region of AWS other than us-east-1 it is
// made there.
func (s *Service) CreateBucket(ctx context.Context, name string) error {
	if err := store.CheckBucketName(name); err != nil {
		return &store.Error{Op: "create bucket", Bucket: name, Err: err}
	}
	in := &s3.CreateBucketInput{Bucket: &name}
	if r := s.client.Options().Region; s.endpoint == "" && r != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(r)}
	}
	if _, err := s.client.CreateBucket(ctx, in); err != nil {
		return &store.Error{Op: "create bucket", Bucket: name, Err: mapError(err, kindBucket)}
	}
	return nil
}

// DeleteBucket removes an empty bucket.
func (s *Service) DeleteBucket(ctx context.Context, name string) error {
	if _, err := s.client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name}); err != nil {
		return &store.Error{Op: "delete bucket", Bucket: name, Err: mapError(err, kindBucket)}
	}
	return nil
}

// Name is the name of the bucket in the service.
func (b *Bucket) Name() string { return b.name }

// fail makes the error of a method, or nil.
func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	failed := &store.Error{Op: op, Bucket: b.name, Key: key, Err: err}
	if e, ok := errors.AsType[*ServiceError](err); ok {
		failed.Marker = e.marker
	}
	return failed
}
