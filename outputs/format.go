package outputs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Format is a form in which a configuration is written down.
type Format string

// The formats.
const (
	// AmplifyOutputs is amplify_outputs.json, in one of its versions.
	AmplifyOutputs Format = "amplify_outputs"
	// ResourcesConfig is the object that Amplify.configure of aws-amplify 6 takes.
	ResourcesConfig Format = "resources-config"
	// AWSExports is aws-exports.js.
	AWSExports Format = "aws-exports"
	// Configuration is the amplifyconfiguration.json of the JavaScript libraries,
	// which has the keys of aws-exports.js.
	Configuration Format = "amplifyconfiguration"
	// Mobile is the amplifyconfiguration.json of the mobile libraries.
	Mobile Format = "amplifyconfiguration-mobile"
	// AmplifyV5 is the object that Amplify.configure of aws-amplify 5 and before takes.
	AmplifyV5 Format = "amplify-v5"
	// AWSConfiguration is the awsconfiguration.json of older mobile libraries.
	AWSConfiguration Format = "awsconfiguration"
)

// format is what a Format can do.
type format struct {
	name   Format
	file   string // its usual name
	module bool   // it may be a module of JavaScript
	read   func(*reader, node) *Outputs
	write  func(*writer) *value
}

// formats returns all of them.
func formats() []format {
	return []format{
		{AmplifyOutputs, "amplify_outputs.json", false, (*reader).gen2, (*writer).gen2},
		{ResourcesConfig, "ResourcesConfig", true, (*reader).resources, (*writer).resources},
		{AWSExports, "aws-exports.js", true, (*reader).exports, (*writer).exports},
		{Configuration, "amplifyconfiguration.json", true, (*reader).exports, (*writer).exports},
		{Mobile, "amplifyconfiguration.json", false, (*reader).mobile, (*writer).mobile},
		{AmplifyV5, "configuration of aws-amplify 5", true, (*reader).v5, (*writer).v5},
		{AWSConfiguration, "awsconfiguration.json", false, (*reader).awsConfiguration, (*writer).awsConfiguration},
	}
}

// Formats returns all formats.
func Formats() []Format {
	var names []Format
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// find returns the format of that name.
func (f Format) find() (format, error) {
	all := formats()
	i := slices.IndexFunc(all, func(g format) bool { return g.name == f })
	if f == "" {
		i = 0
	}
	if i < 0 {
		return format{}, fmt.Errorf("%q is no format of a configuration, want one of %v: %w", string(f), Formats(), fs.ErrInvalid)
	}
	return all[i], nil
}

// detect returns the format of a text. What could be none of them is taken for
// AmplifyOutputs.
func detect(p *parser, root *value) Format {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return root.find(n) != nil })
	}
	in := func(name string, names ...string) bool {
		v := root.find(name)
		return v != nil && slices.ContainsFunc(names, func(n string) bool { return v.find(n) != nil })
	}
	switch {
	// Amplify's own libraries look for this first.
	case slices.ContainsFunc(root.fields, func(f field) bool { return strings.HasPrefix(f.name, "aws_") }):
		if p.lax != nil {
			return AWSExports
		}
		return Configuration
	case has("version", "$schema"):
		return AmplifyOutputs
	case in("auth", "plugins") || in("storage", "plugins"):
		return Mobile
	case has("CognitoUserPool", "CredentialsProvider", "S3TransferUtility", "IdentityManager"):
		return AWSConfiguration
	case has("UserAgent"):
		return Mobile
	case in("Auth", "Cognito") || in("Storage", "S3"):
		return ResourcesConfig
	case in("Auth", v5Keys...) || in("Storage", "AWSS3", "bucket", "region"):
		return AmplifyV5
	case has("Auth", "Storage", "API", "Analytics", "Geo", "Interactions", "Notifications", "Predictions"):
		return ResourcesConfig
	}
	return AmplifyOutputs
}

// stopped returns the error for a text that cannot be parsed.
func stopped(err error, file, text string) error {
	s, ok := errors.AsType[*syntaxError](err)
	if !ok {
		return err
	}
	if file == "" {
		file = "configuration"
	}
	return report([]flaw{s.flaw}, file, text)
}

// ReadOptions say how to read.
type ReadOptions struct {
	Name   string // of the file, for messages; "" is the usual one of the format
	Format Format // "" finds out
}

// ReadAs is Read with options, which may be nil.
func ReadAs(r io.Reader, opts *ReadOptions) (*Outputs, error) {
	t, err := readText(r, opts)
	if err != nil {
		return nil, err
	}
	t.flaws = slices.DeleteFunc(t.flaws, func(f flaw) bool { return f.lint })
	if len(t.flaws) > 0 {
		return nil, report(t.flaws, t.file, t.text)
	}
	return t.outputs, nil
}

