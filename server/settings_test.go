package server

import (
	"path/filepath"
	"testing"

	"github.com/cubby-storage/cubby/internal/state"
)

// TestBucketCORS gives a bucket rules of its own, which hold from then on.
func TestBucketCORS(t *testing.T) {
	w := newWorld(t, nil)
	rules := "<CORSConfiguration><CORSRule><AllowedOrigin>https://app.example.org</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
	w.as(w.operator, "PUT", "/media?cors", rules, "X-Amz-Content-Sha256: "+hashOf(rules)).is(200)
	w.as(w.user("alice"), "GET", "/media?cors", "").is(403, "AccessDenied")
	preflight := func(bucket, origin string, status int) {
		t.Helper()
		w.as(nil, "OPTIONS", "/"+bucket+"/public/x", "", "Origin: "+origin, "Access-Control-Request-Method: GET").is(status)
	}
	preflight("media", "https://app.example.org", 200)
	preflight("media", "https://evil.example.org", 403)
	preflight("other", "https://evil.example.org", 200)
	w.as(w.operator, "DELETE", "/media", "").is(204)
	preflight("media", "https://evil.example.org", 200)
}

func TestSettingsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open := func() (*settings, *state.DB) {
		t.Helper()
		db, err := state.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := openSettings(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		return s, db
	}
	s, db := open()
	for _, c := range [][3]string{{"a", "cors", "1"}, {"a", "more", "2"}, {"b", "cors", "3"}, {"b", "more", "4"}, {"b", "more", ""}} {
		if err := s.SetDocument(t.Context(), c[0], c[1], c[2]); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "none"} {
		if err := s.Forget(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for want, of := range map[string][2]string{"": {"a", "cors"}, "3": {"b", "cors"}} {
			if got := s.Document(of[0], of[1]); got != want {
				t.Errorf("%s is %q, want %q", of, got, want)
			}
		}
		if got := s.Document("b", "more"); got != "" {
			t.Errorf("what was removed is %q", got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s, db = open()
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetDocument(t.Context(), "b", "cors", "5"); err == nil || s.Document("b", "cors") != "3" {
		t.Errorf("what was not kept is there: %v", err)
	}
}
