package iam

import (
	"maps"
	"slices"
	"strings"
)

// operator is what a condition operator does with one value.
type operator uint8

const (
	unknownOperator operator = iota
	equals
	equalsFold
	like
	arn
	boolean
	null
)

// operators are the operators that are known, without what may stand before and
// behind their names.
var operators = map[string]struct {
	op  operator
	not bool
}{
	"StringEquals":              {equals, false},
	"StringNotEquals":           {equals, true},
	"StringEqualsIgnoreCase":    {equalsFold, false},
	"StringNotEqualsIgnoreCase": {equalsFold, true},
	"StringLike":                {like, false},
	"StringNotLike":             {like, true},
	"ArnEquals":                 {arn, false},
	"ArnLike":                   {arn, false},
	"ArnNotEquals":              {arn, true},
	"ArnNotLike":                {arn, true},
	"Bool":                      {boolean, false},
	"Null":                      {null, false},
}

// quantifier says how many of several values in a request must meet a condition.
type quantifier uint8

const (
	single quantifier = iota // there may be only one
	forAny
	forAll
)

// test is a condition on one key.
type test struct {
	name     string // of the operator, as it is written
	key      string // in lower case
	op       operator
	not      bool
	ifExists bool
	each     quantifier
	patterns index         // of equals and like
	list     []pattern     // of equalsFold
	arns     [][6]*pattern // of arn
	want     []bool        // of boolean and null
}

// compile returns the tests that all must be met.
func (c Condition) compile(variables bool) []test {
	var tests []test
	for _, name := range slices.Sorted(maps.Keys(c)) {
		for _, key := range slices.Sorted(maps.Keys(c[name])) {
			t := parseOperator(name)
			t.key = strings.ToLower(key)
			t.compare(c[name][key], variables)
			tests = append(tests, t)
		}
	}
	return tests
}

// parseOperator reads the name of an operator.
func parseOperator(name string) test {
	t := test{name: name}
	base := name
	if after, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		t.each, base = forAny, after
	} else if after, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		t.each, base = forAll, after
	}
	base, t.ifExists = strings.CutSuffix(base, "IfExists")
	o := operators[base]
	t.op, t.not = o.op, o.not
	if t.op == null && base != name {
		t.op = unknownOperator
	}
	return t
}

// compare prepares the comparison with the values of the condition.
func (t *test) compare(values Strings, variables bool) {
	switch t.op {
	case equals, like:
		items := make([]item, len(values))
		for i, v := range values {
			p := parsePattern(v, t.op == like, variables)
			items[i] = item{&p, 0}
		}
		t.patterns = newIndex(items)
	case equalsFold:
		for _, v := range values {
			t.list = append(t.list, parsePattern(v, false, variables))
		}
	case arn:
		for _, v := range values {
			fields, ok := splitARN(v)
			if !ok {
				t.op = unknownOperator
				return
			}
			var a [6]*pattern
			for i, f := range fields {
				p := parsePattern(f, true, variables)
				a[i] = &p
			}
			t.arns = append(t.arns, a)
		}
	case boolean, null:
		for _, v := range values {
			if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
				t.op = unknownOperator
				return
			}
			t.want = append(t.want, strings.EqualFold(v, "true"))
		}
	}
}

// splitARN returns the six fields of an ARN. A colon in a variable separates none.
func splitARN(s string) (fields [6]string, ok bool) {
	n, from, braces := 0, 0, false
	for i := 0; i < len(s) && n < 5; i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			braces = true
		case s[i] == '}':
			braces = false
		case s[i] == ':' && !braces:
			fields[n] = s[from:i]
			from = i + 1
			n++
		}
	}
	fields[5] = s[from:]
	return fields, n == 5
}

// meets reports whether the request meets the condition.
func (t *test) meets(r *Request) truth {
	if t.op == unknownOperator {
		return maybe
	}
	values, known := r.values(t.key)
	if !known {
		return maybe
	}
	if t.op == null {
		return is(slices.Contains(t.want, len(values) == 0))
	}
	if len(values) == 0 {
		return is(t.ifExists || t.each == forAll || t.not && t.each == single)
	}
	switch t.each {
	case forAny:
		best := no
		for _, v := range values {
			best = max(best, t.value(v, r))
		}
		return best
	case forAll:
		worst := yes
		for _, v := range values {
			worst = min(worst, t.value(v, r))
		}
		return worst
	}
	if len(values) > 1 {
		return maybe // AWS does not say what this means
	}
	return t.value(values[0], r)
}

// value reports whether one value meets the condition.
func (t *test) value(v string, r *Request) truth {
	found := no
	switch t.op {
	case equals, like:
		found = t.patterns.match(v, r)
	case equalsFold:
		for i := range t.list {
			found = max(found, t.list[i].fold(v, r))
		}
	case arn:
		fields, ok := splitARN(v)
		for _, a := range t.arns {
			all := is(ok)
			for i := range a {
				all = min(all, a[i].match(fields[i], r))
			}
			found = max(found, all)
		}
	case boolean:
		for _, want := range t.want {
			if want && strings.EqualFold(v, "true") || !want && strings.EqualFold(v, "false") {
				found = yes
			}
		}
	}
	if t.not {
		return found.not()
	}
	return found
}

// fold reports whether the pattern, which has no wildcards, is s but for the case
// of letters.
func (p *pattern) fold(s string, r *Request) truth {
	parts, answer := p.resolve(r)
	if answer != yes {
		return answer
	}
	var text strings.Builder
	text.WriteString(p.prefix)
	for _, q := range parts {
		text.WriteString(q.text)
	}
	return is(strings.EqualFold(text.String(), s))
}
