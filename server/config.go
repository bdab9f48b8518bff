package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/identity"
	"github.com/cubby-storage/cubby/internal/s3api"
)

// ConfigFile is the name of the settings in a data directory.
const ConfigFile = "cubby.yaml"

// Config says what a server serves. Its YAML form is the file cubby.yaml.
type Config struct {
	// Data is the directory of the embedded store and the state. It is not
	// part of the file, which lies in it.
	Data string `yaml:"-"`

	// Keys is the file of the server's keys: relative to Data, by default Data
	// with ".keys" appended. It is made at the first start. Who has it can make
	// credentials, so it lies outside Data and its backups.
	Keys string `yaml:"keys,omitempty"`

	// Region is the name that clients are told; by default us-east-1.
	Region string `yaml:"region,omitempty"`

	// Listen and ListenTLS are the addresses to serve HTTP and HTTPS on, TLSCert
	// and TLSKey the PEM files of the latter, relative to Data.
	Listen    string `yaml:"listen,omitempty"`
	ListenTLS string `yaml:"listen_tls,omitempty"`
	TLSCert   string `yaml:"tls_cert,omitempty"`
	TLSKey    string `yaml:"tls_key,omitempty"`

	// Hosts are names the server is reached by, such as files.example.com:
	// NAME is path style, BUCKET.NAME virtual-host style. localhost, s3.ANY and
	// BUCKET.s3.ANY need no mention.
	Hosts []string `yaml:"hosts,omitempty"`

	// NoGuests refuses visitors that are not signed in.
	NoGuests bool `yaml:"no_guests,omitempty"`

	// Buckets are made at start if they do not exist.
	Buckets []Bucket `yaml:"buckets"`

	// Issuers are the OIDC issuers whose users may sign in, besides the
	// built-in user pool.
	Issuers []Issuer `yaml:"issuers,omitempty"`

	// Primary is the name of the issuer whose subject, user name and claims
	// {sub}, {username} and {claim:NAME} stand for in rules. By default that is the
	// built-in user pool.
	Primary string `yaml:"primary,omitempty"`

	// Encryption says how objects are encrypted at rest.
	Encryption Encryption `yaml:"encryption,omitempty"`

	// Limits bound what clients can make the server hold and do.
	Limits Limits `yaml:"limits,omitempty"`

	// Proxies are the addresses, or networks such as 10.0.0.0/8, of proxies before the
	// server. Where a request comes from, as far as limits depend on it, is what they
	// say in X-Forwarded-For. What others say there does not count.
	Proxies []string `yaml:"proxies,omitempty"`

	// Scrub is the time in which all content is read once and compared with its entity
	// tag, 30 days by default.
	Scrub Age `yaml:"scrub,omitempty"`

	// Backups is the directory in which a running server makes the backups that operators
	// ask it for, outside Data; relative to it. Without it they cannot.
	Backups string `yaml:"backups,omitempty"`

	// Groups is "union" (the default: the rights of all groups add up) or
	// "replace" (as in Amplify, one group takes the place of all else).
	Groups string `yaml:"groups,omitempty"`
	// Lists is "filtered" (the default: a list holds what one may list) or
	// "prefix" (as in Amplify, all of a prefix or nothing).
	Lists string `yaml:"lists,omitempty"`
	// Amplify set to "strict" accepts only paths that Amplify accepts.
	Amplify string `yaml:"amplify,omitempty"`

	file *configFile // nil if the settings are not those of a file
}

// configFile is the file that settings were read from.
type configFile struct {
	text []byte
	was  Config // as they were read, whatever was set since
	seen sight  // before that
}

// Bucket is a bucket and its rules.
type Bucket struct {
	Name    string `yaml:"name"`
	Default bool   `yaml:"default,omitempty"` // the first bucket is, if none says so
	Rules   Rules  `yaml:"rules,omitempty"`

	// Versioning is set at the start and whenever the settings are read again.
	Versioning Versioning `yaml:"versioning,omitempty"`
	// Lifecycle says what is deleted when it is old enough. It needs the embedded store.
	Lifecycle []LifecycleRule `yaml:"lifecycle,omitempty"`
	// Trash is how long what is deleted or overwritten can be had back, where the bucket
	// keeps no versions. By default it cannot. It needs the embedded store.
	Trash Age `yaml:"trash,omitempty"`
}

// Rules are the access rules of a bucket. In YAML they map a path to who may do what
// there: a list of actions, or a mapping that has the limits of access.Limits beside it.
type Rules []access.Rule

