package deadletter

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/text"
)

// version is that of the lines which Export writes.
const version = 1

// line is a letter as JSON. Bytes are base64; metadata that is not text is
// {"base64":…}.
type line struct {
	Version    int             `json:"v"`
	Ref        string          `json:"ref"`
	ID         int64           `json:"id"` // where it was exported; Import gives another
	Status     Status          `json:"status"`
	Consumer   string          `json:"consumer"`
	Handler    string          `json:"handler"`
	Topic      string          `json:"topic"`
	Subscriber string          `json:"subscriber,omitempty"`
	Key        string          `json:"key"`
	UUID       string          `json:"uuid"`
	Payload    []byte          `json:"payload"`
	Metadata   json.RawMessage `json:"metadata"`
	Reason     string          `json:"reason"`
	Group      string          `json:"group"` // told anew by Import
	Attempts   []Attempt       `json:"attempts"`
	Epoch      int64           `json:"epoch,omitempty"`
	At         time.Time       `json:"dead_at"`
	Edited     *editLine       `json:"edited,omitempty"` // not imported
}

type editLine struct {
	Payload  []byte          `json:"payload"`
	Metadata json.RawMessage `json:"metadata"`
}

func encodeLine(l Letter) ([]byte, error) {
	metadata, err := header.Encode(l.Message.Metadata)
	if err != nil {
		return nil, err
	}
	out := line{
		Version: version, Ref: l.Ref, ID: l.ID, Status: l.Status, Consumer: l.Consumer, Handler: l.Handler, Topic: l.Topic, Subscriber: l.Subscriber,
		Key: l.Key, UUID: l.Message.UUID, Payload: l.Message.Payload, Metadata: json.RawMessage(metadata), Reason: l.Reason, Group: l.Group,
		Attempts: l.Attempts, Epoch: l.Epoch, At: l.At,
	}
	if l.Edited != nil {
		metadata, err := header.Encode(l.Edited.Metadata)
		if err != nil {
			return nil, err
		}
		out.Edited = &editLine{Payload: l.Edited.Payload, Metadata: json.RawMessage(metadata)}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode letter: %w", err)
	}
	return append(b, '\n'), nil
}

// decodeLine returns the letter of a line, or every problem with the name of
// its field.
func decodeLine(b []byte) (Letter, error) {
	in := line{Status: Dead}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Letter{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Letter{}, fmt.Errorf("%w: there is more behind the letter", ErrInvalid)
	}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
	}
	if in.Version != version {
		bad("v: %d, want %d", in.Version, version)
	}
	if in.Status != Dead && in.Status != Redriven {
		bad("status: %q is none of %q, %q", in.Status, Dead, Redriven)
	}
	if len(in.Ref) > 64 {
		bad("ref: %d bytes are more than 64", len(in.Ref))
	}
	if text.Clean(in.Ref) != in.Ref {
		bad("ref: is not valid UTF-8 without NUL")
	}
	if !inEra(in.At) {
		bad("dead_at: use a time from 1970 on, and before 10000")
	}
	for i, a := range in.Attempts {
		if outOfRange(a) {
			bad("attempts[%d].number: %d is not within 0 and %d", i, a.Number, math.MaxInt32)
		}
	}
	if in.Epoch < 0 {
		bad("epoch: %d is negative", in.Epoch)
	}
	metadata := map[string]string{}
	if len(in.Metadata) > 0 {
		var err error
		if metadata, err = header.Decode(string(in.Metadata)); err != nil {
			bad("metadata: %w", err)
		}
	}
	l := Letter{
		Ref: in.Ref, Status: in.Status, Consumer: in.Consumer, Handler: in.Handler, Topic: in.Topic, Subscriber: in.Subscriber, Key: in.Key,
		Message: &message.Message{UUID: in.UUID, Payload: in.Payload, Metadata: metadata}, Reason: in.Reason, Attempts: in.Attempts,
		Epoch: in.Epoch, At: in.At,
	}
	if l.Ref == "" {
		l.Ref = contentRef(l)
	}
	return l, errors.Join(errs...)
}

// outOfRange reports whether the number of an attempt is none that is stored.
func outOfRange(a Attempt) bool { return a.Number < 0 || a.Number > math.MaxInt32 }

// inEra reports whether a time can be written as it is stored, in UTC.
func inEra(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1970 && year <= 9999
}

// contentRef names a letter by what is in it, so that the same one that comes
// again, from a file or a topic, has the same name.
func contentRef(l Letter) string {
	h := sha256.New()
	put := func(parts ...string) {
		for _, p := range parts {
			// The length keeps ("a", "bc") and ("ab", "c") apart.
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(len(p)))
			_, _ = h.Write(n[:])
			_, _ = h.Write([]byte(p))
		}
	}
	put(l.Consumer, l.Handler, l.Topic, l.Key, l.Message.UUID, string(l.Message.Payload), l.Reason, l.At.UTC().Format(time.RFC3339Nano))
	for _, k := range slices.Sorted(maps.Keys(l.Message.Metadata)) {
		put(k, l.Message.Metadata[k])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))[:40]
}
