package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby"
)

// sessions keeps one session, over a restart of the server too.
type sessions struct{ saved *cubby.SavedSession }

func (s *sessions) Load(context.Context) (*cubby.SavedSession, error) {
	if s.saved == nil {
		return nil, fs.ErrNotExist
	}
	c := *s.saved
	return &c, nil
}

func (s *sessions) Save(_ context.Context, v *cubby.SavedSession) error {
	c := *v
	s.saved = &c
	return nil
}

func client(t *testing.T, s *site, kept *sessions) *cubby.Client {
	t.Helper()
	out, err := cubby.Discover(t.Context(), s.Endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cubby.New(cubby.Config{Outputs: out, Sessions: kept})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRestart leaves dev mode: "cubby serve" on the same data has the same files,
// identities and sessions, at another address, and warns of the users of dev mode.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, "dev", dir)
	var hers, guests sessions
	c, g := client(t, s, &hers), client(t, s, &guests)
	before, err := c.SignIn(t.Context(), "alice", s.Users[0].Password)
	if err != nil {
		t.Fatal(err)
	}
	visitor, err := g.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data := content(3, 6<<20)
	files := map[string][]byte{"small.bin": data[:100], "big.bin": data}
	for name, d := range files {
		if _, err := c.Upload(t.Context(), cubby.Key(name, cubby.Private), bytes.NewReader(d), nil); err != nil {
			t.Fatal(err)
		}
	}
	cli := s.user(t, "alice")
	keys, password := cli.keys(t), s.Users[0].Password
	s.end(t)

	s = open(t, "serve", dir)
	c, g = client(t, s, &hers), client(t, s, &guests)
	after, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !after.SignedIn || after.IdentityID != before.IdentityID || after.UserID != before.UserID {
		t.Errorf("after the restart alice is %+v, before it %+v", after, before)
	}
	if again, err := g.Session(t.Context()); err != nil || again.IdentityID != visitor.IdentityID {
		t.Errorf("after the restart the guest is %+v, %v, before it %+v", again, err, visitor)
	}
	for name, d := range files {
		var got bytes.Buffer
		if _, err := c.Download(t.Context(), cubby.Key(name, cubby.Private), &got, nil); err != nil {
			t.Error(err)
		} else if !bytes.Equal(got.Bytes(), d) {
			t.Errorf("%s came back as %d other bytes", name, got.Len())
		}
	}
	// Keys that were issued before are good as long as they were to be.
	wantObject(t, s.s3(keys), s.Bucket, "private/"+before.IdentityID+"/small.bin", data[:100])
	if len(s.Users) != 0 {
		t.Errorf("serve printed users: %s", s.json)
	}
	if again := s.login(t, "alice", password); again.id != before.IdentityID {
		t.Errorf("alice signs in as %s, before it was %s", again.id, before.IdentityID)
	}
	s.end(t)
	if log := s.stderr(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "alice,bob") {
		t.Errorf("serve does not warn of the users of dev mode:\n%s", log)
	}

	// In dev mode the passwords are new, and the users the same.
	s = open(t, "dev", dir)
	if _, err := client(t, s, new(sessions)).SignIn(t.Context(), "alice", password); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("sign-in with the old password: %v", err)
	}
	if again := s.user(t, "alice"); again.id != before.IdentityID {
		t.Errorf("alice signs in as %s, before it was %s", again.id, before.IdentityID)
	}
	s.end(t)
}
