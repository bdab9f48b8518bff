package outputs

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRead reads any text in every format.
func FuzzRead(f *testing.F) {
	for name := range examples {
		f.Add(file(f, name))
	}
	f.Add(file(f, "wrong.json"))
	f.Add(`{"version":"1","storage":{"aws_region":"r","bucket_name":"b","buckets":[]}}`)
	f.Add(`{"version":"1.3","auth":{"aws_region":"r","groups":[{"":{}}]},"custom":{"cubby":{}}}`)
	f.Add(`{"version":"1.2","storage":{"aws_region":"r","bucket_name":"<&>","buckets":[{"name":"a","bucket_name":"x","aws_region":"r","paths":{"p":{}}}]}}`)
	f.Add(`{Auth: {Cognito: {loginWith: {oauth: {}}, mfa: {}, passwordless: {webAuthn: {}}, userAttributes: {a: {required: false}}}}}`)
	f.Add(`{"UserAgent":"x","auth":{"plugins":{"awsCognitoAuthPlugin":{"CognitoUserPool":{"Default":{"PoolId":"r_1"}},"Auth":{"Default":{}}}}}}`)
	f.Add(`{Storage: {bucket: 'b', region: 'r', identityPoolId: 'r:1', level: 'private', track: true}}`)
	f.Add(`{"S3TransferUtility":{"Default":{"Bucket":"b","Region":"r","x":{}}},"Auth":{"Default":{}}, // c
}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, from := range Formats() {
			roundTrip(t, text, from)
		}
	})
}

// FuzzEdits reads the examples with parts left out, put elsewhere and replaced.
func FuzzEdits(f *testing.F) {
	names := slices.Sorted(maps.Keys(examples))
	for start := range uint64(40) {
		f.Add(uint8(start), start, uint8(start))
	}
	f.Fuzz(func(t *testing.T, which uint8, start uint64, edits uint8) {
		name := names[int(which)%len(names)]
		_, root, err := parseText(file(t, name))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(start, 0))
		for range edits%8 + 1 {
			edit(r, root)
		}
		roundTrip(t, string(root.raw()), examples[name])
	})
}

// edit changes something in v.
func edit(r *rand.Rand, v *value) {
	var all []*value
	var walk func(*value)
	walk = func(v *value) {
		all = append(all, v)
		for _, f := range v.fields {
			walk(f.value)
		}
		for _, e := range v.items {
			walk(e)
		}
	}
	walk(v)
	if at := all[r.IntN(len(all))]; len(at.fields) > 0 {
		i := r.IntN(len(at.fields))
		f := &at.fields[i]
		switch r.IntN(3) {
		case 0:
			at.fields = slices.Delete(at.fields, i, i+1)
		case 1:
			f.name = []string{"", "0", "x", "custom", "a.b", "paths"}[r.IntN(6)]
		default:
			f.value = other(r)
		}
	} else if len(at.items) > 0 {
		i := r.IntN(len(at.items))
		if r.IntN(2) == 0 {
			at.items = slices.Delete(at.items, i, i+1)
		} else {
			at.items[i] = other(r)
		}
	} else if at != v {
		*at = *other(r)
	}
}

func other(r *rand.Rand) *value {
	return []*value{
		{},
		newFlag(true), newFlag(false), newText(""), newText("r_1:x"), newText("link"), newNumber(0), newNumber(-7),
		newObject(), newList(nil), newList([]string{"get"}),
		{kind: object, fields: []field{{name: "x", value: newNumber(1)}}},
	}[r.IntN(12)]
}

// roundTrip reads a text. What was read can be written in its own format, and is
// then the same. What other formats take of it can be read, too.
func roundTrip(t *testing.T, text string, from Format) {
	t.Helper()
	first, err := ReadAs(strings.NewReader(text), &ReadOptions{Format: from})
	if err != nil {
		if !errors.Is(err, fs.ErrInvalid) {
			t.Fatalf("error %v is not fs.ErrInvalid", err)
		}
		return
	}
	if !utf8.ValidString(text) {
		t.Fatal("something was read that is not UTF-8")
	}
	for _, to := range Formats() {
		var b strings.Builder
		warnings, err := first.WriteAs(&b, &WriteOptions{Format: to})
		if err != nil {
			if _, ok := errors.AsType[Errors](err); !ok || to == from {
				t.Fatalf("write as %s of what was read as %s: %v\n%s", to, from, err, text)
			}
			continue
		}
		second, err := ReadAs(strings.NewReader(b.String()), &ReadOptions{Format: to})
		if err != nil {
			t.Fatalf("read of what was written as %s: %v\n%s", to, err, b.String())
		}
		if to != from || slices.ContainsFunc(warnings, func(w Warning) bool { return !strings.Contains(w.Text, "schema") }) {
			continue
		}
		second.Version = first.Version // it may have to rise
		if a, b := normal(t, first), normal(t, second); a != b {
			t.Errorf("read\n%s\nas\n%s, then wrote\n%s", text, a, b)
		}
	}
}

// FuzzModule parses any text as JSON or a module. What it takes for JSON,
// encoding/json does, too, and writes the same.
func FuzzModule(f *testing.F) {
	f.Add(`{"a": [1, -2.5e+3, "x\u00e9\ud83d\ude00\n", true, null, {}]}`)
	f.Add(`export default {a: 'b', /* c */ "d": [0,],}`)
	f.Add("const a: b = {}; module.exports = a // end")
	f.Add(file(f, "any-bucket.js"))
	f.Fuzz(func(t *testing.T, s string) {
		p, root, err := parseText(s)
		if err != nil {
			if _, ok := errors.AsType[*syntaxError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		text := string(root.raw())
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%q is written as %q: %v", s, text, err)
		}
		if _, again, err := parseText(text); err != nil || string(again.raw()) != text {
			t.Fatalf("%q is written as %q, and then: %v", s, text, err)
		}
		if p.lax != nil || p.loose != nil {
			return
		}
		var want any
		if err := json.Unmarshal([]byte(strings.TrimPrefix(s, "\ufeff")), &want); err != nil {
			t.Fatalf("%q is taken for JSON: %v", s, err)
		}
		if p.dups == nil && !reflect.DeepEqual(v, want) {
			t.Fatalf("%q is written as %q", s, text)
		}
	})
}

// FuzzPaths reads the rules of any path back from what it is written as.
func FuzzPaths(f *testing.F) {
	f.Add("public/*", "guest", "get", "public/*", "authenticated", "read")
	f.Add("p/{entity_id}/*", "owner", "write", "p/{entity_id}/*", "group:a", "delete")
	f.Add("p/{sub}/*", "owner", "versions", "q/*", "", "")
	f.Fuzz(func(t *testing.T, path1, who1, action1, path2, who2, action2 string) {
		paths, _ := Paths([]Rule{{Path: path1, Who: who1, Actions: []string{action1}}, {Path: path2, Who: who2, Actions: []string{action2}}})
		rules, warnings := (&Bucket{Paths: paths}).Rules()
		if warnings != nil {
			t.Fatalf("%v has keys that nobody knows: %v", paths, warnings)
		}
		again, warnings := Paths(rules)
		if warnings != nil || !reflect.DeepEqual(again, paths) {
			t.Errorf("%v became %v, %v", paths, again, warnings)
		}
	})
}

// normal returns o as text, in which what means the same looks the same: an empty
// list of providers, say, is as good as none.
func normal(t *testing.T, o *Outputs) string {
	t.Helper()
	c := *o
	if c.Auth != nil && c.Auth.OAuth != nil {
		auth, h := *c.Auth, *c.Auth.OAuth
		h.Response = response(&h)
		auth.OAuth = &h
		c.Auth = &auth
	}
	b, err := json.MarshalIndent(&c, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), ": []", ": null")
}
