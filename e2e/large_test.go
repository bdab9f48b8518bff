package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const maxMemory = 100 << 20 // of a process that moves a file of any size

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// randomFile writes a file of n bytes, and returns their SHA-256.
func randomFile(t *testing.T, name string, n int64) string {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8([32]byte{1}), n); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// memory returns a line of /proc/PID/status in bytes: VmHWM is the most memory
// that a process ever had, VmRSS what it has. It is 0 on systems without.
func memory(pid int, line string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\n"+line+":")
	n, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// watched runs the program, and returns the most memory that it was seen to have.
func (p *person) watched(t *testing.T, args ...string) int64 {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var log strings.Builder
	cmd.Env, cmd.Stderr = p.env, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var peak int64
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("cubby %s: %v\n%s", strings.Join(args, " "), err, log.String())
			}
			return peak
		case <-tick.C:
			peak = max(peak, memory(cmd.Process.Pid, "VmHWM"))
		}
	}
}

// TestLarge takes files of three sizes the whole way, in little memory: alice
// puts them, lists them, gets them back, and makes links, by which anybody gets
// the same bytes.
func TestLarge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, "dev", dir)
	alice, bob := s.user(t, "alice"), s.user(t, "bob")
	large := int64(64 << 20)
	if long {
		large = 300 << 20
	}
	for _, size := range []int64{200, 5 << 20, large} {
		name := fmt.Sprintf("photo-%d.jpg", size)
		local, back := filepath.Join(dir, name), filepath.Join(dir, "back-"+name)
		want := randomFile(t, local, size)
		remote := "private:" + name

		up := alice.watched(t, "put", local, remote)
		down := alice.watched(t, "get", remote, back)
		f, err := os.Open(back)
		if err != nil {
			t.Fatal(err)
		}
		if got := sum(t, f); got != want {
			t.Errorf("%s came back as other bytes", name)
		}
		link := strings.TrimSpace(alice.cubby(t, "url", remote))
		resp, err := http.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		if got := sum(t, resp.Body); resp.StatusCode != http.StatusOK || got != want {
			t.Errorf("the link to %s answers %s and other bytes", name, resp.Status)
		}
		var stat struct {
			Path string
			Size int64
		}
		if err := json.Unmarshal([]byte(alice.cubby(t, "stat", remote, "--json")), &stat); err != nil || stat.Size != size || stat.Path != "private/"+alice.id+"/"+name {
			t.Errorf("stat: %+v, %v", stat, err)
		}
		if list := alice.cubby(t, "ls", "private:"); !strings.Contains(list, name+"\n") {
			t.Errorf("ls: %q", list)
		}
		bob.refused(t, 4, "get", stat.Path, filepath.Join(dir, "stolen"))

		server := memory(s.cmd.Process.Pid, "VmHWM")
		t.Logf("%d MiB: at most %d MiB of memory to put, %d to get, %d in the server so far", size>>20, up>>20, down>>20, server>>20)
		if max(up, down, server) > maxMemory {
			t.Errorf("more than %d MiB of memory", maxMemory>>20)
		}
	}
}

// sum returns the SHA-256 of what r yields, and closes it.
func sum(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
