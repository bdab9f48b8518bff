// Package cubby is the client of app file storage: every user has public,
// protected and private folders in the buckets of a Cubby server, of an Amplify
// backend, or of any S3 service.
//
//	out, err := cubby.Discover(ctx, "https://files.example.com", nil)
//	...
//	c, err := cubby.New(cubby.Config{Outputs: out})
//	...
//	_, err = c.SignIn(ctx, "alice", password)
//	_, err = c.Upload(ctx, cubby.Key("photo.jpg", cubby.Private), file, nil)
//	_, err = c.Download(ctx, cubby.Key("photo.jpg", cubby.Private), os.Stdout, nil)
//
// # Terms
//
// A path is the whole key of an object in its bucket. A key is what follows the
// folder of a [Level]. An identity is the stable id of a visitor, who is a guest
// until [Client.SignIn]. A [Location] says which object or folder is meant, and
// in which bucket.
//
// # Content
//
// Content is streamed. An upload of more than a part (5 MiB, and twice as much
// as often as it takes to need no more than 10,000 parts) is sent in parts, four
// at a time. Parts of what implements io.ReaderAt and io.Seeker, such as a file,
// are read where they are; of any other reader they are held in memory, so an
// upload takes as much as the parts that are on their way. A download that breaks
// off goes on where it was, as long as the object is still the same. Checksums
// are made here and compared at the other end, in both directions.
//
// # Errors
//
// Every error is an [*Error]. It matches fs.ErrNotExist, fs.ErrExist,
// fs.ErrPermission and fs.ErrInvalid, and the causes of package store.
package cubby

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/outputs"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/s3store"
)

// Defaults of Config.
const (
	DefaultPartSize = 5 << 20
	DefaultParallel = 4
	DefaultAttempts = 4
)

// Config says where the buckets and the users are. Outputs, Endpoint with
// Buckets, or Store must be given.
type Config struct {
	// Outputs, if not nil, fills in the fields of the same meaning that are empty.
	Outputs *outputs.Outputs

	Endpoint  string // URL of the S3 service; "" is that of AWS
	Region    string // "" is us-east-1
	PathStyle bool   // the bucket stands in the path instead of the host name

	// Buckets are the buckets by their friendly names. DefaultBucket is the name
	// of that which a Location without one is in; if there is only one, it is that.
	Buckets       map[string]BucketConfig
	DefaultBucket string

	// IdentityPoolID names the identity pool that gives credentials, and
	// UserPoolID and UserPoolClientID the user pool to sign in with. An endpoint
	// that is "" is that of AWS in the region of the id.
	IdentityPoolID       string
	IdentityPoolEndpoint string
	UserPoolID           string
	UserPoolClientID     string
	UserPoolEndpoint     string
	NoGuests             bool // who is not signed in may do nothing

	// Credentials, if not nil, take the place of those of the identity pool.
	// IdentityID is then the identity whose folders the levels stand for.
	Credentials s3store.CredentialsProvider
	IdentityID  string

	// Store, if not nil, is the default bucket, whatever it may be. Nothing is
	// asked over the network for it. IdentityID is as with Credentials.
	Store store.Bucket

	// Level is that of keys which do not name one. "" is Guest.
	Level Level

	// Sessions keeps the session between runs of the program. Nil keeps it in memory.
	Sessions SessionStore

	HTTPClient *http.Client // nil is one with defaults that suit
	Attempts   int          // how often a request is sent at most; 0 stands for DefaultAttempts
	PartSize   int64        // 0 stands for DefaultPartSize, which is also the least
	Parallel   int          // parts on their way at a time; 0 stands for DefaultParallel
}

// BucketConfig says where a bucket is.
type BucketConfig struct {
	Name     string // in the service
	Region   string // "" is that of Config
	Endpoint string // "" is that of Config
	// Store, if not nil, is the bucket itself, whatever it may be.
	Store store.Bucket
}

// Client works with the buckets of one app. Its methods may be called
// concurrently.
type Client struct {
	cfg     Config
	buckets map[string]*bucket
	session *session // nil if Credentials or Store take its place
}

