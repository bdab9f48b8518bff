package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// s5cmd puts, lists, gets, copies and removes with s5cmd, as alice, over
// credentials that cubby issued to her.
func s5cmd(ctx context.Context, bin, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tool := filepath.Join(dir, "s5cmd")
	build := exec.CommandContext(ctx, "go", "build", "-o", tool, "github.com/peak/s5cmd/v2")
	build.Dir = filepath.Join("e2e", "s5cmd")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	dev, err := start(ctx, bin, "dev", "--json", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer dev.stop()
	var server struct {
		Endpoint string
		Bucket   string
		Users    []struct{ Username, Password string }
	}
	if err := json.Unmarshal(dev.json, &server); err != nil {
		return err
	}

	env := append(os.Environ(), "CUBBY_ENDPOINT="+server.Endpoint, "CUBBY_CONFIG="+filepath.Join(dir, "config"), "CUBBY_PASSWORD="+server.Users[0].Password)
	var id struct {
		IdentityID string `json:"identity_id"`
	}
	var creds struct{ AccessKeyID, SecretAccessKey, SessionToken string }
	for _, step := range []struct {
		args []string
		into any
	}{{[]string{"login", server.Users[0].Username, "--json"}, nil}, {[]string{"whoami", "--json"}, &id}, {[]string{"credentials"}, &creds}} {
		cmd := exec.CommandContext(ctx, bin, step.args...)
		cmd.Env, cmd.Stderr = env, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("cubby %s: %w", strings.Join(step.args, " "), err)
		}
		if step.into != nil {
			if err := json.Unmarshal(out, step.into); err != nil {
				return fmt.Errorf("cubby %s printed %q: %w", strings.Join(step.args, " "), out, err)
			}
		}
	}
	env = append(env, "AWS_ACCESS_KEY_ID="+creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+creds.SecretAccessKey,
		"AWS_SESSION_TOKEN="+creds.SessionToken, "AWS_REGION=us-east-1", "S3_ENDPOINT_URL="+server.Endpoint)
	do := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, tool, args...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	data := bytes.Repeat([]byte("0123456789abcdef"), 12<<16) // 12 MiB: parts
	file, back := filepath.Join(dir, "up.bin"), filepath.Join(dir, "down.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	own := "s3://" + server.Bucket + "/private/" + id.IdentityID + "/"
	for _, args := range [][]string{
		{"cp", "--part-size", "5", file, own + "a.bin"},
		{"cp", own + "a.bin", own + "b.bin"},
		{"ls", own},
		{"rm", own + "a.bin"},
		{"cp", own + "b.bin", back},
	} {
		out, err := do(args...)
		if err != nil {
			return fmt.Errorf("s5cmd %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		if args[0] == "ls" && (!strings.Contains(out, "a.bin") || !strings.Contains(out, "b.bin")) {
			return fmt.Errorf("s5cmd ls printed %q", out)
		}
	}
	got, err := os.ReadFile(back)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("s5cmd got other bytes than it had put")
	}
	for _, args := range [][]string{
		{"cp", file, "s3://" + server.Bucket + "/admin/x"},
		{"ls", "s3://" + server.Bucket + "/admin/"},
	} {
		if out, err := do(args...); err == nil || !strings.Contains(out, "AccessDenied") {
			return fmt.Errorf("s5cmd %s was not denied: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	fmt.Println("cp, ls, rm, and two denials: ok")
	return nil
}
