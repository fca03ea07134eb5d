package forwardertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
)

var relayCases = []Case{
	{Name: "a delivered message is kept in the history and leaves the outbox", Run: keepsHistory},
	{Name: "an id that the history has already gives way to the new message", Run: idTwice},
	{Name: "without history a delivered message leaves nothing behind", Run: noHistory},
	{Name: "delivered messages leave the history after Retain and failed ones stay", Run: prunes},
	{Name: "failed messages leave the history after RetainFailed and delivered ones stay", Run: prunesFailed},
	{Name: "a wake-up after the commit is quicker than the poll", Run: wakeUp},
	{Name: "a clean stop settles what was acknowledged and gives the shards back", Run: cleanStop},
	{Name: "a relay that stops while the broker hangs leaves the rest for the next one", Run: stopWhileHanging},
	{Name: "shards are shared fairly and given back", Run: sharing},
	{Name: "a relay runs once at a time", Run: runTwice},
	{Name: "lanes that have caught up take turns to look", Run: turns},
}

func keepsHistory(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.put("orders", keyed("a", 0), keyed("a", 1))
	b.drained()
	if n := b.history("delivered"); n != 2 {
		tb.Errorf("%d delivered messages in the history, want 2", n)
	}
	n := b.count("SELECT COUNT(*) FROM " + b.hist + " WHERE settled_at >= created_at AND topic = 'orders' AND message_key = 'a' AND error IS NULL")
	if n != 2 {
		tb.Errorf("%d complete history rows, want 2", n)
	}
}

// idTwice happens where a table was restored, or its counter was set back.
func idTwice(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	stop := b.relay(newBatched(broker), quick()).stop
	b.put("orders", keyed("old", 0))
	b.drained()
	stop()
	b.put("orders", keyed("new", 0), keyed("new", 1))
	// The counter cannot be set back alike everywhere, so the old one moves.
	_, err := b.db.ExecContext(b.ctx, fmt.Sprintf("UPDATE %s SET id = (SELECT id FROM (SELECT id FROM %s WHERE message_uuid = 'new-0') x) WHERE message_uuid = 'old-0'", b.hist, b.outbox))
	must(tb, err)
	b.relay(newBatched(broker), quick())
	b.drained()
	if n := b.count("SELECT COUNT(*) FROM " + b.hist + " WHERE message_uuid LIKE 'new-%'"); n != 2 || b.history("delivered") != 2 {
		tb.Errorf("%d new messages among %d in the history, want 2 and 2", n, b.history("delivered"))
	}
}

func noHistory(tb testing.TB, h Harness) {
	b := open(tb, h)
	cfg := quick()
	cfg.NoHistory = true
	broker := &fakeBroker{}
	b.relay(newBatched(broker), cfg)
	b.put("orders", keyed("a", 0), keyed("a", 1))
	b.drained()
	if n := b.count("SELECT COUNT(*) FROM " + b.hist); n != 0 || broker.count() != 2 {
		tb.Errorf("%d rows in the history and %d delivered, want 0 and 2", n, broker.count())
	}
}

func prunes(tb testing.TB, h Harness) {
	b := open(tb, h)
	cfg := quick()
	cfg.Retain = 50 * time.Millisecond
	broker := &fakeBroker{answer: refuse("bad", errPermanent)}
	b.relay(newBatched(broker), cfg)
	many := make([]*message.Message, 2500) // of which one batch removes a part
	for i := range many {
		many[i] = keyed("good", i)
	}
	b.put("orders", many...)
	b.put("orders", keyed("bad", 0))
	b.drained()
	b.eventually("the delivered messages have left the history", func() bool { return b.history("delivered") == 0 })
	if n := b.history("failed"); n != 1 {
		tb.Errorf("%d failed messages in the history, want 1", n)
	}
}

func prunesFailed(tb testing.TB, h Harness) {
	b := open(tb, h)
	cfg := quick()
	cfg.RetainFailed = 50 * time.Millisecond
	broker := &fakeBroker{answer: refuse("bad", errPermanent)}
	b.relay(newBatched(broker), cfg)
	b.put("orders", keyed("good", 0), keyed("bad", 0))
	b.drained()
	b.eventually("the failed message has left the history", func() bool { return b.history("failed") == 0 })
	if n := b.history("delivered"); n != 1 {
		tb.Errorf("%d delivered messages in the history, want 1", n)
	}
}

func wakeUp(tb testing.TB, h Harness) {
	b := open(tb, h)
	cfg := quick()
	cfg.PollMin, cfg.PollMax, cfg.Lanes = time.Hour, time.Hour, 2
	broker := &fakeBroker{}
	r := b.relay(newBatched(broker), cfg)
	// Both lanes have looked at an empty table and wait for an hour.
	b.eventually("the relay waits", func() bool { return r.Stats().Rounds >= 2 && r.Stats().Shards == 32 })
	for i := range 20 {
		b.put("orders", keyed(fmt.Sprintf("k%d", i), 0))
		b.eventually("the message is delivered", func() bool { return broker.count() == i+1 })
	}
}

