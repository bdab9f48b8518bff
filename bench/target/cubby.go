package target

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rules are those that a new server has, and what the keys of a measurement need.
const rules = `listen: %s
buckets:
  - name: ` + Bucket + `
    default: true
    rules:
      public/*: {guest: [read, write], authenticated: [read, write, delete]}
      protected/{entity_id}/*: {authenticated: [read], owner: [read, write, delete]}
      private/{entity_id}/*: {owner: [read, write, delete]}
      ` + Prefix + `*: {authenticated: [read, write, delete]}
`

// Client is a program, and the settings of a user who has signed in with it.
type Client struct {
	program string
	env     []string
}

// Command returns a command of the user.
func (c *Client) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.program, args...)
	cmd.Env = c.env
	return cmd
}

// Build builds Cubby from this module, as it is released, into dir.
func Build(dir string) (program string, err error) {
	program = filepath.Join(dir, "cubby")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "github.com/cubby-storage/cubby/cmd/cubby")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return program, cmd.Run()
}

// Cubby starts the program as a server with fresh data in dir, and signs a user in.
func Cubby(program, dir string) (*Server, *Client, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	data := filepath.Join(dir, "cubby-data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(data, "cubby.yaml"), fmt.Appendf(nil, rules, addr), 0o600); err != nil {
		return nil, nil, err
	}
	s := &Server{Name: "cubby", Addr: addr}
	if err := s.start(dir, exec.Command(program, "serve", "--data", data)); err != nil {
		return nil, nil, err
	}
	c := &Client{program, append(os.Environ(),
		"CUBBY_CONFIG="+filepath.Join(dir, "cubby-client"), "CUBBY_ENDPOINT=http://"+addr, "CUBBY_PASSWORD=Correct-horse-7")}
	for _, args := range [][]string{{"users", "add", "alice", "--data", data}, {"login", "alice"}} {
		if out, err := c.Command(args...).CombinedOutput(); err != nil {
			s.Stop()
			return nil, nil, fmt.Errorf("cubby %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	s.renew = func() (keys, error) {
		out, err := c.Command("credentials").Output()
		if err != nil {
			return keys{}, fmt.Errorf("cubby credentials: %w", err)
		}
		var k struct{ AccessKeyID, SecretAccessKey, SessionToken string }
		err = json.Unmarshal(out, &k)
		return keys{k.AccessKeyID, k.SecretAccessKey, k.SessionToken}, err
	}
	if err := s.Renew(); err != nil {
		s.Stop()
		return nil, nil, err
	}
	return s, c, nil
}
