package access_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

// TestVerifyExcess adds statements to a policy that is exact. Whatever they allow,
// it is not exact any more, unless a denial takes it all away.
func TestVerifyExcess(t *testing.T) {
	p := mustParse(t, "a/* guest get", nil)
	const exact = `{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/a/*"}`
	for _, c := range []struct {
		more string
		want []string
	}{
		{`{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}`, []string{`Statement[1] also allows all but s3:* on *`}},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}`, []string{`Statement[1] also allows iam:* on *`}},
		{`{"Effect": "Allow", "Action": ["iam:PassRole", "sts:AssumeRole"], "Resource": "*"}`, []string{`Statement[1] also allows iam:PassRole, sts:AssumeRole on *`}},
		{`{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::other/*"}`, []string{`Statement[1] also allows s3:* on arn:aws:s3:::other/*`}},
		{`{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}`, []string{`Statement[1] also allows s3:ListAllMyBuckets on *`}},
		{`{"Effect": "Allow", "Action": ["s3:GetObject", "s3:TagResource", "s3:CreateAccessPoint"], "Resource": ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/a/*"]}`, []string{
			`Statement[1] also allows s3:TagResource, s3:CreateAccessPoint on arn:aws:s3:::BUCKET, arn:aws:s3:::BUCKET/a/*`,
		}},
		{`{"Effect": "Allow", "Action": ["s3:GetObject", "s3:?etFoo"], "Resource": ["arn:aws:s3:::BUCKET/a/*", "arn:aws:s3:::BUCKET2/*", "arn:aws:s3:::b1", "arn:aws:s3:::b2", "arn:aws:s3:::b3"]}`, []string{
			`Statement[1] also allows s3:GetObject, s3:?etFoo on arn:aws:s3:::BUCKET2/*, arn:aws:s3:::b1, arn:aws:s3:::b2 and 1 more`,
			`Statement[1] also allows s3:?etFoo on arn:aws:s3:::BUCKET/a/*`,
		}},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}`, []string{`Statement[1] also allows iam:* on *`}},
		// A list that names the objects as well is harmless, and so is what never holds.
		{`{"Effect": "Allow", "Action": "S3:LISTBUCKET", "Resource": "arn:aws:s3:::BUCKET/*"}`, nil},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}`, nil},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::111122223333:role/other"}}`, nil},
		{`{"Effect": "Allow", "Action": "s3:GetObjectTagging", "Resource": "arn:aws:s3:::BUCKET/a/*"}`, nil},
		// Denials.
		{`{"Effect": "Allow", "Action": ["iam:PassRole", "sts:*"], "Resource": "*"}, {"Effect": "Deny", "Action": ["iam:*", "sts:*"], "Resource": "*"}`, nil},
		{`{"Effect": "Allow", "Action": ["iam:PassRole", "sts:*"], "Resource": "*"}, {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}`, nil},
		{`{"Effect": "Allow", "Action": ["iam:PassRole", "sts:*"], "Resource": "*"}, {"Effect": "Deny", "Action": ["iam:*"], "Resource": "*"}`, []string{`Statement[1] also allows sts:* on *`}},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}, {"Effect": "Deny", "Action": "iam:Pass*", "Resource": "*"}`, []string{`Statement[1] also allows iam:* on *`}},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}, {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:iam::*:role/*"}`, []string{`Statement[1] also allows iam:* on *`}},
		{`{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::other/*"}, {"Effect": "Deny", "Action": "s3:*", "NotResource": ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"]}`, nil},
		{`{"Effect": "Allow", "Action": "s3:TagResource", "Resource": "*"}, {"Effect": "Deny", "Action": "*", "NotResource": ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"]}`, []string{`Statement[1] also allows s3:TagResource on *`}},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}, {"Effect": "Deny", "Action": "iam:*", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}}`, []string{`Statement[1] also allows iam:* on *`}},
		{`{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}, {"Effect": "Deny", "Action": "iam:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}`, nil},
		{`{"Effect": "Allow", "NotAction": ["s3:*"], "Resource": "*"}, {"Effect": "Deny", "NotAction": ["s3:GetObject"], "Resource": "*"}`, []string{`Statement[1] also allows all but s3:* on *`}},
	} {
		d, err := iam.Parse([]byte(`{"Version": "2012-10-17", "Statement": [` + exact + `,` + c.more + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		opts := &access.VerifyOptions{
			Bucket: "BUCKET", Principal: "arn:aws:iam::111122223333:role/guest",
			Context: map[string][]string{"aws:SecureTransport": {"true"}},
		}
		if got := verified(t, p, "guest", d, opts); !slices.Equal(got, c.want) {
			t.Errorf("%s\n%s\nwant\n%s", c.more, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestVerifyLimits compares rules with limits, which no policy has.
func TestVerifyLimits(t *testing.T) {
	d, err := iam.Parse([]byte(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::BUCKET/a/*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []string{"maxSize=5MB", "contentTypes=image/png", "maxObjects=3", "quota=1GB"} {
		for rules, refused := range map[string]bool{
			"a/* guest write " + limit:                                     true,
			"a/* guest write\na/* group:g write " + limit:                  false, // of another role
			"a/* guest write\na/b/* guest write " + limit:                  true,
			"own/{entity_id}/* owner write " + limit + "\na/* guest write": false,
		} {
			p := mustParse(t, rules, nil)
			_, err := access.Verify(p, "guest", d, &access.VerifyOptions{Bucket: "BUCKET"})
			if !refused {
				if err != nil {
					t.Errorf("%s: %v", rules, err)
				}
				continue
			}
			_, want := p.IAM(&access.IAMOptions{Bucket: "BUCKET"})
			e, _ := errors.AsType[*access.IAMError](err)
			w, _ := errors.AsType[*access.IAMError](want)
			if e == nil || w == nil || len(e.Problems) != 1 || e.Problems[0].Reason != access.IAMLimits || e.Problems[0].Pos != w.Problems[0].Pos {
				t.Errorf("%s: %v, but written: %v", rules, err, want)
			}
		}
	}
	// A rule without limits beside it lets the same be written.
	p := mustParse(t, "a/* authenticated write\na/* group:g write maxSize=1MB", nil)
	if got := verified(t, p, "group:g", d, &access.VerifyOptions{Bucket: "BUCKET"}); got != nil {
		t.Errorf("without limits besides: %q", got)
	}
}

// TestVerifyVersions compares rules about versions with the documents that are
// written of them.
func TestVerifyVersions(t *testing.T) {
	p := mustParse(t, `
a/* authenticated get,delete
a/* group:g versions
a/x/* group:g get
b/* group:g delete,versions
b/x/* group:g delete
b/y/* group:g versions
c/* group:g versions
own/{entity_id}/* owner get,delete,versions
c/* guest versions`, nil)
	roles, err := p.IAM(&access.IAMOptions{Bucket: "BUCKET"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		if got := verified(t, p, r.Role, r.Inline, &access.VerifyOptions{Bucket: "BUCKET"}); got != nil {
			t.Errorf("%s: %s", r.Role, strings.Join(got, "\n"))
		}
	}
}

// ownPaths returns n paths below one token, and the policy of their owners.
func ownPaths(tb testing.TB, n int) (*access.Policy, *iam.Document) {
	tb.Helper()
	rules := make([]access.Rule, n)
	var objects, prefixes iam.Strings
	for i := range n {
		rules[i] = access.Rule{Path: fmt.Sprintf("own/{entity_id}/p%05d/*", i), Who: "owner", Actions: access.Get | access.List}
		path := strings.Replace(rules[i].Path, "{entity_id}", identityVar, 1)
		objects, prefixes = append(objects, bucketARN+"/"+path), append(prefixes, path)
	}
	p, _, err := access.Compile(rules, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return p, &iam.Document{Version: iam.Version, Statement: []iam.Statement{
		{Effect: iam.Allow, Action: iam.Strings{"s3:GetObject"}, Resource: objects},
		{Effect: iam.Allow, Action: iam.Strings{"s3:ListBucket"}, Resource: iam.Strings{bucketARN}, Condition: iam.Condition{"StringLike": {"s3:prefix": prefixes}}},
	}}
}

// TestVerifyManyOwnPaths would take a minute if each path were compared with all.
func TestVerifyManyOwnPaths(t *testing.T) {
	p, d := ownPaths(t, 5000)
	start := time.Now()
	v, err := access.Verify(p, "authenticated", d, &access.VerifyOptions{Bucket: "BUCKET"})
	if err != nil || !v.Exact() || v.Cases < 10000 {
		t.Fatal(v, err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func BenchmarkVerifyOwnPaths(b *testing.B) {
	p, d := ownPaths(b, 10000)
	for b.Loop() {
		if v, err := access.Verify(p, "authenticated", d, &access.VerifyOptions{Bucket: "BUCKET"}); err != nil || !v.Exact() {
			b.Fatal(v, err)
		}
	}
}
