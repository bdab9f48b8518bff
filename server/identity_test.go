package server

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestTokenOfAnotherKeyPair swaps the session tokens of two people, each way, in
// the header and in a link.
func TestTokenOfAnotherKeyPair(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob, guest := w.user("alice"), w.user("bob"), w.guest()
	again := w.user("alice") // another key pair of the same user
	w.put("media", "public/x", "content")
	for _, c := range []struct{ keys, token *person }{{alice, bob}, {bob, alice}, {guest, alice}, {alice, guest}, {alice, again}, {again, alice}} {
		for what, keys := range map[string]aws.Credentials{
			"own secret":       {AccessKeyID: c.keys.keys.AccessKeyID, SecretAccessKey: c.keys.keys.SecretAccessKey, SessionToken: c.token.keys.SessionToken},
			"secret of token":  {AccessKeyID: c.keys.keys.AccessKeyID, SecretAccessKey: c.token.keys.SecretAccessKey, SessionToken: c.token.keys.SessionToken},
			"secret of key id": {AccessKeyID: c.token.keys.AccessKeyID, SecretAccessKey: c.keys.keys.SecretAccessKey, SessionToken: c.token.keys.SessionToken},
		} {
			p := &person{name: what, keys: keys}
			res := w.as(p, "GET", "/media/public/x", "")
			r := w.request("GET", "/media/public/x", "")
			w.presign(p, r, time.Now())
			for form, res := range map[string]*response{"header": res, "link": w.do(r)} {
				if res.status != 403 && res.status != 400 {
					t.Errorf("%s, %s: %d %s", what, form, res.status, res.body)
				}
			}
		}
	}
	// A link shows its token to everybody. Put into a request of one's own it is worth nothing.
	link := w.request("GET", "/media/public/x", "")
	w.presign(alice, link, time.Now())
	token := link.URL.Query().Get("X-Amz-Security-Token")
	if token != alice.keys.SessionToken {
		t.Fatal("the link has no token")
	}
	thief := &person{name: "thief", keys: aws.Credentials{AccessKeyID: bob.keys.AccessKeyID, SecretAccessKey: bob.keys.SecretAccessKey, SessionToken: token}}
	w.as(thief, "GET", "/media/private/"+alice.id+"/x", "").is(400, "InvalidToken")
	for _, p := range []*person{alice, bob, guest, again} {
		w.as(p, "GET", "/media/public/x", "").is(200)
	}
}

// TestTakingOverAGuest who has signed in: their id alone is worth nothing any more.
func TestTakingOverAGuest(t *testing.T) {
	w := newWorld(t, nil)
	guest := w.guest()
	tokens := w.signIn("alice")
	a := w.credentials(guest.id, w.logins(tokens))
	if a.get("IdentityId") != guest.id {
		t.Fatalf("alice is %s, want the guest she was, %s", a.get("IdentityId"), guest.id)
	}
	alice := &person{name: "alice", id: guest.id, keys: keysOf(a)}
	w.as(alice, "PUT", "/media/private/"+alice.id+"/x", "secret").is(200)

	w.credentials(guest.id, nil).refused("the id alone", "NotAuthorizedException")
	w.call("I.GetOpenIdToken", map[string]any{"IdentityId": guest.id}).refused("OpenID token by the id alone", "NotAuthorizedException")
	w.credentials(guest.id, w.logins(w.signIn("bob"))).refused("with another's login", "NotAuthorizedException")
	w.call("I.GetOpenIdToken", map[string]any{"IdentityId": guest.id, "Logins": w.logins(w.signIn("bob"))}).refused("OpenID token with another's login", "NotAuthorizedException")
	w.credentials(guest.id, map[string]any{}).refused("with no logins", "NotAuthorizedException")
	w.credentials(guest.id, map[string]any{w.srv.users.ID(): tokens["AccessToken"]}).refused("with an access token", "NotAuthorizedException")
	w.credentials(guest.id, map[string]any{w.srv.users.ID(): tokens["RefreshToken"]}).refused("with a refresh token", "NotAuthorizedException")
	w.credentials(guest.id, map[string]any{"accounts.google.com": tokens["IdToken"]}).refused("as another provider", "NotAuthorizedException")
	w.credentials(guest.id, map[string]any{w.srv.users.ID(): tokens["IdToken"] + "x"}).refused("with a token that was changed", "NotAuthorizedException")
	// What the guest was given before has ended.
	w.as(guest, "GET", "/media/private/"+alice.id+"/x", "").is(400, "ExpiredToken")
	w.as(guest, "PUT", "/media/private/"+alice.id+"/x", "hostile").is(400, "ExpiredToken")
	w.as(alice, "GET", "/media/private/"+alice.id+"/x", "").is(200)
}

