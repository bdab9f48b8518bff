package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/outputs"
	"github.com/cubby-storage/cubby/server"
)

// ruleFlags say which rules a command is about, and how they are read.
type ruleFlags struct {
	data, file, bucket, mode string
}

func (f *ruleFlags) add(c *cobra.Command) {
	fs := c.PersistentFlags()
	fs.StringVar(&f.data, "data", defaultData, "data directory of the server")
	fs.StringVarP(&f.file, "file", "f", "", "`FILE` with rules, in place of DIR/cubby.yaml (- is standard input)")
	fs.StringVar(&f.bucket, "bucket", "", "the bucket whose rules are asked (default the default bucket)")
	fs.StringVar(&f.mode, "mode", "", "union: the rights of all groups add up, lists are filtered; amplify: as in\nan Amplify backend (default as the settings say, else union)")
}

// The modes.
const (
	modeUnion   = "union"
	modeAmplify = "amplify"
)

// apply puts the mode into the options of a file.
func (f *ruleFlags) apply(file *ruleFile) error {
	switch f.mode {
	case "":
	case modeUnion:
		file.opts.Groups, file.opts.Lists = access.Union, access.Filtered
	case modeAmplify:
		file.opts.Groups, file.opts.Lists = access.Replace, access.Prefix
	default:
		return &usageError{"cubby rules", fmt.Errorf("--mode is union or amplify, not %q", f.mode)}
	}
	return nil
}

// ruleFile is a file with rules, for one bucket or several.
type ruleFile struct {
	name    string
	opts    access.Options
	buckets []ruleSet
	def     int            // which bucket is the default one
	cfg     *server.Config // nil if the file is not that of a server
}

// ruleSet is the rules of a bucket.
type ruleSet struct {
	bucket   string // "" in a file that names none
	physical string // its name in the service
	rules    []access.Rule
}

// policy compiles the rules.
func (f *ruleFile) policy(s ruleSet) (*access.Policy, error) {
	p, _, err := access.Compile(s.rules, &f.opts)
	if err != nil && s.bucket != "" {
		return nil, fmt.Errorf("rules of bucket %s:\n%w", s.bucket, err)
	}
	return p, err
}

// pick returns the rules of the bucket called name, those of the default one for "".
func (f *ruleFile) pick(name string) (ruleSet, error) {
	if name == "" {
		return f.buckets[f.def], nil
	}
	var names []string
	for _, s := range f.buckets {
		if s.is(name) {
			return s, nil
		}
		names = append(names, cmp.Or(s.bucket, "one without a name"))
	}
	return ruleSet{}, fmt.Errorf("%s has no rules of a bucket %s, only of %s: %w", f.name, name, strings.Join(names, ", "), fs.ErrNotExist)
}

// rulesOf reads the rules that the flags say.
func (a *app) rulesOf(f *ruleFlags) (*ruleFile, error) {
	if f.file != "" {
		return a.readRules(f, f.file)
	}
	cfg, err := server.ReadConfig(f.data)
	if errors.Is(err, fs.ErrNotExist) {
		err = &hinted{err, "--data DIR names the data directory of a server, --file FILE a file with rules."}
	}
	if err != nil {
		return nil, err
	}
	file, err := configRules(filepath.Join(f.data, server.ConfigFile), cfg)
	if err != nil {
		return nil, err
	}
	return file, f.apply(file)
}

// policyOf returns the rules that the flags say, ready to be asked.
func (a *app) policyOf(f *ruleFlags) (*access.Policy, *ruleFile, ruleSet, error) {
	file, err := a.rulesOf(f)
	if err != nil {
		return nil, nil, ruleSet{}, err
	}
	set, err := file.pick(f.bucket)
	if err != nil {
		return nil, nil, ruleSet{}, err
	}
	p, err := file.policy(set)
	return p, file, set, err
}

// maxRules is how large a file with rules may be.
const maxRules = 64 << 20

// readRules reads rules from the data directory of a server, a cubby.yaml, any file
// of Amplify's that has paths, or lines as access.Parse reads them.
func (a *app) readRules(f *ruleFlags, name string) (*ruleFile, error) {
	file, err := a.readRuleFile(name)
	if err != nil {
		return nil, err
	}
	return file, f.apply(file)
}

func (a *app) readRuleFile(name string) (*ruleFile, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		cfg, err := server.ReadConfig(name)
		if err != nil {
			return nil, err
		}
		return configRules(filepath.Join(name, server.ConfigFile), cfg)
	}
	text, err := a.readFile(name)
	if err != nil {
		return nil, err
	}
	switch formOf(name, text) {
	case formYAML:
		cfg, err := server.ParseConfig(text)
		if err != nil {
			return nil, inFile(name, err)
		}
		return configRules(name, cfg)
	case formAmplify:
		return amplifyRules(name, text)
	}
	p, err := access.Parse(filepath.Base(name), text, nil)
	if err != nil {
		return nil, err
	}
	return &ruleFile{name: name, buckets: []ruleSet{{rules: p.Rules()}}}, nil
}

