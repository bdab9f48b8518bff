package s3api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"time"
)

// naive says what a policy lets through in the plainest way there is: it reads
// the JSON as a whole, and believes nothing that it does not understand.
func naive(policy string, fields map[string]string, now time.Time) bool {
	var p struct {
		Expiration string `json:"expiration"`
		Conditions []any  `json:"conditions"`
	}
	if json.Unmarshal([]byte(policy), &p) != nil {
		return false
	}
	if end, err := time.Parse(time.RFC3339, p.Expiration); err != nil || !end.After(now) {
		return false
	}
	covered := map[string]bool{"policy": true, "x-amz-signature": true}
	holds := func(op, name string, want any) bool {
		name = strings.ToLower(name)
		covered[name] = true
		got, there := fields[name]
		value, ok := want.(string)
		if op == "eq" {
			return there && ok && got == value
		}
		all := there && ok && op == "starts-with" && strings.HasPrefix(got, value)
		if name == "content-type" {
			for _, one := range strings.Split(got, ",")[1:] {
				all = all && strings.HasPrefix(strings.TrimSpace(one), value)
			}
		}
		return all
	}
	for _, c := range p.Conditions {
		switch c := c.(type) {
		case map[string]any:
			for name, value := range c {
				if !holds("eq", name, value) {
					return false
				}
			}
		case []any:
			if len(c) != 3 {
				return false
			}
			op, _ := c[0].(string)
			field, _ := c[1].(string)
			if op != "content-length-range" && !holds(op, strings.TrimPrefix(field, "$"), c[2]) {
				return false
			}
		default:
			return false
		}
	}
	for name := range fields {
		if !covered[name] && !strings.HasPrefix(name, "x-ignore-") {
			return false
		}
	}
	return true
}

// FuzzPolicy holds that a form which is let through is one that the naive reading
// of its policy lets through, too.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{
		`[{"key":"a"},["starts-with","$content-type","image/"],["content-length-range",1,"5"]]`, `[["eq","$key","a"],["starts-with","$Content-Type",""]]`,
		`[["starts-with","$key",""],{"content-type":"image/png"}]`, `[{"key":"a","KEY":"b"}]`, `[{"key":"a","key":"b"}]`, `[["EQ","$key","a"]]`, `[["eq","key","a"]]`,
		`[["eq","$key","a",1]]`, `[["content-length-range",-1,5]]`, `[["content-length-range",1e3,5]]`, `[null]`, `[[]]`, `[{}]`, `{}`, `[ {"key" : "a"} , ["starts-with" , "$content-type" , "x"] ]`,
	} {
		f.Add(s, "a", "image/png", "")
		f.Add(s, "b", "image/png, text/html", "x")
	}
	f.Fuzz(func(t *testing.T, conditions, key, contentType, extra string) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		policy := `{"expiration":"2027-01-01T00:00:00.000Z","conditions":` + conditions + `}`
		p, err := parsePolicy(base64.StdEncoding.EncodeToString([]byte(policy)))
		if err != nil {
			if e := asError(err, "PostObject"); e.Code != "InvalidPolicyDocument" {
				t.Errorf("%s: %v", policy, err)
			}
			return
		}
		fields := map[string]string{"key": key, "content-type": contentType, "policy": "x", "x-ignore-a": "b"}
		if extra != "" {
			fields["x-amz-meta-a"] = extra
		}
		if p.least < 0 || p.most < 0 {
			t.Errorf("%s: from %d to %d", policy, p.least, p.most)
		}
		if p.check(fields, now) == nil && !naive(policy, fields, now) {
			t.Errorf("%s lets %v through", policy, fields)
		}
		if p.check(fields, now.AddDate(2, 0, 0)) == nil {
			t.Errorf("%s never ends", policy)
		}
	})
}

// FuzzForm holds that a form that is read is within its limits, that it reads as
// mime/multipart reads it, and that no file is taken whose form goes on or breaks off.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\ncontent\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\ncontent\r\n--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=file; filename=\"..\\\\x\"\r\n\r\n\r\n--b--",
		"--b\nContent-Disposition: form-data; name=\"file\"\n\ncontent\n--b--\n", "--b--", "", "--b\r\n\r\n--b--",
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''%2e%2e%2fx\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--b--\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := readForm(bytes.NewReader(text), "b")
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Status != 400 {
				t.Errorf("%v", err)
			}
			return
		}
		size := 0
		for name, v := range got.fields {
			if name == "file" || name != strings.ToLower(name) {
				t.Errorf("a field %q", name)
			}
			size += len(name) + len(v)
		}
		if size > maxForm || len(got.fields) > maxFields || strings.ContainsAny(got.filename, `/\`) {
			t.Errorf("%d bytes, %d fields, file %q", size, len(got.fields), got.filename)
		}
		content, err := io.ReadAll(&formFile{f: got, most: 1 << 20})
		if err != nil {
			return
		}
		m := multipart.NewReader(bytes.NewReader(text), "b")
		for n := 0; ; n++ {
			p, err := m.NextRawPart()
			if err != nil {
				t.Fatalf("the form ends after %d fields: %v", n, err)
			}
			value, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ToLower(p.FormName())
			if name != "file" {
				if got.fields[name] != string(value) {
					t.Errorf("%s is %q, not %q", name, got.fields[name], value)
				}
				continue
			}
			if string(value) != string(content) || n != len(got.fields) {
				t.Errorf("the file is %q, not %q, after %d fields", content, value, n)
			}
			if _, err := m.NextRawPart(); err != io.EOF {
				t.Errorf("after the file: %v", err)
			}
			return
		}
	})
}
