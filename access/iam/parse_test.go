package iam

import (
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
)

func parse(tb testing.TB, text string) *Document {
	tb.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestParse(t *testing.T) {
	d := parse(t, `{
		"Version": "2012-10-17", "Id": "x",
		"Statement": {
			"Sid": "one", "Effect": "Allow", "Principal": "*",
			"Action": "s3:Get*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
			"Condition": {"NumericLessThan": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": [true, "false"]}}
		}
	}`)
	want := &Document{Version: Version, ID: "x", Statement: []Statement{{
		Sid: "one", Effect: Allow, Principal: Principal{"*": {"*"}}, Action: Strings{"s3:Get*"},
		Resource: Strings{"arn:aws:s3:::b", "arn:aws:s3:::b/*"},
		Condition: Condition{
			"NumericLessThan": {"s3:max-keys": {"10"}},
			"Bool":            {"aws:SecureTransport": {"true", "false"}},
		},
	}}}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v", d)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"Principal":"*"`) {
		t.Errorf("written as %s", text)
	}
}

func TestParseRefuses(t *testing.T) {
	const good = `"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"`
	for text, place := range map[string]string{
		`{}`:                    "Statement is missing",
		`[]`:                    "want an object, not a list",
		`{"Statement": [}`:      "not JSON",
		`{"Statement": []} {}`:  "not JSON",
		"{\"Statement\": \xff}": "not UTF-8",
		`{"Statement": [{` + good + `, "Sid": "\ud800x"}]}`:                                                                         "half a character",
		`{"Statement": [{` + good + `}], "Statements": 1}`:                                                                          "Statements: unknown element",
		`{"Statement": [{` + good + `}, {` + good + `}, {"Foo": 1}]}`:                                                               "Statement[2].Foo: unknown element",
		`{"Statement": {` + good + `, "effect": "Deny"}}`:                                                                           "Statement.effect: unknown element",
		`{"Statement": [{` + good + `, "Effect": "Deny"}]}`:                                                                         "Statement[0].Effect: there twice",
		`{"Statement": [{"Effect": "allow", "Action": "a", "Resource": "*"}]}`:                                                      "Statement[0].Effect: want Allow or Deny",
		`{"Statement": [{` + good + `, "NotAction": "b"}]}`:                                                                         "either Action or NotAction",
		`{"Statement": [{"Effect": "Allow", "Action": "a"}]}`:                                                                       "either Resource or NotResource",
		`{"Statement": [{"Effect": "Allow", "Action": [], "Resource": "*"}]}`:                                                       "Statement[0].Action: the list is empty",
		`{"Statement": [{"Effect": "Allow", "Action": 1, "Resource": "*"}]}`:                                                        "Statement[0].Action: want a string, not a number",
		`{"Statement": [{"Effect": "Allow", "Action": "a", "Resource": null}]}`:                                                     "not null",
		`{"Version": "2020-01-01", "Statement": []}`:                                                                                "unknown version",
		`{"Statement": [{` + good + `, "Principal": {"Role": "x"}}]}`:                                                               "Statement[0].Principal.Role: unknown kind",
		`{"Statement": [{` + good + `, "NotPrincipal": "*"}]}`:                                                                      "Statement[0].NotPrincipal: unknown element",
		`{"Statement": [{` + good + `, "Condition": {"StringLike": "x"}}]}`:                                                         "Statement[0].Condition.StringLike: want an object",
		`{"Statement": [{` + good + `, "Condition": {"StringLike": {"k": [null]}}}]}`:                                               "Statement[0].Condition.StringLike.k",
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a", "Resource": ["*", "arn:aws:s3::${aws:x}:b"]}]}`: "Statement[0].Resource[1]: a variable",
		`{"Statement": [{"Effect": "Allow", "Action": "a", "Resource": ["*", "arn:aws:s3:media"]}]}`:                                `Statement[0].Resource[1]: want "*" or an ARN`,
		`{"Statement": [{"Effect": "Allow", "Action": "a", "NotResource": "media/*"}]}`:                                             `Statement[0].NotResource[0]: want "*" or an ARN`,
		`{"Statement": [{"Effect": "Allow", "Action": "a", "Resource": "arn:aws::::media"}]}`:                                       `Statement[0].Resource[0]: want "*" or an ARN`,
		`{"Statement": [{"Effect": "Allow", "Action": "a", "Resource": "arn:aws:s3:::"}]}`:                                          `Statement[0].Resource[0]: want "*" or an ARN`,
		`{"Statement": [{` + good + `, "Sid": "a"}, {` + good + `}, {` + good + `}, {` + good + `, "Sid": "a"}]}`:                   `Statement[3].Sid: Statement[0] has "a" already`,
		`{"Statement": [{` + good + `}, {` + good + `, "Sid": "a b"}]}`:                                                             `Statement[1].Sid: want letters and digits`,
		`{"Statement": [[[[[[[[[[1]]]]]]]]]]}`:                                                                                      "nested too deep",
		`{"Statement": [` + strings.Repeat(" ", 5<<20) + `]}`:                                                                       "longer than",
	} {
		_, err := Parse([]byte(text))
		if !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), place) {
			t.Errorf("%.200s: %v, want %q", text, err, place)
		}
	}
}

