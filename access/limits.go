package access

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"mime"
	"slices"
	"strconv"
	"strings"
)

// Limits bound what a rule lets somebody write. Nil and the zero value bound
// nothing.
type Limits struct {
	MaxSize      int64    // bytes of an object; 0 is no limit
	ContentTypes []string // "image/png", or "image/*" for all of a kind; none is any
	MaxObjects   int64    // of one owner below the path; 0 is no limit
	Quota        int64    // bytes of one owner below the path; 0 is no limit
}

// limitNames are the names of the limits, in text and in settings.
var limitNames = [...]string{"maxSize", "contentTypes", "maxObjects", "quota"}

// ParseLimits returns the limits that the texts name, each once: maxSize=SIZE,
// contentTypes=TYPE,TYPE, maxObjects=N and quota=SIZE. A size is a number of bytes, or one
// with a unit of 1000 (kB, MB, GB, TB) or of 1024 (KiB, MiB, GiB, TiB). No text is nil.
func ParseLimits(texts []string) (*Limits, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	l := new(Limits)
	var seen []string
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		if slices.Contains(seen, name) {
			return nil, fmt.Errorf("%s is there twice: %w", clip(name), fs.ErrInvalid)
		}
		seen = append(seen, name)
		var err error
		switch name {
		case "maxSize":
			l.MaxSize, err = parseSize(value)
		case "contentTypes":
			l.ContentTypes = strings.Split(value, ",")
		case "maxObjects":
			if l.MaxObjects, err = strconv.ParseInt(value, 10, 64); err != nil {
				err = errors.New("want a whole number")
			}
		case "quota":
			l.Quota, err = parseSize(value)
		default:
			return nil, fmt.Errorf("unknown limit %q, want %s: %w", clip(name), strings.Join(limitNames[:], ", "), fs.ErrInvalid)
		}
		if err == nil && value == "0" {
			err = errors.New("a limit of 0 would allow nothing; leave the action out instead")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", clip(text), err, fs.ErrInvalid)
		}
	}
	return l, nil
}

// isLimit reports whether a field of the text form is a limit.
func isLimit(field string) bool {
	name, _, ok := strings.Cut(field, "=")
	return ok && slices.Contains(limitNames[:], name)
}

var sizeUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
	{"", 1},
}

func parseSize(text string) (int64, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.size {
			break
		}
		return n * u.size, nil
	}
	return 0, errors.New("want a size, such as 500000, 5MB or 5MiB")
}

// formatSize returns the shortest text that parseSize reads as n.
func formatSize(n int64) string {
	best := strconv.FormatInt(n, 10)
	for _, u := range sizeUnits {
		if n%u.size == 0 {
			if s := strconv.FormatInt(n/u.size, 10) + u.name; len(s) < len(best) {
				best = s
			}
		}
	}
	return best
}

// String returns the limits as ParseLimits reads them, with spaces between them.
func (l *Limits) String() string {
	if l == nil {
		return ""
	}
	var list []string
	if l.MaxSize != 0 {
		list = append(list, "maxSize="+formatSize(l.MaxSize))
	}
	if len(l.ContentTypes) > 0 {
		list = append(list, "contentTypes="+strings.Join(l.ContentTypes, ","))
	}
	if l.MaxObjects != 0 {
		list = append(list, "maxObjects="+strconv.FormatInt(l.MaxObjects, 10))
	}
	if l.Quota != 0 {
		list = append(list, "quota="+formatSize(l.Quota))
	}
	return strings.Join(list, " ")
}

// bounds reports whether there is a limit at all.
func (l *Limits) bounds() bool {
	return l != nil && (l.MaxSize != 0 || len(l.ContentTypes) > 0 || l.MaxObjects != 0 || l.Quota != 0)
}

// check returns what is wrong with the limits of a rule that gives a.
func (l *Limits) check(a Action) string {
	if l == nil {
		return ""
	}
	if l.MaxSize < 0 || l.MaxObjects < 0 || l.Quota < 0 {
		return "a limit is not negative"
	}
	if l.bounds() && a&Write == 0 {
		return "limits are about what is written, and this rule gives no write"
	}
	for _, t := range l.ContentTypes {
		kind, sub, ok := strings.Cut(t, "/")
		if sub == "*" {
			t = kind + "/x"
		}
		if m, params, err := mime.ParseMediaType(t); !ok || err != nil || m != t || len(params) > 0 {
			return fmt.Sprintf("%q is no content type, want one in lower case such as image/png, or image/*", clip(t))
		}
	}
	return ""
}

// Admits reports whether something of this content type may be written. Of the
// content type, what stands behind a ";" does not count.
func (l *Limits) Admits(contentType string) bool {
	if l == nil || len(l.ContentTypes) == 0 {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	kind, sub, _ := strings.Cut(t, "/")
	return sub != "" && (slices.Contains(l.ContentTypes, t) || slices.Contains(l.ContentTypes, kind+"/*"))
}

// Bounds returns the limits under which s, who may write key, may do so: what one
// of them admits is admitted. Nil means that there are none.
func (p *Policy) Bounds(s *Subject, key string) []*Limits {
	if p == nil || !p.limited || s == nil {
		return nil
	}
	var f finding
	f.find(p.root, s, key)
	b := new(bounds)
	f.giveAll(&tally{missing: Write, bounds: b}, s, p.groups)
	if b.free {
		return nil
	}
	return b.list
}

// bounds are the limits of several rules.
type bounds struct {
	list []*Limits
	free bool // one of the rules has none
}

func (b *bounds) add(l *Limits) {
	if l.bounds() {
		b.list = append(b.list, l)
	} else {
		b.free = true
	}
}
