package userpool

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCreateUser(t *testing.T) {
	f := newFixture(t)
	f.group(t, "admin", new(1))
	made, err := f.CreateUser(t.Context(), "Bob", password, &UserOptions{
		Groups: []string{"admin", "admin"}, Attributes: map[string]string{"email": "b@example.com"}, Dev: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	byName, err := f.User(t.Context(), "BOB")
	if err != nil {
		t.Fatal(err)
	}
	bySub, err := f.UserBySub(t.Context(), made.Sub)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%+v", User{
		Sub: made.Sub, Name: "bob", Status: StatusConfirmed, Enabled: true, Dev: true,
		Attributes: map[string]string{"email": "b@example.com"}, Groups: []string{"admin"},
		Created: time.Unix(f.Now().Unix(), 0), Modified: time.Unix(f.Now().Unix(), 0),
	})
	for _, u := range []*User{made, byName, bySub} {
		if got := fmt.Sprintf("%+v", *u); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if e := f.epoch(t, made.Sub); e.Count != 0 {
		t.Error("a new user had credentials to end")
	}
}

func TestCreateUserRefuses(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		name, user, password string
		opts                 *UserOptions
		want                 string
	}{
		{"bad name", "a/b", password, nil, InvalidParameter},
		{"short password", "ann", "seven77", nil, InvalidPassword},
		{"short password of many bytes", "ann", "ééééééé", nil, InvalidPassword},
		{"long password", "ann", strings.Repeat("x", 257), nil, InvalidPassword},
		{"password not UTF-8", "ann", "\xff\xff\xff\xff\xff\xff\xff\xff", nil, InvalidPassword},
		{"bad attribute", "ann", password, &UserOptions{Attributes: map[string]string{"sub": "x"}}, InvalidParameter},
		{"no such group", "ann", password, &UserOptions{Groups: []string{"none"}}, ResourceNotFound},
		{"no group name", "ann", password, &UserOptions{Groups: []string{"a/b"}}, ResourceNotFound},
	} {
		if _, err := f.CreateUser(t.Context(), tt.user, tt.password, tt.opts); code(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	// What failed half way has not taken the name.
	f.user(t, "ann")
	if users, err := f.ListUsers(t.Context(), nil); err != nil || len(users) != 1 {
		t.Errorf("%d users, %v", len(users), err)
	}
}

func TestPasswordPolicyCanBeLonger(t *testing.T) {
	f := newFixture(t)
	strict := f.open(t, func(c *Config) { c.MinPassword = 20 })
	if _, err := strict.CreateUser(t.Context(), "ann", password, nil); code(err) != InvalidPassword {
		t.Errorf("CreateUser: %v", err)
	}
	f.user(t, "ann")
	if err := strict.SetPassword(t.Context(), "ann", password); code(err) != InvalidPassword {
		t.Errorf("SetPassword: %v", err)
	}
	f.signIn(t, "ann")
}

func TestListUsers(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"carl", "ann", "anna", "bob", "zoë"} {
		f.user(t, name)
	}
	if _, err := f.CreateUser(t.Context(), "dev", password, &UserOptions{Dev: true}); err != nil {
		t.Fatal(err)
	}
	for want, opts := range map[string]*ListOptions{
		"ann anna bob carl dev zoë": nil,
		"ann anna":                  {Prefix: "ann"},
		"anna":                      {Prefix: "ann", After: "ann"},
		"bob carl":                  {After: "anna", Limit: 2},
		"zoë":                       {Prefix: "zo"},
		"dev":                       {Dev: true},
		"":                          {Prefix: "%"},
	} {
		users, err := f.ListUsers(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, u := range users {
			names = append(names, u.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v: %s, want %s", opts, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	f := newFixture(t)
	f.group(t, "last", nil)
	f.group(t, "second", new(2))
	f.group(t, "first", new(0))
	f.group(t, "Second", new(2)) // another one: groups have case
	if _, err := f.CreateGroup(t.Context(), "first", nil); code(err) != GroupExists || !errors.Is(err, fs.ErrExist) {
		t.Errorf("second group first: %v", err)
	}
	for _, name := range []string{"", "..", "a/b", "a{b}", "a b"} {
		if _, err := f.CreateGroup(t.Context(), name, nil); code(err) != InvalidParameter {
			t.Errorf("group %q: %v", name, err)
		}
	}
	if _, err := f.CreateGroup(t.Context(), "neg", &GroupOptions{Precedence: new(-1)}); code(err) != InvalidParameter {
		t.Errorf("negative precedence: %v", err)
	}
	groups, err := f.Groups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	if !slices.Equal(names, []string{"first", "Second", "second", "last"}) {
		t.Errorf("groups %v", names)
	}
}

func TestMembershipChangesUnderSessions(t *testing.T) {
	f := newFixture(t)
	f.group(t, "a", nil)
	f.group(t, "b", nil)
	u := f.user(t, "ann", "a")
	tokens := f.signIn(t, "ann")
	calls := 0
	step := func(name string, changes bool, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if changes {
			calls++
		}
		if e := f.epoch(t, u.Sub); e.Count != 0 || len(*f.ended) != calls {
			t.Errorf("%s: epoch %+v and %d calls, want none ended and %d", name, e, len(*f.ended), calls)
		}
		if groups, err := f.GroupsOf(t.Context(), u.Sub); err != nil || !slices.Equal(groups, want) {
			t.Errorf("%s: groups %v, %v, want %v", name, groups, err, want)
		}
	}
	step("join again", false, f.AddToGroup(t.Context(), "ann", "a"), "a")
	step("join", true, f.AddToGroup(t.Context(), "Ann", "b"), "a", "b")
	step("leave", true, f.RemoveFromGroup(t.Context(), "ann", "a"), "b")
	step("leave again", false, f.RemoveFromGroup(t.Context(), "ann", "a"), "b")
	step("end of the group", true, f.DeleteGroup(t.Context(), "b"))
	f.wantAlive(t, tokens) // the session goes on

	for name, err := range map[string]error{
		"join of nobody":       f.AddToGroup(t.Context(), "bob", "a"),
		"join of no group":     f.AddToGroup(t.Context(), "ann", "b"),
		"leave no group":       f.RemoveFromGroup(t.Context(), "ann", "b"),
		"leave bad group":      f.RemoveFromGroup(t.Context(), "ann", "a/b"),
		"end of no group":      f.DeleteGroup(t.Context(), "b"),
		"end of a bad group":   f.DeleteGroup(t.Context(), "a/b"),
		"password of nobody":   f.SetPassword(t.Context(), "bob", password),
		"disable nobody":       f.DisableUser(t.Context(), "bob"),
		"delete nobody":        f.DeleteUser(t.Context(), "a/b"),
		"attributes of nobody": f.SetAttributes(t.Context(), "bob", nil),
	} {
		if !errors.Is(err, fs.ErrNotExist) || code(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.GroupsOf(t.Context(), "nobody"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("groups of nobody: %v", err)
	}
}

func TestGroupsOfAUserAreBounded(t *testing.T) {
	f := newFixture(t)
	f.user(t, "ann")
	for i := range maxGroups + 1 {
		name := fmt.Sprintf("g%d", i)
		f.group(t, name, nil)
		if err := f.AddToGroup(t.Context(), "ann", name); (code(err) == LimitExceeded) != (i == maxGroups) {
			t.Fatalf("group %d: %v", i+1, err)
		}
	}
	if u, err := f.User(t.Context(), "ann"); err != nil || len(u.Groups) != maxGroups {
		t.Errorf("ann is in %d groups, %v", len(u.Groups), err)
	}
}

func TestSetAttributes(t *testing.T) {
	f := newFixture(t)
	u := f.user(t, "ann")
	set := func(a map[string]string) {
		t.Helper()
		if err := f.SetAttributes(t.Context(), "ann", a); err != nil {
			t.Fatal(err)
		}
	}
	set(map[string]string{"email": "a@example.com", "name": "Ann"})
	set(map[string]string{"email": "", "nickname": "A"})
	set(map[string]string{"nickname": "A"}) // changes nothing
	got, err := f.User(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"name": "Ann", "nickname": "A"}; !maps.Equal(got.Attributes, want) {
		t.Errorf("attributes %v, want %v", got.Attributes, want)
	}
	if e := f.epoch(t, u.Sub); e.Count != 2 {
		t.Errorf("credentials ended %d times, want 2", e.Count)
	}
	many := make(map[string]string)
	for i := range 20 {
		many[fmt.Sprintf("custom:a%d", i)] = strings.Repeat("x", 1000)
	}
	if err := f.SetAttributes(t.Context(), "ann", many); code(err) != InvalidParameter {
		t.Errorf("too much: %v", err)
	}
}
