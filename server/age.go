package server

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Age is a time in the settings. 0 is the default of that setting. In YAML it is days
// and hours, such as 7d, 36h or 1d12h.
type Age time.Duration

// NoAge is the Age that never comes. In YAML it is none.
const NoAge Age = -1

const (
	day     = 24 * time.Hour
	mostAge = 36500 * day // times that are calculated from it do not overflow
)

// parseAge reads an age. The error has no cause.
func parseAge(text string) (Age, error) {
	if text == "none" {
		return NoAge, nil
	}
	wrong := fmt.Errorf("%q is no time such as 30d or 36h", text)
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || len(days) > 1 && days[0] == '0' {
		return 0, wrong
	}
	d := time.Duration(n) * day
	if rest != "" || !ok {
		r, err := time.ParseDuration(rest)
		if err != nil || r < 0 || r > mostAge {
			return 0, wrong
		}
		d += r
	}
	if d <= 0 || d > mostAge {
		return 0, fmt.Errorf("%q is not a time of up to %d days", text, mostAge/day)
	}
	return Age(d), nil
}

// String returns the age as parseAge reads it, and "" for 0.
func (a Age) String() string {
	switch d := time.Duration(a); {
	case a == 0:
		return ""
	case a == NoAge:
		return "none"
	case d < day:
		return shortTime(d)
	default:
		return strconv.FormatInt(int64(d/day), 10) + "d" + shortTime(d%day)
	}
}

// shortTime returns what time.Duration does without the zeros at the end.
func shortTime(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// UnmarshalYAML reads a time, or none.
func (a *Age) UnmarshalYAML(n *yaml.Node) error {
	n = aliased(n)
	if n.Kind != yaml.ScalarNode {
		return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(n, "this must be a time such as 30d or 36h")}}
	}
	var err error
	if *a, err = parseAge(n.Value); err != nil {
		return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(n, "%s", err)}}
	}
	return nil
}

// MarshalYAML writes the age as UnmarshalYAML reads it.
func (a Age) MarshalYAML() (any, error) { return a.String(), nil }

// or returns the age, which is def by default and 0 if it never comes.
func (a Age) or(def time.Duration) time.Duration {
	switch a {
	case 0:
		return def
	case NoAge:
		return 0
	}
	return time.Duration(a)
}

// check reports an age that no file can have.
func (a Age) check() error {
	if a != 0 && a != NoAge && (a < 0 || time.Duration(a) > mostAge) {
		return fmt.Errorf("%v is not a time of up to %d days: %w", time.Duration(a), mostAge/day, fs.ErrInvalid)
	}
	return nil
}
