package s3api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/store"
)

// target is what a request is about. The path of the request is read here and
// nowhere else.
type target struct {
	bucket, key string // both may be ""
}

// level says what kind of thing an operation is about.
type level uint8

const (
	serviceLevel level = iota
	bucketLevel
	objectLevel
)

func (t target) level() level {
	switch {
	case t.bucket == "":
		return serviceLevel
	case t.key == "":
		return bucketLevel
	}
	return objectLevel
}

// target finds the bucket and key of r. It splits the path before it decodes it:
// an encoded slash never ends the name of a bucket.
func (s *server) target(r *http.Request) (target, error) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/")
	if !ok && path != "" {
		return target{}, newError("InvalidURI", "")
	}
	t := target{bucket: bucketOfHost(r.Host, s.opts.Hosts)}
	if t.bucket == "" {
		name, rest, found := strings.Cut(path, "/")
		if name == "" && found {
			return target{}, newError("InvalidBucketName", "")
		}
		var err error
		if t.bucket, err = url.PathUnescape(name); err != nil {
			return target{}, newError("InvalidURI", "")
		}
		path = rest
	}
	var err error
	if t.key, err = url.PathUnescape(path); err != nil {
		return target{}, newError("InvalidURI", "")
	}
	return t, t.check()
}

// check reports whether t can exist at all.
func (t target) check() error {
	if t.bucket != "" && store.CheckBucketName(t.bucket) != nil {
		return newError("InvalidBucketName", "")
	}
	return checkKey(t.key)
}

// checkKey reports whether key can name an object. It lets "" pass.
func checkKey(key string) error {
	switch {
	case !utf8.ValidString(key):
		return newError("InvalidURI", "The key is not valid UTF-8.")
	case len(key) > store.MaxKey:
		return newError("KeyTooLongError", "")
	}
	return nil
}

// HostName returns host in lower case, without a port and a dot at its end.
func HostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// bucketOfHost returns the bucket that a request to host names by it, or "" if
// the path names it. The label "s3" parts a bucket from what follows; among
// hosts the longest one counts.
func bucketOfHost(host string, hosts []string) string {
	host = HostName(host)
	// A name is not parsed as an address: the error that comes of it costs much.
	if n := len(host); n > 0 && (strings.Contains(host, ":") || '0' <= host[n-1] && host[n-1] <= '9') {
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			return ""
		}
	}
	rest, longest := "", ""
	for _, h := range hosts {
		if host == h {
			return ""
		}
		if b, ok := strings.CutSuffix(host, "."+h); ok && len(h) > len(longest) {
			rest, longest = b, h
		}
	}
	if longest != "" {
		return beforeS3(rest)
	}
	if host == "s3" || strings.HasPrefix(host, "s3.") {
		return ""
	}
	if b, _, ok := strings.Cut(host, ".s3."); ok {
		return b
	}
	if b, ok := strings.CutSuffix(host, ".localhost"); ok {
		return beforeS3(b)
	}
	return ""
}

// beforeS3 cuts the label "s3" from the end of name.
func beforeS3(name string) string {
	if name == "s3" {
		return ""
	}
	return strings.TrimSuffix(name, ".s3")
}
