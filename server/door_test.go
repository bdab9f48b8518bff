package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNoSecondDoor sends every kind of request without a signature, and holds
// that only the documents that are public by design answer.
func TestNoSecondDoor(t *testing.T) {
	w := newWorld(t, nil)
	w.put("media", "public/x", "secret")
	pool := w.srv.users.ID()
	public := []string{
		"/.well-known/cubby/amplify_outputs.json",
		"/" + pool + "/.well-known/jwks.json",
		"/" + pool + "/.well-known/openid-configuration",
	}
	paths := slices.Concat(public, []string{
		"/", "/media", "/media/", "/media/public/x", "/media/public/", "/bare", "/nowhere", "/nowhere/x", "//", "/%2F", "/favicon.ico", "/robots.txt", "/index.html",
		"/metrics", "/debug/pprof/", "/health", "/minio/admin/v3/info", "/_ui", "/admin", "/state.db", "/cubby.yaml", "/objects", "/data.keys", "/../data.keys",
		"/.well-known/", "/.well-known/cubby/", "/.well-known/cubby/../../data.keys", "/.well-known/cubby/cubby.yaml", "/.well-known/cubby/amplify_outputs.json/", "/.well-known/openid-configuration",
		"/" + pool, "/" + pool + "/", "/" + pool + "/.well-known/", "/" + pool + "/.well-known/x", "/" + pool + "/oauth2/token", "/oauth2/token", "/login",
	})
	for name := range operatorDocuments {
		paths = append(paths, wellKnown+name)
	}
	queries := append(s3Queries(t), "", "X-Amz-Signature=", "AWSAccessKeyId=x&Signature=y&Expires=9999999999", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15", "versionId=1", "list-type=2", "x-id=GetObject")
	hosts := []string{"", "Host: media.s3.localhost", "Host: bare.localhost"}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "COPY"} {
			for _, query := range queries {
				if query != "" && method != "GET" && method != "PUT" && method != "POST" && method != "DELETE" {
					continue
				}
				for _, host := range hosts {
					if host != "" && path != "/public/x" && path != "/" {
						continue
					}
					uri := path
					if query != "" {
						uri += "?" + query
					}
					headers := []string{"X-Amz-Copy-Source: media/public/x"}
					if host != "" {
						headers = append(headers, host)
					}
					r := w.as(nil, method, uri, "", headers...)
					reads := method == "GET" || method == "HEAD"
					switch {
					case r.status >= 500 && r.status != 501:
						t.Errorf("%s: %d %s", r.what, r.status, r.body)
					case slices.Contains(public, path) && reads && r.status == 200:
					case r.status == 200 || r.status == 204 || r.status == 206 || r.status == 304:
						if method != "OPTIONS" || r.body != "" {
							t.Errorf("%s answers %d %q", r.what, r.status, r.body)
						}
					}
					if strings.Contains(r.body, "secret") {
						t.Errorf("%s shows the object", r.what)
					}
				}
			}
		}
	}
	for _, path := range public {
		w.as(nil, "GET", path, "").is(200)
	}
	if d := w.asked(); len(d) != 0 {
		t.Errorf("the rules were asked for somebody who did not sign: %+v", d)
	}
	if got := w.content("media", "public/x"); got != "secret" {
		t.Errorf("the object is %q", got)
	}
}

// s3Queries returns the sub-resources of the table of operations, from its
// source, so that a new one is walked without being named here.
func s3Queries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../internal/s3api/operations.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile(`query: \[\]string\{([^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
		q := strings.NewReplacer(`"`, "", ", ", "&").Replace(m[1])
		q = strings.NewReplacer("partNumber", "partNumber=1", "uploadId", "uploadId=x").Replace(q)
		all = append(all, q)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) < 8 {
		t.Fatalf("the table has only %q", all)
	}
	return all
}

