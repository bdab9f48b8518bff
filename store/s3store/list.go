package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
)

// List returns a page of the keys. Of a list with ranges the service is asked
// once for each range that keys are looked for in, at most.
func (b *Bucket) List(ctx context.Context, opts *store.ListOptions) (*store.Page, error) {
	page, err := b.list(ctx, opts)
	return page, b.fail("list", "", err)
}

func (b *Bucket) list(ctx context.Context, opts *store.ListOptions) (*store.Page, error) {
	if opts == nil {
		opts = new(store.ListOptions)
	}
	limit, err := store.PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	l := &lister{b: b, opts: opts, ranges: opts.Ranges, limit: limit, page: new(store.Page), exact: opts.Ranges != nil}
	if l.ranges == nil {
		l.ranges = []store.KeyRange{{}}
	}
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	return l.page, nil
}

// lister makes a page of a list.
type lister struct {
	b      *Bucket
	opts   *store.ListOptions
	ranges []store.KeyRange // those that may hold keys still to come
	limit  int
	page   *store.Page
	exact  bool // whether there is more shows only by finding it
}

// entry is an object or, without info, a rolled-up prefix.
type entry struct {
	key  string
	info *store.Info
}

func (l *lister) run(ctx context.Context) error {
	after := l.opts.After // all up to it is dealt with
	if p := rolled(after, l.opts.Prefix, l.opts.Delimiter); p != "" {
		if p != after {
			if err := l.takeRest(ctx, p); err != nil {
				return err
			}
		}
		after = beyond(p)
	}
	token := ""
	for {
		if !l.advance(after) {
			return nil
		}
		start := after
		if s := before(l.ranges[0].Start); s > after {
			start, token = s, ""
		}
		want := l.limit - l.size()
		if l.exact {
			want++
		}
		entries, next, err := l.request(ctx, start, token, min(want, store.MaxPage))
		if err != nil {
			return err
		}
		for i, e := range entries {
			full, err := l.take(ctx, e)
			if err != nil {
				return err
			}
			after = max(after, e.key)
			if e.info == nil {
				after = max(after, beyond(e.key))
			}
			if full {
				return nil
			}
			if !l.exact && l.size() == l.limit {
				l.page.More = i < len(entries)-1 || next != ""
				return nil
			}
		}
		if next == "" {
			return nil
		}
		if next == token {
			return errors.New("service gives the same page of the list again")
		}
		token = next
	}
}

func (l *lister) size() int { return len(l.page.Objects) + len(l.page.Prefixes) }

// advance drops the ranges that end up to after. It is false if no key of the
// list can come then.
func (l *lister) advance(after string) bool {
	for len(l.ranges) > 0 {
		r := l.ranges[0]
		if r.End != "" && r.End <= max(after+"\x00", l.opts.Prefix) {
			l.ranges = l.ranges[1:]
			continue
		}
		return r.Start <= l.opts.Prefix || strings.HasPrefix(r.Start, l.opts.Prefix)
	}
	return false
}

// takeRest adds the prefix p to the page if there are keys with it after the one
// that the list starts after. Services differ in whether they list it then.
func (l *lister) takeRest(ctx context.Context, p string) error {
	page, err := l.b.list(ctx, &store.ListOptions{Prefix: p, After: l.opts.After, Ranges: l.opts.Ranges, Limit: 1})
	if err != nil || len(page.Objects) == 0 {
		return err
	}
	l.page.Prefixes, l.page.Next, l.exact = []string{p}, p, true
	return nil
}

// take adds e to the page if it belongs there. It is true if the page was full:
// there is more then.
func (l *lister) take(ctx context.Context, e entry) (full bool, err error) {
	if e.key <= l.opts.After || e.key <= l.page.Next || !strings.HasPrefix(e.key, l.opts.Prefix) {
		return false, nil
	}
	in := false
	if e.info != nil {
		for _, r := range l.ranges {
			in = in || r.Contains(e.key)
		}
	} else {
		in, err = visible(e.key, l.ranges, func(some []store.KeyRange) (bool, error) {
			page, err := l.b.list(ctx, &store.ListOptions{Prefix: e.key, Ranges: some, Limit: 1})
			return err == nil && len(page.Objects) > 0, err
		})
		if err != nil {
			return false, err
		}
	}
	if !in {
		return false, nil
	}
	if l.size() == l.limit {
		l.page.More = true
		return true, nil
	}
	l.page.Next = e.key
	if e.info != nil {
		l.page.Objects = append(l.page.Objects, *e.info)
	} else {
		l.page.Prefixes = append(l.page.Prefixes, e.key)
	}
	return false, nil
}

