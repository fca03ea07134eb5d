// Package workload makes the messages that are relayed, and checks those that
// have arrived.
package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
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

// KeyOf returns the number of the key of a place.
func KeyOf(seq int) int { return seq % keys }

// Keyed is a message and its partition key.
type Keyed struct {
	Key     string
	Message *message.Message
}

// New returns the message of one place, with a payload of size bytes and
// three headers.
func New(seq, size int) (Keyed, error) {
	o := order{Seq: seq, Key: fmt.Sprintf("order-%d", KeyOf(seq))}
	bare, err := json.Marshal(o)
	if err != nil {
		return Keyed{}, fmt.Errorf("encode payload: %w", err)
	}
	o.Pad = strings.Repeat("x", max(0, size-len(bare)))
	payload, err := json.Marshal(o)
	if err != nil {
		return Keyed{}, fmt.Errorf("encode payload: %w", err)
	}
	msg := message.NewMessage(uuid.Must(uuid.NewV7()).String(), payload)
	msg.Metadata.Set("event_type", "orders.placed")
	msg.Metadata.Set("tenant", "tenant-7")
	msg.Metadata.Set("correlation_id", msg.UUID)
	return Keyed{Key: o.Key, Message: msg}, nil
}

// Audit checks what arrived.
type Audit struct {
	seen      []bool
	last      map[string]int // highest Seq by key
	records   int
	missing   int
	unknown   int
	repeated  int
	inversion int // first deliveries that came after a later one of their key
}

// NewAudit returns an audit of the messages 0 to n-1.
func NewAudit(n int) *Audit {
	return &Audit{seen: make([]bool, n), last: map[string]int{}, missing: n}
}

// Add takes the payload of one message that arrived.
func (a *Audit) Add(value []byte) {
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

// Verdict returns an error unless everything arrived, readable, and where the
// relay claims to keep order, in the order of its key. Repeated records are
// allowed: delivery is at least once.
func (a *Audit) Verdict(ordered bool) error {
	if a.missing == 0 && a.unknown == 0 && (a.inversion == 0 || !ordered) {
		return nil
	}
	return errors.New(a.String())
}

// Note says what is worth knowing of a trial that passed.
func (a *Audit) Note(ordered bool) string {
	var parts []string
	if a.inversion > 0 && !ordered {
		parts = append(parts, fmt.Sprintf("%d of %d messages out of the order of their key", a.inversion, len(a.seen)))
	}
	if a.repeated > 0 {
		parts = append(parts, fmt.Sprintf("%d repeated", a.repeated))
	}
	return strings.Join(parts, ", ")
}

func (a *Audit) String() string {
	return fmt.Sprintf("%d records: %d missing, %d unknown, %d repeated, %d out of order", a.records, a.missing, a.unknown, a.repeated, a.inversion)
}

// Seq returns the place that is written in a payload.
func Seq(payload []byte) (int, bool) {
	var o order
	err := json.Unmarshal(payload, &o)
	return o.Seq, err == nil
}
