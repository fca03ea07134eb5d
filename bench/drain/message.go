package drain

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/bench/contender"
)

// order is the payload. Seq is the place in the order of writing, by which the
// records in the topic are checked.
type order struct {
	Seq int    `json:"seq"`
	Key string `json:"key"`
	Pad string `json:"pad"`
}

// MinPayload is the smallest payload, in bytes, that holds what is checked.
const MinPayload = 64

// keys is over how many keys the messages are spread.
const keys = 1000

// keyOf returns the number of the key of a place.
func keyOf(seq int) int { return seq % keys }

// newMessage returns the message of one place, with a payload of size bytes and
// three headers.
func newMessage(seq, size int) (contender.Keyed, error) {
	o := order{Seq: seq, Key: fmt.Sprintf("order-%d", keyOf(seq))}
	bare, err := json.Marshal(o)
	if err != nil {
		return contender.Keyed{}, fmt.Errorf("encode payload: %w", err)
	}
	o.Pad = strings.Repeat("x", max(0, size-len(bare)))
	payload, err := json.Marshal(o)
	if err != nil {
		return contender.Keyed{}, fmt.Errorf("encode payload: %w", err)
	}
	msg := message.NewMessage(uuid.Must(uuid.NewV7()).String(), payload)
	msg.Metadata.Set("event_type", "orders.placed")
	msg.Metadata.Set("tenant", "tenant-7")
	msg.Metadata.Set("correlation_id", msg.UUID)
	return contender.Keyed{Key: o.Key, Message: msg}, nil
}

// audit checks what arrived.
type audit struct {
	seen      []bool
	last      map[string]int // highest Seq by key
	records   int
	missing   int
	unknown   int
	repeated  int
	inversion int // first deliveries that came after a later one of their key
}

func newAudit(n int) *audit {
	return &audit{seen: make([]bool, n), last: map[string]int{}, missing: n}
}

func (a *audit) add(value []byte) {
	a.records++
	var o order
	switch err := json.Unmarshal(value, &o); {
	case err != nil || o.Seq < 0 || o.Seq >= len(a.seen):
		a.unknown++
	case a.seen[o.Seq]:
		a.repeated++
	default:
		a.seen[o.Seq] = true
		a.missing--
		if last, ok := a.last[o.Key]; ok && last > o.Seq {
			a.inversion++
		} else {
			a.last[o.Key] = o.Seq
		}
	}
}

// verdict returns an error unless everything arrived, readable, and where the
// relay claims to keep order, in the order of its key. Repeated records are
// allowed: delivery is at least once.
func (a *audit) verdict(ordered bool) error {
	if a.missing == 0 && a.unknown == 0 && (a.inversion == 0 || !ordered) {
		return nil
	}
	return errors.New(a.String())
}

// note says what is worth knowing of a trial that passed.
func (a *audit) note(ordered bool) string {
	var parts []string
	if a.inversion > 0 && !ordered {
		parts = append(parts, fmt.Sprintf("%d of %d messages out of the order of their key", a.inversion, len(a.seen)))
	}
	if a.repeated > 0 {
		parts = append(parts, fmt.Sprintf("%d repeated", a.repeated))
	}
	return strings.Join(parts, ", ")
}

func (a *audit) String() string {
	return fmt.Sprintf("%d records: %d missing, %d unknown, %d repeated, %d out of order", a.records, a.missing, a.unknown, a.repeated, a.inversion)
}