func cleanStop(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		entered, release := make(chan struct{}, 100), b.gate()
		broker := &fakeBroker{answer: func(string, *message.Message) error {
			entered <- struct{}{}
			<-release.ch
			return nil
		}}
		cfg := quick()
		cfg.Lease, cfg.StopTimeout = time.Minute, 20*time.Second
		r := b.relay(form(broker), cfg)
		b.put("orders", keyed("a", 0))
		receive(b, "the broker is asked", entered)
		stopped := make(chan struct{})
		r.cancel()
		go func() { defer close(stopped); r.stop() }()
		release.open()
		receive(b, "the relay stops", stopped)
		if n := b.undelivered(); n != 0 {
			tb.Errorf("%d messages undelivered after a clean stop", n)
		}
		// With a lease of a minute, the next relay could do nothing for long.
		b.relay(form(broker), cfg)
		b.put("orders", keyed("a", 1))
		b.drained()
		inOrder(tb, broker.deliveries(), 1, 2)
		if broker.count() != 2 {
			tb.Errorf("%d deliveries, want 2", broker.count())
		}
	})
}

func stopWhileHanging(tb testing.TB, h Harness) {
	b := open(tb, h)
	release := b.gate()
	hang := make(chan struct{}, 100)
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		if m.UUID == "hangs-0" {
			hang <- struct{}{}
			<-release.ch
			return errAway
		}
		return nil
	}}
	cfg := quick()
	cfg.StopTimeout = 200 * time.Millisecond
	r := b.relay(plain{broker}, cfg)
	b.put("orders", keyed("hangs", 0), keyed("fine", 0))
	receive(b, "the broker hangs", hang)
	b.eventually("the other key is delivered", func() bool { return broker.count() == 1 })
	r.stop()
	if n := b.undelivered(); n != 1 {
		tb.Errorf("%d messages undelivered, want only the one that hangs", n)
	}
	broker.setAnswer(nil)
	release.open()
	b.relay(plain{broker}, quick())
	b.drained()
	if n := broker.count(); n != 2 {
		tb.Errorf("%d deliveries, want 2", n)
	}
}

func sharing(tb testing.TB, h Harness) {
	b := open(tb, h)
	cfg := quick()
	cfg.Lease = time.Second
	broker := &fakeBroker{}
	first := b.relay(newBatched(broker), cfg)
	b.eventually("the only relay has all shards", func() bool { return first.Stats().Shards == 32 })
	second := b.relay(newBatched(broker), cfg)
	b.eventually("two relays have half each", func() bool {
		return first.Stats().Shards == 16 && second.Stats().Shards == 16
	})
	third := b.relay(newBatched(broker), cfg)
	b.eventually("three relays have a third each", func() bool {
		x, y, z := first.Stats().Shards, second.Stats().Shards, third.Stats().Shards
		return x+y+z == 32 && min(x, y, z) >= 10
	})
	third.stop()
	first.stop()
	b.eventually("the last one has all", func() bool { return second.Stats().Shards == 32 })
	second.stop()
	if n := b.count("SELECT COUNT(*) FROM " + b.lease + " WHERE expires_at > 0"); n != 0 {
		tb.Errorf("%d leases or members are left after all relays stopped", n)
	}
}

func runTwice(tb testing.TB, h Harness) {
	b := open(tb, h)
	r := b.relay(newBatched(&fakeBroker{}), quick())
	b.eventually("it runs", func() bool { return r.Stats().Rounds > 0 })
	if err := r.Run(b.ctx); err != forwarder.ErrRunning { //nolint:errorlint // it is returned bare
		tb.Errorf("second Run: %v, want ErrRunning", err)
	}
}

// turns counts the looks at an empty table: one lane's worth, not two.
func turns(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	cfg := quick()
	cfg.Lanes, cfg.Sweep = 2, time.Hour
	cfg.PollMin, cfg.PollMax = 20*time.Millisecond, 20*time.Millisecond
	r := b.relay(newBatched(broker), cfg)
	for k := range 40 { // of both lanes
		b.put("orders", keyed(fmt.Sprintf("k%d", k), 0))
	}
	b.drained()
	before, start := r.Stats().Rounds, time.Now()
	b.eventually("it has looked some times", func() bool { return r.Stats().Rounds >= before+30 })
	looks, polls := r.Stats().Rounds-before, time.Since(start).Seconds()/cfg.PollMin.Seconds()
	if float64(looks) > 1.5*polls+3 {
		tb.Errorf("%d looks in %.0f intervals", looks, polls)
	}
}