// bucket is a bucket under a friendly name.
type bucket struct {
	store.Bucket
	name     string // friendly
	physical string // "" of a Store
}

// New returns a client. It asks nothing over the network. The error is fs.ErrInvalid.
func New(cfg Config) (*Client, error) {
	cfg.Buckets = maps.Clone(cfg.Buckets)
	cfg.fill()
	if err := cfg.check(); err != nil {
		return nil, &Error{Op: "configure", Err: err}
	}
	c := &Client{cfg: cfg, buckets: map[string]*bucket{}}
	creds := cfg.Credentials
	if creds == nil && cfg.IdentityPoolID != "" {
		c.session = newSession(&c.cfg)
		creds = c.session
	}
	for name, b := range cfg.Buckets {
		if b.Store != nil {
			c.buckets[name] = &bucket{b.Store, name, ""}
			continue
		}
		if creds == nil {
			return nil, &Error{Op: "configure", Err: fmt.Errorf("bucket %q: neither an identity pool nor credentials are given: %w", name, fs.ErrInvalid)}
		}
		s, err := s3store.New(s3store.Config{
			Endpoint:    first(b.Endpoint, cfg.Endpoint),
			Region:      first(b.Region, cfg.Region),
			Bucket:      b.Name,
			PathStyle:   cfg.PathStyle,
			Credentials: creds,
			HTTPClient:  cfg.HTTPClient,
			Attempts:    cfg.Attempts,
		})
		if err != nil {
			return nil, &Error{Op: "configure", Err: fmt.Errorf("bucket %q: %w", name, strip(err))}
		}
		c.buckets[name] = &bucket{s, name, b.Name}
	}
	return c, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// fill sets what is empty to what Outputs say, and to the defaults.
func (c *Config) fill() {
	if o := c.Outputs; o != nil {
		if a := o.Auth; a != nil {
			c.IdentityPoolID = first(c.IdentityPoolID, a.IdentityPoolID)
			c.UserPoolID = first(c.UserPoolID, a.UserPoolID)
			c.UserPoolClientID = first(c.UserPoolClientID, a.UserPoolClientID)
			c.NoGuests = c.NoGuests || !a.Guests
		}
		if o.Custom != nil && o.Custom.Cubby != nil {
			e := o.Custom.Cubby
			c.PathStyle = c.PathStyle || c.Endpoint == "" && e.PathStyle
			c.Endpoint = first(c.Endpoint, e.S3Endpoint)
			c.IdentityPoolEndpoint = first(c.IdentityPoolEndpoint, e.IdentityPoolEndpoint)
			c.UserPoolEndpoint = first(c.UserPoolEndpoint, e.UserPoolEndpoint)
		}
		if s := o.Storage; s != nil {
			c.Region = first(c.Region, s.Region)
			if c.Buckets == nil && c.Store == nil {
				c.fillBuckets(s)
			}
		}
	}
	if c.Store != nil {
		c.DefaultBucket = first(c.DefaultBucket, "default")
		if c.Buckets == nil {
			c.Buckets = map[string]BucketConfig{}
		}
		c.Buckets[c.DefaultBucket] = BucketConfig{Store: c.Store}
	}
	if c.DefaultBucket == "" && len(c.Buckets) == 1 {
		for name := range c.Buckets {
			c.DefaultBucket = name
		}
	}
	if c.IdentityPoolEndpoint == "" {
		region, _, _ := strings.Cut(c.IdentityPoolID, ":")
		c.IdentityPoolEndpoint = "https://cognito-identity." + region + ".amazonaws.com/"
	}
	if c.UserPoolEndpoint == "" {
		region, _, _ := strings.Cut(c.UserPoolID, "_")
		c.UserPoolEndpoint = "https://cognito-idp." + region + ".amazonaws.com/"
	}
	c.Level = Level(first(string(c.Level), string(Guest)))
	if c.Attempts < 1 {
		c.Attempts = DefaultAttempts
	}
	if c.PartSize == 0 {
		c.PartSize = DefaultPartSize
	}
	if c.Parallel < 1 {
		c.Parallel = DefaultParallel
	}
}

// fillBuckets takes over the buckets of s. A default that has no friendly name
// is there under its own.
func (c *Config) fillBuckets(s *outputs.Storage) {
	c.Buckets = map[string]BucketConfig{}
	def := ""
	for _, b := range s.Buckets {
		c.Buckets[b.Name] = BucketConfig{Name: b.BucketName, Region: b.Region}
		if b.BucketName == s.Bucket && def == "" {
			def = b.Name
		}
	}
	if def == "" {
		def = s.Bucket
		c.Buckets[def] = BucketConfig{Name: s.Bucket, Region: s.Region}
	}
	c.DefaultBucket = first(c.DefaultBucket, def)
}

func (c *Config) check() error {
	switch {
	case len(c.Buckets) == 0:
		return fmt.Errorf("no bucket: give Outputs, Buckets or Store: %w", fs.ErrInvalid)
	case c.DefaultBucket == "":
		return fmt.Errorf("DefaultBucket must name one of %s: %w", c.bucketNames(), fs.ErrInvalid)
	case c.PartSize < store.MinPartSize || c.PartSize > store.MaxPartSize:
		return fmt.Errorf("part size %d is not in %d to %d: %w", c.PartSize, store.MinPartSize, int64(store.MaxPartSize), fs.ErrInvalid)
	}
	if _, ok := c.Buckets[c.DefaultBucket]; !ok {
		return fmt.Errorf("DefaultBucket %q is not one of %s: %w", c.DefaultBucket, c.bucketNames(), fs.ErrInvalid)
	}
	_, err := ParseLevel(string(c.Level))
	return err
}

func (c *Config) bucketNames() string {
	return strings.Join(slices.Sorted(maps.Keys(c.Buckets)), ", ")
}

// Buckets returns the friendly names of the buckets, the default first.
func (c *Client) Buckets() []string {
	names := []string{c.cfg.DefaultBucket}
	for _, name := range slices.Sorted(maps.Keys(c.buckets)) {
		if name != c.cfg.DefaultBucket {
			names = append(names, name)
		}
	}
	return names
}

// bucket returns the bucket of that friendly name, or else of that name in the
// service. "" is the default.
func (c *Client) bucket(name string) (*bucket, error) {
	if b := c.buckets[first(name, c.cfg.DefaultBucket)]; b != nil {
		return b, nil
	}
	for _, n := range c.Buckets() {
		if b := c.buckets[n]; b.physical == name {
			return b, nil
		}
	}
	return nil, fmt.Errorf("bucket %q is not one of %s: %w", name, c.cfg.bucketNames(), fs.ErrInvalid)
}

// target is a Location made out.
type target struct {
	*bucket
	path   string
	folder string // that of the level, if the location is a key
}

// locate makes out l. It asks for the identity only if l depends on it.
func (c *Client) locate(ctx context.Context, l Location) (*target, error) {
	b, err := c.bucket(l.bucket)
	if err != nil {
		return nil, err
	}
	id := ""
	if l.needsIdentity(c.cfg.Level) {
		if id, err = c.identity(ctx); err != nil {
			return nil, err
		}
	}
	path, folder, err := l.resolve(c.cfg.Level, id)
	if err != nil {
		return nil, err
	}
	return &target{b, path, folder}, nil
}

// object is locate for a location that must be that of an object.
func (c *Client) object(ctx context.Context, l Location) (*target, error) {
	t, err := c.locate(ctx, l)
	if err != nil {
		return nil, err
	}
	return t, store.CheckKey(t.path)
}

// Resolve returns the friendly name of the bucket and the path that l stands for.
func (c *Client) Resolve(ctx context.Context, l Location) (bucket, path string, err error) {
	t, err := c.locate(ctx, l)
	if err != nil {
		return "", "", c.fail("resolve", l.String(), err)
	}
	return t.name, t.path, nil
}

// identity returns the identity id of the visitor.
func (c *Client) identity(ctx context.Context) (string, error) {
	if c.session != nil {
		return c.session.identity(ctx)
	}
	if c.cfg.IdentityID == "" {
		return "", fmt.Errorf("there is no identity: configure an identity pool or IdentityID: %w", fs.ErrInvalid)
	}
	return c.cfg.IdentityID, nil
}
