package forwarder_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// mostHeld is how many messages a lane with batches of 32 leaves alone at once.
const mostHeld = 32 + 1024

// switched is a broker that acknowledges nothing until it is told to.
type switched struct {
	serves       atomic.Bool
	tried, acked atomic.Int64
}

func (*switched) Close() error { return nil }

func (*switched) Publish(string, ...*message.Message) error { return errors.New("not in batches") }

func (s *switched) PublishBatch(_ context.Context, msgs []batch.Outgoing) []error {
	s.tried.Add(int64(len(msgs)))
	if s.serves.Load() {
		s.acked.Add(int64(len(msgs)))
		return nil
	}
	errs := make([]error, len(msgs))
	for i := range errs {
		errs[i] = errors.New("connection refused")
	}
	return errs
}

// refusing is a switched that proves to be there while it acknowledges nothing.
type refusing struct{ switched }

func (*refusing) Check(context.Context) error { return nil }

func TestALaneGoesOnAfterMoreHaveFailedThanItHolds(t *testing.T) {
	away, refuses := &switched{}, &refusing{}
	for _, c := range []struct {
		name   string
		pub    message.Publisher
		broker *switched
		retry  time.Duration
	}{
		{"the broker was away", away, away, 20 * time.Millisecond},
		{"the broker refused them", refuses, &refuses.switched, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			const all = 3 * mostHeld / 2
			db := sqlitetest.Migrate(t, sqlitetest.Open(t))
			box, err := forwarder.New(db, forwarder.Config{})
			if err != nil {
				t.Fatal(err)
			}
			msgs := make([]*message.Message, all)
			for i := range msgs {
				msgs[i] = message.NewMessage(fmt.Sprint(i), nil)
			}
			if err := box.Publish(t.Context(), db, "orders", msgs...); err != nil {
				t.Fatal(err)
			}
			relay, err := box.NewRelay(c.pub, forwarder.RelayConfig{
				BatchSize: 32, Lanes: 1, PollMin: time.Millisecond, RetryMin: c.retry, RetryMax: c.retry,
				MaxAttempts: 1000,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- relay.Run(ctx) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			within(t, "as many were tried as a lane holds", func() bool { return c.broker.tried.Load() >= mostHeld })
			rest(50 * time.Millisecond) // some rounds more
			c.broker.serves.Store(true)
			within(t, "all were delivered", func() bool { return c.broker.acked.Load() >= all })
		})
	}
}

func rest(d time.Duration) { <-time.After(d) }

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); rest(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within its time: %s", what)
		}
	}
}

// picky refuses every message for good, one at a time.
type picky struct{}

func (picky) Close() error { return nil }

func (picky) Publish(string, ...*message.Message) error {
	return failure.Permanent(errors.New("no such exchange"))
}

func TestABrokerThatRefusesMessagesForGoodIsNotAway(t *testing.T) {
	const all = 8
	var log records
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	box, err := forwarder.New(db, forwarder.Config{Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		msg := message.NewMessage(fmt.Sprint(i), nil)
		forwarder.SetKey(msg, "k")
		if err := box.Publish(t.Context(), db, "orders", msg); err != nil {
			t.Fatal(err)
		}
	}
	relay, err := box.NewRelay(picky{}, forwarder.RelayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	within(t, "all are set aside", func() bool { return relay.Stats().Failed == all })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "waits for what is away") {
		t.Errorf("the relay has taken the broker for away:\n%s", log.String())
	}
}
