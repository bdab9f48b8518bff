// Package target starts the servers that are measured, sends them requests, and
// says what they use of the machine. It needs Linux: figures come from /proc.
//
// A [Server] is a child process that listens on loopback with its data in a
// directory of its own. [Cubby] is built from this module, and the requests to it
// are signed with the temporary credentials of a user who signed in. Peers are
// what [Start] finds on the PATH or builds, see [Peers].
package target

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bucket is the bucket that every server has.
const Bucket = "bench"

// Prefix is what all keys start with that the rules of Cubby let the user write.
const Prefix = "load/"

// Server is a server that runs.
type Server struct {
	Name  string
	Addr  string // host and port
	Plain string // directory of the files, if they are all that it serves; it takes no requests to write

	keys   keys
	renew  func() (keys, error) // nil if keys do not end
	cmd    *exec.Cmd
	client *http.Client
}

// keys sign requests.
type keys struct{ access, secret, token string }

// Keys returns what requests to s are signed with.
func (s *Server) Keys() (access, secret, token string) {
	return s.keys.access, s.keys.secret, s.keys.token
}

// Renew gets fresh credentials, where they end. It must not be called while
// requests are under way.
func (s *Server) Renew() error {
	if s.renew == nil {
		return nil
	}
	k, err := s.renew()
	if err == nil {
		s.keys = k
	}
	return err
}

// start runs a server that listens on addr, and waits until it answers. What it
// prints goes to a file in dir.
func (s *Server) start(dir string, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(dir, s.Name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	s.client = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 4096, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
	}}
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		res, err := s.client.Get("http://" + s.Addr + "/")
		if err == nil {
			res.Body.Close()
			return nil
		}
	}
	s.Stop()
	return fmt.Errorf("%s does not answer on %s", s.Name, s.Addr)
}

// Stop ends the server.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
	s.cmd = nil
}

// freeAddr returns an address on loopback that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// processes are the server and what it has started.
func (s *Server) processes() []int {
	list := []int{s.cmd.Process.Pid}
	for i := 0; i < len(list); i++ {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", list[i]))
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				list = append(list, pid)
			}
		}
	}
	return list
}

// CPU is the processor time that the server has used.
func (s *Server) CPU() time.Duration {
	var ticks int64
	for _, pid := range s.processes() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 12 {
			user, _ := strconv.ParseInt(f[11], 10, 64)
			system, _ := strconv.ParseInt(f[12], 10, 64)
			ticks += user + system
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// Peak is the most memory in bytes that the server had since ResetPeak.
func (s *Server) Peak() (sum int64) {
	for _, pid := range s.processes() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, rest, _ := strings.Cut(string(b), "VmHWM:")
		n, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
		sum += n << 10
	}
	return sum
}

// ResetPeak begins to watch memory anew. The system refuses for processes of
// other users: then Peak goes on from the start of the server.
func (s *Server) ResetPeak() {
	for _, pid := range s.processes() {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}

// errNoPeer says how a peer can be had.
var errNoPeer = errors.New("no such program")
