package identity

import "log/slog"

const redacted = "redacted"

// Secret is a text that must not be shown by accident: printed, logged or
// marshalled it is "redacted". The zero value is the empty text.
type Secret struct {
	// A pointer, so that even a printer that looks into the fields of a
	// struct that holds a Secret finds an address.
	text *string
}

// NewSecret returns text as a secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns "redacted".
func (s Secret) String() string { return redacted }

// GoString returns "redacted".
func (s Secret) GoString() string { return redacted }

// LogValue returns "redacted".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "redacted".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
