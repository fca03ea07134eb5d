package nats

import (
	"errors"
	"strconv"
	"strings"
)

// position is what the reply subject of a delivery says.
type position struct {
	stream    string
	sequence  uint64 // in the stream
	timestamp string // in nanoseconds, when the message was stored
}

var errPosition = errors.New("the reply subject is not one of a delivery")

// readPosition reads
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>
//
// or the same with a domain and an account's hash behind $JS.ACK.
func readPosition(reply string) (position, error) {
	rest, found := strings.CutPrefix(reply, "$JS.ACK.")
	if !found {
		return position{}, errPosition
	}
	parts := strings.Split(rest, ".")
	if len(parts) >= 9 {
		parts = parts[2:]
	}
	if len(parts) < 7 {
		return position{}, errPosition
	}
	sequence, err := strconv.ParseUint(parts[3], 10, 64)
	if err != nil {
		return position{}, errPosition
	}
	return position{stream: parts[0], sequence: sequence, timestamp: parts[5]}, nil
}
