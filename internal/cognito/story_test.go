package cognito

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

func TestGuestGetsCredentials(t *testing.T) {
	b := newBackend(t, Options{})
	id := b.ask(t, getID, fields{"IdentityPoolId": identityPoolID, "Logins": fields{}}).at("IdentityId")
	if !strings.HasPrefix(id, "eu-1:") {
		t.Errorf("identity id %q", id)
	}
	// Old clients send no Logins at all.
	if other := b.ask(t, getID, fields{"IdentityPoolId": identityPoolID}).at("IdentityId"); other == id {
		t.Error("two guests are one")
	}
	r := b.ask(t, getCredentials, fields{"IdentityId": id})
	if r.at("IdentityId") != id || r.at("Credentials.AccessKeyId") == "" || r.at("Credentials.SessionToken") == "" {
		t.Errorf("credentials: %v", r)
	}
	when := r.body["Credentials"].(map[string]any)["Expiration"]
	if when != float64(b.Now().Add(time.Hour).Unix()) {
		t.Errorf("Expiration %v is not the second an hour from now", when)
	}
	secret, who, err := b.ids.Open(t.Context(), r.at("Credentials.AccessKeyId"), r.at("Credentials.SessionToken"))
	if err != nil {
		t.Fatal(err)
	}
	if secret.Reveal() != r.at("Credentials.SecretKey") || who.Subject.Identity != id || who.Subject.Authenticated {
		t.Errorf("the credentials are those of %+v", who.Subject)
	}
	if token := b.ask(t, getOpenIDToken, fields{"IdentityId": id}); token.at("IdentityId") != id || strings.Count(token.at("Token"), ".") != 2 {
		t.Errorf("OpenID token: %v", token)
	}
}

// signIn signs in with a password as the apps do.
func (b *backend) signIn(t testing.TB, name string) *reply {
	t.Helper()
	return b.ask(t, initiateAuth, fields{
		"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": clientID, "ClientMetadata": fields{},
		"AuthParameters": fields{"USERNAME": name, "PASSWORD": password},
	})
}

// key is what clients call the user pool in Logins: the issuer without scheme.
func (b *backend) key() string { return strings.TrimPrefix(b.url, "http://") + "/" + userPoolID }

func TestUserSignsInAndOwnsAnIdentity(t *testing.T) {
	b := newBackend(t, Options{})
	b.user(t, "ann")
	guest := b.ask(t, getID, fields{"IdentityPoolId": identityPoolID}).at("IdentityId")

	tokens := b.signIn(t, "Ann")
	id, access := tokens.at("AuthenticationResult.IdToken"), tokens.at("AuthenticationResult.AccessToken")
	if tokens.at("AuthenticationResult.TokenType") != "Bearer" || tokens.at("AuthenticationResult.RefreshToken") == "" ||
		tokens.body["AuthenticationResult"].(map[string]any)["ExpiresIn"] != 3600.0 {
		t.Errorf("tokens: %v", tokens)
	}
	if _, ok := tokens.body["ChallengeParameters"]; !ok {
		t.Errorf("no ChallengeParameters: %v", tokens)
	}

	// The guest becomes the user.
	r := b.ask(t, getCredentials, fields{"IdentityId": guest, "Logins": fields{b.key(): id}})
	if r.at("IdentityId") != guest {
		t.Errorf("the guest %s became %s", guest, r.at("IdentityId"))
	}
	// On the next device they are the same, whatever the client calls the pool.
	name := "cognito-idp.eu-1.amazonaws.com/" + userPoolID
	if again := b.ask(t, getID, fields{"IdentityPoolId": identityPoolID, "Logins": fields{name: id}}); again.at("IdentityId") != guest {
		t.Errorf("on another device: %v", again)
	}
	_, who, err := b.ids.Open(t.Context(), r.at("Credentials.AccessKeyId"), r.at("Credentials.SessionToken"))
	if err != nil {
		t.Fatal(err)
	}
	if !who.Subject.Authenticated || who.Subject.Username != "ann" {
		t.Errorf("the credentials are those of %+v", who.Subject)
	}

	info := b.ask(t, getUser, fields{"AccessToken": access})
	want := `{"Username":"ann","UserAttributes":[{"Name":"sub","Value":"` + who.Subject.Sub +
		`"},{"Name":"email","Value":"ann@example.com"},{"Name":"email_verified","Value":"true"}]}`
	if info.text != want {
		t.Errorf("GetUser: %s, want %s", info.text, want)
	}
}

