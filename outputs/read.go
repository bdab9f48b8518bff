package outputs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxSize is the most that Read reads.
const maxSize = 4 << 20

// Read reads a file. Keys that this package does not know are left out, as
// Amplify's own clients do. The error is an [*Error], or that of r.
func Read(r io.Reader) (*Outputs, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSize {
		return nil, &Error{"", fmt.Errorf("over %d bytes: %w", maxSize, fs.ErrInvalid)}
	}
	var root any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		return nil, &Error{"", fmt.Errorf("not JSON: %w", err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{"", fmt.Errorf("more text after the JSON object: %w", fs.ErrInvalid)}
	}
	c := new(checker)
	o := c.outputs(node{"", root})
	if c.err != nil {
		return nil, c.err
	}
	return o, nil
}

// node is a value and where it was found.
type node struct {
	path  string
	value any
}

// checker takes values out of nodes. It keeps the first error.
type checker struct{ err error }

func (c *checker) fail(n node, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{n.path, fmt.Errorf(format+": %w", append(args, fs.ErrInvalid)...)}
	}
}

// field returns a field of an object. It is false if there is none.
func (c *checker) field(n node, name string) (node, bool) {
	path := name
	if n.path != "" {
		path = n.path + "." + name
	}
	v, ok := c.object(n)[name]
	return node{path, v}, ok && v != nil
}

func (c *checker) object(n node) map[string]any {
	m, ok := n.value.(map[string]any)
	if !ok {
		c.fail(n, "must be an object")
	}
	return m
}

// list returns the elements of a list. One that is not there has none.
func (c *checker) list(n node, name string) []node {
	f, ok := c.field(n, name)
	if !ok {
		return nil
	}
	l, ok := f.value.([]any)
	if !ok {
		c.fail(f, "must be a list")
	}
	nodes := make([]node, len(l))
	for i, v := range l {
		nodes[i] = node{f.path + "[" + strconv.Itoa(i) + "]", v}
	}
	return nodes
}

func (c *checker) text(n node) string {
	s, ok := n.value.(string)
	if !ok {
		c.fail(n, "must be a text")
	}
	return s
}

// optional returns a text that may be missing.
func (c *checker) optional(n node, name string) string {
	f, ok := c.field(n, name)
	if !ok {
		return ""
	}
	return c.text(f)
}

// required returns a text that may be neither missing nor empty.
func (c *checker) required(n node, name string) string {
	f, ok := c.field(n, name)
	switch {
	case !ok:
		c.fail(f, "is missing")
		return ""
	case f.value == "":
		c.fail(f, "is empty")
	}
	return c.text(f)
}

func (c *checker) flag(n node, name string, missing bool) bool {
	f, ok := c.field(n, name)
	if !ok {
		return missing
	}
	b, ok := f.value.(bool)
	if !ok {
		c.fail(f, "must be true or false")
	}
	return b
}

// endpoint returns a URL that may be missing.
func (c *checker) endpoint(n node, name string) string {
	s := c.optional(n, name)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		f, _ := c.field(n, name)
		c.fail(f, "must be an http or https URL")
	}
	return s
}

func (c *checker) outputs(n node) *Outputs {
	o := &Outputs{Version: c.required(n, "version")}
	if c.err == nil && !slices.Contains([]string{"1", "1.1", "1.2", "1.3", "1.4", "1.5"}, o.Version) {
		f, _ := c.field(n, "version")
		c.fail(f, "is %q, only 1 to 1.5 can be read", o.Version)
	}
	if a, ok := c.field(n, "auth"); ok {
		o.Auth = c.auth(a)
	}
	if s, ok := c.field(n, "storage"); ok {
		o.Storage = c.storage(s)
	}
	if u, ok := c.field(n, "custom"); ok {
		if y, ok := c.field(u, "cubby"); ok {
			o.Custom = &Custom{&Cubby{
				S3Endpoint:           c.endpoint(y, "s3_endpoint"),
				IdentityPoolEndpoint: c.endpoint(y, "identity_pool_endpoint"),
				UserPoolEndpoint:     c.endpoint(y, "user_pool_endpoint"),
				PathStyle:            c.flag(y, "path_style", false),
			}}
		}
	}
	return o
}

func (c *checker) auth(n node) *Auth {
	a := &Auth{
		Region:           c.required(n, "aws_region"),
		UserPoolID:       c.optional(n, "user_pool_id"),
		UserPoolClientID: c.optional(n, "user_pool_client_id"),
		IdentityPoolID:   c.optional(n, "identity_pool_id"),
		Guests:           c.flag(n, "unauthenticated_identities_enabled", true),
	}
	if f, ok := c.field(n, "user_pool_id"); ok && !strings.Contains(a.UserPoolID, "_") {
		c.fail(f, "must be REGION_NAME")
	}
	if f, ok := c.field(n, "identity_pool_id"); ok && !strings.Contains(a.IdentityPoolID, ":") {
		c.fail(f, "must be REGION:ID")
	}
	for _, g := range c.list(n, "groups") {
		for _, name := range slices.Sorted(maps.Keys(c.object(g))) {
			group := Group{Name: name}
			f, _ := c.field(g, name)
			if p, ok := c.field(f, "precedence"); ok {
				number, _ := p.value.(json.Number)
				var err error
				if group.Precedence, err = strconv.Atoi(number.String()); err != nil {
					c.fail(p, "must be a whole number")
				}
			}
			a.Groups = append(a.Groups, group)
		}
	}
	return a
}

func (c *checker) storage(n node) *Storage {
	s := &Storage{Region: c.required(n, "aws_region"), Bucket: c.required(n, "bucket_name")}
	names := map[string]bool{}
	for _, e := range c.list(n, "buckets") {
		b := Bucket{Name: c.required(e, "name"), BucketName: c.required(e, "bucket_name"), Region: c.required(e, "aws_region")}
		if names[b.Name] {
			f, _ := c.field(e, "name")
			c.fail(f, "is %q, as that of another bucket", b.Name)
		}
		names[b.Name] = true
		if p, ok := c.field(e, "paths"); ok {
			b.Paths = c.paths(p)
		}
		s.Buckets = append(s.Buckets, b)
	}
	return s
}

func (c *checker) paths(n node) map[string]map[string][]string {
	paths := map[string]map[string][]string{}
	for path := range c.object(n) {
		rules := node{n.path + "[" + strconv.Quote(path) + "]", c.object(n)[path]}
		paths[path] = map[string][]string{}
		for who := range c.object(rules) {
			actions := []string{}
			for _, a := range c.list(rules, who) {
				actions = append(actions, c.text(a))
				if !slices.Contains([]string{"read", "get", "list", "write", "delete"}, actions[len(actions)-1]) {
					c.fail(a, "is no action: read, get, list, write or delete")
				}
			}
			paths[path][who] = actions
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return paths
}
