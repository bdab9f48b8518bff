package userpool

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestUserNames(t *testing.T) {
	for name, want := range map[string]string{
		"ann":                    "ann",
		"Ann":                    "ann",
		"ann@Example.com":        "ann@example.com",
		"ZOE\u0308":              "zo\u00eb", // composed
		"ÉLODIE":                 "élodie",
		"名前":                     "名前",
		"a.b-c_d+e":              "a.b-c_d+e",
		"...":                    "...",
		strings.Repeat("a", 128): strings.Repeat("a", 128),
	} {
		if got, err := NormalizeName(name); got != want || err != nil {
			t.Errorf("%q becomes %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{
		"", ".", "..", "a/b", "a*", "a?", "a$", "{a", "a}", "a b", " ", "a\x00", "a\n", "a\u202eb", "a\u200bb",
		"\xff", "a\ufffd", strings.Repeat("a", 129), strings.Repeat("é", 65), strings.Repeat("x", 1<<20),
	} {
		if got, err := NormalizeName(name); code(err) != InvalidParameter {
			t.Errorf("%.20q is accepted as %.20q, %v", name, got, err)
		}
	}
}

func FuzzNormalizeName(f *testing.F) {
	for _, s := range []string{"ann", "Ann", "İ", "ǅ", "ZOE\u0308", "a/b", "\xff", "ΑΣ", "\u0345A", "ᾼ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := NormalizeName(s)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("%q: the error %v is not an Error", s, err)
			}
			return
		}
		again, err := NormalizeName(name)
		if err != nil || again != name {
			t.Errorf("%q becomes %q, and that %q, %v", s, name, again, err)
		}
		if len(name) > maxName || !utf8.ValidString(name) || !norm.NFC.IsNormalString(name) ||
			strings.ContainsAny(name, "/*?${} \x00\n") || name == "." || name == ".." || name == "" {
			t.Errorf("%q becomes %q, which may not stand in a path", s, name)
		}
	})
}

func TestAttributesCannotPassForClaims(t *testing.T) {
	for _, name := range []string{
		"sub", "iss", "aud", "exp", "token_use", "cognito:groups", "cognito:username", "origin_jti",
		"", "Email", "custom:", "custom:a/b", "custom:" + strings.Repeat("x", 21), "dev:custom:x",
	} {
		if err := checkAttributes(map[string]string{name: "x"}); code(err) != InvalidParameter {
			t.Errorf("attribute %q is accepted: %v", name, err)
		}
	}
	for name, value := range map[string]string{
		"email_verified": "yes", "name": "a\x00b", "nickname": "\xff", "custom:x": strings.Repeat("x", 2049),
	} {
		if err := checkAttributes(map[string]string{name: value}); code(err) != InvalidParameter {
			t.Errorf("attribute %q accepts %.10q: %v", name, value, err)
		}
	}
	good := map[string]string{"email": "a@b.example", "email_verified": "true", "custom:team": "blue", "name": "Ann Ö"}
	if err := checkAttributes(good); err != nil {
		t.Error(err)
	}
}
