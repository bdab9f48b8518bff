package s3api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// postObject stores the file of a form. Who signed its policy is the caller; the
// policy says which form may be sent in their name, and the gate what they may do.
func postObject(c *call) error {
	f := c.form
	p, err := c.checkForm()
	if err != nil {
		return err
	}
	answer, err := f.answer()
	if err != nil {
		return err
	}
	tags, err := f.tags()
	if err != nil {
		return err
	}
	// From here on the fields are what the headers of PutObject are.
	h, err := f.header()
	if err != nil {
		return err
	}
	if acl, ok := f.fields["acl"]; ok {
		if err := c.checkACL(acl); err != nil {
			return err
		}
	}
	c.r = c.r.WithContext(c.ctx)
	c.r.Header = h
	a, err := c.attributes()
	if err != nil {
		return err
	}
	file := &formFile{f: f, least: p.least, most: min(p.most, c.s.opts.MaxBody)}
	t := &content{r: file}
	if err := c.digests(t); err != nil {
		return err
	}
	sse, err := c.sse()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	info, err := b.Put(c.ctx, c.target.key, t.r, &store.PutOptions{Attributes: a, Tags: tags, MD5: t.md5, Checksums: t.sums, Algorithm: t.algorithm, SSE: sse})
	if err != nil {
		if cause := file.failed.Load(); cause != nil {
			return *cause
		}
		return err
	}
	return c.posted(info, answer)
}

// checkForm holds the form against its policy, and finds the key in it.
func (c *call) checkForm() (*postPolicy, error) {
	f := c.form
	for name := range c.r.Header {
		lower := strings.ToLower(name)
		if isAmz(name) && lower != "x-amz-user-agent" && lower != "x-amz-expected-bucket-owner" {
			return nil, newError("InvalidArgument", "What a form asks for must be in its fields, not in a header: "+lower)
		}
	}
	if len(c.amz) > 0 {
		return nil, newError("InvalidArgument", "What a form asks for must be in its fields, not in the query.")
	}
	if err := f.expand(); err != nil {
		return nil, err
	}
	if name, ok := f.fields["bucket"]; ok && name != c.target.bucket {
		return nil, newError("InvalidArgument", "The form is for another bucket.")
	}
	f.fields["bucket"] = c.target.bucket
	p, err := parsePolicy(f.fields["policy"])
	if err != nil {
		return nil, err
	}
	if err := p.check(f.fields, time.Now()); err != nil {
		return nil, err
	}
	key := f.fields["key"]
	if key == "" {
		return nil, newError("InvalidArgument", "The form needs a field named key.")
	}
	c.target.key = key
	return p, checkKey(key)
}

// header returns the headers that the fields stand for. A field that asks for
// what is not implemented is an error; one that means nothing is none.
func (f *form) header() (http.Header, error) {
	h := make(http.Header)
	for name, v := range f.fields {
		meta, isMeta := strings.CutPrefix(name, metaPrefix)
		switch {
		case slices.Contains(controlFields, name):
			continue
		case isMeta && !isToken(meta):
			return nil, newError("InvalidArgument", "This cannot be the name of user metadata: "+meta)
		case isMeta, slices.Contains(headerFields, name), slices.Contains(contentHeaders, name), slices.Contains(sseHeaders, name), name == "x-amz-storage-class" && v == "STANDARD":
		case isChecksumValue(name):
			return nil, unknownChecksum(name)
		case isAmz(name), strings.HasPrefix(name, "if-"), name == "redirect":
			return nil, newError("NotImplemented", "This field, or this value of it, is not implemented: "+name)
		default:
			continue
		}
		h[http.CanonicalHeaderKey(name)] = []string{v}
	}
	return h, nil
}

// isToken reports whether s can be part of the name of a header.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) })
}

// tags returns the tags that the form gives the object.
func (f *form) tags() (map[string]string, error) {
	text, ok := f.fields["tagging"]
	if !ok {
		return nil, nil
	}
	var list tagging
	if err := readXML([]byte(text), &list); err != nil {
		return nil, err
	}
	return list.tags()
}

// postAnswer is how the sender of a form is told that it was stored.
type postAnswer struct {
	status   int
	redirect *url.URL // nil if there is none
}

// answer reads the fields that say it.
func (f *form) answer() (*postAnswer, error) {
	if to := f.fields["success_action_redirect"]; to != "" {
		u, err := url.Parse(to)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, newError("InvalidArgument", "success_action_redirect is not an http or https URL.")
		}
		return &postAnswer{http.StatusSeeOther, u}, nil
	}
	switch f.fields["success_action_status"] {
	case "", "204":
		return &postAnswer{status: http.StatusNoContent}, nil
	case "200":
		return &postAnswer{status: http.StatusOK}, nil
	case "201":
		return &postAnswer{status: http.StatusCreated}, nil
	}
	return nil, newError("InvalidArgument", "success_action_status must be 200, 201 or 204.")
}

// posted tells the sender that the object is stored.
func (c *call) posted(info *store.Info, a *postAnswer) error {
	h := c.w.Header()
	h.Set("ETag", quote(info.ETag))
	c.tellVersion(info)
	setSSE(h, &info.SSE)
	setChecksums(h, &info.Checksums)
	if u := a.redirect; u != nil {
		q := url.Values{"bucket": {c.target.bucket}, "key": {c.target.key}, "etag": {quote(info.ETag)}}
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+q.Encode(), "&")
		h.Set("Location", u.String())
		c.header(a.status)
		return nil
	}
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	location := scheme + c.r.Host + strings.TrimSuffix(c.r.URL.EscapedPath(), "/") + "/" + string(appendURL(nil, c.target.key))
	h.Set("Location", location)
	if a.status != http.StatusCreated {
		c.header(a.status)
		return nil
	}
	x := newXML()
	x.root("PostResponse")
	x.elem("Location", location)
	x.elem("Bucket", c.target.bucket)
	x.elem("Key", c.target.key)
	x.etag(info.ETag)
	x.close("PostResponse")
	return c.xml(a.status, x)
}
