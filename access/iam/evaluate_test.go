package iam

import (
	"fmt"
	"strings"
	"testing"
)

// ask evaluates one statement of the current version.
func ask(s Statement, r Request) Answer {
	if s.Effect == "" {
		s.Effect = Allow
	}
	if s.Action == nil && s.NotAction == nil {
		s.Action = Strings{"*"}
	}
	if s.Resource == nil && s.NotResource == nil {
		s.Resource = Strings{"*"}
	}
	return (&Document{Version: Version, Statement: []Statement{s}}).Evaluate(&r)
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		action, asked string
		want          bool
	}{
		{"s3:GetObject", "s3:GetObject", true},
		{"S3:getobject", "s3:GetObject", true},
		{"s3:Get*", "s3:GetObject", true},
		{"s3:?etObject", "s3:GetObject", true},
		{"*", "s3:GetObject", true},
		{"s3:Get", "s3:GetObject", false},
		{"s3:${a}*", "s3:GetObject", false},
	} {
		s := Statement{Action: Strings{"x:y", c.action}}
		if got := ask(s, Request{Action: c.asked}); (got == Allowed) != c.want {
			t.Errorf("%s on %s: %v", c.action, c.asked, got)
		}
		s = Statement{NotAction: s.Action}
		if got := ask(s, Request{Action: c.asked}); (got == Allowed) == c.want {
			t.Errorf("not %s on %s: %v", c.action, c.asked, got)
		}
	}
}

func TestResources(t *testing.T) {
	me := map[string][]string{IdentityKey: {"eu:1*"}, "gone": nil, "two": {"a", "b"}}
	for _, c := range []struct {
		resource, asked string
		want            Answer
	}{
		{"arn:aws:s3:::b/a/*", "arn:aws:s3:::b/a/b/c", Allowed},
		{"arn:aws:s3:::b/a/*", "arn:aws:s3:::b/a", Implicit},
		{"arn:aws:s3:::b/A", "arn:aws:s3:::b/a", Implicit},
		{"arn:aws:s3:::b/${cognito-identity.amazonaws.com:SUB}/*", "arn:aws:s3:::b/eu:1*/x", Allowed},
		{"arn:aws:s3:::b/${cognito-identity.amazonaws.com:sub}/*", "arn:aws:s3:::b/eu:12/x", Implicit},
		{"arn:aws:s3:::b/${gone}*", "arn:aws:s3:::b/", Implicit},
		{"arn:aws:s3:::b/${gone, 'x'}", "arn:aws:s3:::b/x", Allowed},
		{"arn:aws:s3:::b/${gone, '*'}", "arn:aws:s3:::b/x", Undecided},
		{"arn:aws:s3:::b/${cognito-identity.amazonaws.com:sub,'x'}", "arn:aws:s3:::b/x", Implicit},
		{"arn:aws:s3:::b/${other}/*", "arn:aws:s3:::b/x/y", Undecided},
		{"arn:aws:s3:::b/${other}/*", "arn:aws:s3:::b/x", Implicit},
		{"arn:aws:s3:::b/${two}/*", "arn:aws:s3:::b/a/y", Undecided},
		{"arn:aws:s3:::b/${gone}${other}/*", "arn:aws:s3:::b/a/y", Implicit},
		{"arn:aws:s3:::b/a${*}${?}${$}", "arn:aws:s3:::b/a*?$", Allowed},
		{"arn:aws:s3:::b/a${*}", "arn:aws:s3:::b/ab", Implicit},
		{"arn:aws:s3:::b/a${", "arn:aws:s3:::b/ab", Undecided},
		{"arn:aws:s3:::b/a$b", "arn:aws:s3:::b/a$b", Allowed},
		{"arn:aws:s3::${gone}:b/a", "arn:aws:s3:::b/a", Undecided},
	} {
		r := Request{Action: "s3:GetObject", Resource: c.asked, Context: me}
		if got := ask(Statement{Resource: Strings{"x", c.resource}}, r); got != c.want {
			t.Errorf("%s on %s: %v, want %v", c.resource, c.asked, got, c.want)
		}
		opposite := map[Answer]Answer{Allowed: Implicit, Implicit: Allowed, Undecided: Undecided}
		if got := ask(Statement{NotResource: Strings{"x", c.resource}}, r); got != opposite[c.want] {
			t.Errorf("not %s on %s: %v", c.resource, c.asked, got)
		}
	}
	// In the old version there are no variables.
	old := &Document{Statement: []Statement{{Effect: Allow, Action: Strings{"*"}, Resource: Strings{"a${*}"}}}}
	for asked, want := range map[string]Answer{"a${x}": Allowed, "a*": Implicit} {
		if got := old.Evaluate(&Request{Resource: asked}); got != want {
			t.Errorf("old %s: %v, want %v", asked, got, want)
		}
	}
}

