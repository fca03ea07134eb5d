package sqlqueue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
)

// appendHeaders makes a flat JSON object of metadata, without the key, which
// has a column.
func appendHeaders(metadata message.Metadata) ([]byte, error) {
	size := 2
	for name, value := range metadata {
		size += len(name) + len(value) + 6
	}
	b := append(make([]byte, 0, size), '{')
	for name, value := range metadata {
		if name == header.Key && value != "" {
			continue
		}
		// JSON would replace what is not UTF-8; what travels must not change.
		if !utf8.ValidString(name) {
			return nil, errors.New("a metadata name is not UTF-8")
		}
		if !utf8.ValidString(value) {
			return nil, fmt.Errorf("metadata %q is not UTF-8", name)
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		b = appendString(b, value)
	}
	return append(b, '}'), nil
}

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		if c < ' ' {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, '\\', c)
		}
		start = i + 1
	}
	return append(append(b, s[start:]...), '"')
}

// readHeaders reads what appendHeaders or another program has written. What is
// not a flat object of strings is told in problem, and as much as can be read
// is returned.
func readHeaders(b []byte) (metadata message.Metadata, problem string) {
	metadata = make(message.Metadata, 4)
	if !utf8.Valid(b) {
		return metadata, "the headers are not UTF-8"
	}
	if bytes.IndexByte(b, '\\') < 0 {
		if problem, plain := readPlain(b, metadata); plain {
			return metadata, problem
		}
		clear(metadata)
	}
	return metadata, readJSON(b, metadata)
}

const twice = "a header stands there twice"

// readPlain reads an object without escapes and spaces, as it almost always is.
// It reports whether b was one; out may have something of it if not.
func readPlain(b []byte, out message.Metadata) (problem string, plain bool) {
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return "", false
	}
	if len(b) == 2 {
		return "", true
	}
	for b = b[1:]; ; b = b[1:] {
		name, rest, ok := readString(b)
		if !ok || len(rest) == 0 || rest[0] != ':' {
			return "", false
		}
		value, rest, ok := readString(rest[1:])
		if !ok || len(rest) == 0 {
			return "", false
		}
		if _, there := out[name]; there {
			problem = twice
		} else {
			out[name] = value
		}
		if b = rest; b[0] != ',' {
			return problem, len(b) == 1 // the last brace
		}
	}
}

func readString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, false
	}
	n := bytes.IndexByte(b[1:], '"')
	if n < 0 {
		return "", nil, false
	}
	for _, c := range b[1 : n+1] {
		if c < ' ' {
			return "", nil, false // no JSON
		}
	}
	return string(b[1 : n+1]), b[n+2:], true
}

// readJSON goes through the tokens, since a map would hide a name that stands
// there twice.
func readJSON(b []byte, out message.Metadata) (problem string) {
	const broken = "the headers are not a JSON object of strings"
	dec := json.NewDecoder(bytes.NewReader(b))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return broken
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return broken
		}
		value, err := dec.Token()
		if err != nil {
			return broken
		}
		n, nameOK := name.(string)
		v, valueOK := value.(string)
		if !nameOK || !valueOK {
			return broken
		}
		if _, there := out[n]; there {
			problem = twice
		} else {
			out[n] = v
		}
	}
	if end, err := dec.Token(); err != nil || end != json.Delim('}') {
		return broken
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) { // More does not see a brace
		return broken
	}
	return problem
}
