package s3api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const corsXML = `<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<CORSRule><ID>app</ID><AllowedOrigin>https://app.example.org</AllowedOrigin><AllowedOrigin>https://*.dev.example.org</AllowedOrigin>
	<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>X-Amz-*</AllowedHeader><AllowedHeader>authorization</AllowedHeader>
	<ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-amz-version-id</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>
<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod></CORSRule>
</CORSConfiguration>`

// setCORS gives the bucket media CORS rules.
func (w *world) setCORS(text string) *response {
	w.t.Helper()
	return w.do("operator", "PUT", "/media?cors", text, "Content-Md5: "+md5sum(text))
}

func TestBucketCORSIsKept(t *testing.T) {
	w := newWorld(t)
	w.do("operator", "GET", "/media?cors", "").is(404, "NoSuchCORSConfiguration")
	w.setCORS(corsXML).is(200)
	r := w.do("operator", "GET", "/media?cors", "").is(200)
	if got := r.elements("AllowedOrigin"); !slices.Equal(got, []string{"https://app.example.org", "https://*.dev.example.org", "*"}) || r.element("ID") != "app" || r.element("MaxAgeSeconds") != "600" {
		t.Errorf("got %s", r.body)
	}
	for _, user := range []string{"alice", "guest"} {
		w.do(user, "GET", "/media?cors", "").is(403, "AccessDenied")
		w.do(user, "PUT", "/media?cors", corsXML, "Content-Md5: "+md5sum(corsXML)).is(403, "AccessDenied")
		w.do(user, "DELETE", "/media?cors", "").is(403, "AccessDenied")
	}
	w.do("operator", "GET", "/nowhere?cors", "").is(404, "NoSuchBucket")
	w.do("operator", "PUT", "/media?cors", corsXML).is(400, "InvalidRequest") // nothing to check it against
	w.do("operator", "DELETE", "/media?cors", "").is(204)
	w.do("operator", "DELETE", "/media?cors", "").is(204)
	w.do("operator", "GET", "/media?cors", "").is(404, "NoSuchCORSConfiguration")

	none := newWorld(t, func(o *Options) { o.Documents = nil })
	none.do("operator", "GET", "/media?cors", "").is(404, "NoSuchCORSConfiguration")
	none.setCORS(corsXML).is(501, "NotImplemented")
}

func TestBucketCORSEndsWithTheBucket(t *testing.T) {
	w := newWorld(t)
	w.setCORS(corsXML).is(200)
	w.do("operator", "DELETE", "/media", "").is(204)
	if len(w.docs) != 0 {
		t.Errorf("left: %v", w.docs)
	}
	w.docs[[2]string{"media", corsDocument}] = corsXML // as if the server had died in between
	w.do("operator", "PUT", "/media", "").is(200)
	w.do("operator", "GET", "/media?cors", "").is(404, "NoSuchCORSConfiguration")
}

func TestBucketCORSIsChecked(t *testing.T) {
	w := newWorld(t)
	rule := func(more string) string {
		return "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>" + more + "</CORSRule></CORSConfiguration>"
	}
	one := "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
	for text, code := range map[string]string{
		"<CORSConfiguration/>": "MalformedXML",
		"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>":                    "MalformedXML",
		"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>":                  "MalformedXML",
		rule("<AllowedMethod>PATCH</AllowedMethod>"):                                                                      "InvalidRequest",
		rule("<AllowedMethod>get</AllowedMethod>"):                                                                        "InvalidRequest",
		rule("<AllowedOrigin>https://*.*.org</AllowedOrigin>"):                                                            "InvalidRequest",
		rule("<AllowedOrigin></AllowedOrigin>"):                                                                           "InvalidRequest",
		rule("<AllowedOrigin>https://a&#10;b</AllowedOrigin>"):                                                            "InvalidRequest",
		rule("<AllowedHeader>a*b*</AllowedHeader>"):                                                                       "InvalidRequest",
		rule("<AllowedHeader>a b</AllowedHeader>"):                                                                        "InvalidRequest",
		rule("<ExposeHeader>*</ExposeHeader>"):                                                                            "InvalidRequest",
		rule("<ExposeHeader>a&#13;&#10;Set-Cookie: x</ExposeHeader>"):                                                     "InvalidRequest",
		rule("<MaxAgeSeconds>soon</MaxAgeSeconds>"):                                                                       "MalformedXML",
		rule("<MaxAgeSeconds>-1</MaxAgeSeconds>"):                                                                         "", // so that nothing is remembered
		rule("<MaxAgeSeconds>99999999999</MaxAgeSeconds>"):                                                                "MalformedXML",
		rule("<ID>" + strings.Repeat("é", 256) + "</ID>"):                                                                 "InvalidArgument",
		"<CORSConfiguration>" + strings.Repeat(one, 101) + "</CORSConfiguration>":                                         "MalformedXML",
		"<CORSConfiguration>" + one + "</CORSConfiguration>" + strings.Repeat(" ", maxCORSBody):                           "MaxMessageLengthExceeded",
		"<CORSConfiguration>" + strings.Repeat(one, 100) + "</CORSConfiguration>":                                         "",
		rule("<ID>" + strings.Repeat("é", 255) + "</ID><AllowedHeader>*</AllowedHeader><MaxAgeSeconds>0</MaxAgeSeconds>"): "",
	} {
		if r := w.setCORS(text); r.element("Code") != code {
			t.Errorf("%.200s: got %d %s, want %s", text, r.status, r.body, code)
		}
	}
}