// visible reports whether a key with the prefix lies in a range. Where ranges
// cover only some of the keys there may be, it asks for those.
func visible(prefix string, ranges []store.KeyRange, ask func([]store.KeyRange) (bool, error)) (bool, error) {
	end, bounded := store.PrefixEnd(prefix)
	var some []store.KeyRange
	for _, r := range ranges {
		if bounded && r.Start >= end || r.End != "" && r.End <= prefix {
			continue
		}
		if r.Start <= prefix && (r.End == "" || bounded && r.End >= end) {
			return true, nil
		}
		some = append(some, r)
	}
	if some == nil {
		return false, nil
	}
	return ask(some)
}

// request asks for the entries after start, or those that the token is for.
func (l *lister) request(ctx context.Context, start, token string, limit int) (entries []entry, next string, err error) {
	in := &s3.ListObjectsV2Input{
		Bucket: &l.b.name, Prefix: optional(l.opts.Prefix), Delimiter: optional(l.opts.Delimiter),
		MaxKeys: aws.Int32(int32(limit)), EncodingType: types.EncodingTypeUrl, ContinuationToken: optional(token),
	}
	if token == "" && start >= l.opts.Prefix {
		in.StartAfter = optional(start)
	}
	out, err := l.b.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, "", mapError(err, kindBucket)
	}
	d := decoder{encoded: out.EncodingType == types.EncodingTypeUrl}
	objects, prefixes := out.Contents, out.CommonPrefixes
	for len(objects) > 0 || len(prefixes) > 0 {
		var o, p string
		if len(objects) > 0 {
			o = d.decode(objects[0].Key)
		}
		if len(prefixes) > 0 {
			p = d.decode(prefixes[0].Prefix)
		}
		if len(prefixes) == 0 || len(objects) > 0 && o < p {
			entries = append(entries, entry{o, &store.Info{
				Key: o, Size: aws.ToInt64(objects[0].Size), ETag: unquote(objects[0].ETag), ModTime: aws.ToTime(objects[0].LastModified),
			}})
			objects = objects[1:]
		} else {
			entries = append(entries, entry{p, nil})
			prefixes = prefixes[1:]
		}
	}
	if aws.ToBool(out.IsTruncated) {
		next = aws.ToString(out.NextContinuationToken)
		if next == "" {
			return nil, "", errors.New("service cuts the list off without a token")
		}
	}
	return entries, next, d.err
}

// decoder decodes the keys of a list.
type decoder struct {
	encoded bool
	err     error
}

func (d *decoder) decode(s *string) string {
	if !d.encoded {
		return aws.ToString(s)
	}
	key, err := url.QueryUnescape(aws.ToString(s))
	if err != nil {
		d.err = fmt.Errorf("key in a list: %w", err)
	}
	return key
}

// rolled returns what key is rolled up to among those with the prefix, or "".
func rolled(key, prefix, delimiter string) string {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || delimiter == "" {
		return ""
	}
	i := strings.Index(rest, delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(prefix)+i+len(delimiter)]
}

// beyond returns a key that is greater than all others with the prefix, but for
// those that go on with the greatest character there is.
func beyond(prefix string) string { return prefix + string(utf8.MaxRune) }

// before returns valid UTF-8 that is less than start, such that hardly any key
// lies between: the service lists what comes after it.
func before(start string) string {
	s, ok := ceil(start)
	if !ok || s == "" {
		return ""
	}
	r, n := utf8.DecodeLastRuneInString(s)
	s = s[:len(s)-n]
	switch r {
	case 0:
		return s
	case 0xe000:
		r = 0xd800
	}
	return beyond(s + string(r-1))
}

// ceil returns the least valid UTF-8 that is not less than s. It is false if
// there is none.
func ceil(s string) (string, bool) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r != utf8.RuneError || n > 1 {
			i += n
			continue
		}
		c := sort.Search(utf8.MaxRune+1, func(c int) bool { return string(character(c)) >= s[i:] })
		if c <= utf8.MaxRune {
			return s[:i] + string(character(c)), true
		}
		e, ok := store.PrefixEnd(s[:i])
		if !ok {
			return "", false
		}
		return ceil(e)
	}
	return s, true
}

// character is c, or the next one after the surrogates.
func character(c int) rune {
	if c >= 0xd800 && c < 0xe000 {
		return 0xe000
	}
	return rune(c)
}
