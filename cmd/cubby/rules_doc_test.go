package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands in doc/rules.md print into it")

// TestRulesGuide does what the guide to rules says: it writes each file that the guide
// shows, runs each command, and compares what it prints with what the guide says.
//
// A block of code is a file if its info string has the name of one, and cubby.yaml if
// it is YAML without. Lines of a console block that begin with "$ " are commands.
func TestRulesGuide(t *testing.T) {
	guide := filepath.Join("..", "..", "doc", "rules.md")
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir(defaultData, 0o700); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var block []string
	lang, name, commands := "", "", 0
	for line := range strings.Lines(string(text)) {
		fence, is := strings.CutPrefix(line, "```")
		switch {
		case !is && lang == "":
			out.WriteString(line)
		case !is:
			block = append(block, line)
		case lang == "":
			lang, name, _ = strings.Cut(strings.TrimSpace(fence), " ")
			block = nil
			out.WriteString(line)
		default:
			switch lang {
			case "yaml", "json":
				if name == "" {
					name = filepath.Join(defaultData, "cubby.yaml")
				}
				writeGuideFile(t, name, block)
			case "rules.test":
				writeGuideFile(t, filepath.Join(defaultData, lang), block)
			case "console":
				var n int
				block, n = runGuide(t, block)
				commands += n
			}
			out.WriteString(strings.Join(block, ""))
			out.WriteString(line)
			lang = ""
		}
	}
	if commands < 15 {
		t.Errorf("the guide has only %d commands", commands)
	}
	if out.String() == string(text) {
		return
	}
	if !*update {
		t.Errorf("the commands print other than the guide says; go test ./cmd/cubby -run RulesGuide -update writes this into it:\n%s", out.String())
		return
	}
	if err := os.WriteFile(filepath.Join(home, guide), []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeGuideFile(t *testing.T, name string, lines []string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runGuide runs the commands of a console block, and returns the block as it should
// be, and how many commands it has.
func runGuide(t *testing.T, block []string) ([]string, int) {
	t.Helper()
	var out []string
	n := 0
	for _, line := range block {
		command, ok := strings.CutPrefix(line, "$ cubby ")
		if !ok {
			continue // what the command before it printed
		}
		n++
		sh := newShell(t, "http://127.0.0.1:1")
		sh.run(t.Context(), nil, words(command)...)
		out = append(out, line)
		for l := range strings.Lines(sh.stdout.String() + sh.stderr.String()) {
			out = append(out, strings.TrimRight(l, " \n")+"\n")
		}
	}
	return out, n
}

// words takes a command apart as a shell would, as far as the guide needs it.
func words(command string) []string {
	var list []string
	for i, part := range strings.Split(strings.TrimSpace(command), "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}
