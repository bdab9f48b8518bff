package server

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/outputs"
)

// Storage returns the buckets and rules of the settings as a configuration of
// Amplify's has them. The warnings tell what that cannot say.
func (c *Config) Storage() (*outputs.Outputs, []outputs.Warning, error) {
	def, err := c.defaultBucket()
	if err != nil {
		return nil, nil, err
	}
	o := &outputs.Outputs{Storage: &outputs.Storage{Region: c.region(), Bucket: def.Name}}
	var warnings []outputs.Warning
	for i, b := range c.Buckets {
		paths, more := outputs.Paths(b.Rules.words())
		for _, w := range more {
			w.Path = fmt.Sprintf("buckets[%d].%s", i, w.Path)
			warnings = append(warnings, w)
		}
		o.Storage.Buckets = append(o.Storage.Buckets, outputs.Bucket{Name: b.Name, BucketName: b.Name, Region: c.region(), Paths: paths})
	}
	return o, warnings, nil
}

// words returns the rules in the words of package outputs.
func (r Rules) words() []outputs.Rule {
	list := make([]outputs.Rule, len(r))
	for i, rule := range r {
		list[i] = outputs.Rule{Path: rule.Path, Who: rule.Who, Limits: rule.Limits.String()}
		if rule.Actions != 0 {
			list[i].Actions = strings.Split(rule.Actions.String(), ",")
		}
	}
	return list
}

// RulesOf returns the paths of a bucket in a configuration of Amplify's as rules,
// whose position is pos. The warnings are about what means nothing to anybody.
func RulesOf(b *outputs.Bucket, pos string) (Rules, []outputs.Warning, error) {
	list, warnings := b.Rules()
	rules := make(Rules, len(list))
	for i, r := range list {
		rules[i] = access.Rule{Path: r.Path, Who: r.Who, Pos: pos}
		if len(r.Actions) == 0 {
			continue
		}
		var err error
		if rules[i].Actions, err = access.ParseAction(strings.Join(r.Actions, ",")); err != nil {
			return nil, nil, fmt.Errorf("path %s: %w", r.Path, err)
		}
	}
	return rules, warnings, nil
}

// ConfigOf returns settings of a server with the buckets and rules of a configuration
// of Amplify's. The warnings tell what of it settings cannot say: a server has user
// and identity pools of its own.
func ConfigOf(o *outputs.Outputs) (*Config, []outputs.Warning, error) {
	if o.Storage == nil {
		return nil, nil, fmt.Errorf("the configuration has no storage, so there are no buckets for a server: %w", fs.ErrInvalid)
	}
	c := &Config{Region: o.Storage.Region}
	var warnings []outputs.Warning
	warn := func(path, text string) { warnings = append(warnings, outputs.Warning{Path: path, Text: text}) }
	grouped := false
	for i, b := range o.Storage.Buckets {
		at := fmt.Sprintf("storage.buckets[%d]", i)
		rules, more, err := RulesOf(&b, at)
		if err != nil {
			return nil, nil, err
		}
		for _, w := range more {
			w.Path = at + "." + w.Path
			warnings = append(warnings, w)
		}
		if b.Name != b.BucketName {
			warn(at+".name", fmt.Sprintf("a server has one name for a bucket: apps that say %s must say %s now", b.Name, b.BucketName))
		}
		if b.Region != c.Region {
			warn(at+".aws_region", fmt.Sprintf("a server is in one region, %s, and not in %s", c.Region, b.Region))
		}
		if len(rules) == 0 {
			warn(at+".paths", noPaths)
		}
		grouped = grouped || slices.ContainsFunc(rules, func(r access.Rule) bool { return strings.HasPrefix(r.Who, "group") })
		c.Buckets = append(c.Buckets, Bucket{Name: b.BucketName, Default: b.BucketName == o.Storage.Bucket && i > 0, Rules: rules})
	}
	if !slices.ContainsFunc(c.Buckets, func(b Bucket) bool { return b.Name == o.Storage.Bucket }) {
		c.Buckets = slices.Insert(c.Buckets, 0, Bucket{Name: o.Storage.Bucket})
		warn("storage.bucket_name", noPaths)
	}
	if grouped {
		warn("groups", "here the rights of all groups of a user add up; in Amplify one group takes the place of all else, as with the setting groups: replace")
	}
	if a := o.Auth; a != nil {
		c.NoGuests = !a.Guests
		warn("auth", "a server has pools of its own; see issuers: to let the users of this one sign in")
	}
	for _, x := range o.Extra {
		if x.Empty() {
			continue
		}
		warn(x.Path(), "settings have no place for it")
	}
	return c, warnings, nil
}

// noPaths is what to say of a bucket without rules.
const noPaths = "there are no paths, so nobody may do anything there; for those of an Amplify CLI project see: cubby rules policy --gen1 cli-inputs.json --to cubby"

// Write writes the settings as a cubby.yaml.
func (c *Config) Write(w io.Writer) error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	_, err = w.Write(append([]byte(configHead), text...))
	return err
}

// configHead begins each file of settings that is made.
const configHead = "# Settings and access rules of a Cubby server: cubby serve --data DIR\n"

// URL is where clients reach a server with these settings, as far as they tell.
func (c *Config) URL() string {
	l := new(Listeners)
	for _, x := range []struct {
		url          *string
		scheme, addr string
	}{{&l.URL, "http", c.Listen}, {&l.URLTLS, "https", c.ListenTLS}} {
		host, port, err := net.SplitHostPort(x.addr)
		if err != nil {
			continue
		}
		if host == "" || host == "0.0.0.0" || host == "::" {
			host = "localhost"
		}
		*x.url = x.scheme + "://" + net.JoinHostPort(host, port)
	}
	if l.URL == "" && l.URLTLS == "" {
		l.URL = "http://" + DefaultListen
	}
	return cmp.Or(c.PublicURL(l), l.Any())
}
