package deadletter

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// raw is a metadata value that is not UTF-8, which JSON would replace: brokers
// carry headers as bytes, and a letter keeps them as they were.
type raw struct {
	Base64 []byte `json:"base64"`
}

// encodeHeaders returns metadata as a JSON object of texts, and of {"base64":…}
// where a value is not one. A key that is not UTF-8 loses its invalid bytes.
func encodeHeaders(m message.Metadata) (string, error) {
	object := make(map[string]any, len(m))
	for k, v := range m {
		if utf8.ValidString(v) {
			object[k] = v
		} else {
			object[k] = raw{Base64: []byte(v)}
		}
	}
	b, err := json.Marshal(object)
	if err != nil {
		return "", fmt.Errorf("encode metadata: %w", err)
	}
	return string(b), nil
}

func decodeHeaders(s string) (message.Metadata, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &object); err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	m := make(message.Metadata, len(object))
	for k, v := range object {
		var text string
		if err := json.Unmarshal(v, &text); err == nil {
			m[k] = text
			continue
		}
		var r raw
		if err := json.Unmarshal(v, &r); err != nil {
			return nil, fmt.Errorf("decode metadata: %w", err)
		}
		m[k] = string(r.Base64)
	}
	return m, nil
}
