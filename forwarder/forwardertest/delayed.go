package forwardertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/schema"
)

var delayedCases = []Case{
	{Name: "a delayed message leaves at its time and not before, whole", Run: delayed},
	{Name: "a delayed message leaves only if its transaction commits", Run: delayedRollback},
	{Name: "delayed messages enter in the order of their times, and of writing where these are equal", Run: delayedOrder},
	{Name: "a delayed message whose time has passed leaves at once", Run: delayedPast},
	{Name: "a time that is none or too far ahead is refused", Run: delayedRefused},
	{Name: "a message that says when it may leave is delayed by every way to publish, and does not tell the broker", Run: delayedByItself},
	{Name: "each delayed message enters once however many relays run", Run: delayedOnce},
	{Name: "many messages that become due together enter in order", Run: delayedMany},
	{Name: "a delayed message that cannot be read does not stop the others", Run: delayedUnreadable},
	{Name: "tasks of messages that have entered are removed", Run: delayedPruned},
}

func (b *box) task() string { return b.names.Table(b.d, schema.Task) }

func (b *box) waiting() int {
	return b.count("SELECT COUNT(*) FROM " + b.task() + " WHERE status = 'waiting'")
}

// later publishes in a transaction of its own.
func (b *box) later(at time.Time, msgs ...*message.Message) {
	b.tb.Helper()
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(b.tb, err)
	defer func() { _ = tx.Rollback() }()
	must(b.tb, b.PublishAt(b.ctx, tx, at, "orders", msgs...))
	must(b.tb, tx.Commit())
}

// ripen lets the times of all that waits come, from the earliest on.
func (b *box) ripen() {
	b.tb.Helper()
	const back = int64(time.Hour / time.Microsecond)
	_, err := b.db.ExecContext(b.ctx, fmt.Sprintf("UPDATE %s SET due_at = due_at - %d, claim_at = claim_at - %d WHERE status = 'waiting'", b.task(), back, back))
	must(b.tb, err)
}

func delayed(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	r := b.relay(newBatched(broker), quick())
	msg := keyed("a", 0)
	msg.Metadata.Set("who", "me")
	empty := message.NewMessage("empty", []byte{})
	none := message.NewMessage("none", nil)
	before := time.Now()
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	must(tb, b.PublishAfter(b.ctx, tx, 300*time.Millisecond, "orders", msg, empty, none))
	must(tb, tx.Commit())
	b.eventually("the messages arrive", func() bool { return broker.count() == 3 })
	if took := time.Since(before); took < 300*time.Millisecond {
		tb.Errorf("arrived after %v, before their time", took)
	}
	b.drained()
	for _, d := range broker.deliveries() {
		if d.msg.UUID == "a-0" && (d.topic != "orders" || d.key != "a" || string(d.msg.Payload) != "0" || d.msg.Metadata.Get("who") != "me") {
			tb.Errorf("arrived on %s as %+v", d.topic, d.msg)
		}
		if d.msg.UUID == "empty" && (d.msg.Payload == nil || len(d.msg.Payload) != 0) || d.msg.UUID == "none" && d.msg.Payload != nil {
			tb.Errorf("the payload of %s arrived as %#v", d.msg.UUID, d.msg.Payload)
		}
	}
	b.eventually("the relay counts what it has moved", func() bool { return r.Stats().Moved >= 3 }) // after the rows are settled
	if got := r.Stats().Moved; got != 3 {
		tb.Errorf("the relay counts %d moved, want 3", got)
	}
}

func delayedRollback(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	must(tb, b.PublishAfter(b.ctx, tx, time.Millisecond, "orders", keyed("a", 0)))
	must(tb, tx.Rollback())
	b.later(time.Now().Add(20*time.Millisecond), keyed("b", 0))
	b.eventually("the one that was committed arrives", func() bool { return broker.count() > 0 })
	if got := broker.deliveries(); len(got) != 1 || got[0].msg.UUID != "b-0" {
		tb.Errorf("arrived: %v", got)
	}
}

