package s3api

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of the CORS rules of a bucket.
const (
	maxCORSBody  = 64 << 10
	maxCORSRules = 100
	maxCORSID    = 255
)

// corsRules are the CORS rules of one bucket. They take the place of those that the
// server has for all.
type corsRules struct {
	XMLName xml.Name   `xml:"CORSConfiguration"`
	Rules   []corsRule `xml:"CORSRule"`
}

type corsRule struct {
	ID      string   `xml:"ID"`
	Origins []string `xml:"AllowedOrigin"`
	Methods []string `xml:"AllowedMethod"`
	Headers []string `xml:"AllowedHeader"`
	Expose  []string `xml:"ExposeHeader"`
	MaxAge  *int32   `xml:"MaxAgeSeconds"`
}

// parseCORS reads the rules of a bucket.
func parseCORS(text []byte) (*corsRules, error) {
	rules := new(corsRules)
	if err := readXML(text, rules); err != nil {
		return nil, err
	}
	if len(rules.Rules) == 0 || len(rules.Rules) > maxCORSRules {
		return nil, malformed("There may be 1 to " + itoa(maxCORSRules) + " rules.")
	}
	for i := range rules.Rules {
		if err := rules.Rules[i].check(); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func (r *corsRule) check() error {
	switch {
	case len(r.Origins) == 0 || len(r.Methods) == 0:
		return malformed("A rule needs an AllowedOrigin and an AllowedMethod.")
	case utf8.RuneCountInString(r.ID) > maxCORSID:
		return newError("InvalidArgument", "The ID of a rule is too long.")
	}
	for _, o := range r.Origins {
		if o == "" || strings.ContainsFunc(o, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return newError("InvalidRequest", "An AllowedOrigin is not one that a browser could send.")
		}
		if strings.Count(o, "*") > 1 {
			return newError("InvalidRequest", `AllowedOrigin "`+o+`" can not have more than one wildcard.`)
		}
	}
	for _, m := range r.Methods {
		if !slices.Contains(strings.Split(corsMethods, ", "), m) {
			return newError("InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is "+m)
		}
	}
	for _, name := range r.Headers {
		switch {
		case strings.Count(name, "*") > 1:
			return newError("InvalidRequest", `AllowedHeader "`+name+`" can not have more than one wildcard.`)
		case name != "*" && !isToken(name):
			return newError("InvalidRequest", `AllowedHeader "`+name+`" contains invalid character.`)
		}
	}
	for _, name := range r.Expose {
		switch {
		case strings.Contains(name, "*"):
			return newError("InvalidRequest", `ExposeHeader "`+name+`" contains wildcard.`)
		case !isToken(name):
			return newError("InvalidRequest", `ExposeHeader "`+name+`" contains invalid character.`)
		}
	}
	return nil
}

// document returns the rules as parseCORS reads them.
func (c *corsRules) document() []byte {
	x := newXML()
	x.root("CORSConfiguration")
	for i := range c.Rules {
		r := &c.Rules[i]
		x.open("CORSRule")
		x.some("ID", r.ID)
		for _, list := range []struct {
			name   string
			values []string
		}{{"AllowedOrigin", r.Origins}, {"AllowedMethod", r.Methods}, {"AllowedHeader", r.Headers}, {"ExposeHeader", r.Expose}} {
			for _, v := range list.values {
				x.elem(list.name, v)
			}
		}
		if r.MaxAge != nil {
			x.int("MaxAgeSeconds", int64(*r.MaxAge))
		}
		x.close("CORSRule")
	}
	x.close("CORSConfiguration")
	return x.b
}

// find returns the first rule for a request, and the origin in it that fits. names are
// the headers that a page wants to send. If there is no such rule it is nil.
func (c *corsRules) find(origin, method string, names []string) (*corsRule, string) {
	for i := range c.Rules {
		r := &c.Rules[i]
		if !slices.Contains(r.Methods, method) || slices.ContainsFunc(names, func(name string) bool { return !r.takes(name) }) {
			continue
		}
		for _, o := range r.Origins {
			if wildcard(o, origin) {
				return r, o
			}
		}
	}
	return nil, ""
}

// takes reports whether a page may send the header called name, in lower case.
func (r *corsRule) takes(name string) bool {
	return slices.ContainsFunc(r.Headers, func(h string) bool { return wildcard(strings.ToLower(h), name) })
}

// wildcard reports whether s is pattern, in which one * stands for any text.
func wildcard(pattern, s string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// allow writes the headers that let a page read the response.
func (c *corsRules) allow(h http.Header, r *http.Request) {
	h.Add("Vary", corsVary)
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	if rule, by := c.find(origin, r.Method, nil); rule != nil {
		rule.describe(h, origin, by)
	}
}

// corsVary are the headers of a request that the answer may depend on.
const corsVary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

// describe writes what the rule lets pages of origin do, which fits by. Where not
// all pages are meant, S3 allows credentials, too.
func (r *corsRule) describe(h http.Header, origin, by string) {
	if by == "*" {
		origin = "*"
	} else {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", strings.Join(r.Methods, ", "))
	set(h, "Access-Control-Expose-Headers", strings.Join(r.Expose, ", "))
	if r.MaxAge != nil {
		h.Set("Access-Control-Max-Age", itoa(int64(*r.MaxAge)))
	}
}

// preflight answers the question of a browser whether a page may send a request. It
// asks nobody who it is.
func (c *corsRules) preflight(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Add("Vary", corsVary)
	origin, method, names, err := preflightOf(r)
	if err != nil {
		return err
	}
	rule, by := c.find(origin, method, names)
	if rule == nil {
		return newError("AccessForbidden", "")
	}
	rule.describe(h, origin, by)
	set(h, "Access-Control-Allow-Headers", strings.Join(names, ", "))
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// headerNames returns the names in lists of headers, in lower case.
func headerNames(lists []string) ([]string, error) {
	var names []string
	for _, list := range lists {
		for sent := range strings.SplitSeq(list, ",") {
			name := strings.ToLower(strings.Trim(sent, " \t"))
			if name == "" {
				continue
			}
			if !isToken(name) {
				return nil, newError("BadRequest", `Access-Control-Request-Headers "`+sent+`" contains invalid character.`)
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// parsedCORS is the rules of a bucket, and the document that they were read from.
type parsedCORS struct {
	text  string
	rules *corsRules
}

// corsOf returns the rules of a bucket, nil if it has none of its own.
func (s *server) corsOf(bucket string) *corsRules {
	if s.opts.Documents == nil || bucket == "" {
		return nil
	}
	text := s.opts.Documents.Document(bucket, corsDocument)
	if text == "" {
		return nil
	}
	if p, ok := s.shared.Load(bucket); ok && p.(*parsedCORS).text == text {
		return p.(*parsedCORS).rules
	}
	rules, err := parseCORS([]byte(text))
	if err != nil {
		rules = new(corsRules) // which lets nobody in
	}
	s.shared.Store(bucket, &parsedCORS{text, rules})
	return rules
}
