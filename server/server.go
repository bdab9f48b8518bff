// Package server puts the parts of Cubby together.
//
// [Open] makes a [Server] of a [Config]: an http.Handler that speaks S3 and
// Cognito on one address, over an embedded store. It can be mounted in a program
// of one's own, as it is, at the root of a host; [Server.Serve] runs it by itself.
//
//	cfg, err := server.ReadConfig("data")
//	srv, err := server.Open(ctx, cfg, nil)
//	defer srv.Close()
//	err = srv.Serve(ctx, listener)
//
// [Server.Admin], and [OpenAdmin] where no server runs in this process, manage
// users and operator keys.
//
// Errors say which setting is wrong; a missing data directory is fs.ErrNotExist.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/cognito"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/internal/identity"
	"github.com/cubby-storage/cubby/internal/s3api"
	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// DefaultRegion is the region that clients are told where the settings name none.
const DefaultRegion = "us-east-1"

// staleUploads is how long an upload in parts may stay open before it is aborted.
const staleUploads = 7 * 24 * time.Hour

// Options are what a program gives a Server beside its settings.
type Options struct {
	// Log is told of what fails for no fault of a caller. Nil is silent.
	Log *slog.Logger

	// Dev answers only requests to a loopback name or one of Config.Hosts, so
	// that no web page can reach the server by a name of its own.
	Dev bool

	// OnDecision, if not nil, is told how each question to the rules was answered.
	OnDecision func(Decision)

	// Store takes the place of the embedded store.
	Store store.Service

	patience time.Duration // for tests
}

// Decision is a question to the rules, and the answer.
type Decision struct {
	Bucket, Key string
	Action      access.Action
	Operator    bool
	Identity    string // of the subject; "" for an operator
	access.Decision
	// Reason is the answer in words. It names rules, so it is for those who may see them.
	Reason string
}

// Server is a running Cubby. It is an http.Handler.
type Server struct {
	*Admin
	cfg      *Config
	log      *slog.Logger
	dev      bool
	hosts    []string
	s3       http.Handler
	auth     *cognito.Handler
	warnings []string
	patience time.Duration
	verifier sigv4.Verifier
	disk     io.Closer // nil where Options.Store is set

	prepared sync.WaitGroup // keys are made while requests are answered already
}

