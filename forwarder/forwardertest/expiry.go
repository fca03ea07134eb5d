package forwardertest

import (
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/header"
)

var expiryCases = []Case{
	{Name: "an expired message is not published but recorded, and later ones of its key go on", Run: expired},
	{Name: "a message expires while it is tried again, and no attempt follows", Run: expiresWaiting},
	{Name: "an expired message is recorded without a history of the delivered ones, and leaves after Retain", Run: expiredPruned},
	{Name: "a delayed message can expire before its time", Run: expiredDelayed},
	{Name: "an expiry that cannot be read is refused", Run: expiryRefused},
}

func fresh(msg *message.Message, left time.Duration) *message.Message {
	forwarder.SetExpiry(msg, time.Now().Add(left))
	return msg
}

func expired(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		broker := &fakeBroker{}
		b.put("orders", keyed("a", 0), fresh(keyed("a", 9), 0), fresh(keyed("a", 1), time.Hour), fresh(message.NewMessage("alone", nil), -time.Hour), keyed("a", 2))
		r := b.relay(form(broker), quick())
		b.drained()
		inOrder(tb, broker.deliveries(), 1, 3)
		// It counts after the rows are settled.
		b.eventually("the relay has counted", func() bool { return r.Stats().Expired+r.Stats().Delivered == 5 })
		if b.history("expired") != 2 || b.history("delivered") != 3 || r.Stats().Expired != 2 || r.Stats().Delivered != 3 {
			tb.Errorf("%d expired and %d delivered in the history, the relay counts %d and %d; want 2, 3, 2, 3",
				b.history("expired"), b.history("delivered"), r.Stats().Expired, r.Stats().Delivered)
		}
		if _, err := time.Parse(time.RFC3339Nano, broker.deliveries()[1].msg.Metadata.Get(header.ExpiresAt)); err != nil {
			tb.Errorf("the expiry did not travel with the message: %v", err)
		}
	})
}

func expiresWaiting(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{answer: refuse("a", errTransient)}
	cfg := quick()
	cfg.MaxAttempts = 1000
	b.relay(newBatched(broker), cfg)
	b.put("orders", fresh(keyed("a", 0), 200*time.Millisecond), keyed("b", 0))
	b.eventually("it has expired", func() bool { return b.history("expired") == 1 })
	calls := broker.asked()
	b.put("orders", keyed("b", 1))
	b.drained()
	if broker.asked() != calls+1 {
		tb.Errorf("the broker was asked %d times after the expiry, want once, for the other one", broker.asked()-calls)
	}
}

func expiredPruned(tb testing.TB, h Harness) {
	b := open(tb, h)
	cfg := quick()
	cfg.NoHistory = true
	r := b.relay(newBatched(&fakeBroker{}), cfg)
	b.put("orders", fresh(keyed("a", 0), 0), keyed("a", 1))
	b.drained()
	if b.history("expired") != 1 || b.history("delivered") != 0 {
		tb.Errorf("%d expired and %d delivered in the history, want 1 and 0", b.history("expired"), b.history("delivered"))
	}
	r.stop()
	cfg.Retain = 50 * time.Millisecond
	b.relay(newBatched(&fakeBroker{}), cfg)
	b.eventually("it has left the history", func() bool { return b.history("expired") == 0 })
}

func expiredDelayed(tb testing.TB, h Harness) {
	b := open(tb, h)
	b.later(time.Now().Add(50*time.Millisecond), fresh(keyed("a", 0), 0), keyed("a", 1))
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.eventually("both have left", func() bool { return b.history("expired") == 1 && b.history("delivered") == 1 })
	if got := broker.deliveries(); len(got) != 1 || got[0].msg.UUID != "a-1" {
		tb.Errorf("arrived: %v", got)
	}
}

func expiryRefused(tb testing.TB, h Harness) {
	b := open(tb, h)
	msg := keyed("a", 0)
	msg.Metadata.Set(header.ExpiresAt, "tomorrow")
	var m *forwarder.MessageError
	if err := b.Publish(b.ctx, b.db, "orders", msg); !errors.As(err, &m) || m.Field != "metadata" || b.undelivered() != 0 {
		tb.Errorf("error %v, %d written", err, b.undelivered())
	}
}
