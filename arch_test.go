package cubby_test

import (
	"encoding/json"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// imports is the architecture: each package of the module, and the packages
// outside the standard library that it imports. The list is exact. A change
// to it is a change of design, and is reviewed as one.
const imports = `
access: access/iam golang.org/x/text/unicode/norm
access/iam:
outputs:
store: github.com/minio/crc64nvme
store/storetest: store
store/crypt: store
store/crypt/awskms: store store/crypt
	github.com/aws/aws-sdk-go-v2/aws github.com/aws/aws-sdk-go-v2/service/kms github.com/aws/smithy-go
store/memstore: store store/crypt
store/diskstore: store store/crypt golang.org/x/sys/unix
	github.com/cockroachdb/pebble/v2 github.com/cockroachdb/pebble/v2/bloom github.com/cockroachdb/pebble/v2/vfs
store/s3store: store
	github.com/aws/aws-sdk-go-v2/aws github.com/aws/aws-sdk-go-v2/aws/middleware github.com/aws/aws-sdk-go-v2/aws/retry
	github.com/aws/aws-sdk-go-v2/aws/signer/v4 github.com/aws/aws-sdk-go-v2/aws/transport/http
	github.com/aws/aws-sdk-go-v2/service/s3 github.com/aws/aws-sdk-go-v2/service/s3/types
	github.com/aws/smithy-go github.com/aws/smithy-go/logging github.com/aws/smithy-go/middleware github.com/aws/smithy-go/transport/http
internal/gate: access store
internal/sigv4:
internal/state: modernc.org/sqlite modernc.org/sqlite/lib
internal/identity: access internal/state
	github.com/coreos/go-oidc/v3/oidc github.com/go-jose/go-jose/v4 github.com/go-jose/go-jose/v4/jwt
	golang.org/x/crypto/chacha20poly1305 golang.org/x/time/rate
internal/userpool: internal/state
	github.com/go-jose/go-jose/v4 github.com/go-jose/go-jose/v4/jwt golang.org/x/text/unicode/norm
internal/cognito: internal/identity internal/userpool
	github.com/go-jose/go-jose/v4 golang.org/x/time/rate
internal/s3api: access store internal/gate internal/sigv4
server: access outputs store store/crypt store/crypt/awskms store/diskstore go.yaml.in/yaml/v4
	internal/cognito internal/gate internal/identity internal/s3api internal/sigv4 internal/state internal/userpool
.: outputs store store/s3store
cubbytest: . access outputs server store/crypt store/memstore
cmd/cubby: . access access/iam outputs server store store/s3store
	github.com/aws/aws-sdk-go-v2/aws github.com/aws/aws-sdk-go-v2/aws/signer/v4
	github.com/spf13/cobra github.com/spf13/pflag github.com/vbauerster/mpb/v8 github.com/vbauerster/mpb/v8/decor golang.org/x/term
e2e: github.com/aws/aws-sdk-go-v2/credentials github.com/aws/aws-sdk-go-v2/service/s3
bench/target:
bench/run: bench/target
bench/memory: bench/target
bench/rows: store store/diskstore
`

const module = "github.com/cubby-storage/cubby"

// TestClientIsLight checks that a program which imports the client links no part
// of the server and no database.
func TestClientIsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		mod, pkg, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if mod != "" && mod != module {
			modules[mod] = true
		}
		switch s := short(pkg); {
		case mod != module:
		case s != "." && s != "outputs" && s != "store" && s != "store/s3store":
			t.Errorf("the client links %s", s)
		}
	}
	const most = 14
	if len(modules) > most {
		t.Errorf("the client links %d modules, at most %d are wanted: %v", len(modules), most, slices.Sorted(maps.Keys(modules)))
	}
}

func TestImports(t *testing.T) {
	want := map[string]string{}
	// A line that begins with a tab goes on with the one before it.
	text := strings.ReplaceAll(strings.TrimSpace(imports), "\n\t", " ")
	for line := range strings.SplitSeq(text, "\n") {
		pkg, deps, _ := strings.Cut(line, ":")
		d := strings.Fields(deps)
		slices.Sort(d)
		want[pkg] = strings.Join(d, " ")
	}
	for _, p := range packages(t) {
		var got []string
		for _, imp := range p.Imports {
			if imp == module || strings.HasPrefix(imp, module+"/") {
				got = append(got, short(imp))
			} else if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") {
				got = append(got, imp)
			}
		}
		slices.Sort(got)
		pkg, g := short(p.ImportPath), strings.Join(got, " ")
		if w, ok := want[pkg]; !ok {
			t.Errorf("package %s is not in the list", pkg)
		} else if g != w {
			t.Errorf("%s imports %q, the list says %q", pkg, g, w)
		}
		delete(want, pkg)
	}
	for pkg := range want {
		t.Errorf("the list names %s, which does not exist", pkg)
	}
}

// TestDocs checks that every package opens with one comment that says what it
// is, and that everything it exports is documented.
func TestDocs(t *testing.T) {
	for _, p := range packages(t) {
		fset := token.NewFileSet()
		var files []*ast.File
		n := 0
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, p.Dir+"/"+name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				n++
			}
			files = append(files, f)
		}
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", p.ImportPath, n)
		}
		d, err := doc.NewFromFiles(fset, files, p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		funcs := d.Funcs
		for _, typ := range d.Types {
			if typ.Doc == "" {
				t.Errorf("%s.%s is not documented", p.ImportPath, typ.Name)
			}
			funcs = append(append(funcs, typ.Funcs...), typ.Methods...)
		}
		for _, f := range funcs {
			if f.Doc == "" && f.Name != "Error" && f.Name != "String" {
				t.Errorf("%s.%s%s is not documented", p.ImportPath, f.Recv, f.Name)
			}
		}
	}
}

type pkg struct {
	ImportPath, Dir  string
	Imports, GoFiles []string
}

func packages(t *testing.T) (list []pkg) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func short(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}
