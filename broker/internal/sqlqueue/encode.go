package sqlqueue

import (
	"fmt"
	"hash/fnv"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

// shards is how many parts a group shares. A message keeps its shard for as
// long as it lies in the table, so the number is for ever.
const shards = 32

const (
	maxKey  = 1024 // bytes
	maxUUID = 255
)

// row is a message as the table holds it.
type row struct {
	topic   int64
	shard   int16
	keyHash int64 // 0 without a key
	key     []byte
	uuid    string
	payload []byte // nil is NULL
	headers []byte
}

func (r *row) size() int { return len(r.key) + len(r.uuid) + len(r.payload) + len(r.headers) }

// encode makes a row of msg. An error means that msg can never be stored.
func encode(r *row, msg *message.Message, maxBytes int) error {
	key := msg.Metadata.Get(header.Key)
	for _, text := range []struct {
		what, value string
		limit       int
	}{{"UUID", msg.UUID, maxUUID}, {"key", key, maxKey}} {
		switch {
		case len(text.value) > text.limit:
			return failure.Permanent(fmt.Errorf("%s has %d bytes, at most %d are allowed", text.what, len(text.value), text.limit))
		case !utf8.ValidString(text.value) || strings.IndexByte(text.value, 0) >= 0:
			return failure.Permanent(fmt.Errorf("%s is not UTF-8 or has a NUL character", text.what))
		}
	}
	headers, err := appendHeaders(msg.Metadata)
	if err != nil {
		return failure.Permanent(err)
	}
	r.key, r.uuid, r.payload, r.headers = []byte(key), msg.UUID, msg.Payload, headers
	r.shard, r.keyHash = place(key, msg.UUID)
	if n := r.size(); n > maxBytes {
		return failure.Permanent(fmt.Errorf("message has %d bytes with its metadata, more than max_message_bytes, %d", n, maxBytes))
	}
	return nil
}

// place returns the shard of a key and its hash; without a key the UUID decides
// on the shard, and the hash is 0.
func place(key, uuid string) (shard int16, hash int64) {
	from := key
	if key == "" {
		from = uuid
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(from))
	sum := h.Sum64()
	if key != "" {
		hash = int64(sum) //nolint:gosec // any 64 bits will do
	}
	return int16(sum % shards), hash
}
