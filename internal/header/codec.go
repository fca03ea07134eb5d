package header

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// raw is a value that is not UTF-8, which JSON would replace: brokers carry
// headers as bytes, and what is stored keeps them as they were.
type raw struct {
	Base64 []byte `json:"base64"`
}

// Encode returns metadata as a JSON object of texts, and of {"base64":…} where
// a value is not one. A key that is not UTF-8 loses its invalid bytes.
func Encode(metadata map[string]string) (string, error) {
	object := make(map[string]any, len(metadata))
	for k, v := range metadata {
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

// Decode reads what Encode wrote.
func Decode(s string) (map[string]string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &object); err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	m := make(map[string]string, len(object))
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