func delayedOrder(tb testing.TB, h Harness) {
	b := open(tb, h)
	at := time.Now().Add(30 * time.Minute)
	b.later(at.Add(2*time.Second), keyed("a", 4))
	b.later(at, keyed("a", 0), keyed("a", 1))
	b.later(at.Add(time.Second), keyed("a", 3))
	b.later(at, keyed("a", 2))
	b.ripen()
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.eventually("all arrive", func() bool { return broker.count() == 5 })
	if got := fmt.Sprint(firsts(broker.deliveries())["a"]); got != "[0 1 2 3 4]" {
		tb.Errorf("arrived as %s", got)
	}
}

func delayedPast(tb testing.TB, h Harness) {
	b := open(tb, h)
	b.later(time.Unix(1, 0), keyed("a", 0))
	b.later(time.Date(-40, 1, 1, 0, 0, 0, 0, time.UTC), keyed("a", 1))
	must(tb, b.PublishAfter(b.ctx, b.db, -time.Hour, "orders", keyed("a", 2)))
	if b.undelivered() != 3 || b.waiting() != 0 {
		tb.Errorf("%d in the outbox, %d wait; want 3, 0", b.undelivered(), b.waiting())
	}
}

func delayedRefused(tb testing.TB, h Harness) {
	b := open(tb, h)
	soon := time.Now().Add(time.Minute)
	far := time.Now().Add(forwarder.MaxDelay + time.Hour)
	for name, err := range map[string]error{
		"at":      b.PublishAt(b.ctx, b.db, time.Time{}, "orders", keyed("a", 0)),
		"at, far": b.PublishAt(b.ctx, b.db, far, "orders", keyed("a", 0)),
		"delay":   b.PublishAfter(b.ctx, b.db, forwarder.MaxDelay+1, "orders", keyed("a", 0)),
		"topic":   b.PublishAt(b.ctx, b.db, soon, "no topic", keyed("a", 0)),
		"uuid":    b.PublishAt(b.ctx, b.db, soon, "orders", keyed("a", 0), message.NewMessage("a\x00", nil)),
		"message": b.PublishAfter(b.ctx, b.db, time.Minute, "orders", message.NewMessage("b", make([]byte, 2<<20))),
	} {
		var m *forwarder.MessageError
		if !errors.As(err, &m) || !failure.IsPermanent(err) || !strings.HasPrefix(name, m.Field) {
			tb.Errorf("%s: %v", name, err)
		}
	}
	if err := b.PublishAt(b.ctx, nil, soon, "orders", keyed("a", 0)); err == nil {
		tb.Error("without a transaction there is no error")
	}
	must(tb, b.PublishAt(b.ctx, b.db, soon, "orders"))
	if n := b.waiting() + b.undelivered(); n != 0 {
		tb.Errorf("%d messages were written", n)
	}
}

