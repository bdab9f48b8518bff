package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
}

// Bucket is a bucket and its rules.
type Bucket struct {
	Name    string `yaml:"name"`
	Default bool   `yaml:"default,omitempty"` // the first bucket is, if none says so
	Rules   Rules  `yaml:"rules,omitempty"`
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

// UnmarshalYAML reads the rules with their lines, which errors then name.
func (r *Rules) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return wrong(n, "rules must map paths to rules")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		path, whos := n.Content[i], aliased(n.Content[i+1])
		if whos.Kind != yaml.MappingNode {
			return wrong(whos, "the rules of %q must map who to a list of actions", path.Value)
		}
		if len(whos.Content) == 0 { // nobody: it takes back what a path above it gave
			*r = append(*r, access.Rule{Path: path.Value, Pos: fmt.Sprintf("%s:%d", ConfigFile, path.Line)})
		}
		for j := 0; j+1 < len(whos.Content); j += 2 {
			who, list := whos.Content[j], whos.Content[j+1]
			rule := access.Rule{Path: path.Value, Who: who.Value, Pos: fmt.Sprintf("%s:%d", ConfigFile, who.Line)}
			if err := readGrant(&rule, list); err != nil {
				return err
			}
			*r = append(*r, rule)
		}
	}
	return nil
}

// readGrant reads what a rule gives: a list of actions, or a mapping that has limits
// beside that list.
func readGrant(r *access.Rule, n *yaml.Node) error {
	if n = aliased(n); n.Kind != yaml.MappingNode {
		return readActions(r, n)
	}
	var actions *yaml.Node
	var limits []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], aliased(n.Content[i+1])
		text := value.Value
		switch name.Value {
		case "actions":
			if actions != nil {
				return wrong(name, "actions is there twice")
			}
			actions = value
			if err := readActions(r, value); err != nil {
				return err
			}
			continue
		case "contentTypes":
			types, ok := words(value)
			if !ok || len(types) == 0 {
				return wrong(value, "contentTypes must be a list, such as [image/png, image/*]")
			}
			var list []string
			for _, t := range types {
				if strings.Contains(t.Value, ",") {
					return wrong(t, "%q is more than one content type", t.Value)
				}
				list = append(list, t.Value)
			}
			text = strings.Join(list, ",")
		case "maxSize", "maxObjects", "quota":
			if value.Kind != yaml.ScalarNode {
				return wrong(value, "%s must be one value", name.Value)
			}
		default:
			return wrong(name, "unknown setting %s, beside actions there can be maxSize, contentTypes, maxObjects and quota", name.Value)
		}
		limits = append(limits, name.Value+"="+text)
		var err error
		if r.Limits, err = access.ParseLimits(limits); err != nil {
			return wrong(value, "%s", withoutCause(err))
		}
	}
	if actions == nil {
		return wrong(n, "%q on %q has no actions", r.Who, r.Path)
	}
	return nil
}

// readActions reads a list of actions.
func readActions(r *access.Rule, n *yaml.Node) error {
	names, ok := words(n)
	if !ok {
		return wrong(n, "the actions of %q on %q must be a list", r.Who, r.Path)
	}
	for _, name := range names {
		a, err := access.ParseAction(name.Value)
		if err != nil {
			return wrong(name, "%s", withoutCause(err))
		}
		r.Actions |= a
	}
	return nil
}

// words returns the items of a list of texts. Nothing at all is an empty list.
func words(n *yaml.Node) (list []*yaml.Node, ok bool) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, true
	}
	if n.Kind != yaml.SequenceNode {
		return nil, false
	}
	for _, item := range n.Content {
		if item = aliased(item); item.Kind != yaml.ScalarNode {
			return nil, false
		}
		list = append(list, item)
	}
	return list, true
}

// aliased returns the node that n stands for.
func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// withoutCause returns what err says without its class, which people need not be told.
func withoutCause(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+fs.ErrInvalid.Error())
}

// wrong returns the error for a node that cannot be read.
func wrong(n *yaml.Node, format string, args ...any) error {
	return &yaml.LoadErrors{Errors: []*yaml.LoadError{{
		Stage: yaml.ConstructorStage, Mark: yaml.Mark{Line: n.Line, Column: n.Column}, Message: fmt.Sprintf(format, args...),
	}}}
}

// MarshalYAML writes the rules as UnmarshalYAML reads them, paths in order.
func (r Rules) MarshalYAML() (any, error) {
	m := &yaml.Node{Kind: yaml.MappingNode}
	at := map[string]*yaml.Node{}
	for _, rule := range r {
		whos := at[rule.Path]
		if whos == nil {
			whos = &yaml.Node{Kind: yaml.MappingNode}
			at[rule.Path] = whos
			m.Content = append(m.Content, text(rule.Path), whos)
		}
		if rule.Who == "" && rule.Actions == 0 {
			continue
		}
		whos.Content = append(whos.Content, text(rule.Who), writeGrant(&rule))
	}
	return m, nil
}

// writeGrant is the inverse of readGrant.
func writeGrant(r *access.Rule) *yaml.Node {
	var names []string
	if r.Actions != 0 {
		names = strings.Split(r.Actions.String(), ",")
	}
	limits := r.Limits.String()
	if limits == "" {
		return flow(names)
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{text("actions"), flow(names)}}
	for limit := range strings.FieldsSeq(limits) {
		name, value, _ := strings.Cut(limit, "=")
		v := &yaml.Node{Kind: yaml.ScalarNode, Value: value} // a number stays one
		if name == "contentTypes" {
			v = flow(strings.Split(value, ","))
		}
		n.Content = append(n.Content, text(name), v)
	}
	return n
}

// flow returns a list on one line.
func flow(texts []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, t := range texts {
		n.Content = append(n.Content, text(t))
	}
	return n
}

// text returns a node that is this text, whatever else it might be taken for.
func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// ReadConfig reads the settings of the server whose data directory is dir. A server
// that is opened with them watches the file: see [Server.Reload].
func ReadConfig(dir string) (*Config, error) {
	name := filepath.Join(dir, ConfigFile)
	text, err := os.ReadFile(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s is not the data directory of a server, it has no %s: %w", dir, ConfigFile, fs.ErrNotExist)
		}
		return nil, err
	}
	c, err := ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c.Data = dir
	c.file = &configFile{text, *c}
	c.file.was.Buckets = slices.Clone(c.Buckets)
	return c, nil
}

// unknownField is how the YAML library tells of a setting that a Go type lacks.
var unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)

// ParseConfig reads the text of a cubby.yaml. What it does not know is an error.
func ParseConfig(text []byte) (*Config, error) {
	c := new(Config)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(c); err == io.EOF {
		return c, nil
	} else if err != nil {
		return nil, errors.New(unknownField.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "unknown setting $1"))
	}
	var more yaml.Node
	if err := dec.Decode(&more); err != io.EOF {
		return nil, errors.New("there is more than one YAML document")
	}
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
	keys, err := filepath.Abs(c.path(c.Keys))
	if err != nil {
		return "", err
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(data, keys); err == nil && filepath.IsLocal(rel) {
		return "", fmt.Errorf("keys: %s lies in the data directory, where a backup would take it along: name a file outside", keys)
	}
	return keys, nil
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
