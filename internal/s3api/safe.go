package s3api

import (
	"mime"
	"net/http"
	"strings"
)

// Objects are what users uploaded, and they are served from the server's own
// origin. Nothing in them may run there as a page: not as HTML or SVG, and not
// as anything that a browser might take for it.

// protect writes the headers that every response has.
func (c *call) protect() {
	c.put("X-Content-Type-Options", "nosniff")
	c.put("Content-Security-Policy", sandbox)
	c.put("Referrer-Policy", "no-referrer")
}

const (
	sandbox = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
	// noSandbox is for what browsers show with a viewer that a sandbox switches off.
	noSandbox = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'"
)

// inline are the types that may show in a browser, besides all audio and video.
var inline = map[string]bool{
	"application/json": true, "application/pdf": true, "text/plain": true,
	"image/apng": true, "image/avif": true, "image/bmp": true, "image/gif": true, "image/heic": true, "image/heif": true, "image/jpeg": true,
	"image/jxl": true, "image/png": true, "image/tiff": true, "image/vnd.microsoft.icon": true, "image/webp": true, "image/x-icon": true,
}

// protectObject completes the headers of an object, whose Content-Type and
// Content-Disposition are set: a type that is not known to be harmless is for
// download only, whatever the disposition says.
func protectObject(h http.Header) {
	t := mediaType(h.Get("Content-Type"))
	if t == "application/pdf" {
		h.Set("Content-Security-Policy", noSandbox)
	}
	media := strings.HasPrefix(t, "audio/") || strings.HasPrefix(t, "video/")
	// A browser takes every type that ends in +xml for XML, which may be a page.
	if inline[t] || media && !strings.HasSuffix(t, "+xml") {
		return
	}
	disposition := h.Get("Content-Disposition")
	first, rest, _ := strings.Cut(disposition, ";")
	if strings.EqualFold(strings.TrimSpace(first), "attachment") {
		return
	}
	h.Set("Content-Disposition", "attachment")
	if _, _, err := mime.ParseMediaType(disposition); err == nil && rest != "" {
		h.Set("Content-Disposition", "attachment;"+rest) // keeps the file name
	}
}

// mediaType returns the type in the value of a header in lower case, without its
// parameters. It is "" if there is more than one way to read the value: browsers
// take the last of several types, and forgive what Go does not.
func mediaType(value string) string {
	if strings.Contains(value, ",") {
		return ""
	}
	t, _, err := mime.ParseMediaType(value)
	if err != nil {
		return ""
	}
	return t
}