// inFile returns err with the name of the file that it is about, where it has the
// usual name of settings.
func inFile(name string, err error) error {
	return &renamed{err, filepath.Base(name)}
}

// renamed is an error about a file that has another name than settings usually have.
type renamed struct {
	err  error
	name string
}

func (r *renamed) Error() string {
	return strings.ReplaceAll(r.err.Error(), server.ConfigFile+":", r.name+":")
}
func (r *renamed) Unwrap() error { return r.err }

// form is what a file looks like.
type form int

const (
	formLines form = iota
	formYAML
	formAmplify // JSON or JavaScript
)

// formOf says what a file is: by its name, or else by how it begins.
func formOf(name string, text []byte) form {
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		return formYAML
	case ".json", ".js", ".mjs", ".cjs", ".ts":
		return formAmplify
	case ".rules":
		return formLines
	}
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line = strings.TrimSpace(line)
		first, _, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '{', strings.HasPrefix(line, "/*"), strings.HasPrefix(line, "//"), strings.HasPrefix(line, "Amplify."),
			slices.Contains([]string{"const", "let", "var", "export", "import", "module.exports"}, first):
			return formAmplify
		case line == "---", strings.HasSuffix(first, ":"):
			return formYAML
		default:
			return formLines
		}
	}
	return formLines
}

// readFile reads a file of rules or policies, or standard input for "-".
func (a *app) readFile(name string) ([]byte, error) {
	r := a.stdin
	if name == "-" {
		if a.read {
			return nil, &usageError{"cubby", errors.New("standard input can be read for one file only")}
		}
		a.read = true
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxRules+1))
	if err == nil && len(text) > maxRules {
		err = fmt.Errorf("%s is larger than %d bytes: %w", name, maxRules, fs.ErrInvalid)
	}
	return text, err
}

// configRules returns the rules in the settings of a server, which were read from a
// file of that name.
func configRules(name string, cfg *server.Config) (*ruleFile, error) {
	opts, err := cfg.RuleOptions()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &ruleFile{name: name, opts: *opts, cfg: cfg}
	for i, b := range cfg.Buckets {
		rules := slices.Clone([]access.Rule(b.Rules))
		for i := range rules { // which know the usual name alone
			rules[i].Pos = strings.Replace(rules[i].Pos, server.ConfigFile, filepath.Base(name), 1)
		}
		f.buckets = append(f.buckets, ruleSet{b.Name, b.Name, rules})
		if b.Default {
			f.def = i
		}
	}
	if len(f.buckets) == 0 {
		return nil, fmt.Errorf("%s names no bucket, so it has no rules: %w", name, fs.ErrNotExist)
	}
	return f, nil
}

// amplifyRules returns the rules in a file of Amplify's: what defineStorage is given,
// or any configuration that has paths.
func amplifyRules(name string, text []byte) (*ruleFile, error) {
	f := &ruleFile{name: name}
	if a, err := parseAccess(text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	} else if a != nil {
		rules, err := a.Rules()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		f.opts.AcceptOwnerWithoutToken = true
		f.buckets = []ruleSet{{rules: rules}}
		return f, nil
	}
	o, err := outputs.ReadAs(bytes.NewReader(text), &outputs.ReadOptions{Name: name})
	if err != nil {
		return nil, err
	}
	if o.Storage != nil {
		for _, b := range o.Storage.Buckets {
			rules, _, err := server.RulesOf(&b, filepath.Base(name))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if b.BucketName == o.Storage.Bucket {
				f.def = len(f.buckets)
			}
			f.buckets = append(f.buckets, ruleSet{b.Name, b.BucketName, rules})
		}
	}
	if len(f.buckets) == 0 {
		return nil, fmt.Errorf("%s has no bucket with paths, so it has no rules: %w", name, fs.ErrNotExist)
	}
	f.opts.AcceptOwnerWithoutToken = true // as Amplify does
	return f, nil
}

// parseAccess reads what defineStorage is given: an object of paths, by itself or
// under "access". It is nil if the text is something else.
func parseAccess(text []byte) (*access.Amplify, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var file map[string]json.RawMessage
	if json.Unmarshal(text, &file) != nil {
		return nil, nil
	}
	if in, ok := file["access"]; ok {
		return access.ParseAmplify(in)
	}
	for _, v := range file {
		if v[0] != '[' {
			return nil, nil
		}
	}
	return access.ParseAmplify(text)
}