func TestSessionIsRefreshedAndEnds(t *testing.T) {
	b := newBackend(t, Options{})
	b.user(t, "ann")
	tokens := b.signIn(t, "ann")
	refresh := tokens.at("AuthenticationResult.RefreshToken")
	b.wait(2 * time.Hour)
	b.refused(t, getUser, fields{"AccessToken": tokens.at("AuthenticationResult.AccessToken")}, "NotAuthorizedException", "Access Token has expired")
	b.refused(t, getID, fields{"IdentityPoolId": identityPoolID, "Logins": fields{b.key(): tokens.at("AuthenticationResult.IdToken")}},
		"NotAuthorizedException", "expired")

	r := b.ask(t, getTokens, fields{"ClientId": clientID, "RefreshToken": refresh})
	if r.at("AuthenticationResult.AccessToken") == "" || r.at("AuthenticationResult.RefreshToken") != "" {
		t.Errorf("GetTokensFromRefreshToken: %v", r)
	}
	for _, flow := range []string{"REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"} { // as older clients do
		r = b.ask(t, initiateAuth, fields{"ClientId": clientID, "AuthFlow": flow, "AuthParameters": fields{"REFRESH_TOKEN": refresh}})
	}
	b.ask(t, getUser, fields{"AccessToken": r.at("AuthenticationResult.AccessToken")})

	b.ask(t, revokeToken, fields{"ClientId": clientID, "Token": refresh})
	b.ask(t, revokeToken, fields{"ClientId": clientID, "Token": refresh})
	b.refused(t, getTokens, fields{"ClientId": clientID, "RefreshToken": refresh}, "NotAuthorizedException", "Refresh Token has been revoked")
	b.refused(t, getUser, fields{"AccessToken": r.at("AuthenticationResult.AccessToken")}, "NotAuthorizedException", "Access Token has been revoked")
	b.refused(t, getID, fields{"IdentityPoolId": identityPoolID, "Logins": fields{b.key(): r.at("AuthenticationResult.IdToken")}},
		"NotAuthorizedException", "Invalid login token")
	b.refused(t, revokeToken, fields{"ClientId": clientID, "Token": r.at("AuthenticationResult.AccessToken")}, "UnsupportedTokenTypeException", "")
}

func TestGlobalSignOutEndsEverything(t *testing.T) {
	b := newBackend(t, Options{})
	b.user(t, "ann")
	phone, laptop := b.signIn(t, "ann"), b.signIn(t, "ann")
	login := fields{b.key(): laptop.at("AuthenticationResult.IdToken")}
	id := b.ask(t, getID, fields{"IdentityPoolId": identityPoolID, "Logins": login}).at("IdentityId")
	r := b.ask(t, getCredentials, fields{"IdentityId": id, "Logins": login})
	b.wait(time.Second)

	b.ask(t, globalSignOut, fields{"AccessToken": phone.at("AuthenticationResult.AccessToken")})
	for _, tokens := range []*reply{phone, laptop} {
		b.refused(t, getUser, fields{"AccessToken": tokens.at("AuthenticationResult.AccessToken")}, "NotAuthorizedException", "revoked")
		b.refused(t, getTokens, fields{"ClientId": clientID, "RefreshToken": tokens.at("AuthenticationResult.RefreshToken")}, "NotAuthorizedException", "revoked")
	}
	b.refused(t, getCredentials, fields{"IdentityId": id, "Logins": login}, "NotAuthorizedException", "Invalid login token")
	b.wait(5 * time.Second)
	if _, who, err := b.ids.Open(t.Context(), r.at("Credentials.AccessKeyId"), r.at("Credentials.SessionToken")); err == nil {
		t.Errorf("credentials from before are still those of %+v", who.Subject)
	}
	b.ask(t, getUser, fields{"AccessToken": b.signIn(t, "ann").at("AuthenticationResult.AccessToken")})
}

