package forwardertest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
)

var refusalCases = []Case{
	{Name: "a message refused for good is set aside at once and the rest go on", Run: refusedForGood},
	{Name: "a message that always fails is set aside after MaxAttempts and later ones of its key wait for that", Run: alwaysFails},
	{Name: "a message that always fails is set aside though only messages of other lanes prove that the broker is there", Run: provenElsewhere},
	{Name: "a failing message is retried in order and other keys go on", Run: retriedInOrder},
	{Name: "a message that fails alone counts no attempt until the broker proves to be there", Run: failsAlone},
	{Name: "a row whose headers cannot be read is set aside", Run: unreadable},
	{Name: "many failing messages do not hide the good ones behind them", Run: manyFailing},
}

var (
	errPermanent = failure.Permanent(errors.New("message too large"))
	errTransient = errors.New("not enough replicas")
)

// refuse answers err for one key.
func refuse(key string, err error) func(string, *message.Message) error {
	return func(_ string, m *message.Message) error {
		if m.Metadata.Get("sluicegate_key") == key {
			return err
		}
		return nil
	}
}

func refusedForGood(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		long := failure.Permanent(errors.New("bad\x00\xff" + strings.Repeat("ü", 3000)))
		broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
			if m.UUID == "bad-0" {
				return long
			}
			return nil
		}}
		r := b.relay(form(broker), quick())
		b.put("orders", keyed("a", 0), keyed("bad", 0), keyed("bad", 1), keyed("a", 1))
		b.drained()
		if broker.count() != 3 || b.history("failed") != 1 || b.history("delivered") != 3 {
			tb.Errorf("%d acknowledged, %d failed, %d delivered, want 3, 1, 3", broker.count(), b.history("failed"), b.history("delivered"))
		}
		var text string
		must(tb, b.db.QueryRowContext(b.ctx, "SELECT error FROM "+b.hist+" WHERE status = 'failed'").Scan(&text))
		if !strings.HasPrefix(text, "bad") || len(text) > 2010 || !utf8.ValidString(text) {
			tb.Errorf("the error text has %d bytes, valid: %v", len(text), utf8.ValidString(text))
		}
		b.eventually("the relay counts it", func() bool { return r.Stats().Failed >= 1 }) // after the row is settled
		if r.Stats().Failed != 1 {
			tb.Errorf("the relay counts %d failed, want 1", r.Stats().Failed)
		}
	})
}

func alwaysFails(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		var tries atomic.Int64
		broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
			if m.UUID == "bad-0" {
				tries.Add(1)
				return errTransient
			}
			if m.UUID == "bad-1" && tries.Load() < 3 {
				tb.Error("a later message overtook the one that is retried")
			}
			return nil
		}}
		cfg := quick()
		cfg.MaxAttempts, cfg.Lanes = 3, 1
		b.relay(form(broker), cfg)
		b.put("orders", keyed("bad", 0), keyed("bad", 1))
		// Good messages prove that the broker is there.
		for n := 0; b.history("failed") == 0 && n < 2000; n++ {
			b.put("orders", keyed("good", n))
			<-time.After(time.Millisecond)
		}
		b.drained()
		if tries.Load() != 3 && tries.Load() != 4 { // one try may have met an idle broker and counted nothing
			tb.Logf("%d tries", tries.Load())
		}
		if n := b.count("SELECT attempts FROM " + b.hist + " WHERE status = 'failed'"); n != 3 {
			tb.Errorf("set aside after %d attempts, want 3", n)
		}
		if got := firsts(broker.deliveries())["bad"]; fmt.Sprint(got) != "[1]" {
			tb.Errorf("of the failing key arrived %v, want [1]", got)
		}
	})
}

// provenElsewhere has a lane whose only message fails, beside a lane that
// delivers: no round of the first ever holds an acknowledgement.
func provenElsewhere(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		broker := &fakeBroker{answer: refuse("bad", errTransient)}
		cfg := quick()
		cfg.MaxAttempts, cfg.Lanes = 3, 2
		b.relay(form(broker), cfg)
		good := otherLane("bad", cfg.Lanes)
		b.put("orders", keyed("bad", 0))
		for n := 0; b.history("failed") == 0 && n < 1000; n++ {
			b.put("orders", keyed(good, n))
			<-time.After(time.Millisecond)
		}
		b.drained()
		if n := b.count("SELECT COALESCE(MAX(attempts), 0) FROM " + b.hist + " WHERE status = 'failed'"); n != 3 {
			tb.Errorf("set aside after %d attempts, want 3", n)
		}
	})
}

