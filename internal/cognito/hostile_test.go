package cognito

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cubby-storage/cubby/internal/identity"
)

func TestOnlyTheProtocolIsSpoken(t *testing.T) {
	b := newBackend(t, Options{})
	good := fmt.Sprintf(`{"IdentityPoolId":%q}`, identityPoolID)
	for _, tt := range []struct {
		name, method, target, media, body string
		status                            int
		code                              string
	}{
		{"good", "POST", getID, contentType, good, 200, ""},
		{"charset", "POST", getID, contentType + "; charset=UTF-8", good, 200, ""},
		{"unknown field", "POST", getID, contentType, good[:len(good)-1] + `,"AccountId":{"x":[1,null]}}`, 200, ""},
		{"spaces", "POST", getID, contentType, " \n" + good + "\r\n ", 200, ""},
		{"last one wins", "POST", getID, contentType, `{"IdentityPoolId":7,` + good[1:], 200, ""},
		{"null is nothing", "POST", getID, contentType, good[:len(good)-1] + `,"Logins":null}`, 200, ""},
		{"null login is nothing", "POST", getID, contentType, good[:len(good)-1] + `,"Logins":{"x":null}}`, 200, ""},
		{"escaped name", "POST", getID, contentType, strings.Replace(good, "Id", `\u0049d`, 1), 200, ""},

		{"GET", "GET", getID, contentType, "", 405, unknownOperation},
		{"PUT", "PUT", getID, contentType, good, 405, unknownOperation},
		{"no target", "POST", "", contentType, good, 400, unknownOperation},
		{"no service", "POST", "GetId", contentType, good, 400, unknownOperation},
		{"wrong service", "POST", userService + "GetId", contentType, good, 400, unknownOperation},
		{"made up", "POST", userService + "Evil", contentType, good, 400, unknownOperation},
		{"other case", "POST", strings.ToLower(getID), contentType, good, 400, unknownOperation},
		{"not built", "POST", userService + "SignUp", contentType, good, 400, unsupportedOperation},
		{"not built", "POST", identityService + "UnlinkIdentity", contentType, good, 400, unsupportedOperation},
		{"plain text", "POST", getID, "text/plain", good, 400, serialization},
		{"form", "POST", getID, "application/x-www-form-urlencoded", good, 400, serialization},
		{"JSON 1.0", "POST", getID, "application/x-amz-json-1.0", good, 400, serialization},
		{"no type", "POST", getID, "", good, 400, serialization},

		{"empty", "POST", getID, contentType, "", 400, serialization},
		{"null", "POST", getID, contentType, "null", 400, serialization},
		{"array", "POST", getID, contentType, "[" + good + "]", 400, serialization},
		{"text", "POST", getID, contentType, `"x"`, 400, serialization},
		{"garbage behind", "POST", getID, contentType, good + "x", 400, serialization},
		{"two objects", "POST", getID, contentType, good + good, 400, serialization},
		{"cut off", "POST", getID, contentType, good[:len(good)-1], 400, serialization},
		{"not UTF-8", "POST", getID, contentType, `{"IdentityPoolId":"` + "\xff" + `"}`, 400, serialization},
		{"number", "POST", getID, contentType, `{"IdentityPoolId":7}`, 400, serialization},
		{"object", "POST", getID, contentType, `{"IdentityPoolId":{}}`, 400, serialization},
		{"last one is bad", "POST", getID, contentType, good[:len(good)-1] + `,"IdentityPoolId":7}`, 400, serialization},
		{"other case", "POST", getID, contentType, strings.ToLower(good), 400, invalidParameter},
		{"empty text", "POST", getID, contentType, `{"IdentityPoolId":""}`, 400, invalidParameter},
		{"logins as array", "POST", getID, contentType, good[:len(good)-1] + `,"Logins":[]}`, 400, serialization},
		{"logins as text", "POST", getID, contentType, good[:len(good)-1] + `,"Logins":"x"}`, 400, serialization},
		{"login as number", "POST", getID, contentType, good[:len(good)-1] + `,"Logins":{"x":1}}`, 400, serialization},
		{"deep", "POST", getID, contentType, good[:len(good)-1] + `,"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, 400, serialization},
		{"very deep", "POST", getID, contentType, strings.Repeat(`{"x":`, 100_000), 400, serialization},
		{"too many logins", "POST", getID, contentType, good[:len(good)-1] + `,"Logins":` + manyMembers(65) + `}`, 400, invalidParameter},
		{"many members", "POST", getID, contentType, manyMembers(50_000), 400, invalidParameter},
		{"huge", "POST", getID, contentType, `{"x":"` + strings.Repeat("x", bodyMax) + `"}`, 413, tooLarge},
		{"token too long", "POST", getID, contentType, good[:len(good)-1] + `,"Logins":{"` + userPoolID + `":"` + strings.Repeat("x", 60_000) + `"}}`, 400, invalidParameter},
	} {
		r := b.do(t, tt.method, "/", tt.body, map[string]string{"x-amz-target": tt.target, "content-type": tt.media})
		if r.status != tt.status || r.at("__type") != tt.code || r.header.Get("x-amzn-errortype") != tt.code {
			t.Errorf("%s: %.200s, want %d %s", tt.name, r, tt.status, tt.code)
		}
		wantHeaders(t, tt.name, r)
	}
	if r := b.do(t, "POST", "/", good, map[string]string{"x-amz-target": getID, "content-type": contentType, "content-encoding": "gzip"}); r.at("__type") != serialization {
		t.Errorf("encoded: %v", r)
	}
}

func manyMembers(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, `,"m%d":"x"`, i)
	}
	return "{" + s.String()[1:] + "}"
}

// wantHeaders checks what every answer must have, lest browsers hide it.
func wantHeaders(t *testing.T, name string, r *reply) {
	t.Helper()
	for k, want := range map[string]string{
		"Access-Control-Allow-Origin":      "*",
		"Access-Control-Allow-Credentials": "",
		"Cache-Control":                    "no-store",
		"Content-Type":                     contentType,
		"X-Content-Type-Options":           "nosniff",
	} {
		if got := r.header.Get(k); got != want {
			t.Errorf("%s: %s is %q, want %q", name, k, got, want)
		}
	}
	if r.header.Get("x-amzn-requestid") == "" || !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "x-amzn-errortype") {
		t.Errorf("%s: headers %v", name, r.header)
	}
}

func TestPreflight(t *testing.T) {
	b := newBackend(t, Options{})
	r := b.do(t, http.MethodOptions, "/", "", map[string]string{
		"origin": "https://app.example", "access-control-request-method": "POST",
		"access-control-request-headers": "amz-sdk-invocation-id,amz-sdk-request,cache-control,content-type,x-amz-target,x-amz-user-agent",
	})
	if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != "*" ||
		r.header.Get("Access-Control-Max-Age") == "" || !strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %v %v", r, r.header)
	}
	allowed := strings.Split(r.header.Get("Access-Control-Allow-Headers"), ", ")
	for _, name := range []string{"amz-sdk-invocation-id", "amz-sdk-request", "cache-control", "content-type", "x-amz-target", "x-amz-user-agent"} {
		found := false
		for _, a := range allowed {
			found = found || a == name
		}
		if !found {
			t.Errorf("header %s is not allowed by %q", name, allowed)
		}
	}
}

func TestEveryOperationIsKnownOnce(t *testing.T) {
	h := New(nil, nil, nil)
	works := 0
	for target, op := range h.calls {
		if !strings.HasPrefix(target, identityService) && !strings.HasPrefix(target, userService) {
			t.Errorf("operation %s has no service", target)
		}
		if op.do != nil {
			works++
		}
		if (op.do == nil) != (op.limit == nil) {
			t.Errorf("operation %s works and has no limit, or has one and does not", target)
		}
	}
	names := append(strings.Fields(otherIdentityOperations), strings.Fields(otherUserOperations)...)
	if works != 8 || len(h.calls) != works+len(names) {
		t.Errorf("%d operations work, %d do not, of %d", works, len(names), len(h.calls))
	}
}

func TestAddressesAreLimited(t *testing.T) {
	from := "192.0.2.1:1"
	b := newBackend(t, Options{SignInRate: 1, SignInBurst: 3, RemoteAddr: func(*http.Request) string { return from }})
	b.user(t, "ann")
	try := func() string {
		r := b.send(t, initiateAuth, encode(t, fields{
			"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": clientID, "AuthParameters": fields{"USERNAME": "ann", "PASSWORD": password},
		}))
		return r.at("__type")
	}
	for i := range 3 {
		if name := try(); name != "" {
			t.Fatalf("sign-in %d: %s", i+1, name)
		}
	}
	from = "192.0.2.1:2" // another connection
	if name := try(); name != tooManyRequests {
		t.Errorf("the fourth sign-in: %s", name)
	}
	b.refused(t, getTokens, fields{"ClientId": clientID, "RefreshToken": "x"}, tooManyRequests, "")
	from = "192.0.2.2:1"
	if name := try(); name != "" {
		t.Errorf("another address: %s", name)
	}
	from = "192.0.2.1:1"
	b.wait(time.Second)
	if name := try(); name != "" {
		t.Errorf("a second later: %s", name)
	}
}

// Whoever calls without a password, as a guest or with a made-up token, gets
// only so much work out of the server.
func TestStrangersAreLimited(t *testing.T) {
	from := "192.0.2.1:1"
	b := newBackend(t, Options{
		CredentialsRate: 1, CredentialsBurst: 4, OpenIDRate: 1, OpenIDBurst: 2,
		RemoteAddr: func(*http.Request) string { return from },
	})
	try := func(operation string, logins fields) string {
		return b.send(t, operation, encode(t, fields{"IdentityId": identity.NewID("eu-1"), "Logins": logins})).at("__type")
	}
	made := fields{userPoolID: "made.up.token"}
	for i, tt := range []struct {
		operation string
		logins    fields
		want      string
	}{
		{getOpenIDToken, nil, ""},
		{getOpenIDToken, made, identity.CodeNotAuthorized},
		{getOpenIDToken, nil, tooManyRequests},
		{getOpenIDToken, made, tooManyRequests},
		{getCredentials, nil, ""},
		{getCredentials, made, identity.CodeNotAuthorized},
	} {
		if got := try(tt.operation, tt.logins); got != tt.want {
			t.Errorf("call %d: %s, want %s", i, got, tt.want)
		}
	}
	b.refused(t, getUser, fields{"AccessToken": "made.up.token"}, identity.CodeNotAuthorized, "")
	b.refused(t, revokeToken, fields{"ClientId": clientID}, "InvalidParameterException", "")
	b.refused(t, globalSignOut, fields{"AccessToken": "made.up.token"}, tooManyRequests, "")
	b.refused(t, getID, fields{"IdentityPoolId": identityPoolID, "Logins": made}, tooManyRequests, "")
	for _, logins := range []fields{nil, made} {
		if got := try(getCredentials, logins); got != tooManyRequests {
			t.Errorf("too many calls for credentials with logins %v: %s", logins, got)
		}
	}
	from = "192.0.2.2:1"
	for _, operation := range []string{getOpenIDToken, getCredentials} {
		if got := try(operation, nil); got != "" {
			t.Errorf("%s from another address: %s", operation, got)
		}
	}
	from = "192.0.2.1:1"
	b.wait(time.Second)
	for _, operation := range []string{getOpenIDToken, getCredentials} {
		if got := try(operation, nil); got != "" {
			t.Errorf("%s a second later: %s", operation, got)
		}
	}
}

// TestDefaultLimits spends what an address has without any choice.
func TestDefaultLimits(t *testing.T) {
	h := New(nil, nil, nil)
	for target, burst := range map[string]int{getCredentials: 500, getOpenIDToken: 50, initiateAuth: 100} {
		n := 0
		for h.calls[target].limit.Allow("192.0.2.1", time.Unix(0, 0)) {
			n++
		}
		if n != burst {
			t.Errorf("%s: %d calls at once, want %d", target, n, burst)
		}
	}
}

// broken is an identity pool whose state is gone.
type broken struct{ err error }

func (b broken) GetID(context.Context, string, map[string]string, string) (string, error) {
	return "", b.err
}

func (b broken) Credentials(context.Context, string, map[string]string) (*identity.Credentials, error) {
	return nil, b.err
}

func (b broken) OpenIDToken(context.Context, string, map[string]string) (string, identity.Secret, error) {
	return "", identity.Secret{}, b.err
}

func TestFaultsAreReportedAndNotShown(t *testing.T) {
	users := newBackend(t, Options{}).users
	gone := errors.New("disk /secret/place is gone")
	for _, tt := range []struct {
		err      error
		status   int
		code     string
		reported bool
	}{
		{gone, 500, internalError, true},
		{&identity.Error{Code: identity.CodeInternal, Message: "m", Err: gone}, 500, internalError, true},
		{&identity.Error{Code: identity.CodeExternalService, Message: "m", Err: gone}, 400, identity.CodeExternalService, true},
		{&identity.Error{Code: identity.CodeConflict, Message: "m", Err: gone}, 400, identity.CodeConflict, false},
		{fmt.Errorf("view: %w", context.Canceled), 400, "RequestAbortedException", false},
		{&identity.Error{Code: identity.CodeInternal, Message: "m", Err: context.Canceled}, 400, "RequestAbortedException", false},
	} {
		var reported error
		var id string
		h := New(broken{tt.err}, users, &Options{OnError: func(_ *http.Request, requestID string, err error) { id, reported = requestID, err }})
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"IdentityPoolId":"x"}`))
		r.Header.Set("X-Amz-Target", getID)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || w.Header().Get("x-amzn-errortype") != tt.code || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v: %d %s", tt.err, w.Code, w.Body)
		}
		if tt.reported && (!errors.Is(reported, gone) || id != w.Header().Get("x-amzn-requestid")) || !tt.reported && reported != nil {
			t.Errorf("%v: reported %v as %s", tt.err, reported, id)
		}
	}
}

