package access_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestBounds gives a user who may write by several rules what each of them admits.
func TestBounds(t *testing.T) {
	p, err := access.Parse("limits", []byte(`
avatars/{entity_id}/*  authenticated read    owner read,write maxSize=2MB contentTypes=image/png,image/jpeg
films/*                authenticated write maxSize=5MiB contentTypes=image/*   group:studio write contentTypes=video/* quota=1TB maxObjects=10
notes/*                authenticated write maxSize=1kB   group:studio write
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	user := &access.Subject{Identity: "me", Authenticated: true}
	studio := &access.Subject{Identity: "me", Authenticated: true, Groups: []string{"studio"}}
	for _, test := range []struct {
		s    *access.Subject
		key  string
		want []string
	}{
		{user, "avatars/me/a.png", []string{"maxSize=2MB contentTypes=image/png,image/jpeg"}},
		{user, "films/a", []string{"maxSize=5MiB contentTypes=image/*"}},
		{studio, "films/a", []string{"maxSize=5MiB contentTypes=image/*", "contentTypes=video/* maxObjects=10 quota=1TB"}},
		{user, "notes/a", []string{"maxSize=1kB"}},
		{studio, "notes/a", nil},
	} {
		var got []string
		for _, l := range p.Bounds(test.s, test.key) {
			got = append(got, l.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v %s: bounds %q, want %q", test.s.Groups, test.key, got, test.want)
		}
	}
	if w := p.Warnings(); len(w) != 1 || w[0].Reason != access.WarnUnenforced {
		t.Errorf("warnings %v, want one of the quota", w)
	}
}

func TestAdmits(t *testing.T) {
	l := &access.Limits{ContentTypes: []string{"image/*", "text/plain"}}
	for contentType, want := range map[string]bool{
		"image/png": true, "IMAGE/PNG": true, "image/svg+xml": true, "text/plain; charset=utf-8": true, " text/plain ": true,
		"": false, "text/html": false, "image": false, "image/": false, "imagex/png": false, "image/png, text/html": false, "*/*": false,
	} {
		if got := l.Admits(contentType); got != want {
			t.Errorf("%q is admitted: %v, want %v", contentType, got, want)
		}
	}
	if none := (*access.Limits)(nil); !none.Admits("") {
		t.Error("no limits do not admit everything")
	}
}

func TestParseLimits(t *testing.T) {
	for text, want := range map[string]string{
		"maxSize=5242880":                        "maxSize=5MiB",
		"maxSize=1023":                           "maxSize=1023",
		"maxSize=1000B":                          "maxSize=1kB",
		"quota=2000GB maxObjects=5":              "maxObjects=5 quota=2TB",
		"contentTypes=image/*,application/x-tar": "contentTypes=image/*,application/x-tar",
	} {
		l, err := access.ParseLimits(strings.Fields(text))
		if err != nil || l.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, l, err, want)
		}
	}
	for _, text := range []string{"maxSize=", "maxSize=-1", "maxSize=1.5MB", "maxSize=9223372036854775807kB", "maxSize=0", "maxSize=1 maxSize=2", "maxObjects=x", "size=1", "maxSize"} {
		if l, err := access.ParseLimits(strings.Fields(text)); err == nil {
			t.Errorf("%s is read as %v", text, l)
		}
	}
}

// TestRandomBounds finds bounds if and only if every rule that lets the subject
// write has some.
func TestRandomBounds(t *testing.T) {
	w := world{rand.New(rand.NewPCG(9, 10))}
	bounded := 0
	for i := range 2000 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, rules := w.policy(10, opts)
		free := slices.Clone(rules)
		for i := range free {
			if free[i].Limits.String() != "" { // what a rule with limits gives, taken away
				free[i].Actions &^= access.Write
				free[i].Actions |= access.Versions
				free[i].Limits = nil
			}
		}
		n, unbounded := naive{rules, opts.Groups}, naive{free, opts.Groups}
		for range 10 {
			s, key := w.subject(), w.key(rules)
			want := n.allowed(s, access.Write, key) && !unbounded.allowed(s, access.Write, key)
			if got := p.Bounds(&s, key) != nil; got != want {
				t.Fatalf("rules\n%s\n%+v %q: bounded %v, want %v", p, s, key, got, want)
			}
			if want {
				bounded++
			}
		}
	}
	if bounded < 100 {
		t.Errorf("only %d of the questions had bounds", bounded)
	}
}