// TestCallsWithoutToken makes every call of Cognito that there is with nothing but
// what everybody knows. Only a guest's identity comes of it.
func TestCallsWithoutToken(t *testing.T) {
	w := newWorld(t, nil)
	text, err := os.ReadFile("../internal/cognito/operations.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:identityService|userService)\+"(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		names[m[1]] = true
	}
	for _, m := range regexp.MustCompile("(?s)Operations = `([^`]*)`").FindAllStringSubmatch(string(text), -1) {
		for name := range strings.FieldsSeq(m[1]) {
			names[name] = true
		}
	}
	for m := range strings.FieldsSeq("AdminCreateUser AdminGetUser ListUsers CreateGroup SignUp DescribeIdentity UnlinkIdentity DeleteIdentities") {
		if !names[m] {
			t.Errorf("%s is not in the table", m)
		}
	}
	guest := w.newID(nil)
	body := map[string]any{
		"IdentityPoolId": w.srv.identityPool, "UserPoolId": w.srv.users.ID(), "ClientId": w.srv.users.ClientID(), "IdentityId": guest,
		"Username": "alice", "UserAttributes": []any{}, "Password": password, "GroupName": "admin", "AccessToken": "x", "Token": "x", "RefreshToken": "x",
		"AuthFlow": "ADMIN_NO_SRP_AUTH", "AuthParameters": map[string]string{"USERNAME": "alice", "PASSWORD": password},
	}
	var open []string
	for name := range names {
		for _, service := range []string{"I.", "U."} {
			a := w.call(service+name, body)
			if a.status == 200 {
				open = append(open, service+name)
			} else if a.status != 400 {
				t.Errorf("%s: %d %v", name, a.status, a.fields)
			}
		}
	}
	slices.Sort(open)
	// RevokeToken answers so for any token, as it has to.
	if want := []string{"I.GetCredentialsForIdentity", "I.GetId", "I.GetOpenIdToken", "U.RevokeToken"}; !slices.Equal(open, want) {
		t.Errorf("%q answer, want %q", open, want)
	}
	if users, err := w.srv.Users(t.Context()); err != nil || len(users) != 3 {
		t.Errorf("users are %v, %v", users, err)
	}
}

// TestTargetHeaderOpensNothing: a request that has it is a call, whatever else it is.
func TestTargetHeaderOpensNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.put("media", "public/x", "secret")
	for _, target := range []string{"AWSCognitoIdentityService.GetId", "S3.GetObject", " ", "x"} {
		for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
			for _, p := range []*person{nil, w.operator} {
				if r := w.as(p, method, "/media/public/x", "", "X-Amz-Target: "+target); r.status < 400 || strings.Contains(r.body, "secret") {
					t.Errorf("%s %q: %d %s", r.what, target, r.status, r.body)
				}
			}
		}
	}
	if got := w.content("media", "public/x"); got != "secret" {
		t.Errorf("the object is %q", got)
	}
}

// TestOddRequestLines go over a plain connection, as no client would send them.
func TestOddRequestLines(t *testing.T) {
	w := newWorld(t, &setup{opts: Options{Dev: true}})
	w.put("media", "public/x", "secret")
	host := strings.TrimPrefix(w.url, "http://")
	for _, lines := range []string{
		"GET http://%s/media/public/x HTTP/1.1\r\nHost: %[1]s",
		"GET http://evil.example/media/public/x HTTP/1.1\r\nHost: %s",
		"GET media/public/x HTTP/1.1\r\nHost: %s",
		"GET * HTTP/1.1\r\nHost: %s",
		"OPTIONS * HTTP/1.1\r\nHost: %s",
		"CONNECT media:443 HTTP/1.1\r\nHost: %s",
		"GET /media/public/%%zz HTTP/1.1\r\nHost: %s",
		"GET /media/public/x HTTP/1.1\r\nHost: %s\r\nHost: evil.example",
		"GET /media/public/x HTTP/1.1\r\nX: %s",
		"GET /media/public/x HTTP/1.0\r\nX: %s",
		"GET /media/public/x?a;b HTTP/1.1\r\nHost: %s",
		"GET /media/public/x HTTP/1.1\r\nHost: %s\r\nAuthorization: \x01",
		"PUT /media/public/x HTTP/1.1\r\nHost: %s\r\nContent-Length: -1",
		"PUT /media/public/x HTTP/1.1\r\nHost: %s\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
		"GET /media/public/x HTTP/1.1\r\nHost: %s\r\nX-Amz-Date: " + strings.Repeat("x", 64<<10),
	} {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(lines, host) + "\r\nConnection: close\r\n\r\n"
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.60q: %v", lines, err)
			c.Close()
			continue
		}
		if res.StatusCode < 400 && !strings.HasPrefix(lines, "OPTIONS") || res.StatusCode >= 500 && res.StatusCode != 501 && res.StatusCode != 505 {
			t.Errorf("%.60q: %s", lines, res.Status)
		}
		res.Body.Close()
		c.Close()
	}
	if d := w.asked(); len(d) != 0 {
		t.Errorf("the rules were asked: %+v", d)
	}
}