func TestBodyThatFailsHalfWay(t *testing.T) {
	h := New(nil, newBackend(t, Options{}).users, nil)
	r := httptest.NewRequest(http.MethodPost, "/", iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(`{"IdentityPoolId":"x"}`))))
	r.Header.Set("X-Amz-Target", getID)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || w.Header().Get("x-amzn-errortype") != serialization {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Whatever is sent, the answer is JSON, and no fault of ours.
func FuzzCall(f *testing.F) {
	b := newBackend(f, Options{SignInBurst: 1e9, CredentialsBurst: 1e9, OpenIDBurst: 1e9})
	b.user(f, "ann")
	tokens := b.signIn(f, "ann")
	id, access := tokens.at("AuthenticationResult.IdToken"), tokens.at("AuthenticationResult.AccessToken")
	f.Add(uint8(0), fmt.Appendf(nil, `{"IdentityPoolId":%q,"Logins":{%q:%q}}`, identityPoolID, userPoolID, id))
	f.Add(uint8(1), []byte(`{"IdentityId":"eu-1:00000000-2222-4333-8444-555555555555","Logins":{}}`))
	f.Add(uint8(2), []byte(`{"IdentityId":"x"}`))
	f.Add(uint8(3), []byte(`{"AuthFlow":"USER_PASSWORD_AUTH","ClientId":"testclient","AuthParameters":{"USERNAME":"ann","PASSWORD":"x"}}`))
	f.Add(uint8(3), []byte(`{"AuthFlow":"REFRESH_TOKEN_AUTH","ClientId":"testclient","AuthParameters":{"REFRESH_TOKEN":"ann"}}`))
	f.Add(uint8(4), []byte(`{"ClientId":"testclient","RefreshToken":"x"}`))
	f.Add(uint8(5), []byte(`{"ClientId":"testclient","Token":"x"}`))
	f.Add(uint8(6), fmt.Appendf(nil, `{"AccessToken":%q}`, access))
	f.Add(uint8(7), []byte(`{"AccessToken":"a.b.c"}`))
	f.Add(uint8(0), []byte(`{"IdentityPoolId":"\ud800","Logins":{"\u0000":"\ud800"}}`))
	targets := []string{getID, getCredentials, getOpenIDToken, initiateAuth, getTokens, revokeToken, getUser, globalSignOut}
	f.Fuzz(func(t *testing.T, op uint8, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.Header.Set("X-Amz-Target", targets[int(op)%len(targets)])
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		b.h.ServeHTTP(w, r)
		answer := make(map[string]any)
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%q is answered with %q", body, w.Body)
		}
		name, failed := answer["__type"].(string)
		if w.Code >= 500 || (w.Code == http.StatusOK) == failed || w.Header().Get("x-amzn-errortype") != name {
			t.Errorf("%q is answered with %d %s", body, w.Code, w.Body)
		}
	})
}
