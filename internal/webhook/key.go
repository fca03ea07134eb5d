package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// The prefixes of keys.
const (
	SecretPrefix  = "whsec_" // symmetric
	PrivatePrefix = "whsk_"  // ed25519, signs
	PublicPrefix  = "whpk_"  // ed25519, verifies
)

// Lengths of a symmetric key, in bytes before base64.
const (
	MinSecret = 24
	MaxSecret = 64
)

// key signs or verifies; one of its two is set.
type key struct {
	secret  []byte
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// version begins the signatures of k.
func (k key) version() string {
	if k.secret != nil {
		return "v1"
	}
	return "v1a"
}

// content is what is signed.
func content(id, timestamp string, body []byte) []byte {
	b := make([]byte, 0, len(id)+len(timestamp)+2+len(body))
	b = append(b, id...)
	b = append(b, '.')
	b = append(b, timestamp...)
	b = append(b, '.')
	return append(b, body...)
}

func (k key) mac(content []byte) []byte {
	h := hmac.New(sha256.New, k.secret)
	_, _ = h.Write(content) // a hash takes everything
	return h.Sum(nil)
}

func (k key) sign(content []byte) []byte {
	if k.secret != nil {
		return k.mac(content)
	}
	return ed25519.Sign(k.private, content)
}

// parse reads key number n of those with one of the given prefixes.
func parse(n int, s string, prefixes ...string) (key, error) {
	for _, prefix := range prefixes {
		encoded, ok := strings.CutPrefix(s, prefix)
		if !ok {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return key{}, fmt.Errorf("what follows %s in number %d is not base64", prefix, n)
		}
		return decode(n, prefix, raw)
	}
	if strings.HasPrefix(s, PrivatePrefix) {
		return key{}, fmt.Errorf("number %d begins with %s, which is for the sender; the receiver has the one that begins with %s", n, PrivatePrefix, PublicPrefix)
	}
	if strings.HasPrefix(s, PublicPrefix) {
		return key{}, fmt.Errorf("number %d begins with %s, which cannot sign; the sender has the one that begins with %s", n, PublicPrefix, PrivatePrefix)
	}
	return key{}, fmt.Errorf("number %d does not begin with %s", n, strings.Join(prefixes, " or "))
}

func decode(n int, prefix string, raw []byte) (key, error) {
	switch prefix {
	case SecretPrefix:
		if len(raw) < MinSecret || len(raw) > MaxSecret {
			return key{}, fmt.Errorf("number %d has %d bytes; it must have %d to %d", n, len(raw), MinSecret, MaxSecret)
		}
		return key{secret: raw}, nil
	case PublicPrefix:
		if len(raw) != ed25519.PublicKeySize {
			return key{}, fmt.Errorf("number %d has %d bytes; a public key has %d", n, len(raw), ed25519.PublicKeySize)
		}
		return key{public: raw}, nil
	}
	switch len(raw) {
	case ed25519.SeedSize:
		return key{private: ed25519.NewKeyFromSeed(raw)}, nil
	case ed25519.PrivateKeySize:
		private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !private.Equal(ed25519.PrivateKey(raw)) {
			return key{}, fmt.Errorf("number %d: its public half does not belong to its private half", n)
		}
		return key{private: private}, nil
	default:
		return key{}, fmt.Errorf("number %d has %d bytes; a private key has %d or %d", n, len(raw), ed25519.SeedSize, ed25519.PrivateKeySize)
	}
}

// NewSecret returns a new symmetric key of 32 random bytes.
func NewSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return SecretPrefix + base64.StdEncoding.EncodeToString(raw)
}

// NewKeyPair returns a new ed25519 key: what the sender has, and what it gives to
// the receiver.
func NewKeyPair() (private, public string) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	return PrivatePrefix + base64.StdEncoding.EncodeToString(seed), publicOf(ed25519.NewKeyFromSeed(seed))
}

// PublicKey returns the public key ("whpk_…") of a private one.
func PublicKey(private string) (string, error) {
	k, err := parse(1, private, PrivatePrefix)
	if err != nil {
		return "", err
	}
	return publicOf(k.private), nil
}

func publicOf(k ed25519.PrivateKey) string {
	return PublicPrefix + base64.StdEncoding.EncodeToString(k[ed25519.SeedSize:])
}

// Mask returns a key as people may see it: its kind, and the first eight characters
// of the hash of the rest, by which two can be told apart.
func Mask(s string) string {
	for _, prefix := range []string{SecretPrefix, PrivatePrefix, PublicPrefix} {
		if strings.HasPrefix(s, prefix) {
			sum := sha256.Sum256([]byte(s))
			return fmt.Sprintf("%s…%x", prefix, sum[:4])
		}
	}
	return "…"
}
