package cubby

import (
	"fmt"
	"io/fs"
	"strings"
)

// Level says whose folder a key is in, and who may read it under the usual
// rules. "" is the level of the Config.
type Level string

// The levels. Guest is for all, Protected for all to read and its owner to
// write, Private for its owner alone. Public is another name for Guest.
const (
	Guest     Level = "guest"
	Public    Level = "public"
	Protected Level = "protected"
	Private   Level = "private"
)

// ParseLevel returns the level of that name. The error is fs.ErrInvalid.
func ParseLevel(name string) (Level, error) {
	switch l := Level(name); l {
	case Guest, Public, Protected, Private:
		return l, nil
	}
	return "", fmt.Errorf("level %q is not guest, public, protected or private: %w", name, fs.ErrInvalid)
}

// Location says which object or folder is meant. Make one with [At], [AtFunc] or
// [Key]. The zero value is no location.
type Location struct {
	kind   kind
	text   string // path or key
	f      func(identityID string) string
	level  Level
	owner  string
	bucket string
}

type kind uint8

const (
	kindNone kind = iota
	kindPath
	kindFunc
	kindKey
)

// At is the path itself, such as "public/a.txt". It has no leading slash.
func At(path string) Location { return Location{kind: kindPath, text: path} }

// AtFunc is the path that f makes of the identity id of the visitor.
func AtFunc(f func(identityID string) string) Location { return Location{kind: kindFunc, f: f} }

// Key is a key in the folder of a level: the path is "public/KEY",
// "protected/IDENTITY/KEY" or "private/IDENTITY/KEY". Level "" is that of the Config.
func Key(key string, level Level) Location { return Location{kind: kindKey, text: key, level: level} }

// Owner is l in the protected folder of another identity. It has a meaning for
// keys of the level Protected alone.
func (l Location) Owner(identityID string) Location {
	l.owner = identityID
	return l
}

// In is l in another bucket than the default one, by its friendly name.
func (l Location) In(bucket string) Location {
	l.bucket = bucket
	return l
}

// String shows l for messages.
func (l Location) String() string {
	s := l.text
	switch l.kind {
	case kindNone:
		return "(no location)"
	case kindFunc:
		s = "(func)"
	case kindKey:
		s = string(l.level) + ":" + l.text
	}
	if l.bucket != "" {
		s = l.bucket + "//" + s
	}
	return s
}

func (l Location) levelOr(def Level) Level {
	if l.level == "" {
		return def
	}
	return l.level
}

func (l Location) needsIdentity(def Level) bool {
	if l.kind != kindKey {
		return l.kind == kindFunc
	}
	level := l.levelOr(def)
	return level == Private || level == Protected && l.owner == ""
}

// resolve returns the path, and of a key the folder that it is in.
func (l Location) resolve(def Level, identity string) (path, folder string, err error) {
	if l.owner != "" && (l.kind != kindKey || l.levelOr(def) != Protected) {
		return "", "", fmt.Errorf("an owner can only be given for keys of level protected: %w", fs.ErrInvalid)
	}
	switch l.kind {
	case kindPath:
		path = l.text
	case kindFunc:
		if l.f == nil {
			return "", "", fmt.Errorf("location has no function: %w", fs.ErrInvalid)
		}
		path = l.f(identity)
	case kindKey:
		if strings.HasPrefix(l.text, "/") {
			return "", "", fmt.Errorf("key %q starts with a slash: %w", l.text, fs.ErrInvalid)
		}
		level, err := ParseLevel(string(l.levelOr(def)))
		if err != nil {
			return "", "", err
		}
		if folder, err = l.folder(level, identity); err != nil {
			return "", "", err
		}
		path = folder + l.text
	default:
		return "", "", fmt.Errorf("no location given: %w", fs.ErrInvalid)
	}
	if strings.HasPrefix(path, "/") {
		return "", "", fmt.Errorf("path %q starts with a slash: %w", path, fs.ErrInvalid)
	}
	return path, folder, nil
}

func (l Location) folder(level Level, identity string) (string, error) {
	if level == Guest || level == Public {
		return "public/", nil
	}
	if l.owner != "" {
		identity = l.owner
	}
	// An identity with a slash in it would reach into the folder of another.
	if identity == "" || identity == "." || identity == ".." || strings.Contains(identity, "/") {
		return "", fmt.Errorf("%q is not an identity id: %w", identity, fs.ErrInvalid)
	}
	return string(level) + "/" + identity + "/", nil
}