func TestConditions(t *testing.T) {
	known := map[string][]string{
		"s3:prefix": {"a/b"}, "Gone": nil, "amr": {"authenticated", "x"}, "tls": {"true"},
		"arn": {"arn:aws:iam::1:role/r"}, IdentityKey: {"eu:1"}, "empty": {""},
	}
	for _, c := range []struct {
		operator, key, values string
		want                  Answer
	}{
		{"StringEquals", "S3:Prefix", "x a/b", Allowed},
		{"StringEquals", "s3:prefix", "a/*", Implicit},
		{"StringEquals", "s3:prefix", "A/b", Implicit},
		{"StringNotEquals", "s3:prefix", "x a/b", Implicit},
		{"StringNotEquals", "s3:prefix", "x", Allowed},
		{"StringEqualsIgnoreCase", "s3:prefix", "A/B", Allowed},
		{"StringNotEqualsIgnoreCase", "s3:prefix", "A/B", Implicit},
		{"StringLike", "s3:prefix", "a/*", Allowed},
		{"StringLike", "s3:prefix", "?", Implicit},
		{"StringLike", "empty", "*", Allowed},
		{"StringNotLike", "s3:prefix", "a/*", Implicit},
		{"StringLike", "gone", "*", Implicit},
		{"StringNotLike", "gone", "*", Allowed},
		{"StringLikeIfExists", "gone", "x", Allowed},
		{"StringLikeIfExists", "s3:prefix", "x", Implicit},
		{"StringNotLikeIfExists", "gone", "x", Allowed},
		{"StringLike", "unknown", "*", Undecided},
		{"StringLikeIfExists", "unknown", "*", Undecided},
		{"StringLike", "s3:prefix", "${unknown}*", Undecided},
		{"StringLike", "s3:prefix", "${gone}*", Implicit},
		{"StringNotLike", "s3:prefix", "${gone}*", Allowed},
		{"StringEquals", IdentityKey, "${" + IdentityKey + "}", Allowed},
		{"StringLike", "amr", "x", Undecided},
		{"ForAnyValue:StringLike", "amr", "auth*", Allowed},
		{"ForAnyValue:StringEquals", "amr", "auth*", Implicit},
		{"ForAnyValue:StringNotEquals", "amr", "x", Allowed},
		{"ForAnyValue:StringNotEquals", "amr", "x authenticated", Implicit},
		{"ForAnyValue:StringLike", "gone", "*", Implicit},
		{"ForAnyValue:StringNotLike", "gone", "x", Implicit},
		{"ForAllValues:StringEquals", "amr", "x", Implicit},
		{"ForAllValues:StringEquals", "amr", "x authenticated", Allowed},
		{"ForAllValues:StringNotEquals", "amr", "y", Allowed},
		{"ForAllValues:StringEquals", "gone", "x", Allowed},
		{"ForAllValues:StringEquals", "unknown", "x", Undecided},
		{"ArnLike", "arn", "arn:aws:iam::*:role/?", Allowed},
		{"ArnEquals", "arn", "arn:aws:iam::*:role/*", Allowed},
		{"ArnLike", "arn", "arn:aws:*:role/r", Undecided},
		{"ArnLike", "s3:prefix", "arn:*:*:*:*:*", Implicit},
		{"ArnNotLike", "arn", "arn:aws:iam::1:role/x", Allowed},
		{"Bool", "tls", "true", Allowed},
		{"Bool", "tls", "false", Implicit},
		{"Bool", "tls", "yes", Undecided},
		{"BoolIfExists", "gone", "false", Allowed},
		{"Bool", "s3:prefix", "false", Implicit},
		{"Null", "gone", "true", Allowed},
		{"Null", "s3:prefix", "true", Implicit},
		{"Null", "empty", "false", Allowed},
		{"Null", "unknown", "false", Undecided},
		{"NullIfExists", "gone", "true", Undecided},
		{"NumericEquals", "s3:max-keys", "1", Undecided},
		{"stringlike", "s3:prefix", "*", Undecided},
	} {
		s := Statement{Condition: Condition{c.operator: {c.key: strings.Fields(c.values)}}}
		if got := ask(s, Request{Context: known}); got != c.want {
			t.Errorf("%s %s %s: %v, want %v", c.operator, c.key, c.values, got, c.want)
		}
		s.Effect = Deny
		deny := map[Answer]Answer{Allowed: Denied, Implicit: Implicit, Undecided: Undecided}
		if got := ask(s, Request{Context: known}); got != deny[c.want] {
			t.Errorf("deny %s %s %s: %v", c.operator, c.key, c.values, got)
		}
	}
}