// Open opens the state and the store, makes what they lack, and returns the
// server. The caller closes it.
func Open(ctx context.Context, cfg *Config, opts *Options) (_ *Server, err error) {
	if opts == nil {
		opts = new(Options)
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	policies, err := cfg.policies()
	if err != nil {
		return nil, err
	}
	if err := cfg.checkClaims(); err != nil {
		return nil, err
	}
	if _, err := cfg.defaultBucket(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: opts.Log, dev: opts.Dev, patience: cmp.Or(opts.patience, patience)}
	for _, b := range cfg.Buckets {
		for _, w := range policies[b.Name].Warnings() {
			s.warnings = append(s.warnings, w.String())
		}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, host := range cfg.Hosts {
		s.hosts = append(s.hosts, s3api.HostName(host))
	}

	// The state and the store are opened side by side: both wait for the disk.
	svc := opts.Store
	opened := make(chan error, 1)
	if svc == nil {
		go func() {
			disk, err := diskstore.Open(filepath.Join(cfg.Data, "objects"), &diskstore.Options{Logger: s.log, StaleUploads: staleUploads})
			if err == nil {
				svc, s.disk = disk, disk
			}
			opened <- err
		}()
	} else {
		opened <- nil
	}
	s.Admin, err = OpenAdmin(ctx, cfg)
	err = errors.Join(err, <-opened)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err != nil {
		return nil, err
	}
	for _, b := range cfg.Buckets {
		if err := svc.CreateBucket(ctx, b.Name); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}

	g := gate.New(svc, policies, &gate.Options{Observe: observer(policies, opts.OnDecision)})
	s.s3 = s3api.New(g, &s3api.Options{
		Region:       cfg.region(),
		Hosts:        s.hosts,
		Authenticate: s.authenticate,
		OnError: func(ctx context.Context, requestID string, err error) {
			s.log.ErrorContext(ctx, "request failed", "request", requestID, "error", err)
		},
	})
	s.auth = cognito.New(s.ids, s.users, &cognito.Options{
		BaseURL: baseURL,
		OnError: func(r *http.Request, requestID string, err error) {
			s.log.ErrorContext(r.Context(), "request failed", "request", requestID, "error", err)
		},
	})
	s.prepared.Go(func() {
		if err := s.users.Prepare(context.WithoutCancel(ctx)); err != nil {
			s.log.Error("signing keys", "error", err)
		}
	})
	return s, nil
}

// observer passes on what the gate was asked, in the words of this package.
func observer(policies map[string]*access.Policy, tell func(Decision)) func(context.Context, gate.Check) {
	if tell == nil {
		return nil
	}
	return func(_ context.Context, c gate.Check) {
		d := Decision{Bucket: c.Bucket, Key: c.Key, Action: c.Action, Operator: c.Operator, Decision: c.Decision}
		if c.Subject != nil {
			d.Identity = c.Subject.Identity
			d.Reason = policies[c.Bucket].Explain(c.Subject, c.Action, c.Key)
			if c.Decision.Allowed && c.Decision.Rule == nil { // a list is not about one key
				d.Reason = fmt.Sprintf("%s of %q shows what may be listed there", c.Action, c.Key)
			}
		}
		tell(d)
	}
}

// authenticate says who signed an S3 request.
func (s *Server) authenticate(r *http.Request) (*s3api.Caller, error) {
	var who *identity.Principal
	req, err := s.verifier.VerifyWith(r, func(ctx context.Context, accessKeyID, sessionToken string) (string, error) {
		secret, p, err := s.ids.Open(ctx, accessKeyID, sessionToken)
		if err != nil {
			return "", s3Error(err)
		}
		who = p
		return secret.Reveal(), nil
	})
	if err != nil {
		return nil, err
	}
	return &s3api.Caller{Operator: who.Operator, Subject: who.Subject, Request: req}, nil
}

// s3Error says in S3's words why a credential was not accepted.
func s3Error(err error) error {
	if e, ok := errors.AsType[*identity.Error](err); ok {
		switch e.Code {
		case identity.CodeInvalidAccessKeyID, identity.CodeInvalidToken, identity.CodeExpiredToken:
			return &sigv4.Error{Code: e.Code, Message: e.Message, Err: e}
		case identity.CodeUnavailable:
			return &s3api.Error{Code: e.Code, Message: e.Message, Err: e}
		}
	}
	return err
}

// Close ends what Open began. Requests must have ended before.
func (s *Server) Close() error {
	s.prepared.Wait()
	var errs []error
	if s.Admin != nil {
		errs = append(errs, s.Admin.Close())
	}
	if s.disk != nil {
		errs = append(errs, s.disk.Close())
	}
	return errors.Join(errs...)
}

// Warnings are what is odd about the rules, though not wrong.
func (s *Server) Warnings() []string { return s.warnings }

// policies compiles the rules of all buckets.
func (c *Config) policies() (map[string]*access.Policy, error) {
	opts := &access.Options{}
	switch c.Groups {
	case "", "union":
	case "replace":
		opts.Groups = access.Replace
	default:
		return nil, fmt.Errorf("groups: %q is neither union nor replace: %w", c.Groups, fs.ErrInvalid)
	}
	switch c.Lists {
	case "", "filtered":
	case "prefix":
		opts.Lists = access.Prefix
	default:
		return nil, fmt.Errorf("lists: %q is neither filtered nor prefix: %w", c.Lists, fs.ErrInvalid)
	}
	switch c.Amplify {
	case "":
	case "strict":
		opts.Strict = true
	default:
		return nil, fmt.Errorf("amplify: %q is not strict: %w", c.Amplify, fs.ErrInvalid)
	}
	policies := map[string]*access.Policy{}
	for _, b := range c.Buckets {
		if err := store.CheckBucketName(b.Name); err != nil {
			return nil, fmt.Errorf("buckets: %w", err)
		}
		if policies[b.Name] != nil {
			return nil, fmt.Errorf("buckets: %s is there twice: %w", b.Name, fs.ErrExist)
		}
		p, _, err := access.Compile(b.Rules, opts)
		if err != nil {
			return nil, fmt.Errorf("rules of bucket %s:\n%w", b.Name, err)
		}
		policies[b.Name] = p
	}
	return policies, nil
}

func (c *Config) region() string {
	if c.Region == "" {
		return DefaultRegion
	}
	return c.Region
}

// baseURL is the URL by which a request reached the server.
func baseURL(r *http.Request) string {
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}

// DevUsers returns the names of the users that dev mode made, whose passwords
// were printed on a terminal.
func (s *Server) DevUsers(ctx context.Context) ([]string, error) {
	users, err := s.Users(ctx)
	if err != nil {
		return nil, err
	}
	users = slices.DeleteFunc(users, func(u User) bool { return !u.Dev })
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.Name
	}
	return names, nil
}

// makeData makes the data directory, for its owner alone.
func (c *Config) makeData() error { return os.MkdirAll(c.Data, 0o700) }
