package access

import (
	"fmt"
	"io/fs"
	"strings"
)

// Action is what may be done with a key, or a set of such things.
type Action uint8

// The actions. Get covers the content, the attributes and being the source of a
// copy; Write covers uploads of all kinds and being the destination of a copy;
// Versions covers listing and deleting single versions.
const (
	Get Action = 1 << iota
	List
	Write
	Delete
	Versions

	Read = Get | List
)

const allActions = Get | List | Write | Delete | Versions

var actionNames = [...]string{"get", "list", "write", "delete", "versions"}

// ParseAction returns the set that s names: one or more of get, list, read (get
// and list), write, delete and versions, separated by commas.
func ParseAction(s string) (Action, error) {
	var set Action
next:
	for name := range strings.SplitSeq(s, ",") {
		if name == "read" {
			set |= Read
			continue
		}
		for i, n := range actionNames {
			if n == name {
				set |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("unknown action %q, want get, list, read, write, delete or versions: %w", clip(name), fs.ErrInvalid)
	}
	return set, nil
}

// String returns the names of the actions in a, separated by commas, in the form
// that ParseAction reads, or "none".
func (a Action) String() string {
	var names []string
	for i, n := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	if a&^allActions != 0 {
		names = append(names, fmt.Sprintf("%#x", uint8(a&^allActions)))
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}
