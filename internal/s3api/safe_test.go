package s3api

import (
	"net/url"
	"strings"
	"testing"
)

// TestUploadsNeverRunAsPages stores content in every disguise, and asks for it in
// every way: what comes back is sandboxed, and only harmless types may show.
func TestUploadsNeverRunAsPages(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ contentType, disposition, want string }{
		{"image/png", "", ""},
		{"IMAGE/PNG; a=b", "inline", "inline"},
		{"video/mp4", "", ""},
		{"text/plain; charset=utf-8", "", ""},
		{"application/json", "", ""},
		{"application/pdf", "inline; filename=a.pdf", "inline; filename=a.pdf"},
		{"text/html", "", "attachment"},
		{"text/html", "inline", "attachment"},
		{"text/html", `inline; filename="a, b.html"`, `attachment; filename="a, b.html"`},
		{"text/html", `attachment; filename="a.html"`, `attachment; filename="a.html"`},
		{"text/html", `Attachment ; filename="broken"quote"`, `Attachment ; filename="broken"quote"`},
		{"text/html", `inline; filename="broken"quote"`, "attachment"},
		{"text/html", "attachment, inline", "attachment"},
		{"text/html", "attachmentx", "attachment"},
		{"TEXT/HTML ; charset=utf-8", "", "attachment"},
		{"text/html;charset=utf-8", "inline", "attachment"},
		{"text/plain, text/html", "", "attachment"},
		{`image/png; a="x,text/html"`, "", "attachment"},
		{"image/png;text/html", "", "attachment"},
		{"image/png;,text/html", "", "attachment"},
		{"image/svg+xml", "", "attachment"},
		{"image/svg+xml;charset=utf-8", "inline", "attachment"},
		{"image/SVG+XML", "", "attachment"},
		{"image/svg", "", "attachment"},
		{"image/png\ttext/html", "", "attachment"},
		{"application/xhtml+xml", "", "attachment"},
		{"text/xml", "", "attachment"},
		{"application/javascript", "", "attachment"},
		{"text/x-unknown", "", "attachment"},
		{"nonsense", "", "attachment"},
		{"/", "", "attachment"},
		{"*/*", "", "attachment"},
		{"video/svg+xml", "", "attachment"},
		{"audio/x+XML; a=b", "inline", "attachment"},
		{"", "", "attachment"},
		{"", "inline", "attachment"},
	} {
		check := func(r *response) {
			t.Helper()
			r.is(200).has("X-Content-Type-Options", "nosniff").has("Referrer-Policy", "no-referrer").has("Content-Disposition", c.want)
			csp := r.header.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "sandbox") == (c.contentType == "application/pdf") || strings.Contains(csp, "script-src") {
				t.Errorf("%q: policy %q", c.contentType, csp)
			}
		}
		headers := []string{"X-Amz-Meta-A: b"}
		if c.contentType != "" {
			headers = append(headers, "Content-Type: "+c.contentType)
		}
		if c.disposition != "" {
			headers = append(headers, "Content-Disposition: "+c.disposition)
		}
		w.do("alice", "PUT", "/media/public/x", "<script>alert(1)</script>", headers...).is(200)
		check(w.do("guest", "GET", "/media/public/x?X-Amz-Signature=x", ""))
		check(w.do("guest", "HEAD", "/media/public/x?X-Amz-Signature=x", ""))
		// A program that signs headers is told what was stored.
		w.do("guest", "HEAD", "/media/public/x", "").is(200).has("Content-Disposition", c.disposition).has("X-Content-Type-Options", "nosniff")
		if c.contentType == "" {
			continue
		}
		w.do("alice", "PUT", "/media/public/x", "<script>alert(1)</script>", "Content-Type: image/png", "Content-Disposition: inline").is(200)
		q := "?X-Amz-Signature=x&response-content-type=" + url.QueryEscape(c.contentType)
		if c.disposition != "" || c.want != "" {
			q += "&response-content-disposition=" + url.QueryEscape(c.disposition)
		}
		if c.disposition != "" {
			check(w.do("guest", "GET", "/media/public/x"+q, ""))
		}
		if c.want == "attachment" && c.disposition == "" {
			check(w.do("guest", "GET", "/media/public/x"+q, ""))
		}
	}
}

func TestErrorsNeverRunAsPages(t *testing.T) {
	w := newWorld(t)
	r := w.do("alice", "GET", "/media/public/%3Cscript%3Ealert(1)%3C/script%3E", "").is(404).has("X-Content-Type-Options", "nosniff")
	if strings.Contains(r.body, "<script") || !strings.Contains(r.header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("got %v %s", r.header, r.body)
	}
}
