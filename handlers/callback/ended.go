package callback

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/internal/header"
)

// Ended is what the message of a result says.
type Ended struct {
	Service string
	Number  string
	Kind    string
	Source  Source
	Result  Result // of which Status is Succeeded, Failed or TimedOut
	At      time.Time
}

// wire is Ended as JSON.
type wire struct {
	Service  string          `json:"service"`
	Number   string          `json:"number"`
	Kind     string          `json:"kind,omitempty"`
	Status   Status          `json:"status"`
	Source   Source          `json:"source"`
	Code     string          `json:"code,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Encoding string          `json:"encoding,omitempty"` // "base64" where the data are no JSON
	At       time.Time       `json:"at"`
}

// MarshalJSON writes the data of the result as they are where they are JSON, and
// else as a string in base64, with "encoding": "base64".
func (e Ended) MarshalJSON() ([]byte, error) {
	w := wire{
		Service: e.Service, Number: e.Number, Kind: e.Kind, Status: e.Result.Status, Source: e.Source,
		Code: e.Result.Code, Reason: e.Result.Reason, Data: e.Result.Data, At: e.At,
	}
	if e.Result.Data != nil && !json.Valid(e.Result.Data) {
		w.Data, w.Encoding = json.RawMessage(`"`+base64.StdEncoding.EncodeToString(e.Result.Data)+`"`), "base64"
	}
	return json.Marshal(w) //nolint:wrapcheck // the caller is json itself
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Ended) UnmarshalJSON(raw []byte) error {
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		return fmt.Errorf("read end of a call: %w", err)
	}
	data := []byte(w.Data)
	if w.Encoding == "base64" {
		if err := json.Unmarshal(w.Data, &data); err != nil { // a []byte is base64 to json
			return fmt.Errorf("read data of the end of a call: %w", err)
		}
	}
	*e = Ended{
		Service: w.Service, Number: w.Number, Kind: w.Kind, Source: w.Source, At: w.At,
		Result: Result{Status: w.Status, Code: w.Code, Reason: w.Reason, Data: data},
	}
	return nil
}

func encodeJSON(e Ended) ([]byte, error) { return json.Marshal(e) }

// space is the namespace of the messages' ids: one id for each call, so that who receives the
// message twice knows it.
var space = uuid.MustParse("8a0b6a0e-6f0c-5d62-9d1b-3f2a1c9b7e44")

// message returns the message of e. Its key is the number, its id always the same
// for one call.
func (e Ended) message(encode func(Ended) ([]byte, error)) (*message.Message, error) {
	payload, err := encode(e)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	msg := message.NewMessage(uuid.NewSHA1(space, []byte(e.Service+"\x00"+e.Number)).String(), payload)
	msg.Metadata.Set(header.Key, e.Number)
	return msg, nil
}
