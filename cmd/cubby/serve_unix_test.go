//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestHangup sends the signal that has a server read its settings again.
func TestHangup(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	cmd := exec.CommandContext(t.Context(), "cubby", "serve", "--listen", "127.0.0.1:0", "--data", data)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	next := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("it ended without a line %q: %v", text, lines.Err())
	}
	send := func(s os.Signal) {
		t.Helper()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(data, "cubby.yaml")
	next("cubby: serving http")
	send(syscall.SIGHUP)
	next("are as they were")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(text), "admin/*", "office/*", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	send(syscall.SIGHUP)
	next("group:admin may now get,list,write,delete office/*")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	send(syscall.SIGHUP)
	next("cubby.yaml is empty")
	send(os.Interrupt)
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
