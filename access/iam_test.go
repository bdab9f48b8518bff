package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

const (
	poolID = "eu-central-1:99999999-9999"
	me     = "eu-central-1:11111111-1111"
	you    = "eu-central-1:22222222-2222"
)

var forBucket = &access.IAMOptions{Bucket: "BUCKET", IdentityPool: poolID}

// mustParse returns the policy of a text.
func mustParse(t *testing.T, text string, opts *access.Options) *access.Policy {
	t.Helper()
	p, err := access.Parse("rules", []byte(text), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestIAMDocuments reads the documents as an operator would.
func TestIAMDocuments(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		opts        *access.Options
		role        string
		want        string
	}{
		{
			name:  "the actions of one path are one statement",
			rules: "public/* guest read authenticated read,write,delete",
			role:  "authenticated",
			want: `{"Version":"2012-10-17","Statement":[` +
				`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::BUCKET/public/*"},` +
				`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::BUCKET","Condition":{"StringLike":{"s3:prefix":"public/*"}}}]}`,
		},
		{
			name:  "a member of a group has all that is due to a user",
			rules: "private/{entity_id}/* owner get\nstaff/* group:staff get\nall/* authenticated get",
			role:  "group:staff",
			want: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":[` +
				`"arn:aws:s3:::BUCKET/all/*","arn:aws:s3:::BUCKET/private/${cognito-identity.amazonaws.com:sub}/*","arn:aws:s3:::BUCKET/staff/*"]}]}`,
		},
		{
			name:  "but not if groups replace",
			rules: "private/{entity_id}/* owner get\nstaff/* group:staff get\nall/* authenticated get",
			opts:  &access.Options{Groups: access.Replace},
			role:  "group:staff",
			want:  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/staff/*"}]}`,
		},
		{
			name:  "a hole is a denial",
			rules: "media/* authenticated get,write\nmedia/albums/* authenticated get",
			role:  "authenticated",
			want: `{"Version":"2012-10-17","Statement":[` +
				`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::BUCKET/media/*"},` +
				`{"Effect":"Deny","Action":"s3:PutObject","Resource":"arn:aws:s3:::BUCKET/media/albums/*"}]}`,
		},
		{
			name:  "a hole that a group fills is none for its members",
			rules: "media/* authenticated get\nmedia/drafts/* group:staff get",
			role:  "group:staff",
			want:  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/media/*"}]}`,
		},
		{
			name:  "what the owner has anyway is not said twice",
			rules: "p/{entity_id}/* authenticated get owner get,write\np/${cognito-identity.amazonaws.com:sub}/locked/* owner get",
			role:  "authenticated",
			want: `{"Version":"2012-10-17","Statement":[` +
				`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/p/*"},` +
				`{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::BUCKET/p/${cognito-identity.amazonaws.com:sub}/*"},` +
				`{"Effect":"Deny","Action":"s3:PutObject","Resource":"arn:aws:s3:::BUCKET/p/${cognito-identity.amazonaws.com:sub}/locked/*"}]}`,
		},
		{
			name:  "versions alone are no right to delete them",
			rules: "a/* group:v versions,list",
			role:  "group:v",
			want: `{"Version":"2012-10-17","Statement":[` +
				`{"Effect":"Allow","Action":["s3:ListBucket","s3:ListBucketVersions"],"Resource":"arn:aws:s3:::BUCKET","Condition":{"StringLike":{"s3:prefix":"a/*"}}}]}`,
		},
		{
			name:  "versions and delete are, until either is taken back",
			rules: "a/* group:v delete,versions,list\na/b/* group:v versions,list",
			role:  "group:v",
			want: `{"Version":"2012-10-17","Statement":[` +
				`{"Effect":"Allow","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":"arn:aws:s3:::BUCKET/a/*"},` +
				`{"Effect":"Allow","Action":["s3:ListBucket","s3:ListBucketVersions"],"Resource":"arn:aws:s3:::BUCKET","Condition":{"StringLike":{"s3:prefix":"a/*"}}},` +
				`{"Effect":"Deny","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":"arn:aws:s3:::BUCKET/a/b/*"}]}`,
		},
		{name: "a role without rights has no document", rules: "a/* authenticated get", role: "guest", want: `null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			roles, err := mustParse(t, c.rules, c.opts).IAM(forBucket)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range roles {
				if r.Role != c.role {
					continue
				}
				text, err := json.Marshal(r.Inline)
				if err != nil {
					t.Fatal(err)
				}
				if string(text) != c.want {
					t.Errorf("got  %s\nwant %s", text, c.want)
				}
				return
			}
			t.Errorf("no role %s", c.role)
		})
	}
}

// TestIAMTrust reads who may assume the roles, which come in their order.
func TestIAMTrust(t *testing.T) {
	p := mustParse(t, "b/* group:z get function:f get group:a get\na/* group:z get guest get", nil)
	roles, err := p.IAM(forBucket)
	if err != nil {
		t.Fatal(err)
	}
	trust := func(amr string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},` +
			`"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"ForAnyValue:StringLike":{"cognito-identity.amazonaws.com:amr":"` + amr + `"},` +
			`"StringEquals":{"cognito-identity.amazonaws.com:aud":"` + poolID + `"}}}]}`
	}
	want := []struct{ role, trust string }{
		{"guest", trust("unauthenticated")},
		{"authenticated", trust("authenticated")},
		{"group:z", trust("authenticated")},
		{"group:a", trust("authenticated")},
		{"function:f", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`},
	}
	for i, r := range roles {
		text, err := json.Marshal(r.Trust)
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(want) || r.Role != want[i].role || string(text) != want[i].trust {
			t.Errorf("role %d is %s, trusted by %s", i, r.Role, text)
		}
	}
	roles, err = p.IAM(&access.IAMOptions{Bucket: "arn:aws-cn:s3:::BUCKET"})
	if err != nil || roles[0].Trust != nil || roles[4].Trust == nil || roles[0].Inline.Statement[0].Resource[0] != "arn:aws-cn:s3:::BUCKET/a/*" {
		t.Errorf("without a pool, in China: %+v, %v", roles, err)
	}
}

// TestIAMRefuses names what IAM cannot say.
func TestIAMRefuses(t *testing.T) {
	type want struct {
		pos    string
		reason access.Reason
		text   string
	}
	for _, c := range []struct {
		name, rules string
		groups      []string
		want        []want
	}{
		{
			name:  "below a hole",
			rules: "a/* authenticated get\na/b/* # nobody\na/b/c/* authenticated get,write",
			want:  []want{{"rules:3", access.IAMBelowHole, `"a/b/*" (rules:2), which takes it back from "a/*" (rules:1)`}},
		},
		{
			name:  "the owner's below a hole",
			rules: "a/* authenticated get\na/b/* guest get\na/b/${cognito-identity.amazonaws.com:sub}/* authenticated get",
			want:  []want{{"rules:3", access.IAMBelowHole, "role authenticated"}},
		},
		{
			name:  "the owner's below a hole of its own",
			rules: "a/{entity_id}/* owner write\na/${cognito-identity.amazonaws.com:sub}/b/* owner get\na/${cognito-identity.amazonaws.com:sub}/b/c/* owner write",
			want:  []want{{"rules:3", access.IAMBelowHole, `"a/${cognito-identity.amazonaws.com:sub}/b/*" (rules:2)`}},
		},
		{
			name:  "only for some",
			rules: "a/* authenticated get\na/b/* group:v get\na/b/c/* authenticated get",
			want:  []want{{"rules:3", access.IAMBelowHole, "(role authenticated)"}},
		},
		{
			name:  "tokens",
			rules: "a/{sub}/* owner get\nb/{claim:t}/* group:v get\nc/{sub}/* owner get\nc/* authenticated get",
			want:  []want{{"rules:1", access.IAMToken, "{sub}"}, {"rules:2", access.IAMToken, "{claim:t}"}},
		},
		{
			name:  "tokens beside each other",
			rules: "c/{entity_id}/* owner get\nc/{sub}/x/* authenticated list\nd/* authenticated list",
			want:  []want{{"rules:2", access.IAMToken, "{sub}"}},
		},
		{
			name:  "groups that nobody knows",
			rules: "a/{group}/* authenticated get\nb/{group}/* group:v get",
			want:  []want{{"rules:1", access.IAMToken, "all groups"}},
		},
		{name: "groups that are known", rules: "a/{group}/* authenticated get", groups: []string{"v"}},
		{
			name:  "like an identity id",
			rules: "a/{entity_id}/* owner get\na/" + me + "/* authenticated list",
			want:  []want{{"rules:1", access.IAMLookalike, me}},
		},
		{
			name:   "a group like an identity id",
			rules:  "a/{entity_id}/* owner get\na/{group}/* owner list",
			groups: []string{me},
			want:   []want{{"rules:1", access.IAMLookalike, me}, {"rules:2", access.IAMLookalike, me}},
		},
		{
			name:  "limits",
			rules: "a/* authenticated write maxSize=1MB\nb/* authenticated write maxSize=1MB group:v write",
			want:  []want{{"rules:1", access.IAMLimits, "roles authenticated, group:v"}, {"rules:2", access.IAMLimits, "(role authenticated)"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := *forBucket
			opts.Groups = c.groups
			_, err := mustParse(t, c.rules, nil).IAM(&opts)
			var problems []access.Problem
			if err != nil {
				e, ok := errors.AsType[*access.IAMError](err)
				if !ok || !errors.Is(err, errors.ErrUnsupported) {
					t.Fatalf("error %T %v", err, err)
				}
				problems = e.Problems
			}
			if len(problems) != len(c.want) {
				t.Fatalf("got %v, want %+v", err, c.want)
			}
			for i, p := range problems {
				if w := c.want[i]; p.Pos != w.pos || p.Reason != w.reason || !strings.Contains(p.Text, w.text) {
					t.Errorf("got %+v, want %+v", p, w)
				}
			}
		})
	}
	for _, opts := range []*access.IAMOptions{nil, {}, {Bucket: "a*"}, {Bucket: "b", IdentityPool: "${x}"}, {Bucket: "b", Groups: []string{"a/b"}}} {
		if _, err := new(access.Policy).IAM(opts); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("options %+v: error %v", opts, err)
		}
	}
}

// TestIAMSizes goes over the limits one by one.
func TestIAMSizes(t *testing.T) {
	rules := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "some-path-%04d/* authenticated get\n", i)
		}
		return b.String()
	}
	var kinds [3]int
	for _, n := range []int{0, 1, 100, 180, 190, 195, 200, 205, 210, 220, 300, 600, 1000, 1080, 1090, 1100, 1150, 1200, 2000, 10000} {
		p := mustParse(t, rules(n)+"z/* guest get", nil)
		roles, err := p.IAM(forBucket)
		if err != nil {
			kinds[2]++
			e, ok := errors.AsType[*access.IAMError](err)
			if !ok || len(e.Problems) != 1 || e.Problems[0].Reason != access.IAMSize || !strings.HasPrefix(e.Problems[0].Path, "some-path-1") {
				t.Fatalf("%d rules: %v", n, err)
			}
			continue
		}
		r := roles[1]
		docs := append(r.Managed, r.Inline)
		if r.Inline == nil {
			docs = r.Managed
		}
		patterns := 0
		for _, d := range docs {
			for _, s := range d.Statement {
				patterns += len(s.Resource)
			}
		}
		if patterns != n {
			t.Errorf("%d rules make %d patterns", n, patterns)
		}
		if r.Inline != nil {
			kinds[0]++
			if iam.Size(r.Inline) > 10240 || r.Managed != nil {
				t.Errorf("%d rules: inline document of %d", n, iam.Size(r.Inline))
			}
			continue
		}
		if n == 0 {
			continue
		}
		kinds[1]++
		if len(r.Managed) > 10 {
			t.Errorf("%d rules: %d managed documents", n, len(r.Managed))
		}
		for _, d := range r.Managed {
			if iam.Size(d) > 6144 {
				t.Errorf("%d rules: managed document of %d", n, iam.Size(d))
			}
		}
		if last := iam.Size(r.Managed[0]); last < 6000 {
			t.Errorf("%d rules: the first managed document is only %d", n, last)
		}
	}
	if slices.Contains(kinds[:], 0) {
		t.Errorf("inline, managed and refused: %d", kinds)
	}
	// What is not Latin-1 is escaped in a policy.
	var b strings.Builder
	for i := range 120 {
		fmt.Fprintf(&b, "%s%03d/* authenticated get\n", strings.Repeat("日", 12), i)
	}
	if roles, err := mustParse(t, b.String(), nil).IAM(forBucket); err != nil || roles[1].Inline != nil {
		t.Errorf("120 paths of 12 characters that are escaped: %+v, %v", roles, err)
	}
}

// TestBucketPolicy evaluates one policy for all roles.
func TestBucketPolicy(t *testing.T) {
	p := mustParse(t, `
public/*  guest read  authenticated read,write
private/{entity_id}/* owner read,write
staff/* group:staff read
`, nil)
	opts := *forBucket
	opts.RoleARN = func(role string) string {
		if role == "function:f" {
			return ""
		}
		return "arn:aws:iam::123456789012:role/" + strings.ReplaceAll(role, ":", "-")
	}
	d, err := p.BucketPolicy(&opts)
	if err != nil {
		t.Fatal(err)
	}
	e := d.Compile()
	asked := 0
	for _, s := range []struct {
		role    string
		subject access.Subject
	}{
		{"guest", access.Subject{Identity: me}},
		{"authenticated", access.Subject{Identity: me, Authenticated: true}},
		{"group:staff", access.Subject{Identity: me, Authenticated: true, Groups: []string{"staff"}}},
	} {
		for _, key := range []string{"", "public/", "public/a", "publi", "private/", "private/" + me + "/a", "private/" + you + "/a", "staff/a"} {
			for a := access.Get; a <= access.Delete; a <<= 1 {
				for _, tls := range []string{"true", "false"} {
					r := request(me, iamActions[a][0], key)
					r.Principal = opts.RoleARN(s.role)
					r.Context["aws:SecureTransport"] = []string{tls}
					want := p.Decide(&s.subject, a, key).Allowed && tls == "true"
					asked++
					if got := e.Evaluate(r).Answer; (got == iam.Allowed) != want || got == iam.Undecided {
						t.Errorf("%s %s %q with TLS %s: %v, want %v", s.role, a, key, tls, got, want)
					}
				}
			}
		}
	}
	if asked < 150 {
		t.Errorf("only %d requests", asked)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "public/*"); n != 3 {
		t.Errorf("public/* is in %s %d times, want it once for each set of roles and of actions", text, n)
	}
	var many strings.Builder
	for i := range 600 {
		fmt.Fprintf(&many, "some-path-%04d/* authenticated get\n", i)
	}
	_, err = mustParse(t, many.String(), nil).BucketPolicy(&opts)
	if e, ok := errors.AsType[*access.IAMError](err); !ok || e.Problems[0].Reason != access.IAMSize || e.Problems[0].Path < "some-path-03" {
		t.Errorf("600 paths: %v", err)
	}
}
