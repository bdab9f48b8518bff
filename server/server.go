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
	"sync/atomic"
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

// staleUploads is how long an upload in parts may stay open before it is aborted, where
// the settings say nothing else.
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

	// Poll is how often the settings are looked at for changes, if ReadConfig read
	// them: 0 is once a second, less than that is never.
	Poll time.Duration

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
	cfg      *Config     // as at the start; rules has what may have changed since
	file     *configFile // that is watched; nil if there is none
	log      *slog.Logger
	dev      bool
	hosts    []string
	svc      store.Service
	settings *settings // of buckets, given over S3
	gate     *gate.Gate
	s3       http.Handler
	auth     *cognito.Handler
	patience time.Duration
	verifier sigv4.Verifier
	limits   *limits
	disk     io.Closer        // nil where Options.Store is set
	objects  *diskstore.Store // the embedded store; nil where Options.Store is none
	keeper   *keeper          // of objects; nil with them
	scrubber *scrubber        // of objects; nil with them
	backups  string           // directory in which operators have backups made, or ""

	rules   atomic.Pointer[rules]
	reload  reload
	denials *denials

	document document
	checkup  job[Diagnosis]
	copying  job[MadeBackup]

	ending     context.Context    // ends when stop is called
	stop       context.CancelFunc // ends what goes on in the background; nil before there is any
	background sync.WaitGroup
}

// Open opens the state and the store, makes what they lack, and returns the
// server. The caller closes it.
func Open(ctx context.Context, cfg *Config, opts *Options) (_ *Server, err error) {
	if opts == nil {
		opts = new(Options)
	}
	in, err := cfg.compile()
	if err != nil {
		return nil, err
	}
	tests, err := readTests(cfg.Data)
	if err != nil {
		return nil, err
	}
	if err := in.run(tests); err != nil {
		return nil, err
	}
	if err := in.check.failed(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, file: cfg.file, log: opts.Log, dev: opts.Dev, patience: cmp.Or(opts.patience, patience)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.file != nil && s.file.was.Data != cfg.Data {
		s.file = nil // it lies elsewhere
	}
	if s.backups, err = cfg.backupsPath(); err != nil {
		return nil, err
	}
	if s.limits, err = newLimits(cfg); err != nil {
		return nil, err
	}
	s.denials = newDenials(s.log)
	in.since = time.Now().UTC()
	s.rules.Store(in)
	for _, host := range cfg.Hosts {
		s.hosts = append(s.hosts, s3api.HostName(host))
	}

	// The state and the store are opened side by side: both wait for the disk.
	s.svc = opts.Store
	opened := make(chan error, 1)
	if s.svc == nil {
		objects, err := cfg.storeOptions()
		if err != nil {
			return nil, err
		}
		objects.Logger = s.log
		go func() {
			disk, err := diskstore.Open(filepath.Join(cfg.Data, "objects"), objects)
			if err == nil {
				s.svc, s.disk = disk, disk
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
	s.objects, _ = s.svc.(*diskstore.Store)
	if err = cfg.keepable(s.objects); err != nil {
		return nil, err
	}
	if s.settings, err = openSettings(ctx, s.db); err != nil {
		return nil, err
	}
	for _, b := range cfg.Buckets {
		err := s.svc.CreateBucket(ctx, b.Name)
		if err == nil {
			err = s.settings.Forget(ctx, b.Name) // those of another that had the name
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	if err = s.setBuckets(ctx, cfg); err != nil {
		return nil, err
	}
	if s.objects != nil {
		s.scrubber = &scrubber{disk: s.objects, db: s.db, log: s.log, every: cfg.Scrub.or(scrubEvery)}
		if err = s.scrubber.load(ctx); err != nil {
			return nil, err
		}
	}

	uploads := cfg.Limits.Uploads.or(defaultUploads)
	s.gate = gate.New(s.svc, in.policies, &gate.Options{
		Observe: s.observe(opts.OnDecision),
		Uploads: uploads,
		TooManyUploads: &s3api.Error{
			Code:    "InvalidRequest",
			Message: fmt.Sprintf("You have %d uploads in parts open in this bucket, and may not start another. Complete or abort one.", uploads),
		},
	})
	s.s3 = s3api.New(s.gate, &s3api.Options{
		Region:       cfg.region(),
		Hosts:        s.hosts,
		Authenticate: s.authenticate,
		Explain:      s.reason,
		Documents:    s.settings,
		OnError: func(ctx context.Context, requestID string, err error) {
			if !errors.Is(err, errSlowDown) {
				s.log.ErrorContext(ctx, "request failed", "request", requestID, "error", shorten(err.Error(), ""))
			}
		},
	})
	s.auth = cognito.New(s.ids, s.users, &cognito.Options{
		BaseURL:    baseURL,
		RemoteAddr: s.limits.proxies.remote,
		OnError: func(r *http.Request, requestID string, err error) {
			s.log.ErrorContext(r.Context(), "request failed", "request", requestID, "error", shorten(err.Error(), ""))
		},
	})
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.ending, s.stop = background, stop
	s.background.Go(func() { // keys are made while requests are answered already
		if err := s.users.Prepare(context.WithoutCancel(ctx)); err != nil {
			s.log.Error("signing keys", "error", err)
		}
	})
	if s.objects != nil {
		s.keeper = &keeper{disk: s.objects, log: s.log, rules: func() *Config { return s.rules.Load().cfg }}
		s.background.Go(func() { s.keeper.run(background) })
		s.background.Go(func() { s.scrubber.run(background) })
	}
	if s.file != nil {
		e := edition{settings: s.file.text, tests: tests}
		s.reload.tried = e.id()
		if every := cmp.Or(opts.Poll, time.Second); every > 0 {
			s.background.Go(func() { s.watch(background, s.file.seen, every) })
		}
	}
	return s, nil
}

// authenticate says who signed an S3 request. It refuses those who send too many.
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
	if _, ok := errors.AsType[*sigv4.Error](err); ok {
		return nil, s.limits.refuse(r, err)
	} else if err != nil {
		return nil, err
	}
	if !who.Operator {
		if err := s.limits.allow(&who.Subject); err != nil {
			return nil, err
		}
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
	if s.stop != nil {
		s.stop()
	}
	s.background.Wait()
	s.denials.tellSkipped()
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
func (s *Server) Warnings() []string { return s.rules.Load().warnings() }

// RuleOptions returns how the settings have rules read.
func (c *Config) RuleOptions() (*access.Options, error) {
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
	return opts, nil
}

// policies compiles the rules of all buckets.
func (c *Config) policies() (map[string]*access.Policy, error) {
	opts, err := c.RuleOptions()
	if err != nil {
		return nil, err
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
