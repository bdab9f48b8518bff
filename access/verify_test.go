package access_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

// myBucket is what the policies of testdata/anybucket are for.
var myBucket = &access.VerifyOptions{Bucket: "my-bucket", Principal: "arn:aws:iam::111122223333:role/app"}

func readPolicy(t *testing.T, file string) *iam.Document {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := iam.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// verified returns the differences and the excess as lines.
func verified(t *testing.T, p *access.Policy, role string, d *iam.Document, opts *access.VerifyOptions) []string {
	t.Helper()
	v, err := access.Verify(p, role, d, opts)
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	var lines []string
	for _, d := range v.Differences {
		lines = append(lines, d.String())
	}
	lines = append(lines, v.Excess...)
	if v.Exact() != (len(lines) == 0) {
		t.Errorf("exact: %v, but %q", v.Exact(), lines)
	}
	return lines
}

// TestVerifyAnyBucket compares the policies that a guide to the use of any bucket
// gives with the rules that stand beside them there. All lists name the objects
// as resources too, which is harmless: nobody lists an object.
func TestVerifyAnyBucket(t *testing.T) {
	for _, c := range []struct {
		rules, role, policy string
		groups              access.GroupMode
		want                []string
	}{
		{"guests_read", "guest", "guests_read.guest", access.Union, nil},
		{"users_write", "guest", "guests_read.guest", access.Union, nil},
		{"users_write", "authenticated", "users_write.authenticated", access.Union, nil},
		{"admins", "group:admin", "admins.admin", access.Replace, nil},
		// A member has the rights of every user as well, but the role of the group does not.
		{"admins", "group:admin", "admins.admin", access.Union, []string{
			"s3:GetObject on \"public/\": `public/*  authenticated get,list,write,delete` (admins:1) allows it, nothing in the policy does",
			"s3:PutObject on \"public/\": `public/*  authenticated get,list,write,delete` (admins:1) allows it, nothing in the policy does",
			"s3:DeleteObject on \"public/\": `public/*  authenticated get,list,write,delete` (admins:1) allows it, nothing in the policy does",
			"s3:ListBucket on \"public/\": `public/*  authenticated get,list,write,delete` (admins:1) allows it, nothing in the policy does",
		}},
		// The policy from the example before, which no other role was given.
		{"admins", "authenticated", "users_write.authenticated", access.Union, []string{
			"s3:GetObject on \"admin/\": `admin/*  authenticated get,list` (admins:2) allows it, nothing in the policy does",
			"s3:ListBucket on \"admin/\": `admin/*  authenticated get,list` (admins:2) allows it, nothing in the policy does",
		}},
		{"owners", "guest", "owners.guest", access.Union, nil},
		// The policy forgets that everybody may delete what is public.
		{"owners", "authenticated", "owners.authenticated", access.Union, []string{
			"s3:DeleteObject on \"public/\": `public/*  authenticated get,list,write,delete` (owners:1) allows it, nothing in the policy does",
		}},
		// The policy of the bucket gives the role everything.
		{"owners", "authenticated", "bucket", access.Union, []string{
			`s3:GetObject on "x": Statement[0] of the policy allows it, no rule does`,
			`s3:PutObject on "x": Statement[0] of the policy allows it, no rule does`,
			`s3:DeleteObject on "x": Statement[0] of the policy allows it, no rule does`,
			`s3:ListBucket without a prefix: Statement[0] of the policy allows it, no rule does`,
		}},
	} {
		text, err := os.ReadFile("testdata/anybucket/" + c.rules + ".rules")
		if err != nil {
			t.Fatal(err)
		}
		p, err := access.Parse(c.rules, text, &access.Options{Groups: c.groups})
		if err != nil {
			t.Fatal(err)
		}
		d := readPolicy(t, "testdata/anybucket/"+c.policy+".json")
		if got := verified(t, p, c.role, d, myBucket); !slices.Equal(got, c.want) {
			t.Errorf("%s for %s:\n%s\nwant\n%s", c.policy, c.role, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

var goldenRoles = map[string]string{"unauthenticatedUserIamRole": "guest", "authenticatedUserIamRole": "authenticated"}

// TestVerifyAmplify compares the documents that Amplify wrote with their rules,
// and sees to it that any change of a document is found.
func TestVerifyAmplify(t *testing.T) {
	opts := &access.VerifyOptions{Bucket: "BUCKET"}
	mutations := 0
	for _, g := range readGolden(t) {
		if g.Error != nil {
			continue
		}
		_, rules := g.read(t)
		question := refused[g.Name] != ""
		rules = slices.DeleteFunc(rules, func(r access.Rule) bool { return r.Actions == 0 || strings.Contains(r.Path, "?") })
		p, _, err := access.Compile(rules, strict)
		if err != nil {
			t.Fatalf("%s: %v", g.Name, err)
		}
		docs := map[string]*iam.Document{"guest": new(iam.Document), "authenticated": new(iam.Document)}
		for name, doc := range g.Policies {
			role := goldenRoles[name]
			if role == "" {
				role = "group:" + name
			}
			docs[role] = readDocument(t, doc)
		}
		for role, d := range docs {
			lines := verified(t, p, role, d, opts)
			if question {
				if len(d.Statement) > 0 && (len(lines) == 0 || !strings.Contains(lines[0], "foo/")) {
					t.Errorf("%s: the question mark was not noticed: %q", g.Name, lines)
				}
				continue
			}
			if len(lines) > 0 {
				t.Errorf("%s, %s: %s", g.Name, role, strings.Join(lines, "\n"))
			}
			for what, m := range mutate(d) {
				mutations++
				if verified(t, p, role, m, opts) == nil {
					t.Errorf("%s, %s: not noticed: %s", g.Name, role, what)
				}
			}
		}
	}
	if mutations < 200 {
		t.Errorf("only %d documents were changed", mutations)
	}
}

// mutate returns documents that each grant something else than d.
func mutate(d *iam.Document) map[string]*iam.Document {
	out := make(map[string]*iam.Document)
	change := func(i int, what string, do func(s *iam.Statement)) {
		m := &iam.Document{Version: d.Version, Statement: slices.Clone(d.Statement)}
		do(&m.Statement[i])
		out[fmt.Sprintf("%s in statement %d", what, i)] = m
	}
	for i, s := range d.Statement {
		drop := &iam.Document{Version: d.Version, Statement: slices.Delete(slices.Clone(d.Statement), i, i+1)}
		out[fmt.Sprintf("no statement %d", i)] = drop
		change(i, "all objects", func(s *iam.Statement) { s.Resource = iam.Strings{"arn:aws:s3:::BUCKET*"}; s.Condition = nil })
		if s.Effect == iam.Allow {
			change(i, "any action", func(s *iam.Statement) { s.Action = iam.Strings{"s3:*"} })
		}
		list := s.Resource
		set := func(s *iam.Statement, list iam.Strings) { s.Resource = list }
		if s.Condition != nil {
			list = s.Condition["StringLike"]["s3:prefix"]
			set = func(s *iam.Statement, list iam.Strings) {
				s.Condition = iam.Condition{"StringLike": {"s3:prefix": list}}
			}
		}
		for j, text := range list {
			if !strings.HasSuffix(text, "*") {
				continue // a prefix that the pattern beside it covers
			}
			with := func(what, text string) {
				change(i, fmt.Sprintf("%s in pattern %d", what, j), func(s *iam.Statement) {
					l := slices.Clone(list)
					l[j] = text
					set(s, l)
				})
			}
			with("a character more", strings.TrimSuffix(text, "*")+"x/*")
			with("a question mark", text[:len(text)-2]+"?*")
			with("anything", text[:len(text)-2]+"*")
			if strings.Contains(text, identityVar) {
				with("everybody", strings.ReplaceAll(text, identityVar, "*"))
				with("somebody", strings.ReplaceAll(text, identityVar, "eu-west-1:00000000-0000-4000-8000-000000000000"))
			}
		}
	}
	return out
}

// TestVerifyDifferences shows examples that are not plain.
func TestVerifyDifferences(t *testing.T) {
	const own = `"Resource": "arn:aws:s3:::BUCKET/own/${cognito-identity.amazonaws.com:sub}/*"`
	for _, c := range []struct {
		rules, role, statements string
		want                    []string
	}{
		{"own/{entity_id}/* owner get", "authenticated", `{"Effect": "Allow", "Action": "s3:GetObject", ` + own + `}`, nil},
		// A wildcard that only ids of one region fit.
		{
			"own/{entity_id}/* owner get", "authenticated", `{"Effect": "Allow", "Action": "s3:GetObject", ` + own + `},
			{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::BUCKET/own/us-*:f?*"}`,
			[]string{"s3:GetObject on \"own/us-:f0000000-0000-0000-0000-000000000000/\" by us-:f0000000-0000-0000-0000-000000000000: `own/{entity_id}/*  owner get` (rules:1) allows it, Statement[1] of the policy denies it"},
		},
		// What is written out beside the token is nobody's own.
		{
			"own/{entity_id}/* owner get\nown/eu-1:00000000-0000-4000-8000-000000000000/x/* authenticated delete", "authenticated", `
			{"Effect": "Allow", "Action": "s3:GetObject", ` + own + `},
			{"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::BUCKET/own/eu-1:00000000-0000-4000-8000-000000000000/x/*"}`,
			[]string{`s3:GetObject on "own/eu-1:00000000-0000-4000-8000-000000000000/" by eu-1:00000000-0000-4000-8000-000000000000: Statement[0] of the policy allows it, no rule does`},
		},
		// A function has no identity.
		{
			"own/* function:f get", "function:f", `{"Effect": "Allow", "Action": "s3:GetObject", ` + own + `}`,
			[]string{"s3:GetObject on \"own/\": `own/*  function:f get` (rules:1) allows it, nothing in the policy does"},
		},
		{"team/{group}/* owner get", "group:red", `{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/team/red/*"}`, nil},
		{"team/{group}/* owner get", "authenticated", ``, nil},
		// Tags go with the content, the right to publish goes with nothing.
		{"a/* guest get", "guest", `{"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion"], "Resource": "arn:aws:s3:::BUCKET/a/*"}`, nil},
		{
			"a/* guest get", "guest", `{"Effect": "Allow", "Action": ["s3:GetObject*", "s3:PutObjectAcl"], "Resource": "arn:aws:s3:::BUCKET/a/*"},
			{"Effect": "Allow", "Action": ["s3:GetObjectTagging"], "Resource": "*"},
			{"Effect": "Allow", "Action": ["s3:DeleteBucket", "s3:ListBucketMultipartUploads", "s3:ListAllMyBuckets"], "Resource": "*"}`,
			[]string{
				`also grants s3:GetObjectTagging on "x"`,
				`also grants s3:GetObjectAcl, s3:GetObjectLegalHold, s3:GetObjectRetention, s3:GetObjectTorrent, s3:GetObjectVersionAcl, s3:GetObjectVersionForReplication, s3:GetObjectVersionTorrent, s3:PutObjectAcl on "a/"`,
				`also grants s3:ListBucketMultipartUploads, s3:DeleteBucket on the bucket`,
				`Statement[0] also allows s3:GetObject* on arn:aws:s3:::BUCKET/a/*`,
				`Statement[1] also allows s3:GetObjectTagging on *`,
				`Statement[2] also allows s3:DeleteBucket, s3:ListBucketMultipartUploads, s3:ListAllMyBuckets on *`,
			},
		},
		{
			"a/* guest get,versions", "guest", `{"Effect": "Allow", "Action": ["s3:GetObject", "s3:DeleteObjectVersion"], "Resource": "arn:aws:s3:::BUCKET/a/*"},
			{"Effect": "Allow", "Action": "s3:ListBucketVersions", "Resource": "arn:aws:s3:::BUCKET", "Condition": {"StringEquals": {"s3:prefix": "a/"}}}`,
			[]string{
				`s3:DeleteObjectVersion on "a/": Statement[0] of the policy allows it, no rule does`,
				"s3:ListBucketVersions on \"a/x\": `a/*  guest get,versions` (rules:1) allows it, nothing in the policy does",
			},
		},
		// To delete a version needs both rights, wherever they come from.
		{
			"a/* authenticated delete\na/* group:g versions\nb/* group:g delete,versions\nc/* group:g delete", "group:g", `
			{"Effect": "Allow", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"], "Resource": ["arn:aws:s3:::BUCKET/a/*", "arn:aws:s3:::BUCKET/c/*"]},
			{"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::BUCKET/b/*"},
			{"Effect": "Allow", "Action": "s3:ListBucketVersions", "Resource": "arn:aws:s3:::BUCKET", "Condition": {"StringLike": {"s3:prefix": ["a/*", "b/*"]}}}`,
			[]string{
				"s3:DeleteObjectVersion on \"b/\": `b/*  group:g delete,versions` (rules:3) allows it, nothing in the policy does",
				`s3:DeleteObjectVersion on "c/": Statement[0] of the policy allows it, no rule does`,
			},
		},
		// What is said of other buckets is no matter of the rules.
		{"a/* guest get", "guest", `{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/a/*"},
			{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::OTHER/*/${aws:username}", "Condition": {"IpAddress": {"aws:SourceIp": "${x}"}}}`, []string{"Statement[1] also allows s3:* on arn:aws:s3:::OTHER/*/${aws:username}"}},
		{
			"a/* guest get", "guest", `{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::BUCKET/b/*"}`,
			[]string{
				`s3:GetObject on "x": Statement[1] of the policy allows it, no rule does`,
				`Statement[0] also allows all but s3:* on *`,
				`Statement[1] also allows s3:GetObject on all but arn:aws:s3:::BUCKET/b/*`,
			},
		},
		// A denial that may or may not hold where nothing is allowed changes nothing.
		{"a/* guest get", "guest", `{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/a/*"},
			{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::BUCKET/b/*", "Condition": {"Bool": {"aws:SecureTransport": false}}}`, nil},
	} {
		p := mustParse(t, c.rules, nil)
		d, err := iam.Parse([]byte(`{"Version": "2012-10-17", "Statement": [` + c.statements + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		got := verified(t, p, c.role, d, &access.VerifyOptions{Bucket: "BUCKET"})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s\n%s\n%s\nwant\n%s", c.rules, c.statements, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestVerifyUndecided(t *testing.T) {
	p := mustParse(t, "a/* guest read", nil)
	for statement, place := range map[string]string{
		`"Action": "s3:GetObject", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`:                          `Statement[0].Condition.IpAddress.aws:sourceip: the operator`,
		`"Action": "s3:GetObject", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}`:                             `Statement[0].Condition.Bool.aws:securetransport: the value`,
		`"Action": "s3:*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::1:role/x"}`:                                               `Statement[0].Principal`,
		`"Action": "s3:GetObject", "Resource": ["arn:aws:s3:::BUCKET/x", "arn:aws:s3:::BUCKET/*/${cognito-identity.amazonaws.com:sub}"]`: `Statement[0].Resource[1]: "arn:aws:s3:::BUCKET/*/${cognito-identity.amazonaws.com:sub}": a wildcard`,
		`"Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/${aws:username}"`:                                                    `Statement[0].Resource[0]`,
		`"Action": "s3:PutObjectAcl", "Resource": "arn:aws:s3:::BUCKET/${aws:username}"`:                                                 `Statement[0].Resource[0]`,
		`"Action": "s3:ListBucket", "Resource": "*", "Condition": {"StringEqualsIgnoreCase": {"s3:prefix": "a"}}`:                        `Statement[0].Condition.StringEqualsIgnoreCase.s3:prefix`,
		`"Action": "s3:GetObject", "Resource": "*", "Condition": {"StringLike": {"cognito-identity.amazonaws.com:sub": "us-*"}}`:         `Statement[0].Condition.StringLike.cognito-identity.amazonaws.com:sub`,
		`"Action": "s3:GetObject", "Resource": "*", "Condition": {"StringLike": {"aws:x": "${y}"}}`:                                      `Statement[0].Condition.StringLike.aws:x: a variable`,
		`"Action": "s3:GetBucketAcl", "Resource": "*", "Condition": {"StringLike": {"aws:x": "y"}}`:                                      `Statement[0].Condition.StringLike.aws:x`,
	} {
		d, err := iam.Parse([]byte(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", ` + statement + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = access.Verify(p, "guest", d, &access.VerifyOptions{Bucket: "BUCKET"}); !errors.Is(err, access.ErrUndecided) || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: %v, want %s", statement, err, place)
		}
	}
	// What is told of requests decides.
	d, err := iam.Parse([]byte(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/a/*"},
		{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::BUCKET", "Condition": {"StringLike": {"s3:prefix": "a/*"}}},
		{"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	opts := &access.VerifyOptions{Bucket: "arn:aws:s3:::BUCKET", Context: map[string][]string{"AWS:SecureTransport": {"true"}}}
	if got := verified(t, p, "guest", d, opts); got != nil {
		t.Errorf("over TLS: %q", got)
	}
	opts.Context = map[string][]string{"aws:securetransport": {"false"}}
	if got := verified(t, p, "guest", d, opts); len(got) != 2 || !strings.Contains(got[0], "Statement[2] of the policy denies it") {
		t.Errorf("without TLS: %q", got)
	}
}

func TestVerifyRefuses(t *testing.T) {
	p := mustParse(t, "a/* guest read\nu/{sub}/* owner get\nu/{username}/* group:x get", nil)
	d := new(iam.Document)
	opts := &access.VerifyOptions{Bucket: "BUCKET"}
	for _, err := range []error{
		second(access.Verify(p, "owner", d, opts)),
		second(access.Verify(p, "nobody", d, opts)),
		second(access.Verify(p, "guest", nil, opts)),
		second(access.Verify(p, "guest", d, nil)),
		second(access.Verify(p, "guest", d, &access.VerifyOptions{})),
		second(access.Verify(p, "guest", d, &access.VerifyOptions{Bucket: "a*"})),
		second(access.Verify(p, "guest", d, &access.VerifyOptions{Bucket: "a/b"})),
		second(access.Verify(p, "guest", d, &access.VerifyOptions{Bucket: "arn:aws:s3:eu-1:1:accesspoint/x"})),
	} {
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("error %v", err)
		}
	}
	for role, n := range map[string]int{"guest": 0, "authenticated": 1, "group:x": 2, "group:y": 1, "function:f": 0} {
		_, err := access.Verify(p, role, d, opts)
		e, _ := errors.AsType[*access.IAMError](err)
		if n == 0 && err != nil || n > 0 && (e == nil || len(e.Problems) != n || e.Problems[0].Reason != access.IAMToken) {
			t.Errorf("%s: %v, want %d rules that no policy meets", role, err, n)
		}
	}
	if v, err := access.Verify(nil, "guest", d, opts); err != nil || !v.Exact() {
		t.Errorf("no rules and no statements: %v, %v", v, err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestVerifyIAM compares random rules with the documents that are written of them.
func TestVerifyIAM(t *testing.T) {
	w := world{rand.New(rand.NewPCG(20, 21))}
	compared := 0
	for i := range 400 {
		opts := &access.Options{Groups: access.GroupMode(i % 2), AcceptOwnerWithoutToken: true}
		p, _ := w.policy(5, opts)
		roles, err := p.IAM(&access.IAMOptions{Bucket: "BUCKET"})
		if err != nil {
			continue
		}
		for _, r := range roles {
			d := &iam.Document{Version: iam.Version}
			for _, part := range append(r.Managed, r.Inline) {
				if part != nil {
					d.Statement = append(d.Statement, part.Statement...)
				}
			}
			v, err := access.Verify(p, r.Role, d, &access.VerifyOptions{Bucket: "BUCKET"})
			if unsupported := errors.Is(err, errors.ErrUnsupported); err != nil && !unsupported {
				t.Fatalf("rules\n%s\n%s: %v", p, r.Role, err)
			} else if unsupported {
				continue // a rule that changes nothing
			}
			compared++
			if !v.Exact() {
				t.Fatalf("rules\n%s\n%s: %v %q", p, r.Role, v.Differences, v.Excess)
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d documents were compared", compared)
	}
}
