package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/state"
)

// keyNameMax is the longest name of an access key, in bytes.
const keyNameMax = 128

// AccessKey is a long-lived access key, without its secret: of an operator, or of
// a function, which is a program that has rules of its own.
type AccessKey struct {
	AccessKeyID string
	Name        string // for people to know it by
	Function    string // whose it is; "" for an operator's
	Created     time.Time
	Revoked     time.Time // zero if it was not revoked
	Lost        bool      // its secret cannot be read: the server key that sealed it is gone
}

// AddOperatorKey makes a new operator key. Its secret can be read only now.
// Every server on the same state knows the key a second later.
func (p *Pool) AddOperatorKey(ctx context.Context, name string) (accessKeyID string, secret Secret, err error) {
	return p.addKey(ctx, name, "")
}

// AddFunctionKey makes a new key of the function that rules call function:NAME.
// It may do what they say, and nothing else; there may be several of one function.
// Otherwise it is as AddOperatorKey.
func (p *Pool) AddFunctionKey(ctx context.Context, name, function string) (accessKeyID string, secret Secret, err error) {
	// A name is good if a rule can have it.
	rule := access.Rule{Path: "x/*", Who: "function:" + function, Actions: access.Get}
	if _, _, err := access.Compile([]access.Rule{rule}, nil); err != nil {
		text := "no rule can name it"
		if e, ok := errors.AsType[*access.Error](err); ok && len(e.Problems) > 0 {
			text = e.Problems[0].Text
		}
		return "", Secret{}, invalid("The name of the function is not valid: " + text + ".")
	}
	return p.addKey(ctx, name, function)
}

func (p *Pool) addKey(ctx context.Context, name, function string) (accessKeyID string, secret Secret, err error) {
	if len(name) > keyNameMax || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", Secret{}, invalid(fmt.Sprintf("The name of a key must be a text of at most %d bytes.", keyNameMax))
	}
	var b [30]byte
	rand.Read(b[:])
	// Without + and /, which have a meaning in shells and addresses.
	text := base64.RawURLEncoding.EncodeToString(b[:])
	id := newAccessKeyID(longLivedPrefix)
	err = p.db.Update(ctx, func(t *state.Tx) error {
		k := &state.AccessKey{ID: id, Name: name, Function: function}
		k.Sealed = p.keySeals.Seal([]byte(text), keyContext(k))
		return t.AddAccessKey(ctx, k)
	})
	if err == nil {
		err = p.reload(ctx)
	}
	if err != nil {
		return "", Secret{}, internal(err)
	}
	return id, NewSecret(text), nil
}

// keyContext is what the secret of a key belongs to. Whose the key is belongs to
// it: who can write to the state alone cannot make an operator's of a function's.
func keyContext(k *state.AccessKey) []byte {
	return []byte(k.ID + k.Function) // the first is of fixed size
}

// AccessKeys returns all access keys of operators and functions, revoked ones too,
// the oldest first.
func (p *Pool) AccessKeys(ctx context.Context) ([]AccessKey, error) {
	var all []AccessKey
	err := p.db.View(ctx, func(t *state.Tx) error {
		keys, err := t.AccessKeys(ctx)
		for _, k := range keys {
			_, bad := p.keySeals.Open(k.Sealed, keyContext(&k))
			all = append(all, AccessKey{k.ID, k.Name, k.Function, k.Created, k.Revoked, bad != nil})
		}
		return err
	})
	return all, internal(err)
}

// RevokeAccessKey revokes a key for ever; every server on the same state refuses
// it a second later. If there is no such key the error has the code
// ResourceNotFoundException.
func (p *Pool) RevokeAccessKey(ctx context.Context, accessKeyID string) error {
	err := p.db.Update(ctx, func(t *state.Tx) error {
		err := t.RevokeAccessKey(ctx, accessKeyID)
		return gone(err, "There is no access key '"+accessKeyID+"'.")
	})
	if err == nil {
		err = p.reload(ctx)
	}
	return internal(err)
}

// gone gives an error that wraps fs.ErrNotExist the code of the protocol.
func gone(err error, message string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{CodeNotFound, message, err}
	}
	return err
}

// longLived is an access key that may be used.
type longLived struct {
	secret   Secret
	function string // "" for an operator's
}

// usable yields the keys that may be used, by access key id.
func (p *Pool) usable(keys iter.Seq[state.AccessKey]) iter.Seq2[string, longLived] {
	return func(yield func(string, longLived) bool) {
		for k := range keys {
			text, err := p.keySeals.Open(k.Sealed, keyContext(&k))
			if err == nil && k.Revoked.IsZero() && !yield(k.ID, longLived{NewSecret(string(text)), k.Function}) {
				return
			}
		}
	}
}

func (p *Pool) openLongLived(ctx context.Context, accessKeyID string) (Secret, *Principal, error) {
	k, ok := p.longLived(accessKeyID)
	if !ok && strings.HasPrefix(accessKeyID, longLivedPrefix) && len(accessKeyID) == accessKeySize {
		// It may have been made by another process just now. An error leaves
		// the key unknown.
		_ = p.reload(ctx)
		k, ok = p.longLived(accessKeyID)
	}
	if !ok {
		return Secret{}, nil, &Error{Code: CodeInvalidAccessKeyID, Message: "The AWS Access Key Id you provided does not exist in our records."}
	}
	who := &Principal{AccessKeyID: accessKeyID, Operator: k.function == ""}
	who.Subject.Function = k.function
	return k.secret, who, nil
}

func (p *Pool) longLived(accessKeyID string) (longLived, bool) {
	p.mem.RLock()
	defer p.mem.RUnlock()
	k, ok := p.keys[accessKeyID]
	return k, ok
}

// reseal seals the access keys anew that an old server key has sealed, so
// that the old one can be dropped.
func (p *Pool) reseal(ctx context.Context) error {
	anew := make(map[string][]byte)
	err := p.db.View(ctx, func(t *state.Tx) error {
		keys, err := t.AccessKeys(ctx)
		for _, k := range keys {
			if p.keySeals.Current(k.Sealed) {
				continue
			}
			if text, err := p.keySeals.Open(k.Sealed, keyContext(&k)); err == nil {
				anew[k.ID] = p.keySeals.Seal(text, keyContext(&k))
			}
		}
		return err
	})
	if err != nil || len(anew) == 0 {
		return err
	}
	return p.db.Update(ctx, func(t *state.Tx) error {
		for id, sealed := range anew {
			if err := t.ResealAccessKey(ctx, id, sealed); err != nil {
				return err
			}
		}
		return nil
	})
}
