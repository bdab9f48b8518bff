package s3api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// postPolicy is what somebody signed to say which forms may be sent in their name.
type postPolicy struct {
	expires     time.Time
	conditions  []condition
	least, most int64 // bytes that the file may have
}

// condition is what a field of a form must be: value, or a text that starts with it.
type condition struct {
	name   string // in lower case
	prefix bool
	value  string
}

// parsePolicy reads a policy, which is JSON in base64. What it does not know is
// an error: a condition that is passed over would let more through than was signed.
func parsePolicy(encoded string) (*postPolicy, error) {
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !utf8.Valid(text) {
		return nil, newError("InvalidPolicyDocument", "The policy is not base64 of JSON.")
	}
	top, err := jsonMembers(text)
	if err != nil {
		return nil, err
	}
	p := &postPolicy{most: math.MaxInt64}
	var conditions []json.RawMessage
	for _, m := range top {
		switch m.name {
		case "expiration":
			s, _ := jsonText(m.value)
			if p.expires, err = time.Parse(time.RFC3339, s); err != nil {
				return nil, newError("InvalidPolicyDocument", "The expiration of the policy is not a time such as 2007-12-01T12:00:00.000Z.")
			}
		case "conditions":
			if err := json.Unmarshal(m.value, &conditions); err != nil || conditions == nil {
				return nil, newError("InvalidPolicyDocument", "The conditions of the policy are not a list.")
			}
		default:
			return nil, newError("InvalidPolicyDocument", "The policy has an unknown member: "+m.name)
		}
	}
	if p.expires.IsZero() || conditions == nil {
		return nil, newError("InvalidPolicyDocument", "The policy lacks its expiration or its conditions.")
	}
	for _, raw := range conditions {
		if err := p.add(raw); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add adds what one entry of the list of conditions says.
func (p *postPolicy) add(raw json.RawMessage) error {
	bad := newError("InvalidPolicyDocument", "A condition of the policy is not valid.")
	if raw[0] == '{' {
		members, err := jsonMembers(raw)
		if err != nil {
			return err
		}
		for _, m := range members {
			value, ok := jsonText(m.value)
			if !ok || !isFieldName(m.name) {
				return bad
			}
			p.conditions = append(p.conditions, condition{name: strings.ToLower(m.name), value: value})
		}
		if len(members) == 0 {
			return bad
		}
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) != 3 {
		return bad
	}
	kind, _ := jsonText(list[0])
	switch kind {
	case "content-length-range":
		least, ok1 := jsonSize(list[1])
		most, ok2 := jsonSize(list[2])
		if !ok1 || !ok2 {
			return bad
		}
		p.least, p.most = max(p.least, least), min(p.most, most)
		return nil
	case "eq", "starts-with":
		field, _ := jsonText(list[1])
		name, ok1 := strings.CutPrefix(field, "$")
		value, ok2 := jsonText(list[2])
		if !ok1 || !ok2 || !isFieldName(name) {
			return bad
		}
		p.conditions = append(p.conditions, condition{strings.ToLower(name), kind == "starts-with", value})
		return nil
	}
	return bad
}

// check reports whether the fields of a form, by name in lower case, are as p
// wants them at the time now: each condition holds, and each field has one.
func (p *postPolicy) check(fields map[string]string, now time.Time) error {
	if !now.Before(p.expires) {
		return refusedByPolicy("Policy expired.")
	}
	covered := make(map[string]bool, len(fields))
	for _, c := range p.conditions {
		covered[c.name] = true
		if v, ok := fields[c.name]; !ok || !c.holds(v) {
			op := "eq"
			if c.prefix {
				op = "starts-with"
			}
			return refusedByPolicy("Policy Condition failed: " + op + " $" + c.name)
		}
	}
	for name := range fields {
		if !covered[name] && name != "policy" && name != "x-amz-signature" && !strings.HasPrefix(name, "x-ignore-") {
			return refusedByPolicy("Extra input fields: " + name)
		}
	}
	return nil
}

// holds reports whether v is what c wants. A list of content types must hold
// nothing else than types that start so.
func (c *condition) holds(v string) bool {
	if !c.prefix {
		return v == c.value
	}
	if c.name != "content-type" || strings.HasPrefix(v, c.value) && !strings.Contains(v, ",") {
		return strings.HasPrefix(v, c.value)
	}
	for t := range strings.SplitSeq(v, ",") {
		if !strings.HasPrefix(strings.TrimSpace(t), c.value) {
			return false
		}
	}
	return true
}

func refusedByPolicy(why string) error {
	return newError("AccessDenied", "Invalid according to Policy: "+why)
}

// isFieldName reports whether a field of a form can have that name.
func isFieldName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// member is a member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// jsonMembers returns the members of the object that text holds, of different names.
func jsonMembers(text []byte) ([]member, error) {
	bad := newError("InvalidPolicyDocument", "The policy is not JSON as it should be.")
	if !json.Valid(text) {
		return nil, bad
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	var members []member
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] {
			return nil, bad
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, bad
		}
		members = append(members, member{name, value})
	}
	return members, nil
}

// jsonText returns the string that raw is.
func jsonText(raw json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// jsonSize returns the number of bytes that raw is, which may stand in a string.
func jsonSize(raw json.RawMessage) (int64, bool) {
	s, ok := jsonText(raw)
	if !ok {
		s = string(raw)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}
