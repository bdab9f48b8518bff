package sigv4

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestWithForm(t *testing.T) {
	policy := "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
	good := PolicyForm{
		Policy:     policy,
		Algorithm:  algorithm,
		Credential: testID + "/20151229/us-east-1/s3/aws4_request",
		Date:       "20151229T000000Z",
		Signature:  "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
	}
	day := time.Date(2015, 12, 29, 0, 0, 0, 0, time.UTC)
	post := func(f *PolicyForm) *http.Request {
		return WithForm(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/bucket", strings.NewReader("content")), f)
	}
	req, err := verifier(day.Add(6 * 24 * time.Hour)).Verify(post(&good))
	if err != nil {
		t.Fatal(err)
	}
	if req.AccessKeyID != testID || req.Region != "us-east-1" || !req.Form || req.Body != http.NoBody || req.Signed("host") {
		t.Errorf("got %+v", req)
	}
	for _, test := range []struct {
		edit func(f *PolicyForm)
		now  time.Time
		code string
	}{
		{func(f *PolicyForm) {}, day.Add(7*24*time.Hour + 1), AccessDenied},
		{func(f *PolicyForm) {}, day.Add(-time.Hour), AccessDenied},
		{func(f *PolicyForm) { *f = PolicyForm{} }, day, AccessDenied},
		{func(f *PolicyForm) { f.Policy = "" }, day, InvalidArgument},
		{func(f *PolicyForm) { f.Policy += "A" }, day, SignatureDoesNotMatch},
		{func(f *PolicyForm) { f.Signature = "" }, day, InvalidArgument},
		{func(f *PolicyForm) { f.Signature = "0" + f.Signature[1:] }, day, SignatureDoesNotMatch},
		{func(f *PolicyForm) { f.Algorithm = "" }, day, InvalidArgument},
		{func(f *PolicyForm) { f.Credential = "x" }, day, InvalidArgument},
		{func(f *PolicyForm) { f.Credential = strings.Replace(f.Credential, "s3", "ec2", 1) }, day, InvalidArgument},
		{func(f *PolicyForm) { f.Credential = "x" + f.Credential }, day, InvalidAccessKeyID},
		{func(f *PolicyForm) { f.Date = "" }, day, InvalidArgument},
		{func(f *PolicyForm) { f.Date = "20151228T000000Z" }, day, InvalidArgument},
	} {
		f := good
		test.edit(&f)
		_, err := verifier(test.now).Verify(post(&f))
		refused(t, err, test.code)
	}
	// A form does not take the place of another signature, nor stand beside one.
	for _, edit := range []func(r *http.Request){
		func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") },
		func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=x" },
		func(r *http.Request) { r.URL.RawQuery = "Signature=x" },
	} {
		r := post(&good)
		edit(r)
		_, err := verifier(day).Verify(r)
		refused(t, err, InvalidArgument)
	}
}