// TestRebinding: in dev mode a name that is not this machine's gets no answer, so
// that no web page can reach the server by a name of its own.
func TestRebinding(t *testing.T) {
	dev := newWorld(t, &setup{opts: Options{Dev: true}, change: func(c *Config) { c.Hosts = []string{"files.example.com:8443"} }})
	plain := newWorld(t, nil)
	for _, c := range []struct {
		host string
		ours bool
	}{
		{"127.0.0.1", true},
		{"127.0.0.1:20005", true},
		{"127.1.2.3:1", true},
		{"localhost", true},
		{"LOCALHOST:20005", true},
		{"localhost.:20005", true},
		{"[::1]", true},
		{"[::1]:20005", true},
		{"media.s3.localhost:20005", true},
		{"s3.localhost", true},
		{"files.example.com", true},
		{"media.files.example.com:20005", true},
		{"evil.example", false},
		{"evil.example:20005", false},
		{"localhost.evil.example", false},
		{"127.0.0.1.evil.example", false},
		{"127.0.0.1.nip.io:20005", false},
		{"evillocalhost", false},
		{"evilfiles.example.com", false},
		{"example.com", false},
		{"s3.evil.example", false},
		{"media.s3.evil.example", false},
		{"192.168.0.1:20005", false},
		{"0.0.0.0:20005", false},
		{"[::]:20005", false},
		{"[fe80::1]:20005", false},
		{"2130706433", false},
		{"0x7f.1", false},
		{"evil.example..", false},
	} {
		for _, path := range []string{"/", "/media/public/x", "/.well-known/cubby/amplify_outputs.json", "/" + dev.srv.users.ID() + "/.well-known/jwks.json"} {
			for _, method := range []string{"GET", "POST", "OPTIONS"} {
				target := ""
				if method == "POST" {
					target = "AWSCognitoIdentityService.GetId"
				}
				headers := []string{"Host: " + c.host, "Origin: http://" + c.host, "X-Amz-Target: " + target, "Access-Control-Request-Method: GET"}
				got := dev.as(nil, method, path, "", headers...).status
				if refused := got == http.StatusMisdirectedRequest; refused == c.ours {
					t.Errorf("dev mode answers %s %s for %s with %d", method, path, c.host, got)
				}
				if got := plain.as(nil, method, path, "", headers...).status; got == http.StatusMisdirectedRequest {
					t.Errorf("without dev mode %s %s for %s is refused", method, path, c.host)
				}
			}
		}
	}
	alice := dev.user("alice")
	dev.as(alice, "PUT", "/media/public/x", "x", "Host: evil.example").is(http.StatusMisdirectedRequest)
	if r := dev.as(nil, "GET", "/", "", "Host: evil.example", "Origin: http://evil.example"); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page of another name may read the answer: %v", r.header)
	}
	if got := dev.keys("media"); len(got) != 0 {
		t.Errorf("the bucket holds %q", got)
	}
}
