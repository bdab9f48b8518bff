package access_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/access"
)

// TestIAMRoles writes the documents of some roles, whatever others have.
func TestIAMRoles(t *testing.T) {
	p := mustParse(t, "public/* guest get\nusers/{sub}/* owner get\nstaff/* group:staff get function:f get", nil)
	if _, err := p.IAM(forBucket); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("all roles: %v", err)
	}
	opts := *forBucket
	opts.RoleARN = func(string) string { return "arn:aws:iam::123456789012:role/r" }
	for _, c := range []struct {
		roles []string
		want  string
		ok    bool
	}{
		{[]string{"guest"}, "guest", true},
		{[]string{"function:f", "guest", "guest"}, "guest function:f", true},
		{[]string{}, "", true},
		{[]string{"guest", "group:staff"}, "", false},
	} {
		opts.Roles = c.roles
		roles, err := p.IAM(&opts)
		if c.ok != (err == nil) || !c.ok && (!errors.Is(err, errors.ErrUnsupported) || strings.Contains(err.Error(), "authenticated,")) {
			t.Errorf("%q: %v", c.roles, err)
		}
		var names []string
		for _, r := range roles {
			names = append(names, r.Role)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%q: documents of %q", c.roles, got)
		}
		if d, err := p.BucketPolicy(&opts); c.ok != (err == nil) || c.ok && len(c.roles) == 0 && len(d.Statement) != 1 {
			t.Errorf("%q: a bucket policy %v, %v", c.roles, d, err)
		}
	}
	opts.Roles = []string{"guest", "group:stuff"}
	want := `no role is called "group:stuff", there are guest, authenticated, group:staff, function:f: invalid argument`
	if _, err := p.IAM(&opts); !errors.Is(err, fs.ErrInvalid) || err.Error() != want {
		t.Errorf("an unknown role: %v", err)
	}
}

// TestIAMNames has names of buckets and roles that are none.
func TestIAMNames(t *testing.T) {
	p := mustParse(t, "a/* guest get", nil)
	for bucket, ok := range map[string]bool{
		"my-files": true, "my.files.1": true, "Old_Bucket": true, "arn:aws:s3:::my-files": true, "arn:aws-us-gov:s3:::my-files": true,
		"ab": false, "-files": false, "my-files/a": false, "my-files/*": false, "my*": false, "my files": false, "arn:aws:s3:::my-files/*": false,
		"arn:aws:s3:::": false, "arn:aws:s3:::*": false, "arn:aws:iam:::my-files": false, "arn:*:s3:::my-files": false, "my:files": false,
		"arn:aws:s3:eu-west-1:123456789012:accesspoint/x": false, "my-files\n": false,
	} {
		opts := &access.IAMOptions{Bucket: bucket}
		if _, err := p.IAM(opts); ok != (err == nil) || !ok && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("bucket %q: %v", bucket, err)
		}
		if _, err := p.SessionPolicy(&access.Subject{}, opts); ok != (err == nil) {
			t.Errorf("bucket %q: %v", bucket, err)
		}
	}
	for arn, ok := range map[string]bool{
		"arn:aws:iam::123456789012:role/guest": true, "arn:aws-cn:iam::123456789012:role/app/main/guest": true, "": true,
		"guest": false, "arn:aws:iam::123456789012:role/*": false, "arn:aws:iam::123456789012:user/guest": false, "*": false,
		"arn:aws:iam::123:role/guest": false, "arn:aws:iam::123456789012:role/": false, "arn:aws:iam::123456789012:role/*/a": false,
	} {
		opts := *forBucket
		opts.RoleARN = func(string) string { return arn }
		if _, err := p.BucketPolicy(&opts); ok != (err == nil) || !ok && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("role %q: %v", arn, err)
		}
	}
}
