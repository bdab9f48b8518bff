package s3api

import (
	"math"
	"strconv"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// number returns the query parameter called name, or def if it is not there.
func (c *call) number(name string, def, least, most int) (int, error) {
	v := c.query.Get(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	switch {
	case err != nil, n > most:
		return 0, badArgument(name, v, "Provided "+v+" not an integer or within integer range")
	case n < least:
		return 0, badArgument(name, v, "Argument "+v+" must be an integer between "+itoa(least)+" and "+itoa(most))
	}
	return n, nil
}

// partNumber returns the query parameter partNumber, or 0 if it is not there.
func (c *call) partNumber() (int, error) {
	if !c.query.Has("partNumber") {
		return 0, nil
	}
	v := c.query.Get("partNumber")
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > store.MaxParts {
		return 0, badArgument("partNumber", v, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	return n, nil
}

// uploadID returns the query parameter uploadId.
func (c *call) uploadID() (string, error) {
	id := c.query.Get("uploadId")
	if id == "" || len(id) > 1024 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", newError("NoSuchUpload", "")
	}
	return id, nil
}

// etags reads the value of If-Match or If-None-Match: a list of entity tags,
// which may be without quotation marks. A weak one is kept as it is. Text that
// holds none gives one that no object has.
func etags(s string) []string {
	if s == "" {
		return nil
	}
	var tags []string
	for s = strings.TrimLeft(s, " \t,"); s != ""; s = strings.TrimLeft(s, " \t,") {
		weak := strings.HasPrefix(s, `W/"`)
		if weak {
			s = s[2:]
		}
		var tag string
		if rest, ok := strings.CutPrefix(s, `"`); ok {
			tag, s, _ = strings.Cut(rest, `"`)
		} else {
			tag, s, _ = strings.Cut(s, ",")
			tag = strings.TrimRight(tag, " \t")
		}
		if weak {
			tag = "W/" + tag
		}
		tags = append(tags, tag)
	}
	if tags == nil {
		return []string{""}
	}
	return tags
}

// weakly returns tags as If-None-Match compares them: weak ones too.
func weakly(tags []string) []string {
	for i, t := range tags {
		tags[i] = strings.TrimPrefix(t, "W/")
	}
	return tags
}

// conditions returns those of a read.
func (c *call) conditions() store.Conditions {
	return store.Conditions{
		IfMatch:           etags(c.value("if-match")),
		IfNoneMatch:       weakly(etags(c.value("if-none-match"))),
		IfModifiedSince:   c.time("if-modified-since"),
		IfUnmodifiedSince: c.time("if-unmodified-since"),
	}
}

// parseRange reads the value of the header Range. It is nil, which is the whole
// object, for what is not one range of bytes; S3 ignores that too.
func parseRange(s string) *store.Range {
	const unit = "bytes="
	if len(s) < len(unit) || !strings.EqualFold(s[:len(unit)], unit) {
		return nil
	}
	a, b, ok := strings.Cut(s[len(unit):], "-")
	if !ok {
		return nil
	}
	first, okA := offset(a)
	last, okB := offset(b)
	switch {
	case a == "" && okB && last == 0:
		return &store.Range{} // no byte at all: never satisfiable
	case a == "" && okB:
		return &store.Range{Offset: -last, Length: -1}
	case okA && b == "":
		return &store.Range{Offset: first, Length: -1}
	case !okA || !okB || first > last:
		return nil
	case last == math.MaxInt64:
		return &store.Range{Offset: first, Length: -1}
	}
	return &store.Range{Offset: first, Length: last - first + 1}
}

// offset reads digits. A number that is too large stands for the largest one.
func offset(s string) (int64, bool) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}