// TestUnknownMatters asks policies of which a part is unknown.
func TestUnknownMatters(t *testing.T) {
	open := Condition{"DateLessThan": {"aws:CurrentTime": {"2030-01-01T00:00:00Z"}}}
	closed := Condition{"Null": {"k": {"true"}}, "DateLessThan": open["DateLessThan"]}
	all := func(effect string, c Condition) Statement {
		return Statement{Effect: effect, Action: Strings{"*"}, Resource: Strings{"*"}, Condition: c}
	}
	for i, c := range []struct {
		statements []Statement
		want       Result
	}{
		{nil, Result{Implicit, -1}},
		{[]Statement{all(Allow, open)}, Result{Undecided, 0}},
		{[]Statement{all(Allow, closed)}, Result{Implicit, -1}},
		{[]Statement{all(Allow, open), all(Allow, nil)}, Result{Allowed, 1}},
		{[]Statement{all(Allow, nil), all(Deny, open)}, Result{Undecided, 1}},
		{[]Statement{all(Allow, nil), all(Deny, closed)}, Result{Allowed, 0}},
		{[]Statement{all(Allow, open), all(Deny, open), all(Deny, nil)}, Result{Denied, 2}},
	} {
		d := &Document{Version: Version, Statement: c.statements}
		r := &Request{Action: "a", Resource: "r", Context: map[string][]string{"k": {"v"}}}
		e := d.Compile()
		got := e.Evaluate(r)
		if got != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
		if why := e.Unknown; got.Answer == Undecided && !strings.Contains(why(r, got.Statement), fmt.Sprintf("Statement[%d].Condition.DateLessThan", got.Statement)) {
			t.Errorf("%d: open because of %s", i, why(r, got.Statement))
		}
	}
}

func TestPrincipals(t *testing.T) {
	role, other := "arn:aws:iam::1:role/r", "arn:aws:iam::1:role/o"
	for _, c := range []struct {
		principal Principal
		asks      string
		want      Answer
	}{
		{nil, "", Allowed},
		{Principal{"*": {"*"}}, "", Allowed},
		{Principal{"AWS": {"*"}}, role, Allowed},
		{Principal{"AWS": {other, role}}, role, Allowed},
		{Principal{"AWS": {other}}, role, Implicit},
		{Principal{"AWS": {other}}, "", Undecided},
		{Principal{"AWS": {"arn:aws:iam::1:root"}}, role, Undecided},
		{Principal{"AWS": {"*"}}, "", Allowed},
		{Principal{"Service": {"x"}}, role, Implicit},
		{Principal{"Service": {"x"}}, "", Undecided},
		{Principal{"AWS": {other}, "Service": {"x"}}, role, Implicit},
		{Principal{"AWS": {role}, "Federated": {"x"}}, role, Allowed},
		{Principal{"Federated": {"x"}}, role, Undecided},
	} {
		if got := ask(Statement{Principal: c.principal}, Request{Principal: c.asks}); got != c.want {
			t.Errorf("%v for %q: %v, want %v", c.principal, c.asks, got, c.want)
		}
	}
	// The trust policy of a role has no resources; any other policy must have some.
	for i, want := range []Answer{Undecided, Allowed} {
		d := &Document{Statement: []Statement{{Effect: Allow, Action: Strings{"*"}}}}
		if i == 1 {
			d.Statement[0].Principal = Principal{"*": {"*"}}
		}
		if got := d.Evaluate(&Request{}); got != want {
			t.Errorf("without resources: %v, want %v", got, want)
		}
	}
}

