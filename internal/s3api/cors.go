package s3api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which web pages may use the server from a browser. Credentials that
// a browser adds by itself are never allowed; requests are signed instead. The
// zero value allows no page.
type CORS struct {
	// Origins are such as "https://app.example.org". One "*" in it stands for
	// any text, and "*" alone for every page.
	Origins []string
	// Expose are headers that pages may read, besides those they need.
	Expose []string
	// MaxAge is how long a browser may remember the answer; 0 means 3000 s.
	MaxAge time.Duration
}

// cors is CORS, prepared.
type cors struct {
	any     bool
	origins []string
	expose  string
	maxAge  string
}

const (
	corsMethods = "GET, HEAD, PUT, POST, DELETE"
	corsExpose  = "ETag, Date, Content-Range, Accept-Ranges, Content-Disposition, Content-Encoding, Location, " +
		"x-amz-version-id, x-amz-delete-marker, x-amz-request-id, x-amz-id-2, x-amz-server-side-encryption, x-amz-bucket-region, x-amz-tagging-count, x-amz-mp-parts-count, " +
		"x-amz-checksum-crc32, x-amz-checksum-crc32c, x-amz-checksum-crc64nvme, x-amz-checksum-sha1, x-amz-checksum-sha256, x-amz-checksum-type"
)

func newCORS(o *CORS) *cors {
	if o == nil {
		o = &CORS{Origins: []string{"*"}}
	}
	age := or(o.MaxAge, 3000*time.Second)
	return &cors{
		any:     slices.Contains(o.Origins, "*"),
		origins: o.Origins,
		expose:  strings.Join(append([]string{corsExpose}, o.Expose...), ", "),
		maxAge:  strconv.Itoa(int(age.Seconds())),
	}
}

// allows reports whether pages of origin may use the server.
func (c *cors) allows(origin string) bool {
	if c.any {
		return true
	}
	return origin != "" && slices.ContainsFunc(c.origins, func(o string) bool { return wildcard(o, origin) })
}

// allow writes the headers that let a page read the response.
func (c *cors) allow(h http.Header, r *http.Request) {
	if !c.any {
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	if !c.allows(origin) {
		return
	}
	if c.any {
		origin = "*"
	}
	v := []string{origin, c.expose}
	h["Access-Control-Allow-Origin"], h["Access-Control-Expose-Headers"] = v[:1:1], v[1:]
}

// exposeMore adds names to the headers that a page may read.
func exposeMore(h http.Header, names []string) {
	if e := h.Get("Access-Control-Expose-Headers"); e != "" && len(names) > 0 {
		h.Set("Access-Control-Expose-Headers", e+", "+strings.Join(names, ", "))
	}
}

// preflight answers the question of a browser whether a page may send a request.
// It asks nobody who it is, and touches no bucket.
func (c *cors) preflight(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	origin, _, names, err := preflightOf(r)
	if err != nil {
		return err
	}
	if !c.allows(origin) {
		return newError("AccessForbidden", "")
	}
	h.Del("Access-Control-Expose-Headers")
	h.Set("Access-Control-Allow-Methods", corsMethods)
	set(h, "Access-Control-Allow-Headers", strings.Join(names, ", "))
	h.Set("Access-Control-Max-Age", c.maxAge)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// preflightOf returns the origin of a page, the method that it wants to use, and the
// headers that it wants to send, in lower case.
func preflightOf(r *http.Request) (origin, method string, names []string, err error) {
	origin, method = r.Header.Get("Origin"), r.Header.Get("Access-Control-Request-Method")
	switch {
	case origin == "":
		return "", "", nil, newError("BadRequest", "Insufficient information. Origin request header needed.")
	case !slices.Contains(strings.Split(corsMethods, ", "), method):
		return "", "", nil, newError("BadRequest", "Invalid Access-Control-Request-Method: "+method)
	}
	names, err = headerNames(r.Header["Access-Control-Request-Headers"])
	return origin, method, names, err
}
