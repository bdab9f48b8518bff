package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	minioTest = regexp.MustCompile(`(?m)^func (test\w+)\(\) {$`)
	minioMain = regexp.MustCompile(`(?ms)^func main\(\) \{\n.*?^\}\n`)
)

// minioGo builds the functional tests of minio-go, which are one program that
// stops at the first failure, as a program that runs the one it is told to.
func minioGo(ctx context.Context, folder, dir string) ([]*check, error) {
	src := filepath.Join(dir, "minio-go")
	if err := os.MkdirAll(src, 0o700); err != nil {
		return nil, err
	}
	list := exec.CommandContext(ctx, "go", "mod", "download", "github.com/minio/minio-go/v7")
	list.Dir = folder
	if out, err := list.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go mod download: %w\n%s", err, out)
	}
	list = exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/minio/minio-go/v7")
	list.Dir = folder
	module, err := list.Output()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "functional_tests.go"))
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte("//go:build mint\n"))
	if len(minioMain.FindAll(text, -1)) != 1 {
		return nil, errors.New("the functional tests of minio-go have no main")
	}
	var names []string
	main := []byte("func main() {\n\tslog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))\n\tmap[string]func(){\n")
	for _, m := range minioTest.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
		main = fmt.Appendf(main, "\t\t%q: %s,\n", m[1], m[1])
	}
	main = append(main, "\t}[os.Args[1]]()\n}\n"...)
	text = minioMain.ReplaceAllLiteral(text, main)
	// Many tests of versions make their bucket with object lock, too, which they then
	// never use. Without it they run where there are versions and no locks.
	text = bytes.ReplaceAll(text, []byte("ObjectLocking: true"), []byte("ObjectLocking: false"))
	if err := os.WriteFile(filepath.Join(src, "main.go"), text, 0o600); err != nil {
		return nil, err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(src, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	tool := filepath.Join(dir, "minio-go-tests")
	build := exec.CommandContext(ctx, "go", "build", "-o", tool, ".")
	build.Dir = src
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	var checks []*check
	for _, name := range names {
		checks = append(checks, &check{
			suite: "minio-go", name: name, area: area(name),
			args: func(*target) []string { return []string{tool, name} },
			env: func(t *target) []string {
				address, secure := strings.TrimPrefix(t.endpoint, "http://"), "0"
				if t.tls != "" {
					address, secure = t.tls, "1" // a key of SSE-C is sent over TLS alone
				}
				return []string{
					"SERVER_ENDPOINT=" + address, "ENABLE_HTTPS=" + secure, "SKIP_CERT_VALIDATION=1", "ENABLE_KMS=1", "MINT_MODE=full",
					"ACCESS_KEY=" + t.key, "SECRET_KEY=" + t.secret,
				}
			},
		})
	}
	return checks, nil
}
