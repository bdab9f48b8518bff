package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// backend holds Cubby to the packages that make and read the backends of Amplify:
// what it writes for apps, and the IAM documents that it makes of rules.
func backend(ctx context.Context, bin, dir string) error {
	folder := filepath.Join("e2e", "backend")
	written := filepath.Join(dir, "documents")
	if err := os.MkdirAll(written, 0o700); err != nil {
		return err
	}
	// The types and the parser of the client come from where it is tested.
	for _, f := range []string{filepath.Join("e2e", "amplify", "v6"), folder} {
		if err := npm(ctx, f); err != nil {
			return err
		}
	}
	if err := convert(ctx, bin, dir, filepath.Join(folder, "apps"), written); err != nil {
		return err
	}
	closing, out, err := nodeTest(ctx, folder, "CUBBY_DOCUMENTS="+written)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	fmt.Println(closing)
	return randomRules(ctx, bin, dir, folder)
}

// documents are the formats that a configuration is converted to, and the file
// that holds the result.
var documents = []struct{ file, format, version string }{
	{"amplify_outputs-1.json", "amplify_outputs", "1"},
	{"amplify_outputs-1.1.json", "amplify_outputs", "1.1"},
	{"amplify_outputs-1.2.json", "amplify_outputs", "1.2"},
	{"amplify_outputs-1.3.json", "amplify_outputs", "1.3"},
	{"amplify_outputs-1.4.json", "amplify_outputs", "1.4"},
	{"amplify_outputs-1.5.json", "amplify_outputs", "1.5"},
	{"resources-config.json", "resources-config", ""},
	{"aws-exports.mjs", "aws-exports", ""},
	{"amplifyconfiguration.json", "amplifyconfiguration", ""},
	{"amplifyconfiguration-mobile.json", "amplifyconfiguration-mobile", ""},
}

// convert writes the configuration of each app in every format, and beside it
// what the format cannot hold. The apps are those in a folder, and one of a
// server that runs.
func convert(ctx context.Context, bin, dir, apps, to string) error {
	names, err := filepath.Glob(filepath.Join(apps, "*"))
	if err != nil {
		return err
	}
	own := filepath.Join(dir, "served.json")
	if err := serve(ctx, bin, filepath.Join(dir, "data"), own); err != nil {
		return err
	}
	for _, name := range append(names, own) {
		app := filepath.Join(to, filepath.Base(name))
		if err := os.Mkdir(app, 0o700); err != nil {
			return err
		}
		for _, d := range documents {
			cmd := exec.CommandContext(ctx, bin, "outputs", "convert", name, "--to", d.format)
			if d.version != "" {
				cmd.Args = append(cmd.Args, "--outputs-version", d.version)
			}
			var said bytes.Buffer
			cmd.Stderr = &said
			text, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args[1:], " "), err, &said)
			}
			file := filepath.Join(app, d.file)
			if err := os.WriteFile(file, text, 0o600); err != nil {
				return err
			}
			if err := os.WriteFile(file+".warnings", said.Bytes(), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// serve writes the amplify_outputs.json of a server in a new directory to a file.
func serve(ctx context.Context, bin, data, file string) error {
	dev, err := start(ctx, bin, "dev", "--json", "--data", data, "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer dev.stop()
	var server struct{ Endpoint string }
	if err := json.Unmarshal(dev.json, &server); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.Endpoint+"/.well-known/cubby/amplify_outputs.json", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("amplify_outputs.json: %s", resp.Status)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// answer is what becomes of one definition of access.
type answer struct {
	Name   string          `json:"name,omitempty"`
	Access json.RawMessage `json:"access,omitempty"`

	Paths    any `json:"paths,omitempty"`
	Policies any `json:"policies,omitempty"`
	Error    *struct {
		Name string `json:"name"`
	} `json:"error,omitempty"`
}

// compare returns an error unless both answers are the same.
func (a answer) compare(amplify answer) error {
	if reflect.DeepEqual(a.Paths, amplify.Paths) && reflect.DeepEqual(a.Policies, amplify.Policies) && reflect.DeepEqual(a.Error, amplify.Error) {
		return nil
	}
	theirs, err := json.MarshalIndent(amplify, "", "  ")
	if err != nil {
		return err
	}
	a.Access = nil
	ours, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return fmt.Errorf("cubby answers\n%s\nand the generator of Amplify\n%s", ours, theirs)
}

// randomRules asks Amplify's generator and Cubby about random definitions. They are
// others in each run, unless $CUBBY_RANDOM is the number of an earlier one.
func randomRules(ctx context.Context, bin, dir, folder string) error {
	const count = 300
	number := os.Getenv("CUBBY_RANDOM")
	if number == "" {
		number = strconv.FormatUint(uint64(rand.Uint32()), 10)
	}
	fmt.Printf("%d random definitions of access, CUBBY_RANDOM=%s\n", count, number)
	random := exec.CommandContext(ctx, "node", "random.mjs", number, strconv.Itoa(count))
	random.Dir, random.Stderr = folder, os.Stderr
	definitions, err := random.Output()
	if err != nil {
		return fmt.Errorf("random.mjs: %w", err)
	}
	generate := exec.CommandContext(ctx, "node", "generate.mjs")
	generate.Dir, generate.Stdin, generate.Stderr = folder, bytes.NewReader(definitions), os.Stderr
	text, err := generate.Output()
	if err != nil {
		return fmt.Errorf("generate.mjs: %w", err)
	}
	var want, got struct {
		Cases []answer `json:"cases"`
	}
	n := map[string]int{} // of the cases, by their error
	first := map[string]answer{}
	for line := range bytes.Lines(text) {
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return err
		}
		want.Cases = append(want.Cases, a)
		name := ""
		if a.Error != nil {
			name = a.Error.Name
		}
		if n[name]++; n[name] == 1 {
			first[name] = a
		}
	}
	if len(want.Cases) != count || n[""] < count/2 || len(n) < 4 {
		return fmt.Errorf("%d definitions are too few or one-sided: %v", len(want.Cases), n)
	}

	file := filepath.Join(dir, "cases.json")
	cases := []byte(`{"cases": [` + strings.Join(strings.Split(strings.TrimSpace(string(definitions)), "\n"), ",") + "]}")
	if err := policies(ctx, bin, file, cases, &got); err != nil {
		return err
	}
	if len(got.Cases) != count {
		return fmt.Errorf("cubby rules policy answered to %d of %d definitions", len(got.Cases), count)
	}
	for i, w := range want.Cases {
		if err := got.Cases[i].compare(w); err != nil {
			return err
		}
	}
	for _, w := range first { // one of each kind alone
		var alone answer
		if err := policies(ctx, bin, file, w.Access, &alone); err != nil {
			return err
		}
		if err := alone.compare(w); err != nil {
			return err
		}
	}
	fmt.Printf("%d answers as Amplify's generator has them, %d of them errors: ok\n", count, count-n[""])
	return nil
}

// policies asks the binary for the policies of what is in text.
func policies(ctx context.Context, bin, file string, text []byte, into any) error {
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, bin, "rules", "policy", "--from", file, "--to", "json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cubby rules policy: %w\n%s", err, text)
	}
	return json.Unmarshal(out, into)
}
