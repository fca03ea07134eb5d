package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/internal/failure"
)

var (
	// errNotSent is the result of messages behind one that failed.
	errNotSent  = errors.New("not sent: a message before it failed")
	errLost     = errors.New("the connection was lost before the acknowledgement came")
	errNoStream = errors.New("no stream answers for this topic")
)

// publisher sends messages and hears their acknowledgements. nats.go has the
// like, but repeats a message that no stream answered for a while later, and
// so behind its successors.
type publisher struct {
	*driver
	link *link

	mu      sync.Mutex
	nc      *nats.Conn
	sub     *nats.Subscription
	prefix  string // of all reply subjects; then flight and message number
	next    uint64
	flights map[uint64]*flight
}

func newPublisher(d *driver) *publisher {
	p := &publisher{driver: d, flights: map[uint64]*flight{}}
	p.link = newLink(d, "publishing", p.cut)
	return p
}

// flight are messages whose acknowledgements are awaited.
type flight struct {
	number uint64
	acks   chan ack      // holds all that can come
	cut    chan struct{} // closed when the connection was lost
}

type ack struct {
	index int
	err   error
	count int // of an atomic batch
}

// takeOff begins a flight of up to n messages.
func (p *publisher) takeOff(ctx context.Context, n int) (*flight, *nats.Conn, error) {
	js, err := p.link.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if nc := js.Conn(); p.nc != nc {
		p.prefix = nats.NewInbox() + "."
		sub, err := nc.Subscribe(p.prefix+"*.*", p.hear)
		if err != nil {
			return nil, nil, failure.Unavailable(fmt.Errorf("listen for acknowledgements: %w", err))
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by the flights
			return nil, nil, failure.Unavailable(fmt.Errorf("listen for acknowledgements: %w", err))
		}
		p.nc, p.sub = nc, sub
	}
	p.next++
	f := &flight{number: p.next, acks: make(chan ack, n), cut: make(chan struct{})}
	p.flights[f.number] = f
	return f, p.nc, nil
}

func (p *publisher) land(f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flights, f.number)
}

// replies returns where the acknowledgements of a flight go, without the
// number of the message.
func (p *publisher) replies(f *flight) string {
	return p.prefix + strconv.FormatUint(f.number, 36) + "."
}

// cut ends every flight after the connection was lost.
func (p *publisher) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, f := range p.flights {
		close(f.cut)
		delete(p.flights, number)
	}
}

// hear is called for every acknowledgement.
func (p *publisher) hear(m *nats.Msg) {
	flightPart, indexPart, _ := strings.Cut(m.Subject[min(len(p.prefix), len(m.Subject)):], ".")
	number, err := strconv.ParseUint(flightPart, 36, 64)
	if err != nil {
		return
	}
	index, err := strconv.Atoi(indexPart)
	if err != nil {
		return
	}
	p.mu.Lock()
	f := p.flights[number]
	p.mu.Unlock()
	if f == nil {
		return
	}
	a := readAck(m)
	a.index = index
	select {
	case f.acks <- a:
	default: // more answers than messages
	}
}

// readAck reads an answer of the server. One in doubt is an error.
func readAck(m *nats.Msg) ack {
	if len(m.Data) == 0 {
		if m.Header.Get("Status") == "503" {
			return ack{err: errNoStream}
		}
		return ack{err: errors.New("the acknowledgement is empty")}
	}
	var answer struct {
		Error    *jetstream.APIError `json:"error"`
		Stream   string              `json:"stream"`
		Sequence uint64              `json:"seq"`
		Count    int                 `json:"count"`
	}
	// The usual answer, which needs no decoder: {"stream":"NAME", "seq":17}
	if _, rest, usual := bytes.Cut(m.Data, []byte(`", "seq":`)); usual && bytes.HasPrefix(m.Data, []byte(`{"stream":"`)) {
		if n := len(bytes.TrimLeft(rest, "0123456789")); n == 1 && len(rest) > 1 && rest[len(rest)-1] == '}' {
			return ack{}
		}
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return ack{err: fmt.Errorf("read the acknowledgement: %w", err)}
	}
	switch {
	case answer.Error != nil:
		return ack{err: answer.Error}
	case answer.Stream == "" || answer.Sequence == 0:
		return ack{err: errors.New("the acknowledgement names no stream")}
	}
	return ack{count: answer.Count}
}
