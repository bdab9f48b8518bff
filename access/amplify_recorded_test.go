package access_test

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/access/iam"
)

// TestAmplifyRecorded compares Generate with what Amplify's own generator answered
// to random rules, many of them strange. The program e2e records the answers and
// asks about others each time: see e2e/backend.
func TestAmplifyRecorded(t *testing.T) {
	text, err := os.ReadFile("testdata/amplify-random.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name            string
			Access          json.RawMessage
			Paths, Policies any
			Error           *struct{ Name string }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var written, refused, denying int
	for _, c := range file.Cases {
		a, err := access.ParseAmplify(c.Access)
		if err != nil {
			t.Errorf("case %s\n%s\n%v", c.Name, c.Access, err)
			continue
		}
		out, err := a.Generate(bucketARN)
		if c.Error != nil {
			refused++
			if e, ok := errors.AsType[*access.AmplifyError](err); !ok || e.Name != c.Error.Name {
				t.Errorf("case %s\n%s\nerror %v, Amplify has %s", c.Name, c.Access, err, c.Error.Name)
			}
			continue
		}
		if err != nil {
			t.Errorf("case %s\n%s\n%v", c.Name, c.Access, err)
			continue
		}
		written++
		policies := make(map[string]any)
		for _, p := range out.Policies {
			if _, twice := policies[p.Role]; twice {
				t.Errorf("case %s\n%s\nhas two documents for %s", c.Name, c.Access, p.Role)
			}
			policies[p.Role] = p.Document
			for _, s := range p.Document.Statement {
				if s.Effect == iam.Deny {
					denying++
				}
			}
		}
		for _, part := range []struct {
			name      string
			got, want any
		}{{"paths", out.Paths, c.Paths}, {"policies", policies, c.Policies}} {
			if got := plain(t, part.got); !reflect.DeepEqual(got, part.want) {
				t.Errorf("case %s\n%s\n%s\n%s\nAmplify has\n%s", c.Name, c.Access, part.name, indent(t, got), indent(t, part.want))
			}
		}
	}
	if written < 250 || refused < 80 || denying < 100 {
		t.Errorf("%d cases are written, %d refused, and %d statements deny: too few", written, refused, denying)
	}
}

// plain returns a value as it is when it comes back from JSON.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func indent(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