// TestParseSids reads what may be there: no Sid, an empty one, and a sentence in the
// policy of a bucket.
func TestParseSids(t *testing.T) {
	const one = `{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"`
	parse(t, `{"Statement": [`+one+`}, `+one+`}, `+one+`, "Sid": ""}, `+one+`, "Sid": ""}, `+one+`, "Sid": "Aa9"},
		`+one+`, "Sid": "Only our users.", "Principal": "*"}]}`)
}

func TestSize(t *testing.T) {
	const text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::b/a b/<é>&/*","*"]}]}`
	d := parse(t, strings.ReplaceAll(text, ":[", " :\n\t[ "))
	if got, want := Size(d), len([]rune(text)); got != want {
		t.Errorf("size %d, want %d", got, want)
	}
	before := Size(d)
	d.Statement[0].Sid = "€𝄞"
	if got, want := Size(d)-before, len(`"Sid":"\u20ac\ud834\udd1e",`); got != want {
		t.Errorf("%d more, want %d", got, want)
	}
}

// FuzzParse reads any text. What is a policy is written as text that is the same
// policy, and the order in which it asks its statements makes no difference.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"\u00e9","Effect":"Allow","Principal":{"AWS":["a","b"]},"Action":["s3:Get*","s3:?"],"NotResource":"arn:aws:s3:::b/${x, 'y'}/*","Condition":{"ForAnyValue:StringNotLikeIfExists":{"a":[1,true,"x"]},"Null":{"b":"true"}}},{"Effect":"Deny","NotAction":"s3:GetObject","Resource":"*"}]}`), "s3:GetObject", "arn:aws:s3:::b/y/k", "x")
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:a:b:::a*b?c"}}`), "a:b", "arn:a:b:::axxbyc", "")
	f.Fuzz(func(t *testing.T, text []byte, action, resource, value string) {
		d, err := Parse(text)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Parse(again)
		if err != nil || !reflect.DeepEqual(d, e) {
			t.Fatalf("%s is written as %s: %v", text, again, err)
		}
		if len(d.Statement) > 50 {
			return
		}
		r := &Request{Action: action, Resource: resource, Context: map[string][]string{"a": {value}, "x": {value}, "b": nil}}
		checkStatements(t, d, r)
	})
}

// checkStatements evaluates each statement of a policy by itself, and puts the
// answers together.
func checkStatements(t *testing.T, d *Document, r *Request) {
	t.Helper()
	allow, deny := Implicit, Implicit
	for _, s := range d.Statement {
		sum := &allow
		if s.Effect == Deny {
			sum, s.Effect = &deny, Allow
		}
		a := (&Document{Version: d.Version, Statement: []Statement{s}}).Evaluate(r)
		if a == Allowed || a == Undecided && *sum == Implicit {
			*sum = a
		}
	}
	want := allow
	switch deny {
	case Allowed:
		want = Denied
	case Undecided:
		want = Undecided
	}
	if got := d.Evaluate(r); got != want {
		t.Errorf("%+v on %+v: %v, want %v", d, r, got, want)
	}
	many := &Document{Version: d.Version}
	for range fewStatements + 1 {
		many.Statement = append(many.Statement, d.Statement...)
	}
	if got := many.Evaluate(r); got != want {
		t.Errorf("%+v on %+v, looked up: %v, want %v", d, r, got, want)
	}
}
