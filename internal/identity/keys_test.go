package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestKeysFileIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "keys.json")
	var wg sync.WaitGroup
	var mu sync.Mutex
	found := make(map[[32]byte]int)
	for range 8 {
		wg.Go(func() {
			k, err := OpenKeys(path)
			if err != nil {
				t.Error(err)
				return
			}
			_, sub := k.Derive("test")
			mu.Lock()
			defer mu.Unlock()
			found[sub]++
		})
	}
	wg.Wait()
	if len(found) != 1 {
		t.Errorf("%d different keys were made", len(found))
	}
	all, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(all) != 1 {
		t.Errorf("files are %q, %v; want the keys file alone", all, err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", fi.Mode())
	}
}

func TestKeysFileThatOthersReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if _, err := OpenKeys(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o604, 0o640, 0o666, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeys(path)
		if runtime.GOOS == "windows" {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: %v, want how to mend it", mode, err)
		}
	}
	if _, err := OpenKeys(filepath.Dir(path)); err == nil {
		t.Error("a directory was taken for a keys file")
	}
}

func TestKeysFileThatIsNone(t *testing.T) {
	secret := `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`
	one := `{"id":"0011aabb","secret":` + secret + `}`
	if _, err := parseKeys([]byte(`{"format":1,"keys":[` + one + `]}`)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "{}", "null", `{"format":1}`, `{"format":1,"keys":[]}`, `{"format":2,"keys":[` + one + `]}`,
		`{"format":1,"keys":[` + one + `,` + one + `]}`,
		`{"format":1,"keys":[{"id":"0011AABB","secret":` + secret + `}]}`,
		`{"format":1,"keys":[{"id":"0011aa","secret":` + secret + `}]}`,
		`{"format":1,"keys":[{"id":"0011aabb","secret":"c2VjcmV0"}]}`,
		`{"format":1,"keys":[{"id":"0011aabb","secret":` + secret + `,"x":1}]}`,
	} {
		_, err := parseKeys([]byte(text))
		if err == nil {
			t.Errorf("%s was taken for a keys file", text)
		} else if strings.Contains(err.Error(), "AAAA") || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

func TestPurposesHaveKeysOfTheirOwn(t *testing.T) {
	k := NewKeys()
	id, a := k.Derive("a")
	_, b := k.Derive("b")
	if a == b || a == k.all[0].secret || id != k.all[0].id {
		t.Error("keys for two purposes are the same")
	}
	sealed := k.Sealer("a").Seal([]byte("text"), []byte("x"))
	if got, err := k.Sealer("a").Open(sealed, []byte("x")); err != nil || string(got) != "text" {
		t.Errorf("opened %q, %v", got, err)
	}
	for what, err := range map[string]error{
		"another purpose": second(k.Sealer("b").Open(sealed, []byte("x"))),
		"another thing":   second(k.Sealer("a").Open(sealed, []byte("y"))),
		"other keys":      second(NewKeys().Sealer("a").Open(sealed, []byte("x"))),
		"nothing":         second(k.Sealer("a").Open(nil, nil)),
	} {
		if !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v, want ErrSealed", what, err)
		}
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := k.Sealer("a").Open(changed, []byte("x")); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	if bytes.Equal(sealed, k.Sealer("a").Seal([]byte("text"), []byte("x"))) {
		t.Error("two seals of one text are the same")
	}
}

func second(_ []byte, err error) error { return err }

func TestRotation(t *testing.T) {
	h := newHome(t)
	ctx := t.Context()
	c := h.credentials(h.id(nil), nil)
	key, secret, err := h.AddOperatorKey(ctx, "ops")
	if err != nil {
		t.Fatal(err)
	}
	function, _, err := h.AddFunctionKey(ctx, "", "resize")
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := h.OpenIDToken(ctx, NewID("eu-1"), nil)
	if err != nil {
		t.Fatal(err)
	}

	if err := AddKey(h.keysPath()); err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.open(c) // sealed by the old key
	old := h.credentials(h.id(nil), nil)
	if old.SessionToken.Reveal()[:5] == c.SessionToken.Reveal()[:5] {
		t.Error("the old key still seals")
	}
	h.open(old)
	if _, err := h.JWKS(ctx); err != nil { // seals its key anew
		t.Fatal(err)
	}

	// The old key is dropped: sessions it sealed end, the rest stays.
	text, err := os.ReadFile(h.keysPath())
	if err != nil {
		t.Fatal(err)
	}
	var file keysFile
	if err := json.Unmarshal(text, &file); err != nil || len(file.Keys) != 2 {
		t.Fatalf("%d keys, %v; want 2", len(file.Keys), err)
	}
	file.Keys = file.Keys[:1]
	if text, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.keysPath(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.open(old)
	h.openRefused("session of the old key", c.AccessKeyID, c.SessionToken.Reveal(), CodeInvalidToken)
	if got, who, err := h.Open(ctx, key, ""); err != nil || !who.Operator || got.Reveal() != secret.Reveal() {
		t.Errorf("operator key after rotation: %+v, %v", who, err)
	}
	if _, who, err := h.Open(ctx, function, ""); err != nil || who.Subject.Function != "resize" {
		t.Errorf("function key after rotation: %+v, %v", who, err)
	}
	verifyOpenID(t, h, first.Reveal())

	// Keys of somebody else are refused, loudly.
	if err := os.Remove(h.keysPath()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.another(); !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), "keys file") {
		t.Errorf("start with other keys: %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	const word = "open sesame"
	k := NewKeys()
	k.all[0].secret = [32]byte([]byte(word + word + word)[:32])
	inside := struct {
		secret Secret
		keys   *Keys
		Sealer *Sealer
		Value  Secret
		List   []Secret
	}{NewSecret(word), k, k.Sealer("x"), NewSecret(word), []Secret{NewSecret(word)}}
	var log bytes.Buffer
	for _, l := range []*slog.Logger{slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))} {
		l.Info("x", "secret", inside.Value, "keys", k, "all", inside, "credentials", Credentials{SecretKey: inside.Value})
	}
	text, err := json.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	shown.WriteString(log.String() + string(text))
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown.WriteString(fmt.Sprintf(form, inside) + fmt.Sprintf(form, inside.Value) + fmt.Sprintf(form, k) + fmt.Sprintf(form, &inside))
	}
	for _, leak := range []string{word, fmt.Sprintf("%x", word), fmt.Sprint([]byte(word)), strings.Trim(fmt.Sprint([]byte(word)), "[]")} {
		if strings.Contains(shown.String(), leak) {
			t.Errorf("a secret is shown as %q in %s", leak, shown.String())
		}
	}
	if new(Secret).Reveal() != "" || inside.Value.Reveal() != word {
		t.Error("Reveal does not return the text")
	}
}
