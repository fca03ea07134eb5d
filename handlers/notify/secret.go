package notify

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"

	"github.com/sluicegate/sluicegate/internal/webhook"
)

// Secret is a key or a token. Printed, logged or encoded it is masked: its kind, and
// a few characters of its hash, by which two can be told apart. string(s) is what it is.
type Secret string

// NewSecret returns a new symmetric key for Target.Secrets: "whsec_" and the base64 of
// 32 random bytes.
func NewSecret() Secret { return Secret(webhook.NewSecret()) }

// NewKeyPair returns a new ed25519 key: the private half for Target.Secrets, and the
// public one for the partner.
func NewKeyPair() (private Secret, public string) {
	p, public := webhook.NewKeyPair()
	return Secret(p), public
}

// String masks s.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	if strings.HasPrefix(string(s), "wh") {
		return webhook.Mask(string(s))
	}
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("…%x", sum[:4])
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String: JSON shows no secret either.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// plain returns what secrets are.
func plain(secrets []Secret) []string {
	out := make([]string, len(secrets))
	for i, s := range secrets {
		out[i] = string(s)
	}
	return out
}