// Nobody learns from an answer whether there is a user of that name.
func TestAnswersDoNotTellNames(t *testing.T) {
	b := newBackend(t, Options{SignInBurst: 1000})
	b.user(t, "ann")
	try := func(name string) string {
		r := b.send(t, initiateAuth, encode(t, fields{
			"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": clientID, "AuthParameters": fields{"USERNAME": name, "PASSWORD": "wrong password"},
		}))
		return r.String() + r.header.Get("x-amzn-errortype")
	}
	for i := range 8 {
		known, unknown := try("ann"), try("bob")
		if known != unknown {
			t.Errorf("try %d: ann gets %s and bob %s", i+1, known, unknown)
		}
		want := "Incorrect username or password."
		if i >= 5 {
			want = "Password attempts exceeded"
		}
		if !strings.Contains(known, want) || !strings.HasPrefix(known, "400 ") {
			t.Errorf("try %d: %s, want %q", i+1, known, want)
		}
	}
}

func TestWhatUsersMayNot(t *testing.T) {
	b := newBackend(t, Options{})
	b.user(t, "ann")
	tokens := b.signIn(t, "ann")
	id, access := tokens.at("AuthenticationResult.IdToken"), tokens.at("AuthenticationResult.AccessToken")
	with := fields{"USERNAME": "ann", "PASSWORD": password}
	auth := func(flow, client string, with any) fields {
		return fields{"AuthFlow": flow, "ClientId": client, "AuthParameters": with}
	}
	for _, tt := range []struct {
		operation     string
		fields        fields
		name, message string
	}{
		{initiateAuth, auth("USER_PASSWORD_AUTH", "other", with), "ResourceNotFoundException", "client"},
		{initiateAuth, auth("USER_SRP_AUTH", clientID, with), "InvalidParameterException", "USER_SRP_AUTH"},
		{initiateAuth, auth("MAGIC", clientID, with), "InvalidParameterException", "AuthFlow"},
		{initiateAuth, auth("USER_PASSWORD_AUTH", clientID, nil), "InvalidParameterException", "USERNAME"},
		{initiateAuth, auth("USER_PASSWORD_AUTH", clientID, fields{"USERNAME": "ann"}), "InvalidParameterException", "PASSWORD"},
		{initiateAuth, auth("REFRESH_TOKEN_AUTH", clientID, with), "InvalidParameterException", "REFRESH_TOKEN"},
		{initiateAuth, auth("REFRESH_TOKEN_AUTH", clientID, fields{"REFRESH_TOKEN": id}), "NotAuthorizedException", "Refresh"},
		{initiateAuth, fields{"ClientId": clientID}, "InvalidParameterException", "AuthFlow"},
		{initiateAuth, fields{"AuthFlow": "USER_PASSWORD_AUTH"}, "InvalidParameterException", "ClientId"},
		{getTokens, fields{"ClientId": "other", "RefreshToken": "x"}, "ResourceNotFoundException", "client"},
		{getTokens, fields{"ClientId": clientID}, "InvalidParameterException", "RefreshToken"},
		{revokeToken, fields{"ClientId": clientID}, "InvalidParameterException", "Token"},
		{revokeToken, fields{"Token": "x"}, "InvalidParameterException", "ClientId"},
		{getUser, fields{"AccessToken": id}, "NotAuthorizedException", "Access Token"},
		{getUser, fields{}, "InvalidParameterException", "AccessToken"},
		{globalSignOut, fields{"AccessToken": id}, "NotAuthorizedException", "Access Token"},
		{globalSignOut, fields{"AccessToken": nil}, "InvalidParameterException", "AccessToken"},
		{getID, fields{"IdentityPoolId": identityPoolID, "Logins": fields{b.key(): access}}, "NotAuthorizedException", "login token"},
		{getID, fields{"IdentityPoolId": identityPoolID, "Logins": fields{"evil.example": id}}, "NotAuthorizedException", ""},
		{getID, fields{"IdentityPoolId": "eu-1:00000000-2222-4333-8444-555555555555"}, "ResourceNotFoundException", ""},
		{getID, fields{}, "InvalidParameterException", "IdentityPoolId"},
		{getCredentials, fields{"Logins": fields{b.key(): id}}, "InvalidParameterException", "IdentityId"},
		{getCredentials, fields{"IdentityId": "x"}, "InvalidParameterException", ""},
		{getCredentials, fields{"IdentityId": identityPoolID, "CustomRoleArn": "arn:aws:iam::1:role/x"}, "InvalidParameterException", "CustomRoleArn"},
		{getOpenIDToken, fields{}, "InvalidParameterException", "IdentityId"},
	} {
		b.refused(t, tt.operation, tt.fields, tt.name, tt.message)
	}
	if err := b.users.DisableUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	b.refused(t, initiateAuth, auth("USER_PASSWORD_AUTH", clientID, with), "NotAuthorizedException", "User is disabled.")
	b.refused(t, getUser, fields{"AccessToken": access}, "NotAuthorizedException", "User is disabled.")
	if err := b.users.DeleteUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	b.refused(t, getUser, fields{"AccessToken": access}, "UserNotFoundException", "")
	if n := b.faults.Load(); n != 0 {
		t.Errorf("%d of these are called faults of the server", n)
	}
}