// otherLane returns a key whose shard belongs to another lane than key's.
func otherLane(key string, lanes int) string {
	lane := func(key string) int {
		h := fnv.New32a()
		_, _ = h.Write([]byte(key))
		return int(h.Sum32()%32) % lanes
	}
	other := "good"
	for lane(other) == lane(key) {
		other += "+"
	}
	return other
}

func retriedInOrder(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		var calls atomic.Int64
		broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
			if m.Metadata.Get("sluicegate_key") != "steady" && calls.Add(1)%3 == 0 {
				return errTransient
			}
			return nil
		}}
		cfg := quick()
		cfg.MaxAttempts, cfg.BatchSize = 1000, 50
		// The floor moves on while messages of a key wait below it.
		cfg.FloorLag, cfg.Sweep = 10*time.Millisecond, time.Hour
		b.relay(form(broker), cfg)
		const keys, each = 10, 30
		for n := range each {
			var msgs []*message.Message
			for k := range keys - 1 {
				msgs = append(msgs, keyed(fmt.Sprintf("k%d", k), n))
			}
			b.put("orders", append(msgs, keyed("steady", n))...)
		}
		b.drained()
		inOrder(tb, broker.deliveries(), keys, each)
	})
}

func failsAlone(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{answer: refuse("bad", errTransient)}
	cfg := quick()
	cfg.MaxAttempts, cfg.Lanes = 2, 1
	b.relay(newBatched(broker), cfg)
	b.put("orders", keyed("bad", 0))
	b.eventually("it was tried often", func() bool { return broker.asked() > 20 })
	if n := b.history("failed"); n != 0 {
		tb.Fatal("a message was set aside though nothing proved that the broker is there")
	}
	cfg2 := cfg
	checked := &fakeBroker{answer: refuse("bad", errTransient)}
	other := open(tb, h)
	other.relay(reachable{newBatched(checked)}, cfg2)
	other.put("orders", keyed("bad", 0))
	other.eventually("with a broker that can be checked it is set aside", func() bool { return other.history("failed") == 1 })
}

// reachable is a broker that says that it is there.
type reachable struct{ batched }

func (reachable) Check(context.Context) error { return nil }

func unreadable(tb testing.TB, h Harness) {
	b := open(tb, h)
	b.put("orders", keyed("a", 0), keyed("b", 0), keyed("c", 0), keyed("a", 1))
	_, err := b.db.ExecContext(b.ctx, "UPDATE "+b.outbox+" SET headers = '[1' WHERE message_key = 'b'")
	must(tb, err)
	_, err = b.db.ExecContext(b.ctx, "UPDATE "+b.outbox+" SET headers = 'null' WHERE message_key = 'c'")
	must(tb, err)
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.drained()
	if broker.count() != 2 || b.history("failed") != 2 {
		tb.Errorf("%d delivered and %d set aside, want 2 and 2", broker.count(), b.history("failed"))
	}
}

func manyFailing(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{answer: func(topic string, _ *message.Message) error {
		if topic == "missing" {
			return errTransient
		}
		return nil
	}}
	// The first few hundred all fail: at first sight the broker is away.
	var bad []*message.Message
	for i := range 300 {
		bad = append(bad, message.NewMessage(fmt.Sprintf("bad-%d", i), nil))
	}
	b.put("missing", bad...)
	var good []*message.Message
	for i := range 50 {
		good = append(good, message.NewMessage(fmt.Sprintf("good-%d", i), nil))
	}
	b.put("orders", good...)
	cfg := quick()
	cfg.BatchSize, cfg.MaxAttempts, cfg.RetryMax = 40, 1000, 200*time.Millisecond
	b.relay(newBatched(broker), cfg)
	b.eventually("the good ones arrive", func() bool { return broker.count() == 50 })
}
