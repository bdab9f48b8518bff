package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/cubby-storage/cubby/internal/identity"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/crypt/awskms"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// Encryption says how objects are encrypted at rest, in the embedded store.
type Encryption struct {
	// Default is AES256, for all objects that are written without asking for an
	// encryption, or none, which it is by default.
	Default string `yaml:"default,omitempty"`
	// Keys is the file of the named keys for aws:kms: relative to Data, by default the
	// file of the server's keys with ".kms" appended. It is made when a key is first
	// used, with one called default. See crypt.File.
	Keys string `yaml:"keys,omitempty"`
	// KMS is an outside key service, which takes the place of Keys.
	KMS KMS `yaml:"kms,omitempty"`
}

// KMS is a service with the protocol of AWS KMS. Its credentials are the variables
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment.
type KMS struct {
	Endpoint string `yaml:"endpoint,omitempty"` // URL; "" is that of AWS in Region
	Region   string `yaml:"region,omitempty"`
	Key      string `yaml:"key,omitempty"`   // id, ARN or alias of the key for who names none
	Cache    string `yaml:"cache,omitempty"` // how long a key that was opened is held, 5m by default; 0 is not at all
}

// cache returns how long keys are held, as awskms.Options has it.
func (k *KMS) cache() (time.Duration, error) {
	if k.Cache == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(k.Cache)
	if err != nil || d < 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("encryption: kms: cache: %q is no time of up to 24h, such as 5m: %w", k.Cache, fs.ErrInvalid)
	}
	if d == 0 {
		d = -1
	}
	return d, nil
}

// check reports what is wrong with the settings by themselves.
func (e *Encryption) check() error {
	if e.Default != "" && e.Default != "none" && e.Default != crypt.AES256 {
		return fmt.Errorf("encryption: default: %q is neither %s nor none: %w", e.Default, crypt.AES256, fs.ErrInvalid)
	}
	if e.KMS == (KMS{}) {
		return nil
	}
	if e.Keys != "" {
		return fmt.Errorf("encryption: named keys cannot be both in a file and in a key service: %w", fs.ErrInvalid)
	}
	if e.KMS.Endpoint == "" && e.KMS.Region == "" {
		return fmt.Errorf("encryption: kms: name an endpoint or a region: %w", fs.ErrInvalid)
	}
	if e.KMS.Endpoint != "" {
		u, err := url.Parse(e.KMS.Endpoint)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			return fmt.Errorf("encryption: kms: endpoint: it is no URL such as https://kms.example.com: %w", fs.ErrInvalid)
		}
	}
	_, err := e.KMS.cache()
	return err
}

// namedKeysPath returns the file of the named keys. Inside Data it would be part of every
// backup, so that is refused.
func (c *Config) namedKeysPath() (string, error) {
	if c.Encryption.Keys != "" {
		return c.outside("encryption: keys", c.Encryption.Keys)
	}
	path, err := c.keysPath()
	return path + ".kms", err
}

// encryption returns the keyrings of the embedded store. Unless create is set, files
// that are not there are not made, and without the server's keys there is no keyring
// of theirs.
func (c *Config) encryption(create bool) (*crypt.Keys, error) {
	path, err := c.keysPath()
	if err != nil {
		return nil, err
	}
	keys := new(crypt.Keys)
	if _, err := os.Stat(path); create || err == nil {
		k, err := identity.OpenKeys(path)
		if err != nil {
			return nil, err
		}
		keys.Server = crypt.NewLocal(func(yield func([32]byte) bool) {
			for _, secret := range k.All("objects") {
				if !yield(secret) {
					return
				}
			}
		})
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if kms := &c.Encryption.KMS; *kms != (KMS{}) {
		cache, err := kms.cache()
		if err != nil {
			return nil, err
		}
		keys.Named = awskms.New(&awskms.Options{
			Endpoint: kms.Endpoint, Region: cmp.Or(kms.Region, DefaultRegion), DefaultKey: kms.Key, Cache: cache,
			Credentials: awskms.Static(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		})
		return keys, nil
	}
	if path, err = c.namedKeysPath(); err != nil {
		return nil, err
	}
	keys.Named = crypt.NewFile(path)
	return keys, nil
}

// storeOptions returns the options with which the server opens the embedded store.
func (c *Config) storeOptions() (*diskstore.Options, error) {
	keys, err := c.encryption(true)
	return &diskstore.Options{Keys: keys, Encrypt: c.Encryption.Default == crypt.AES256}, err
}
