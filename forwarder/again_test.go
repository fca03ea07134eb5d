package forwarder_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// After a failover that lost the latest transactions a database gives their ids
// again, below what the relay has read.
func TestIdsThatAreGivenAgainWaitForOneSweepAndNoMore(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	box, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		t.Fatal(err)
	}
	broker := &switched{}
	broker.serves.Store(true)
	const sweep = time.Second
	relay, err := box.NewRelay(broker, forwarder.RelayConfig{Lanes: 1, Sweep: sweep, PollMax: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	var sent int64
	send := func() time.Duration {
		msg := message.NewMessage("", nil)
		forwarder.SetKey(msg, "k")
		if err := box.Publish(t.Context(), db, "orders", msg); err != nil {
			t.Fatal(err)
		}
		sent++
		began := time.Now()
		within(t, "it arrives", func() bool { return broker.acked.Load() == sent })
		return time.Since(began)
	}
	for range 100 {
		send()
	}
	if _, err := db.Exec("UPDATE sqlite_sequence SET seq = 10 WHERE name = 'sluicegate_outbox'"); err != nil {
		t.Fatal(err)
	}
	send() // found by a sweep
	for range 5 {
		if took := send(); took > sweep/2 {
			t.Errorf("it took %v: it has waited for another sweep", took)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
