package s3api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
)

// metaPrefix starts the names of headers that are user metadata.
const metaPrefix = "x-amz-meta-"

// attributes reads what a write says about the object besides its content.
func (c *call) attributes() (store.Attributes, error) {
	a := store.Attributes{
		ContentType:        c.described("content-type"),
		CacheControl:       c.described("cache-control"),
		ContentDisposition: c.described("content-disposition"),
		ContentEncoding:    sigv4.ContentEncoding(c.r.Header["Content-Encoding"]),
		ContentLanguage:    c.value("content-language"),
		Expires:            c.value("expires"),
	}
	for name := range c.r.Header {
		if isAmz(name) {
			c.userMeta(&a, name)
		}
	}
	for name := range c.amz {
		c.userMeta(&a, name)
	}
	for _, v := range []string{a.ContentType, a.CacheControl, a.ContentDisposition, a.ContentEncoding, a.ContentLanguage, a.Expires} {
		if !printable(v) {
			return a, newError("InvalidArgument", "A header holds a control character.")
		}
	}
	size := 0
	for k, v := range a.User {
		if !isToken(k) { // from the query
			return a, newError("InvalidArgument", "This cannot be the name of user metadata: "+k)
		}
		if !printable(v) {
			return a, newError("InvalidArgument", "User metadata holds a control character.")
		}
		size += len(k) + len(v)
	}
	if size > store.MaxUserMeta {
		return a, newError("MetadataTooLarge", "")
	}
	return a, nil
}

// userMeta adds the header called name to a if it is user metadata.
func (c *call) userMeta(a *store.Attributes, name string) {
	lower := strings.ToLower(name)
	k, ok := strings.CutPrefix(lower, metaPrefix)
	if !ok || k == "" {
		return
	}
	if a.User == nil {
		a.User = make(map[string]string)
	}
	a.User[k] = c.value(lower)
}

// described returns a header that describes the content. A presigned URL may
// hold it as a parameter, because whoever signs it does not send the request.
// Browsers add a Cache-Control of their own to some requests, so that one counts
// only if it was signed.
func (c *call) described(name string) string {
	v, req := c.value(name), c.caller.Request
	if req == nil {
		return v
	}
	if name == "cache-control" && !req.Form && !req.Signed(name) {
		v = ""
	}
	if v == "" && req.Presigned {
		v = c.query.Get(name)
	}
	return v
}

// printable reports whether s can be the value of a header.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// overrides are the parameters that replace a header of an object.
var overrides = []struct{ param, header string }{
	{"response-cache-control", "Cache-Control"},
	{"response-content-disposition", "Content-Disposition"},
	{"response-content-encoding", "Content-Encoding"},
	{"response-content-language", "Content-Language"},
	{"response-content-type", "Content-Type"},
	{"response-expires", "Expires"},
}

// checkOverrides reports whether the caller may replace headers as they ask to.
func (c *call) checkOverrides() error {
	if len(c.query) == 0 {
		return nil
	}
	for _, o := range overrides {
		v := c.query.Get(o.param)
		if v != "" && c.caller.Request == nil {
			return newError("InvalidRequest", "Headers of the response can only be replaced in a signed request.")
		}
		if !printable(v) {
			return newError("InvalidArgument", o.param+" holds a control character.")
		}
	}
	return nil
}

// describe writes the headers of the object, but for Content-Length. whole says
// that the response holds all of it.
func (c *call) describe(info *store.Info, whole bool) {
	h := c.h
	c.validators(info)
	c.put("Accept-Ranges", "bytes")
	c.put("Content-Type", or(info.ContentType, "binary/octet-stream"))
	c.some("Cache-Control", info.CacheControl)
	c.some("Content-Disposition", info.ContentDisposition)
	c.some("Content-Encoding", info.ContentEncoding)
	c.some("Content-Language", info.ContentLanguage)
	c.some("Expires", info.Expires)
	c.some("X-Amz-Version-Id", info.Version)
	setSSE(h, &info.SSE)
	if info.TagCount > 0 {
		c.put("X-Amz-Tagging-Count", itoa(info.TagCount))
	}
	if len(info.User) > 0 {
		var names []string
		for k, v := range info.User {
			// Some clients take the name as it is sent, so it is sent as it was given.
			h[metaPrefix+k] = []string{v}
			names = append(names, metaPrefix+k)
		}
		slices.Sort(names)
		if c.cors == nil {
			exposeMore(h, names)
		}
	}
	if whole && strings.EqualFold(c.value("x-amz-checksum-mode"), "enabled") {
		setChecksums(h, &info.Checksums)
	}
	if len(c.query) > 0 {
		for _, o := range overrides {
			set(h, o.header, c.query.Get(o.param))
		}
	}
	// A browser shows as a page only what it gets without a signature in the
	// headers. Who signs those is a program, which reads back what was stored.
	if req := c.caller.Request; req == nil || req.Presigned {
		protectObject(h)
	}
}

// validators writes the headers that say which state of the object it is.
func (c *call) validators(info *store.Info) {
	// Both in one piece of memory.
	var b [128]byte
	tag := append(append(append(b[:0], '"'), info.ETag...), '"')
	both := string(appendHTTPTime(tag, info.ModTime))
	c.put("Etag", both[:len(tag)])
	c.put("Last-Modified", both[len(tag):])
}

// appendHTTPTime appends t as headers have it. It is what AppendFormat does with
// http.TimeFormat, in a quarter of the time.
func appendHTTPTime(b []byte, t time.Time) []byte {
	const days, months = "SunMonTueWedThuFriSat", "JanFebMarAprMayJunJulAugSepOctNovDec"
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, http.TimeFormat)
	}
	hour, minute, second := t.Clock()
	w, m := 3*int(t.Weekday()), 3*int(month-1)
	b = append(append(b, days[w:w+3]...), ',', ' ')
	b = append(appendTwo(b, day), ' ')
	b = append(append(b, months[m:m+3]...), ' ')
	b = append(appendTwo(appendTwo(b, year/100), year%100), ' ')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	return append(appendTwo(b, second), " GMT"...)
}

// appendTwo appends n, which is below 100, as two digits.
func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

func set(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

func quote(etag string) string { return `"` + etag + `"` }
