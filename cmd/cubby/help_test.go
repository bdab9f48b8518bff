package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp asks every command for help, by its flag and by name, and reads it.
func TestHelp(t *testing.T) {
	sh := newShell(t, "http://127.0.0.1:1")
	n := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		n++
		path := strings.Fields(c.CommandPath())[1:]
		for _, args := range [][]string{append(path, "--help"), append([]string{"help"}, path...)} {
			exit := sh.run(t.Context(), nil, args...)
			text := sh.stdout.String()
			if exit != 0 || !strings.Contains(text, "Usage:\n  "+c.CommandPath()) || sh.stderr.Len() > 0 {
				t.Errorf("cubby %s: %d\n%s%s", strings.Join(args, " "), exit, text, sh.stderr.String())
			}
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, " ") || len([]rune(line)) <= 90 {
					continue
				}
				t.Errorf("cubby %s: a line is too long: %s", strings.Join(args, " "), line)
			}
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: in short %q", c.CommandPath(), c.Short)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	a := &app{env: &env{}}
	walk(a.root())
	if n < 20 {
		t.Errorf("there are %d commands", n)
	}
}