// Issuer is an OIDC issuer.
type Issuer struct {
	Name        string   `yaml:"name"`                   // provider id: kept with each user, so it must not change
	URL         string   `yaml:"url"`                    // the iss of its tokens, and where its discovery document is
	Audiences   []string `yaml:"audiences"`              // client ids
	GroupsClaim string   `yaml:"groups_claim,omitempty"` // claim that lists groups; "" for none
	GroupPrefix string   `yaml:"group_prefix,omitempty"` // put before the name of each

	// Of the primary issuer: the claim that is the user name, and the claims that
	// rules may use. Users must not be able to write them.
	UsernameClaim string   `yaml:"username_claim,omitempty"`
	Claims        []string `yaml:"claims,omitempty"`
}

// ReadConfig reads the settings of the server whose data directory is dir. A server
// that is opened with them watches the file: see [Server.Reload].
func ReadConfig(dir string) (*Config, error) {
	seen := (&Config{Data: dir}).look()
	text, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s is not the data directory of a server, it has no %s: %w", dir, ConfigFile, fs.ErrNotExist)
		}
		return nil, err
	}
	c, err := ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("the settings in %s cannot be read:\n%w", dir, err)
	}
	c.Data = dir
	c.file = &configFile{text, *c, seen}
	c.file.was.Buckets = slices.Clone(c.Buckets)
	return c, nil
}

