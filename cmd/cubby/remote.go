package main

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/store"
)

// remote is a remote name as it was typed.
type remote struct {
	bucket string      // "" is the default one
	level  cubby.Level // "" for a path
	key    string      // of the level, or the path
}

// parseRemote reads the remote name of a file or a folder: LEVEL:KEY or a path,
// either of them behind BUCKET//.
func parseRemote(s string) (remote, error) {
	r, err := parsePrefix(s)
	if err != nil {
		return r, err
	}
	for segment := range strings.SplitSeq(r.key, "/") {
		if segment == "." || segment == ".." {
			return r, &hinted{fmt.Errorf("remote name %q has the segment %q", s, segment), `A key cannot have a "." or ".." segment.`}
		}
	}
	return r, nil
}

// parsePrefix reads what remote names begin with. Unlike the name of a file it may
// end in a dot.
func parsePrefix(s string) (remote, error) {
	var r remote
	name := s
	if bucket, rest, ok := strings.Cut(s, "//"); ok && store.CheckBucketName(bucket) == nil {
		r.bucket, name = bucket, rest
	}
	r.key = name
	if level, key, ok := strings.Cut(name, ":"); ok {
		if l, err := cubby.ParseLevel(level); err == nil {
			r.level, r.key = l, key
		}
	}
	switch {
	case strings.HasPrefix(r.key, "/"):
		return r, fmt.Errorf("remote name %q begins with a slash: it is LEVEL:KEY, or a path such as public/a.txt", s)
	case s == "":
		return r, errors.New("a remote name is empty: it is LEVEL:KEY, or a path such as public/a.txt")
	}
	return r, nil
}

// misspelt returns what was meant as a level in path, if anything was: a word before
// a colon that is none.
func misspelt(path string) string {
	word, _, ok := strings.Cut(path, ":")
	if !ok || word == "" || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) }) {
		return ""
	}
	return word
}

// location returns what r stands for, for the client.
func (r remote) location() cubby.Location {
	var l cubby.Location
	switch {
	case r.level != "":
		l = cubby.Key(r.key, r.level)
	case strings.Contains(r.key, "{id}"):
		l = cubby.AtFunc(func(id string) string { return strings.ReplaceAll(r.key, "{id}", id) })
	default:
		l = cubby.At(r.key)
	}
	if r.bucket != "" {
		l = l.In(r.bucket)
	}
	return l
}

// folder reports whether r is a place to put files in rather than a file.
func (r remote) folder() bool { return r.key == "" || strings.HasSuffix(r.key, "/") }

// join returns the file called name in the folder r.
func (r remote) join(name string) remote {
	r.key += name
	return r
}

// base returns the last segment of the key.
func (r remote) base() string { return path.Base(r.key) }
