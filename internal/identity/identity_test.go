package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

func TestConfig(t *testing.T) {
	good := func() Config {
		return Config{PoolID: testPool, Region: "eu-1", Primary: "a", Providers: []ProviderConfig{
			{ID: "a", Provider: new(users)}, {ID: "b", Provider: new(users)},
		}}
	}
	c := good()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	if c.Lifetime != time.Hour || !c.Providers[0].Match("a") || c.Providers[0].Match("b") {
		t.Errorf("defaults are %+v", c)
	}
	for what, change := range map[string]func(*Config){
		"no region":           func(c *Config) { c.Region = "" },
		"region in capitals":  func(c *Config) { c.Region = "EU" },
		"long region":         func(c *Config) { c.Region = strings.Repeat("r", 19) },
		"no pool id":          func(c *Config) { c.PoolID = "" },
		"pool id of no form":  func(c *Config) { c.PoolID = "eu-1/x" },
		"lifetime of a blink": func(c *Config) { c.Lifetime = time.Second },
		"lifetime of a week":  func(c *Config) { c.Lifetime = 7 * 24 * time.Hour },
		"provider twice":      func(c *Config) { c.Providers[1].ID = "a" },
		"provider unnamed":    func(c *Config) { c.Providers[1].ID = "" },
		"provider of spaces":  func(c *Config) { c.Providers[1].ID = "a b" },
		"provider of nothing": func(c *Config) { c.Providers[1].Provider = nil },
		"groups of nobody":    func(c *Config) { c.Providers[1].LiveGroups = true },
		"unknown primary":     func(c *Config) { c.Primary = "c" },
	} {
		c := good()
		change(&c)
		if _, err := New(c, nil, NewKeys()); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

func TestMatchPool(t *testing.T) {
	m := MatchPool("eu-1_Users")
	for key, want := range map[string]bool{
		"eu-1_Users": true, "127.0.0.1:20005/eu-1_Users": true, "cognito-idp.eu-1.amazonaws.com/eu-1_Users": true,
		"xeu-1_Users": false, "h/eu-1_Users2": false, "": false, "h/eu-1_users": false, "eu-1_Users/x": false,
	} {
		if got := m(key); got != want {
			t.Errorf("%q is matched: %t, want %t", key, got, want)
		}
	}
}

func TestNewID(t *testing.T) {
	h := newHome(t)
	seen := make(map[string]bool)
	for range 1000 {
		id := NewID("eu-1")
		if err := h.CheckID(id); err != nil || seen[id] {
			t.Fatalf("%s: %v, seen before: %t", id, err, seen[id])
		}
		seen[id] = true
	}
}

func TestOperatorKeyWhoseSealIsLost(t *testing.T) {
	h := newHome(t)
	id := "CUBBY" + strings.Repeat("A", 15)
	err := h.db.Update(t.Context(), func(tx *state.Tx) error {
		return tx.AddAccessKey(t.Context(), &state.AccessKey{ID: id, Sealed: []byte("gibberish")})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.openRefused("key whose seal is lost", id, "", CodeInvalidAccessKeyID)
	all, err := h.AccessKeys(t.Context())
	if err != nil || len(all) != 1 || !all[0].Lost {
		t.Errorf("keys are %+v, %v", all, err)
	}
}

func BenchmarkStart(b *testing.B) {
	h := newHome(b)
	for b.Loop() {
		h.restart()
	}
}
