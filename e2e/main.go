// Command e2e runs clients that we did not write against the real binary.
//
//	go run ./e2e          the newest aws-amplify
//	go run ./e2e --all    older ones too, s5cmd, what makes the backends of Amplify, and suites for S3 servers
//	go run ./e2e v5       one of them
//
// It needs Node and npm, installs the clients at the versions pinned beside it,
// makes a certificate of its own, and uses port 20005 for the clients that know
// no other. Tests of package e2e run the binary against the AWS SDK for Go.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

// clients are all that there are, the newest first.
var clients = []string{"v6", "v6.8", "v5", "s5cmd", "backend", "conformance"}

func run(ctx context.Context, args []string) error {
	names := args
	switch {
	case len(args) == 0:
		names = clients[:1]
	case slices.Equal(args, []string{"--all"}):
		names = clients
	}
	for _, name := range names {
		if !slices.Contains(clients, name) {
			return fmt.Errorf("usage: go run ./e2e [--all | CLIENT...], where CLIENT is one of %s", strings.Join(clients, ", "))
		}
	}
	tmp, err := os.MkdirTemp("", "cubby-e2e")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	bin, err := build(ctx, tmp)
	if err != nil {
		return err
	}
	for _, name := range names {
		dir := filepath.Join(tmp, name)
		switch name {
		case "s5cmd":
			fmt.Println("== s5cmd")
			err = s5cmd(ctx, bin, dir)
		case "backend":
			fmt.Println("== @aws-amplify/backend-storage and client-config")
			err = backend(ctx, bin, dir)
		case "conformance":
			fmt.Println("== suites for S3 servers")
			err = conformance(ctx, bin, dir)
		default:
			fmt.Println("== aws-amplify", name)
			err = amplify(ctx, bin, dir, filepath.Join("e2e", "amplify", name))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// build makes the binary, and returns its path.
func build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "cubby")
	if out, err := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", bin, "github.com/cubby-storage/cubby/cmd/cubby").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
}

// amplify starts a server in a new directory and runs the tests of one version
// of aws-amplify, which are in folder, against it.
func amplify(ctx context.Context, bin, dir, folder string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, cert, key, err := certificate(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	settings, err := os.ReadFile(filepath.Join(filepath.Dir(folder), "cubby.yaml"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "cubby.yaml"), settings, 0o600); err != nil {
		return err
	}
	listen := "127.0.0.1:20005" // the one that older clients know
	if filepath.Base(folder) == "v6" {
		listen = "127.0.0.1:0"
	}
	dev, err := start(ctx, bin, "dev", "--json", "--data", data, "--listen", listen,
		"--listen-tls", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	if err != nil {
		return err
	}
	defer dev.stop()
	if err := npm(ctx, folder); err != nil {
		return err
	}
	closing, out, err := nodeTest(ctx, folder, "CUBBY_DEV="+string(dev.json), "NODE_EXTRA_CA_CERTS="+ca)
	if err != nil {
		return fmt.Errorf("%w\n%s\nthe server said:\n%s", err, out, dev.stderr())
	}
	fmt.Println(closing)
	return dev.stop()
}

// nodeTest runs the tests in folder, and returns their closing lines and all that
// they printed.
func nodeTest(ctx context.Context, folder string, env ...string) (closing string, out []byte, err error) {
	cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec")
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "NODE_NO_WARNINGS=1"), env...)
	out, err = cmd.CombinedOutput()
	closing, bad := summary(string(out))
	return closing, out, errors.Join(err, bad)
}

var count = regexp.MustCompile(`(?m)^\S+ (tests|pass) (\d+)$`)

// summary returns the closing lines of node's test runner. It is an error if
// not every test passed, or if there was none.
func summary(out string) (string, error) {
	var at int
	n := map[string]string{}
	for _, m := range count.FindAllStringSubmatchIndex(out, -1) {
		word := out[m[2]:m[3]]
		if word == "tests" {
			at = m[0]
		}
		n[word] = out[m[4]:m[5]]
	}
	if n["tests"] == "" || n["tests"] == "0" || n["pass"] != n["tests"] {
		return "", fmt.Errorf("%q tests, of which %q passed", n["tests"], n["pass"])
	}
	return strings.TrimSpace(out[at:]), nil
}

// npm installs what the lock file in folder says, unless it is there already.
func npm(ctx context.Context, folder string) error {
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return err
	}
	mark := filepath.Join(folder, "node_modules", ".cubby-lock")
	if got, err := os.ReadFile(mark); err == nil && bytes.Equal(got, lock) {
		return nil
	}
	cmd := exec.CommandContext(ctx, "npm", "ci")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(mark, lock, 0o600)
}

// process is a server that runs.
type process struct {
	cmd  *exec.Cmd
	json []byte // the line it printed when it was ready
	log  bytes.Buffer
	done chan struct{} // closed when it has ended
	err  error
}

// start starts the binary and waits for the line of JSON that says it is ready.
func start(ctx context.Context, bin string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, bin, args...), done: make(chan struct{})}
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan []byte, 1)
	go func() {
		dec := json.NewDecoder(bufio.NewReader(out))
		var line json.RawMessage
		if dec.Decode(&line) == nil {
			ready <- line
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	select {
	case p.json = <-ready:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("cubby %s: %w\n%s", strings.Join(args, " "), p.err, p.stderr())
	case <-time.After(30 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
		return nil, fmt.Errorf("cubby %s was not ready after 30 seconds\n%s", strings.Join(args, " "), p.stderr())
	}
}

// stop ends the server as an operator would, and returns how it ended.
func (p *process) stop() error {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.cmd.Process.Kill() // where there is no such signal
	}
	<-p.done
	return p.err
}

// stderr returns what the server logged. It is complete once the server has ended.
func (p *process) stderr() string {
	p.stop()
	return p.log.String()
}
