package forwardertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
)

var faultCases = []Case{
	{Name: "a relay killed between publish and settle loses nothing and repeats at most one batch a lane", Run: killed},
	{Name: "a stale owner settles nothing", Run: staleOwner},
	{Name: "a broker that is away spends no attempt and everything arrives when it is back", Run: brokerAway},
	{Name: "a broker that is away is asked ever more rarely", Run: awayIsQuiet},
	{Name: "a call that hangs holds back its own key only", Run: hangingCall},
	{Name: "an open write transaction elsewhere stalls nothing", Concurrent: true, Run: openTransaction},
	{Name: "a message in flight blocks no writer", Concurrent: true, Run: writerNotBlocked},
	{Name: "a publisher that panics or answers nonsense loses nothing", Run: nonsense},
}

// killed stands for a crash: the relay is cut off at the moment between the
// broker's acknowledgement and the settling, by taking its leases away.
func killed(tb testing.TB, h Harness) {
	b := open(tb, h)
	const keys, each, size = 20, 50, 50
	var msgs []*message.Message
	for n := range each {
		for k := range keys {
			msgs = append(msgs, keyed(fmt.Sprintf("k%d", k), n))
		}
	}
	b.put("orders", msgs...)
	broker := &fakeBroker{}
	cfg := quick()
	cfg.BatchSize, cfg.Lanes, cfg.StopTimeout = size, 2, time.Millisecond
	dead, entered := b.gate(), make(chan struct{}, 100)
	var once sync.Mutex
	calls := 0
	broker.after = func() {
		once.Lock()
		calls++
		n := calls
		once.Unlock()
		if n >= 4 { // some batches are settled, then every lane hangs here
			entered <- struct{}{}
			<-dead.ch
		}
	}
	// With a lease of an hour nothing but the other relay's clock ends it.
	cfg.Lease = time.Hour
	first := b.relay(newBatched(broker), cfg)
	receive(b, "a lane was cut off", entered)
	receive(b, "both lanes were cut off", entered)
	settled := keys*each - b.undelivered()
	if settled == 0 || settled == keys*each {
		tb.Fatalf("%d messages settled before the crash: this run shows nothing", settled)
	}
	second := &fakeBroker{}
	later := cfg
	later.ClockOffset = 2 * time.Hour
	b.relay(newBatched(second), later)
	b.drained()
	dead.open()
	first.stop()
	all := append(broker.deliveries(), second.deliveries()...)
	inOrder(tb, all, keys, each)
	if extra := len(all) - keys*each; extra < 1 || extra > 2*size {
		tb.Errorf("%d messages repeated, want 1 to %d", extra, 2*size)
	}
}

func staleOwner(tb testing.TB, h Harness) {
	b := open(tb, h)
	frozen, thaw := make(chan struct{}, 10), b.gate()
	slow := &fakeBroker{after: func() { frozen <- struct{}{}; <-thaw.ch }}
	cfg := quick()
	cfg.Lease, cfg.Lanes, cfg.StopTimeout = time.Hour, 1, 10*time.Second
	first := b.relay(newBatched(slow), cfg)
	b.put("orders", keyed("a", 0), keyed("b", 0))
	receive(b, "the first relay freezes after publishing", frozen)

	taken, goOn := make(chan struct{}, 10), b.gate()
	quickOne := &fakeBroker{after: func() { taken <- struct{}{}; <-goOn.ch }}
	later := cfg
	later.ClockOffset = 2 * time.Hour
	second := b.relay(newBatched(quickOne), later)
	receive(b, "the second relay took the shards", taken)

	rows := b.undelivered()
	thaw.open()
	b.eventually("the first relay counts what it could not settle", func() bool { return first.Stats().Stale == int64(rows) })
	if n := b.undelivered(); n != rows || rows == 0 {
		tb.Errorf("the stale relay removed rows: %d left of %d", n, rows)
	}
	if n := b.history("delivered"); n != 2-rows {
		tb.Errorf("the stale relay wrote %d rows into the history", n)
	}
	goOn.open()
	b.drained()
	if n := b.history("delivered"); n != 2 {
		tb.Errorf("%d rows in the history, want 2", n)
	}
	b.eventually("the second counts its messages", func() bool { return second.Stats().Delivered == int64(rows) })
	if n := first.Stats().Delivered; n != 0 {
		tb.Errorf("the stale relay claims %d delivered", n)
	}
}

