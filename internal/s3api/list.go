package s3api

import (
	"context"
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/store"
)

// listQuery is what all lists of keys have in common.
type listQuery struct {
	prefix, delimiter string
	limit             int
	url               bool // encode keys
}

// listQuery reads it; limit is the name of the parameter with the most entries.
func (c *call) listQuery(limit string) (*listQuery, error) {
	q := &listQuery{prefix: c.query.Get("prefix"), delimiter: c.query.Get("delimiter")}
	switch c.query.Get("encoding-type") {
	case "":
	case "url":
		q.url = true
	default:
		return nil, newError("InvalidArgument", "encoding-type must be url.")
	}
	n, err := c.number(limit, store.MaxPage, 0, 1<<31-1)
	q.limit = min(n, store.MaxPage)
	return q, err
}

// maxEmptyPages is how many pages without an entry are read in search of one.
const maxEmptyPages = 16

// listPage reads a page of objects. A store may return none though there are
// more; a few of those are passed over here.
func listPage(ctx context.Context, b store.Bucket, q *listQuery, after string) (*store.Page, error) {
	opts := &store.ListOptions{Prefix: q.prefix, Delimiter: q.delimiter, After: after, Limit: max(q.limit, 1)}
	for n := 0; ; n++ {
		page, err := b.List(ctx, opts)
		switch {
		case err != nil:
			return nil, err
		case q.limit == 0:
			return new(store.Page), nil // nothing was asked for, but the gate was
		case len(page.Objects)+len(page.Prefixes) > 0, !page.More, page.Next <= opts.After, n == maxEmptyPages:
			return page, nil
		}
		opts.After = page.Next
	}
}

// startList begins the document of a list, with what both versions echo.
func (c *call) startList(q *listQuery, page *store.Page) *xmlWriter {
	x := newXML()
	x.url = q.url
	x.root("ListBucketResult")
	x.elem("Name", c.target.bucket)
	x.key("Prefix", q.prefix)
	if q.delimiter != "" {
		x.key("Delimiter", q.delimiter)
	}
	x.int("MaxKeys", int64(q.limit))
	if q.url {
		x.elem("EncodingType", "url")
	}
	x.bool("IsTruncated", page.More)
	return x
}

// entrySize is about what an object takes in a list.
const entrySize = 256

// endList writes the entries of the page and ends the document. owner is who they
// belong to, or "" not to say so.
func endList(x *xmlWriter, page *store.Page, owner string) {
	x.grow(len(page.Objects)*entrySize + len(page.Prefixes)*entrySize/2)
	for i := range page.Objects {
		info := &page.Objects[i]
		// In few pieces, since a page has a thousand of these.
		x.b = append(x.b, "<Contents><Key>"...)
		x.keyText(info.Key)
		x.b = append(x.b, "</Key><LastModified>"...)
		x.b = appendTime(x.b, info.ModTime)
		x.b = append(x.b, "</LastModified><ETag>&quot;"...)
		x.text(info.ETag)
		x.b = append(x.b, "&quot;</ETag>"...)
		if a := info.Checksums.Any(); a != "" {
			x.elem("ChecksumAlgorithm", string(a))
			x.elem("ChecksumType", string(or(info.Checksums.Type, store.FullObject)))
		}
		x.b = append(x.b, "<Size>"...)
		x.b = strconv.AppendInt(x.b, info.Size, 10)
		x.b = append(x.b, "</Size><StorageClass>STANDARD</StorageClass>"...)
		if owner != "" {
			x.owner("Owner", owner)
		}
		x.b = append(x.b, "</Contents>"...)
	}
	x.prefixes(page.Prefixes)
	x.close("ListBucketResult")
}

// prefixes writes the prefixes that keys were rolled up to.
func (x *xmlWriter) prefixes(list []string) {
	for _, p := range list {
		x.open("CommonPrefixes")
		x.key("Prefix", p)
		x.close("CommonPrefixes")
	}
}

// tokenVersion is the first byte of every continuation token.
const tokenVersion = 1

// token returns the continuation token of a list that goes on after key, which
// the caller has seen.
func token(key string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{tokenVersion}, key...))
}

// parseToken returns the key in a continuation token.
func parseToken(s string) (string, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) == 0 || b[0] != tokenVersion || len(b) > 1+store.MaxKey || !utf8.Valid(b[1:]) {
		return "", newError("InvalidArgument", "The continuation token is not valid.")
	}
	return string(b[1:]), nil
}
