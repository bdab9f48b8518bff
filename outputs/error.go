package outputs

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error says what is wrong with a file, and where in it. It matches fs.ErrInvalid.
type Error struct {
	File         string // its name, for messages
	Line, Column int    // of the text, from 1; 0 if there is no text
	Path         string // "storage.buckets[1].aws_region"; "" is the file as a whole
	Text         string // what is wrong
	// Lint says that the file can be read in spite of it, but likely does not do
	// what its author thinks.
	Lint bool
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Text)
	return b.String()
}

// Unwrap returns fs.ErrInvalid.
func (e *Error) Unwrap() error { return fs.ErrInvalid }

// Errors is what is wrong with a file, in the order of the text: at most 100.
type Errors []*Error

// Error returns the errors, one to a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, p := range e {
		list[i] = p
	}
	return list
}

// maxErrors is how many errors are worth reading.
const maxErrors = 100

// flaw is what is wrong at a place of a text.
type flaw struct {
	at   int // the offset
	path string
	text string
	lint bool
	// schema says that Amplify's schema refuses it: lint that writing warns of.
	schema bool
}

// once leaves one flaw of each place where something is wrong: others there follow
// from it. Those of the file as a whole have nothing in common.
func once(flaws []flaw) []flaw {
	first := map[string]int{}
	for i, f := range flaws {
		if _, ok := first[f.path]; !ok && !f.lint && f.path != "" {
			first[f.path] = i
		}
	}
	var kept []flaw
	for i, f := range flaws {
		if j, ok := first[f.path]; !ok || i == j {
			kept = append(kept, f)
		}
	}
	return kept
}

// report turns flaws into errors about the file.
func report(flaws []flaw, file, text string) Errors {
	slices.SortStableFunc(flaws, func(a, b flaw) int { return a.at - b.at })
	errs := Errors{}
	line, column, from := 1, 1, 0
	for _, f := range flaws[:min(len(flaws), maxErrors)] {
		at := min(f.at, len(text))
		if i := strings.LastIndexByte(text[from:at], '\n'); i >= 0 {
			line += strings.Count(text[from:at], "\n")
			from += i + 1
			column = 1
		}
		column += utf8.RuneCountInString(text[from:at])
		from = at
		errs = append(errs, &Error{
			File: file, Line: line, Column: column, Path: f.path, Text: f.text, Lint: f.lint,
		})
	}
	return errs
}
