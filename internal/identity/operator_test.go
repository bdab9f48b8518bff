package identity

import (
	"database/sql"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/state"
)

func TestOperatorKeys(t *testing.T) {
	h := newHome(t)
	ctx := t.Context()
	id, secret, err := h.AddOperatorKey(ctx, "backup")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(id, "CUBBY") || len(id) != 20 || len(secret.Reveal()) != 40 {
		t.Errorf("key is %s, with a secret of %d characters", id, len(secret.Reveal()))
	}
	for range 2 {
		got, who, err := h.Open(ctx, id, "")
		if err != nil || got.Reveal() != secret.Reveal() || !who.Operator || who.AccessKeyID != id || who.Subject.Authenticated {
			t.Errorf("operator is %+v, %v", who, err)
		}
		h.restart()
	}

	c := h.credentials(h.id(nil), nil)
	h.openRefused("operator key with a session token", id, c.SessionToken.Reveal(), CodeInvalidToken)
	h.openRefused("unknown key", "CUBBY"+strings.Repeat("A", 15), "", CodeInvalidAccessKeyID)
	h.openRefused("key of AWS", "AKIA"+strings.Repeat("A", 16), "", CodeInvalidAccessKeyID)
	h.openRefused("no key", "", "", CodeInvalidAccessKeyID)

	if err := h.RevokeAccessKey(ctx, id); err != nil {
		t.Fatal(err)
	}
	h.openRefused("revoked key", id, "", CodeInvalidAccessKeyID)
	h.restart()
	h.openRefused("revoked key after a restart", id, "", CodeInvalidAccessKeyID)
	refuses(t, "revoking no key", h.RevokeAccessKey(ctx, "x"), CodeNotFound)
	all, err := h.AccessKeys(ctx)
	if err != nil || len(all) != 1 || all[0].Name != "backup" || all[0].Revoked.IsZero() || all[0].Lost {
		t.Errorf("keys are %+v, %v", all, err)
	}
	for _, name := range []string{strings.Repeat("n", 129), "a\nb", "\xff"} {
		_, _, err := h.AddOperatorKey(ctx, name)
		refuses(t, "name "+name, err, CodeInvalidParameter)
	}
}

func TestOperatorKeysOfAnotherProcess(t *testing.T) {
	h := newHome(t)
	ctx := t.Context()
	p2, db2, err := h.another()
	if err != nil {
		t.Fatal(err)
	}
	defer db2.Close()
	defer p2.Close()
	id, _, err := p2.AddOperatorKey(ctx, "made elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Open(ctx, id, ""); err != nil { // at once
		t.Error(err)
	}
	if err := p2.RevokeAccessKey(ctx, id); err != nil {
		t.Fatal(err)
	}
	h.clock.add(refreshEvery)
	h.openRefused("key that another process revoked", id, "", CodeInvalidAccessKeyID)
}

// verifyOpenID checks a token with the published key, and returns its claims.
func verifyOpenID(t *testing.T, h *home, token string) (amr []string, sub string) {
	t.Helper()
	set, err := h.JWKS(t.Context())
	if err != nil || len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Fatalf("keys are %+v, %v; want one public key", set, err)
	}
	jws, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS512})
	if err != nil {
		t.Fatal(err)
	}
	if kid := jws.Headers[0].KeyID; kid != set.Keys[0].KeyID || kid == "" {
		t.Errorf("signed by key %q, want %q", kid, set.Keys[0].KeyID)
	}
	var claims jwt.Claims
	var more struct {
		Amr []string `json:"amr"`
	}
	if err := jws.Claims(set, &claims, &more); err != nil {
		t.Fatal(err)
	}
	err = claims.ValidateWithLeeway(jwt.Expected{
		Issuer: "https://cognito-identity.amazonaws.com", AnyAudience: jwt.Audience{testPool}, Time: h.clock.Now(),
	}, 0)
	if err != nil {
		t.Error(err)
	}
	if claims.Expiry.Time().Sub(claims.IssuedAt.Time()) != openIDLifetime {
		t.Errorf("lives from %v to %v", claims.IssuedAt.Time(), claims.Expiry.Time())
	}
	return more.Amr, claims.Subject
}

