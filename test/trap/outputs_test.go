package trap_test

import (
	"context"
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
	"github.com/sluicegate/sluicegate/middleware/outputs"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

// watch counts the errors that a middleware outside of everything sees.
func watch(errs *int) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			out, err := h(msg)
			if err != nil {
				*errs++
			}
			return out, err
		}
	}
}

// The broker takes nothing for 15 deliveries; after that it does.
func TestTheRoutersFailedPublishIsSeenByNobodyAndRepeatsTheEffect(t *testing.T) {
	seen, effects := 0, 0
	r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) {
		effects++
		return []*message.Message{message.NewMessage("paid-1", nil)}, nil
	}, watch(&seen))
	r.Published.Fail(errBoom)
	if n, outcome := deliver(r, message.NewMessage("1", nil), 15); n != 15 || outcome != routertest.Nacked {
		t.Fatal(n, outcome)
	}
	if seen != 0 || effects != 15 {
		t.Errorf("%d errors seen, %d effects in 15 deliveries: the trap is gone", seen, effects)
	}
}

func TestAFailedPublishIsSeenAndRepeatedWithoutASecondEffectInTheClaimedChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, effects := 0, 0
		pub := &routertest.Publisher{}
		r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) {
			effects++
			return []*message.Message{message.NewMessage("paid-1", nil)}, nil
		}, watch(&seen),
			must(outputs.Publish(pub, outputs.PublishConfig{Topic: "orders.paid"}))(t),
			must(idempotency.New(memorystore.New(), idempotency.Config{}))(t),
			must(retry.New(retry.Config{}))(t))
		pub.Fail(errBoom)
		msg := message.NewMessage("1", nil)
		if n, outcome := deliver(r, msg, 15); n != 15 || outcome != routertest.Nacked {
			t.Fatal(n, outcome)
		}
		if seen != 15 || effects != 1 {
			t.Errorf("%d errors seen, %d effects in 15 deliveries; want 15 and 1", seen, effects)
		}
		pub.Fail(nil)
		if n, outcome := deliver(r, msg, 5); n != 1 || outcome != routertest.Acked || effects != 1 {
			t.Errorf("%d deliveries, %s, %d effects", n, outcome, effects)
		}
		if all := pub.All(); len(all) != 1 || all[0].UUID != "paid-1" || all[0].Topic != "orders.paid" {
			t.Errorf("published %+v", all)
		}
	})
}

// boxFailing fails the first writes to the outbox.
type boxFailing struct {
	*forwarder.Outbox
	failures int
}

func (b *boxFailing) Publish(ctx context.Context, tx outputs.Executor, topic string, msgs ...*message.Message) error {
	if b.failures--; b.failures >= 0 {
		return errBoom
	}
	return b.Outbox.Publish(ctx, tx, topic, msgs...)
}

// flaky fails its first calls; done is closed by the first that succeeds.
type flaky struct {
	routertest.Publisher
	failures, calls int
	done            chan struct{}
}

func (p *flaky) Publish(topic string, msgs ...*message.Message) error {
	p.calls++
	if p.failures--; p.failures >= 0 {
		return errBoom
	}
	defer close(p.done)
	return p.Publisher.Publish(topic, msgs...)
}

func TestAFailedPublishIsSeenAndRepeatedWithoutASecondEffectInTheSQLChain(t *testing.T) {
	db := sqlite(t)
	box := must(forwarder.New(db, forwarder.Config{Relay: forwarder.RelayConfig{}}))(t)
	seen, attempts := 0, 0
	r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
		attempts++
		tx, _ := idempotency.Native[*sql.Tx](msg.Context())
		if _, err := tx.Exec("INSERT INTO effect (id) VALUES ('order-1')"); err != nil {
			return nil, err
		}
		return []*message.Message{message.NewMessage("paid-1", nil)}, nil
	}, must(retry.New(retry.Config{Initial: time.Millisecond}))(t), watch(&seen),
		must(idempotency.Transaction(idempotency.DB(db, nil), must(sqlstore.New(db, sqlstore.Config{}))(t), idempotency.TxConfig{}))(t),
		must(outputs.Outbox(&boxFailing{Outbox: box, failures: 2}, outputs.OutboxConfig{Topic: "orders.paid"}))(t))

	// Writing to the outbox fails twice: seen, rolled back, and repeated.
	msg := message.NewMessage("1", nil)
	if n, outcome := deliver(r, msg, 5); n != 1 || outcome != routertest.Acked || attempts != 3 || seen != 2 || effects(t, db) != 1 {
		t.Fatalf("%d deliveries, %s, %d attempts, %d seen, %d effects", n, outcome, attempts, seen, effects(t, db))
	}
	// Then the broker fails: the relay repeats, and the handler never runs again.
	pub := &flaky{failures: 3, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	relayed := make(chan error, 1)
	go func() { relayed <- box.Relay(ctx, pub) }()
	select {
	case <-pub.done:
	case <-timeLimit(t, soon):
		t.Error("the output was not delivered")
	}
	cancel()
	<-relayed
	if all := pub.All(); len(all) != 1 || all[0].UUID != "paid-1" || all[0].Topic != "orders.paid" || pub.calls != 4 {
		t.Errorf("published %+v in %d calls", all, pub.calls)
	}
	if n, outcome := deliver(r, msg, 5); n != 1 || outcome != routertest.Acked || attempts != 3 || effects(t, db) != 1 {
		t.Errorf("a duplicate: %d deliveries, %s, %d attempts, %d effects", n, outcome, attempts, effects(t, db))
	}
}
