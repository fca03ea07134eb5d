package httpidem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
)

// kind says what a completed record holds.
type kind byte

const (
	response    kind = iota + 1 // status, headers and body
	unrepeated                  // the handler ran, its response was not kept
	doubtful                    // a former run ended without an outcome
	void                        // nothing was executed; the record is about to go
	resultBytes                 // what a function returned, in body
)

// outcome is what a completed record holds: a version byte, the kind, the
// fingerprint, and of a response the status and the headers; then the body. Numbers
// are varints, texts follow their length.
type outcome struct {
	kind        kind
	fingerprint string // of a token's request; a key's is the record's own
	status      int
	header      http.Header
	body        []byte
}

const recordVersion = 1

// encode writes o; of its headers, those in names.
func (o outcome) encode(names []string) []byte {
	b := make([]byte, 0, 64+len(o.body))
	b = appendText(append(b, recordVersion, byte(o.kind)), o.fingerprint)
	if o.kind == response {
		b = binary.AppendUvarint(b, uint64(o.status)) //nolint:gosec // 200 to 499
		for _, name := range names {
			for _, v := range o.header[name] {
				b = appendText(appendText(b, name), v)
			}
		}
		b = appendText(b, "")
	}
	return append(b, o.body...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errDamaged = errors.New("stored response is damaged")

func decode(b []byte) (o outcome, err error) {
	if len(b) < 2 {
		return o, errDamaged
	}
	if b[0] != recordVersion {
		return o, fmt.Errorf("stored response of version %d, this program reads %d", b[0], recordVersion)
	}
	o.kind = kind(b[1])
	r := reader{b: b[2:]}
	o.fingerprint = r.text()
	switch o.kind {
	case response:
		status := r.number()
		if status < 200 || status > 999 {
			return o, errDamaged
		}
		o.status, o.header = int(status), http.Header{}
		for name := r.text(); name != ""; name = r.text() {
			o.header[name] = append(o.header[name], r.text())
		}
	case unrepeated, doubtful, void, resultBytes:
	default:
		return o, fmt.Errorf("stored response of kind %d", o.kind)
	}
	if r.bad {
		return o, errDamaged
	}
	o.body = r.b
	return o, nil
}

// reader takes from b; after the first thing that is not there it is bad, and gives
// only zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
