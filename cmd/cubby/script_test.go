package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/cubbytest"
	"github.com/cubby-storage/cubby/server"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cubby": main})
}

// TestScript runs the scripts in testdata. Beside the commands of testscript they
// have those of the table below.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[key("t")] = e.T().(testing.TB)
			e.Values[key("server")] = new(*cubbytest.Server)
			e.Setenv("CUBBY_CONFIG", filepath.Join(e.WorkDir, ".config", "guest"))
			e.Setenv("TZ", "UTC")
			// With -race a program would wait for a second before it exits.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server":   scriptServer,
			"user":     scriptUser,
			"as":       scriptAs,
			"operator": scriptOperator,
			"seed":     scriptSeed,
			"holds":    scriptHolds,
			"start":    scriptStart,
			"stranger": scriptStranger,
			"fails":    scriptFails,
			"fetch":    scriptFetch,
			"json":     scriptJSON,
			"save":     scriptSave,
		},
	})
}

type key string // of the values of a script

// server starts a server with the usual rules, and a second bucket, backup, with
// the same, and makes it that of the commands.
func scriptServer(ts *testscript.TestScript, _ bool, args []string) {
	cfg := server.Starter()
	cfg.NoGuests = len(args) > 0 && args[0] == "--no-guests"
	cfg.Buckets = append(cfg.Buckets, server.Bucket{Name: "backup", Rules: cfg.Buckets[0].Rules})
	cfg.Buckets[0].Rules = append(cfg.Buckets[0].Rules, access.Rule{Path: "inbox/*", Who: "authenticated", Actions: access.Write})
	srv := cubbytest.NewServer(ts.Value(key("t")).(testing.TB), &cubbytest.Options{Config: cfg})
	*started(ts) = srv
	ts.Setenv("CUBBY_ENDPOINT", srv.URL)
}

// user NAME [GROUP...] adds a user, whose password is in NAME_PASSWORD then.
func scriptUser(ts *testscript.TestScript, _ bool, args []string) {
	password := (*started(ts)).AddUser(args[0], args[1:]...)
	ts.Setenv(strings.ToUpper(args[0])+"_PASSWORD", password)
}

// as NAME lets the commands that follow be those of NAME, who signs in if this is
// the first time, or of a guest. ID is the identity then.
func scriptAs(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	dir := ts.MkAbs(filepath.Join(ts.Getenv("WORK"), ".config", name))
	ts.Setenv("CUBBY_CONFIG", dir)
	if _, err := os.Stat(dir); err != nil && name != "guest" {
		ts.Setenv("CUBBY_PASSWORD", ts.Getenv(strings.ToUpper(name)+"_PASSWORD"))
		ts.Check(ts.Exec("cubby", "login", name))
		ts.Setenv("CUBBY_PASSWORD", "")
	}
	ts.Check(ts.Exec("cubby", "whoami", "--json"))
	var who whoJSON
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &who))
	ts.Setenv("ID", who.IdentityID)
}

// operator lets the commands that follow have the key of an operator.
func scriptOperator(ts *testscript.TestScript, _ bool, _ []string) {
	id, secret := (*started(ts)).Operator()
	ts.Setenv("AWS_ACCESS_KEY_ID", id)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", secret)
}

// seed COUNT PREFIX puts objects PREFIX0000, PREFIX0001 and so on into the bucket.
func scriptSeed(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	b := (*started(ts)).Bucket("media")
	for i := range n {
		_, err := b.Put(context.Background(), fmt.Sprintf("%s%04d", args[1], i), strings.NewReader("x"), nil)
		ts.Check(err)
	}
}

// holds KEY [TEXT] checks that there is an object, with that text in it.
func scriptHolds(ts *testscript.TestScript, neg bool, args []string) {
	b := (*started(ts)).Bucket("media")
	o, err := b.Get(context.Background(), args[0], nil)
	if neg != (err != nil) {
		ts.Fatalf("get %s: %v", args[0], err)
	}
	if err != nil {
		return
	}
	defer o.Body.Close()
	text, err := io.ReadAll(o.Body)
	ts.Check(err)
	if len(args) > 1 && strings.TrimSuffix(string(text), "\n") != args[1] {
		ts.Fatalf("%s holds %q, want %q", args[0], text, args[1])
	}
}

