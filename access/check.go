package access

import (
	"errors"
	"fmt"
	"strings"
)

// Test is a line of a file of tests: a question, as Policy.Ask answers it, and the
// answer that is wanted.
type Test struct {
	Bucket  string // "" is the default bucket
	Subject Subject
	Who     string // Subject as the test has it
	Actions Action
	Key     string
	Allow   bool
	Pos     string // where the test stands: "rules.test:3"
}

// ParseTests reads tests, one to a line, that stand beside rules:
//
//	as guest get public/logo.png -> allow
//	as alice write private/bob/x -> deny
//	as alice(groups=staff+admin) read,write "docs/to do.txt" -> allow   # a comment
//	as function:resize get uploads/x -> allow
//	bucket media
//	as guest read covers/x -> deny
//
// The form of a subject is that of ParseSubject. A test that wants allow wants all
// of the actions allowed; one that wants deny wants each of them denied. They are asked
// for as in Policy.Ask: list is about a list of all keys with a prefix if KEY ends with
// "/" or is "", and else about seeing that key. Lines behind "bucket NAME" are about that bucket, those before about the
// default one, whose name is "". Fields may be in quotes, as in Parse.
//
// The name stands in front of the line number in Pos. The error is an *Error with
// all that is wrong.
func ParseTests(name string, text []byte) ([]Test, error) {
	if err := checkText(name, text); err != nil {
		return nil, err
	}
	var tests []Test
	var bad []Problem
	bucket := ""
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		pos := fmt.Sprintf("%s:%d", name, i+1)
		line = strings.Trim(strings.TrimSuffix(line, "\r"), " \t")
		word, rest := line, ""
		if end := strings.IndexAny(line, " \t"); end >= 0 {
			word, rest = line[:end], line[end:]
		}
		var err error
		switch {
		case line == "", line[0] == '#':
		case word == "bucket":
			bucket, err = parseBucket(rest)
		case word == "as":
			t := Test{Bucket: bucket, Pos: pos}
			if err = t.parse(rest); err == nil {
				tests = append(tests, t)
			}
		default:
			err = errors.New(`want a line such as "as guest get public/x -> allow", or "bucket NAME"`)
		}
		if err != nil {
			bad = append(bad, Problem{Pos: pos, Reason: BadSyntax, Text: err.Error()})
		}
	}
	if bad != nil {
		return nil, &Error{bad}
	}
	return tests, nil
}

func parseBucket(text string) (string, error) {
	f, err := split(text)
	if err == nil && len(f) != 1 {
		err = errors.New(`want the name of one bucket behind "bucket"; "" is the default one`)
	}
	if err != nil {
		return "", err
	}
	return f[0], nil
}

// parse reads what stands behind "as".
func (t *Test) parse(line string) error {
	line = strings.TrimLeft(line, " \t")
	s, rest, err := scanSubject(line)
	if err != nil {
		return fmt.Errorf("who: %w", err)
	}
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return fmt.Errorf("who: something stands right behind %q", clip(line[:len(line)-len(rest)]))
	}
	t.Subject, t.Who = s, line[:len(line)-len(rest)]
	f, err := split(rest)
	if err != nil {
		return err
	}
	if len(f) != 4 || f[2] != "->" || f[3] != "allow" && f[3] != "deny" {
		return errors.New(`want "as WHO ACTIONS KEY -> allow" or "... -> deny"; a key with spaces is written in quotes`)
	}
	if t.Actions, err = ParseAction(f[0]); err != nil {
		return err
	}
	if err := CheckKey(f[1]); err != nil {
		return err
	}
	t.Key, t.Allow = f[1], f[3] == "allow"
	return nil
}

// String returns the test as a line that ParseTests reads, without its bucket.
func (t Test) String() string {
	answer := "deny"
	if t.Allow {
		answer = "allow"
	}
	return fmt.Sprintf("as %s %s %s -> %s", t.Subject, t.Actions, quote(t.Key), answer)
}

// Failure is a test that a policy did not pass.
type Failure struct {
	Test   Test
	Action Action // that got the wrong answer
	Why    string // the answer explained, on a few lines; see Policy.Explain
}

// String returns the failure on a few lines.
func (f *Failure) String() string {
	s := f.Test.String()
	if f.Test.Pos != "" {
		s = f.Test.Pos + ": " + s
	}
	return s + "\n    " + strings.ReplaceAll(f.Why, "\n", "\n    ")
}

// Check asks the policy of the test's bucket. It returns nil if the answer is the
// one that is wanted.
func (t Test) Check(p *Policy) *Failure {
	for a := Get; a <= Versions; a <<= 1 {
		if t.Actions&a != 0 && p.Ask(&t.Subject, a, t.Key).Allowed != t.Allow {
			return &Failure{t, a, p.Explain(&t.Subject, a, t.Key)}
		}
	}
	return nil
}