// A program of somebody else can check our ID tokens with what we publish.
func TestOthersCanVerifyTokens(t *testing.T) {
	b := newBackend(t, Options{})
	b.user(t, "ann")
	issuer, err := oidc.NewProvider(t.Context(), b.url+"/"+userPoolID)
	if err != nil {
		t.Fatal(err)
	}
	check := issuer.Verifier(&oidc.Config{ClientID: clientID, Now: b.Now})
	token, err := check.Verify(t.Context(), b.signIn(t, "ann").at("AuthenticationResult.IdToken"))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Name     string `json:"cognito:username"`
		Verified bool   `json:"email_verified"`
	}
	if err := token.Claims(&claims); err != nil || claims.Name != "ann" || !claims.Verified {
		t.Errorf("claims %+v, %v", claims, err)
	}
	r := b.do(t, http.MethodGet, "/"+userPoolID+"/.well-known/jwks.json", "", nil)
	if r.header.Get("Access-Control-Allow-Origin") != "*" || !strings.HasPrefix(r.header.Get("Cache-Control"), "public") ||
		r.header.Get("Content-Type") != "application/json" || strings.Contains(r.text, `"d"`) {
		t.Errorf("key set: %v %v", r, r.header)
	}
	if r := b.do(t, http.MethodHead, "/"+userPoolID+"/.well-known/openid-configuration", "", nil); r.status != http.StatusOK || r.text != "" {
		t.Errorf("HEAD: %v", r)
	}
	for _, path := range []string{"/other/.well-known/jwks.json", "/" + userPoolID + "/.well-known/x", "/"} {
		if r := b.do(t, http.MethodGet, path, "", nil); r.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %v", path, r)
		}
	}
}

func TestIssuerIsWhereTheServerWasReached(t *testing.T) {
	b := newBackend(t, Options{BaseURL: func(r *http.Request) string { return "https://" + r.Header.Get("X-Name") + "/in/" }})
	b.user(t, "ann")
	body := encode(t, fields{
		"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": clientID, "AuthParameters": fields{"USERNAME": "ann", "PASSWORD": password},
	})
	for _, name := range []string{"a.example", "b.example:8443"} {
		r := b.do(t, http.MethodPost, "/", body, map[string]string{"x-amz-target": initiateAuth, "content-type": contentType, "x-name": name})
		login, err := b.users.Verify(t.Context(), r.at("AuthenticationResult.IdToken"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "https://" + name + "/in/" + userPoolID; login.Claims["iss"] != want {
			t.Errorf("issuer %s, want %s", login.Claims["iss"], want)
		}
		d := b.do(t, http.MethodGet, "/"+userPoolID+"/.well-known/openid-configuration", "", map[string]string{"x-name": name})
		if d.at("issuer") != login.Claims["iss"] || d.at("jwks_uri") != d.at("issuer")+"/.well-known/jwks.json" {
			t.Errorf("discovery: %v", d)
		}
	}
	for _, name := range []string{"", "u@h", "a b", "h?x"} {
		r := b.do(t, http.MethodPost, "/", body, map[string]string{"x-amz-target": initiateAuth, "content-type": contentType, "x-name": name})
		if r.status != http.StatusBadRequest || r.at("__type") != "InvalidParameterException" {
			t.Errorf("name %q: %v", name, r)
		}
	}
}
