package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
amplify_outputs.json of versions 1 to 1.5, the ResourcesConfig of Amplify.configure,
aws-exports.js, amplifyconfiguration.json, and the cubby.yaml of a server.`,
	})
	c.AddCommand(a.outputsCheck(), a.outputsConvert(), a.outputsGenerate())
	return c
}

func (a *app) outputsCheck() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Find what is wrong with a configuration, with path and line",
		Long: `Check reads a configuration and reports all that is wrong with it, and what is
likely a mistake. FILE may be - for standard input.`,
		Args: args(1, 1, "a file"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			type problem struct {
				File   string `json:"file"`
				Line   int    `json:"line,omitempty"`
				Column int    `json:"column,omitempty"`
				Path   string `json:"path,omitempty"`
				Text   string `json:"text"`
				Error  bool   `json:"error"`
			}
			list, wrong := []problem{}, 0
			if isYAML(args[0]) {
				if _, err := readYAML(args[0], text); err != nil {
					list, wrong = append(list, problem{File: args[0], Text: err.Error(), Error: true}), 1
				}
			} else {
				found, err := outputs.Check(bytes.NewReader(text), &outputs.ReadOptions{Name: args[0], Format: outputs.Format(format)})
				if err != nil {
					return err
				}
				for _, e := range found {
					list = append(list, problem{e.File, e.Line, e.Column, e.Path, e.Text, !e.Lint})
					if !e.Lint {
						wrong++
					}
					if !a.json {
						kind := "error"
						if e.Lint {
							kind = "warning"
						}
						fmt.Fprintf(a.stdout, "%s: %s\n", kind, printable(e.Error()))
					}
				}
			}
			if a.json {
				err = a.printJSON(list)
			} else if isYAML(args[0]) && wrong > 0 {
				fmt.Fprintf(a.stdout, "error: %s\n", printableLines(list[0].Text))
			} else if len(list) == 0 && !a.quiet {
				fmt.Fprintln(a.stdout, "nothing to remark")
			}
			if err == nil && wrong > 0 {
				err = fmt.Errorf("%s: %s", args[0], count(wrong, "error"))
			}
			return err
		},
	}
	c.Flags().StringVar(&format, "format", "", "`FORMAT` of the file (default: found out)")
	return c
}

func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
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
		return nil, fmt.Errorf("%s: %w", name, err)
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
			if isYAML(args[0]) || from == cubbyYAML {
				cfg, err := readYAML(args[0], text)
				if err != nil {
					return err
				}
				if o, warnings, err = cfg.Storage(); err != nil {
					return err
				}
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
	if to == cubbyYAML {
		cfg, more, err := server.ConfigOf(o)
		if err != nil {
			return err
		}
		warnings = append(warnings, more...)
		if err := cfg.Write(&text); err != nil {
			return err
		}
	} else {
		more, err := o.WriteAs(&text, &outputs.WriteOptions{Format: outputs.Format(to), Version: version})
		if errors.Is(err, fs.ErrInvalid) && !knownFormat(to) {
			return usage(c, err)
		} else if err != nil {
			return err
		}
		warnings = append(warnings, more...)
	}
	if _, err := a.stdout.Write(text.Bytes()); err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "cubby: warning: %s\n", printable(w.String()))
	}
	return nil
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
			admin, err := a.openAdmin(c.Context(), data)
			if err != nil {
				return err
			}
			defer admin.Close()
			if base == "" {
				base = cfg.URL()
			}
			o, err := admin.Outputs(c.Context(), cfg, base)
			if err != nil {
				return err
			}
			return a.writeOutputs(c, o, to, version, nil)
		},
	}
	dataFlag(c, &data)
	c.Flags().StringVar(&base, "url", "", "`URL` by which clients reach the server (default: from its settings)")
	formatFlags(c, &to, &version)
	return c
}
