package forwardertest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

var backlogCases = []Case{
	{Name: "a backlog with holes is drained in order past a message that is refused", Run: holes},
	{Name: "what waits is counted, and for how long it has waited", Run: counted},
	{Name: "a row that commits late while a backlog is drained keeps its place", Concurrent: true, Run: lateInBacklog},
}

// A backlog over so many keys that every shard has some of it.
const backlogKeys = 200

// backlog puts the messages from first on, some of each key.
func (b *box) backlog(first, each int) {
	for n := range each {
		msgs := make([]*message.Message, backlogKeys)
		for k := range msgs {
			msgs[k] = keyed(fmt.Sprintf("k%d", k), first+n)
		}
		b.put("orders", msgs...)
	}
}

func stretching() (lanes int, batch int) { return 2, 200 }

// holes has ids that nobody will ever see, more of them than a read looks
// through, and a message that the broker takes at the third time only.
func holes(tb testing.TB, h Harness) {
	b := open(tb, h)
	each := 12
	if h.Slow {
		each = 6
	}
	b.backlog(0, each)
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	gone := make([]*message.Message, 3000)
	for i := range gone {
		gone[i] = keyed("gone", i)
	}
	must(tb, b.Publish(b.ctx, tx, "orders", gone...))
	must(tb, tx.Rollback())
	b.backlog(each, each)

	var tries atomic.Int64
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		if m.UUID == keyed("k7", each/2).UUID && tries.Add(1) < 3 {
			return errors.New("not now")
		}
		return nil
	}}
	cfg := quick()
	cfg.Sweep, cfg.FloorLag = time.Hour, 10*time.Millisecond
	cfg.Lanes, cfg.BatchSize = stretching()
	r := b.relay(newBatched(broker), cfg)
	b.drained()
	inOrder(tb, broker.deliveries(), backlogKeys, 2*each)
	// What comes now has the next ids, which the last stretch has looked at, before
	// anybody had them.
	for n := range 40 {
		b.put("orders", keyed(fmt.Sprintf("then-%d", n), 0))
		b.eventually("what comes after the backlog is delivered", func() bool { return broker.count() == 2*backlogKeys*each+n+1 })
	}
	if r.Stats().Stretches == 0 {
		tb.Error("nothing was read in stretches: this run shows nothing")
	}
}

// lateInBacklog has a transaction with the lowest ids end while the rest is
// drained, and the next of its keys written after it.
func lateInBacklog(tb testing.TB, h Harness) {
	b := open(tb, h)
	early, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	defer func() { _ = early.Rollback() }()
	const late = 40
	for n := range late {
		must(tb, b.Publish(b.ctx, early, "orders", keyed(fmt.Sprintf("late-%d", n), 0)))
	}
	each := 20
	if h.Slow {
		each = 8
	}
	b.backlog(0, each)
	reached := make(chan struct{})
	var batches atomic.Int64
	broker := &fakeBroker{after: func() {
		if batches.Add(1) == 6 {
			close(reached)
		}
	}}
	cfg := quick()
	cfg.Sweep, cfg.FloorLag = time.Hour, time.Minute
	cfg.Lanes, cfg.BatchSize = stretching()
	r := b.relay(newBatched(broker), cfg)
	<-reached
	must(tb, early.Commit())
	for n := range late {
		b.put("orders", keyed(fmt.Sprintf("late-%d", n), 1))
	}
	b.drained()
	if n := broker.count(); n != backlogKeys*each+2*late {
		tb.Errorf("%d deliveries, want %d", n, backlogKeys*each+2*late)
	}
	by := firsts(broker.deliveries())
	for n := range late {
		if got := by[fmt.Sprintf("late-%d", n)]; len(got) != 2 || got[0] != 0 {
			tb.Fatalf("key late-%d arrived as %v", n, got)
		}
	}
	if r.Stats().Stretches == 0 {
		tb.Error("nothing was read in stretches: this run shows nothing")
	}
}

// counted looks before, while and after something waits.
func counted(tb testing.TB, h Harness) {
	b := open(tb, h)
	look := func(want int64, low, high time.Duration) {
		tb.Helper()
		got, err := b.Backlog(b.ctx)
		must(tb, err)
		if got.Messages != want || got.Oldest < low || got.Oldest > high {
			tb.Errorf("%+v, want %d messages, the oldest of an age in %v to %v", got, want, low, high)
		}
	}
	look(0, 0, 0)
	began := time.Now()
	b.put("orders", keyed("a", 0), keyed("a", 1))
	b.put("orders", keyed("b", 0))
	look(3, 0, time.Since(began)+time.Second)
	_, err := b.db.ExecContext(b.ctx, "UPDATE "+b.outbox+" SET created_at = created_at - 60000000 WHERE message_key = 'a'")
	must(tb, err)
	look(3, time.Minute, time.Minute+time.Since(began)+time.Second)
	b.relay(newBatched(&fakeBroker{}), quick())
	b.drained()
	look(0, 0, 0)
}
