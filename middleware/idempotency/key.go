package idempotency

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
)

// ErrNoKey says that a message has no idempotency key. The middlewares mark it
// as permanent: an empty key would make all such messages duplicates of one.
var ErrNoKey = errors.New("message has no idempotency key")

// KeyFunc returns the key under which the effect of a message happens once. It
// returns an error that wraps ErrNoKey where the message has none; the empty
// string is taken as that too. A key of more than 255 bytes, or one that is not
// valid UTF-8 without NUL, is stored as its SHA-256.
type KeyFunc func(msg *message.Message) (string, error)

// DefaultKey is the metadata sluicegate_idempotency_key, else the CloudEvents
// source and id, else the UUID.
func DefaultKey() KeyFunc {
	return First(BusinessKey(header.IdempotencyKey), CloudEvents(), UUID())
}

// BusinessKey takes the key from the metadata of that name, such as an order's
// number: it also catches what was published twice under two UUIDs.
func BusinessKey(name string) KeyFunc {
	return func(msg *message.Message) (string, error) { return nonEmpty(msg.Metadata.Get(name)) }
}

// CloudEvents takes the key from the attributes id and source of a CloudEvent
// in binary mode, which are unique together. Both must be there.
func CloudEvents() KeyFunc {
	return func(msg *message.Message) (string, error) {
		for _, n := range header.CloudEvents {
			id := msg.Metadata.Get(n.ID)
			if id == "" {
				continue
			}
			if source := msg.Metadata.Get(n.Source); source != "" {
				// The length keeps ("a:b", "c") and ("a", "b:c") apart.
				return strconv.Itoa(len(source)) + ":" + source + ":" + id, nil
			}
		}
		return "", ErrNoKey
	}
}

// UUID takes the message's UUID, which foreign producers may leave empty.
func UUID() KeyFunc {
	return func(msg *message.Message) (string, error) { return nonEmpty(msg.UUID) }
}

// First takes the first key that one of fns finds.
func First(fns ...KeyFunc) KeyFunc {
	return func(msg *message.Message) (string, error) {
		for _, fn := range fns {
			key, err := fn(msg)
			if err == nil && key != "" {
				return key, nil
			}
			if err != nil && !errors.Is(err, ErrNoKey) {
				return "", err
			}
		}
		return "", ErrNoKey
	}
}

func nonEmpty(key string) (string, error) {
	if key == "" {
		return "", ErrNoKey
	}
	return key, nil
}

// PayloadFingerprint is the SHA-256 of the payload, for Config.Fingerprint.
func PayloadFingerprint(msg *message.Message) string {
	sum := sha256.Sum256(msg.Payload)
	return hex.EncodeToString(sum[:])
}