func TestBucketCORSPreflight(t *testing.T) {
	w := newWorld(t)
	w.setCORS(corsXML).is(200)
	ask := func(origin, method, headers string) *response {
		list := []string{"Origin: " + origin, "Access-Control-Request-Method: " + method}
		if headers != "" {
			list = append(list, "Access-Control-Request-Headers: "+headers)
		}
		return w.do("", "OPTIONS", "/media/public/x", "", list...).has("Vary", corsVary)
	}
	ask("https://app.example.org", "PUT", "Authorization, x-amz-date,X-AMZ-Meta-A").is(200).has("Access-Control-Allow-Origin", "https://app.example.org").
		has("Access-Control-Allow-Methods", "GET, PUT").has("Access-Control-Allow-Headers", "authorization, x-amz-date, x-amz-meta-a").
		has("Access-Control-Expose-Headers", "ETag, x-amz-version-id").has("Access-Control-Max-Age", "600").has("Access-Control-Allow-Credentials", "true")
	ask("https://a.dev.example.org", "GET", "").is(200).has("Access-Control-Allow-Origin", "https://a.dev.example.org").has("Access-Control-Allow-Headers", "")
	// The first rule that fits counts, not the first with this origin.
	ask("https://app.example.org", "HEAD", "").is(200).has("Access-Control-Allow-Origin", "*").has("Access-Control-Allow-Credentials", "").has("Access-Control-Max-Age", "")
	for _, c := range [][3]string{
		{"https://evil.example.org", "PUT", ""},
		{"https://app.example.org", "DELETE", ""},
		{"https://app.example.org", "PUT", "content-type"},
		{"https://app.example.org", "PUT", "x-amz-date, content-type"},
		{"https://APP.example.org", "PUT", ""},
		{"https://app.example.org.evil.org", "PUT", ""},
	} {
		ask(c[0], c[1], c[2]).is(403, "AccessForbidden").has("Access-Control-Allow-Origin", "")
	}
	ask("https://app.example.org", "put", "").is(400, "BadRequest").says("Invalid Access-Control-Request-Method: put")
	ask("https://app.example.org", "PUT", "x-amz-date, x-amz-a(b").is(400, "BadRequest").says(`Access-Control-Request-Headers &quot; x-amz-a(b&quot; contains invalid character.`)
	w.do("", "OPTIONS", "/media/public/x", "", "Origin: https://app.example.org").is(400, "BadRequest")
	w.do("", "OPTIONS", "/media/public/x", "", "Access-Control-Request-Method: GET").is(400, "BadRequest").says("Insufficient information. Origin request header needed.")
	// In either form of addressing; other buckets have what the server has for all.
	w.do("", "OPTIONS", "/public/x", "", "Host: media.s3.localhost", "Origin: https://evil.example.org", "Access-Control-Request-Method: PUT").is(403, "AccessForbidden")
	for _, uri := range []string{"/other/public/x", "/nowhere/x", "/", "*"} {
		w.do("", "OPTIONS", uri, "", "Origin: https://evil.example.org", "Access-Control-Request-Method: PUT").is(200).has("Access-Control-Allow-Origin", "*")
	}
	if checks := w.asked(); len(checks) != 1 { // to set them
		t.Errorf("a preflight asked %v", checks)
	}
}