func brokerAway(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		broker := &fakeBroker{answer: func(string, *message.Message) error { return errAway }}
		cfg := quick()
		cfg.MaxAttempts, cfg.BatchSize = 2, 10
		r := b.relay(form(broker), cfg)
		const keys, each = 20, 10
		for n := range each {
			var msgs []*message.Message
			for k := range keys {
				msgs = append(msgs, keyed(fmt.Sprintf("k%d", k), n))
			}
			b.put("orders", msgs...)
		}
		asked := broker.asked()
		b.eventually("the broker was asked often", func() bool { return broker.asked() > asked+100 })
		if r.Stats().BrokerAwaySince.IsZero() {
			tb.Error("the relay does not say that the broker is away")
		}
		if n := b.count("SELECT COUNT(*) FROM " + b.outbox + " WHERE attempts > 0"); n != 0 {
			tb.Errorf("%d messages have spent attempts", n)
		}
		broker.setAnswer(nil)
		b.drained()
		b.eventually("the relay says that the broker is back", func() bool { return r.Stats().BrokerAwaySince.IsZero() })
		inOrder(tb, broker.deliveries(), keys, each)
		if s := r.Stats(); s.Failed != 0 || s.Retried != 0 {
			tb.Errorf("%d set aside and %d attempts spent while the broker was away", s.Failed, s.Retried)
		}
	})
}

func awayIsQuiet(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{answer: func(string, *message.Message) error { return errAway }}
	cfg := quick()
	cfg.Lanes, cfg.RetryMin, cfg.RetryMax = 1, time.Hour, time.Hour
	r := b.relay(newBatched(broker), cfg)
	b.put("orders", keyed("a", 0))
	b.eventually("the broker was asked", func() bool { return broker.asked() == 1 })
	for n := range 20 { // each wakes the relay
		b.put("orders", keyed("b", n))
	}
	<-time.After(50 * time.Millisecond)
	if n := broker.asked(); n != 1 {
		tb.Errorf("a broker that is away was asked %d times within an hour's wait", n)
	}
	r.stop()
}

func hangingCall(tb testing.TB, h Harness) {
	b := open(tb, h)
	release, hangs := b.gate(), make(chan struct{}, 100)
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		if m.UUID == "slow-0" {
			hangs <- struct{}{}
			<-release.ch
		}
		return nil
	}}
	cfg := quick()
	cfg.PublishTimeout, cfg.Lanes, cfg.MaxAttempts = 30*time.Millisecond, 1, 2
	r := b.relay(plain{broker}, cfg)
	b.put("orders", keyed("slow", 0), keyed("slow", 1))
	receive(b, "the call hangs", hangs)
	for n := range 20 {
		b.put("orders", keyed("other", n))
		b.eventually("the other key goes on", func() bool { return broker.count() == n+1 })
	}
	if len(hangs) > 0 {
		tb.Error("a message was published again while a call with it was in flight")
	}
	release.open()
	b.drained()
	b.eventually("its late answer is taken", func() bool { return broker.count() == 22 && r.Stats().Delivered >= 22 })
	if s := r.Stats(); s.Failed != 0 || s.Delivered != 22 {
		tb.Errorf("delivered %d, set aside %d, want 22 and 0", s.Delivered, s.Failed)
	}
	by := firsts(broker.deliveries())
	if fmt.Sprint(by["slow"]) != "[0 1]" {
		tb.Errorf("the slow key arrived as %v", by["slow"])
	}
}

func openTransaction(tb testing.TB, h Harness) {
	b := open(tb, h)
	table := b.d.Quote(b.names.Plain("unrelated"))
	_, err := b.db.ExecContext(b.ctx, "CREATE TABLE "+table+" (n INTEGER)")
	must(tb, err)
	tb.Cleanup(func() { _, _ = b.db.Exec("DROP TABLE " + table) })
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(b.ctx, "INSERT INTO "+table+" VALUES (1)")
	must(tb, err)
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	var msgs []*message.Message
	for n := range 100 {
		msgs = append(msgs, keyed("a", n))
	}
	b.put("orders", msgs...)
	b.drained()
	inOrder(tb, broker.deliveries(), 1, 100)
}

func writerNotBlocked(tb testing.TB, h Harness) {
	b := open(tb, h)
	entered, release := make(chan struct{}, 100), b.gate()
	broker := &fakeBroker{answer: func(string, *message.Message) error {
		entered <- struct{}{}
		<-release.ch
		return nil
	}}
	b.relay(newBatched(broker), quick())
	b.put("orders", keyed("a", 0))
	receive(b, "a message is in flight", entered)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 50 {
			b.put("orders", keyed("a", n+1))
		}
	}()
	receive(b, "writers go on", done)
	release.open()
	b.drained()
	inOrder(tb, broker.deliveries(), 1, 51)
}

func nonsense(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	var mu sync.Mutex
	calls := 0
	broker.after = func() {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls < 5 {
			panic(errors.New("out of luck"))
		}
	}
	b.relay(newBatched(broker), quick())
	b.put("orders", keyed("a", 0), keyed("a", 1))
	b.drained()
	inOrder(tb, broker.deliveries(), 1, 2)
	if n := b.history("delivered"); n != 2 {
		tb.Errorf("%d delivered, want 2", n)
	}
}

// failingExecutor fails whatever it is asked.
type failingExecutor struct{}

func (failingExecutor) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errors.New("a statement was run")
}

var _ forwarder.Executor = failingExecutor{}
