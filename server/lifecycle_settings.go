package server

import (
	"cmp"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/cubby-storage/cubby/store"
)

// Versioning says whether a bucket keeps versions: "enabled", "suspended", or "" for
// what S3 clients set.
type Versioning string

// UnmarshalYAML reads enabled or suspended.
func (v *Versioning) UnmarshalYAML(n *yaml.Node) error {
	n = aliased(n)
	*v = Versioning(n.Value)
	if _, err := v.state(); err != nil || n.Kind != yaml.ScalarNode || *v == "" {
		return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(n, "versioning must be enabled or suspended")}}
	}
	return nil
}

// state returns what the store calls it.
func (v Versioning) state() (store.Versioning, error) {
	switch v {
	case "":
		return store.Unversioned, nil
	case "enabled":
		return store.Enabled, nil
	case "suspended":
		return store.Suspended, nil
	}
	return "", fmt.Errorf("versioning: %q is neither enabled nor suspended: %w", string(v), fs.ErrInvalid)
}

// LifecycleRule says what of a bucket is deleted when it is old enough. It has one of
// Expire, Noncurrent and Uploads at least.
type LifecycleRule struct {
	// Prefix is what the keys start with that it is about.
	Prefix string `yaml:"prefix,omitempty"`
	// Expire is the age at which objects are deleted that were not written again. Where
	// the bucket keeps versions they are hidden.
	Expire Age `yaml:"expire,omitempty"`
	// Noncurrent is the time after which versions are deleted that were overwritten or
	// hidden, and delete markers that hide nothing.
	Noncurrent Age `yaml:"noncurrent,omitempty"`
	// Uploads is the age at which uploads in parts are aborted that were not completed.
	// Of several rules, that with the longest prefix of a key counts; without one it is
	// 7 days.
	Uploads Age `yaml:"uploads,omitempty"`
}

// UnmarshalYAML reads a rule, and refuses one that does nothing.
func (r *LifecycleRule) UnmarshalYAML(n *yaml.Node) error {
	n = aliased(n)
	if n.Kind != yaml.MappingNode {
		return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(n, "a rule must be settings, such as {prefix: tmp/, expire: 7d}")}}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], aliased(n.Content[i+1])
		if seen[name.Value] {
			return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(name, "%s is there twice", name.Value)}}
		}
		seen[name.Value] = true
		age := map[string]*Age{"expire": &r.Expire, "noncurrent": &r.Noncurrent, "uploads": &r.Uploads}[name.Value]
		switch {
		case age != nil:
			if err := age.UnmarshalYAML(value); err != nil {
				return err
			}
		case name.Value == "prefix" && value.Kind == yaml.ScalarNode:
			r.Prefix = value.Value
		case name.Value == "prefix":
			return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(value, "prefix must be a text")}}
		default:
			return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(name, "unknown setting %s, there can be prefix, expire, noncurrent and uploads", name.Value)}}
		}
	}
	if err := r.check(); err != nil {
		return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(n, "%s", withoutCause(err))}}
	}
	return nil
}

func (r *LifecycleRule) check() error {
	if r.Expire == 0 && r.Noncurrent == 0 && r.Uploads == 0 {
		return fmt.Errorf("the rule does nothing without expire, noncurrent or uploads: %w", fs.ErrInvalid)
	}
	if r.Expire == NoAge || r.Noncurrent == NoAge {
		return fmt.Errorf("none is what objects and versions expire after where no rule says otherwise: %w", fs.ErrInvalid)
	}
	return cmp.Or(r.Expire.check(), r.Noncurrent.check(), r.Uploads.check())
}

// checkLifecycle reports what is wrong with the settings of a bucket, other than rules.
func (b *Bucket) checkLifecycle() error {
	_, err := b.Versioning.state()
	if err == nil {
		err = b.Trash.check()
	}
	for i := range b.Lifecycle {
		if err == nil {
			err = b.Lifecycle[i].check()
		}
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", b.Name, err)
	}
	return nil
}

// kept reports whether the bucket has settings that need the embedded store.
func (b *Bucket) kept() bool { return len(b.Lifecycle) > 0 || b.Trash.or(0) > 0 }

// uploadAge returns how old the uploads of a key may be; 0 means of any age.
func (b *Bucket) uploadAge(key string) time.Duration {
	best, age := -1, staleUploads
	for i := range b.Lifecycle {
		r := &b.Lifecycle[i]
		if r.Uploads != 0 && strings.HasPrefix(key, r.Prefix) && len(r.Prefix) > best {
			best, age = len(r.Prefix), r.Uploads.or(staleUploads)
		}
	}
	return age
}