// start dev|serve ARGS... runs a server command in this process, until the script
// ends, and makes it that of the commands.
func scriptStart(ts *testscript.TestScript, _ bool, args []string) {
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var stderr strings.Builder
	ended := make(chan int, 1)
	nothing := func(string) string { return "" }
	go func() {
		exit := run(ctx, &env{append(args, "--json", "--listen", "127.0.0.1:0"), strings.NewReader(""), w, &stderr, nothing})
		w.CloseWithError(fmt.Errorf("%s ended", args[0]))
		ended <- exit
	}()
	var d ready
	out := bufio.NewReader(r)
	dec := json.NewDecoder(out)
	if err := dec.Decode(&d); err != nil {
		stop()
		ts.Fatalf("%v with %d: %s", err, <-ended, stderr.String())
	}
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.MultiReader(dec.Buffered(), out))
		rest <- strings.TrimSpace(string(text))
	}()
	ts.Defer(func() {
		stop()
		if exit := <-ended; exit != 0 {
			ts.Fatalf("%s ended with %d: %s", args[0], exit, stderr.String())
		}
		if text := <-rest; text != "" {
			ts.Fatalf("%s printed more than one JSON object: %s", args[0], text)
		}
	})
	for _, u := range d.Users {
		ts.Setenv(strings.ToUpper(u.Username)+"_PASSWORD", u.Password)
	}
	ts.Setenv("CUBBY_ENDPOINT", d.Endpoint)
}

// stranger [--tls|--mistaken] starts a server that is not Cubby: over HTTP, over HTTPS
// with a certificate that nobody trusts, or over HTTP while its URL says HTTPS.
func scriptStranger(ts *testscript.TestScript, _ bool, args []string) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if slices.Contains(args, "--tls") {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	ts.Defer(srv.Close)
	at := srv.URL
	if slices.Contains(args, "--mistaken") {
		at = "https" + strings.TrimPrefix(at, "http")
	}
	ts.Setenv("CUBBY_ENDPOINT", at)
}

// fails CODE PROGRAM ARGS... runs a program that must end with that code.
func scriptFails(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	exit := 0
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		exit = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(exit) != args[0] {
		ts.Fatalf("exit code %d, want %s", exit, args[0])
	}
}

// fetch URL FILE gets a link as anybody would, fetch -T FILE URL puts. URL is the
// name of a file that holds it.
func scriptFetch(ts *testscript.TestScript, neg bool, args []string) {
	method, link, body := http.MethodGet, args[0], ""
	if args[0] == "-T" {
		method, link, body = http.MethodPut, args[2], ts.ReadFile(args[1])
	}
	req, err := http.NewRequest(method, strings.TrimSpace(ts.ReadFile(link)), strings.NewReader(body))
	ts.Check(err)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if neg != (resp.StatusCode != http.StatusOK) {
		ts.Fatalf("%s: %s", resp.Status, text)
	}
	if method == http.MethodGet && !neg {
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
	}
}

// json FILE PATH PATTERN checks that FILE is one JSON value, and that what is at
// PATH in it, such as users.0.name, matches.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var v any
	ts.Check(dec.Decode(&v))
	if _, err := dec.Token(); err != io.EOF {
		ts.Fatalf("%s holds more than one JSON value", args[0])
	}
	for name := range strings.SplitSeq(args[1], ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			i, err := strconv.Atoi(name)
			ts.Check(err)
			if v = nil; i < len(in) {
				v = in[i]
			}
		}
	}
	text := fmt.Sprint(v)
	if matched := regexp.MustCompile("^(?:" + args[2] + ")$").MatchString(text); matched == neg {
		ts.Fatalf("%s is %s", args[1], text)
	}
}

// save NAME PATTERN keeps what the group of the pattern matches in standard output,
// or else in standard error.
func scriptSave(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	if m == nil {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// started returns the place of the server that a script started last.
func started(ts *testscript.TestScript) **cubbytest.Server {
	return ts.Value(key("server")).(**cubbytest.Server)
}
