package nats

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestAnAckThatCouldNotBeSentIsOfOneMessageOnly(t *testing.T) {
	const before, again, another = "$JS.ACK.orders.group.1.7.1.1000.0", "$JS.ACK.orders.group.2.7.9.1000.0", "$JS.ACK.orders.group.1.7.1.2000.0"
	at := func(reply string) position {
		p, err := readPosition(reply)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	c := &claim{
		subscription: &subscription{
			driver: &driver{}, logger: slog.New(slog.DiscardHandler), unsent: map[position]struct{}{},
		},
		held: map[uint64]*item{},
	}
	c.sendAck(at(before), before) // without a connection
	if c.hold(&nats.Msg{Reply: another}, at(another)) == nil {
		t.Error("the first message of a new stream was taken for one of the old that had its sequence")
	}
	clear(c.held)
	if c.hold(&nats.Msg{Reply: again}, at(again)) != nil {
		t.Error("a message that was acked comes again")
	}
}
