package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// The metadata is one field: a msgpack map of strings, as watermill-redisstream
// writes it. It is written and read here without reflection, and read without
// trusting what is in it.

// metadataSize is the number of bytes that appendMetadata appends.
func metadataSize(metadata message.Metadata) int {
	if len(metadata) == 0 {
		return 0
	}
	n := headSize(len(metadata), 16, 0)
	for k, v := range metadata {
		n += textSize(k) + textSize(v)
	}
	return n
}

func textSize(s string) int { return headSize(len(s), 32, 1<<8) + len(s) }

// headSize is the size of the head of a map or a text of n parts: one byte up
// to fix, two up to small, three up to 1<<16, and five beyond.
func headSize(n, fix, small int) int {
	switch {
	case n < fix:
		return 1
	case n < small:
		return 2
	case n < 1<<16:
		return 3
	}
	return 5
}

// appendMetadata appends nothing for empty metadata.
func appendMetadata(b []byte, metadata message.Metadata) []byte {
	n := len(metadata)
	switch {
	case n == 0:
		return b
	case n < 16:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xde), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(n)) //nolint:gosec // the size of a message is bounded
	}
	for k, v := range metadata {
		b = appendText(appendText(b, k), v)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	n := len(s)
	switch {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<8:
		b = append(b, 0xd9, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n)) //nolint:gosec // the size of a message is bounded
	}
	return append(b, s...)
}

var errNoMap = errors.New("the metadata is not a msgpack map of texts")

// readMetadata keeps what can be read, the first of each name, and says what
// could not.
func readMetadata(raw []byte) (metadata message.Metadata, problem error) {
	if len(raw) == 0 {
		return message.Metadata{}, nil
	}
	n, raw, err := mapHead(raw)
	if err != nil {
		return message.Metadata{}, err
	}
	metadata = make(message.Metadata, min(n, len(raw)/2)+1)
	for i := range n {
		var name, value []byte
		if name, raw, err = text(raw); err == nil {
			value, raw, err = text(raw)
		}
		if err != nil {
			return metadata, first(problem, err)
		}
		if !utf8.Valid(name) || !utf8.Valid(value) {
			problem = first(problem, fmt.Errorf("metadata entry %d is not UTF-8", i+1))
			continue
		}
		if _, twice := metadata[string(name)]; twice {
			problem = first(problem, fmt.Errorf("metadata entry %d has the name of one before it", i+1))
			continue
		}
		metadata[string(name)] = string(value)
	}
	if len(raw) > 0 {
		problem = first(problem, errNoMap)
	}
	return metadata, problem
}

// first keeps the text short: one problem is enough to set a message aside.
func first(problem, more error) error {
	if problem != nil {
		return problem
	}
	return more
}

func mapHead(raw []byte) (n int, rest []byte, err error) {
	switch c := raw[0]; {
	case c == 0xc0: // nil
		return 0, raw[1:], nil
	case c&0xf0 == 0x80:
		return int(c & 0x0f), raw[1:], nil
	case c == 0xde:
		return number(raw[1:], 2)
	case c == 0xdf:
		return number(raw[1:], 4)
	}
	return 0, nil, errNoMap
}

// text reads a text or, as some languages write them, bytes.
func text(raw []byte) (s, rest []byte, err error) {
	if len(raw) == 0 {
		return nil, nil, errNoMap
	}
	n := 0
	switch c := raw[0]; {
	case c == 0xc0: // nil
		return nil, raw[1:], nil
	case c&0xe0 == 0xa0:
		n, rest = int(c&0x1f), raw[1:]
	case c == 0xd9, c == 0xc4:
		n, rest, err = number(raw[1:], 1)
	case c == 0xda, c == 0xc5:
		n, rest, err = number(raw[1:], 2)
	case c == 0xdb, c == 0xc6:
		n, rest, err = number(raw[1:], 4)
	default:
		err = errNoMap
	}
	if err != nil || n > len(rest) {
		return nil, nil, errNoMap
	}
	return rest[:n], rest[n:], nil
}

// number reads a big-endian number of so many bytes.
func number(raw []byte, size int) (n int, rest []byte, err error) {
	if len(raw) < size {
		return 0, nil, errNoMap
	}
	for i := range size {
		n = n<<8 | int(raw[i])
	}
	return n, raw[size:], nil
}
