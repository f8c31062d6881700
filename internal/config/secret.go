package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands where a secret would.
const redacted = "[redacted]"

// Secret is a value that no log, page, error or dump may show.
//
// It is behind a pointer because fmt calls no method of what it finds inside
// a value that does not suit the verb: %s of a whole Config would print it.
type Secret struct{ value *string }

// NewSecret wraps a value; an empty one is the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value itself, for the one place that needs it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal reports whether two secrets are the same. It takes as long as they
// have bytes in common: it is for configurations, not for what a client sent.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// Format hides the value from every verb of fmt: %d and its kin would walk
// into the struct.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String hides the value from fmt.
func (s Secret) String() string { return redacted }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return redacted }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalYAML hides the value from dumps.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// MarshalText hides the value from encoding/json and its kin.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
