package cognito

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"
)

const (
	contentType = "application/x-amz-json-1.1"
	depthMax    = 16
	fieldsMax   = 64 // of a map of texts

	bodyMax   = 1 << 20  // ten tokens of 50,000 characters fit
	smallMax  = 64 << 10 // of a body that is read whatever others are
	largeMax  = 16       // larger bodies at a time
	largeWait = 2 * time.Second
)

// message is the JSON object of a request: its fields by name, of a name that
// stands there twice the last one.
type message map[string]json.RawMessage

// wanted are the names that any operation reads. Others are skipped.
var wanted = map[string]bool{
	"AccessToken": true, "AuthFlow": true, "AuthParameters": true, "ClientId": true, "CustomRoleArn": true,
	"IdentityId": true, "IdentityPoolId": true, "Logins": true, "RefreshToken": true, "Token": true,
}

// read returns the message of a request. The caller calls done when neither the
// message nor what it was made from is in use any more.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (m message, done func(), err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != contentType {
		return nil, nil, refuse(http.StatusBadRequest, serialization, "The content type is not "+contentType+".")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, nil, refuse(http.StatusBadRequest, serialization, "The content is encoded.")
	}
	body, done, err := h.body(w, r)
	if err != nil {
		return nil, nil, err
	}
	if m, err = parse(body); err != nil {
		done()
		return nil, nil, err
	}
	return m, done, nil
}

// body reads the body of a request. Memory is taken as the bytes come, never
// for what the caller only says will come. A body larger than smallMax waits
// until fewer than largeMax others are in memory, until done is called.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) (text []byte, done func(), err error) {
	if r.ContentLength > bodyMax {
		return nil, nil, errTooLarge()
	}
	from := http.MaxBytesReader(w, r.Body, bodyMax)
	done = func() {}
	var to bytes.Buffer
	if r.ContentLength <= smallMax {
		_, err = to.ReadFrom(io.LimitReader(from, smallMax+1))
	}
	if err == nil && max(r.ContentLength, int64(to.Len())) > smallMax {
		if err := h.enter(r.Context()); err != nil {
			return nil, nil, err
		}
		done = func() { <-h.large }
		_, err = to.ReadFrom(from)
	}
	if err == nil {
		return to.Bytes(), done, nil
	}
	done()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, nil, errTooLarge()
	}
	return nil, nil, refuse(http.StatusBadRequest, serialization, "The request ends early.")
}

// enter waits, not for long, until there may be one more large body.
func (h *Handler) enter(ctx context.Context) error {
	late := time.NewTimer(largeWait)
	defer late.Stop()
	select {
	case h.large <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		// Clients try again for either, the status or the name.
		return refuse(http.StatusServiceUnavailable, tooManyRequests, "The server reads too many large requests now.")
	}
}

func errTooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, tooLarge, "The request is larger than 1 MiB.")
}

// parse reads one JSON object and nothing behind it.
func parse(body []byte) (message, error) {
	if !utf8.Valid(body) || tooDeep(body) || !json.Valid(body) {
		return nil, refuse(http.StatusBadRequest, serialization, "The request is not JSON that is sent here.")
	}
	m := make(message)
	err := members(body, "The request", func(name string, value json.RawMessage) error {
		if wanted[name] {
			m[name] = value
		}
		return nil
	})
	return m, err
}

// tooDeep reports whether arrays and objects are nested beyond depthMax. It is
// asked before anything that recurses.
func tooDeep(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > depthMax {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// members calls fn for each member of an object in valid JSON text.
func members(text []byte, what string, fn func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return refuse(http.StatusBadRequest, serialization, what+" is not an object.")
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil || !ok {
			return refuse(http.StatusBadRequest, serialization, what+" is not an object.")
		}
		if err := fn(name, value); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether a field is there and not null.
func (m message) has(name string) bool {
	raw, ok := m[name]
	return ok && !bytes.Equal(raw, []byte("null"))
}

// text returns a field that must be a text, and not an empty one.
func (m message) text(name string) (string, error) {
	if !m.has(name) {
		return "", invalid("Missing required parameter " + name)
	}
	s, err := text(m[name], name)
	if err == nil && s == "" {
		err = invalid("Missing required parameter " + name)
	}
	return s, err
}

// texts returns a field that is an object of texts. If it is not there the map
// is nil. In it null is the same as no member.
func (m message) texts(name string) (map[string]string, error) {
	if !m.has(name) {
		return nil, nil
	}
	all := make(map[string]string)
	err := members(m[name], name, func(key string, value json.RawMessage) error {
		delete(all, key)
		if bytes.Equal(value, []byte("null")) {
			return nil
		}
		s, err := text(value, "A value of "+name)
		if err != nil {
			return err
		}
		if all[key] = s; len(all) > fieldsMax {
			return invalid(name + " has too many members.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func text(raw json.RawMessage, what string) (s string, err error) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", refuse(http.StatusBadRequest, serialization, what+" is not a string.")
	}
	return s, nil
}