// Check reads a configuration and returns all that is wrong with it, and what
// likely is: see [Error.Lint]. The error is that of r or about the options, which
// may be nil.
func Check(r io.Reader, opts *ReadOptions) (Errors, error) {
	t, err := readText(r, opts)
	if e, ok := errors.AsType[Errors](err); ok {
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	return report(t.flaws, t.file, t.text), nil
}

// document is a text that was read.
type document struct {
	file, text string
	outputs    *Outputs
	flaws      []flaw
}

// readText reads, and notes everything that can be said about the text.
func readText(r io.Reader, opts *ReadOptions) (*document, error) {
	if opts == nil {
		opts = new(ReadOptions)
	}
	f, err := opts.Format.find()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, err
	}
	file := opts.Name
	if file == "" && opts.Format != "" {
		file = f.file
	}
	if len(b) > maxSize {
		return nil, stopped(&syntaxError{flaw{text: fmt.Sprintf("there are over %d bytes", maxSize)}}, file, "")
	}
	p, root, err := parseText(string(b))
	if err != nil {
		return nil, stopped(err, file, p.text)
	}
	if opts.Format == "" {
		if f, err = detect(p, root).find(); err != nil {
			return nil, err
		}
	}
	if file == "" {
		file = f.file
	}
	rd := &reader{format: f.name}
	rd.flaws = append(rd.flaws, p.dups...)
	if !f.module {
		rd.flaws = append(rd.flaws, p.lax...)
	}
	if p.lax == nil && strings.HasSuffix(f.file, ".json") {
		rd.flaws = append(rd.flaws, p.loose...)
	}
	n := node{value: root}
	o := f.read(rd, n)
	if f.name != AmplifyOutputs {
		o.Format = f.name
	}
	rd.leftover(n, &o.Extra)
	rd.nothing(n, o)
	slices.SortFunc(o.Extra, func(a, b Extra) int { return slices.Compare(a.Keys, b.Keys) })
	return &document{file, p.text, o, once(rd.flaws)}, nil
}

// nothing notes that nothing was understood, unless something was.
func (r *reader) nothing(n node, o *Outputs) {
	if o.Auth != nil || o.Storage != nil || o.Custom != nil || r.format == AmplifyOutputs && n.value.find("version") != nil {
		return
	}
	// What a file of nobody lacks and has too much says nothing more.
	r.flaws = slices.DeleteFunc(r.flaws, func(f flaw) bool {
		return f.path == "version" || r.format == AmplifyOutputs && f.lint && f.path != ""
	})
	if !slices.ContainsFunc(r.flaws, func(f flaw) bool { return !f.lint }) {
		r.fail(n, "says nothing about users or files in any form that can be read, which are %v", Formats())
	}
}

// WriteOptions say how to write.
type WriteOptions struct {
	Format Format // "" is AmplifyOutputs
	// Version is that of AmplifyOutputs. "" is the one of the model, or the
	// lowest above it that can hold more of it.
	Version string
}

// WriteAs writes o in any format. The warnings tell what of o the format cannot
// hold. What Read would refuse is not written: the error is then an [Errors], and
// else that of w or about the options, which may be nil.
func (o *Outputs) WriteAs(w io.Writer, opts *WriteOptions) ([]Warning, error) {
	if opts == nil {
		opts = new(WriteOptions)
	}
	f, err := opts.Format.find()
	if err != nil {
		return nil, err
	}
	wr := &writer{o: o, format: f.name, version: opts.Version}
	if opts.Version != "" && (f.name != AmplifyOutputs || !slices.Contains(versions(), opts.Version)) {
		return nil, fmt.Errorf("%s has no version %q: %w", f.file, opts.Version, fs.ErrInvalid)
	}
	root := f.write(wr)
	wr.extra(root)
	var b strings.Builder
	if f.name == AWSExports {
		b.WriteString("/* eslint-disable */\n\nconst awsmobile = ")
		root.encode(&b, "    ")
		b.WriteString(";\n\n\nexport default awsmobile;\n")
	} else {
		root.encode(&b, "  ")
		b.WriteString("\n")
	}
	if err := wr.check(b.String()); err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, b.String())
	return wr.warnings, err
}

// writer writes a model, and notes what it could not.
type writer struct {
	o        *Outputs
	format   Format
	version  string
	warnings []Warning
}

// check reads what is about to be written. It warns of what Amplify's schema refuses.
func (w *writer) check(text string) error {
	t, err := readText(strings.NewReader(text), &ReadOptions{Format: w.format})
	if err != nil {
		return err
	}
	var errs Errors
	for _, f := range t.flaws {
		switch {
		case !f.lint && len(errs) < maxErrors:
			errs = append(errs, &Error{File: t.file, Path: f.path, Text: f.text}) // nobody has the lines
		case f.schema:
			w.warn(f.path, "%s", f.text)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

func (w *writer) warn(path, format string, args ...any) {
	w.warnings = append(w.warnings, Warning{path, fmt.Sprintf(format, args...)})
}

// lost warns of something that the format has no place for.
func (w *writer) lost(path string) { w.warn(path, "%s has no place for it", w.format) }