func delayedByItself(tb testing.TB, h Harness) {
	b := open(tb, h)
	at := func(msg *message.Message, left time.Duration) *message.Message {
		forwarder.SetAvailableAt(msg, time.Now().Add(left))
		return msg
	}
	var m *forwarder.MessageError
	if err := b.Publish(b.ctx, b.db, "orders", keyed("a", 0), at(keyed("a", 1), forwarder.MaxDelay+time.Hour)); !errors.As(err, &m) || m.Index != 1 || m.Field != "metadata" {
		tb.Errorf("too far ahead: %v", err)
	}
	bad := keyed("a", 0)
	bad.Metadata.Set(header.AvailableAt, "tomorrow")
	if err := b.Publish(b.ctx, b.db, "orders", bad); !errors.As(err, &m) || m.Field != "metadata" {
		tb.Errorf("unreadable: %v", err)
	}
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	alone := message.NewMessage("alone", nil)
	must(tb, b.Publisher(b.ctx, tx).Publish("orders", at(keyed("a", 2), 30*time.Minute), keyed("a", 0), at(keyed("a", 1), -time.Minute), at(alone, 40*time.Minute)))
	must(tb, tx.Commit())
	if b.undelivered() != 2 || b.waiting() != 2 {
		tb.Errorf("%d in the outbox, %d wait; want 2, 2", b.undelivered(), b.waiting())
	}
	b.ripen()
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.eventually("all arrive", func() bool { return broker.count() == 4 })
	if got := fmt.Sprint(firsts(broker.deliveries())["a"]); got != "[0 1 2]" {
		tb.Errorf("arrived as %s", got)
	}
	for _, d := range broker.deliveries() {
		if _, ok := d.msg.Metadata[header.AvailableAt]; ok {
			tb.Errorf("%s tells the broker when it might leave", d.msg.UUID)
		}
	}
	if alone.Metadata[header.AvailableAt] == "" {
		tb.Error("the caller's message was changed")
	}
}

func delayedOnce(tb testing.TB, h Harness) {
	b := open(tb, h)
	at := time.Now().Add(30 * time.Minute)
	const n = 300
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = keyed(fmt.Sprintf("k%d", i%10), i/10)
	}
	b.later(at, msgs...)
	broker := &fakeBroker{}
	cfg := quick()
	relays := []running{b.relay(newBatched(broker), cfg), b.relay(newBatched(broker), cfg), b.relay(newBatched(broker), cfg)}
	b.ripen()
	b.eventually("all have entered and left", func() bool { return b.waiting() == 0 && b.undelivered() == 0 })
	moved := int64(0)
	b.eventually("the relays count what they have moved", func() bool { // after the rows are settled
		moved = 0
		for _, r := range relays {
			moved += r.Stats().Moved
		}
		return moved >= n
	})
	if moved != n || b.history("delivered") != n || broker.count() != n {
		tb.Errorf("%d entered, %d in the history, %d arrived; want %d each", moved, b.history("delivered"), broker.count(), n)
	}
	inOrder(tb, broker.deliveries(), 10, n/10)
}

func delayedMany(tb testing.TB, h Harness) {
	b := open(tb, h)
	n := 1000
	if h.Slow {
		n = 450
	}
	at := time.Now().Add(30 * time.Minute)
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = keyed("a", i)
	}
	b.later(at, msgs...)
	b.ripen()
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.eventually("all arrive", func() bool { return broker.count() >= n })
	inOrder(tb, broker.deliveries(), 1, n)
}

func delayedUnreadable(tb testing.TB, h Harness) {
	b := open(tb, h)
	b.later(time.Now().Add(30*time.Minute), keyed("a", 0), keyed("bad", 0), keyed("a", 1))
	_, err := b.db.ExecContext(b.ctx, "UPDATE "+b.task()+" SET payload = NULL WHERE id = (SELECT n FROM (SELECT MIN(id) + 1 AS n FROM "+b.task()+") AS t)")
	must(tb, err)
	b.ripen()
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.eventually("the others arrive", func() bool { return broker.count() == 2 })
	if n := b.count("SELECT COUNT(*) FROM " + b.task() + " WHERE status = 'dead' AND error <> ''"); n != 1 {
		tb.Errorf("%d tasks are dead, want 1", n)
	}
}

func delayedPruned(tb testing.TB, h Harness) {
	b := open(tb, h)
	cfg := quick()
	cfg.Retain = 50 * time.Millisecond
	b.relay(newBatched(&fakeBroker{}), cfg)
	b.later(time.Now().Add(20*time.Millisecond), keyed("a", 0), keyed("b", 0))
	b.eventually("nothing is left", func() bool {
		return b.count("SELECT COUNT(*) FROM "+b.task()) == 0 && b.undelivered() == 0 && b.history("delivered") == 0
	})
}