func TestOpenIDToken(t *testing.T) {
	h := newHome(t)
	guest := h.id(nil)
	id, token, err := h.OpenIDToken(t.Context(), guest, nil)
	if err != nil || id != guest {
		t.Fatalf("token of %s, %v; want %s", id, err, guest)
	}
	amr, sub := verifyOpenID(t, h, token.Reveal())
	if sub != guest || !slices.Equal(amr, []string{"unauthenticated"}) {
		t.Errorf("guest is %s by %q", sub, amr)
	}

	h.restart() // with the same key
	verifyOpenID(t, h, token.Reveal())
	ann := h.id(h.login("ann"))
	id, token, err = h.OpenIDToken(t.Context(), guest, h.login("ann")) // merges, as credentials do
	if err != nil || id != ann {
		t.Fatalf("token of %s, %v; want %s", id, err, ann)
	}
	amr, sub = verifyOpenID(t, h, token.Reveal())
	if sub != ann || !slices.Equal(amr, []string{"authenticated", usersPool, usersPool + ":ann"}) {
		t.Errorf("user is %s by %q", sub, amr)
	}
	_, _, err = h.OpenIDToken(t.Context(), guest, nil)
	refuses(t, "guest's token for a retired id", err, CodeNotAuthorized)
}

func TestOpenIDKeyIsOne(t *testing.T) {
	h := newHome(t)
	p2, db2, err := h.another()
	if err != nil {
		t.Fatal(err)
	}
	defer db2.Close()
	defer p2.Close()
	got := make(chan string, 2)
	for _, p := range []*Pool{h.Pool, p2} {
		go func() {
			set, err := p.JWKS(t.Context())
			if err != nil {
				t.Error(err)
				got <- ""
				return
			}
			got <- set.Keys[0].KeyID
		}()
	}
	if a, b := <-got, <-got; a != b {
		t.Errorf("two processes sign with the keys %s and %s", a, b)
	}
}

// TestFunctionKeys are keys of programs that have rules of their own: whoever
// holds one is that function, and neither an operator nor a user.
func TestFunctionKeys(t *testing.T) {
	h := newHome(t)
	ctx := t.Context()
	operator, _, err := h.AddOperatorKey(ctx, "ops")
	if err != nil {
		t.Fatal(err)
	}
	id, secret, err := h.AddFunctionKey(ctx, "worker 1", "resize")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := h.AddFunctionKey(ctx, "", "größe")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for key, function := range map[string]string{id: "resize", other: "größe"} {
			got, who, err := h.Open(ctx, key, "")
			if err != nil || who.Operator || who.AccessKeyID != key || !reflect.DeepEqual(who.Subject, access.Subject{Function: function}) {
				t.Errorf("the function is %+v, %v", who, err)
			}
			if key == id && got.Reveal() != secret.Reveal() {
				t.Error("the secret is another one")
			}
		}
		if _, who, err := h.Open(ctx, operator, ""); err != nil || !who.Operator || who.Subject.Function != "" {
			t.Errorf("the operator is %+v, %v", who, err)
		}
		h.restart()
	}
	c := h.credentials(h.id(nil), nil)
	h.openRefused("function key with a session token", id, c.SessionToken.Reveal(), CodeInvalidToken)

	if err := h.RevokeAccessKey(ctx, id); err != nil {
		t.Fatal(err)
	}
	h.openRefused("revoked key", id, "", CodeInvalidAccessKeyID)
	all, err := h.AccessKeys(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("keys are %+v, %v", all, err)
	}
	for _, k := range all {
		want := map[string]string{operator: "", id: "resize", other: "größe"}[k.AccessKeyID]
		if k.Function != want || k.Lost || k.Revoked.IsZero() == (k.AccessKeyID == id) {
			t.Errorf("listed is %+v", k)
		}
	}
	for _, function := range []string{"", "a/b", "*", "{x}", "$", ":x", ".", "..", "a\nb", "\xff", "e\u0301", strings.Repeat("n", 129)} {
		_, _, err := h.AddFunctionKey(ctx, "", function)
		refuses(t, "function "+function, err, CodeInvalidParameter)
	}
	_, _, err = h.AddFunctionKey(ctx, "a\nb", "resize")
	refuses(t, "name of two lines", err, CodeInvalidParameter)
}

// TestFunctionKeyIsNoOperatorKey even to those who can write to the state: the
// seal holds whose the secret is.
func TestFunctionKeyIsNoOperatorKey(t *testing.T) {
	for _, becomes := range []string{"", "index"} {
		h := newHome(t)
		ctx := t.Context()
		id, _, err := h.AddFunctionKey(ctx, "", "resize")
		if err != nil {
			t.Fatal(err)
		}
		err = h.db.Update(ctx, func(tx *state.Tx) error {
			keys, err := tx.AccessKeys(ctx)
			if err != nil {
				return err
			}
			k := keys[0]
			k.ID, k.Function = "CUBBY"+strings.Repeat("A", 15), becomes
			return tx.AddAccessKey(ctx, &k)
		})
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(h.dir, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, "UPDATE operator_keys SET function = ? WHERE id = ?", becomes, id); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		h.restart()
		h.openRefused("key that was moved to "+becomes, id, "", CodeInvalidAccessKeyID)
		h.openRefused("copy of a key for "+becomes, "CUBBY"+strings.Repeat("A", 15), "", CodeInvalidAccessKeyID)
	}
}