// TestTakingOverAUser by their identity id, which stands in the path of what they share.
func TestTakingOverAUser(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	w.credentials(alice.id, nil).refused("the id alone", "NotAuthorizedException")
	bobs := w.logins(w.signIn("bob"))
	w.credentials(alice.id, bobs).refused("with a login that is bound to nothing yet", "NotAuthorizedException")
	bob := w.user("bob")
	w.credentials(alice.id, bobs).refused("with bob's login", "NotAuthorizedException")
	if bob.id == alice.id {
		t.Error("bob is alice")
	}
	// Two logins at once: hers would prove it, but one of them is not good.
	both := w.logins(alice.tokens)
	both["accounts.google.com"] = "x"
	w.credentials(alice.id, both).refused("with a login of an unknown provider beside", "NotAuthorizedException")
	if a := w.credentials(alice.id, w.logins(alice.tokens)); a.status != 200 || a.get("IdentityId") != alice.id {
		t.Errorf("alice herself: %v", a.fields)
	}
	if id := w.newID(w.logins(w.signIn("alice"))); id != alice.id {
		t.Errorf("alice is %s now", id)
	}
}

// TestRetiredGuest yields to the identity that a login has already, for ever.
func TestRetiredGuest(t *testing.T) {
	w := newWorld(t, nil)
	alice, guest := w.user("alice"), w.guest()
	a := w.credentials(guest.id, w.logins(alice.tokens))
	if a.get("IdentityId") != alice.id {
		t.Fatalf("the guest became %s, want %s", a.get("IdentityId"), alice.id)
	}
	w.credentials(guest.id, nil).refused("the retired id alone", "NotAuthorizedException")
	w.credentials(guest.id, w.logins(w.signIn("bob"))).refused("the retired id with another's login", "NotAuthorizedException")
	if a := w.credentials(guest.id, w.logins(alice.tokens)); a.get("IdentityId") != alice.id {
		t.Errorf("the retired id with alice's login: %v", a.fields)
	}
}

// TestGuestsReachNoRuleForUsers whatever the credentials were asked with.
func TestGuestsReachNoRuleForUsers(t *testing.T) {
	w := newWorld(t, nil)
	guest := w.guest()
	for _, key := range []string{"public/x", "drop/x", "blind/x", "admin/x", "users/alice/x", "private/" + guest.id + "/x", "protected/" + guest.id + "/x"} {
		w.put("media", key, "content")
		w.as(guest, "PUT", "/media/"+escape(key), "hostile").is(403, "AccessDenied")
		w.as(guest, "DELETE", "/media/"+escape(key), "").is(403, "AccessDenied")
		want := 403
		if key == "public/x" {
			want = 200
		}
		w.as(guest, "GET", "/media/"+escape(key), "").is(want)
	}
	closed := newWorld(t, &setup{change: func(c *Config) { c.NoGuests = true }})
	closed.call("I.GetId", map[string]any{"IdentityPoolId": closed.srv.identityPool}).refused("GetId", "NotAuthorizedException")
	closed.credentials("us-east-1:00000000-0000-4000-8000-000000000000", nil).refused("credentials", "NotAuthorizedException")
	if alice := closed.user("alice"); alice.id == "" {
		t.Error("alice has no identity")
	}
}

// TestUnsignedRequests may do nothing, not even what a guest may.
func TestUnsignedRequests(t *testing.T) {
	w := newWorld(t, nil)
	w.put("media", "public/x", "content")
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		w.as(nil, method, "/media/public/x", "").is(403)
	}
	w.as(nil, "GET", "/media/public/x", "").is(403, "AccessDenied")
	if d := w.asked(); len(d) != 0 {
		t.Errorf("the rules were asked: %+v", d)
	}
}