func TestBucketCORSOfResponses(t *testing.T) {
	w := newWorld(t)
	w.setCORS(corsXML).is(200)
	w.do("alice", "PUT", "/media/public/x", "x", "X-Amz-Meta-Color: red", "Origin: https://app.example.org").is(200).
		has("Access-Control-Allow-Origin", "https://app.example.org").has("Access-Control-Expose-Headers", "ETag, x-amz-version-id").has("Vary", corsVary)
	// The rules say what is exposed, and nothing is added to it.
	w.do("guest", "GET", "/media/public/x", "", "Origin: https://app.example.org").is(200).has("Access-Control-Expose-Headers", "ETag, x-amz-version-id").has("x-amz-meta-color", "red")
	w.do("guest", "GET", "/media/public/x", "", "Origin: https://any.example.org").is(200).has("Access-Control-Allow-Origin", "*").has("Access-Control-Expose-Headers", "")
	w.do("alice", "PUT", "/media/public/x", "x", "Origin: https://any.example.org").is(200).has("Access-Control-Allow-Origin", "").has("Vary", corsVary)
	w.do("guest", "GET", "/media/public/x", "").is(200).has("Access-Control-Allow-Origin", "").has("Vary", corsVary)
	// A page must be able to read what went wrong.
	for _, c := range []struct {
		user, uri string
		status    int
	}{{"guest", "/media/public/none", 404}, {"guest", "/media/secret/x", 403}, {"", "/media/public/x", 403}, {"guest", "/media/public/x?prefix=%zz", 400}} {
		w.do(c.user, "GET", c.uri, "", "Origin: https://app.example.org").is(c.status).has("Access-Control-Allow-Origin", "https://app.example.org")
	}
	w.do("operator", "DELETE", "/media?cors", "").is(204)
	w.do("guest", "GET", "/media/public/x", "", "Origin: https://app.example.org").is(200).has("Access-Control-Allow-Origin", "*")

	w.docs[[2]string{"media", corsDocument}] = "<broken"
	w.do("guest", "GET", "/media/public/x", "", "Origin: https://app.example.org").is(200).has("Access-Control-Allow-Origin", "")
	w.do("", "OPTIONS", "/media/public/x", "", "Origin: https://app.example.org", "Access-Control-Request-Method: GET").is(403)
}

func TestBucketCORSSDK(t *testing.T) {
	w := newWorld(t, signed)
	ctx, client, media := t.Context(), w.sdk("operator", false, true), aws.String("media")
	rules := []types.CORSRule{{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"https://app.example.org"}, MaxAgeSeconds: aws.Int32(5)}}
	if _, err := client.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: media, CORSConfiguration: &types.CORSConfiguration{CORSRules: rules}}); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: media})
	if err != nil || len(got.CORSRules) != 1 || fmt.Sprint(got.CORSRules[0].AllowedOrigins) != "[https://app.example.org]" || *got.CORSRules[0].MaxAgeSeconds != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := client.DeleteBucketCors(ctx, &s3.DeleteBucketCorsInput{Bucket: media}); err != nil {
		t.Error(err)
	}
	if _, err := client.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: media}); !isCode(err, "NoSuchCORSConfiguration") {
		t.Errorf("got %v", err)
	}
}

// FuzzCORS holds that rules that are taken are read back the same, that no page gets in
// by them but by a rule that names it, and that they put nothing odd into a header.
func FuzzCORS(f *testing.F) {
	for _, s := range []string{corsXML, "<CORSConfiguration/>", strings.ReplaceAll(corsXML, "https", "null"), strings.ReplaceAll(corsXML, "ETag", "a&#10;b")} {
		f.Add(s, "https://app.example.org", "PUT", "x-amz-date, authorization")
	}
	f.Fuzz(func(t *testing.T, text, origin, method, headers string) {
		rules, err := parseCORS([]byte(text))
		if err != nil {
			return
		}
		again, err := parseCORS(rules.document())
		if err != nil || string(again.document()) != string(rules.document()) {
			t.Fatalf("%s\nbecame\n%s (%v)", text, rules.document(), err)
		}
		names, err := headerNames([]string{headers})
		if err != nil {
			return
		}
		rule, by := rules.find(origin, method, names)
		if rule == nil {
			return
		}
		before, after, wild := strings.Cut(by, "*")
		if !wild && by != origin || !strings.HasPrefix(origin, before) || !strings.HasSuffix(origin, after) || !slices.Contains(rule.Methods, method) {
			t.Errorf("%q %q is let in by %q, %q", origin, method, by, rule.Methods)
		}
		if out := strings.Join(slices.Concat(rule.Expose, rule.Methods, names), ","); !printable(out) {
			t.Errorf("%q would be a header", out)
		}
	})
}
