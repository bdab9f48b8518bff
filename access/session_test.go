package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

// TestSessionPolicy scopes a user down, with all its groups and values.
func TestSessionPolicy(t *testing.T) {
	p := mustParse(t, `
public/*                guest get        authenticated get
private/{entity_id}/*   owner get,write
users/{username}/*      owner get
teams/{group}/*         authenticated get  group:red write
teams/red/secret/*      group:red get
`, nil)
	for _, c := range []struct {
		name    string
		subject *access.Subject
		want    string
	}{
		{"guest", &access.Subject{Identity: me}, `[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/public/*"}]`},
		{
			"user", &access.Subject{Identity: me, Authenticated: true, Username: "ann", Groups: []string{"red", "blue"}},
			`[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::BUCKET/private/` + me + `/*","arn:aws:s3:::BUCKET/teams/blue/*"]},` +
				`{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::BUCKET/public/*","arn:aws:s3:::BUCKET/teams/red/secret/*","arn:aws:s3:::BUCKET/users/ann/*"]}]`,
		},
		{"nobody", nil, `[{"Effect":"Deny","Action":"*","Resource":"*"}]`},
		{"a function without rules", &access.Subject{Function: "f"}, `[{"Effect":"Deny","Action":"*","Resource":"*"}]`},
	} {
		d, err := p.SessionPolicy(c.subject, forBucket)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text, err := json.Marshal(d.Statement)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.name, text, c.want)
		}
	}
}

// TestSessionHostile has values that would be more than a segment in a document.
func TestSessionHostile(t *testing.T) {
	p := mustParse(t, "private/{entity_id}/* owner get\nusers/{sub}/* owner get\nnames/{username}/* owner get\nteams/{group}/* owner get\nt/{claim:t}/* owner get", nil)
	hostile := []string{
		"*", "a*", "?", "a/b", "../x", "..", ".", "", "${aws:username}", "${cognito-identity.amazonaws.com:sub}", "${*}", "$", "{sub}",
		"a\x00b", "a\nb", "a\xffb", "e\u0301", strings.Repeat("x", 129),
		`"],"Resource":"*`, `\`, `"`, "x y", "<&>", "日本",
	}
	for _, v := range hostile {
		s := access.Subject{Identity: v, Authenticated: true, Sub: v, Username: v, Groups: []string{v}, Claims: map[string]string{"t": v}}
		d, err := p.SessionPolicy(&s, forBucket)
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := iam.Parse(text)
		if err != nil {
			t.Fatalf("%q: %s: %v", v, text, err)
		}
		keys := append(borders(p.Rules(), v, me, "a", "b", "x", "ab", "secret"), "", "other/k")
		agree(t, p, []*iam.Document{again}, s, keys)
	}
}

// TestSessionSize names the first rule for which there is no room.
func TestSessionSize(t *testing.T) {
	fits, broke := false, false
	for n := range 60 {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "some-path-%02d/* authenticated get\n", i)
		}
		p := mustParse(t, b.String(), nil)
		d, err := p.SessionPolicy(&access.Subject{Authenticated: true}, forBucket)
		if err == nil {
			fits = fits || n > 40
			if iam.Size(d) > 2048 {
				t.Errorf("%d rules: a document of %d", n, iam.Size(d))
			}
			continue
		}
		broke = true
		e, ok := errors.AsType[*access.IAMError](err)
		if !ok || e.Problems[0].Reason != access.IAMSize || e.Problems[0].Path != "some-path-52/*" {
			t.Errorf("%d rules: %v", n, err)
		}
	}
	if !fits || !broke {
		t.Errorf("fits %v, breaks %v", fits, broke)
	}
	p := mustParse(t, "a/* authenticated write maxSize=1kB", nil)
	if _, err := p.SessionPolicy(&access.Subject{Authenticated: true}, forBucket); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("limits: %v", err)
	}
}

// TestSessionRandom compares the documents of random subjects with the decisions.
func TestSessionRandom(t *testing.T) {
	w := world{rand.New(rand.NewPCG(13, 14))}
	var asked, written, refused int
	for i := range 2000 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(8, opts)
		s := w.subject()
		d, err := p.SessionPolicy(&s, forBucket)
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Fatal(err)
			}
			refused++
			continue
		}
		written++
		keys := borders(rules, s.Identity, s.Sub, "v", "a")
		w.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for range 5 {
			keys = append(keys, w.key(rules))
		}
		asked += agree(t, p, []*iam.Document{d}, s, keys[max(0, len(keys)-40):])
	}
	if written < 1500 || refused < 50 || asked < 150000 {
		t.Errorf("%d documents were written and %d refused, %d requests compared", written, refused, asked)
	}
	t.Logf("%d documents were written and %d refused, %d requests compared", written, refused, asked)
}
