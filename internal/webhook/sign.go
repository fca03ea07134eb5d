package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers, in the form that net/http gives them.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// MaxID is the longest id of a message, in bytes.
const MaxID = 255

// ErrID is what errors.Is finds where an id cannot be used.
var ErrID = errors.New("invalid id of a message")

// CheckID returns what is wrong with an id: it is 1 to MaxID visible ASCII characters,
// none of them a dot, since dots part what is signed. The error is ErrID.
func CheckID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrID)
	case len(id) > MaxID:
		return fmt.Errorf("%w: %d bytes, use at most %d", ErrID, len(id), MaxID)
	case strings.Contains(id, "."):
		return fmt.Errorf("%w: it has a dot", ErrID)
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%w: use visible ASCII characters", ErrID)
	}
	return nil
}

// Signer signs with all of its keys. It is safe for concurrent use.
type Signer struct{ keys []key }

// NewSigner returns a signer with keys that begin with "whsec_" or "whsk_"; one at
// least. The current key is best the first. Errors name a key by its number, from
// 1; the caller says in which field it was.
func NewSigner(secrets ...string) (*Signer, error) {
	keys, err := parseAll(secrets, SecretPrefix, PrivatePrefix)
	if err != nil {
		return nil, err
	}
	return &Signer{keys: keys}, nil
}

func parseAll(list []string, prefixes ...string) ([]key, error) {
	if len(list) == 0 {
		return nil, errors.New("a key is needed, got none")
	}
	var errs []error
	keys := make([]key, len(list))
	for i, s := range list {
		var err error
		keys[i], err = parse(i+1, s, prefixes...)
		errs = append(errs, err)
	}
	return keys, errors.Join(errs...)
}

// Sign returns the value of the header webhook-signature: the signature of each
// key, with spaces between. ErrID where the id cannot be used.
func (s *Signer) Sign(id string, at time.Time, body []byte) (string, error) {
	if err := CheckID(id); err != nil {
		return "", err
	}
	signed := content(id, timestamp(at), body)
	list := make([]string, len(s.keys))
	for i, k := range s.keys {
		list[i] = k.version() + "," + base64.StdEncoding.EncodeToString(k.sign(signed))
	}
	return strings.Join(list, " "), nil
}

// Header returns the three headers of a request with this body, sent at that
// time. ErrID where the id cannot be used.
func (s *Signer) Header(id string, at time.Time, body []byte) (http.Header, error) {
	signature, err := s.Sign(id, at, body)
	if err != nil {
		return nil, err
	}
	return http.Header{HeaderID: {id}, HeaderTimestamp: {timestamp(at)}, HeaderSignature: {signature}}, nil
}

func timestamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// String tells how many keys there are, and nothing of them.
func (s *Signer) String() string { return fmt.Sprintf("signer with %d keys", len(s.keys)) }

// GoString is String: %#v would show the keys.
func (s *Signer) GoString() string { return s.String() }
