package cubbytest_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/cubbytest"
)

// The test of a program that keeps its users' drafts to themselves.
func ExampleNewServer() {
	TestDrafts := func(t *testing.T) {
		srv := cubbytest.NewServer(t, nil)
		srv.AddUser("alice")
		srv.AddUser("bob")
		alice, bob := srv.Client("alice"), srv.Client("bob")

		draft := cubby.Key("draft.txt", cubby.Private)
		if _, err := alice.Upload(t.Context(), draft, strings.NewReader("Dear Bob"), nil); err != nil {
			t.Fatal(err)
		}
		_, path, err := alice.Resolve(t.Context(), draft)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bob.Download(t.Context(), cubby.At(path), io.Discard, nil); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("bob reads alice's draft: %v", err)
		}
	}
	_ = TestDrafts // in a program of your own, "go test" runs it

	// Output:
}
