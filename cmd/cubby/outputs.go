package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby/outputs"
	"github.com/cubby-storage/cubby/server"
)

// cubbyYAML is the format of a server's own settings, beside those of package outputs.
const cubbyYAML = "cubby"

// formatNames names all formats, one to a line.
func formatNames() string {
	var names strings.Builder
	names.WriteString("  " + cubbyYAML + "\n")
	for _, f := range outputs.Formats() {
		names.WriteString("  " + string(f) + "\n")
	}
	return names.String()
}

func (a *app) outputs() *cobra.Command {
	c := group(&cobra.Command{
		Use:     "outputs",
		GroupID: "server",
		Short:   "Read, check and convert the configuration files of Amplify",
		Long: `Outputs works on the files that tell an app where its files and its users are:
amplify_outputs.json of versions 1 to 1.5, the ResourcesConfig of Amplify.configure
and the object of aws-amplify 5, aws-exports.js, amplifyconfiguration.json,
awsconfiguration.json, and the cubby.yaml of a server.`,
	})
	c.AddCommand(a.outputsCheck(), a.outputsConvert(), a.outputsGenerate())
	return c
}

// outputsProblem is something wrong with a configuration, for programs.
type outputsProblem struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"`
	Text   string `json:"text"`
	Error  bool   `json:"error"` // false is a warning

	whole string // for people
}

func (a *app) outputsCheck() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Find what is wrong with a configuration, with path and line",
		Long: `Check reads a configuration and reports all that is wrong with it, and what is
likely a mistake. FILE may be - for standard input. The format is one of

` + formatNames(),
		Args: args(1, 1, "a file"),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			list, err := checkOutputs(args[0], format, text)
			if err != nil {
				return usage(c, err)
			}
			wrong := 0
			for _, p := range list {
				kind := "warning"
				if p.Error {
					kind = "error"
					wrong++
				}
				if !a.json {
					fmt.Fprintf(a.stdout, "%s: %s\n", kind, printableLines(p.whole))
				}
			}
			if a.json {
				err = a.printJSON(list)
			} else if len(list) == 0 && !a.quiet {
				fmt.Fprintln(a.stdout, "nothing to remark")
			}
			if err == nil && wrong > 0 {
				err = fmt.Errorf("%s: %s", args[0], count(wrong, "error"))
			}
			return err
		},
	}
	c.Flags().StringVar(&format, "from", "", "`FORMAT` of the file (default: found out)")
	return c
}

// checkOutputs returns what is wrong with a configuration. The error is about the format.
func checkOutputs(name, format string, text []byte) ([]outputsProblem, error) {
	list := []outputsProblem{}
	if format == cubbyYAML || format == "" && formOf(name, text) == formYAML {
		if _, err := readYAML(name, text); err != nil {
			list = append(list, outputsProblem{File: name, Text: plain(err), Error: true, whole: plain(err)})
		}
		return list, nil
	}
	if format != "" && !knownFormat(format) {
		return nil, errFormat(format)
	}
	found, err := outputs.Check(bytes.NewReader(text), &outputs.ReadOptions{Name: name, Format: outputs.Format(format)})
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		list = append(list, outputsProblem{e.File, e.Line, e.Column, e.Path, e.Text, !e.Lint, e.Error()})
	}
	return list, nil
}

// readYAML reads the settings of a server, and checks them as it would.
func readYAML(name string, text []byte) (*server.Config, error) {
	cfg, err := server.ParseConfig(text)
	if err == nil {
		var file *ruleFile
		if file, err = configRules(name, cfg); err == nil {
			for _, set := range file.buckets {
				if _, e := file.policy(set); e != nil {
					err = errors.Join(err, e)
				}
			}
		}
	}
	if err != nil {
		return nil, inFile(name, err)
	}
	return cfg, nil
}

func (a *app) outputsConvert() *cobra.Command {
	var from, to, version string
	c := &cobra.Command{
		Use:   "convert FILE --to FORMAT",
		Short: "Write a configuration in another format",
		Long: `Convert reads a configuration and prints it in another format, which is one of

` + formatNames() + `
What the other format cannot hold is told on standard error. The rules in a cubby.yaml
stand in its buckets; of users and pools it says nothing, so converted from one there are
only buckets and rules. "cubby outputs generate" knows the whole of a server.`,
		Example: `  cubby outputs convert aws-exports.js --to amplify_outputs
  cubby outputs convert amplify_outputs.json --to resources-config
  cubby outputs convert amplify_outputs.json --to cubby > cubby.yaml`,
		Args: args(1, 1, "a file"),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			var o *outputs.Outputs
			var warnings []outputs.Warning
			if from == cubbyYAML || from == "" && formOf(args[0], text) == formYAML {
				if to == cubbyYAML {
					return usage(c, fmt.Errorf("%s is a cubby.yaml already", args[0]))
				}
				cfg, err := readYAML(args[0], text)
				if err != nil {
					return err
				}
				if o, warnings, err = cfg.Storage(); err != nil {
					return err
				}
			} else if from != "" && !knownFormat(from) {
				return usage(c, errFormat(from))
			} else if o, err = outputs.ReadAs(bytes.NewReader(text), &outputs.ReadOptions{Name: args[0], Format: outputs.Format(from)}); err != nil {
				return err
			}
			return a.writeOutputs(c, o, to, version, warnings)
		},
	}
	c.Flags().StringVar(&from, "from", "", "`FORMAT` of the file (default: found out)")
	formatFlags(c, &to, &version)
	require(c, "to")
	return c
}

