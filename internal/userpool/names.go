package userpool

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName       = 128  // bytes of a user's or group's name
	maxPassword   = 256  // bytes
	maxValue      = 2048 // bytes of an attribute
	maxAttributes = 16 << 10
	maxGroups     = 100 // that a user is a member of
)

// NormalizeName returns a user name as it is kept and compared: in NFC and
// lower case. The error says why it cannot be a user name: the name may stand
// in rules and paths, so that it must be of letters, marks, numbers, symbols
// and punctuation other than / * ? $ { }, at most 128 bytes, and not . or .. .
func NormalizeName(name string) (string, error) {
	if len(name) <= 4*maxName && utf8.ValidString(name) {
		name = norm.NFC.String(strings.ToLower(norm.NFC.String(name)))
	}
	return name, checkName("user name", name)
}

// normalizeGroup does the same for a group, but keeps the case.
func normalizeGroup(name string) (string, error) {
	if len(name) <= 4*maxName && utf8.ValidString(name) {
		name = norm.NFC.String(name)
	}
	return name, checkName("group name", name)
}

func checkName(what, name string) error {
	bad := ""
	switch {
	case name == "":
		bad = "is empty"
	case len(name) > maxName:
		bad = fmt.Sprintf("is longer than %d bytes", maxName)
	case name == "." || name == "..":
		bad = "is . or .."
	case !utf8.ValidString(name):
		bad = "is not UTF-8"
	default:
		i := strings.IndexFunc(name, func(r rune) bool {
			return strings.ContainsRune("/*?${}", r) || r == utf8.RuneError ||
				!unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
		})
		if i < 0 {
			return nil
		}
		r, _ := utf8.DecodeRuneInString(name[i:])
		bad = fmt.Sprintf("contains %q", r)
	}
	return fail(InvalidParameter, "The "+what+" "+bad+".", fs.ErrInvalid)
}

// attributes that are in the standard of OpenID Connect.
var standardAttributes = map[string]bool{
	"address": true, "birthdate": true, "email": true, "email_verified": true, "family_name": true,
	"gender": true, "given_name": true, "locale": true, "middle_name": true, "name": true,
	"nickname": true, "phone_number": true, "phone_number_verified": true, "picture": true,
	"preferred_username": true, "profile": true, "updated_at": true, "website": true, "zoneinfo": true,
}

// checkAttributes refuses names that could pass for claims of ours.
func checkAttributes(attributes map[string]string) error {
	size := 0
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		size += len(name) + len(value)
		bad := ""
		custom, isCustom := strings.CutPrefix(name, "custom:")
		switch {
		case isCustom && (len(custom) > 20 || checkName("attribute", custom) != nil),
			!isCustom && !standardAttributes[name]:
			bad = "is neither a standard attribute nor custom:NAME"
		case len(value) > maxValue:
			bad = fmt.Sprintf("is longer than %d bytes", maxValue)
		case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
			bad = "is not printable text"
		case strings.HasSuffix(name, "_verified") && !isCustom && value != "true" && value != "false":
			bad = "is neither true nor false"
		default:
			continue
		}
		return fail(InvalidParameter, fmt.Sprintf("The attribute %q %s.", name, bad), fs.ErrInvalid)
	}
	if size > maxAttributes {
		return fail(InvalidParameter, "The attributes are too large.", fs.ErrInvalid)
	}
	return nil
}

// checkPassword applies the password policy.
func (p *Pool) checkPassword(password string) error {
	bad := ""
	switch {
	case !utf8.ValidString(password):
		bad = "is not UTF-8"
	case utf8.RuneCountInString(password) < p.cfg.MinPassword:
		bad = fmt.Sprintf("is shorter than %d characters", p.cfg.MinPassword)
	case len(password) > maxPassword:
		bad = fmt.Sprintf("is longer than %d bytes", maxPassword)
	default:
		return nil
	}
	return fail(InvalidPassword, "The password "+bad+".", fs.ErrInvalid)
}
