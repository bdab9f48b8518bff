package identity

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// session is what a session token holds.
type session struct {
	identity      string
	authenticated bool
	issued        int64 // Unix seconds
	expires       int64
	sub, username string // of the primary provider
	claims        map[string]string
	logins        []sessionLogin
}

// sessionLogin is one of the logins that a session was issued for.
type sessionLogin struct {
	provider, subject string
	epoch             uint64
	lookup            bool // the groups are to be asked for
	groups            []string
}

// sessionFormat is the first byte of an encoded session.
const sessionFormat = 1

const (
	flagAuthenticated = 1
	flagLookup        = 1
)

var errSession = errors.New("session is malformed")

// encode returns the session as bytes: numbers as varints, texts and lists
// with their length in front.
func (s *session) encode() []byte {
	b := []byte{sessionFormat, flag(s.authenticated, flagAuthenticated)}
	b = appendText(b, s.identity)
	b = binary.AppendUvarint(b, uint64(s.issued))
	b = binary.AppendUvarint(b, uint64(s.expires))
	b = appendText(b, s.sub)
	b = appendText(b, s.username)
	b = binary.AppendUvarint(b, uint64(len(s.claims)))
	for _, name := range slices.Sorted(maps.Keys(s.claims)) {
		b = appendText(b, name)
		b = appendText(b, s.claims[name])
	}
	b = binary.AppendUvarint(b, uint64(len(s.logins)))
	for _, l := range s.logins {
		b = append(b, flag(l.lookup, flagLookup))
		b = appendText(b, l.provider)
		b = appendText(b, l.subject)
		b = binary.AppendUvarint(b, l.epoch)
		b = binary.AppendUvarint(b, uint64(len(l.groups)))
		for _, g := range l.groups {
			b = appendText(b, g)
		}
	}
	return b
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeSession reads what encode wrote, and nothing else.
func decodeSession(b []byte) (*session, error) {
	d := &decoder{b: b}
	if d.byte() != sessionFormat {
		return nil, errSession
	}
	s := &session{authenticated: d.flag(flagAuthenticated)}
	s.identity = d.text()
	s.issued = int64(d.number())
	s.expires = int64(d.number())
	s.sub = d.text()
	s.username = d.text()
	if n := d.count(); n > 0 {
		s.claims = make(map[string]string, n)
		for range n {
			name := d.text()
			s.claims[name] = d.text()
		}
	}
	for range d.count() {
		l := sessionLogin{lookup: d.flag(flagLookup), provider: d.text(), subject: d.text(), epoch: d.number()}
		for range d.count() {
			l.groups = append(l.groups, d.text())
		}
		s.logins = append(s.logins, l)
	}
	if d.bad || len(d.b) > 0 {
		return nil, errSession
	}
	return s, nil
}

// decoder takes values from the front of b. After the first that is not there
// it is bad and yields zero values.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) flag(bit byte) bool {
	v := d.byte()
	d.bad = d.bad || v&^bit != 0
	return v&bit != 0
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.take(n)
	return v
}

// count is a number of values to come, each of which is a byte at least.
func (d *decoder) count() int {
	n := d.number()
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) text() string { return string(d.take(d.count())) }
