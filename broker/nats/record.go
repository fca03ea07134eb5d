package nats

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/sluicegate/sluicegate/internal/header"
)

const (
	// metadataHeader holds, form-encoded, what a NATS header cannot carry.
	metadataHeader = header.Prefix + "metadata"
	// payloadHeader is "nil" for a nil payload: to NATS there is only none.
	payloadHeader = header.Prefix + "payload"

	extraHeaders = 4 // that are added before a message is sent
	frame        = len("NATS/1.0\r\n\r\n")
	headerFrame  = len(": \r\n")
	batchHeaders = 120 // the bytes of those of an atomic batch, at most
)

// marshal makes a message in the format of watermill-nats' NATSMarshaler: the
// UUID in a header of its name, each metadata entry in a header. An error means
// that msg can never be sent.
func marshal(topic string, msg *message.Message, maxBytes int, dedupe bool) (*nats.Msg, error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	h := make(nats.Header, len(msg.Metadata)+1+extraHeaders)
	values := make([]string, 0, len(msg.Metadata)+1+extraHeaders) // one array for all
	size := frame + len(msg.Payload)
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
		size += len(name) + len(value) + headerFrame
	}
	var rest url.Values
	keep := func(name, value string) {
		if rest == nil {
			rest = url.Values{}
		}
		rest[name] = []string{value}
	}
	if plainValue(msg.UUID) {
		set(wmnats.WatermillUUIDHdr, msg.UUID)
	} else {
		keep("", msg.UUID)
	}
	for name, value := range msg.Metadata {
		switch {
		case name == metadataHeader, name == payloadHeader:
		case plainName(name) && plainValue(value):
			set(name, value)
		case strings.Trim(name, " ") == "":
			keep(name+" ", value)
		default:
			keep(name, value)
		}
	}
	if rest != nil {
		set(metadataHeader, rest.Encode())
	}
	if msg.Payload == nil {
		set(payloadHeader, "nil")
	}
	if dedupe && msg.UUID != "" {
		set(nats.MsgIdHdr, url.QueryEscape(topic+"/"+msg.UUID))
	}
	if size > maxBytes {
		return nil, fmt.Errorf("message has %d bytes with its metadata, more than max_message_bytes, %d", size, maxBytes)
	}
	return &nats.Msg{Subject: topic, Header: h, Data: msg.Payload}, nil
}

// plainName: the name can be a header's, and neither the server nor a client
// makes anything else of it. The Go client leaves out names that HTTP has not,
// without a word.
func plainName(name string) bool {
	for i := range len(name) {
		if !tokenBytes[name[i]] {
			return false
		}
	}
	if name == "" || name == wmnats.WatermillUUIDHdr || name == "Status" || name == "Description" {
		return false
	}
	return !reserved(name)
}

// tokenBytes are those of a header's name in HTTP.
var tokenBytes = func() (is [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.!#$%&'*+^`|~") {
		is[c] = true
	}
	return is
}()

// plainValue: the value can be a header's. The Go client makes spaces of line
// breaks, and drops those at the ends.
func plainValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == 0x7f {
			return false
		}
	}
	return value == "" || value[0] != ' ' && value[len(value)-1] != ' ' && utf8.ValidString(value)
}

// unmarshal makes a message of any record. What is not as Watermill writes it
// is said in the metadata; it never fails, since what cannot be delivered would
// come again for ever.
func unmarshal(m *nats.Msg, p position) *message.Message {
	id, metadata, problem := readHeaders(m.Header)
	payload := m.Data
	if payload == nil {
		payload = []byte{}
	}
	if metadata[payloadHeader] == "nil" && len(payload) == 0 {
		payload = nil
	}
	header.Strip(metadata)
	if id == "" {
		id = foreignUUID(p)
	}
	if problem != "" {
		metadata[header.Quarantine] = problem
	}
	msg := message.NewMessage(id, payload)
	msg.Metadata = metadata
	return msg
}

// readHeaders keeps what can be read, the first of each name.
func readHeaders(headers nats.Header) (id string, metadata message.Metadata, problem string) {
	metadata = make(message.Metadata, len(headers))
	var rest string
	for name, values := range headers {
		if !utf8.ValidString(name) {
			problem = first(problem, "a header name is not UTF-8")
			continue
		}
		if reserved(name) || len(values) == 0 {
			continue
		}
		if len(values) > 1 {
			problem = first(problem, fmt.Sprintf("header %q comes %d times", name, len(values)))
		}
		if !utf8.ValidString(values[0]) {
			problem = first(problem, fmt.Sprintf("header %q is not UTF-8", name))
			continue
		}
		switch name {
		case wmnats.WatermillUUIDHdr:
			id = values[0]
		case metadataHeader:
			rest = values[0]
		default:
			metadata[name] = values[0]
		}
	}
	if rest != "" {
		if err := readRest(rest, &id, metadata); err != nil {
			problem = first(problem, "header "+metadataHeader+" cannot be read")
		}
	}
	return id, metadata, problem
}

// reserved: the header is NATS' own.
func reserved(name string) bool { return len(name) >= 5 && strings.EqualFold(name[:5], "nats-") }

func readRest(rest string, id *string, metadata message.Metadata) error {
	values, err := url.ParseQuery(rest)
	if err != nil {
		return err
	}
	for name, v := range values {
		switch {
		case len(v) != 1:
			return errors.New("a name comes twice")
		case name == "":
			*id = v[0]
		case strings.Trim(name, " ") == "":
			metadata[name[1:]] = v[0]
		default:
			metadata[name] = v[0]
		}
	}
	return nil
}

// first keeps the text short: one problem is enough to set a message aside.
func first(problem, more string) string {
	if problem != "" {
		return problem
	}
	return more
}

// foreignUUID gives a message the same UUID whenever it is read. The timestamp
// is part of it, because a stream that was deleted and made again has the same
// sequence.
func foreignUUID(p position) string {
	name := fmt.Sprintf("nats/%s/%d/%s", p.stream, p.sequence, p.timestamp)
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()
}
