//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDev runs the program as at a terminal: it says how to go on, and ends well
// when it is interrupted.
func TestDev(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "cubby", "dev", "--listen", "127.0.0.1:0")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "CUBBY_CONFIG="+t.TempDir(), "CUBBY_ENDPOINT=", "GORACE=atexit_sleep_ms=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var url string
	said := map[string]bool{}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line := lines.Text()
		if at, ok := strings.CutPrefix(line, "Cubby serves "); ok {
			url = at
		}
		said[line] = true
		if line == "Ctrl-C ends the server." {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || stderr.String() != "" {
		t.Errorf("it ended with %v: %s", err, stderr.String())
	}
	for _, line := range []string{
		"  cubby login alice --endpoint " + url, "  cubby put FILE private:NAME", "Ctrl-C ends the server.",
	} {
		if !said[line] {
			t.Errorf("it did not say %q", line)
		}
	}
}
