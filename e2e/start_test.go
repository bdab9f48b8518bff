package main

import (
	"net/http"
	"os"
	"testing"
	"time"
)

// TestStart measures how long it is from the start of the program to its first
// answer, and what it needs. Its bounds on time and memory are wide, for
// busy machines.
func TestStart(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"first", "second", "third"} {
		began := time.Now()
		s := open(t, "serve", dir)
		resp, err := http.Get(s.Endpoint + "/.well-known/cubby/amplify_outputs.json")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		took := time.Since(began)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("the first answer is %s", resp.Status)
		}
		rss := memory(s.cmd.Process.Pid, "VmRSS")
		t.Logf("%s start: %v to the first answer, %d MiB of memory", name, took.Round(time.Millisecond), rss>>20)
		if most := []time.Duration{10, 5, 5}[i] * time.Second; took > most {
			t.Errorf("%s start took %v", name, took)
		}
		if rss > 64<<20 {
			t.Errorf("%d MiB of memory for nothing", rss>>20)
		}
		s.end(t)
	}
	st, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the program has %d MiB", st.Size()>>20)
	if st.Size() > 40<<20 {
		t.Errorf("the program has %d MiB", st.Size()>>20)
	}
}
