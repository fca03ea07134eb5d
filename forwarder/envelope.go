package forwarder

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// errEnvelope says that a row is no envelope of Watermill's forwarder. The
// decoder's own error would quote what it found.
var errEnvelope = errors.New("not an envelope of Watermill's forwarder")

// envelope is what Watermill's forwarder publisher wraps a message in.
type envelope struct {
	DestinationTopic string           `json:"destination_topic"`
	UUID             string           `json:"uuid"`
	Payload          []byte           `json:"payload"`
	Metadata         message.Metadata `json:"metadata"`
}

// decodeEnvelope reads an envelope. Nearly all are plain: the four fields, in
// any order, with strings that hold no escape. Those are read in one pass, for
// a fifth of what encoding/json takes; it reads all others, and decides.
func decodeEnvelope(text []byte) (envelope, error) {
	if e, ok := plainEnvelope(text); ok {
		return e, nil
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil || e.DestinationTopic == "" {
		return envelope{}, errEnvelope
	}
	return e, nil
}

// plainEnvelope reports false where text is anything else than a plain envelope
// with a destination.
func plainEnvelope(text []byte) (e envelope, ok bool) {
	s := plainReader{rest: text}
	var seen uint8
	s.object(func(key []byte) {
		var field uint8
		switch string(key) {
		case "destination_topic":
			field, e.DestinationTopic = 1, string(s.text())
		case "uuid":
			field, e.UUID = 2, string(s.text())
		case "payload":
			field, e.Payload = 4, s.bytes()
		case "metadata":
			field, e.Metadata = 8, s.metadata()
		}
		s.odd = s.odd || field == 0 || seen&field != 0
		seen |= field
	})
	s.space()
	return e, !s.odd && len(s.rest) == 0 && e.DestinationTopic != ""
}

// plainReader reads JSON that is plain. What is not sets odd, and ends the reading.
type plainReader struct {
	rest []byte
	odd  bool
}

func (s *plainReader) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// next takes c, and whatever space is before it.
func (s *plainReader) next(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *plainReader) must(c byte) { s.odd = !s.next(c) || s.odd }

// object reads an object and calls value for each key, to read what it has.
func (s *plainReader) object(value func(key []byte)) {
	s.must('{')
	if s.odd || s.next('}') {
		return
	}
	for !s.odd {
		key := s.text()
		s.must(':')
		if s.odd {
			return
		}
		value(key)
		if s.odd || s.next('}') {
			return
		}
		s.must(',')
	}
}

// text reads a string without escapes, and returns its part of the input.
func (s *plainReader) text() []byte {
	s.must('"')
	if s.odd {
		return nil
	}
	ascii := true
	for i, c := range s.rest {
		switch {
		case c == '"':
			out := s.rest[:i]
			s.rest, s.odd = s.rest[i+1:], !ascii && !utf8.Valid(out)
			return out
		case c == '\\' || c < ' ':
			s.odd = true
			return nil
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.odd = true
	return nil
}

func (s *plainReader) bytes() []byte {
	in := s.text()
	out := make([]byte, base64.StdEncoding.DecodedLen(len(in)))
	n, err := base64.StdEncoding.Decode(out, in)
	s.odd = s.odd || err != nil
	return out[:n]
}

func (s *plainReader) metadata() message.Metadata {
	out := message.Metadata{}
	s.object(func(key []byte) {
		k := string(key)
		_, twice := out[k]
		out[k] = string(s.text())
		s.odd = s.odd || twice
	})
	return out
}