func TestPatterns(t *testing.T) {
	d := parse(t, `{"Statement": [
		{"Effect": "Allow", "Action": "s3:Get*", "Resource": ["arn:a:b:::a${x}*", "arn:a:b:::b?"]},
		{"Effect": "Deny", "NotAction": "s3:PutObject", "NotResource": "arn:a:b:::c"},
		{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:a:b:::d"},
		{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:a:b:::e", "Condition": {
			"StringEquals": {"s3:prefix": ["*"]}, "ForAnyValue:StringNotLikeIfExists": {"S3:Prefix": "f*"}, "Null": {"s3:prefix": "true"}}},
		{"Effect": "Allow", "Action": "s3:Odd", "Resource": "*", "Condition": {"ArnLike": {"s3:prefix": "*"}}}
	]}`)
	e := d.Compile()
	if got, want := fmt.Sprint(e.Resources("s3:GetObject")), "[{arn:a:b:::a${$}{x}* Statement[0].Resource[0]} {arn:a:b:::b? Statement[0].Resource[1]} {arn:a:b:::c Statement[1].NotResource[0]}]"; got != want {
		t.Errorf("resources %s, want %s", got, want)
	}
	got, err := e.Values("s3:ListBucket", "s3:prefix")
	if want := "[{f* Statement[3].Condition.ForAnyValue:StringNotLikeIfExists.S3:Prefix[0]} {${*} Statement[3].Condition.StringEquals.s3:prefix[0]}]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("values %v %v, want %s", got, err, want)
	}
	if _, err := e.Values("s3:Odd", "s3:prefix"); err == nil {
		t.Error("an ARN is no pattern")
	}
}

// BenchmarkEvaluate asks policies of 10,000 patterns, which are in one statement
// or each in one of its own.
func BenchmarkEvaluate(b *testing.B) {
	one := &Document{Version: Version, Statement: []Statement{{Effect: Allow, Action: Strings{"s3:GetObject"}}}}
	many := &Document{Version: Version}
	lists := &Document{Version: Version}
	for i := range 10000 {
		p := fmt.Sprintf("tenants/t%05d/files/private/${%s}/*", i, IdentityKey)
		arn := Strings{"arn:aws:s3:::bucket/" + p}
		one.Statement[0].Resource = append(one.Statement[0].Resource, arn[0])
		many.Statement = append(many.Statement, Statement{Effect: Allow, Action: Strings{"s3:GetObject"}, Resource: arn})
		lists.Statement = append(lists.Statement, Statement{
			Effect: Allow, Action: Strings{"s3:ListBucket"}, Resource: Strings{"arn:aws:s3:::bucket"},
			Condition: Condition{"StringLike": {"s3:prefix": {p}}},
		})
	}
	me := "eu-west-1:00000000-0000-4000-8000-000000000000"
	key := "tenants/t07777/files/private/" + me + "/x"
	object := &Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::bucket/" + key, Context: map[string][]string{IdentityKey: {me}}}
	list := &Request{Action: "s3:ListBucket", Resource: "arn:aws:s3:::bucket", Context: map[string][]string{IdentityKey: {me}, "s3:prefix": {key}}}
	for _, c := range []struct {
		name string
		d    *Document
		r    *Request
	}{{"one", one, object}, {"many", many, object}, {"lists", lists, list}} {
		b.Run(c.name, func(b *testing.B) {
			e := c.d.Compile()
			for b.Loop() {
				if e.Evaluate(c.r).Answer != Allowed {
					b.Fatal("not allowed")
				}
			}
		})
	}
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			one.Compile()
		}
	})
}
