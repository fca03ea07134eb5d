package forwardertest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/failure"
)

var parkCases = []Case{
	{Name: "a message that fails MaxAttempts times is parked, lets later ones of its key pass, and arrives once it heals", Run: parkedHeals},
	{Name: "a parked message gets one attempt each time and is set aside after the last with all of them counted", Run: parkedFails},
	{Name: "a parked message waits as long as is configured, or as the broker asks for", Run: parkedWaits},
	{Name: "with Hold later messages of a parked one's key wait behind it, and other keys go on", Run: parkedHolds},
	{Name: "a message refused for good is not parked", Run: parkedNever},
	{Name: "a parked message is what was published, whatever the publisher does to what it is lent", Run: parkedWhole},
}

// parking is quick with a park whose waits are short, on a broker that is known to
// be there.
func parking(attempts int) forwarder.RelayConfig {
	cfg := quick()
	cfg.MaxAttempts = 3
	cfg.Park = forwarder.ParkConfig{Attempts: attempts, First: 30 * time.Millisecond, Every: 10 * time.Millisecond}
	return cfg
}

func parkedHeals(tb testing.TB, h Harness) {
	b := open(tb, h)
	var healed atomic.Bool
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		if m.UUID == "a-0" && !healed.Load() {
			return errTransient
		}
		return nil
	}}
	r := b.relay(reachable{newBatched(broker)}, parking(1000))
	b.put("orders", keyed("a", 0), keyed("a", 1), keyed("b", 0))
	b.eventually("the others arrive", func() bool { return broker.count() == 2 })
	b.eventually("it was parked more than once", func() bool { return r.Stats().Parked > 2 })
	healed.Store(true)
	b.eventually("it arrives", func() bool { return broker.count() == 3 && b.waiting() == 0 && b.undelivered() == 0 })
	if got := fmt.Sprint(firsts(broker.deliveries())["a"]); got != "[1 0]" || b.history("failed") != 0 || b.history("delivered") != 3 {
		tb.Errorf("arrived as %s, %d failed, %d delivered; want [1 0], 0, 3", got, b.history("failed"), b.history("delivered"))
	}
	if n := b.count("SELECT attempts FROM " + b.hist + " WHERE message_uuid = 'a-0'"); n < 5 {
		tb.Errorf("the history counts %d attempts, want more than 4", n)
	}
}

func parkedFails(tb testing.TB, h Harness) {
	b := open(tb, h)
	var tries atomic.Int64
	broker := &fakeBroker{answer: func(string, *message.Message) error { tries.Add(1); return errTransient }}
	r := b.relay(reachable{newBatched(broker)}, parking(7))
	b.put("orders", keyed("a", 0))
	b.eventually("it is set aside", func() bool { return b.history("failed") == 1 })
	b.eventually("the relay counts it", func() bool { return r.Stats().Failed >= 1 }) // after the row is settled
	if n := b.count("SELECT attempts FROM " + b.hist); n != 7 || tries.Load() != 7 || r.Stats().Parked != 4 || r.Stats().Failed != 1 {
		tb.Errorf("%d attempts in the history, %d tries, parked %d times, %d failed; want 7, 7, 4, 1", n, tries.Load(), r.Stats().Parked, r.Stats().Failed)
	}
	if b.waiting() != 0 || b.undelivered() != 0 {
		tb.Errorf("%d wait and %d are in the outbox, want none", b.waiting(), b.undelivered())
	}
}

func parkedWaits(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		if m.UUID == "b-0" {
			return failure.RetryAfter(errTransient, 3*time.Hour)
		}
		return errTransient
	}}
	cfg := parking(1000)
	cfg.MaxAttempts, cfg.Park.First = 1, 2*time.Hour
	b.relay(reachable{newBatched(broker)}, cfg)
	b.put("orders", keyed("a", 0), keyed("b", 0))
	b.eventually("both are parked", func() bool { return b.waiting() == 2 })
	const hour = int64(time.Hour / time.Microsecond)
	for i, want := range []int64{2 * hour, 3 * hour} {
		// Neither the relay nor the order of the two settlements is the point.
		query := fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE due_at - created_at BETWEEN %d AND %d AND attempts = 1 AND error <> ''", b.task(), want, want+hour/60)
		if n := b.count(query); n != 1 {
			tb.Errorf("message %d is not parked for %v hours", i, want/hour)
		}
	}
}

func parkedHolds(tb testing.TB, h Harness) {
	b := open(tb, h)
	var tries, third, fourth atomic.Int64
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		if m.UUID != "a-0" {
			return nil
		}
		n := tries.Add(1)
		switch n {
		case 3:
			third.Store(time.Now().UnixNano())
		case 4:
			fourth.Store(time.Now().UnixNano())
		}
		if n < 6 {
			return errTransient
		}
		return nil
	}}
	cfg := parking(1000)
	cfg.Park.Hold, cfg.Lanes, cfg.Park.First = true, 1, 300*time.Millisecond
	r := b.relay(reachable{newBatched(broker)}, cfg)
	b.put("orders", keyed("a", 0), keyed("a", 1), keyed("b", 0))
	b.eventually("another key arrives", func() bool { return broker.count() > 0 })
	b.put("orders", keyed("a", 2))
	b.drained()
	if got := fmt.Sprint(firsts(broker.deliveries())["a"]); got != "[0 1 2]" || r.Stats().Parked != 0 {
		tb.Errorf("arrived as %s, parked %d times; want [0 1 2], 0", got, r.Stats().Parked)
	}
	if took := time.Duration(fourth.Load() - third.Load()); took < cfg.Park.First {
		tb.Errorf("it was tried again after %v, want %v", took, cfg.Park.First)
	}
	if got := broker.deliveries()[0].msg.UUID; got != "b-0" {
		tb.Errorf("%s arrived first, want b-0", got)
	}
}

func parkedNever(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{answer: refuse("bad", errPermanent)}
	r := b.relay(reachable{newBatched(broker)}, parking(1000))
	b.put("orders", keyed("bad", 0))
	b.eventually("it is set aside", func() bool { return b.history("failed") == 1 })
	if r.Stats().Parked != 0 {
		tb.Errorf("it was parked %d times", r.Stats().Parked)
	}
}

func parkedWhole(tb testing.TB, h Harness) {
	b := open(tb, h)
	var tries atomic.Int64
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		if tries.Add(1) > 4 {
			return nil
		}
		m.Payload[0], m.Metadata["who"] = 'X', "you"
		return errTransient
	}}
	b.relay(reachable{newBatched(broker)}, parking(1000))
	msg := keyed("a", 0)
	msg.Metadata.Set("who", "me")
	msg.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	b.put("orders", msg)
	b.eventually("it arrives", func() bool { return broker.count() == 1 })
	if got := broker.deliveries()[0]; got.topic != "orders" || !got.msg.Equals(msg) {
		tb.Errorf("arrived on %s as %v with %q, want %v with %q", got.topic, got.msg.Metadata, got.msg.Payload, msg.Metadata, msg.Payload)
	}
}
