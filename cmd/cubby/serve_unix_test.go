//go:build unix

package main

import (
	"bufio"
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/server"
	"github.com/cubby-storage/cubby/store/memstore"
)

// TestHangupBesideServing sends the signal before a server is open, and after it.
func TestHangupBesideServing(t *testing.T) {
	cfg := server.Starter()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	if err := server.WriteConfig(cfg); err != nil {
		t.Fatal(err)
	}
	cfg, err := server.ReadConfig(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	signals := catchHangups()
	defer signal.Stop(signals)
	hangUp()
	lines := make(lineLog, 100)
	srv, err := server.Open(t.Context(), cfg, &server.Options{Log: slog.New(slog.NewTextHandler(lines, nil)), Poll: -1, Store: memstore.New()})
	if err != nil {
		t.Fatal(err)
	}
	a := &app{env: &env{stdin: new(bytes.Buffer)}}
	_, stop := a.hangup(t.Context(), signals, srv)
	for line := ""; !strings.Contains(line, "are as they were"); {
		select {
		case line = <-lines:
		case <-time.After(20 * time.Second):
			t.Fatal("the signal did nothing")
		}
	}
	stop()
	hangUp() // which would end the test
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

// lineLog is a log that is read as it is written.
type lineLog chan string

func (l lineLog) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

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