// WriteConfig writes the settings into the data directory of c, which it makes.
// It refuses those that no server would start with, as far as they tell by themselves.
func WriteConfig(c *Config) error {
	if err := c.check(); err != nil {
		return err
	}
	if _, err := c.keysPath(); err != nil {
		return err
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	text = append([]byte(configHead), text...)
	return writeFile(filepath.Join(c.Data, ConfigFile), text)
}

// writeFile writes a file whole or not at all.
func writeFile(name string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

var (
	// What stands before each identity id has room for 18 characters.
	regionForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,17}$`)
	hostForm   = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)
)

// check reports what is wrong with the settings by themselves. Open asks it before
// anything is made that would keep a wrong one.
func (c *Config) check() error {
	if c.Data == "" {
		return fmt.Errorf("no data directory is named: %w", fs.ErrInvalid)
	}
	if !regionForm.MatchString(c.region()) {
		return fmt.Errorf("region: %q is not 1 to 18 lower-case letters, digits and hyphens: %w", c.Region, fs.ErrInvalid)
	}
	for _, h := range c.Hosts {
		name := s3api.HostName(h)
		if _, err := netip.ParseAddr(name); strings.Contains(h, "/") || err != nil && !hostForm.MatchString(name) {
			return fmt.Errorf("hosts: %q is not the name of a host: %w", h, fs.ErrInvalid)
		}
	}
	if _, err := c.proxies(); err != nil {
		return err
	}
	for i := range c.Buckets {
		if err := c.Buckets[i].checkLifecycle(); err != nil {
			return err
		}
	}
	if err := c.Scrub.check(); err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	return cmp.Or(c.Encryption.check(), c.Limits.check())
}

// idForm is what a login provider can be called.
var idForm = regexp.MustCompile(`^[\w.;/:-]{1,128}$`)

// checkStart reports settings with which a server cannot start, as far as that can be
// told without opening anything.
func (c *Config) checkStart() error {
	if _, err := c.keysPath(); err != nil {
		return err
	}
	if _, err := c.namedKeysPath(); err != nil {
		return err
	}
	if _, err := c.backupsPath(); err != nil {
		return err
	}
	for n, i := range c.Issuers {
		if _, err := i.provider(); err != nil {
			return err
		}
		if !idForm.MatchString(i.Name) {
			return fmt.Errorf("issuers: the name %q is not 1 to 128 letters, digits or any of _.;/:-: %w", i.Name, fs.ErrInvalid)
		}
		if slices.ContainsFunc(c.Issuers[:n], func(o Issuer) bool { return o.Name == i.Name }) {
			return fmt.Errorf("issuers: %s is there twice: %w", i.Name, fs.ErrInvalid)
		}
	}
	if err := c.checkTLS(); err != nil {
		return err
	}
	return cmp.Or(checkAddress("listen", c.Listen), checkAddress("listen_tls", c.ListenTLS))
}

// checkTLS reports that files are missing in the settings of HTTPS.
func (c *Config) checkTLS() error {
	if c.ListenTLS != "" && (c.TLSCert == "" || c.TLSKey == "") {
		return fmt.Errorf("listen_tls: HTTPS needs tls_cert and tls_key: %w", fs.ErrInvalid)
	}
	return nil
}

// checkAddress reports that a server cannot listen at an address, since it is none.
func checkAddress(setting, addr string) error {
	if addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || strings.ContainsAny(host, " /@[]") {
		return fmt.Errorf("%s: %q is no address such as %s: %w", setting, addr, DefaultListen, fs.ErrInvalid)
	}
	return nil
}

// path returns a file named in the settings, which is relative to Data.
func (c *Config) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.Data, name)
}

// keysPath returns the file of the server's keys. Inside Data it would be part
// of every backup, so that is refused.
func (c *Config) keysPath() (string, error) {
	if c.Keys == "" {
		data, err := filepath.Abs(c.Data)
		return data + ".keys", err
	}
	return c.outside("keys", c.Keys)
}

// outside returns a file that a setting names, which must not lie in Data.
func (c *Config) outside(setting, name string) (string, error) {
	keys, err := filepath.Abs(c.path(name))
	if err != nil {
		return "", err
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(data, keys); err == nil && filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s: %s lies in the data directory, where a backup would take it along: name a file outside", setting, keys)
	}
	return keys, nil
}

// backupsPath returns the directory for backups, or "". Inside Data each would be part
// of the next, so that is refused.
func (c *Config) backupsPath() (string, error) {
	if c.Backups == "" {
		return "", nil
	}
	return c.outside("backups", c.Backups)
}

// defaultBucket returns the bucket that clients use when they name none.
func (c *Config) defaultBucket() (*Bucket, error) {
	if len(c.Buckets) == 0 {
		return nil, errors.New("buckets: name at least one")
	}
	i := slices.IndexFunc(c.Buckets, func(b Bucket) bool { return b.Default })
	if i < 0 {
		return &c.Buckets[0], nil
	}
	for _, b := range c.Buckets[i+1:] {
		if b.Default {
			return nil, fmt.Errorf("buckets: %s and %s are both the default", c.Buckets[i].Name, b.Name)
		}
	}
	return &c.Buckets[i], nil
}

// provider returns the login provider for the users of the issuer.
func (i *Issuer) provider() (identity.ProviderConfig, error) {
	if i.Name == "" {
		return identity.ProviderConfig{}, fmt.Errorf("issuers: %s has no name: %w", i.URL, fs.ErrInvalid)
	}
	p, err := identity.NewOIDC(identity.OIDCConfig{
		Issuer: i.URL, ClientIDs: i.Audiences, GroupsClaim: i.GroupsClaim, GroupPrefix: i.GroupPrefix,
		UsernameClaim: i.UsernameClaim, Claims: i.Claims,
	})
	if err != nil {
		return identity.ProviderConfig{}, fmt.Errorf("issuers: %w", err)
	}
	_, address, _ := strings.Cut(i.URL, "://")
	return identity.ProviderConfig{ID: i.Name, Match: identity.MatchNames(i.Name, i.URL, address), Provider: p}, nil
}

// customAttribute begins the attributes of the built-in user pool that users cannot
// write themselves. Of its claims, rules may use those alone.
const customAttribute = "custom:"

// checkClaims reports rules about claims that a subject never has, and claims that
// no rule can be about.
func (c *Config) checkClaims() error {
	known := func(claim string) bool { return strings.HasPrefix(claim, customAttribute) }
	if c.Primary != "" {
		i := slices.IndexFunc(c.Issuers, func(i Issuer) bool { return i.Name == c.Primary })
		if i < 0 {
			return fmt.Errorf("primary: there is no issuer %q: %w", c.Primary, fs.ErrInvalid)
		}
		known = func(claim string) bool { return slices.Contains(c.Issuers[i].Claims, claim) }
	}
	for _, i := range c.Issuers {
		if i.Name != c.Primary && (i.UsernameClaim != "" || len(i.Claims) > 0) {
			return fmt.Errorf("issuers: user name and claims of %s have no effect, since it is not the primary issuer: %w", i.Name, fs.ErrInvalid)
		}
	}
	for _, b := range c.Buckets {
		for _, r := range b.Rules {
			_, claim, ok := strings.Cut(r.Path, "{claim:")
			if !ok {
				continue
			}
			claim, _, _ = strings.Cut(claim, "}")
			if !known(claim) {
				return fmt.Errorf("%s: %s: rules cannot be about the claim %q: of the built-in users they can be about %sNAME, of a primary issuer about what its claims: lists: %w",
					r.Pos, r.Path, claim, customAttribute, fs.ErrInvalid)
			}
		}
	}
	return nil
}
