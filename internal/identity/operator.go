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

	"github.com/cubby-storage/cubby/internal/state"
)

// operatorNameMax is the longest name of an operator key, in bytes.
const operatorNameMax = 128

// OperatorKey is a long-lived access key of an operator, without its secret.
type OperatorKey struct {
	AccessKeyID string
	Name        string // for people to know it by
	Created     time.Time
	Revoked     time.Time // zero if it was not revoked
	Lost        bool      // its secret cannot be read: the server key that sealed it is gone
}

// AddOperatorKey makes a new operator key. Its secret can be read only now.
// Every server on the same state knows the key a second later.
func (p *Pool) AddOperatorKey(ctx context.Context, name string) (accessKeyID string, secret Secret, err error) {
	if len(name) > operatorNameMax || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", Secret{}, invalid(fmt.Sprintf("The name of a key must be a text of at most %d bytes.", operatorNameMax))
	}
	var b [30]byte
	rand.Read(b[:])
	// Without + and /, which have a meaning in shells and addresses.
	text := base64.RawURLEncoding.EncodeToString(b[:])
	id := newAccessKeyID(operatorPrefix)
	err = p.db.Update(ctx, func(t *state.Tx) error {
		sealed := p.keySeals.Seal([]byte(text), []byte(id))
		return t.AddOperatorKey(ctx, &state.OperatorKey{ID: id, Name: name, Sealed: sealed})
	})
	if err == nil {
		err = p.reload(ctx)
	}
	if err != nil {
		return "", Secret{}, internal(err)
	}
	return id, NewSecret(text), nil
}

// OperatorKeys returns all operator keys, revoked ones too, the oldest first.
func (p *Pool) OperatorKeys(ctx context.Context) ([]OperatorKey, error) {
	var all []OperatorKey
	err := p.db.View(ctx, func(t *state.Tx) error {
		keys, err := t.OperatorKeys(ctx)
		for _, k := range keys {
			_, bad := p.keySeals.Open(k.Sealed, []byte(k.ID))
			all = append(all, OperatorKey{k.ID, k.Name, k.Created, k.Revoked, bad != nil})
		}
		return err
	})
	return all, internal(err)
}

// RevokeOperatorKey revokes an operator key for ever; every server on the same
// state refuses it a second later. If there is no such key the error has the
// code ResourceNotFoundException.
func (p *Pool) RevokeOperatorKey(ctx context.Context, accessKeyID string) error {
	err := p.db.Update(ctx, func(t *state.Tx) error {
		err := t.RevokeOperatorKey(ctx, accessKeyID)
		return gone(err, "There is no operator key '"+accessKeyID+"'.")
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

// usable yields the secrets of the keys that may be used, by access key id.
func (p *Pool) usable(keys iter.Seq[state.OperatorKey]) iter.Seq2[string, Secret] {
	return func(yield func(string, Secret) bool) {
		for k := range keys {
			text, err := p.keySeals.Open(k.Sealed, []byte(k.ID))
			if err == nil && k.Revoked.IsZero() && !yield(k.ID, NewSecret(string(text))) {
				return
			}
		}
	}
}

func (p *Pool) openOperator(ctx context.Context, accessKeyID string) (Secret, *Principal, error) {
	secret, ok := p.operatorSecret(accessKeyID)
	if !ok && strings.HasPrefix(accessKeyID, operatorPrefix) && len(accessKeyID) == accessKeySize {
		// It may have been made by another process just now. An error leaves
		// the key unknown.
		_ = p.reload(ctx)
		secret, ok = p.operatorSecret(accessKeyID)
	}
	if !ok {
		return Secret{}, nil, &Error{Code: CodeInvalidAccessKeyID, Message: "There is no such access key."}
	}
	return secret, &Principal{Operator: true, AccessKeyID: accessKeyID}, nil
}

func (p *Pool) operatorSecret(accessKeyID string) (Secret, bool) {
	p.mem.RLock()
	defer p.mem.RUnlock()
	s, ok := p.operators[accessKeyID]
	return s, ok
}

// reseal seals the operator keys anew that an old server key has sealed, so
// that the old one can be dropped.
func (p *Pool) reseal(ctx context.Context) error {
	old := make(map[string][]byte)
	err := p.db.View(ctx, func(t *state.Tx) error {
		keys, err := t.OperatorKeys(ctx)
		for _, k := range keys {
			if p.keySeals.Current(k.Sealed) {
				continue
			}
			if text, err := p.keySeals.Open(k.Sealed, []byte(k.ID)); err == nil {
				old[k.ID] = text
			}
		}
		return err
	})
	if err != nil || len(old) == 0 {
		return err
	}
	return p.db.Update(ctx, func(t *state.Tx) error {
		for id, text := range old {
			if err := t.ResealOperatorKey(ctx, id, p.keySeals.Seal(text, []byte(id))); err != nil {
				return err
			}
		}
		return nil
	})
}
