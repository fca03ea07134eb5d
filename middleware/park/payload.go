package park

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// version begins each payload. What follows is the length of a JSON object, four
// bytes with the highest first; the object; and the bytes of the message as they
// were.
const version = 1

const lead = 5 // version and length

// parcel is a message with all that is needed to hand it to its handler again.
type parcel struct {
	UUID       string            `json:"uuid"`
	Consumer   string            `json:"consumer,omitempty"`
	Handler    string            `json:"handler"`
	Topic      string            `json:"topic,omitempty"`
	Subscriber string            `json:"subscriber,omitempty"` // the type, as Watermill's router names it
	Publisher  string            `json:"publisher,omitempty"`
	Output     string            `json:"output,omitempty"` // topic that the router publishes to
	Metadata   map[string]string `json:"metadata,omitempty"`
	// Raw is the metadata that is not valid UTF-8, which JSON would change: keys
	// and values in turn.
	Raw     [][]byte `json:"raw,omitempty"`
	NoBytes bool     `json:"no_bytes,omitempty"` // the payload was nil
	payload []byte
}

var errDamaged = errors.New("parked message is damaged")

func (p *parcel) take(msg *message.Message) {
	p.UUID, p.payload, p.NoBytes = msg.UUID, msg.Payload, msg.Payload == nil
	for k, v := range msg.Metadata {
		if utf8.ValidString(k) && utf8.ValidString(v) {
			if p.Metadata == nil {
				p.Metadata = make(map[string]string, len(msg.Metadata))
			}
			p.Metadata[k] = v
		} else {
			p.Raw = append(p.Raw, []byte(k), []byte(v))
		}
	}
}

func (p *parcel) message() *message.Message {
	msg := message.NewMessage(p.UUID, nil)
	if !p.NoBytes {
		msg.Payload = slices.Clone(p.payload)
	}
	for k, v := range p.Metadata {
		msg.Metadata[k] = v
	}
	for i := 0; i+1 < len(p.Raw); i += 2 {
		msg.Metadata[string(p.Raw[i])] = string(p.Raw[i+1])
	}
	return msg
}

func (p *parcel) encode() ([]byte, error) {
	head, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	b := make([]byte, 0, lead+len(head)+len(p.payload))
	b = append(b, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head))) //nolint:gosec // brokers' headers are far below 4 GiB
	return append(append(b, head...), p.payload...), nil
}

func decodeParcel(b []byte) (*parcel, error) {
	if len(b) < lead || b[0] != version {
		return nil, fmt.Errorf("%w, or of a version that this program does not read", errDamaged)
	}
	n := uint64(binary.BigEndian.Uint32(b[1:lead]))
	if n > uint64(len(b)-lead) {
		return nil, errDamaged
	}
	p := &parcel{}
	if err := json.Unmarshal(b[lead:lead+n], p); err != nil {
		return nil, errDamaged // the error's own text would quote from it
	}
	p.payload = b[lead+n:]
	return p, nil
}