func formatFlags(c *cobra.Command, to, version *string) {
	c.Flags().StringVar(to, "to", string(outputs.AmplifyOutputs), "`FORMAT` to write")
	c.Flags().StringVar(version, "outputs-version", "", "version of amplify_outputs to write, 1 to 1.5\n(default the lowest that holds everything)")
}

// writeOutputs prints o in a format, and the warnings on standard error.
func (a *app) writeOutputs(c *cobra.Command, o *outputs.Outputs, to, version string, warnings []outputs.Warning) error {
	var text bytes.Buffer
	var wrong error // with what is written all the same, to be mended
	switch {
	case to == cubbyYAML:
		cfg, more, err := server.ConfigOf(o)
		if err != nil {
			return err
		}
		warnings = append(warnings, more...)
		if err := cfg.Write(&text); err != nil {
			return err
		}
		_, wrong = readYAML(server.ConfigFile, text.Bytes())
	case !knownFormat(to):
		return usage(c, errFormat(to))
	case version != "" && !slices.Contains(outputsVersions, version):
		return usage(c, fmt.Errorf("--outputs-version is one of %s, not %q", strings.Join(outputsVersions, ", "), version))
	default:
		more, err := o.WriteAs(&text, &outputs.WriteOptions{Format: outputs.Format(to), Version: version})
		if err != nil {
			return err
		}
		warnings = append(warnings, more...)
	}
	if _, err := a.stdout.Write(text.Bytes()); err != nil {
		return err
	}
	for _, w := range warnings {
		a.warn(w.Path, w.String())
	}
	if wrong != nil {
		return &hinted{wrong, "No server would start with what was written: mend it first."}
	}
	return nil
}

// outputsVersions are the versions of amplify_outputs.json.
var outputsVersions = []string{"1", "1.1", "1.2", "1.3", "1.4", "1.5"}

func errFormat(name string) error {
	return fmt.Errorf("there is no format %q; the formats are\n%s", name, strings.TrimRight(formatNames(), "\n"))
}

func knownFormat(name string) bool {
	for _, f := range outputs.Formats() {
		if string(f) == name {
			return true
		}
	}
	return false
}

func (a *app) outputsGenerate() *cobra.Command {
	var data, base, to, version string
	c := &cobra.Command{
		Use:   "generate",
		Short: "Print the configuration for clients of a server on this machine",
		Long: `Generate prints what clients need to find the server whose data directory is DIR.
A running server writes the same to DIR/amplify_outputs.json, and serves it at
/.well-known/cubby/amplify_outputs.json.`,
		Example: "  cubby outputs generate --url https://files.example.com --to resources-config",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := server.ReadConfig(data)
			if err != nil {
				return err
			}
			if to == cubbyYAML {
				return usage(c, errors.New("a server's own settings are in its cubby.yaml"))
			}
			if _, err := os.Stat(filepath.Join(data, server.StateFile)); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("no server has run in %s yet, so it has no pools: %w", data, fs.ErrNotExist)
			}
			if base == "" {
				base = servedAt(data)
			} else if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return usage(c, fmt.Errorf("--url is a URL such as https://files.example.com, not %q", base))
			}
			admin, err := a.openAdmin(c.Context(), data)
			if err != nil {
				return err
			}
			defer admin.Close()
			if base == "" {
				base = cfg.URL()
			}
			o, warnings, err := admin.Outputs(c.Context(), cfg, base)
			if err != nil {
				return err
			}
			return a.writeOutputs(c, o, to, version, warnings)
		},
	}
	dataFlag(c, &data)
	c.Flags().StringVar(&base, "url", "", "`URL` by which clients reach the server (default: that of the last\nstart, or from its settings)")
	formatFlags(c, &to, &version)
	return c
}

// servedAt returns the URL under which the server in the directory said at its last
// start that it is reached; "" if it did not.
func servedAt(data string) string {
	f, err := os.Open(filepath.Join(data, "amplify_outputs.json"))
	if err != nil {
		return ""
	}
	defer f.Close()
	o, err := outputs.Read(f)
	if err != nil || o.Custom == nil || o.Custom.Cubby == nil {
		return ""
	}
	return o.Custom.Cubby.S3Endpoint
}
