package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cubby-storage/cubby/access"
)

// TestsFile is the name of the tests of the rules, beside ConfigFile.
const TestsFile = "rules.test"

// RulesCheck is what came of the tests of the rules.
type RulesCheck struct {
	Tests int `json:"tests"` // how many there are
	// Failures are the tests that failed, in words, on a few lines each: where it
	// stands, what it wants, and why the answer was another.
	Failures []string `json:"failures"`
}

// CheckRules runs the tests of the rules of cfg: those in the file TestsFile of its
// data directory, if there is one. An error tells of settings, rules or tests that
// make no sense; tests that fail are not an error here, as they are to Open.
func CheckRules(cfg *Config) (*RulesCheck, error) {
	r, err := cfg.compile()
	if err != nil {
		return nil, err
	}
	text, err := readTests(cfg.Data)
	if err != nil {
		return nil, err
	}
	if err := r.run(text); err != nil {
		return nil, err
	}
	return &r.check, nil
}

// readTests returns the tests beside the settings in dir. Nil are none.
func readTests(dir string) ([]byte, error) {
	name := filepath.Join(dir, TestsFile)
	text, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if _, e := os.Lstat(name); e == nil { // somebody wants tests
		return nil, fmt.Errorf("%s is a link to nothing: %w", name, err)
	}
	return nil, nil
}

// run runs the tests.
func (r *rules) run(text []byte) error {
	tests, err := access.ParseTests(TestsFile, text)
	if err != nil {
		return err
	}
	def, err := r.cfg.defaultBucket()
	if err != nil {
		return err
	}
	r.check = RulesCheck{len(tests), []string{}}
	for _, t := range tests {
		name := cmp.Or(t.Bucket, def.Name)
		p, ok := r.policies[name]
		if !ok {
			return fmt.Errorf("%s: there is no bucket %q: %w", t.Pos, name, fs.ErrInvalid)
		}
		if f := t.Check(p); f != nil {
			r.check.Failures = append(r.check.Failures, f.String())
		}
	}
	return nil
}

// failed is the error for tests that failed, or nil.
func (c *RulesCheck) failed() error {
	if len(c.Failures) == 0 {
		return nil
	}
	var b strings.Builder
	for _, f := range c.Failures[:min(most, len(c.Failures))] {
		b.WriteString("\n" + f)
	}
	return fmt.Errorf("%s: the rules are refused, since they fail %d of %d tests:%s", TestsFile, len(c.Failures), c.Tests, &b)
}
