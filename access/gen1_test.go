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

// gen1 returns a cli-inputs.json.
func gen1(auth, guest, groups string) []byte {
	return fmt.Appendf(nil, `{"resourceName":"files","bucketName":"files1","policyUUID":"u1","storageAccess":"authAndGuest",
		"authAccess":[%s],"guestAccess":[%s],"groupAccess":{%s},"triggerFunction":"resize"}`, auth, guest, groups)
}

// TestGen1Policies reads the policies as they stand in the contract.
func TestGen1Policies(t *testing.T) {
	g, err := access.ParseGen1(gen1(`"CREATE_AND_UPDATE","READ","DELETE"`, `"READ","CREATE_AND_UPDATE"`, `"z":["READ"],"a":["CREATE_AND_UPDATE","DELETE"],"none":[]`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range g.Policies(bucketARN) {
		for _, s := range p.Document.Statement {
			line := fmt.Sprintf("%s %s %s: %s %s", p.ID, p.Name, p.Role, strings.ReplaceAll(strings.Join(s.Action, ","), "s3:", ""), strings.ReplaceAll(s.Resource[0], bucketARN, "B"))
			if s.Condition != nil {
				line += " " + strings.Join(s.Condition["StringLike"]["s3:prefix"], ",")
			}
			got = append(got, strings.ReplaceAll(line, identityVar, "SUB"))
		}
	}
	want := []string{
		"S3AuthPublicPolicy Public_policy_u1 authenticated: PutObject,GetObject,DeleteObject B/public/*",
		"S3AuthProtectedPolicy Protected_policy_u1 authenticated: PutObject,GetObject,DeleteObject B/protected/SUB/*",
		"S3AuthPrivatePolicy Private_policy_u1 authenticated: PutObject,GetObject,DeleteObject B/private/SUB/*",
		"S3AuthUploadPolicy Uploads_policy_u1 authenticated: PutObject B/uploads/*",
		"S3AuthReadPolicy read_policy_u1 authenticated: GetObject B/protected/*",
		"S3AuthReadPolicy read_policy_u1 authenticated: ListBucket B public/,public/*,protected/,protected/*,private/SUB/,private/SUB/*",
		"S3GuestPublicPolicy Public_policy_u1 guest: GetObject,PutObject B/public/*",
		"S3GuestUploadPolicy Uploads_policy_u1 guest: PutObject B/uploads/*",
		"S3GuestReadPolicy read_policy_u1 guest: GetObject B/protected/*",
		"S3GuestReadPolicy read_policy_u1 guest: ListBucket B public/,public/*,protected/,protected/*",
		"zGroupPolicy z-group-s3-policy group:z: GetObject,ListBucket B/*",
		"zGroupPolicy z-group-s3-policy group:z: ListBucket B",
		"aGroupPolicy a-group-s3-policy group:a: PutObject,DeleteObject B/*",
		"S3TriggerBucketPolicy amplify-lambda-execution-policy-storage function:resize: ListBucket B",
		"S3TriggerBucketPolicy amplify-lambda-execution-policy-storage function:resize: PutObject,GetObject,ListBucket,DeleteObject B/*",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestGen1Rules compares the rules with the policies, for all combinations of
// access. Where a role has the whole bucket, they agree inside of the levels.
func TestGen1Rules(t *testing.T) {
	var combinations []string
	for set := range 8 {
		var names []string
		for i, a := range []string{`"CREATE_AND_UPDATE"`, `"READ"`, `"DELETE"`} {
			if set&(1<<i) != 0 {
				names = append(names, a)
			}
		}
		combinations = append(combinations, strings.Join(names, ","))
	}
	keys := []string{"", "x", "public", "protected", "protected/x", "uploads", "other/k"}
	for _, prefix := range []string{"public/", "protected/", "private/", "uploads/"} {
		for _, id := range []string{"", me + "/", you + "/", "x/"} {
			keys = append(keys, prefix+id, prefix+id+"k", prefix+id+"x/y")
		}
	}
	asked, outside := 0, 0
	for i, auth := range combinations {
		for j, guest := range combinations {
			group := combinations[(i+j)%len(combinations)]
			g, err := access.ParseGen1(gen1(auth, guest, `"staff":[`+group+`]`))
			if err != nil {
				t.Fatal(err)
			}
			rules, warnings := g.Rules()
			p, _, err := access.Compile(rules, &access.Options{Groups: access.Replace, Lists: access.Prefix})
			if err != nil {
				t.Fatal(err)
			}
			warned := map[string]bool{}
			for _, w := range warnings {
				warned[w.Who] = w.Reason == access.WarnWholeBucket
			}
			if warned["group:staff"] != (group != "") || !warned["function:resize"] {
				t.Errorf("warnings %v", warnings)
			}
			docs := map[string][]*iam.Document{}
			for _, policy := range g.Policies(bucketARN) {
				docs[policy.Role] = append(docs[policy.Role], policy.Document)
			}
			for role, s := range map[string]access.Subject{
				"guest":           {Identity: me},
				"authenticated":   {Identity: me, Authenticated: true},
				"group:staff":     {Identity: me, Authenticated: true, Groups: []string{"staff"}},
				"function:resize": {Function: "resize"},
			} {
				for _, key := range keys {
					for a := access.Get; a <= access.Delete; a <<= 1 {
						asked++
						got, want := p.Decide(&s, a, key).Allowed, allows(docs[role], s.Identity, a, key)
						level, _, ok := strings.Cut(key, "/")
						if warned[role] && (!ok || level == "other") {
							if want {
								outside++
							}
							want = false
						}
						if got != want {
							t.Fatalf("auth %s, guest %s, group %s: %s %s %q: %v, want %v", auth, guest, group, role, a, key, got, want)
						}
					}
				}
			}
		}
	}
	if asked < 50000 || outside == 0 {
		t.Errorf("%d requests, %d of them outside of the levels", asked, outside)
	}
}

// FuzzParseGen1 reads any text. What is read has policies that are read back, and
// rules for which there is a policy if the names can be names.
func FuzzParseGen1(f *testing.F) {
	f.Add(gen1(`"READ"`, `"READ","READ"`, `"a":["DELETE"],"a":["READ"]`))
	f.Add([]byte(`{"policyUUID":"x","authAccess":[],"guestAccess":[],"adminTriggerFunction":{"triggerFunction":"f"}}`))
	f.Add([]byte(`{"policyUUID":"x","authAccess":["WRITE"],"guestAccess":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		g, err := access.ParseGen1(text)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		for _, p := range g.Policies(bucketARN) {
			text, err := json.Marshal(p.Document)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := iam.Parse(text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		rules, _ := g.Rules()
		if _, _, err := access.Compile(rules, nil); err != nil {
			for _, p := range err.(*access.Error).Problems {
				if p.Reason != access.BadWho && p.Reason != access.BadDuplicate {
					t.Error(p)
				}
			}
		}
	})
}