// TestRightsEndAtOnce with the group, the account and the session.
func TestRightsEndAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.put("media", "admin/x", "secret")
	get := func(p *person) *response { return w.as(p, "GET", "/media/admin/x", "") }

	bob := w.user("bob")
	get(bob).is(200)
	link := w.request("GET", "/media/admin/x", "")
	w.presign(bob, link, time.Now())
	w.do(link.Clone(t.Context())).is(200)
	if err := w.srv.users.RemoveFromGroup(t.Context(), "bob", "admin"); err != nil {
		t.Fatal(err)
	}
	if r := get(bob); r.status == 200 {
		t.Errorf("bob is not in the group any more, and got %d", r.status)
	}
	if r := w.do(link); r.status == 200 {
		t.Errorf("bob is not in the group any more, and his link gave %d", r.status)
	}
	get(w.user("bob")).is(403, "AccessDenied")

	if err := w.srv.users.AddToGroup(t.Context(), "bob", "admin"); err != nil {
		t.Fatal(err)
	}
	bob = w.user("bob")
	get(bob).is(200)
	if err := w.srv.DisableUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	get(bob).is(400, "ExpiredToken")
	w.credentials(bob.id, w.logins(bob.tokens)).refused("credentials for a disabled user", "NotAuthorizedException")
	w.call("U.InitiateAuth", map[string]any{
		"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": w.srv.users.ClientID(),
		"AuthParameters": map[string]string{"USERNAME": "bob", "PASSWORD": password},
	}).refused("sign-in of a disabled user", "NotAuthorizedException")

	for what, end := range map[string]func(*person) error{
		"another password": func(*person) error { return w.srv.SetPassword(t.Context(), "carol", password) },
		"global sign-out": func(p *person) error {
			if a := w.call("U.GlobalSignOut", map[string]any{"AccessToken": p.tokens["AccessToken"]}); a.status != 200 {
				t.Errorf("global sign-out: %v", a.fields)
			}
			return nil
		},
	} {
		carol := w.user("carol")
		w.as(carol, "GET", "/media", "").is(200)
		if err := end(carol); err != nil {
			t.Fatal(what, err)
		}
		w.as(carol, "GET", "/media", "").is(400, "ExpiredToken")
	}
	carol := w.user("carol")
	if err := w.srv.DeleteUser(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	w.as(carol, "GET", "/media", "").is(400, "ExpiredToken")
	if _, err := w.srv.AddUser(t.Context(), NewUser{Name: "carol", Password: password}); err == nil {
		t.Error("somebody else is carol now")
	}
	w.as(w.user("alice"), "GET", "/media", "").is(200)
}

// TestAdminBesideTheServer is a second process on the same state: what it changes
// counts in the server at once, or a second later.
func TestAdminBesideTheServer(t *testing.T) {
	w := newWorld(t, nil)
	bob := w.user("bob")
	w.as(bob, "GET", "/media", "").is(200)
	admin, err := OpenAdmin(t.Context(), w.srv.cfg)
	if err != nil {
		t.Fatal(err)
	}
	key, err := admin.AddKey(t.Context(), "second")
	if err != nil {
		t.Fatal(err)
	}
	operator := &person{name: "second", keys: aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}}
	w.as(operator, "GET", "/", "").is(200)
	if err := admin.DisableUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if err := admin.RevokeKey(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for _, p := range []*person{bob, operator} {
		for w.as(p, "GET", "/media", "").status == 200 {
			if time.Now().After(deadline) {
				t.Fatalf("%s may still do things", p.name)
			}
		}
	}
	keys, err := admin.Keys(t.Context())
	if err != nil || len(keys) != 2 || slices.ContainsFunc(keys, func(k Key) bool { return k.Secret != "" || k.Revoked != (k.ID == key.ID) }) {
		t.Errorf("keys are %+v, %v", keys, err)
	}
	users, err := admin.Users(t.Context())
	if err != nil || len(users) != 3 || !users[1].Disabled {
		t.Errorf("users are %+v, %v", users, err)
	}
	if err := admin.Close(); err != nil {
		t.Error(err)
	}
}
