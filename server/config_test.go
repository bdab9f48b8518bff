package server

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/cubby-storage/cubby/access"
)

func TestConfigIsRead(t *testing.T) {
	c, err := ParseConfig([]byte(`
region: eu-1
hosts: [files.example.com]
no_guests: true
buckets:
  - name: photos
  - name: media
    default: true
    rules:
      public/*:
        guest: [read]
        group:admin: [get, list, write, delete, versions]
      public/closed/*: {}
      private/{entity_id}/*:
        owner: [read, write]
issuers:
  - name: corp
    url: https://id.example.com
    audiences: [app]
    groups_claim: groups
    group_prefix: "corp-"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Rules{
		{Path: "public/*", Who: "guest", Actions: access.Read, Pos: "cubby.yaml:11"},
		{Path: "public/*", Who: "group:admin", Actions: access.Read | access.Write | access.Delete | access.Versions, Pos: "cubby.yaml:12"},
		{Path: "public/closed/*", Pos: "cubby.yaml:13"},
		{Path: "private/{entity_id}/*", Who: "owner", Actions: access.Read | access.Write, Pos: "cubby.yaml:15"},
	}
	if got := c.Buckets[1].Rules; !reflect.DeepEqual(got, want) {
		t.Errorf("rules are %+v, want %+v", got, want)
	}
	if def, err := c.defaultBucket(); err != nil || def.Name != "media" {
		t.Errorf("default bucket %v, %v", def, err)
	}
	if !c.NoGuests || c.region() != "eu-1" || c.Hosts[0] != "files.example.com" || c.Issuers[0].GroupPrefix != "corp-" {
		t.Errorf("settings are %+v", c)
	}
	if p, err := c.policies(); err != nil || p["media"].Decide(&access.Subject{}, access.Get, "public/closed/x").Allowed {
		t.Errorf("a path without anybody takes nothing back: %v", err)
	}
}

// TestLimitsAreRead beside the actions, in all the forms that YAML has.
func TestLimitsAreRead(t *testing.T) {
	c, err := ParseConfig([]byte(`
buckets:
  - name: media
    rules:
      inbox/*:
        guest: {actions: [write], maxSize: 5MB, contentTypes: [image/*, text/plain], maxObjects: 100, quota: 1GB}
        authenticated: &users
          maxSize: 500
          actions:
            - read
            - write
      other/*:
        authenticated: *users
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Rules{
		{Path: "inbox/*", Who: "guest", Actions: access.Write, Pos: "cubby.yaml:6", Limits: &access.Limits{
			MaxSize: 5e6, ContentTypes: []string{"image/*", "text/plain"}, MaxObjects: 100, Quota: 1e9,
		}},
		{Path: "inbox/*", Who: "authenticated", Actions: access.Read | access.Write, Pos: "cubby.yaml:7", Limits: &access.Limits{MaxSize: 500}},
		{Path: "other/*", Who: "authenticated", Actions: access.Read | access.Write, Pos: "cubby.yaml:13", Limits: &access.Limits{MaxSize: 500}},
	}
	if got := c.Buckets[0].Rules; !reflect.DeepEqual(got, want) {
		t.Errorf("rules are %+v, want %+v", got, want)
	}
	if _, err := c.policies(); err != nil {
		t.Error(err)
	}
}

func TestConfigErrorsNameTheLine(t *testing.T) {
	const inbox = "buckets:\n  - name: media\n    rules:\n      inbox/*:\n        guest:\n"
	for _, c := range []struct{ text, want string }{
		{"buckets:\n  - name: media\n    rules: [a]", "cubby.yaml:3"},
		{"buckets:\n  - name: media\n    rules:\n      public/*: read", "cubby.yaml:4"},
		{"buckets:\n  - name: media\n    rules:\n      public/*:", "cubby.yaml:4"},
		{"buckets:\n  - name: media\n    rules:\n      public/*:\n        guest: read", "cubby.yaml:5"},
		{"buckets:\n  - name: media\n    rules:\n      public/*:\n        guest: [read, fly]", "cubby.yaml:5"},
		{"buckets:\n  - name: media\n    rules:\n      public/*:\n        guest: {read: true}", "cubby.yaml:5: unknown setting read"},
		{inbox + "          - write\n          - fly", `cubby.yaml:7: unknown action "fly", want`},
		{inbox + "          actions: [write]\n          maxSise: 5MB", "cubby.yaml:7: unknown setting maxSise"},
		{inbox + "          actions: [write]\n          maxSize: 5 parsecs", "cubby.yaml:7: maxSize=5 parsecs: want a size"},
		{inbox + "          actions: [write]\n          maxSize: [5]", "cubby.yaml:7: maxSize must be one value"},
		{inbox + "          actions: [write]\n          maxSize: 1\n          maxSize: 2", "cubby.yaml:8"},
		{inbox + "          actions: [write]\n          maxSize: 0", "cubby.yaml:7"},
		{inbox + "          actions: [write]\n          quota:", "cubby.yaml:7: quota=: want a size"},
		{inbox + "          actions: [write]\n          maxObjects: many", "cubby.yaml:7"},
		{inbox + "          actions: [write]\n          contentTypes: image/png", "cubby.yaml:7: contentTypes must be a list"},
		{inbox + "          actions: [write]\n          contentTypes: []", "cubby.yaml:7: contentTypes must be a list"},
		{inbox + "          actions: [write]\n          contentTypes:\n            - a/b\n            - c/d,e/f", "cubby.yaml:9: \"c/d,e/f\" is more than one"},
		{inbox + "          actions: [write]\n          actions: [read]", "cubby.yaml:7"},
		{inbox + "          actions:\n            - write\n            - fly", "cubby.yaml:8: unknown action"},
		{inbox + "          actions: write", "cubby.yaml:6: the actions of"},
		{inbox + "          maxSize: 5MB", `cubby.yaml:6: "guest" on "inbox/*" has no actions`},
		{"nonsense: 1", "cubby.yaml:1"},
		{"region: a\nbuckets:\n  - name: media\n    colour: red", "cubby.yaml:4"},
		{"region: a\nregion: b", "cubby.yaml:2"},
		{"buckets: 7", "cubby.yaml:1"},
		{"region: [", "cubby.yaml:"},
		{"region: a\n---\nregion: b", "more than one"},
		{"region: a\n---\n[", "more than one"},
		{"buckets: {a: b}", "cubby.yaml:1: this must be a list, not a mapping"},
		{"no_guests: perhaps", `cubby.yaml:1: this must be true or false, not "perhaps"`},
		{"region: [a]", "cubby.yaml:1: this must be a text, not a list"},
		{"buckets: [a]", `cubby.yaml:1: this must be settings, not "a"`},
		{inbox + "          - write\n      inbox/*:\n        authenticated: [read]", `cubby.yaml:7: path "inbox/*" is there twice, first in line 4`},
		{inbox + "          - write\n        guest: [read]", `cubby.yaml:7: "guest" on "inbox/*" is there twice, first in line 5`},
		{"\tregion: a", "cubby.yaml:1"},
	} {
		_, err := ParseConfig([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, fs.ErrInvalid) || strings.Contains(err.Error(), "server.") || strings.Contains(err.Error(), "!!") {
			t.Errorf("%q: error is %v, want one that says %s", c.text, err, c.want)
		}
	}
	// All that is wrong is told, in order, and the name of the file once.
	dir := t.TempDir()
	writeData(t, dir, ConfigFile, inbox+"          - get\n        guest: [get]\n        gast: read\nno_guests: 7\ncolour: red\n")
	const all = `cubby.yaml:7: "guest" on "inbox/*" is there twice, first in line 5
cubby.yaml:8: the actions of "gast" on "inbox/*" must be a list
cubby.yaml:9: this must be true or false, not "7"
cubby.yaml:10: unknown setting colour`
	if _, err := ReadConfig(dir); err == nil || err.Error() != "the settings in "+dir+" cannot be read:\n"+all {
		t.Errorf("the error is %v", err)
	}
	if _, err := ReadConfig(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory without settings: %v", err)
	}
}

// TestConfigIsRefused has settings that can be read but make no server.
func TestConfigIsRefused(t *testing.T) {
	rules := func(lines string) string { return "buckets:\n  - name: media\n    rules:\n" + lines }
	for _, c := range []struct{ name, text, want string }{
		{"no buckets", "", "at least one"},
		{"two defaults", "buckets: [{name: aaa, default: true}, {name: bbb, default: true}]", "both the default"},
		{"bucket twice", "buckets: [{name: aaa}, {name: aaa}]", "aaa is there twice"},
		{"bucket name", "buckets: [{name: Upper}]", "Upper"},
		{"no bucket name", "buckets: [{default: true}]", "bucket name"},
		{"groups", "groups: sometimes\nbuckets: [{name: aaa}]", "groups:"},
		{"lists", "lists: all\nbuckets: [{name: aaa}]", "lists:"},
		{"amplify", "amplify: loose\nbuckets: [{name: aaa}]", "amplify:"},
		{"who", rules("      public/*:\n        everybody: [read]"), "cubby.yaml:5"},
		{"who with a blank", rules("      public/*:\n        'group:': [read]"), "cubby.yaml:5"},
		{"path without star", rules("      public:\n        guest: [read]"), "cubby.yaml:5"},
		{"path with two tokens", rules("      a/{sub}/{username}/*:\n        owner: [read]"), "cubby.yaml:5"},
		{"limits without write", rules("      public/*:\n        guest: {actions: [read], maxSize: 5MB}"), "cubby.yaml:5"},
		{"content type that is none", rules("      public/*:\n        guest: {actions: [write], contentTypes: [pictures]}"), "cubby.yaml:5"},
		{"no actions", rules("      public/*:\n        guest: []"), "cubby.yaml:5"},
		{"rule twice", rules("      public/*:\n        guest: [read]\n      public/*:\n        guest: [write]"), "public/*"},
		{"who twice", rules("      public/*:\n        guest: [read]\n        guest: [write]"), "guest"},
		{"everybody's folder", rules("      a/*:\n        guest: [read]\n      a/{entity_id}/*:\n        owner: [read]"), "cubby.yaml:"},
		{"backups in the data", "backups: backups\nbuckets: [{name: aaa}]", "backups:"},
		{"keys in the data", "keys: keys.json\nbuckets: [{name: aaa}]", "keys:"},
		{"keys in the data by a detour", "keys: ../data/x/keys.json\nbuckets: [{name: aaa}]", "keys:"},
		{"keys are the data", "keys: .\nbuckets: [{name: aaa}]", "keys:"},
		{"region", "region: Not A Region\nbuckets: [{name: aaa}]", "region:"},
		{"empty host", "hosts: ['']\nbuckets: [{name: aaa}]", "hosts:"},
		{"dot as host", "hosts: ['.']\nbuckets: [{name: aaa}]", "hosts:"},
		{"host with scheme", "hosts: ['https://x.example']\nbuckets: [{name: aaa}]", "hosts:"},
		{"host with star", "hosts: ['*.x.example']\nbuckets: [{name: aaa}]", "hosts:"},
		{"issuer without name", "issuers: [{url: 'https://x.example', audiences: [a]}]\nbuckets: [{name: aaa}]", "issuers:"},
		{"issuer without audience", "issuers: [{name: x, url: 'https://x.example'}]\nbuckets: [{name: aaa}]", "issuers:"},
		{"issuer without URL", "issuers: [{name: x, audiences: [a]}]\nbuckets: [{name: aaa}]", "issuers:"},
		{"issuer twice", "issuers: [{name: x, url: 'https://x.example', audiences: [a]}, {name: x, url: 'https://y.example', audiences: [a]}]\nbuckets: [{name: aaa}]", "twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := ParseConfig([]byte(c.text))
			if err == nil {
				cfg.Data = filepath.Join(t.TempDir(), "data")
				var srv *Server
				if srv, err = Open(t.Context(), cfg, nil); err == nil {
					srv.Close()
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one that says %q", err, c.want)
			}
		})
	}
	if _, err := Open(t.Context(), &Config{Buckets: []Bucket{{Name: "media"}}}, nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("no data directory: %v", err)
	}
	if _, err := os.Stat("objects"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a store was made in the working directory: %v", err)
	}
}

func TestConfigRoundTrip(t *testing.T) {
	full, err := ParseConfig([]byte(testConfig))
	if err != nil {
		t.Fatal(err)
	}
	full.NoGuests, full.Groups, full.Lists, full.Amplify, full.Region, full.Keys = true, "replace", "prefix", "strict", "eu-1", "../k"
	full.Listen, full.ListenTLS, full.TLSCert, full.TLSKey, full.Hosts = "a:1", "b:2", "c", "d", []string{"h.example"}
	full.Encryption = Encryption{Default: "AES256", KMS: KMS{Endpoint: "https://kms.example.com", Region: "eu-1", Key: "alias/app", Cache: "1m"}}
	full.Issuers = []Issuer{{Name: "corp", URL: "https://id.example.com", Audiences: []string{"app"}, Claims: []string{"team"}}}
	full.Scrub, full.Backups = NoAge, "../backups"
	full.Buckets[0].Versioning, full.Buckets[0].Trash = "suspended", Age(30*day)
	full.Buckets[0].Lifecycle = []LifecycleRule{
		{Prefix: "tmp/", Expire: Age(36 * time.Hour)}, {Noncurrent: Age(90 * time.Minute), Uploads: Age(2 * day)}, {Prefix: "1", Uploads: NoAge},
	}
	odd := &Config{Buckets: []Bucket{{Name: "123", Rules: Rules{
		{Path: "{entity_id}/*", Who: "owner", Actions: access.Get},
		{Path: "*: yes/*", Who: "group:no", Actions: access.Delete},
		{Path: "#1/*", Who: "guest", Actions: access.Versions},
		{Path: "true/*"},
		{Path: "a b\t'\"/*", Who: "group:é ~", Actions: access.Read},
		{Path: "in/*", Who: "guest", Actions: access.Write, Limits: &access.Limits{
			MaxSize: 5e6, ContentTypes: []string{"image/*", "text/plain"}, MaxObjects: 100, Quota: 1 << 30,
		}},
		{Path: "in/*", Who: "authenticated", Actions: access.Write | access.Get, Limits: &access.Limits{MaxSize: 7}},
	}}}}
	for name, c := range map[string]*Config{"starter": Starter(), "full": full, "odd": odd, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			c.Data = filepath.Join(t.TempDir(), "new", "data")
			if err := WriteConfig(c); err != nil {
				t.Fatal(err)
			}
			got, err := ReadConfig(c.Data)
			if err != nil {
				text, _ := os.ReadFile(filepath.Join(c.Data, ConfigFile))
				t.Fatalf("%v\n%s", err, text)
			}
			if !reflect.DeepEqual(plain(got), plain(c)) {
				t.Errorf("wrote %+v\nread %+v", c, got)
			}
			info, err := os.Stat(c.Data)
			if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
				t.Errorf("the directory is %v, %v", info.Mode(), err)
			}
			if names, err := os.ReadDir(c.Data); err != nil || len(names) != 1 {
				t.Errorf("the directory holds %v, %v", names, err)
			}
		})
	}
}

// plain returns settings without the positions of rules, and without the
// difference between an empty list and none.
func plain(c *Config) Config {
	p := *c
	p.Buckets, p.file = nil, nil
	for _, b := range c.Buckets {
		rules := Rules{}
		for _, r := range b.Rules {
			r.Pos = ""
			rules = append(rules, r)
		}
		b.Rules = rules
		p.Buckets = append(p.Buckets, b)
	}
	return p
}

// TestStarterIsLocked opens nothing to guests but what it says.
func TestStarterIsLocked(t *testing.T) {
	p, err := Starter().policies()
	if err != nil {
		t.Fatal(err)
	}
	guest, user := &access.Subject{Identity: "id:guest"}, &access.Subject{Identity: "id:user", Authenticated: true}
	for _, key := range []string{"x", "public", "public2/x", "private/x", "private/id:guest/x", "admin/x"} {
		for _, a := range []access.Action{access.Get, access.List, access.Write, access.Delete} {
			if p["media"].Decide(guest, a, key).Allowed || p["media"].Decide(user, a, key).Allowed {
				t.Errorf("%s %s is allowed", a, key)
			}
		}
	}
	if len(p["media"].Warnings()) > 0 {
		t.Errorf("warnings: %v", p["media"].Warnings())
	}
}

func TestListeners(t *testing.T) {
	c := &Config{}
	if _, err := c.OpenListeners(); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("no address: %v", err)
	}
	c = &Config{Listen: "127.0.0.1:0", ListenTLS: "127.0.0.1:0"}
	if _, err := c.OpenListeners(); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("HTTPS without a certificate: %v", err)
	}
	c.TLSCert, c.TLSKey, c.Data = "cert.pem", "key.pem", t.TempDir()
	if _, err := c.OpenListeners(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("HTTPS with a certificate that is not there: %v", err)
	}
	c = &Config{Listen: "0.0.0.0:0"}
	ls, err := c.OpenListeners()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(ls.Any(), "http://localhost:") {
		t.Errorf("the address is %s", ls.Any())
	}
	_, port, _ := strings.Cut(ls.Any(), "localhost:")
	c.Hosts = []string{"files.example.com", "other"}
	if got, want := c.PublicURL(ls), "http://files.example.com:"+port; got != want {
		t.Errorf("the public URL is %s, want %s", got, want)
	}
	taken := ls.All[0].Addr().(*net.TCPAddr)
	c = &Config{Listen: taken.String()}
	if _, err := c.OpenListeners(); err == nil {
		t.Error("an address was opened twice")
	}
	if err := ls.All[0].Close(); err != nil {
		t.Error(err)
	}
}

// FuzzParseConfig holds that settings that can be read can be written, and are
// the same when they are read again.
func FuzzParseConfig(f *testing.F) {
	f.Add(testConfig)
	f.Add("region: a\nbuckets: [{name: x, rules: {a/*: {guest: [read]}, b/*: {}}}]")
	f.Add("hosts: ['*', \"\\x00\", ~]\nissuers: [{name: 1}]")
	f.Add("buckets:\n- rules:\n    ? |\n      a\n    : {'': [get]}\n")
	f.Add("buckets:\n  - rules:\n     : 0:")
	f.Add("buckets: [{rules: {a/*: {guest: []}}}]")
	f.Add("buckets: &a [{name: x}]\nhosts: *a")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig([]byte(text))
		if err != nil {
			return
		}
		// What it means may be refused, but must not panic.
		_, _ = c.policies()
		_, _ = c.defaultBucket()
		first, err := yaml.Marshal(c)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", text, err)
		}
		again, err := ParseConfig(first)
		if err != nil {
			t.Fatalf("%q is written as\n%s\nwhich cannot be read: %v", text, first, err)
		}
		second, err := yaml.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%q is\n%s\nthen\n%s, %v", text, first, second, err)
		}
	})
}

func TestPublicURL(t *testing.T) {
	both := &Listeners{URL: "http://127.0.0.1:80", URLTLS: "https://127.0.0.1:443"}
	odd := &Listeners{URL: "http://127.0.0.1:8080", URLTLS: "https://127.0.0.1:8443"}
	for _, tt := range []struct {
		hosts []string
		l     *Listeners
		want  string
	}{
		{nil, both, "https://127.0.0.1:443"},
		{nil, &Listeners{URL: odd.URL}, "http://127.0.0.1:8080"},
		{nil, new(Listeners), ""},
		{[]string{"a.example", "b.example"}, both, "https://a.example"},
		{[]string{"a.example"}, &Listeners{URL: both.URL}, "http://a.example"},
		{[]string{"a.example"}, odd, "https://a.example:8443"},
		{[]string{"A.Example:444"}, odd, "https://a.example:444"},
		{[]string{"a.example:443"}, odd, "https://a.example"},
		{[]string{"::1"}, odd, "https://[::1]:8443"},
		{[]string{"::1"}, both, "https://[::1]"},
	} {
		if got := (&Config{Hosts: tt.hosts}).PublicURL(tt.l); got != tt.want {
			t.Errorf("of hosts %v and %+v it is %s, want %s", tt.hosts, tt.l, got, tt.want)
		}
	}
}
